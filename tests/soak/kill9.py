# SPDX-License-Identifier: MIT
"""
Kills processes on one SQLite store with -9 at random moments: four at a
time, each at a moment of its own.  Each has a witness file of what it was
told is kept and released, every line on the disk before it goes on; after
each kill the store must agree with the witness of the dead, and when all
four are dead it must have that and nothing else.

This proves nothing about durability: what a killed process has written is
safe with the kernel, synced or not.  power_cut.py is for that.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from common import Report, Scratch, fork, kill, parser
from power_life import forced

sys.path.insert(0, str(Path(__file__).parent.parent / "workers"))

import churn

import ndisbridge as ndis
from ndisbridge import NetLuid
from ndisbridge.persistence import _connection
from ndisbridge.persistence.sqlite import SqliteStore

PROCESSES = 4
#: Seconds that a process lives, at most.
LONGEST = 0.25
#: Beyond that many identities, the checker releases the old ones.
MOST = 400


@dataclass
class Told:
    """What the witness files of all rounds say."""

    #: Retained for certain.
    kept: set[int] = field(default_factory=set)
    #: Killed between the call and its answer: either way is right.
    maybe: set[int] = field(default_factory=set)
    #: Keys of identities that are there for certain, with their NET_LUID.
    names: dict[str, int] = field(default_factory=dict)
    #: Keys of identities that may be there.
    maybe_names: set[str] = field(default_factory=set)
    #: Lines that acknowledge something.
    acknowledged: int = 0

    def read(self, witness: Path) -> None:
        """Take up the witness of a process that is dead."""
        begun = ""
        for line in witness.read_text().splitlines():
            what, *words = line.split()
            if what.endswith("?"):
                assert not begun, f"{begun} was never answered"
                begun = what
                self._begin(what, words)
            else:
                assert what == begun.replace("?", "!"), f"not asked: {what}"
                begun = ""
                self._end(what, words)
                self.acknowledged += 1

    def _begin(self, what: str, words: list[str]) -> None:
        if what == "identity?":
            self.maybe_names.add(words[0])
        elif what == "forget?":
            self.maybe_names.add(words[0])
            self.names.pop(words[0])
        else:
            indexes = set(map(int, words))
            if what == "retain?":
                assert not indexes & self.kept, "given twice"
            self.kept -= indexes
            self.maybe |= indexes

    def _end(self, what: str, words: list[str]) -> None:
        if what == "identity!":
            self.maybe_names.discard(words[0])
            luid = NetLuid(int(words[1]))
            assert luid not in self.names.values(), "given twice"
            assert luid.net_luid_index not in self.kept, "given twice"
            self.names[words[0]] = luid
        elif what == "forget!":
            self.maybe_names.discard(words[0])
        else:
            indexes = set(map(int, words))
            self.maybe -= indexes
            if what == "retain!":
                self.kept |= indexes


def retained_indexes(store: SqliteStore) -> set[int]:
    """All retained indexes of IfType 6, read as a session reads them."""
    leases = store.lease_blocks(6, 0, 4095, 4096)
    assert len(leases) == 4096, "somebody has a lease"
    store.return_blocks(6, [block for block, _ in leases])
    return {
        block * 4096 + place * 8 + bit
        for block, mask in leases
        if any(mask)
        for place, byte in enumerate(mask)
        for bit in range(8)
        if byte >> bit & 1
    }


def peek(store_path: Path, told: Told) -> None:
    """
    What the dead were told is there, while others go on: they change only
    what is their own.
    """
    with contextlib.closing(SqliteStore(store_path, read_only=True)) as store:
        assert store.check() == []
        pages = dict(
            store._rows("SELECT id, bits FROM pages WHERE id >> 12 = 6")
        )
        bits = {
            number & 4095: int.from_bytes(page, "little")
            for number, page in pages.items()
        }
        for index in told.kept:
            assert bits.get(index >> 12, 0) >> (index & 4095) & 1, (
                "a retained NET_LUID is lost"
            )
        found = dict(store._rows("SELECT key, net_luid FROM identities"))
        for key, luid in told.names.items():
            assert found.get(key) == luid, "a NET_LUID is lost"


def compare(store_path: Path, told: Told) -> None:
    """Open the store and compare what it has with what was told."""
    with ndis.Session(store_path) as session:
        store = session.store
        assert isinstance(store, SqliteStore)
        assert store.check() == []
        stats = store.stats()
        assert len(stats.sessions) == 1, "a dead session is left"
        assert all(each.leased_blocks == 0 for each in stats.types)
        records = {each.key: each for each in session.identities()}
        assert all(each.in_use_by is None for each in records.values())
        assert all(each.persistent for each in records.values())
        for key, luid in told.names.items():
            assert key in records, "an identity is lost"
            assert records[key].net_luid == luid, "a NET_LUID is lost"
        assert set(records) - set(told.names) <= told.maybe_names
        of_identities = {
            NetLuid(each.net_luid).net_luid_index for each in records.values()
        }
        assert len(of_identities) == len(records), "given twice"
        taken = retained_indexes(store)
        assert of_identities <= taken
        bare = taken - of_identities
        assert not told.kept & of_identities, "given twice"
        assert told.kept <= bare, "a retained NET_LUID is lost"
        assert bare - told.kept <= told.maybe, "one has leaked"
        own = sum(each.if_index_owned for each in records.values())
        if_indexes = [t.retained for t in stats.types if t.if_type == 0]
        assert sum(if_indexes) == own, "an ifIndex has leaked"
        # What is in doubt is settled by looking, as a program would.
        told.kept, told.maybe = bare, set()
        told.names = {key: r.net_luid for key, r in records.items()}
        told.maybe_names = set()
        if len(records) > MOST:
            for record in list(records.values())[: MOST // 2]:
                session.release(record)
                del told.names[record.key]
        if len(told.kept) > MOST * 4:
            old = sorted(told.kept)[: MOST * 2]
            session.release_net_luid_indexes(6, old)
            told.kept.difference_update(old)


class SwappedWitness(churn.Witness):
    """A control: says that it is done before it is."""

    def write(self, *words: object) -> None:
        what = str(words[0])
        if what in {"retain!", "release!"}:
            return
        super().write(*words)
        if what in {"retain?", "release?"}:
            super().write(what.replace("?", "!"), *words[1:])


def start(store: Path | str, witness: Path, seed: int, control: str) -> int:
    """A process that works until it is killed."""

    def work() -> None:
        if control == "swapped":
            churn.Witness = SwappedWitness
        elif control == "off":
            _connection.SqliteConnection._set_synchronous = forced("OFF")
        churn.main(str(store), str(witness), str(seed))

    return fork(work, last_words(witness))


def last_words(witness: Path) -> Path:
    """Where a process says why it has ended by itself."""
    return witness.with_name(f"{witness.name}.error")


def one_round(
    directory: Path,
    first: int,
    told: Told,
    chance: random.Random,
    control: str,
) -> None:
    """Four processes, four kills."""
    store = directory / "store" / "ndis.db"
    running = {}
    try:
        for number in range(first, first + PROCESSES):
            witness = directory / f"witness{number}"
            seed = chance.randrange(1 << 30)
            running[start(store, witness, seed, control)] = witness
        begun = time.monotonic()
        ends = sorted(chance.uniform(0.002, LONGEST) for _ in running)
        victims = list(running)
        chance.shuffle(victims)
        for pid, end in zip(victims, ends, strict=True):
            time.sleep(max(0.0, begun + end - time.monotonic()))
            witness = running.pop(pid)
            kill(pid, last_words(witness))
            if witness.exists():
                told.read(witness)
                witness.unlink()
            # The last is looked at by compare(); and until something is
            # acknowledged the store need not be made.
            if running and (told.kept or told.names):
                peek(store, told)
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    compare(store, told)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=200, help="kills")
    options.add_argument(
        "--control",
        choices=("", "swapped", "off"),
        default="",
        help="swapped: the witness is early, which must be found; off: "
        "nothing is synced, which kill -9 can't find",
    )
    args = options.parse_args()
    report = Report("kill9", args)
    chance = random.Random(args.seed)
    told = Told()
    with Scratch() as directory:
        for first in report.rounds(args.rounds, PROCESSES):
            with report.trying(f"round {first}"):
                one_round(directory, first, told, chance, args.control)
                report.counts["kills"] += PROCESSES
    report.counts["acknowledged"] = told.acknowledged
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
