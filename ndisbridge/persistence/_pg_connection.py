# SPDX-License-Identifier: MIT
"""
A PostgreSQL store's connection: transactions, and losing it.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import psycopg
from psycopg import errors as pg
from psycopg import pq

from . import _pg_schema, _pg_url
from ._damage import reading
from ._group import Change, GroupCommit
from ._pg_errors import SilentError, said, typed
from ._pg_link import Connection, connect
from ._rules import Rules
from .errors import (
    IdentityConflictError,
    ServerLostError,
    StoreError,
    StoreUncertainError,
)

_T = TypeVar("_T")

#: Seconds between an attempt to connect that has failed and the next.
_PAUSE = 0.2
#: Seconds that everybody waits for a lock.
_MOMENT = 0.01
#: How many deadlocks one call survives.
_DEADLOCKS = 5


class PostgresqlConnection(Rules, GroupCommit):
    """The connection, made again when it is lost."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self._target = _pg_url.parse(url)
        self.read_only = read_only
        #: The server and the database, without user and password.
        self.path = self._target.name
        #: This host among those that share the store.
        self.host = self._target.host
        self._lock = threading.RLock()
        self._begin_group()
        self._closed = False
        self._connection: Connection | None = None
        #: What the server has warned of.
        self._warning = ""
        #: The thread that has the lock is about something.
        self._is_working = False
        #: Those that are told of changes, beside it.
        self._watches: set[Connection] = set()
        #: Not before is it connected again, after it could not be.
        self._again = 0.0

    def __str__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path} as host {self.host}>"

    # -- having a connection

    def _connect(self) -> str:
        """A new connection to a server that can be trusted."""
        connection = connect(self._target)
        try:
            _pg_schema.check_server(connection, self.path)
            store_id = _pg_schema.prepare(
                connection, self.path, make=not self.read_only
            )
        except BaseException:
            connection.close()
            raise
        connection.add_notice_handler(self._warned)
        self._connection = connection
        return store_id

    def _warned(self, notice: pg.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warning = notice.message_primary or "?"

    def _resume(self) -> None:
        """Make the connection again, and go on with the session."""
        raise NotImplementedError

    @property
    def _db(self) -> Connection:
        if self._connection is None:
            raise ServerLostError("its server is lost: try again", self.path)
        return self._connection

    def _drop(self) -> None:
        """Never go on with a connection whose state is in doubt."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                connection.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("it is closed", self.path)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of PostgreSQL as errors of the store."""
        try:
            yield
        except psycopg.Error as error:
            raise typed(error, self.path) from error
        except UnicodeEncodeError as error:
            # Only a caller's text can't be encoded.
            raise IdentityConflictError(
                f"{error.object!r} is not valid Unicode: give other text",
                self.path,
            ) from error

    # -- doing something with it

    def _do(self, work: Callable[[], _T]) -> _T:
        """
        Do it on a connection that works.  One that has been lost since the
        last time is made again, and the work begun again, once: nothing of
        it has been committed.  So it is, a few times, after a deadlock:
        changes that share a transaction lock pages in any order.
        """
        with self._lock, self._errors(), self._alone():
            fresh = self._connection is None
            deadlocks = 0
            while True:
                try:
                    if self._connection is None:
                        self._reconnect()
                    return work()
                except SilentError:
                    raise
                except pg.DeadlockDetected:
                    deadlocks += 1
                    if deadlocks > _DEADLOCKS or not self._is_sound():
                        raise
                except (psycopg.OperationalError, psycopg.InterfaceError):
                    if self._is_sound() or fresh:
                        raise
                    fresh = True
                finally:
                    if not self._is_sound():
                        self._drop()

    def _reconnect(self) -> None:
        """Of threads that have waited for one attempt, not each tries."""
        if time.monotonic() < self._again:
            raise ServerLostError(
                "its server could not be reached just now: try again",
                self.path,
            )
        try:
            self._resume()
        except BaseException as error:
            self._drop()
            if isinstance(error, ServerLostError):
                self._again = time.monotonic() + _PAUSE
            raise

    def _is_sound(self) -> bool:
        """Whether it is there, and in no transaction."""
        connection = self._connection
        return (
            connection is not None
            and connection.pgconn.status == pq.ConnStatus.OK
            and connection.pgconn.transaction_status
            == pq.TransactionStatus.IDLE
        )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """
        With the lock: refuse who comes from inside of a transaction of this
        very thread, which it would end.
        """
        self._check_open()
        if self._in_transaction():
            if self._is_working:
                raise self._reentered()
            self._drop()  # somebody was interrupted twice
        outer, self._is_working = self._is_working, True
        try:
            yield
        finally:
            self._is_working = outer

    def _in_transaction(self) -> bool:
        """Whether it is in one, sound or failed, and can go back in it."""
        connection = self._connection
        return (
            connection is not None
            and connection.pgconn.status == pq.ConnStatus.OK
            and connection.pgconn.transaction_status
            in {pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR}
        )

    def _lock_timeout(self, since: float = 0.0) -> str:
        """
        How long a lock is waited for by who has waited since a time; by
        everybody for a moment.
        """
        left = self._db.lock_timeout
        if left == math.inf:
            return "0"
        if since:
            left = max(_MOMENT, left + since - time.monotonic())
        return f"{math.ceil(left * 1000)}ms"

    def _try(self, changes: list[Change]) -> Exception | None:
        # All wait while one of them waits for a lock.
        left = self._lock_timeout(min(each.since for each in changes))
        self._run(f"SAVEPOINT change; SET LOCAL lock_timeout = '{left}'")
        failure = None
        try:
            with self._errors(), self._keeping():
                changes[0].run([each.part for each in changes])
        except Exception as error:
            if not self._in_transaction() or isinstance(
                error.__cause__, pg.DeadlockDetected
            ):
                # The server is lost, or the whole transaction must let go
                # of what it has locked: that is for whoever leads.
                raise (error.__cause__ or error) from None
            self._run("ROLLBACK TO change")
            failure = error
        left = self._lock_timeout()
        self._run(f"RELEASE change; SET LOCAL lock_timeout = '{left}'")
        return failure

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """What is known of the transaction is, on an error, as before."""
        yield

    def _reading(self, work: Callable[[], _T]) -> _T:
        """Something that reads only."""
        return self._do(work)

    @contextlib.contextmanager
    def _transaction(self, begin: Callable[[], None]) -> Iterator[None]:
        """
        What ``begin`` has begun, committed at the end, rolled back on any
        error.

        Raises:
            StoreUncertainError: The connection was lost in the commit.
        """
        try:
            begin()
            yield
        except BaseException:
            self._roll_back()
            raise
        self._commit()

    def _commit(self) -> None:
        self._warning = ""
        try:
            self._db.execute("COMMIT")
        except BaseException as error:
            if isinstance(error, psycopg.Error) and self._is_sound():
                raise  # the server has refused it
            # Interrupted, it may be committed: what the session does not
            # know of is given back with the next connection.
            self._drop()
            if not isinstance(error, psycopg.Error):
                raise
            raise StoreUncertainError(
                f"its server was lost in a commit ({said(error)}), and nobody "
                "can tell whether the change is kept: look it up",
                self.path,
            ) from error
        self._refuse_warning()

    def _refuse_warning(self) -> None:
        """Somebody has ended the wait for a synchronous replica."""
        if self._warning:
            self._drop()
            raise StoreUncertainError(
                f"its server has committed and warns ({self._warning}): a "
                "replica that takes over may not have the change",
                self.path,
            )

    def _roll_back(self) -> None:
        connection = self._connection
        if connection is None or self._is_sound():
            return
        try:
            connection.execute("ROLLBACK")
        except (psycopg.Error, OSError):
            self._drop()

    @contextlib.contextmanager
    def _one_trip(self) -> Iterator[Connection]:
        """
        What is executed goes to the server at once, and is answered at the
        end.  An error waits until then too: psycopg would say on stderr
        what else it meets when the connection is lost.
        """
        failure: psycopg.Error | None = None
        handled = sys.exc_info()[1]  # by whoever calls
        try:
            with self._db.pipeline():
                try:
                    yield self._db
                except psycopg.Error as error:
                    failure = error
        except psycopg.errors.PipelineAborted as error:
            # It follows from what has failed before.
            failure = failure or error
        except psycopg.Error as error:
            interrupt = error.__context__
            if interrupt is handled or isinstance(
                interrupt, (Exception, type(None))
            ):
                raise
            # Interrupted, psycopg fails to leave the pipeline, and says so.
            self._drop()
            raise interrupt from None
        if failure is not None:
            raise failure

    @contextlib.contextmanager
    def _patiently(self) -> Iterator[None]:
        """In a transaction: statements may take as long as they take."""
        db = self._db
        patience = db.patience
        ((timeout, _),) = self._rows(
            "SELECT current_setting('statement_timeout'), "
            "set_config('statement_timeout', '0', true)"
        )
        try:
            db.patience = math.inf
            yield
        finally:
            db.patience = patience
        # After an error the transaction goes, and this with it.
        self._run("SELECT set_config('statement_timeout', %s, true)", timeout)

    # -- reading

    def _rows(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        """SQL of our own words only; args are what a user gives."""
        cursor = self._db.execute(sql.encode(), args or None)
        with reading(self.path):
            return cursor.fetchall()

    def _run(self, sql: str, *args: Any) -> None:
        self._db.execute(sql.encode(), args or None)

    # -- the end

    def close(self) -> None:
        """Let go of the server."""
        with self._lock:
            self._closed = True
            self._drop()

    def after_fork_in_child(self) -> None:
        """
        Leave the connection to the parent: saying good-bye would end the
        parent's.  Its descriptor is let go of, so that the server sees it
        when the parent ends.
        """
        self._closed = True
        # A thread of the parent may have held it.
        self._lock = threading.RLock()
        self._is_working = False
        self._begin_group()
        connection, self._connection = self._connection, None
        for each in (connection, *self._watches):
            if each is not None:
                _leave(each)
        self._watches.clear()


def _leave(connection: Connection) -> None:
    # Never deleted: psycopg would take it for forgotten.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
    with contextlib.suppress(psycopg.Error, OSError):
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(nothing, connection.pgconn.socket, inheritable=False)
        os.close(nothing)
