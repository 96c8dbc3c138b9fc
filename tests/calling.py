# SPDX-License-Identifier: MIT
"""Calls by several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Threads:
    """
    Threads that each call something, and what came of it.

    Args:
        patience: Seconds after which one of them is taken for stuck.
    """

    def __init__(self, patience: float = 300) -> None:
        self.patience = patience
        self.results: dict[object, object] = {}
        self._threads: list[threading.Thread] = []

    def start(self, name: object, call: Callable[[], object]) -> None:
        def run() -> None:
            try:
                self.results[name] = call()
            except BaseException as error:
                self.results[name] = error

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self) -> dict[object, object]:
        for each in self._threads:
            each.join(self.patience)
            assert not each.is_alive(), "a thread was never woken"
        return self.results
