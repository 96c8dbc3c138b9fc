# SPDX-License-Identifier: MIT
"""
The default store: one SQLite file, shared by any number of processes.

What is durable when a call returns: retaining and releasing persistent
identities and indexes, and updates of persistent identities
(``synchronous=FULL``: the log is flushed to the disk before the commit
returns).  What is visible to other processes but not flushed: leases, in-use
marks and non-persistent identities, which a power cut ends with their
holders (``synchronous=NORMAL``).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._check import check_store, collect_stats
from ._damage import reading
from ._identities import SqliteIdentities
from ._rows import signed
from .errors import StoreCorruptError
from .records import IdentityRecord, IndexSet, Problem, StoreStats


class SqliteStore(SqliteIdentities):
    """
    A store in one SQLite file.

    Args:
        path: The file; it and its directory (one level) are made if they
            are not there, for their owner only.
        busy_timeout: Seconds to wait for another process before
            StoreBusyError.
        read_only: Read a snapshot taken now: for a user who may not write.
            Only looking up, checking and counting work then.

    Raises:
        StoreError: It can't be opened; the message names the cure.
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
        now = int(time.time())
        with self._lock:
            durable = persistent or self._any_lasts(
                net_luid for net_luid, _ in updates
            )
            with self._writing(durable=durable):
                if identities:
                    # A key of the dead is free again.
                    self._reclaim()
                for record in identities:
                    self._refuse_existing(record)
                self._check_leases(sets)
                if persistent:
                    self._change_pages(sets, self._set_bits)
                self._insert_identities(
                    [replace(record, created=now) for record in identities],
                    None if persistent else self.session_id,
                )
                for net_luid, values in updates:
                    self._update_one(net_luid, values)

    def release(
        self,
        sets: Sequence[IndexSet],
        identities: Sequence[IdentityRecord],
        *,
        persistent: bool = True,
    ) -> None:
        with self._writing(durable=persistent):
            released = [
                self._release_identity(record, persistent)
                for record in identities
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
        with self._writing(durable=False):
            for net_luid, if_index in zip(net_luids, if_indexes, strict=True):
                self._confirm_one(net_luid, if_index)
            self._connection.executemany(
                "INSERT OR REPLACE INTO in_use VALUES(?, ?)",
                [(signed(each), self.session_id) for each in net_luids],
            )

    def unconfirm(self, net_luids: Sequence[int]) -> None:
        with self._writing(durable=False, giving_back=True):
            self._connection.executemany(
                "DELETE FROM in_use WHERE net_luid = ? AND session = ?",
                [(signed(each), self.session_id) for each in net_luids],
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
