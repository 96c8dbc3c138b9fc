# SPDX-License-Identifier: MIT
"""
Interfaces of the proxy as those who ask see them: each is a place in a
filter stack where OID requests begin their way down.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .. import _fastcall
from .._native import NON_BLOCKING
from ..exceptions import InterfaceNotFoundError, InvalidStateError
from ..provider import Provider
from ..structures import OperState, decode, encode
from .native_miniport import NativeMiniport
from .oid_requests import Paths

if TYPE_CHECKING:
    from ..interface import Interface
    from ..session import Session
    from .adapter import MiniportAdapter

_NOWHERE = Paths(())


class Endpoint:
    """What the handlers of an interface of the proxy are called with."""

    __slots__ = (
        "_context",
        "adapter",
        "interface",
        "is_filter",
        "is_known",
        "oper_state",
        "paths",
    )

    def __init__(
        self, adapter: MiniportAdapter, *, is_filter: bool, is_known: bool
    ) -> None:
        self.adapter = adapter
        self.is_filter = is_filter
        #: It has the identity, and maybe the ifIndex, of an interface that
        #: has counted before: its counters are discontinuous.
        self.is_known = is_known
        #: Ways down from here; replaced as a whole.
        self.paths = _NOWHERE
        #: None while it is not registered.
        self.interface: Interface | None = None
        #: As last published.
        self.oper_state: OperState | None = None
        self._context: _fastcall.HandlerContext | None = None

    def route(self, paths: Paths) -> None:
        """Let requests that begin from now on go another way."""
        direct = _native_query(self.adapter) and paths.passes_all
        context = self._context
        if context is not None and not direct:
            context.direct = False
        self.paths = paths
        if context is not None and direct:
            context.direct = True

    def publish(self, values: Mapping[str, Any]) -> None:
        """Publish, if it is registered."""
        if self.interface is not None:
            # Also when the session is closed.
            with contextlib.suppress(
                InterfaceNotFoundError, InvalidStateError
            ):
                self.interface.publish(**values)

    def set_alias(self, alias: str) -> None:
        """Change ifAlias in the identity, then as it is published."""
        interface = self.interface
        if interface is None or interface.identity is None:
            raise InterfaceNotFoundError
        interface.identity.update(alias=alias)
        self.publish({"alias": alias})

    def deregister(self, deadline: float) -> None:
        """
        Deregister, if it is registered; a closed session has done it.

        Raises:
            NdisTimeoutError: A handler still runs.
        """
        interface = self.interface
        if interface is None:
            return
        if not self.adapter.proxy.session.closed:
            with contextlib.suppress(InterfaceNotFoundError):
                interface.deregister(max(deadline - time.monotonic(), 0))
        self.interface = None

    def context(self, make: Callable[..., Any]) -> Any:
        """What the core keeps for it."""
        context = self._context = make(self)
        driver = self.adapter.driver
        if isinstance(driver, NativeMiniport):
            context.set_native(driver.query_address, driver.adapter_context)
        self.route(self.paths)
        return context


def _native_query(adapter: MiniportAdapter) -> bool:
    driver = adapter.driver
    return isinstance(driver, NativeMiniport) and bool(driver.query_address)


class EndpointProvider(Provider):
    """
    One of the providers that the core knows a proxy as: its handlers are
    those of all drivers in Python, or of those in C of one kind.

    Args:
        handler: ``query_object(endpoint, oid)`` and ``set_object``.
        own: OIDs that the proxy answers itself.
        native_flags: Flags of the drivers in C; None for those in Python.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        compartment: str,
        handler: object,
        own: Mapping[int, Callable[[Any, int], Any]],
        native_flags: int | None = None,
    ) -> None:
        self._native_flags = native_flags
        super().__init__(session, name, handler, own, compartment)

    def _register(self) -> int:
        query, flags = _fastcall.QUERY_TRAMPOLINE, NON_BLOCKING
        if self._native_flags is not None:
            query, flags = _fastcall.ROUTED_QUERY, self._native_flags
        return self.session._core.register_provider(
            query,
            _fastcall.SET_TRAMPOLINE,
            flags,
            [
                (oid, NON_BLOCKING, _fastcall.QUERY_TRAMPOLINE, 0)
                for oid in self._callables
            ],
        )

    def _context(
        self, context: object, native_context: int
    ) -> tuple[Any, int]:
        assert isinstance(context, Endpoint)

        def make(endpoint: Endpoint) -> _fastcall.HandlerContext:
            return _fastcall.HandlerContext(
                self._query,
                self._set,
                self._callables,
                endpoint,
                encode,
                decode,
            )

        kept = context.context(make)
        return kept, kept.address
