# SPDX-License-Identifier: MIT
"""
The store of a session without one: identities that end with it.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ._rules import refuse_doubles
from .errors import (
    IdentityConflictError,
    IdentityExistsError,
    NotRetainedError,
    StoreError,
)
from .records import IdentityRecord, IndexSet


class MemoryStore:
    """
    Identities in a dict.  It leases nothing: the session's own core hands
    out all indexes and knows which are taken.
    """

    leases = False
    if_index_first = 1

    def __init__(self) -> None:
        self._lock = threading.RLock()
        #: A thread is changing it: it has the lock.
        self._inside = False
        self._by_key: dict[tuple[str, str, str], IdentityRecord] = {}
        self._by_net_luid: dict[int, IdentityRecord] = {}
        self._by_if_index: dict[int, IdentityRecord] = {}

    def __str__(self) -> str:
        return "memory"

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            if self._inside:
                raise StoreError(
                    "this thread is changing it already: a handler of "
                    "signals, or of garbage, may not",
                    "memory",
                )
            self._inside = True
            try:
                yield
            finally:
                self._inside = False

    def lease_blocks(
        self, if_type: int, lowest: int, highest: int, count: int
    ) -> Sequence[tuple[int, bytes]]:
        return []

    def return_blocks(self, if_type: int, blocks: Sequence[int]) -> None:
        return None

    def retain(
        self,
        sets: Sequence[IndexSet],
        identities: Sequence[IdentityRecord],
        *,
        persistent: bool = True,
        updates: Sequence[tuple[int, Mapping[str, Any]]] = (),
    ) -> None:
        refuse_doubles(sets, identities, "memory")
        now = int(time.time())
        with self._changing():
            for record in identities:
                existing = self._by_key.get(_key(record))
                if existing is not None:
                    raise IdentityExistsError(
                        f"{record.key!r} has an identity", "memory", existing
                    )
            for net_luid, _ in updates:
                self._known(net_luid)
            for record in identities:
                self._put(replace(record, created=now))
            for net_luid, values in updates:
                self._put(replace(self._known(net_luid), **values))

    def _known(self, net_luid: int) -> IdentityRecord:
        record = self._by_net_luid.get(net_luid)
        if record is None:
            raise NotRetainedError("no such identity", "memory")
        return record

    def _put(self, record: IdentityRecord) -> None:
        self._by_key[_key(record)] = record
        self._by_net_luid[record.net_luid] = record
        if record.if_index_owned:
            self._by_if_index[record.if_index] = record

    def release(
        self,
        sets: Sequence[IndexSet],
        identities: Sequence[IdentityRecord],
        *,
        persistent: bool = True,
    ) -> None:
        refuse_doubles(sets, identities, "memory")
        with self._changing():
            for record in identities:
                if record.net_luid not in self._by_net_luid:
                    raise NotRetainedError(
                        f"{record.key!r} is released already", "memory"
                    )
            for record in identities:
                del self._by_key[_key(record)]
                stored = self._by_net_luid.pop(record.net_luid)
                if stored.if_index_owned:
                    self._by_if_index.pop(stored.if_index, None)
            if not identities:
                # An identity's index goes with the identity only.
                for if_type, blocks in sets:
                    self._refuse_identities(if_type, blocks)

    def _refuse_identities(
        self, if_type: int, blocks: list[tuple[int, bytes]]
    ) -> None:
        masks = dict(blocks)
        for net_luid, record in self._by_net_luid.items():
            index = (net_luid >> 24) & 0xFFFFFF
            mask = masks.get(index >> 12)
            if net_luid >> 48 != if_type or mask is None:
                continue
            if mask[(index & 4095) >> 3] & 1 << (index & 7):
                raise NotRetainedError(
                    f"it is the identity {record.key!r}: release that",
                    "memory",
                )

    def confirm(
        self, net_luids: Sequence[int], if_indexes: Sequence[int]
    ) -> None:
        # That they are retained the core knows: it leases from itself.
        with self._lock:
            for net_luid, if_index in zip(net_luids, if_indexes, strict=True):
                owner = self._by_if_index.get(if_index)
                if owner is not None and owner.net_luid != net_luid:
                    raise IdentityConflictError(
                        f"ifIndex {if_index} is the identity {owner.key!r}'s "
                        "own",
                        "memory",
                    )

    def unconfirm(self, net_luids: Sequence[int]) -> None:
        return None

    def find(
        self, compartment: str, provider: str, key: str
    ) -> IdentityRecord | None:
        return self._by_key.get((compartment, provider, key))

    def find_by_net_luid(self, net_luid: int) -> IdentityRecord | None:
        return self._by_net_luid.get(net_luid)

    def find_by_guid(self, guid: uuid.UUID) -> IdentityRecord | None:
        for record in self.identities():
            if record.interface_guid == guid:
                return record
        return None

    def identities(
        self, compartment: str | None = None, provider: str | None = None
    ) -> Iterable[IdentityRecord]:
        with self._lock:
            records = list(self._by_key.values())
        return [
            record
            for record in records
            if compartment in {None, record.compartment}
            and provider in {None, record.provider}
        ]

    def update(self, net_luid: int, **changes: Any) -> None:
        self.update_many([(net_luid, changes)])

    def update_many(
        self, changes: Sequence[tuple[int, Mapping[str, Any]]]
    ) -> None:
        with self._changing():
            for net_luid, _ in changes:
                self._known(net_luid)
            for net_luid, values in changes:
                self._put(replace(self._known(net_luid), **values))

    def close(self) -> None:
        return None

    def after_fork_in_child(self) -> None:
        # A thread of the parent may have held it.
        self._lock = threading.RLock()
        self._inside = False


def _key(record: IdentityRecord) -> tuple[str, str, str]:
    return record.compartment, record.provider, record.key
