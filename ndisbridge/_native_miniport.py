# SPDX-License-Identifier: MIT
"""
The crossing into miniport drivers in C, beside that into the core
(:mod:`ndisbridge._native`): one function is one call of the driver's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from ._native import describe_oid, function_address
from ._native_hooks import status_of
from ._ndisbridge import ffi, lib
from ._numbering import put_numbered
from .exceptions import (
    InvalidDataError,
    InvalidParameterError,
    InvalidStateError,
    error_for,
)

_SUCCESS = lib.NDISBRIDGE_STATUS_SUCCESS
_FAILURE = lib.NDISBRIDGE_STATUS_FAILURE
_PENDING = lib.NDISBRIDGE_STATUS_PENDING
_BUFFER_OVERFLOW = -2147483643
#: Answers by which a driver asks for more room.
_WANTS_ROOM = {
    lib.NDISBRIDGE_STATUS_BUFFER_TOO_SHORT,
    lib.NDISBRIDGE_STATUS_INVALID_LENGTH,
    _BUFFER_OVERFLOW,
}
#: How often an answer may have grown while it was asked for.
_MOST_ROUNDS = 16
#: Bytes of room at first for what has no fixed size, and at most.
_FIRST_ROOM = 1024
_MOST_ROOM = 1 << 24

#: The function that drivers indicate by; made for Python, not in the header.
_INDICATE_STATUS = "nb_py_indicate_status"

#: What a driver may do with its handle, by the handle.
_indicators: dict[int, Callable[[int, bytes], None]] = {}
_handles = itertools.count(1)

#: Members of the attributes that are plain numbers.
NUMBERS = tuple(
    name
    for name, field in ffi.typeof(
        "ndisbridge_miniport_general_attributes"
    ).fields
    if field.type.kind == "primitive"
    and name not in {"mac_address_length", "supported_oid_list_length"}
)


def characteristics(pointer: Any) -> dict[str, int]:
    """
    The functions of an ndisbridge_miniport_driver_characteristics, by their
    names, and its flags.

    Raises:
        InvalidParameterError: There are no functions for OIDs, or it has
            flags that nobody knows.
        NotSupportedError: It is of an unknown revision.
    """
    given = ffi.cast(
        "ndisbridge_miniport_driver_characteristics *",
        function_address(pointer),
    )
    if given == ffi.NULL:
        raise InvalidParameterError("there are no characteristics at NULL")
    header = given.header
    if (
        header.type != lib.NDISBRIDGE_OBJECT_TYPE_DEFAULT
        or header.revision != lib.NDISBRIDGE_OBJECT_REVISION_1
        or header.size < ffi.sizeof(given[0])
    ):
        raise error_for(lib.NDISBRIDGE_STATUS_NOT_SUPPORTED)
    if given.flags & ~lib.NDISBRIDGE_HANDLER_NON_BLOCKING:
        raise InvalidParameterError(f"there are no flags 0x{given.flags:x}")
    found = {
        name: int(ffi.cast("uintptr_t", getattr(given, f"{name}_handler")))
        for name in ("initialize", "halt", "oid_query", "oid_set")
    }
    found["flags"] = int(given.flags)
    return found


def _check(status: int) -> None:
    if status != _SUCCESS:
        raise error_for(_FAILURE if status == _PENDING else status)


def query(address: int, context: int, oid: int) -> bytes:
    """
    Ask a driver for an OID.

    Raises:
        InvalidDataError: It wrote more than fits, or asks for more room
            without end.
        NdisError: What else it answered.
    """
    function = ffi.cast("ndisbridge_if_query_object", address)
    length = ffi.new("uint32_t *")
    entry = describe_oid(oid)
    room = (entry or {}).get("size", 0)
    fixed = bool(room) and (entry or {})["size_rule"] in {
        lib.NDISBRIDGE_OID_SIZE_FIXED,
        lib.NDISBRIDGE_OID_SIZE_COUNTER,
        lib.NDISBRIDGE_OID_SIZE_COUNTED_STRING,
    }
    if not fixed:
        room = _FIRST_ROOM
    for _ in range(_MOST_ROUNDS):
        # In words: the driver may write any type.
        output = ffi.new("uint64_t[]", (room + 7) // 8)
        length[0] = room
        status = function(ffi.cast("void *", context), oid, length, output)
        if status not in _WANTS_ROOM:
            _check(status)
            if length[0] > room:
                break
            return bytes(ffi.buffer(output, length[0]))
        if fixed or not room < length[0] <= _MOST_ROOM:
            break
        room = length[0]
    raise InvalidDataError(
        f"a driver told {length[0]} bytes of an answer to OID 0x{oid:08x} "
        f"for which it had {room}"
    )


def set_(address: int, context: int, oid: int, value: bytes) -> None:
    """
    Set an OID of a driver.

    Raises:
        NdisError: What it answered.
    """
    function = ffi.cast("ndisbridge_if_set_object", address)
    words = ffi.new("uint64_t[]", (len(value) + 7) // 8)
    ffi.memmove(words, value, len(value))
    _check(function(ffi.cast("void *", context), oid, len(value), words))


def initialize(
    address: int,
    driver_context: int,
    indicate: Callable[[int, bytes], None],
    parameters: Mapping[str, int],
    attributes: Mapping[str, Any],
    halt_address: int = 0,
) -> tuple[int, int, dict[str, Any]]:
    """
    Let a driver initialize an adapter.

    Args:
        address: Its function.
        driver_context: Its context.
        indicate: What it indicates goes to, with the raw bytes.
        parameters: if_index, net_luid.
        attributes: What it finds in the attributes; ``permanent_mac_address``
            and ``current_mac_address`` are bytes of one length.
        halt_address: Its function that ends what it has begun, if it
            succeeds with attributes that are none.

    Returns:
        The handle it has, the adapter's context, and the attributes.

    Raises:
        InvalidParameterError: The attributes are none.
        NdisError: What it answered.
    """
    given = ffi.new("ndisbridge_miniport_init_parameters *")
    given.header = _header(given)
    given.if_index = parameters["if_index"]
    given.net_luid = parameters["net_luid"]
    told = ffi.new("ndisbridge_miniport_general_attributes *")
    told.header = _header(told)
    for name in NUMBERS:
        setattr(told, name, int(attributes[name]))
    told.mac_address_length = len(attributes["current_mac_address"])
    for name in ("permanent_mac_address", "current_mac_address"):
        setattr(told, name, attributes[name].ljust(32, b"\0"))
    context = ffi.new("void **", ffi.cast("void *", driver_context))
    handle = put_numbered(_indicators, _handles, indicate)
    try:
        _check(
            ffi.cast("ndisbridge_miniport_initialize", address)(
                context,
                ffi.cast("void *", driver_context),
                ffi.cast("void *", handle),
                getattr(lib, _INDICATE_STATUS),
                given,
                told,
            )
        )
    except BaseException:
        _indicators.pop(handle, None)
        raise
    adapter_context = int(ffi.cast("uintptr_t", context[0]))
    try:
        return handle, adapter_context, _attributes(told)
    except BaseException:
        halt(halt_address, adapter_context, handle)
        raise


def _header(structure: Any) -> dict[str, int]:
    return {
        "type": lib.NDISBRIDGE_OBJECT_TYPE_DEFAULT,
        "revision": lib.NDISBRIDGE_OBJECT_REVISION_1,
        "size": ffi.sizeof(structure[0]),
    }


def _attributes(told: Any) -> dict[str, Any]:
    length = told.mac_address_length
    if length > len(told.current_mac_address):
        raise InvalidParameterError(
            f"an address of {length} bytes does not fit"
        )
    oids = told.supported_oid_list
    count = told.supported_oid_list_length // 4 if oids else 0
    found: dict[str, Any] = {name: getattr(told, name) for name in NUMBERS}
    for name in ("permanent_mac_address", "current_mac_address"):
        found[name] = bytes(getattr(told, name))[:length]
    found["if_connector_present"] = bool(told.if_connector_present)
    found["supported_oid_list"] = tuple(
        ffi.unpack(oids, count) if count else ()
    )
    return found


def halt(address: int, context: int, handle: int) -> None:
    """Let a driver end an adapter; its handle is none any more."""
    try:
        if address:
            ffi.cast("ndisbridge_miniport_halt", address)(
                ffi.cast("void *", context)
            )
    finally:
        _indicators.pop(handle, None)


def _told(_type: Any, value: BaseException, _traceback: Any) -> int:
    return status_of(value)


@ffi.def_extern(error=_FAILURE, onerror=_told)
def nb_py_indicate_status(
    handle: Any, status_code: int, status_buffer: Any, size: int
) -> int:
    indicate = _indicators.get(int(ffi.cast("uintptr_t", handle)))
    if indicate is None:
        raise InvalidStateError("the adapter has been halted")
    raw = bytes(ffi.buffer(status_buffer, size)) if size else b""
    indicate(status_code, raw)
    return _SUCCESS
