# SPDX-License-Identifier: MIT
"""The SQLite store: what is durable, and opening."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from statistics import median

import pytest
from crew import Crew

import ndisbridge as ndis

ETHERNET = int(ndis.IfType.ETHERNET_CSMACD)
MILLION = 1_000_000
#: Identities, of several pages each, that fill the log's 1,000 pages.
WARM_UP = 1000
THREADS = 32
#: Retains of each thread in one sample.
EACH = 8
#: One index in as many, of 16 million, is a million of them.
SCATTER = 16


class Flushes:
    """What there is to compare with: bare fdatasyncs on the same disk."""

    def __init__(self, directory: Path) -> None:
        self._descriptor = os.open(
            directory / "flushes", os.O_RDWR | os.O_CREAT
        )

    def run(self, times: int = 1, size: int = 512) -> int:
        for _ in range(times):
            assert os.pwrite(self._descriptor, bytes(size), 0) == size
            os.fdatasync(self._descriptor)
        return times

    def close(self) -> None:
        os.close(self._descriptor)


class Singles:
    """Single retains of allocated indexes, by one thread or by many."""

    def __init__(self, session: ndis.Session) -> None:
        self.session = session
        self.fresh: list[int] = []
        self.refill(None)
        self.crew = Crew(THREADS, lambda _: self.some())

    def refill(self, _: object) -> None:
        """Between samples: as many as one takes, and none retained."""
        missing = THREADS * EACH - len(self.fresh)
        self.fresh += self.session.allocate_net_luid_indexes(ETHERNET, missing)

    def one(self) -> None:
        self.session.retain_net_luid_indexes(ETHERNET, [self.fresh.pop()])

    def some(self, count: int = EACH) -> None:
        for _ in range(count):
            self.one()


def scattered(session: ndis.Session) -> memoryview:
    """A million allocated indexes, in nearly all the blocks that exist."""
    every = session.allocate_net_luid_indexes(ETHERNET, SCATTER * MILLION)
    parts = [bytes(every[i::SCATTER]) for i in range(SCATTER)]
    for each in parts[1:]:
        session.free_net_luid_indexes(ETHERNET, memoryview(each).cast("I"))
    return memoryview(bytearray(parts[0])).cast("I")


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

    def test_ours_retain(self, benchmark, tmp_path) -> None:
        with ndis.Session(tmp_path / "ndis.db") as session:
            indexes = session.allocate_net_luid_indexes(ETHERNET, 1 << 20)
            fresh = iter(indexes)
            for _ in range(WARM_UP):
                session.retain_net_luid_indexes(ETHERNET, [next(fresh)])
            benchmark(
                lambda: session.retain_net_luid_indexes(
                    ETHERNET, [next(fresh)]
                )
            )
            retained = session.store.stats().types[0].retained
            assert retained == next(fresh) - indexes[0]

    def test_floor_fdatasync(self, benchmark, tmp_path) -> None:
        flushes = Flushes(tmp_path)
        assert benchmark(flushes.run) == 1
        flushes.close()

    def test_peer_append_log(self, benchmark, tmp_path) -> None:
        """A record appended to a file, and fdatasync."""
        with open(tmp_path / "log", "ab", buffering=0) as file:

            def once() -> int:
                written = file.write(bytes(96))
                os.fdatasync(file.fileno())
                return written

            assert benchmark(once) == 96

    def test_peer_sqlite3(self, benchmark, tmp_path) -> None:
        """A row of three columns, WAL, synchronous=FULL."""
        database = sqlite3.connect(tmp_path / "peer.db", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute(
            "CREATE TABLE identity (key TEXT PRIMARY KEY, luid INT, guid BLOB)"
        )
        keys = iter(range(10**9))

        def once() -> int:
            key = next(keys)
            return database.execute(
                "INSERT INTO identity VALUES (?, ?, ?)",
                (f"k{key}", key, bytes(16)),
            ).rowcount

        assert benchmark(once) == 1
        (rows,) = database.execute("SELECT count(*) FROM identity").fetchone()
        assert rows == next(keys)
        database.close()

    def test_peer_lmdb(self, benchmark, tmp_path) -> None:
        """A key and its value in one transaction, sync."""
        lmdb = pytest.importorskip("lmdb")
        environment = lmdb.open(str(tmp_path / "lmdb"), map_size=1 << 28)
        keys = iter(range(10**9))

        def once() -> bool:
            with environment.begin(write=True) as transaction:
                return transaction.put(b"k%d" % next(keys), bytes(24))

        assert benchmark(once)
        assert environment.stat()["entries"] == next(keys)
        environment.close()


@pytest.mark.benchmark(group=f"{THREADS * EACH} retains, one by one")
class TestThreads:
    @pytest.mark.parametrize("threads", [1, THREADS])
    def test_ours(self, benchmark, tmp_path, threads: int) -> None:
        with ndis.Session(tmp_path / "ndis.db") as session:
            singles = Singles(session)
            once = (
                singles.crew.run
                if threads > 1
                else lambda: singles.some(THREADS * EACH)
            )
            try:
                benchmark.pedantic(
                    once,
                    setup=lambda: singles.refill(None),
                    rounds=20,
                    warmup_rounds=3,
                )
                assert singles.fresh == []
                retained = session.store.stats().types[0].retained
                assert retained % (THREADS * EACH) == 0
                assert retained >= THREADS * EACH
            finally:
                singles.crew.end()


@pytest.mark.benchmark(group="retain and release 1,000,000 indexes")
class TestMillion:
    @pytest.mark.parametrize("which", ["contiguous", "scattered"])
    def test_ours(self, benchmark, tmp_path, which: str) -> None:
        with ndis.Session(tmp_path / "ndis.db") as session:
            indexes = (
                scattered(session)
                if which == "scattered"
                else session.allocate_net_luid_indexes(ETHERNET, MILLION)
            )

            def once() -> None:
                session.retain_net_luid_indexes(ETHERNET, indexes)
                session.release_net_luid_indexes(ETHERNET, indexes)
                for each in indexes if which == "scattered" else ():
                    session.claim_net_luid_index(ETHERNET, each)
                if which == "contiguous":
                    session.allocate_net_luid_indexes(ETHERNET, out=indexes)

            benchmark.pedantic(once, rounds=20 if which == "contiguous" else 1)
            session.retain_net_luid_indexes(ETHERNET, indexes)
            assert session.store.stats().types[0].retained == MILLION

    def test_floor_two_fdatasyncs_of_a_bitmap(
        self, benchmark, tmp_path
    ) -> None:
        flushes = Flushes(tmp_path)
        run = benchmark.pedantic(
            flushes.run, args=(2, MILLION // 8), rounds=20
        )
        assert run == 2
        flushes.close()


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
