# SPDX-License-Identifier: MIT
"""
Where identity lasts: the Store protocol, and the stores that come with it.

A store remembers *which indexes are taken* (by blocks of 4,096 NET_LUID
indexes of one IfType) and *whose they are* (identities), and changes both in
one transaction.  It leases blocks to sessions; what a session allocates
inside its leases needs no store.

Nothing here imports the rest of the package.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from .errors import (
    AlreadyRetainedError,
    IdentityConflictError,
    IdentityExistsError,
    IdentityInUseError,
    LeaseLostError,
    NetworkFileSystemError,
    NotRetainedError,
    ServerLostError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreNotFoundError,
    StorePermissionError,
    StoreUncertainError,
    StoreVersionError,
)
from .records import (
    IdentityRecord,
    IndexSet,
    Problem,
    SessionInfo,
    StoreChange,
    StoreStats,
    TypeStats,
)

__all__ = [
    "AlreadyRetainedError",
    "IdentityConflictError",
    "IdentityExistsError",
    "IdentityInUseError",
    "IdentityRecord",
    "IdentityWatch",
    "IndexSet",
    "LeaseLostError",
    "NetworkFileSystemError",
    "NotRetainedError",
    "Problem",
    "ServerLostError",
    "SessionInfo",
    "Store",
    "StoreBusyError",
    "StoreChange",
    "StoreCorruptError",
    "StoreError",
    "StoreFullError",
    "StoreNotFoundError",
    "StorePermissionError",
    "StoreStats",
    "StoreUncertainError",
    "StoreVersionError",
    "TypeStats",
    "open_store",
]


class IdentityWatch(Protocol):
    """
    What a store's ``watch()`` answers: identities that are made, changed or
    released from then on, by this process or another.

    Used by one thread.  Changes that are undone by the next look need not be
    told.
    """

    #: Seconds after which there may be something to read, unless
    #: ``fileno()`` says so before; it may change.
    period: float

    def fileno(self) -> int:
        """What polls as readable when there is something; -1 for nothing."""
        ...

    def read(self) -> Sequence[StoreChange]:
        """
        What has happened since the last time, in a sensible order; without
        waiting for it.

        Raises:
            StoreError: It can't be told.  After a StoreBusyError ask again;
                after any other close it, and watch anew: what has happened
                meanwhile is lost.
        """
        ...

    def close(self) -> None:
        """Let go of what it holds.  Twice is once."""
        ...


class Store(Protocol):
    """
    What a session asks of a store.

    Every method may be called from any thread, at any time, and never calls
    back into the session.  From inside another call of the same thread, as
    by a handler of signals, it works or is refused by a plain StoreError.
    All raise :class:`StoreError`, and none waits
    for another process without a bound.

    A change is visible to every process when its call returns.  *Durable*
    says more: it is on the disk, and a power cut takes nothing of it.  That
    is so where it says so below, and nowhere else.

    A store may have ``lease_holders(if_type)`` too, which maps the
    :class:`SessionInfo` of each live session with leases of an IfType to
    the number of its blocks: then a session says who has them when none is
    left.

    A store may have ``identities_stamp()`` too, which answers something
    that differs from what it answered before if an identity has been made,
    changed or released since (marks of use do not count): then who has read
    them all need not read them again.

    A store may have ``watch()`` too, which answers an
    :class:`IdentityWatch`: then the subscribers of a session are told of
    what any process does to the store's identities.
    """

    #: Whether it leases blocks; if not, the session leases its own.
    leases: bool
    #: First ifIndex that it hands out.
    if_index_first: int

    def lease_blocks(
        self, if_type: int, lowest: int, highest: int, count: int
    ) -> Sequence[tuple[int, bytes]]:
        """
        Lease up to ``count`` blocks numbered ``lowest`` to ``highest``,
        lowest first, that no live session holds: dead ones are reclaimed
        first.  Each comes with its retained indexes as 512 bytes.  Not
        durable: a power cut ends its holder too.  Empty: none.
        """
        ...

    def return_blocks(self, if_type: int, blocks: Sequence[int]) -> None:
        """Give leased blocks back.  Not durable."""
        ...

    def retain(
        self,
        sets: Sequence[IndexSet],
        identities: Sequence[IdentityRecord],
        *,
        persistent: bool = True,
        updates: Sequence[tuple[int, Mapping[str, Any]]] = (),
    ) -> None:
        """
        Make indexes of leased blocks and new identities durable, all or
        none, in one transaction.  If not ``persistent``, only the
        identities are noted, not durably, and end with the session.
        ``updates``, as for :meth:`update_many`, go into the same
        transaction, and make it durable if one of them must be.

        Raises:
            AlreadyRetainedError: An index is retained.
            IdentityExistsError: A key has an identity.
            IdentityConflictError: A block is named twice, or two of the
                identities have the same key, NET_LUID, NET_LUID index or
                GUID.
            LeaseLostError: A block is not leased to this session.
            StoreUncertainError: Nobody can tell whether it is done: keep
                the indexes out of circulation, and look the identities up.
        """
        ...

    def release(
        self,
        sets: Sequence[IndexSet],
        identities: Sequence[IdentityRecord],
        *,
        persistent: bool = True,
    ) -> None:
        """
        Give retained indexes and identities up, all or none; durably, if
        they are ``persistent``.

        Raises:
            NotRetainedError: One is not there, or is not ``persistent`` as
                given, or ends with another session.
            IdentityInUseError: A live session has one registered; this one
                too.
            IdentityConflictError: An identity's own ifIndex is not among
                the sets, or another ifIndex is, or a block is named twice.
            StoreUncertainError: Nobody can tell whether it is done.
        """
        ...

    def confirm(
        self, net_luids: Sequence[int], if_indexes: Sequence[int]
    ) -> None:
        """
        Mark retained NET_LUIDs as in use by this session, all or none.
        Not durable: a mark ends with its session.

        Raises:
            NotRetainedError: One is not retained.
            IdentityInUseError: Another live session has one registered, or
                made it for as long as it lives.
            IdentityConflictError: An ifIndex is another identity's own.
        """
        ...

    def unconfirm(self, net_luids: Sequence[int]) -> None:
        """Take this session's marks off.  Not durable."""
        ...

    def find(
        self, compartment: str, provider: str, key: str
    ) -> IdentityRecord | None:
        """The identity of a key."""
        ...

    def find_by_net_luid(self, net_luid: int) -> IdentityRecord | None:
        """The identity of a NET_LUID."""
        ...

    def find_by_guid(self, guid: Any) -> IdentityRecord | None:
        """The identity of an interface GUID."""
        ...

    def identities(
        self, compartment: str | None = None, provider: str | None = None
    ) -> Iterable[IdentityRecord]:
        """All identities, or those of a compartment or provider."""
        ...

    def update(self, net_luid: int, **changes: Any) -> None:
        """
        Change ``alias``, ``attributes`` or ``if_index`` of one; durably, if
        it is persistent.
        """
        ...

    def update_many(
        self, changes: Sequence[tuple[int, Mapping[str, Any]]]
    ) -> None:
        """Change several in one transaction; durably, if one lasts."""
        ...

    def close(self) -> None:
        """End the session: give back what is its own.  Twice is once."""
        ...

    def after_fork_in_child(self) -> None:
        """Let go in a child of ``fork()`` without ending anything."""
        ...


def open_store(
    where: str | bytes | os.PathLike[str] | os.PathLike[bytes] | None,
) -> Store:
    """
    Open a store, making it if it does not exist.

    Args:
        where: A path (SQLite), a URL (``postgresql://...``, of the extra
            ``postgresql``), or None for one that lives in memory and ends
            with the session.

    Raises:
        StoreError: It can't be opened.
    """
    if where is None:
        from .memory import MemoryStore

        return MemoryStore()
    text = os.fsdecode(where)
    if "://" in text:
        return _open_url(text)
    from .sqlite import SqliteStore

    return SqliteStore(text)


def _open_url(url: str) -> Store:
    # Nothing but the scheme is shown: there may be a password in it.
    scheme = url.split("://", 1)[0]
    if scheme not in {"postgresql", "postgres"}:
        raise StoreError(
            f"{scheme} stores are not supported: give a path, or "
            "postgresql://..."
        )
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise StoreError(
            "PostgreSQL needs psycopg: pip install 'ndisbridge[postgresql]'"
        ) from error
    from .postgresql import PostgresqlStore

    return PostgresqlStore(url)
