# SPDX-License-Identifier: MIT
"""
Repairing a SQLite store, by the rules of :mod:`._mending`.
"""

from __future__ import annotations

import os
from typing import Any

from . import _backup, _files, _mending, _rows
from ._check import check_store
from ._connection import SqliteConnection
from ._damage import reading
from ._liveness import LockFile
from ._mending import Repaired, Sum, Survey
from ._rows import signed, unsigned
from ._sessions import SqliteSessions
from .errors import StoreBusyError, StoreCorruptError, StoreNotFoundError
from .records import Problem

_SUMS = {"identities": "identity_sum", "pages": "page_sum"}


def repair(path: str | os.PathLike[str]) -> Repaired:
    """
    Repair a store that nobody has open.

    Raises:
        StoreBusyError: A live session has it open.
        StoreCorruptError: It is too damaged for that.
    """
    checked = _files.checked_path(path)
    _files.check_files(checked)
    if not os.path.getsize(checked):
        raise StoreNotFoundError("it is empty, no store yet", checked)
    opened = _SqliteRepair(checked)
    try:
        return opened.run()
    finally:
        opened.close()


class _SqliteRepair(SqliteSessions):
    """A store without a session, while nobody else can begin one."""

    def _begin_session(self) -> None:
        # A session would begin by reclaiming what is repaired here, and
        # fail if anything is wrong with it.
        self._liveness = LockFile.existing(self.path)
        self._done: list[Problem] = []

    def close(self) -> None:
        with self._lock:
            SqliteConnection.close(self)
            self._unlock()

    def run(self) -> Repaired:
        """All of it in one transaction."""
        copy = ""
        with self._lock, self._errors():
            with self._transaction():
                if self._liveness is None:
                    self._liveness = self._first_lock_file()
                self._check_in_place()
                self._refuse_living()
                # Where SQLite itself finds damage nothing is certain.
                if self._rows("PRAGMA integrity_check") == [("ok",)]:
                    self._repair()
                if self._done:
                    # What others can read is still as it was.
                    copy = self._copy()
            kept = check_store(self._connection, self._is_alive)
        return Repaired(tuple(self._done), tuple(kept), copy)

    def _say(self, kind: str, text: str) -> None:
        self._done.append(Problem(kind, text))

    def _refuse_living(self) -> None:
        for (number,) in self._rows("SELECT id FROM sessions"):
            found = self._session(number)
            if found is not None:
                raise StoreBusyError(
                    f"{found} has it open: end that first", self.path
                )

    def _copy(self) -> str:
        """Keep what was there beside the store."""
        number = 1
        while os.path.lexists(f"{self.path}.before-repair-{number}"):
            number += 1
        target = f"{self.path}.before-repair-{number}"
        source = _backup.reader(self.path, self._busy_ms)
        try:
            mode = _backup.file_mode(self.path)
            with _backup.appearing(target, mode) as temporary:
                _backup.copy_pages(source, temporary, self.path, target)
        finally:
            source.close(True)
        return target

    # -- the steps

    def _repair(self) -> None:
        before = {table: self._sum(table) for table in _SUMS}
        survey, damaged = self._survey()
        self._end_sessions(survey)
        self._void_unknown(survey)
        damaged_pages = self._count_again()
        self._set_missing_bits(survey.bits)
        self._mend_root("identities", before["identities"], damaged)
        self._mend_root("pages", before["pages"], damaged_pages)

    def _survey(self) -> tuple[Survey[None], int]:
        """What can be believed, and how many rows can't."""
        survey, damaged = Survey[None](), 0
        # One by one: text that is no UTF-8 would end a longer reading.
        for number, owner in self._rows(
            "SELECT net_luid, owner FROM identities"
        ):
            row = self._intact(number)
            if row is None:
                damaged += 1
                survey.doubtful.add(owner)
            elif owner is not None:
                survey.ending.setdefault(owner, []).append(number)
            else:
                net_luid, if_index = unsigned(number), row[6]
                survey.add_bit(
                    None, net_luid >> 48, (net_luid >> 24) & 0xFFFFFF
                )
                if row[7] and if_index <= 0xFFFFFF:
                    survey.add_bit(None, 0, if_index)
        return survey, damaged

    def _intact(self, number: int) -> tuple[Any, ...] | None:
        """The row of an identity, if its checksum is right."""
        try:
            (row,) = self._rows(
                f"SELECT {_rows.IDENTITY_COLUMNS} FROM identities "
                "WHERE net_luid = ?",
                number,
            )
            _rows.identity_record(row, self.path, None)
        except StoreCorruptError:
            return None
        return row

    def _end_sessions(self, survey: Survey[None]) -> None:
        """They are all dead."""
        for (session,) in self._rows("SELECT id FROM sessions"):
            if session in survey.doubtful:
                continue  # or a damaged identity would be nobody's
            leases = self._drop("leases", session)
            marks = self._drop("in_use", session)
            identities = self._drop_identities(survey, session)
            self._connection.execute(
                "DELETE FROM sessions WHERE id = ?", (session,)
            )
            self._done.append(
                _mending.ended(session, leases, marks, identities)
            )

    def _void_unknown(self, survey: Survey[None]) -> None:
        """What belongs to sessions that are not even in the table."""
        known = {number for (number,) in self._rows("SELECT id FROM sessions")}
        for table, kind in (("leases", "lease"), ("in_use", "mark")):
            for (session,) in self._rows(
                f"SELECT DISTINCT session FROM {table}"
            ):
                if session not in known:
                    count = self._drop(table, session)
                    self._say(
                        kind,
                        f"removed {count} of {table} that belonged to no "
                        f"session ({session})",
                    )
        for session in sorted(set(survey.ending) - known):
            count = self._drop_identities(survey, session)
            self._say(
                "identity",
                f"removed {count} of identities that ended with a session "
                f"that is gone ({session})",
            )

    def _drop(self, table: str, session: int) -> int:
        self._connection.execute(
            f"DELETE FROM {table} WHERE session = ?", (session,)
        )
        return self._connection.changes()

    def _drop_identities(self, survey: Survey[None], session: int) -> int:
        numbers = survey.ending.pop(session, [])
        self._connection.executemany(
            "DELETE FROM identities WHERE net_luid = ?",
            [(number,) for number in numbers],
        )
        return len(numbers)

    def _count_again(self) -> int:
        """Mend the counts of pages; how many pages are damaged."""
        damaged = 0
        for number, retained in self._rows("SELECT id, retained FROM pages"):
            bits = self._page_of(number)
            if bits is None:
                damaged += 1
                continue
            where = _where(number)
            if not bits:
                self._connection.execute(
                    "DELETE FROM pages WHERE id = ?", (number,)
                )
                self._done.append(_mending.emptied(where))
            elif bits.bit_count() != retained:
                self._connection.execute(
                    "UPDATE pages SET retained = ? WHERE id = ?",
                    (bits.bit_count(), number),
                )
                self._done.append(
                    _mending.counted(where, retained, bits.bit_count())
                )
        return damaged

    def _page_of(self, number: int) -> int | None:
        """The bits of a page, 0 without one; None if it is damaged."""
        for bits, checksum in self._rows(
            "SELECT bits, checksum FROM pages WHERE id = ?", number
        ):
            if _rows.page_checksum(number, bits) != checksum:
                return None
            return int.from_bytes(bits, "little")
        return 0

    def _set_missing_bits(self, wanted: dict[tuple[None, int], int]) -> None:
        """What an identity has must not be handed out."""
        for (_, number), mask in sorted(wanted.items()):
            found = self._page_of(number)
            if found is None or mask & ~found == 0:
                continue
            bits = (found | mask).to_bytes(_rows.BLOCK_BYTES, "little")
            self._connection.execute(
                "INSERT OR REPLACE INTO pages VALUES(?, ?, ?, ?)",
                (
                    number,
                    (found | mask).bit_count(),
                    bits,
                    _rows.page_checksum(number, bits),
                ),
            )
            self._done.append(
                _mending.retained_again(
                    _where(number), (mask & ~found).bit_count()
                )
            )

    # -- the root

    def _sum(self, table: str) -> Sum:
        rows = self._rows(
            "SELECT count(*), coalesce(sum(checksum & 4294967295), 0), "
            "coalesce(sum((checksum >> 32) & 4294967295), 0) "
            f"FROM {table}"
        )
        with reading(self.path):
            ((count, low, high),) = rows
            return count, signed(low + (high << 32))

    def _mend_root(self, table: str, before: Sum, damaged: int) -> None:
        """
        Let the root say what the rows do, if they are all there for sure.

        Args:
            table: The table.
            before: What its rows were before the repair.
            damaged: How many of them have a wrong checksum.
        """
        rows = self._rows(f"SELECT {table}, {_SUMS[table]} FROM root")
        if not rows:
            return
        stored, after = rows[0], self._sum(table)
        root, how = _mending.mended_root(stored, before, after, damaged)
        if how:
            self._done.append(_mending.root_problem(table, stored, after, how))
        if root != stored:
            self._connection.execute(
                f"UPDATE root SET {table} = ?, {_SUMS[table]} = ?", root
            )


def _where(number: int) -> str:
    return f"IfType {number >> 12}, block {number & 4095}"
