# SPDX-License-Identifier: MIT
"""What the GIL must not be needed for, and a Python that has none."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import sysconfig
import textwrap
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import _native_miniport, ctypes_api
from ndisbridge.proxy import NativeMiniport, ProxyProvider

THREADS = 8


@pytest.fixture
def switching() -> Iterator[None]:
    """The interpreter changes threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(work: Callable[[], Any], threads: int = THREADS) -> list[Any]:
    """What the work returned, or raised, in threads that begin together."""
    barrier = threading.Barrier(threads)
    found: list[Any] = []

    def run() -> None:
        barrier.wait(30)
        try:
            found.append(work())
        except Exception as error:
            found.append(error)

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


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"),
    reason="this Python has a GIL",
)
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


@pytest.mark.usefixtures("switching")
def test_one_index_space(session: ndis.Session) -> None:
    """Threads that ask for the first time at once get one object."""
    for if_type in range(1, 200):
        found = together(lambda: session.index_space(if_type), 4)
        assert all(each is found[0] for each in found)


@pytest.mark.usefixtures("switching")
def test_a_stream_is_closed_while_it_is_read() -> None:
    """Who reads is told that it is closed, and nothing else."""
    with ndis.Session() as session:
        provider = session.register_provider("p")
        for index in session.allocate_net_luid_indexes(6, 60):
            provider.register_interface(ndis.NetLuid.make(6, index))
        for number in range(200):
            stream = session.events(identities=False)
            roles = deque(["read", "read", "close"])

            def work(
                stream: Any = stream, roles: Any = roles, number: int = number
            ) -> None:
                if roles.popleft() == "close":
                    time.sleep(number / 1e6)
                    stream.close()
                while True:
                    stream.get(30)

            found = {type(each) for each in together(work, 3)}
            assert found == {ndis.InvalidStateError}


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


def test_a_proxy_is_closed_by_many() -> None:
    """Once is enough, and quiet."""
    for _ in range(20):
        with ndis.Session() as session:
            proxy = ProxyProvider(session)
            assert together(proxy.close) == [None] * THREADS
