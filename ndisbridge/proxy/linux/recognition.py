# SPDX-License-Identifier: MIT
"""
Which identity a link of the host has: by its tag, by its hardware, or by
kind and name.

Nothing here does I/O.  Names and ifIndexes are not identity: two devices may
have swapped either since they were last seen, so links are matched with
identities as a whole, the strongest rule first, each identity once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from ...net_luid import NetLuid
from ...persistence import IdentityRecord
from .links import LinuxLink

#: Attributes of an identity that say how its device is known again.
NAME = "name"
KIND = "kind"
PERMANENT_ADDRESS = "permanent_address"
PARENT_DEVICE = "parent_device"
#: Compartment that a tagged device has moved to since its identity was made.
COMPARTMENT = "compartment"
#: Tag that a device had when its identity was made, which is not its own: of
#: an identity that was released, or of another store.
OLD_TAG = "old_tag"


@dataclass(frozen=True, slots=True)
class Match:
    """A link and the identity that it has, or the key of its new one."""

    link: LinuxLink
    record: IdentityRecord | None
    key: str
    #: Changes that make the record say what is so now; for ``update()``.
    changes: Mapping[str, Any] = field(default_factory=dict)
    #: Whether it has come from another compartment.
    moved: bool = False

    @classmethod
    def known(
        cls, link: LinuxLink, record: IdentityRecord, compartment: str
    ) -> Match:
        """A link that is known to have an identity, whatever it looks like."""
        changes = _changes(link, record, compartment)
        moved = compartment_of(record) != compartment
        return cls(link, record, record.key, changes, moved)

    @property
    def previous_name(self) -> str:
        """The name last seen, if it is another one; otherwise ""."""
        if self.record is None:
            return ""
        name = self.record.attributes.get(NAME, "")
        return name if name != self.link.name else ""


def attributes_of_new(link: LinuxLink, net_luid: int) -> dict[str, str]:
    """What an identity remembers of the device that it is made for."""
    found = attributes_of(link)
    if link.tagged_net_luid not in (0, net_luid):
        found[OLD_TAG] = tag_of(link)
    return found


def attributes_of(link: LinuxLink) -> dict[str, str]:
    """What an identity always remembers of its device."""
    found = {NAME: link.name, KIND: link.kind}
    if link.is_hardware:
        found[PERMANENT_ADDRESS] = link.permanent_address.hex(":")
    if link.parent_device:
        found[PARENT_DEVICE] = link.parent_device
    return found


def tag_of(link: LinuxLink) -> str:
    """A link's tag as attributes have it; "" for none."""
    return f"{link.tagged_net_luid:016x}" if link.tagged_net_luid else ""


def compartment_of(record: IdentityRecord) -> str:
    """Where the device of an identity was last seen."""
    return record.attributes.get(COMPARTMENT, record.compartment)


def recognise(
    links: Sequence[LinuxLink],
    records: Iterable[IdentityRecord],
    compartment: str,
    keys: Set[str] | None = None,
) -> list[Match]:
    """
    Match the links of a compartment with a provider's identities.

    Args:
        links: All links of the compartment.
        records: The provider's identities, of all compartments.
        compartment: Name of the compartment.
        keys: The keys that are taken in it, where records are not all that
            there are.

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

    def match(index: Mapping[Any, list[IdentityRecord]], key_of: Any) -> None:
        for i, link in enumerate(links):
            if i in found:
                continue
            key = key_of(link)
            candidates = [
                record
                for record in (index.get(key, ()) if key else ())
                if record.net_luid not in taken
                and _may_be(link, record.attributes)
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

    # Its NET_LUID may be another device's by now: first who is known by it.
    match(_index(here, _old_tag_of), tag_of)
    match(_index(everywhere, _net_luid_of), lambda link: link.tagged_net_luid)
    # Twins on one device: first those that have kept their names.
    match(
        _index(here, _hardware_and_name_of),
        lambda link: (
            (*_hardware_of_link(link), link.name) if link.is_hardware else None
        ),
    )
    match(_index(here, _hardware_of), _hardware_of_link)
    # Kernels before 5.14 did not tell the parent device.
    match(
        _index(here, _hardware_without_parent_of),
        lambda link: (
            link.permanent_address.hex(":") if link.is_hardware else None
        ),
    )
    match(
        _index(here, _kind_and_name_of),
        lambda link: None if link.is_hardware else (link.kind, link.name),
    )
    # An identity made before its device was ever seen.
    match(
        _index(here, _reserved_key_of),
        lambda link: (link.name, int(link.if_type)),
    )
    if keys is None:
        keys = {
            record.key
            for record in everywhere
            if record.compartment == compartment
        }
    new_keys: set[str] = set()
    matches = []
    for i, link in enumerate(links):
        record = found.get(i)
        if record is None:
            key = new_key(link.name, keys, new_keys)
            matches.append(Match(link, None, key))
        else:
            matches.append(Match.known(link, record, compartment))
    return matches


def new_key(name: str, taken: Set[str], new: set[str]) -> str:
    """A key for a device first seen under this name; it is then new."""
    key, number = name, 2
    while key in taken or key in new:
        key, number = f"{name}#{number}", number + 1
    new.add(key)
    return key


def _may_be(link: LinuxLink, attributes: Mapping[str, str]) -> bool:
    """
    Whether a device can be the one that an identity remembers: neither its
    kind nor its permanent address ever changes.  What matters for a tag
    that has outlived its identity, whose NET_LUID is now another device's.
    """
    if attributes.get(KIND, link.kind) != link.kind:
        return False
    address = attributes.get(PERMANENT_ADDRESS)
    return not address or address == (
        link.permanent_address.hex(":") if link.is_hardware else ""
    )


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


def _old_tag_of(record: IdentityRecord) -> str:
    return record.attributes.get(OLD_TAG, "")


def _hardware_of(record: IdentityRecord) -> tuple[str, str] | None:
    address = record.attributes.get(PERMANENT_ADDRESS)
    if not address:
        return None
    return address, record.attributes.get(PARENT_DEVICE, "")


def _hardware_without_parent_of(record: IdentityRecord) -> str | None:
    if record.attributes.get(PARENT_DEVICE):
        return None
    return record.attributes.get(PERMANENT_ADDRESS)


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
    attributes = {
        name: value
        for name, value in record.attributes.items()
        if name
        not in (NAME, KIND, PERMANENT_ADDRESS, PARENT_DEVICE, COMPARTMENT)
        and (name != OLD_TAG or value == tag_of(link))
    }
    if NAME in record.attributes:
        attributes.update(attributes_of(link))
    else:  # reserved, and not seen before
        attributes.update(attributes_of_new(link, record.net_luid))
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


def is_same(before: LinuxLink, link: LinuxLink) -> bool:
    """
    Whether a link of the same ifIndex is the one that was there before,
    though it may have another name: the kernel gives an ifIndex anew only
    when it is told to.
    """
    return (
        before.kind == link.kind
        and before.permanent_address == link.permanent_address
        and (
            before.name == link.name
            or (bool(link.address) and before.address == link.address)
        )
    )
