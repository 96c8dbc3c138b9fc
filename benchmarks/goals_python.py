# SPDX-License-Identifier: MIT
"""What Python is held to, beside what one would write in Python instead.

Where a figure is that of a loop of Python, what the empty loop takes is not
in it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import bench_interfaces
import peers
from bench_core import OCTETS
from bench_proxy import REQUESTS, Passing, Peer, ask, installed
from comparing import Figure, Ratio, Side, compare, in_turns, loop
from space import ETHERNET

import ndisbridge as ndis
from ndisbridge.proxy import ProxyProvider

CALLS = 10_000


def net(sides: list[Side], samples: int) -> list[Figure]:
    """Without the loop around them."""
    empty, *figures = in_turns([loop(CALLS, "pass"), *sides], samples, CALLS)
    return [each - empty for each in figures]


def pair() -> Iterator[Ratio]:
    indexes = array("I", range(1 << 20))
    bare = indexes.tolist()
    plain, checked = peers.FreeList(indexes), peers.CheckedFreeList(indexes)
    statement = "result = allocate(); free(result)"
    with ndis.Session() as session:
        space = session.index_space(ETHERNET)
        sides = [
            loop(CALLS, statement, allocate=allocate, free=free)
            for allocate, free in (
                (space.allocate, space.free),
                (bare.pop, bare.append),
                (plain.allocate, plain.free),
                (checked.allocate, checked.free),
            )
        ]
        sides[0].expected = sides[0].run()
        for side in sides[1:]:
            side.expected = (1 << 20) - 1
        ours, *theirs = net(sides, 150)
    what = "Python: allocate + free"
    yield Ratio(what, "list pop and append, bound", 2.2, ours, theirs[0])
    yield Ratio(what, "free-list class", 0.5, ours, theirs[1], "peer")
    to = "free-list class, lock, double-free check"
    yield Ratio(what, to, 0.1, ours, theirs[2], "peer")


class Claims:
    """A batch, claimed into a buffer and freed between the samples."""

    def __init__(self, session: ndis.Session, count: int) -> None:
        space = session.index_space(ETHERNET)
        self._allocate, self._free = space.allocate_many, space.free_many
        self._out = memoryview(bytearray(4 * count)).cast("I")

    def run(self) -> object:
        return self._allocate(self._out)

    def after(self, _: object) -> None:
        assert self._free(self._out) == len(self._out)


def batches(directory: Path) -> Iterator[Ratio]:
    absent = peers.missing()
    for count in (1_000, 100_000):
        what = f"Python: {count:,} indexes into a buffer"
        others: list[tuple[str, float, type[peers.FreeList]]] = [
            ("list slice, taken and deleted", 0.4, peers.FreeList)
        ]
        if "pyroaring" not in absent:
            others.append(("pyroaring slice, removed", 0.2, peers.Roaring))
        with (
            ndis.Session() as memory,
            ndis.Session(directory / f"batch{count}.db") as stored,
        ):
            ours = Claims(memory, count)
            sides = [Side(ours.run, after=ours.after)]
            for _, _, kind in others:
                peer = kind(array("I", range(1 << 20)))
                sides.append(
                    Side(
                        lambda p=peer, n=count: p.allocate_many(n),
                        after=peer.free_many,
                    )
                )
            own, *theirs = in_turns(sides, 200, count)
            for (to, goal, _), figure in zip(others, theirs, strict=True):
                yield Ratio(what, to, goal, own, figure, "peer")
            with_store = Claims(stored, count)
            yield compare(
                f"{what}, with a store",
                Side(with_store.run, after=with_store.after),
                "the same in memory",
                Side(ours.run, after=ours.after),
                each=count,
                samples=200,
                goal=2,
                kind="before",
            )


class TwoDicts:
    """A method that does the same as a query."""

    class Interface:
        def __init__(self, handlers: dict[int, Callable[..., bytes]]) -> None:
            self.handlers = handlers

    def __init__(self, handler: Callable[..., bytes]) -> None:
        self.interfaces = {
            n << 24 | 6 << 48: self.Interface({OCTETS: handler})
            for n in range(1000)
        }

    def query(self, net_luid: int, oid: int) -> bytes:
        interface = self.interfaces.get(net_luid)
        if interface is None:
            raise KeyError(net_luid)
        handler = interface.handlers.get(oid)
        if handler is None:
            raise KeyError(oid)
        return handler(net_luid, oid)


def queries(core: Any, floors: ModuleType) -> Iterator[Ratio]:
    native_handler = ndis.NativeHandler(core.answer, non_blocking=True)

    def python_handler(context: object, oid: int) -> int:
        return 77

    def constant(net_luid: int, oid: int) -> bytes:
        return b"12345678"

    dicts = TwoDicts(constant)
    with ndis.Session() as session:
        _, (by_values,) = bench_interfaces.register(session, 1)
        by_values.publish(in_octets=77)
        _, (by_c,) = bench_interfaces.register(
            session, 1, handler=native_handler
        )
        _, (by_python,) = bench_interfaces.register(
            session, 1, oids={OCTETS: python_handler}
        )
        luid, if_index = int(by_values.net_luid), by_values.if_index
        statement = "result = query(luid, oid)"

        def asking(query: Any, luid: int, expected: object) -> Side:
            made = loop(CALLS, statement, query=query, luid=luid, oid=OCTETS)
            made.expected = expected
            return made

        answer = (77).to_bytes(8, "little")
        finding = "result = find(key)"
        to_index = loop(
            CALLS,
            finding,
            find=session.get_interface_index_from_net_luid,
            key=luid,
        )
        to_luid = loop(
            CALLS,
            finding,
            find=session.get_net_luid_from_interface_index,
            key=if_index,
        )
        to_index.expected, to_luid.expected = if_index, luid
        figures = net(
            [
                to_index,
                to_luid,
                loop(CALLS, finding, find=floors.empty, key=luid),
                asking(session.query_bytes, luid, answer),
                asking(session.query_bytes, int(by_c.net_luid), answer),
                asking(dicts.query, 5 << 24 | 6 << 48, b"12345678"),
                asking(session.query_bytes, int(by_python.net_luid), answer),
                loop(
                    CALLS,
                    "result = call(handler, luid, oid)",
                    call=floors.call,
                    handler=python_handler,
                    luid=luid,
                    oid=OCTETS,
                ),
            ],
            150,
        )
    by_luid, by_index, empty, values, native, method, python, call = figures
    nothing = "empty METH_FASTCALL call"
    yield Ratio("Python: ifIndex of a NET_LUID", nothing, 2, by_luid, empty)
    yield Ratio("Python: NET_LUID of an ifIndex", nothing, 2, by_index, empty)
    same = "method of two dicts that answers a constant"
    what = "Python: query of a published value, bytes"
    yield Ratio(what, same, 0.5, values, method, "peer")
    what = "Python: query of a native handler, bytes"
    yield Ratio(what, same, 0.5, native, method, "peer")
    what = "Python: query of a Python handler, bytes"
    yield Ratio(what, "C that calls the bare function", 2, python, call)


def oid_requests() -> Iterator[Ratio]:
    """Through the filter modules of the proxy, beside bare closures."""
    for what, filters in (("8 filter modules", 8), ("no filter module", 0)):
        peer = Peer(filters)
        with ndis.Session() as session, ProxyProvider(session) as proxy:
            luid = installed(proxy, Passing if filters else None)
            yield compare(
                f"Python: an OID request through {what}",
                Side(lambda s=session, n=luid: ask(s.query, n), 77),
                f"dict dispatch through {filters} closures",
                Side(lambda p=peer: ask(p.query, 5), 77),
                each=REQUESTS,
                samples=30,
                kind="peer",
            )


def measure(core: Any, floors: ModuleType, directory: Path) -> Iterator[Ratio]:
    yield from pair()
    yield from batches(directory)
    yield from queries(core, floors)
    yield from oid_requests()
