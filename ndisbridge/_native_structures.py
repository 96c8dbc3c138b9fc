# SPDX-License-Identifier: MIT
"""
Structures of the public header: their layout, and what Python makes of them.
"""

from __future__ import annotations

import struct
import sys
import threading
import uuid
from typing import Any

from ._ndisbridge import ffi, lib
from .exceptions import InvalidParameterError

#: Where a device lies, and the type of a tunnel, if nobody knows.
LOCATION_UNKNOWN = (
    int(lib.NDISBRIDGE_NIIF_BUS_NUMBER_UNKNOWN),
    int(lib.NDISBRIDGE_NIIF_SLOT_NUMBER_UNKNOWN),
    int(lib.NDISBRIDGE_NIIF_FUNCTION_NUMBER_UNKNOWN),
)
TUNNEL_TYPE_UNKNOWN = int(lib.NDISBRIDGE_NIIF_WAN_TUNNEL_TYPE_UNKNOWN)
#: The header of a structure of this version, but for its size.
HEADER = {
    "type": lib.NDISBRIDGE_OBJECT_TYPE_DEFAULT,
    "revision": lib.NDISBRIDGE_OBJECT_REVISION_1,
}
LITTLE = sys.byteorder == "little"

#: Types without fields, of which there are only pointers.
OPAQUE = {
    "ndisbridge_session",
    "ndisbridge_linux_host",
    "ndisbridge_linux_monitor",
}

# Types, functions and constants are realised now, under the import lock:
# threads never race to do it.
for _name in ffi.list_types()[0]:
    _type = ffi.typeof(_name)
    if _type.kind == "struct" and _name not in OPAQUE:
        ffi.sizeof(_type)
for _name in dir(lib):
    getattr(lib, _name)

_CODES = {
    ("primitive", 1): "B",
    ("primitive", 2): "H",
    ("primitive", 4): "I",
    ("primitive", 8): "Q",
}


def layout(name: str) -> list[tuple[str, str]]:
    """
    Members of a structure as (name, struct code), padding as ("", "Nx").

    An array or a structure inside is its bytes ("Ns").
    """
    c_type = ffi.typeof(f"ndisbridge_{name}")
    members: list[tuple[str, str]] = []
    end = 0
    for member, field in c_type.fields:
        if field.offset > end:
            members.append(("", f"{field.offset - end}x"))
        size = ffi.sizeof(field.type)
        code = _CODES.get((field.type.kind, size), f"{size}s")
        members.append((member, code))
        end = field.offset + size
    if ffi.sizeof(c_type) > end:
        members.append(("", f"{ffi.sizeof(c_type) - end}x"))
    return members


def member_offsets(name: str) -> dict[str, tuple[int, int]]:
    """Offset and size in bytes of each member of a structure."""
    return {
        member: (field.offset, ffi.sizeof(field.type))
        for member, field in ffi.typeof(f"ndisbridge_{name}").fields
    }


def size_of(name: str) -> int:
    """Bytes of a structure."""
    return int(ffi.sizeof(f"ndisbridge_{name}"))


def guid_bytes(guid: uuid.UUID) -> bytes:
    """A GUID as it lies in memory on this machine."""
    raw = guid.bytes
    # As bytes_le does, in half the time.
    return raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:] if LITTLE else raw


def guid_from_bytes(raw: bytes) -> uuid.UUID:
    """The reverse of :func:`guid_bytes`."""
    return uuid.UUID(bytes_le=raw) if LITTLE else uuid.UUID(bytes=raw)


def utf16(text: str) -> bytes:
    """Text as the ABI has it: UTF-16 of the machine, without a mark."""
    return text.encode("utf-16-le" if LITTLE else "utf-16-be", "surrogatepass")


def from_utf16(raw: bytes) -> str:
    """The reverse of :func:`utf16`, up to the first NUL."""
    text = raw.decode("utf-16-le" if LITTLE else "utf-16-be", "replace")
    return text.split("\0", 1)[0]


def limited_utf16(text: str, what: str) -> bytes:
    """UTF-16 of at most 256 units."""
    if not isinstance(text, str):
        raise TypeError(f"{what} is a str, not {type(text).__name__}")
    raw = utf16(text)
    if len(raw) > 2 * lib.NDISBRIDGE_MAX_STRING_SIZE or "\0" in text:
        raise InvalidParameterError(
            f"{what} is at most {lib.NDISBRIDGE_MAX_STRING_SIZE} UTF-16 "
            "units, without NUL"
        )
    return raw


_INFORMATION = struct.Struct("=BBHI3IIIIIIBxHHHHH16s16sIII")
FIXED = int(ffi.sizeof("ndisbridge_net_if_information"))
assert _INFORMATION.size == FIXED


def pack_information(
    *,
    interface_guid: uuid.UUID,
    network_guid: uuid.UUID,
    description: str,
    physical_address: bytes,
    permanent_address: bytes,
    flags: int,
    access_type: int,
    direction_type: int,
    connection_type: int,
    connector_present: bool,
    media_type: int,
    physical_medium_type: int,
    tunnel_type: int,
    port_number: int,
    supported_statistics: int,
    location: tuple[int, int, int],
) -> bytes:
    """NET_IF_INFORMATION with its addresses and its name behind it."""
    name = limited_utf16(description, "a description")
    length = len(physical_address)
    if length > lib.NDISBRIDGE_MAX_PHYS_ADDRESS_LENGTH:
        raise InvalidParameterError("a physical address is at most 32 bytes")
    if permanent_address and len(permanent_address) != length:
        raise InvalidParameterError(
            "the permanent address must be as long as the physical address"
        )
    return (
        _INFORMATION.pack(
            HEADER["type"],
            HEADER["revision"],
            FIXED,
            flags,
            *location,
            tunnel_type,
            port_number,
            access_type,
            direction_type,
            connection_type,
            connector_present,
            length,
            FIXED,
            FIXED + length,
            len(name),
            FIXED + 2 * length,
            guid_bytes(interface_guid),
            guid_bytes(network_guid),
            supported_statistics,
            media_type,
            physical_medium_type,
        )
        + physical_address
        + (permanent_address or bytes(length))
        + name
    )


def aligned(size: int) -> int:
    """The next multiple of 8: what any type of C may follow another at."""
    return (size + 7) & ~7


def aligned_copy(raw: bytes) -> bytearray:
    """A copy that starts where malloc does; bytes objects need not."""
    return bytearray(raw)


# ---------------------------------------------------------------------------
# Values to publish

published_names: dict[str, tuple[int, str]] = {}
for _bit, (_member, _) in enumerate(
    ffi.typeof("ndisbridge_interface_information").fields
):
    _short = _member.removeprefix("if_").removeprefix("hc_")
    published_names[_short] = (1 << _bit, _member)


_scratch = threading.local()


def give_back(published: Any) -> None:
    """For the next :func:`take_published` of this thread."""
    _scratch.published = published


def take_published(values: dict[str, Any]) -> Any:
    """
    An ndisbridge_published, filled: this thread's own, taken out of its
    place, so that a signal handler that publishes meanwhile gets another.
    """
    out = _scratch.__dict__.pop("published", None)
    if out is None:
        out = ffi.new("ndisbridge_published *")
    fields = 0
    information = out.information
    try:
        for name, value in values.items():
            found = published_names.get(name)
            if found is not None:
                fields |= found[0]
                setattr(information, found[1], value)
            elif name == "admin_status":
                fields |= lib.NDISBRIDGE_PUBLISH_ADMIN_STATUS
                out.admin_status = value
            elif name == "alias":
                raw = limited_utf16(value, "an alias")
                fields |= lib.NDISBRIDGE_PUBLISH_ALIAS
                out.alias.length = len(raw)
                ffi.memmove(out.alias.string, raw, len(raw))
            else:
                raise TypeError(f"there is no value {name!r} to publish")
    except OverflowError:
        raise InvalidParameterError(
            f"{name} is out of range: {value}"
        ) from None
    out.fields = fields
    return out
