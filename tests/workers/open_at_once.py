# SPDX-License-Identifier: MIT
"""
Opens a store that is not there yet, in processes that begin at the same
moment: ``open_at_once.py DIRECTORY ROUNDS PROCESSES``.  Exit status: 1 if one
of them could not.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from ndisbridge.persistence.sqlite import SqliteStore


def start(path: Path, gate: tuple[int, int]) -> int:
    """A child that opens the store when the gate is closed; its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        reading, writing = gate
        os.close(writing)
        os.read(reading, 1)
        SqliteStore(path).close()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def one_round(path: Path, processes: int) -> bool:
    """Whether all of them could open a store that was not there."""
    gate = os.pipe()
    children = [start(path, gate) for _ in range(processes)]
    for end in gate:
        os.close(end)
    statuses = [os.waitpid(pid, 0)[1] for pid in children]
    return not any(statuses)


def main(directory: str, rounds: str, processes: str) -> int:
    results = [
        one_round(Path(directory) / str(number) / "ndis.db", int(processes))
        for number in range(int(rounds))
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
