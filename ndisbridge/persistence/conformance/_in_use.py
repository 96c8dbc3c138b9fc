# SPDX-License-Identifier: MIT
"""Rules of what is in use."""

from __future__ import annotations

from ..errors import (
    IdentityConflictError,
    IdentityInUseError,
    NotRetainedError,
)
from ._bench import Bench
from ._rule import Rules
from ._verdicts import must, refused

rules = Rules(40_400)


@rules(leases=True)
def what_is_in_use_is_not_released(bench: Bench) -> None:
    """What is registered is not released, until it no longer is."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    bench.retain(store, 2)
    both = [record.net_luid, record.net_luid + (1 << 24)]
    store.confirm(both, [0, 0])
    found = bench.find(store, "k")
    must(found and found.in_use_by, "in_use_by does not say so")
    with refused(IdentityInUseError, "an identity in use"):
        bench.release(store, record)
    with refused(IdentityInUseError, "an index in use"):
        store.release(bench.sets(2), ())
    store.unconfirm(both)
    found = bench.find(store, "k")
    must(found and not found.in_use_by, "in_use_by stays")
    bench.release(store, record)
    store.release(bench.sets(2), ())


@rules(leases=True)
def only_the_retained_is_confirmed(bench: Bench) -> None:
    """A NET_LUID that is not retained is refused, with all of the call."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    free = record.net_luid + (1 << 24)
    with refused(NotRetainedError, "a NET_LUID that is not retained"):
        store.confirm([record.net_luid, free], [0, 0])
    found = bench.find(store, "k")
    must(found and not found.in_use_by, "another was marked all the same")
    bench.release(store, record)


@rules()
def if_indexes_are_not_taken_away(bench: Bench) -> None:
    """Nobody registers with the own ifIndex of another identity."""
    store = bench.open()
    owner = bench.make(store, "owner", 1, owns_if_index=True)
    other = bench.make(store, "other", 2)
    with refused(IdentityConflictError, "another identity's own ifIndex"):
        store.confirm([other.net_luid], [owner.if_index])
    store.confirm([owner.net_luid], [owner.if_index])
    store.unconfirm([owner.net_luid])


@rules(leases=True, durable=True)
def marks_end_with_their_session(bench: Bench) -> None:
    """Closing takes the session's marks off."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    store.confirm([record.net_luid], [0])
    store = bench.reopen(store)
    found = bench.find(store, "k")
    must(found and not found.in_use_by, "in_use_by outlived its session")
    bench.release(store, record)
