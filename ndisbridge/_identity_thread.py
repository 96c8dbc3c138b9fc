# SPDX-License-Identifier: MIT
"""
The one thread of a session that watches the identities of its store, and
posts what happens to them to the session's subscribers.
"""

from __future__ import annotations

import itertools
import os
import select
import threading
import time
from collections.abc import Callable

from . import _native_events
from ._fastcall import write_unraisable
from ._native import Core
from ._numbering import put_numbered
from .constants import IdentityChangeKind
from .events import Waker
from .persistence import (
    IdentityWatch,
    StoreBusyError,
    StoreChange,
    StoreError,
)

#: Seconds that who subscribes waits at most until the store is watched.
_READY = 2.0
#: Seconds that closing waits for the thread; a store has its own bounds.
_END = 2.0
#: Seconds before a store that could not be watched is tried again.
_AGAIN = (1.0, 30.0)


class IdentityThread:
    """
    Runs while somebody has asked for it.

    Args:
        core: Where changes are posted.
        watch: Of the store.
    """

    def __init__(self, core: Core, watch: Callable[[], IdentityWatch]) -> None:
        self._core = core
        self.watch = watch
        self._pid = os.getpid()
        # A stream that is collected meanwhile leaves.
        self._lock = threading.RLock()
        self._wanted = 0
        self._closed = False
        self._run: _Run | None = None
        #: Those that are about to end.
        self._ending: list[_Run] = []
        self._room = 0
        self._tokens = itertools.count(1)
        #: What has been posted, by its token, as long as it can be fetched.
        self.changes: dict[int, StoreChange] = {}

    def want(self, capacity: int) -> None:
        """Watch the store from now on; pair with :meth:`leave`."""
        with self._lock:
            self._wanted += 1
        try:
            with self._lock:
                # Some more may be between C and their readers.
                self._room = max(self._room, 2 * capacity + 1024)
                if self._run is None and not self._closed:
                    self._run = _Run(self)
                run = self._run
            if run is not None:
                run.ready.wait(_READY)
        except BaseException:
            # No thread was to be had, or the wait was interrupted.
            self.leave()
            raise

    def leave(self) -> None:
        """One less wants it."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._wanted -= 1
            if self._wanted > 0:
                return
            # Nobody is left who could fetch any of it.
            self.changes.clear()
            self._room = 0
            if self._run is None:
                return
            run, self._run = self._run, None
            self._ending = [each for each in self._ending if each.is_alive()]
            self._ending.append(run)
        run.stop()

    def close(self) -> None:
        """For good, before the store is closed."""
        with self._lock:
            self._closed = True
            runs, self._ending = self._ending, []
            if self._run is not None:
                runs.append(self._run)
                self._run = None
        deadline = time.monotonic() + _END
        for run in runs:
            run.stop()
            run.join(max(0.0, deadline - time.monotonic()))

    def post(self, change: StoreChange) -> None:
        """On its thread."""
        # Beside it one that is about to end may post.
        token = put_numbered(self.changes, self._tokens, change)
        # Older ones have been fetched, or lost.
        self.changes.pop(token - self._room, None)
        _native_events.post_identity_event(
            self._core,
            change.net_luid,
            0 if change.record is None else change.record.if_index,
            IdentityChangeKind[change.kind.upper()],
            token,
        )


class _Run:
    """One thread, from the first who wants it to the last."""

    def __init__(self, owner: IdentityThread) -> None:
        self._owner = owner
        self._waker = Waker()
        self._stop = threading.Event()
        self.ready = threading.Event()
        self._thread = threading.Thread(
            target=self._main, name="ndisbridge-identities", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._waker.wake()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout: float) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _main(self) -> None:
        pause = _AGAIN[0]
        failed = False
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._follow(lost=failed)
            except StoreError:
                pass
            except Exception as error:
                write_unraisable(error, self._owner.watch)
            self.ready.set()
            failed = True
            if time.monotonic() - began > _AGAIN[1]:
                pause = _AGAIN[0]
            if not self._stop.is_set():
                self._wait(-1, pause)
                pause = min(2 * pause, _AGAIN[1])

    def _follow(self, *, lost: bool) -> None:
        watch = self._owner.watch()
        try:
            self.ready.set()
            if lost:
                self._owner.post(StoreChange("lost"))
            while not self._stop.is_set():
                self._wait(watch.fileno(), watch.period)
                if self._stop.is_set():
                    return
                try:
                    found = watch.read()
                except StoreBusyError:
                    continue
                for each in found:
                    self._owner.post(each)
        finally:
            watch.close()

    def _wait(self, descriptor: int, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._waker.fileno(), select.POLLIN)
        if descriptor >= 0:
            poll.register(descriptor, select.POLLIN)
        poll.poll(seconds * 1000)
        self._waker.rest()
