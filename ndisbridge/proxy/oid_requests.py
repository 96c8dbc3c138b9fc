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
    One driver on the way of requests, and the requests inside it.

    Args:
        handler: Its ``oid_request``; None for one that passes everything.
        driver: The driver, to tell of requests that are cancelled.
        oids: OIDs that it wants to see; None for all.
        native: It is in C, and has no deadline.
    """

    __slots__ = (
        "_left",
        "closing",
        "driver",
        "handler",
        "inside",
        "native",
        "oids",
    )

    def __init__(
        self,
        handler: Callable[[OidRequest], Any] | None,
        driver: object,
        oids: frozenset[int] | None = None,
        native: bool = False,
    ) -> None:
        self.handler = handler
        self.driver = driver
        self.oids = oids
        self.native = native
        #: A list, whose append and remove need no lock.
        self.inside: list[OidRequest] = []
        self.closing = False
        self._left = threading.Condition()

    def wants(self, oid: int) -> bool:
        """Whether requests for an OID stop here."""
        return self.handler is not None and (
            self.oids is None or oid in self.oids
        )

    def is_inside(self) -> bool:
        """Whether the calling thread is inside."""
        own = _get_ident()
        return any(each.thread == own for each in list(self.inside))

    def wake(self) -> None:
        """Let who closes it look at `inside` again."""
        with self._left:
            self._left.notify_all()

    def close(self, deadline: float) -> None:
        """
        Let nobody in, and wait until nobody is inside.

        Raises:
            NdisTimeoutError: Somebody still is; close again to go on.
        """
        self.closing = True
        with self._left:
            while self.inside:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise NdisTimeoutError(
                        f"{len(self.inside)} OID requests are still inside "
                        f"{self.driver!r}"
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
        return all(each.handler is None for each in self.steps[:-1])


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
        self._at = at + 1
        inside = step.inside
        try:
            inside.append(self)
            if step.closing or self.cancelled:
                return self._skip(step)
            return step.handler(self)  # type: ignore[misc]
        finally:
            self._at = at
            try:  # noqa: SIM105 - costs half of what all this does
                inside.remove(self)
            except ValueError:  # an interrupt came first
                pass
            # Set before who closes looks at `inside`: one of the two sees
            # the other.
            if step.closing:
                step.wake()

    def _skip(self, step: Step) -> Any:
        """Go past a driver that is leaving, or no further."""
        if self.cancelled:
            raise NdisTimeoutError("the asker has given up this OID request")
        if step is self._path[-1]:
            raise InterfaceNotFoundError("the adapter is being halted")
        return self.forward()

    @property
    def is_native(self) -> bool:
        """Whether no driver in Python will see it."""
        return len(self._path) == 1 and self._path[0].native

    def run(self) -> Any:
        """Serve it from the top."""
        self.thread = _get_ident()
        try:
            return self.forward()
        finally:
            self._path = ()

    def cancel(self) -> list[object]:
        """Give it up: the drivers that are to be told."""
        path = self._path
        self.cancelled = True
        return [each.driver for each in path if self in each.inside]

    def __repr__(self) -> str:
        kind = "set" if self.is_set else "query"
        return f"<ndisbridge.proxy.OidRequest {kind} 0x{self.oid:08x}>"
