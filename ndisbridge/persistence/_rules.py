# SPDX-License-Identifier: MIT
"""What a store of rows refuses, in the same words on every server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import (
    AlreadyRetainedError,
    IdentityConflictError,
    IdentityInUseError,
    NotRetainedError,
)
from .records import IdentityRecord, IndexSet, SessionInfo


def refuse_doubles(
    sets: Sequence[IndexSet], records: Sequence[IdentityRecord], path: str
) -> None:
    """What one call may name once only."""
    blocks = [(if_type, n) for if_type, masks in sets for n, _ in masks]
    if len(set(blocks)) < len(blocks):
        raise IdentityConflictError("a block is named twice", path)
    if len(records) < 2:
        return
    for what, values in (
        ("key", {(r.compartment, r.provider, r.key) for r in records}),
        # The last 24 bits are reserved.
        ("NET_LUID", {r.net_luid >> 24 for r in records}),
        ("GUID", {r.interface_guid for r in records}),
    ):
        if len(values) < len(records):
            raise IdentityConflictError(f"two have the same {what}", path)


class Rules:
    """Of a session on a store, for what has been read from the store."""

    path: str
    session_id: int

    # -- retained indexes: masks are numbers, of a block of an IfType

    def _set_bits(self, number: int, before: int, mask: int) -> int:
        if before & mask:
            raise AlreadyRetainedError(
                f"an index of IfType {number >> 12}, block {number & 4095} "
                "is retained already",
                self.path,
            )
        return before | mask

    def _clear_bits(self, number: int, before: int, mask: int) -> int:
        if before & mask != mask:
            raise NotRetainedError(
                f"an index of IfType {number >> 12}, block {number & 4095} "
                "is not retained",
                self.path,
            )
        return before & ~mask

    # -- identities

    def _changeable(
        self,
        stored: IdentityRecord | None,
        net_luid: int,
        values: Mapping[str, Any],
    ) -> IdentityRecord:
        """An identity that is there, and whose values may become these."""
        if stored is None:
            raise NotRetainedError(
                f"no identity has NET_LUID 0x{net_luid:016x}", self.path
            )
        if not set(values) <= {"alias", "attributes", "if_index"} or (
            stored.if_index_owned
            and values.get("if_index", stored.if_index) != stored.if_index
        ):
            raise IdentityConflictError(
                "only its alias, its attributes and a kernel's ifIndex can "
                "change",
                self.path,
            )
        return stored

    def _same(
        self, stored: IdentityRecord | None, record: IdentityRecord
    ) -> IdentityRecord:
        """An identity that is there, and not a later one's NET_LUID."""
        if stored is None or stored.interface_guid != record.interface_guid:
            raise NotRetainedError(
                f"{record.key!r} of {record.provider!r} is released already",
                self.path,
            )
        return stored

    def _refuse_owner(
        self, owner: int | None, record: IdentityRecord, persistent: bool
    ) -> None:
        """Only what lasts is released for good, and what ends by its own."""
        if owner != (None if persistent else self.session_id):
            raise NotRetainedError(
                f"{record.key!r} of {record.provider!r} "
                + ("lasts" if owner is None else "ends with its session")
                + ": look it up again",
                self.path,
            )

    def _refuse_holder(
        self, net_luid: int, holder: SessionInfo | None, what: str
    ) -> None:
        if holder is None:
            return
        by, where = f"{holder}", "there"
        if holder.session_id == self.session_id:
            by, where = "this session", "first"
        raise IdentityInUseError(
            f"{what!r} (NET_LUID 0x{net_luid:016x}) is registered by {by}: "
            f"deregister it {where}",
            self.path,
            holder,
        )
