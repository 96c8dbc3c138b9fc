# SPDX-License-Identifier: MIT
"""
The URL of a PostgreSQL store: where the server is, and whose host this is.

It is libpq's own, with one parameter more: ``ndis_host``, the name of this
host.  It is not called ``host``, which means the server's to libpq, and is
how a socket directory is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from .errors import StoreError

SCHEMES = ("postgresql://", "postgres://")
_FORM = "postgresql://USER@SERVER:PORT/DATABASE?ndis_host=NAME"
_MACHINE_ID = "/etc/machine-id"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a store is."""

    #: What libpq is given; it has the password, and is never shown.
    parameters: dict[str, str | int] = field(repr=False)
    #: This host among those that share the store.
    host: str
    #: The server and the database, for messages.
    name: str


def parse(url: str) -> Target:
    """
    Raises:
        StoreError: It is no URL of PostgreSQL, or this host has no name.
            Neither the message nor what it comes from has the password.
    """
    plain, host = _without_host(url)
    try:
        parameters = {
            key: value
            for key, value in conninfo_to_dict(plain).items()
            if value is not None
        }
    except (psycopg.Error, UnicodeError, ValueError):
        # What libpq says quotes the URL, password and all.
        parameters = {}
        valid = False
    else:
        valid = url.startswith(SCHEMES) and "\0" not in host
    if not valid:
        raise StoreError(f"the URL of a PostgreSQL store is {_FORM}")
    name = _name(parameters)
    return Target(parameters, host or _machine_id(name), name)


def _without_host(url: str) -> tuple[str, str]:
    """The URL as libpq knows it, and ``ndis_host``."""
    base, mark, query = url.partition("?")
    kept, host = [], ""
    for part in query.split("&") if mark else []:
        key, _, value = part.partition("=")
        if key == "ndis_host":
            host = unquote(value)
        else:
            kept.append(part)
    return base + ("?" + "&".join(kept) if kept else ""), host


def _name(parameters: dict[str, str | int]) -> str:
    server = str(parameters.get("host") or parameters.get("hostaddr") or "")
    database = str(parameters.get("dbname") or "")
    if server.startswith("/"):
        return f"postgresql:///{database}?host={server}"
    if "port" in parameters:
        server += f":{parameters['port']}"
    return f"postgresql://{server}/{database}"


def _machine_id(name: str) -> str:
    try:
        with open(_MACHINE_ID, encoding="ascii") as file:
            found = file.read().strip()
    except (OSError, UnicodeError):
        found = ""
    # "uninitialized": the image was never started.
    if len(found) != 32:
        raise StoreError(
            f"this host has no {_MACHINE_ID}: name it, with ?ndis_host=NAME "
            "in the URL",
            name,
        )
    return found
