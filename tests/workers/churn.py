# SPDX-License-Identifier: MIT
"""
Allocates, retains and releases until it is killed: ``churn.py STORE WITNESS
SEED``.

Before a call that changes what is retained the witness file gets what is
about to be done, after its answer that it is done; each line is on the disk
before the program goes on, so that the file is never ahead of the store.

A store that is busy has changed nothing, and is asked again: where a flush
takes a second, four processes cannot each have it within the timeout.  A
store that is busy for good is found when all are dead.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import ndisbridge as ndis
from ndisbridge.persistence import StoreBusyError

_T = TypeVar("_T")


class Witness:
    """A file of lines, each durable before the call returns."""

    def __init__(self, path: str) -> None:
        self._file = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
        )

    def write(self, *words: object) -> None:
        line = " ".join(map(str, words)) + "\n"
        os.write(self._file, line.encode())
        os.fdatasync(self._file)


def patiently(call: Callable[[], _T]) -> _T:
    """Again and again while the store is busy."""
    while True:
        try:
            return call()
        except StoreBusyError:
            continue


def one_step(
    session: ndis.Session,
    provider: ndis.Provider,
    witness: Witness,
    kept: list[int],
    names: list[str],
) -> None:
    """One random thing that a program would do."""
    choice = random.random()
    if choice < 0.4:
        count = random.randrange(1, 40)
        indexes = list(
            patiently(partial(session.allocate_net_luid_indexes, 6, count))
        )
        some = indexes[: random.randrange(1, 5)]
        witness.write("retain?", *some)
        patiently(partial(session.retain_net_luid_indexes, 6, some))
        witness.write("retain!", *some)
        kept.extend(some)
        session.free_net_luid_indexes(6, indexes[len(some) :])
    elif choice < 0.6 and kept:
        random.shuffle(kept)
        some = [kept.pop() for _ in range(min(len(kept), 3))]
        witness.write("release?", *some)
        patiently(partial(session.release_net_luid_indexes, 6, some))
        witness.write("release!", *some)
    elif choice < 0.9:
        name = f"{os.getpid()}/{random.randrange(1 << 40)}"
        persistent = choice < 0.85
        if persistent:
            witness.write("identity?", name)
        identity = patiently(
            partial(provider.identity, name, 6, persistent=persistent)
        )
        if persistent:
            witness.write("identity!", name, int(identity.net_luid))
            names.append(name)
        interface = patiently(partial(provider.register_interface, identity))
        try:
            interface.deregister()
        except StoreBusyError:
            # It is deregistered, but its mark is there until this session
            # ends, and nobody can release it.
            if persistent:
                names.remove(name)
    elif names:
        name = names.pop(random.randrange(len(names)))
        found = patiently(partial(provider.find, name))
        assert found is not None
        witness.write("forget?", name, int(found.net_luid))
        patiently(found.release)
        witness.write("forget!", name, int(found.net_luid))


def main(store: str, witness_path: str, seed: str) -> None:
    random.seed(seed)
    witness = Witness(witness_path)
    session = patiently(partial(ndis.Session, store))
    provider = session.register_provider("churn")
    kept: list[int] = []
    names: list[str] = []
    print("open", flush=True)
    while True:
        one_step(session, provider, witness, kept, names)


if __name__ == "__main__":
    main(*sys.argv[1:])
