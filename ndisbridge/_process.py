# SPDX-License-Identifier: MIT
"""
The sessions of this process: what ``fork()`` and its end do to them.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from . import _native
    from .persistence import Store


class _Session(Protocol):
    def close(self, timeout: float | None = None) -> None: ...

    def _after_fork_in_child(self) -> None: ...


#: Sessions that are open.  No WeakSet: one that another thread changes
#: cannot be gone through.
_sessions: set[weakref.ref[_Session]] = set()
#: What handlers may still be using of sessions that were dropped unclosed.
leaked: dict[_native.Core, tuple[Store, object]] = {}
#: Seconds that the end of the interpreter waits for running handlers.
_EXIT_TIMEOUT = 2.0


class _Openings:
    """
    Threads that open a store, which fork() waits for: a child must not
    inherit the lock of a store that nobody knows of yet.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Also in a child of fork(): whoever held the lock is not there."""
        self._changed = threading.Condition(threading.RLock())
        self._threads: list[int] = []
        self._forking: list[int] = []

    def __enter__(self) -> None:
        with self._changed:
            own = threading.get_ident()
            self._changed.wait_for(lambda: {*self._forking} <= {own})
            self._threads.append(own)

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._threads.remove(threading.get_ident())
            self._changed.notify_all()

    def before_fork(self) -> None:
        with self._changed:
            own = threading.get_ident()
            self._forking.append(own)
            # A signal handler may fork in the middle of an opening.
            self._changed.wait_for(lambda: {*self._threads} <= {own})

    def after_fork_in_parent(self) -> None:
        with self._changed:
            self._forking.remove(threading.get_ident())
            self._changed.notify_all()


openings = _Openings()


def add(session: _Session) -> weakref.ref[_Session]:
    """Know a session from now on; what it is known as."""
    reference = weakref.ref(session, _sessions.discard)
    _sessions.add(reference)
    return reference


def discard(reference: weakref.ref[_Session]) -> None:
    """One that is closed."""
    _sessions.discard(reference)


def _open_sessions() -> list[_Session]:
    return [
        session for each in _sessions.copy() if (session := each()) is not None
    ]


def _at_exit() -> None:
    # All begin to close before one is waited for, and all have one deadline.
    deadline = time.monotonic()
    for wait in (0.0, _EXIT_TIMEOUT):
        deadline += wait
        for session in _open_sessions():
            with contextlib.suppress(Exception):
                session.close(max(0.0, deadline - time.monotonic()))
    for core, (store, _) in leaked.copy().items():
        with contextlib.suppress(Exception):
            core.close(0)
            store.close()


def _after_fork_in_child() -> None:
    openings.reset()
    for session in _open_sessions():
        session._after_fork_in_child()
    for store, _ in list(leaked.values()):
        store.after_fork_in_child()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=openings.before_fork,
        after_in_parent=openings.after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
