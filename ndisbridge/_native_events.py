# SPDX-License-Identifier: MIT
"""
The crossing into C for events: with _native the only module that calls
cffi's ``lib``.
"""

from __future__ import annotations

import struct

from . import _native
from ._ndisbridge import ffi, lib
from .exceptions import InvalidStateError, error_for

#: Greatest capacity of a subscription.
CAPACITY_MAX = int(lib.NDISBRIDGE_SUBSCRIPTION_CAPACITY_MAX)
#: Bits of published fields that are counters.
STATISTICS_FIELDS = int(lib.NDISBRIDGE_PUBLISH_STATISTICS)

INITIAL = int(lib.NDISBRIDGE_SUBSCRIBE_INITIAL)
NO_IDENTITIES = int(lib.NDISBRIDGE_SUBSCRIBE_NO_IDENTITIES)

_SUCCESS = lib.NDISBRIDGE_STATUS_SUCCESS
_TIMEOUT = lib.NDISBRIDGE_STATUS_TIMEOUT
#: The subscription has ended, or its session has.
_OVER = {
    lib.NDISBRIDGE_STATUS_INVALID_PARAMETER,
    lib.NDISBRIDGE_STATUS_INVALID_STATE,
}
_EVENT = struct.Struct("=QQQQQIIIIII")
assert _EVENT.size == ffi.sizeof("ndisbridge_event")

#: An event as it comes from C: (net_luid, time, changed, missed, token,
#: if_index, kind, link, oper_status, admin_status, lower_if_index).
RawEvent = tuple[int, int, int, int, int, int, int, int, int, int, int]


class Ring:
    """One subscription of the core."""

    def __init__(self, core: _native.Core, capacity: int, flags: int) -> None:
        # What C frees with the session must not go before this does.
        self._core = core
        self._session = core._session
        out = ffi.new("ndisbridge_subscription *")
        status = lib.ndisbridge_subscribe(
            self._session,
            out,
            min(max(capacity, 0), CAPACITY_MAX + 1),
            flags,
        )
        _native.check_quiet(status)
        self._handle = out[0]

    def fetch(self, most: int, timeout_ms: int) -> list[RawEvent] | None:
        """Up to most events; none in time is []; None when it is over."""
        events = ffi.new("ndisbridge_event[]", most)
        count = ffi.new("uint32_t *", most)
        status = lib.ndisbridge_next_events(
            self._session, events, count, self._handle, timeout_ms
        )
        if status == _SUCCESS:
            raw = ffi.buffer(events, count[0] * _EVENT.size)
            return [*_EVENT.iter_unpack(raw)]
        if status == _TIMEOUT:
            return []
        if status in _OVER:
            return None
        raise error_for(status)

    def descriptor(self) -> int:
        """What polls as readable while there is something to fetch."""
        out = ffi.new("int32_t *")
        status = lib.ndisbridge_get_subscription_descriptor(
            self._session, out, self._handle
        )
        if status in _OVER:
            raise InvalidStateError("the subscription is closed")
        _native.check_quiet(status)
        return int(out[0])

    def close(self) -> None:
        """End it; twice is once."""
        lib.ndisbridge_unsubscribe(self._session, self._handle)


def post_identity_event(
    core: _native.Core, net_luid: int, if_index: int, change: int, token: int
) -> bool:
    """ndisbridge_post_identity_event(); False once the session is closed."""
    status = lib.ndisbridge_post_identity_event(
        core._session, net_luid, if_index, change, token
    )
    return bool(status == _SUCCESS)


def if_table_last_change(core: _native.Core) -> int:
    """ndisbridge_get_if_table_last_change()."""
    out = ffi.new("uint64_t *")
    _native.check_quiet(
        lib.ndisbridge_get_if_table_last_change(core._session, out)
    )
    return int(out[0])


def if_stack_last_change(core: _native.Core) -> int:
    """ndisbridge_get_if_stack_last_change()."""
    out = ffi.new("uint64_t *")
    _native.check_quiet(
        lib.ndisbridge_get_if_stack_last_change(core._session, out)
    )
    return int(out[0])
