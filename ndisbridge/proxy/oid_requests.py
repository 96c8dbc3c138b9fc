# SPDX-License-Identifier: MIT
"""
OID requests, and their way down through a filter stack.

A request goes by the stack as it was when it began.  Who leaves the stack
meanwhile is skipped by requests that have not reached it yet, and waits for
those inside.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..exceptions import (
    InterfaceNotFoundError,
    InvalidStateError,
    NdisTimeoutError,
)

if TYPE_CHECKING:
    from .adapter import MiniportAdapter

_get_ident = threading.get_ident

#: OIDs whose ways are remembered; there are 2^32, and askers may try them.
_REMEMBERED = 1024


class Step:
    """
    One driver on the way of requests.

    Args:
        handler: Its ``oid_request``; None for one that passes everything.
        driver: The driver, to tell of requests that are cancelled.
        oids: OIDs that it wants to see; None for all.
        native: It is in C, and has no deadline.
    """

    __slots__ = ("closing", "driver", "handler", "native", "oids", "passes")

    def __init__(
        self,
        handler: Callable[[OidRequest], Any] | None,
        driver: object,
        oids: frozenset[int] | None = None,
        native: bool = False,
    ) -> None:
        #: Whether it lets all requests by.
        self.passes = handler is None
        self.handler = OidRequest.forward if handler is None else handler
        self.driver = driver
        self.oids = oids
        self.native = native
        #: It lets nobody in any more.
        self.closing = False

    def wants(self, oid: int) -> bool:
        """Whether requests for an OID stop here."""
        return not self.passes and (self.oids is None or oid in self.oids)


class Requests:
    """
    The requests on their way through the stack of one adapter, and who waits
    for them to leave a step.
    """

    def __init__(self) -> None:
        #: A list, whose append and remove need no lock.
        self.running: list[OidRequest] = []
        self._left = threading.Condition()

    def inside(self, step: Step) -> list[OidRequest]:
        """Those that a driver has, or has passed on."""
        return [each for each in list(self.running) if step in each.entered]

    def is_inside(self, step: Step) -> bool:
        """Whether the calling thread is inside."""
        own = _get_ident()
        return any(each.thread == own for each in self.inside(step))

    def wake(self) -> None:
        """Let who closes a step look again."""
        with self._left:
            self._left.notify_all()

    def close(self, step: Step, deadline: float) -> None:
        """
        Let nobody into a step, and wait until nobody is inside.

        Raises:
            NdisTimeoutError: Somebody still is; close again to go on.
        """
        step.closing = True
        with self._left:
            while inside := self.inside(step):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise NdisTimeoutError(
                        f"{len(inside)} OID requests are still inside "
                        f"{step.driver!r}"
                    )
                self._left.wait(left)


class Paths(dict[int, tuple[Step, ...]]):
    """
    The ways of requests through one state of a filter stack: for each OID
    the steps that want it, top first, and the miniport driver.

    Args:
        steps: All steps, top first; the miniport driver's is the last.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        super().__init__()
        self.steps = steps

    def __missing__(self, oid: int) -> tuple[Step, ...]:
        *filters, miniport = self.steps
        path = (*(each for each in filters if each.wants(oid)), miniport)
        if len(self) < _REMEMBERED:
            self[oid] = path
        return path

    @property
    def passes_all(self) -> bool:
        """Whether only the miniport driver sees requests."""
        return all(each.passes for each in self.steps[:-1])


class OidRequest:
    """
    An OID request on its way down (NDIS_OID_REQUEST).

    Made by the proxy for each query or set; drivers get it, on the thread
    that it is served on.
    """

    # Of the class where most are the same: making one is a good part of what
    # a request costs.

    #: Whether ``value`` is to be set; else the value is asked for.
    is_set = False
    #: What is to be set; a filter module may put another in its place.
    value: Any = None
    #: The asker has given up; what is answered now is dropped.
    cancelled = False
    #: Identifier of the thread that serves it.
    thread = 0
    _at = 0

    def __init__(
        self, adapter: MiniportAdapter, path: tuple[Step, ...], oid: int
    ) -> None:
        #: The adapter at the bottom.
        self.adapter = adapter
        #: The OID.
        self.oid = oid
        self._path = path

    @classmethod
    def to_set(
        cls,
        adapter: MiniportAdapter,
        path: tuple[Step, ...],
        oid: int,
        value: Any,
    ) -> OidRequest:
        """A request to set an OID."""
        request = cls(adapter, path, oid)
        request.is_set = True
        request.value = value
        return request

    def forward(self) -> Any:
        """
        Pass it to the next driver below, and wait for its answer
        (NdisFOidRequest).

        For filter modules, on the thread that the request came on.

        Returns:
            The answer; None for a set.

        Raises:
            NdisTimeoutError: The asker has given up meanwhile.
            InterfaceNotFoundError: The adapter is being halted.
            InvalidStateError: The request is over, or a miniport driver
                passed it on.
            Exception: What the driver below has raised.
        """
        at = self._at
        try:
            step = self._path[at]
        except IndexError:
            raise InvalidStateError(
                "an OID request cannot be passed on: there is nothing below, "
                "or it is over"
            ) from None
        try:
            # Before it looks at `closing`, which is set before who closes
            # looks at this: one of the two sees the other.
            self._at = at + 1
            if step.closing or self.cancelled:
                return self._skip(at)
            return step.handler(self)
        finally:
            self._at = at
            if step.closing:
                self.adapter.requests.wake()

    def _skip(self, at: int) -> Any:
        """Go past a driver that is leaving, without being inside it."""
        if self.cancelled:
            raise NdisTimeoutError("the asker has given up this OID request")
        path = self._path
        if at == len(path) - 1:
            raise InterfaceNotFoundError("the adapter is being halted")
        self._path = (*path[:at], *path[at + 1 :])
        self._at = at
        self.adapter.requests.wake()
        return self.forward()

    @property
    def entered(self) -> tuple[Step, ...]:
        """The steps that it is inside, top first."""
        return self._path[: self._at]

    @property
    def is_native(self) -> bool:
        """Whether no driver in Python will see it."""
        return len(self._path) == 1 and self._path[0].native

    def run(self) -> Any:
        """Serve it from the top."""
        self.thread = _get_ident()
        running = self.adapter.requests.running
        try:
            running.append(self)
            return self.forward()
        finally:
            self._path = ()
            try:  # noqa: SIM105 - costs as much as all this does
                running.remove(self)
            except ValueError:  # an interrupt came first
                pass

    def cancel(self) -> list[object]:
        """Give it up: the drivers that are to be told."""
        self.cancelled = True
        return [each.driver for each in self.entered]

    def __repr__(self) -> str:
        kind = "set" if self.is_set else "query"
        return f"<ndisbridge.proxy.OidRequest {kind} 0x{self.oid:08x}>"
