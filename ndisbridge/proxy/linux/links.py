# SPDX-License-Identifier: MIT
"""
The links of the calling thread's network namespace, as they are now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from ..._native_linux import LinuxHandle, LinuxLinks
from ...constants import (
    LINK_SPEED_UNKNOWN,
    IfAccessType,
    IfAdminStatus,
    IfFlags,
    IfOperStatus,
    IfType,
    Medium,
    PhysicalMedium,
)
from ...interface import InterfaceInformation

_ARPHRD_ETHER = 1
_HARDWARE = int(IfFlags.HARDWARE_INTERFACE)
_E = TypeVar("_E")


# Not frozen, which would take four times as long to make; nobody changes one.
@dataclass(slots=True, unsafe_hash=True)
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
    (
        if_index,
        master_if_index,
        flags,
        arphrd,
        if_type,
        tagged_net_luid,
        address_length,
        address,
        permanent_length,
        permanent_address,
        name,
        kind,
        parent_device,
        access_type,
        connector_present,
        media_type,
        physical_medium_type,
        lower_if_index,
        oper_status,
        mtu,
        link_speed,
        supported_statistics,
        admin_status,
        alias_length,
    ) = raw.members(i)
    if arphrd == _ARPHRD_ETHER and kind.startswith(b"tun\0"):
        kind = b"tap"
    return LinuxLink(
        if_index,
        _text(name),
        _text(kind),
        _member(IfType, if_type),
        arphrd,
        flags,
        master_if_index,
        lower_if_index,
        tagged_net_luid,
        address[:address_length],
        permanent_address[:permanent_length],
        _text(parent_device),
        bool(connector_present),
        _member(IfAccessType, access_type),
        _member(Medium, media_type),
        _member(PhysicalMedium, physical_medium_type),
        raw.alias(i) if alias_length else "",
        mtu,
        _member(IfOperStatus, oper_status),
        _member(IfAdminStatus, admin_status),
        None if link_speed == LINK_SPEED_UNKNOWN else link_speed,
        supported_statistics,
    )


@lru_cache(maxsize=1024)
def _member(of: Callable[[int], _E], number: int) -> _E:
    """A member of an enumeration, which takes a microsecond to find."""
    return of(number)


@lru_cache(maxsize=256)
def _decoded(raw: bytes) -> str:
    """Names are bytes to the kernel; what is not UTF-8 is escaped."""
    return raw.decode("utf-8", "backslashreplace")


def _text(raw: bytes) -> str:
    """A NUL-terminated member; many links have the same kind."""
    return _decoded(raw.partition(b"\0")[0])


def stack_rows(links: Sequence[LinuxLink]) -> set[tuple[int, int]]:
    """(higher, lower) ifIndexes: masters above ports, links above theirs."""
    rows = set()
    for link in links:
        if link.master_if_index:
            rows.add((link.master_if_index, link.if_index))
        if link.lower_if_index:
            rows.add((link.if_index, link.lower_if_index))
    return rows


def information_of(link: LinuxLink) -> InterfaceInformation:
    """What stays constant while a link is registered."""
    permanent = link.permanent_address
    return InterfaceInformation(
        description=link.name,
        physical_address=link.address,
        permanent_address=(
            permanent if len(permanent) == len(link.address) else b""
        ),
        flags=_HARDWARE if link.connector_present else 0,
        access_type=link.access_type,
        connector_present=link.connector_present,
        media_type=link.media_type,
        physical_medium_type=link.physical_medium_type,
        supported_statistics=link.supported_statistics,
    )
