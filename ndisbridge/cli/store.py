# SPDX-License-Identifier: MIT
"""
Commands on the store itself: create, check, stats, export, import, backup,
evict.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import click

from ..constants import IfType
from ..persistence import _transfer
from ..persistence._backup import appearing
from ..persistence._files import checked_path, refusal
from ..persistence.sqlite import SqliteStore
from .errors import STORE, NotFound
from .options import output_option, store_option
from .output import count_of, json_text, show_rows
from .progress import Progress
from .stores import (
    create_store,
    evict_host,
    examine_store,
    export_mode,
    path_of_store,
    repair_store,
    store_to_export,
    store_to_import,
    store_to_look_after,
)
from .streams import note, printable, write


@click.group()
def store() -> None:
    """Look after the store itself."""


@store.command()
@store_option
def create(store: str | None) -> None:
    """Make the store, or bring one of an older version up to date.

    One that is there and up to date stays as it is. Whatever adds to a store
    makes it too; this is for the owner of the tables of a PostgreSQL store,
    whose programs use a role that may not make any.

    \b
    Example:
      ndisbridge store create --store postgresql://owner@db/ndis
    """
    with Progress("creating"):
        name = create_store(store)
    note(f"{name}: ready")


# -- what is in it


@store.command()
@store_option
@output_option
@click.option(
    "--repair",
    is_flag=True,
    help="Mend what is certain if nothing is lost by it; a copy of the store "
    "as it was is kept beside it (of a PostgreSQL store make one first, with "
    "pg_dump). No session may have it open.",
)
def check(store: str | None, output: str, repair: bool) -> None:
    """Verify the store: every page, row, checksum and lease.

    Exit code 3 if something is wrong, with --repair if it still is.

    \b
    Example:
      ndisbridge store check
      ndisbridge store check --repair
    """
    count = 0
    with Progress("checking"):
        if repair:
            path, repaired = repair_store(store)
            done, problems, copy = repaired.done, repaired.kept, repaired.copy
        else:
            path, found, count = examine_store(store)
            done, problems, copy = (), tuple(found), ""
    said = "kept as it is: " if repair else ""
    # Whoever does not read on is still told by the exit code.
    with contextlib.suppress(BrokenPipeError):
        if output == "table":
            for each in done:
                write(printable(f"repaired: {each}"))
            for each in problems:
                write(printable(f"{said}{each}"))
            if not problems:
                found_in = count_of(count, "identity", "identities")
                well = f"{found_in}, no problem" if not repair else "all well"
                write(printable(f"{path}: {well}"))
        else:
            columns = ["kind", "text", *(["repaired"] if repair else [])]
            rows = [
                {"kind": each.kind, "text": each.text, "repaired": mended}
                for group, mended in ((done, True), (problems, False))
                for each in group
            ]
            show_rows(
                [{name: row[name] for name in columns} for row in rows],
                output,
                {name: name for name in columns},
            )
    if copy:
        note(f"the store as it was: {copy}")
    if problems:
        if repair:
            note(
                "what is kept can't be mended without losing something: "
                "restore a backup, or go on with `ndisbridge store export` "
                "of one"
            )
        click.get_current_context().exit(STORE)


@store.command()
@store_option
@output_option
def stats(store: str | None, output: str) -> None:
    """Show the figures of the store.

    \b
    Example:
      ndisbridge store stats -o json
    """
    with Progress("counting"), store_to_look_after(store) as source:
        found = source.stats()
        own = getattr(source, "session_id", 0)
    types = [
        {
            "if_type": each.if_type,
            "name": IfType(each.if_type).name if each.if_type else "ifIndexes",
            "retained": each.retained,
            "leased_blocks": each.leased_blocks,
        }
        for each in found.types
    ]
    others = [each for each in found.sessions if each.session_id != own]
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


# -- taking it elsewhere


def _what(counts: _transfer.Counts) -> str:
    return (
        count_of(counts.identities, "identity", "identities")
        + ", "
        + count_of(counts.retained, "retained index", "retained indexes")
    )


@store.command("export")
@click.argument("file", default="-")
@store_option
def export_(file: str, store: str | None) -> None:
    """Write all that is durable in the store as JSON Lines.

    To FILE, which must not exist, or to stdout ("-", the default). Nothing
    of it is lost by an import into another store, of SQLite or PostgreSQL.
    Of a PostgreSQL store it is what the host of the URL has; pg_dump copies
    all hosts.

    \b
    Example:
      ndisbridge store export ndis.jsonl
      ndisbridge store export | ssh other ndisbridge store import -
    """
    with (
        store_to_export(store) as source,
        _to_write(file, export_mode(store)) as target,
        Progress("exporting") as progress,
    ):
        counts = _transfer.export(source, target, progress, str(source))
    note(f"{source}: exported {_what(counts)}")


@contextlib.contextmanager
def _to_write(file: str, mode: int) -> Iterator[BinaryIO]:
    try:
        if file == "-":
            yield sys.stdout.buffer
            return
        with (
            appearing(checked_path(file), mode) as temporary,
            open(temporary, "wb") as target,
        ):
            yield target
    except OSError as error:
        # A broken pipe too: half an export is none, and no success.
        name = "stdout" if file == "-" else file
        raise refusal(error, "it can't be written", name) from error


@store.command("import")
@click.argument("file")
@store_option
def import_(file: str, store: str | None) -> None:
    """Add what `export` has written to the store, all or nothing.

    From FILE, or from stdin ("-"). The store is made if it does not exist;
    no session may have it open, and nothing of what is imported may be there
    already. An export that was cut off or altered is refused.

    \b
    Example:
      ndisbridge store import ndis.jsonl
      ndisbridge store import - --store postgresql://db/ndis < ndis.jsonl
    """
    name = "stdin" if file == "-" else file
    with Progress("importing") as progress, _to_read(file) as source:
        target, counts = _transfer.import_from(
            source, lambda: store_to_import(store), progress, name
        )
    note(f"{target}: imported {_what(counts)}")


@contextlib.contextmanager
def _to_read(file: str) -> Iterator[BinaryIO]:
    """It is read twice, which stdin and pipes can't be."""
    if file == "-":
        with _spooled(sys.stdin.buffer) as source:
            yield source
        return
    if not os.path.exists(file):
        raise NotFound(f"{file}: there is no such file")
    with open(file, "rb") as opened:
        if opened.seekable():
            yield opened
        else:
            with _spooled(opened) as source:
                yield source


@contextlib.contextmanager
def _spooled(source: BinaryIO) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(source, copy)
        copy.seek(0)
        yield copy


@store.command()
@click.argument("file")
@store_option
def backup(file: str, store: str | None) -> None:
    """Copy the store to FILE, whoever has it open.

    FILE must not exist. It is a store itself. To restore it, end all
    sessions, remove the store with its -wal and -shm files, and copy FILE
    to where it was. A PostgreSQL store, with all its hosts, is copied by
    pg_dump.

    \b
    Example:
      ndisbridge store backup /backup/ndis-$(date +%F).db
    """
    path = path_of_store(
        store,
        "`pg_dump --schema=ndisbridge` copies one of PostgreSQL, with all its "
        "hosts, and `ndisbridge store export` what is one host's",
    )
    with Progress("copying") as progress:
        count = SqliteStore.back_up(path, file, progress)
    note(
        f"{os.path.abspath(file)}: "
        + count_of(count, "identity", "identities")
        + ", verified"
    )


@store.command()
@click.argument("host")
@store_option
def evict(host: str, store: str | None) -> None:
    """Say that a host is gone for good, so that others get its blocks.

    For a PostgreSQL store: the sessions of HOST lose their leases. What it
    has retained stays. A host that is back begins a new session.

    \b
    Example:
      ndisbridge store evict web-7 --store postgresql://db/ndis
    """
    with Progress("evicting"):
        count = evict_host(store, host)
    note(f"evicted {host}: {count_of(count, 'session', 'sessions')} ended")
