# SPDX-License-Identifier: MIT
"""
The links of a Linux host: 10,000 of them in a network namespace, read,
adopted and refreshed, beside a bare dump in C (bench_linux.c), ip, psutil and
pyroute2; and how soon a change is told.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from netns import Namespace, skip_without_namespaces

import ndisbridge as ndis
from ndisbridge._native_linux import LinuxHandle
from ndisbridge.events import Event, EventKind, EventStream
from ndisbridge.proxy.linux import LinuxHost

LINKS = 10_000
#: Of them and lo.
ALL = LINKS + 1
#: Links that are made while a follower is stopped.
BURST = 3_000
#: MiB that a process may grow by when it adopts them all.
MEMORY = 60
#: Seconds in which a change is told, at the median; in which a follower that
#: was stopped is up to date again.
SOON, CAUGHT_UP = 0.05, 2.0


def load_floor(directory: Path) -> Callable[[], int]:
    """bench_linux.c, built in a directory."""
    library = directory / "bench_linux.so"
    command = ["gcc", "-std=c11", "-O2", "-shared", "-fPIC"]
    command += [str(Path(__file__).with_suffix(".c")), "-o", str(library)]
    subprocess.run(command, check=True)
    floor_dump = ctypes.CDLL(str(library)).floor_dump
    floor_dump.restype = ctypes.c_int64
    return floor_dump


class Crowd:
    """A namespace with 10,000 links; this thread is in it until the end."""

    def __init__(self) -> None:
        self.namespace = Namespace(f"ndisbench-{os.getpid()}")
        self._entered = self.namespace.entered()
        try:
            add_links(self.namespace, "b", LINKS)
            self._entered.__enter__()
        except BaseException:
            self.namespace.delete()
            raise

    def close(self) -> None:
        self._entered.__exit__(None, None, None)
        self.namespace.delete()


def add_links(namespace: Namespace, prefix: str, count: int) -> None:
    text = "".join(f"link add {prefix}{n} type ifb\n" for n in range(count))
    subprocess.run(
        ["ip", "-n", namespace.name, "-batch", "-"],
        input=text,
        text=True,
        check=True,
    )


def by_ip() -> bytes:
    """What ip tells of this namespace, with counters and details."""
    command = ["ip", "-j", "-s", "-d", "link"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def by_psutil() -> int:
    counters = psutil.net_io_counters(pernic=True, nowrap=False)
    return min(len(psutil.net_if_stats()), len(counters))


def by_pyroute2() -> int:
    from pyroute2 import IPRoute

    with IPRoute() as route:
        return len(list(route.get_links()))


class Adopter:
    """Adopts all links, as often as asked, into a store of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._count = itertools.count()
        self._session: ndis.Session | None = None
        self.host: LinuxHost | None = None

    def open(self, *, new: bool) -> None:
        """Have a session, on a new store, or on the one before."""
        self.close()
        number = next(self._count) if new else 0
        if not new:
            self._count = itertools.count(1)
        path = self._directory / f"links{number}" / "ndis.db"
        self._session = ndis.Session(path)
        self.host = LinuxHost(self._session)

    def adopt(self) -> int:
        assert self.host is not None
        return len(self.host.adopt())

    def refresh(self) -> int:
        assert self.host is not None
        return self.host.refresh()

    def close(self) -> None:
        if self.host is not None and self._session is not None:
            self.host.close()
            self._session.close()
        self.host = self._session = None


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    skip_without_namespaces()
    made = Crowd()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], int]:
    return load_floor(tmp_path_factory.mktemp("floor"))


@pytest.fixture
def adopter(crowd: Crowd, tmp_path: Path) -> Iterator[Adopter]:
    made = Adopter(tmp_path)
    made.open(new=True)
    yield made
    made.close()


# ---------------------------------------------------------------------------
# All links


@pytest.mark.benchmark(group="10,000 links: dump and parse")
def test_floor_bare_dump(
    benchmark: Any, crowd: Crowd, floor: Callable[[], int]
) -> None:
    assert benchmark(floor) == ALL


@pytest.mark.benchmark(group="10,000 links: dump and parse")
def test_ours_dump(benchmark: Any, crowd: Crowd) -> None:
    """Speed and duplex, which ethtool is asked for, among it."""
    handle = LinuxHandle()
    assert len(benchmark(handle.links)) == ALL
    handle.close()


@pytest.mark.benchmark(group="10,000 links: dump and parse")
def test_peer_ip(benchmark: Any, crowd: Crowd) -> None:
    """Its JSON is not read."""
    assert len(json.loads(benchmark(by_ip))) == ALL


@pytest.mark.benchmark(group="10,000 links: dump and parse")
def test_peer_psutil(benchmark: Any, crowd: Crowd) -> None:
    assert benchmark.pedantic(by_psutil, rounds=5) == ALL


@pytest.mark.benchmark(group="10,000 links: dump and parse")
def test_peer_pyroute2(benchmark: Any, crowd: Crowd) -> None:
    assert benchmark.pedantic(by_pyroute2, rounds=1) == ALL


@pytest.mark.benchmark(group="10,000 links: adopted, refreshed")
def test_ours_first_adoption(benchmark: Any, adopter: Adopter) -> None:
    found = benchmark.pedantic(
        adopter.adopt, setup=lambda: adopter.open(new=True), rounds=5
    )
    assert found == ALL


@pytest.mark.benchmark(group="10,000 links: adopted, refreshed")
def test_ours_adoption_after_restart(benchmark: Any, adopter: Adopter) -> None:
    adopter.adopt()
    found = benchmark.pedantic(
        adopter.adopt, setup=lambda: adopter.open(new=False), rounds=5
    )
    assert found == ALL


@pytest.mark.benchmark(group="10,000 links: adopted, refreshed")
def test_ours_later_adoption(benchmark: Any, adopter: Adopter) -> None:
    adopter.adopt()
    adopter.adopt()
    assert benchmark(adopter.adopt) == ALL


@pytest.mark.benchmark(group="10,000 links: adopted, refreshed")
def test_ours_refresh(benchmark: Any, adopter: Adopter) -> None:
    adopter.adopt()
    assert benchmark(adopter.refresh) == ALL


GROWTH = """\
import sys
import ndisbridge as ndis
from ndisbridge.proxy.linux import LinuxHost
def peak():
    with open("/proc/self/status") as file:
        return next(int(x.split()[1]) for x in file if x[:5] == "VmHWM")
before = peak()
with ndis.Session(sys.argv[1]) as session, LinuxHost(session) as host:
    print(len(host.adopt()), peak() - before)
"""


def test_memory(crowd: Crowd, tmp_path: Path) -> None:
    """Adopting them all takes no more than that, at its peak."""
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(tmp_path / "ndis.db")],
        capture_output=True,
        text=True,
        check=True,
    )
    count, kib = map(int, done.stdout.split())
    print(f"10,000 links adopted: {kib / 1024:.1f} MiB more at the peak")
    assert count == ALL
    assert kib / 1024 < MEMORY


# ---------------------------------------------------------------------------
# Changes


class Watched:
    """A namespace that is followed, and what is told of it."""

    def __init__(self, here: Namespace, there: Namespace) -> None:
        self.here, self.there = here, there
        for command in (
            "link add ve0 type veth peer name ve1",
            "link add br0 type bridge",
            "link set ve0 up",
            "link set ve1 up",
        ):
            here.ip(*command.split())
        self._session = ndis.Session()
        with here.entered():
            self._host = LinuxHost(self._session)
            self._host.follow(refresh_interval=None)
        self.stream: EventStream = self._session.events()
        self.quiet()

    def quiet(self) -> None:
        """Nothing more is told of what was before."""
        while self.stream.get(0.1) is not None:
            pass

    def wait(self, is_it: Callable[[Event], bool]) -> None:
        while True:
            event = self.stream.get(10)
            assert event is not None
            if is_it(event):
                return

    def close(self) -> None:
        self._host.close()
        self._session.close()


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    skip_without_namespaces()
    here, there = (Namespace(f"ndisbench-{os.getpid()}-{n}") for n in range(2))
    made = Watched(here, there)
    yield made
    made.close()
    here.delete()
    there.delete()


#: What is done by turns, and the kind of event that tells it.
CHANGES = {
    "made, deleted": (
        ("link add x0 type ifb", EventKind.ADD),
        ("link del x0", EventKind.DELETE),
    ),
    "up, down": (
        ("link set br0 up", EventKind.PARAMETER),
        ("link set br0 down", EventKind.PARAMETER),
    ),
    "carrier": (
        ("link set ve1 down", EventKind.PARAMETER),
        ("link set ve1 up", EventKind.PARAMETER),
    ),
    "renamed": (
        ("link set ve0 name wan", EventKind.PARAMETER),
        ("link set wan name ve0", EventKind.PARAMETER),
    ),
    "MTU": (
        ("link set ve0 mtu 1400", EventKind.PARAMETER),
        ("link set ve0 mtu 1500", EventKind.PARAMETER),
    ),
    "address": (
        ("link set ve0 address 02:00:00:00:00:01", EventKind.PARAMETER),
        ("link set ve0 address 02:00:00:00:00:02", EventKind.PARAMETER),
    ),
    "alias": (
        ("link set ve0 alias one", EventKind.PARAMETER),
        ("link set ve0 alias two", EventKind.PARAMETER),
    ),
    "enslaved, freed": (
        ("link set ve0 master br0", EventKind.STACK_ADD),
        ("link set ve0 nomaster", EventKind.STACK_DELETE),
    ),
    "moved away, back": (
        ("link set ve1 netns {there}", EventKind.DELETE),
        ("-n {there} link set ve1 netns {here}", EventKind.ADD),
    ),
}


@pytest.mark.benchmark(group="a change, until it is told (ip among it)")
@pytest.mark.parametrize("what", CHANGES)
def test_change_is_told(benchmark: Any, watched: Watched, what: str) -> None:
    """From before ip is run until its event has been read."""
    turns = itertools.cycle(CHANGES[what])

    def change() -> None:
        command, kind = next(turns)
        text = command.format(there=watched.there.name, here=watched.here.name)
        if text.startswith("-n"):
            subprocess.run(["ip", *text.split()], check=True)
        else:
            watched.here.ip(*text.split())
        watched.wait(lambda event: event.kind is kind)

    benchmark.pedantic(change, setup=watched.quiet, rounds=20)
    assert benchmark.stats.stats.median < SOON


FOLLOWER = """\
import sys, time
import ndisbridge as ndis
from ndisbridge.proxy.linux import LinuxHost
count = int(sys.argv[2])
with ndis.Session(sys.argv[1]) as session, LinuxHost(session) as host:
    with host.follow() as follower:
        print("ready", flush=True)
        while session.interface_count < count:
            time.sleep(0.001)
        print(time.monotonic(), flush=True)
"""


def test_catching_up(tmp_path: Path) -> None:
    """3,000 links that came while it was stopped, after SIGCONT."""
    skip_without_namespaces()
    namespace = Namespace(f"ndisbench-{os.getpid()}-s")
    try:
        with namespace.entered():
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    FOLLOWER,
                    str(tmp_path / "ndis.db"),
                    str(BURST + 1),
                ],
                stdout=subprocess.PIPE,
                text=True,
            )
        assert process.stdout is not None
        with process:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGSTOP)
            add_links(namespace, "s", BURST)
            went_on = time.monotonic()
            process.send_signal(signal.SIGCONT)
            took = float(process.stdout.readline()) - went_on
        print(f"3,000 links made while it was stopped: {took:.2f} s")
        assert took < CAUGHT_UP
    finally:
        namespace.delete()
