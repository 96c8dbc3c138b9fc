# SPDX-License-Identifier: MIT
"""Sessions and the NET_LUID indexes of one, through the Python API."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import math
import threading
import time
import weakref
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import IfType, IndexState, NetLuid, _native, ctypes_api
from ndisbridge.persistence.sqlite import SqliteStore
from ndisbridge.rfc2863 import if_stack_rows

ETHERNET = IfType.ETHERNET_CSMACD
TUNNEL = IfType.TUNNEL


@pytest.fixture(params=["memory", "sqlite"])
def any_session(request: pytest.FixtureRequest, store_path: Path):
    """A session without a store, then one on a SQLite store."""
    where = store_path if request.param == "sqlite" else None
    with ndis.Session(where) as made:
        yield made


# -- life


@pytest.mark.smoke
def test_readme_life_of_an_interface(store_path: Path) -> None:
    """An interface has its NET_LUID and GUID after a restart."""
    seen = []
    for _ in range(2):
        with ndis.Session(store_path) as session:
            with session.register_provider("acme-vpn") as provider:
                identity = provider.identity("tunnel/berlin", TUNNEL)
                berlin = provider.register_interface(
                    identity, description="Berlin tunnel"
                )
                berlin.publish(mtu=1420, xmit_link_speed=10**9)
                assert berlin.query(ndis.Oid.GEN_XMIT_LINK_SPEED) == 10**9
                row = session.interface_entry(berlin.net_luid)
                seen.append((row.net_luid, row.interface_guid, row.if_index))
                assert row.description == "Berlin tunnel"
                berlin.deregister()
    assert seen[0] == seen[1]


def test_close_is_idempotent(any_session: ndis.Session) -> None:
    """Closing twice is closing once, and what follows is refused."""
    any_session.close()
    any_session.close()
    assert any_session.closed
    with pytest.raises(ndis.InvalidStateError):
        any_session.allocate_net_luid_index(6)
    with pytest.raises(ndis.InvalidStateError):
        any_session.register_provider("late")
    with pytest.raises(ndis.InvalidStateError):
        any_session.identities()
    with pytest.raises(ndis.InvalidStateError):
        _ = any_session.interface_count


def test_every_call_is_refused_after_close(session: ndis.Session) -> None:
    """No method of a closed session does anything but say so."""
    provider = session.register_provider("p")
    index = session.allocate_net_luid_index(6)
    interface = provider.register_interface(NetLuid.make(6, index))
    session.close()
    luid = interface.net_luid
    calls = [
        lambda: session.allocate_net_luid_indexes(6, 3),
        lambda: session.free_net_luid_index(6, index),
        lambda: session.claim_net_luid_index(6, 9),
        lambda: session.retain_net_luid_indexes(6, [index]),
        lambda: session.release_net_luid_indexes(6, [index]),
        lambda: session.trim(),
        lambda: session.query(luid, ndis.Oid.GEN_ALIAS),
        lambda: session.query_bytes(luid, ndis.Oid.GEN_ALIAS),
        lambda: session.set(luid, ndis.Oid.GEN_CURRENT_LOOKAHEAD, 1),
        lambda: session.publish(luid, mtu=1),
        lambda: session.add_if_stack_entry(1, 2),
        lambda: provider.identity("late", 6),
        lambda: provider.register_interface(luid),
        lambda: provider.deregister(),
        lambda: interface.deregister(),
    ]
    for call in calls:
        with pytest.raises(ndis.InvalidStateError):
            call()


def test_context_manager_closes_on_error() -> None:
    """Leaving a session by an exception closes it."""
    with pytest.raises(KeyError), ndis.Session() as session:
        raise KeyError
    assert session.closed


def test_unclosed_session_warns_and_ends(store_path: Path) -> None:
    """A session that nobody closed says so, and leaves nothing behind."""
    session = ndis.Session(store_path)
    session.allocate_net_luid_index(6)
    reference = weakref.ref(session)
    with pytest.warns(ResourceWarning, match="unclosed"):
        del session
        gc.collect()
    assert reference() is None
    with ndis.Session(store_path) as after:
        assert len(after.store.stats().sessions) == 1
        assert after.store.check() == []


@pytest.mark.parametrize("in_time", [True, False])
def test_interrupted_close(
    store_path: Path, monkeypatch: pytest.MonkeyPatch, in_time: bool
) -> None:
    """Ctrl-C while it closes: the session is open still, or closed whole."""
    session = ndis.Session(store_path)
    oid = ndis.Oid.GEN_RCV_OK
    provider = session.register_provider("p", oids={oid: lambda c, o: 5})
    interface = provider.register_interface(provider.identity("k", 6))
    real = session._core.close

    def interrupted(timeout_ms: int) -> None:
        if not in_time:
            real(timeout_ms)
        raise KeyboardInterrupt

    monkeypatch.setattr(session._core, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.close()
    monkeypatch.undo()
    if in_time:
        assert not session.closed
        gc.collect()
        assert interface.query(oid) == 5
        session.close()
    assert session.closed
    session.close()
    with ndis.Session(store_path) as after:
        assert len(after.store.stats().sessions) == 1
        assert after.store.check() == []


def test_close_waits_for_the_closer(store_path: Path) -> None:
    """Who closes while another does finds the store closed too."""

    class Slow(SqliteStore):
        done = False

        def close(self) -> None:
            closing.set()
            time.sleep(0.3)
            super().close()
            self.done = True

    closing = threading.Event()
    store = Slow(store_path)
    session = ndis.Session(store)
    first = threading.Thread(target=session.close)
    first.start()
    assert closing.wait(30)
    session.close()
    assert store.done
    first.join(30)


def test_close_by_a_hook_that_raises_its_statuses(store_path: Path) -> None:
    """What a hook raises at the end is not taken for the core's answer."""
    for error in (ndis.InvalidStateError("mine"), ndis.NdisTimeoutError()):
        failing = Failing(error)
        session = ndis.Session(failing.make(store_path))
        session.allocate_net_luid_index(6)
        failing.on = True
        with pytest.raises(type(error)) as caught:
            session.close()
        assert caught.value is error
        assert session.closed
        failing.on = False


def test_timeouts() -> None:
    """inf is the longest timeout, none is negative, and NaN is none."""
    with ndis.Session(wait_timeout=math.inf) as session:
        provider = session.register_provider("p")
        luid = NetLuid.make(6, session.allocate_net_luid_index(6))
        interface = provider.register_interface(luid)
        with pytest.raises(ValueError, match="timeout"):
            interface.deregister(math.nan)
        interface.deregister(math.inf)
        provider.register_interface(luid).deregister(-1)
        with pytest.raises(ValueError, match="timeout"):
            session.close(math.nan)
        session.close(math.inf)
        assert session.closed
    for wait_timeout in (-1, -math.inf, math.nan):
        with pytest.raises(ValueError, match="timeout"):
            ndis.Session(wait_timeout=wait_timeout)
    ndis.Session(wait_timeout=0).close(1e30)


def test_session_that_never_was() -> None:
    """A call of Session() that fails leaves nothing to say in the end."""
    with pytest.raises(TypeError):
        ndis.Session(no_such_argument=1)  # type: ignore[call-arg]
    for policy in (9, -1):
        with pytest.raises(ndis.InvalidParameterError):
            ndis.Session(if_index_policy=policy)
    gc.collect()


def test_repr_says_where_and_whether(session: ndis.Session) -> None:
    """A session's repr names its store and whether it is open."""
    assert repr(session) == "<ndisbridge.Session on memory (open)>"
    session.close()
    assert "closed" in repr(session)


def test_sessions_do_not_know_each_other() -> None:
    """Without a store in common, two sessions share nothing."""
    with ndis.Session() as one, ndis.Session() as other:
        assert one.address != other.address
        one.claim_net_luid_index(6, 7)
        other.claim_net_luid_index(6, 7)


def test_store_that_cannot_be_opened(tmp_path: Path) -> None:
    """A session on what is no store is refused, and the file is named."""
    path = tmp_path / "text.db"
    path.write_text("this is no database, it is a letter to my aunt\n" * 99)
    with pytest.raises(ndis.StoreError, match=r"text\.db"):
        ndis.Session(path)


# -- indexes


@pytest.mark.smoke
def test_allocate_and_free(any_session: ndis.Session) -> None:
    """An index is in use from its allocation to its free, once."""
    index = any_session.allocate_net_luid_index(ETHERNET)
    state = any_session.test_net_luid_index
    assert state(ETHERNET, index) == IndexState.ALLOCATED
    any_session.free_net_luid_index(ETHERNET, index)
    assert state(ETHERNET, index) == IndexState.FREE
    with pytest.raises(ndis.InvalidParameterError):
        any_session.free_net_luid_index(ETHERNET, index)


def test_index_space_is_made_once(session: ndis.Session) -> None:
    """The indexes of an IfType are one object with two bound builtins."""
    space = session.index_space(6)
    assert space is session.index_space(IfType.ETHERNET_CSMACD)
    assert space.if_type == 6
    allocate, free = space.allocate, space.free
    taken = {allocate() for _ in range(1000)}
    assert len(taken) == 1000
    for index in taken:
        free(index)
    assert session.count_net_luid_indexes(6).allocated == 0


def test_index_space_outlives_its_session() -> None:
    """An index space of a session that is gone refuses, and does not crash."""
    session = ndis.Session()
    space = session.index_space(6)
    index = space.allocate()
    session.close()
    del session
    gc.collect()
    with pytest.raises(ndis.InvalidStateError):
        space.allocate()
    with pytest.raises(ndis.InvalidStateError):
        space.free(index)


def test_index_space_is_made_of_a_core_only(session: ndis.Session) -> None:
    """What is no core cannot be passed off as one."""
    space = type(session.index_space(6))

    class Fake:
        pass

    for wrong in ((str, "x", 6), ("x", 6), (Fake(), 6), (Fake, 6), (None, 6)):
        with pytest.raises(TypeError):
            space(*wrong)


def test_stale_exception_is_nobodys(session: ndis.Session) -> None:
    """What a handler raised for C code is not raised by a later call."""
    provider = session.register_provider(
        "p", oids={0x20101: lambda c, o: 1 / 0}
    )
    luid = NetLuid.make(6, session.allocate_net_luid_index(6))
    provider.register_interface(luid)
    closed = ndis.Session()
    space = closed.index_space(6)
    closed.close()
    library = ctypes_api.load()
    for call in (space.allocate, lambda: space.free(1)):
        room, length = ctypes.create_string_buffer(64), ctypes.c_uint32(64)
        status = library.ndisbridge_query(
            session.address, room, length, int(luid), 0x20101
        )
        assert status == ndis.StatusCode.FAILURE
        with pytest.raises(ndis.InvalidStateError):
            call()


def test_one_call_of_c_per_method(
    session: ndis.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Methods cross into C once; tables too, once their size is known."""
    calls: list[str] = []
    library = _native.lib

    class Counting:
        def __getattr__(self, name: str) -> Any:
            if name.startswith("ndisbridge_"):
                calls.append(name)
            return getattr(library, name)

    provider = session.register_provider("p")
    interfaces = [
        provider.register_interface(NetLuid.make(6, i))
        for i in session.allocate_net_luid_indexes(6, 100)
    ]
    session.interface_table()
    monkeypatch.setattr(_native, "lib", Counting())
    for call in (
        lambda: session.claim_net_luid_index(6, 5000),
        lambda: session.test_net_luid_index(6, 5000),
        lambda: session.count_net_luid_indexes(6),
        lambda: session.retain_net_luid_indexes(6, [5000]),
        lambda: session.release_net_luid_indexes(6, [5000]),
        lambda: session.interface_count,
        lambda: session.interface_table(),
        lambda: session.if_stack_table(),
        lambda: interfaces[0].publish(mtu=1),
        lambda: interfaces[0].deregister(),
    ):
        calls.clear()
        call()
        assert len(calls) == 1, calls


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 4096, 10_000])
def test_allocate_many(any_session: ndis.Session, count: int) -> None:
    """Many indexes come at once, all different, and go at once."""
    indexes = any_session.allocate_net_luid_indexes(TUNNEL, count)
    assert indexes.format == "I"
    assert len(set(indexes)) == len(indexes) == count
    assert any_session.count_net_luid_indexes(TUNNEL).allocated == count
    assert any_session.free_net_luid_indexes(TUNNEL, indexes) == count
    assert any_session.count_net_luid_indexes(TUNNEL).allocated == 0


def test_allocate_many_into_a_buffer(session: ndis.Session) -> None:
    """Any writable buffer of uint32 can be filled."""
    out = array("I", bytes(4 * 100))
    assert session.allocate_net_luid_indexes(6, out=out) is out
    assert len(set(out)) == 100
    assert session.free_net_luid_indexes(6, list(out)) == 100


def test_allocate_many_refuses_nonsense(session: ndis.Session) -> None:
    """Counts out of range and read-only buffers are refused."""
    for count in (-1, (1 << 24) + 1, None):
        with pytest.raises(ValueError, match="count"):
            session.allocate_net_luid_indexes(6, count)
    with pytest.raises(TypeError):
        session.allocate_net_luid_indexes(6, 3, out=array("I", [0, 0, 0]))
    with pytest.raises((BufferError, ValueError, TypeError)):
        session.allocate_net_luid_indexes(6, out=bytes(16))
    with pytest.raises((ValueError, TypeError)):
        session.allocate_net_luid_indexes(6, out=bytearray(7))
    assert session.count_net_luid_indexes(6).allocated == 0


def test_allocate_more_than_there_are(session: ndis.Session) -> None:
    """What is not left is refused whole, and the rest stays to be had."""
    everything = session.allocate_net_luid_indexes(53, 1 << 24)
    assert len(everything) == 1 << 24
    with pytest.raises(ndis.ResourcesError):
        session.allocate_net_luid_index(53)
    free = everything[12_345_678]
    session.free_net_luid_index(53, free)
    with pytest.raises(ndis.ResourcesError):
        session.allocate_net_luid_indexes(53, 2)
    assert session.allocate_net_luid_index(53) == free


def test_free_many_reports_strangers(session: ndis.Session) -> None:
    """Indexes that are not allocated are reported, the others are freed."""
    mine = list(session.allocate_net_luid_indexes(6, 5))
    with pytest.raises(ndis.InvalidParameterError, match="1 of 6"):
        session.free_net_luid_indexes(6, [*mine, mine[0]])
    assert session.count_net_luid_indexes(6).allocated == 0


def test_claim(any_session: ndis.Session) -> None:
    """A given index can be had once, until it is freed."""
    claim = any_session.claim_net_luid_index
    claim(TUNNEL, 77_777)
    with pytest.raises(ndis.InUseError):
        claim(TUNNEL, 77_777)
    any_session.free_net_luid_index(TUNNEL, 77_777)
    claim(TUNNEL, 77_777)
    claim(TUNNEL, 0xFFFFFF)
    with pytest.raises(ndis.InvalidParameterError):
        claim(TUNNEL, 0x1000000)


def test_claim_in_another_sessions_block(store_path: Path) -> None:
    """What another session of the store has leased cannot be claimed."""
    with ndis.Session(store_path) as one, ndis.Session(store_path) as other:
        index = one.allocate_net_luid_index(6)
        with pytest.raises(ndis.InUseError):
            other.claim_net_luid_index(6, index)
        other_index = other.allocate_net_luid_index(6)
        assert other_index >> 12 != index >> 12


@pytest.mark.parametrize("if_type", [0, -1, 65536, 1 << 40])
def test_no_such_if_type(session: ndis.Session, if_type: int) -> None:
    """IfTypes are 1 to 65535, in every call."""
    for call in (
        lambda: session.allocate_net_luid_index(if_type),
        lambda: session.free_net_luid_index(if_type, 1),
        lambda: session.allocate_net_luid_indexes(if_type, 1),
        lambda: session.free_net_luid_indexes(if_type, [1]),
        lambda: session.claim_net_luid_index(if_type, 1),
        lambda: session.test_net_luid_index(if_type, 1),
        lambda: session.count_net_luid_indexes(if_type),
        lambda: session.retain_net_luid_indexes(if_type, [1]),
        lambda: session.release_net_luid_indexes(if_type, [1]),
    ):
        with pytest.raises(ndis.InvalidParameterError):
            call()


@pytest.mark.parametrize("index", [-1, 0x1000000, 1 << 32, 1 << 70])
def test_no_such_index(session: ndis.Session, index: int) -> None:
    """NET_LUID indexes that no NET_LUID can have are refused."""
    session.allocate_net_luid_index(6)
    with pytest.raises(ndis.InvalidParameterError):
        session.free_net_luid_index(6, index)
    with pytest.raises(ndis.InvalidParameterError):
        session.claim_net_luid_index(6, index)
    with pytest.raises(ndis.InvalidParameterError):
        session.free_net_luid_indexes(6, [index])
    with pytest.raises(ndis.InvalidParameterError):
        session.test_net_luid_index(6, index)


def test_retain_and_release(any_session: ndis.Session) -> None:
    """A retained index is neither free nor to be freed until released."""
    indexes = list(any_session.allocate_net_luid_indexes(6, 3))
    any_session.retain_net_luid_indexes(6, indexes)
    for index in indexes:
        with pytest.raises(ndis.InvalidParameterError):
            any_session.free_net_luid_index(6, index)
        state = any_session.test_net_luid_index(6, index)
        assert state == IndexState.RETAINED
    with pytest.raises(ndis.InvalidParameterError):
        any_session.retain_net_luid_indexes(6, indexes[:1])
    any_session.release_net_luid_indexes(6, indexes)
    with pytest.raises((ndis.InvalidParameterError, ndis.StoreError)):
        any_session.release_net_luid_indexes(6, indexes)
    counts = any_session.count_net_luid_indexes(6)
    assert (counts.allocated, counts.retained) == (0, 0)


def test_retain_is_all_or_none(any_session: ndis.Session) -> None:
    """One index that is not allocated, or is given twice, stops it all."""
    mine = list(any_session.allocate_net_luid_indexes(6, 4))
    stranger = next(i for i in range(99) if i not in mine)
    for wrong in ([*mine, stranger], [*mine, mine[2]]):
        with pytest.raises(ndis.InvalidParameterError):
            any_session.retain_net_luid_indexes(6, wrong)
        counts = any_session.count_net_luid_indexes(6)
        assert (counts.allocated, counts.retained) == (4, 0)
    assert any_session.free_net_luid_indexes(6, mine) == 4


def test_retained_indexes_last(store_path: Path) -> None:
    """Retained indexes are taken after a restart; the others are free."""
    with ndis.Session(store_path) as session:
        kept = list(session.allocate_net_luid_indexes(6, 100))
        lost = list(session.allocate_net_luid_indexes(6, 100))
        session.retain_net_luid_indexes(6, kept)
    with ndis.Session(store_path) as session:
        new = set(session.allocate_net_luid_indexes(6, 4096 - 100))
        assert not new & set(kept)
        assert new >= set(lost)
        session.release_net_luid_indexes(6, kept)
        assert session.store.check() == []


def test_trim_gives_empty_blocks_back(store_path: Path) -> None:
    """Trimming returns every empty block but one of each IfType."""
    with ndis.Session(store_path) as one, ndis.Session(store_path) as other:
        indexes = one.allocate_net_luid_indexes(6, 5 * 4096)
        leased = one.count_net_luid_indexes(6).leased_blocks
        assert leased >= 5
        assert one.trim() == leased - 5
        one.free_net_luid_indexes(6, indexes)
        assert one.trim() == 4
        assert one.count_net_luid_indexes(6).leased_blocks == 1
        other.allocate_net_luid_indexes(6, 4095 * 4096)
        with pytest.raises(ndis.ResourcesError):
            other.allocate_net_luid_indexes(6, 4096)


def test_session_ends_in_a_hook_of_its_store(store_path: Path) -> None:
    """A store that calls back into its session is told it must not."""
    caught: list[BaseException] = []

    class Meddling(SqliteStore):
        def lease_blocks(self, *args):
            for call in (
                lambda: session.allocate_net_luid_index(6),
                lambda: session.close(),
                lambda: session.interface_table(),
            ):
                try:
                    call()
                except ndis.InvalidStateError as error:
                    caught.append(error)
            return super().lease_blocks(*args)

    with ndis.Session(Meddling(store_path)) as session:
        index = session.allocate_net_luid_index(6)
        assert len(caught) == 3
        session.free_net_luid_index(6, index)


class Failing:
    """Makes stores whose hooks raise on demand."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.on = False
        self.base = SqliteStore

    def make(self, path: Path):
        outer = self

        class Store(self.base):  # type: ignore[misc, name-defined]
            def lease_blocks(self, *args):
                if outer.on:
                    raise outer.error
                return super().lease_blocks(*args)

            def retain(self, *args, **kwargs):
                if outer.on:
                    raise outer.error
                return super().retain(*args, **kwargs)

            def release(self, *args, **kwargs):
                if outer.on:
                    raise outer.error
                return super().release(*args, **kwargs)

            def confirm(self, *args):
                if outer.on:
                    raise outer.error
                return super().confirm(*args)

            def return_blocks(self, *args):
                if outer.on:
                    raise outer.error
                return super().return_blocks(*args)

            def unconfirm(self, *args):
                if outer.on:
                    raise outer.error
                return super().unconfirm(*args)

        return Store(path)


@pytest.mark.parametrize(
    "error",
    [
        ndis.StoreError("the disk is on fire"),
        MemoryError("none"),
        KeyboardInterrupt(),
        ndis.LeaseLostError("evicted"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_hook_raises_arrives(
    store_path: Path, error: BaseException
) -> None:
    """An exception of a store is the caller's, and nothing is taken."""
    failing = Failing(error)
    with ndis.Session(failing.make(store_path)) as session:
        kept = session.allocate_net_luid_index(6)
        session.retain_net_luid_indexes(6, [kept])
        mine = session.allocate_net_luid_index(6)
        provider = session.register_provider("p")
        failing.on = True
        for call in (
            lambda: session.allocate_net_luid_index(99),
            lambda: session.allocate_net_luid_indexes(99, 10),
            lambda: session.claim_net_luid_index(99, 1),
            lambda: session.retain_net_luid_indexes(6, [mine]),
            lambda: session.release_net_luid_indexes(6, [kept]),
            lambda: provider.register_interface(NetLuid.make(6, kept)),
            lambda: provider.identity("k", 6, if_index=False),
        ):
            with pytest.raises(type(error)) as caught:
                call()
            assert caught.value is error
        failing.on = False
        assert session.interface_count == 0
        state = session.test_net_luid_index
        assert state(6, mine) == IndexState.ALLOCATED
        assert state(6, kept) == IndexState.RETAINED
        # After an interrupt the store may have what identity() was making:
        # its index is not handed out again.
        kept_back = not isinstance(error, Exception)
        assert session.count_net_luid_indexes(6).allocated == 1 + kept_back
        session.retain_net_luid_indexes(6, [mine])
        session.release_net_luid_indexes(6, [kept, mine])
        assert session.store.check() == []


def test_failing_hook_at_the_end(store_path: Path) -> None:
    """A store that fails while a session closes is closed all the same."""
    failing = Failing(ndis.StoreError("the disk is on fire"))
    session = ndis.Session(failing.make(store_path))
    session.allocate_net_luid_index(6)
    failing.on = True
    with pytest.raises(ndis.StoreError, match="on fire"):
        session.close()
    assert session.closed
    session.close()
    with ndis.Session(store_path) as after:
        assert len(after.store.stats().sessions) == 1
        assert after.store.check() == []


def test_what_a_hook_raised_does_not_linger(store_path: Path) -> None:
    """A failure that ended no call is not told by the next one that fails."""
    failing = Failing(ndis.StoreError("the disk is on fire"))
    with ndis.Session(failing.make(store_path)) as session:
        provider = session.register_provider("p")
        interface = provider.register_interface(provider.identity("k", 6))
        failing.on = True
        # The mark stays; the interface is gone, and so is its exception.
        with pytest.raises(ndis.StoreError, match="on fire"):
            interface.deregister()
        failing.on = False
        assert session.interface_count == 0
        with pytest.raises(ndis.InterfaceNotFoundError):
            interface.deregister()
        for call in (
            lambda: session.add_if_stack_entry(1, 2),
            lambda: session.query_binding_if_index(1),
            lambda: session.publish(interface.net_luid, mtu=1),
            lambda: session.get_net_luid_from_interface_index(1),
            lambda: session.get_interface_index_from_net_luid(1),
        ):
            with pytest.raises(ndis.InterfaceNotFoundError):
                call()
            with contextlib.suppress(ndis.StoreError):
                failing.on = True
                session.trim()
            failing.on = False


def test_index_shows_in_the_others_only_when_returned(
    store_path: Path,
) -> None:
    """Two sessions of one store never hold the same index."""
    with ndis.Session(store_path) as one, ndis.Session(store_path) as other:
        a = set(one.allocate_net_luid_indexes(6, 20_000))
        b = set(other.allocate_net_luid_indexes(6, 20_000))
        assert not a & b


def test_identities_of_all_providers(store_path: Path) -> None:
    """identities() lists what every session retained, and can filter."""
    with ndis.Session(store_path) as one, ndis.Session(store_path) as other:
        one.register_provider("a").identity("k", 6)
        other.register_provider("b", compartment="red").identity("k", 131)
        found = list(one.identities())
        assert {(r.provider, r.compartment) for r in found} == {
            ("a", ""),
            ("b", "red"),
        }
        assert [r.provider for r in one.identities(provider="b")] == ["b"]
        assert [r.provider for r in one.identities(compartment="")] == ["a"]
        for record in found:
            one.release(record)
        assert list(other.identities()) == []
        assert one.store.check() == []


def test_if_stack_table_both_ways(session: ndis.Session) -> None:
    """The stack reads both ways, ordered, as buffers."""
    provider = session.register_provider("p")
    a, b, c = (
        provider.register_interface(NetLuid.make(6, i)).if_index
        for i in session.allocate_net_luid_indexes(6, 3)
    )
    assert session.if_stack_table().tolist() == []
    session.add_if_stack_entry(c, a)
    session.add_if_stack_entry(b, a)
    session.add_if_stack_entry(c, b)
    rows = {(c, a), (b, a), (c, b)}
    table = session.if_stack_table()
    assert table.shape == (3, 2)
    assert table.tolist() == sorted(map(list, rows))
    inverted = session.if_stack_table(inverted=True).tolist()
    assert inverted == sorted([low, high] for high, low in rows)
    session.delete_if_stack_entry(c, b)
    session.delete_if_stack_entry(c, b)
    assert len(session.if_stack_table()) == 2
    assert if_stack_rows(session.if_stack_table(), [a, b, c]) == sorted(
        [(c, a), (b, a), (0, c), (0, b), (a, 0)]
    )
    session.delete_if_stack_entry(c, a)
    session.delete_if_stack_entry(b, a)
    assert if_stack_rows(session.if_stack_table(), [a]) == [(0, a), (a, 0)]


def test_query_binding_of_a_filter_chain(session: ndis.Session) -> None:
    """The ends of a filter chain are found from any of its interfaces."""
    provider = session.register_provider("p")
    indexes = session.allocate_net_luid_indexes(6, 3)
    adapter = provider.register_interface(NetLuid.make(6, indexes[0]))
    filters = [
        provider.register_interface(
            NetLuid.make(6, i), flags=ndis.IfFlags.FILTER_INTERFACE
        )
        for i in indexes[1:]
    ]
    chain = [adapter, *filters]
    alone = session.query_binding_if_index(adapter.if_index)
    assert alone[:2] == alone[2:] == (adapter.if_index, adapter.net_luid)
    for low, high in itertools.pairwise(chain):
        session.add_if_stack_entry(high.if_index, low.if_index)
    for each in chain:
        top, top_luid, low_index, low_luid = session.query_binding_if_index(
            each.if_index
        )
        assert (top, top_luid) == (filters[1].if_index, filters[1].net_luid)
        assert (low_index, low_luid) == (adapter.if_index, adapter.net_luid)
    with pytest.raises(ndis.InterfaceNotFoundError):
        session.query_binding_if_index(999)


def test_interface_table_is_a_buffer(session: ndis.Session) -> None:
    """The table is ordered by ifIndex and each row is decoded on demand."""
    provider = session.register_provider("p")
    assert len(session.interface_table()) == 0
    for i in session.allocate_net_luid_indexes(6, 50):
        interface = provider.register_interface(
            NetLuid.make(6, i),
            description=f"port {i}",
            physical_address=bytes([2, 0, 0, 0, 0, i & 255]),
        )
        interface.publish(in_octets=i, alias=f"alias {i}")
    table = session.interface_table()
    assert len(table.buffer) == 50 * table.ROW_SIZE
    assert [row.if_index for row in table] == sorted(
        row.if_index for row in table
    )
    for row in table:
        i = row.net_luid.net_luid_index
        assert row.description == f"port {i}"
        assert row.alias == f"alias {i}"
        assert row.in_octets == i
        assert row.physical_address == bytes([2, 0, 0, 0, 0, i & 255])
        assert row == session.interface_entry(row.net_luid)
    assert table[-1].if_index == table[49].if_index
    for wrong in (50, -51):
        with pytest.raises(IndexError):
            table[wrong]
    assert isinstance(table, Sequence)
    assert table[2:5] == [table[2], table[3], table[4]]
    assert table[::-25] == [table[49], table[24]]
    assert list(reversed(table)) == table[::-1]
    assert table[7] in table
    assert table.index(table[7]) == 7
    session.close()
    with contextlib.suppress(ndis.InvalidStateError):
        assert len(session.interface_table()) == 0
    assert table[0].description  # a snapshot is the caller's


@pytest.mark.parametrize("number", [-1, 0, 1 << 31, 1 << 32, 1 << 64, 1 << 99])
def test_no_such_interface(session: ndis.Session, number: int) -> None:
    """A number that no interface can have finds none, in every call."""
    for call in (
        lambda: session.get_interface_index_from_net_luid(number),
        lambda: session.get_net_luid_from_interface_index(number),
        lambda: session.query(number, ndis.Oid.GEN_ALIAS),
        lambda: session.query_binding_if_index(number),
        lambda: session.interface_entry(number),
        lambda: session.set(number, ndis.Oid.GEN_CURRENT_LOOKAHEAD, 1),
        lambda: session.publish(number, mtu=1),
        lambda: session.add_if_stack_entry(number, 1),
        lambda: session.add_if_stack_entry(1, number),
    ):
        with pytest.raises(ndis.InterfaceNotFoundError):
            call()
    session.delete_if_stack_entry(number, number)


@pytest.mark.parametrize(
    "text",
    [
        "0x0x6008000000000",
        "0x 6008000000000",
        "0x6008_000000000",
        "1_688_849_860_263_936",
        "+1688849860263936",
        "0x",
        "",
        "9" * 5000,
        "0x" + "f" * 17,
    ],
)
def test_no_net_luid(text: str) -> None:
    """What only Python takes for a number is no NET_LUID."""
    with pytest.raises(ndis.InvalidParameterError):
        NetLuid.parse(text)


@pytest.mark.smoke
@pytest.mark.parametrize(
    "call",
    [
        lambda s, view: s.free_net_luid_indexes(6, view),
        lambda s, view: s.retain_net_luid_indexes(6, view),
        lambda s, view: s.release_net_luid_indexes(6, view),
        lambda s, view: s.allocate_net_luid_indexes(6, out=view),
        lambda s, view: s.query_many(view.cast("B").cast("Q"), 0x01010101),
    ],
    ids=["free", "retain", "release", "allocate", "query"],
)
def test_errors_let_go_of_buffers(
    session: ndis.Session, call: Callable[[ndis.Session, memoryview], object]
) -> None:
    """
    An error has frames in its traceback, and none of them a buffer in use:
    some Pythons crash when they collect such a memoryview.
    """
    session.close()
    others = [each for each in gc.get_objects() if type(each) is memoryview]
    view = memoryview(bytearray(b"\7" * 16)).cast("I")
    with pytest.raises(ndis.NdisError) as raised:
        call(session, view)
    for each in gc.get_objects():
        if type(each) is memoryview and not any(each is o for o in others):
            each.release()  # a BufferError if it is in use
    assert raised.value.__traceback__ is not None


@pytest.mark.smoke
def test_raised_through_c_in_no_cycle(store_path: Path) -> None:
    """What a store raises goes when nobody has it any more."""
    with ndis.Session(store_path) as session:
        identity = session.register_provider("p").identity("key", 6)
        gc.disable()
        try:
            try:
                session.release_net_luid_indexes(
                    6, [identity.net_luid.net_luid_index]
                )
            except ndis.StoreError as error:
                gone = weakref.ref(error)
            assert gone() is None
        finally:
            gc.enable()
