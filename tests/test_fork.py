# SPDX-License-Identifier: MIT
"""What a child of fork() may do with its parent's session: nothing."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import NetLuid, Oid, _native, _process
from ndisbridge import session as session_module

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="this system has no fork()"
)


@pytest.fixture(autouse=True)
def no_deadlock() -> Iterator[None]:
    """Where the threads are, and the end of it, if they stop."""
    faulthandler.dump_traceback_later(60, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def in_child(work: Callable[[], Any]) -> None:
    """Run a function in a child of fork(); fail if it fails there."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            try:
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture(params=["memory", "sqlite"])
def parent(request: pytest.FixtureRequest, store_path: Path):
    """A session of the parent, without a store and then with one."""
    where = store_path if request.param == "sqlite" else None
    with ndis.Session(where) as made:
        yield made
        if where is not None:
            assert made.store.check() == []


@pytest.mark.smoke
def test_every_call_in_the_child_says_so(parent: ndis.Session) -> None:
    """Each method of an inherited session raises ForkedError."""
    provider = parent.register_provider("p", oids={0x20101: lambda c, o: 1})
    identity = provider.identity("k", 6)
    interface = provider.register_interface(identity)
    space = parent.index_space(6)
    index = space.allocate()
    luid = interface.net_luid

    def work() -> None:
        calls = [
            lambda: space.allocate(),
            lambda: space.free(index),
            lambda: parent.allocate_net_luid_index(6),
            lambda: parent.allocate_net_luid_indexes(6, 10),
            lambda: parent.free_net_luid_indexes(6, [index]),
            lambda: parent.claim_net_luid_index(6, 99),
            lambda: parent.test_net_luid_index(6, 99),
            lambda: parent.count_net_luid_indexes(6),
            lambda: parent.retain_net_luid_indexes(6, [index]),
            lambda: parent.release_net_luid_indexes(6, [index]),
            lambda: parent.trim(),
            lambda: parent.register_provider("q"),
            lambda: parent.identities(),
            lambda: parent.interface_count,
            lambda: parent.release(identity),
            lambda: provider.identity("new", 6),
            lambda: provider.find("k"),
            lambda: provider.register_interface(NetLuid.make(6, index)),
            lambda: provider.register_interfaces([], [], []),
            lambda: provider.deregister(),
            lambda: interface.deregister(),
            lambda: interface.remove(),
            lambda: interface.publish(mtu=1),
            lambda: interface.query(0x20101),
            lambda: parent.query_bytes(luid, 0x20101),
            lambda: parent.query_many([luid], 0x20101),
            lambda: interface.set(Oid.GEN_CURRENT_LOOKAHEAD, 1),
            lambda: parent.add_if_stack_entry(1, 2),
            lambda: parent.delete_if_stack_entry(1, 2),
            lambda: parent.if_stack_table(),
            lambda: parent.interface_table(),
            lambda: parent.interface_entry(luid),
            lambda: parent.query_binding_if_index(interface.if_index),
            lambda: parent.get_interface_index_from_net_luid(luid),
            lambda: parent.get_net_luid_from_interface_index(1),
            lambda: identity.update(alias="x"),
            lambda: identity.release(),
        ]
        for number, call in enumerate(calls):
            try:
                call()
            except ndis.ForkedError:
                continue
            raise AssertionError(f"call {number} did not say so")

    in_child(work)
    assert interface.query(0x20101) == 1
    space.free(index)
    interface.remove()


def test_leaving_in_the_child(parent: ndis.Session) -> None:
    """Closing and `with` in the child do not disturb the parent."""
    with parent.register_provider("p") as provider:
        identity = provider.identity("k", 6)
        with provider.register_interface(identity) as interface:

            def work() -> None:
                interface.__exit__(None, None, None)
                provider.__exit__(None, None, None)
                with parent:
                    pass
                parent.close()
                assert parent.closed

            in_child(work)
            assert not parent.closed
            assert parent.interface_count == 1
            index = parent.allocate_net_luid_index(6)
            parent.retain_net_luid_indexes(6, [index])
            assert provider.find("k") is not None


def test_child_opens_its_own(store_path: Path) -> None:
    """A child opens the store again, and shares it with its parent."""
    with ndis.Session(store_path) as parent:
        mine = set(parent.allocate_net_luid_indexes(6, 5000))
        provider = parent.register_provider("p")
        identity = provider.identity("k", 6)
        interface = provider.register_interface(identity)

        def work() -> None:
            with ndis.Session(store_path) as session:
                assert not mine & set(
                    session.allocate_net_luid_indexes(6, 9000)
                )
                own = session.register_provider("p")
                same = own.identity("k", 6)
                assert same.net_luid == identity.net_luid
                with pytest.raises(ndis.IdentityInUseError):
                    own.register_interface(same)
                own.register_interface(own.identity("child", 6))
                assert len(session.store.stats().sessions) == 2

        in_child(work)
        interface.deregister()
        assert provider.find("child") is not None
        assert len(parent.store.stats().sessions) == 1
        assert parent.store.check() == []


def test_child_does_not_keep_the_parent_alive(store_path: Path) -> None:
    """The parent's leases end with it, though a child of it lives on."""
    ready, say_ready = os.pipe()
    end, keep = os.pipe()  # the grandchild lives until keep is closed
    middle = os.fork()
    if middle == 0:
        session = ndis.Session(store_path)
        session.allocate_net_luid_indexes(6, 5000)
        if os.fork() == 0:
            os.close(keep)
            os.write(say_ready, b"%d" % os.getpid())
            os.read(end, 1)
            os._exit(0)
        signal.pause()
    try:
        grandchild = int(os.read(ready, 16))
        os.kill(middle, signal.SIGKILL)
        os.waitpid(middle, 0)
        with ndis.Session(store_path) as session:
            os.kill(grandchild, 0)
            stats = session.store.stats()
            assert len(stats.sessions) == 1
            assert sum(each.leased_blocks for each in stats.types) == 0
            assert session.store.check() == []
    finally:
        for descriptor in (ready, say_ready, end, keep):
            os.close(descriptor)


def test_fork_while_a_session_is_made(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that is forked just then does not keep its store locked."""
    real = _native.Core.__init__
    ready, say_ready = os.pipe()
    end, keep = os.pipe()  # the grandchild lives until keep is closed

    def fork() -> None:
        if os.fork() == 0:
            os.close(keep)
            os.write(say_ready, b"%d" % os.getpid())
            os.read(end, 1)
            os._exit(0)

    def slow(*args: Any, **kwargs: Any) -> None:
        forking = threading.Thread(target=fork)
        forking.start()
        forking.join(300)
        real(*args, **kwargs)

    def work() -> None:
        monkeypatch.setattr(_native.Core, "__init__", slow)
        session = ndis.Session(store_path)
        session.allocate_net_luid_index(6)
        os._exit(0)  # as a crash: nothing is closed

    in_child(work)
    try:
        grandchild = int(os.read(ready, 16))
        os.kill(grandchild, 0)
        with ndis.Session(store_path) as session:
            assert len(session.store.stats().sessions) == 1
            assert session.store.check() == []
    finally:
        for descriptor in (ready, say_ready, end, keep):
            os.close(descriptor)


def test_fork_waits_for_a_store_that_is_opened(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no moment at which a store is locked and nobody knows it."""
    opening, forked = threading.Event(), threading.Event()
    real = session_module.open_store

    def slow(where: Any) -> Any:
        store = real(where)
        opening.set()
        assert not forked.wait(0.3)
        return store

    monkeypatch.setattr(session_module, "open_store", slow)
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(ndis.Session, store_path)
        assert opening.wait(300)
        in_child(lambda: None)
        forked.set()
        with making.result(30) as session:
            assert session.allocate_net_luid_index(6) >= 0


def test_openings_do_not_wait_for_each_other(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a store that takes long to open, another session is made."""
    opening, other = threading.Event(), threading.Event()
    real = session_module.open_store

    def slow(where: Any) -> Any:
        if where is not None:
            opening.set()
            assert other.wait(300)
        return real(where)

    monkeypatch.setattr(session_module, "open_store", slow)
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(ndis.Session, store_path)
        assert opening.wait(300)
        ndis.Session().close()
        other.set()
        making.result(30).close()


def test_interrupted_wait_still_disarms_the_child(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    What a signal handler raises while fork() waits is not raised, and the
    child has none of the parent's locks all the same.
    """
    opening, done = threading.Event(), threading.Event()
    real = session_module.open_store

    def slow(where: Any) -> Any:
        opening.set()
        assert done.wait(300)
        return real(where)

    def interrupt(*_: object) -> None:
        raise TimeoutError

    def locks() -> list[str]:
        names = []
        for each in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                names.append(os.readlink(f"/proc/self/fd/{each}"))
        return [name for name in names if name.endswith(".lock")]

    def in_the_child() -> None:
        assert locks() == []
        with pytest.raises(ndis.ForkedError):
            kept.allocate_net_luid_index(6)

    raised: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with (
            ndis.Session(store_path) as kept,
            ThreadPoolExecutor(1) as pool,
        ):
            monkeypatch.setattr(session_module, "open_store", slow)
            making = pool.submit(ndis.Session)
            assert opening.wait(300)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            in_child(in_the_child)
            done.set()
            making.result(30).close()
            assert kept.allocate_net_luid_index(6) >= 0
        assert [each.exc_type for each in raised] == [TimeoutError]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_dropped_session_is_not_kept_alive(store_path: Path) -> None:
    """One that was leaked, for a handler inside, ends with its process."""
    ready, say_ready = os.pipe()
    end, keep = os.pipe()  # the grandchild lives until keep is closed

    def leak() -> None:
        inside = threading.Event()

        def wait(*_: object) -> int:
            inside.set()
            threading.Event().wait()
            return 0

        session = ndis.Session(store_path, wait_timeout=0.01)
        provider = session.register_provider(
            "p", oids={Oid.GEN_BYTES_RCV: wait}
        )
        # A context that does not hold on to the session.
        interface = provider.register_interface(
            provider.identity("k", 131), context="k"
        )
        query, net_luid = session.query_bytes, interface.net_luid
        threading.Thread(
            target=lambda: query(net_luid, Oid.GEN_BYTES_RCV), daemon=True
        ).start()
        assert inside.wait(300)

    middle = os.fork()
    if middle == 0:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            leak()
            gc.collect()
            if not _process.leaked:
                os._exit(1)
            if os.fork() == 0:
                os.close(keep)
                os.write(say_ready, b"%d" % os.getpid())
                os.read(end, 1)
                os._exit(0)
        signal.pause()
    try:
        grandchild = int(os.read(ready, 16))
        os.kill(middle, signal.SIGKILL)
        os.waitpid(middle, 0)
        os.kill(grandchild, 0)
        with ndis.Session(store_path) as session:
            provider = session.register_provider("p")
            provider.register_interface(provider.identity("k", 131))
    finally:
        for descriptor in (ready, say_ready, end, keep):
            os.close(descriptor)


def test_fork_while_threads_work(parent: ndis.Session) -> None:
    """Forked in the midst of anything, the child gets its ForkedError."""
    stop = threading.Event()
    provider = parent.register_provider("p", oids={0x20101: lambda c, o: 1})
    luid = NetLuid.make(6, parent.allocate_net_luid_index(6))
    provider.register_interface(luid)

    def churn() -> None:
        while not stop.is_set():
            index = parent.allocate_net_luid_index(131)
            parent.retain_net_luid_indexes(131, [index])
            parent.query(luid, 0x20101)
            parent.release_net_luid_indexes(131, [index])

    def work() -> None:
        for call in (
            lambda: parent.allocate_net_luid_index(131),
            lambda: parent.query(luid, 0x20101),
            lambda: parent.retain_net_luid_indexes(131, [1]),
        ):
            with pytest.raises(ndis.ForkedError):
                call()
        parent.close()
        with ndis.Session() as session:
            session.allocate_net_luid_index(6)

    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(churn) for _ in range(4)]
        try:
            for _ in range(10):
                in_child(work)
        finally:
            stop.set()
        for each in working:
            each.result(30)
    assert parent.count_net_luid_indexes(131).allocated == 0


def child_of_pool(path: str) -> int:
    """Allocates and retains one index in a session of its own."""
    with ndis.Session(path) as session:
        index = session.allocate_net_luid_index(6)
        session.retain_net_luid_indexes(6, [index])
        return index


def test_multiprocessing_fork(store_path: Path) -> None:
    """Workers of a fork pool open the store each, and leave it sound."""
    context = multiprocessing.get_context("fork")
    with ndis.Session(store_path) as parent:
        mine = parent.allocate_net_luid_index(6)
        with context.Pool(3) as pool:
            given = pool.map(child_of_pool, [str(store_path)] * 12)
            pool.close()
            pool.join()
        assert len({*given, mine}) == 13
        parent.free_net_luid_index(6, mine)
        parent.release_net_luid_indexes(6, given)
        assert len(parent.store.stats().sessions) == 1
        assert parent.store.check() == []


def test_child_that_exits_normally(store_path: Path) -> None:
    """A child that ends as Python does leaves the parent's session alone."""
    with ndis.Session(store_path) as parent:
        provider = parent.register_provider("p")
        interface = provider.register_interface(provider.identity("k", 6))
        process = multiprocessing.get_context("fork").Process(target=os.getpid)
        process.start()
        process.join(300)
        assert process.exitcode == 0
        (record,) = parent.identities()
        assert record.in_use_by is not None
        assert record.in_use_by.pid == os.getpid()
        interface.deregister()
        assert parent.store.check() == []
