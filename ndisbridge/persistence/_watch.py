# SPDX-License-Identifier: MIT
"""
The changes of identities in a SQLite store, whoever makes them.

SQLite tells nobody of a change, but says for next to nothing whether there
was one (``PRAGMA data_version``).  If so, the root says whether identities
are among what has changed: leases and in-use marks, which come and go with
every session, are not.  Only then are rows compared, in SQLite and without
the interpreter's lock, with what they were: their NET_LUIDs, their checksums
and their names, in a temporary table that goes to a file once it is large.

First those are compared that are cheap to find: identities of blocks whose
page has changed, which are all that were retained or released, and those that
end with their sessions.  If the root's count and sum agree then, that was
all; if not, lasting ones have been updated, and every row is compared.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apsw

from . import _schema
from ._damage import reading
from ._rows import signed, unsigned
from .records import IdentityRecord, StoreChange

_NAMES = "compartment, provider, key"
_BEGIN = f"""CREATE TEMP TABLE seen(
    net_luid INTEGER PRIMARY KEY,
    checksum INTEGER NOT NULL,
    passing INTEGER NOT NULL,
    compartment TEXT NOT NULL,
    provider TEXT NOT NULL,
    key TEXT NOT NULL) STRICT;
    CREATE TEMP TABLE seen_pages(
    id INTEGER PRIMARY KEY,
    checksum INTEGER NOT NULL) STRICT;
    INSERT INTO seen SELECT net_luid, checksum, owner IS NOT NULL, {_NAMES}
    FROM identities;
    CREATE INDEX seen_passing ON seen(net_luid) WHERE passing = 1;
    INSERT INTO seen_pages SELECT id, checksum FROM pages"""
#: Rows that are new or other than they were; of each its old checksum.
_CHANGED = """SELECT i.net_luid, i.checksum, i.owner IS NOT NULL,
    i.compartment, i.provider, i.key, s.checksum FROM main.identities i
    LEFT JOIN temp.seen s ON s.net_luid = i.net_luid
    WHERE s.checksum IS NOT i.checksum"""
#: Rows that are there no more.
_RELEASED = f"""SELECT net_luid, checksum, {_NAMES} FROM temp.seen s
    WHERE NOT EXISTS(
    SELECT 1 FROM main.identities i WHERE i.net_luid = s.net_luid)"""
_PAGES = """SELECT id FROM (
    SELECT id, checksum FROM main.pages EXCEPT SELECT * FROM temp.seen_pages)
    UNION SELECT id FROM temp.seen_pages
    WHERE id NOT IN (SELECT id FROM main.pages)"""
_SEE_PAGES = """DELETE FROM temp.seen_pages;
    INSERT INTO temp.seen_pages SELECT id, checksum FROM main.pages"""
#: What to compare: of identities, and of what has been seen of them.
_IN_BLOCK = (
    " AND i.net_luid BETWEEN ?1 AND ?2",
    " AND s.net_luid BETWEEN ?1 AND ?2",
)
_PASSING = (" AND i.owner IS NOT NULL", " AND s.passing = 1")
_ALL = ("", "")
#: Comparing may take this part of the time.
_SHARE = 0.2
#: Identities that are looked up at once.
_AT_ONCE = 100

#: Held while SQLite works for a watch, and by fork(): a child would inherit
#: what SQLite had locked, and a thread that nobody has asked for looks often.
_forks = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_forks.acquire,
        after_in_parent=_forks.release,
        after_in_child=_forks.release,
    )

_Records = Callable[[Sequence[int]], dict[int, IdentityRecord]]


class SqliteWatch:
    """
    As :class:`~ndisbridge.persistence.IdentityWatch`.  Looks every 250 ms;
    less often where there are so many identities that comparing them takes
    long.
    """

    #: Seconds between two looks.
    period = 0.25

    def __init__(
        self,
        path: str,
        timeout_ms: int,
        open_ones: set[apsw.Connection],
        records: _Records,
    ) -> None:
        self._path = path
        self._records = records
        self._open_ones = open_ones
        #: Seen, but not told yet: the store may be busy.
        self._untold: list[StoreChange] = []
        with _forks, self._errors():
            self.connection = _schema.connect(
                path, apsw.SQLITE_OPEN_READWRITE, timeout_ms
            )
        open_ones.add(self.connection)
        try:
            with _forks, self._errors():
                self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        # Nothing of the store itself is written.
        self.connection.execute("PRAGMA temp_store = FILE")
        self._version = self._data_version()
        self.connection.execute("BEGIN")
        self._root = self._read_root()
        #: Count and sum of what has been seen.
        self._count, self._sum = self._root
        self.connection.execute(_BEGIN)
        self.connection.execute("COMMIT")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            raise _schema.typed(error, self._path) from error

    def _data_version(self) -> int:
        return int(_schema.value(self.connection, "PRAGMA data_version"))

    def _read_root(self) -> tuple[int, int]:
        rows = self.connection.execute(
            "SELECT identities, identity_sum FROM main.root"
        )
        with reading(self._path):
            ((count, total),) = rows
        return count, total

    def fileno(self) -> int:
        """Nothing to wait on: it is looked at every ``period`` seconds."""
        return -1

    def read(self) -> list[StoreChange]:
        """What has changed since the last time."""
        began = time.monotonic()
        with _forks, self._errors():
            found = self._read()
        if found is not None:
            self.period = max(
                SqliteWatch.period, (time.monotonic() - began) / _SHARE
            )
            self._untold += found
        told = self._with_records(self._untold)
        self._untold = []
        return told

    def _read(self) -> list[StoreChange] | None:
        # Before the rows: what comes after it is seen next time.
        version = self._data_version()
        if version == self._version:
            return None
        found: list[StoreChange] = []
        before = self._count, self._sum
        self.connection.execute("BEGIN")
        try:
            root = self._read_root()
            if root != self._root:
                found = self._differences(root)
            self.connection.execute("COMMIT")
        except BaseException:
            self._count, self._sum = before
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise
        self._version, self._root = version, root
        return found

    def _rows(self, sql: str, *args: int) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(sql, args)
        with reading(self._path):
            return list(cursor)

    def _differences(self, root: tuple[int, int]) -> list[StoreChange]:
        found: list[StoreChange] = []
        for (number,) in self._rows(_PAGES):
            first = (number >> 12) << 48 | (number & 4095) << 36
            # The pages of ifIndexes are nobody's.
            if first >> 48:
                last = first | 0xFFFFFFFFF
                found += self._compare(_IN_BLOCK, signed(first), signed(last))
        self.connection.execute(_SEE_PAGES)
        found += self._compare(_PASSING)
        if (self._count, self._sum) != root:
            found += self._compare(_ALL)
        # First what is released: its key may have been given away again.
        return sorted(found, key=lambda each: each.kind != "released")

    def _compare(
        self, where: tuple[str, str], *args: int
    ) -> Iterator[StoreChange]:
        for row in self._rows(_CHANGED + where[0], *args):
            self.connection.execute(
                "INSERT OR REPLACE INTO temp.seen VALUES(?, ?, ?, ?, ?, ?)",
                row[:6],
            )
            self._count += row[6] is None
            self._sum = signed(self._sum + row[1] - (row[6] or 0))
            kind = "created" if row[6] is None else "changed"
            yield StoreChange(kind, unsigned(row[0]), "", *row[3:6])
        for row in self._rows(_RELEASED + where[1], *args):
            self.connection.execute(
                "DELETE FROM temp.seen WHERE net_luid = ?", row[:1]
            )
            self._count -= 1
            self._sum = signed(self._sum - row[1])
            yield StoreChange("released", unsigned(row[0]), "", *row[2:5])

    def _with_records(self, found: list[StoreChange]) -> list[StoreChange]:
        records: dict[int, IdentityRecord] = {}
        there = [each.net_luid for each in found if each.kind != "released"]
        for i in range(0, len(there), _AT_ONCE):
            records |= self._records(there[i : i + _AT_ONCE])
        return [
            StoreChange(
                each.kind,
                each.net_luid,
                each.host,
                each.compartment,
                each.provider,
                each.key,
                records.get(each.net_luid),
            )
            for each in found
        ]

    def close(self) -> None:
        """Let go of the file."""
        self._open_ones.discard(self.connection)
        with _forks:
            self.connection.close(True)
