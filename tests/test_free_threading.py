# SPDX-License-Identifier: MIT
"""What the GIL must not be needed for, and a Python that has none."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import _native_miniport, _process, ctypes_api
from ndisbridge._fastcall import IndexSpace
from ndisbridge.events import EventStream
from ndisbridge.proxy import NativeMiniport, ProxyProvider
from ndisbridge.proxy.linux import LinuxHost
from ndisbridge.proxy.linux.following import Follower

#: Seconds for a thread that may have to wait for the one that is stopped.
MOMENT = 0.01


Two = tuple[Callable[[], Any], Callable[[], Any]]


def codes_of(function: Callable[..., Any]) -> set[CodeType]:
    """Its code, and of the comprehensions in it."""
    found = {function.__code__}
    while more := {
        each
        for code in found
        for each in code.co_consts
        if isinstance(each, CodeType) and each not in found
    }:
        found |= more
    return found


@pytest.fixture
def at_each_step() -> Callable[..., Iterator[tuple[Any, Any]]]:
    """
    ``at_each_step(function, make)``: ``make()`` gives two things to do; the
    first is stopped before a step (a bytecode) of a function while another
    thread does the second, which is not waited for if the first has what it
    waits for.  Before one step each time, until there are no more; what both
    returned, or raised, each time.
    """

    def at_each_step(
        function: Callable[..., Any], make: Callable[[], Two]
    ) -> Iterator[tuple[Any, Any]]:
        codes = codes_of(function)
        step = blind = 0
        while True:
            first, second = make()
            left = step
            found: list[Any] = []
            other = threading.Thread(
                target=lambda: found.append(outcome(second))
            )

            def trace(frame: FrameType, event: str, _: Any) -> Any:
                nonlocal left
                if frame.f_code not in codes:
                    return None
                if event == "call":
                    frame.f_trace_opcodes = True
                elif event == "opcode":
                    if left == 0:
                        other.start()
                        other.join(MOMENT)
                    left -= 1
                return trace

            before = sys.gettrace()
            # Or else Python 3.12 tells none.
            sys._getframe().f_trace_opcodes = True
            sys.settrace(trace)
            try:
                done = outcome(first)
            finally:
                sys.settrace(before)
            if left == step and other.ident is None:
                # Python 3.13 and later tell bytecodes of a function that has
                # been traced before, and is not run beside: once more.
                blind += 1
                assert blind <= step + 5
                continue
            if other.ident is None:
                assert step > 10  # else it was another function
                return
            other.join(60)
            (beside,) = found
            step += 1
            yield done, beside

    return at_each_step


def outcome(work: Callable[[], Any]) -> Any:
    """What it returned, or raised."""
    try:
        return work()
    except Exception as error:
        return error


def together(work: Callable[[], Any], threads: int) -> list[Any]:
    """What the work returned, or raised, in threads that begin together."""
    barrier = threading.Barrier(threads)
    found: list[Any] = []

    def run() -> None:
        barrier.wait(30)
        found.append(outcome(work))

    started = [threading.Thread(target=run) for _ in range(threads)]
    for each in started:
        each.start()
    for each in started:
        each.join()
    return found


def python(code: str) -> str:
    """What a program writes, to stderr too; nobody has the GIL kept off."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHON_GIL"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=environment,
    )
    return done.stdout


without_gil = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"),
    reason="this Python has a GIL",
)


@without_gil
@pytest.mark.smoke
def test_the_gil_stays_off() -> None:
    """
    Neither importing nor a session without a file turns it on.  One on a
    file may: it imports apsw.
    """
    said = python(
        """
        import sys
        import ndisbridge, ndisbridge.ctypes_api, ndisbridge.proxy
        with ndisbridge.Session() as session:
            provider = session.register_provider("p")
            provider.register_interface(provider.identity("key", 6))
        print(sys._is_gil_enabled())
        """
    )
    assert said == "False\n"


@without_gil
@pytest.mark.thread_unsafe(reason="one wheel is enough")
def test_wheel(root: Path, tmp_path: Path) -> None:
    """One for this Python alone; what it installs leaves the GIL off."""
    tree, site = tmp_path / "tree", tmp_path / "site"
    ignored = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")
    for name in ("csrc", "ndisbridge", "docs"):
        shutil.copytree(root / name, tree / name, ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, tree)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps"),
            *("--no-build-isolation", "-w", str(tmp_path), str(tree)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    version = "cp{}{}".format(*sys.version_info)
    assert f"-{version}-{version}t-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    said = python(
        f"""
        import sys
        sys.path.insert(0, {str(site)!r})
        import ndisbridge
        with ndisbridge.Session() as session:
            session.allocate_net_luid_index(6)
        print(ndisbridge.__file__, sys._is_gil_enabled())
        """
    )
    assert said == f"{site / 'ndisbridge' / '__init__.py'} False\n"


def test_one_index_space(session: ndis.Session, at_each_step: Any) -> None:
    """Threads that ask for the first time at once get one object."""
    if_types = itertools.count(1)

    def make() -> Two:
        ask = partial(session.index_space, next(if_types))
        return ask, ask

    for one, other in at_each_step(ndis.Session.index_space, make):
        assert isinstance(one, IndexSpace)
        assert one is other


def test_a_stream_is_closed_while_it_is_read(
    session: ndis.Session, at_each_step: Any
) -> None:
    """Who reads has an event, or is told that it is closed: nothing else."""
    provider = session.register_provider("p")
    for index in session.allocate_net_luid_indexes(6, 3):
        provider.register_interface(ndis.NetLuid.make(6, index))

    def make() -> Two:
        stream = session.events(initial=True, identities=False)
        return partial(stream.get, 30), stream.close

    seen = set()
    for read, closed in at_each_step(EventStream._next, make):
        assert closed is None
        seen.add(type(read))
    assert seen == {ndis.Event, ndis.InvalidStateError}


def test_sessions_come_while_all_are_gone_through(at_each_step: Any) -> None:
    """As at exit, and in a child of fork()."""
    with ndis.Session() as kept:
        for found, made in at_each_step(
            _process._open_sessions,
            lambda: (_process._open_sessions, ndis.Session),
        ):
            assert kept in found
            made.close()  # or there would be more steps each time


def test_exit_while_sessions_come_and_go() -> None:
    """The end goes through the open sessions, whoever opens another."""
    said = python(
        """
        import sys, threading, time
        import ndisbridge as ndis
        sys.setswitchinterval(1e-6)

        def churn():
            while True:
                ndis.Session().close()

        kept = [ndis.Session() for _ in range(500)]
        for _ in range(4):
            threading.Thread(target=churn, daemon=True).start()
        time.sleep(0.2)
        """
    )
    assert said == ""


def test_one_driver_two_adapters_at_once(session: ndis.Session) -> None:
    """Of two threads that install one driver object one is refused."""
    both = threading.Barrier(2)

    @ctypes_api.TYPES["ndisbridge_miniport_initialize"]
    def initialize(*_: Any) -> int:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        return 0

    with ProxyProvider(session) as proxy:
        driver = NativeMiniport(initialize=initialize)
        names = iter(["one", "two"])
        lock = threading.Lock()

        def install() -> object:
            with lock:
                name = next(names)
            return proxy.install(name, driver)

        found = together(install, 2)
        errors = [each for each in found if isinstance(each, Exception)]
        assert [type(each) for each in errors] == [ndis.InvalidStateError]
        assert len(proxy.adapters) == 1


def test_handles_are_told_apart(
    session: ndis.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A counter that says a number twice, as it may without the GIL."""
    numbers = iter([7, 7, 7, 8])
    monkeypatch.setattr(_native_miniport, "_handles", numbers)
    handles: list[int] = []

    @ctypes_api.TYPES["ndisbridge_miniport_initialize"]
    def initialize(_: Any, driver: Any, handle: int, *rest: Any) -> int:
        handles.append(handle)
        return 0

    with ProxyProvider(session) as proxy:
        for name in ("one", "two"):
            proxy.install(name, NativeMiniport(initialize=initialize))
        assert handles == [7, 8]


def test_a_proxy_is_closed_by_two(
    session: ndis.Session, at_each_step: Any
) -> None:
    """Once is enough, and quiet."""

    def make() -> Two:
        proxy = ProxyProvider(session)
        return proxy.close, proxy.close

    for both in at_each_step(ProxyProvider.close, make):
        assert both == (None, None)


def test_a_follower_is_closed_by_two(
    session: ndis.Session, at_each_step: Any
) -> None:
    """The one who comes later writes into no file that is closed."""
    host = LinuxHost(session, compartment="-")

    def make() -> Two:
        follower = Follower(host)
        return follower.close, follower.close

    for both in at_each_step(Follower.close, make):
        assert both == (None, None)
