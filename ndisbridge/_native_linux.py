# SPDX-License-Identifier: MIT
"""
The links of a Linux host: the part of the crossing into C that proxies
need, beside :mod:`ndisbridge._native`.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from ._native import Core
from ._native_structures import from_utf16
from ._ndisbridge import ffi, lib
from .exceptions import InvalidStateError, NdisError, error_for

CHANGE_LINK = int(lib.NDISBRIDGE_LINUX_CHANGE_LINK)
CHANGE_GONE = int(lib.NDISBRIDGE_LINUX_CHANGE_GONE)
CHANGE_RESYNC = int(lib.NDISBRIDGE_LINUX_CHANGE_RESYNC)

_SUCCESS = lib.NDISBRIDGE_STATUS_SUCCESS
_FAILURE = lib.NDISBRIDGE_STATUS_FAILURE
_TIMEOUT = lib.NDISBRIDGE_STATUS_TIMEOUT
_TOO_SHORT = lib.NDISBRIDGE_STATUS_BUFFER_TOO_SHORT
_ALIAS = int(lib.NDISBRIDGE_PUBLISH_ALIAS)
#: Changes that are taken at once.
_CHANGES = 256
#: Links that there is room for at first.  Pages that no link needs are never
#: touched.
_ROOM = 16384
_LINK_SIZE = ffi.sizeof("ndisbridge_linux_link")
_PUBLISHED = ffi.offsetof("ndisbridge_linux_link", "published")
# The values that are no counters lie before and behind those.
_VALUES = _PUBLISHED + ffi.offsetof("ndisbridge_published", "information")
_VALUES_END = _VALUES + ffi.offsetof(
    "ndisbridge_interface_information", "if_last_change"
)
_ADMIN_STATUS = _PUBLISHED + ffi.offsetof(
    "ndisbridge_published", "admin_status"
)
_COUNTERS = int(lib.NDISBRIDGE_PUBLISH_STATISTICS)
#: What is read of a record, by members of ndisbridge_linux_link, or of its
#: ndisbridge_published or ndisbridge_interface_information.
MEMBERS = (
    "if_index",
    "master_if_index",
    "flags",
    "arphrd",
    "if_type",
    "tagged_net_luid",
    "address.length",
    "address.address",
    "permanent_address.length",
    "permanent_address.address",
    "name",
    "kind",
    "parent_device",
    "access_type",
    "connector_present",
    "media_type",
    "physical_medium_type",
    "lower_if_index",
    "published.information.if_oper_status",
    "published.information.if_mtu",
    "published.information.xmit_link_speed",
    "published.information.supported_statistics",
    "published.admin_status",
    "published.alias.length",
)


def _record() -> struct.Struct:
    """Reads MEMBERS, which are in the order of the record, at once."""
    codes = {"uint16_t": "H", "uint32_t": "I", "uint64_t": "Q"}
    pattern, at = "=", 0
    for path in MEMBERS:
        names = path.split(".")
        offset = ffi.offsetof("ndisbridge_linux_link", *names)
        c_type = ffi.typeof("ndisbridge_linux_link")
        for name in names:
            c_type = dict(c_type.fields)[name].type
        size = ffi.sizeof(c_type)
        code = f"{size}s" if c_type.kind == "array" else codes[c_type.cname]
        pattern += f"{offset - at}x{code}"
        at = offset + size
    return struct.Struct(pattern)


_RECORD = _record()
_new_untouched = ffi.new_allocator(should_clear_after_alloc=False)


def _os_error(error_number: int, what: str) -> OSError:
    return OSError(error_number, f"{what}: {os.strerror(error_number)}")


class LinuxLinks:
    """
    Records of links, ``count`` of them, ``stride`` bytes apart.

    They are published as they are, by way of :meth:`publish`.
    """

    def __init__(
        self, keep: Any, first: Any, count: int, stride: int = _LINK_SIZE
    ) -> None:
        self._keep = keep
        self._first = ffi.cast("uint8_t *", first)
        self._count = count
        self._stride = stride
        self._bytes = memoryview(ffi.buffer(self._first, count * stride))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> Any:
        """One ndisbridge_linux_link."""
        return ffi.cast("ndisbridge_linux_link *", self._first + self._at(i))

    def _at(self, i: int) -> int:
        if not 0 <= i < self._count:
            raise IndexError(i)
        return i * self._stride

    def if_indexes(self) -> memoryview:
        """The ifIndex of each."""
        return self._bytes.cast("I")[:: self._stride // 4]

    def fingerprint(self, i: int) -> int:
        """
        Of all of a record but counters: equal, of two of them, if nothing
        else has changed.
        """
        at = i * self._stride
        return hash(
            bytes(self._bytes[at : at + _PUBLISHED])
            + self._bytes[at + _VALUES : at + _VALUES_END]
            + self._bytes[at + _ADMIN_STATUS : at + _LINK_SIZE]
        )

    def members(self, i: int) -> tuple[Any, ...]:
        """The values of one record, as MEMBERS names them."""
        return _RECORD.unpack_from(self._bytes, i * self._stride)

    def alias(self, i: int) -> str:
        """The ifalias of one link."""
        alias = self[i].published.alias
        if not alias.length:
            return ""
        return from_utf16(bytes(ffi.buffer(alias.string))[: alias.length])

    def leave_alias(self, i: int) -> None:
        """Have its alias not published: another one stands in for it."""
        self[i].published.fields &= ~_ALIAS

    def leave_counters(self, i: int) -> None:
        """Have its counters not published: later ones may be already."""
        self[i].published.fields &= ~_COUNTERS

    def publish(self, core: Core, net_luids: Sequence[int]) -> int:
        """
        Publish each for its NET_LUID, in order; 0 is skipped.  How many were.
        """
        if not self._count:
            return 0
        first = ffi.cast("ndisbridge_published *", self._first + _PUBLISHED)
        return core.publish_many(net_luids, first, self._stride)


class LinuxHandle:
    """
    ndisbridge_linux_host: the links of the network namespace that this was
    made in, from any thread.  Once closed, all of it raises
    InvalidStateError.

    Raises:
        OSError: The kernel gives no socket.
    """

    def __init__(self) -> None:
        out = ffi.new("ndisbridge_linux_host **")
        error_number = ffi.new("int32_t *")
        status = lib.ndisbridge_open_linux_host(out, error_number)
        if status != _SUCCESS:
            if error_number[0]:
                raise _os_error(error_number[0], "no access to the links")
            raise error_for(status)
        self._room = _ROOM
        self._open: Any = ffi.gc(out[0], lib.ndisbridge_close_linux_host)

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._open is None

    @property
    def _host(self) -> Any:
        if self._open is None:
            raise InvalidStateError("it is closed")
        return self._open

    def links(self) -> LinuxLinks:
        """
        All links, from one dump.

        Raises:
            OSError: The kernel did not tell them.
        """
        count = ffi.new("uint32_t *")
        error_number = ffi.new("int32_t *")
        while True:
            raw = _new_untouched("ndisbridge_linux_link[]", self._room)
            count[0] = self._room
            status = lib.ndisbridge_read_linux_links(
                self._host, raw, count, error_number
            )
            if status == _SUCCESS:
                return LinuxLinks(raw, raw, count[0])
            if status == _TOO_SHORT:
                self._room = count[0] + count[0] // 8
                continue
            if status == _FAILURE and error_number[0]:
                raise _os_error(
                    error_number[0], "the links of this host can't be read"
                )
            raise error_for(status)

    def link(self, if_index: int) -> LinuxLinks:
        """
        One link.

        Raises:
            NdisError: There is none, or the kernel did not tell it.
        """
        raw = ffi.new("ndisbridge_linux_link *")
        status = lib.ndisbridge_read_linux_link(
            self._host, raw, if_index, ffi.NULL
        )
        if status != _SUCCESS:
            raise error_for(status)
        return LinuxLinks(raw, raw, 1)

    def set(self, if_index: int, oid: int, value: bytes) -> None:
        """
        ndisbridge_set_linux_link().

        Raises:
            NdisError: The status of the refusal; its text is the kernel's.
        """
        error_number = ffi.new("int32_t *")
        status = lib.ndisbridge_set_linux_link(
            self._host, if_index, oid, value, len(value), error_number
        )
        if status != _SUCCESS:
            raise _refusal(status, error_number[0])

    def tag(self, if_index: int, net_luid: int, previous: int = 0) -> None:
        """
        ndisbridge_tag_linux_link().

        Raises:
            OSError: The kernel refused.
        """
        error_number = ffi.new("int32_t *")
        status = lib.ndisbridge_tag_linux_link(
            self._host, if_index, net_luid, previous, error_number
        )
        if error_number[0]:
            raise _os_error(error_number[0], "the tag could not be written")
        if status != _SUCCESS:
            raise error_for(status)

    def close(self) -> None:
        """Close it; nothing may be using it.  Again, it does nothing."""
        opened, self._open = self._open, None
        if opened is not None:
            ffi.release(opened)


def _refusal(status: int, error_number: int) -> NdisError:
    error = error_for(
        status,
        f"the kernel refuses: {os.strerror(error_number)}"
        if error_number
        else None,
    )
    if error_number and isinstance(error, OSError):
        error.errno = error_number
    return error


class LinuxChanges:
    """What one wake-up has brought, in order."""

    def __init__(self, raw: Any, count: int) -> None:
        self._raw = raw
        self._count = count
        #: The record of each; of one that is gone, its ifIndex and name.
        self.links = LinuxLinks(
            raw,
            ffi.cast("uint8_t *", raw)
            + ffi.offsetof("ndisbridge_linux_change", "link"),
            count,
            ffi.sizeof("ndisbridge_linux_change"),
        )

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Kind and ifIndex of each."""
        for i in range(self._count):
            change = self._raw[i]
            yield change.kind, change.link.if_index


class LinuxMonitor:
    """
    ndisbridge_linux_monitor: hears of the changes of links in the network
    namespace that this was made in.

    Args:
        receive_buffer: Bytes of changes that may wait; 0 for plenty.

    Raises:
        OSError: The kernel gives no socket.
    """

    def __init__(self, receive_buffer: int = 0) -> None:
        out = ffi.new("ndisbridge_linux_monitor **")
        error_number = ffi.new("int32_t *")
        status = lib.ndisbridge_open_linux_monitor(
            out, receive_buffer, error_number
        )
        if status != _SUCCESS:
            if error_number[0]:
                raise _os_error(error_number[0], "no changes can be heard of")
            raise error_for(status)
        self._open: Any = ffi.gc(out[0], lib.ndisbridge_close_linux_monitor)
        self._raw = ffi.new("ndisbridge_linux_change[]", _CHANGES)
        self._lock = threading.Lock()

    @property
    def _monitor(self) -> Any:
        if self._open is None:
            raise InvalidStateError("it is closed")
        return self._open

    def fileno(self) -> int:
        """What is readable when there are changes."""
        return int(lib.ndisbridge_linux_monitor_fd(self._monitor))

    def changes(self, timeout_ms: int = 0) -> LinuxChanges:
        """
        The changes that are there, good until the next call; none if none
        comes in time.

        Raises:
            OSError: The socket failed: make another.
        """
        count = ffi.new("uint32_t *", _CHANGES)
        error_number = ffi.new("int32_t *")
        with self._lock:
            status = lib.ndisbridge_next_linux_changes(
                self._monitor, self._raw, count, timeout_ms, error_number
            )
        if status in {_SUCCESS, _TIMEOUT}:
            return LinuxChanges(self._raw, count[0])
        if error_number[0]:
            raise _os_error(error_number[0], "changes of links can't be read")
        raise error_for(status)

    def close(self) -> None:
        """Close it; nothing may be using it.  Again, it does nothing."""
        opened, self._open = self._open, None
        if opened is not None:
            ffi.release(opened)
