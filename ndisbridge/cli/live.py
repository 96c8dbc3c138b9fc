# SPDX-License-Identifier: MIT
"""
The command query: what a link of this host answers.
"""

from __future__ import annotations

import contextlib
from typing import Any

import click

from ..constants import (
    LINK_SPEED_UNKNOWN,
    IfAdminStatus,
    IfOperStatus,
    MediaConnectState,
    MediaDuplexState,
    Oid,
    PauseFunctions,
)
from ..exceptions import NdisError
from ..persistence import StoreNotFoundError
from ..proxy.linux import LinuxHost
from ..proxy.linux.links import read_links
from ..session import Session
from ..structures import Structure, oid_number
from .completing import complete_oid
from .errors import NotFound
from .options import (
    compartment_option,
    identity_argument,
    output_option,
    store_option,
)
from .output import cell, show_one
from .rows import ABSENT, Row, resolve, rows_of, this_compartment, unknown_row
from .stores import read_store
from .streams import write

#: Enumerations that members of structures have.
_ENUMS: dict[str, Any] = {
    "if_oper_status": IfOperStatus,
    "operational_status": IfOperStatus,
    "if_admin_status": IfAdminStatus,
    "media_connect_state": MediaConnectState,
    "media_duplex_state": MediaDuplexState,
    "pause_functions": PauseFunctions,
}


def _plain(value: Any, name: str = "") -> Any:
    """A value of an OID, or of a member of its, as JSON can have it."""
    if isinstance(value, Structure):
        return {
            member: _plain(getattr(value, member), member)
            for member in value.__dataclass_fields__  # type: ignore[attr-defined]
        }
    if isinstance(value, bytes):
        return value.hex(":")
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if name.endswith("link_speed") and value == LINK_SPEED_UNKNOWN:
        return None
    if name in _ENUMS:
        with contextlib.suppress(ValueError):
            value = _ENUMS[name](value)
    return getattr(value, "name", int(value))


def parse_oid(text: str) -> int:
    """An OID by name or number."""
    with contextlib.suppress(NdisError):
        number = oid_number(text)
        if 0 <= number <= 0xFFFFFFFF:
            return number
    raise NotFound(f"there is no OID {text!r}")


def oid_name(number: int) -> str:
    """The name of an OID in the catalog, or its number."""
    try:
        return str(Oid(number).name).removeprefix("_")
    except ValueError:
        return f"0x{number:08X}"


@click.command()
@identity_argument
@click.argument("oid", shell_complete=complete_oid)
@store_option
@output_option
@compartment_option
def query(
    ident: str,
    oid: str,
    store: str | None,
    output: str,
    compartment: str | None,
) -> None:
    """Ask one of this host's links for an OID.

    OID is a name of the catalog (GEN_STATISTICS, with or without OID_) or a
    number. Handlers and values of interfaces that other processes have
    registered are theirs: only links of this host are answered here.

    \b
    Example:
      ndisbridge query eth0 GEN_STATISTICS
    """
    number = parse_oid(oid)
    name = oid_name(number)
    row = live_row(ident, store, compartment)
    if row.status == ABSENT:
        raise NotFound(
            f"{row.key} has no link here: values of interfaces that other "
            "processes have registered are theirs alone"
        )
    with Session() as session, LinuxHost(session, compartment="-") as host:
        for each in host.adopt():
            if each.if_index == row.if_index and each.interface is not None:
                try:
                    found = session.query(each.net_luid, number)
                except NdisError as problem:
                    raise NotFound(f"{each.name}: {name}: {problem}") from None
                value = _plain(found, name.lower())
                break
        else:
            raise NotFound(f"{row.name} is gone")
    if isinstance(value, dict):
        show_one(value, output)
    elif output == "table":
        write(cell("", value))
    else:
        show_one({"value": value}, output)


def live_row(ident: str, store: str | None, compartment: str | None) -> Row:
    """
    A row of the store; of a link that the store does not know, if nothing
    that it knows by that name is here.
    """
    here = this_compartment(compartment)
    try:
        with contextlib.closing(read_store(store)) as source:
            row = resolve(rows_of(source.identities(), here), ident, here)
    except (StoreNotFoundError, NotFound):
        row = None
    if row is None or row.status == ABSENT:
        for link in read_links():
            if ident in {link.name, str(link.if_index)}:
                return unknown_row(link)
    if row is None:
        raise NotFound(f"no link or identity here is {ident!r}")
    return row
