# SPDX-License-Identifier: MIT
"""
The command adopt: once, or for as long as it runs.
"""

from __future__ import annotations

import contextlib
from collections import Counter

import click

from ..persistence import IdentityInUseError
from ..proxy.linux import LinuxHost
from ..proxy.linux.adoption import AdoptedLink, Adoption, AdoptionState
from ..proxy.linux.compartments import current_compartment
from ..proxy.linux.following import Removal
from .errors import HOST
from .following import Ending, follow
from .options import (
    columns_option,
    compartment_option,
    output_option,
    store_option,
)
from .output import chosen_columns, count_of, show_rows
from .rows import Row, make_row
from .stores import open_session
from .streams import note
from .watching import FORMATS as WATCHED


@click.command()
@store_option
@output_option
@columns_option
@compartment_option
@click.option(
    "--tag",
    is_flag=True,
    help="Write each NET_LUID onto its link, as an altname that goes with it "
    "through renames and to other namespaces.",
)
@click.option(
    "-f",
    "--follow",
    "following",
    is_flag=True,
    help="Keep them adopted as they come, change and go, until SIGTERM or an "
    "interrupt, and write one line for each event to stderr; with -o jsonl "
    "one JSON object to stdout.",
)
@click.option(
    "--removal",
    type=click.Choice(["shutdown", "remove"]),
    help="With --follow: what becomes of a link that vanishes. By default "
    "`shutdown`: its identity stays, for when it is back. `remove` gives its "
    "identity up for good.",
)
def adopt(
    store: str | None,
    output: str,
    columns: str | None,
    compartment: str | None,
    tag: bool,
    following: bool,
    removal: str | None,
) -> None:
    """Adopt the links of this host, and show them.

    Each link gets a NET_LUID and a GUID that it has again on every later
    run, whatever it is called then.

    Exit code 4 if a link has an ifIndex that is reserved for another
    identity, or could not be tagged.

    \b
    Example:
      ndisbridge adopt
      ip netns exec blue ndisbridge adopt -o json
      ndisbridge adopt --follow --tag
    """
    if following and output not in WATCHED:
        raise click.UsageError(
            f"-o {output} has an end: --follow takes " + " or ".join(WATCHED)
        )
    if removal and not following:
        raise click.UsageError("--removal is for --follow")
    chosen = chosen_columns(columns)
    # Before a store is made for a namespace that is then refused.
    compartment = current_compartment(compartment)
    ending = Ending()
    with (
        ending.awaited() if following else contextlib.nullcontext(),
        open_session(store) as session,
        LinuxHost(session, compartment=compartment, tag=tag) as host,
    ):
        adoption = host.adopt()
        path = str(session.store)
        if following:
            _remark(adoption, _caption(adoption, path))
            left: Removal = "remove" if removal == "remove" else "deregister"
            code = follow(host, adoption, store, output, left, ending)
    if following:
        click.get_current_context().exit(code)
    rows = [row_of(each) for each in adoption]
    show_rows(
        [row.fields() for row in rows],
        output,
        chosen,
        _caption(adoption, path),
    )
    _remark(adoption)
    if any(_is_refused(each) for each in adoption):
        click.get_current_context().exit(HOST)


def row_of(each: AdoptedLink) -> Row:
    """The row of a link as its adoption has found it."""
    return make_row(
        each.record, each.link, each.state.value, str(each.error or "")
    )


def _remark(adoption: Adoption, *first: str) -> None:
    for text in first:
        note(text)
    held: Counter[str] = Counter()
    for each in adoption:
        if isinstance(each.error, IdentityInUseError):
            held[str(each.error.holder or "another session")] += 1
        for text in _remarks_on(each):
            note(f"{each.name}: {text}")
    for holder, count in held.items():
        # Usual where the service runs, and no reason for a line for each.
        verb = "is" if count == 1 else "are"
        note(
            f"{count_of(count, 'link', 'links')} {verb} registered by {holder}"
        )


def _is_refused(each: AdoptedLink) -> bool:
    return each.state is AdoptionState.CONFLICT or each.tag_error is not None


def _caption(adoption: Adoption, path: str) -> str:
    new = sum(each.state is AdoptionState.NEW for each in adoption)
    where = ""
    if adoption.compartment:
        where = f" of compartment {adoption.compartment!r}"
    return (
        f"{count_of(len(adoption), 'link', 'links')}{where}, {new} of them "
        f"new, in {path}"
    )


def _remarks_on(each: AdoptedLink) -> list[str]:
    """What the administrator should know of an adopted link."""
    said = []
    if each.error and not isinstance(each.error, IdentityInUseError):
        said.append(f"{each.error}")
    if each.tag_error is not None:
        said.append(f"{each.tag_error.strerror}")
    if each.reserved_if_index not in {None, each.if_index}:
        said.append(
            f"it has the ifIndex {each.if_index}, and not "
            f"{each.reserved_if_index}, which is reserved for it: create it "
            f"with `ip link add {each.key} index {each.reserved_if_index}`"
        )
    if each.state is AdoptionState.NEW and each.key != each.name:
        said.append(
            f"it has a new identity with the key {each.key!r}: the name is "
            "another device's, or was reserved with another IfType"
        )
    return said
