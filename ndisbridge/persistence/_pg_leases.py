# SPDX-License-Identifier: MIT
"""
Leases of blocks in a PostgreSQL store.

Unlike in a SQLite store a lease waits for the server's disk.  There the power
cut that loses it ends its holder too; here the holder goes on while the
server starts again, and would find its block leased to another host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import psycopg

from . import _rows
from ._damage import reading
from ._pg_ending import PostgresqlEnding
from ._pg_root import HOST_BY_ID
from ._pg_schema import LOCK_IF_TYPE
from ._pg_sessions import OF_HOST, SESSION_COLUMNS
from ._rows import page_id
from .errors import StoreCorruptError
from .records import SessionInfo

BLOCKS = 4096
#: Of the range, the lowest that nobody has leased; a full one only if it
#: alone is asked for.
_LEASE = """INSERT INTO leases(scope, id, session)
SELECT %(scope)s, n, %(session)s
FROM generate_series(%(first)s::integer, %(last)s::integer) AS n
WHERE NOT EXISTS (SELECT FROM leases AS l
        WHERE l.scope = %(scope)s AND l.id = n)
    AND NOT EXISTS (SELECT FROM pages AS p
        WHERE p.scope = %(scope)s AND p.id = n AND p.retained = 4096
        AND %(first)s <> %(last)s)
ORDER BY n LIMIT %(count)s
ON CONFLICT DO NOTHING"""
#: What the transaction has leased, and what is retained there.  A statement
#: of its own: it sees what was retained until the lease was had.
_LEASED = """SELECT l.id, p.bits, p.checksum FROM leases AS l
LEFT JOIN pages AS p ON p.scope = l.scope AND p.id = l.id
WHERE l.session = %s AND l.xmin = pg_current_xact_id()::xid ORDER BY l.id"""


def scoped(bits: bytes, scope: int) -> bytes:
    """What a page's checksum is of."""
    return bits + scope.to_bytes(8, "little") if scope else bits


class PostgresqlLeases(PostgresqlEnding):
    """Which blocks this session may allocate in."""

    def _scope(self, number: int) -> int:
        """NET_LUIDs are one space for all hosts, ifIndexes one for each."""
        return 0 if number >= BLOCKS else self._host_id

    def lease_blocks(
        self, if_type: int, lowest: int, highest: int, count: int
    ) -> list[tuple[int, bytes]]:
        self._refuse_read_only()
        first, last = page_id(if_type, lowest), page_id(if_type, highest)

        def once() -> list[tuple[int, bytes]]:
            if self._liveness is not None:
                self._liveness.check_in_place()
            leased = self._lease(if_type, first, last, count)
            if not all(map(self._is_alive, self._here)):
                # The dead hold some: those first, if they are lower.
                self._give(leased)
                with self._transaction(self._begin):
                    self._check_session()
                    self._reclaim()
                    self._save_share()
                leased = self._lease(if_type, first, last, count)
            self._leased.update(leased)
            return [
                (number - page_id(if_type, 0), bits)
                for number, bits in leased.items()
            ]

        with self._lock:
            return self._do(once)

    def _lease(
        self, if_type: int, first: int, last: int, count: int
    ) -> dict[int, bytes]:
        """
        One round trip, whole transaction: pages by their numbers.  Hosts
        lease blocks of one IfType one after another, or all would want the
        same and most get none.
        """
        values = {
            "scope": self._scope(first),
            "session": self.session_id,
            "first": first,
            "last": last,
            "count": count,
        }
        if self._is_forgotten:
            self._check_session()
        self._warning = ""
        try:
            with self._one_trip() as db:
                db.execute("BEGIN")
                db.execute(HOST_BY_ID, (self._host_id,))
                here = db.execute(OF_HOST.encode(), (self._host_id,))
                db.execute(
                    "SELECT pg_advisory_xact_lock(%s, %s)",
                    (LOCK_IF_TYPE, if_type),
                )
                db.execute(_LEASE, values)
                found = db.execute(_LEASED, (self.session_id,))
                db.execute("COMMIT")
        except psycopg.Error:
            self._roll_back()
            raise
        except BaseException:
            self._drop()  # interrupted, it may be committed
            raise
        self._refuse_warning()
        self._here = here.fetchall()
        self._check_session()
        leased = {}
        try:
            for number, bits, checksum in found.fetchall():
                leased[number] = bytes(_rows.BLOCK_BYTES)
                if checksum is not None:
                    leased[number] = self._bits(
                        self._scope(number), number, bits, checksum
                    )
        except StoreCorruptError:
            self._drop()  # the next connection gives them all back
            raise
        return leased

    def return_blocks(self, if_type: int, blocks: Sequence[int]) -> None:
        self._refuse_read_only()
        numbers = {page_id(if_type, block) for block in blocks}
        self._check_open()
        with self._lock:
            self._leased -= numbers
            self._surely(lambda: self._give(numbers))

    def _give(self, numbers: Iterable[int]) -> None:
        wanted = list(numbers)
        if wanted:
            self._giving_back(
                "DELETE FROM leases WHERE session = %s AND "
                "id = ANY(%s::int[])",
                self.session_id,
                wanted,
            )

    def lease_holders(self, if_type: int) -> dict[SessionInfo, int]:
        """Live sessions with leases of an IfType, and how many blocks."""

        def once() -> dict[SessionInfo, int]:
            found = {}
            for *row, count in self._rows(
                f"SELECT {SESSION_COLUMNS}, count(*) FROM leases AS l "
                "JOIN sessions AS s ON s.id = l.session "
                "JOIN hosts AS h ON h.id = s.host "
                "WHERE l.scope = %s AND l.id BETWEEN %s AND %s "
                "GROUP BY s.id, h.id ORDER BY s.id",
                self._scope(page_id(if_type, 0)),
                page_id(if_type, 0),
                page_id(if_type, BLOCKS - 1),
            ):
                info = self._session(tuple(row))
                if info is not None:
                    found[info] = count
            return found

        return self._reading(once)

    def _bits(
        self, scope: int, number: int, bits: bytes, checksum: int
    ) -> bytes:
        """The bits of a page, verified."""
        with reading(self.path):
            said = scoped(bits, scope)
        return _rows.page_bits(number, said, checksum, self.path)[
            : _rows.BLOCK_BYTES
        ]
