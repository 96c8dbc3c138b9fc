# SPDX-License-Identifier: MIT
"""
Which identity a link of the host has: by its tag, by its hardware, or by
kind and name.

Nothing here does I/O.  Names and ifIndexes are not identity: two devices may
have swapped either since they were last seen, so links are matched with
identities as a whole, the strongest rule first, each identity once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..constants import IfAccessType, IfType, Medium, PhysicalMedium
from ..net_luid import NetLuid
from ..persistence import IdentityRecord

#: Attributes of an identity that say how its device is known again.
NAME = "name"
KIND = "kind"
PERMANENT_ADDRESS = "permanent_address"
PARENT_DEVICE = "parent_device"
#: Compartment that a tagged device has moved to since its identity was made.
COMPARTMENT = "compartment"

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
    supported_statistics: int = 0

    @property
    def is_hardware(self) -> bool:
        """
        Whether its permanent address is the hardware's.  Links of virtual
        kinds have one too at times, made up anew with every device.
        """
        return self.connector_present and bool(self.permanent_address)

    def attributes(self) -> dict[str, str]:
        """What an identity remembers of it."""
        found = {NAME: self.name, KIND: self.kind}
        if self.is_hardware:
            found[PERMANENT_ADDRESS] = self.permanent_address.hex(":")
        if self.parent_device:
            found[PARENT_DEVICE] = self.parent_device
        return found


@dataclass(frozen=True, slots=True)
class Match:
    """A link and the identity that it has, or the key of its new one."""

    link: LinuxLink
    record: IdentityRecord | None
    key: str
    #: Changes that make the record say what is so now; for ``update()``.
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def previous_name(self) -> str:
        """The name last seen, if it is another one; otherwise ""."""
        if self.record is None:
            return ""
        name = self.record.attributes.get(NAME, "")
        return name if name != self.link.name else ""

    @property
    def has_moved(self) -> bool:
        """Whether it has come from another compartment."""
        return COMPARTMENT in self.changes.get("attributes", {}) and (
            self.record is not None
            and self.changes["attributes"][COMPARTMENT]
            != compartment_of(self.record)
        )


def compartment_of(record: IdentityRecord) -> str:
    """Where the device of an identity was last seen."""
    return record.attributes.get(COMPARTMENT, record.compartment)


def recognise(
    links: Sequence[LinuxLink],
    records: Iterable[IdentityRecord],
    compartment: str,
) -> list[Match]:
    """
    Match the links of a compartment with a provider's identities.

    Args:
        links: All links of the compartment.
        records: The provider's identities, of all compartments.
        compartment: Name of the compartment.

    Returns:
        One match for each link, in the order of the links.

    A tag counts wherever its device is; all other rules look only at devices
    last seen in this compartment.
    """
    everywhere = sorted(records, key=lambda record: record.net_luid)
    here = [
        record
        for record in everywhere
        if compartment_of(record) == compartment
    ]
    found: dict[int, IdentityRecord] = {}
    taken: set[int] = set()

    def match(
        index: Mapping[Any, list[IdentityRecord]], key_of: Any
    ) -> None:
        for i, link in enumerate(links):
            if i in found:
                continue
            key = key_of(link)
            candidates = [
                record
                for record in (index.get(key, ()) if key else ())
                if record.net_luid not in taken
            ]
            if candidates:
                # Of equals the one that has the name.
                best = min(
                    candidates,
                    key=lambda record: (
                        record.attributes.get(NAME) != link.name
                    ),
                )
                found[i] = best
                taken.add(best.net_luid)

    match(_index(everywhere, _net_luid_of), lambda link: link.tagged_net_luid)
    hardware = _index(here, _hardware_of)
    # Twins on one device: first those that have kept their names.
    match(
        _index(here, _hardware_and_name_of),
        lambda link: (*_hardware_of_link(link), link.name)
        if link.is_hardware
        else None,
    )
    match(hardware, _hardware_of_link)
    match(
        _index(here, _kind_and_name_of),
        lambda link: None if link.is_hardware else (link.kind, link.name),
    )
    # An identity made before its device was ever seen.
    match(
        _index(here, _reserved_key_of),
        lambda link: (link.name, int(link.if_type)),
    )
    keys = {
        record.key for record in everywhere if record.compartment == compartment
    }
    matches = []
    for i, link in enumerate(links):
        record = found.get(i)
        if record is None:
            matches.append(Match(link, None, new_key(link.name, keys)))
        else:
            changes = _changes(link, record, compartment)
            matches.append(Match(link, record, record.key, changes))
    return matches


def new_key(name: str, taken: set[str]) -> str:
    """A key for a device first seen under this name; it is then taken."""
    key, number = name, 2
    while key in taken:
        key, number = f"{name}#{number}", number + 1
    taken.add(key)
    return key


def _index(
    records: Iterable[IdentityRecord], key_of: Any
) -> dict[Any, list[IdentityRecord]]:
    index: dict[Any, list[IdentityRecord]] = {}
    for record in records:
        key = key_of(record)
        if key:
            index.setdefault(key, []).append(record)
    return index


def _net_luid_of(record: IdentityRecord) -> int:
    return record.net_luid


def _hardware_of(record: IdentityRecord) -> tuple[str, str] | None:
    address = record.attributes.get(PERMANENT_ADDRESS)
    if not address:
        return None
    return address, record.attributes.get(PARENT_DEVICE, "")


def _hardware_and_name_of(
    record: IdentityRecord,
) -> tuple[str, str, str] | None:
    hardware = _hardware_of(record)
    if hardware is None:
        return None
    return (*hardware, record.attributes.get(NAME, ""))


def _hardware_of_link(link: LinuxLink) -> tuple[str, ...]:
    if not link.is_hardware:
        return ()
    return link.permanent_address.hex(":"), link.parent_device


def _kind_and_name_of(record: IdentityRecord) -> tuple[str, str] | None:
    attributes = record.attributes
    if PERMANENT_ADDRESS in attributes or NAME not in attributes:
        return None
    return attributes.get(KIND, ""), attributes[NAME]


def _reserved_key_of(record: IdentityRecord) -> tuple[str, int] | None:
    if NAME in record.attributes:
        return None
    return record.key, int(NetLuid(record.net_luid).if_type)


def _changes(
    link: LinuxLink, record: IdentityRecord, compartment: str
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    seen = link.attributes()
    attributes = {
        name: value
        for name, value in record.attributes.items()
        if name
        not in (NAME, KIND, PERMANENT_ADDRESS, PARENT_DEVICE, COMPARTMENT)
    }
    attributes.update(seen)
    if compartment != record.compartment:
        attributes[COMPARTMENT] = compartment
    if attributes != dict(record.attributes):
        changes["attributes"] = attributes
    # One of its own stays what it is: it is reserved for the device.
    if not record.if_index_owned and record.if_index != link.if_index:
        changes["if_index"] = link.if_index
    if link.alias and record.alias != link.alias:
        changes["alias"] = link.alias
    return changes
