# SPDX-License-Identifier: MIT
"""
Repairing a SQLite store: only what is certain, and only what loses nothing.

An index that may be somebody's is never freed, for losing one is better than
handing it out twice; a row whose checksum is wrong is never touched, for
nobody knows which part of it is wrong.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from . import _backup, _files, _rows
from ._check import check_store
from ._connection import SqliteConnection
from ._damage import reading
from ._liveness import LockFile
from ._rows import page_id, signed, unsigned
from ._sessions import SqliteSessions
from .errors import StoreBusyError, StoreCorruptError, StoreNotFoundError
from .records import Problem

#: How many rows a table has, and the sum of their checksums.
_Sum = tuple[int, int]

_SUMS = {"identities": "identity_sum", "pages": "page_sum"}


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair has done."""

    done: tuple[Problem, ...]
    #: What is wrong still, and was kept as it is.
    kept: tuple[Problem, ...]
    #: Copy of the store as it was before; "" if nothing was done.
    copy: str


@dataclass
class _Survey:
    """What the rows of identities say that can be believed."""

    #: Bits that lasting ones must have, by page.
    bits: dict[int, int] = field(default_factory=dict)
    #: NET_LUIDs of those that end with a session, by session.
    ending: dict[int, list[int]] = field(default_factory=dict)
    #: How many can't be believed, and the sessions that these name.
    damaged: int = 0
    doubtful: set[int] = field(default_factory=set)


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
        survey = self._survey()
        self._end_sessions(survey)
        self._void_unknown(survey)
        damaged_pages = self._count_again()
        self._set_missing_bits(survey.bits)
        self._mend_root("identities", before["identities"], survey.damaged)
        self._mend_root("pages", before["pages"], damaged_pages)

    def _survey(self) -> _Survey:
        survey = _Survey()
        # One by one: text that is no UTF-8 would end a longer reading.
        for number, owner in self._rows(
            "SELECT net_luid, owner FROM identities"
        ):
            row = self._intact(number)
            if row is None:
                survey.damaged += 1
                survey.doubtful.add(owner)
            elif owner is not None:
                survey.ending.setdefault(owner, []).append(number)
            else:
                net_luid, if_index = unsigned(number), row[6]
                _add_bit(
                    survey.bits, net_luid >> 48, (net_luid >> 24) & 0xFFFFFF
                )
                if row[7] and if_index <= 0xFFFFFF:
                    _add_bit(survey.bits, 0, if_index)
        return survey

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

    def _end_sessions(self, survey: _Survey) -> None:
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
            self._say(
                "session",
                f"session {session} died: voided {leases} of its leases, "
                f"{marks} of its marks and {identities} of the identities "
                "that ended with it",
            )

    def _void_unknown(self, survey: _Survey) -> None:
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

    def _drop_identities(self, survey: _Survey, session: int) -> int:
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
                self._say("page", f"{where}: removed, nothing is retained")
            elif bits.bit_count() != retained:
                self._connection.execute(
                    "UPDATE pages SET retained = ? WHERE id = ?",
                    (bits.bit_count(), number),
                )
                self._say(
                    "page",
                    f"{where}: it counted {retained}, and has "
                    f"{bits.bit_count()}",
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

    def _set_missing_bits(self, wanted: dict[int, int]) -> None:
        """What an identity has must not be handed out."""
        for number, mask in sorted(wanted.items()):
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
            self._say(
                "page",
                f"{_where(number)}: {(mask & ~found).bit_count()} that "
                "identities have are retained again",
            )

    # -- the root

    def _sum(self, table: str) -> _Sum:
        rows = self._rows(
            "SELECT count(*), coalesce(sum(checksum & 4294967295), 0), "
            "coalesce(sum((checksum >> 32) & 4294967295), 0) "
            f"FROM {table}"
        )
        with reading(self.path):
            ((count, low, high),) = rows
            return count, signed(low + (high << 32))

    def _mend_root(self, table: str, before: _Sum, damaged: int) -> None:
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
        if after == stored:
            if before != stored:
                self._say("root", f"rows of {table} are what they were")
            return
        if before != stored:
            # Where a row is gone, only the root knows it for sure: a page
            # may hold indexes that nothing else tells of, and an index may
            # be retained without an identity.  One number that is wrong
            # alone was flipped.
            gone = before[0] != stored[0] and before[1] != stored[1]
            if damaged or gone:
                after = (
                    stored[0] + after[0] - before[0],
                    signed(stored[1] + after[1] - before[1]),
                )
            else:
                self._say(
                    "root",
                    f"computed again from the {after[0]} {table}, whose "
                    f"checksums are right (it said {stored[0]}): compare "
                    "them with a backup",
                )
        self._connection.execute(
            f"UPDATE root SET {table} = ?, {_SUMS[table]} = ?", after
        )


def _where(number: int) -> str:
    return f"IfType {number >> 12}, block {number & 4095}"


def _add_bit(bits: dict[int, int], if_type: int, index: int) -> None:
    number = page_id(if_type, index >> 12)
    bits[number] = bits.get(number, 0) | 1 << (index & 4095)
