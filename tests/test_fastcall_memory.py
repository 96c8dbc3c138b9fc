# SPDX-License-Identifier: MIT
"""
Each allocation of Python's fails in turn, once and from then on, in each call
that C makes for Python: the first, the second, until none is left to fail.

The call then says MemoryError or RESOURCES, or answers as ever; nothing is
leaked; and the same call afterwards does what it did before.
"""

from __future__ import annotations

import _imp
import gc
import importlib.machinery
import importlib.util
import operator
import subprocess
import sys
import sysconfig
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_fastcall import (
    COUNTER,
    NAMES,
    OWN_OID,
    TYPE,
    Colliding,
    OwnCore,
    new_context,
    new_module,
)

import ndisbridge as ndis
from ndisbridge import NetLuid, Oid, StatusCode, _fastcall
from ndisbridge._ndisbridge import ffi, lib
from ndisbridge.structures import encode

SOURCE = Path(__file__).parent / "workers" / "failing_memory.c"
#: A number that is no constant of Python's.
BIG = 0x12345678
#: More than anything here allocates.
MOST = 2000

pytestmark = [
    pytest.mark.thread_unsafe(reason="its allocator is the process's"),
    pytest.mark.skipif(
        bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        reason="allocators were not yet replaced where there is no GIL",
    ),
]


@pytest.fixture(scope="module")
def failing(
    need: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """The module of failing_memory.c."""
    path = tmp_path_factory.mktemp("failing") / "failing_memory.so"
    done = subprocess.run(
        [
            *(need("gcc"), "-std=c11", "-O1", "-g", "-fPIC", "-shared"),
            *("-I", sysconfig.get_path("include"), SOURCE, "-o", path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loader = importlib.machinery.ExtensionFileLoader(
        "failing_memory", str(path)
    )
    spec = importlib.util.spec_from_loader("failing_memory", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Each:
    """Calls of which each allocation fails in turn."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def outcomes(
        self, function: Callable[..., Any], *args: Any, always: bool
    ) -> Iterator[tuple[Any, BaseException | None]]:
        """
        Result and exception for each allocation that has failed, and in the
        end for the call in which none has.
        """
        for number in range(MOST):
            failed, result, error = self.module.call(
                number, always, function, *args
            )
            yield result, error
            if not failed:
                return
        pytest.fail(f"{function} allocates without end")

    def __call__(
        self,
        function: Callable[..., Any],
        *args: Any,
        result: object = None,
        errors: tuple[type[BaseException], ...] = (),
        after: Callable[[Any], Any] = lambda result: None,
        allocates: bool = True,
    ) -> None:
        """
        Judges them: MemoryError, RESOURCES, the result, or errors that the
        call has anyway.  ``after`` undoes what a call that went well did;
        one of small values need not allocate.
        """
        allowed = (MemoryError, ndis.ResourcesError, *errors)

        def once() -> int:
            count = 0
            for always in (False, True):
                for found, error in self.outcomes(
                    function, *args, always=always
                ):
                    if error is None:
                        if result is not None:
                            assert found == result
                        after(found)
                    else:
                        assert isinstance(error, allowed), repr(error)
                        count += not isinstance(error, errors)
                    del found, error
                _fastcall.take_parked()
            return count

        # Whatever fails the first time may fill a cache.
        failures = once() + once()
        assert failures or errors or not allocates
        before = self.module.count_living()
        for _ in range(5):
            once()
        grown = self.module.count_living() - before
        assert grown < 5, f"{grown} pieces of memory were leaked"


@pytest.fixture
def each(failing: Any) -> Iterator[Each]:
    gc.collect()
    gc.freeze()  # each call collects, and need not look at all this
    failing.install()
    yield Each(failing)
    failing.uninstall()
    gc.unfreeze()


@pytest.fixture
def core(each: Each) -> OwnCore:
    """A session without a line of Python in it."""
    return OwnCore(each.module.raise_lookup)


def register(
    core: OwnCore, each: Each, answers: dict[int, Any]
) -> tuple[int, object]:
    """An interface that answers each OID so; its NET_LUID, what it needs."""
    context = new_context(
        operator.getitem,
        context=answers,
        encode=each.module.to_bytes,
        decode=each.module.to_bytes,
    )
    return core.register(context, BIG), context


def test_what_is_wrong_is_found(each: Each) -> None:
    """Controls: a leak, an error of another kind, another result."""
    kept: list[int] = []
    numbers = range(BIG, BIG + 2)
    with pytest.raises(AssertionError, match="leaked"):
        each(kept.extend, numbers)
    with pytest.raises(AssertionError, match="ValueError"):
        each(int, "text")
    with pytest.raises(AssertionError):
        each(list, numbers, result=[BIG])


# -- objects


def test_making_objects(each: Each, core: OwnCore) -> None:
    nobody = each.module.raise_lookup
    each(_fastcall.SessionCore, 0, nobody, NetLuid)
    each(_fastcall.IndexSpace, core.fast, TYPE)
    made = {OWN_OID: nobody, COUNTER: nobody}
    each(_fastcall.Handlers, nobody, None, made, nobody, nobody)
    handlers = _fastcall.Handlers(nobody, None, made, nobody, nobody)
    each(_fastcall.HandlerContext, handlers, None)
    each(getattr, core.fast, "address", result=core.address)
    context = new_context()
    each(getattr, context, "address", result=context.address)
    space = core.index_space(0xABCD)
    each(getattr, space, "if_type", result=0xABCD)


@pytest.mark.parametrize("name", NAMES)
def test_making_the_module(each: Each, name: str) -> None:
    """
    What is imported is whole, or a MemoryError; or a SystemError, where
    Python fails to make a type without a word.  What is made next fails at
    its first allocations: at a later one Python 3.13 itself crashes.
    """

    for number in range(3):
        module = new_module(
            {Colliding(name, lambda n=number: bool(each.module.arm(n))): None}
        )
        failed, _, error = each.module.call(
            -1, False, _imp.exec_dynamic, module
        )
        if error is not None:
            assert failed
            assert isinstance(error, MemoryError | SystemError)
        else:
            assert _fastcall.ROUTED_QUERY in vars(module).values()


# -- indexes and lookups


def test_indexes(each: Each, core: OwnCore) -> None:
    """An index of which nobody hears is free again."""
    space = core.index_space(TYPE)
    for _ in range(2000):  # to where Python has no constants
        space.allocate()
    before = core.count(TYPE)
    each(space.allocate, after=space.free)
    assert core.count(TYPE) == before
    each(space.free, BIG, errors=(LookupError,))
    each(space.free, None, errors=(TypeError,))


def test_lookups(each: Each, core: OwnCore) -> None:
    luid, _keep = register(core, each, {})
    unknown = (LookupError,)
    each(core.fast.get_if_index, luid, result=BIG)
    each(core.fast.get_net_luid, BIG, result=luid)
    each(core.fast.get_if_index, luid + (1 << 24), errors=unknown)
    each(core.fast.get_net_luid, BIG + 1, errors=unknown)
    each(core.fast.get_if_index, 1 << 70, errors=unknown)
    each(core.fast.get_if_index, "text", errors=(TypeError,))


# -- queries


@pytest.mark.parametrize(
    ("oid", "answer", "value"),
    [
        (COUNTER, 1 << 60, 1 << 60),
        (Oid.GEN_MAXIMUM_FRAME_SIZE, BIG, BIG),
        (Oid.GEN_PROMISCUOUS_MODE, True, True),
        (Oid.GEN_ALIAS, encode(Oid.GEN_ALIAS, "Berlin ☃"), "Berlin ☃"),
        (Oid.GEN_VENDOR_DESCRIPTION, b"Acme\0", b"Acme\0"),
        (OWN_OID, b"own", b"own"),
        (OWN_OID, bytearray(b"own"), b"own"),
        (OWN_OID, bytes(3000), bytes(3000)),
        (Oid.GEN_SUPPORTED_LIST, BIG, [BIG]),
        (Oid._802_3_MULTICAST_LIST, b"123456" * 2, [b"123456"] * 2),
        (
            Oid._802_3_MULTICAST_LIST,
            bytearray(b"123456" * 200),
            [b"123456"] * 200,
        ),
    ],
    ids=lambda each: f"{str(each)[:20]}",
)
def test_queries(
    each: Each, core: OwnCore, oid: int, answer: Any, value: Any
) -> None:
    """Of what a handler answers, as bytes and as values."""
    luid, _keep = register(core, each, {int(oid): answer})
    raw = core.fast.query_bytes(luid, oid)
    allocates = value is not True
    each(
        core.fast.query_bytes,
        luid,
        int(oid),
        result=raw,
        allocates=allocates,
    )
    each(
        core.fast.query_plain,
        luid,
        int(oid),
        result=value,
        allocates=allocates,
    )


class Interrupt(BaseException):
    """What nobody may swallow."""


@pytest.mark.parametrize(
    "error", [LookupError(), Interrupt(), MemoryError(), ndis.NdisError("own")]
)
def test_what_handlers_raise(
    each: Each, core: OwnCore, error: BaseException
) -> None:
    """It arrives, or there was no memory for it: RESOURCES then."""
    fail = each.module.raise_context
    context = new_context(fail, fail, context=error, decode=fail)
    luid = core.register(context)
    each(
        core.fast.query_bytes,
        *(luid, OWN_OID),
        errors=(type(error), LookupError),
    )
    for always in (False, True):
        for _, found in each.outcomes(
            core.fast.query_bytes, luid, OWN_OID, always=always
        ):
            assert found is not None
            if type(found) is LookupError and found is not error:
                assert found.args == (int(StatusCode.RESOURCES),)
            del found


def test_answers_that_no_oid_has(each: Each, core: OwnCore) -> None:
    answers = {
        OWN_OID: "text",
        int(Oid.GEN_MAXIMUM_FRAME_SIZE): 1 << 40,
        int(COUNTER): 1 << 70,
    }
    luid, _keep = register(core, each, answers)
    unknown = luid + (1 << 24)
    for oid in answers:
        errors = (TypeError, OverflowError, LookupError)
        each(core.fast.query_bytes, luid, oid, errors=errors)
    each(core.fast.query_bytes, unknown, OWN_OID, errors=(LookupError,))
    each(core.fast.query_bytes, luid, errors=(TypeError,))


def test_batches(each: Each, core: OwnCore) -> None:
    """What cannot be kept of several exceptions is told by a status."""
    fail = each.module.raise_context
    error = LookupError()
    context = new_context(fail, fail, context=error)
    many = 9
    luids = ffi.new("ndisbridge_net_luid[]", [core.register(context)] * many)
    out = ffi.new("uint64_t[]", many)
    lengths, statuses = ffi.new("uint32_t[]", many), ffi.new("int32_t[]", many)
    pointer = ffi.cast("ndisbridge_session *", core.address)
    arguments = (pointer, out, 8, lengths, statuses, luids, many, OWN_OID)

    def sweep() -> set[int]:
        seen = set()
        for always in (False, True):
            for _, failure in each.outcomes(
                lib.ndisbridge_query_many, *arguments, always=always
            ):
                left = _fastcall.take_parked()
                assert failure is None or isinstance(failure, MemoryError)
                told = Counter(statuses)
                ffi.memmove(statuses, bytes(4 * many), 4 * many)
                if told == {0: many}:
                    continue  # no memory for the arguments
                failures = told[int(StatusCode.FAILURE)]
                assert failures + told[int(StatusCode.RESOURCES)] == many
                assert failures <= len(left)
                seen.add(len(left))
        return seen

    assert {0, many - 1, many} <= sweep()
    before = each.module.count_living()
    for _ in range(5):
        sweep()
    assert each.module.count_living() - before < 5


def test_a_batch_with_answers(each: Each, core: OwnCore) -> None:
    """An answer is one, whatever its handler has left could not be kept."""
    error, left = LookupError(), ValueError()
    fails = new_context(each.module.raise_context, context=error)
    leaves = new_context(
        each.module.call_first, context=(_fastcall.park, left, b"answer")
    )
    # As many failures as a list has room for, before it must grow.
    many = 5
    luids = ffi.new(
        "ndisbridge_net_luid[]",
        [core.register(fails)] * (many - 1) + [core.register(leaves)],
    )
    out = ffi.new("uint64_t[]", many)
    lengths = ffi.new("uint32_t[]", many)
    statuses = ffi.new("int32_t[]", [1] * many)  # of no answer
    pointer = ffi.cast("ndisbridge_session *", core.address)
    seen = set()
    for always in (False, True):
        for _ in each.outcomes(
            lib.ndisbridge_query_many,
            *(pointer, out, 8, lengths, statuses, luids, many, OWN_OID),
            always=always,
        ):
            kept = tuple(type(each) for each in _fastcall.take_parked())
            if statuses[many - 1] == 0:
                assert bytes(ffi.buffer(out))[-8:] == b"answer\0\0"
                seen.add(kept)
            statuses[many - 1] = 1
    failed = (LookupError,) * (many - 1)
    assert {failed, (*failed, ValueError)} <= seen


def test_sets(each: Each, core: OwnCore) -> None:
    pointer = ffi.cast("ndisbridge_session *", core.address)
    answers = {OWN_OID: b"before"}
    context = new_context(
        set_=operator.setitem, context=answers, decode=each.module.to_bytes
    )
    luid = core.register(context)
    value = ffi.new("char[]", b"after")
    told = set()

    def judge(status: int) -> None:
        left = _fastcall.take_parked()
        told.add((status, tuple(type(error) for error in left)))

    each(
        lib.ndisbridge_set,
        *(pointer, luid, OWN_OID, value, 5),
        after=judge,
    )
    assert answers == {OWN_OID: b"after"}
    assert {(0, ()), (int(StatusCode.FAILURE), (MemoryError,))} <= told
    assert told <= {
        (0, ()),
        (int(StatusCode.FAILURE), (MemoryError,)),
        (int(StatusCode.RESOURCES), ()),
    }


# -- exceptions on their way


def test_parking(each: Each) -> None:
    error = LookupError()
    each(_fastcall.park, error, after=lambda _: _fastcall.take_parked())
    each(_fastcall.take_parked, result=[])
    each(_fastcall.reraise, error, errors=(LookupError,))


def test_what_could_not_be_left_is_let_go(each: Each) -> None:
    class Odd(Exception):
        pass

    error = Odd()
    reference = weakref.ref(error)
    kinds = {
        type(failure)
        for _, failure in each.outcomes(_fastcall.park, error, always=True)
    }
    assert kinds == {MemoryError, type(None)}
    _fastcall.take_parked()
    del error
    assert reference() is None


def test_nobodys_exceptions(
    each: Each, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    error = LookupError()
    for _, failure in each.outcomes(
        _fastcall.write_unraisable, error, None, always=False
    ):
        assert failure is None
    seen.clear()
