# SPDX-License-Identifier: MIT
"""
Options that several commands share.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import click

from ..constants import IfType
from ..exceptions import InvalidParameterError
from ..net_luid import NetLuid
from .output import FORMATS
from .stores import SYSTEM_STORE

_Command = Callable[..., Any]


def store_option(command: _Command) -> _Command:
    return click.option(
        "--store",
        envvar="NDISBRIDGE_STORE",
        metavar="PATH",
        help="The store [env: NDISBRIDGE_STORE; default: "
        f"{SYSTEM_STORE} for root, else in the state directory of the user].",
    )(command)


def output_option(command: _Command) -> _Command:
    return click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to print it.",
    )(command)


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


def parse_type(text: str) -> IfType:
    """An IfType by number, by name, or by the prefix of its ifName."""
    if text.isdecimal():
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
