# SPDX-License-Identifier: MIT
"""The SQLite store: what is durable, and opening."""

from __future__ import annotations

import os

import pytest

import ndisbridge as ndis

ETHERNET = int(ndis.IfType.ETHERNET_CSMACD)
MILLION = 1_000_000


@pytest.mark.benchmark(group="one durable write")
class TestOne:
    def test_ours_identity(self, benchmark, tmp_path) -> None:
        with ndis.Session(tmp_path / "ndis.db") as session:
            provider = session.register_provider("bench")
            keys = iter(range(10**9))
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


@pytest.mark.benchmark(group="open and close a store")
class TestOpen:
    def check(self, benchmark, path, retained: int) -> None:
        def once() -> int:
            with ndis.Session(path) as session:
                return session.interface_count

        assert benchmark.pedantic(once, rounds=100, warmup_rounds=5) == 0
        with ndis.Session(path) as session:
            stats = session.store.stats()
            assert sum(each.retained for each in stats.types) == retained

    def test_empty(self, benchmark, tmp_path) -> None:
        path = tmp_path / "ndis.db"
        ndis.Session(path).close()
        self.check(benchmark, path, 0)

    def test_million_retained(self, benchmark, tmp_path) -> None:
        path = tmp_path / "ndis.db"
        with ndis.Session(path) as session:
            indexes = session.allocate_net_luid_indexes(ETHERNET, MILLION)
            session.retain_net_luid_indexes(ETHERNET, indexes)
        self.check(benchmark, path, MILLION)
