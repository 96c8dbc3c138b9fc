# SPDX-License-Identifier: MIT
"""
The links of the calling thread's network namespace, as they are now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._native_linux import LinuxHandle, LinuxLinks
from ..constants import (
    LINK_SPEED_UNKNOWN,
    IfAccessType,
    IfAdminStatus,
    IfFlags,
    IfOperStatus,
    IfType,
    Medium,
    Oid,
    PhysicalMedium,
)
from ..provider import InterfaceInformation
from ..structures import encode

_ARPHRD_ETHER = 1


@dataclass(frozen=True, slots=True)
class LinuxLink:
    """One link of the host, as one rtnetlink dump tells it."""

    if_index: int
    name: str
    #: Kind of rtnetlink ("veth"), "" for none; "tap" for a tun that is one.
    kind: str
    if_type: IfType
    arphrd: int = _ARPHRD_ETHER
    flags: int = 0
    #: Bridge, bond, VRF ... above it; 0 for none.
    master_if_index: int = 0
    #: Link that it runs on, in this namespace; 0 for none.
    lower_if_index: int = 0
    #: NET_LUID of an altname ``ndis-luid-...``; 0 for none.
    tagged_net_luid: int = 0
    address: bytes = b""
    permanent_address: bytes = b""
    #: Name of its device on its bus, such as "0000:00:1f.6"; "" for none.
    parent_device: str = ""
    connector_present: bool = False
    access_type: IfAccessType = IfAccessType.BROADCAST
    media_type: Medium = Medium._802_3
    physical_medium_type: PhysicalMedium = PhysicalMedium.UNSPECIFIED
    #: ifalias; "" for none.
    alias: str = ""
    mtu: int = 0
    oper_status: IfOperStatus = IfOperStatus.UNKNOWN
    admin_status: IfAdminStatus = IfAdminStatus.DOWN
    #: In bit/s; None if it is not known.
    link_speed: int | None = None
    supported_statistics: int = 0

    @property
    def is_hardware(self) -> bool:
        """
        Whether its permanent address is the hardware's.  Links of virtual
        kinds have one too at times, made up anew with every device.
        """
        return self.connector_present and bool(self.permanent_address)


def read_links() -> list[LinuxLink]:
    """
    The links of the calling thread's network namespace.

    Raises:
        OSError: The kernel did not tell them.
    """
    handle = LinuxHandle()
    try:
        links = handle.links()
        return [decode_link(links, i) for i in range(len(links))]
    finally:
        handle.close()


def decode_link(raw: LinuxLinks, i: int) -> LinuxLink:
    """One record, as a dataclass."""
    each = raw[i]
    information = each.published.information
    kind = _text(raw, i, "kind")
    if kind == "tun" and each.arphrd == _ARPHRD_ETHER:
        kind = "tap"
    speed = information.xmit_link_speed
    return LinuxLink(
        if_index=each.if_index,
        name=_text(raw, i, "name"),
        kind=kind,
        if_type=IfType(each.if_type),
        arphrd=each.arphrd,
        flags=each.flags,
        master_if_index=each.master_if_index,
        lower_if_index=each.lower_if_index,
        tagged_net_luid=each.tagged_net_luid,
        address=raw.address(i, "address"),
        permanent_address=raw.address(i, "permanent_address"),
        parent_device=_text(raw, i, "parent_device"),
        connector_present=bool(each.connector_present),
        access_type=IfAccessType(each.access_type),
        media_type=Medium(each.media_type),
        physical_medium_type=PhysicalMedium(each.physical_medium_type),
        alias=raw.alias(i),
        mtu=information.if_mtu,
        oper_status=IfOperStatus(information.if_oper_status),
        admin_status=IfAdminStatus(each.published.admin_status),
        link_speed=None if speed == LINK_SPEED_UNKNOWN else speed,
        supported_statistics=information.supported_statistics,
    )


#: OIDs that the kernel can be asked to set.
SETTABLE = (
    Oid.GEN_ADMIN_STATUS,
    Oid.GEN_ALIAS,
    Oid.GEN_MAXIMUM_FRAME_SIZE,
    Oid.GEN_PROMISCUOUS_MODE,
)


def set_link(if_index: int, oid: int, value: Any) -> None:
    """
    Set an OID of a link of this namespace, one of :data:`SETTABLE`.

    Raises:
        NdisError: The status of the kernel's refusal; its text is the
            kernel's.
    """
    handle = LinuxHandle()
    try:
        handle.set(if_index, oid, encode(oid, value))
    finally:
        handle.close()


def write_tag(link: LinuxLink, net_luid: int) -> None:
    """
    Write a NET_LUID onto a link of this namespace, as an altname that goes
    with it wherever it goes, in the place of the one that it has; 0: only
    take that off.

    Raises:
        OSError: The kernel refused; EEXIST if another link has that tag.
    """
    if link.tagged_net_luid == net_luid:
        return
    handle = LinuxHandle()
    try:
        handle.tag(link.if_index, net_luid, link.tagged_net_luid)
    finally:
        handle.close()


def stack_rows(links: Sequence[LinuxLink]) -> set[tuple[int, int]]:
    """(higher, lower) ifIndexes: masters above ports, links above theirs."""
    rows = set()
    for link in links:
        if link.master_if_index:
            rows.add((link.master_if_index, link.if_index))
        if link.lower_if_index:
            rows.add((link.if_index, link.lower_if_index))
    return rows


def _text(raw: LinuxLinks, i: int, member: str) -> str:
    """Names are bytes to the kernel; what is not UTF-8 is escaped."""
    return (
        raw.text(i, member)
        .encode("utf-8", "surrogateescape")
        .decode("utf-8", "backslashreplace")
    )


def information_of(link: LinuxLink) -> InterfaceInformation:
    """What stays constant while a link is registered."""
    permanent = link.permanent_address
    return InterfaceInformation(
        description=link.name,
        physical_address=link.address,
        permanent_address=(
            permanent if len(permanent) == len(link.address) else b""
        ),
        flags=(
            IfFlags.HARDWARE_INTERFACE
            if link.connector_present
            else IfFlags(0)
        ),
        access_type=link.access_type,
        connector_present=link.connector_present,
        media_type=link.media_type,
        physical_medium_type=link.physical_medium_type,
        supported_statistics=link.supported_statistics,
    )
