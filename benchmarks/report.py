#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Ratios that hold on a busy machine, and the goals that they are held to.

    python benchmarks/report.py            # all; writes RESULTS.md
    python benchmarks/report.py --check    # goals only; status 1 if missed

Two things are compared by many short samples that take turns (A B B A), so
that whatever else the machine does falls on both.  A goal is judged by the
ratio of the medians; the ratio of the tenth percentiles stands beside it, for
a machine that is disturbed more often than not.  Each sample's result is
asserted, and the clock stops before that.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE), str(HERE.parent / "tests")]

import bench_allocation as python_peers  # noqa: E402
import bench_core  # noqa: E402
import bench_interfaces  # noqa: E402
import bench_linux  # noqa: E402
import bench_proxy  # noqa: E402
import bench_store  # noqa: E402
from bench_core import BATCH, ETHERNET, WINDOW  # noqa: E402
from conftest import machine  # noqa: E402

import ndisbridge as ndis  # noqa: E402
from ndisbridge.proxy import ProxyProvider  # noqa: E402
from ndisbridge.structures import InterfaceTable  # noqa: E402

PAIRS = 10_000
ROWS = 10_000
MILLION = 1_000_000


@dataclass
class Side:
    """One of the two things compared; only `run` is timed."""

    run: Callable[[], object]
    expected: object = None
    #: Called with the result, or with nothing, after each sample.
    after: Callable[[object], None] | None = None


@dataclass
class Ratio:
    """Nanoseconds of an operation on both sides, and what was asked."""

    what: str
    to: str
    goal: float | None
    ours: float
    ours_p10: float
    theirs: float
    theirs_p10: float
    samples: int

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    @property
    def ratio_p10(self) -> float:
        return self.ours_p10 / self.theirs_p10

    @property
    def met(self) -> bool | None:
        return None if self.goal is None else self.ratio <= self.goal


def _sample(side: Side) -> int:
    start = time.perf_counter_ns()
    result = side.run()
    taken = time.perf_counter_ns() - start
    if side.expected is not None:
        assert result == side.expected, (result, side.expected)
    if side.after is not None:
        side.after(result)
    return taken


def compare(
    what: str,
    ours: Side,
    to: str,
    theirs: Side,
    *,
    each: int,
    samples: int,
    goal: float | None = None,
) -> Ratio:
    """Samples both in turns; `each` operations are one sample."""
    taken: dict[int, list[int]] = {0: [], 1: []}
    sides = (ours, theirs)
    for i in range(samples + samples // 20 + 1):
        for which in (0, 1) if i % 2 else (1, 0):
            taken[which].append(_sample(sides[which]))
    kept = [taken[which][samples // 20 + 1 :] for which in (0, 1)]
    return Ratio(
        what,
        to,
        goal,
        median(kept[0]) / each,
        quantiles(kept[0], n=10)[0] / each,
        median(kept[1]) / each,
        quantiles(kept[1], n=10)[0] / each,
        samples,
    )


# -- what is compared


def core_pairs(core: ctypes.CDLL, percent: float) -> Iterator[Ratio]:
    """Pairs, and a churn, at one occupancy."""
    with ndis.Session() as session:
        filled = bench_core.fill(session, percent)
        address = session.address
        yield compare(
            f"C: allocate + free, {percent} % occupied",
            Side(lambda: core.pairs(address, ETHERNET, PAIRS), 2 * PAIRS),
            "claim-lowest-and-clear on one cached word",
            Side(lambda: core.floor_pairs(PAIRS), 2 * PAIRS),
            each=PAIRS,
            samples=1000,
            goal=2,
        )
        if not percent:
            return
        window = (ctypes.c_uint32 * WINDOW)(*filled)
        core.churn(address, ETHERNET, window, WINDOW, 4 * WINDOW)
        walked = (ctypes.c_uint32 * WINDOW)(*window)
        words = (ctypes.c_uint64 * (1 << 18))()
        yield compare(
            f"C: churn of 65,536, {percent} % occupied",
            Side(
                lambda: core.churn(address, ETHERNET, window, WINDOW, PAIRS),
                2 * PAIRS,
            ),
            "known bits, set and cleared in the same order",
            Side(
                lambda: core.floor_churn(words, walked, WINDOW, PAIRS),
                2 * PAIRS,
            ),
            each=PAIRS,
            samples=500,
        )
        assert len(set(window)) == WINDOW


def core_batch(core: ctypes.CDLL) -> Ratio:
    indexes = (ctypes.c_uint32 * BATCH)()
    words = (ctypes.c_uint64 * (BATCH // 64))(*[2**64 - 1] * (BATCH // 64))
    with ndis.Session() as session:
        address = session.address
        return compare(
            f"C: batch of {BATCH:,}, allocate + free",
            Side(lambda: core.batch(address, ETHERNET, indexes, BATCH), BATCH),
            "whole words taken, ramp stored, words put back",
            Side(lambda: core.floor_batch(words, indexes, BATCH), BATCH),
            each=BATCH,
            samples=500,
        )


def core_queries(core: ctypes.CDLL) -> Iterator[Ratio]:
    oid = int(ndis.Oid.GEN_BYTES_RCV)
    with ndis.Session() as session:
        handler = ndis.NativeHandler(core.answer, non_blocking=True)
        provider = session.register_provider("bench", handler)
        luid = ndis.NetLuid.make(6, session.allocate_net_luid_index(6))
        interface = provider.register_interface(luid)
        floor = Side(lambda: core.floor_queries(oid, PAIRS), 77 * PAIRS)
        for how, value in (("native handler", 77), ("published", 78)):
            if how == "published":
                interface.publish(in_octets=value)
            yield compare(
                f"C: query, {how}",
                Side(
                    lambda: core.queries(session.address, luid, oid, PAIRS),
                    value * PAIRS,
                ),
                "bare indirect call",
                floor,
                each=PAIRS,
                samples=500,
            )


def tables(core: ctypes.CDLL) -> Iterator[Ratio]:
    size = ROWS * InterfaceTable.ROW_SIZE
    with ndis.Session() as session:
        _, interfaces = bench_interfaces.register(session, ROWS)
        for each in interfaces:
            each.publish(in_octets=77, admin_status=1, alias="")
        expected = bytes(session.interface_table().buffer)
        assert len(expected) == size
        rows = ctypes.create_string_buffer(size)
        copy = ctypes.create_string_buffer(size)
        source = ctypes.create_string_buffer(expected, size)
        yield compare(
            f"C: table of {ROWS:,} interfaces",
            Side(lambda: core.table(session.address, rows, ROWS), ROWS),
            "memcpy of its bytes",
            Side(lambda: core.floor_table(copy, source, ROWS), ROWS),
            each=ROWS,
            samples=300,
            goal=4,
        )
        assert rows.raw == expected == copy.raw

        def same(made: object) -> None:
            assert made.buffer[-1000:] == expected[-1000:]  # type: ignore

        yield compare(
            f"Python: table of {ROWS:,} interfaces",
            Side(session.interface_table, after=same),
            "bytearray of its bytes",
            Side(lambda: bytearray(expected)),
            each=ROWS,
            samples=300,
            goal=4,
        )


def python_pair() -> Iterator[Ratio]:
    free_list = python_peers.FreeList(1 << 20)
    checked = python_peers.CheckedFreeList(1 << 20)
    bare = list(range(1 << 20))
    run = python_peers.pairs
    each = python_peers.PAIRS
    with ndis.Session() as session:
        space = session.index_space(ETHERNET)
        index = run(space.allocate, space.free)
        for to, allocate, free, last, goal in (
            ("free-list class", free_list.allocate, free_list.free, 0, 1.0),
            ("list pop and append, bound", bare.pop, bare.append, None, None),
            (
                "free-list class, lock, double-free check",
                checked.allocate,
                checked.free,
                0,
                None,
            ),
        ):
            yield compare(
                "Python: allocate + free",
                Side(lambda: run(space.allocate, space.free), index),
                to,
                Side(lambda a=allocate, f=free: run(a, f), last),
                each=each,
                samples=300,
                goal=goal,
            )


def python_batch(directory: Path) -> Iterator[Ratio]:
    count = python_peers.BATCH
    free = list(range(1 << 20))

    def slice_list() -> list[int]:
        taken = free[-count:]
        del free[-count:]
        return taken

    def side(session: ndis.Session) -> Side:
        out = memoryview(bytearray(4 * count)).cast("I")

        def after(_: object) -> None:
            assert session.free_net_luid_indexes(ETHERNET, out) == count

        return Side(
            lambda: session.allocate_net_luid_indexes(ETHERNET, out=out),
            after=after,
        )

    with (
        ndis.Session() as memory,
        ndis.Session(directory / "batch.db") as stored,
    ):
        yield compare(
            f"Python: {count:,} indexes into a buffer",
            side(memory),
            "list slice, taken and deleted",
            Side(slice_list, after=free.extend),  # type: ignore[arg-type]
            each=count,
            samples=300,
            goal=0.6,
        )
        yield compare(
            f"Python: {count:,} indexes into a buffer, with a store",
            side(stored),
            "the same in memory",
            side(memory),
            each=count,
            samples=300,
            goal=2,
        )


def opening(directory: Path) -> Ratio:
    paths = directory / "empty.db", directory / "million.db"
    for path, count in zip(paths, (0, MILLION), strict=True):
        with ndis.Session(path) as session:
            indexes = session.allocate_net_luid_indexes(ETHERNET, count)
            session.retain_net_luid_indexes(ETHERNET, indexes)

    def side(path: Path) -> Side:
        return Side(
            lambda: ndis.Session(path),
            after=lambda session: session.close(),  # type: ignore
        )

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
        stats = session.store.stats()
        assert sum(each.retained for each in stats.types) == MILLION
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
    assert session.store.check() == []  # type: ignore[attr-defined]


def links(directory: Path) -> Iterator[Ratio]:
    """10,000 links of the kernel, if they can be made here."""
    if reason := bench_linux.why_not():
        print(f"links of Linux: not measured, {reason}")
        return
    crowd = bench_linux.Crowd()
    floor = bench_linux.load_floor(directory)
    adopter = bench_linux.Adopter(directory)
    handle = bench_linux.LinuxHandle()
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
                stats = session.store.stats()  # type: ignore[attr-defined]
                assert sum(each.retained for each in stats.types) == MILLION
                session.release_net_luid_indexes(ETHERNET, indexes)
                for each in indexes:
                    session.claim_net_luid_index(ETHERNET, each)

            yield compare(
                f"Python: 1,000,000 {which} indexes retained at once",
                Side(retain, after=release),
                f"{times} times 512 bytes written and fdatasync",
                Side(lambda n=times: flushes.run(n), times),  # type: ignore
                each=1,
                samples=samples,
                goal=1,
            )


def oid_requests() -> Iterator[Ratio]:
    """Through the filter modules of the proxy, beside bare closures."""
    for what, filter_class in (
        ("8 filter modules that pass it", bench_proxy.Passing),
        ("8 filter modules that want other OIDs", bench_proxy.Elsewhere),
        ("no filter module", None),
    ):
        passed = 8 if filter_class is bench_proxy.Passing else 0
        peer = bench_proxy.Peer(passed)
        with ndis.Session() as session, ProxyProvider(session) as proxy:
            luid = bench_proxy.installed(proxy, filter_class)
            yield compare(
                f"Python: an OID request through {what}",
                Side(
                    lambda s=session, n=luid: bench_proxy.ask(s.query, n), 77
                ),
                f"dict dispatch through {passed} closures",
                Side(lambda p=peer: bench_proxy.ask(p.query, 5), 77),
                each=bench_proxy.REQUESTS,
                samples=60,
            )


def measure(directory: Path, *, goals_only: bool) -> Iterator[Ratio]:
    core = bench_core.load_core(directory)
    for percent in bench_core.OCCUPANCIES:
        yield from core_pairs(core, percent)
    yield from python_pair()
    yield from python_batch(directory)
    yield opening(directory)
    yield from tables(core)
    yield from durable(directory)
    yield from links(directory)
    if goals_only:
        return
    yield core_batch(core)
    yield from core_queries(core)
    yield from oid_requests()


# -- what is written


def duration(nanoseconds: float) -> str:
    for unit, size in (("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def line(each: Ratio) -> str:
    verdict = {True: "met", False: "MISSED", None: ""}[each.met]
    goal = "" if each.goal is None else f"{each.goal:g}"
    return (
        f"| {each.what} | {each.ratio:.2f} | {each.ratio_p10:.2f} | {goal} "
        f"| {verdict} | {duration(each.ours)} | {duration(each.theirs)} "
        f"| {each.to} |"
    )


def groups(directory: Path) -> Iterator[str]:
    """Every case of pytest-benchmark, beside the floor of its group."""
    path = directory / "out.json"
    command = [sys.executable, "-m", "pytest", str(HERE), "-q"]
    command += ["-o", "python_files=bench_*.py", f"--benchmark-json={path}"]
    subprocess.run(
        command, check=True, cwd=HERE.parent, stdout=subprocess.DEVNULL
    )
    cases: dict[str, list[dict[str, object]]] = {}
    for case in json.loads(path.read_text())["benchmarks"]:
        cases.setdefault(case["group"], []).append(case)
    for group, members in sorted(cases.items()):
        yield f"\n### {group}\n"
        yield "| case | median | minimum |"
        yield "|---|---|---|"
        for case in members:
            stats = case["stats"]
            yield (
                f"| {case['name'].removeprefix('test_')} "  # type: ignore
                f"| {duration(stats['median'] * 1e9)} "  # type: ignore
                f"| {duration(stats['min'] * 1e9)} |"  # type: ignore
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="goals only")
    parser.add_argument("--json", type=Path, help="one comparison a line")
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS.md")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        every = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(every)})
    head = [f"- {name}: {value}" for name, value in machine().items()]
    head.append(f"- load before: {os.getloadavg()[0]:.1f}")
    print("\n".join(head), flush=True)
    ratios = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for each in measure(directory, goals_only=options.check):
            ratios.append(each)
            print(line(each), flush=True)
        if options.json:
            options.json.write_text(
                "".join(f"{json.dumps(asdict(each))}\n" for each in ratios)
            )
        missed = [each for each in ratios if each.met is False]
        if not options.check:
            columns = "| what | ratio | of p10 | goal | | ours | theirs | to |"
            text = ["# Results", "", *head, "", __doc__.split("\n\n")[2], ""]
            text += [columns, "|---|---|---|---|---|---|---|---|"]
            text += [line(each) for each in ratios]
            text += ["", "## pytest-benchmark", "", "Not interleaved."]
            text += groups(directory)
            options.output.write_text("\n".join(text) + "\n")
    print(f"{len(missed)} goals missed" if missed else "every goal met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
