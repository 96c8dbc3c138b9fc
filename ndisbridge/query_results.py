# SPDX-License-Identifier: MIT
"""What many interfaces answer to one OID."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .structures import decode


class QueryResults(Sequence[Any]):
    """
    Answers of many interfaces to one OID.

    A sequence of decoded values, ``None`` where an interface failed; the
    raw answers lie in ``buffer``, ``stride`` bytes apart.
    """

    def __init__(
        self,
        oid: int,
        stride: int,
        parts: tuple[bytearray, memoryview, memoryview, list[BaseException]],
    ) -> None:
        self.oid = oid
        #: Bytes from one answer to the next.
        self.stride = stride
        #: The answers.
        self.buffer = parts[0]
        #: Bytes of each answer (uint32).
        self.lengths = parts[1]
        #: NDIS_STATUS of each (int32), 0 for success.
        self.statuses = parts[2]
        #: What Python handlers raised, in the order of the interfaces.
        self.exceptions = tuple(parts[3])

    def __len__(self) -> int:
        return len(self.statuses)

    def __getitem__(self, i: Any) -> Any:
        places = range(len(self))
        if isinstance(i, slice):
            return [self[place] for place in places[i]]
        i = places[i]
        if self.statuses[i] != 0:
            return None
        start = i * self.stride
        return decode(
            self.oid, bytes(self.buffer[start : start + self.lengths[i]])
        )
