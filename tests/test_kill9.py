# SPDX-License-Identifier: MIT
"""
Processes on one SQLite store are killed at random moments; what they were
told is kept is kept, and nothing else is.
"""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import ndisbridge as ndis
from ndisbridge import NetLuid
from ndisbridge.persistence.sqlite import SqliteStore

WORKER = Path(__file__).parent / "workers" / "churn.py"
ROUNDS = 200
#: Processes at once; each is killed at a moment of its own.
PROCESSES = 5


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


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        ("retain? 1 2\nretain? 3\n", "never answered"),
        ("identity? a\nforget? b 7\n", "never answered"),
        ("retain? 1\nretain! 1\nretain! 1\n", "not asked"),
        ("retain? 1\nretain! 1\nretain? 1\n", "given twice"),
    ],
)
def test_a_false_witness_is_found(
    tmp_path: Path, lines: str, match: str
) -> None:
    """An answer too few or too many does not pass unseen."""
    witness = tmp_path / "witness"
    witness.write_text(lines)
    with pytest.raises(AssertionError, match=match):
        Told().read(witness)


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


def start(store_path: Path, witness: Path, seed: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, WORKER, store_path, witness, str(seed)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def kill(process: subprocess.Popen) -> None:
    """Kill -9; before that it must not have ended by itself."""
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()


@pytest.mark.parametrize("seed", [20_260_101])
def test_killed_at_random_moments(store_path: Path, seed: int) -> None:
    """200 kills: the store opens, nothing is lost, given twice or leaked."""
    moments = random.Random(seed)
    told = Told()
    witnesses = (
        store_path.parent.parent / f"witness{n}" for n in itertools.count()
    )
    for first in range(0, ROUNDS, PROCESSES):
        running = []
        for number in range(first, first + PROCESSES):
            witness = next(witnesses)
            running.append((start(store_path, witness, number), witness))
        # From the midst of the import to after hundreds of commits.
        begun = time.monotonic()
        ends = sorted(moments.uniform(0.1, 0.9) for _ in running)
        for (process, _), end in zip(running, ends, strict=True):
            time.sleep(max(0.0, begun + end - time.monotonic()))
            kill(process)
        # In the order of death: what the dead had, the living may have got.
        for _, witness in running:
            if witness.exists():
                told.read(witness)
        compare(store_path, told)
    assert len(told.kept) > ROUNDS
    assert len(told.names) > ROUNDS
