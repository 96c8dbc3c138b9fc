# SPDX-License-Identifier: MIT
"""
The end of sessions on a PostgreSQL store: one's own, and of hosts that are
gone.
"""

from __future__ import annotations

from typing import Any

from ._pg_liveness import HostLock
from ._pg_root import HOST_BY_NAME
from ._pg_sessions import HOLDER, OF_HOST, PostgresqlSessions
from .errors import (
    StoreBusyError,
    StoreNotFoundError,
    StoreUncertainError,
)


class PostgresqlEnding(PostgresqlSessions):
    """Ending sessions."""

    def evict(self, host: str) -> int:
        """
        Take an operator's word that a host is gone: its sessions end, and
        their blocks are free.  Should it come back after all, what it
        retains fails with LeaseLostError.

        Returns:
            How many sessions were ended.

        Raises:
            StoreNotFoundError: No host of this name has ever been here.
            StoreBusyError: It is this host, and one of its sessions is seen
                to be alive.
        """

        def once() -> int:
            with self._transaction(lambda: self._run("BEGIN")):
                rows = self._rows(HOST_BY_NAME, host)
                if not rows:
                    raise StoreNotFoundError(
                        f"there is no host {host!r}", self.path
                    )
                number = self._take_share(rows).host
                gone = [
                    row
                    for row in self._rows(OF_HOST, number)
                    if row[0] != self.session_id
                ]
                for row in gone:
                    if host == self.host and self._is_seen(row):
                        raise StoreBusyError(
                            f"{self._info(row)} of this very host is alive: "
                            "end it first",
                            self.path,
                        )
                if gone:
                    self._end_sessions([row[0] for row in gone])
                self._save_share()
            return len(gone)

        return self._do(once)

    def _is_seen(self, row: tuple[Any, ...]) -> bool:
        """Whether one of this host has a connection, or holds its lock."""
        if self._rows(f"{HOLDER} %s", row[0]):
            return True
        if self._liveness is None:
            # Not to be allowed to look is no word that it is dead.
            self._liveness = HostLock.to_look(
                self.path, self._store_id, self.host
            )
        lock = self._liveness
        return (
            lock is not None
            and row[3] == self._boot
            and row[5] == lock.name
            and lock.is_held(row[0])
        )

    def _end(self) -> None:
        if self._is_forgotten:
            return
        with self._transaction(self._begin):
            self._run("SET LOCAL synchronous_commit = off")
            self._end_sessions([self.session_id])
            self._save_share()

    def close(self) -> None:
        """
        End the session: its leases, marks and non-persistent identities go.
        If the server can't be reached, they go with this host's next.
        """
        with self._lock:
            if self._closed:
                return
            try:
                if self.session_id:
                    self._do(self._end)
            except StoreUncertainError:
                pass  # either way it ends now
            finally:
                super().close()
                self._unlock()

    def after_fork_in_child(self) -> None:
        """Let go of the lock's descriptor; leave the connection alone."""
        super().after_fork_in_child()
        self._unlock()
