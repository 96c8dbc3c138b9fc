# SPDX-License-Identifier: MIT
"""
Which store the command means: a path, or the URL of a server.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

import click

from ..persistence import (
    IdentityRecord,
    Problem,
    Store,
    StoreCorruptError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreStats,
    open_store,
)
from ..persistence._backup import file_mode
from ..persistence._mending import Repaired
from ..persistence._transfer import Transferable
from ..persistence.sqlite import SqliteStore
from ..session import Session

SYSTEM_STORE = "/var/lib/ndisbridge/ndis.db"
_POSTGRESQL = ("postgresql://", "postgres://")


def own_store() -> str:
    """The store that this user writes by default."""
    if os.geteuid() == 0:
        return SYSTEM_STORE
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser(
        "~/.local/state"
    )
    return str(Path(state) / "ndisbridge" / "ndis.db")


def store_to_read(given: str | None) -> str:
    """The store to show: the user's own, or the system's without one."""
    if given is not None:
        return given
    own = own_store()
    if not os.path.exists(own) and os.access(SYSTEM_STORE, os.R_OK):
        return SYSTEM_STORE
    return own


def refuse_absent(path: str) -> None:
    """For commands that don't make a store: refuse where there is none."""
    if is_url(path):
        return  # a server says so itself
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise StoreNotFoundError(
            "there is no such store yet: `ndisbridge adopt` makes it", path
        ) from None
    except OSError as error:
        raise StorePermissionError(
            f"it can't be read: {error.strerror}", path
        ) from error
    if stat.S_ISREG(found.st_mode) and not found.st_size:
        raise StoreNotFoundError(
            "it is empty, no store yet: `ndisbridge adopt` makes it", path
        )


def open_session(given: str | None) -> Session:
    """A session on the store to write."""
    return Session(_store_to_write(given))


def _store_to_write(given: str | None) -> str:
    if given is not None:
        return given
    path = own_store()
    os.makedirs(os.path.dirname(os.path.dirname(path)), exist_ok=True)
    return path


# -- reading


class WholeStore(Store, Protocol):
    """A store that can be looked after too."""

    def identities(
        self, compartment: str | None = None, provider: str | None = None
    ) -> list[IdentityRecord]: ...

    def check(self) -> list[Problem]: ...

    def stats(self) -> StoreStats: ...


def is_url(given: str) -> bool:
    """Whether it names a server; it is no path then, for anything."""
    return "://" in given


def _open_url(url: str) -> WholeStore:
    """A live store: a server shows everybody the same anyway."""
    if url.startswith(_POSTGRESQL):
        _import_psycopg()
        from ..persistence.postgresql import PostgresqlStore

        # Without a session, and without making a store of what is none.
        return PostgresqlStore(url, read_only=True)
    store = open_store(url)
    if not (hasattr(store, "check") and hasattr(store, "stats")):
        store.close()
        raise StoreError("the command can't look after it", str(store))
    return cast(WholeStore, store)


def read_store(given: str | None) -> WholeStore:
    """A snapshot of the store to show; of a server the store itself."""
    path = store_to_read(given)
    if is_url(path):
        return _open_url(path)
    refuse_absent(path)
    return SqliteStore(path, read_only=True)


def examine_store(given: str | None) -> tuple[str, list[Problem], int]:
    """A store, what is wrong with it, how many identities it has."""
    try:
        with store_to_look_after(given) as source:
            problems = source.check()
            # Of a damaged one nobody knows.
            count = 0 if problems else source.stats().identities
            return str(source), problems, count
    except StoreCorruptError:
        path = store_to_read(given)
        if is_url(path):
            raise
        # Too damaged for a session: what can be read says where.
        problems = SqliteStore.check_snapshot(path)
        if not problems:
            raise
        return path, problems, 0


@contextlib.contextmanager
def store_to_look_after(given: str | None) -> Iterator[WholeStore]:
    """The store itself if it may be written, else a snapshot of it."""
    path = store_to_read(given)
    if is_url(path):
        with contextlib.closing(_open_url(path)) as server:
            yield server
        return
    refuse_absent(path)
    try:
        source = SqliteStore(path)
    except StorePermissionError:
        source = SqliteStore(path, read_only=True)
    with contextlib.closing(source):
        yield source


# -- tools


def create_store(given: str | None) -> str:
    """Make a store, or bring it to this version; what it is called."""
    path = _store_to_write(given)
    if path.startswith(_POSTGRESQL):
        _import_psycopg()
        from ..persistence.postgresql import PostgresqlStore

        return PostgresqlStore.create(path)
    with contextlib.closing(open_store(path)) as store:
        return str(store)


def path_of_store(given: str | None, instead: str = "") -> str:
    """
    The path of the store to read.

    Args:
        given: What the user says.
        instead: What to use where the store has none; "": it is named.
    """
    path = store_to_read(given)
    if is_url(path):
        raise click.UsageError(
            f"this is for stores that are a file: {instead}"
        )
    refuse_absent(path)
    return path


def repair_store(given: str | None) -> tuple[str, Repaired]:
    """Repair a store: its path, and what was done."""
    path = store_to_read(given)
    if path.startswith(_POSTGRESQL):
        _import_psycopg()
        from ..persistence.postgresql import PostgresqlStore

        return PostgresqlStore.name_of(path), PostgresqlStore.repair(path)
    path = path_of_store(given, "use the tools of the server")
    try:
        return path, SqliteStore.repair(path)
    except StoreCorruptError:
        problems = SqliteStore.check_snapshot(path)
        if not problems:
            raise
        return path, Repaired((), tuple(problems), "")


@contextlib.contextmanager
def store_to_export(given: str | None) -> Iterator[Transferable]:
    """A store to read everything of."""
    path = store_to_read(given)
    if is_url(path):
        with _server_to_transfer(path, read_only=True) as server:
            yield server
    else:
        with store_to_look_after(given) as source:
            yield cast(SqliteStore, source)


@contextlib.contextmanager
def store_to_import(given: str | None) -> Iterator[Transferable]:
    """The store to add to, made if it is not there."""
    path = _store_to_write(given)
    if is_url(path):
        with _server_to_transfer(path) as server:
            yield server
    else:
        with contextlib.closing(SqliteStore(path)) as target:
            yield target


@contextlib.contextmanager
def _server_to_transfer(
    url: str, *, read_only: bool = False
) -> Iterator[Transferable]:
    if not url.startswith(_POSTGRESQL):
        # Maybe not even known; but it can't be in here.
        with contextlib.closing(open_store(url)) as store:
            raise StoreError(
                "it can be neither exported nor imported", str(store)
            )
    _import_psycopg()
    from ..persistence._pg_contents import PostgresqlContents

    with contextlib.closing(
        PostgresqlContents(url, read_only=read_only)
    ) as server:
        yield server


def _import_psycopg() -> None:
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise StoreError(
            "PostgreSQL needs psycopg: pip install 'ndisbridge[postgresql]'"
        ) from error


def export_mode(given: str | None) -> int:
    """Who may read an export: who may read the store."""
    path = store_to_read(given)
    return 0o600 if is_url(path) else file_mode(path)


def evict_host(given: str | None, host: str) -> int:
    """Let a PostgreSQL store take a host for gone: how many sessions ended."""
    url = own_store() if given is None else given
    if not url.startswith(_POSTGRESQL):
        raise click.UsageError(
            "only a PostgreSQL store has hosts to evict: sessions of a file "
            "end with their processes, and the next one reclaims what they "
            "held; give --store postgresql://..."
        )
    _import_psycopg()
    from ..persistence.postgresql import PostgresqlStore

    # Without a session, for who evicts may be no host at all.
    with contextlib.closing(PostgresqlStore(url, read_only=True)) as store:
        return store.evict(host)
