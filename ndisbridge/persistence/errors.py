# SPDX-License-Identifier: MIT
"""
What can go wrong with a store.  Messages name the store and the cure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .records import IdentityRecord, SessionInfo


class StoreError(Exception):
    """
    Superclass of all errors of stores.

    Attributes:
        store: The store as the user named it; a file's path.
    """

    def __init__(self, message: str, store: str = "") -> None:
        super().__init__(f"{store}: {message}" if store else message)
        self.store = store


class StoreNotFoundError(StoreError):
    """The store, or the directory for it, does not exist."""


class StorePermissionError(StoreError):
    """The store may not be read or written, or others may write it."""


class StoreBusyError(StoreError):
    """Another process kept the store busy for longer than the timeout."""


class ServerLostError(StoreError):
    """
    The server of a store can't be reached, or does not answer.  Nothing has
    been changed; the next call tries again.
    """


class StoreFullError(StoreError):
    """There is no room left for the store."""


class StoreUncertainError(StoreError):
    """
    The disk failed while a change was committed: nobody can tell whether it
    is there.  What was to be retained must not be handed out again, and what
    was to be released must not be used; looking it up tells what the store
    says now, which a power cut may still undo.
    """


class StoreCorruptError(StoreError):
    """The store is damaged, or is no store of ndisbridge."""


class StoreVersionError(StoreError):
    """The store was made by a newer version of ndisbridge."""


class NetworkFileSystemError(StoreError):
    """The store lies on a file system that several hosts can write."""


class LeaseLostError(StoreError):
    """The store has given this session's leases to another."""


class NotRetainedError(StoreError, ValueError):
    """A NET_LUID is not retained in this store."""


class AlreadyRetainedError(StoreError, ValueError):
    """A NET_LUID index is retained already."""


class IdentityConflictError(StoreError, ValueError):
    """An identity cannot be what was asked for, such as another IfType."""


class IdentityInUseError(StoreError):
    """
    A live session has the identity registered, or made it for itself.

    Attributes:
        holder: The session that has it.
    """

    def __init__(
        self, message: str, store: str = "", holder: SessionInfo | None = None
    ) -> None:
        super().__init__(message, store)
        self.holder = holder


class IdentityExistsError(StoreError):
    """
    Somebody else has made the identity first.

    Attributes:
        existing: What is stored.
    """

    def __init__(
        self, message: str, store: str, existing: IdentityRecord
    ) -> None:
        super().__init__(message, store)
        self.existing = existing

    def __reduce__(self) -> tuple[Any, ...]:
        # So that it can be copied, and sent to another process.
        return type(self), (*self.args, "", self.existing), self.__dict__
