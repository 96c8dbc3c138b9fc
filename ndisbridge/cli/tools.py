# SPDX-License-Identifier: MIT
"""
Commands on the store itself, and those that need none: store check, store
stats, convert.
"""

from __future__ import annotations

import contextlib
import os

import click

from ..constants import IfType
from ..net_luid import NetLuid
from .errors import STORE
from .options import (
    output_option,
    parse_type,
    store_option,
)
from .output import count_of, json_text, show_one, show_rows
from .stores import examine_store, store_to_look_after
from .streams import printable, write


@click.command()
@click.argument("text", nargs=-1, required=True)
@output_option
def convert(text: tuple[str, ...], output: str) -> None:
    """Show a NET_LUID in all its forms. Needs no store.

    TEXT is a name, a decimal or hexadecimal number, 06:8001, or an IfType
    and a NET_LUID index.

    \b
    Example:
      ndisbridge convert ethernet_32768
      ndisbridge convert ethernet 32768
    """
    if len(text) == 2 and text[1].isdecimal() and len(text[1]) < 10:
        net_luid = NetLuid.make(parse_type(text[0]), int(text[1]))
    elif len(text) == 1:
        net_luid = NetLuid.parse(text[0])
    else:
        raise click.UsageError("give one NET_LUID, or an IfType and an index")
    if_type, net_luid_index = net_luid.if_type, net_luid.net_luid_index
    show_one(
        {
            "net_luid": str(net_luid),
            "decimal": int(net_luid),
            "name": net_luid.name,
            "if_type": int(if_type),
            "if_type_name": if_type.name,
            "net_luid_index": net_luid_index,
            "debugger": f"{if_type:02X}:{net_luid_index:02X}",
        },
        output,
    )


@click.group()
def store() -> None:
    """Look after the store itself."""


@store.command()
@store_option
@output_option
def check(store: str | None, output: str) -> None:
    """Verify the store: every page, row, checksum and lease.

    Exit code 3 if something is wrong.
    """
    path, problems, count = examine_store(store)
    # Whoever does not read on is still told by the exit code.
    with contextlib.suppress(BrokenPipeError):
        if output == "table":
            for problem in problems:
                write(printable(problem))
            if not problems:
                found = count_of(count, "identity", "identities")
                write(printable(f"{path}: {found}, no problem"))
        else:
            rows = [{"kind": p.kind, "text": p.text} for p in problems]
            show_rows(rows, output, {"kind": "kind", "text": "text"})
    if problems:
        click.get_current_context().exit(STORE)


@store.command()
@store_option
@output_option
def stats(store: str | None, output: str) -> None:
    """Show the figures of the store."""
    with store_to_look_after(store) as source:
        found = source.stats()
    types = [
        {
            "if_type": each.if_type,
            "name": IfType(each.if_type).name if each.if_type else "ifIndexes",
            "retained": each.retained,
            "leased_blocks": each.leased_blocks,
        }
        for each in found.types
    ]
    others = [each for each in found.sessions if each.pid != os.getpid()]
    fields = {
        "store": found.store,
        "version": found.version,
        "size": found.size,
        "identities": found.identities,
        "sessions": [str(each) for each in others],
        "types": types,
    }
    if output in {"json", "jsonl"}:
        indent = 2 if output == "json" else None
        write(json_text(fields, indent))
        return
    if output == "table":
        write(
            printable(
                f"{found.store}: format {found.version}, {found.size} bytes, "
                + count_of(found.identities, "identity", "identities")
            )
        )
        for each in others:
            write(printable(f"in use by {each}"))
    columns = ["if_type", "name", "retained", "leased_blocks"]
    show_rows(types, output, {name: name for name in columns})
