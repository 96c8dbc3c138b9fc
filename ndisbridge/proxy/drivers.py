# SPDX-License-Identifier: MIT
"""
What a driver is: an object with some of the methods below.

All of them are optional; a driver need not inherit from these classes, which
say what is called when, and what it may answer.  One that does refuses, or as
a filter module passes, the OID requests that it says nothing of.  No lock of
the proxy's is held while a method runs, and OID requests come on any thread,
several at once.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from ..exceptions import NotSupportedError

if TYPE_CHECKING:
    from .adapter import MiniportAdapter
    from .bindings import Binding
    from .filters import FilterModule
    from .oid_requests import OidRequest
    from .parameters import (
        BindParameters,
        FilterAttachParameters,
        GeneralAttributes,
        MiniportInitParameters,
        ProtocolRestartParameters,
    )

_log = logging.getLogger(__name__)


class OidHandling:
    """What miniport drivers and filter modules have in common."""

    def oid_request(self, request: OidRequest) -> Any:
        """
        Serve an OID request (MiniportOidRequest, FilterOidRequest).

        Returns:
            The value that was asked for: int, bool, str, bytes, a list or a
            structure.  What it returns for a set does not matter.

        Raises:
            NotSupportedError: It does not know this OID.
            Exception: Anything else that is wrong; the asker gets it.
        """
        raise NotSupportedError

    def cancel_oid_request(self, request: OidRequest) -> None:
        """
        The asker has given up: ``oid_request`` may return at once
        (MiniportCancelOidRequest).
        """

    def pause(self) -> None:
        """Stop moving packets (MiniportPause, FilterPause)."""

    def restart(self) -> None:
        """Start, or go on (MiniportRestart, FilterRestart)."""


class MiniportDriver(OidHandling):
    """A driver of miniport adapters."""

    def initialize(
        self, adapter: MiniportAdapter, parameters: MiniportInitParameters
    ) -> GeneralAttributes | None:
        """
        Make the adapter ready (MiniportInitializeEx), and return its
        attributes, or tell them by ``adapter.set_miniport_attributes()``,
        after which its interface is registered.  Without this method, and
        if neither is done, they are the usual ones.
        """

    def halt(self) -> None:
        """
        End: the adapter is shut down or uninstalled, and nobody is inside
        ``oid_request`` any more (MiniportHaltEx).
        """


class FilterDriver(OidHandling):
    """
    A filter module; an object of its own for each adapter.

    ``oid_request`` passes a request with ``return request.forward()``; it
    may change the answer, or ``request.value`` of a set before; it answers
    by returning something else, and refuses by raising.  A filter module
    without it, or with ``oids``, is passed without a call.
    """

    #: OIDs that it wants to see; None, or no such attribute, for all.
    oids: Collection[int] | None = None

    def oid_request(self, request: OidRequest) -> Any:
        """Pass, answer or refuse an OID request (FilterOidRequest)."""
        return request.forward()

    def attach(
        self, module: FilterModule, parameters: FilterAttachParameters
    ) -> None:
        """Join the adapter's filter stack (FilterAttach)."""

    def detach(self) -> None:
        """
        Leave: nobody is inside ``oid_request`` any more (FilterDetach).
        """

    def status(self, status_code: int, value: Any) -> None:
        """
        Something below indicates a status (FilterStatus).  It may come
        within a change of the adapter, which cannot be changed from here.
        """


class ProtocolDriver:
    """A protocol driver, or the lower edge of an intermediate one."""

    def bind(self, binding: Binding, parameters: BindParameters) -> None:
        """A binding is made (ProtocolBindAdapterEx)."""

    def unbind(self, binding: Binding) -> None:
        """It ends (ProtocolUnbindAdapterEx)."""

    def restart(
        self, binding: Binding, parameters: ProtocolRestartParameters
    ) -> None:
        """The filter stack below has changed (NetEventRestart)."""

    def status(self, binding: Binding, status_code: int, value: Any) -> None:
        """
        The adapter indicates a status (ProtocolStatusEx).  It may come within
        a change of the adapter, which cannot be changed from here.
        """


def call(driver: object, name: str, *arguments: Any) -> Any:
    """Call a method if the driver has it; None if not."""
    method = getattr(driver, name, None)
    return None if method is None else method(*arguments)


def tell(driver: object, name: str, *arguments: Any) -> None:
    """
    Tell a driver something that it cannot object to: what it raises is
    logged, and harms nobody else.
    """
    try:
        call(driver, name, *arguments)
    except Exception:
        _log.exception("%s() of %r", name, driver)
