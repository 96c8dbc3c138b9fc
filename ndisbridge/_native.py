# SPDX-License-Identifier: MIT
"""
The crossing into C: only the ``_native`` modules call cffi's ``lib``.

One method is one C call.  A failure status becomes an exception here and
nowhere else.

How a call that comes back into Python travels: a handler or a hook of a
store is called by the core on the thread that asked.  If it raises, the
exception is parked with that thread, the core sees a failure status, and
the method that began the call finds the status, takes the parked exception
and raises it unchanged.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from . import _fastcall
from ._native_hooks import HOOKS
from ._native_structures import (
    FIXED,
    HEADER,
    LITTLE,
    aligned,
    aligned_copy,
    give_back,
    take_published,
)
from ._ndisbridge import ffi, lib
from .constants import NET_LUID_INDEX_MAX
from .exceptions import (
    InterfaceNotFoundError,
    InvalidParameterError,
    error_for,
)

_SUCCESS = lib.NDISBRIDGE_STATUS_SUCCESS
_PENDING = lib.NDISBRIDGE_STATUS_PENDING
_FAILURE = lib.NDISBRIDGE_STATUS_FAILURE
_TOO_SHORT = lib.NDISBRIDGE_STATUS_BUFFER_TOO_SHORT
_TIMEOUT = lib.NDISBRIDGE_STATUS_TIMEOUT
_INVALID_STATE = lib.NDISBRIDGE_STATUS_INVALID_STATE
_NOT_FOUND = lib.NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND
#: Answers of ndisbridge_session_close() that leave it as it was, or closing.
_NOT_CLOSED = {_TIMEOUT, _INVALID_STATE, lib.NDISBRIDGE_STATUS_FORKED}
#: Answers of ndisbridge_deregister_interface() after which the core does not
#: have the interface, ones after which it is about to go; else it stays.
GONE = {_SUCCESS, _NOT_FOUND}
GOING = {_PENDING, _TIMEOUT}
#: Milliseconds that stand for the session's own timeout.
TIMEOUT_DEFAULT = int(lib.NDISBRIDGE_TIMEOUT_DEFAULT)
#: Flag of a handler that may run with the GIL held.
NON_BLOCKING = int(lib.NDISBRIDGE_HANDLER_NON_BLOCKING)


def raise_left() -> None:
    """Raise, as it was raised, what Python code below has left, if any."""
    exceptions = _fastcall.take_parked()
    if exceptions:
        try:
            _fastcall.reraise(exceptions[-1])
        finally:
            # Or they would keep each other: a traceback has this frame.
            del exceptions


def raise_parked(status: int) -> NoReturn:
    """Raise what Python code below has left, or what the status says."""
    raise_left()
    raise error_for(status)


def check(status: int) -> None:
    """Raise for a failure status."""
    if status != _SUCCESS:
        raise_parked(status)


def check_quiet(status: int) -> None:
    """
    Raise for a failure status of a call that runs no Python code: what is
    parked then is left of an earlier one, whose failure was nobody's.
    """
    if status != _SUCCESS:
        raise error_for(status)


def take_handled() -> list[BaseException]:
    """
    Take what handlers have raised whose failure did not end the call; raise
    what nobody may swallow, such as KeyboardInterrupt.
    """
    exceptions = _fastcall.take_parked()
    for exception in exceptions:
        if not isinstance(exception, Exception):
            _fastcall.reraise(exception)
    return exceptions


def _u32(value: int) -> int:
    """
    A number for C: one that does not fit becomes one that no ifIndex has,
    and no other argument, so that it is the core that refuses it.
    """
    return value if 0 <= value <= 0xFFFFFFFF else 0xFFFFFFFF


def _u64(value: int) -> int:
    """The same for a NET_LUID."""
    limit = 0xFFFFFFFFFFFFFFFF
    return value if 0 <= value <= limit else limit


# ---------------------------------------------------------------------------
# NET_LUIDs


def make_net_luid(if_type: int, net_luid_index: int) -> int:
    """ndisbridge_make_net_luid()."""
    if not (0 <= if_type <= 0xFFFF and 0 <= net_luid_index <= 0xFFFFFFFF):
        raise InvalidParameterError(
            f"no NET_LUID has IfType {if_type} and index {net_luid_index}"
        )
    out = ffi.new("ndisbridge_net_luid *")
    status = lib.ndisbridge_make_net_luid(out, if_type, net_luid_index)
    if status != _SUCCESS:
        raise error_for(
            status,
            f"no NET_LUID has IfType {if_type} and index {net_luid_index}: "
            f"IfType is 1 .. 65535, index 0 .. {NET_LUID_INDEX_MAX}",
        )
    return int(out[0])


def net_luid_to_name(net_luid: int) -> str:
    """ndisbridge_net_luid_to_name()."""
    size = ffi.new("uint32_t *", lib.NDISBRIDGE_NET_LUID_NAME_SIZE)
    name = ffi.new("char[]", lib.NDISBRIDGE_NET_LUID_NAME_SIZE)
    status = lib.ndisbridge_net_luid_to_name(name, size, net_luid)
    if status != _SUCCESS:
        raise error_for(status, f"0x{net_luid:016x} is not a NET_LUID")
    return bytes(ffi.string(name)).decode("ascii")


def net_luid_from_name(name: str) -> int:
    """ndisbridge_net_luid_from_name()."""
    out = ffi.new("ndisbridge_net_luid *")
    text = name.encode("ascii", "replace")
    status = lib.ndisbridge_net_luid_from_name(out, text)
    if status != _SUCCESS or b"\0" in text:
        raise InvalidParameterError(f"{name!r} is not the name of a NET_LUID")
    return int(out[0])


def library_version() -> str:
    """ndisbridge_version()."""
    return bytes(ffi.string(lib.ndisbridge_version())).decode("ascii")


def status_string(status: int) -> str:
    """ndisbridge_status_string()."""
    text = ffi.string(lib.ndisbridge_status_string(status))
    return bytes(text).decode("ascii")


# ---------------------------------------------------------------------------
# The OID catalog


def describe_oid(oid: int) -> dict[str, Any] | None:
    """ndisbridge_describe_oid() as a dict; None if it has no such OID."""
    out = ffi.new("ndisbridge_oid_description *")
    if lib.ndisbridge_describe_oid(out, oid) != _SUCCESS:
        return None
    described: dict[str, Any] = {}
    for name, field in ffi.typeof("ndisbridge_oid_description").fields:
        value = getattr(out, name)
        if field.type.kind == "pointer":
            value = ffi.string(value).decode("ascii")
        described[name] = value
    return described


def list_oids() -> list[int]:
    """ndisbridge_list_oids()."""
    count = ffi.new("uint32_t *", 0)
    lib.ndisbridge_list_oids(ffi.NULL, count)
    oids = ffi.new("uint32_t[]", count[0])
    check_quiet(lib.ndisbridge_list_oids(oids, count))
    return list(oids)


# ---------------------------------------------------------------------------
# Native handlers


def function_address(function: Any) -> int:
    """Address of a C function given as int, cffi or ctypes pointer."""
    if isinstance(function, int):
        return function
    if isinstance(function, ffi.CData):
        return int(ffi.cast("uintptr_t", function))
    import ctypes

    try:
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    except (ctypes.ArgumentError, TypeError):
        raise TypeError(
            f"{function!r} is not a C function: give its address, or a "
            "cffi or ctypes function pointer"
        ) from None


#: Not the name of the type, and no keywords: cffi takes half a microsecond
#: longer for them.
_UINT32S = ffi.typeof("uint32_t[]")


def _check_uint32(view: memoryview) -> None:
    if view.format == "I":  # what nearly all are, and always 4 bytes
        return
    native = "@=<" if LITTLE else "@=>"
    if view.itemsize != 4 or view.format.lstrip(native) not in set("IiLl"):
        raise TypeError("indexes must be a buffer of uint32, or ints")


def as_indexes(indexes: Any) -> Any:
    """
    A cdata uint32_t[] over a buffer of uint32, or over a copy.

    For a with block, so that an exception, whose traceback has the frame,
    does not keep the buffer in use.  Python before 3.12.3 even crashes when
    it collects a memoryview that is.
    """
    try:
        view = memoryview(indexes)
    except TypeError:
        try:
            indexes = array("I", indexes)
        except OverflowError:
            raise InvalidParameterError(
                f"a NET_LUID index is 0 .. {NET_LUID_INDEX_MAX}"
            ) from None
    else:
        _check_uint32(view)
    return ffi.from_buffer(_UINT32S, indexes)


def new_indexes(count: int) -> memoryview:
    """A zeroed buffer of count uint32."""
    return memoryview(bytearray(4 * count)).cast("I")


class _RaiseStatus:
    """
    What the C types raise failures by.  They keep it until their session is
    destroyed, and it keeps what the session's hooks point to.
    """

    def __init__(self, keep: object) -> None:
        self.keep = keep

    def __call__(self, status: int) -> None:
        raise error_for(status)


# ---------------------------------------------------------------------------
# Sessions


class Core:
    """One ndisbridge_session and the calls on it."""

    def __init__(
        self,
        hooks: object | None,
        *,
        leases: bool,
        if_index_policy: int,
        if_index_first: int,
        wait_timeout_ms: int,
    ) -> None:
        config = ffi.new("ndisbridge_session_config *")
        config.header = {**HEADER, "size": ffi.sizeof(config[0])}
        config.if_index_policy = _u32(if_index_policy)
        config.if_index_first = if_index_first
        config.wait_timeout_ms = wait_timeout_ms
        handle = c_hooks = None
        if hooks is not None:
            handle = ffi.new_handle(hooks)
            c_hooks = ffi.new("ndisbridge_persistence_hooks *")
            c_hooks.header = {**HEADER, "size": ffi.sizeof(c_hooks[0])}
            c_hooks.context = handle
            for name in HOOKS:
                # Without a store's leases the core hands out its own.
                if leases or not name.endswith("_blocks"):
                    setattr(c_hooks, name, getattr(lib, f"nb_py_{name}"))
            config.hooks = c_hooks
        out = ffi.new("ndisbridge_session **")
        check_quiet(lib.ndisbridge_session_create(out, config))
        self._session = out[0]
        address = int(ffi.cast("uintptr_t", out[0]))
        self.fast = _fastcall.SessionCore(address, _RaiseStatus(handle))
        # What closing was answered: to each who asked, one list.
        self._closings: list[list[int]] = []
        self._rooms: dict[str, int] = {}  # rows of each table, last time

    @property
    def address(self) -> int:
        return int(self.fast.address)

    @property
    def closed(self) -> bool:
        """Whether it is known to be closed."""
        return any(
            not _NOT_CLOSED.issuperset(each) for each in self._closings.copy()
        )

    def close(self, timeout_ms: int) -> bool:
        """False if it was closed, or if a handler or a hook asks."""
        _fastcall.take_parked()
        # An interrupt that comes while C waits is raised when it returns:
        # after the answer is in the list, for no bytecode runs before.
        answers: list[int] = []
        self._closings.append(answers)
        answers.extend(
            map(lib.ndisbridge_session_close, (self._session,), (timeout_ms,))
        )
        status = answers[-1]
        if status == _INVALID_STATE:
            return False
        if status == _TIMEOUT:
            raise error_for(status)
        check(status)
        return True

    # -- NET_LUID indexes

    def index_space(self, if_type: int) -> Any:
        return _fastcall.IndexSpace(self.fast, if_type)

    def allocate_many(self, out: Any, if_type: int) -> None:
        view = memoryview(out)
        if not view.nbytes:
            return
        _fastcall.take_parked()
        _check_uint32(view)
        indexes = ffi.from_buffer(_UINT32S, out, True)
        status = lib.ndisbridge_allocate_net_luid_indexes(
            self._session, indexes, len(indexes), if_type
        )
        if status != _SUCCESS:
            ffi.release(indexes)  # see as_indexes()
            raise_parked(status)

    def free_many(self, if_type: int, indexes: Any) -> int:
        freed = ffi.new("uint32_t *")
        with as_indexes(indexes) as cdata:
            count = len(cdata)
            status = lib.ndisbridge_free_net_luid_indexes(
                self._session, freed, if_type, cdata, count
            )
        if status != _SUCCESS:
            raise error_for(
                status,
                f"{count - freed[0]} of {count} indexes were not "
                "allocated here; the others have been freed"
                if status == lib.NDISBRIDGE_STATUS_INVALID_PARAMETER
                else None,
            )
        return int(freed[0])

    def claim(self, if_type: int, net_luid_index: int) -> None:
        _fastcall.take_parked()
        check(
            lib.ndisbridge_claim_net_luid_index(
                self._session, if_type, net_luid_index
            )
        )

    def test(self, if_type: int, net_luid_index: int) -> int:
        out = ffi.new("uint32_t *")
        check_quiet(
            lib.ndisbridge_test_net_luid_index(
                self._session, out, if_type, net_luid_index
            )
        )
        return int(out[0])

    def count(self, if_type: int) -> dict[str, int]:
        out = ffi.new("ndisbridge_index_counts *")
        check_quiet(
            lib.ndisbridge_count_net_luid_indexes(self._session, out, if_type)
        )
        fields = ffi.typeof("ndisbridge_index_counts").fields
        return {name: getattr(out, name) for name, _ in fields}

    def trim(self) -> int:
        _fastcall.take_parked()
        out = ffi.new("uint32_t *")
        check(lib.ndisbridge_trim(self._session, out))
        return int(out[0])

    def allocate_if_index(self) -> int:
        _fastcall.take_parked()
        out = ffi.new("uint32_t *")
        check(lib.ndisbridge_allocate_if_index(self._session, out))
        return int(out[0])

    def free_if_index(self, if_index: int) -> None:
        check_quiet(lib.ndisbridge_free_if_index(self._session, if_index))

    def _retain_or_release(
        self,
        function: Any,
        if_type: int,
        indexes: Any,
        if_index: int,
        persistent: bool,
        identities: Sequence[object],
    ) -> None:
        record = ffi.new_handle((identities, ()))
        _fastcall.take_parked()
        with as_indexes(indexes) as cdata:
            status = function(
                self._session,
                if_type,
                cdata,
                len(cdata),
                if_index,
                0 if persistent else lib.NDISBRIDGE_RETAIN_NON_PERSISTENT,
                record,
            )
        check(status)

    def retain(
        self,
        if_type: int,
        indexes: Any,
        *,
        if_index: int = 0,
        persistent: bool = True,
        identities: Sequence[object] = (),
    ) -> None:
        self._retain_or_release(
            lib.ndisbridge_retain,
            if_type,
            indexes,
            if_index,
            persistent,
            identities,
        )

    def release(
        self,
        if_type: int,
        indexes: Any,
        *,
        if_index: int = 0,
        persistent: bool = True,
        identities: Sequence[object] = (),
    ) -> None:
        self._retain_or_release(
            lib.ndisbridge_release,
            if_type,
            indexes,
            if_index,
            persistent,
            identities,
        )

    def retain_net_luids(
        self,
        net_luids: Sequence[int],
        *,
        persistent: bool = True,
        identities: Sequence[object] = (),
        updates: Sequence[object] = (),
    ) -> None:
        record = ffi.new_handle((identities, updates))
        _fastcall.take_parked()
        check(
            lib.ndisbridge_retain_net_luids(
                self._session,
                ffi.new("ndisbridge_net_luid[]", list(net_luids)),
                len(net_luids),
                0 if persistent else lib.NDISBRIDGE_RETAIN_NON_PERSISTENT,
                record,
            )
        )

    # -- providers, interfaces

    def register_provider(
        self,
        query: int,
        set_: int,
        flags: int,
        oid_handlers: Sequence[tuple[int, int, int, int]],
    ) -> int:
        """oid_handlers: (oid, flags, query address, set address)."""
        characteristics = ffi.new("ndisbridge_if_provider_characteristics *")
        characteristics.header = {
            **HEADER,
            "size": ffi.sizeof(characteristics[0]),
        }
        characteristics.query_object_handler = ffi.cast(
            "ndisbridge_if_query_object", query
        )
        characteristics.set_object_handler = ffi.cast(
            "ndisbridge_if_set_object", set_
        )
        handlers = ffi.new(
            "ndisbridge_oid_handler[]",
            [
                (
                    oid,
                    oid_flags,
                    ffi.cast("ndisbridge_if_query_object", oid_query),
                    ffi.cast("ndisbridge_if_set_object", oid_set),
                )
                for oid, oid_flags, oid_query, oid_set in oid_handlers
            ],
        )
        out = ffi.new("ndisbridge_provider *")
        check_quiet(
            lib.ndisbridge_register_provider(
                self._session,
                out,
                characteristics,
                flags,
                handlers,
                len(handlers),
            )
        )
        return int(out[0])

    def deregister_provider(self, provider: int) -> None:
        check_quiet(
            lib.ndisbridge_deregister_provider(self._session, provider)
        )

    def register_interface(
        self,
        provider: int,
        net_luid: int,
        information: bytes,
        if_index: int,
        context: int,
    ) -> tuple[int, int]:
        """
        Status and ifIndex.  A failure is for the caller to raise, who has
        the context to let go of.
        """
        out = ffi.new("uint32_t *", _u32(if_index))
        cdata = ffi.from_buffer(
            "ndisbridge_net_if_information[]",
            aligned_copy(information),
        )
        _fastcall.take_parked()
        status = lib.ndisbridge_register_interface(
            self._session,
            out,
            provider,
            _u64(net_luid),
            cdata,
            len(information),
            ffi.cast("void *", context),
        )
        return int(status), int(out[0])

    def register_interfaces(
        self,
        provider: int,
        net_luids: Sequence[int],
        information: Sequence[bytes],
        if_indexes: Sequence[int],
        contexts: Sequence[int],
    ) -> tuple[list[int], list[int], list[BaseException]]:
        """
        ifIndexes (0 where it failed), statuses, and what the store raised
        when it was asked to confirm: nothing, or one exception for all that
        it was asked for.  All sequences are of one length.  An NdisError
        says that nothing was tried.
        """
        count = len(net_luids)
        stride = aligned(max(map(len, information), default=FIXED))
        blocks = ffi.new("uint64_t[]", count * stride // 8)
        raw = ffi.buffer(blocks)
        for i, block in enumerate(information):
            raw[i * stride : i * stride + len(block)] = block
        indexes = ffi.new("uint32_t[]", [_u32(each) for each in if_indexes])
        statuses = ffi.new("ndisbridge_status[]", count)
        _fastcall.take_parked()
        status = lib.ndisbridge_register_interfaces(
            self._session,
            indexes,
            statuses,
            provider,
            ffi.new("ndisbridge_net_luid[]", list(net_luids)),
            blocks,
            stride,
            ffi.new(
                "void *[]", [ffi.cast("void *", each) for each in contexts]
            ),
            count,
        )
        if status not in {_SUCCESS, _FAILURE}:
            raise error_for(status)
        return list(indexes), list(statuses), _fastcall.take_parked()

    def deregister_interface(self, if_index: int, timeout_ms: int) -> int:
        """The status: see GONE and GOING."""
        _fastcall.take_parked()
        return int(
            lib.ndisbridge_deregister_interface(
                self._session, if_index, timeout_ms
            )
        )

    def has_if_index(self, if_index: int) -> bool:
        """
        Whether an interface has it, even one that is being deregistered,
        which no lookup finds: asked to go again, it says so.
        """
        with contextlib.suppress(InterfaceNotFoundError):
            self.fast.get_net_luid(if_index)
            return True
        status = lib.ndisbridge_deregister_interface(
            self._session, if_index, 0
        )
        return bool(status != _NOT_FOUND)

    def interface_count(self) -> int:
        count = int(lib.ndisbridge_interface_count(self._session))
        if count == 0:
            # There are none, or the core refuses to say: then this raises.
            with contextlib.suppress(InterfaceNotFoundError):
                self.fast.get_net_luid(0)
        return count

    def query_binding(self, if_index: int) -> tuple[int, int, int, int]:
        """(bound ifIndex, bound NET_LUID, lowest ifIndex, its NET_LUID)."""
        indexes = ffi.new("uint32_t[2]")
        net_luids = ffi.new("ndisbridge_net_luid[2]")
        check_quiet(
            lib.ndisbridge_query_binding_if_index(
                self._session,
                indexes,
                net_luids,
                indexes + 1,
                net_luids + 1,
                _u32(if_index),
            )
        )
        return indexes[0], net_luids[0], indexes[1], net_luids[1]

    # -- stack

    def add_if_stack_entry(self, higher: int, lower: int) -> None:
        check_quiet(
            lib.ndisbridge_add_if_stack_entry(
                self._session, _u32(higher), _u32(lower)
            )
        )

    def delete_if_stack_entry(self, higher: int, lower: int) -> None:
        check_quiet(
            lib.ndisbridge_delete_if_stack_entry(
                self._session, _u32(higher), _u32(lower)
            )
        )

    def stack_table(self, inverted: bool) -> memoryview:
        if inverted:
            copy = lib.ndisbridge_get_inverted_if_stack_table
            row = "ndisbridge_mib_invertedifstack_row[]"
        else:
            copy = lib.ndisbridge_get_if_stack_table
            row = "ndisbridge_mib_ifstack_row[]"
        return self._table(
            lambda rows, count: copy(self._session, rows, count), row
        )

    def _table(self, copy: Callable[[Any, Any], int], row: str) -> memoryview:
        """Bytes of a table, usually by one call: it is much as last time."""
        size = ffi.sizeof(ffi.typeof(row).item)
        count = ffi.new("uint32_t *")
        room = self._rooms.get(row, 0)
        while True:
            room += room // 8 + 8
            rows = bytearray(room * size)
            count[0] = room
            status = copy(ffi.from_buffer(row, rows), count)
            room = self._rooms[row] = count[0]
            if status != _TOO_SHORT:
                check(status)
                return memoryview(rows)[: room * size]

    # -- values, OIDs

    def publish(self, net_luid: int, values: dict[str, Any]) -> None:
        published = take_published(values)
        status = lib.ndisbridge_publish(
            self._session, _u64(net_luid), published
        )
        give_back(published)
        check_quiet(status)

    def replace_information(self, net_luid: int, information: bytes) -> None:
        check_quiet(
            lib.ndisbridge_replace_interface_information(
                self._session,
                _u64(net_luid),
                ffi.from_buffer(
                    "ndisbridge_net_if_information[]",
                    aligned_copy(information),
                ),
                len(information),
            )
        )

    def publish_many(
        self, net_luids: Sequence[int], values: Any, stride: int
    ) -> int:
        """values: cdata of the first ndisbridge_published."""
        out = ffi.new("uint32_t *")
        status = lib.ndisbridge_publish_many(
            self._session,
            out,
            ffi.new("ndisbridge_net_luid[]", list(net_luids)),
            len(net_luids),
            values,
            stride,
        )
        if status not in {_SUCCESS, _FAILURE}:
            raise error_for(status)
        return int(out[0])

    def query_many(
        self, net_luids: Any, oid: int, size: int
    ) -> tuple[bytearray, memoryview, memoryview, list[BaseException]]:
        """
        Answers size bytes apart, their lengths, statuses, exceptions.

        For an OID without a fixed size it must be aligned().
        """
        if isinstance(net_luids, (list, tuple)):
            net_luids = array("Q", net_luids)
        with ffi.from_buffer("ndisbridge_net_luid[]", net_luids) as luids:
            count = len(luids)
            output = bytearray(count * size)
            lengths = bytearray(4 * count)
            statuses = bytearray(4 * count)
            _fastcall.take_parked()
            status = lib.ndisbridge_query_many(
                self._session,
                ffi.from_buffer(output),
                size,
                ffi.from_buffer("uint32_t[]", lengths),
                ffi.from_buffer("ndisbridge_status[]", statuses),
                luids,
                count,
                oid,
            )
        exceptions = take_handled()
        if status not in {_SUCCESS, _FAILURE}:
            raise error_for(status)
        return (
            output,
            memoryview(lengths).cast("I"),
            memoryview(statuses).cast("i"),
            exceptions,
        )

    def set(self, net_luid: int, oid: int, value: bytes) -> None:
        _fastcall.take_parked()
        check(
            lib.ndisbridge_set(
                self._session, _u64(net_luid), _u32(oid), value, len(value)
            )
        )

    def if_table(self, level: int) -> memoryview:
        _fastcall.take_parked()
        table = self._table(
            lambda rows, count: lib.ndisbridge_get_if_table(
                self._session, rows, count, _u32(level)
            ),
            "ndisbridge_mib_if_row2[]",
        )
        # A row whose handler fails is there, with what is known without it.
        take_handled()
        return table

    def if_entry(self, net_luid: int, level: int) -> bytes:
        _fastcall.take_parked()
        out = ffi.new("ndisbridge_mib_if_row2 *")
        check(
            lib.ndisbridge_get_if_entry(
                self._session, out, _u64(net_luid), _u32(level)
            )
        )
        take_handled()
        return bytes(ffi.buffer(out))
