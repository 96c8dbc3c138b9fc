# SPDX-License-Identifier: MIT
"""
Which store the command means.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..persistence import (
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
    if given:
        return given
    own = own_store()
    if not os.path.exists(own) and os.access(SYSTEM_STORE, os.R_OK):
        return SYSTEM_STORE
    return own


def open_session(given: str | None) -> Session:
    """A session on the store to write."""
    path = given or own_store()
    if not given:
        os.makedirs(os.path.dirname(os.path.dirname(path)), exist_ok=True)
    return Session(path)


def read_store(given: str | None) -> SqliteStore:
    """A snapshot of the store to show."""
    path = store_to_read(given)
    try:
        return SqliteStore(path, read_only=True)
    except StoreNotFoundError:
        raise StoreNotFoundError(
            "there is no such store yet: `ndisbridge adopt` makes it", path
        ) from None


@contextlib.contextmanager
def store_to_look_after(given: str | None) -> Iterator[SqliteStore]:
    """The store itself if it may be written, else a snapshot of it."""
    path = store_to_read(given)
    if not os.path.lexists(path):
        raise StoreNotFoundError("there is no such store", path)
    try:
        source = SqliteStore(path)
    except StorePermissionError:
        source = SqliteStore(path, read_only=True)
    with contextlib.closing(source):
        yield source
