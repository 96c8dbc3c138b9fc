# SPDX-License-Identifier: MIT
"""
Filter modules, and the stack of them on one adapter.

The rows of the interface stack change so that a reader never sees a gap: a
new module is first put below what is above it, then above what is below it,
and only then the row between those two goes.  While a module leaves, that
row is added first, and the core takes the module's own two off in one step,
with its interface.  Between these steps there is a row more than needed,
which does not change the ends of the chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..constants import IfFlags
from ..exceptions import (
    InOwnHandlerError,
    InvalidStateError,
)
from ..identity import Identity
from ..interface import InterfaceInformation
from ..net_luid import NetLuid
from .drivers import call, tell
from .endpoints import Endpoint
from .oid_requests import OidRequest, Paths, Step
from .parameters import FilterAttachParameters

if TYPE_CHECKING:
    from .adapter import MiniportAdapter

#: UTF-16 units of an ifDescr.
_DESCRIPTION_UNITS = 256


class FilterModule:
    """
    A filter driver's module on one adapter.

    Made by :meth:`MiniportAdapter.attach`.  Any thread may use it.
    """

    def __init__(
        self,
        adapter: MiniportAdapter,
        driver: object,
        name: str,
        identity: Identity,
        if_index: int,
        *,
        known: bool,
    ) -> None:
        self.adapter = adapter
        self.driver = driver
        #: Name of the filter.
        self.name = name
        self.identity = identity
        #: ifIndex.
        self.if_index = if_index
        self.endpoint = Endpoint(adapter, is_filter=True, is_known=known)
        self.paused = True
        oids = getattr(driver, "oids", None)
        self.step = Step(
            getattr(driver, "oid_request", None),
            driver,
            None if oids is None else frozenset(int(each) for each in oids),
        )
        self._below = Paths((adapter.step,))
        #: Its place in the rows is closed; handlers may still complete it.
        self._bridged = False
        self._detached = False

    @property
    def net_luid(self) -> NetLuid:
        """NET_LUID, until it is detached."""
        return self.identity.net_luid

    @property
    def description(self) -> str:
        """ifDescr: ``<adapter>-<filter>-<NNNN>``."""
        suffix = f"-{self.name}-{self.identity.key[-4:]}"
        adapter = self.adapter.description
        while len((adapter + suffix).encode("utf-16-le")) > (
            2 * _DESCRIPTION_UNITS
        ):
            adapter = adapter[:-1]
        return adapter + suffix

    @property
    def attached(self) -> bool:
        """Whether it is in the stack, and not about to leave."""
        return self.endpoint.interface is not None and not self.step.closing

    def query(self, oid: int) -> Any:
        """
        Ask for an OID of the module's interface: what is not published goes
        down from here, the module first; see :meth:`Session.query`.
        """
        return self.adapter.proxy.session.query(self.net_luid, oid)

    def query_lower(self, oid: int) -> Any:
        """
        Send a query of the module's own to the drivers below
        (NdisFOidRequest).

        Raises:
            Exception: As those below say.
        """
        adapter, path = self.adapter, self._below[oid]
        return adapter.proxy.serve(OidRequest(adapter, path, oid))

    def set_lower(self, oid: int, value: Any) -> None:
        """Send a set of the module's own to the drivers below."""
        adapter, path = self.adapter, self._below[oid]
        adapter.proxy.serve(OidRequest.to_set(adapter, path, oid, value))

    def set_alias(self, alias: str) -> None:
        """
        Change ifAlias, durably; see :meth:`MiniportAdapter.set_alias`.
        """
        self._check()
        self.endpoint.set_alias(alias)

    def pause(self) -> None:
        """
        Pause: its interface is DORMANT, because it is paused.  Nothing
        happens if it is already.

        Raises:
            InvalidStateError: It is detached; or a driver asks from within
                a change of the adapter.
            NdisTimeoutError: Another change of the adapter still goes on;
                a driver that serves a request does not wait for it.
            ForkedError: It came through ``fork()``.
            Exception: The driver refuses.
        """
        with self.adapter.change():
            self._check()
            if not self.paused:
                call(self.driver, "pause")
                self._set_paused(True)

    def restart(self) -> None:
        """
        Go on after a pause.  Nothing happens if it is not paused.

        Raises:
            Exception: As for :meth:`pause`.
        """
        with self.adapter.change():
            self._check()
            if self.paused:
                call(self.driver, "restart")
                self._set_paused(False)

    def detach(self, timeout: float | None = None) -> None:
        """
        Leave the filter stack: deregister the interface and release its
        NET_LUID.

        Args:
            timeout: Seconds to wait for OID requests that are inside; the
                proxy's wait_timeout if None.

        Raises:
            InOwnHandlerError: The driver asks while it serves a request.
            NdisTimeoutError: A request is still inside.  New ones do not
                come; detach again to go on waiting.
            StoreError: The store refused to release; detach again.

        Detaching a detached module does nothing.
        """
        self.adapter.proxy.check_process()
        deadline = self.adapter.proxy.deadline(timeout)
        if self.adapter.requests.is_inside(self.step):
            raise InOwnHandlerError(
                "a filter module cannot detach while it serves a request"
            )
        with self.adapter.turn.take(deadline):
            self.adapter.stack.remove(self, deadline, release=True)

    def _check(self) -> None:
        if not self.attached:
            raise InvalidStateError(f"{self!r} is detached")

    def _set_paused(self, paused: bool) -> None:
        self.paused = paused
        self.adapter.state.update()

    def __repr__(self) -> str:
        return f"<ndisbridge.proxy.FilterModule {self.identity.key!r}>"


class FilterStack:
    """
    The filter modules of an adapter, and the way of requests through them.

    Whoever changes it has the adapter's turn.
    """

    def __init__(self, adapter: MiniportAdapter) -> None:
        self._adapter = adapter
        self._session = adapter.proxy.session
        #: Lowest first; replaced as a whole.
        self.modules: tuple[FilterModule, ...] = ()

    def place(
        self,
        position: int | None,
        above: FilterModule | None,
        below: FilterModule | None,
    ) -> int:
        """Where a new module goes: 0 is directly above the adapter."""
        count = len(self.modules)
        if (position, above, below).count(None) < 2:
            raise TypeError("give one of position, above and below")
        if position is not None:
            if not 0 <= position <= count:
                raise IndexError(f"there are {count} filter modules")
            return position
        if above is not None:
            return self._find(above) + 1
        return count if below is None else self._find(below)

    def _find(self, module: FilterModule) -> int:
        try:
            return self.modules.index(module)
        except ValueError:
            raise InvalidStateError(
                f"{module!r} is not attached to this adapter"
            ) from None

    # -- attaching

    def attach(self, module: FilterModule, place: int) -> None:
        """Attach; what fails undoes what was done."""
        adapter = self._adapter
        lower, above = self._neighbours(place, self.modules[place:])
        if isinstance(lower, FilterModule):
            module._below = lower.endpoint.paths
        # Before it is registered: it may be asked at once.
        module.endpoint.route(Paths((module.step, *module._below.steps)))
        call(module.driver, "attach", module, self._parameters(module, lower))
        try:
            adapter.register(
                module.endpoint,
                module.identity,
                InterfaceInformation(
                    description=module.description,
                    flags=IfFlags.FILTER_INTERFACE,
                    connector_present=False,
                    **adapter.facts,
                ),
                module.if_index,
            )
            self._add_rows(module, lower, above)
            self.modules = (
                *self.modules[:place],
                module,
                *self.modules[place:],
            )
        except BaseException:
            module.endpoint.deregister(adapter.proxy.deadline(None))
            tell(module.driver, "detach")
            raise
        self.route()

    def _parameters(
        self, module: FilterModule, lower: MiniportAdapter | FilterModule
    ) -> FilterAttachParameters:
        adapter = self._adapter
        return FilterAttachParameters(
            if_index=module.if_index,
            net_luid=module.net_luid,
            lower_if_index=lower.if_index,
            lower_if_net_luid=lower.net_luid,
            base_miniport_if_index=adapter.if_index,
            base_miniport_net_luid=adapter.net_luid,
            base_miniport_if_connector_present=adapter.connector_present,
            base_miniport_instance_name=adapter.description,
            media_type=adapter.attributes.media_type,
            physical_medium_type=adapter.attributes.physical_medium_type,
            current_mac_address=adapter.attributes.current_mac_address,
        )

    def _neighbours(
        self, place: int, upper: tuple[FilterModule, ...]
    ) -> tuple[MiniportAdapter | FilterModule, FilterModule | None]:
        """
        What is directly below a place, and the first of those above it, not
        counting modules whose place is closed.
        """
        lower = [each for each in self.modules[:place] if not each._bridged]
        return (
            lower[-1] if lower else self._adapter,
            next((each for each in upper if not each._bridged), None),
        )

    def _add_rows(
        self,
        module: FilterModule,
        lower: MiniportAdapter | FilterModule,
        above: FilterModule | None,
    ) -> None:
        session = self._session
        if above is not None:
            session.add_if_stack_entry(above.if_index, module.if_index)
        session.add_if_stack_entry(module.if_index, lower.if_index)
        if above is not None:
            session.delete_if_stack_entry(above.if_index, lower.if_index)

    # -- detaching

    def remove(
        self, module: FilterModule, deadline: float, *, release: bool
    ) -> None:
        """Detach, or only shut down; may be called again after a timeout."""
        if module._detached:
            return
        proxy = self._adapter.proxy
        if release:
            proxy.identities.leave(module.identity)
        if module.endpoint.interface is not None:
            if not module.step.closing:
                if not module.paused:
                    tell(module.driver, "pause")
                    module.paused = True
                module.step.closing = True
                self.route()
                self._adapter.state.update()
            self._adapter.requests.close(module.step, deadline)
            self._bridge(module)
            module.endpoint.deregister(deadline)
            self.modules = tuple(
                each for each in self.modules if each is not module
            )
            self.route()
            tell(module.driver, "detach")
            self._adapter.tell_restart()
        if release:
            proxy.identities.release(module.identity, deadline)
        module._detached = True

    def _bridge(self, module: FilterModule) -> None:
        """The row that takes the place of those of a module."""
        place = self._find(module)
        lower, above = self._neighbours(place, self.modules[place + 1 :])
        if above is not None and not self._session.closed:
            self._session.add_if_stack_entry(above.if_index, lower.if_index)
        module._bridged = True

    # -- requests

    def route(self) -> None:
        """Lead requests that begin from now on through what is there."""
        adapter = self._adapter
        below = Paths((adapter.step,))
        for module in self.modules:
            module._below = below
            if not module.step.closing:
                below = Paths((module.step, *below.steps))
            module.endpoint.route(below)
        adapter.endpoint.route(below)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of all modules, and the driver's."""
        return (
            *(each.step for each in self.modules),
            self._adapter.step,
        )
