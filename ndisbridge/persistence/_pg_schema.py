# SPDX-License-Identifier: MIT
"""
The tables of a PostgreSQL store, and making them.

Every name is written here; none is ever put together from what a user gives.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import errors as pg

from ._pg_errors import said
from .errors import (
    StoreCorruptError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreVersionError,
)

Connection = psycopg.Connection[tuple[Any, ...]]

VERSION = 1
#: Oldest server with all that is used here.
_SERVER = 130000

#: Numbers of advisory locks; "ndib" and what follows it.
LOCK_SCHEMA = 0x6E646962
LOCK_IF_TYPE = 0x6E646963
#: A session's own, held by its connection: this plus its id.
LOCK_SESSION = 0x6E64696400000000

#: The text is compared by bytes: an index does not break when the server's
#: locale changes its mind.
_TEXT = 'text COLLATE "C" NOT NULL'

_TABLES = (
    # One row; uuid: this store, whatever URL it has.
    """CREATE TABLE ndisbridge.meta(
    id integer PRIMARY KEY CHECK(id = 1),
    version integer NOT NULL,
    store uuid NOT NULL)""",
    # Who shares the store, each with its share of the root: what it has
    # added to the counts, and to the sums of checksums modulo 2^64.
    f"""CREATE TABLE ndisbridge.hosts(
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY CHECK(id > 0),
    name {_TEXT} CONSTRAINT hosts_name UNIQUE CHECK(name <> ''),
    identities bigint NOT NULL DEFAULT 0,
    identity_sum bigint NOT NULL DEFAULT 0,
    pages bigint NOT NULL DEFAULT 0,
    page_sum bigint NOT NULL DEFAULT 0)""",
    # life: the lock file that tells whether it lives.
    f"""CREATE TABLE ndisbridge.sessions(
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY CHECK(id > 0),
    host bigint NOT NULL REFERENCES ndisbridge.hosts,
    pid bigint NOT NULL,
    program {_TEXT},
    boot_id {_TEXT},
    started bigint NOT NULL,
    life {_TEXT})""",
    # Blocks; id = if_type * 4096 + block.  NET_LUIDs are one space for all
    # hosts (scope 0), ifIndexes one for each (scope: the host).
    """CREATE TABLE ndisbridge.leases(
    scope bigint NOT NULL,
    id integer NOT NULL CHECK(id BETWEEN 0 AND 268435455),
    session bigint NOT NULL REFERENCES ndisbridge.sessions ON DELETE CASCADE,
    CONSTRAINT leases_block PRIMARY KEY(scope, id),
    CHECK((id < 4096) = (scope <> 0)))""",
    """CREATE TABLE ndisbridge.pages(
    scope bigint NOT NULL,
    id integer NOT NULL CHECK(id BETWEEN 0 AND 268435455),
    retained integer NOT NULL CHECK(retained BETWEEN 1 AND 4096),
    bits bytea NOT NULL CHECK(length(bits) = 512),
    checksum bigint NOT NULL,
    CONSTRAINT pages_block PRIMARY KEY(scope, id),
    CHECK((id < 4096) = (scope <> 0)))""",
    # net_luid as a signed number; owner: session of a non-persistent one.
    f"""CREATE TABLE ndisbridge.identities(
    net_luid bigint CONSTRAINT identities_net_luid PRIMARY KEY,
    compartment {_TEXT},
    provider {_TEXT},
    key {_TEXT},
    guid bytea NOT NULL CONSTRAINT identities_guid UNIQUE
        CHECK(length(guid) = 16),
    owner bigint REFERENCES ndisbridge.sessions,
    if_index integer NOT NULL CHECK(if_index >= 0),
    if_index_owned integer NOT NULL CHECK(if_index_owned IN (0, 1)),
    alias {_TEXT},
    attributes {_TEXT},
    created bigint NOT NULL,
    checksum bigint NOT NULL,
    host bigint NOT NULL REFERENCES ndisbridge.hosts,
    CONSTRAINT identities_key UNIQUE(host, compartment, provider, key))""",
    """CREATE TABLE ndisbridge.in_use(
    net_luid bigint CONSTRAINT in_use_net_luid PRIMARY KEY,
    session bigint NOT NULL REFERENCES ndisbridge.sessions
        ON DELETE CASCADE)""",
    "CREATE INDEX sessions_host ON ndisbridge.sessions(host)",
    "CREATE INDEX leases_session ON ndisbridge.leases(session)",
    "CREATE INDEX in_use_session ON ndisbridge.in_use(session)",
    """CREATE INDEX identities_owner ON ndisbridge.identities(owner)
    WHERE owner IS NOT NULL""",
    """CREATE UNIQUE INDEX identities_if_index
    ON ndisbridge.identities(host, if_index) WHERE if_index_owned = 1""",
    "INSERT INTO ndisbridge.meta VALUES(1, 1, gen_random_uuid())",
)
#: What brings a store of one version to the next.
_UPGRADES: dict[int, tuple[str, ...]] = {}

#: The unique indexes that no two holders of one thing get past: name, table,
#: columns, and of which rows.
UNIQUE = frozenset(
    [
        ("hosts_name", "hosts", "name", ""),
        ("leases_block", "leases", "scope, id", ""),
        ("pages_block", "pages", "scope, id", ""),
        ("identities_net_luid", "identities", "net_luid", ""),
        ("identities_guid", "identities", "guid", ""),
        (
            "identities_key",
            "identities",
            "host, compartment, provider, key",
            "",
        ),
        (
            "identities_if_index",
            "identities",
            "host, if_index",
            "(if_index_owned = 1)",
        ),
        ("in_use_net_luid", "in_use", "net_luid", ""),
    ]
)
#: The references: table, what it refers to, and what goes with that.
REFERENCES = frozenset(
    [
        ("sessions", "hosts", "a"),
        ("leases", "sessions", "c"),
        ("identities", "sessions", "a"),
        ("identities", "hosts", "a"),
        ("in_use", "sessions", "c"),
    ]
)
#: Somebody's additions, with which rows are not what they are written as.
_FOREIGN = (
    (
        "a trigger",
        "SELECT t.tgname FROM pg_trigger AS t JOIN pg_class AS c "
        "ON c.oid = t.tgrelid WHERE c.relnamespace = "
        "'ndisbridge'::regnamespace AND (NOT t.tgisinternal "
        "OR t.tgenabled <> 'O') LIMIT 1",
    ),
    (
        "a rule",
        "SELECT r.rulename FROM pg_rewrite AS r JOIN pg_class AS c "
        "ON c.oid = r.ev_class WHERE c.relnamespace = "
        "'ndisbridge'::regnamespace AND c.relkind <> 'v' LIMIT 1",
    ),
    (
        "row security, or no log,",
        "SELECT relname FROM pg_class WHERE relnamespace = "
        "'ndisbridge'::regnamespace AND relkind = 'r' AND "
        "(relrowsecurity OR relpersistence <> 'p') LIMIT 1",
    ),
)


def check_server(connection: Connection, store: str) -> None:
    """
    Refuse a server that forgets what it has acknowledged.

    Raises:
        StoreError: The message names the setting.
    """
    if connection.info.server_version < _SERVER:
        raise StoreError(
            f"its server is too old ({connection.info.server_version}): "
            "upgrade it to PostgreSQL 13 or newer",
            store,
        )
    row = connection.execute(
        "SELECT current_setting('fsync'), current_setting("
        "'full_page_writes'), current_setting('synchronous_commit'), "
        "current_setting('server_encoding'), "
        "current_setting('session_replication_role')"
    ).fetchone()
    assert row is not None
    fsync, full_pages, commit, encoding, replication = row
    for name, setting, allowed in (
        ("fsync", fsync, {"on"}),
        ("full_page_writes", full_pages, {"on"}),
        ("synchronous_commit", commit, {"on", "remote_apply"}),
    ):
        if setting not in allowed:
            raise StoreError(
                f"its server has {name} = {setting}, and would lose "
                f"identities in a power cut: set it to on",
                store,
            )
    if replication != "origin":
        raise StoreError(
            f"its server has session_replication_role = {replication}, with "
            "which references are not enforced: set it to origin",
            store,
        )
    if encoding != "UTF8":
        raise StoreError(
            f"its encoding is {encoding}: create the database with "
            "ENCODING 'UTF8' TEMPLATE template0",
            store,
        )


def prepare(connection: Connection, store: str, *, make: bool) -> str:
    """
    Look the tables over.

    Args:
        connection: To the server.
        store: What it is called in messages.
        make: Make or upgrade them, if they are not there.

    Returns:
        The store's own id.

    Raises:
        StoreNotFoundError: There are none, and none are to be made.
        StoreError: They are not those of a store, or can't be made.
    """
    found = _version(connection, store)
    if found is None or found[0] < VERSION:
        if not make:
            raise _absent(connection, store, found)
        found = _make(connection, store)
    _check_tables(connection, store)
    return found[1]


def _absent(
    connection: Connection, store: str, found: tuple[int, str] | None
) -> StoreError:
    cure = "`ndisbridge store create` as the owner of its tables"
    if found is not None:
        return StoreVersionError(
            f"it has format {found[0]}, made by an older ndisbridge: {cure} "
            f"brings it to {VERSION}",
            store,
        )
    return StoreNotFoundError(
        f"there is no store in the database {connection.info.dbname!r} of "
        f"this server: check its name in the URL, or make one by {cure}",
        store,
    )


def _version(connection: Connection, store: str) -> tuple[int, str] | None:
    # Not to_regclass(): what it has not found it remembers for as long as a
    # transaction waits for the lock.
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n "
        "ON n.oid = c.relnamespace WHERE n.nspname = 'ndisbridge' AND "
        "c.relname = 'meta')"
    ).fetchone()
    if row is None or not row[0]:
        return None
    row = connection.execute(
        "SELECT version, store::text FROM ndisbridge.meta"
    ).fetchone()
    if row is None:
        raise StoreCorruptError("its table meta is empty", store)
    if row[0] > VERSION:
        raise StoreVersionError(
            f"it has format {row[0]}, made by a newer ndisbridge; this one "
            f"knows up to {VERSION}: upgrade ndisbridge",
            store,
        )
    return row[0], row[1]


def _make(connection: Connection, store: str) -> tuple[int, str]:
    """One of all that begin at once makes the tables; the others wait."""
    try:
        with connection.transaction():
            # A first start of many hosts may take longer than a lock may.
            connection.execute("SET LOCAL lock_timeout = '30s'")
            connection.execute("SET LOCAL statement_timeout = '60s'")
            connection.execute(
                "SELECT pg_advisory_xact_lock(%s, 0)", (LOCK_SCHEMA,)
            )
            found = _version(connection, store)
            if found is None:
                connection.execute("CREATE SCHEMA IF NOT EXISTS ndisbridge")
                for sql in _TABLES:
                    connection.execute(sql)
            else:
                for version in range(found[0], VERSION):
                    for sql in _UPGRADES[version]:
                        connection.execute(sql)
                connection.execute(
                    "UPDATE ndisbridge.meta SET version = %s", (VERSION,)
                )
    except pg.InsufficientPrivilege as error:
        raise StorePermissionError(
            f"this role may not make its tables ({said(error)}): open it "
            "once as their owner, see docs/postgresql.md",
            store,
        ) from error
    found = _version(connection, store)
    assert found is not None
    return found


def missing_constraints(connection: Connection) -> list[str]:
    """Unique indexes and references that are gone, not valid, or others."""
    indexes = connection.execute(
        "SELECT c.relname, t.relname, (SELECT string_agg(a.attname, ', ' "
        "ORDER BY k.place) FROM unnest(i.indkey::int2[]) WITH ORDINALITY "
        "AS k(attribute, place) JOIN pg_attribute AS a ON a.attrelid = "
        "i.indrelid AND a.attnum = k.attribute), "
        "coalesce(pg_get_expr(i.indpred, i.indrelid), '') "
        "FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid "
        "JOIN pg_class AS t ON t.oid = i.indrelid WHERE c.relnamespace = "
        "'ndisbridge'::regnamespace AND i.indisunique AND i.indisvalid "
        "AND i.indislive AND i.indimmediate"
    ).fetchall()
    references = connection.execute(
        "SELECT c.relname, t.relname, f.confdeltype::text "
        "FROM pg_constraint AS f JOIN pg_class AS c ON c.oid = f.conrelid "
        "JOIN pg_class AS t ON t.oid = f.confrelid WHERE f.contype = 'f' "
        "AND f.convalidated AND NOT f.condeferrable AND c.relnamespace = "
        "'ndisbridge'::regnamespace AND t.relnamespace = c.relnamespace"
    ).fetchall()
    return sorted(
        [each[0] for each in UNIQUE.difference(indexes)]
        + [
            f"{table} -> {to}"
            for table, to, _ in REFERENCES.difference(references)
        ]
    )


def _check_tables(connection: Connection, store: str) -> None:
    missing = missing_constraints(connection)
    if missing:
        raise StoreCorruptError(
            f"its constraints are not those of a store, {', '.join(missing)} "
            "is missing: restore a backup",
            store,
        )
    for what, sql in _FOREIGN:
        row = connection.execute(sql.encode()).fetchone()
        if row is not None:
            raise StoreCorruptError(
                f"somebody has put {what} on its tables ({row[0]}): drop it",
                store,
            )
