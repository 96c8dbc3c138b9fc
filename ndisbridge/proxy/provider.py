# SPDX-License-Identifier: MIT
"""
The proxy interface provider: it registers the interfaces of miniport
adapters and filter modules, whose drivers never do.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .._native import NON_BLOCKING
from .._native_structures import LOCATION_UNKNOWN
from ..constants import IfType
from ..exceptions import (
    DuplicateObjectIdError,
    ForkedError,
    InvalidParameterError,
    InvalidStateError,
    NdisError,
    NdisTimeoutError,
    ResourcesError,
)
from ..identity import Identity
from ..persistence import IdentityRecord
from ..provider import Provider
from .adapter import MiniportAdapter, native_flags
from .answers import OWN, Handlers
from .deadlines import Workers
from .drivers import tell
from .endpoints import EndpointProvider
from .identities import Identities
from .oid_requests import OidRequest

if TYPE_CHECKING:
    from ..session import Session

#: Kinds of drivers that the core tells apart: in Python, in C, in C and
#: non-blocking.
_KINDS = (None, 0, NON_BLOCKING)


class ProxyProvider:
    """
    The proxy provider of a session.  A context manager: leaving it shuts
    its adapters down.

    Args:
        session: The session.
        name: Whose identities the adapters' are; the same one after a
            restart.
        compartment: The network namespace of its interfaces; "" is the
            initial one.
        oid_timeout: Seconds that drivers in Python may take for an OID
            request, filter modules above included; None for as long as they
            like.  With it requests run on threads of the proxy's.
        wait_timeout: Seconds that detaching, shutting down and uninstalling
            wait for OID requests that are inside.

    Raises:
        ValueError: A timeout is negative.
        StoreError: The store cannot be read, or refuses to release what a
            crashed process has begun to uninstall or detach.

    Any thread may use it.  Close it before its session; after it, drivers
    are ended, but nothing can be uninstalled or detached any more.
    """

    def __init__(
        self,
        session: Session,
        name: str = "proxy",
        *,
        compartment: str = "",
        oid_timeout: float | None = None,
        wait_timeout: float = 12.0,
    ) -> None:
        for timeout in (oid_timeout, wait_timeout):
            if timeout is not None and not timeout >= 0:
                raise ValueError("a timeout is a number of seconds, 0 or more")
        self.session = session
        self.name = name
        self.compartment = compartment
        self.oid_timeout = oid_timeout
        #: Sends a request down, within the deadline if there is one.
        self.serve: Callable[[OidRequest], Any] = (
            OidRequest.run if oid_timeout is None else self._serve_in_time
        )
        self._wait_timeout = wait_timeout
        self._workers = Workers()
        self._lock = threading.Condition()
        #: Of who ends it, if several threads do.
        self._ending = threading.RLock()
        self._adapters: dict[str, MiniportAdapter] = {}
        #: Keys of adapters that are being installed, and the threads that do.
        self._installing: dict[str, int] = {}
        self._closed = False
        handlers = Handlers()
        session._check_process()
        self._providers = {
            kind: EndpointProvider(
                session, name, compartment, handlers, OWN, kind
            )
            for kind in _KINDS
        }
        self.identities = Identities(self._providers[None])
        #: What crashed processes had begun to uninstall or detach, and this
        #: one has completed.
        self.healed: tuple[IdentityRecord, ...] = tuple(self.identities.heal())

    # -- adapters

    def install(
        self,
        key: str,
        driver: object,
        *,
        if_type: int = IfType.ETHERNET_CSMACD,
        description: str = "",
        alias: str = "",
        virtual: bool = False,
        if_index: int | None = None,
        location: tuple[int, int, int] = LOCATION_UNKNOWN,
    ) -> MiniportAdapter:
        """
        Install a miniport adapter, or start one that is known: allocate its
        NET_LUID, unless the store has it, let the driver initialize, and
        register the interface.

        Args:
            key: The adapter's own name, the same one after a restart.
            driver: Its driver; see :class:`drivers.MiniportDriver` and
                :class:`NativeMiniport`.
            if_type: IANA ifType, frozen with the NET_LUID.
            description: ifDescr; the key if empty.
            alias: ifAlias of a new one.
            virtual: Whether it is an intermediate driver's.
            if_index: The ifIndex wanted, instead of its own.
            location: Bus, slot and function number.

        Raises:
            DuplicateObjectIdError: An adapter of that key is installed here.
            IdentityConflictError: The key has another IfType, or is a
                filter module's.
            IdentityInUseError: Another process has it registered.
            InvalidStateError: The proxy is closed.
            Exception: What the driver has raised.  A new adapter leaves
                nothing behind then, a known one keeps its NET_LUID.
        """
        self.check_process()
        self._reserve(key)
        try:
            identity, made = self.identities.adapter(
                key, if_type, if_index=if_index is None, alias=alias
            )
            try:
                adapter = MiniportAdapter(
                    self,
                    driver,
                    identity,
                    self.if_index_of(identity, if_index),
                    description=description or key,
                    virtual=virtual,
                    location=location,
                    known=not made,
                )
                with adapter.turn.take(self.deadline(None)):
                    adapter.start()
            except BaseException:
                if made:
                    self.identities.release(identity, time.monotonic())
                raise
            with self._lock:
                self._adapters[key] = adapter
            return adapter
        finally:
            with self._lock:
                del self._installing[key]
                self._lock.notify_all()

    def _reserve(self, key: str) -> None:
        with self._lock:
            if self._closed:
                raise InvalidStateError("the proxy is closed")
            if key in self._adapters or key in self._installing:
                raise DuplicateObjectIdError(f"{key!r} is installed already")
            self._installing[key] = threading.get_ident()

    @property
    def adapters(self) -> dict[str, MiniportAdapter]:
        """The adapters that are installed here, by their keys."""
        return self._adapters.copy()

    def release_absent(
        self, *, adapters: bool = False
    ) -> list[IdentityRecord]:
        """
        Release the NET_LUIDs of filter modules that the store knows and
        that nobody has attached; to be called once all are.

        Args:
            adapters: Of adapters that nobody has installed, too.

        Returns:
            What was released.

        Raises:
            StoreError: The store refused.

        A filter module of a process that died keeps its NET_LUID, to have
        it again when it is attached.  This ends those that will not be.
        """
        present = {
            each.key
            for adapter in self.adapters.values()
            for each in (
                adapter.identity,
                *(module.identity for module in adapter.filters),
            )
        }
        return self.identities.release_absent(present, adapters=adapters)

    def close(self, timeout: float | None = None) -> None:
        """
        Shut all adapters down, the latest first, and deregister.  NET_LUIDs
        stay.

        Args:
            timeout: Seconds to wait for OID requests that are inside, and
                for adapters that are being installed; the proxy's
                wait_timeout if None.

        Raises:
            NdisTimeoutError: One still is; close again to go on waiting.
                All other adapters are shut down.
            InvalidStateError: A driver asks in its ``initialize()``.
            ForkedError: It came through ``fork()``.

        Closing a closed proxy does nothing.
        """
        self.check_process()
        deadline = self.deadline(timeout)
        self._let_nobody_in(deadline)
        failures = []
        for adapter in reversed(self.adapters.values()):
            try:
                adapter.shutdown(max(deadline - time.monotonic(), 0))
            except NdisError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        with self._ending:
            while self._providers:
                kind = next(iter(self._providers))
                if not self.session.closed:
                    self._providers[kind].deregister()
                del self._providers[kind]

    def _let_nobody_in(self, deadline: float) -> None:
        """Refuse new adapters, and wait for those that are on their way."""
        with self._lock:
            if threading.get_ident() in self._installing.values():
                raise InvalidStateError(
                    "the proxy cannot be closed by a driver that initializes"
                )
            self._closed = True
            while self._installing:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise NdisTimeoutError(
                        f"{next(iter(self._installing))!r} is still being "
                        "installed"
                    )
                self._lock.wait(min(left, threading.TIMEOUT_MAX))

    def __enter__(self) -> ProxyProvider:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ForkedError):
            self.close()

    def __repr__(self) -> str:
        return f"<ndisbridge.proxy.ProxyProvider {self.name!r}>"

    # -- for the modules beside

    def check_process(self) -> None:
        """
        The drivers of a parent are not a child's to end; those of a closed
        session still are to be ended.
        """
        with contextlib.suppress(InvalidStateError):
            self.session._check_process()

    def deadline(self, timeout: float | None) -> float:
        """When a wait ends, on the monotonic clock."""
        if timeout is None:
            timeout = self._wait_timeout
        if math.isnan(timeout):
            raise ValueError("a timeout is a number of seconds")
        return time.monotonic() + timeout

    def provider_for(self, driver: object) -> Provider:
        """The provider that the core knows, for a kind of driver."""
        return self._providers[native_flags(driver)]

    def if_index_of(self, identity: Identity, wanted: int | None) -> int:
        """The ifIndex that an identity will be registered with."""
        if_index = identity.if_index if wanted is None else wanted
        if if_index == 0:
            raise InvalidParameterError(
                f"{identity.key!r} has no ifIndex of its own: give one"
            )
        return if_index

    def release_adapter(self, identity: Identity, deadline: float) -> None:
        """Release an adapter's NET_LUID, and of filters it has had."""
        for record in self.identities.filters_of(identity.record):
            self.session.release(record)
        self.identities.release(identity, deadline)

    def check_not_replaced(self, adapter: MiniportAdapter) -> None:
        """Refuse to end the NET_LUID of an adapter that came after."""
        key = adapter.key
        with self._lock:
            replaced = (
                key in self._installing
                or self._adapters.get(key, adapter) is not adapter
            )
        if replaced:
            raise InvalidStateError(
                f"{adapter!r} is shut down, and has been installed anew"
            )

    def forget(self, adapter: MiniportAdapter) -> None:
        """Let go of an adapter that is halted."""
        with self._lock:
            if self._adapters.get(adapter.key) is adapter:
                del self._adapters[adapter.key]

    def _serve_in_time(self, request: OidRequest) -> Any:
        timeout = self.oid_timeout
        if timeout is None or request.is_native:
            return request.run()
        try:
            return self._workers.run(request.run, timeout)
        except BaseException:
            for driver in request.cancel():
                cancel = partial(tell, driver, "cancel_oid_request", request)
                with contextlib.suppress(ResourcesError):
                    self._workers.start(cancel)
            raise
