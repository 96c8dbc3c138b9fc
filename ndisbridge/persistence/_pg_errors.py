# SPDX-License-Identifier: MIT
"""
What PostgreSQL and the way to it say, as errors of a store.
"""

from __future__ import annotations

from psycopg import errors as pg

from .errors import (
    IdentityConflictError,
    LeaseLostError,
    ServerLostError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreNotFoundError,
    StorePermissionError,
)


class SilentError(pg.OperationalError):
    """The server has not answered in time; the connection is given up."""


_BUSY = (
    pg.LockNotAvailable,
    pg.QueryCanceled,
    pg.DeadlockDetected,
    pg.SerializationFailure,
    pg.TooManyConnections,
)
_REFUSED = (
    pg.InsufficientPrivilege,
    pg.InvalidPassword,
    pg.InvalidAuthorizationSpecification,
)
_DAMAGED = (
    pg.UndefinedTable,
    pg.UndefinedColumn,
    pg.InvalidSchemaName,
    pg.CheckViolation,
    pg.NotNullViolation,
    pg.DataCorrupted,
    pg.IndexCorrupted,
)

#: What is said about a connection that is refused has no code in libpq, only
#: words; where the server speaks another language it stays general.
_WORDS: tuple[tuple[str, type[StoreError], str], ...] = (
    ("too many", StoreBusyError, "try again, or allow more connections"),
    ("remaining connection slots", StoreBusyError, "try again"),
    ("starting up", StoreBusyError, "try again"),
    ("shutting down", StoreBusyError, "try again"),
    ("recovery", StoreBusyError, "try again"),
    ("read-only", StorePermissionError, "give the primary server"),
    ("read only", StorePermissionError, "give the primary server"),
    ("authentication failed", StorePermissionError, "check user and password"),
    ("no password supplied", StorePermissionError, "give a password"),
    ("no pg_hba.conf entry", StorePermissionError, "allow it in pg_hba.conf"),
    ("permission denied", StorePermissionError, "grant it CONNECT"),
    ("role ", StorePermissionError, "create the role"),
    ("database ", StoreNotFoundError, "create the database"),
)


def said(error: BaseException) -> str:
    """What the server says, on one line; never what was sent to it."""
    if isinstance(error, pg.Error):
        diag = error.diag.message_primary
        if diag:
            return diag
    return " ".join(str(error).split())


def typed(error: pg.Error, store: str) -> StoreError:
    """The error of a store for one of PostgreSQL's."""
    text = said(error)
    found: StoreError
    if isinstance(error, _BUSY):
        found = StoreBusyError(
            f"another session keeps it busy ({text}): try again", store
        )
    elif isinstance(error, (pg.DiskFull, pg.OutOfMemory)):
        found = StoreFullError(f"the server has no room left ({text})", store)
    elif isinstance(error, _REFUSED):
        found = StorePermissionError(
            f"the server refuses ({text}): see docs/postgresql.md for what "
            "its role must be granted",
            store,
        )
    elif isinstance(error, pg.ReadOnlySqlTransaction):
        found = StorePermissionError(
            f"the server only reads ({text}): give the primary server", store
        )
    elif isinstance(error, pg.ForeignKeyViolation):
        found = LeaseLostError(
            "this session was ended, its leases are void: open a new one",
            store,
        )
    elif isinstance(error, pg.UniqueViolation):
        found = IdentityConflictError(
            f"an identity is there already ({text})", store
        )
    elif isinstance(error, _DAMAGED):
        found = StoreCorruptError(
            f"its tables are damaged, or not those of a store ({text})", store
        )
    elif isinstance(error, (pg.DataError, pg.ProgramLimitExceeded)):
        found = IdentityConflictError(
            f"what was given can't be stored ({text}): give other text", store
        )
    elif isinstance(error, (pg.OperationalError, pg.InterfaceError)):
        found = ServerLostError(
            f"its server is lost ({text}): try again when it is back", store
        )
    else:
        found = StoreError(f"{type(error).__name__}: {text}", store)
    return found


def refused(error: pg.Error, store: str) -> StoreError:
    """The error of a store for a connection that can't be had."""
    if error.sqlstate:
        return typed(error, store)
    text = said(error)
    # Without "FATAL:" it is libpq's own, or the way to the server's.
    _, fatal, words = text.partition("FATAL:")
    if not fatal and "session is read-only" in text:
        words = text
    for part, kind, cure in _WORDS:
        if part in words:
            return kind(f"the server refuses ({text}): {cure}", store)
    return ServerLostError(f"its server can't be reached ({text})", store)
