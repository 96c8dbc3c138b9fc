# SPDX-License-Identifier: MIT
"""
Works on a store under the recorder: ``power_life.py STORE SEED STEPS
SYNCHRONOUS``, where SYNCHRONOUS is "store" for the store's own, or a level
of SQLite to be had in its place.

Marks the record with a witness (model.py); the first mark of a process is
``state`` and what it finds, which must be there from then on.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import sys
import threading
from collections.abc import Callable
from typing import Any

from model import State, read_state

import ndisbridge as ndis
from ndisbridge.persistence import _connection

#: Threads that retain at once.
THREADS = 4


def forced(level: str) -> Callable[[Any, str], None]:
    """A _set_synchronous that knows one level only."""

    def set_level(self: Any, _: str) -> None:
        self._connection.execute(f"PRAGMA synchronous = {level}")

    return set_level


class Work:
    """Random work on one store, through one or two sessions."""

    def __init__(self, store: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.store = store
        recorder = ctypes.CDLL(None)
        self.mark_in_record = recorder.recorder_mark
        self.sessions: list[ndis.Session] = []
        self.open()
        state = read_state(self.sessions[0].store._connection)
        assert state is not None
        self.mark("state", json.dumps([state.pages, state.names]))
        self.names = sorted(state.names)
        self.kept = sorted(bare(state))

    def mark(self, *words: object) -> None:
        self.mark_in_record(" ".join(map(str, words)).encode())

    def open(self) -> None:
        self.sessions.append(ndis.Session(self.store))

    def close(self) -> None:
        self.sessions.pop(self.random.randrange(len(self.sessions))).close()

    def step(self) -> None:
        """One thing that a program would do."""
        if not self.sessions:
            self.open()
        session = self.random.choice(self.sessions)
        (choice,) = self.random.choices(
            (
                self.retain,
                self.retain_many,
                self.retain_scattered,
                self.release,
                self.identity,
                self.alias,
                self.forget,
                self.temporary,
                self.together,
                self.another,
            ),
            (40, 4, 3, 22, 14, 5, 8, 4, 6, 5),
        )
        choice(session)

    def _retain(self, session: ndis.Session, chosen: list[int]) -> None:
        self.mark("retain?", *chosen)
        session.retain_net_luid_indexes(6, chosen)
        self.mark("retain!")
        self.kept += chosen

    def retain(self, session: ndis.Session) -> None:
        count = self.random.randrange(1, 6)
        self._retain(
            session, list(session.allocate_net_luid_indexes(6, count))
        )

    def together(self, session: ndis.Session) -> None:
        """Threads at once, which may share a transaction."""
        got = list(session.allocate_net_luid_indexes(6, THREADS * 2))
        ready = threading.Barrier(THREADS)

        def retain(number: int) -> None:
            mine = got[number::THREADS]
            ready.wait()
            self.mark(f"t{number}:retain?", *mine)
            session.retain_net_luid_indexes(6, mine)
            self.mark(f"t{number}:retain!")

        threads = [
            threading.Thread(target=retain, args=(number,))
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.kept += got

    def retain_many(self, session: ndis.Session) -> None:
        if len(self.kept) < 6000:
            self._retain(
                session, list(session.allocate_net_luid_indexes(6, 1500))
            )

    def retain_scattered(self, session: ndis.Session) -> None:
        got = list(session.allocate_net_luid_indexes(6, 20_000))
        chosen = got[:: self.random.randrange(2500, 6000)]
        self._retain(session, chosen)
        session.free_net_luid_indexes(6, sorted({*got} - {*chosen}))

    def release(self, session: ndis.Session) -> None:
        if not self.kept:
            return
        most = self.random.choice((3, 3, 3, 2000))
        count = min(len(self.kept), self.random.randrange(1, most))
        self.random.shuffle(self.kept)
        chosen, self.kept = self.kept[:count], self.kept[count:]
        self.mark("release?", *chosen)
        session.release_net_luid_indexes(6, chosen)
        self.mark("release!")

    def identity(self, session: ndis.Session) -> None:
        if len(self.names) > 25:
            self.forget(session)
            return
        key = f"{self.random.randrange(1 << 40)}"
        with session.register_provider("cut") as provider:
            self.mark("identity?", key)
            identity = provider.identity(key, 6)
            self.mark("identity!", key, int(identity.net_luid))
            self.names.append(key)
            provider.register_interface(identity).deregister()

    def alias(self, session: ndis.Session) -> None:
        if self.names:
            key = self.random.choice(self.names)
            alias = f"a{self.random.randrange(1 << 40)}"
            with session.register_provider("cut") as provider:
                found = provider.find(key)
                assert found is not None
                self.mark("alias?", key, alias)
                found.update(alias=alias)
                self.mark("alias!")

    def forget(self, session: ndis.Session) -> None:
        if self.names:
            key = self.names.pop(self.random.randrange(len(self.names)))
            with session.register_provider("cut") as provider:
                found = provider.find(key)
                assert found is not None
                self.mark("forget?", key)
                found.release()
                self.mark("forget!")

    def temporary(self, session: ndis.Session) -> None:
        """What ends with its session: never in the witness."""
        with session.register_provider("cut") as provider:
            with contextlib.suppress(ndis.persistence.StoreError):
                provider.identity("temporary", 6, persistent=False)

    def another(self, session: ndis.Session) -> None:
        """Another session, or one less, or none: then the log goes."""
        if len(self.sessions) < 2:
            self.open()
        else:
            self.close()
            if self.random.random() < 0.5:
                self.close()


def bare(state: State) -> set[int]:
    """Retained indexes that are no identity's."""
    indexes = {
        block << 12 | bit
        for block, bits in state.pages.items()
        for bit in range(4096)
        if bits >> bit & 1
    }
    return indexes - {
        luid >> 24 & 0xFFFFFF for luid, _ in state.names.values()
    }


def main(store: str, seed: str, steps: str, synchronous: str) -> None:
    if synchronous != "store":
        _connection.SqliteConnection._set_synchronous = forced(synchronous)
    os.makedirs(os.path.dirname(store), mode=0o700, exist_ok=True)
    work = Work(store, int(seed))
    for _ in range(int(steps)):
        work.step()
    while work.sessions:
        work.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
