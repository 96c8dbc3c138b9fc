# SPDX-License-Identifier: MIT
"""
What a power cut could leave, and whether it has all that was acknowledged.

A preloaded recorder (recorder.c) writes down what SQLite and Python do to a
store's files.  At each point of the record this builds what the disk could
have if the power went then: of what was written since the file's last sync,
nothing, everything or any part, in units of 512 bytes, with sizes that have
or have not grown; of the directory's entries since its last sync, any part.
Each such image is opened and compared with what was acknowledged by then.

Trusted: a disk that keeps what it says it has synced, and writes a sector of
512 bytes or does not.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import struct
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
from common import HERE, Scratch, compiled, finish, parser, try_out, versions
from model import State, Told, Wrong, read_state
from pool import spread

import ndisbridge as ndis
from ndisbridge.persistence import _sessions

(
    OPENED,
    WRITTEN,
    TRUNCATED,
    SYNCED,
    DIRECTORY_SYNCED,
    UNLINKED,
    RENAMED,
    MARKED,
    UNKNOWN,
    DIRECTORY_MADE,
) = range(1, 11)
_HEAD = struct.Struct("<IIQQQ")
SECTOR = 512
STORE = "ndis.db"
#: What a file is, whatever its content: shared memory, of the running only.
NOT_ON_DISK = STORE + "-shm"
PROCESSES = 6
STEPS = 40


@dataclass(frozen=True)
class Record:
    """One thing that was done."""

    operation: int
    inode: int
    offset: int
    name: str
    data: bytes


def read_records(path: Path) -> Iterator[Record]:
    raw = path.read_bytes()
    place = 0
    while place < len(raw):
        operation, name_size, inode, offset, size = _HEAD.unpack_from(
            raw, place
        )
        place += _HEAD.size
        name = raw[place : place + name_size].decode()
        place += name_size
        yield Record(operation, inode, offset, name, raw[place : place + size])
        place += size


def record_work(
    recorder: Path, where: Path, seed: int, synchronous: str
) -> list[Record]:
    """Let processes work one after another; most of them are killed."""
    chance = random.Random(seed)
    log = where / "record"
    directory = where / "recorded"
    for number in range(PROCESSES):
        environ = dict(
            os.environ,
            LD_PRELOAD=str(recorder),
            RECORDER_LOG=str(log),
            RECORDER_DIRECTORY=str(directory),
        )
        if number < PROCESSES - 1:
            environ["RECORDER_KILL"] = str(chance.randrange(20, 900))
        done = subprocess.run(
            [
                *(sys.executable, HERE / "power_life.py", directory / STORE),
                *(str(seed * 100 + number), str(STEPS), synchronous),
            ],
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode not in {0, -9}:
            raise RuntimeError(done.stderr)
    return list(read_records(log))


# ---- what the disk may have --------------------------------------------


@dataclass
class File:
    """Content that is durable, and what was done to it since."""

    durable: bytearray = field(default_factory=bytearray)
    #: (offset, data) written, or (size, None) truncated.
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)


def change(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        if offset < len(content):
            del content[offset:]
        else:
            content.extend(bytes(offset - len(content)))
        return
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


class Disk:
    """Follows a record."""

    def __init__(self, *, directory_syncs: bool = True) -> None:
        self.directory_syncs = directory_syncs
        self.live: dict[str, File] = {}
        self.inodes: dict[int, File] = {}
        self.entries: dict[str, File] = {}
        #: Entries (None: removed) since the directory's last sync.
        self.pending: list[tuple[str, File | None]] = []

    def follow(self, record: Record) -> None:
        operation, name = record.operation, record.name
        if operation == OPENED:
            found = self.live.get(name)
            if found is None or self.inodes.get(record.inode) is not found:
                found = self.live[name] = self.inodes[record.inode] = File()
                self.pending.append((name, found))
        elif operation == WRITTEN:
            file = self.inodes[record.inode]
            file.pending.append((record.offset, record.data))
        elif operation == TRUNCATED:
            self.inodes[record.inode].pending.append((record.offset, None))
        elif operation == SYNCED:
            file = self.inodes[record.inode]
            for each in file.pending:
                change(file.durable, *each)
            file.pending.clear()
        elif operation == DIRECTORY_SYNCED:
            if self.directory_syncs:
                for name, entry in self.pending:
                    self._enter(self.entries, name, entry)
                self.pending.clear()
        elif operation == UNLINKED:
            del self.live[name]
            self.pending.append((name, None))
        elif operation not in {MARKED, DIRECTORY_MADE}:
            raise RuntimeError(f"not understood: {record}")

    @staticmethod
    def _enter(
        entries: dict[str, File], name: str, entry: File | None
    ) -> None:
        if entry is None:
            entries.pop(name, None)
        else:
            entries[name] = entry

    @property
    def settled(self) -> bool:
        """Whether a power cut now can leave one image only."""
        return not self.pending and not any(
            file.pending for file in self.entries.values()
        )

    def image(self, number: int, chance: random.Random) -> dict[str, bytes]:
        """The first two have nothing and everything that is pending."""
        entries = dict(self.entries)
        # Of each name's changes the first few, of other names' others.
        cut = {
            name: chance.choice((0, 1, 1 << 30)) for name, _ in self.pending
        }
        for name, entry in self.pending:
            if number == 0 or (number > 1 and cut[name] <= 0):
                continue
            cut[name] -= 1
            self._enter(entries, name, entry)
        return {
            name: bytes(self._content(file, number, chance))
            for name, file in entries.items()
            if name != NOT_ON_DISK
        }

    def _content(
        self, file: File, number: int, chance: random.Random
    ) -> bytearray:
        content = bytearray(file.durable)
        kept = chance.choice((0.1, 0.5, 0.9, 1.0))
        torn = chance.choice((0.0, 0.3, 1.0))
        for place, (offset, data) in enumerate(file.pending):
            if number < 2:
                if number:
                    change(content, offset, data)
                continue
            last = place == len(file.pending) - 1
            if data is not None and (chance.random() < torn or last):
                for start in range(0, len(data), SECTOR):
                    if chance.random() < kept:
                        part = data[start : start + SECTOR]
                        change(content, offset + start, part)
            elif chance.random() < kept:
                change(content, offset, data)
        if number > 1 and chance.random() < 0.3:
            # The size has grown, what was written there has not come.
            size = max(
                [
                    offset + len(data or b"")
                    for offset, data in file.pending
                    if data is not None
                ],
                default=0,
            )
            if size > len(content):
                change(content, size, None)
        return content


# ---- what is acknowledged ----------------------------------------------


def hear(told: Told, text: str) -> Told:
    """Take up a mark; a process that was killed has left one in doubt."""
    if not text.startswith("state "):
        told.read(text)
        return told
    pages, names = json.loads(text[6:])
    state = State(
        {int(block): bits for block, bits in pages.items()},
        {key: (luid, alias) for key, (luid, alias) in names.items()},
    )
    # Killed or not, nothing is lost; and what is seen is there to stay.
    told.compare(state)
    return Told(state, acknowledged=told.acknowledged + 1)


# ---- looking at an image -----------------------------------------------


def put(image: dict[str, bytes], where: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal", ".lock"):
        name = STORE + end
        if name in image:
            descriptor = os.open(
                where / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600
            )
            os.write(descriptor, image[name])
            os.close(descriptor)
        else:
            with contextlib.suppress(FileNotFoundError):
                (where / name).unlink()


def look(told: Told, where: Path) -> None:
    """Directly, without the store's code."""
    connection = apsw.Connection(str(where / STORE))
    try:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        # Needs no shared memory.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA synchronous = OFF")
        told.compare(read_state(connection) or State())
    finally:
        connection.close(True)


def look_through_the_store(told: Told, where: Path) -> None:
    """As a program would after the reboot, with memory that is garbage."""
    if (where / STORE).exists():
        (where / NOT_ON_DISK).write_bytes(os.urandom(32768))
        (where / NOT_ON_DISK).chmod(0o600)
    boot = str(uuid.uuid4())
    _sessions.boot_id = lambda: boot
    with ndis.Session(where / STORE) as session:
        problems = session.store.check()
        if problems:
            raise Wrong(f"check: {problems}")
        told.compare(read_state(session.store._connection) or State())
    try_out(where / STORE)


def explore(
    records: list[Record],
    where: Path,
    options: Any,
    chance: random.Random,
    wanted: int,
    deadline: float,
) -> dict[str, Any]:
    """Look at images of each point; counts and failures."""
    disk = Disk(directory_syncs=not options.forget_directory_syncs)
    told = Told()
    counts: Counter[str] = Counter()
    failures: list[str] = []
    seen: set[int] = set()
    # Few images are spread over the whole record.
    most = min(options.per_point, max(4, wanted // len(records)))
    for place, record in enumerate(records):
        disk.follow(record)
        if record.operation == MARKED:
            try:
                told = hear(told, record.data.decode())
            except Wrong as error:
                failures.append(f"record {place}: {error}")
                break
        counts["points"] += 1
        for number in range(1 if disk.settled else most):
            image = disk.image(number, chance)
            # hash() of bytes is one of 64 bits.
            key = hash(
                (told.acknowledged, bool(told.begun), *sorted(image.items()))
            )
            if key in seen:
                continue
            seen.add(key)
            put(image, where)
            counts["images"] += 1
            try:
                look(told, where)
                if counts["images"] % options.sample == 0:
                    put(image, where)
                    counts["images opened by ndisbridge"] += 1
                    look_through_the_store(told, where)
            except Exception as error:
                failures.append(
                    f"record {place}, image {number}: "
                    f"{type(error).__name__}: {error}"
                )
            if counts["images"] >= wanted or time.monotonic() > deadline:
                break
        else:
            continue
        break
    counts["acknowledged"] += told.acknowledged
    return {"counts": counts, "failures": failures}


def one_part(part: Any, options: Any, recorder: Path, deadline: float) -> dict:
    """Recordings until there are enough images."""
    number, wanted = part[0]
    counts: Counter[str] = Counter()
    failures: list[str] = []
    seed = options.seed + number
    while counts["images"] < wanted and time.monotonic() < deadline:
        with Scratch(memory=True) as scratch:
            records = record_work(recorder, scratch, seed, options.synchronous)
            kinds = {each.operation for each in records}
            if not {WRITTEN, SYNCED, DIRECTORY_SYNCED, MARKED} <= kinds:
                raise RuntimeError("the recorder does not see SQLite's calls")
            where = scratch / "image"
            where.mkdir(mode=0o700)
            found = explore(
                records,
                where,
                options,
                random.Random(seed),
                wanted - counts["images"],
                deadline,
            )
        counts.update(found["counts"])
        counts["recordings"] += 1
        failures += [f"seed {seed}, {each}" for each in found["failures"]]
        seed += options.jobs
    return {"counts": counts, "failures": failures}


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--images", type=int, default=10_000)
    options.add_argument(
        "--per-point", type=int, default=14, help="images of one point"
    )
    options.add_argument(
        "--sample", type=int, default=50, help="open every Nth by ndisbridge"
    )
    options.add_argument(
        "--synchronous",
        choices=("store", "OFF", "NORMAL"),
        default="store",
        help="negative control: in place of the store's own",
    )
    options.add_argument(
        "--forget-directory-syncs",
        action="store_true",
        help="negative control: as if the directory was never synced",
    )
    args = options.parse_args()
    began = time.monotonic()
    deadline = began + args.hours * 3600 if args.hours else float("inf")
    print("seed", args.seed, flush=True)
    with Scratch() as directory:
        recorder = compiled("recorder", directory)
        share = -(-args.images // args.jobs)
        parts = spread(
            args.jobs,
            [(number, share) for number in range(args.jobs)],
            lambda part: one_part(part, args, recorder, deadline),
        )
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part["counts"])
    failures = [each for part in parts for each in part["failures"]]
    return finish(
        {
            "proof": "power-cut",
            "seed": args.seed,
            "seconds": round(time.monotonic() - began),
            "counts": counts,
            "failed": len(failures),
            "failures": failures[:100],
            "versions": versions(),
        },
        args.json,
    )


if __name__ == "__main__":
    sys.exit(main())
