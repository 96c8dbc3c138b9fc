# SPDX-License-Identifier: MIT
"""
What drivers tell the proxy provider, and what it tells them.

Members have the names of NDIS in snake case.  Speeds are in bit/s, sizes in
bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..constants import (
    LINK_SPEED_UNKNOWN,
    IfAccessType,
    IfConnectionType,
    IfDirectionType,
    IfType,
    MediaConnectState,
    MediaDuplexState,
    Medium,
    PauseFunctions,
    PhysicalMedium,
)
from ..net_luid import NetLuid


@dataclass(frozen=True, slots=True)
class GeneralAttributes:
    """
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES: what a miniport driver says of
    its adapter when it is initialized.

    The proxy answers from it; drivers are not asked again.
    """

    media_type: int = Medium._802_3
    physical_medium_type: int = PhysicalMedium.UNSPECIFIED
    mtu_size: int = 1500
    max_xmit_link_speed: int = LINK_SPEED_UNKNOWN
    xmit_link_speed: int = LINK_SPEED_UNKNOWN
    max_rcv_link_speed: int = LINK_SPEED_UNKNOWN
    rcv_link_speed: int = LINK_SPEED_UNKNOWN
    media_connect_state: int = MediaConnectState.UNKNOWN
    media_duplex_state: int = MediaDuplexState.UNKNOWN
    #: 0 for an OID that goes down to the driver, as do the three below.
    lookahead_size: int = 0
    mac_options: int = 0
    max_multicast_list_size: int = 0
    supported_oid_list: tuple[int, ...] = ()
    permanent_mac_address: bytes = b""
    current_mac_address: bytes = b""
    access_type: int = IfAccessType.BROADCAST
    direction_type: int = IfDirectionType.SENDRECEIVE
    connection_type: int = IfConnectionType.DEDICATED
    #: None: the one that the adapter was installed with.  It is a part of
    #: the NET_LUID, so that another one is refused.
    if_type: int | None = None
    #: None: whether the adapter is a physical one.
    if_connector_present: bool | None = None
    #: NDIS_STATISTICS_*_SUPPORTED bits.
    supported_statistics: int = 0
    supported_pause_functions: int = PauseFunctions.UNKNOWN
    auto_negotiation_flags: int = 0


@dataclass(frozen=True, slots=True)
class MiniportInitParameters:
    """
    NDIS_MINIPORT_INIT_PARAMETERS: the identity of the adapter.

    Its interface is registered once the driver has told its attributes.
    """

    if_index: int
    net_luid: NetLuid


@dataclass(frozen=True, slots=True)
class FilterAttachParameters:
    """
    NDIS_FILTER_ATTACH_PARAMETERS: the identities of the filter module, of
    what lies directly below it, and of the adapter at the bottom.
    """

    if_index: int
    net_luid: NetLuid
    lower_if_index: int
    lower_if_net_luid: NetLuid
    base_miniport_if_index: int
    base_miniport_net_luid: NetLuid
    base_miniport_if_connector_present: bool
    #: Description of the adapter.
    base_miniport_instance_name: str
    media_type: int
    physical_medium_type: int
    current_mac_address: bytes


@dataclass(frozen=True, slots=True)
class BindParameters:
    """
    NDIS_BIND_PARAMETERS: what a protocol driver binds to; bound is the top
    of the filter stack, lowest the adapter.
    """

    bound_if_index: int
    bound_if_net_luid: NetLuid
    lowest_if_index: int
    lowest_if_net_luid: NetLuid
    #: Description of the adapter.
    adapter_name: str
    media_type: int
    physical_medium_type: int
    mtu_size: int
    media_connect_state: int
    media_duplex_state: int
    xmit_link_speed: int
    rcv_link_speed: int
    current_mac_address: bytes
    access_type: int
    direction_type: int
    connection_type: int
    if_type: IfType
    if_connector_present: bool
    #: The compartment's name, "" for the initial one.
    compartment: str


@dataclass(frozen=True, slots=True)
class ProtocolRestartParameters:
    """
    NDIS_PROTOCOL_RESTART_PARAMETERS: the top of a filter stack that has
    changed below a binding.
    """

    bound_if_index: int
    bound_if_net_luid: NetLuid
