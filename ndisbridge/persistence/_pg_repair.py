# SPDX-License-Identifier: MIT
"""
Repairing a PostgreSQL store of all hosts, by the rules of :mod:`._mending`.

Nobody may have it open: what a session has leased it takes to be as free as
it was when it leased it.  Unlike a file it can't be copied first; it is one
transaction, and pg_dump makes the copy.
"""

from __future__ import annotations

import contextlib
from typing import Any

from . import _mending, _rows
from ._damage import DAMAGE, reading
from ._mending import Repaired, Sum, Survey
from ._pg_check import PostgresqlCheck
from ._pg_leases import scoped
from ._pg_liveness import HostLock
from ._pg_root import stored_record
from ._pg_sessions import HOLDER
from ._rows import signed
from .errors import StoreBusyError, StoreCorruptError
from .records import Problem


def repair(url: str) -> Repaired:
    """
    Repair a store that nobody has open.

    Raises:
        StoreBusyError: A session has it open, or that of a host that has
            not been evicted.
        StoreUncertainError: Nobody can tell whether it is repaired: check.
        StoreError: It can't be opened, or this role may not change it.
    """
    with contextlib.closing(_PostgresqlRepair(url)) as opened:
        return opened.run()


class _PostgresqlRepair(PostgresqlCheck):
    """
    A store without a session, while nobody else can begin one.  A session
    would begin by reclaiming what is repaired here, and fail if anything is
    wrong with it.
    """

    def __init__(self, url: str) -> None:
        self._done: list[Problem] = []
        super().__init__(url, read_only=True)

    def _watch(self) -> None:
        super()._watch()
        # With another boot's there is none yet, and all are dead.
        self._unlock()
        self._liveness = HostLock.open(self.path, self._store_id, self.host)

    def run(self) -> Repaired:
        """All of it in one transaction."""

        def once() -> None:
            self._done = []
            with (
                self._transaction(lambda: self._run("BEGIN")),
                self._patiently(),
            ):
                # Who begins anything locks the row of his host first.
                self._run(
                    "LOCK TABLE hosts, sessions, leases, pages, identities, "
                    "in_use IN EXCLUSIVE MODE"
                )
                self._refuse_living()
                self._repair()

        self._do(once)
        return Repaired(tuple(self._done), tuple(self.check()), "")

    def _refuse_living(self) -> None:
        for row in self._all_sessions():
            if self._is_alive(row) or self._rows(f"{HOLDER} %s", row[0]):
                raise StoreBusyError(
                    f"{self._info(row)} has it open: end that first, or "
                    "evict its host if that is gone",
                    self.path,
                )

    # -- the steps

    def _repair(self) -> None:
        hosts: list[int] = [
            host for (host,) in self._rows("SELECT id FROM hosts ORDER BY id")
        ]
        pages = self._sum_of_pages()
        before = {host: self._sum_of_identities(host) for host in hosts}
        survey, damaged = self._survey()
        self._end_all(survey)
        damaged_pages = self._count_again()
        self._set_missing_bits(survey.bits)
        for host in hosts:
            self._mend_identities(host, before[host], damaged.get(host, 0))
        if hosts:
            self._mend_pages(hosts[0], pages, damaged_pages)

    def _survey(self) -> tuple[Survey[int], dict[int, int]]:
        """What can be believed, and how many rows of each host can't."""
        survey, damaged = Survey[int](), dict[int, int]()
        for row in self._each(
            f"SELECT {_rows.IDENTITY_COLUMNS}, host FROM identities"
        ):
            number, owner, host = row[0], row[5], row[-1]
            try:
                record = stored_record(row, self.path, None)
            except (StoreCorruptError, *DAMAGE):
                damaged[host] = damaged.get(host, 0) + 1
                survey.doubtful.add(owner)
                continue
            if not record.persistent:
                survey.ending.setdefault(owner, []).append(number)
                continue
            survey.add_bit(
                0, record.net_luid >> 48, (record.net_luid >> 24) & 0xFFFFFF
            )
            if record.if_index_owned and record.if_index <= 0xFFFFFF:
                survey.add_bit(host, 0, record.if_index)
        return survey, damaged

    def _end_all(self, survey: Survey[int]) -> None:
        """They are all dead."""
        for session, leases, marks in self._rows(
            "SELECT s.id, (SELECT count(*) FROM leases WHERE session = s.id),"
            " (SELECT count(*) FROM in_use WHERE session = s.id) "
            "FROM sessions AS s ORDER BY s.id"
        ):
            if session in survey.doubtful:
                continue  # or a damaged identity would be nobody's
            numbers = survey.ending.get(session, [])
            self._run(
                "DELETE FROM identities WHERE net_luid = ANY(%s::bigint[])",
                numbers,
            )
            # Its leases and marks go with it.
            self._run("DELETE FROM sessions WHERE id = %s", session)
            self._done.append(
                _mending.ended(session, leases, marks, len(numbers))
            )

    def _count_again(self) -> int:
        """Mend the counts of pages; how many pages are damaged."""
        damaged = 0
        wrong: list[tuple[int, int, int, int]] = []
        for scope, number, retained, bits, checksum in self._each(
            "SELECT scope, id, retained, bits, checksum FROM pages"
        ):
            try:
                found = self._bits(scope, number, bits, checksum)
            except StoreCorruptError:
                damaged += 1
                continue
            has = int.from_bytes(found, "little").bit_count()
            if has != retained:
                wrong.append((scope, number, retained, has))
        for scope, number, retained, has in wrong:
            where = self._where(scope, number)
            if has:
                self._run(
                    "UPDATE pages SET retained = %s WHERE scope = %s AND "
                    "id = %s",
                    has,
                    scope,
                    number,
                )
                self._done.append(_mending.counted(where, retained, has))
            else:
                self._run(
                    "DELETE FROM pages WHERE scope = %s AND id = %s",
                    scope,
                    number,
                )
                self._done.append(_mending.emptied(where))
        return damaged

    def _set_missing_bits(self, wanted: dict[tuple[int, int], int]) -> None:
        """What an identity has must not be handed out."""
        for (scope, number), mask in sorted(wanted.items()):
            found = self._page_of(scope, number)
            if found is None or mask & ~found == 0:
                continue
            bits = (found | mask).to_bytes(_rows.BLOCK_BYTES, "little")
            self._run(
                "INSERT INTO pages(scope, id, retained, bits, checksum) "
                "VALUES(%s, %s, %s, %s, %s) ON CONFLICT (scope, id) DO "
                "UPDATE SET retained = excluded.retained, "
                "bits = excluded.bits, checksum = excluded.checksum",
                scope,
                number,
                (found | mask).bit_count(),
                bits,
                _rows.page_checksum(number, scoped(bits, scope)),
            )
            self._done.append(
                _mending.retained_again(
                    self._where(scope, number), (mask & ~found).bit_count()
                )
            )

    def _page_of(self, scope: int, number: int) -> int | None:
        """The bits of a page, 0 without one; None if it is damaged."""
        for bits, checksum in self._rows(
            "SELECT bits, checksum FROM pages WHERE scope = %s AND id = %s",
            scope,
            number,
        ):
            try:
                found = self._bits(scope, number, bits, checksum)
            except StoreCorruptError:
                return None
            return int.from_bytes(found, "little")
        return 0

    # -- the root

    def _sum(self, sql: str, *args: Any) -> Sum:
        rows = self._rows(sql, *args)
        with reading(self.path):
            ((count, total),) = rows
            return int(count), signed(int(total))

    def _sum_of_identities(self, host: int) -> Sum:
        return self._sum(
            "SELECT count(*), coalesce(sum(checksum), 0) FROM identities "
            "WHERE host = %s",
            host,
        )

    def _sum_of_pages(self) -> Sum:
        return self._sum(
            "SELECT count(*), coalesce(sum(checksum), 0) FROM pages"
        )

    def _mend_identities(self, host: int, before: Sum, damaged: int) -> None:
        stored = self._sum(
            "SELECT identities, identity_sum FROM hosts WHERE id = %s", host
        )
        root = self._mended(
            f"identities of host number {host}",
            stored,
            before,
            self._sum_of_identities(host),
            damaged,
        )
        if root != stored:
            self._run(
                "UPDATE hosts SET identities = %s, identity_sum = %s "
                "WHERE id = %s",
                *root,
                host,
            )

    def _mend_pages(self, host: int, before: Sum, damaged: int) -> None:
        """Only the sum of all shares says anything: one of them makes it."""
        stored = self._sum("SELECT sum(pages), sum(page_sum) FROM hosts")
        root = self._mended(
            "pages", stored, before, self._sum_of_pages(), damaged
        )
        if root == stored:
            return
        share = self._sum(
            "SELECT pages, page_sum FROM hosts WHERE id = %s", host
        )
        self._run(
            "UPDATE hosts SET pages = %s, page_sum = %s WHERE id = %s",
            share[0] + root[0] - stored[0],
            signed(share[1] + root[1] - stored[1]),
            host,
        )

    def _mended(
        self, what: str, stored: Sum, before: Sum, after: Sum, damaged: int
    ) -> Sum:
        root, how = _mending.mended_root(stored, before, after, damaged)
        if how:
            self._done.append(_mending.root_problem(what, stored, after, how))
        return root
