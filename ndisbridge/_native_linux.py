# SPDX-License-Identifier: MIT
"""
The links of a Linux host, by cffi: the part of :mod:`ndisbridge._native`
that proxies need.
"""

from __future__ import annotations

import os
from typing import Any

from ._native import ffi, from_utf16, lib
from .exceptions import NdisError, error_for

CHANGE_LINK = int(lib.NDISBRIDGE_LINUX_CHANGE_LINK)
CHANGE_GONE = int(lib.NDISBRIDGE_LINUX_CHANGE_GONE)
CHANGE_RESYNC = int(lib.NDISBRIDGE_LINUX_CHANGE_RESYNC)

_SUCCESS = int(lib.NDISBRIDGE_STATUS_SUCCESS)
_FAILURE = int(lib.NDISBRIDGE_STATUS_FAILURE)
_TOO_SHORT = int(lib.NDISBRIDGE_STATUS_BUFFER_TOO_SHORT)
#: Changes that are taken at once.
_CHANGES = 256


def _counter_fields() -> int:
    """The bits of all counters, in ndisbridge_published.fields."""
    return sum(
        1 << bit
        for bit, (name, _) in enumerate(
            ffi.typeof("ndisbridge_interface_information").fields
        )
        if name.startswith(("if_in_", "if_out_", "if_hc_"))
    )


_COUNTERS = _counter_fields()


class LinuxLinks:
    """
    Records of links: of one dump, or of changes.

    ``raw`` is an array of ndisbridge_linux_link, or of a structure that has
    one at offset; ``len()`` of them are in use.
    """

    def __init__(
        self,
        raw: Any,
        count: int,
        records: list[Any] | None = None,
    ) -> None:
        self.raw = raw
        self._count = count
        self._records = records

    def __len__(self) -> int:
        return self._count

    def record(self, i: int) -> Any:
        """One ndisbridge_linux_link."""
        return self.raw[i] if self._records is None else self._records[i]
