# SPDX-License-Identifier: MIT
"""
Options and arguments that several commands share.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import click

from ..constants import IfType
from ..exceptions import InvalidParameterError
from ..net_luid import NetLuid
from .completing import complete_identity, complete_type
from .output import FORMATS
from .stores import SYSTEM_STORE
from .streams import is_utf8

_Command = Callable[..., Any]


def _check_store(
    _: click.Context, __: click.Parameter, store: str | None
) -> str | None:
    """An empty path is an unset variable of a script, not the default."""
    if store == "":
        raise click.BadParameter("the path of the store is empty")
    if store is not None and not is_utf8(store):
        raise click.BadParameter(f"{store!r} is not valid UTF-8")
    return store


def identity_argument(command: _Command) -> _Command:
    return click.argument(
        "ident", metavar="ID", shell_complete=complete_identity
    )(command)


def store_option(command: _Command) -> _Command:
    return click.option(
        "--store",
        envvar="NDISBRIDGE_STORE",
        metavar="PATH|URL",
        callback=_check_store,
        help="The store: a file, or postgresql://... [env: "
        f"NDISBRIDGE_STORE; default: {SYSTEM_STORE} for root, else in the "
        "state directory of the user].",
    )(command)


def output_option_of(
    formats: Sequence[str], default: str
) -> Callable[[_Command], _Command]:
    return click.option(
        "-o",
        "--output",
        type=click.Choice(formats),
        default=default,
        show_default=True,
        help="How to print it.",
    )


def output_option(command: _Command) -> _Command:
    return output_option_of(FORMATS, "table")(command)


def columns_option(command: _Command) -> _Command:
    return click.option(
        "--columns", metavar="A,B,...", help="Columns of table and csv."
    )(command)


def compartment_option(command: _Command) -> _Command:
    return click.option(
        "--compartment",
        metavar="NAME",
        help="Name of this network namespace; by default its entry in "
        "/run/netns, none for the initial one.",
    )(command)


def type_option(text: str) -> Callable[[_Command], _Command]:
    return click.option(
        "--type",
        "if_type",
        metavar="TYPE",
        shell_complete=complete_type,
        help=text,
    )


def parse_type(text: str) -> IfType:
    """An IfType by number, by name, or by the prefix of its ifName."""
    if text.isdecimal() and len(text) < 10:
        number = int(text)
        if 0 < number <= 0xFFFF:
            return IfType(number)
    else:
        name = text.upper().replace("-", "_")
        if name in IfType.__members__:
            return IfType[name]
        with contextlib.suppress(InvalidParameterError):
            return NetLuid.parse(f"{text}_0").if_type
    raise click.BadParameter(
        f"{text!r} is no IfType: give a number, or a name such as ethernet, "
        "tunnel, bridge, l2_vlan"
    )
