# SPDX-License-Identifier: MIT
"""Rules of leases."""

from __future__ import annotations

from ._bench import Bench
from ._rule import Rules
from ._verdicts import EMPTY, must

rules = Rules(40_000)


@rules(leases=True)
def leases_are_lowest_first(bench: Bench) -> None:
    """Blocks are leased lowest first, inside the range, and at most count."""
    store = bench.open()
    got: list[int] = []
    while len(got) < 5:
        found = store.lease_blocks(bench.if_type, 5, 9, 3)
        must(0 < len(found) <= 3, f"{len(found)} blocks of 3")
        got += [block for block, _ in found]
    must(got == [5, 6, 7, 8, 9], f"leased {got} of 5 .. 9")


@rules(leases=True)
def nothing_is_leased_twice(bench: Bench) -> None:
    """A leased block is not leased again until it is returned."""
    store = bench.open()
    store.lease_blocks(bench.if_type, 7, 7, 1)
    found = list(store.lease_blocks(bench.if_type, 7, 7, 1))
    must(not found, "block 7 was leased twice")
    store.return_blocks(bench.if_type, [7])
    found = list(store.lease_blocks(bench.if_type, 7, 7, 1))
    must(found == [(7, EMPTY)], f"after its return: {found!r:.80}")


@rules(leases=True)
def if_types_are_spaces_apart(bench: Bench) -> None:
    """Each IfType has blocks of its own."""
    store = bench.open()
    bench.retain(store, 3)
    found = list(store.lease_blocks(65_535, 0, 0, 1))
    must(found == [(0, EMPTY)], "another IfType has its indexes too")
    store.return_blocks(65_535, [0])


@rules(leases=True)
def leases_tell_what_is_retained(bench: Bench) -> None:
    """A lease comes with the retained indexes of its block, bit by bit."""
    store = bench.open()
    bench.retain(store, 4096, 4096 + 9, 4096 + 4095)
    found = bench.retained(store, 1)
    must(found == 1 | 1 << 9 | 1 << 4095, f"bits {found:#x}")
    must(bench.retained(store, 0) == 0, "in a block where nothing is")


@rules(leases=True, durable=True)
def leases_end_with_their_session(bench: Bench) -> None:
    """Closing gives all leases back."""
    store = bench.open()
    bench.lease(store, 0)
    store = bench.reopen(store)
    found = list(store.lease_blocks(bench.if_type, 0, 0, 1))
    must(found == [(0, EMPTY)], "block 0 is still leased")
