# SPDX-License-Identifier: MIT
"""
Bindings of protocol drivers, and of the lower edges of intermediate ones, to
miniport adapters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..net_luid import NetLuid
from .parameters import BindParameters

if TYPE_CHECKING:
    from .adapter import MiniportAdapter


class Binding:
    """
    A protocol driver's binding (NdisOpenAdapterEx).

    Made by :meth:`MiniportAdapter.bind`.  Any thread may use it.
    """

    def __init__(self, adapter: MiniportAdapter, protocol: object) -> None:
        self.adapter = adapter
        #: The driver.
        self.protocol = protocol

    def query_binding_if_index(self) -> tuple[int, NetLuid, int, NetLuid]:
        """
        The ends of the filter stack (NdisIfQueryBindingIfIndex); see
        :meth:`Session.query_binding_if_index`.
        """
        adapter = self.adapter
        return adapter.proxy.session.query_binding_if_index(adapter.if_index)

    @property
    def parameters(self) -> BindParameters:
        """
        What the binding is to, as it is now.

        Raises:
            InterfaceNotFoundError: The adapter is halted.
        """
        bound, bound_luid, lowest, lowest_luid = self.query_binding_if_index()
        adapter = self.adapter
        attributes, link = adapter.attributes, adapter.link_state
        return BindParameters(
            bound_if_index=bound,
            bound_if_net_luid=bound_luid,
            lowest_if_index=lowest,
            lowest_if_net_luid=lowest_luid,
            adapter_name=adapter.description,
            media_type=attributes.media_type,
            physical_medium_type=attributes.physical_medium_type,
            mtu_size=attributes.mtu_size,
            media_connect_state=link.media_connect_state,
            media_duplex_state=link.media_duplex_state,
            xmit_link_speed=link.xmit_link_speed,
            rcv_link_speed=link.rcv_link_speed,
            current_mac_address=attributes.current_mac_address,
            access_type=attributes.access_type,
            direction_type=attributes.direction_type,
            connection_type=attributes.connection_type,
            if_type=adapter.net_luid.if_type,
            if_connector_present=adapter.connector_present,
            compartment=adapter.proxy.compartment,
        )

    def query(self, oid: int) -> Any:
        """
        Ask for an OID from the top of the filter stack (NdisOidRequest);
        see :meth:`Session.query`.
        """
        return self.adapter.query(oid)

    def set(self, oid: int, value: Any) -> None:
        """Set an OID, likewise; see :meth:`Session.set`."""
        self.adapter.set(oid, value)

    def close(self) -> None:
        """End the binding (NdisCloseAdapterEx); the driver is not told."""
        self.adapter._unbind(self)

    def __repr__(self) -> str:
        return f"<ndisbridge.proxy.Binding of {self.protocol!r}>"
