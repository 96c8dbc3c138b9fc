# SPDX-License-Identifier: MIT
"""
What the proxy answers: from what it has been told, or by an OID request
that goes down.

What is published the core answers, and asks nobody here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _native
from ..constants import (
    LINK_SPEED_UNKNOWN,
    MediaConnectState,
    Oid,
    StatisticsFlagsValid,
    StatisticsSupported,
)
from ..exceptions import InvalidOidError, NotSupportedError
from ..structures import (
    InterfaceInformation,
    LinkSpeed,
    StatisticsInfo,
    encode,
)
from .endpoints import Endpoint
from .oid_requests import OidRequest

#: Members of NDIS_STATISTICS_INFO, with the names that their flags and
#: their OIDs share.
_COUNTERS = {
    "RCV_DISCARDS": "if_in_discards",
    "RCV_ERROR": "if_in_errors",
    "BYTES_RCV": "if_hc_in_octets",
    "DIRECTED_FRAMES_RCV": "if_hc_in_ucast_pkts",
    "MULTICAST_FRAMES_RCV": "if_hc_in_multicast_pkts",
    "BROADCAST_FRAMES_RCV": "if_hc_in_broadcast_pkts",
    "BYTES_XMIT": "if_hc_out_octets",
    "DIRECTED_FRAMES_XMIT": "if_hc_out_ucast_pkts",
    "MULTICAST_FRAMES_XMIT": "if_hc_out_multicast_pkts",
    "BROADCAST_FRAMES_XMIT": "if_hc_out_broadcast_pkts",
    "XMIT_ERROR": "if_out_errors",
    "XMIT_DISCARDS": "if_out_discards",
    "DIRECTED_BYTES_RCV": "if_hc_in_ucast_octets",
    "MULTICAST_BYTES_RCV": "if_hc_in_multicast_octets",
    "BROADCAST_BYTES_RCV": "if_hc_in_broadcast_octets",
    "DIRECTED_BYTES_XMIT": "if_hc_out_ucast_octets",
    "MULTICAST_BYTES_XMIT": "if_hc_out_multicast_octets",
    "BROADCAST_BYTES_XMIT": "if_hc_out_broadcast_octets",
}
_COUNTER_OIDS = {
    int(Oid[f"GEN_{name}"]): (member, int(StatisticsFlagsValid[name]))
    for name, member in _COUNTERS.items()
}
_STATISTICS = int(Oid.GEN_STATISTICS)
_PACKET_FILTER = int(Oid.GEN_CURRENT_PACKET_FILTER)
_ADMIN_STATUS = int(Oid.GEN_ADMIN_STATUS)
_ALIAS = int(Oid.GEN_ALIAS)
#: NDIS_PACKET_TYPE_PROMISCUOUS.
_PROMISCUOUS = 0x20
#: OIDs that NDIS 6 miniport drivers are never sent, whatever a provider of
#: another kind may let be set.
_NEVER_SENT = {
    int(oid)
    for oid in (
        Oid.GEN_PROMISCUOUS_MODE,
        Oid.GEN_MAXIMUM_FRAME_SIZE,
        Oid.GEN_LINK_SPEED_EX,
        Oid.GEN_MEDIA_CONNECT_STATUS_EX,
        Oid.GEN_MEDIA_DUPLEX_STATE,
        Oid.GEN_OPERATIONAL_STATUS,
        Oid.GEN_XMIT_LINK_SPEED,
        Oid.GEN_RCV_LINK_SPEED,
    )
}
#: Bit of an OID's access in the catalog.
_SETTABLE = 2


def ask(endpoint: Endpoint, oid: int) -> Any:
    """Send a query down from a place in the stack."""
    adapter = endpoint.adapter
    return adapter.proxy.serve(OidRequest(adapter, endpoint.paths[oid], oid))


def _statistics(endpoint: Endpoint) -> StatisticsInfo:
    value = ask(endpoint, _STATISTICS)
    if isinstance(value, StatisticsInfo):
        return value
    return StatisticsInfo.from_bytes(encode(_STATISTICS, value))


class Handlers:
    """The handlers of all interfaces of a proxy."""

    def query_object(self, endpoint: Endpoint, oid: int) -> Any:
        """A query that nothing published answers."""
        adapter = endpoint.adapter
        try:
            return adapter.proxy.serve(
                OidRequest(adapter, endpoint.paths[oid], oid)
            )
        except (NotSupportedError, InvalidOidError):
            found = _COUNTER_OIDS.get(oid)
            if found is None:
                raise
            # NDIS 6 drivers need not answer each counter by its own OID.
            member, valid = found
            statistics = _statistics(endpoint)
            if not statistics.supported_statistics & valid:
                raise
            return getattr(statistics, member)

    def set_object(self, endpoint: Endpoint, oid: int, value: Any) -> None:
        """
        A set.  ifAdminStatus and ifAlias, which NDIS has no set OIDs for and
        RFC 2863 lets be set, are the proxy's own.
        """
        adapter = endpoint.adapter
        if oid == _ADMIN_STATUS:
            adapter.set_admin_status(value)
            return
        if oid == _ALIAS:
            endpoint.set_alias(value)
            return
        entry = _native.describe_oid(oid)
        if entry is not None and (
            oid in _NEVER_SENT or not entry["access"] & _SETTABLE
        ):
            raise NotSupportedError(f"OID_{entry['name']} cannot be set")
        path = endpoint.paths[oid]
        adapter.proxy.serve(OidRequest.to_set(adapter, path, oid, value))
        if oid == _PACKET_FILTER:
            adapter.state.set_promiscuous(bool(value & _PROMISCUOUS))


# -- OIDs that NDIS 6 miniport drivers are never asked for, and those that
# -- their attributes answer


def _interface_info(endpoint: Endpoint) -> InterfaceInformation:
    """
    What is not published of NDIS_INTERFACE_INFORMATION: the counters.
    """
    statistics = _statistics(endpoint)
    supported = endpoint.adapter.attributes.supported_statistics
    members = {}
    for name, member in _COUNTERS.items():
        if statistics.supported_statistics & StatisticsFlagsValid[name]:
            members[member] = getattr(statistics, member)
            supported |= StatisticsSupported[f"{name}_SUPPORTED"]
    return InterfaceInformation(**members, supported_statistics=supported)


def _link_speed(endpoint: Endpoint) -> int:
    speed = endpoint.adapter.link_state.xmit_link_speed
    if speed == LINK_SPEED_UNKNOWN:
        raise NotSupportedError("the link speed is not known")
    return min(speed // 100, 0xFFFFFFFF)


def _media_connect_status(endpoint: Endpoint) -> int:
    state = endpoint.adapter.link_state.media_connect_state
    return int(state == MediaConnectState.DISCONNECTED)


def _max_link_speed(endpoint: Endpoint) -> LinkSpeed:
    attributes = endpoint.adapter.attributes
    return LinkSpeed(
        attributes.max_xmit_link_speed, attributes.max_rcv_link_speed
    )


def _attribute(name: str) -> Callable[[Endpoint, int], Any]:
    def answer(endpoint: Endpoint, oid: int) -> Any:
        value = getattr(endpoint.adapter.attributes, name)
        return value or ask(endpoint, oid)

    return answer


#: OIDs that the proxy answers itself, with what answers them.
OWN: dict[int, Callable[[Endpoint, int], Any]] = {
    Oid.GEN_INTERFACE_INFO: lambda endpoint, _: _interface_info(endpoint),
    Oid.GEN_LINK_SPEED: lambda endpoint, _: _link_speed(endpoint),
    Oid.GEN_MEDIA_CONNECT_STATUS: (
        lambda endpoint, _: _media_connect_status(endpoint)
    ),
    Oid.GEN_MAX_LINK_SPEED: lambda endpoint, _: _max_link_speed(endpoint),
    Oid.GEN_SUPPORTED_LIST: _attribute("supported_oid_list"),
    Oid.GEN_MAXIMUM_LOOKAHEAD: _attribute("lookahead_size"),
    Oid.GEN_MAC_OPTIONS: _attribute("mac_options"),
    Oid._802_3_MAXIMUM_LIST_SIZE: _attribute("max_multicast_list_size"),
}
