# SPDX-License-Identifier: MIT
"""Threads that do the same at once."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Crew:
    """Threads that wait to do the same at once, as often as asked."""

    def __init__(self, size: int, work: Callable[[int], None]) -> None:
        self._work = work
        self._gate = threading.Barrier(size + 1)
        self._ended = False
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(i,)) for i in range(size)
        ]
        for each in self._threads:
            each.start()

    def _run(self, number: int) -> None:
        while True:
            self._gate.wait()
            if self._ended:
                return
            try:
                self._work(number)
            except BaseException as error:
                self._failure = error
            self._gate.wait()

    def run(self) -> int:
        """Once in every thread; how many they are."""
        self._gate.wait()
        self._gate.wait()
        if self._failure is not None:
            raise self._failure
        return len(self._threads)

    def end(self) -> None:
        self._ended = True
        self._gate.wait()
        for each in self._threads:
            each.join()
