# SPDX-License-Identifier: MIT
"""
Rows: an identity of the store, with what the host says of its link; and
finding the one that the user names.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..constants import IfOperStatus
from ..exceptions import InvalidParameterError, NdisError
from ..net_luid import NetLuid
from ..persistence import IdentityRecord, StoreNotFoundError
from ..proxy.linux import PROVIDER_NAME
from ..proxy.linux.adoption import AdoptionState, IfIndexConflictError
from ..proxy.linux.compartments import CompartmentError, current_compartment
from ..proxy.linux.links import LinuxLink, read_links
from ..proxy.linux.recognition import Match, compartment_of, recognise
from .errors import NotFound
from .stores import read_store
from .streams import note

#: Status of an identity that has no link here.
ABSENT = "ABSENT"
STATUSES = (*IfOperStatus.__members__, ABSENT)

_UNMATCHED = (
    "which identities have links here can't be told, so none is shown to "
    "have one"
)


@dataclass(frozen=True)
class Row:
    """What the command shows of one interface."""

    name: str
    description: str
    if_index: int
    #: What the kernel should give its link; None: whatever it likes.
    reserved_if_index: int | None
    status: str
    admin_status: str
    mac_address: str
    link_speed: int | None
    mtu: int | None
    if_type: int
    if_type_name: str
    net_luid: str
    net_luid_name: str
    net_luid_index: int
    interface_guid: str
    alias: str
    provider: str
    compartment: str
    key: str
    persistent: bool
    registered_by: str
    #: What its adoption has found; "known" if it has a link here.
    state: str
    #: Why its adoption has not registered it.
    error: str

    def fields(self) -> dict[str, Any]:
        # Quicker than asdict(), which copies what is in it.
        return {name: getattr(self, name) for name in _FIELDS}

    def without_link(self) -> Row:
        """It once its link is gone."""
        return replace(
            self,
            status=ABSENT,
            admin_status="",
            mac_address="",
            link_speed=None,
            mtu=None,
            state="",
            error="",
        )


_FIELDS = tuple(Row.__dataclass_fields__)


def make_row(
    record: IdentityRecord,
    link: LinuxLink | None,
    state: str = "",
    error: str = "",
) -> Row:
    """The row of an identity and, if it has one, its link."""
    net_luid = NetLuid(record.net_luid)
    live = link is not None
    return Row(
        name=link.name if link else record.attributes.get("name", record.key),
        description=(link.kind if link else record.attributes.get("kind", ""))
        or net_luid.if_type.name.lower(),
        if_index=link.if_index if link else record.if_index,
        reserved_if_index=record.if_index if record.if_index_owned else None,
        status=link.oper_status.name if link else ABSENT,
        admin_status=link.admin_status.name if link else "",
        mac_address=link.address.hex(":") if link else "",
        link_speed=link.link_speed if link else None,
        mtu=link.mtu if link else None,
        if_type=int(net_luid.if_type),
        if_type_name=net_luid.if_type.name,
        net_luid=str(net_luid),
        net_luid_name=net_luid.name,
        net_luid_index=net_luid.net_luid_index,
        interface_guid=str(record.interface_guid),
        alias=(link.alias if link else "") or record.alias,
        provider=record.provider,
        compartment=compartment_of(record),
        key=record.key,
        persistent=record.persistent,
        registered_by=str(record.in_use_by) if record.in_use_by else "",
        state=state or ("known" if live else ""),
        error=error,
    )


def this_compartment(given: str | None) -> str | None:
    """
    The compartment whose links are shown.  None where it has no name: this
    is said, for what has a link here is then not told from what has none.
    """
    try:
        return current_compartment(given)
    except CompartmentError as problem:
        if given is not None:
            raise
        note(f"{_UNMATCHED}: {problem}")
        return None


def rows_of(
    records: Sequence[IdentityRecord], compartment: str | None
) -> list[Row]:
    """
    Rows of a store's identities, with the links of this namespace.

    Args:
        records: The identities.
        compartment: This namespace's name; None if it has none.
    """
    links: dict[int, LinuxLink] = {}
    if compartment is not None:
        try:
            for match in _matches(read_links(), records, compartment):
                if match.record is not None:
                    links[match.record.net_luid] = match.link
        except (OSError, NdisError) as problem:
            note(f"{_UNMATCHED}: {problem}")
    owners = owners_of(records)
    return [row_of(each, links.get(each.net_luid), owners) for each in records]


def rows_of_links(
    links: Sequence[LinuxLink], store: str | None, compartment: str | None
) -> list[Row]:
    """
    Rows of links, with their identities as the store has them; without any
    for those that it does not know, or if there is no store yet.
    """
    records: Sequence[IdentityRecord] = ()
    if compartment is not None:
        with (
            contextlib.suppress(StoreNotFoundError),
            contextlib.closing(read_store(store)) as source,
        ):
            records = source.identities()
    owners = owners_of(records)
    return [
        unknown_row(match.link)
        if match.record is None
        else row_of(match.record, match.link, owners)
        for match in _matches(links, records, compartment or "")
    ]


def _matches(
    links: Sequence[LinuxLink],
    records: Sequence[IdentityRecord],
    compartment: str,
) -> list[Match]:
    mine = [each for each in records if each.provider == PROVIDER_NAME]
    return recognise(links, mine, compartment)


def owners_of(records: Iterable[IdentityRecord]) -> dict[int, IdentityRecord]:
    """Identities that have an ifIndex for their own, by that."""
    return {each.if_index: each for each in records if each.if_index_owned}


def row_of(
    record: IdentityRecord,
    link: LinuxLink | None,
    owners: Mapping[int, IdentityRecord],
) -> Row:
    """The row of an identity, and what its link's ifIndex is in conflict
    with, by the owners of all."""
    if link is not None:
        owner = owners.get(link.if_index, record)
        if owner.net_luid != record.net_luid:
            error = IfIndexConflictError(link.if_index, owner)
            return make_row(
                record, link, AdoptionState.CONFLICT.value, str(error)
            )
    return make_row(record, link)


def unknown_row(link: LinuxLink) -> Row:
    """The row of a link without an identity: what would be its own is ""."""
    record = IdentityRecord(
        compartment="",
        provider=PROVIDER_NAME,
        key=link.name,
        net_luid=int(NetLuid.make(link.if_type, 0)),
        interface_guid=uuid.UUID(int=0),
        persistent=False,
    )
    return replace(
        make_row(record, link, "unknown"),
        net_luid="",
        net_luid_name="",
        interface_guid="",
    )


def resolve(rows: Sequence[Row], text: str, compartment: str | None) -> Row:
    """
    The one row that any form of identity names: of several the one that has
    a link here, or else the one of this compartment.

    Raises:
        NotFound: None, or more than one.
    """
    found = _named(rows, text)
    if not found:
        raise NotFound(f"no interface is {text!r}: see `ndisbridge list`")
    found = [row for row in found if row.status != ABSENT] or found
    found = [row for row in found if row.compartment == compartment] or found
    if len(found) > 1:
        names = ", ".join(f"{row.key} ({row.net_luid})" for row in found)
        raise NotFound(f"{text!r} is more than one: {names}")
    return found[0]


def _named(rows: Sequence[Row], text: str) -> list[Row]:
    for field in ("name", "key"):
        exact = [row for row in rows if getattr(row, field) == text]
        if exact:
            return exact
    with contextlib.suppress(ValueError):
        guid = str(uuid.UUID(text))
        return [row for row in rows if row.interface_guid == guid]
    if text.isdecimal() and len(text) <= 10 and int(text) <= 0x7FFFFFFF:
        return [row for row in rows if row.if_index == int(text)]
    with contextlib.suppress(InvalidParameterError):
        wanted = str(NetLuid.parse(text))
        return [row for row in rows if row.net_luid == wanted]
    return [row for row in rows if row.alias and row.alias == text]
