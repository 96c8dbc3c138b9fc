# SPDX-License-Identifier: MIT
"""Which OID says what a member of NDIS_INTERFACE_INFORMATION says."""

from __future__ import annotations

from ndisbridge import Oid

#: OID by member; the others are constants, and without an OID of their own.
SINGLES = {
    "if_oper_status": Oid.GEN_OPERATIONAL_STATUS,
    "media_connect_state": Oid.GEN_MEDIA_CONNECT_STATUS_EX,
    "media_duplex_state": Oid.GEN_MEDIA_DUPLEX_STATE,
    "if_mtu": Oid.GEN_MAXIMUM_FRAME_SIZE,
    "if_promiscuous_mode": Oid.GEN_PROMISCUOUS_MODE,
    "xmit_link_speed": Oid.GEN_XMIT_LINK_SPEED,
    "rcv_link_speed": Oid.GEN_RCV_LINK_SPEED,
    "if_last_change": Oid.GEN_LAST_CHANGE,
    "if_counter_discontinuity_time": Oid.GEN_DISCONTINUITY_TIME,
    "if_in_unknown_protos": Oid.GEN_UNKNOWN_PROTOS,
    "if_in_discards": Oid.GEN_RCV_DISCARDS,
    "if_in_errors": Oid.GEN_RCV_ERROR,
    "if_hc_in_octets": Oid.GEN_BYTES_RCV,
    "if_hc_in_ucast_pkts": Oid.GEN_DIRECTED_FRAMES_RCV,
    "if_hc_in_multicast_pkts": Oid.GEN_MULTICAST_FRAMES_RCV,
    "if_hc_in_broadcast_pkts": Oid.GEN_BROADCAST_FRAMES_RCV,
    "if_hc_out_octets": Oid.GEN_BYTES_XMIT,
    "if_hc_out_ucast_pkts": Oid.GEN_DIRECTED_FRAMES_XMIT,
    "if_hc_out_multicast_pkts": Oid.GEN_MULTICAST_FRAMES_XMIT,
    "if_hc_out_broadcast_pkts": Oid.GEN_BROADCAST_FRAMES_XMIT,
    "if_out_errors": Oid.GEN_XMIT_ERROR,
    "if_out_discards": Oid.GEN_XMIT_DISCARDS,
    "if_hc_in_ucast_octets": Oid.GEN_DIRECTED_BYTES_RCV,
    "if_hc_in_multicast_octets": Oid.GEN_MULTICAST_BYTES_RCV,
    "if_hc_in_broadcast_octets": Oid.GEN_BROADCAST_BYTES_RCV,
    "if_hc_out_ucast_octets": Oid.GEN_DIRECTED_BYTES_XMIT,
    "if_hc_out_multicast_octets": Oid.GEN_MULTICAST_BYTES_XMIT,
    "if_hc_out_broadcast_octets": Oid.GEN_BROADCAST_BYTES_XMIT,
}
