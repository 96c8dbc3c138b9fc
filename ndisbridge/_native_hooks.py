# SPDX-License-Identifier: MIT
"""
The hooks of a store, which the core calls.

What a hook raises is parked with its thread, and raised by whoever called
the core there.
"""

from __future__ import annotations

from typing import Any

from . import _fastcall
from ._ndisbridge import ffi, lib

_SUCCESS = lib.NDISBRIDGE_STATUS_SUCCESS
_FAILURE = lib.NDISBRIDGE_STATUS_FAILURE


def status_of(exception: BaseException) -> int:
    """What the core is told where a hook has raised."""
    status = getattr(exception, "status", None)
    return status if isinstance(status, int) and status < 0 else _FAILURE


def _park(_type: Any, value: BaseException, _traceback: Any) -> int:
    _fastcall.park(value)
    return status_of(value)


def _park_only(_type: Any, value: BaseException, _traceback: Any) -> None:
    """For a hook whose status closing returns: it is told from its own."""
    _fastcall.park(value)


def _sets(sets: Any, count: int) -> list[tuple[int, list[tuple[int, bytes]]]]:
    """Index sets of C as a store takes them."""
    return [
        (
            sets[i].if_type,
            [
                (
                    sets[i].blocks[j].block,
                    bytes(ffi.buffer(sets[i].blocks[j].mask)),
                )
                for j in range(sets[i].block_count)
            ],
        )
        for i in range(count)
    ]


@ffi.def_extern(error=_FAILURE, onerror=_park)
def nb_py_lease_blocks(
    context: Any, leases: Any, count: Any, if_type: int, low: int, high: int
) -> int:
    store = ffi.from_handle(context)
    found = store.lease_blocks(if_type, low, high, count[0])
    if not found:
        return int(
            lib.NDISBRIDGE_STATUS_IN_USE
            if low == high
            else lib.NDISBRIDGE_STATUS_RESOURCES
        )
    for i, (block, retained) in enumerate(found):
        leases[i].block = block
        ffi.memmove(leases[i].mask, retained, ffi.sizeof(leases[i].mask))
    count[0] = len(found)
    return int(_SUCCESS)


@ffi.def_extern(error=_FAILURE, onerror=_park_only)
def nb_py_return_blocks(
    context: Any, if_type: int, blocks: Any, count: int
) -> int:
    ffi.from_handle(context).return_blocks(if_type, ffi.unpack(blocks, count))
    return int(_SUCCESS)


@ffi.def_extern(error=_FAILURE, onerror=_park)
def nb_py_retain(
    context: Any, sets: Any, count: int, flags: int, record: Any
) -> int:
    identities, updates = (
        ((), ()) if record == ffi.NULL else ffi.from_handle(record)
    )
    persistent = not flags & lib.NDISBRIDGE_RETAIN_NON_PERSISTENT
    ffi.from_handle(context).retain(
        _sets(sets, count), identities, persistent=persistent, updates=updates
    )
    return int(_SUCCESS)


@ffi.def_extern(error=_FAILURE, onerror=_park)
def nb_py_release(
    context: Any, sets: Any, count: int, flags: int, record: Any
) -> int:
    identities = () if record == ffi.NULL else ffi.from_handle(record)[0]
    persistent = not flags & lib.NDISBRIDGE_RETAIN_NON_PERSISTENT
    ffi.from_handle(context).release(
        _sets(sets, count), identities, persistent=persistent
    )
    return int(_SUCCESS)


@ffi.def_extern(error=_FAILURE, onerror=_park)
def nb_py_confirm(
    context: Any, net_luids: Any, if_indexes: Any, count: int
) -> int:
    ffi.from_handle(context).confirm(
        ffi.unpack(net_luids, count), ffi.unpack(if_indexes, count)
    )
    return int(_SUCCESS)


@ffi.def_extern(error=_FAILURE, onerror=_park)
def nb_py_unconfirm(context: Any, net_luids: Any, count: int) -> int:
    ffi.from_handle(context).unconfirm(ffi.unpack(net_luids, count))
    return int(_SUCCESS)


HOOKS = (
    "lease_blocks",
    "return_blocks",
    "retain",
    "release",
    "confirm",
    "unconfirm",
)
