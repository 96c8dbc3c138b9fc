# SPDX-License-Identifier: MIT
"""Rules of threads, and of children of fork()."""

from __future__ import annotations

import contextlib
import threading
from functools import partial

from ..errors import (
    IdentityInUseError,
    StoreBusyError,
    StoreError,
)
from . import _bench
from ._bench import Bench, Calling
from ._rule import Rules
from ._verdicts import must, refused

rules = Rules(40_700)


@rules()
def any_thread_may_call(bench: Bench) -> None:
    """Every method may be called from any thread, at any time."""
    store = bench.open()
    bench.lease(store, 0)
    count = 6

    def work(number: int) -> None:
        for place in range(number * 100, number * 100 + 3):
            record = bench.record(f"k{place}", place)
            store.retain(bench.sets_for(record), [record])
            store.confirm([record.net_luid], [0])
            store.update(record.net_luid, alias="A")
            list(store.identities())
            found = bench.find(store, record.key)
            must(found and found.alias == "A", f"found {found}")
            store.unconfirm([record.net_luid])
        bench.release(store, record)

    wait = bench.begin(*(partial(work, number) for number in range(count)))
    wait()
    found = len(list(store.identities(None, bench.provider)))
    must(found == 2 * count, f"{found} identities, not {2 * count}")


@rules(durable=True)
def a_child_lets_go(bench: Bench) -> None:
    """A child of fork() that lets go ends and changes nothing."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    store.confirm([record.net_luid], [0])

    def child() -> None:
        store.after_fork_in_child()
        with refused(StoreError, "a change by the child"):
            store.update(record.net_luid, alias="the child's")
        store.close()

    bench.in_child(child, killed=False)
    if store.leases:
        found = bench.find(store, "k")
        must(found and found.in_use_by, "the parent's mark is gone")
        found_blocks = list(store.lease_blocks(bench.if_type, 0, 0, 1))
        must(not found_blocks, "the parent's lease is gone")
    store.update(record.net_luid, alias="A")
    with contextlib.suppress(StoreBusyError):
        other = bench.open()
        if store.leases:
            with refused(IdentityInUseError, "what the parent has in use"):
                bench.release(other, record)


@rules()
def a_child_waits_for_nobody(bench: Bench) -> None:
    """A child of fork() lets go even while a thread is inside a call."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    store.confirm([record.net_luid], [0])
    inside, go_on = threading.Event(), threading.Event()

    def stay() -> None:
        inside.set()
        go_on.wait(_bench.PATIENCE)

    def child() -> None:
        store.after_fork_in_child()
        with contextlib.suppress(StoreError):
            store.update(record.net_luid, alias="the child's")
        store.close()

    wait = bench.begin(
        lambda: store.update_many(
            [(record.net_luid, Calling(stay, alias="the parent's"))]
        )
    )
    try:
        must(inside.wait(_bench.PATIENCE), "what is to be updated is not read")
        bench.in_child(child, killed=False)
    finally:
        go_on.set()
        wait()
    found = bench.find(store, "k")
    must(found and found.alias == "the parent's", f"it became {found}")
    store.update(record.net_luid, alias="A")
    store.unconfirm([record.net_luid])
    bench.release(store, record)


@rules()
def a_call_inside_a_call_is_whole(bench: Bench) -> None:
    """A call inside another of its thread, as by a handler of signals, is
    done or refused."""
    store = bench.open()
    one, two = bench.make(store, "one", 1), bench.make(store, "two", 2)
    wanted = {"one": "", "two": ""}

    def call_back() -> None:
        with contextlib.suppress(StoreError):
            store.update(one.net_luid, alias="inside")
            wanted["one"] = "inside"
        with contextlib.suppress(StoreError):
            bench.find(store, "one")

    def call() -> None:
        with contextlib.suppress(StoreError):
            store.update_many(
                [(two.net_luid, Calling(call_back, alias="outside"))]
            )
            wanted["two"] = "outside"

    bench.begin(call)()
    for key, alias in wanted.items():
        found = bench.find(store, key)
        must(found and found.alias == alias, f"not {alias!r}: {found}")
    bench.release(store, one, two)
