# SPDX-License-Identifier: MIT
"""The SQLite store: what is durable, and opening."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

import pytest

import ndisbridge as ndis

ETHERNET = int(ndis.IfType.ETHERNET_CSMACD)
MILLION = 1_000_000
#: Identities, of several pages each, that fill the log's 1,000 pages.
WARM_UP = 1000


@pytest.mark.benchmark(group="one durable write")
class TestOne:
    def test_ours_identity(self, benchmark, tmp_path) -> None:
        with ndis.Session(tmp_path / "ndis.db") as session:
            provider = session.register_provider("bench")
            keys = iter(range(10**9))
            # Until the first checkpoint each one makes the log larger,
            # which a file system takes longer to flush than what comes
            # after it: the same blocks written again.
            for _ in range(WARM_UP):
                provider.identity(f"k{next(keys)}", ETHERNET)
            made = benchmark(
                lambda: provider.identity(f"k{next(keys)}", ETHERNET)
            )
            assert provider.find(made.key).net_luid == made.net_luid

    def test_floor_fdatasync(self, benchmark, tmp_path) -> None:
        descriptor = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
        row = bytes(512)

        def once() -> int:
            written = os.write(descriptor, row)
            os.fdatasync(descriptor)
            return written

        assert benchmark(once) == 512
        os.close(descriptor)


@pytest.mark.benchmark(group="retain and release 1,000,000 indexes")
class TestMillion:
    def test_ours(self, benchmark, tmp_path) -> None:
        with ndis.Session(tmp_path / "ndis.db") as session:
            indexes = session.allocate_net_luid_indexes(ETHERNET, MILLION)

            def once() -> None:
                session.retain_net_luid_indexes(ETHERNET, indexes)
                session.release_net_luid_indexes(ETHERNET, indexes)
                session.allocate_net_luid_indexes(ETHERNET, out=indexes)

            benchmark.pedantic(once, rounds=20)
            session.retain_net_luid_indexes(ETHERNET, indexes)
            assert session.store.stats().types[0].retained == MILLION

    def test_floor_two_fdatasyncs_of_a_bitmap(
        self, benchmark, tmp_path
    ) -> None:
        descriptor = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
        bits = bytes(MILLION // 8)

        def once() -> int:
            written = 0
            for _ in range(2):
                written += os.pwrite(descriptor, bits, 0)
                os.fdatasync(descriptor)
            return written

        assert benchmark.pedantic(once, rounds=20) == 2 * len(bits)
        os.close(descriptor)


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict[str, Path]:
    """An empty store, and one with a million retained indexes."""
    found = {}
    for name, count in (("empty", 0), ("million_retained", MILLION)):
        found[name] = tmp_path_factory.mktemp(name) / "ndis.db"
        with ndis.Session(found[name]) as session:
            indexes = session.allocate_net_luid_indexes(ETHERNET, count)
            session.retain_net_luid_indexes(ETHERNET, indexes)
            stats = session.store.stats()
            assert sum(each.retained for each in stats.types) == count
    return found


@pytest.mark.benchmark(group="open and close a store")
@pytest.mark.parametrize("which", ["empty", "million_retained"])
def test_ours_open(benchmark, stores, which: str) -> None:
    """In turns with the other one, so that their ratio is a fair one."""
    (other,) = stores.keys() - {which}
    in_turns = []

    def once(path: Path) -> int:
        with ndis.Session(path) as session:
            return session.interface_count

    def turn() -> tuple[tuple[Path], dict[str, object]]:
        start = time.perf_counter()
        once(stores[other])
        in_turns.append(time.perf_counter() - start)
        return (stores[which],), {}

    assert benchmark.pedantic(once, setup=turn, rounds=300) == 0
    if benchmark.stats is not None:  # None when benchmarks are disabled
        ratio = benchmark.stats.stats.median / median(in_turns)
        benchmark.extra_info[f"median to that of {other}"] = round(ratio, 3)
