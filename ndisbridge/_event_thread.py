# SPDX-License-Identifier: MIT
"""
The one thread of a session that calls the functions of its subscribers.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable

from ._closing import Closing
from ._fastcall import write_unraisable
from .events import Event, EventStream, Waker

#: Events of one subscription that are told before another's turn.
_IN_A_TURN = 64


class Subscription(Closing):
    """
    Calls a function for each event, on the session's thread for that, until
    it is closed.  A context manager.

    Made by :meth:`Session.subscribe() <ndisbridge.Session.subscribe>`.
    """

    def __init__(
        self,
        thread: CallbackThread,
        callback: Callable[[Event], object],
        stream: EventStream,
    ) -> None:
        self._thread = thread
        self._stream = stream
        #: What is called.
        self.callback = callback

    @property
    def closed(self) -> bool:
        """Whether the function is not called any more."""
        return self._stream.closed

    @property
    def missed(self) -> int:
        """How many events were lost so far, as told."""
        return self._stream.missed

    def close(self) -> None:
        """
        End it.  One call of the function may be under way: this does not
        wait for it, and may be called from it.
        """
        self._stream.close()
        self._thread.wake()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<ndisbridge.Subscription of {self.callback!r} ({state})>"

    def _tell(self) -> bool:
        """A turn of it, on the thread; False once it is over."""
        for _ in range(_IN_A_TURN):
            event = self._stream._next()
            if event is None:
                break
            try:
                self.callback(event)
            except BaseException as error:
                # Nobody waits for it who could be told otherwise.
                write_unraisable(error, self.callback)
        return not self._stream.closed


class CallbackThread:
    """Runs while there is a subscription; holds no lock while it calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: list[Subscription] = []
        self._running = False
        self._waker: Waker | None = None

    def add(self, subscription: Subscription) -> None:
        with self._lock:
            if self._waker is None:
                self._waker = Waker()
            if not self._running:
                # At exit nothing waits for it: sessions are closed then.
                threading.Thread(
                    target=self._run, name="ndisbridge-events", daemon=True
                ).start()
                # Only then: there may be no thread to be had.
                self._running = True
            self._subscriptions.append(subscription)
        self.wake()

    def wake(self) -> None:
        """Have it look at its subscriptions anew."""
        if self._waker is not None:
            self._waker.wake()

    def _run(self) -> None:
        assert self._waker is not None
        while True:
            with self._lock:
                self._subscriptions = [
                    each for each in self._subscriptions if not each.closed
                ]
                if not self._subscriptions:
                    self._running = False
                    return
                turn = list(self._subscriptions)
            poll = select.poll()
            poll.register(self._waker.fileno(), select.POLLIN)
            waited_on = [each._stream._descriptor for each in turn]
            for descriptor in waited_on:
                if descriptor is not None:
                    poll.register(descriptor.number, select.POLLIN)
            # What is fetched already makes no descriptor readable.
            left = any(each._stream._ready for each in turn)
            poll.poll(0 if left else None)
            self._waker.rest()
            for each in turn:
                each._tell()
