# SPDX-License-Identifier: MIT
"""Rules of releasing."""

from __future__ import annotations

from dataclasses import replace

from ..errors import (
    IdentityConflictError,
    NotRetainedError,
)
from ._bench import Bench
from ._rule import Rules
from ._verdicts import must, refused

rules = Rules(40_300)


@rules(leases=True, durable=True)
def released_is_gone(bench: Bench) -> None:
    """What is released is gone for good, and its index free."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    bench.retain(store, 2, 3)
    store = bench.reopen(store)
    bench.release(store, record)
    store.release(bench.sets(2), ())
    must(bench.find(store, "k") is None, "the identity is still there")
    store = bench.reopen(store)
    must(bench.find(store, "k") is None, "the identity is there again")
    found = bench.retained(store, 0)
    must(found == 1 << 3, f"retained are {found:#x}")
    bench.make(store, "k", 1)


@rules()
def what_is_gone_is_not_released(bench: Bench) -> None:
    """An identity that is not there is refused, with all of the call."""
    store = bench.open()
    gone, kept = bench.make(store, "gone", 1), bench.make(store, "kept", 2)
    bench.release(store, gone)
    with refused(NotRetainedError, "an identity that was released"):
        bench.release(store, kept, gone)
    must(bench.find(store, "kept"), "another one was released all the same")


@rules(leases=True)
def what_is_free_is_not_released(bench: Bench) -> None:
    """An index that is not retained is refused, with all of the call."""
    store = bench.open()
    bench.retain(store, 1, 5000)
    with refused(NotRetainedError, "an index that is not retained"):
        store.release(bench.sets(1, 2, 5000), ())
    found = bench.retained(store, 0), bench.retained(store, 1)
    must(found == (2, 1 << 904), "others were released all the same")


@rules()
def an_identity_keeps_its_index(bench: Bench) -> None:
    """An identity's index is released with the identity only."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    with refused(NotRetainedError, "an identity's index alone"):
        store.release(bench.sets_for(record), ())
    must(bench.find(store, "k"), "the identity is gone")


@rules(leases=True)
def releasing_takes_what_it_names(bench: Bench) -> None:
    """An identity goes with its own indexes, and with no other ifIndex."""
    store = bench.open()
    record = bench.make(store, "k", 1, owns_if_index=True)
    other = bench.make(store, "other", 2, owns_if_index=True)
    bare = replace(record, if_index=0, if_index_owned=False)
    for sets, what in (
        (bench.sets_for(bare), "an identity without its ifIndex"),
        (
            bench.sets_for(
                replace(record, if_index=other.if_index),
            ),
            "an identity with another's ifIndex",
        ),
    ):
        with refused(IdentityConflictError, what):
            store.release(sets, [record])
    for key in ("k", "other"):
        must(bench.find(store, key), f"{key!r} is gone")


@rules(leases=True)
def stale_records_release_nothing(bench: Bench) -> None:
    """A record of an earlier holder of the NET_LUID releases nothing."""
    store = bench.open()
    stale = bench.make(store, "k", 1)
    bench.release(store, stale)
    bench.make(store, "k", 1)
    with refused(NotRetainedError, "a record of an identity long gone"):
        bench.release(store, stale)
    must(bench.find(store, "k"), "its successor was released")


@rules(leases=True)
def persistent_or_not_is_told(bench: Bench) -> None:
    """Who releases must know whether the identity is persistent."""
    store = bench.open()
    lasting = bench.make(store, "lasting", 1)
    passing = bench.make(store, "passing", 2, persistent=False)
    with refused(NotRetainedError, "a persistent one as if it were not"):
        store.release(bench.sets_for(lasting), [lasting], persistent=False)
    with refused(NotRetainedError, "one as if it were persistent"):
        store.release(bench.sets_for(passing), [passing])
    store.release(bench.sets_for(passing), [passing], persistent=False)
    must(bench.find(store, "passing") is None, "it is still there")
    must(bench.find(store, "lasting"), "the persistent one is gone")
