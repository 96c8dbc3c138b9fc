# SPDX-License-Identifier: MIT
"""
The core without Python: bench_core.c, whose loops are long enough that the
call into them does not count, beside the floors and the peers of
bench_floors.c.
"""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import native
import pytest
from space import C_OCCUPANCIES, ETHERNET, WINDOW, as_c, fill, occupied, vacant

import ndisbridge as ndis
from ndisbridge import Oid
from ndisbridge.structures import InterfaceTable

PAIRS = 20_000
PEERS = ["mutex_list", "mutex_tree", "mimalloc"]
BATCH = 64 * 1_600
OCTETS = int(Oid.GEN_BYTES_RCV)
#: Interfaces asked for in turn: what a loop over them reads of its keys stays
#: in a cache.
KEYS = 8_192


@pytest.fixture(scope="session")
def core(tmp_path_factory: Any) -> ctypes.CDLL:
    return native.load_core(tmp_path_factory.mktemp("core"))


def keys_of(net_luids: Any, count: int = KEYS) -> Any:
    chosen = random.Random(9).choices(net_luids, k=count)
    return (net_luids._type_ * count)(*chosen)


class Spaces:
    """Ours and the peers at one occupancy; mimalloc's where it is."""

    def __init__(self, core: ctypes.CDLL, percent: float) -> None:
        self.session = ndis.Session()
        fill(self.session, percent)
        free = as_c(vacant(percent))
        self.peers = {
            "mutex_list": native.Peer(core, free),
            "mutex_tree": native.Peer(core, free, tree=True),
        }
        mimalloc = native.load_mimalloc()
        if mimalloc is not None:
            self.peers["mimalloc"] = native.Peer(mimalloc, free)

    def peer(self, name: str) -> native.Peer:
        if name not in self.peers:
            pytest.skip(f"{name} is not installed")
        return self.peers[name]

    def close(self) -> None:
        self.session.close()
        for peer in self.peers.values():
            peer.close()


@pytest.fixture(scope="module", params=C_OCCUPANCIES)
def spaces(request: Any, core: ctypes.CDLL) -> Iterator[tuple[Spaces, float]]:
    made = Spaces(core, request.param)
    yield made, request.param
    made.close()


class TestPairs:
    def check(self, benchmark: Any, percent: float, run: Any) -> None:
        benchmark.group = f"C: pair, {percent:g} % occupied (x {PAIRS:,})"
        assert benchmark(run) == 2 * PAIRS

    def test_floor_one_cached_word(self, benchmark, core, spaces) -> None:
        self.check(benchmark, spaces[1], partial(core.floor_pairs, 0, PAIRS))

    def test_ours(self, benchmark, core, spaces) -> None:
        address = spaces[0].session.address
        run = partial(core.pairs, address, ETHERNET, PAIRS)
        self.check(benchmark, spaces[1], run)

    @pytest.mark.parametrize("kind", PEERS)
    def test_peer(self, benchmark, spaces, kind) -> None:
        peer = spaces[0].peer(kind)
        run = partial(peer.core.peer_pairs, peer.address, PAIRS)
        self.check(benchmark, spaces[1], run)


class TestChurn:
    """A window of 65,536 at random: the oldest freed, another allocated."""

    def group(self, benchmark: Any, percent: float) -> Any:
        if not percent:
            pytest.skip("an empty space has no oldest index to free")
        benchmark.group = f"C: churn, {percent:g} % occupied (x {PAIRS:,})"
        return (ctypes.c_uint32 * WINDOW)(*occupied(percent))

    def test_floor_known_bits(self, benchmark, core, spaces) -> None:
        window = self.group(benchmark, spaces[1])
        words = (ctypes.c_uint64 * (1 << 18))()
        done = benchmark(core.floor_churn, words, window, WINDOW, PAIRS)
        assert done == 2 * PAIRS
        assert not any(words)

    def test_ours(self, benchmark, core, spaces) -> None:
        window = self.group(benchmark, spaces[1])
        address = spaces[0].session.address
        done = benchmark(core.churn, address, ETHERNET, window, WINDOW, PAIRS)
        assert done == 2 * PAIRS
        assert len(set(window)) == WINDOW

    @pytest.mark.parametrize("kind", PEERS)
    def test_peer(self, benchmark, spaces, kind) -> None:
        window = self.group(benchmark, spaces[1])
        peer = spaces[0].peer(kind)
        run = peer.core.peer_churn
        done = benchmark(run, peer.address, window, WINDOW, PAIRS)
        assert done == 2 * PAIRS
        assert len(set(window)) == WINDOW


@pytest.mark.benchmark(group=f"C: batch, claimed and freed (x {BATCH:,})")
class TestBatch:
    def test_ours(self, benchmark, session, core) -> None:
        indexes = (ctypes.c_uint32 * BATCH)()
        done = benchmark(core.batch, session.address, ETHERNET, indexes, BATCH)
        assert done == BATCH
        assert len(set(indexes)) == BATCH

    def test_floor_whole_words(self, benchmark, core) -> None:
        indexes = (ctypes.c_uint32 * BATCH)()
        words = (ctypes.c_uint64 * (BATCH // 64))(*[2**64 - 1] * (BATCH // 64))

        def batch() -> int:
            core.floor_claim_many(words, indexes, BATCH)
            return core.floor_free_many(words, BATCH)

        assert benchmark(batch) == BATCH
        assert list(indexes) == list(range(BATCH))


@pytest.fixture(scope="module", params=[1_000, 100_000])
def crowd(request: Any, core: ctypes.CDLL) -> Iterator[Any]:
    """Published interfaces, and the same by direct index without guards."""
    count = request.param
    with ndis.Session() as session:
        interfaces = native.Interfaces(core, session, count, 78)
        direct = native.Direct(core, interfaces.net_luids, native.ONE_LINE, 78)
        yield session, interfaces, direct
        direct.close()


def crowd_group(benchmark: Any, what: str, crowd: Any, each: int) -> Any:
    interfaces = crowd[1]
    count = len(interfaces.net_luids)
    benchmark.group = f"C: {what}, {count:,} interfaces (x {each:,})"
    return interfaces.net_luids


class TestQuery:
    """Interfaces at random, one OID."""

    def test_ours_published(self, benchmark, core, crowd) -> None:
        luids = crowd_group(benchmark, "query", crowd, PAIRS)
        address = crowd[0].address
        done = benchmark(
            core.queries, address, keys_of(luids), KEYS, OCTETS, PAIRS
        )
        assert done == 78 * PAIRS

    def test_ours_native_handler(self, benchmark, core, crowd) -> None:
        luids = crowd_group(benchmark, "query", crowd, PAIRS)
        with ndis.Session() as session:
            own = native.Interfaces(core, session, len(luids), 0)
            keys = keys_of(own.net_luids)
            done = benchmark(
                core.queries, session.address, keys, KEYS, OCTETS, PAIRS
            )
        assert done == 77 * PAIRS

    def test_floor_direct_index(self, benchmark, core, crowd) -> None:
        luids = crowd_group(benchmark, "query", crowd, PAIRS)
        address = crowd[2].address
        done = benchmark(
            core.floor_queries, address, keys_of(luids), KEYS, OCTETS, PAIRS
        )
        assert done == 78 * PAIRS

    def test_floor_indirect_call(self, benchmark, core, crowd) -> None:
        crowd_group(benchmark, "query", crowd, PAIRS)
        done = benchmark(core.floor_indirect_calls, core.answer, OCTETS, PAIRS)
        assert done == 77 * PAIRS


class TestQueryMany:
    """All of them in one call."""

    def check(self, benchmark, crowd, run, address) -> None:
        count = len(crowd[1].net_luids)
        luids = crowd_group(benchmark, "batch query", crowd, count)
        order = [*luids]
        random.Random(10).shuffle(order)
        keys = (ctypes.c_uint64 * count)(*order)
        values = (ctypes.c_uint64 * count)()
        lengths = (ctypes.c_uint32 * count)()
        statuses = (ctypes.c_int32 * count)()
        assert (
            benchmark(
                run, address, keys, count, OCTETS, values, lengths, statuses, 1
            )
            == count
        )
        assert [*values] == [78] * count
        assert [*lengths] == [8] * count
        assert not any(statuses)

    def test_ours(self, benchmark, core, crowd) -> None:
        self.check(benchmark, crowd, core.query_many, crowd[0].address)

    def test_floor_no_guards(self, benchmark, core, crowd) -> None:
        self.check(benchmark, crowd, core.floor_query_many, crowd[2].address)


class TestFind:
    """An interface by the other of its two numbers."""

    def test_ours_if_index(self, benchmark, core, crowd) -> None:
        keys = keys_of(crowd_group(benchmark, "look-up", crowd, PAIRS))
        address = crowd[0].address
        found = benchmark(core.find_if_indexes, address, keys, KEYS, PAIRS)
        assert PAIRS <= found <= PAIRS * len(crowd[1].if_indexes)

    def test_ours_net_luid(self, benchmark, core, crowd) -> None:
        crowd_group(benchmark, "look-up", crowd, PAIRS)
        keys = keys_of(crowd[1].if_indexes)
        address = crowd[0].address
        found = benchmark(core.find_net_luids, address, keys, KEYS, PAIRS)
        assert 0 < found <= PAIRS * len(crowd[1].if_indexes)

    def test_floor_direct_index(self, benchmark, core, crowd) -> None:
        keys = keys_of(crowd_group(benchmark, "look-up", crowd, PAIRS))
        address = crowd[2].address
        found = benchmark(core.floor_find, address, keys, KEYS, PAIRS)
        assert PAIRS <= found <= PAIRS * len(crowd[1].if_indexes)


@pytest.mark.benchmark(group="C: table of interfaces (x 10,000)")
class TestTable:
    def test_ours(self, benchmark, session, core) -> None:
        native.Interfaces(core, session, 10_000, 7)
        rows = ctypes.create_string_buffer(10_000 * InterfaceTable.ROW_SIZE)
        done = benchmark(core.table, session.address, rows, 10_000)
        assert done == 10_000
        assert bytes(rows) == bytes(session.interface_table().buffer)

    def test_floor_memcpy(self, benchmark, core) -> None:
        size = 10_000 * InterfaceTable.ROW_SIZE
        source = ctypes.create_string_buffer(b"\x55" * size, size)
        target = ctypes.create_string_buffer(size)
        assert benchmark(core.floor_table, target, source, 10_000) == 10_000
        assert target.raw == source.raw
