# SPDX-License-Identifier: MIT
"""
A SQLite store's connection: transactions, sessions, and the root.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from . import _files, _schema
from ._liveness import LockFile, boot_id
from ._rows import signed
from .errors import (
    LeaseLostError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StorePermissionError,
)
from .records import SessionInfo

#: Connections that a child of fork() has inherited: never touched again, not
#: even to close them.
_leaked: list[apsw.Connection] = []


class SqliteConnection:
    """One session's connection to a store's file."""

    #: First ifIndex that is handed out; lower numbers are the kernel's.
    if_index_first = 0x800000

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy_timeout: float = 5.0,
        read_only: bool = False,
    ) -> None:
        self.path = os.path.abspath(os.fspath(path))
        self.session_id = 0
        self.read_only = read_only
        self._lock = threading.RLock()
        self._closed = False
        self._busy_ms = round(busy_timeout * 1000)
        self._synchronous = ""
        self._liveness: LockFile | None = None
        if read_only:
            with self._errors():
                self._connection = self._snapshot()
            return
        _files.prepare(self.path)
        _, mode = _files.modes(self.path)
        self._liveness = LockFile(self.path, mode)
        try:
            with self._errors():
                self._connection = self._connect()
                self._begin_session()
        except BaseException:
            self._liveness.close()
            raise

    # -- connection and transactions

    def __str__(self) -> str:
        return self.path

    def _connect(self) -> apsw.Connection:
        self._synchronous = ""
        connection = _schema.connect(
            self.path, apsw.SQLITE_OPEN_READWRITE, self._busy_ms
        )
        self._connection = connection
        _schema.prepare(connection, self.path, self._transaction)
        return connection

    def _snapshot(self) -> apsw.Connection:
        """The whole store in memory, as one reader sees it now."""
        _files.check_file(self.path)
        source = self._open_to_read()
        try:
            if not _schema.check(source, self.path):
                raise StoreCorruptError("it is empty", self.path)
            copy = apsw.Connection(":memory:")
            with copy.backup("main", source, "main") as backup:
                backup.step()
        finally:
            source.close()
        return copy

    def _open_to_read(self) -> apsw.Connection:
        # Beside a log in use the readers' file is there to be shared;
        # without a log nobody writes, and the file is all there is.
        busy = os.path.exists(self.path + "-wal")
        if busy:
            return _schema.connect(
                self.path, apsw.SQLITE_OPEN_READONLY, self._busy_ms
            )
        quoted = self.path.replace("%", "%25").replace("?", "%3f")
        quoted = quoted.replace("#", "%23")
        return _schema.connect(
            f"file:{quoted}?immutable=1",
            apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
            self._busy_ms,
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of SQLite as errors of the store."""
        try:
            yield
        except apsw.Error as error:
            raise _schema.typed(error, self.path) from error

    def _set_synchronous(self, level: str) -> None:
        if self._synchronous == level:
            return
        self._connection.execute(f"PRAGMA synchronous = {level}")
        number = _schema.value(self._connection, "PRAGMA synchronous")
        if number != {"FULL": 2, "NORMAL": 1}[level]:
            raise StoreError("SQLite refuses to flush its log", self.path)
        self._synchronous = level

    @contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[None]:
        """
        One transaction, committed at the end, rolled back on any error.
        """
        connection = self._connection
        self._set_synchronous("FULL" if durable else "NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            # Some errors of SQLite have rolled back already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _writing(
        self, *, durable: bool, giving_back: bool = False
    ) -> Iterator[None]:
        """
        A transaction of this session, which must not have been ended by
        another, unless it only gives back: then there is nothing to give.
        """
        with self._lock, self._errors():
            self._check_open()
            if self.read_only:
                raise StorePermissionError(
                    "it was opened to be read only", self.path
                )
            try:
                with self._transaction(durable=durable):
                    if not giving_back and not self._one(
                        "SELECT 1 FROM sessions WHERE id = ?", self.session_id
                    ):
                        raise LeaseLostError(
                            "this session was ended by another, its leases "
                            "are void: open a new one",
                            self.path,
                        )
                    yield
            except apsw.IOError:
                # Nobody can tell what reached the disk.  Never try again
                # on this connection: read the state anew.
                self._reconnect()
                raise

    def _reconnect(self) -> None:
        self._connection.close(True)
        self._connection = self._connect()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, self._errors():
            self._check_open()
            yield

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("it is closed", self.path)

    def _one(self, sql: str, *args: Any) -> Any:
        return _schema.value(self._connection, sql, *args)

    def _rows(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(sql, args))

    # -- sessions

    def _begin_session(self) -> None:
        assert self._liveness is not None
        program = os.path.basename(sys.argv[0] if sys.argv else "")
        with self._transaction(durable=False):
            self._reclaim()
            self._connection.execute(
                "INSERT INTO sessions(pid, program, boot_id, started) "
                "VALUES(?, ?, ?, ?)",
                (os.getpid(), program[:255], boot_id(), int(time.time())),
            )
            self.session_id = self._connection.last_insert_rowid()
            if not self._liveness.take(self.session_id):
                raise StoreBusyError(
                    f"{self._liveness.path} is locked by somebody else",
                    self.path,
                )

    def _is_alive(self, session_id: int) -> bool:
        if session_id == self.session_id:
            return not self._closed
        return self._liveness is not None and self._liveness.is_held(
            session_id
        )

    def _reclaim(self) -> int:
        """
        Void what dead sessions held, inside a transaction.  Their ends were
        unclean, so what they may have left is verified.
        """
        dead = [
            number
            for (number,) in self._rows("SELECT id FROM sessions")
            if not self._is_alive(number)
        ]
        for number in dead:
            self._end_session(number)
        if dead:
            self._verify_root()
        return len(dead)

    def _end_session(self, session_id: int) -> None:
        self._delete_identities("owner = ?", session_id)
        for table in ("leases", "in_use"):
            self._connection.execute(
                f"DELETE FROM {table} WHERE session = ?", (session_id,)
            )
        self._connection.execute(
            "DELETE FROM sessions WHERE id = ?", (session_id,)
        )

    def _session(self, session_id: int | None) -> SessionInfo | None:
        """A session that is alive."""
        if session_id is None or not self._is_alive(session_id):
            return None
        for row in self._rows(
            "SELECT id, pid, program, boot_id, started FROM sessions "
            "WHERE id = ?",
            session_id,
        ):
            return SessionInfo(*row)
        return None

    # -- the root

    def _verify_root(self) -> None:
        for table, kind in (("identities", "identity"), ("pages", "page")):
            count, low, high = self._rows(
                "SELECT count(*), coalesce(sum(checksum & 4294967295), 0), "
                "coalesce(sum((checksum >> 32) & 4294967295), 0) "
                f"FROM {table}"
            )[0]
            total = signed(low + (high << 32))
            if (count, total) != self._rows(
                f"SELECT {table}, {kind}_sum FROM root"
            )[0]:
                raise StoreCorruptError(
                    f"rows of {table} are missing or damaged (root): keep "
                    "the file, and restore a backup",
                    self.path,
                )

    def _add_to_root(self, table: str, count: int, total: int) -> None:
        column = {"identities": "identity_sum", "pages": "page_sum"}[table]
        before = self._one(f"SELECT {column} FROM root")
        self._connection.execute(
            f"UPDATE root SET {table} = {table} + ?, {column} = ?",
            (count, signed(before + total)),
        )

    def _delete_identities(self, where: str, argument: int) -> None:
        checksums = [
            checksum
            for (checksum,) in self._rows(
                f"SELECT checksum FROM identities WHERE {where}", argument
            )
        ]
        if not checksums:
            return
        self._connection.execute(
            f"DELETE FROM identities WHERE {where}", (argument,)
        )
        self._add_to_root("identities", -len(checksums), -sum(checksums))

    # -- the end

    def close(self) -> None:
        """
        End the session: its leases, marks and non-persistent identities go.
        """
        with self._lock:
            if self._closed:
                return
            try:
                if not self.read_only:
                    with self._errors(), self._transaction(durable=False):
                        self._end_session(self.session_id)
            finally:
                self._closed = True
                self._connection.close(True)
                if self._liveness is not None:
                    self._liveness.close()

    def after_fork_in_child(self) -> None:
        """Let go of the lock's descriptor; leak the connection."""
        self._closed = True
        _leaked.append(self._connection)
        if self._liveness is not None:
            self._liveness.close()
        # A thread of the parent may have held it.
        self._lock = threading.RLock()
