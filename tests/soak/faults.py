# SPDX-License-Identifier: MIT
"""
Kills a process at every system call that it makes on a store's files, and
lets each of these calls fail, once and for good; then looks whether the
store has what was acknowledged, and whether each error was a typed one.

Needs strace, and leave to trace one's own processes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common import Scratch, finish, parser, preload, try_out, versions
from model import Told, Wrong, read_state, told_by
from pool import spread

sys.path.insert(0, str(Path(__file__).parent.parent / "workers"))

from fault_life import Life, write_line

import ndisbridge as ndis
from ndisbridge.exceptions import NdisError
from ndisbridge.persistence import StoreError, _connection

FAILING = (
    "openat",
    "pwrite64",
    "fdatasync",
    "fsync",
    "ftruncate",
    "fcntl",
    "pread64",
    "newfstatat",
    "fstat",
    "stat",
    "lstat",
    "statx",
    "close",
)
KILLED = (
    "openat",
    "pwrite64",
    "fdatasync",
    "fsync",
    "ftruncate",
    "fcntl",
    "mmap",
    "unlink",
    "unlinkat",
    "close",
)
ERRORS = ("EIO", "ENOSPC", "EINTR")
#: Calls in a row that an "always" interrupts: a call that is interrupted for
#: ever never returns, by what interrupting means.
BURST = 5
#: Seconds after which a life hangs.
PATIENCE = 60.0
PR_SET_PTRACER = 0x59616D61
ANYBODY = ctypes.c_ulong(-1)


@dataclass(frozen=True)
class Point:
    """Where a fault is put."""

    call: str
    #: "KILL", or an error.
    fault: str
    number: int
    sticky: bool = False

    @property
    def injection(self) -> str:
        when = str(self.number)
        if self.fault == "KILL":
            how = "signal=KILL"
        else:
            how = f"error={self.fault}"
            if self.sticky and self.fault == "EINTR":
                when += f"..{self.number + BURST - 1}"
            elif self.sticky:
                when += "+"
        return f"inject={self.call}:{how}:when={when}"

    def __str__(self) -> str:
        return self.injection


@dataclass
class Outcome:
    """What became of a life."""

    lines: list[str]
    status: int
    injected: bool


def traced(store: Path, filters: list[str], life: Callable) -> Outcome:
    """
    Live in a child of this process, which is warm, under strace: it counts
    from the first step on.
    """
    scratch = store.parent.parent
    witness = scratch / "witness"
    log = scratch / "strace"
    for path in (witness, log):
        path.unlink(missing_ok=True)
    go, start = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYBODY, 0, 0, 0)
            out = os.open(
                witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
            )
            os.close(start)
            os.read(go, 1)
            life(str(store), write_line(out))
            os._exit(0)
        finally:
            os._exit(3)
    os.close(go)
    paths = [store.parent]
    paths += [
        f"{store}{end}" for end in ("", "-wal", "-shm", "-journal", ".lock")
    ]
    command = ["strace", "-o", str(log), "-p", str(pid)]
    for path in paths:
        command += ["-P", str(path)]
    for each in filters:
        command += ["-e", each]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        said = ""
        while "attached" not in said:
            line = tracer.stderr.readline()
            if not line:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise RuntimeError(f"strace does not trace: {said}")
            if "Requested path" not in line:
                said += line
        os.write(start, b"g")
        status = wait_for(pid)
    finally:
        os.close(start)
        tracer.communicate()
    lines = []
    if witness.exists():
        lines = witness.read_text(errors="replace").splitlines()
    text = log.read_text(errors="replace")
    injected = "INJECTED" in text or "killed by SIGKILL" in text
    return Outcome(lines, status, injected)


def wait_for(pid: int) -> int:
    """Its wait status; killed if it takes too long."""
    handle = os.pidfd_open(pid)
    try:
        ended, _, _ = select.select([handle], [], [], PATIENCE)
    finally:
        os.close(handle)
    if not ended:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if ended:
        return status
    raise Wrong(f"it hangs: not done in {PATIENCE} seconds")


def judge(lines: list[str], store: Path) -> Told:
    """
    Raise Wrong unless errors were typed, and the store has what it must.
    Opens it, so that what a killed process had is reclaimed.
    """
    for line in lines:
        if line.startswith("raw "):
            raise Wrong(f"an error that is not typed: {line}")
        if re.match(r"note \w+ (Store|Network)\w*Error", line):
            if str(store.parent) not in line:
                raise Wrong(f"an error that names no file: {line}")
    told = told_by(
        line for line in lines if not line.startswith(("note ", "raw "))
    )
    with ndis.Session(store) as session:
        problems = session.store.check()
        if problems:
            raise Wrong(f"check: {problems}")
        stats = session.store.stats()
        if len(stats.sessions) != 1 or any(
            each.leased_blocks for each in stats.types
        ):
            raise Wrong("a dead session's things were not reclaimed")
        actual = read_state(session.store._connection)
        if actual is None:
            raise Wrong("no tables")
        told.compare(actual)
    try_out(store)
    return told


# ---- controls: what must be found --------------------------------------


class EarlyLife(Life):
    """Acknowledges before it is done."""

    def change(self, what, words, call, answer=lambda _: ""):
        if what not in {"retain", "release"}:
            return super().change(what, words, call, answer)
        self.say(f"{what}? {words}")
        self.say(f"{what}!")
        call()
        return True


@contextlib.contextmanager
def _no_errors(_self):
    yield


def early(store: str, say: Callable[[str], None]) -> None:
    EarlyLife(store, say, (StoreError, NdisError)).run()


def raw(store: str, say: Callable[[str], None]) -> None:
    _connection.SqliteConnection._errors = _no_errors
    normal(store, say)


def normal(store: str, say: Callable[[str], None]) -> None:
    Life(store, say, (StoreError, NdisError)).run()


LIVES = {"": normal, "early": early, "raw": raw}


# ---- the sweep ---------------------------------------------------------


def count_calls(directory: Path) -> Counter[str]:
    """How often the life makes each call when nothing fails."""
    store = directory / "count" / "store" / "ndis.db"
    store.parent.parent.mkdir()
    calls = ",".join(f"?{call}" for call in {*FAILING, *KILLED})
    outcome = traced(store, [f"trace={calls}"], normal)
    if outcome.status:
        raise RuntimeError(f"the life fails by itself: {outcome.lines[-3:]}")
    judge(outcome.lines, store)
    log = (directory / "count" / "strace").read_text()
    return Counter(re.findall(r"^(?:\d+ +)?(\w+)\(", log, re.MULTILINE))


def all_points(counts: Counter[str], what: str) -> list[Point]:
    """Every point of the sweep."""
    points = []
    if what in {"all", "kill"}:
        points += [
            Point(call, "KILL", number)
            for call in KILLED
            for number in range(1, counts[call] + 1)
        ]
    if what in {"all", "error"}:
        points += [
            Point(call, error, number, sticky)
            for call in FAILING
            for error in ERRORS
            for sticky in (False, True)
            for number in range(1, counts[call] + 1)
        ]
    return points


def run_points(
    points: list[Point], directory: Path, deadline: float, control: str
) -> dict:
    """Go to some points; the counts and failures of a part of a run."""
    counts: Counter[str] = Counter()
    raised: Counter[str] = Counter()
    failures = []
    for place, point in enumerate(points):
        if time.monotonic() > deadline:
            break
        scratch = directory / f"{os.getpid()}.{place}"
        scratch.mkdir()
        store = scratch / "store" / "ndis.db"
        kind = "kill" if point.fault == "KILL" else "error"
        try:
            outcome = traced(
                store,
                [f"trace={point.call}", point.injection],
                LIVES[control],
            )
            ended = os.waitstatus_to_exitcode(outcome.status)
            killed = kind == "kill" and ended == -signal.SIGKILL
            if not killed and ended != 0:
                raise Wrong(f"the process ended with {ended}")
            if not outcome.injected:
                counts["points not reached"] += 1
                continue
            counts[f"{kind} points"] += 1
            told = judge(outcome.lines, store)
            counts["acknowledged changes verified"] += told.acknowledged
            raised.update(
                line.split()[2]
                for line in outcome.lines
                if line.startswith("note ")
            )
        except Exception as error:
            failures.append(f"{point}: {type(error).__name__}: {error}")
        finally:
            subprocess.run(["rm", "-rf", scratch], check=True)
    return {"counts": counts, "raised": raised, "failures": failures}


def main() -> int:
    options = parser(__doc__)
    options.add_argument(
        "--what", choices=("all", "kill", "error"), default="all"
    )
    options.add_argument("--calls", help="only these: openat,pread64")
    options.add_argument("--points", type=int, help="so many, by chance")
    options.add_argument("--control", choices=sorted(LIVES), default="")
    args = options.parse_args()
    began = time.monotonic()
    deadline = began + args.hours * 3600 if args.hours else float("inf")
    preload("hasten")
    print("seed", args.seed, flush=True)
    with Scratch() as directory:
        counted = count_calls(directory)
        points = all_points(counted, args.what)
        if args.calls:
            calls = args.calls.split(",")
            points = [each for each in points if each.call in calls]
        random.Random(args.seed).shuffle(points)
        existing = len(points)
        points = points[: args.points]
        parts = spread(
            args.jobs,
            points,
            lambda part: run_points(part, directory, deadline, args.control),
        )
    counts: Counter[str] = Counter()
    raised: Counter[str] = Counter()
    for part in parts:
        counts.update(part["counts"])
        raised.update(part["raised"])
    return finish(
        {
            "proof": "faults",
            "seed": args.seed,
            "seconds": round(time.monotonic() - began),
            "points there are": existing,
            "calls": counted,
            "counts": counts,
            "errors raised": raised,
            "failures": [each for part in parts for each in part["failures"]],
            "versions": versions(),
        },
        args.json,
    )


if __name__ == "__main__":
    sys.exit(main())
