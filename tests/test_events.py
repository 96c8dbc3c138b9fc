# SPDX-License-Identifier: MIT
"""Events: callbacks, iteration, asyncio, and the identities of the store."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import (
    Event,
    EventKind,
    IdentityChangeKind,
    IfAdminStatus,
    IfOperStatus,
    IfTableLevel,
    LinkTransition,
    NetLuid,
    PublishedFields,
    _event_thread,
    _native,
    _native_events,
    _native_structures,
)
from ndisbridge.persistence import StoreBusyError, StoreChange, StoreError
from ndisbridge.persistence.memory import MemoryStore

ETHERNET = 6
#: Seconds that anything may take on a machine that is busy.
LONG = 30.0


@pytest.fixture(autouse=True)
def no_deadlock() -> Iterator[None]:
    """Where the threads are, and the end of it, if they stop."""
    faulthandler.dump_traceback_later(120, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def provider(session: ndis.Session) -> ndis.Provider:
    return session.register_provider("p")


def registered(provider: ndis.Provider) -> ndis.Interface:
    session = provider.session
    index = session.allocate_net_luid_index(ETHERNET)
    return provider.register_interface(NetLuid.make(ETHERNET, index))


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def threads() -> set[str]:
    """Names of our threads that run."""
    return {
        each.name
        for each in threading.enumerate()
        if each.name.startswith("ndisbridge")
    }


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def kinds(events: list[Event]) -> list[str]:
    return [each.kind.name for each in events]


# -- what is told


@pytest.mark.smoke
def test_one_interface(session: ndis.Session, provider: ndis.Provider) -> None:
    """From its registration to its end."""
    assert session.if_table_last_change == session.if_stack_last_change == 0
    began = int(time.monotonic() * 1000)
    with session.events() as stream:
        interface = registered(provider)
        interface.publish(oper_status=IfOperStatus.UP, mtu=1500)
        interface.publish(oper_status=IfOperStatus.UP, in_octets=5)
        interface.publish(oper_status=IfOperStatus.DOWN, alias="x")
        interface.deregister()
        told = [stream.get(0) for _ in range(4)]
        assert stream.get(0) is stream.get(0.01) is None
    assert [each and each.kind for each in told] == [
        EventKind.ADD,
        EventKind.PARAMETER,
        EventKind.PARAMETER,
        EventKind.DELETE,
    ]
    for event in told:
        assert event is not None
        assert event.net_luid == interface.net_luid
        assert isinstance(event.net_luid, NetLuid)
        assert event.if_index == interface.if_index
        assert event.missed == event.lower_if_index == 0
        assert event.record is event.identity is event.identity_change is None
        assert began <= event.time <= time.monotonic() * 1000
    add, first, second, _ = told
    assert add and first and second
    assert add.oper_status is IfOperStatus.UNKNOWN
    assert add.admin_status is IfAdminStatus.DOWN
    assert add.changed == PublishedFields(0)
    assert first.changed == PublishedFields.OPER_STATUS | PublishedFields.MTU
    assert first.link is LinkTransition.NONE
    assert second.changed == (
        PublishedFields.OPER_STATUS | PublishedFields.ALIAS
    )
    assert second.link is LinkTransition.DOWN
    assert second.oper_status is IfOperStatus.DOWN
    # Read from a clock that ticks a hundred times a second or more.
    assert session.if_table_last_change >= began - 20
    with pytest.raises(AttributeError):
        first.missed = 1


def test_initial_and_stack(
    session: ndis.Session, provider: ndis.Provider
) -> None:
    """What is there comes first, and needs no room; or not at all."""
    lower, higher = registered(provider), registered(provider)
    lower.publish(oper_status=IfOperStatus.UP, in_octets=1)
    session.add_if_stack_entry(higher.if_index, lower.if_index)
    assert session.if_stack_last_change > 0
    with session.events(capacity=1) as stream:
        told = [stream.get(0) for _ in range(3)]
        assert kinds([each for each in told if each]) == [
            "INITIAL",
            "INITIAL",
            "STACK_ADD",
        ]
        assert told[0] is not None and told[2] is not None
        assert told[0].oper_status is IfOperStatus.UP
        assert told[0].changed == (
            PublishedFields.OPER_STATUS | PublishedFields.IN_OCTETS
        )
        assert told[2].if_index == higher.if_index
        assert told[2].lower_if_index == lower.if_index
        assert told[2].oper_status is told[2].admin_status is None
        assert stream.get(0) is None
    with session.events(initial=False) as stream:
        assert stream.get(0) is None
        session.delete_if_stack_entry(higher.if_index, lower.if_index)
        event = stream.get(0)
        assert event is not None and event.kind is EventKind.STACK_DELETE


@pytest.mark.smoke
def test_fields_are_the_published_ones() -> None:
    """PublishedFields has each value of publish() at its bit, and facts."""
    names = {
        name.upper(): bit
        for name, (bit, _) in _native_structures.published_names.items()
    }
    names |= {
        name: getattr(_native.lib, f"NDISBRIDGE_PUBLISH_{name}")
        for name in ("ADMIN_STATUS", "ALIAS")
    }
    names["FACTS"] = _native.lib.NDISBRIDGE_CHANGED_FACTS
    assert {each.name: each.value for each in PublishedFields} == names
    counters = {
        each.name
        for each in PublishedFields
        if each & _native_events.STATISTICS_FIELDS
    }
    assert counters == {
        name for name in names if name.startswith(("IN_", "OUT_"))
    }


def test_missed(session: ndis.Session, provider: ndis.Provider) -> None:
    """Who is slow is told how much is lost; the latest is kept."""
    interface = registered(provider)
    with session.events(initial=False, capacity=3) as stream:
        for mtu in range(10):
            interface.publish(mtu=mtu)
        told = [stream.get(0) for _ in range(3)]
        assert [each and each.missed for each in told] == [7, 0, 0]
        assert stream.missed == 7
        assert stream.get(0) is None
    for capacity in (0, -1, (1 << 20) + 1, 1 << 40):
        with pytest.raises(ndis.InvalidParameterError):
            session.events(capacity=capacity)


# -- waiting, and the end


def test_get_waits(session: ndis.Session, provider: ndis.Provider) -> None:
    """Until something happens, or the time is up."""
    with session.events() as stream:
        began = time.monotonic()
        assert stream.get(0.1) is None
        assert time.monotonic() - began >= 0.1
        timer = threading.Timer(0.1, lambda: registered(provider))
        timer.start()
        event = stream.get(LONG)
        assert event is not None and event.kind is EventKind.ADD
        timer.join()


def test_end_of_a_stream(
    session: ndis.Session, provider: ndis.Provider
) -> None:
    """Closing wakes who waits; iterating ends, get() raises."""
    stream = session.events()
    timer = threading.Timer(0.1, stream.close)
    timer.start()
    assert list(stream) == []
    timer.join()
    assert stream.closed
    with pytest.raises(ndis.InvalidStateError):
        stream.get()
    stream.close()
    waiting = session.events()
    registered(provider)
    timer = threading.Timer(0.1, session.close)
    timer.start()
    # What closing has posted comes too.
    assert kinds(list(waiting)) == ["ADD", "DELETE"]
    timer.join()
    with pytest.raises(ndis.InvalidStateError):
        session.events()


def test_readers_share_what_comes_at_once(
    session: ndis.Session, provider: ndis.Provider
) -> None:
    """What one has fetched keeps no other waiting."""
    interface = registered(provider)
    with session.events(initial=False) as stream:
        for mtu in range(0, 60, 3):
            told: list[Event | None] = []
            readers = [
                threading.Thread(target=lambda: told.append(stream.get(LONG)))
                for _ in range(3)
            ]
            for reader in readers:
                reader.start()
            eventually(lambda: len(stream._waiters) == 3)
            for i in range(3):
                interface.publish(mtu=mtu + i)
            for reader in readers:
                reader.join(LONG / 2)
                assert not reader.is_alive()
            assert None not in told


def test_long_timeouts(session: ndis.Session, provider: ndis.Provider) -> None:
    """Also those that poll() cannot count."""
    with session.events() as stream:
        for timeout in (1e12, float("inf")):
            soon = threading.Timer(0.05, registered, (provider,))
            soon.start()
            assert stream.get(timeout) is not None
            soon.join()
        with pytest.raises(ValueError, match="number"):
            stream.get(float("nan"))


def test_a_handler_that_waits(session: ndis.Session) -> None:
    """Closing does not wait for what it would have to wake."""
    inside = threading.Event()
    told: list[BaseException] = []

    class Waiting:
        def query_object(self, interface: ndis.Interface, oid: int) -> int:
            inside.set()
            try:
                stream.get()
            except ndis.InvalidStateError as error:
                told.append(error)
            return 0

    stream = session.events(initial=False)
    provider = session.register_provider("q", Waiting())
    interface = registered(provider)
    assert stream.get(LONG) is not None
    asker = threading.Thread(
        target=lambda: interface.query(ndis.Oid.GEN_MAXIMUM_FRAME_SIZE)
    )
    asker.start()
    assert inside.wait(LONG)
    eventually(lambda: stream._waiters)
    session.close(LONG)
    asker.join(LONG)
    assert not asker.is_alive() and len(told) == 1


@pytest.mark.thread_unsafe(reason="signals are the process's")
def test_get_is_interrupted(session: ndis.Session) -> None:
    """A signal handler runs while get() waits, and may raise."""

    def handler(*_: object) -> None:
        raise ZeroDivisionError

    before = signal.signal(signal.SIGALRM, handler)
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(
        0.1, lambda: signal.pthread_kill(main, signal.SIGALRM)
    )
    try:
        with session.events() as stream:
            timer.start()
            with pytest.raises(ZeroDivisionError):
                stream.get(LONG)
    finally:
        timer.join()
        signal.signal(signal.SIGALRM, before)


def test_nothing_is_left(
    session: ndis.Session, provider: ndis.Provider
) -> None:
    """A stream that is dropped, or could not be made, takes nothing."""
    registered(provider)
    session.events().close()
    gc.collect()
    before = descriptors()
    for _ in range(20):
        session.events()
        with pytest.raises(ndis.InvalidParameterError):
            session.events(capacity=0)
    gc.collect()
    assert descriptors() == before
    assert threads() == set()


# -- callbacks


@pytest.mark.smoke
def test_callbacks(session: ndis.Session, provider: ndis.Provider) -> None:
    """In order, on one thread for all, until it is closed."""
    one: list[tuple[Event, int]] = []
    other: list[tuple[Event, int]] = []
    with (
        session.subscribe(lambda e: one.append((e, threading.get_ident()))),
        session.subscribe(lambda e: other.append((e, threading.get_ident()))),
    ):
        interface = registered(provider)
        for mtu in range(500):
            interface.publish(mtu=mtu)
        interface.deregister()
        eventually(lambda: len(one) == len(other) == 502)
    assert [e for e, _ in one] == [e for e, _ in other]
    assert kinds([e for e, _ in one]) == [
        "ADD",
        *["PARAMETER"] * 500,
        "DELETE",
    ]
    (thread,) = {thread for _, thread in one + other}
    assert thread != threading.get_ident()
    eventually(lambda: threads() == set())
    registered(provider)
    time.sleep(0.05)
    assert len(one) == 502


def test_callback_that_raises(
    session: ndis.Session,
    provider: ndis.Provider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes to sys.unraisablehook, and harms nobody."""
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    seen: list[Event] = []

    def callback(event: Event) -> None:
        seen.append(event)
        raise [ValueError("mine"), SystemExit(3)][len(seen) % 2]

    other: list[Event] = []
    with session.subscribe(callback), session.subscribe(other.append):
        for _ in range(4):
            registered(provider)
        eventually(lambda: len(seen) == len(other) == 4)
        eventually(lambda: len(told) == 4)
    assert {type(each.exc_value) for each in told} == {ValueError, SystemExit}
    assert all(each.object is callback for each in told)
    with pytest.raises(TypeError):
        session.subscribe(5)


def test_slow_callback(session: ndis.Session, provider: ndis.Provider) -> None:
    """It blocks nobody who registers, and is told what it has missed."""
    go_on = threading.Event()
    seen: list[Event] = []

    def callback(event: Event) -> None:
        seen.append(event)
        go_on.wait(LONG)

    with session.subscribe(callback, capacity=8) as subscription:
        # With what is fetched already more is kept than 8.
        for _ in range(500):
            registered(provider).deregister()
        go_on.set()
        eventually(lambda: len(seen) + sum(e.missed for e in seen) == 1000)
        assert subscription.missed == sum(e.missed for e in seen) > 0


def test_callback_is_told_what_is_fetched(
    session: ndis.Session, provider: ndis.Provider
) -> None:
    """Nothing waits for the next event because a turn has ended."""
    interface = registered(provider)
    seen: list[Event] = []

    def callback(event: Event) -> None:
        seen.append(event)
        if len(seen) == 1:
            # The first of a turn; the others are fetched at once.
            for mtu in range(_event_thread._IN_A_TURN):
                interface.publish(mtu=mtu)

    with session.subscribe(callback, initial=False):
        interface.publish(mtu=1500)
        eventually(lambda: len(seen) == 1 + _event_thread._IN_A_TURN)


def test_no_thread_is_left(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cannot be served is told so; nobody after him suffers."""

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with ndis.Session(store_path) as session:
        provider = session.register_provider("p")
        for identities in (True, False):
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", fail)
                with pytest.raises(RuntimeError, match="start"):
                    session.subscribe(print, identities=identities)
        seen: list[Event] = []
        with session.subscribe(seen.append):
            interface = registered(provider)
            provider.identity("k", ETHERNET)
            eventually(lambda: kinds(seen) == ["ADD", "IDENTITY"])
            interface.deregister()
        eventually(lambda: threads() == set())


def test_closing_from_inside(
    session: ndis.Session, provider: ndis.Provider
) -> None:
    """A callback closes its subscription, registers, closes the session."""
    seen: list[str] = []
    closed = threading.Event()

    def callback(event: Event) -> None:
        seen.append(event.kind.name)
        if len(seen) == 1:
            registered(provider)
        else:
            subscription.close()

    def closing(event: Event) -> None:
        if event.kind is EventKind.DELETE and not closed.is_set():
            session.close()
            closed.set()

    with session.subscribe(closing):
        subscription = session.subscribe(callback)
        interface = registered(provider)
        eventually(lambda: subscription.closed)
        assert seen == ["ADD", "ADD"]
        interface.deregister()
        assert closed.wait(LONG)
    assert session.closed
    eventually(lambda: threads() == set())


def test_callbacks_hear_the_end(
    session: ndis.Session, provider: ndis.Provider
) -> None:
    """What closing has posted comes to callbacks too; then they end."""
    seen: list[Event] = []
    subscription = session.subscribe(seen.append)
    registered(provider)
    session.close()
    eventually(lambda: subscription.closed)
    assert kinds(seen) == ["ADD", "DELETE"]
    eventually(lambda: threads() == set())


# -- asyncio


async def until_waiting(stream: ndis.EventStream) -> None:
    """Until some task waits for it in this loop."""
    while asyncio.get_running_loop() not in stream._waiting:
        await asyncio.sleep(0)


@pytest.mark.smoke
def test_async_iteration(
    session: ndis.Session, provider: ndis.Provider
) -> None:
    """async for gets what happens, and ends with the session."""

    async def main() -> list[Event]:
        loop = asyncio.get_running_loop()
        told = []
        loop.call_later(0.05, registered, provider)
        async with session.events() as stream:
            async for event in stream:
                told.append(event)
                if len(told) == 1:
                    loop.call_later(0.05, registered, provider)
                    loop.call_later(0.1, session.close)
        assert threads() == set()
        return told

    assert kinds(asyncio.run(main())) == ["ADD", "ADD", "DELETE", "DELETE"]


def test_async_cancellation(
    session: ndis.Session, provider: ndis.Provider
) -> None:
    """Nothing is left of a wait that is cancelled, and nothing lost."""

    async def main() -> None:
        with session.events() as stream:
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(anext(stream), 0.01)
                assert not stream._waiting
            task = asyncio.create_task(stream.__anext__())
            await until_waiting(stream)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not stream._waiting
            registered(provider)
            assert (await anext(stream)).kind is EventKind.ADD

    asyncio.run(main())
    assert threads() == set()


def test_a_loop_is_shared(
    session: ndis.Session, provider: ndis.Provider
) -> None:
    """Who reads what is there lets other tasks have their turns."""
    interface = registered(provider)

    async def main() -> None:
        with session.events(initial=False) as stream:
            for mtu in range(1000):
                interface.publish(mtu=mtu)
            turns = 0

            async def other() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(other())
            for _ in range(1000):
                assert (await anext(stream)).missed == 0
            task.cancel()
            assert turns >= 10

    asyncio.run(main())


def test_tasks_and_loops_share_a_stream(
    session: ndis.Session, provider: ndis.Provider
) -> None:
    """Each event goes to one of them; closing ends all."""
    stream = session.events()
    told: list[Event] = []
    waiting = threading.Semaphore(0)

    async def read() -> None:
        async for event in stream:
            told.append(event)

    async def main() -> None:
        tasks = [asyncio.create_task(read()) for _ in range(3)]
        await until_waiting(stream)
        waiting.release()
        await asyncio.gather(*tasks)

    loops = [
        threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(2)
    ]
    for loop in loops:
        loop.start()
        assert waiting.acquire(timeout=LONG)
    interfaces = [registered(provider) for _ in range(200)]
    eventually(lambda: len(told) == 200)
    assert {e.if_index for e in told} == {e.if_index for e in interfaces}
    stream.close()
    for loop in loops:
        loop.join(LONG)
        assert not loop.is_alive()
    assert not stream._waiting


# -- order


def test_replay(session: ndis.Session, provider: ndis.Provider) -> None:
    """Whoever plays the events, from any moment on, has the table."""
    over = threading.Event()

    def work(seed: int) -> None:
        chance = random.Random(seed)
        mine: list[ndis.Interface] = []
        for _ in range(400):
            if len(mine) < 3 or chance.random() < 0.4:
                mine.append(registered(provider))
            elif chance.random() < 0.4:
                mine.pop(chance.randrange(len(mine))).deregister()
            else:
                chance.choice(mine).publish(oper_status=chance.randint(1, 7))

    def play(stream: ndis.EventStream, table: dict[int, Any]) -> None:
        while (event := stream.get(0)) is not None:
            assert event.missed == 0
            if event.kind in {EventKind.INITIAL, EventKind.ADD}:
                assert event.net_luid not in table
            else:
                assert event.net_luid in table
            table[event.net_luid] = event.oper_status
            if event.kind is EventKind.DELETE:
                del table[event.net_luid]

    def replay() -> None:
        while not over.is_set():
            with session.events(capacity=1 << 16) as stream:
                table: dict[int, Any] = {}
                for _ in range(20):
                    play(stream, table)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    failures: list[BaseException] = []

    def watched() -> None:
        try:
            replay()
        except BaseException as error:
            failures.append(error)

    reader = threading.Thread(target=watched)
    with session.events(capacity=1 << 16) as whole:
        for each in (*workers, reader):
            each.start()
        for each in workers:
            each.join()
        over.set()
        reader.join()
        assert not failures
        told: dict[int, Any] = {}
        play(whole, told)
    assert told == {
        row.net_luid: row.oper_status
        for row in session.interface_table(IfTableLevel.PUBLISHED)
    }


# -- fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork(store_path: Path) -> None:
    """A child has none of it, and the parent's goes on."""
    seen: list[Event] = []
    with ndis.Session(store_path) as session:
        provider = session.register_provider("p")
        stream = session.events()
        with session.subscribe(seen.append):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    for ask in (stream.get, session.events, stream.__next__):
                        with pytest.raises(ndis.ForkedError):
                            ask()
                    stream.close()
                    del stream, session
                    gc.collect()
                    with ndis.Session(store_path) as own:
                        own.register_provider("p").identity("child", ETHERNET)
                    code = 0
                finally:
                    os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            provider.identity("parent", ETHERNET)
            wanted = {"child", "parent"}
            eventually(
                lambda: {e.identity.key for e in seen if e.identity} == wanted
            )
            keys = set()
            while keys != wanted:
                event = stream.get(LONG)
                assert event is not None and event.identity is not None
                keys.add(event.identity.key)
        stream.close()


# -- identities of the store


@pytest.mark.thread_unsafe(reason="it looks at all threads")
@pytest.mark.smoke
def test_identities_of_another_process(store_path: Path) -> None:
    """Made, changed and released elsewhere; told here."""
    script = (
        "import sys, ndisbridge as ndis\n"
        "with ndis.Session(sys.argv[1]) as session:\n"
        "    made = session.register_provider('q').identity('k', 6)\n"
        "    print(int(made.net_luid), flush=True)\n"
        "    sys.stdin.readline()\n"
        "    made.update(alias='other')\n"
        "    sys.stdin.readline()\n"
        "    made.release()\n"
        "    sys.stdin.readline()\n"
    )
    with (
        contextlib.ExitStack() as elsewhere,
        ndis.Session(store_path) as session,
        session.events() as stream,
    ):
        assert threads() == {"ndisbridge-identities"}
        other = elsewhere.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", script, str(store_path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
        )
        assert other.stdin is not None and other.stdout is not None
        net_luid = int(other.stdout.readline())
        wanted = [
            (IdentityChangeKind.CREATED, ""),
            (IdentityChangeKind.CHANGED, "other"),
            (IdentityChangeKind.RELEASED, None),
        ]
        for kind, alias in wanted:
            event = stream.get(LONG)
            assert event is not None
            assert event.kind is EventKind.IDENTITY
            assert event.identity_change is kind
            assert event.net_luid == net_luid
            assert event.identity is not None
            assert event.identity.provider == "q"
            assert event.identity.key == "k"
            assert event.changed == PublishedFields(0)
            if alias is None:
                assert event.record is None
            else:
                assert event.record is not None
                assert event.record == session.store.find("", "q", "k")
                assert event.record.alias == alias
                assert event.if_index == event.record.if_index
            other.stdin.write("\n")
        assert other.wait(LONG) == 0
        # Neither leases nor marks nor sessions are identities.
        assert stream.get(0.6) is None
    assert threads() == set()


def test_identities_are_watched_while_somebody_wants_it(
    store_path: Path,
) -> None:
    """No thread before and after, nor for who does not want it."""
    with ndis.Session(store_path) as session:
        assert threads() == set()
        with session.events(identities=False) as stream:
            assert threads() == set()
            session.register_provider("p").identity("a", ETHERNET)
            assert stream.get(0.5) is None
        one, other = session.events(), session.events()
        one.close()
        assert threads() == {"ndisbridge-identities"}
        other.close()
        other.close()
        eventually(lambda: threads() == set())
        with session.events() as again:
            session.register_provider("p").identity("b", ETHERNET)
            event = again.get(LONG)
            assert event is not None and event.record is not None
            assert event.record.key == "b"
        dropped = session.events()
        del dropped
        gc.collect()
        eventually(lambda: threads() == set())
    before = descriptors()
    with ndis.Session(store_path) as session:
        for _ in range(5):
            session.events()
    gc.collect()
    assert descriptors() == before


def test_identities_are_not_told_who_does_not_want_them(
    store_path: Path,
) -> None:
    """Whoever else wants them; they take no room of his either."""
    with (
        ndis.Session(store_path) as session,
        session.events() as stream,
        session.events(identities=False, capacity=1) as other,
    ):
        provider = session.register_provider("p")
        registered(provider)
        provider.identity("k", ETHERNET)
        assert [
            e and e.kind.name for e in (stream.get(LONG), stream.get(LONG))
        ] == [
            "ADD",
            "IDENTITY",
        ]
        event = other.get(LONG)
        assert event and event.kind is EventKind.ADD and event.missed == 0
        assert other.get(0) is None


def test_many_identities(store_path: Path) -> None:
    """Each is told once, with its record, as long as there is room."""
    with (
        ndis.Session(store_path) as session,
        ndis.Session(store_path) as other,
        session.events(capacity=2000) as stream,
        session.events(capacity=100) as small,
    ):
        provider = other.register_provider("p")
        for i in range(500):
            provider.identity(f"k{i}", ETHERNET)
        keys = []
        for _ in range(500):
            event = stream.get(LONG)
            assert event is not None and event.record is not None
            assert event.identity_change is IdentityChangeKind.CREATED
            assert event.identity is not None
            assert event.record.key == event.identity.key
            keys.append(event.record.key)
        assert sorted(keys) == sorted(f"k{i}" for i in range(500))
        told = []
        while (event := small.get(0)) is not None:
            assert event.record is not None
            told.append(event)
        assert len(told) + small.missed == 500


def test_a_look_at_a_busy_store(store_path: Path) -> None:
    """What a look has found is told once the records can be read."""
    with ndis.Session(store_path) as session:
        watch: Any = session.store.watch()
        look_up = watch._records
        try:
            session.register_provider("p").identity("k", ETHERNET)

            def busy(net_luids: object) -> None:
                watch._records = look_up
                raise StoreBusyError("busy", store_path)

            watch._records = busy
            with pytest.raises(StoreBusyError):
                watch.read()
            (change,) = watch.read()
            assert change.kind == "created" and change.record.key == "k"
            assert watch.read() == []
        finally:
            watch.close()


def test_a_look_at_a_store(store_path: Path) -> None:
    """What a look finds: the difference, releases first, each once."""
    with ndis.Session(store_path) as session:
        store: Any = session.store
        provider = session.register_provider("p", compartment="red")
        old = provider.identity("old", ETHERNET)
        kept = provider.identity("kept", ETHERNET)
        watch = store.watch()
        try:
            assert watch.fileno() == -1 and watch.period == 0.25
            assert watch.read() == []
            session.allocate_net_luid_indexes(24, 5000)  # leases
            provider.register_interface(kept).deregister()  # a mark
            assert watch.read() == []
            blocker = session.allocate_net_luid_index(ETHERNET)
            old.release()
            # The index of the old one is free, and not the next to be had.
            again = [provider.identity(f"n{i}", ETHERNET) for i in range(3)]
            kept.update(attributes={"a": "b"})
            changes = watch.read()
            session.free_net_luid_index(ETHERNET, blocker)
            new = {int(each.net_luid) for each in again}
            if int(old.net_luid) in new:
                # Given to another: it has changed, as far as a look tells.
                assert all(each.kind != "released" for each in changes)
            else:
                assert changes[0] == StoreChange(
                    "released", old.net_luid, "", "red", "p", "old"
                )
            assert {
                each.net_luid for each in changes if each.kind == "created"
            } | {old.net_luid} >= new
            changed = [each for each in changes if each.key == "kept"]
            assert [each.kind for each in changed] == ["changed"]
            assert changed[0].record.attributes == {"a": "b"}
            assert watch.read() == []
        finally:
            watch.close()
        watch.close()
    with pytest.raises(StoreError):
        store.watch()
    with (
        contextlib.closing(type(store)(store_path, read_only=True)) as copy,
        pytest.raises(StoreError, match="snapshot"),
    ):
        copy.watch()


@pytest.mark.parametrize("seed", range(3))
def test_looks_add_up(store_path: Path, seed: int) -> None:
    """Whatever happens between looks, what they tell gives the store."""
    chance = random.Random(seed)
    with ndis.Session(store_path) as session:
        store: Any = session.store
        provider = session.register_provider("p")
        mine: list[ndis.Identity] = []

        def happen() -> None:
            what = chance.random()
            if what < 0.5 or not mine:
                mine.append(
                    provider.identity(
                        f"k{chance.randrange(10**6)}",
                        chance.choice([ETHERNET, 24, 0xFFFF]),
                        persistent=chance.random() < 0.7,
                    )
                )
            elif what < 0.7:
                chance.choice(mine).update(alias=str(chance.random()))
            elif what < 0.95:
                mine.pop(chance.randrange(len(mine))).release()
            else:
                session.allocate_net_luid_indexes(ETHERNET, 3000)

        for _ in range(20):
            happen()
        known = {each.net_luid: each.alias for each in store.identities()}
        watch = store.watch()
        try:
            for _ in range(60):
                for _ in range(chance.randrange(6)):
                    happen()
                for change in watch.read():
                    if change.kind == "released":
                        del known[change.net_luid]
                        continue
                    there = change.net_luid in known
                    assert there is (change.kind == "changed")
                    known[change.net_luid] = change.record.alias
                assert known == {
                    each.net_luid: each.alias for each in store.identities()
                }
        finally:
            watch.close()


class FlakyStore(MemoryStore):
    """A store that can tell, but does not always."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[Any] = []
        self.closed = 0

    def watch(self) -> FlakyStore._Watch:
        return self._Watch(self)

    class _Watch:
        period = 0.01

        def __init__(self, store: FlakyStore) -> None:
            self._store = store

        def fileno(self) -> int:
            return -1

        def read(self) -> list[StoreChange]:
            if not self._store.reads:
                return []
            found = self._store.reads.pop(0)
            if isinstance(found, Exception):
                raise found
            return [found]

        def close(self) -> None:
            self._store.closed += 1


def test_a_store_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is watched anew, and who listens is told that it was not."""
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    monkeypatch.setattr("ndisbridge._identity_thread._AGAIN", (0.01, 0.02))
    store = FlakyStore()
    first = StoreChange("created", 1 << 48, key="a")
    second = StoreChange("released", 1 << 48, key="a")
    with ndis.Session(store) as session, session.events() as stream:
        # Not before: the store is watched before the stream begins.
        store.reads += [
            first,
            StoreBusyError("busy", "x"),
            second,
            StoreError("down", "x"),
            RuntimeError("a bug"),
            first,
        ]
        changes = [stream.get(LONG) for _ in range(5)]
    assert [each and each.identity for each in changes] == [
        first,
        second,
        StoreChange("lost"),
        StoreChange("lost"),
        first,
    ]
    assert changes[2] is not None
    assert changes[2].identity_change is IdentityChangeKind.LOST
    assert store.closed == 3
    assert [type(each.exc_value) for each in told] == [RuntimeError]


def test_a_store_that_cannot_tell(session: ndis.Session) -> None:
    """Then nobody is told, and no thread runs."""
    with session.events() as stream:
        session.register_provider("p").identity("k", ETHERNET)
        assert stream.get(0.05) is None
        assert threads() == set()
