# SPDX-License-Identifier: MIT
"""
Being told of identities that are made, changed and released, on any host.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg

from ._pg_errors import typed
from ._pg_link import Connection, connect
from ._pg_root import CHANNEL
from ._pg_url import Target
from .errors import ServerLostError

#: Seconds between two questions to the server whether it is there.
_ASK = 30.0


class IdentityChange(NamedTuple):
    """What has happened to an identity, and is committed."""

    host: str
    compartment: str
    provider: str
    #: "" if it is too long to be told.
    key: str
    #: "made", "changed" or "released".
    kind: str


def listen(target: Target) -> Connection:
    """A connection of its own, which is told from now on."""
    try:
        connection = connect(target)
        try:
            connection.execute(b"LISTEN " + CHANNEL.encode())
            # Silence is as it should be.
            connection.patience = math.inf
        except BaseException:
            connection.close()
            raise
    except psycopg.Error as error:
        raise typed(error, target.name) from error
    return connection


def changes(target: Target, timeout: float | None) -> Iterator[IdentityChange]:
    """Listen from now on."""
    return _told(listen(target), target, timeout)


def lost(error: psycopg.Error, target: Target) -> ServerLostError:
    """What is raised where nobody knows what has been missed."""
    return ServerLostError(
        f"its server is lost ({error}), and so are changes since: look all "
        "identities up, and listen again",
        target.name,
    )


def _told(
    connection: Any, target: Target, timeout: float | None
) -> Iterator[IdentityChange]:
    deadline = time.monotonic() + (math.inf if timeout is None else timeout)
    try:
        while True:
            left = max(0.0, min(_ASK, deadline - time.monotonic()))
            for each in connection.notifies(timeout=left):
                change = read(each.payload)
                if change is not None:
                    yield change
            if time.monotonic() >= deadline:
                return
            ask(connection)
    except psycopg.Error as error:
        raise lost(error, target) from error
    finally:
        connection.close()


def read(payload: str) -> IdentityChange | None:
    """None for what somebody else has said: the channel is anybody's."""
    try:
        found = json.loads(payload)
    except ValueError:
        return None
    fields = IdentityChange._fields
    if not isinstance(found, list) or len(found) != len(fields):
        return None
    return IdentityChange(*found)


def ask(connection: Any) -> None:
    """Whether the server is still there: it may be gone without a word."""
    connection.patience = _ASK
    connection.execute(b"SELECT 1")
    connection.patience = math.inf
