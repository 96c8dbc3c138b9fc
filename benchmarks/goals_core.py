# SPDX-License-Identifier: MIT
"""What the core is held to without Python, and what it was measured at."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import native
from bench_core import BATCH, KEYS, OCTETS, Spaces, keys_of
from comparing import Figure, Ratio, Side, in_turns
from native import Workload, together
from space import C_OCCUPANCIES, ETHERNET, WINDOW, fill, occupied, vacant

import ndisbridge as ndis
from ndisbridge.structures import InterfaceTable

PAIRS = 10_000
#: Long enough that the caches are its own again.
QUERIES = 50_000
ROWS = 10_000
CACHED_WORD = "claim-lowest-and-clear on one cached word"
LIST = "free-list under a mutex (64 MiB)"
TREE = "tree of bits under a mutex (2 MiB)"
PEERS = {
    "mutex_list": LIST,
    "mutex_tree": TREE,
    "mimalloc": "bitmaps of mimalloc 3 (2 MiB)",
}
#: At 99 % a search finds its word less often at once.
PAIR_GOALS = dict.fromkeys(C_OCCUPANCIES, 1.3) | {99: 1.8}


def pairs(core: ctypes.CDLL) -> Iterator[Ratio]:
    """On threads of their own, one and two, in turns with the others."""
    for percent in C_OCCUPANCIES:
        spaces = Spaces(core, percent)
        for threads in (1, 2):
            found = together(
                core,
                [
                    Workload(native.PAIRS, PAIRS, spaces.session.address),
                    Workload(native.FLOOR_PAIRS, PAIRS),
                    *(peer.workload(PAIRS) for peer in spaces.peers.values()),
                ],
                400,
                threads=threads,
            )
            # Two threads may for a moment hold all that there is.
            exact = percent < 99.9999
            for each in found if exact else ():
                assert each.done == 2 * PAIRS * threads * 400
            ours, *theirs = [Figure.of(each.nanoseconds) for each in found]
            what = f"C: pair, {percent:g} % occupied, {threads} thread"
            what += "s, each" if threads == 2 else ""
            goal = 2.2 if threads == 2 else PAIR_GOALS[percent]
            yield Ratio(what, CACHED_WORD, goal, ours, theirs[0])
            for name, figure in zip(spaces.peers, theirs[1:], strict=True):
                yield Ratio(what, PEERS[name], 1, ours, figure, "peer")
        if percent:
            yield from churn(core, spaces, percent)
        spaces.close()


def churn(
    core: ctypes.CDLL, spaces: Spaces, percent: float
) -> Iterator[Ratio]:
    peers = spaces.peers
    windows = [(ctypes.c_uint32 * WINDOW)(*occupied(percent))] + [
        (ctypes.c_uint32 * WINDOW)(*occupied(percent))
        for _ in range(1 + len(peers))
    ]
    words = (ctypes.c_uint64 * (1 << 18))()
    address = spaces.session.address
    # What it has come to after some rounds is what goes on.
    core.churn(address, ETHERNET, windows[0], WINDOW, 4 * WINDOW)
    ctypes.memmove(windows[1], windows[0], ctypes.sizeof(windows[0]))
    # Long enough that the caches are its own again.
    turns = 4 * WINDOW
    runs: list[Callable[[], int]] = [
        partial(core.churn, address, ETHERNET, windows[0], WINDOW, turns),
        partial(core.floor_churn, words, windows[1], WINDOW, turns),
        *(
            partial(peer.core.peer_churn, peer.address, window, WINDOW, turns)
            for peer, window in zip(peers.values(), windows[2:], strict=True)
        ),
    ]
    sides = [Side(run, 2 * turns) for run in runs]
    ours, *theirs = in_turns(sides, 30, turns)
    what = f"C: churn of 65,536, {percent:g} % occupied"
    known = "known bits, set and cleared in the same order"
    yield Ratio(what, known, None, ours, theirs[0])
    for name, figure in zip(peers, theirs[1:], strict=True):
        yield Ratio(what, PEERS[name], None, ours, figure, "peer")
    assert len(set(windows[0])) == WINDOW


def batches(core: ctypes.CDLL) -> Iterator[Ratio]:
    """Claimed only; freed between the samples."""
    words = (ctypes.c_uint64 * (BATCH // 64))(*[2**64 - 1] * (BATCH // 64))
    theirs = (ctypes.c_uint32 * BATCH)()
    floor = Side(
        partial(core.floor_claim_many, words, theirs, BATCH),
        BATCH,
        lambda _: core.floor_free_many(words, BATCH),
    )
    for percent, goal in ((0, 2), (50, 6)):
        with ndis.Session() as session:
            fill(session, percent)
            indexes = (ctypes.c_uint32 * BATCH)()
            arguments = (session.address, ETHERNET, indexes, BATCH)

            def after(_: object, arguments: Any = arguments) -> None:
                assert core.free_many(*arguments) == BATCH

            claim = Side(partial(core.claim_many, *arguments), BATCH, after)
            free = Side(
                partial(core.free_many, *arguments),
                BATCH,
                lambda _, a=arguments: core.claim_many(*a),
            )
            figures = in_turns([claim, floor], 300, BATCH)
            what = f"C: batch of {BATCH:,} claimed, {percent} % occupied"
            to = "whole words taken and their indexes stored"
            yield Ratio(what, to, goal, *figures)
            core.claim_many(*arguments)
            assert len(set(indexes)) == BATCH
            assert percent == 0 or set(indexes) <= set(vacant(percent))
            back = Side(
                partial(core.floor_free_many, words, BATCH),
                BATCH,
                lambda _: core.floor_claim_many(words, theirs, BATCH),
            )
            core.floor_claim_many(words, theirs, BATCH)
            figures = in_turns([free, back], 300, BATCH)
            what = f"C: batch of {BATCH:,} freed, {percent} % occupied"
            yield Ratio(what, "whole words put back", None, *figures)
            core.floor_free_many(words, BATCH)


def queries(core: ctypes.CDLL) -> Iterator[Ratio]:
    count = 1_000
    with ndis.Session() as published, ndis.Session() as answered:
        both = [
            (published, native.Interfaces(core, published, count, 78), 78),
            (answered, native.Interfaces(core, answered, count, 0), 77),
        ]
        direct = native.Direct(core, both[0][1].net_luids, native.ONE_LINE, 78)
        keys = keys_of(both[0][1].net_luids)
        sides = [
            Side(
                partial(
                    core.queries,
                    session.address,
                    keys_of(interfaces.net_luids),
                    KEYS,
                    OCTETS,
                    QUERIES,
                ),
                value * QUERIES,
            )
            for session, interfaces, value in both
        ]
        floor = Side(
            partial(
                core.floor_queries, direct.address, keys, KEYS, OCTETS, QUERIES
            ),
            78 * QUERIES,
        )
        by_values, by_handler, bare = in_turns([*sides, floor], 100, QUERIES)
        yield Ratio(
            "C: query of a published value",
            "look-up by direct index, OID table, call, copy",
            1.4,
            by_values,
            bare,
        )
        yield Ratio(
            "C: query of a native handler", "the same", 2.2, by_handler, bare
        )
        found = in_turns(
            [
                Side(
                    partial(
                        core.find_if_indexes,
                        published.address,
                        keys,
                        KEYS,
                        QUERIES,
                    )
                ),
                Side(
                    partial(
                        core.floor_find, direct.address, keys, KEYS, QUERIES
                    )
                ),
            ],
            100,
            QUERIES,
        )
        yield Ratio(
            "C: ifIndex of a NET_LUID", "look-up by direct index", None, *found
        )
        yield two_askers(core, published, both[0][1])
        direct.close()


def two_askers(
    core: ctypes.CDLL, session: ndis.Session, interfaces: native.Interfaces
) -> Ratio:
    """Two threads that query the same interface, beside one alone."""
    work = Workload(
        native.QUERIES,
        PAIRS,
        session.address,
        ctypes.addressof(interfaces.net_luids),
        1,
        OCTETS,
    )
    both, alone = together(core, [work, work], 400, threads=(2, 1))
    assert both.done == 2 * alone.done == 2 * 78 * PAIRS * 400
    return Ratio(
        "C: query of the same published value, 2 threads, each",
        "one thread",
        1.1,
        Figure.of(both.nanoseconds),
        Figure.of(alone.nanoseconds),
        "before",
    )


def query_batches(core: ctypes.CDLL) -> Iterator[Ratio]:
    for count, times, samples in ((1_000, 50, 200), (100_000, 2, 40)):
        with ndis.Session() as session:
            interfaces = native.Interfaces(core, session, count, 78)
            order = [*interfaces.net_luids]
            random.Random(10).shuffle(order)
            keys = (ctypes.c_uint64 * count)(*order)
            direct = native.Direct(
                core, interfaces.net_luids, native.CORE_RECORD, 78
            )
            sides = []
            for run, address in (
                (core.query_many, session.address),
                (core.floor_query_many, direct.address),
            ):
                values = (ctypes.c_uint64 * count)()
                lengths = (ctypes.c_uint32 * count)()
                statuses = (ctypes.c_int32 * count)()

                def after(_: object, values: Any = values) -> None:
                    assert values[0] == values[-1] == 78
                    values[0] = values[-1] = 0

                arguments = (address, keys, count, OCTETS)
                out = (values, lengths, statuses)
                sides.append(
                    Side(
                        partial(run, *arguments, *out, times),
                        times * count,
                        after,
                    )
                )
            yield Ratio(
                f"C: batch query of {count:,} published values",
                "the same loop without guards, by direct index",
                1.3,
                *in_turns(sides, samples, times * count),
            )
            direct.close()


def tables(core: ctypes.CDLL) -> Iterator[Ratio]:
    size = ROWS * InterfaceTable.ROW_SIZE
    with ndis.Session() as session:
        native.Interfaces(core, session, ROWS, 77)
        expected = bytes(session.interface_table().buffer)
        assert len(expected) == size
        rows = ctypes.create_string_buffer(size)
        copy = ctypes.create_string_buffer(size)
        source = ctypes.create_string_buffer(expected, size)
        figures = in_turns(
            [
                Side(partial(core.table, session.address, rows, ROWS), ROWS),
                Side(partial(core.floor_table, copy, source, ROWS), ROWS),
            ],
            200,
            ROWS,
        )
        what = f"C: table of {ROWS:,} interfaces, a row"
        yield Ratio(what, "memcpy of its bytes", 2, *figures)
        assert rows.raw == expected == copy.raw

        def same(made: Any) -> None:
            assert made.buffer[-1000:] == expected[-1000:]

        figures = in_turns(
            [
                Side(session.interface_table, after=same),
                Side(lambda: bytearray(expected)),
            ],
            200,
            ROWS,
        )
        what = f"Python: table of {ROWS:,} interfaces, a row"
        yield Ratio(what, "bytearray of its bytes", 4, *figures)


def measure(core: ctypes.CDLL) -> Iterator[Ratio]:
    """On a thread of its own, so that the stack of the interpreter, which
    may lie badly for a cache, has no say."""
    with ThreadPoolExecutor(1) as thread:
        for part in (pairs, batches, queries, query_batches, tables):
            yield from thread.submit(list, part(core)).result()
