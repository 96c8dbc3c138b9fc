# SPDX-License-Identifier: MIT
"""
The region "constants" of the public header, as text.

It keeps to what cffi's cdef parses, one enumerator a line, without
expressions: integer literals in enumerations, and a define for what is
greater than INT_MAX.  Names are NDISBRIDGE_ and the standard's own spelling
(NET_IF_ACCESS_LOOPBACK); where the standard writes in mixed case, the
enumeration's name and the member's in capitals (NdisMediumWirelessWan:
MEDIUM_WIRELESS_WAN).  Only generate_catalog.py uses this module.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from catalog_rows import ACCESS, TYPES, IfType, InputError, Oid

#: NET_IF_RCV_ADDRESS_TYPE, which ndis_constants.json lacks; the numbers are
#: those of RFC 2863's ifRcvAddressType.
RCV_ADDRESS_TYPES = {
    "NET_IF_RCV_ADDRESS_TYPE_OTHER": 1,
    "NET_IF_RCV_ADDRESS_TYPE_VOLATILE": 2,
    "NET_IF_RCV_ADDRESS_TYPE_NON_VOLATILE": 3,
}

#: Words that the rule of underscored() would cut in two.
WHOLE_WORDS = {"InfiniBand", "LocalTalk", "WiMAX", "WiMax"}


@dataclass(frozen=True)
class CEnum:
    """An enumeration of the public header; members without NDISBRIDGE_."""

    tag: str
    comment: str
    members: list[tuple[str, int]]
    hexadecimal: bool = False


def underscored(name: str) -> str:
    """Spell a Windows name in capitals: WirelessWan -> WIRELESS_WAN."""
    if name in WHOLE_WORDS:
        return name.upper()
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])", "_", name).upper()


def value_of(entry: object) -> int:
    """Number of a JSON entry, which is one or holds one as "value"."""
    value = entry["value"] if isinstance(entry, dict) else entry
    if not isinstance(value, int):
        raise InputError(f"not a number: {entry!r}")
    return value


def select(
    group: Mapping[str, Any], pattern: str, prefix: str = ""
) -> list[tuple[str, int]]:
    """
    Pick the members of one enumeration, ascending by value.

    *pattern* must match the whole name.  With *prefix*, the name becomes
    that and what the pattern's group caught, in capitals.  Upper bounds
    (..._MAXIMUM, Ndis...MediumMax) are left out: they move when members are
    added.
    """
    members = []
    for name, entry in group.items():
        match = re.fullmatch(pattern, name)
        if match is None or re.search(r"(_MAXIMUM|MediumMax)$", name):
            continue
        new = prefix + underscored(match[1]) if prefix else name
        members.append((new.removeprefix("NDIS_"), value_of(entry)))
    if not members:
        raise InputError(f"nothing matches {pattern}")
    return sorted(members, key=lambda member: member[1])


def list_enums(constants: Mapping[str, Any]) -> Iterator[CEnum]:
    """The enumerations of the public header, but IfTypes and OIDs."""
    enums, macros = constants["enums"], constants["ifdef_macros"]
    flags = constants["statistics_flags"]
    yield CEnum(
        "net_if_oper_status",
        "NET_IF_OPER_STATUS; ifOperStatus.",
        select(enums, "NET_IF_OPER_STATUS_.*"),
    )
    yield CEnum(
        "net_if_oper_status_flags",
        "Reasons of an operational status, for DOWN and DORMANT.",
        select(macros, "NET_IF_OPER_STATUS_(DOWN|DORMANT)_.*"),
        True,
    )
    yield CEnum(
        "net_if_admin_status",
        "NET_IF_ADMIN_STATUS; ifAdminStatus.",
        select(enums, "NET_IF_ADMIN_STATUS_.*"),
    )
    yield CEnum(
        "net_if_media_connect_state",
        "NET_IF_MEDIA_CONNECT_STATE.",
        select(enums, "MediaConnectState(.*)", "NET_IF_MEDIA_CONNECT_STATE_"),
    )
    yield CEnum(
        "net_if_media_duplex_state",
        "NET_IF_MEDIA_DUPLEX_STATE.",
        select(enums, "MediaDuplexState(.*)", "NET_IF_MEDIA_DUPLEX_STATE_"),
    )
    yield CEnum(
        "net_if_access_type",
        "NET_IF_ACCESS_TYPE.",
        select(enums, "NET_IF_ACCESS_.*"),
    )
    yield CEnum(
        "net_if_direction_type",
        "NET_IF_DIRECTION_TYPE.",
        select(enums, "NET_IF_DIRECTION_.*"),
    )
    yield CEnum(
        "net_if_connection_type",
        "NET_IF_CONNECTION_TYPE.",
        select(enums, "NET_IF_CONNECTION_.*"),
    )
    yield CEnum(
        "net_if_rcv_address_type",
        "NET_IF_RCV_ADDRESS_TYPE; ifRcvAddressType.",
        select(RCV_ADDRESS_TYPES, ".*"),
    )
    yield CEnum(
        "net_if_compartment_id",
        "NET_IF_COMPARTMENT_ID.",
        select(macros, "NET_IF_COMPARTMENT_ID_.*"),
    )
    yield CEnum(
        "medium", "NDIS_MEDIUM.", select(enums, "NdisMedium(.*)", "MEDIUM_")
    )
    yield CEnum(
        "physical_medium",
        "NDIS_PHYSICAL_MEDIUM.",
        select(enums, "NdisPhysicalMedium(.*)", "PHYSICAL_MEDIUM_"),
    )
    yield CEnum(
        "tunnel_type",
        "TUNNEL_TYPE, of interfaces of IfType 131.",
        select(enums, "TUNNEL_TYPE_.*"),
    )
    yield CEnum(
        "pause_functions",
        "NDIS_SUPPORTED_PAUSE_FUNCTIONS.",
        select(enums, "NdisPauseFunctions(.*)", "PAUSE_FUNCTIONS_"),
    )
    yield CEnum(
        "net_if_flags",
        "NIIF_* bits, flags of ndisbridge_net_if_information.",
        select(macros, "NIIF_(?!.*_UNKNOWN$).*"),
        True,
    )
    yield CEnum(
        "statistics_supported",
        "Statistics that an interface can tell:"
        " NDIS_STATISTICS_*_SUPPORTED, supported_statistics of"
        " ndisbridge_net_if_information and of"
        " ndisbridge_interface_information.",
        select(flags, "NDIS_STATISTICS_.*_SUPPORTED"),
        True,
    )
    yield CEnum(
        "statistics_flags_valid",
        "Counters that are valid in an ndisbridge_statistics_info:"
        " NDIS_STATISTICS_FLAGS_VALID_*.  Same words as above,"
        " other bits.",
        select(flags, "NDIS_STATISTICS_FLAGS_VALID_.*"),
        True,
    )


def comment_lines(text: str, indent: str = "") -> list[str]:
    """A doc comment, at most 79 columns wide."""
    lines = textwrap.wrap(text, 72 - len(indent), break_on_hyphens=False)
    lines[0] = f"{indent}/** {lines[0]}"
    lines[1:] = [f"{indent} *  {line}" for line in lines[1:]]
    lines[-1] += " */"
    return lines


def enum_lines(
    enum: CEnum, comments: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The lines of one enumeration, one enumerator a line."""
    yield ""
    yield from comment_lines(enum.comment)
    yield f"enum ndisbridge_{enum.tag} {{"
    for i, (name, value) in enumerate(enum.members):
        if not 0 <= value <= 0x7FFFFFFF:
            raise InputError(f"{name} does not fit an enumerator")
        if comments:
            yield from comment_lines(comments[name], "    ")
        text = f"0x{value:08X}" if enum.hexadecimal else str(value)
        comma = "" if i == len(enum.members) - 1 else ","
        yield f"    NDISBRIDGE_{name} = {text}{comma}"
    yield "};"


def oid_comment(oid: Oid) -> str:
    """What the public header says of an OID."""
    kind = oid.type_name or TYPES[oid.type][1]
    if oid.size_rule == "ARRAY" and oid.type != "mac_list":
        kind += " each"
    unit = f", {oid.unit}" if oid.unit else ""
    mib = f"; {oid.if_mib_object}" if oid.if_mib_object else ""
    return f"{oid.meaning}.  {kind}{unit}; {ACCESS[oid.access][1]}{mib}."


def constants_region(
    constants: Mapping[str, Any], oids: list[Oid], if_types: list[IfType]
) -> str:
    """The region "constants" of the public header."""
    lines = [
        "/* ------------------------------------------------------------"
        "------------",
        " * Constants of NDIS, written by csrc/generate_catalog.py.",
        " */",
    ]
    types = [(f"IF_TYPE_{entry.name}", entry.number) for entry in if_types]
    lines += enum_lines(
        CEnum(
            "if_type",
            "IANA ifTypes, by their IF_TYPE_ names where NDIS has"
            " one.  Any other number of 1 .. 65535 is as good.",
            types,
        )
    )
    numbers = [(f"OID_{oid.name}", oid.number) for oid in oids]
    comments = {f"OID_{oid.name}": oid_comment(oid) for oid in oids}
    lines += enum_lines(
        CEnum(
            "oid",
            "OIDs of the catalog: meaning, type, unit, access, and the"
            " RFC 2863 object that tells the same.",
            numbers,
            True,
        ),
        comments,
    )
    for enum in list_enums(constants):
        lines += enum_lines(enum)
    lines += [
        "",
        *comment_lines(
            "As a member of ndisbridge_net_physical_location, or as"
            " wan_tunnel_type: not known."
        ),
    ]
    for name, entry in sorted(constants["ifdef_macros"].items()):
        if re.fullmatch("NIIF_.*_UNKNOWN", name):
            # Greater than INT_MAX: no enumerator of C11.
            lines.append(f"#define NDISBRIDGE_{name} {entry['hex']}")
    return "\n".join(lines) + "\n"
