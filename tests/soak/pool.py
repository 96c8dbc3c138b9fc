# SPDX-License-Identifier: MIT
"""Work over processes that are forked while there is but one thread."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from typing import Any


def spread(
    jobs: int, items: Sequence[Any], work: Callable[[Sequence[Any]], Any]
) -> list[Any]:
    """
    What ``work`` makes of each of ``jobs`` parts of the items.

    Not multiprocessing: its helpers are threads, and what is forked from
    here forks again.
    """
    jobs = max(1, min(jobs, len(items)))
    running = []
    for number in range(jobs):
        out, into = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(out)
                with os.fdopen(into, "wb") as file:
                    pickle.dump(work(items[number::jobs]), file)
                status = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(into)
        running.append((pid, out))
    results = []
    for pid, out in running:
        with os.fdopen(out, "rb") as file:
            raw = file.read()
        _, status = os.waitpid(pid, 0)
        if status:
            raise RuntimeError(f"a process of the pool failed ({status})")
        results.append(pickle.loads(raw))
    return results
