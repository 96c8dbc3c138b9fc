# SPDX-License-Identifier: MIT
"""
The enumerations of NDIS and of RFC 2863, read from the compiled module.

Every name is the header's without ``NDISBRIDGE_`` and without the name of
the enumeration: ``NDISBRIDGE_OID_GEN_ALIAS`` is ``Oid.GEN_ALIAS``.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any

from ._ndisbridge import ffi, lib


def _members(c_enum: str, prefix: str) -> dict[str, int]:
    """Members of a C enumeration, by their names without the prefix."""
    members: dict[str, int] = {}
    relements = ffi.typeof(f"enum ndisbridge_{c_enum}").relements
    # cffi lists them last first; of two names for one number, the first
    # is the name and the second an alias.
    for name, value in reversed(list(relements.items())):
        short = name.removeprefix("NDISBRIDGE_").removeprefix(prefix)
        # Names such as MEDIUM_802_3 would begin with a digit.
        members[f"_{short}" if short[0].isdigit() else short] = value
    return members


def _int_enum(name: str, c_enum: str, prefix: str, doc: str) -> Any:
    made = IntEnum(  # type: ignore[misc]
        name, _members(c_enum, prefix), module=__name__
    )
    made.__doc__ = doc
    return made


def _int_flag(name: str, c_enum: str, prefix: str, doc: str) -> Any:
    made = IntFlag(  # type: ignore[misc]
        name, _members(c_enum, prefix), module=__name__
    )
    made.__doc__ = doc
    return made


class _AnyIfType(IntEnum):
    """Takes numbers without a name too: NDIS takes any 16-bit IfType."""

    @classmethod
    def _missing_(cls, value: object) -> Any:
        if not isinstance(value, int) or not 0 < value <= 0xFFFF:
            return None
        member = int.__new__(cls, value)
        member._name_ = f"IFTYPE{value}"
        member._value_ = value
        return cls._value2member_map_.setdefault(value, member)


IfType: Any = _AnyIfType(  # type: ignore[call-overload]
    "IfType", _members("if_type", "IF_TYPE_"), module=__name__
)
IfType.__doc__ = "IANA interface types (ifType), 1 .. 65535."
Oid = _int_enum("Oid", "oid", "OID_", "Object identifiers of the catalog.")
StatusCode = _int_enum(
    "StatusCode", "status_code", "STATUS_", "NDIS_STATUS, as signed numbers."
)
StatusIndication = _int_enum(
    "StatusIndication",
    "status_indication",
    "STATUS_",
    "Statuses that are indicated from an adapter to what runs on it.",
)
IfOperStatus = _int_enum(
    "IfOperStatus",
    "net_if_oper_status",
    "NET_IF_OPER_STATUS_",
    "NET_IF_OPER_STATUS; ifOperStatus of RFC 2863.",
)
IfOperStatusFlags = _int_flag(
    "IfOperStatusFlags",
    "net_if_oper_status_flags",
    "NET_IF_OPER_STATUS_",
    "Why an interface is DOWN or DORMANT.",
)
IfAdminStatus = _int_enum(
    "IfAdminStatus",
    "net_if_admin_status",
    "NET_IF_ADMIN_STATUS_",
    "NET_IF_ADMIN_STATUS; ifAdminStatus of RFC 2863.",
)
MediaConnectState = _int_enum(
    "MediaConnectState",
    "net_if_media_connect_state",
    "NET_IF_MEDIA_CONNECT_STATE_",
    "NET_IF_MEDIA_CONNECT_STATE.",
)
MediaDuplexState = _int_enum(
    "MediaDuplexState",
    "net_if_media_duplex_state",
    "NET_IF_MEDIA_DUPLEX_STATE_",
    "NET_IF_MEDIA_DUPLEX_STATE.",
)
IfAccessType = _int_enum(
    "IfAccessType",
    "net_if_access_type",
    "NET_IF_ACCESS_",
    "NET_IF_ACCESS_TYPE.",
)
IfDirectionType = _int_enum(
    "IfDirectionType",
    "net_if_direction_type",
    "NET_IF_DIRECTION_",
    "NET_IF_DIRECTION_TYPE.",
)
IfConnectionType = _int_enum(
    "IfConnectionType",
    "net_if_connection_type",
    "NET_IF_CONNECTION_",
    "NET_IF_CONNECTION_TYPE.",
)
Medium = _int_enum("Medium", "medium", "MEDIUM_", "NDIS_MEDIUM.")
PhysicalMedium = _int_enum(
    "PhysicalMedium",
    "physical_medium",
    "PHYSICAL_MEDIUM_",
    "NDIS_PHYSICAL_MEDIUM.",
)
TunnelType = _int_enum(
    "TunnelType", "tunnel_type", "TUNNEL_TYPE_", "TUNNEL_TYPE."
)
PauseFunctions = _int_enum(
    "PauseFunctions",
    "pause_functions",
    "PAUSE_FUNCTIONS_",
    "NDIS_SUPPORTED_PAUSE_FUNCTIONS.",
)
IfFlags = _int_flag(
    "IfFlags", "net_if_flags", "NIIF_", "NIIF_* bits of NET_IF_INFORMATION."
)
StatisticsSupported = _int_flag(
    "StatisticsSupported",
    "statistics_supported",
    "STATISTICS_",
    "NDIS_STATISTICS_*_SUPPORTED bits.",
)
StatisticsFlagsValid = _int_flag(
    "StatisticsFlagsValid",
    "statistics_flags_valid",
    "STATISTICS_FLAGS_VALID_",
    "NDIS_STATISTICS_FLAGS_VALID_* bits.",
)
IndexState = _int_enum(
    "IndexState",
    "index_state",
    "INDEX_",
    "What a session knows of a NET_LUID index.",
)
IfIndexPolicy = _int_enum(
    "IfIndexPolicy",
    "if_index_policy",
    "IF_INDEX_POLICY_",
    "How ifIndexes are chosen that nobody asked for.",
)
IfTableLevel = _int_enum(
    "IfTableLevel",
    "if_table_level",
    "IF_TABLE_",
    "Whether the interface table may ask handlers.",
)
EventKind = _int_enum(
    "EventKind",
    "event_kind",
    "EVENT_",
    "What has happened; the first four are MIB_NOTIFICATION_TYPE.",
)
LinkTransition = _int_enum(
    "LinkTransition",
    "link_transition",
    "LINK_",
    "linkUp and linkDown of RFC 2863.",
)
IdentityChangeKind = _int_enum(
    "IdentityChangeKind",
    "identity_change",
    "IDENTITY_",
    "What has happened to an identity of the store.",
)

#: Greatest NET_LUID index.
NET_LUID_INDEX_MAX: int = int(lib.NDISBRIDGE_NET_LUID_INDEX_MAX)
#: Greatest ifIndex.
IF_INDEX_MAX: int = int(lib.NDISBRIDGE_IF_INDEX_MAX)
#: First ifIndex that a store hands out on Linux.
IF_INDEX_FIRST_LINUX: int = int(lib.NDISBRIDGE_IF_INDEX_FIRST_LINUX)
#: Unknown link speed, in bit/s.
LINK_SPEED_UNKNOWN: int = int(lib.NDISBRIDGE_LINK_SPEED_UNKNOWN)
