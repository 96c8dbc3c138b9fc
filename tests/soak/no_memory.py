# SPDX-License-Identifier: MIT
"""
Lets each allocation of SQLite and of the core fail, once and from then on,
while two sessions live on a store (tests/workers/fault_life.py); then looks
whether the store has what was acknowledged, and whether each error was a
typed one or MemoryError.

The core by itself is shown by tests/c/test_allocation_failure.c.
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from common import Scratch, finish, parser, preload, versions
from faults import Wrong, judge, raw, wait_for
from pool import spread

from fault_life import Life, write_line  # isort: skip

from ndisbridge.exceptions import NdisError
from ndisbridge.persistence import StoreError

TYPED = (StoreError, NdisError, MemoryError)


def live(store: Path, at: int, always: bool, control: str) -> int:
    """A life in a child of this process; its wait status."""
    pid = os.fork()
    if pid:
        return wait_for(pid)
    try:
        shim = ctypes.CDLL(None)
        witness = os.open(
            store.parent.parent / "witness", os.O_WRONLY | os.O_CREAT, 0o600
        )
        if not shim.no_memory_arm(ctypes.c_long(at), int(always)):
            os._exit(4)
        say = write_line(witness)
        if control == "raw":
            raw(str(store), say)
        else:
            Life(str(store), say, TYPED).run()
        count = shim.no_memory_disarm()
        say(f"count {count}")
        os._exit(0)
    finally:
        os._exit(3)


def lines_of(store: Path) -> tuple[int, list[str]]:
    """How many allocations there were, and the witness."""
    path = store.parent.parent / "witness"
    lines = path.read_text(errors="replace").splitlines()
    count = 0
    if lines and lines[-1].startswith("count "):
        count = int(lines.pop().split()[1])
    return count, lines


def run_points(
    points: list[tuple[int, bool]],
    directory: Path,
    deadline: float,
    control: str,
) -> dict:
    counts: Counter[str] = Counter()
    raised: Counter[str] = Counter()
    failures = []
    for at, always in points:
        if time.monotonic() > deadline:
            break
        scratch = directory / f"{at}.{always}"
        scratch.mkdir()
        store = scratch / "store" / "ndis.db"
        try:
            ended = os.waitstatus_to_exitcode(live(store, at, always, control))
            if ended:
                raise Wrong(f"the process ended with {ended}")
            _, lines = lines_of(store)
            told = judge(lines, store)
            counts["points"] += 1
            counts["acknowledged changes verified"] += told.acknowledged
            raised.update(
                line.split()[2] for line in lines if line.startswith("note ")
            )
        except Exception as error:
            how = "from then on" if always else "once"
            failures.append(
                f"allocation {at} {how}: {type(error).__name__}: {error}"
            )
        shutil.rmtree(scratch)
    return {"counts": counts, "raised": raised, "failures": failures}


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--points", type=int, help="so many, by chance")
    options.add_argument("--control", choices=("", "raw"), default="")
    args = options.parse_args()
    began = time.monotonic()
    deadline = began + args.hours * 3600 if args.hours else float("inf")
    preload("no_memory")
    print("seed", args.seed, flush=True)
    with Scratch(memory=True) as directory:
        store = directory / "count" / "store" / "ndis.db"
        store.parent.parent.mkdir()
        if live(store, -1, False, ""):
            raise RuntimeError("the life fails by itself")
        existing, lines = lines_of(store)
        judge(lines, store)
        points = [
            (at, always) for at in range(existing) for always in (False, True)
        ]
        random.Random(args.seed).shuffle(points)
        parts = spread(
            args.jobs,
            points[: args.points],
            lambda part: run_points(part, directory, deadline, args.control),
        )
    counts: Counter[str] = Counter()
    raised: Counter[str] = Counter()
    for part in parts:
        counts.update(part["counts"])
        raised.update(part["raised"])
    failures = [each for part in parts for each in part["failures"]]
    return finish(
        {
            "proof": "no-memory",
            "seed": args.seed,
            "seconds": round(time.monotonic() - began),
            "points there are": 2 * existing,
            "counts": counts,
            "errors raised": raised,
            "failed": len(failures),
            "failures": failures[:200],
            "versions": versions(),
        },
        args.json,
    )


if __name__ == "__main__":
    sys.exit(main())
