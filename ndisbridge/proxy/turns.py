# SPDX-License-Identifier: MIT
"""
Changes of one adapter take turns.

A turn is held while drivers are called, so it is not a lock that OID
requests or indications ever take, and waiting for one has a deadline.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from ..exceptions import InvalidStateError, NdisTimeoutError


class Turn:
    """
    One change at a time.

    Args:
        what: What changes, for messages.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._owner = 0

    @contextlib.contextmanager
    def take(self, deadline: float) -> Iterator[None]:
        """
        Wait for the turn, at most until a moment of the monotonic clock.

        Raises:
            InvalidStateError: A driver asks from within a change of the
                same adapter.
            NdisTimeoutError: Another change still goes on.
        """
        own = threading.get_ident()
        if self._owner == own:
            raise InvalidStateError(
                f"{self._what} is being changed by the driver call that asks"
            )
        left = min(max(deadline - time.monotonic(), 0), threading.TIMEOUT_MAX)
        if not self._lock.acquire(timeout=left):
            raise NdisTimeoutError(f"{self._what} is still being changed")
        self._owner = own
        try:
            yield
        finally:
            self._owner = 0
            self._lock.release()
