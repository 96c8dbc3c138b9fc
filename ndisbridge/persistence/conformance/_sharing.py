# SPDX-License-Identifier: MIT
"""Rules of a store that several sessions have open."""

from __future__ import annotations

import os

from ..errors import (
    IdentityExistsError,
    IdentityInUseError,
    LeaseLostError,
    NotRetainedError,
)
from ._bench import Bench
from ._rule import Rules
from ._verdicts import BLOCK, essence, must, refused

rules = Rules(40_800)


@rules(leases=True, shared=True)
def sessions_lease_apart(bench: Bench) -> None:
    """No block is leased by two sessions."""
    one, two = bench.open(), bench.open()
    first = {n for n, _ in one.lease_blocks(bench.if_type, 0, 9, 4)}
    second = {n for n, _ in two.lease_blocks(bench.if_type, 0, 9, 4)}
    must(first and second, "one of two got nothing of ten blocks")
    must(not first & second, f"both have {first & second}")
    with refused(LeaseLostError, "an index of another's block"):
        two.retain(bench.sets(min(first) * BLOCK), ())
    one.close()
    for block in first:
        bench.lease(two, block * BLOCK)
    two.retain(bench.sets(*(block * BLOCK for block in first)), ())


@rules(leases=True, shared=True)
def sessions_see_each_other(bench: Bench) -> None:
    """What one session has retained or released, another sees at once."""
    one, two = bench.open(), bench.open()
    record = bench.make(one, "k", 1)
    must(essence(bench.find(two, "k")) == record, "not seen")
    other = bench.record("k", 5000)
    bench.lease(two, 5000)
    with refused(IdentityExistsError, "a key that another has made"):
        two.retain(bench.sets_for(other), [other])
    two.update(record.net_luid, alias="A")
    found = bench.find(one, "k")
    must(found and found.alias == "A", "an update is not seen")
    bench.release(two, record)
    must(bench.find(one, "k") is None, "a release is not seen")


@rules(leases=True, shared=True)
def one_session_uses_an_identity(bench: Bench) -> None:
    """What one has registered no other registers or releases."""
    one, two = bench.open(), bench.open()
    record = bench.make(one, "k", 1)
    one.confirm([record.net_luid], [0])
    with refused(IdentityInUseError, "another registers it") as errors:
        two.confirm([record.net_luid], [0])
    holder = getattr(errors[0], "holder", None)
    must(holder and holder.pid == os.getpid(), f"its holder is {holder}")
    two.unconfirm([record.net_luid])
    with refused(IdentityInUseError, "another releases it"):
        bench.release(two, record)
    one.close()
    two.confirm([record.net_luid], [0])
    two.unconfirm([record.net_luid])
    bench.release(two, record)


@rules(leases=True, shared=True)
def passing_ones_are_their_makers(bench: Bench) -> None:
    """A non-persistent identity is used by its session only."""
    one, two = bench.open(), bench.open()
    record = bench.make(one, "k", 1, persistent=False)
    with refused(IdentityInUseError, "another registers it"):
        two.confirm([record.net_luid], [0])
    with refused(NotRetainedError, "another releases it"):
        two.release((), [record], persistent=False)
    one.close()
    must(bench.find(two, "k") is None, "it outlived its session")
    bench.make(two, "k", 1)
