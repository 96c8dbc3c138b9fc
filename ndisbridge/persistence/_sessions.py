# SPDX-License-Identifier: MIT
"""
Sessions on a SQLite store: beginning one, ending it, and the dead.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any

import apsw

from . import _files
from ._damage import reading
from ._group import Change, GroupCommit
from ._liveness import LockFile, boot_id
from ._root import SqliteRoot
from .errors import (
    LeaseLostError,
    StoreBusyError,
    StoreError,
    StorePermissionError,
)
from .records import SessionInfo

_SESSION = "SELECT id, pid, program, boot_id, started FROM sessions"


def _attempts(since: float, patience: float) -> Iterator[bool]:
    """Sleep between attempts, ever longer; whether there is one more."""
    deadline = 0.0
    for delay in chain((0.0, 0.001, 0.002, 0.005, 0.01), repeat(0.02)):
        if delay:
            now = time.monotonic()
            deadline = deadline or (since or now) + patience
            time.sleep(max(0.0, min(delay, deadline - now)))
        yield not deadline or time.monotonic() < deadline


class SqliteSessions(SqliteRoot, GroupCommit):
    """This process's session, and who else has one."""

    def __init__(
        self,
        path: str | bytes | os.PathLike[Any],
        *,
        busy_timeout: float = 5.0,
        read_only: bool = False,
        synchronous: str = "full",
    ) -> None:
        self.session_id = 0
        self._liveness: LockFile | None = None
        self._begin_group()
        super().__init__(
            path,
            busy_timeout=busy_timeout,
            read_only=read_only,
            synchronous=synchronous,
        )
        try:
            if read_only:
                self._watch_sessions()
            else:
                self._begin_session()
        except BaseException:
            super().close()
            self._unlock()
            raise

    # -- beginning

    def _watch_sessions(self) -> None:
        """A reader sees the locks; if it may not, it knows nobody alive."""
        try:
            self._liveness = LockFile.existing(self.path, read_only=True)
        except StorePermissionError:
            self._liveness = None

    def _begin_session(self) -> None:
        self._liveness = LockFile.existing(self.path)
        program = os.path.basename(sys.argv[0] if sys.argv else "")
        with self._errors():
            # Who was killed may have written an identity, and not flushed
            # it: it is in the log that was read at opening.  It must be on
            # the disk before anybody is told of it, so this commit is.  Who
            # dies later is no matter: others see what is flushed only.
            unclean = bool(self._dead())
            with self._transaction(durable=unclean):
                if self._liveness is None:
                    self._liveness = self._first_lock_file()
                self._check_in_place()
                self._reclaim()
                self._connection.execute(
                    "INSERT INTO sessions(pid, program, boot_id, started) "
                    "VALUES(?, ?, ?, ?)",
                    (
                        os.getpid(),
                        os.fsencode(program).decode(errors="replace")[:255],
                        boot_id(),
                        int(time.time()),
                    ),
                )
                self.session_id = self._connection.last_insert_rowid()
                if not self._liveness.take(self.session_id):
                    raise StoreBusyError(
                        f"{self._liveness.path} is locked by somebody else",
                        self.path,
                    )

    def _first_lock_file(self) -> LockFile:
        """
        Make the lock file, in a transaction, so that only one does.

        Sessions of this boot without one mean that it was removed: they may
        be alive, and nobody could tell.  With another boot's they are dead.
        """
        existing = LockFile.existing(self.path)
        if existing is not None:
            return existing
        boot = boot_id()
        doubtful = [
            self._info(row)
            for row in self._rows(
                f"{_SESSION} WHERE boot_id IN ('', ?1) OR ?1 = ''", boot
            )
        ]
        if doubtful:
            names = ", ".join(map(str, doubtful[:3]))
            more = f" and {len(doubtful) - 3} more" * (len(doubtful) > 3)
            lock = f"{self.path}.lock"
            raise StoreError(
                f"there is no {lock}: it was removed, or this is a copy. If "
                "it is a copy, or none of these has this file open any more: "
                f"{names}{more}; then `touch {lock}`",
                self.path,
            )
        return LockFile.create(self.path, _files.modes(self.path)[1])

    # -- transactions of this session

    @contextmanager
    def _writing(
        self,
        *,
        durable: bool,
        giving_back: bool = False,
        since: float = 0.0,
    ) -> Iterator[None]:
        """
        A transaction of this session, which must not have been ended by
        another, unless it only gives back: then there is nothing to give.
        Who has waited in this process since a time waits for others the
        less.
        """
        for attempt in _attempts(since, self._busy_ms / 1000):
            # While another process has the store, look-ups go on.
            with self._lock, self._errors():
                self._check_open()
                if self.read_only:
                    raise StorePermissionError(
                        "it was opened to be read only", self.path
                    )
                if self._connection.in_transaction:
                    raise self._reentered()
                try:
                    try:
                        self._begin(durable=durable, wait=False)
                    except apsw.BusyError:
                        if attempt:
                            continue
                        raise
                    self._check_in_place()
                    if not giving_back:
                        self._check_session()
                    yield
                    self._commit()
                except BaseException as error:
                    self._roll_back()
                    self._reconnect_if_broken(error)
                    raise
                return

    def _check_session(self) -> None:
        if not self._rows(
            "SELECT 1 FROM sessions WHERE id = ?", self.session_id
        ):
            raise LeaseLostError(
                "this session was ended by another, its leases are void: "
                "open a new one",
                self.path,
            )

    def _commit_together(self, leader: Change) -> None:
        with self._writing(durable=leader.durable, since=leader.since):
            self._do_together(leader)

    def _try(self, changes: list[Change]) -> Exception | None:
        self._connection.execute("SAVEPOINT change")
        failure = None
        try:
            with self._errors():
                changes[0].run([each.part for each in changes])
        except Exception as error:
            # Some errors of SQLite end the whole transaction, and after a
            # failure of the disk nothing is certain of it.
            if not self._connection.in_transaction or isinstance(
                error.__cause__, apsw.IOError
            ):
                raise
            self._connection.execute("ROLLBACK TO change")
            failure = error
        self._connection.execute("RELEASE change")
        return failure

    def _check_in_place(self) -> None:
        super()._check_in_place()
        if self._liveness is not None:
            self._liveness.check_in_place()

    # -- who is alive

    def _is_alive(self, session_id: int) -> bool:
        if session_id == self.session_id:
            return not self._closed
        return self._liveness is not None and self._liveness.is_held(
            session_id
        )

    def _is_gone(self, owner: int | None) -> bool:
        """Whether a row's owner has died, and so the row is void."""
        return owner is not None and not self._is_alive(owner)

    def _dead(self) -> list[int]:
        return [
            number
            for (number,) in self._rows("SELECT id FROM sessions")
            if not self._is_alive(number)
        ]

    def _info(self, row: tuple[Any, ...]) -> SessionInfo:
        number, pid, program, boot, started = row
        with reading(self.path):
            return SessionInfo(
                number, int(pid), str(program), str(boot), int(started)
            )

    def _session(self, session_id: int | None) -> SessionInfo | None:
        """A session that is alive."""
        if session_id is None or not self._is_alive(session_id):
            return None
        for row in self._rows(f"{_SESSION} WHERE id = ?", session_id):
            return self._info(row)
        return None

    # -- ending

    def _reclaim(self) -> None:
        """
        Void what dead sessions held, inside a transaction.  Their ends were
        unclean, so what they may have left is verified.
        """
        dead = self._dead()
        for number in dead:
            self._end_session(number)
        if dead:
            self._verify_root()

    def _end_session(self, session_id: int) -> None:
        self._delete_identities("owner = ?", session_id)
        for table in ("leases", "in_use"):
            self._connection.execute(
                f"DELETE FROM {table} WHERE session = ?", (session_id,)
            )
        self._connection.execute(
            "DELETE FROM sessions WHERE id = ?", (session_id,)
        )

    def close(self) -> None:
        """
        End the session: its leases, marks and non-persistent identities go.
        """
        with self._lock:
            if self._closed:
                return
            try:
                if not self.read_only and not self._lost:
                    with self._errors(), self._transaction(durable=False):
                        self._end_session(self.session_id)
            finally:
                try:
                    super().close()
                finally:
                    self._unlock()

    def _unlock(self) -> None:
        if self._liveness is not None:
            self._liveness.close()

    def after_fork_in_child(self) -> None:
        """Let go of the lock's descriptor; leak the connection."""
        super().after_fork_in_child()
        self._begin_group()
        self._unlock()
