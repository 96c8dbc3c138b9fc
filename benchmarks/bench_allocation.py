# SPDX-License-Identifier: MIT
"""
Allocating and freeing NET_LUID indexes, from Python: ours and every peer of
peers.py, on a space of 2^24 indexes of which the same ones are free.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from crew import Crew
from peers import PEERS, Locked, missing
from space import ETHERNET, OCCUPANCIES, fill, vacant

import ndisbridge as ndis

PAIRS = 1_000
BATCHES = [1_000, 100_000]
#: A sample of a slow peer is as many as this takes to be seen.
SLOW = {"NextUnused": 10, "IntBitSet": 10, "SqliteMemory": 100, "Lmdb": 100}


def pairs(allocate: Any, free: Any, count: int) -> int:
    last = -1
    for _ in itertools.repeat(None, count):
        last = allocate()
        free(last)
    return last


class Ours:
    """An index space of a session, as the peers are."""

    atomic = True

    def __init__(self, percent: float, path: Any = None) -> None:
        self._session = ndis.Session(path)
        fill(self._session, percent)
        space = self._session.index_space(ETHERNET)
        self.allocate, self.free = space.allocate, space.free
        self._out = memoryview(b"").cast("B")

    def allocate_many(self, count: int) -> memoryview:
        if len(self._out) != count:
            self._out = memoryview(bytearray(4 * count)).cast("I")
        return self._session.allocate_net_luid_indexes(ETHERNET, out=self._out)

    def free_many(self, indexes: memoryview) -> None:
        self._session.free_net_luid_indexes(ETHERNET, indexes)

    def count(self) -> int:
        counts = self._session.count_net_luid_indexes(ETHERNET)
        return (1 << 24) - counts.allocated

    def close(self) -> None:
        self._session.close()


def cases() -> Iterator[Any]:
    """
    Case by case, so that only one space of 2^24 indexes is there.  Peers that
    are not installed are left out; RESULTS.md says which.
    """
    absent = missing()
    for percent in OCCUPANCIES:
        yield pytest.param((None, percent), id=f"ours-{percent:g}%")
        for peer in PEERS:
            if peer.package not in absent and (
                peer.occupancies is None or percent in peer.occupancies
            ):
                yield pytest.param(
                    (peer, percent), id=f"peer_{peer.__name__}-{percent:g}%"
                )


@pytest.fixture(scope="module", params=cases())
def case(request: Any) -> Iterator[tuple[Any, float, int]]:
    kind, percent = request.param
    made: Any = Ours(percent) if kind is None else kind(vacant(percent))
    slow = 1 if kind is None else SLOW.get(kind.__name__, 1)
    if percent == 0 and slow == 10:
        slow = 1 if kind.__name__ == "NextUnused" else 10
    yield made, percent, PAIRS // slow
    made.close()


def test_pair(benchmark: Any, case: Any) -> None:
    made, percent, count = case
    benchmark.group = f"pair, {percent:g} % occupied, 1 thread (x 1)"
    benchmark.extra_info["operations"] = count
    free = made.count()
    last = benchmark(pairs, made.allocate, made.free, count)
    assert 0 <= last < 1 << 24 or "Counter" in str(type(made))
    assert made.count() == free


def test_pair_two_threads(benchmark: Any, case: Any) -> None:
    """The nanoseconds of a pair, of all that the two make."""
    made, percent, count = case
    benchmark.group = f"pair, {percent:g} % occupied, 2 threads (x 1)"
    benchmark.extra_info["operations"] = 2 * count
    free = made.count()
    user = made if made.atomic else Locked(made)
    crew = Crew(2, lambda _: pairs(user.allocate, user.free, count))
    try:
        assert benchmark(crew.run) == 2
    finally:
        crew.end()
    assert made.count() == free


@pytest.mark.parametrize("count", BATCHES)
def test_batch(benchmark: Any, case: Any, count: int) -> None:
    made, percent, operations = case
    name = type(made).__name__
    if count > len(vacant(percent)):
        pytest.skip(f"{len(vacant(percent)):,} are free at {percent:g} %")
    if name in SLOW and operations * BATCHES[0] < PAIRS * count:
        pytest.skip(f"{count:,} at once take {name} minutes, one by one")
    benchmark.group = f"batch of {count:,}, {percent:g} % occupied (x 1)"
    benchmark.extra_info["operations"] = count
    free = made.count()

    def batch() -> int:
        taken = made.allocate_many(count)
        found = len(taken)
        made.free_many(taken)
        return found

    assert benchmark(batch) == count
    assert made.count() == free
    taken = made.allocate_many(count)
    assert len({*taken}) == count
    made.free_many(taken)


@pytest.mark.benchmark(group="pair, 0 % occupied, 1 thread (x 1)")
class TestOtherWays:
    """Of the same group: the floor, and ours by other ways."""

    def check(self, benchmark: Any, allocate: Any, free: Any) -> None:
        benchmark.extra_info["operations"] = PAIRS
        assert benchmark(pairs, allocate, free, PAIRS) >= 0

    def test_floor_bound_list(self, benchmark: Any) -> None:
        free = list(range(1 << 20))
        self.check(benchmark, free.pop, free.append)

    def test_ours_by_the_session(self, benchmark: Any, session: Any) -> None:
        self.check(
            benchmark,
            lambda: session.allocate_net_luid_index(ETHERNET),
            lambda i: session.free_net_luid_index(ETHERNET, i),
        )

    def test_ours_with_a_store(self, benchmark: Any, tmp_path: Any) -> None:
        ours = Ours(0, tmp_path / "ndis.db")
        self.check(benchmark, ours.allocate, ours.free)
        ours.close()


@pytest.mark.parametrize("count", BATCHES)
def test_batch_ours_with_a_store(
    benchmark: Any, tmp_path: Any, count: int
) -> None:
    benchmark.group = f"batch of {count:,}, 0 % occupied (x 1)"
    benchmark.extra_info["operations"] = count
    ours = Ours(0, tmp_path / "ndis.db")

    def batch() -> int:
        taken = ours.allocate_many(count)
        ours.free_many(taken)
        return len(taken)

    assert benchmark(batch) == count
    assert ours.count() == 1 << 24
    ours.close()
