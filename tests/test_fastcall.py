# SPDX-License-Identifier: MIT
"""
The calls that C makes for Python without cffi: arguments of every shape,
exceptions on their way, answers that grow, what is collected and what leaks.

tools/coverage_fastcall.py holds these tests, and those of handlers and of
failing memory, to every branch of csrc/fastcall.c.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.machinery
import importlib.util
import mmap
import sys
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_handlers import QUERY_TYPE, SET_TYPE

import ndisbridge as ndis
from ndisbridge import NetLuid, Oid, StatusCode, _fastcall, _native
from ndisbridge._ndisbridge import ffi, lib
from ndisbridge.exceptions import error_for
from ndisbridge.structures import decode, encode

#: An OID of no catalog, whose value is any bytes.
OWN_OID = 0xFF00_0001
COUNTER = Oid.GEN_RCV_OK
TYPE = 6


def raise_status(status: int, text: str | None = None) -> None:
    raise error_for(status, text)


class OwnCore(_native.Core):
    """A core whose failures are raised by a callable."""

    def __init__(self, raise_: Callable[[int], Any] = raise_status) -> None:
        out = ffi.new("ndisbridge_session **")
        assert lib.ndisbridge_session_create(out, ffi.NULL) == 0
        self._session = out[0]
        self.fast = _fastcall.SessionCore(
            int(ffi.cast("uintptr_t", out[0])), raise_, NetLuid
        )

    def register(
        self, context: _fastcall.HandlerContext, if_index: int = 0
    ) -> int:
        """A new interface; its NET_LUID."""
        index = self.index_space(TYPE).allocate()
        luid = int(NetLuid.make(TYPE, index))
        status, _ = self.register_interface(
            self.register_provider(
                _fastcall.QUERY_TRAMPOLINE, _fastcall.SET_TRAMPOLINE, 0, []
            ),
            luid,
            ndis.InterfaceInformation().pack(uuid.uuid4()),
            if_index,
            context.address,
        )
        assert status == 0
        return luid


@pytest.fixture
def core() -> _fastcall.SessionCore:
    return OwnCore().fast


def new_context(
    query: Any = None,
    set_: Any = None,
    oids: dict[int, Any] | None = None,
    *,
    context: object = "context",
    encode: Any = encode,
    decode: Any = decode,
) -> _fastcall.HandlerContext:
    handlers = _fastcall.Handlers(query, set_, oids or {}, encode, decode)
    return _fastcall.HandlerContext(handlers, context)


def ask(
    context: _fastcall.HandlerContext,
    oid: int,
    room: int = 64,
    address: int = _fastcall.QUERY_TRAMPOLINE,
) -> tuple[int, bytes | int]:
    """What C gets: a status, and the answer, or the length if none."""
    out = ctypes.create_string_buffer(max(room, 1))
    length = ctypes.c_uint32(room)
    status = QUERY_TYPE(address)(
        context.address, oid, ctypes.byref(length), out
    )
    if status == 0:
        return status, out.raw[: length.value]
    return status, length.value


def tell(context: _fastcall.HandlerContext, oid: int, value: bytes) -> int:
    """What C gets when it sets."""
    function = SET_TYPE(_fastcall.SET_TRAMPOLINE)
    return int(function(context.address, oid, len(value), value))


def register(
    session: ndis.Session, answer: Callable[[Any, int], Any], oid: int
) -> ndis.Interface:
    """A new interface, of which a handler answers one OID."""

    class Handler:
        def query_object(self, context: Any, asked: int) -> Any:
            if asked != oid:
                raise ndis.NotSupportedError
            return answer(context, asked)

    provider = session.register_provider("p", Handler())
    index = session.allocate_net_luid_index(TYPE)
    return provider.register_interface(NetLuid.make(TYPE, index))


# -- the module

#: What it has, in the order in which it is put there.
NAMES = [
    "SessionCore",
    "IndexSpace",
    "HandlerContext",
    "QUERY_TRAMPOLINE",
    "SET_TRAMPOLINE",
    "ROUTED_QUERY",
    "NOT_SUPPORTED_QUERY",
]


class Colliding:
    """A key of a dict that is compared with a name before it is put there."""

    def __init__(self, name: str, compare: Callable[[], bool]) -> None:
        self.name = name
        self.compare = compare

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return self.compare() if other == self.name else self is other


def new_module(members: dict[Any, Any]) -> Any:
    """The module once more, not yet executed."""
    assert _fastcall.__file__ is not None
    loader = importlib.machinery.ExtensionFileLoader(
        "ndisbridge._fastcall", _fastcall.__file__
    )
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    vars(module).update(members)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_importing_fails(name: str) -> None:
    """A member that cannot be put there fails the import, as it is."""

    def fail() -> bool:
        raise LookupError(name)

    module = new_module({Colliding(name, fail): None})
    with pytest.raises(LookupError, match=name):
        module.__loader__.exec_module(module)
    whole = new_module({})
    whole.__loader__.exec_module(whole)
    assert [each for each in NAMES if not hasattr(whole, each)] == []
    assert whole.HandlerContext is not _fastcall.HandlerContext


# -- arguments


@pytest.mark.parametrize(
    "call",
    [
        lambda core: core.query_bytes(),
        lambda core: core.query_bytes(1),
        lambda core: core.query_bytes(1, 2, 3),
        lambda core: core.query_plain(1),
        lambda core: core.query_plain(1, 2, 3),
        lambda core: core.query_bytes("1", 2),
        lambda core: core.query_bytes(1, "2"),
        lambda core: core.query_plain(1.5, 2),
        lambda core: core.query_plain(1, None),
        lambda core: core.get_if_index("1"),
        lambda core: core.get_net_luid(None),
        lambda core: _fastcall.SessionCore(),
        lambda core: _fastcall.SessionCore("1", raise_status, NetLuid),
        lambda core: _fastcall.SessionCore(0, raise_status, 5),
        lambda core: _fastcall.SessionCore(0, raise_status, str),
        lambda core: _fastcall.IndexSpace(core),
        lambda core: _fastcall.IndexSpace(core, "6"),
        lambda core: _fastcall.IndexSpace(None, TYPE),
        lambda core: _fastcall.IndexSpace(new_context(), TYPE),
        lambda core: _fastcall.IndexSpace(core, TYPE).free("1"),
        lambda core: _fastcall.IndexSpace(core, TYPE).free(),
        lambda core: _fastcall.HandlerContext(),
        lambda core: _fastcall.HandlerContext(1, 2),
        lambda core: _fastcall.Handlers(),
        lambda core: _fastcall.Handlers(1, 2, [], 4, 5),
        lambda core: _fastcall.Handlers(1, 2, {"x": 3}, 4, 5),
        lambda core: new_context().set_native(),
        lambda core: new_context().set_native("1", 2),
        lambda core: _fastcall.park(5),
        lambda core: _fastcall.park(ValueError),
        lambda core: _fastcall.reraise(5),
        lambda core: _fastcall.reraise(ValueError),
        lambda core: _fastcall.write_unraisable(),
        lambda core: _fastcall.write_unraisable(ValueError()),
        lambda core: _fastcall.write_unraisable(5, None),
    ],
)
def test_arguments_of_wrong_types(
    core: _fastcall.SessionCore, call: Callable[[Any], Any]
) -> None:
    """A TypeError, and nothing has happened."""
    with pytest.raises(TypeError):
        call(core)
    assert _fastcall.take_parked() == []
    assert _fastcall.IndexSpace(core, TYPE).allocate() == 0


@pytest.mark.parametrize(
    "number",
    [-1, 1 << 32, (1 << 32) - 1, (1 << 64) - 1, 1 << 64, -(1 << 70), True],
)
def test_ints_that_nothing_has(
    core: _fastcall.SessionCore, number: int
) -> None:
    """One that does not fit is one that the core does not know."""
    space = _fastcall.IndexSpace(core, TYPE)
    luid = int(NetLuid.make(TYPE, space.allocate()))
    for error, call in (
        (ndis.InterfaceNotFoundError, lambda: core.get_if_index(number)),
        (ndis.InterfaceNotFoundError, lambda: core.get_net_luid(number)),
        (ndis.InvalidParameterError, lambda: space.free(number)),
        (ndis.NdisError, lambda: core.query_bytes(number, COUNTER)),
        (ndis.NdisError, lambda: core.query_plain(luid, number)),
    ):
        with pytest.raises(error):
            call()


def test_a_space_knows_its_if_type(core: _fastcall.SessionCore) -> None:
    space = _fastcall.IndexSpace(core, 131)
    assert space.if_type == 131
    index = space.allocate()
    assert space.free(index) is None
    with pytest.raises(ndis.InvalidParameterError):
        space.free(index)
    with pytest.raises(ndis.InvalidParameterError):
        _fastcall.IndexSpace(core, 0).allocate()


def test_an_address_of_no_session() -> None:
    """It is refused by the core, call by call, and owns nothing."""
    core = _fastcall.SessionCore(0, raise_status, NetLuid)
    assert core.address == 0
    with pytest.raises(ndis.InvalidParameterError):
        core.get_if_index(1)


# -- exceptions on their way


def test_a_failure_that_does_not_raise() -> None:
    """Who is to raise, and does not, is told; nothing is answered."""
    core = OwnCore(lambda status: None)
    with pytest.raises(SystemError, match="did not raise"):
        core.fast.get_if_index(1)


def test_parked_exceptions_are_taken() -> None:
    """In their order, once, by the thread that they were left to."""
    errors = [ValueError(1), KeyError(2), KeyboardInterrupt()]
    for error in errors:
        _fastcall.park(error)
    elsewhere: list[Any] = []
    thread = threading.Thread(
        target=lambda: elsewhere.extend(_fastcall.take_parked())
    )
    thread.start()
    thread.join()
    assert elsewhere == []
    assert _fastcall.take_parked() == errors
    assert _fastcall.take_parked() == []


def test_exceptions_keep_what_they_have() -> None:
    """Raised again: the object, its context and its traceback."""
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second") from None
    except ValueError as error:
        second = error
    context, depth = second.__context__, second.__traceback__
    try:
        raise OSError("another")
    except OSError:
        with pytest.raises(ValueError) as caught:
            _fastcall.reraise(second)
    assert caught.value is second
    assert second.__context__ is context
    assert second.__traceback__ is not None and depth is not None
    with pytest.raises(LookupError):
        _fastcall.reraise(LookupError("never raised"))


def test_exceptions_that_are_nobodys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        sys,
        "unraisablehook",
        lambda each: seen.append((each.exc_value, each.object)),
    )
    error = ValueError()
    _fastcall.write_unraisable(error, "of whom")
    assert seen == [(error, "of whom")]


class NoStatus(Exception):
    @property
    def status(self) -> int:
        raise KeyError("status")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (int(StatusCode.RESOURCES), StatusCode.RESOURCES),
        (-1, -1),
        (-(1 << 31), -(1 << 31)),
        (0, StatusCode.FAILURE),
        (5, StatusCode.FAILURE),
        (-(1 << 31) - 1, StatusCode.FAILURE),
        (-(1 << 70), StatusCode.FAILURE),
        (1 << 70, StatusCode.FAILURE),
        ("text", StatusCode.FAILURE),
        (None, StatusCode.FAILURE),
        (NoStatus(), StatusCode.FAILURE),
        (ValueError(), StatusCode.FAILURE),
    ],
)
def test_statuses_of_exceptions(status: Any, told: int) -> None:
    """A failure's own status arrives; anything else is a FAILURE."""

    def fail(*_: Any) -> Any:
        raise error

    error = status
    if not isinstance(status, Exception):
        error = ValueError()
        error.status = status
    context = new_context(fail, fail)
    assert ask(context, COUNTER)[0] == told
    assert tell(context, OWN_OID, b"1") == told
    assert _fastcall.take_parked() == [error, error]


def test_a_failure_beside_the_answer(session: ndis.Session) -> None:
    """What is left of a handler whose failure was not the answer goes."""

    def answer(context: Any, oid: int) -> bytes:
        _fastcall.park(ValueError("left"))
        return bytes(size)

    interface = register(session, answer, OWN_OID)
    for size in (1, 5000):
        assert interface.query(OWN_OID) == bytes(size)
        assert _fastcall.take_parked() == []


# -- answers


def test_long_answers(session: ndis.Session) -> None:
    """Longer than the first room is, as bytes and as values."""
    for oid, answer, value in (
        (OWN_OID, bytes(range(250)) * 20, None),
        (Oid.GEN_SUPPORTED_LIST, list(range(1000)), list(range(1000))),
        (Oid._802_3_MULTICAST_LIST, [b"123456"] * 300, [b"123456"] * 300),
    ):
        interface = register(session, lambda c, o, a=answer: a, oid)
        raw = session.query_bytes(interface.net_luid, oid)
        assert raw == encode(oid, answer)
        assert session.query(interface.net_luid, oid) == (value or raw)


def test_answers_that_always_grow(session: ndis.Session) -> None:
    """A handler that always wants more does not keep who asks."""
    asked = []

    def grow(context: Any, oid: int) -> bytes:
        asked.append(oid)
        return bytes(2000 + len(asked))

    interface = register(session, grow, OWN_OID)
    for call in (session.query_bytes, session.query):
        asked.clear()
        with pytest.raises(ndis.InvalidDataError):
            call(interface.net_luid, OWN_OID)
        assert len(asked) < 100


@pytest.mark.parametrize("again", [b"short", b"", bytes(2000)])
def test_answers_that_shrink(session: ndis.Session, again: bytes) -> None:
    for call in (session.query_bytes, session.query):
        answers = iter([bytes(3000), again])
        interface = register(session, lambda c, o, a=answers: next(a), OWN_OID)
        assert call(interface.net_luid, OWN_OID) == again


def test_answers_that_fail_when_asked_again(session: ndis.Session) -> None:
    error = ValueError()
    rounds: list[int] = []

    def answer(context: Any, oid: int) -> bytes:
        rounds.append(oid)
        if len(rounds) % 2:
            return bytes(3000)
        raise error

    interface = register(session, answer, OWN_OID)
    for call in (session.query_bytes, session.query):
        with pytest.raises(ValueError) as caught:
            call(interface.net_luid, OWN_OID)
        assert caught.value is error


def test_an_answer_of_four_gigabytes(session: ndis.Session) -> None:
    """No length has room for it."""
    try:
        huge = bytes(1 << 32)  # never touched
    except MemoryError:
        pytest.skip("there is no room for it here")
    context = new_context(lambda c, o: huge)
    assert ask(context, OWN_OID) == (StatusCode.INVALID_DATA, 64)
    interface = register(session, lambda c, o: huge, OWN_OID)
    with pytest.raises(ndis.InvalidDataError):
        session.query_bytes(interface.net_luid, OWN_OID)


def test_what_does_not_encode() -> None:
    """encode() that fails, or gives no bytes: the exception is left."""

    def fail(oid: int, value: Any) -> bytes:
        raise LookupError(value)

    for encode_, error in ((fail, LookupError), (lambda o, v: v, TypeError)):
        context = new_context(lambda c, o: "text", encode=encode_)
        assert ask(context, OWN_OID)[0] == StatusCode.FAILURE
        (left,) = _fastcall.take_parked()
        assert type(left) is error
    context = new_context(lambda c, o: "text", encode=lambda o, v: b"bytes")
    assert ask(context, OWN_OID) == (0, b"bytes")
    assert ask(context, OWN_OID, 4) == (StatusCode.BUFFER_TOO_SHORT, 5)


def test_what_does_not_decode() -> None:
    def fail(oid: int, value: bytes) -> Any:
        raise LookupError(value)

    context = new_context(set_=lambda c, o, v: None, decode=fail)
    assert tell(context, OWN_OID, b"12") == StatusCode.FAILURE
    (left,) = _fastcall.take_parked()
    assert left.args == (b"12",)


def test_ints_of_the_size_of_their_oid() -> None:
    for oid, number, size in (
        (COUNTER, (1 << 64) - 1, 8),
        (Oid.GEN_MAXIMUM_FRAME_SIZE, (1 << 32) - 1, 4),
        (Oid.GEN_PROMISCUOUS_MODE, True, 1),
    ):
        context = new_context(lambda c, o, n=number: n)
        raw = number.to_bytes(size, sys.byteorder)
        assert ask(context, oid) == (0, raw)
        assert ask(context, oid, size - 1) == (
            StatusCode.BUFFER_TOO_SHORT,
            size,
        )


def test_nobody_to_ask() -> None:
    """Without a handler an OID is not supported, or none at all."""
    context = new_context(oids={int(COUNTER): lambda c, o: 5})
    assert ask(context, COUNTER) == (0, (5).to_bytes(8, sys.byteorder))
    assert ask(context, Oid.GEN_XMIT_OK)[0] == StatusCode.NOT_SUPPORTED
    assert ask(context, OWN_OID)[0] == StatusCode.INVALID_OID
    assert tell(context, COUNTER, b"") == StatusCode.NOT_SUPPORTED
    assert tell(context, OWN_OID, b"") == StatusCode.INVALID_OID
    nobody = _fastcall.NOT_SUPPORTED_QUERY
    assert ask(context, COUNTER, 8, nobody) == (StatusCode.NOT_SUPPORTED, 8)
    assert _fastcall.take_parked() == []


def test_a_set_arrives() -> None:
    seen: list[Any] = []
    context = new_context(set_=lambda *a: seen.append(a))
    assert tell(context, OWN_OID, b"12") == 0
    assert seen == [("context", OWN_OID, b"12")]


# -- a driver in C, which is asked first


def test_a_native_function_is_asked_first() -> None:
    """What it does not have is Python's to find out."""

    @QUERY_TYPE
    def native(address: int, oid: int, length: Any, output: int) -> int:
        seen.append((address, oid, length[0]))
        length[0] = 1
        ctypes.memmove(output, b"n", 1)
        return int(answers.pop())

    seen: list[Any] = []
    answers: list[int] = []
    address = ctypes.cast(native, ctypes.c_void_p).value
    assert address is not None
    context = new_context(lambda c, o: b"python")
    route = _fastcall.ROUTED_QUERY
    for wrong in (True, False):  # without a function it is never direct
        context.direct = wrong
        assert context.direct is False
        assert ask(context, OWN_OID, address=route) == (0, b"python")
    context.set_native(address, 77)
    assert ask(context, OWN_OID, address=route) == (0, b"python")
    assert seen == []
    context.direct = True
    assert context.direct is True
    with pytest.raises(ValueError, match="being called"):
        context.set_native(address, 78)
    for answer, answered in (
        (0, (0, b"n")),
        (StatusCode.NOT_SUPPORTED, (0, b"python")),
        (StatusCode.INVALID_OID, (0, b"python")),
        (StatusCode.RESOURCES, (StatusCode.RESOURCES, 1)),
    ):
        answers.append(answer)
        assert ask(context, OWN_OID, address=route) == answered
        assert seen.pop() == (77, OWN_OID, 64)
    del context.direct
    assert context.direct is False
    assert ask(context, OWN_OID, address=route) == (0, b"python")
    assert seen == []


def test_direct_is_true_or_false() -> None:
    class Neither:
        def __bool__(self) -> bool:
            raise LookupError

    context = new_context()
    with pytest.raises(LookupError):
        context.direct = Neither()
    assert context.direct is False


# -- what is collected, and what leaks


class Thing:
    """Something that can be watched."""


def test_a_cycle_is_collected() -> None:
    """A context that its own handlers hold goes, with all it has."""
    watched = []
    for place in range(6):
        things: list[Any] = [Thing() for _ in range(6)]
        query, set_, mine, encode_, decode_, own = things
        context = _fastcall.HandlerContext(
            _fastcall.Handlers(query, set_, {5: mine}, encode_, decode_), own
        )
        thing = things[place]
        thing.circle = context
        watched.append(weakref.ref(thing))
        del things, thing, context, query, set_, mine, encode_, decode_, own
    gc.collect()
    assert [each() for each in watched] == [None] * 6


@pytest.mark.thread_unsafe(reason="all that the process has is looked at")
def test_all_that_a_context_has_is_found() -> None:
    own, mine, *things = (Thing() for _ in range(6))
    query, set_, encode_, decode_ = things
    handlers = _fastcall.Handlers(query, set_, {5: mine}, encode_, decode_)
    context = _fastcall.HandlerContext(handlers, own)
    for holder, held in (
        (handlers, [*things, mine]),
        (context, [handlers, own]),
    ):
        # Its type, too: each ends the visit where it is found.
        for each in (*held, type(holder)):
            assert any(found is holder for found in gc.get_referrers(each))
        assert {id(each) for each in held} <= {
            id(each) for each in gc.get_referents(holder)
        }


def of_handlers(thing: object) -> object:
    return _fastcall.Handlers(None, thing, {5: len}, encode, decode)


@pytest.mark.parametrize(
    "make", [of_handlers, lambda thing: new_context(context=thing)]
)
def test_what_is_cleared_has_nothing(make: Callable[[object], object]) -> None:
    """The collector may clear, and look, as often as it likes."""
    get_slot = ctypes.pythonapi.PyType_GetSlot
    get_slot.restype = ctypes.c_void_p
    get_slot.argtypes = [ctypes.py_object, ctypes.c_int]
    clear_slot, traverse_slot = 51, 71  # of typeslots.h, for ever
    thing = Thing()
    reference = weakref.ref(thing)
    holder = make(thing)
    kind = type(holder)
    clear = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object)(
        get_slot(kind, clear_slot)
    )
    visited: list[int] = []
    visit_type = ctypes.PYFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p
    )

    @visit_type
    def visit(found: int, _argument: int) -> int:
        visited.append(found)
        return 0

    traverse = ctypes.PYFUNCTYPE(
        ctypes.c_int, ctypes.py_object, visit_type, ctypes.c_void_p
    )(get_slot(kind, traverse_slot))
    assert traverse(holder, visit, None) == 0
    assert id(thing) in visited
    del thing
    for _ in range(2):
        assert clear(holder) == 0
        assert reference() is None
        assert gc.get_referents(holder) in ([], [kind])
        visited.clear()
        assert traverse(holder, visit, None) == 0
        assert visited == [id(kind)]


def test_a_session_that_nobody_could_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where its owner cannot be made, the session of C goes again."""

    def size() -> int:
        """Bytes of the address space that are mapped."""
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return pages * mmap.PAGESIZE

    def fail(*_: object) -> Any:
        raise MemoryError

    if not Path("/proc/self/statm").exists():
        pytest.skip("the size of a process is read from /proc")
    with ndis.Session() as session:
        session.allocate_net_luid_index(TYPE)
    monkeypatch.setattr(_fastcall, "SessionCore", fail)
    before = size()
    for _ in range(200):
        with pytest.raises(MemoryError):
            ndis.Session()
    assert size() - before < 100 << 20


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The exceptions that are nobody's."""
    seen: list[Any] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda each: seen.append(each.exc_value)
    )
    yield seen
    seen.clear()


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("is_error", [False, True])
def test_a_session_with_a_call_inside_is_leaked(
    unraisable: list[Any], elsewhere: bool, is_error: bool
) -> None:
    """
    Dropped by its own handler, or while another thread is in one: it stays,
    so that the call ends well, and a warning says so.
    """

    def inside(context: Any, oid: int) -> int:
        if elsewhere:
            entered.set()
            assert go_on.wait(30)
        else:
            drop()
        return 5

    def drop() -> None:
        if is_error:  # as it is for every warning here
            cores.clear()
        else:
            with pytest.warns(ResourceWarning, match="call inside is leaked"):
                cores.clear()

    def query() -> None:
        out, length = ffi.new("uint64_t *"), ffi.new("uint32_t *", 8)
        status = lib.ndisbridge_query(pointer, out, length, luid, COUNTER)
        answers.append((status, out[0]))

    entered, go_on = threading.Event(), threading.Event()
    answers: list[Any] = []
    context = new_context(inside)
    cores = [OwnCore()]
    luid = cores[0].register(context)
    pointer = ffi.cast("ndisbridge_session *", cores[0].address)
    if elsewhere:
        thread = threading.Thread(target=query)
        thread.start()
        assert entered.wait(30)
        drop()
        go_on.set()
        thread.join()
    else:
        query()
    assert answers == [(0, 5)]
    assert [type(each) for each in unraisable] == [ResourceWarning] * is_error
