# SPDX-License-Identifier: MIT
"""Rules of a store's life."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..errors import (
    StoreBusyError,
    StoreError,
)
from ._bench import Bench
from ._rule import Rules
from ._verdicts import essence, must, refused

rules = Rules(40_600)


@rules()
def closing_twice_is_once(bench: Bench) -> None:
    """A closed store can be closed again."""
    store = bench.open()
    store.close()
    store.close()


@rules(durable=True)
def a_closed_store_refuses(bench: Bench) -> None:
    """A closed store refuses to change anything, by a StoreError."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    store.close()
    changes: dict[str, Callable[[], None]] = {
        "retain()": lambda: store.retain(bench.sets(2), ()),
        "release()": lambda: bench.release(store, record),
        "update()": lambda: store.update(record.net_luid, alias="A"),
    }
    for what, change in changes.items():
        with refused(StoreError, f"{what} when closed"):
            change()
    store = bench.open()
    must(essence(bench.find(store, "k")) == record, "it is changed")


@rules(leases=True, durable=True)
def who_is_killed_leaves_nothing_else(bench: Bench) -> None:
    """A killed session leaves what is retained, and nothing else."""

    def work() -> None:
        store = bench.open()
        record = bench.make(store, "lasting", 1)
        bench.make(store, "passing", 2, persistent=False)
        bench.retain(store, 3)
        gone = bench.make(store, "gone", 4)
        bench.release(store, gone)
        store.confirm([record.net_luid], [0])

    bench.in_child(work, killed=True)
    store = bench.open()
    lasting = bench.find(store, "lasting")
    if lasting is None:
        raise AssertionError("a persistent identity is lost")
    must(not lasting.in_use_by, "its mark stays")
    must(bench.find(store, "passing") is None, "a passing one stays")
    must(bench.find(store, "gone") is None, "a released one is back")
    bits = bench.retained(store, 0)
    must(bits == 0b1010, f"retained are {bits:#x}")
    bench.release(store, lasting)


@rules(durable=True)
def it_is_shared_or_refused(bench: Bench) -> None:
    """A store that cannot be shared says StoreBusyError soon."""
    store = bench.open()
    bench.make(store, "k", 1)
    begun = time.monotonic()
    try:
        other = bench.open()
    except StoreBusyError:
        seconds = time.monotonic() - begun
        must(seconds < 30, f"after {seconds:.0f} s")
        store = bench.reopen(store)
        must(bench.find(store, "k"), "the refused opening has lost it")
    else:
        must(bench.find(other, "k"), "the other sees nothing of it")
