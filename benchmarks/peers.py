# SPDX-License-Identifier: MIT
"""
What a Python program would use instead of an index space: each gives out the
indexes of a space of 2^24 of which only some are free.

Each has allocate() and free(index), allocate_many(count) and free_many(what
that gave), and count(): how many are free.  `atomic` says that two threads
may call it without a lock, as far as the GIL goes; the others are given one
where there are two threads.  What is not installed is left out.
"""

from __future__ import annotations

import heapq
import importlib.util
import itertools
import sqlite3
import tempfile
import threading
from array import array
from collections import deque
from typing import Any

from space import SPACE

#: Of its wheels one that has the static library.
MIMALLOC = "cmeel-mimalloc"
#: Distributions that the peers come from, beside Python.
PACKAGES = {
    "bitarray": "bitarray",
    "pyroaring": "pyroaring",
    "intbitset": "intbitset",
    "numpy": "numpy",
    "lmdb": "lmdb",
    "pysnmp": "pysnmp",
    "psutil": "psutil",
    "pyroute2": "pyroute2",
    MIMALLOC: "cmeel",
}


def missing() -> list[str]:
    """Peers that cannot be measured here."""
    return [
        name
        for name, module in PACKAGES.items()
        if importlib.util.find_spec(module) is None
    ]


class FreeList:
    """A list of what is free: the first thing one would write."""

    package: str | None = None
    atomic = True
    #: Occupancies at which it says anything; None: all.
    occupancies: list[float] | None = None

    def __init__(self, free: array[int]) -> None:
        self._free: Any = free.tolist()

    def allocate(self) -> int:
        return self._free.pop()

    def free(self, index: int) -> None:
        self._free.append(index)

    def allocate_many(self, count: int) -> Any:
        taken = self._free[-count:]
        del self._free[-count:]
        return taken

    def free_many(self, indexes: Any) -> None:
        self._free.extend(indexes)

    def count(self) -> int:
        return len(self._free)

    def close(self) -> None:
        pass


class CheckedFreeList(FreeList):
    """The same for threads, with what NDIS asks: no double free."""

    def __init__(self, free: array[int]) -> None:
        super().__init__(free)
        self._taken = bytearray(b"\1") * SPACE
        for index in self._free:
            self._taken[index] = 0
        self._lock = threading.Lock()

    def allocate(self) -> int:
        with self._lock:
            index = self._free.pop()
            self._taken[index] = 1
            return index

    def free(self, index: int) -> None:
        with self._lock:
            if not self._taken[index]:
                raise ValueError(index)
            self._taken[index] = 0
            self._free.append(index)

    def allocate_many(self, count: int) -> Any:
        with self._lock:
            taken = super().allocate_many(count)
            for index in taken:
                self._taken[index] = 1
            return taken

    def free_many(self, indexes: Any) -> None:
        with self._lock:
            for index in indexes:
                if not self._taken[index]:
                    raise ValueError(index)
                self._taken[index] = 0
            self._free.extend(indexes)


class FreeDeque(FreeList):
    """First in, first out: an index is used again as late as can be."""

    def __init__(self, free: array[int]) -> None:
        self._free = deque(free.tolist())

    def allocate(self) -> int:
        return self._free.popleft()

    def allocate_many(self, count: int) -> Any:
        pop = self._free.popleft
        return [pop() for _ in range(count)]


class FreeHeap(FreeList):
    """Always the lowest."""

    def allocate(self) -> int:
        return heapq.heappop(self._free)

    def free(self, index: int) -> None:
        heapq.heappush(self._free, index)

    def allocate_many(self, count: int) -> Any:
        pop, free = heapq.heappop, self._free
        return [pop(free) for _ in range(count)]

    def free_many(self, indexes: Any) -> None:
        for index in indexes:
            heapq.heappush(self._free, index)


class FreeSet(FreeList):
    """A set of what is free."""

    def __init__(self, free: array[int]) -> None:
        self._free = set(free)

    def allocate(self) -> int:
        return self._free.pop()

    def free(self, index: int) -> None:
        self._free.add(index)

    def allocate_many(self, count: int) -> Any:
        pop = self._free.pop
        return [pop() for _ in range(count)]

    def free_many(self, indexes: Any) -> None:
        self._free.update(indexes)


class NextUnused(FreeList):
    """A set of what is taken and a counter that skips those."""

    atomic = False

    def __init__(self, free: array[int]) -> None:
        self._taken = set(range(SPACE)) if len(free) < SPACE else set()
        if self._taken:
            self._taken.difference_update(free)
        self._next = 0

    def allocate(self) -> int:
        index, taken = self._next, self._taken
        while index in taken:
            index = (index + 1) % SPACE
        taken.add(index)
        self._next = (index + 1) % SPACE
        return index

    def free(self, index: int) -> None:
        self._taken.remove(index)

    def allocate_many(self, count: int) -> Any:
        return [self.allocate() for _ in range(count)]

    def free_many(self, indexes: Any) -> None:
        self._taken.difference_update(indexes)

    def count(self) -> int:
        return SPACE - len(self._taken)


class Counter(FreeList):
    """itertools.count(): nothing is ever free again."""

    occupancies = [0]

    def __init__(self, free: array[int]) -> None:
        # The builtin itself: a method around it would be the slower peer.
        self.allocate = itertools.count().__next__
        self._free = free

    def free(self, index: int) -> None:
        pass

    def allocate_many(self, count: int) -> Any:
        return [self.allocate() for _ in range(count)]

    def free_many(self, indexes: Any) -> None:
        pass


class Bitarray(FreeList):
    """bitarray: 1 is taken; the search goes on where it was."""

    package = "bitarray"
    atomic = False

    def __init__(self, free: array[int]) -> None:
        from bitarray import bitarray
        from bitarray.util import ones

        self._zero = bitarray("0")
        self._bits = ones(SPACE)
        self._bits[free.tolist()] = 0
        self._hint = 0

    def allocate(self) -> int:
        index = self._bits.find(0, self._hint)
        if index < 0:
            index = self._bits.find(0)
        self._bits[index] = 1
        self._hint = index
        return index

    def free(self, index: int) -> None:
        self._bits[index] = 0

    def allocate_many(self, count: int) -> Any:
        taken = list(itertools.islice(self._bits.search(self._zero), count))
        self._bits[taken] = 1
        return taken

    def free_many(self, indexes: Any) -> None:
        self._bits[indexes] = 0

    def count(self) -> int:
        return self._bits.count(0)


class Bytes(FreeList):
    """bytearray.find()."""

    atomic = False

    def __init__(self, free: array[int]) -> None:
        self._taken = bytearray(b"\1") * SPACE
        for index in free:
            self._taken[index] = 0
        self._hint = 0

    def allocate(self) -> int:
        index = self._taken.find(0, self._hint)
        if index < 0:
            index = self._taken.find(0)
        self._taken[index] = 1
        self._hint = index
        return index

    def free(self, index: int) -> None:
        self._taken[index] = 0

    def allocate_many(self, count: int) -> Any:
        return [self.allocate() for _ in range(count)]

    def free_many(self, indexes: Any) -> None:
        for index in indexes:
            self._taken[index] = 0

    def count(self) -> int:
        return self._taken.count(0)


class Roaring(FreeList):
    """pyroaring: a compressed set of what is free."""

    package = "pyroaring"
    atomic = False

    def __init__(self, free: array[int]) -> None:
        from pyroaring import BitMap

        self._free = BitMap(free)

    def allocate(self) -> int:
        index = self._free.min()
        self._free.remove(index)
        return index

    def free(self, index: int) -> None:
        self._free.add(index)

    def allocate_many(self, count: int) -> Any:
        taken = self._free[:count]
        self._free -= taken
        return taken

    def free_many(self, indexes: Any) -> None:
        self._free |= indexes


class IntBitSet(FreeList):
    """intbitset: a set of what is free."""

    package = "intbitset"

    def __init__(self, free: array[int]) -> None:
        from intbitset import intbitset

        self._free = intbitset(free.tolist())

    def free(self, index: int) -> None:
        self._free.add(index)

    def allocate_many(self, count: int) -> Any:
        return [self._free.pop() for _ in range(count)]

    def free_many(self, indexes: Any) -> None:
        self._free.update(indexes)


class NumpyMask(FreeList):
    """numpy: a mask of what is taken, searched in pieces."""

    package = "numpy"
    atomic = False

    def __init__(self, free: array[int]) -> None:
        import numpy

        self._numpy = numpy
        self._taken = numpy.ones(SPACE, bool)
        self._taken[numpy.asarray(free)] = False
        self._hint = 0

    def allocate(self) -> int:
        at, taken = self._hint, self._taken
        while True:
            index = at + int(taken[at : at + 4096].argmin())
            if not taken[index]:
                break
            at = (at + 4096) % SPACE
        taken[index] = True
        self._hint = index - index % 4096
        return index

    def free(self, index: int) -> None:
        self._taken[index] = False

    def allocate_many(self, count: int) -> Any:
        at, parts, found = 0, [], 0
        while found < count:
            part = self._numpy.flatnonzero(~self._taken[at : at + 65536])
            part = part[: count - found] + at
            self._taken[part] = True
            parts.append(part)
            found += len(part)
            at += 65536
        return self._numpy.concatenate(parts)

    def free_many(self, indexes: Any) -> None:
        self._taken[indexes] = False

    def count(self) -> int:
        return int(SPACE - self._taken.sum())


class SqliteMemory(FreeList):
    """sqlite3 in memory, AUTOINCREMENT: never the same twice."""

    atomic = False
    occupancies = [0]

    def __init__(self, free: array[int]) -> None:
        self._free = free
        self._database = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False
        )
        self._database.execute(
            "CREATE TABLE taken (id INTEGER PRIMARY KEY AUTOINCREMENT)"
        )

    def allocate(self) -> int:
        return self._database.execute(
            "INSERT INTO taken DEFAULT VALUES RETURNING id"
        ).fetchone()[0]

    def free(self, index: int) -> None:
        self._database.execute("DELETE FROM taken WHERE id = ?", (index,))

    def allocate_many(self, count: int) -> Any:
        return [self.allocate() for _ in range(count)]

    def free_many(self, indexes: Any) -> None:
        for index in indexes:
            self.free(index)

    def count(self) -> int:
        (taken,) = self._database.execute(
            "SELECT count(*) FROM taken"
        ).fetchone()
        return len(self._free) - taken

    def close(self) -> None:
        self._database.close()


class Lmdb(SqliteMemory):
    """lmdb without waiting for the disk: a key for each that is taken."""

    package = "lmdb"

    def __init__(self, free: array[int]) -> None:
        import lmdb

        self._free = free
        self._directory = tempfile.TemporaryDirectory()
        self._environment = lmdb.open(
            self._directory.name, map_size=1 << 28, sync=False
        )

    def allocate(self) -> int:
        with self._environment.begin(write=True) as transaction:
            cursor = transaction.cursor()
            last = cursor.last()
            index = int.from_bytes(cursor.key()) + 1 if last else 1
            transaction.put(index.to_bytes(4), b"")
            return index

    def free(self, index: int) -> None:
        with self._environment.begin(write=True) as transaction:
            assert transaction.delete(index.to_bytes(4))

    def count(self) -> int:
        return len(self._free) - self._environment.stat()["entries"]

    def close(self) -> None:
        self._environment.close()
        self._directory.cleanup()


class Locked:
    """A peer of which one thread at a time may call the two methods."""

    def __init__(self, peer: FreeList) -> None:
        self._peer, self._lock = peer, threading.Lock()

    def allocate(self) -> int:
        with self._lock:
            return self._peer.allocate()

    def free(self, index: int) -> None:
        with self._lock:
            self._peer.free(index)


PEERS: list[type[FreeList]] = [
    FreeList,
    CheckedFreeList,
    FreeDeque,
    FreeHeap,
    FreeSet,
    NextUnused,
    Counter,
    Bitarray,
    Bytes,
    Roaring,
    IntBitSet,
    NumpyMask,
    SqliteMemory,
    Lmdb,
]
