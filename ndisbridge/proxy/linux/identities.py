# SPDX-License-Identifier: MIT
"""
The identities of a compartment's links: found again, made, kept up to date.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...exceptions import NdisError
from ...net_luid import NetLuid
from ...persistence import (
    IdentityExistsError,
    IdentityRecord,
    StoreUncertainError,
)
from ...persistence.records import SessionInfo
from ...session import Session
from .links import LinuxLink
from .recognition import (
    NAME,
    OLD_TAG,
    PERMANENT_ADDRESS,
    Match,
    attributes_of_new,
    recognise,
    tag_of,
)

# Two processes may adopt one namespace at once; the second try sees what the
# other one has made.
_ATTEMPTS = 5

Changed = tuple[int, Mapping[str, Any]]
_Index = dict[tuple[str, str], set[int]]


class LinkIdentities:
    """
    What the store knows of a provider's links, as of the last scan.

    Args:
        session: Whose store it is.
        provider: Name of the provider.
        compartment: Name of the compartment.

    Recognising a few links reads their identities anew, and no others: what
    another process has made since the last scan is found by its key and by
    its tag.
    """

    def __init__(
        self, session: Session, provider: str, compartment: str
    ) -> None:
        self._session = session
        self._provider = provider
        self._compartment = compartment
        self._stamp: object = None
        self._records: dict[int, IdentityRecord] = {}
        # NET_LUIDs by what a link may be recognised by; None until a few
        # links are.
        self._index: _Index | None = None
        self._keys: set[str] = set()
        # Identities that have an ifIndex for their own, by that.
        self._owners: dict[int, int] = {}

    def scan(self) -> bool:
        """Read them all, unless the store says that none has changed."""
        store = self._session.store
        # Before the rows: what changes meanwhile is read again.
        stamp = getattr(store, "identities_stamp", lambda: None)()
        if stamp is not None and stamp == self._stamp:
            return False
        self._records.clear()
        self._index = None
        self._keys.clear()
        self._owners.clear()
        for record in self._session.identities(provider=self._provider):
            self._put(record)
        self._stamp = stamp
        return True

    def get(self, net_luid: int) -> IdentityRecord | None:
        """The record of a NET_LUID."""
        return self._records.get(net_luid)

    def owner_of(self, if_index: int) -> IdentityRecord | None:
        """The identity that has an ifIndex for its own."""
        net_luid = self._owners.get(if_index)
        return None if net_luid is None else self._records.get(net_luid)

    def elsewhere(self, record: IdentityRecord) -> SessionInfo | None:
        """The other session that has it registered, if one has."""
        holder = record.in_use_by
        own = getattr(self._session.store, "session_id", None)
        return None if holder and holder.session_id == own else holder

    # -- finding

    def settle(
        self,
        links: Sequence[LinuxLink],
        known: Mapping[int, int],
        is_taken: Callable[[int], bool],
        *,
        few: bool = False,
    ) -> tuple[list[Match], list[IdentityRecord]]:
        """
        Recognise links, and make what is new or changed durable in one
        transaction: matches, and the records as they are then.

        Args:
            links: What to recognise.
            known: NET_LUIDs of those of them, by their position, that are
                known whatever they look like.
            is_taken: Whether a NET_LUID is another link's.
            few: There was no scan just now.
        """
        if few:
            self._refresh(links, known.values())
        for left in reversed(range(_ATTEMPTS)):
            # Somebody may have released one: then its link is a new one.
            known = {
                i: net_luid
                for i, net_luid in known.items()
                if net_luid in self._records
            }
            matches = self._recognise(links, known, is_taken)
            try:
                made = self._make(
                    [match for match in matches if match.record is None],
                    self._changed(matches),
                )
            except IdentityExistsError:
                if not left:
                    raise
                self.scan()
            else:
                break
        records = []
        for match in matches:
            record = match.record
            if record is None:
                record = made[match.key]
            elif changes := self._changes_of(match):
                record = replace(record, **changes)
            else:
                records.append(record)
                continue
            self._put(record)
            records.append(record)
        return matches, records

    def _recognise(
        self,
        links: Sequence[LinuxLink],
        known: Mapping[int, int],
        is_taken: Callable[[int], bool],
    ) -> list[Match]:
        spoken_for = set(known.values())
        unknown = [i for i in range(len(links)) if i not in known]
        found = recognise(
            [links[i] for i in unknown],
            [
                record
                for record in self._candidates([links[i] for i in unknown])
                if record.net_luid not in spoken_for
                and not is_taken(record.net_luid)
            ],
            self._compartment,
            self._keys,
        )
        by_position = dict(zip(unknown, found, strict=True))
        return [
            by_position[i]
            if i in by_position
            else Match.known(link, self._records[known[i]], self._compartment)
            for i, link in enumerate(links)
        ]

    def _candidates(
        self, links: Sequence[LinuxLink]
    ) -> Iterable[IdentityRecord]:
        """The records that recognition may find any of these links by."""
        if len(links) * 4 > len(self._records):
            return list(self._records.values())
        index = self._index
        if index is None:
            index = self._index = {}
            for record in self._records.values():
                _add(index, record)
        found: set[int] = set()
        for link in links:
            found.add(link.tagged_net_luid)
            for each in _traits_of_link(link):
                found |= index.get(each, set())
        return [self._records[each] for each in found if each in self._records]

    def _refresh(
        self, links: Sequence[LinuxLink], known: Iterable[int]
    ) -> None:
        """
        Read the candidates of a few links, what they are known to be, and
        who has their ifIndexes for its own, as the store has them now.
        """
        store = self._session.store
        if len(links) * 4 > len(self._records):
            self._stamp = None  # marks of use are wanted, too
            self.scan()
            return
        for link in links:
            record = store.find(self._compartment, self._provider, link.name)
            if record is not None:
                self._put(record)
            if link.tagged_net_luid:
                self._read(link.tagged_net_luid)
        owners = (self._owners.get(link.if_index, 0) for link in links)
        for net_luid in {
            *known,
            *owners,
            *(record.net_luid for record in self._candidates(links)),
        } - {0}:
            self._read(net_luid)

    def _read(self, net_luid: int) -> None:
        record = self._session.store.find_by_net_luid(net_luid)
        if record is None or record.provider != self._provider:
            self.drop(net_luid)
        else:
            self._put(record)

    def _put(self, record: IdentityRecord) -> None:
        net_luid = record.net_luid
        if self._index is not None:
            if net_luid in self._records:
                _remove(self._index, self._records[net_luid])
            _add(self._index, record)
        self._records[net_luid] = record
        if record.compartment == self._compartment:
            self._keys.add(record.key)
        if record.if_index_owned:
            self._owners[record.if_index] = net_luid

    def drop(self, net_luid: int) -> None:
        """Forget an identity: it is released."""
        record = self._records.pop(net_luid, None)
        if record is None:
            return
        if self._index is not None:
            _remove(self._index, record)
        if record.compartment == self._compartment:
            self._keys.discard(record.key)
        if self._owners.get(record.if_index) == net_luid:
            del self._owners[record.if_index]

    def forget_old_tag(self, record: IdentityRecord) -> IdentityRecord:
        """Its link has its own tag now: the old one may be another's."""
        if OLD_TAG not in record.attributes:
            return record
        attributes = dict(record.attributes)
        del attributes[OLD_TAG]
        self._session.store.update(record.net_luid, attributes=attributes)
        record = replace(record, attributes=attributes)
        self._put(record)
        return record

    # -- making

    def _changed(self, matches: Sequence[Match]) -> list[Changed]:
        return [
            (match.record.net_luid, changes)
            for match in matches
            if match.record is not None
            and (changes := self._changes_of(match))
        ]

    def _changes_of(self, match: Match) -> Mapping[str, Any]:
        """
        What to note of a known link.  A tag alone does not take an identity
        from the session that has it registered where it was last seen.
        """
        if match.moved and match.record and self.elsewhere(match.record):
            return {}
        return match.changes

    def _make(
        self, matches: Sequence[Match], changed: Sequence[Changed]
    ) -> dict[str, IdentityRecord]:
        """New identities by their keys."""
        session = self._session
        if not matches:
            if changed:
                session.store.update_many(changed)
            return {}
        net_luids: list[NetLuid] = []
        try:
            for match in matches:
                if_type = match.link.if_type
                net_luids.append(
                    NetLuid.make(
                        if_type, session.allocate_net_luid_index(if_type)
                    )
                )
            records = [
                IdentityRecord(
                    compartment=self._compartment,
                    provider=self._provider,
                    key=match.key,
                    net_luid=int(net_luid),
                    interface_guid=uuid.uuid4(),
                    if_index=match.link.if_index,
                    alias=match.link.alias,
                    attributes=attributes_of_new(match.link, int(net_luid)),
                )
                for match, net_luid in zip(matches, net_luids, strict=True)
            ]
            session._core.retain_net_luids(
                net_luids, identities=records, updates=changed
            )
        except StoreUncertainError:
            raise  # as after an interrupt: see Provider.identity()
        except Exception:
            for net_luid in net_luids:
                with contextlib.suppress(NdisError):
                    session.free_net_luid_index(
                        net_luid.if_type, net_luid.net_luid_index
                    )
            raise
        return {record.key: record for record in records}


def _add(index: _Index, record: IdentityRecord) -> None:
    for each in _traits_of(record):
        index.setdefault(each, set()).add(record.net_luid)


def _remove(index: _Index, record: IdentityRecord) -> None:
    for each in _traits_of(record):
        known = index[each]
        known.discard(record.net_luid)
        if not known:
            del index[each]


def _traits_of(record: IdentityRecord) -> list[tuple[str, str]]:
    """What recognition may know a device again by, but for its own tag."""
    found = [("key", record.key)]
    for trait in (NAME, PERMANENT_ADDRESS, OLD_TAG):
        value = record.attributes.get(trait)
        if value:
            found.append((trait, value))
    return found


def _traits_of_link(link: LinuxLink) -> list[tuple[str, str]]:
    found = [("key", link.name), (NAME, link.name)]
    if link.permanent_address:
        found.append((PERMANENT_ADDRESS, link.permanent_address.hex(":")))
    if link.tagged_net_luid:
        found.append((OLD_TAG, tag_of(link)))
    return found
