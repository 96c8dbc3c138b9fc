# SPDX-License-Identifier: MIT
"""
The tables of a SQLite store, and opening a connection that can be trusted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from errno import EDQUOT, ENOSPC
from typing import Any

import apsw

from ._damage import reading
from .errors import (
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StorePermissionError,
    StoreVersionError,
)

#: "ndib": marks the file as a store of ndisbridge.
APPLICATION_ID = 0x6E646962
VERSION = 1

_TABLES = {
    # Sessions that have the store open, or died with it open.
    "sessions": """CREATE TABLE sessions(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pid INTEGER NOT NULL,
    program TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    started INTEGER NOT NULL) STRICT""",
    # Blocks that a session may allocate in; id = if_type * 4096 + block.
    "leases": """CREATE TABLE leases(
    id INTEGER PRIMARY KEY CHECK(id BETWEEN 0 AND 268435455),
    session INTEGER NOT NULL) STRICT""",
    # Retained indexes of a block; id as above.
    "pages": """CREATE TABLE pages(
    id INTEGER PRIMARY KEY CHECK(id BETWEEN 0 AND 268435455),
    retained INTEGER NOT NULL CHECK(retained BETWEEN 1 AND 4096),
    bits BLOB NOT NULL CHECK(length(bits) = 512),
    checksum INTEGER NOT NULL) STRICT""",
    # net_luid as a signed number; owner: session of a non-persistent one.
    "identities": """CREATE TABLE identities(
    net_luid INTEGER PRIMARY KEY,
    compartment TEXT NOT NULL,
    provider TEXT NOT NULL,
    key TEXT NOT NULL,
    guid BLOB NOT NULL UNIQUE CHECK(length(guid) = 16),
    owner INTEGER,
    if_index INTEGER NOT NULL CHECK(if_index BETWEEN 0 AND 2147483647),
    if_index_owned INTEGER NOT NULL CHECK(if_index_owned IN (0, 1)),
    alias TEXT NOT NULL,
    attributes TEXT NOT NULL,
    created INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE(compartment, provider, key)) STRICT""",
    # Who has a retained NET_LUID registered.
    "in_use": """CREATE TABLE in_use(
    net_luid INTEGER PRIMARY KEY,
    session INTEGER NOT NULL) STRICT""",
    # Counts, and sums modulo 2^64 of the checksums.
    "root": """CREATE TABLE root(
    id INTEGER PRIMARY KEY CHECK(id = 1),
    identities INTEGER NOT NULL,
    identity_sum INTEGER NOT NULL,
    pages INTEGER NOT NULL,
    page_sum INTEGER NOT NULL) STRICT""",
}
_INDEXES = {
    "leases_session": "CREATE INDEX leases_session ON leases(session)",
    "in_use_session": "CREATE INDEX in_use_session ON in_use(session)",
    "identities_owner": """CREATE INDEX identities_owner
    ON identities(owner) WHERE owner IS NOT NULL""",
    "identities_if_index": """CREATE UNIQUE INDEX identities_if_index
    ON identities(if_index) WHERE if_index_owned = 1""",
}


#: Failures to make the readers' file larger: there is no room for it.
_NO_ROOM = {apsw.SQLITE_IOERR_SHMSIZE, apsw.SQLITE_IOERR_SHMOPEN}


def typed(
    error: apsw.Error, path: str, *, read_only: bool = False, errno: int = 0
) -> StoreError:
    """The error of a store for one of SQLite."""
    text = str(error)
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return StoreBusyError("another process keeps it busy: try again", path)
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return StoreCorruptError(
            f"it is damaged or not a store ({text}): keep the file, and "
            "restore a backup",
            path,
        )
    if (
        isinstance(error, apsw.FullError)
        or getattr(error, "extendedresult", 0) in _NO_ROOM
        or (isinstance(error, apsw.IOError) and errno in {ENOSPC, EDQUOT})
    ):
        return StoreFullError(
            "there is no room left on its disk: make some", path
        )
    if isinstance(
        error, (apsw.ReadOnlyError, apsw.PermissionsError, apsw.CantOpenError)
    ):
        what = "read" if read_only else "opened for writing"
        return StorePermissionError(
            f"it can't be {what} ({text}): check its owner and mode", path
        )
    return StoreError(f"{type(error).__name__}: {text}", path)


def check_library(version: str, path: str) -> None:
    """
    Refuse to write with a SQLite that can damage a store.

    Raises:
        StoreError: It has the WAL-reset race, fixed in 3.51.3 and, for
            those who stay behind, in 3.50.7 and 3.44.6.
    """
    number = tuple(map(int, version.split(".")))[:3]
    fixed = (
        number >= (3, 51, 3)
        or (3, 50, 7) <= number < (3, 51)
        or (3, 44, 6) <= number < (3, 45)
    )
    if not fixed:
        raise StoreError(
            f"SQLite {version} can lose what several processes write at once:"
            " upgrade apsw (pip install -U 'apsw>=3.52')",
            path,
        )


def connect(path: str, flags: int, timeout_ms: int) -> apsw.Connection:
    """A connection with the defences against a hostile file."""
    connection = apsw.Connection(path, flags=flags)
    try:
        _defend(connection, timeout_ms)
    except BaseException:
        connection.close(True)
        raise
    return connection


def _defend(connection: apsw.Connection, timeout_ms: int) -> None:
    connection.set_busy_timeout(timeout_ms)
    for option, value in (
        (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
        (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
        (apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0),
        (apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0),
        (apsw.SQLITE_DBCONFIG_DQS_DML, 0),
        (apsw.SQLITE_DBCONFIG_DQS_DDL, 0),
    ):
        connection.config(option, value)
    connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)
    connection.limit(apsw.SQLITE_LIMIT_SQL_LENGTH, 100_000)
    connection.limit(apsw.SQLITE_LIMIT_EXPR_DEPTH, 20)
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")
    connection.execute("PRAGMA temp_store = MEMORY")


def value(connection: apsw.Connection, sql: str, *args: Any) -> Any:
    """First column of the first row; None if there is none."""
    row = connection.execute(sql, args).fetchone()
    return None if row is None else row[0]


def check(connection: apsw.Connection, path: str) -> bool:
    """
    Whether the file has the schema; False if it is empty.

    Raises:
        StoreVersionError: A newer one.
        StoreCorruptError: Another one.
    """
    # One snapshot: another process may be making the tables.
    with connection:
        application = value(connection, "PRAGMA application_id")
        version = value(connection, "PRAGMA user_version")
        schema = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE "
            "'sqlite\\_%' ESCAPE '\\'"
        )
        with reading(path):
            found = dict(schema)
    if not found and application == 0 and version == 0:
        return False
    if application != APPLICATION_ID:
        raise StoreCorruptError(
            "it is a database, but no store of ndisbridge: give another path",
            path,
        )
    if version > VERSION:
        raise StoreVersionError(
            f"it has format {version}, made by a newer ndisbridge; this one "
            f"knows up to {VERSION}: upgrade ndisbridge",
            path,
        )
    if version != VERSION or found != {**_TABLES, **_INDEXES}:
        raise StoreCorruptError(
            "its tables are not those of a store: keep the file, and "
            "restore a backup",
            path,
        )
    return True


def create(connection: apsw.Connection) -> None:
    """Make the tables, inside a transaction of the caller."""
    for sql in (*_TABLES.values(), *_INDEXES.values()):
        connection.execute(sql)
    connection.execute("INSERT INTO root VALUES(1, 0, 0, 0, 0)")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _write_ahead(connection: apsw.Connection, timeout_ms: int) -> str:
    """
    The journal mode that asking for write-ahead logging gives.

    Two that make a file's first change of mode at once are refused without
    a call of SQLite's busy handler, as each reads what the other would
    write; one of them succeeds if both try again.
    """
    deadline = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            return str(value(connection, "PRAGMA journal_mode = WAL"))
        except apsw.BusyError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.002)


def prepare(
    connection: apsw.Connection,
    path: str,
    timeout_ms: int,
    transaction: Callable[[], Any],
) -> None:
    """
    Bring a connection for writing, and its file, into shape; another process
    that does the same is waited for.
    """
    journal = _write_ahead(connection, timeout_ms)
    if journal != "wal":
        raise StoreError(
            f"SQLite refuses write-ahead logging there ({journal})", path
        )
    if not check(connection, path):
        with transaction():
            # Another process may have been first.
            if not check(connection, path):
                create(connection)
