# SPDX-License-Identifier: MIT
"""What rules work with."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .. import Store
from ..records import IdentityRecord, IndexSet
from ._verdicts import BLOCK, bits_of, must

OpenStore = Callable[[], Store]

LAST_BLOCK = 4095

#: Seconds until what has not ended is taken to be stuck.  A slow disk must
#: not be: only who is stuck takes so long.
PATIENCE = 300.0


def sets_of(indexes: Iterable[tuple[int, int]]) -> list[IndexSet]:
    """Pairs (IfType, index) as the core gives them to a store."""
    found: dict[int, dict[int, int]] = {}
    for if_type, index in sorted(indexes):
        blocks = found.setdefault(if_type, {})
        bit = 1 << (index % BLOCK)
        blocks[index // BLOCK] = blocks.get(index // BLOCK, 0) | bit
    return [
        (
            if_type,
            [(n, bits.to_bytes(512, "little")) for n, bits in blocks.items()],
        )
        for if_type, blocks in found.items()
    ]


class Calling(Mapping[str, Any]):
    """
    A mapping that makes a call when it is read for the first time: inside
    the call that it is given to, then.
    """

    def __init__(self, call: Callable[[], None], **values: Any) -> None:
        self._call: Callable[[], None] | None = call
        self._values = values

    def _read(self) -> dict[str, Any]:
        call, self._call = self._call, None
        if call is not None:
            call()
        return self._values

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


class Bench:
    """
    A store under test: opens it, makes identities of one IfType and
    provider in it, and closes what a rule leaves open.
    """

    def __init__(self, open_store: OpenStore, if_type: int, name: str) -> None:
        self._open_store = open_store
        self._opened: list[Store] = []
        self.if_type = if_type
        self.provider = name

    def open(self) -> Store:
        """Open the store, maybe once more."""
        store = self._open_store()
        self._opened.append(store)
        return store

    def reopen(self, store: Store) -> Store:
        """End a session, and begin another."""
        store.close()
        return self.open()

    def close(self) -> None:
        """Close what is open."""
        for store in self._opened:
            # The rule has failed, or closed it itself.
            with contextlib.suppress(Exception):
                store.close()

    def _let_go(self) -> None:
        """Closing could wait for ever; a child of fork() never does."""
        for store in self._opened:
            with contextlib.suppress(Exception):
                store.after_fork_in_child()
        self._opened.clear()

    # -- what the session does for a store

    def record(
        self, key: str, net_luid_index: int, **values: Any
    ) -> IdentityRecord:
        """A new identity, not in the store yet."""
        values.setdefault("interface_guid", uuid.uuid4())
        values.setdefault("compartment", "")
        return IdentityRecord(
            provider=self.provider,
            key=key,
            net_luid=self.if_type << 48 | net_luid_index << 24,
            **values,
        )

    def lease(self, store: Store, *indexes: int) -> None:
        """Have the blocks of these indexes leased."""
        for block in sorted({index // BLOCK for index in indexes}):
            # Nothing: this session has it already.
            store.lease_blocks(self.if_type, block, block, 1)

    def sets(self, *indexes: int) -> list[IndexSet]:
        return sets_of((self.if_type, index) for index in indexes)

    def sets_for(self, *records: IdentityRecord) -> list[IndexSet]:
        """The indexes and own ifIndexes of identities."""
        indexes = [
            (each.net_luid >> 48, each.net_luid >> 24 & 0xFFFFFF)
            for each in records
        ]
        indexes += [(0, r.if_index) for r in records if r.if_index_owned]
        return sets_of(indexes)

    def retain(self, store: Store, *indexes: int) -> None:
        """Retain bare indexes."""
        self.lease(store, *indexes)
        store.retain(self.sets(*indexes), ())

    def make(
        self,
        store: Store,
        key: str,
        net_luid_index: int,
        *,
        owns_if_index: bool = False,
        persistent: bool = True,
        **values: Any,
    ) -> IdentityRecord:
        """Make an identity as Provider.identity() does."""
        self.lease(store, net_luid_index)
        if owns_if_index:
            values |= {
                "if_index": self.free_if_index(store),
                "if_index_owned": True,
            }
        record = self.record(
            key, net_luid_index, persistent=persistent, **values
        )
        store.retain(self.sets_for(record), [record], persistent=persistent)
        return record

    def free_if_index(self, store: Store) -> int:
        """An ifIndex of a block that is leased now."""
        if not store.leases:
            return store.if_index_first
        first = store.if_index_first
        ((block, mask),) = store.lease_blocks(0, first // BLOCK, LAST_BLOCK, 1)
        return next(
            index
            for index in range(max(first, block * BLOCK), 1 << 24)
            if not bits_of(mask) >> (index % BLOCK) & 1
        )

    def release(self, store: Store, *records: IdentityRecord) -> None:
        store.release(self.sets_for(*records), records)

    def find(self, store: Store, key: str) -> IdentityRecord | None:
        return store.find("", self.provider, key)

    def retained(self, store: Store, block: int, if_type: int = -1) -> int:
        """
        Bits of a block that are retained, by leasing it once more.

        Raises:
            AssertionError: Somebody has it.
        """
        if_type = self.if_type if if_type < 0 else if_type
        store.return_blocks(if_type, [block])
        found = store.lease_blocks(if_type, block, block, 1)
        must(
            [number for number, _ in found] == [block],
            f"a lease of free block {block} gave {found!r:.80}",
        )
        return bits_of(found[0][1])

    def begin(self, *works: Callable[[], None]) -> Callable[[], None]:
        """
        Begin to work in a thread each; what waits for all of them is
        returned, and raises what one has raised.
        """
        errors: list[BaseException] = []

        def run(work: Callable[[], None]) -> None:
            try:
                work()
            except BaseException as error:
                errors.append(error)

        # One that is stuck must not keep the interpreter.
        threads = [
            threading.Thread(target=run, args=(work,), daemon=True)
            for work in works
        ]
        for thread in threads:
            thread.start()

        def wait() -> None:
            deadline = time.monotonic() + PATIENCE
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            if any(thread.is_alive() for thread in threads):
                self._let_go()
                must(False, "a thread is stuck")
            must(not errors, f"{errors!r:.300}")

        return wait

    def in_child(self, work: Callable[[], None], *, killed: bool) -> None:
        """Work in a child of fork(), which is then killed, or ends."""
        with warnings.catch_warnings():
            # That there are threads is what is tried, if there are.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                work()
                if killed:
                    os.kill(os.getpid(), signal.SIGKILL)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        status = _waited_for(child)
        must(status is not None, "it is stuck in a child of fork()")
        must(
            status == (signal.SIGKILL if killed else 0),
            "it failed in a child of fork(): see above",
        )


def _waited_for(child: int) -> int | None:
    """How a child ended; None if it had to be ended."""
    deadline = time.monotonic() + PATIENCE
    pause = 0.001
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
