# SPDX-License-Identifier: MIT
"""
What a shell is offered to complete: identities, OIDs, IfTypes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import click

from ..constants import IfType, Oid
from ..net_luid import NetLuid
from ..proxy.linux.recognition import NAME
from ..proxy.linux.settings import SETTABLE
from .stores import read_store


def _starting(words: Iterable[str], incomplete: str) -> list[str]:
    return sorted(
        {
            word
            for word in words
            if word.startswith(incomplete) and word.isprintable()
        }
    )


def complete_identity(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[str]:
    """Names and keys of the store; nothing if it can't be read."""
    try:
        with contextlib.closing(
            read_store(context.params.get("store"))
        ) as source:
            words = [
                word
                for record in source.identities()
                for word in (record.key, record.attributes.get(NAME, ""))
                if word
            ]
    except Exception:
        # Somebody is typing: this is not the time to complain.
        return []
    return _starting(words, incomplete)


def complete_oid(
    _: click.Context, __: click.Parameter, incomplete: str
) -> list[str]:
    """Names of the catalog, in the letters that have been begun with."""
    return _oids(Oid.__members__, incomplete)


def complete_settable(
    _: click.Context, __: click.Parameter, incomplete: str
) -> list[str]:
    """Names of OIDs that can be set, likewise."""
    return _oids([Oid(each).name for each in SETTABLE], incomplete)


def complete_value(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[str]:
    """Values of the OID that is to be set, if there are few."""
    name = str(context.params.get("oid", "")).upper().removeprefix("OID_")
    words = {
        Oid.GEN_ADMIN_STATUS.name: ("up", "down"),
        Oid.GEN_PROMISCUOUS_MODE.name: ("on", "off"),
    }.get(name, ())
    return _starting(words, incomplete)


def _oids(names: Iterable[str], incomplete: str) -> list[str]:
    prefix = "OID_" if incomplete.upper().startswith("OID_") else ""
    words = [prefix + name.removeprefix("_") for name in names]
    if incomplete.islower():
        words = [word.lower() for word in words]
    return _starting(words, incomplete)


def complete_type(
    _: click.Context, __: click.Parameter, incomplete: str
) -> list[str]:
    """Names of IfTypes, and the short ones that ifNames begin with."""
    short = (NetLuid.make(each, 0).name.removesuffix("_0") for each in IfType)
    words = [
        *(name.lower() for name in IfType.__members__),
        *(name for name in short if not name.startswith("iftype")),
    ]
    return _starting(words, incomplete.lower())
