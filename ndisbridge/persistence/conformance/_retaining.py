# SPDX-License-Identifier: MIT
"""Rules of retaining."""

from __future__ import annotations

from ..errors import (
    AlreadyRetainedError,
    IdentityExistsError,
    LeaseLostError,
    NotRetainedError,
)
from ._bench import Bench
from ._rule import Rules
from ._verdicts import BLOCK, essence, must, refused

rules = Rules(40_100)


@rules(leases=True)
def retaining_needs_a_lease(bench: Bench) -> None:
    """Who has not leased a block cannot retain in it."""
    store = bench.open()
    bench.lease(store, 0)
    with refused(LeaseLostError, "an index of a block that is not leased"):
        store.retain(bench.sets(1, 4096), ())
    must(bench.retained(store, 0) == 0, "the other index was retained")


@rules(leases=True, durable=True)
def retained_indexes_last(bench: Bench) -> None:
    """A retained index stays taken when the store is opened again."""
    store = bench.open()
    bench.retain(store, 0, 77, 5000)
    store = bench.reopen(store)
    found = bench.retained(store, 0), bench.retained(store, 1)
    must(found == (1 | 1 << 77, 1 << 904), "some are lost, or others there")


@rules(leases=True)
def nothing_is_retained_twice(bench: Bench) -> None:
    """A retained index is refused, and with it all of the call."""
    store = bench.open()
    bench.retain(store, 1)
    bench.lease(store, 5000)
    with refused(AlreadyRetainedError, "a retained index"):
        store.retain(bench.sets(0, 1, 5000), ())
    must(bench.retained(store, 0) == 2, "index 0 was retained all the same")
    must(bench.retained(store, 1) == 0, "another block was")


@rules(leases=True, durable=True)
def the_last_net_luid_is_as_good(bench: Bench) -> None:
    """A NET_LUID may use all of its 64 bits."""
    store = bench.open()
    bench.if_type = 65_535
    record = bench.make(store, "last", 0xFFFFFF)
    store.confirm([record.net_luid], [0])
    store = bench.reopen(store)
    found = essence(store.find_by_net_luid(record.net_luid))
    must(found == record, f"found {found}")
    bench.release(store, record)


@rules(durable=True)
def identities_last(bench: Bench) -> None:
    """A persistent identity is the same when the store is opened again."""
    store = bench.open()
    record = bench.make(
        store,
        "k",
        1,
        owns_if_index=True,
        alias="Küche ☃",
        attributes={"a": "ß", "b": ""},
    )
    bench.make(store, "kernel's", 2, if_index=7)
    store = bench.reopen(store)
    found = bench.find(store, "k")
    must(essence(found) == record, f"made {record}, found {found}")
    found = bench.find(store, "kernel's")
    must(
        found and (found.if_index, found.if_index_owned) == (7, False),
        f"ifIndex 7, not its own, became {found}",
    )


@rules()
def a_key_has_one_identity(bench: Bench) -> None:
    """A key that has an identity is refused, and with it all of the call."""
    store = bench.open()
    first = bench.make(store, "k", 1)
    new, second = bench.record("new", 2), bench.record("k", 3)
    bench.lease(store, 1)
    with refused(IdentityExistsError, "a second identity of a key") as errors:
        store.retain(bench.sets_for(new, second), [new, second])
    (error,) = errors
    existing = getattr(error, "existing", None)
    must(essence(existing) == first, f"its error has existing={existing}")
    must(bench.find(store, "new") is None, "another one was made")
    must(essence(bench.find(store, "k")) == first, "it was changed")
    if store.leases:
        must(bench.retained(store, 0) == 2, "its index was retained")


@rules()
def updates_go_with_retaining(bench: Bench) -> None:
    """Updates given to retain() are of its transaction, all or none."""
    store = bench.open()
    first = bench.make(store, "first", 1)
    one, two = bench.record("one", 2), bench.record("two", 3)
    store.retain(
        bench.sets_for(one), [one], updates=[(first.net_luid, {"alias": "x"})]
    )
    found = bench.find(store, "first")
    must(found and found.alias == "x", f"not updated: {found}")
    must(bench.find(store, "one"), "not retained")
    with refused(NotRetainedError, "an update of what is not there"):
        store.retain(
            bench.sets_for(two),
            [two],
            updates=[
                (first.net_luid, {"alias": "y"}),
                (first.net_luid + (99 << 24), {"alias": "y"}),
            ],
        )
    must(bench.find(store, "two") is None, "it was retained all the same")
    found = bench.find(store, "first")
    must(found and found.alias == "x", "another was updated all the same")


@rules(leases=True, durable=True)
def an_own_if_index_is_retained(bench: Bench) -> None:
    """An identity's own ifIndex is taken as long as the identity lasts."""
    store = bench.open()
    record = bench.make(store, "k", 1, owns_if_index=True)
    store = bench.reopen(store)
    block, bit = divmod(record.if_index, BLOCK)
    found = bench.retained(store, block, 0) >> bit & 1
    must(found, f"ifIndex {record.if_index} is free")
    bench.release(store, record)
    found = bench.retained(store, block, 0) >> bit & 1
    must(not found, f"ifIndex {record.if_index} stays taken")


@rules(leases=True, durable=True)
def what_is_not_persistent_ends(bench: Bench) -> None:
    """A non-persistent identity retains no index, ends with its session."""
    store = bench.open()
    record = bench.make(store, "k", 1, persistent=False)
    found = bench.find(store, "k")
    must(essence(found) == record, f"made {record}, found {found}")
    store.confirm([record.net_luid], [0])
    store.unconfirm([record.net_luid])
    must(bench.retained(store, 0) == 0, "its index was retained")
    store = bench.reopen(store)
    must(bench.find(store, "k") is None, "it outlived its session")
    bench.make(store, "k", 1)
