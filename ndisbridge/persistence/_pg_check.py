# SPDX-License-Identifier: MIT
"""
Verifying a whole PostgreSQL store, of all hosts, and counting what is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from . import _pg_schema, _rows
from ._damage import DAMAGE
from ._pg_in_use import PostgresqlInUse
from ._pg_root import stored_record
from .errors import StoreCorruptError
from .records import IdentityRecord, Problem, StoreStats, TypeStats

#: Rows that are fetched at a time.
_BATCH = 5000


class PostgresqlCheck(PostgresqlInUse):
    """Looking over everything, in one snapshot."""

    def check(self) -> list[Problem]:
        """
        Verify everything, of all hosts: the constraints, each page and row,
        the root, that each identity has its bit and each ifIndex its
        identity, and that nothing belongs to dead sessions of this host.
        """
        return self._reading(self._check)

    def _check(self) -> list[Problem]:
        problems: list[Problem] = []
        with (
            self._transaction(
                lambda: self._run(
                    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                )
            ),
            self._patiently(),
        ):
            self._pages: dict[tuple[int, int], bytes] = {}
            self._if_indexes: dict[int, set[int]] = {}
            for part in (
                self._check_constraints,
                self._check_pages,
                self._check_identities,
                self._check_if_indexes,
                self._check_shares,
                self._check_marks,
                self._check_sessions,
            ):
                problems += part()
            self._pages, self._if_indexes = {}, {}
        return problems

    def _each(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Rows of a large table, a batch at a time."""
        with psycopg.ServerCursor(self._db, "ndisbridge_check") as cursor:
            cursor.itersize = _BATCH
            yield from cursor.execute(sql.encode())

    def _check_constraints(self) -> Iterator[Problem]:
        for name in _pg_schema.missing_constraints(self._db):
            yield Problem("file", f"the constraint {name} is missing")

    def _check_pages(self) -> Iterator[Problem]:
        for scope, number, retained, bits, checksum in self._each(
            "SELECT scope, id, retained, bits, checksum FROM pages"
        ):
            where = self._where(scope, number)
            try:
                found = self._bits(scope, number, bits, checksum)
            except StoreCorruptError:
                yield Problem("page", f"{where} is damaged (checksum)")
                continue
            self._pages[scope, number] = found
            if int.from_bytes(found, "little").bit_count() != retained:
                yield Problem("page", f"{where} counts {retained} wrongly")

    def _where(self, scope: int, number: int) -> str:
        text = f"IfType {number >> 12}, block {number & 4095}"
        return f"{text} of host number {scope}" if scope else text

    def _has(self, scope: int, if_type: int, index: int) -> bool:
        number = _rows.page_id(if_type, index >> 12)
        bits = self._pages.get((scope, number))
        return bits is not None and _rows.bit_is_set(bits, index)

    def _retains(self, net_luid: int) -> bool:
        return self._has(0, net_luid >> 48, (net_luid >> 24) & 0xFFFFFF)

    def _check_identities(self) -> Iterator[Problem]:
        for row in self._each(
            f"SELECT {_rows.IDENTITY_COLUMNS}, host FROM identities"
        ):
            try:
                record = stored_record(row, "", None)
            except (StoreCorruptError, *DAMAGE) as error:
                yield Problem("identity", str(error))
                continue
            yield from self._check_identity(record, row[-1])

    def _check_identity(
        self, record: IdentityRecord, host: int
    ) -> Iterator[Problem]:
        if not record.persistent:
            return
        what = f"{record.key!r} (NET_LUID 0x{record.net_luid:016x})"
        if not self._retains(record.net_luid):
            yield Problem("identity", f"{what}: its index is not retained")
        if not record.if_index_owned:
            return
        self._if_indexes.setdefault(host, set()).add(record.if_index)
        if not self._has(host, 0, record.if_index):
            yield Problem(
                "identity",
                f"{what}: its ifIndex {record.if_index} is not retained",
            )

    def _check_if_indexes(self) -> Iterator[Problem]:
        for (host, number), bits in sorted(self._pages.items()):
            if number >= 4096:
                continue
            found = {number << 12 | each for each in _rows.positions(bits)}
            for if_index in sorted(found - self._if_indexes.get(host, set())):
                yield Problem(
                    "page",
                    f"ifIndex {if_index} of host number {host} is retained, "
                    "and no identity's own",
                )

    def _check_shares(self) -> Iterator[Problem]:
        wrong = set()
        for (host,) in self._rows("SELECT id FROM hosts ORDER BY id"):
            wrong.update(self._wrong_tables(host))
        for table in sorted(wrong):
            yield Problem(
                "root", f"rows of {table} are missing, doubled or damaged"
            )

    def _check_marks(self) -> Iterator[Problem]:
        for (number,) in self._rows(
            "SELECT net_luid FROM in_use WHERE net_luid NOT IN "
            "(SELECT net_luid FROM identities)"
        ):
            net_luid = _rows.unsigned(number)
            if not self._retains(net_luid):
                yield Problem(
                    "mark",
                    f"NET_LUID 0x{net_luid:016x} is in use, and not retained",
                )

    def _check_sessions(self) -> Iterator[Problem]:
        for row in self._all_sessions():
            if not self._is_alive(row):
                yield Problem(
                    "session",
                    f"session {row[0]} died; the next lease or open of this "
                    "host reclaims what it held",
                )

    # -- figures

    def stats(self) -> StoreStats:
        """Figures of the store, of all hosts."""
        return self._reading(self._stats)

    def _stats(self) -> StoreStats:
        ((size, identities),) = self._rows(
            "SELECT (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class "
            "AS c WHERE c.relnamespace = 'ndisbridge'::regnamespace AND "
            "c.relkind = 'r'), (SELECT sum(identities) FROM hosts)"
        )
        retained: dict[int, int] = dict(
            self._rows("SELECT id >> 12, sum(retained) FROM pages GROUP BY 1")
        )
        leased: dict[int, int] = dict(
            self._rows("SELECT id >> 12, count(*) FROM leases GROUP BY 1")
        )
        return StoreStats(
            store=self.path,
            version=_pg_schema.VERSION,
            size=int(size or 0),
            identities=int(identities or 0),
            sessions=tuple(
                info
                for row in self._all_sessions()
                if (info := self._session(row)) is not None
            ),
            types=tuple(
                TypeStats(
                    if_type,
                    int(retained.get(if_type, 0)),
                    leased.get(if_type, 0),
                )
                for if_type in sorted({*retained, *leased})
            ),
        )
