# SPDX-License-Identifier: MIT
"""
The core without Python: bench_core.c, whose loops are long enough that the
call into them does not count.
"""

from __future__ import annotations

import ctypes
import random
import subprocess
from pathlib import Path

import pytest

import ndisbridge as ndis
from ndisbridge import Oid
from ndisbridge.structures import InterfaceTable

ETHERNET = int(ndis.IfType.ETHERNET_CSMACD)
PAIRS = 100_000
BATCH = 64 * 1_600
WINDOW = 65_536
OCCUPANCIES = [0, 50, 99, 99.99]


def load_core(directory: Path) -> ctypes.CDLL:
    """bench_core.c, built in a directory, linked to the package's library."""
    library = directory / "bench_core.so"
    package = Path(ndis.get_library())
    subprocess.run(
        [
            "gcc",
            "-std=c11",
            "-O2",
            "-shared",
            "-fPIC",
            "-pthread",
            f"-I{ndis.get_include()}",
            str(Path(__file__).with_suffix(".c")),
            str(package),
            f"-Wl,-rpath,{package.parent}",
            "-o",
            str(library),
        ],
        check=True,
    )
    loaded = ctypes.CDLL(str(library))
    pointer, u16, u32 = ctypes.c_void_p, ctypes.c_uint16, ctypes.c_uint32
    for name, arguments in {
        "pairs": [pointer, u16, u32],
        "floor_pairs": [u32],
        "churn": [pointer, u16, pointer, u32, u32],
        "floor_churn": [pointer, pointer, u32, u32],
        "two_threads": [pointer, u16, u32],
        "batch": [pointer, u16, pointer, u32],
        "floor_batch": [pointer, pointer, u32],
        "queries": [pointer, ctypes.c_uint64, u32, u32],
        "floor_queries": [u32, u32],
        "table": [pointer, pointer, u32],
        "floor_table": [pointer, pointer, u32],
    }.items():
        function = getattr(loaded, name)
        function.restype = ctypes.c_uint64
        function.argtypes = arguments
    return loaded


@pytest.fixture(scope="session")
def core(tmp_path_factory) -> ctypes.CDLL:
    return load_core(tmp_path_factory.mktemp("core"))


def fill(session: ndis.Session, percent: float) -> list[int]:
    """Occupies a part of the whole space, at random; what is occupied."""
    if not percent:
        return []
    indexes = session.allocate_net_luid_indexes(ETHERNET, 1 << 24)
    count = round((1 << 24) * (1 - percent / 100))
    positions = random.Random(7).sample(range(1 << 24), count)
    session.free_net_luid_indexes(ETHERNET, [indexes[i] for i in positions])
    vacant = set(positions)
    taken = (i for i in range(1 << 24) if i not in vacant)
    return [indexes[next(taken)] for _ in range(WINDOW)]


@pytest.mark.benchmark(group="C: pair, one thread (x 100,000)")
class TestPairs:
    @pytest.mark.parametrize("percent", OCCUPANCIES)
    def test_ours(self, benchmark, session, core, percent) -> None:
        fill(session, percent)
        address = session.address
        assert benchmark(core.pairs, address, ETHERNET, PAIRS) == 2 * PAIRS

    def test_floor_one_cached_word(self, benchmark, core) -> None:
        assert benchmark(core.floor_pairs, PAIRS) == 2 * PAIRS


@pytest.mark.benchmark(group="C: churn of 65,536, one thread (x 100,000)")
class TestChurn:
    @pytest.mark.parametrize("percent", [50, 99, 99.99])
    def test_ours(self, benchmark, session, core, percent) -> None:
        window = (ctypes.c_uint32 * WINDOW)(*fill(session, percent))
        done = benchmark(
            core.churn, session.address, ETHERNET, window, WINDOW, PAIRS
        )
        assert done == 2 * PAIRS
        assert len(set(window)) == WINDOW

    @pytest.mark.parametrize("percent", [50, 99, 99.99])
    def test_floor_known_bits(self, benchmark, session, core, percent) -> None:
        # The indexes that a churn of this occupancy walks through.
        window = (ctypes.c_uint32 * WINDOW)(*fill(session, percent))
        address = session.address
        core.churn(address, ETHERNET, window, WINDOW, 4 * WINDOW)
        words = (ctypes.c_uint64 * (1 << 18))()
        done = benchmark(core.floor_churn, words, window, WINDOW, PAIRS)
        assert done == 2 * PAIRS
        assert not any(words)


@pytest.mark.benchmark(group="C: pair, two threads (x 100,000 each)")
class TestTwoThreads:
    @pytest.mark.parametrize("percent", [0, 99.99])
    def test_ours(self, benchmark, session, core, percent) -> None:
        fill(session, percent)
        address = session.address
        done = benchmark(core.two_threads, address, ETHERNET, PAIRS)
        assert done == 4 * PAIRS

    def test_floor_one_shared_word(self, benchmark, core) -> None:
        # Two threads on one word can miss each other's bit.
        assert benchmark(core.two_threads, None, 0, PAIRS) > 2 * PAIRS


@pytest.mark.benchmark(group="C: batch of 102,400, allocated and freed")
class TestBatch:
    def test_ours(self, benchmark, session, core) -> None:
        indexes = (ctypes.c_uint32 * BATCH)()
        done = benchmark(core.batch, session.address, ETHERNET, indexes, BATCH)
        assert done == BATCH

    def test_floor_whole_words(self, benchmark, core) -> None:
        indexes = (ctypes.c_uint32 * BATCH)()
        words = (ctypes.c_uint64 * (BATCH // 64))(*[2**64 - 1] * (BATCH // 64))
        assert benchmark(core.floor_batch, words, indexes, BATCH) == BATCH


@pytest.mark.benchmark(group="C: query (x 100,000)")
class TestQuery:
    def register(self, session, core):
        handler = ndis.NativeHandler(core.answer, non_blocking=True)
        provider = session.register_provider("bench", handler)
        index = session.allocate_net_luid_index(ETHERNET)
        return provider.register_interface(ndis.NetLuid.make(6, index))

    def test_native_handler(self, benchmark, session, core) -> None:
        luid = self.register(session, core).net_luid
        oid = int(Oid.GEN_BYTES_RCV)
        done = benchmark(core.queries, session.address, luid, oid, PAIRS)
        assert done == 77 * PAIRS

    def test_published(self, benchmark, session, core) -> None:
        interface = self.register(session, core)
        interface.publish(in_octets=78)
        oid = int(Oid.GEN_BYTES_RCV)
        done = benchmark(
            core.queries, session.address, interface.net_luid, oid, PAIRS
        )
        assert done == 78 * PAIRS

    def test_floor_indirect_call(self, benchmark, core) -> None:
        oid = int(Oid.GEN_BYTES_RCV)
        assert benchmark(core.floor_queries, oid, PAIRS) == 77 * PAIRS


@pytest.mark.benchmark(group="C: table of 10,000 interfaces")
class TestTable:
    def test_ours(self, benchmark, session, core) -> None:
        provider = session.register_provider("bench")
        facts = ndis.InterfaceInformation(description="bench")
        for _ in range(10_000):
            index = session.allocate_net_luid_index(ETHERNET)
            provider.register_interface(
                ndis.NetLuid.make(ETHERNET, index), facts
            ).publish(in_octets=7, admin_status=1, alias="")
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
