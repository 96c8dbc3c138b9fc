# SPDX-License-Identifier: MIT
"""Rules of what one call may name."""

from __future__ import annotations

from dataclasses import replace

from ..errors import IdentityConflictError
from ..records import IndexSet
from ._bench import Bench
from ._rule import Rules
from ._verdicts import must, refused

rules = Rules(40_200)


@rules()
def a_call_makes_a_key_once(bench: Bench) -> None:
    """Two identities of one key in a call are refused, with all of it."""
    store = bench.open()
    other = bench.record("other", 1)
    one, two = bench.record("k", 2), bench.record("k", 3)
    bench.lease(store, 1)
    made = [other, one, two]
    with refused(IdentityConflictError, "two of one key"):
        store.retain(bench.sets_for(*made), made)
    for key in ("other", "k"):
        must(bench.find(store, key) is None, f"{key!r} was made")
    if store.leases:
        must(bench.retained(store, 0) == 0, "their indexes were retained")


@rules()
def a_call_makes_a_net_luid_once(bench: Bench) -> None:
    """Two of one NET_LUID, NET_LUID index or GUID are refused likewise."""
    store = bench.open()
    other, one, two = (
        bench.record(key, place)
        for place, key in enumerate(("other", "one", "two"))
    )
    bench.lease(store, 1)
    for what, second in (
        ("NET_LUID", replace(two, net_luid=one.net_luid)),
        # Its last 24 bits are reserved: the index is the same.
        ("NET_LUID index", replace(two, net_luid=one.net_luid | 1)),
        ("GUID", replace(two, interface_guid=one.interface_guid)),
    ):
        made = [other, one, second]
        with refused(IdentityConflictError, f"two of one {what}"):
            store.retain(bench.sets_for(*made), made)
        for key in ("other", "one", "two"):
            must(bench.find(store, key) is None, f"{key!r} was made")
        if store.leases:
            must(bench.retained(store, 0) == 0, "an index was retained")


@rules(leases=True)
def a_call_names_a_block_once(bench: Bench) -> None:
    """A call that names a block twice is refused, with all of it."""
    store = bench.open()
    bench.retain(store, 1, 2, 5000)
    bench.lease(store, 0, 5000)

    def twice(first: int, second: int, other: int) -> list[list[IndexSet]]:
        ((if_type, one),), ((_, two),) = bench.sets(first), bench.sets(second)
        return [
            [*bench.sets(other), (if_type, [*one, *two])],
            [*bench.sets(other), (if_type, one), (if_type, two)],
        ]

    for pair in ((3, 4), (3, 3)):
        for sets in twice(*pair, 5001):
            with refused(IdentityConflictError, "retaining in one twice"):
                store.retain(sets, ())
    for pair in ((1, 2), (1, 1)):
        for sets in twice(*pair, 5000):
            with refused(IdentityConflictError, "releasing in one twice"):
                store.release(sets, ())
    found = bench.retained(store, 0), bench.retained(store, 1)
    must(found == (0b110, 1 << 904), f"retained are {found}")
