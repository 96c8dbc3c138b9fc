# SPDX-License-Identifier: MIT
"""A space of 2^24 indexes at a given occupancy: what is free in it, at random
and the same for whoever is measured."""

from __future__ import annotations

import ctypes
import random
from array import array
from functools import lru_cache
from itertools import compress
from typing import Any

import ndisbridge as ndis

ETHERNET = int(ndis.IfType.ETHERNET_CSMACD)
SPACE = 1 << 24
#: Percent of the space.
OCCUPANCIES = [0, 50, 99, 99.99]
#: Also where there is no Python in between: 17 indexes are free.
C_OCCUPANCIES = [*OCCUPANCIES, 99.9999]
#: Indexes that a churn holds.
WINDOW = 65_536


@lru_cache(maxsize=2)
def vacant(percent: float) -> array[int]:
    """The free indexes, ascending."""
    if not percent:
        return array("I", range(SPACE))
    chance = random.Random(7)
    if percent == 50:
        bits = bin(int.from_bytes(b"\1" + chance.randbytes(SPACE // 8)))
        zero = ord("0").__ne__
        return array("I", compress(range(SPACE), map(zero, bits[3:].encode())))
    count = round(SPACE * (1 - percent / 100))
    return array("I", sorted(chance.sample(range(SPACE), count)))


def occupied(percent: float, count: int = WINDOW) -> list[int]:
    """Some of those that are not free, at random."""
    free = bytearray(SPACE)
    for index in vacant(percent):
        free[index] = 1
    chance, found = random.Random(8), dict[int, None]()
    while len(found) < count:
        index = chance.randrange(SPACE)
        if not free[index]:
            found[index] = None
    return list(found)


def fill(session: ndis.Session, percent: float) -> None:
    """Occupies that part of the Ethernet space of a session."""
    if percent:
        every = session.allocate_net_luid_indexes(ETHERNET, SPACE)
        assert len(every) == SPACE
        free = memoryview(vacant(percent))
        assert session.free_net_luid_indexes(ETHERNET, free) == len(free)


def as_c(indexes: array[int]) -> ctypes.Array[Any]:
    return (ctypes.c_uint32 * len(indexes)).from_buffer(indexes)
