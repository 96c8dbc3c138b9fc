# SPDX-License-Identifier: MIT
"""
The structures that OIDs carry, as dataclasses.

Names of members are the header's, which are NDIS's in snake case; speeds
are in bit/s, times in milliseconds since the machine started.  Layouts come
from the compiled module: nothing about them is written here.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, TypeVar

from . import _native
from .constants import (
    IfAccessType,
    IfAdminStatus,
    IfConnectionType,
    IfDirectionType,
    IfOperStatus,
    IfType,
    MediaConnectState,
    MediaDuplexState,
    Medium,
    Oid,
    PhysicalMedium,
)
from .exceptions import InvalidDataError, InvalidOidError
from .net_luid import NetLuid

_S = TypeVar("_S", bound="Structure")


@cache
def _layout(name: str) -> tuple[struct.Struct, tuple[str, ...]]:
    members = _native.layout(name)
    codes = "=" + "".join(code for _, code in members)
    return struct.Struct(codes), tuple(name for name, _ in members if name)


class Structure:
    """What the dataclasses below share: to and from the bytes of the ABI."""

    #: Name in the header, without ``ndisbridge_``.
    _c_name = ""

    @classmethod
    def from_bytes(cls: type[_S], raw: bytes) -> _S:
        """
        Read the structure from the bytes of an OID's answer.

        Raises:
            InvalidDataError: There are too few of them.
        """
        packed, names = _layout(cls._c_name)
        if len(raw) < packed.size:
            raise InvalidDataError(
                f"{cls.__name__} takes {packed.size} bytes, not {len(raw)}"
            )
        values = dict(zip(names, packed.unpack_from(raw), strict=True))
        return cls(**{f.name: values[f.name] for f in fields(cls)})  # type: ignore[arg-type]

    def to_bytes(self) -> bytes:
        """The structure as it lies in memory, with its header if any."""
        packed, names = _layout(self._c_name)
        header = struct.pack("=BBH", 0x80, 1, packed.size)
        return packed.pack(
            *(
                header if name == "header" else int(getattr(self, name))
                for name in names
            )
        )


@dataclass(frozen=True, slots=True)
class InterfaceInformation(Structure):
    """NDIS_INTERFACE_INFORMATION, the answer to OID_GEN_INTERFACE_INFO."""

    _c_name = "interface_information"

    if_oper_status: int = 4
    if_oper_status_flags: int = 0
    media_connect_state: int = 0
    media_duplex_state: int = 0
    if_mtu: int = 0
    if_promiscuous_mode: int = 0
    if_device_wake_up_enable: int = 0
    xmit_link_speed: int = 0xFFFFFFFFFFFFFFFF
    rcv_link_speed: int = 0xFFFFFFFFFFFFFFFF
    if_last_change: int = 0
    if_counter_discontinuity_time: int = 0
    if_in_unknown_protos: int = 0
    if_in_discards: int = 0
    if_in_errors: int = 0
    if_hc_in_octets: int = 0
    if_hc_in_ucast_pkts: int = 0
    if_hc_in_multicast_pkts: int = 0
    if_hc_in_broadcast_pkts: int = 0
    if_hc_out_octets: int = 0
    if_hc_out_ucast_pkts: int = 0
    if_hc_out_multicast_pkts: int = 0
    if_hc_out_broadcast_pkts: int = 0
    if_out_errors: int = 0
    if_out_discards: int = 0
    if_hc_in_ucast_octets: int = 0
    if_hc_in_multicast_octets: int = 0
    if_hc_in_broadcast_octets: int = 0
    if_hc_out_ucast_octets: int = 0
    if_hc_out_multicast_octets: int = 0
    if_hc_out_broadcast_octets: int = 0
    compartment_id: int = 0
    supported_statistics: int = 0


@dataclass(frozen=True, slots=True)
class StatisticsInfo(Structure):
    """NDIS_STATISTICS_INFO, the answer to OID_GEN_STATISTICS."""

    _c_name = "statistics_info"

    supported_statistics: int = 0
    if_in_discards: int = 0
    if_in_errors: int = 0
    if_hc_in_octets: int = 0
    if_hc_in_ucast_pkts: int = 0
    if_hc_in_multicast_pkts: int = 0
    if_hc_in_broadcast_pkts: int = 0
    if_hc_out_octets: int = 0
    if_hc_out_ucast_pkts: int = 0
    if_hc_out_multicast_pkts: int = 0
    if_hc_out_broadcast_pkts: int = 0
    if_out_errors: int = 0
    if_out_discards: int = 0
    if_hc_in_ucast_octets: int = 0
    if_hc_in_multicast_octets: int = 0
    if_hc_in_broadcast_octets: int = 0
    if_hc_out_ucast_octets: int = 0
    if_hc_out_multicast_octets: int = 0
    if_hc_out_broadcast_octets: int = 0


@dataclass(frozen=True, slots=True)
class LinkSpeed(Structure):
    """NDIS_LINK_SPEED, in bit/s."""

    _c_name = "link_speed"

    xmit_link_speed: int
    rcv_link_speed: int


@dataclass(frozen=True, slots=True)
class LinkState(Structure):
    """NDIS_LINK_STATE."""

    _c_name = "link_state"

    media_connect_state: int
    media_duplex_state: int
    xmit_link_speed: int
    rcv_link_speed: int
    pause_functions: int
    auto_negotiation_flags: int


@dataclass(frozen=True, slots=True)
class OperState(Structure):
    """NDIS_OPER_STATE."""

    _c_name = "oper_state"

    operational_status: int
    operational_status_flags: int


@dataclass(frozen=True, slots=True)
class InterfaceRow:
    """MIB_IF_ROW2: one interface as GetIfTable2 shows it."""

    net_luid: NetLuid
    if_index: int
    interface_guid: uuid.UUID
    alias: str
    description: str
    physical_address: bytes
    permanent_physical_address: bytes
    mtu: int
    type: IfType
    tunnel_type: int
    media_type: Medium
    physical_medium_type: PhysicalMedium
    access_type: IfAccessType
    direction_type: IfDirectionType
    interface_and_oper_status_flags: int
    oper_status: IfOperStatus
    admin_status: IfAdminStatus
    media_connect_state: MediaConnectState
    network_guid: uuid.UUID
    connection_type: IfConnectionType
    transmit_link_speed: int
    receive_link_speed: int
    in_octets: int
    in_ucast_pkts: int
    in_nucast_pkts: int
    in_discards: int
    in_errors: int
    in_unknown_protos: int
    in_ucast_octets: int
    in_multicast_octets: int
    in_broadcast_octets: int
    out_octets: int
    out_ucast_pkts: int
    out_nucast_pkts: int
    out_discards: int
    out_errors: int
    out_ucast_octets: int
    out_multicast_octets: int
    out_broadcast_octets: int
    out_qlen: int

    @classmethod
    def from_bytes(cls, raw: bytes | memoryview) -> InterfaceRow:
        """Read one row of an :class:`InterfaceTable`'s buffer."""
        packed, names = _layout("mib_if_row2")
        row: dict[str, Any] = dict(
            zip(names, packed.unpack_from(raw), strict=True)
        )
        length = row.pop("physical_address_length")
        row["net_luid"] = NetLuid(row.pop("interface_luid"))
        row["if_index"] = row.pop("interface_index")
        for name in ("physical_address", "permanent_physical_address"):
            row[name] = row[name][:length]
        for name in ("alias", "description"):
            row[name] = _native.from_utf16(row[name])
        for name in ("interface_guid", "network_guid"):
            row[name] = _native.guid_from_bytes(row[name])
        for name, enum in _ROW_ENUMS.items():
            row[name] = _member(enum, row[name])
        return cls(**row)


_ROW_ENUMS: dict[str, Any] = {
    "type": IfType,
    "media_type": Medium,
    "physical_medium_type": PhysicalMedium,
    "access_type": IfAccessType,
    "direction_type": IfDirectionType,
    "oper_status": IfOperStatus,
    "admin_status": IfAdminStatus,
    "media_connect_state": MediaConnectState,
    "connection_type": IfConnectionType,
}


def _member(enum: Any, value: int) -> Any:
    """The member of an enumeration, or the number if it has none."""
    try:
        return enum(value)
    except ValueError:
        return value


class InterfaceTable:
    """
    The interface table at one moment, ordered by ifIndex (GetIfTable2).

    A sequence of :class:`InterfaceRow`, decoded when asked for, over one
    buffer of MIB_IF_ROW2 that numpy can view without a copy::

        numpy.frombuffer(table.buffer, table.dtype_spec())["in_octets"]
    """

    #: Bytes of one row.
    ROW_SIZE = _native.size_of("mib_if_row2")

    def __init__(self, buffer: memoryview) -> None:
        #: The rows, ROW_SIZE bytes each.
        self.buffer = buffer

    def __len__(self) -> int:
        return len(self.buffer) // self.ROW_SIZE

    def __getitem__(self, i: int) -> InterfaceRow:
        count = len(self)
        if i < 0:
            i += count
        if not 0 <= i < count:
            raise IndexError(i)
        start = i * self.ROW_SIZE
        return InterfaceRow.from_bytes(
            self.buffer[start : start + self.ROW_SIZE]
        )

    @classmethod
    def dtype_spec(cls) -> dict[str, Any]:
        """What numpy.dtype() makes the type of a row from."""
        names, formats, offsets = [], [], []
        offset_of = _native.member_offsets("mib_if_row2")
        for name, code in _native.layout("mib_if_row2"):
            if not name:
                continue
            offset, size = offset_of[name]
            names.append(name)
            offsets.append(offset)
            formats.append(f"V{size}" if code.endswith("s") else f"u{size}")
        return {
            "names": names,
            "formats": formats,
            "offsets": offsets,
            "itemsize": cls.ROW_SIZE,
        }


# ---------------------------------------------------------------------------
# Values of OIDs

_STRUCTURES: dict[str, type[Structure]] = {
    "NDIS_INTERFACE_INFORMATION": InterfaceInformation,
    "NDIS_STATISTICS_INFO": StatisticsInfo,
    "NDIS_LINK_SPEED": LinkSpeed,
    "NDIS_LINK_STATE": LinkState,
    "NDIS_OPER_STATE": OperState,
}
_ENUMS: dict[str, Any] = {
    "NET_IF_OPER_STATUS": IfOperStatus,
    "NET_IF_ADMIN_STATUS": IfAdminStatus,
    "NET_IF_MEDIA_CONNECT_STATE": MediaConnectState,
    "NET_IF_MEDIA_DUPLEX_STATE": MediaDuplexState,
    "NDIS_MEDIUM": Medium,
    "NDIS_PHYSICAL_MEDIUM": PhysicalMedium,
}


def _mac_list(raw: bytes) -> list[bytes]:
    return [raw[i : i + 6] for i in range(0, len(raw) - 5, 6)]


#: For each OID of the catalog whose value is more than its plain int, bool,
#: str or bytes: what makes the value.
DECODERS: dict[int, Any] = {}
_described = {oid: _native.describe_oid(oid) for oid in _native.list_oids()}
for _oid, _entry in _described.items():
    assert _entry is not None
    if _entry["type_name"] in _STRUCTURES:
        DECODERS[_oid] = _STRUCTURES[_entry["type_name"]].from_bytes
    elif _entry["type_name"] in _ENUMS:
        DECODERS[_oid] = lambda value, enum=_ENUMS[_entry["type_name"]]: (
            _member(enum, value)
        )
    elif _entry["type"] == 5:
        DECODERS[_oid] = _mac_list


def value_size(oid: int) -> int:
    """Bytes of the longest answer of a fixed-size OID, 0 if variable."""
    entry = _described.get(oid)
    if entry is None or entry["size_rule"] in {0, 4}:
        return 0
    return int(entry["size"])


def encode(oid: int, value: Any) -> bytes:
    """
    The bytes of an OID's value: what a handler returned, or what is set.

    Raises:
        TypeError: The value is of no type that an OID can have.
        InvalidParameterError: A string is too long.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, Structure):
        return value.to_bytes()
    if isinstance(value, str):
        raw = _native.limited_utf16(value, "a string")
        return struct.pack("=H", len(raw)) + raw.ljust(514, b"\0")
    if isinstance(value, int):
        return int(value).to_bytes(
            value_size(oid) or 4, "little" if _native._LITTLE else "big"
        )
    if isinstance(value, (list, tuple)):
        return b"".join(bytes(each) for each in value)
    raise TypeError(
        f"{type(value).__name__} cannot be the value of an OID: give an "
        "int, bool, str, bytes or a structure of ndisbridge"
    )


def decode(oid: int, raw: bytes) -> Any:
    """The value in the bytes of an OID; bytes if it has no other type."""
    entry = _described.get(oid)
    if entry is None:
        return raw
    value: Any = raw
    if entry["type"] == 1 and len(raw) == 1:
        value = bool(raw[0])
    elif entry["type"] == 2 and len(raw) in {4, 8}:
        value = int.from_bytes(raw, "little" if _native._LITTLE else "big")
    elif entry["type"] == 3 and len(raw) >= 2:
        (length,) = struct.unpack_from("=H", raw)
        return _native.from_utf16(raw[2 : 2 + length])
    decoder = DECODERS.get(oid)
    return value if decoder is None else decoder(value)


def oid_number(oid: int | str) -> int:
    """An OID by number or by name (``GEN_ALIAS``, ``OID_GEN_ALIAS``)."""
    if isinstance(oid, int):
        return int(oid)
    name = oid.strip().upper().removeprefix("OID_")
    if name[:1].isdigit() and not name.startswith("0X"):
        name = f"_{name}"
    found = Oid.__members__.get(name)
    if found is None:
        try:
            return int(oid, 0)
        except ValueError:
            raise InvalidOidError(f"there is no OID named {oid!r}") from None
    return int(found)
