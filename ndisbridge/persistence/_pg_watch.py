# SPDX-License-Identifier: MIT
"""
The changes of identities in a PostgreSQL store, for a session.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import psycopg

from ._pg_changes import IdentityChange, ask, listen, lost, read
from ._pg_link import Connection
from ._pg_url import Target
from .errors import StoreError
from .records import IdentityRecord, StoreChange

_Find = Callable[[str, str, str], IdentityRecord | None]


class PostgresqlWatch:
    """
    As :class:`~ndisbridge.persistence.IdentityWatch`.  The server tells at
    once; every ``period`` seconds it is asked whether it is still there.
    """

    period = 30.0

    def __init__(
        self, target: Target, open_ones: set[Connection], find: _Find
    ) -> None:
        self._target = target
        self._find = find
        self._open_ones = open_ones
        self._connection = listen(target)
        open_ones.add(self._connection)
        self._asked = time.monotonic()

    def fileno(self) -> int:
        return self._connection.fileno()

    def read(self) -> list[StoreChange]:
        try:
            # Before: what is told with the answer would be kept until then.
            if time.monotonic() - self._asked >= self.period:
                self._asked = time.monotonic()
                ask(self._connection)
            told = [
                change
                for each in self._connection.notifies(timeout=0)
                if (change := read(each.payload)) is not None
            ]
        except psycopg.Error as error:
            raise lost(error, self._target) from error
        return [self._change(each) for each in told]

    def _change(self, told: IdentityChange) -> StoreChange:
        record = None
        kind = "created" if told.kind == "made" else told.kind
        if told.host == self._target.host and kind != "released":
            # It may be gone since, or the server; then it is told again.
            with contextlib.suppress(StoreError):
                record = self._find(told.compartment, told.provider, told.key)
        return StoreChange(
            kind,
            0 if record is None else record.net_luid,
            told.host,
            told.compartment,
            told.provider,
            told.key,
            record,
        )

    def close(self) -> None:
        self._open_ones.discard(self._connection)
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.close()
