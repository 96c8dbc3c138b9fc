# SPDX-License-Identifier: MIT
"""
The changes of identities in a PostgreSQL store, for a session.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

import psycopg

from ._pg_changes import IdentityChange, ask, listen, lost, read
from ._pg_link import Connection
from ._pg_url import Target
from .errors import StoreError
from .records import IdentityRecord, StoreChange

_Key = tuple[str, str, str]
_Find = Callable[[Sequence[_Key]], dict[_Key, IdentityRecord]]

#: Identities that are looked up at once.
_AT_ONCE = 100


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
            # First: what comes with the answer can't be waited for.
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
        found: list[StoreChange] = []
        for i in range(0, len(told), _AT_ONCE):
            found += self._with_records(told[i : i + _AT_ONCE])
        return found

    def _with_records(self, told: list[IdentityChange]) -> list[StoreChange]:
        there = {
            each: each[1:4]
            for each in told
            if each.host == self._target.host and each.kind != "released"
        }
        records: dict[_Key, IdentityRecord] = {}
        if there:
            # It may be gone since, or the server; then it is told again.
            with contextlib.suppress(StoreError):
                records = self._find(list({*there.values()}))
        return [
            _change(each, records.get(there[each]) if each in there else None)
            for each in told
        ]

    def close(self) -> None:
        self._open_ones.discard(self._connection)
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.close()


def _change(
    told: IdentityChange, record: IdentityRecord | None
) -> StoreChange:
    return StoreChange(
        "created" if told.kind == "made" else told.kind,
        0 if record is None else record.net_luid,
        told.host,
        told.compartment,
        told.provider,
        told.key,
        record,
    )
