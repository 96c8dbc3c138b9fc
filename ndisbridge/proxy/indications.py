# SPDX-License-Identifier: MIT
"""
Telling drivers things in their order, one at a time, with no lock held.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Indications:
    """
    A queue of calls.  Whoever adds one makes the calls that wait, unless
    another thread, or a call that is being made, is doing so.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._calling = False

    def add(self, call: Callable[[], None]) -> None:
        """Add a call, which must not raise."""
        self._waiting.append(call)

    def deliver(self) -> None:
        """Make the calls that wait."""
        with self._lock:
            if self._calling:
                return
            self._calling = True
        try:
            while True:
                try:
                    call = self._waiting.popleft()
                except IndexError:
                    with self._lock:
                        if not self._waiting:
                            self._calling = False
                            return
                    continue
                call()
        except BaseException:
            with self._lock:
                self._calling = False
            raise
