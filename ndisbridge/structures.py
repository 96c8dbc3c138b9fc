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
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, SupportsIndex, TypeVar, overload

from . import _native, _native_structures
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
from .exceptions import (
    InvalidDataError,
    InvalidOidError,
    InvalidParameterError,
)
from .net_luid import NetLuid

_S = TypeVar("_S", bound="Structure")


@cache
def _layout(name: str) -> tuple[struct.Struct, tuple[str, ...]]:
    members = _native_structures.layout(name)
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
class IpOperStatus(Structure):
    """NDIS_IP_OPER_STATUS: the operational status of one address family."""

    _c_name = "ip_oper_status"

    address_family: int
    operational_status: int
    operational_status_flags: int


@dataclass(frozen=True, slots=True)
class IpOperStatusInfo(Structure):
    """NDIS_IP_OPER_STATUS_INFO, the answer to OID_GEN_IP_OPER_STATUS."""

    _c_name = "ip_oper_status_info"

    flags: int = 0
    #: Length of the tuple that follows.
    numberof_address_families_returned: int = field(init=False)
    #: One for each address family that is told, 32 at most.
    ip_operational_status: tuple[IpOperStatus, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(
            self,
            "numberof_address_families_returned",
            len(self.ip_operational_status),
        )

    @classmethod
    def from_bytes(cls, raw: bytes) -> IpOperStatusInfo:
        """
        Read the structure from the bytes of an OID's answer.

        Raises:
            InvalidDataError: There are too few of them, or they tell of
                more address families than there is room for.
        """
        packed, names = _layout(cls._c_name)
        size = _native_structures.size_of(IpOperStatus._c_name)
        if len(raw) < packed.size:
            raise InvalidDataError(
                f"{cls.__name__} takes {packed.size} bytes, not {len(raw)}"
            )
        values = dict(zip(names, packed.unpack_from(raw), strict=True))
        count, array = (
            values["numberof_address_families_returned"],
            values["ip_operational_status"],
        )
        if count * size > len(array):
            raise InvalidDataError(
                f"{cls.__name__} has room for {len(array) // size} address "
                f"families, not {count}"
            )
        return cls(
            values["flags"],
            tuple(
                IpOperStatus.from_bytes(array[i * size : (i + 1) * size])
                for i in range(count)
            ),
        )

    def to_bytes(self) -> bytes:
        """
        The structure as it lies in memory, with its header.

        Raises:
            InvalidParameterError: There are more than 32 address families.
        """
        packed, names = _layout(self._c_name)
        offsets = _native_structures.member_offsets(self._c_name)
        _, room = offsets["ip_operational_status"]
        array = b"".join(s.to_bytes() for s in self.ip_operational_status)
        if len(array) > room:
            raise InvalidParameterError(
                f"{type(self).__name__} has room for 32 address families, "
                f"not {len(self.ip_operational_status)}"
            )
        values = {
            "header": struct.pack("=BBH", 0x80, 1, packed.size),
            "flags": int(self.flags),
            "numberof_address_families_returned": (
                self.numberof_address_families_returned
            ),
            "ip_operational_status": array,
        }
        return packed.pack(*(values[name] for name in names))


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
            row[name] = _native_structures.from_utf16(row[name])
        for name in ("interface_guid", "network_guid"):
            row[name] = _native_structures.guid_from_bytes(row[name])
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


class InterfaceTable(Sequence[InterfaceRow]):
    """
    The interface table at one moment, ordered by ifIndex (GetIfTable2).

    A sequence of :class:`InterfaceRow`, decoded when asked for (a slice is a
    list of them), over one buffer of MIB_IF_ROW2 that numpy can view without
    a copy::

        numpy.frombuffer(table.buffer, table.dtype_spec())["in_octets"]
    """

    #: Bytes of one row.
    ROW_SIZE = _native_structures.size_of("mib_if_row2")

    def __init__(self, buffer: memoryview) -> None:
        #: The rows, ROW_SIZE bytes each.
        self.buffer = buffer

    def __len__(self) -> int:
        return len(self.buffer) // self.ROW_SIZE

    @overload
    def __getitem__(self, i: SupportsIndex) -> InterfaceRow: ...

    @overload
    def __getitem__(self, i: slice) -> list[InterfaceRow]: ...

    def __getitem__(
        self, i: SupportsIndex | slice
    ) -> InterfaceRow | list[InterfaceRow]:
        places = range(len(self))
        if isinstance(i, slice):
            return [self[place] for place in places[i]]
        start = places[i] * self.ROW_SIZE
        return InterfaceRow.from_bytes(
            self.buffer[start : start + self.ROW_SIZE]
        )

    @classmethod
    def dtype_spec(cls) -> dict[str, Any]:
        """What numpy.dtype() makes the type of a row from."""
        names, formats, offsets = [], [], []
        offset_of = _native_structures.member_offsets("mib_if_row2")
        for name, code in _native_structures.layout("mib_if_row2"):
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
    "NDIS_IP_OPER_STATUS_INFO": IpOperStatusInfo,
}
_ENUMS: dict[str, Any] = {
    "NET_IF_OPER_STATUS": IfOperStatus,
    "NET_IF_ADMIN_STATUS": IfAdminStatus,
    "NET_IF_MEDIA_CONNECT_STATE": MediaConnectState,
    "NET_IF_MEDIA_DUPLEX_STATE": MediaDuplexState,
    "NDIS_MEDIUM": Medium,
    "NDIS_PHYSICAL_MEDIUM": PhysicalMedium,
}


# Laid out now, once.
for _c_name in (
    "mib_if_row2",
    *(s._c_name for s in Structure.__subclasses__()),
):
    _layout(_c_name)

# Types and size rules of the catalog.
_BOOLEAN, _UNSIGNED, _STRING = 1, 2, 3
_VARIABLE, _ARRAY = 0, 4
_ORDER: Any = "little" if _native_structures.LITTLE else "big"
_UTF_16 = "utf-16-le" if _native_structures.LITTLE else "utf-16-be"

_described: dict[int, dict[str, Any]] = {}
for _oid in _native.list_oids():
    _entry = _native.describe_oid(_oid)
    assert _entry is not None
    _described[_oid] = _entry


def _decoder(entry: dict[str, Any]) -> Any:
    """What makes the value of an OID from its plain one; None if nothing."""
    if entry["type_name"] in _STRUCTURES:
        return _STRUCTURES[entry["type_name"]].from_bytes
    enum = _ENUMS.get(entry["type_name"])
    if enum is None:
        return None
    if entry["size_rule"] == _ARRAY:
        return lambda values: [_member(enum, value) for value in values]
    return lambda value: _member(enum, value)


#: For each OID of the catalog whose value is more than its plain int, bool,
#: str, bytes or list of ints or bytes: what makes the value.
DECODERS: dict[int, Any] = {
    oid: decoder
    for oid, entry in _described.items()
    if (decoder := _decoder(entry)) is not None
}


def value_size(oid: int) -> int:
    """Bytes of the longest answer of a fixed-size OID, 0 if variable."""
    entry = _described.get(oid)
    if entry is None or entry["size_rule"] in {_VARIABLE, _ARRAY}:
        return 0
    return int(entry["size"])


def _encode_int(entry: dict[str, Any] | None, value: int) -> bytes:
    if entry is None or entry["type"] not in {_BOOLEAN, _UNSIGNED}:
        raise TypeError(
            "an int can only be the value of an OID whose value is a number: "
            "give bytes"
        )
    return int(value).to_bytes(entry["size"], _ORDER)


def _encode_member(entry: dict[str, Any] | None, value: Any) -> bytes:
    """One member of an array, or a part of an OID without a fixed size."""
    if isinstance(value, int):
        return _encode_int(entry, value)
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(
            f"{type(value).__name__} cannot be a member of an OID's value: "
            "give ints or bytes"
        )
    raw = bytes(value)
    if entry is None or entry["size_rule"] != _ARRAY:
        return raw
    if len(raw) != entry["size"]:
        raise InvalidParameterError(
            f"a member of this OID's value has {entry['size']} bytes, not "
            f"{len(raw)}"
        )
    return raw


def encode(oid: int, value: Any) -> bytes:
    """
    The bytes of an OID's value: what a handler returned, or what is set.

    Raises:
        TypeError: The value is of no type that this OID can have.
        InvalidParameterError: A string is too long, or a member of an array
            has another size.
        OverflowError: A number does not fit.
    """
    entry = _described.get(oid)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, Structure):
        return value.to_bytes()
    if isinstance(value, str):
        if entry is None or entry["type"] != _STRING:
            raise TypeError(
                "a str can only be the value of an OID whose value is a "
                "counted string: give bytes"
            )
        raw = _native_structures.limited_utf16(value, "a string")
        return struct.pack("=H", len(raw)) + raw.ljust(514, b"\0")
    if isinstance(value, int):
        return _encode_int(entry, value)
    if isinstance(value, (list, tuple)) and not value_size(oid):
        return b"".join(_encode_member(entry, each) for each in value)
    raise TypeError(
        f"{type(value).__name__} cannot be the value of this OID: give an "
        "int, bool, str, bytes, a list (of an array's members) or a "
        "structure of ndisbridge"
    )


def _decode_string(raw: bytes) -> str:
    (length,) = struct.unpack_from("=H", raw)
    if length % 2 or length > len(raw) - 2:
        raise InvalidDataError(
            f"a counted string of {length} bytes does not fit {len(raw)}"
        )
    return raw[2 : 2 + length].decode(_UTF_16, "surrogatepass")


def decode(oid: int, raw: bytes) -> Any:
    """
    The value in the bytes of an OID; bytes if it has no other type.

    Raises:
        InvalidDataError: They cannot be a value of that OID.
    """
    entry = _described.get(oid)
    if entry is None:
        return raw
    value: Any = raw
    kind, size = entry["type"], entry["size"]
    if entry["size_rule"] == _ARRAY:
        value = [raw[i : i + size] for i in range(0, len(raw), size)]
        if kind == _UNSIGNED:
            value = [int.from_bytes(each, _ORDER) for each in value]
    elif kind == _BOOLEAN and len(raw) == 1:
        value = bool(raw[0])
    elif kind == _UNSIGNED and len(raw) in {4, 8}:
        value = int.from_bytes(raw, _ORDER)
    elif kind == _STRING and len(raw) >= 2:
        value = _decode_string(raw)
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
