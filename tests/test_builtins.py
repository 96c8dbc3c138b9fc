# SPDX-License-Identifier: MIT
"""What _fastcall does itself: buffers of indexes, answers, handlers."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import random
import sys
import weakref
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ndisbridge as ndis
import ndisbridge.session
from ndisbridge import NetLuid, Oid, _fastcall, _native
from ndisbridge.persistence.memory import MemoryStore

try:
    import _testcapi
except ImportError:
    _testcapi = None

BIG = sys.byteorder == "big"
SWAPPED = ctypes.c_uint32.__ctype_le__ if BIG else ctypes.c_uint32.__ctype_be__


class Four(ctypes.Structure):
    _fields_ = (("number", ctypes.c_uint32),)


@contextlib.contextmanager
def failing(number: int) -> Iterator[None]:
    """Of the allocations from now on this one fails, counted from 0."""
    _testcapi.set_nomemory(number, number + 1)
    try:
        yield
    finally:
        _testcapi.remove_mem_hooks()


def exhaust(work: Callable[[], object], allocations: int = 40) -> int:
    """
    Do it again and again, with another allocation failing each time; how
    often that was noticed.
    """
    if _testcapi is None or not hasattr(_testcapi, "set_nomemory"):
        pytest.skip("this Python lets no allocation fail")
    noticed = 0
    for number in range(allocations):
        try:
            with failing(number):
                work()
        except MemoryError:
            noticed += 1
    return noticed


# -- buffers


@pytest.mark.smoke
@pytest.mark.parametrize(
    "made",
    [
        lambda: array("I", bytes(40)),
        lambda: array("i", bytes(40)),
        lambda: memoryview(bytearray(40)).cast("@I"),
        lambda: memoryview(bytearray(40)).cast("I", (2, 5)),
        lambda: (ctypes.c_uint32 * 10)(),
        lambda: (ctypes.c_int32 * 10)(),
    ],
)
def test_buffers_that_hold_indexes(
    session: ndis.Session, made: Callable[[], Any]
) -> None:
    """Contiguous, of ints of 4 bytes in the machine's order."""
    space = session.index_space(6)
    out = made()
    assert space.allocate_many(out) is None
    taken = array("I", memoryview(out).tobytes())
    assert len(set(taken)) == 10
    assert session.count_net_luid_indexes(6).allocated == 10
    assert space.free_many(out) == 10
    assert session.allocate_net_luid_indexes(6, out=out) is out
    assert session.free_net_luid_indexes(6, out) == 10
    assert session.count_net_luid_indexes(6).allocated == 0


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("out", "error"),
    [
        (bytearray(8), TypeError),
        (array("H", [1, 2]), TypeError),
        (array("Q", [1, 2]), TypeError),
        (array("f", [1, 2]), TypeError),
        ((SWAPPED * 2)(), TypeError),
        ((Four * 2)(), TypeError),
        (memoryview(array("I", [1, 2, 3, 4]))[::2], BufferError),
        (memoryview(bytearray(13))[1:].cast("I"), TypeError),
    ],
)
def test_buffers_that_do_not(
    session: ndis.Session, out: Any, error: type[Exception]
) -> None:
    """Whatever else is a buffer is refused, and is free to be resized."""
    before = bytes(memoryview(out))
    session.claim_net_luid_index(6, 1)
    space = session.index_space(6)
    for call in (
        space.allocate_many,
        space.free_many,
        _fastcall.is_indexes,
        lambda out: session.allocate_net_luid_indexes(6, out=out),
        lambda out: session.free_net_luid_indexes(6, out),
        lambda out: session.retain_net_luid_indexes(6, out),
    ):
        with pytest.raises(error):
            call(out)
    assert bytes(memoryview(out)) == before
    assert session.count_net_luid_indexes(6).allocated == 1
    if isinstance(out, (bytearray, array)):
        out.pop()


def test_what_is_no_buffer(session: ndis.Session) -> None:
    """Nothing can be written into, or an int is out of range."""
    space = session.index_space(6)
    for wrong in (5, [1, 2], None):
        with pytest.raises(TypeError):
            space.allocate_many(wrong)
        with pytest.raises(TypeError):
            space.free_many(wrong)
        assert not _fastcall.is_indexes(wrong)
    with pytest.raises(BufferError):
        space.allocate_many(memoryview(bytes(8)).cast("I"))
    mine = list(session.allocate_net_luid_indexes(6, 3))
    for wrong in ([*mine, -1], [*mine, 1 << 32]):
        with pytest.raises(ndis.InvalidParameterError, match="index is 0"):
            session.free_net_luid_indexes(6, wrong)
    with pytest.raises(TypeError):
        session.free_net_luid_indexes(6, [*mine, "1"])
    assert session.count_net_luid_indexes(6).allocated == 3
    assert session.free_net_luid_indexes(6, iter(mine)) == 3


def test_more_indexes_than_can_be_counted(session: ndis.Session) -> None:
    """A buffer of 16 GiB is refused before anything in it is looked at."""
    if sys.maxsize < 1 << 40:
        pytest.skip("no buffer is that long here")
    huge = (ctypes.c_uint32 * (1 << 32)).from_address(4096)
    space = session.index_space(6)
    for call in (space.allocate_many, space.free_many, _fastcall.is_indexes):
        with pytest.raises(OverflowError):
            call(huge)
    large = (ctypes.c_uint32 * ((1 << 24) + 1)).from_address(4096)
    with pytest.raises(ndis.ResourcesError):
        space.allocate_many(large)


def test_batches_of_nothing(session: ndis.Session) -> None:
    """An empty buffer is filled and freed."""
    space = session.index_space(6)
    for empty in (array("I"), memoryview(bytearray()).cast("I")):
        assert space.allocate_many(empty) is None
        assert space.free_many(empty) == 0
    assert session.free_net_luid_indexes(6, []) == 0


@pytest.mark.parametrize("count", [1, 4096, 4097, 100_000])
def test_batches_of_any_size(session: ndis.Session, count: int) -> None:
    """With and without the GIL held."""
    space = session.index_space(6)
    out = array("I", bytes(4 * count))
    space.allocate_many(out)
    assert len(set(out)) == count
    assert session.count_net_luid_indexes(6).allocated == count
    assert space.free_many(out) == count
    assert session.count_net_luid_indexes(6).allocated == 0


def test_strangers_in_a_batch(session: ndis.Session) -> None:
    """They are counted, and the others freed; a buffer is as it was."""
    space = session.index_space(6)
    out = array("I", bytes(40))
    space.allocate_many(out)
    out.extend([out[0], 0xFFFFFF, 0xFFFFFFFF])
    before = out.tolist()
    with pytest.raises(ndis.InvalidParameterError) as caught:
        space.free_many(out)
    assert str(caught.value) == (
        "3 of 13 indexes were not allocated here; the others have been freed"
    )
    assert out.tolist() == before
    out.pop()
    assert session.count_net_luid_indexes(6).allocated == 0


def test_batches_of_a_closed_session() -> None:
    """They are refused, and keep no buffer in use."""
    with ndis.Session() as session:
        space = session.index_space(6)
        out = array("I", bytes(40))
        space.allocate_many(out)
    for call in (space.allocate_many, space.free_many):
        with pytest.raises(ndis.InvalidStateError):
            call(out)
        out.pop()


def test_batch_whose_store_refuses() -> None:
    """What the hook raised is raised as it is, once."""

    class Refusing(MemoryStore):
        leases = True
        error: Exception | None = None

        def lease_blocks(self, *_: Any) -> Any:
            raise self.error or AssertionError

    store = Refusing()
    with ndis.Session(store) as session:
        space = session.index_space(6)
        out = array("I", [7] * 10)
        for _ in range(2):
            store.error = error = KeyError("mine")
            with pytest.raises(KeyError) as caught:
                space.allocate_many(out)
            assert caught.value is error
            out.pop()
        assert _fastcall.take_parked() == []


# -- answers


@pytest.mark.smoke
def test_answers_are_of_now(session: ndis.Session) -> None:
    """Numbers that share a place are told apart, whoever had it before."""
    provider = session.register_provider("p")
    rng = random.Random(1)
    types = (6, 53, 131, 0xFFFF)
    interfaces: dict[int, ndis.Interface] = {}
    taken = {t: list(session.allocate_net_luid_indexes(t, 300)) for t in types}
    for _ in range(3000):
        if_index = rng.choice(
            (1, 2, 1025, 1026, 0x800000, 0x800400, 2**31 - 1)
        )
        interface = interfaces.pop(if_index, None)
        if interface is not None:
            interface.deregister()
            with pytest.raises(ndis.InterfaceNotFoundError):
                session.get_net_luid_from_interface_index(if_index)
            with pytest.raises(ndis.InterfaceNotFoundError):
                session.get_interface_index_from_net_luid(interface.net_luid)
            taken[interface.net_luid.if_type].append(
                interface.net_luid.net_luid_index
            )
        if_type = rng.choice(types)
        index = taken[if_type].pop(rng.randrange(len(taken[if_type])))
        interfaces[if_index] = provider.register_interface(
            NetLuid.make(if_type, index), if_index=if_index
        )
        for number, each in interfaces.items():
            found = session.get_net_luid_from_interface_index(number)
            assert type(found) is NetLuid
            assert found == each.net_luid
            back = session.get_interface_index_from_net_luid(each.net_luid)
            assert type(back) is int
            assert back == number


def test_net_luids_are_of_the_class_that_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A class of ints, which may raise; nothing is kept then."""
    for wrong in (5, str, object, None):
        with pytest.raises(TypeError):
            _fastcall.SessionCore(0, print, wrong)

    class Refusing(NetLuid):
        def __new__(cls, value: int) -> Refusing:
            if refused:
                raise KeyError(int(value))
            return super().__new__(cls, value)

    refused = False
    monkeypatch.setattr(ndisbridge.session, "NetLuid", Refusing)
    with ndis.Session() as session:
        interface = register(session, lambda c, o: 0)
        ask = session.get_net_luid_from_interface_index
        refused = True
        for _ in range(2):
            with pytest.raises(KeyError) as caught:
                ask(interface.if_index)
            assert caught.value.args == (interface.net_luid,)
        refused = False
        assert type(ask(interface.if_index)) is Refusing
        assert ask(interface.if_index) == interface.net_luid


def test_no_memory_for_answers() -> None:
    """What cannot be made is not kept, and can be made the next time."""
    with ndis.Session() as session:
        interfaces = [
            register(session, lambda c, o: 0, if_index=number)
            for number in range(1000, 1600)
        ]

        def ask() -> None:
            for each in interfaces:
                number, luid = each.if_index, each.net_luid
                find = session.get_interface_index_from_net_luid
                assert find(luid) == number
                assert (
                    session.get_net_luid_from_interface_index(number) == luid
                )

        assert exhaust(ask) > 1
        ask()


# -- handlers


class Thing:
    """A handler of which nobody else has any reference."""

    context: object = None

    def __call__(self, *_: Any) -> int:
        return 7


def register(
    session: ndis.Session,
    answer: Callable[[Any, int], Any],
    oid: int | None = None,
    **kwargs: Any,
) -> ndis.Interface:
    """An interface of which a handler answers an OID, or all."""

    class Handler:
        query_object = staticmethod(answer)

    provider = (
        session.register_provider("p", Handler())
        if oid is None
        else session.register_provider("p", oids={oid: answer})
    )
    index = session.allocate_net_luid_index(6)
    return provider.register_interface(NetLuid.make(6, index), **kwargs)


def handlers_of() -> _fastcall.Handlers:
    return _fastcall.Handlers(None, None, {}, len, len)


@pytest.mark.smoke
def test_every_oid_finds_its_handler(session: ndis.Session) -> None:
    """Its own or the one for the rest, which is called with the OID."""
    catalog = _native.list_oids()
    assert 100 < len(catalog) < 512
    rng = random.Random(2)
    settable = [oid for oid in catalog if oid != Oid.GEN_SUPPORTED_LIST]
    for count in (1, 7, 8, 9, 60, len(settable)):
        own = dict.fromkeys(rng.sample(settable, count))
        asked: list[tuple[str, int]] = []

        class Rest:
            def query_object(
                self, context: Any, oid: int, asked: Any = asked
            ) -> Any:
                asked.append(("rest", oid))
                raise ndis.NotSupportedError

        def answer(context: Any, oid: int, asked: Any = asked) -> Any:
            asked.append(("own", oid))
            raise ndis.NotSupportedError

        for handler in (None, Rest()):
            provider = session.register_provider(
                "p", handler, oids=dict.fromkeys(own, answer)
            )
            interface = provider.register_interface(
                NetLuid.make(6, session.allocate_net_luid_index(6))
            )
            for oid in [*catalog, 0xFF00_0001]:
                asked.clear()
                with contextlib.suppress(ndis.NdisError):
                    session.query_bytes(interface.net_luid, oid)
                    continue  # a fact
                assert all(type(each) is int for _, each in asked)
                if oid in own:
                    assert asked == [("own", oid)]
                elif handler is not None:
                    assert asked == [("rest", oid)]
                else:
                    assert asked == []


def test_handlers_are_of_a_dict_of_oids() -> None:
    """Whatever else is refused."""
    make: Any = _fastcall.Handlers
    for wrong in ([], None, {"1": print}, {1.5: print}):
        with pytest.raises(TypeError):
            make(None, None, wrong, print, print)
    # Beyond 32 bits they are all one that nobody has; none is kept twice.
    thing = Thing()
    before = sys.getrefcount(thing)
    handlers = make(None, None, {1 << 40: thing, 1 << 50: thing}, len, len)
    assert sys.getrefcount(thing) == before + 1
    del handlers
    assert sys.getrefcount(thing) == before
    new: Any = _fastcall.HandlerContext
    for wrong in ((None, 1), ({}, 1), (5, 1), (print, 1), (handlers_of(),)):
        with pytest.raises(TypeError):
            new(*wrong)


def test_handlers_in_a_cycle_are_collected() -> None:
    """Wherever in them the cycle begins."""
    for place in range(5):
        thing = Thing()
        arguments: list[Any] = [None, None, {}, len, len]
        arguments[place] = {Oid.GEN_ALIAS: thing} if place == 2 else thing
        handlers = _fastcall.Handlers(*arguments)
        thing.context = _fastcall.HandlerContext(handlers, thing)
        found = weakref.ref(thing)
        del thing, handlers, arguments
        gc.collect()
        assert found() is None


def test_no_memory_for_handlers() -> None:
    """Of a provider that cannot be made nothing is left."""

    rest = Thing()
    before = sys.getrefcount(rest)

    def make() -> None:
        _fastcall.Handlers(rest, rest, {Oid.GEN_ALIAS: rest}, rest, rest)

    assert exhaust(make, 200) > 3
    handlers = [_fastcall.Handlers(rest, None, {}, len, len)]
    assert exhaust(lambda: _fastcall.HandlerContext(handlers[0], rest)) >= 1
    handlers.clear()
    assert sys.getrefcount(rest) == before


def test_no_memory_while_handlers_are_asked() -> None:
    """Who asks is told, and the next time it goes."""
    with ndis.Session() as session:
        interface = register(session, lambda c, o: b"1234567")
        luid = int(interface.net_luid)

        def ask() -> None:
            assert session.query_bytes(luid, 0xFF00_0001) == b"1234567"

        assert exhaust(ask) >= 2
        ask()


def test_no_memory_for_a_text() -> None:
    """Who frees what is not theirs is told so, or that there is none."""
    with ndis.Session() as session:
        space = session.index_space(6)
        stranger = array("I", [5])

        def free() -> None:
            try:
                space.free_many(stranger)
            except ndis.InvalidParameterError as error:
                assert str(error).startswith("1 of 1")

        # Later ones are Python's, which raises nothing for some of them.
        assert exhaust(free, 2) >= 1
        free()
