# SPDX-License-Identifier: MIT
"""
What one item costs as their number grows from 10^3 to 10^7, and what an
interface takes of memory.

A figure at the largest size may be 3 times that at the smallest; where it is
more, the miss of a cache that explains it is named beside it, with the growth
of a bare loop that has the same misses.
"""

from __future__ import annotations

import ctypes
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import native
from bench_core import OCTETS, keys_of
from comparing import Figure, Side, in_turns
from space import ETHERNET

import ndisbridge as ndis
from ndisbridge._ndisbridge import ffi
from ndisbridge.structures import InterfaceTable

SIZES = [10**n for n in range(3, 8)]
#: 10^7 interfaces would take 18 GB, and their table 13 GB more.
MOST_INTERFACES = 10**6
CALLS = 20_000
#: Far more interfaces than a cache holds are asked for.
KEYS = 1 << 18
#: Bytes of an interface beyond what the caller has supplied.
MEMORY_GOAL = 400


@dataclass
class Growth:
    """Nanoseconds of one item, by how many there are."""

    what: str
    figures: dict[int, Figure] = field(default_factory=dict)
    #: What there is to know if it grows.
    miss: str = ""

    @property
    def factor(self) -> float:
        sizes = sorted(self.figures)
        first, last = self.figures[sizes[0]], self.figures[sizes[-1]]
        return last.median / first.median


def indexes(core: ctypes.CDLL) -> Iterator[Growth]:
    pair = Growth("C: allocate + free, so many allocated")
    claim = Growth("C: claim of a batch of so many, an index")
    free = Growth("C: free of a batch of so many, an index")
    retake = Growth("Python: allocate + free, so many allocated")
    for count in SIZES:
        with ndis.Session() as session:
            taken = (ctypes.c_uint32 * count)()
            batch = (session.address, ETHERNET, taken, count)
            space = session.index_space(ETHERNET)

            def back(_: object, batch: Any = batch, n: int = count) -> None:
                assert core.free_many(*batch) == n

            samples = max(5, min(300, 3 * 10**6 // count))
            (claim.figures[count],) = in_turns(
                [Side(partial(core.claim_many, *batch), count, back)],
                samples,
                count,
            )
            (free.figures[count],) = in_turns(
                [
                    Side(
                        partial(core.free_many, *batch),
                        count,
                        lambda _, b=batch: core.claim_many(*b),
                    )
                ]
                if core.claim_many(*batch)
                else [],
                samples,
                count,
            )

            def python_pairs(space: Any = space) -> None:
                allocate, free = space.allocate, space.free
                for _ in range(1000):
                    free(allocate())

            pair.figures[count], retake.figures[count] = (
                in_turns([side], 100, each)[0]
                for side, each in (
                    (
                        Side(
                            partial(
                                core.pairs, session.address, ETHERNET, CALLS
                            ),
                            2 * CALLS,
                        ),
                        CALLS,
                    ),
                    (Side(python_pairs), 1000),
                )
            )
    return iter((pair, retake, claim, free))


def interfaces(core: ctypes.CDLL) -> Iterator[Growth]:
    lines = (
        "two lines of the record, one of the radix, and their pages in the TLB"
    )
    query = Growth("C: query of a published value at random", miss=lines)
    bare = Growth(
        "floor: the same by direct index, without guards",
        miss="the same lines",
    )
    to_index = Growth("C: ifIndex of a NET_LUID at random", miss=lines)
    to_luid = Growth("C: NET_LUID of an ifIndex at random", miss=lines)
    many = Growth("C: batch query of all, each", miss=lines)
    register = Growth("C: register + deregister one more")
    row = Growth(
        "C: table, a row",
        miss="27 lines read and 22 written, from memory past the L2 and L3",
    )
    copy = Growth("floor: memcpy of a row", miss="the same")
    for count in SIZES:
        if count > MOST_INTERFACES:
            continue
        with ndis.Session() as session:
            made = native.Interfaces(core, session, count, 78)
            address = session.address
            direct = native.Direct(
                core, made.net_luids, native.CORE_RECORD, 78
            )
            keys = keys_of(made.net_luids, KEYS)
            asked = (keys, KEYS, OCTETS, CALLS)
            figures = in_turns(
                [
                    Side(partial(core.queries, address, *asked), 78 * CALLS),
                    Side(
                        partial(core.floor_queries, direct.address, *asked),
                        78 * CALLS,
                    ),
                    Side(
                        partial(
                            core.find_if_indexes, address, keys, KEYS, CALLS
                        )
                    ),
                    Side(
                        partial(
                            core.find_net_luids,
                            address,
                            keys_of(made.if_indexes, KEYS),
                            KEYS,
                            CALLS,
                        )
                    ),
                ],
                100,
                CALLS,
            )
            for growth, figure in zip(
                (query, bare, to_index, to_luid), figures, strict=True
            ):
                growth.figures[count] = figure
            order = [*made.net_luids]
            random.Random(10).shuffle(order)
            values = (ctypes.c_uint64 * count)()
            rest = ((ctypes.c_uint32 * count)(), (ctypes.c_int32 * count)())
            (many.figures[count],) = in_turns(
                [
                    Side(
                        partial(
                            core.query_many,
                            address,
                            (ctypes.c_uint64 * count)(*order),
                            count,
                            OCTETS,
                            values,
                            *rest,
                            1,
                        ),
                        count,
                    )
                ],
                max(5, min(300, 10**6 // count)),
                count,
            )
            assert [values[0], values[-1]] == [78, 78]
            luid = ndis.NetLuid.make(
                ETHERNET, session.allocate_net_luid_index(ETHERNET)
            )
            (register.figures[count],) = in_turns(
                [
                    Side(
                        partial(
                            core.registrations,
                            address,
                            made.provider,
                            luid,
                            1000,
                        ),
                        2000,
                    )
                ],
                30,
                1000,
            )
            direct.close()
            size = count * InterfaceTable.ROW_SIZE
            rows = ctypes.create_string_buffer(size)
            target = ctypes.create_string_buffer(size)
            row.figures[count], copy.figures[count] = in_turns(
                [
                    Side(partial(core.table, address, rows, count), count),
                    Side(partial(core.floor_table, target, rows, count)),
                ],
                max(3, min(200, 10**6 // count)),
                count,
            )
    return iter((query, bare, to_index, to_luid, many, register, row, copy))


def stores(directory: Path) -> Iterator[Growth]:
    retain = Growth("SQLite: retain of so many at once, an index")
    opening = Growth("SQLite: opening with so many retained, in all")
    for count in SIZES:
        path = directory / f"growth{count}.db"
        with ndis.Session(path) as session:
            taken = session.allocate_net_luid_indexes(ETHERNET, count)

            def again(
                _: object, session: Any = session, taken: Any = taken
            ) -> None:
                session.release_net_luid_indexes(ETHERNET, taken)
                session.allocate_net_luid_indexes(ETHERNET, out=taken)

            def run(session: Any = session, taken: Any = taken) -> None:
                session.retain_net_luid_indexes(ETHERNET, taken)

            (retain.figures[count],) = in_turns(
                [Side(run, after=again)], 10, count
            )
            run()
        (opening.figures[count],) = in_turns(
            [
                Side(
                    lambda path=path: ndis.Session(path),
                    after=lambda session: session.close(),
                )
            ],
            50,
            1,
        )
    return iter((retain, opening))


# ---- memory ---------------------------------------------------------------


@dataclass
class Memory:
    """Bytes of an interface, of a million."""

    in_all: float
    #: What a caller has given: its row and its values, as it reads them.
    supplied: int

    @property
    def beyond(self) -> float:
        return self.in_all - self.supplied


_GROWTH = """\
import sys
from pathlib import Path
import native, ndisbridge as ndis
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
core = native.load_core(Path(sys.argv[1]))
count = int(sys.argv[2])
with ndis.Session() as session:
    native.Interfaces(core, session, 16, 77)
    before = resident()
    made = native.Interfaces(core, session, count, 77)
    # Without the caller's own two arrays.
    print((resident() - before) / count - 8 - 4)
"""


def memory(directory: Path, count: int = 10**6) -> Memory:
    """In a process of its own."""
    paths = [str(Path(__file__).parent), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", _GROWTH, str(directory), str(count)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(paths)},
    )
    values = ffi.sizeof("ndisbridge_interface_information")
    return Memory(float(done.stdout), InterfaceTable.ROW_SIZE + values)


def measure(core: ctypes.CDLL, directory: Path) -> Iterator[Growth]:
    yield from indexes(core)
    yield from interfaces(core)
    yield from stores(directory)
