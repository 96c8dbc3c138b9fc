# SPDX-License-Identifier: MIT
"""
What adopting the links of a host has found.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from ...interface import Interface
from ...net_luid import NetLuid
from ...persistence import IdentityConflictError, IdentityRecord
from .links import LinuxLink
from .recognition import Match


class AdoptionState(enum.Enum):
    """What an adoption has found a link to be."""

    NEW = "new"
    KNOWN = "known"
    #: Known, under another name.
    RENAMED = "renamed"
    #: Known by its tag, from another compartment.
    MOVED = "moved"
    #: Its ifIndex is reserved for another identity: it is not registered.
    CONFLICT = "conflict"


class IfIndexConflictError(IdentityConflictError):
    """
    The kernel has given a link an ifIndex that is reserved for something
    else.  Registered under it, the link would pass for that.

    Attributes:
        owner: The identity that has the ifIndex for its own.
    """

    def __init__(
        self, if_index: int, owner: IdentityRecord, store: str = ""
    ) -> None:
        # Without the store's name, for it is the link that is wrong.
        super().__init__(
            f"its ifIndex {if_index} is reserved for {owner.key!r} of "
            f"{owner.provider!r} ({NetLuid(owner.net_luid)}): create it "
            "under another ifIndex, or release that identity"
        )
        self.store = store
        self.owner = owner


@dataclass(frozen=True, slots=True)
class AdoptedLink:
    """One link of the host and the identity that it has."""

    link: LinuxLink
    #: The identity, as the store has it now.
    record: IdentityRecord
    state: AdoptionState
    #: Registered here; None if it could not be, for the reason in error.
    interface: Interface | None
    #: IdentityInUseError if another process has it registered,
    #: IfIndexConflictError if its ifIndex is another one's.
    error: Exception | None = None
    #: Name last seen, if it is another one now.
    previous_name: str = ""
    #: Why its tag could not be written, if that was asked for.
    tag_error: OSError | None = None

    @property
    def name(self) -> str:
        """The link's name, now."""
        return self.link.name

    @property
    def if_index(self) -> int:
        """The kernel's ifIndex."""
        return self.link.if_index

    @property
    def net_luid(self) -> NetLuid:
        """The NET_LUID, for ever."""
        return NetLuid(self.record.net_luid)

    @property
    def interface_guid(self) -> uuid.UUID:
        """The interface GUID, for ever."""
        return self.record.interface_guid

    @property
    def reserved_if_index(self) -> int | None:
        """
        The ifIndex that is reserved for it, under which the kernel should
        create it; None if there is none.
        """
        return self.record.if_index if self.record.if_index_owned else None

    @property
    def key(self) -> str:
        """The name first seen, which is the identity's key."""
        return self.record.key

    @property
    def alias(self) -> str:
        """ifAlias: the kernel's if it has one, otherwise the store's."""
        return self.link.alias or self.record.alias


class Adoption(Sequence[AdoptedLink]):
    """
    What one adoption has found: the links, as the kernel lists them.
    """

    def __init__(
        self,
        compartment: str,
        links: Sequence[AdoptedLink],
        unstacked: Sequence[tuple[int, int]],
    ) -> None:
        #: Name of the network namespace; "" for the initial one.
        self.compartment = compartment
        self._links = tuple(links)
        #: (higher, lower) ifIndexes of rows that would close a loop.
        self.unstacked = tuple(unstacked)

    def __len__(self) -> int:
        return len(self._links)

    @overload
    def __getitem__(self, i: int) -> AdoptedLink: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[AdoptedLink]: ...
    def __getitem__(
        self, i: int | slice
    ) -> AdoptedLink | Sequence[AdoptedLink]:
        return self._links[i]

    def __iter__(self) -> Iterator[AdoptedLink]:
        return iter(self._links)


def state_of(match: Match, error: object = None) -> AdoptionState:
    """What a match, and what came of it, says of its link."""
    if isinstance(error, IfIndexConflictError):
        return AdoptionState.CONFLICT
    if match.record is None:
        return AdoptionState.NEW
    if match.moved:
        return AdoptionState.MOVED
    return (
        AdoptionState.RENAMED if match.previous_name else AdoptionState.KNOWN
    )
