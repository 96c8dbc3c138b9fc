# SPDX-License-Identifier: MIT
"""
The default store: one SQLite file, shared by any number of processes.

What is durable when a call returns: retaining and releasing persistent
identities and indexes, and updates of persistent identities.  The log is
flushed (fdatasync) before the commit returns (``synchronous=FULL``); the
file itself is flushed before the log is written anew.  What is visible to
other processes but not flushed: leases, in-use marks and non-persistent
identities, which a power cut ends with their holders.

The names of a new store and of the directory made for it are flushed too
(fsync of the directory that each is in) before it is used.

If flushing fails, nobody knows what the disk has, and asking again would
not tell: the connection is closed and opened anew, what is there is read
again, and the call raises StoreUncertainError.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from . import _backup, _repair
from ._check import check_store, collect_stats
from ._contents import SqliteContents
from ._damage import reading
from ._mending import Repaired
from ._rows import signed
from ._rules import refuse_doubles
from ._transfer import Progress, no_progress
from ._watch import SqliteWatch
from .errors import StoreCorruptError, StoreError
from .records import IdentityRecord, IndexSet, Problem, StoreStats

#: What retain() and release() are given.
_Retained = tuple[
    Sequence[IndexSet],
    Sequence[IdentityRecord],
    Sequence[tuple[int, Mapping[str, Any]]],
]
_Released = tuple[Sequence[IndexSet], Sequence[IdentityRecord], bool]


class SqliteStore(SqliteContents):
    """
    A store in one SQLite file.

    Args:
        path: The file; it and its directory (one level) are made if they
            are not there, for their owner only.
        busy_timeout: Seconds to wait for another process before
            StoreBusyError.  When the system refuses every lock on the
            readers' file, which is no matter of being busy, SQLite tries
            for about 10 seconds.
        read_only: Read a snapshot taken now: for a user who may not write.
            Only looking up, checking and counting work then.
        synchronous: ``"full"``: what is called durable survives a power cut
            the moment that its call returns.  ``"normal"``: it survives the
            death of every process, and a power cut only once the log has
            been flushed, which may be minutes later; a power cut then takes
            the latest changes, in order and each whole, and may hand the
            same NET_LUIDs out again.  Neither damages the store.

    Threads that change it at the same time share a transaction, and so wait
    for the disk together.

    Raises:
        StoreError: It can't be opened; the message names the cure.
        StoreBusyError: Of any method: another process kept it busy for
            ``busy_timeout``, and nothing was changed.
    """

    leases = True

    # -- retain, release

    def retain(
        self,
        sets: Sequence[IndexSet],
        identities: Sequence[IdentityRecord],
        *,
        persistent: bool = True,
        updates: Sequence[tuple[int, Mapping[str, Any]]] = (),
    ) -> None:
        """
        As :meth:`Store.retain`.  Flushed if persistent, or if one of the
        updated lasts; else not.
        """
        refuse_doubles(sets, identities, self.path)
        self._change_rows(
            self._retain_lasting if persistent else self._retain_passing,
            (sets, identities, updates),
            updates,
            durable=persistent,
        )

    def _retain_lasting(self, parts: list[_Retained]) -> None:
        sets = [each for part in parts for each in part[0]]
        self._check_leases(sets)
        self._add_to_roots(
            identities=self._retain_identities(parts, None),
            pages=self._written_pages(sets, self._set_bits),
        )
        self._update_all([part[2] for part in parts])

    def _retain_passing(self, parts: list[_Retained]) -> None:
        self._check_leases([each for part in parts for each in part[0]])
        self._add_to_roots(
            identities=self._retain_identities(parts, self.session_id)
        )
        self._update_all([part[2] for part in parts])

    def _retain_identities(
        self, parts: list[_Retained], owner: int | None
    ) -> tuple[int, int]:
        records = [record for part in parts for record in part[1]]
        if not records:
            return 0, 0
        # A key of the dead is free again.
        self._reclaim()
        return self._insert_identities(records, owner, int(time.time()))

    def release(
        self,
        sets: Sequence[IndexSet],
        identities: Sequence[IdentityRecord],
        *,
        persistent: bool = True,
    ) -> None:
        """As :meth:`Store.release`.  Flushed if persistent, else not."""
        refuse_doubles(sets, identities, self.path)
        self._change(
            self._release_all,
            (sets, identities, persistent),
            durable=persistent,
        )

    def _release_all(self, parts: list[_Released]) -> None:
        for part in parts:
            self._release(*part)

    def _release(
        self,
        sets: Sequence[IndexSet],
        identities: Sequence[IdentityRecord],
        persistent: bool,
    ) -> None:
        released = [
            self._release_identity(record, persistent) for record in identities
        ]
        if persistent:
            self._refuse_other_bits(sets, released)
            self._refuse_identities(sets)
            self._refuse_in_use(sets)
            self._change_pages(sets, self._clear_bits)

    # -- in use

    def confirm(
        self, net_luids: Sequence[int], if_indexes: Sequence[int]
    ) -> None:
        """As :meth:`Store.confirm`.  Not flushed."""
        with self._writing(durable=False):
            marks = self._holders([signed(each) for each in net_luids])
            for net_luid, if_index in zip(net_luids, if_indexes, strict=True):
                mark = marks.get(signed(net_luid))
                self._confirm_one(net_luid, if_index, mark)
            self._connection.executemany(
                "INSERT OR REPLACE INTO in_use VALUES(?, ?)",
                [(signed(each), self.session_id) for each in net_luids],
            )

    def unconfirm(self, net_luids: Sequence[int]) -> None:
        """As :meth:`Store.unconfirm`.  Not flushed."""
        with self._writing(durable=False, giving_back=True):
            self._connection.executemany(
                "DELETE FROM in_use WHERE net_luid = ? AND session = ?",
                [(signed(each), self.session_id) for each in net_luids],
            )

    # -- being told

    def watch(self) -> SqliteWatch:
        """
        Tell of identities that are made, changed or released from now on,
        by any process.

        Raises:
            StoreError: It can't be read, or this is a snapshot.
        """
        self._check_open()
        if self.read_only:
            raise StoreError("a snapshot does not change", self.path)
        return SqliteWatch(
            self.path, self._busy_ms, self._watches, self._find_many
        )

    # -- looking after it

    def check(self) -> list[Problem]:
        """
        Verify everything: the file, each page and row, the root, that each
        identity has its bit and each ifIndex its identity, and that nothing
        belongs to dead sessions.
        """
        with self._lock:
            self._check_open()
            # In a snapshot there are sessions that have ended since.
            is_alive = None if self.read_only else self._is_alive
            return check_store(self._connection, is_alive)

    @classmethod
    def check_snapshot(cls, path: str | os.PathLike[str]) -> list[Problem]:
        """
        As :meth:`check`, of a store that can't be opened for a session
        because it is damaged.

        Raises:
            StoreError: It can't be read, for any reason but damage.
        """
        try:
            with contextlib.closing(cls(path, read_only=True)) as snapshot:
                return snapshot.check()
        except StoreCorruptError as error:
            return [Problem("file", str(error))]

    @classmethod
    def repair(cls, path: str | os.PathLike[str]) -> Repaired:
        """
        Mend what is certain, if that loses nothing: what sessions that have
        ended left, wrong counts, indexes of identities that are not
        retained, and a root that disagrees with rows that are all right.
        Damaged rows are not touched, and no index is freed.  A copy of the
        store as it was is kept beside it.

        Raises:
            StoreBusyError: A live session has it open.
            StoreError: It can't be opened for writing.
        """
        return _repair.repair(path)

    @classmethod
    def back_up(
        cls,
        path: str | os.PathLike[str],
        target: str | os.PathLike[str],
        progress: Progress = no_progress,
    ) -> int:
        """
        Copy a store, whoever has it open, to a new file: what was durable
        when it began, without what ends with sessions.  The copy is
        verified, and flushed, before it gets its name.  Returns how many
        identities it has.

        Raises:
            StoreError: The target is there already, or can't be made.
            StoreCorruptError: The store is damaged; there is no copy then.
        """
        return _backup.back_up(os.fspath(path), os.fspath(target), progress)

    def stats(self) -> StoreStats:
        """Figures of the store."""
        with self._reading():
            size = 0
            for name in (self.path, self.path + "-wal"):
                if os.path.exists(name):
                    size += os.path.getsize(name)
            sessions = tuple(
                info
                for (number,) in self._rows("SELECT id FROM sessions")
                if (info := self._session(number)) is not None
            )
            with reading(self.path):
                return collect_stats(
                    self._connection, self.path, size, sessions
                )
