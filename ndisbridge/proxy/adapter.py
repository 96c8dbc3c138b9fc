# SPDX-License-Identifier: MIT
"""
Miniport adapters: their life, their state, and what runs on them.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from ..constants import (
    IfAdminStatus,
    IfFlags,
)
from ..exceptions import (
    InOwnHandlerError,
    InterfaceNotFoundError,
    InvalidParameterError,
    InvalidStateError,
    NotSupportedError,
)
from ..identity import Identity
from ..interface import InterfaceInformation
from ..net_luid import NetLuid
from ..structures import LinkState, OperState
from .adapter_state import AdapterState
from .bindings import Binding
from .drivers import call, tell
from .endpoints import Endpoint
from .filters import FilterModule, FilterStack
from .native_miniport import NativeMiniport
from .oid_requests import Requests, Step
from .oper_status import Conditions, oper_state
from .parameters import (
    GeneralAttributes,
    MiniportInitParameters,
    ProtocolRestartParameters,
)
from .turns import Turn

if TYPE_CHECKING:
    from .provider import ProxyProvider


def _refuse(request: object) -> Any:
    raise NotSupportedError("the miniport driver serves no OID requests")


class MiniportAdapter:
    """
    A miniport adapter, physical or virtual.

    Made by :meth:`ProxyProvider.install`.  Any thread may use it.
    """

    def __init__(
        self,
        proxy: ProxyProvider,
        driver: object,
        identity: Identity,
        if_index: int,
        *,
        description: str,
        virtual: bool,
        location: tuple[int, int, int],
        known: bool,
    ) -> None:
        self.proxy = proxy
        self.driver = driver
        self.identity = identity
        #: ifIndex.
        self.if_index = if_index
        #: ifDescr.
        self.description = description
        #: Whether an intermediate driver made it up.
        self.virtual = virtual
        #: What the driver has said of it.
        self.attributes = GeneralAttributes()
        self.endpoint = Endpoint(self, is_filter=False, is_known=known)
        self.step = Step(
            getattr(driver, "oid_request", _refuse),
            driver,
            native=isinstance(driver, NativeMiniport),
        )
        self.requests = Requests()
        self.turn = Turn(f"the adapter {identity.key!r}")
        self.stack = FilterStack(self)
        # Before it is registered: it may be asked at once.
        self.stack.route()
        self._location = location
        self.state = AdapterState(self)
        self._bindings: tuple[Binding, ...] = ()
        self._lock = threading.Lock()  # of the bindings
        self._halted = False
        self._released = False

    # -- facts

    @property
    def key(self) -> str:
        """What it was installed as."""
        return self.identity.key

    @property
    def net_luid(self) -> NetLuid:
        """NET_LUID, the same one until it is uninstalled."""
        return self.identity.net_luid

    @property
    def filters(self) -> tuple[FilterModule, ...]:
        """Its filter modules, lowest first."""
        return self.stack.modules

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """Its bindings."""
        return self._bindings

    @property
    def connector_present(self) -> bool:
        """ifConnectorPresent."""
        told = self.attributes.if_connector_present
        return not self.virtual if told is None else told

    @property
    def link_state(self) -> LinkState:
        """The link, as the driver last said."""
        return self.state.link_state

    @property
    def conditions(self) -> Conditions:
        """What its operational status follows from."""
        return self.state.conditions

    @property
    def oper_state(self) -> OperState:
        """ifOperStatus, and the reasons for it."""
        return oper_state(self.state.conditions)

    @property
    def facts(self) -> dict[str, Any]:
        """Members of NET_IF_INFORMATION that its filter modules share."""
        attributes = self.attributes
        current = attributes.current_mac_address
        return {
            "physical_address": current,
            "permanent_address": attributes.permanent_mac_address or current,
            "access_type": attributes.access_type,
            "direction_type": attributes.direction_type,
            "connection_type": attributes.connection_type,
            "media_type": attributes.media_type,
            "physical_medium_type": attributes.physical_medium_type,
            "supported_statistics": attributes.supported_statistics,
        }

    # -- OIDs

    def query(self, oid: int) -> Any:
        """
        Ask for an OID: what is not published goes down from the top of the
        filter stack; see :meth:`Session.query`.
        """
        return self.proxy.session.query(self.net_luid, oid)

    def set(self, oid: int, value: Any) -> None:
        """Set an OID, likewise; see :meth:`Session.set`."""
        self.proxy.session.set(self.net_luid, oid, value)

    # -- state

    def indicate_status(self, status_code: int, value: Any = None) -> None:
        """
        Indicate a status (NdisMIndicateStatusEx): filter modules are told,
        lowest first, then protocol drivers.

        Args:
            status_code: StatusIndication.LINK_STATE, which changes the
                interface, or one that only those above know.
            value: What belongs to it; a LinkState for LINK_STATE.

        Raises:
            InvalidParameterError: OPER_STATUS, which drivers must not make;
                or no such link state.
            InvalidStateError: The adapter is halted.
        """
        if self._halted:
            raise InvalidStateError(f"{self!r} is halted")
        self.state.indicate_status(status_code, value)

    def report(
        self,
        *,
        present: bool | None = None,
        port_authenticated: bool | None = None,
        lower_layer_down: bool | None = None,
        low_power: bool | None = None,
    ) -> None:
        """
        Report conditions of the adapter; None leaves one as it is.

        Args:
            present: The hardware is there.
            port_authenticated: The default port is authenticated.
            lower_layer_down: What a virtual adapter runs on is not UP.
            low_power: It is in a low power state.
        """
        self.state.update(
            present=present,
            port_authenticated=port_authenticated,
            lower_layer_down=lower_layer_down,
            low_power=low_power,
        )

    def set_admin_status(self, admin_status: int) -> None:
        """
        What the administrator wants (ifAdminStatus); UP once installed.

        Raises:
            InvalidParameterError: There is no such status.
        """
        try:
            admin_status = IfAdminStatus(admin_status)
        except ValueError:
            raise InvalidParameterError(
                f"there is no administrative status {admin_status}"
            ) from None
        self.state.update(admin_status=admin_status)

    def set_alias(self, alias: str) -> None:
        """
        Change ifAlias, durably.

        Raises:
            InvalidStateError: The adapter is halted.
            InvalidParameterError: It is too long, or no alias.
            StoreError: The store refused; it is as before.
        """
        self._check()
        self.endpoint.set_alias(alias)

    def pause(self) -> None:
        """
        Pause: it is DORMANT.  Nothing happens if it is paused already.

        Raises:
            InvalidStateError: It is halted; or a driver asks from within a
                change of this adapter, or of a status that comes of one.
            NdisTimeoutError: Another change still goes on.  A driver that
                serves a request of this adapter does not wait for it, since
                it may wait for the request.
            ForkedError: It came through ``fork()``.
            Exception: The driver refuses.
        """
        with self.change():
            self._check()
            if not self.conditions.paused:
                call(self.driver, "pause")
                self.state.update(paused=True)

    def restart(self) -> None:
        """
        Go on after a pause.  Nothing happens if it is not paused.

        Raises:
            Exception: As for :meth:`pause`.
        """
        with self.change():
            self._restart()

    def _restart(self) -> None:
        self._check()
        if self.conditions.paused:
            call(self.driver, "restart")
            self.state.update(paused=False)

    def change(self) -> contextlib.AbstractContextManager[None]:
        """
        The turn, for a change that has no timeout of its own.  Whoever is
        inside a request does not wait: the other change may wait for it.
        """
        self.proxy.check_process()
        inside = any(map(self.requests.is_inside, self.stack.steps))
        return self.turn.take(self.proxy.deadline(0 if inside else None))

    def _check(self) -> None:
        if self.endpoint.interface is None:
            raise InvalidStateError(f"{self!r} is halted")

    # -- filter modules

    def attach(
        self,
        driver: object,
        name: str,
        *,
        position: int | None = None,
        above: FilterModule | None = None,
        below: FilterModule | None = None,
        paused: bool = False,
        if_index: int | None = None,
        timeout: float | None = None,
    ) -> FilterModule:
        """
        Attach a filter module: allocate its NET_LUID, unless the store
        knows the module, register its interface, and put it into the
        filter stack.

        Args:
            driver: The module; see :class:`drivers.FilterDriver`.
            name: Name of the filter.
            position: How many modules are to be below it.
            above: The module that is to be directly below it.
            below: The module that is to be directly above it; by default it
                comes on top of all.
            paused: Leave it paused.
            if_index: The ifIndex wanted, instead of its own.
            timeout: Seconds to wait for other changes of this adapter.

        Raises:
            InvalidStateError: The adapter is halted; or the other module is
                not attached to it.
            NdisTimeoutError: Another change still goes on.
            Exception: What the driver has raised; nothing is attached.
        """
        with self.turn.take(self.proxy.deadline(timeout)):
            self._check()
            place = self.stack.place(position, above, below)
            module, made = self._module(driver, name, if_index)
            try:
                self.stack.attach(module, place)
                if not paused:
                    call(driver, "restart")
            except BaseException:
                self._undo(module, made)
                raise
            module.paused = paused
            self.state.update()
            self.tell_restart()
        return module

    def _module(
        self, driver: object, name: str, if_index: int | None
    ) -> tuple[FilterModule, bool]:
        identity, made = self.proxy.identities.filter(
            self.identity,
            name,
            {each.identity.key for each in self.stack.modules},
            if_index=if_index is None,
        )
        index = self.proxy.if_index_of(identity, if_index)
        module = FilterModule(
            self, driver, name, identity, index, known=not made
        )
        return module, made

    def _undo(self, module: FilterModule, made: bool) -> None:
        with contextlib.suppress(Exception):
            self.stack.remove(module, self.proxy.deadline(None), release=made)

    def tell_restart(self) -> None:
        """Protocol drivers are told of the top of the stack."""
        for binding in self._bindings:
            with contextlib.suppress(InterfaceNotFoundError):
                bound, net_luid, _, _ = binding.query_binding_if_index()
                parameters = ProtocolRestartParameters(bound, net_luid)
                tell(binding.protocol, "restart", binding, parameters)

    # -- bindings

    def bind(self, protocol: object) -> Binding:
        """
        Bind a protocol driver (NdisOpenAdapterEx).

        Args:
            protocol: The driver; see :class:`drivers.ProtocolDriver`.

        Raises:
            InvalidStateError: The adapter is halted.
            Exception: What its ``bind()`` has raised; it is not bound.
        """
        with self.turn.take(self.proxy.deadline(None)):
            self._check()
            binding = Binding(self, protocol)
            link, oper = self.link_state, self.oper_state
            call(protocol, "bind", binding, binding.parameters)
            with self._lock:
                self._bindings = (*self._bindings, binding)
            self.state.catch_up(binding, link, oper)
        return binding

    def _unbind(self, binding: Binding) -> None:
        with self._lock:
            self._bindings = tuple(
                each for each in self._bindings if each is not binding
            )

    # -- life

    def start(self) -> None:
        """Initialize and register; what fails undoes what was done."""
        parameters = MiniportInitParameters(self.if_index, self.net_luid)
        initialized = False
        try:
            told = call(self.driver, "initialize", self, parameters)
            initialized = True
            if told is not None or self.endpoint.interface is None:
                self.set_miniport_attributes(told or GeneralAttributes())
            self._restart()
        except BaseException:
            self._halt(self.proxy.deadline(None), tell_driver=initialized)
            raise

    def set_miniport_attributes(self, attributes: GeneralAttributes) -> None:
        """
        Tell the attributes of the adapter (NdisMSetMiniportAttributes):
        from then on its interface is registered, and may be asked.

        For drivers that want that in ``initialize()``; the same happens with
        what ``initialize()`` returns.

        Raises:
            InvalidParameterError: They are none, or of another IfType.
            InvalidStateError: They have been told already.
            IdentityInUseError: Another process has it registered.
        """
        if self.endpoint.interface is not None or self._halted:
            raise InvalidStateError(
                f"the attributes of {self!r} have been told already"
            )
        self._take_attributes(attributes)
        hardware = 0 if self.virtual else IfFlags.HARDWARE_INTERFACE
        self.register(
            self.endpoint,
            self.identity,
            InterfaceInformation(
                description=self.description,
                flags=hardware,
                connector_present=self.connector_present,
                location=self._location,
                **self.facts,
            ),
            self.if_index,
        )

    def _take_attributes(self, told: object) -> None:
        if not isinstance(told, GeneralAttributes):
            raise TypeError(
                "initialize() returns GeneralAttributes, or None for the "
                f"usual ones, not {told!r}"
            )
        if_type = self.net_luid.if_type
        if told.if_type not in {None, if_type}:
            raise InvalidParameterError(
                f"the driver says IfType {told.if_type}, but the adapter is "
                f"installed as {int(if_type)}, which is in its NET_LUID"
            )
        self.attributes = told
        self.state.begin()

    def register(
        self,
        endpoint: Endpoint,
        identity: Identity,
        information: InterfaceInformation,
        if_index: int,
    ) -> None:
        """Register an interface of the adapter's, and publish its values."""
        interface = self.proxy.provider_for(self.driver).register_interface(
            identity, information, if_index=if_index, context=endpoint
        )
        endpoint.interface = interface
        self.state.begin_publishing(endpoint, identity.alias)

    def shutdown(self, timeout: float | None = None) -> None:
        """
        Shut down: deregister the adapter's interface and those of its
        filter modules.  They keep their NET_LUIDs.

        Args:
            timeout: Seconds to wait for OID requests that are inside; the
                proxy's wait_timeout if None.

        Raises:
            InOwnHandlerError: A driver of it asks while it serves a request.
            NdisTimeoutError: A request is still inside a driver, which lets
                no new ones in; shut down again to go on waiting.  Its
                bindings are ended, and those drivers that are above it.
        """
        self._end(timeout, release=False)

    def uninstall(self, timeout: float | None = None) -> None:
        """
        Remove for good: detach the filter modules, deregister, and release
        the NET_LUID.

        Args:
            timeout: As for :meth:`shutdown`.

        Raises:
            InOwnHandlerError, NdisTimeoutError: As for :meth:`shutdown`.
            InvalidStateError, IdentityInUseError: It is shut down, and has
                been installed anew: here, or by another process.
            StoreError: The store refused; uninstall again.

        If the process dies meanwhile, the next proxy of this name completes
        it.  An adapter that is shut down can be uninstalled.
        """
        self._end(timeout, release=True)

    def _end(self, timeout: float | None, *, release: bool) -> None:
        self.proxy.check_process()
        deadline = self.proxy.deadline(timeout)
        if any(map(self.requests.is_inside, self.stack.steps)):
            raise InOwnHandlerError(
                "a driver cannot end its adapter while it serves a request"
            )
        with self.turn.take(deadline):
            if release and not self._released:
                self.proxy.check_not_replaced(self)
                self.proxy.identities.leave(self.identity, idle=self._halted)
            for binding in self._bindings:
                self._unbind(binding)
                tell(binding.protocol, "unbind", binding)
            for module in reversed(self.stack.modules):
                self.stack.remove(module, deadline, release=release)
            self._halt(deadline)
            if release and not self._released:
                self.proxy.release_adapter(self.identity, deadline)
                self._released = True
            self.proxy.forget(self)

    def _halt(self, deadline: float, *, tell_driver: bool = True) -> None:
        """Deregister, wait until nobody is inside, end the driver."""
        if self._halted:
            return
        if self.endpoint.interface is not None:
            if tell_driver and not self.conditions.paused:
                tell(self.driver, "pause")
                self.state.update(paused=True)
            self.endpoint.deregister(deadline)
        self.requests.close(self.step, deadline)
        self._halted = True
        if tell_driver:
            tell(self.driver, "halt")

    def __repr__(self) -> str:
        return f"<ndisbridge.proxy.MiniportAdapter {self.key!r}>"


def native_flags(driver: object) -> int | None:
    """Flags of a driver whose OIDs the core reaches without Python."""
    if isinstance(driver, NativeMiniport) and driver.query_address:
        return driver.flags
    return None
