# SPDX-License-Identifier: MIT
"""Saying what is wrong.  Not by assert: that is gone under python -O."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ..errors import StoreError
from ..records import IdentityRecord

BLOCK = 4096
EMPTY = bytes(512)


def must(holds: object, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


@contextmanager
def refused(
    expected: type[StoreError], what: str
) -> Iterator[list[StoreError]]:
    """The body must raise an error; it is put into the list."""
    caught: list[StoreError] = []
    try:
        yield caught
    except expected as error:
        caught.append(error)
        return
    except StoreError as error:
        raise AssertionError(
            f"{what}: {type(error).__name__}, not {expected.__name__}"
        ) from error
    raise AssertionError(f"{what}: no {expected.__name__}")


def essence(record: IdentityRecord | None) -> IdentityRecord | None:
    """What a store must give back as it got it."""
    return record and replace(record, created=0, in_use_by=None)


def bits_of(mask: bytes) -> int:
    return int.from_bytes(mask, "little")
