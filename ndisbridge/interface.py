# SPDX-License-Identifier: MIT
"""Interfaces, and the facts that they are registered with."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _native_structures
from .constants import (
    IfAccessType,
    IfConnectionType,
    IfDirectionType,
    Medium,
    PhysicalMedium,
)
from .exceptions import InterfaceNotFoundError, InvalidParameterError
from .net_luid import NetLuid

if TYPE_CHECKING:
    from .identity import Identity
    from .provider import Provider

#: The default network of the primary compartment.
_DEFAULT_NETWORK = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class InterfaceInformation:
    """
    NET_IF_INFORMATION: what stays constant while an interface is
    registered.
    """

    description: str = ""
    physical_address: bytes = b""
    permanent_address: bytes = b""
    flags: int = 0
    access_type: int = IfAccessType.BROADCAST
    direction_type: int = IfDirectionType.SENDRECEIVE
    connection_type: int = IfConnectionType.DEDICATED
    connector_present: bool = False
    media_type: int = Medium._802_3
    physical_medium_type: int = PhysicalMedium.UNSPECIFIED
    network_guid: uuid.UUID = _DEFAULT_NETWORK
    tunnel_type: int = _native_structures.TUNNEL_TYPE_UNKNOWN
    port_number: int = 0
    supported_statistics: int = 0
    #: Bus, slot and function number; 0xFFFFFFFF where unknown.
    location: tuple[int, int, int] = _native_structures.LOCATION_UNKNOWN

    def pack(self, interface_guid: uuid.UUID) -> bytes:
        """The structure with its addresses and its name behind it."""
        # One by one: this is most of what registering takes.
        return _native_structures.pack_information(
            interface_guid=interface_guid,
            description=self.description,
            physical_address=self.physical_address,
            permanent_address=self.permanent_address,
            flags=self.flags,
            access_type=self.access_type,
            direction_type=self.direction_type,
            connection_type=self.connection_type,
            connector_present=self.connector_present,
            media_type=self.media_type,
            physical_medium_type=self.physical_medium_type,
            network_guid=self.network_guid,
            tunnel_type=self.tunnel_type,
            port_number=self.port_number,
            supported_statistics=self.supported_statistics,
            location=self.location,
        )


class Interface:
    """
    A registered interface (RFC 2863: a conceptual row of the ifTable).

    Made by :meth:`Provider.register_interface`.  A context manager: leaving
    it deregisters.  Any thread may use it.
    """

    def __init__(
        self,
        provider: Provider,
        net_luid: NetLuid,
        if_index: int,
        interface_guid: uuid.UUID,
        identity: Identity | None,
    ) -> None:
        self.provider = provider
        self.net_luid = net_luid
        self._if_index = if_index
        self.interface_guid = interface_guid
        #: What it was registered with; None for a bare NET_LUID.
        self.identity = identity

    @property
    def if_index(self) -> int:
        """
        ifIndex: 1 .. IF_INDEX_MAX.

        A handler may be asked, and ask for it, before
        :meth:`Provider.register_interface` has returned: the core knows it.

        Raises:
            InterfaceNotFoundError: It was not registered, in the end.
        """
        if self._if_index == 0:
            self._if_index = (
                self.provider.session.get_interface_index_from_net_luid(
                    self.net_luid
                )
            )
        return self._if_index

    def publish(self, **values: Any) -> None:
        """
        Publish values, so that their OIDs are answered without a handler.

        Args:
            values: Members of NDIS_INTERFACE_INFORMATION without ``if_`` and
                ``hc_`` (``oper_status``, ``mtu``, ``xmit_link_speed`` in
                bit/s, ``in_octets`` ...), ``admin_status``, ``alias``.

        Raises:
            InterfaceNotFoundError: It is not registered any more.
            InvalidParameterError: A value is out of range.
            TypeError: There is no such value, or it is of another type.
        """
        self.provider.session._core.publish(self.net_luid, values)

    def replace_information(
        self,
        information: InterfaceInformation | None = None,
        **facts: Any,
    ) -> None:
        """
        Replace the facts that it was registered with: a device that has got
        another name or address is the same interface.  What is published
        stays, and so does ``supported_statistics``.

        Args:
            information: The facts, all of them.
            facts: Members of :class:`InterfaceInformation`, instead of it.

        Raises:
            InterfaceNotFoundError: It is not registered any more.
            InvalidParameterError: A fact is out of range; or the interface
                would become a filter, or not be one any more.
        """
        if information is None:
            information = InterfaceInformation(**facts)
        elif facts:
            information = replace(information, **facts)
        self.provider.session._core.replace_information(
            self.net_luid, information.pack(self.interface_guid)
        )

    def query(self, oid: int) -> Any:
        """See :meth:`Session.query`."""
        return self.provider.session.query(self.net_luid, oid)

    def set(self, oid: int, value: Any) -> None:
        """See :meth:`Session.set`."""
        self.provider.session.set(self.net_luid, oid, value)

    def deregister(self, timeout: float | None = None) -> None:
        """
        Deregister: the interface is being shut down, or is gone from here
        (NdisIfDeregisterInterface).  Its identity stays.

        Args:
            timeout: Seconds to wait for running handlers, inf for as long
                as possible; the session's wait_timeout if None.

        Raises:
            InterfaceNotFoundError: It is not registered any more; another
                one that has its ifIndex or NET_LUID by now stays.
            InOwnHandlerError: A handler of this interface asks.
            NdisTimeoutError: A handler still runs; it completes it.
                Deregister again to go on waiting.
            StoreError: The store did not take its mark off; the interface
                is deregistered all the same.

        From a handler of another interface it does not wait: if handlers
        run, the last one of them completes it.  The core knows it by its
        ifIndex: two threads must not deregister one interface while a third
        registers another under the same.
        """
        self.provider.session._deregister(self, timeout)

    def remove(self, timeout: float | None = None) -> None:
        """
        Deregister, then give the identity up for good: the interface is
        removed completely (NdisIfDeregisterInterface, then
        NdisIfFreeNetLuidIndex).

        Args:
            timeout: As for :meth:`deregister`.

        Raises:
            InOwnHandlerError, NdisTimeoutError: As for :meth:`deregister`;
                the identity is kept.
            InUseError: Somebody has registered it again.
            IdentityInUseError: So has another process.
            NotRetainedError, InvalidParameterError: It is released already.
            StoreError: The store refused.  The interface is deregistered;
                remove it again.
        """
        with contextlib.suppress(InterfaceNotFoundError):
            self.deregister(timeout)
        if self.identity is not None:
            self.identity.release()
            return
        session = self.provider.session
        if_type, index = self.net_luid.if_type, self.net_luid.net_luid_index
        try:
            session.free_net_luid_index(if_type, index)
        except InvalidParameterError:
            # Retained without an identity, or released already.
            session.release_net_luid_indexes(if_type, [index])

    def __enter__(self) -> Interface:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.provider.session.closed:
            return
        with contextlib.suppress(InterfaceNotFoundError):
            self.deregister()

    def __repr__(self) -> str:
        return (
            f"<ndisbridge.Interface {self.net_luid.name} "
            f"ifIndex {self._if_index or '?'}>"
        )
