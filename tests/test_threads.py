# SPDX-License-Identifier: MIT
"""Many threads on one session; nothing waits for ever."""

from __future__ import annotations

import faulthandler
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import NetLuid, Oid

THREADS = 8
SECONDS = 0.7
#: Of what is most likely to go wrong.
LONG = 2.0
COUNTER = Oid.GEN_RCV_OK


@pytest.fixture(autouse=True)
def no_deadlock() -> Iterator[None]:
    """Where the threads are, and the end of it, if they stop."""
    faulthandler.dump_traceback_later(60, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def run(
    work: Callable[[int, float], Any], seconds: float = SECONDS
) -> list[Any]:
    """Run work(number, deadline) in threads that begin together."""
    barrier = threading.Barrier(THREADS)

    def begin(number: int) -> Any:
        barrier.wait(30)
        return work(number, time.monotonic() + seconds)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


def registered(session: ndis.Session, oids: Any, count: int = 1) -> list[Any]:
    """Interfaces of a new provider."""
    provider = session.register_provider("p", oids=oids)
    return [
        provider.register_interface(NetLuid.make(6, index))
        for index in session.allocate_net_luid_indexes(6, count)
    ]


# -- indexes


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("with_store", "spare", "seconds"),
    [
        (True, 1 << 24, SECONDS),
        (False, 1 << 24, LONG),
        (False, (1 << 24) // 100, LONG),  # 99 % occupied
        (False, (1 << 24) // 10_000, LONG),  # 99.99 %
        (False, THREADS * 4, SECONDS),
    ],
)
def test_no_index_is_held_twice(
    store_path: Path, with_store: bool, spare: int, seconds: float
) -> None:
    """Eight threads allocate and free; no index has two holders, ever."""
    with ndis.Session(store_path if with_store else None) as session:
        filled = (1 << 24) - spare
        if not with_store and filled:
            session.allocate_net_luid_indexes(53, filled)
        space = session.index_space(53)
        held = bytearray(1 << 24)

        def churn(number: int, deadline: float) -> int:
            mine: list[int] = []
            rounds = 0
            room = min(50, spare // THREADS)
            while time.monotonic() < deadline:
                while len(mine) < room:
                    index = space.allocate()
                    assert held[index] == 0
                    held[index] = number + 1
                    mine.append(index)
                random.shuffle(mine)
                for _ in range(room // 2 + 1):
                    index = mine.pop()
                    assert held[index] == number + 1
                    held[index] = 0
                    space.free(index)
                rounds += 1
            for index in mine:
                held[index] = 0
                space.free(index)
            return rounds

        assert all(run(churn, seconds))
        assert not any(held)
        counts = session.count_net_luid_indexes(53)
        assert counts.allocated == (0 if with_store else filled)
        if spare < 1 << 20:
            everything = session.allocate_net_luid_indexes(53, spare)
            assert len(set(everything)) == spare


def test_batches_and_retains(store_path: Path) -> None:
    """Batches, retains, releases and trims run beside each other."""
    with ndis.Session(store_path) as session:

        def churn(number: int, deadline: float) -> set[int]:
            kept: set[int] = set()
            while time.monotonic() < deadline:
                indexes = list(session.allocate_net_luid_indexes(6, 700))
                assert not kept & set(indexes)
                session.retain_net_luid_indexes(6, indexes[:5])
                kept |= set(indexes[:5])
                session.free_net_luid_indexes(6, indexes[5:])
                if number == 0:
                    session.trim()
                gone = [kept.pop() for _ in range(3)]
                session.release_net_luid_indexes(6, gone)
            return kept

        kept = run(churn)
        everything = set().union(*kept)
        assert len(everything) == sum(map(len, kept))
        assert session.count_net_luid_indexes(6).allocated == 0
        assert session.store.check() == []
        stats = session.store.stats()
        retained = [t.retained for t in stats.types if t.if_type == 6]
        assert sum(retained) == len(everything)


def test_identities_from_many_threads(store_path: Path) -> None:
    """Threads of two sessions that ask for one key get one identity."""
    with ndis.Session(store_path) as one, ndis.Session(store_path) as other:
        providers = [one.register_provider("p"), other.register_provider("p")]

        def ask(number: int, deadline: float) -> list[int]:
            provider = providers[number % 2]
            return [
                int(provider.identity(f"key/{n}", 6).net_luid)
                for n in range(20)
            ]

        answers = run(ask)
        assert all(answer == answers[0] for answer in answers)
        assert len(set(answers[0])) == 20
        for session in (one, other):
            assert session.count_net_luid_indexes(6).allocated == 0
        assert one.store.check() == []


# -- handlers


def test_handlers_and_hooks_never_deadlock(store_path: Path) -> None:
    """Python handlers that call hooks, in many threads, all come back."""
    with ndis.Session(store_path) as session:

        def work(context: ndis.Interface, oid: int) -> int:
            index = session.allocate_net_luid_index(131)
            session.retain_net_luid_indexes(131, [index])
            time.sleep(0)
            session.release_net_luid_indexes(131, [index])
            return context.if_index

        interfaces = registered(session, {COUNTER: work}, 4)

        def churn(number: int, deadline: float) -> int:
            rounds = 0
            interface = interfaces[number % 4]
            while time.monotonic() < deadline:
                assert interface.query(COUNTER) == interface.if_index
                luids = [each.net_luid for each in interfaces]
                answers = list(session.query_many(luids, COUNTER))
                assert answers == [each.if_index for each in interfaces]
                session.trim()
                rounds += 1
            return rounds

        assert all(run(churn))
        assert session.store.check() == []


def test_handlers_in_a_ring(session: ndis.Session) -> None:
    """Handlers that ask each other's interfaces, both ways, come back."""
    interfaces: list[ndis.Interface] = []

    def ask_next(context: ndis.Interface, oid: int) -> int:
        depth.value = getattr(depth, "value", 0) + 1
        try:
            if depth.value > 5:
                return 1
            step = 1 if depth.value % 2 else -1
            place = interfaces.index(context) + step
            return interfaces[place % len(interfaces)].query(oid)
        finally:
            depth.value -= 1

    depth = threading.local()
    interfaces.extend(registered(session, {COUNTER: ask_next}, 4))

    def churn(number: int, deadline: float) -> None:
        while time.monotonic() < deadline:
            assert interfaces[number % 4].query(COUNTER) == 1

    run(churn)


@pytest.mark.smoke
def test_query_beside_deregister(session: ndis.Session) -> None:
    """A handler never runs after its deregistration has returned."""
    alive = [False] * 4

    def answer(context: int, oid: int) -> int:
        assert alive[context]
        time.sleep(0)
        assert alive[context]
        return context

    provider = session.register_provider("p", oids={COUNTER: answer})
    luids = [
        NetLuid.make(6, index)
        for index in session.allocate_net_luid_indexes(6, 4)
    ]

    def churn(number: int, deadline: float) -> int:
        answers = 0
        while time.monotonic() < deadline:
            if number < 4:
                alive[number] = True
                interface = provider.register_interface(
                    luids[number], context=number
                )
                interface.publish(in_octets=number)
                interface.deregister()
                alive[number] = False
                continue
            for n, luid in enumerate(luids):
                try:
                    assert session.query(luid, COUNTER) == n
                    answers += 1
                    session.publish(luid, mtu=n)
                    if_index = session.get_interface_index_from_net_luid(luid)
                    assert if_index > 0
                except ndis.InterfaceNotFoundError:
                    continue
            results = session.query_many(luids, COUNTER)
            for n, value in enumerate(results):
                assert value in {None, n}
            assert results.exceptions == ()
            for row in session.interface_table():
                assert row.net_luid in luids
        return answers

    assert sum(run(churn)[4:]) > 0
    assert session.interface_count == 0


@pytest.fixture
def switching() -> Iterator[None]:
    """The interpreter changes threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
def test_many_register_one_net_luid(session: ndis.Session) -> None:
    """What a handler is called with lives as long as the registration."""
    provider = session.register_provider("p", oids={COUNTER: lambda c, o: 5})
    luid = NetLuid.make(6, session.allocate_net_luid_index(6))

    def churn(number: int, deadline: float) -> int:
        rounds = 0
        while time.monotonic() < deadline:
            if number < 4:
                try:
                    interface = provider.register_interface(
                        luid, context=object()
                    )
                except ndis.DuplicateObjectIdError:
                    continue
                rounds += 1
                assert interface.query(COUNTER) == 5
                interface.deregister()
                with pytest.raises(ndis.InterfaceNotFoundError):
                    interface.deregister()
                continue
            try:
                assert session.query(luid, COUNTER) == 5
            except ndis.InterfaceNotFoundError:
                continue
        return rounds

    assert sum(run(churn, LONG)) > 0
    assert session.interface_count == 0
    assert not session._interfaces
    assert not session._uncertain


def test_deregister_in_two_threads(session: ndis.Session) -> None:
    """Who deregisters what another thread deregisters waits for it too."""
    inside, go_on = threading.Event(), threading.Event()

    def wait(context: Any, oid: int) -> int:
        inside.set()
        assert go_on.wait(30)
        return 5

    (interface,) = registered(session, {COUNTER: wait})
    with ThreadPoolExecutor(3) as pool:
        asked = pool.submit(interface.query, COUNTER)
        assert inside.wait(30)
        ending = [pool.submit(interface.deregister, 30) for _ in range(2)]
        time.sleep(0.1)
        assert not any(each.done() for each in ending)
        go_on.set()
        assert asked.result(30) == 5
        for each in ending:
            assert each.result(30) is None
    assert session.interface_count == 0
    assert not session._interfaces


def test_deregister_has_a_deadline(session: ndis.Session) -> None:
    """Past its deadline it says so; the handler that leaves completes it."""
    inside, go_on = threading.Event(), threading.Event()

    def wait(context: Any, oid: int) -> int:
        inside.set()
        assert go_on.wait(30)
        return 5

    (interface,) = registered(session, {COUNTER: wait})
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(interface.query, COUNTER)
        assert inside.wait(30)
        begun = time.monotonic()
        with pytest.raises(ndis.NdisTimeoutError):
            interface.deregister(timeout=0.1)
        assert 0.05 < time.monotonic() - begun < 10
        with pytest.raises(ndis.InterfaceNotFoundError):
            session.query(interface.net_luid, COUNTER)
        with pytest.raises(ndis.NdisTimeoutError):
            session.close(timeout=0.1)
        assert not session.closed
        go_on.set()
        assert asked.result(30) == 5
    session.close()
    assert session.closed


def test_close_beside_everything(store_path: Path) -> None:
    """Closing from several threads at once closes once, and quietly."""
    for _ in range(10):
        session = ndis.Session(store_path)
        interfaces = registered(session, {COUNTER: lambda c, o: 1}, 4)
        started = threading.Barrier(THREADS)

        def churn(number: int) -> None:
            started.wait(30)
            try:
                while True:
                    interfaces[number % 4].query(COUNTER)
                    index = session.allocate_net_luid_index(6)
                    session.retain_net_luid_indexes(6, [index])
                    session.release_net_luid_indexes(6, [index])
            except (ndis.InvalidStateError, ndis.InterfaceNotFoundError):
                return

        def close(number: int) -> None:
            started.wait(30)
            time.sleep(0.002)
            session.close()

        with ThreadPoolExecutor(THREADS) as pool:
            work = [pool.submit(churn, n) for n in range(THREADS - 3)]
            work += [pool.submit(close, n) for n in range(3)]
            for each in work:
                each.result(30)
        assert session.closed
    with ndis.Session(store_path) as session:
        assert session.store.check() == []


def test_sessions_come_and_go(store_path: Path) -> None:
    """Sessions on one file open and close in many threads at once."""

    def churn(number: int, deadline: float) -> int:
        rounds = 0
        while time.monotonic() < deadline:
            with ndis.Session(store_path) as session:
                session.allocate_net_luid_index(6)
                provider = session.register_provider("p")
                provider.register_interface(
                    provider.identity(f"key/{number}", 6)
                )
            rounds += 1
        return rounds

    assert all(run(churn))
    with ndis.Session(store_path) as session:
        assert len(list(session.identities())) == THREADS
        assert session.store.check() == []


# -- the end of the interpreter


def script(text: str, *arguments: object, timeout: float = 30) -> Any:
    """Run a program of its own and wait for its end."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.mark.parametrize("where", ["handler", "query_many", "hook"])
def test_exit_with_a_thread_inside(store_path: Path, where: str) -> None:
    """The interpreter ends in bounded time with a thread in a callback."""
    begun = time.monotonic()
    done = script(
        """
        import sys, threading, time
        import ndisbridge as ndis
        from ndisbridge.persistence.sqlite import SqliteStore

        where, path = sys.argv[1:]
        inside = threading.Event()

        def wait(*args):
            inside.set()
            time.sleep(300)

        class Slow(SqliteStore):
            def retain(self, *args, **kwargs):
                wait()

        session = ndis.Session(Slow(path))
        oid = ndis.Oid.GEN_RCV_OK
        provider = session.register_provider("p", oids={oid: wait})
        index, other = session.allocate_net_luid_indexes(6, 2)
        luid = ndis.NetLuid.make(6, index)
        interface = provider.register_interface(luid)
        work = {
            "handler": lambda: session.query(luid, oid),
            "query_many": lambda: session.query_many([luid], oid),
            "hook": lambda: session.retain_net_luid_indexes(6, [other]),
        }[where]
        threading.Thread(target=work, daemon=True).start()
        inside.wait(30)
        print("leaving", flush=True)
        """,
        where,
        store_path,
    )
    assert done.stdout == "leaving\n"
    assert done.returncode == 0, done.stderr
    assert "Fatal" not in done.stderr
    assert time.monotonic() - begun < 20
    with ndis.Session(store_path) as session:
        assert session.store.check() == []


def test_exit_with_many_sessions() -> None:
    """All sessions with a handler inside have one deadline at exit."""
    begun = time.monotonic()
    done = script(
        """
        import threading, time
        import ndisbridge as ndis

        oid = ndis.Oid.GEN_RCV_OK
        sessions = [ndis.Session() for _ in range(5)]
        for session in sessions:
            inside = threading.Event()

            def wait(context, oid, inside=inside):
                inside.set()
                time.sleep(300)

            provider = session.register_provider("p", oids={oid: wait})
            luid = ndis.NetLuid.make(6, session.allocate_net_luid_index(6))
            provider.register_interface(luid)
            threading.Thread(
                target=session.query, args=(luid, oid), daemon=True
            ).start()
            inside.wait(30)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert 1.5 < time.monotonic() - begun < 6


def test_exit_with_a_dropped_session(store_path: Path) -> None:
    """A session that was dropped with a handler inside ends at exit."""
    done = script(
        """
        import gc, sys, threading
        import ndisbridge as ndis

        oid = ndis.Oid.GEN_RCV_OK
        inside, go_on = threading.Event(), threading.Event()

        def wait(context, oid):
            inside.set()
            go_on.wait(30)
            return 5

        def make():
            session = ndis.Session(sys.argv[1])
            provider = session.register_provider("p", oids={oid: wait})
            identity = provider.identity("k", 6)
            provider.register_interface(identity, context=object())
            return session.query_bytes, identity.net_luid

        query, luid = make()
        asking = threading.Thread(target=query, args=(luid, oid))
        asking.start()
        inside.wait(30)
        gc.collect()
        go_on.set()
        asking.join()
        """,
        store_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with ndis.Session(store_path) as session:
        assert len(session.store.stats().sessions) == 1
        (record,) = session.identities()
        assert record.in_use_by is None


def test_exit_with_busy_threads(store_path: Path) -> None:
    """The interpreter ends while daemon threads use the session."""
    for _ in range(3):
        done = script(
            """
            import sys, threading, time
            import ndisbridge as ndis

            session = ndis.Session(sys.argv[1])
            oid = ndis.Oid.GEN_RCV_OK
            provider = session.register_provider("p", oids={oid: lambda c, o: 1})
            luid = ndis.NetLuid.make(6, session.allocate_net_luid_index(6))
            provider.register_interface(luid)
            space = session.index_space(6)

            def work():
                try:
                    while True:
                        session.query(luid, oid)
                        index = space.allocate()
                        session.retain_net_luid_indexes(6, [index])
                        session.release_net_luid_indexes(6, [index])
                        space.allocate()
                except ndis.NdisError:
                    pass

            for _ in range(6):
                threading.Thread(target=work, daemon=True).start()
            time.sleep(0.1)
            """,
            store_path,
        )
        assert done.returncode == 0, done.stderr
        assert "Fatal" not in done.stderr
    with ndis.Session(store_path) as session:
        assert session.store.check() == []


def test_exit_without_closing(store_path: Path) -> None:
    """A session that is open at exit is closed: nothing stays taken."""
    done = script(
        """
        import sys
        import ndisbridge as ndis

        session = ndis.Session(sys.argv[1])
        provider = session.register_provider("p")
        provider.register_interface(provider.identity("k", 6))
        session.allocate_net_luid_indexes(6, 5000)
        """,
        store_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with ndis.Session(store_path) as session:
        assert len(session.store.stats().sessions) == 1
        (record,) = session.identities()
        assert record.in_use_by is None
        assert session.store.check() == []


def test_ctrl_c_in_a_handler() -> None:
    """SIGINT while a handler runs ends the query that it answers."""
    done = script(
        """
        import os, signal
        import ndisbridge as ndis

        def interrupt(context, oid):
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):
                pass
            return 1

        with ndis.Session() as session:
            oid = ndis.Oid.GEN_RCV_OK
            provider = session.register_provider("p", oids={oid: interrupt})
            luid = ndis.NetLuid.make(6, session.allocate_net_luid_index(6))
            provider.register_interface(luid)
            for ask in (
                lambda: session.query(luid, oid),
                lambda: session.query_many([luid, luid], oid),
            ):
                try:
                    ask()
                except KeyboardInterrupt:
                    print("interrupted")
        """
    )
    assert (done.stdout, done.stderr) == ("interrupted\n" * 2, "")
