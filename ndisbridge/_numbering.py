# SPDX-License-Identifier: MIT
"""Numbers by which C knows what is Python's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

_T = TypeVar("_T")


def put_numbered(table: dict[int, _T], numbers: Iterator[int], put: _T) -> int:
    """Put something under a number of its own, which is returned."""
    # Without the GIL a counter may say one number twice.
    while table.setdefault(number := next(numbers), put) is not put:
        pass
    return number
