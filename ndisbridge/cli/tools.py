# SPDX-License-Identifier: MIT
"""
Commands that need no store: convert.
"""

from __future__ import annotations

import click

from ..net_luid import NetLuid
from .options import output_option, parse_type
from .output import show_one


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
