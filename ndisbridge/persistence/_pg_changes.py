# SPDX-License-Identifier: MIT
"""
Being told of identities that are made, changed and released, on any host.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Generator
from typing import NamedTuple

import psycopg

from ._pg_errors import typed
from ._pg_link import Connection, connect
from ._pg_root import CHANNEL
from ._pg_url import Target
from .errors import ServerLostError

#: Seconds between two questions to the server whether it is there.
_ASK = 30.0
_KINDS = ("made", "changed", "released")


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
        except BaseException:
            connection.close()
            raise
    except psycopg.Error as error:
        raise typed(error, target.name) from error
    # Silence is as it should be.
    connection.patience = math.inf
    return connection


def lost(error: psycopg.Error, target: Target) -> ServerLostError:
    """What is raised where nobody knows what has been missed."""
    return ServerLostError(
        f"its server is lost ({error}), and so are changes since: look all "
        "identities up, and listen again",
        target.name,
    )


class Changes:
    """
    Identities that change from now on, one after another, as an iterator.

    It has a connection of its own from the moment that it is made, whether
    anything is read or not: close it, or use it as a context manager.  It
    closes itself when it ends or fails.  One thread at a time may use it.
    """

    def __init__(self, target: Target, timeout: float | None) -> None:
        self._target = target
        self._pid = os.getpid()
        self._deadline = time.monotonic() + (
            math.inf if timeout is None else timeout
        )
        self._connection = listen(target)
        self._told = self._listen()

    def __iter__(self) -> Changes:
        return self

    def __next__(self) -> IdentityChange:
        try:
            return next(self._told)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it, and its connection.  Twice is once."""
        self._told.close()
        # In a child of fork() the connection is the parent's.
        if self._pid == os.getpid():
            self._connection.close()

    def __enter__(self) -> Changes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> Generator[IdentityChange, None, None]:
        try:
            while True:
                left = max(0.0, min(_ASK, self._deadline - time.monotonic()))
                for each in self._connection.notifies(timeout=left):
                    change = read(each.payload)
                    if change is not None:
                        yield change
                if time.monotonic() >= self._deadline:
                    return
                ask(self._connection)
        except psycopg.Error as error:
            raise lost(error, self._target) from error


def read(payload: str) -> IdentityChange | None:
    """None for what somebody else has said: the channel is anybody's."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    fields = IdentityChange._fields
    if not isinstance(found, list) or len(found) != len(fields):
        return None
    if not all(isinstance(each, str) for each in found):
        return None
    change = IdentityChange(*found)
    return change if change.kind in _KINDS else None


def ask(connection: Connection) -> None:
    """Whether the server is still there: it may be gone without a word."""
    connection.patience = _ASK
    connection.execute(b"SELECT 1")
    connection.patience = math.inf
