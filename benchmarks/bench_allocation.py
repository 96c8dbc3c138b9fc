# SPDX-License-Identifier: MIT
"""Allocating and freeing NET_LUID indexes, from Python."""

from __future__ import annotations

import threading

import pytest

import ndisbridge as ndis

PAIRS = 10_000
BATCH = 100_000
ETHERNET = int(ndis.IfType.ETHERNET_CSMACD)


class FreeList:
    """What a Python program would write: a list of what is free."""

    def __init__(self, count: int) -> None:
        self._free = list(range(count - 1, -1, -1))

    def allocate(self) -> int:
        return self._free.pop()

    def free(self, index: int) -> None:
        self._free.append(index)


class CheckedFreeList:
    """The same for threads, with what NDIS asks: no double free."""

    def __init__(self, count: int) -> None:
        self._free = list(range(count - 1, -1, -1))
        self._taken: set[int] = set()
        self._lock = threading.Lock()

    def allocate(self) -> int:
        with self._lock:
            index = self._free.pop()
            self._taken.add(index)
            return index

    def free(self, index: int) -> None:
        with self._lock:
            self._taken.remove(index)
            self._free.append(index)


def pairs(allocate, free) -> int:
    last = -1
    for _ in range(PAIRS):
        last = allocate()
        free(last)
    return last


@pytest.mark.benchmark(group="pair: one index, allocated and freed (x 10,000)")
class TestPair:
    def test_ours(self, benchmark, session) -> None:
        space = session.index_space(ETHERNET)
        assert benchmark(pairs, space.allocate, space.free) >= 0
        assert session.count_net_luid_indexes(ETHERNET).allocated == 0

    def test_ours_99_percent_full(self, benchmark, session) -> None:
        indexes = session.allocate_net_luid_indexes(ETHERNET, 1 << 24)
        session.free_net_luid_indexes(ETHERNET, indexes[::100].tolist())
        space = session.index_space(ETHERNET)
        assert benchmark(pairs, space.allocate, space.free) % 100 == 0

    def test_ours_by_the_session(self, benchmark, session) -> None:
        index = benchmark(
            pairs,
            lambda: session.allocate_net_luid_index(ETHERNET),
            lambda i: session.free_net_luid_index(ETHERNET, i),
        )
        assert index >= 0

    def test_ours_with_a_store(self, benchmark, tmp_path) -> None:
        with ndis.Session(tmp_path / "ndis.db") as session:
            space = session.index_space(ETHERNET)
            assert benchmark(pairs, space.allocate, space.free) >= 0

    def test_floor_bound_list(self, benchmark) -> None:
        free = list(range(1 << 20))
        assert benchmark(pairs, free.pop, free.append) == (1 << 20) - 1

    def test_peer_free_list_class(self, benchmark) -> None:
        peer = FreeList(1 << 20)
        assert benchmark(pairs, peer.allocate, peer.free) == 0

    def test_peer_checked_free_list(self, benchmark) -> None:
        peer = CheckedFreeList(1 << 20)
        assert benchmark(pairs, peer.allocate, peer.free) == 0

    def test_peer_set(self, benchmark) -> None:
        free = set(range(1 << 20))
        assert benchmark(pairs, free.pop, free.add) >= 0


@pytest.mark.benchmark(group="batch: 100,000 indexes, allocated and freed")
class TestBatch:
    def check(self, benchmark, session) -> None:
        out = memoryview(bytearray(4 * BATCH)).cast("I")

        def batch() -> int:
            session.allocate_net_luid_indexes(ETHERNET, out=out)
            return session.free_net_luid_indexes(ETHERNET, out)

        assert benchmark(batch) == BATCH
        assert len(set(out)) == BATCH
        assert session.count_net_luid_indexes(ETHERNET).allocated == 0

    def test_ours(self, benchmark, session) -> None:
        self.check(benchmark, session)

    def test_ours_with_a_store(self, benchmark, tmp_path) -> None:
        with ndis.Session(tmp_path / "ndis.db") as session:
            self.check(benchmark, session)

    def test_peer_list_slice(self, benchmark) -> None:
        free = list(range(1 << 20))

        def batch() -> int:
            taken = free[-BATCH:]
            del free[-BATCH:]
            free.extend(taken)
            return len(taken)

        assert benchmark(batch) == BATCH
        assert len(free) == 1 << 20


@pytest.mark.benchmark(group="batch: 100,000 indexes, allocated only")
class TestBatchAllocate:
    def check(self, benchmark, session) -> None:
        out = memoryview(bytearray(4 * BATCH)).cast("I")
        # The blocks are leased before the first sample.
        session.allocate_net_luid_indexes(ETHERNET, out=out)

        def setup() -> None:
            session.free_net_luid_indexes(ETHERNET, out)

        benchmark.pedantic(
            lambda: session.allocate_net_luid_indexes(ETHERNET, out=out),
            setup=setup,
            rounds=200,
        )
        assert len(set(out)) == BATCH

    def test_ours(self, benchmark, session) -> None:
        self.check(benchmark, session)

    def test_ours_with_a_store(self, benchmark, tmp_path) -> None:
        with ndis.Session(tmp_path / "ndis.db") as session:
            self.check(benchmark, session)

    def test_peer_list_slice(self, benchmark) -> None:
        free = list(range(1 << 20))
        taken: list[int] = []

        def allocate() -> None:
            nonlocal taken
            taken = free[-BATCH:]
            del free[-BATCH:]

        def setup() -> None:
            free.extend(taken)

        benchmark.pedantic(allocate, setup=setup, rounds=200)
        assert len(set(taken)) == BATCH
