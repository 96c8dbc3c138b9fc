# SPDX-License-Identifier: MIT
"""
Commands that ask the links of this host: query, stack.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

import click

from ..exceptions import NdisError
from ..net_luid import NetLuid
from ..persistence import (
    IdentityRecord,
    StoreNotFoundError,
)
from ..proxy.links import LinuxLink, read_links
from ..proxy.linux import PROVIDER_NAME, LinuxHost
from ..session import Session
from ..structures import Structure, oid_number
from .options import (
    output_option,
    store_option,
)
from .output import show_one, show_rows
from .rows import NotFound, Row, make_row, resolve, rows_of
from .stores import read_store


def _plain(value: Any) -> Any:
    """A value of an OID as JSON can have it."""
    if isinstance(value, Structure):
        return {
            name: _plain(getattr(value, name))
            for name in value.__dataclass_fields__  # type: ignore[attr-defined]
        }
    if isinstance(value, bytes):
        return value.hex(":")
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return getattr(value, "name", int(value))


@click.command()
@click.argument("ident", metavar="ID")
@click.argument("oid")
@store_option
@output_option
def query(ident: str, oid: str, store: str | None, output: str) -> None:
    """Ask one of this host's links for an OID.

    OID is a name of the catalog (GEN_STATISTICS, with or without OID_) or a
    number. Handlers and values of interfaces that other processes have
    registered are theirs: only links of this host are answered here.

    \b
    Example:
      ndisbridge query eth0 GEN_STATISTICS
    """
    try:
        number = oid_number(oid)
    except NdisError as problem:
        raise NotFound(str(problem)) from None
    row = _live_row(ident, store)
    if row.status == "ABSENT":
        raise NotFound(
            f"{row.key} has no link here: values of interfaces that other "
            "processes have registered are theirs alone"
        )
    with Session() as session, LinuxHost(session, compartment="-") as host:
        for each in host.adopt():
            if each.if_index == row.if_index and each.interface is not None:
                value = _plain(session.query(each.net_luid, number))
                break
        else:
            raise NotFound(f"{row.name} is gone")
    fields = value if isinstance(value, dict) else {"value": value}
    if output == "table" and not isinstance(value, dict):
        click.echo(value)
    else:
        show_one(fields, output)


def _live_row(ident: str, store: str | None) -> Row:
    """A row of the store, or of a link that the store does not know."""
    try:
        with contextlib.closing(read_store(store)) as source:
            return resolve(rows_of(source.identities()), ident)
    except (StoreNotFoundError, NotFound):
        for link in read_links():
            if ident in {link.name, str(link.if_index)}:
                return _unknown_row(link)
        raise NotFound(f"no link or identity here is {ident!r}") from None


def _unknown_row(link: LinuxLink) -> Row:
    record = IdentityRecord(
        compartment="",
        provider=PROVIDER_NAME,
        key=link.name,
        net_luid=int(NetLuid.make(link.if_type, 0)),
        interface_guid=uuid.UUID(int=0),
    )
    return make_row(record, link)


@click.command()
@output_option
def stack(output: str) -> None:
    """Show what runs on what: the interface stack of this host's links.

    \b
    Example:
      ndisbridge stack -o json
    """
    with Session() as session, LinuxHost(session, compartment="-") as host:
        names = {each.if_index: each.name for each in host.adopt()}
        table: Any = session.if_stack_table().tolist()
        rows = [
            {
                "higher": names.get(higher, ""),
                "higher_if_index": higher,
                "lower": names.get(lower, ""),
                "lower_if_index": lower,
            }
            for higher, lower in table
        ]
    columns = {
        "Higher": "higher",
        "ifIndex": "higher_if_index",
        "Lower": "lower",
        "ifIndex ": "lower_if_index",
    }
    if output == "csv":
        columns = {name: name for name in columns.values()}
    show_rows(rows, output, columns)
