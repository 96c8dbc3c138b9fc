# SPDX-License-Identifier: MIT
"""
Events of a session: what happens to its interfaces, its stack, and the
identities of its store.

:meth:`Session.events() <ndisbridge.Session.events>` makes an
:class:`EventStream`, :meth:`Session.subscribe()
<ndisbridge.Session.subscribe>` calls a function.  Either has a bounded ring
of its own in C; who registers, deregisters or publishes never waits for who
listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import select
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from enum import IntFlag, auto
from functools import lru_cache
from types import TracebackType

from ._closing import Closing
from ._native import Core
from ._native_events import INITIAL, NO_IDENTITIES, RawEvent, Ring
from .constants import (
    EventKind,
    IdentityChangeKind,
    IfAdminStatus,
    IfOperStatus,
    LinkTransition,
)
from .exceptions import ForkedError, InvalidStateError
from .net_luid import NetLuid
from .persistence import IdentityRecord, StoreChange

__all__ = [
    "Event",
    "EventKind",
    "EventStream",
    "IdentityChangeKind",
    "LinkTransition",
    "PublishedFields",
]

#: Events that are fetched from C at once.
_AT_ONCE = 64
_IDENTITY = int(EventKind.IDENTITY)
#: Seconds of one wait at most, which poll() can count.
_LONGEST = 86400.0


class PublishedFields(IntFlag):
    """Values that an interface publishes, as bits of ``Event.changed``."""

    OPER_STATUS = auto()
    OPER_STATUS_FLAGS = auto()
    MEDIA_CONNECT_STATE = auto()
    MEDIA_DUPLEX_STATE = auto()
    MTU = auto()
    PROMISCUOUS_MODE = auto()
    DEVICE_WAKE_UP_ENABLE = auto()
    XMIT_LINK_SPEED = auto()
    RCV_LINK_SPEED = auto()
    LAST_CHANGE = auto()
    COUNTER_DISCONTINUITY_TIME = auto()
    IN_UNKNOWN_PROTOS = auto()
    IN_DISCARDS = auto()
    IN_ERRORS = auto()
    IN_OCTETS = auto()
    IN_UCAST_PKTS = auto()
    IN_MULTICAST_PKTS = auto()
    IN_BROADCAST_PKTS = auto()
    OUT_OCTETS = auto()
    OUT_UCAST_PKTS = auto()
    OUT_MULTICAST_PKTS = auto()
    OUT_BROADCAST_PKTS = auto()
    OUT_ERRORS = auto()
    OUT_DISCARDS = auto()
    IN_UCAST_OCTETS = auto()
    IN_MULTICAST_OCTETS = auto()
    IN_BROADCAST_OCTETS = auto()
    OUT_UCAST_OCTETS = auto()
    OUT_MULTICAST_OCTETS = auto()
    OUT_BROADCAST_OCTETS = auto()
    COMPARTMENT_ID = auto()
    SUPPORTED_STATISTICS = auto()
    ADMIN_STATUS = auto()
    ALIAS = auto()
    #: Not published, but registered: description, addresses, media.
    FACTS = auto()


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that has happened."""

    kind: EventKind
    #: Of a stack row: the higher interface.
    net_luid: NetLuid
    #: Likewise; 0 for none.
    if_index: int
    #: PARAMETER: what is published and differs, or is published for the
    #: first time, but for counters.  ADD, INITIAL, DELETE: what is
    #: published.
    changed: PublishedFields
    link: LinkTransition
    #: After it; None where the event is not an interface's.
    oper_status: IfOperStatus | None
    #: Likewise.
    admin_status: IfAdminStatus | None
    #: Milliseconds since the machine started, as time.monotonic() counts.
    time: int
    #: How many events were lost just before this one.
    missed: int
    #: IDENTITY: the identity as it is now; None if it is released, or
    #: another host's, and otherwise.
    record: IdentityRecord | None = None
    #: IDENTITY: what has happened to it; None otherwise.
    identity_change: IdentityChangeKind | None = None
    #: IDENTITY: its key, and all that the store tells; None otherwise.
    identity: StoreChange | None = None
    #: STACK_ADD, STACK_DELETE: the lower interface; 0 otherwise.
    lower_if_index: int = 0


# Calling an enumeration costs more than all the rest of an event.
_kinds: dict[int, EventKind] = {each.value: each for each in EventKind}
_links: dict[int, LinkTransition] = {
    each.value: each for each in LinkTransition
}
_oper_statuses: dict[int, IfOperStatus] = {
    each.value: each for each in IfOperStatus
}
_admin_statuses: dict[int, IfAdminStatus] = {
    each.value: each for each in IfAdminStatus
}
_fields = lru_cache(PublishedFields)


def _decoded(raw: RawEvent, changes: dict[int, StoreChange]) -> Event:
    (
        net_luid,
        when,
        changed,
        missed,
        token,
        if_index,
        kind,
        link,
        oper_status,
        admin_status,
        lower_if_index,
    ) = raw
    identity = kind == _IDENTITY
    change = changes.get(token) if identity else None
    return Event(
        _kinds[kind],
        NetLuid(net_luid),
        if_index,
        _fields(0 if identity else changed),
        _links[link],
        _oper_statuses.get(oper_status),
        _admin_statuses.get(admin_status),
        when,
        missed,
        None if change is None else change.record,
        IdentityChangeKind(changed) if identity else None,
        change,
        lower_if_index,
    )


class Descriptor:
    """
    A copy of a ring's descriptor, which lives as long as somebody waits on
    it: the number must not become another file's meanwhile.
    """

    __slots__ = ("_pid", "number")

    def __init__(self, number: int) -> None:
        self._pid = os.getpid()
        self.number = os.dup(number)

    def fileno(self) -> int:
        return self.number

    def wait(self, seconds: float | None) -> None:
        """Until it is readable; signals are handled meanwhile."""
        poll = select.poll()
        poll.register(self.number, select.POLLIN)
        poll.poll(
            None
            if seconds is None
            else min(max(0.0, seconds), _LONGEST) * 1000
        )

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if hasattr(self, "number"):
            close(self.number)


class Waker:
    """Wakes a thread that polls it: a pipe."""

    __slots__ = ("_ends", "_pid")

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._ends = os.pipe()
        for end in self._ends:
            os.set_blocking(end, False)

    def fileno(self) -> int:
        return self._ends[0]

    def wake(self) -> None:
        # In a child of fork() the pipe is still the parent's.
        if self._pid == os.getpid():
            # Full: it is about to wake anyway.
            with contextlib.suppress(BlockingIOError):
                os.write(self._ends[1], b"\0")

    def rest(self) -> None:
        """Forget that it was woken."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._ends[0], 4096)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        for end in getattr(self, "_ends", ()):
            close(end)


class EventStream(Closing, Iterator[Event], AsyncIterator[Event]):
    """
    Events of a session, for one reader or several: each event goes to one.

    Iterating, with ``for`` or ``async for``, ends when the stream or its
    session is closed; what closing the session has posted comes before.  A
    context manager.  Works with asyncio, on any number of loops, without a
    thread.

    Made by :meth:`Session.events() <ndisbridge.Session.events>`.
    """

    def __init__(
        self,
        core: Core,
        changes: dict[int, StoreChange] | None,
        capacity: int,
        *,
        initial: bool,
        ended: Callable[[], None] | None = None,
    ) -> None:
        # None: of identities nothing is told.
        self._changes = {} if changes is None else changes
        self._at_end = [] if ended is None else [ended]
        self._pid = os.getpid()
        # For what is between C and the readers; close() goes without it.
        self._lock = threading.RLock()
        self._ready: deque[Event] = deque()
        self._missed = 0
        self._waiters: list[None] = []
        self._closed = False
        self._waiting: dict[
            asyncio.AbstractEventLoop, set[asyncio.Future[None]]
        ] = {}
        self._ring = Ring(
            core,
            capacity,
            (INITIAL if initial else 0)
            | (NO_IDENTITIES if changes is None else 0),
        )
        self._descriptor: Descriptor | None = None
        try:
            self._descriptor = Descriptor(self._ring.descriptor())
        except BaseException:
            self._ring.close()
            raise

    @property
    def closed(self) -> bool:
        """Whether nothing comes any more."""
        return self._closed

    @property
    def missed(self) -> int:
        """How many events were lost, of those before the last one read."""
        return self._missed

    def close(self) -> None:
        """End it, and wake who waits; what is queued is dropped."""
        self._closed = True
        self._ready.clear()
        # Makes the descriptor readable, for good.
        self._ring.close()
        self._descriptor = None
        self._end()

    def _end(self) -> None:
        self._closed = True
        # One of those who come at the same time.
        with contextlib.suppress(IndexError):
            self._at_end.pop()()

    # -- reading

    def _next(self) -> Event | None:
        """One that is there; None if there is none, or it is over."""
        # In a child the lock may be that of a thread which is not there.
        if os.getpid() != self._pid:
            raise ForkedError
        found: list[RawEvent] | None = []
        with self._lock:
            if not self._ready and not self._closed:
                # Who waits is woken by what is left in C, and only by that.
                found = self._ring.fetch(1 if self._waiters else _AT_ONCE, 0)
                self._ready.extend(
                    [_decoded(each, self._changes) for each in found or ()]
                )
            # close() may empty it at any moment.
            with contextlib.suppress(IndexError):
                event = self._ready.popleft()
                self._missed += event.missed
                return None if self._closed else event
        if found is None:
            self._end()
        return None

    @contextlib.contextmanager
    def _waits(self) -> Iterator[None]:
        """Around a wait, and the look before it."""
        self._waiters.append(None)
        try:
            yield
        finally:
            self._waiters.pop()

    def get(self, timeout: float | None = None) -> Event | None:
        """
        The next event.

        Args:
            timeout: Seconds to wait for it; None for as long as it takes.

        Returns:
            None if nothing has happened in time.

        Raises:
            InvalidStateError: The stream, or its session, is closed.
            ForkedError: It came through ``fork()``.
            ValueError: The timeout is not a number.
        """
        if timeout is not None and math.isnan(timeout):
            raise ValueError("a timeout is a number of seconds")
        deadline = None if timeout is None else time.monotonic() + timeout
        if (event := self._next()) is not None:
            return event
        with self._waits():
            while (event := self._next()) is None:
                if self._closed:
                    raise InvalidStateError("the stream of events is closed")
                left = (
                    None if deadline is None else deadline - time.monotonic()
                )
                if left is not None and left <= 0:
                    return None
                descriptor = self._descriptor
                if descriptor is not None:
                    descriptor.wait(left)
            return event

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> Event:
        try:
            event = self.get()
        except InvalidStateError:
            raise StopIteration from None
        assert event is not None
        return event

    # -- reading, in a loop of asyncio

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        if not self._ready:
            # A stream that is never empty must not keep the loop for itself.
            await asyncio.sleep(0)
        if (event := self._next()) is not None:
            return event
        with self._waits():
            while (event := self._next()) is None:
                if self._closed:
                    raise StopAsyncIteration
                descriptor = self._descriptor
                if descriptor is not None:
                    await self._readable(descriptor)
            return event

    async def _readable(self, descriptor: Descriptor) -> None:
        """A loop has one reader for a descriptor, whoever waits in it."""
        loop = asyncio.get_running_loop()
        waiting = self._waiting.setdefault(loop, set())
        if not waiting:
            loop.add_reader(descriptor.number, self._wake, loop)
        future = loop.create_future()
        waiting.add(future)
        try:
            await future
        finally:
            waiting.discard(future)
            if not waiting:
                loop.remove_reader(descriptor.number)
                self._waiting.pop(loop, None)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        for future in self._waiting.get(loop, ()):
            if not future.done():
                future.set_result(None)

    # -- life

    async def __aenter__(self) -> EventStream:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<ndisbridge.EventStream ({state})>"
