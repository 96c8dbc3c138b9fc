# SPDX-License-Identifier: MIT
"""
Sessions on a PostgreSQL store: beginning one, ending it, and the dead.

A host judges its own sessions only, by its lock file.  Sessions of another
host are never taken for dead, however long nothing is heard of them: they
may go on allocating in their blocks without the server.  They end by the
next session of that host, or by an operator's word.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ._damage import reading
from ._group import Change
from ._liveness import boot_id
from ._pg_liveness import HostLock
from ._pg_root import HOST_BY_ID, HOST_BY_NAME, PostgresqlRoot
from ._pg_schema import LOCK_SESSION
from .errors import (
    LeaseLostError,
    StoreBusyError,
    StoreError,
    StorePermissionError,
)
from .records import SessionInfo

_T = TypeVar("_T")

#: Columns of what is known of a session, of sessions AS s, hosts AS h.
SESSION_COLUMNS = (
    "s.id, s.pid, s.program, s.boot_id, s.started, s.life, s.host, h.name"
)
_SESSIONS = (
    f"SELECT {SESSION_COLUMNS} FROM sessions AS s "
    "JOIN hosts AS h ON h.id = s.host"
)
OF_HOST = f"{_SESSIONS} WHERE s.host = %s ORDER BY s.id"
_OWN = (
    "SELECT FROM sessions WHERE id = %s AND host = %s AND pid = %s AND "
    "program = %s AND boot_id = %s AND started = %s AND life = %s"
)
#: Who holds a session's own lock: the connection that it has just now.
HOLDER = (
    "SELECT l.pid FROM pg_locks AS l WHERE l.locktype = 'advisory' AND "
    f"l.classid::bigint = {LOCK_SESSION >> 32} AND l.objsubid = 1 AND "
    "l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname "
    "= current_database()) AND l.objid::bigint ="
)

_WAIT = "SELECT set_config('lock_timeout', %s, true)"


class PostgresqlSessions(PostgresqlRoot):
    """This process's session, and who else has one."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        super().__init__(url, read_only=read_only)
        self.session_id = 0
        self._boot = boot_id()
        self._host_id = 0
        self._store_id = ""
        self._liveness: HostLock | None = None
        #: Sessions of this host, as the transaction under way has seen them.
        self._here: list[tuple[Any, ...]] = []
        #: What this session holds for certain: numbers of blocks, and
        #: marked NET_LUIDs.  The server may know of more when a connection
        #: was lost, never of less.
        self._leased: set[int] = set()
        self._marked: set[int] = set()
        #: What the row of this session says: its number may have been given
        #: to another by a server that was set back.
        self._own: tuple[Any, ...] = ()
        #: The server knows this session no more.
        self._is_forgotten = False
        try:
            with self._lock, self._errors():
                self._store_id = self._connect()
                if read_only:
                    self._watch()
                else:
                    self._begin_session()
        except BaseException:
            self.session_id = 0
            super().close()
            self._unlock()
            raise

    # -- beginning

    def _watch(self) -> None:
        """
        A reader has no session.  It sees who is alive on this host by the
        lock file; if it may not, it judges nobody.
        """
        self._find_host()
        with contextlib.suppress(StorePermissionError):
            self._liveness = HostLock.to_look(
                self.path, self._store_id, self.host
            )

    def _find_host(self) -> None:
        for (number,) in self._rows(
            "SELECT id FROM hosts WHERE name = %s", self.host
        ):
            self._host_id = number

    def _reading(self, work: Callable[[], _T]) -> _T:
        def once() -> _T:
            if not self._host_id:
                # A reader may be there before its host's first session.
                self._find_host()
            return work()

        return super()._reading(once)

    def _begin_session(self) -> None:
        self._liveness = HostLock.open(self.path, self._store_id, self.host)
        program = os.path.basename(sys.argv[0] if sys.argv else "")
        with self._transaction(lambda: self._run("BEGIN")):
            self._lock_own_host()
            self._refuse_clones()
            self._reclaim()
            self._own = (
                self._host_id,
                os.getpid(),
                os.fsencode(program).decode(errors="replace")[:255],
                self._boot,
                int(time.time()),
                self._liveness.name,
            )
            ((self.session_id,),) = self._rows(
                "INSERT INTO sessions(host, pid, program, boot_id, started, "
                "life) VALUES(%s, %s, %s, %s, %s, %s) RETURNING id",
                *self._own,
            )
            if not self._liveness.take(self.session_id):
                raise StoreBusyError(
                    f"{self._liveness.path} is locked by somebody else",
                    self.path,
                )
            self._take_lock()
            self._save_share()

    def _lock_own_host(self) -> None:
        """Lock this host's row, made if it is not there."""
        rows = self._rows(HOST_BY_NAME, self.host)
        if not rows:
            self._run(
                "INSERT INTO hosts(name) VALUES(%s) ON CONFLICT DO NOTHING",
                self.host,
            )
            rows = self._rows(HOST_BY_NAME, self.host)
        self._host_id = self._take_share(rows).host
        self._here = self._rows(OF_HOST, self._host_id)

    def _refuse_clones(self) -> None:
        """
        Two hosts of one name would take each other's sessions for dead.
        One that has just been started again looks the same until the server
        has noticed that its old connections are gone.
        """
        for row in self._here:
            if row[3] == self._boot or not self._rows(f"{HOLDER} %s", row[0]):
                continue
            raise StoreError(
                f"another machine, or another boot of this one, is connected "
                f"as host {self.host} ({self._info(row)}): if this is a "
                "cloned image, give each its own name with ?ndis_host=NAME "
                "in the URL; if it was started again just now, try again in "
                "half a minute",
                self.path,
            )

    def _take_lock(self) -> None:
        """Be seen to be connected, until the connection ends."""
        self._run(
            "SELECT pg_advisory_lock(%s)", LOCK_SESSION + self.session_id
        )

    def _resume(self) -> None:
        """
        Go on with the session on a new connection.  What the lost one was
        about is over first, and what its end may have left is given back.
        """
        store_id = self._connect()
        if store_id != self._store_id:
            self._drop()
            raise StoreError(
                "there is another store in its place: close this session and "
                "open a new one",
                self.path,
            )
        if self.session_id == 0:
            return
        if not self._rows(_OWN, self.session_id, *self._own):
            self._is_forgotten = True
            return
        # The old one may still be there, and hold locks.
        self._run(
            f"SELECT pg_terminate_backend(old.pid) FROM ({HOLDER} %s) AS old"
            " WHERE old.pid <> pg_backend_pid()",
            self.session_id,
        )
        self._take_lock()
        with self._transaction(lambda: self._run("BEGIN")):
            self._take_share(self._rows(HOST_BY_ID, self._host_id))
            for table, column, known in (
                ("leases", "id", self._leased),
                ("in_use", "net_luid", self._marked),
            ):
                self._run(
                    f"DELETE FROM {table} WHERE session = %s AND "
                    f"{column} <> ALL(%s::bigint[])",
                    self.session_id,
                    sorted(known),
                )
            self._refuse_forgotten()

    def _refuse_forgotten(self) -> None:
        """
        A server that has lost leases, and not the session, is not the one
        that it was, and others may hold the blocks by now.
        """
        ((count, there),) = self._rows(
            "SELECT (SELECT count(*) FROM leases WHERE session = %s), "
            "(SELECT count(*) FROM sessions WHERE id = %s)",
            self.session_id,
            self.session_id,
        )
        if there and count < len(self._leased):
            raise LeaseLostError(
                "its server has forgotten leases of this session (a backup, "
                "or a replica that was behind?): close it and open a new one",
                self.path,
            )

    # -- transactions of this session

    def _begin(self, since: float = 0.0) -> None:
        """
        In one round trip: begin, lock this host's row, and only then look
        which sessions it has.  Who has waited in this process since a time
        waits for others the less.
        """
        with self._one_trip() as db:
            db.execute("BEGIN")
            if since:
                db.execute(_WAIT, (self._lock_timeout(since),))
            share = db.execute(HOST_BY_ID, (self._host_id,))
            if since:
                db.execute(_WAIT, (self._lock_timeout(),))
            here = db.execute(OF_HOST.encode(), (self._host_id,))
        self._take_share(share.fetchall())
        self._here = here.fetchall()

    def _refuse_read_only(self) -> None:
        if self.read_only:
            raise StorePermissionError(
                "it was opened to be read only", self.path
            )

    def _check_session(self) -> None:
        if self._is_forgotten or all(
            row[0] != self.session_id for row in self._here
        ):
            raise LeaseLostError(
                "this session was ended by another, or its host was evicted: "
                "its leases are void, open a new one",
                self.path,
            )

    def _writing(self, work: Callable[[], _T], since: float = 0.0) -> _T:
        """
        A transaction of this session, which must not have been ended by
        another.  What the dead of this host held is free.
        """
        self._refuse_read_only()

        def once() -> _T:
            if self._liveness is not None:
                self._liveness.check_in_place()
            with self._transaction(lambda: self._begin(since)):
                self._check_session()
                self._reclaim()
                done = work()
                self._save_share()
            return done

        return self._do(once)

    def _commit_together(self, leader: Change) -> None:
        self._writing(lambda: self._do_together(leader), leader.since)

    def _giving_back(self, sql: str, *args: Any) -> None:
        """
        What needs no session, as there is nothing to give without one, and
        no flushing either: lost, it is only given back later.
        """

        def once() -> None:
            if self._is_forgotten:
                return
            with self._transaction(lambda: self._run("BEGIN")):
                self._run("SET LOCAL synchronous_commit = off")
                self._run(sql, *args)

        self._do(once)

    def _surely(self, give_back: Callable[[], None]) -> None:
        """
        Give back what this session has already forgotten.  It may be
        another's by now, whatever fails, so that it must never be taken up
        again: what is not done now is done with the next connection.
        """
        try:
            give_back()
        except StoreError:
            self._drop()
        except KeyboardInterrupt:
            self._drop()
            _thread.interrupt_main()  # once more, where it can be raised
        except BaseException:
            self._drop()
            raise

    # -- who is alive

    def _is_alive(self, row: tuple[Any, ...]) -> bool:
        number, boot, life, host = row[0], row[3], row[5], row[6]
        if number == self.session_id:
            return not self._closed
        if host != self._host_id or self._liveness is None:
            return True
        if boot != self._boot:
            # Refused, when this one began, if it was connected.
            return False
        if life != self._liveness.name:
            # Of a container, or of before a clean-up: nobody can tell.
            return True
        return self._liveness.is_held(number)

    def _info(self, row: tuple[Any, ...]) -> SessionInfo:
        number, pid, program, boot, started, _, host, name = row
        with reading(self.path):
            what = str(program)
            if host != self._host_id:
                what = f"{what or 'a program'} on host {name}"
            return SessionInfo(number, int(pid), what, boot, int(started))

    def _session(self, row: tuple[Any, ...]) -> SessionInfo | None:
        """A session that is alive, from its columns; None for none."""
        if row[0] is None or not self._is_alive(row):
            return None
        return self._info(row)

    def _all_sessions(self) -> list[tuple[Any, ...]]:
        return self._rows(f"{_SESSIONS} ORDER BY s.id")

    # -- ending

    def _reclaim(self) -> None:
        """
        Void what dead sessions of this host held, with its row locked.
        Their ends were unclean, so what they may have left is verified.
        """
        dead = [row[0] for row in self._here if not self._is_alive(row)]
        if dead:
            self._end_sessions(dead)
            with self._patiently():
                self._verify_root()

    def _end_sessions(self, numbers: list[int]) -> None:
        self._delete_identities("owner = ANY(%s::bigint[])", numbers)
        # Their leases and marks go with them.
        self._run("DELETE FROM sessions WHERE id = ANY(%s::bigint[])", numbers)

    def _unlock(self) -> None:
        if self._liveness is not None:
            self._liveness.close()
