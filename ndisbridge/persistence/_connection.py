# SPDX-License-Identifier: MIT
"""
A SQLite store's connection: opening it, transactions, and losing it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import apsw

from . import _files, _schema, _snapshot
from ._damage import reading
from ._rules import Rules
from ._translating import Translating
from .errors import (
    IdentityConflictError,
    StoreError,
    StorePermissionError,
    StoreUncertainError,
)


class SqliteConnection(Rules):
    """One connection to a store's file, or to a snapshot of it."""

    def __init__(
        self,
        path: str | bytes | os.PathLike[Any],
        *,
        busy_timeout: float = 5.0,
        read_only: bool = False,
        synchronous: str = "full",
    ) -> None:
        if synchronous not in {"full", "normal"}:
            raise ValueError(
                f'synchronous is "full" or "normal", not {synchronous!r}'
            )
        self.path = _files.checked_path(path)
        self.read_only = read_only
        self._lock = threading.RLock()
        self._closed = False
        #: Those that look for changes, beside it.
        self._watches: set[apsw.Connection] = set()
        #: Why there is no connection any more; "" while there is one.
        self._lost = ""
        self._busy_ms = round(busy_timeout * 1000)
        self._synchronous = ""
        self._durable = synchronous.upper()
        self._inode: tuple[int, int] | None = None
        if read_only:
            with self._errors():
                self._connection = _snapshot.take(self.path, self._busy_ms)
            return
        _schema.check_library(apsw.sqlite_lib_version(), self.path)
        _files.prepare(self.path)
        with self._errors():
            self._connect()

    def __str__(self) -> str:
        return self.path

    def _connect(self) -> None:
        self._synchronous = ""
        if self._inode is None:
            self._inode = _files.inode(self.path)
        self._connection = _schema.connect(
            self.path, apsw.SQLITE_OPEN_READWRITE, self._busy_ms
        )
        try:
            # SQLite reads what it may not write, and would leave a log.
            if self._connection.readonly("main"):
                raise StorePermissionError(
                    "it can't be opened for writing: check its owner and mode",
                    self.path,
                )
            _schema.prepare(
                self._connection, self.path, self._busy_ms, self._transaction
            )
            self._check_in_place()
        except BaseException:
            self._connection.close(True)
            raise

    def _reconnect_if_broken(self, error: BaseException) -> None:
        """Never go on with a connection whose state is in doubt."""
        if not (
            isinstance(error, (apsw.IOError, StoreUncertainError))
            or self._connection.in_transaction
        ):
            return
        try:
            self._connection.close(True)
            self._connect()
        except (apsw.Error, StoreError) as failure:
            self._lost = str(failure)

    def _check_in_place(self) -> None:
        """Refuse to write into a file that nobody else would open."""
        if _files.inode(self.path) != self._inode:
            raise StoreError(
                "its file was removed or replaced while it was open, and "
                "what is written now would be lost: close this session, put "
                "the file back, and open a new one",
                self.path,
            )

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("it is closed", self.path)
        if self._lost:
            raise StoreError(
                f"its connection broke ({self._lost}): close this session "
                "and open a new one",
                self.path,
            )

    def _errors(self) -> _Errors:
        """Errors of SQLite as errors of the store."""
        return _Errors(self)

    def _typed(self, error: apsw.Error) -> StoreError:
        before = error.__context__
        if isinstance(error, apsw.SQLError) and isinstance(before, apsw.Error):
            error = before  # after it there was nothing to roll back
        errno = 0
        connection = getattr(self, "_connection", None)
        if connection is not None and isinstance(error, apsw.IOError):
            try:
                errno = connection.system_errno
            except apsw.Error:  # closed
                errno = 0
        return _schema.typed(
            error, self.path, read_only=self.read_only, errno=errno
        )

    # -- transactions

    def _set_synchronous(self, level: str) -> None:
        if self._synchronous == level:
            return
        self._connection.execute(f"PRAGMA synchronous = {level}")
        number = _schema.value(self._connection, "PRAGMA synchronous")
        if number != {"FULL": 2, "NORMAL": 1}[level]:
            raise StoreError("SQLite refuses to flush its log", self.path)
        self._synchronous = level

    def _begin(self, *, durable: bool, wait: bool = True) -> None:
        self._set_synchronous(self._durable if durable else "NORMAL")
        if wait:
            self._connection.execute("BEGIN IMMEDIATE")
            return
        self._connection.set_busy_timeout(0)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        finally:
            self._connection.set_busy_timeout(self._busy_ms)

    @contextlib.contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[None]:
        """
        One transaction, committed at the end, rolled back on any error.

        Raises:
            StoreUncertainError: The disk failed in the commit.
        """
        try:
            self._begin(durable=durable)
            yield
            self._commit()
        except BaseException:
            self._roll_back()
            raise

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except apsw.IOError as error:
            raise StoreUncertainError(
                f"its disk failed ({error}), and nobody can tell whether the "
                "change is kept: check the disk, then look it up",
                self.path,
            ) from error

    def _roll_back(self) -> None:
        """
        Unless it was: some errors of SQLite do so.  One that fails leaves
        the transaction open.
        """
        with contextlib.suppress(apsw.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    # -- reading

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, self._errors():
            self._check_open()
            yield

    def _rows(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(sql, args)
        with reading(self.path):
            return list(cursor)

    def _one(self, sql: str, *args: Any) -> Any:
        """First column of the first row; None if there is none."""
        rows = self._rows(sql, *args)
        return rows[0][0] if rows else None

    # -- the end

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._connection.close(True)

    def after_fork_in_child(self) -> None:
        """Leave the connection to the parent."""
        self._closed = True
        for each in (self._connection, *self._watches):
            _leak(each)
        # A thread of the parent may have held it.
        self._lock = threading.RLock()


class _Errors(Translating):
    """Raises what SQLite raises as errors of a store."""

    __slots__ = ("_store",)

    def __init__(self, store: SqliteConnection) -> None:
        self._store = store

    def translated(self, error: BaseException) -> StoreError | None:
        if isinstance(error, apsw.Error):
            return self._store._typed(error)
        if isinstance(error, UnicodeEncodeError):
            # Only a caller's text can't be encoded.
            return IdentityConflictError(
                f"{error.object!r} is not valid Unicode: give other text",
                self._store.path,
            )
        return None


def _leak(connection: apsw.Connection) -> None:
    """
    Never close it, not even when the interpreter ends: SQLite in the child
    could take itself for the last user, and remove the parent's log.  Any
    list would be emptied then, and apsw closes all connections when its
    module goes; a reference too many to both is for good.
    """
    import ctypes

    for kept in (connection, apsw):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
