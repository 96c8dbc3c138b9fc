# SPDX-License-Identifier: MIT
"""
The command set: what the kernel is asked to change of a link.
"""

from __future__ import annotations

import contextlib
from typing import Any

import click

from ..constants import IfAdminStatus, Oid
from ..exceptions import InterfaceNotFoundError, NdisError
from ..persistence import StoreNotFoundError
from ..proxy.linux.settings import SETTABLE, set_link
from .completing import complete_settable, complete_value
from .errors import HOST, NotFound
from .live import live_row, oid_name, parse_oid
from .options import compartment_option, identity_argument, store_option
from .rows import ABSENT, Row
from .stores import open_session

#: TESTING is ifAdminStatus, too, but nothing that Linux can do.
_ADMIN = {"up": IfAdminStatus.UP, "down": IfAdminStatus.DOWN}
_ON = {"on", "true", "yes", "1"}
_OFF = {"off", "false", "no", "0"}


class Refused(click.ClickException):
    """The kernel does not do it."""

    exit_code = HOST


@click.command("set")
@identity_argument
@click.argument("oid", shell_complete=complete_settable)
@click.argument("value", shell_complete=complete_value)
@store_option
@compartment_option
def set_(
    ident: str,
    oid: str,
    value: str,
    store: str | None,
    compartment: str | None,
) -> None:
    """Set an OID of one of this host's links, in the kernel.

    GEN_ADMIN_STATUS is up or down, GEN_ALIAS a text (which the store keeps
    too), GEN_MAXIMUM_FRAME_SIZE the MTU in bytes, GEN_PROMISCUOUS_MODE on or
    off. Exit code 4 if the kernel refuses.

    \b
    Example:
      ndisbridge set eth0 GEN_ADMIN_STATUS up
      ndisbridge set ethernet_4 GEN_MAXIMUM_FRAME_SIZE 9000
    """
    number = parse_oid(oid)
    if number not in SETTABLE:
        raise click.UsageError(
            f"{oid_name(number)} can't be set: choose from "
            + ", ".join(map(oid_name, SETTABLE))
        )
    wanted = _parse(number, value)
    row = live_row(ident, store, compartment)
    if row.status == ABSENT:
        raise NotFound(f"{row.key} has no link here")
    try:
        set_link(row.if_index, number, wanted)
    except InterfaceNotFoundError:
        raise NotFound(f"{row.name} is gone") from None
    except NdisError as problem:
        raise Refused(f"{row.name}: {oid_name(number)}: {problem}") from None
    if number == Oid.GEN_ALIAS:
        _keep_alias(row, store, wanted)


def _parse(oid: int, text: str) -> Any:
    """A value as people write it."""
    with contextlib.suppress(KeyError, ValueError):
        if oid == Oid.GEN_ALIAS:
            return text
        if oid == Oid.GEN_ADMIN_STATUS:
            return _ADMIN[text.lower()]
        if oid == Oid.GEN_MAXIMUM_FRAME_SIZE:
            number = int(text)
            if 0 <= number <= 0xFFFFFFFF:
                return number
        elif text.lower() in _ON | _OFF:
            return text.lower() in _ON
    expected = {
        Oid.GEN_ADMIN_STATUS: "up or down",
        Oid.GEN_MAXIMUM_FRAME_SIZE: "a number of bytes",
    }.get(Oid(oid), "on or off")
    raise click.BadParameter(f"{text!r} is not {expected}", param_hint="VALUE")


def _keep_alias(row: Row, store: str | None, alias: str) -> None:
    """An alias that the kernel no longer has would come back from here."""
    if not row.net_luid or not row.persistent:
        return
    with (
        contextlib.suppress(StoreNotFoundError),
        open_session(store) as session,
    ):
        session.store.update(int(row.net_luid, 16), alias=alias)
