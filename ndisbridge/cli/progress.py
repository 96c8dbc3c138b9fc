# SPDX-License-Identifier: MIT
"""
How far something is that takes long: for who waits at a terminal.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from types import TracebackType

#: Seconds before anything is said, and between one word and the next.
_EVERY = 1.0


class Progress:
    """One line on stderr that is gone at the end; nothing elsewhere."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._done = self._total = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __call__(self, done: int, total: int) -> None:
        self._done, self._total = done, total

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            # A thread: what takes long may be one call of SQLite.
            self._thread = threading.Thread(target=self._say, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _say(self) -> None:
        seconds = 0
        with contextlib.suppress(OSError):
            while not self._ended.wait(_EVERY):
                seconds += 1
                far = f"{seconds} s"
                if self._total:
                    far = f"{self._done * 100 // self._total} %, {far}"
                sys.stderr.write(f"\r{self._what}: {far}\x1b[K")
                sys.stderr.flush()
            if seconds:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
