# SPDX-License-Identifier: MIT
"""
Which store the command means.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ..persistence import (
    Problem,
    StoreCorruptError,
    StoreNotFoundError,
    StorePermissionError,
)
from ..persistence.sqlite import SqliteStore
from ..session import Session

SYSTEM_STORE = "/var/lib/ndisbridge/ndis.db"


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
    path = own_store() if given is None else given
    if given is None:
        os.makedirs(os.path.dirname(os.path.dirname(path)), exist_ok=True)
    return Session(path)


def read_store(given: str | None) -> SqliteStore:
    """A snapshot of the store to show."""
    path = store_to_read(given)
    refuse_absent(path)
    return SqliteStore(path, read_only=True)


def examine_store(given: str | None) -> tuple[str, list[Problem], int]:
    """A store's path, what is wrong with it, how many identities it has."""
    try:
        with store_to_look_after(given) as source:
            problems = source.check()
            # Of a damaged one nobody knows.
            count = 0 if problems else source.stats().identities
            return source.path, problems, count
    except StoreCorruptError:
        # Too damaged for a session: what can be read says where.
        path = store_to_read(given)
        problems = SqliteStore.check_snapshot(path)
        if not problems:
            raise
        return path, problems, 0


@contextlib.contextmanager
def store_to_look_after(given: str | None) -> Iterator[SqliteStore]:
    """The store itself if it may be written, else a snapshot of it."""
    path = store_to_read(given)
    refuse_absent(path)
    try:
        source = SqliteStore(path)
    except StorePermissionError:
        source = SqliteStore(path, read_only=True)
    with contextlib.closing(source):
        yield source
