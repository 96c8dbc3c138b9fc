# SPDX-License-Identifier: MIT
"""
Links followed: what the kernel says has changed becomes so in the session.

    with LinuxHost(session) as host, host.follow():
        for event in session.events():
            print(event)
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from ..._closing import Closing
from ..._native_linux import (
    CHANGE_LINK,
    CHANGE_RESYNC,
    LinuxChanges,
    LinuxMonitor,
)
from ...exceptions import ForkedError, InvalidStateError, NdisError
from ...persistence import IdentityInUseError, StoreError
from .adoption import AdoptedLink
from .compartments import CompartmentError, namespace_of_thread

if TYPE_CHECKING:
    from .host import LinuxHost

#: What becomes of a link that vanishes: it is deregistered, and its identity
#: stays; or it is removed, and its identity is released.
Removal = Literal["deregister", "remove"]

# After a failure, seconds to wait: doubled each time, up to the second.
_FIRST_WAIT = 0.02
_LAST_WAIT = 5.0
# Seconds for which run() goes on after its end while there is more to do.
_OVERTIME = 1.0
_NEVER = float("inf")


class Follower(Closing):
    """
    Keeps the links of a host as the kernel has them: those that come, go,
    are renamed, move to another namespace or back, change their state, MTU,
    address, alias or master.

    Args:
        host: Whose links they are.
        removal: What becomes of a link that vanishes, ``"deregister"`` or
            ``"remove"``.  A link that moves to another namespace vanishes
            here, and with ``"remove"`` loses its identity, the ifIndex that
            is reserved for it included.  One that is there again at once,
            under the same ifIndex, has not vanished.
        refresh_interval: Seconds after which all values are read and
            published, counters too; None: never.
        receive_buffer: Bytes of changes that the kernel keeps until they
            are read; 0 for 64 MiB.  See
            ``ndisbridge_open_linux_monitor()``.

    Raises:
        CompartmentError: This thread is not in the host's network namespace.
        OSError: The kernel gives no socket.
        RuntimeError: The host is followed already.

    Nothing is missed: when changes were lost, since this was stopped or too
    slow, and when the socket fails, all links are read anew.  Changes of one
    link that are there at once are published one by one; a link that came
    and went in between was never here.  What fails, such as a store that is
    busy, is tried again, with longer and longer waits, up to 5 s; so is a
    link that another process has registered.

    :meth:`start` has a thread do it; or call :meth:`run` yourself, from one
    thread at a time.  A context manager: entering it starts the thread,
    unless it runs; leaving it ends following.
    """

    def __init__(
        self,
        host: LinuxHost,
        *,
        removal: Removal = "deregister",
        refresh_interval: float | None = 10.0,
        receive_buffer: int = 0,
    ) -> None:
        if removal not in {"deregister", "remove"}:
            raise ValueError(
                f'removal is "deregister" or "remove", not {removal!r}'
            )
        if any(not each.closed for each in host._followers):
            raise RuntimeError("the links of this host are followed already")
        self._host = host
        self._removal = removal
        self._interval = refresh_interval
        self._receive_buffer = receive_buffer
        self._monitor: LinuxMonitor | None = self._open()
        self._wake = os.pipe()
        os.set_blocking(self._wake[1], False)
        #: Of the pipe's ends, which may be another file's once closed.
        self._waking = threading.RLock()
        self._closing = False
        self._thread: threading.Thread | None = None
        #: Of what whoever follows uses; and who does, or waits to.
        self._running = threading.RLock()
        self._at_work: set[int] = set()
        self._behind = True
        self._scan = True
        self._wait = 0.0
        self._not_before = 0.0
        self._refresh_at = 0.0
        self._patience = _FIRST_WAIT
        self._resyncs = 0
        self._last_error: Exception | None = None
        host._followers.append(self)

    # -- what is known of it

    @property
    def closed(self) -> bool:
        """Whether it follows no more."""
        return self._closing

    @property
    def resyncs(self) -> int:
        """How often all links were read because changes may have been lost."""
        return self._resyncs

    @property
    def last_error(self) -> Exception | None:
        """What failed last; None if all has gone well since."""
        return self._last_error

    # -- following

    def start(self) -> None:
        """
        Adopt the links here and now, then follow them on a thread.

        Raises:
            OSError: The kernel did not tell the links.
            StoreError: The store refused.
            RuntimeError: It has been started, or is closed.
        """
        if self._thread is not None or self._closing:
            raise RuntimeError("it has been started, or is closed")
        try:
            with self._working():
                self._catch_up()
        except BaseException:
            self.close()
            raise
        # At exit nothing waits for it: sessions are closed then.
        self._thread = threading.Thread(
            target=self._follow, name="ndisbridge-follower", daemon=True
        )
        self._thread.start()

    def run(self, timeout: float | None = None) -> int:
        """
        Follow for a while, on this thread.

        Args:
            timeout: Seconds after which to return; 0: once nothing is left
                to do now, or after a second; None: once it is closed.

        Returns:
            How many changes there were.
        """
        end = None if timeout is None else time.monotonic() + timeout
        done = 0
        with self._working():
            while not self._closing:
                changed = self._step()
                done += changed
                idle = self._idle_for()
                now = time.monotonic()
                # What there is to do now is done; but not without an end.
                if end is not None and now >= end:
                    if now > end + _OVERTIME or not (changed or idle == 0):
                        return done
                    continue
                if idle != 0:
                    rest = None if end is None else end - now
                    self._sleep(
                        min(
                            (
                                each
                                for each in (idle, rest)
                                if each is not None
                            ),
                            default=None,
                        )
                    )
        return done

    def _follow(self) -> None:
        # The session may be closed while this runs: then it is over.
        try:
            with contextlib.suppress(InvalidStateError, ForkedError):
                self.run()
        except Exception as error:
            self._last_error = error
            raise
        finally:
            self._closing = True

    def _step(self) -> int:
        """Do what there is to do now: how many changes."""
        now = time.monotonic()
        if now < self._not_before:
            return 0
        try:
            if self._monitor is None:
                self._monitor = self._open()
                self._behind = self._scan = True
            if self._behind:
                self._catch_up()
            elif now >= self._refresh_at:
                self._reconcile(scan=False)
            changes = self._monitor.changes()
            self._take(changes)
        except (InvalidStateError, ForkedError):
            raise
        except (OSError, StoreError, NdisError, CompartmentError) as error:
            self._failed(error)
            return 0
        if self._wait:
            self._wait = 0.0
        self._last_error = None
        return len(changes)

    def _take(self, changes: LinuxChanges) -> None:
        kinds = list(changes)
        if any(kind == CHANGE_RESYNC for kind, _ in kinds):
            self._behind = self._scan = True
            self._resyncs += 1
            return
        if not kinds:
            return
        try:
            with self._host._lock:
                taken = self._host._take_changes(
                    changes.links,
                    [(kind == CHANGE_LINK, each) for kind, each in kinds],
                    self._removal,
                )
        except BaseException:
            # Whatever has been done of it: the links say what is so.
            self._behind = True
            raise
        self._try_again(taken)

    def _catch_up(self) -> None:
        self._reconcile(scan=self._scan)
        self._behind = self._scan = False

    def _reconcile(self, *, scan: bool) -> None:
        """Read all links, and have everything as they are."""
        host = self._host
        with host._lock:
            taken, _ = host._take_all(
                host._handle.links(),
                scan=scan,
                continuing=True,
                removal=self._removal,
            )
        self._refresh_at = (
            _NEVER
            if self._interval is None
            else time.monotonic() + self._interval
        )
        self._try_again(taken)

    def _try_again(self, taken: Sequence[AdoptedLink]) -> None:
        """
        Who comes from another namespace may be registered there for a moment
        still: not for long, or else for long.
        """
        if not any(
            isinstance(each.error, IdentityInUseError) for each in taken
        ):
            self._patience = _FIRST_WAIT
            return
        at = time.monotonic() + self._patience
        self._patience = min(self._patience * 2, _LAST_WAIT)
        self._refresh_at = min(self._refresh_at, at)

    def _failed(self, error: Exception) -> None:
        self._last_error = error
        self._behind = True
        # BlockingIOError: the links change faster than they can be read.
        of_socket = isinstance(error, OSError) and not isinstance(
            error, (BlockingIOError, NdisError)
        )
        if of_socket and self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        self._wait = min(max(self._wait * 2, _FIRST_WAIT), _LAST_WAIT)
        self._not_before = time.monotonic() + self._wait

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        own = threading.get_ident()
        # Before it waits: a signal handler may close it at any moment.
        self._at_work.add(own)
        try:
            with self._running:
                yield
        finally:
            self._at_work.discard(own)
            if self._closing:
                self.close()

    # -- waiting

    def _idle_for(self) -> float | None:
        """Seconds until there is something to do again; None: who knows."""
        now = time.monotonic()
        if now < self._not_before:
            return self._not_before - now
        if self._behind or self._monitor is None:
            return 0
        if self._refresh_at == _NEVER:
            return None
        return max(0.0, self._refresh_at - now)

    def _sleep(self, seconds: float | None) -> None:
        """Until then, a change, or the end."""
        poll = select.poll()
        poll.register(self._wake[0], select.POLLIN)
        if self._monitor is not None and not self._not_before > (
            time.monotonic()
        ):
            poll.register(self._monitor.fileno(), select.POLLIN)
        poll.poll(None if seconds is None else max(0.0, seconds) * 1000)

    def _open(self) -> LinuxMonitor:
        namespace = namespace_of_thread()
        if namespace != self._host._namespace:
            raise CompartmentError(
                "this thread is in another network namespace than the host "
                "whose links are to be followed"
            )
        return LinuxMonitor(self._receive_buffer)

    # -- life

    def close(self) -> None:
        """
        Follow no more; the links stay registered, as they are.

        On the thread that follows, in a signal handler or one of ours, it
        only says so: :meth:`run` returns, and lets go of all that it used.
        """
        self._closing = True
        with self._waking:
            if self._wake[1] >= 0:
                # Full: it is about to wake anyway.
                with contextlib.suppress(BlockingIOError):
                    os.write(self._wake[1], b"\0")
        with contextlib.suppress(ValueError):
            self._host._followers.remove(self)
        if threading.get_ident() in self._at_work:
            return
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        with self._running:
            monitor, self._monitor = self._monitor, None
            if monitor is not None:
                monitor.close()
            with self._waking:
                ends, self._wake = self._wake, (-1, -1)
                for end in ends:
                    if end >= 0:
                        os.close(end)

    def __enter__(self) -> Follower:
        if self._thread is None:
            self.start()
        return self

    def __repr__(self) -> str:
        state = "closed" if self._closing else "open"
        return f"<ndisbridge.Follower ({state})>"
