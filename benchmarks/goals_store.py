# SPDX-License-Identifier: MIT
"""What waits for the disk or for the kernel, and what it is held to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import bench_linux
import bench_store
from comparing import Ratio, Side, compare
from netns import why_not
from space import ETHERNET

import ndisbridge as ndis
from ndisbridge._native_linux import LinuxHandle
from ndisbridge.persistence.sqlite import SqliteStore

MILLION = 1_000_000


def store_of(session: ndis.Session) -> SqliteStore:
    assert isinstance(session.store, SqliteStore)
    return session.store


def retained(session: ndis.Session) -> int:
    """How many indexes, as the store counts them."""
    return sum(each.retained for each in store_of(session).stats().types)


def opening(directory: Path) -> Ratio:
    paths = directory / "empty.db", directory / "million.db"
    for path, count in zip(paths, (0, MILLION), strict=True):
        with ndis.Session(path) as session:
            indexes = session.allocate_net_luid_indexes(ETHERNET, count)
            session.retain_net_luid_indexes(ETHERNET, indexes)

    def side(path: Path) -> Side:
        return Side(lambda: ndis.Session(path), after=ndis.Session.close)

    found = compare(
        "open a store with 1,000,000 retained",
        side(paths[1]),
        "open an empty store",
        side(paths[0]),
        each=1,
        samples=300,
        goal=1.1,
    )
    with ndis.Session(paths[1]) as session:
        assert retained(session) == MILLION
    return found


def durable(directory: Path) -> Iterator[Ratio]:
    """What waits for the disk, beside bare fdatasyncs of the same disk."""
    with ExitStack() as stack:
        flushes = bench_store.Flushes(directory)
        stack.callback(flushes.close)
        session = stack.enter_context(ndis.Session(directory / "durable.db"))
        provider = session.register_provider("bench")
        keys = iter(range(10**9))
        # Until the first checkpoint the log grows, which takes longer.
        for _ in range(bench_store.WARM_UP):
            provider.identity(f"k{next(keys)}", ETHERNET)
        flush = Side(flushes.run, 1)

        def found(made: object) -> None:
            assert provider.find(made.key).net_luid == made.net_luid

        yield compare(
            "Python: an identity found missing, made, and durable",
            Side(
                lambda: provider.identity(f"k{next(keys)}", ETHERNET),
                after=found,
            ),
            "512 bytes written and fdatasync",
            flush,
            each=1,
            samples=300,
        )
        yield from singles(session, flush, stack)
        yield from millions(directory, flushes)


def singles(
    session: ndis.Session, flush: Side, stack: ExitStack
) -> Iterator[Ratio]:
    made = bench_store.Singles(session)
    stack.callback(made.crew.end)
    yield compare(
        "Python: one index retained",
        Side(made.one, after=made.refill),
        "512 bytes written and fdatasync",
        flush,
        each=1,
        samples=300,
        goal=2.5,
    )
    count = bench_store.THREADS * bench_store.EACH
    yield compare(
        f"Python: {count} single retains of {bench_store.THREADS} threads",
        Side(made.crew.run, bench_store.THREADS, after=made.refill),
        "the same by one thread",
        Side(lambda: made.some(count), after=made.refill),
        each=count,
        samples=30,
        goal=1 / 4,
    )
    assert store_of(session).check() == []


def links(directory: Path) -> Iterator[Ratio]:
    """10,000 links of the kernel, if they can be made here."""
    if reason := why_not():
        print(f"links of Linux: not measured, {reason}")
        return
    crowd = bench_linux.Crowd()
    floor = bench_linux.load_floor(directory)
    adopter = bench_linux.Adopter(directory)
    handle = LinuxHandle()
    count = bench_linux.ALL
    try:
        dump = Side(floor, count)
        by_ip = Side(lambda: bench_linux.by_ip().count(b'"ifname":'), count)
        yield compare(
            "10,000 links: dump and parse, with what ethtool says",
            Side(lambda: len(handle.links()), count),
            "a bare dump in C",
            dump,
            each=1,
            samples=30,
            goal=1.5,
        )
        adopter.open(new=True)
        yield compare(
            "10,000 links: first adoption",
            Side(adopter.adopt, count, after=lambda _: adopter.open(new=True)),
            "ip -j -s -d link",
            by_ip,
            each=1,
            samples=10,
            goal=4,
        )
        adopter.adopt()
        adopter.adopt()
        yield compare(
            "10,000 links: later adoptions",
            Side(adopter.adopt, count),
            "ip -j -s -d link",
            by_ip,
            each=1,
            samples=30,
            goal=1,
        )
        yield compare(
            "10,000 links: all counters refreshed",
            Side(adopter.refresh, count),
            "a bare dump in C",
            dump,
            each=1,
            samples=30,
            goal=2,
        )
    finally:
        handle.close()
        adopter.close()
        crowd.close()


def millions(directory: Path, flushes: bench_store.Flushes) -> Iterator[Ratio]:
    for which, times, samples in (
        ("contiguous", 100, 20),
        ("scattered", 1000, 5),
    ):
        with ndis.Session(directory / f"{which}.db") as session:
            if which == "scattered":
                indexes = bench_store.scattered(session)
            else:
                indexes = session.allocate_net_luid_indexes(ETHERNET, MILLION)

            def retain(
                session: ndis.Session = session, indexes: memoryview = indexes
            ) -> None:
                session.retain_net_luid_indexes(ETHERNET, indexes)

            def release(
                _: object,
                session: ndis.Session = session,
                indexes: memoryview = indexes,
            ) -> None:
                assert retained(session) == MILLION
                session.release_net_luid_indexes(ETHERNET, indexes)
                for each in indexes:
                    session.claim_net_luid_index(ETHERNET, each)

            yield compare(
                f"Python: 1,000,000 {which} indexes retained at once",
                Side(retain, after=release),
                f"{times} times 512 bytes written and fdatasync",
                Side(partial(flushes.run, times), times),
                each=1,
                samples=samples,
                goal=1,
            )


def measure(directory: Path) -> Iterator[Ratio]:
    yield opening(directory)
    yield from durable(directory)
    yield from links(directory)
