# SPDX-License-Identifier: MIT
"""
What happens to the links of this host and to the identities of a store, as
changes of rows.  Nothing is registered or written by who looks.
"""

from __future__ import annotations

import enum
import select
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from .._native_linux import (
    CHANGE_GONE,
    CHANGE_RESYNC,
    LinuxLinks,
    LinuxMonitor,
)
from ..constants import IfOperStatus
from ..proxy.linux import PROVIDER_NAME
from ..proxy.linux.links import LinuxLink, decode_link, read_links
from ..proxy.linux.recognition import recognise
from .rows import Row, owners_of, row_of, unknown_row
from .store_view import StoreView

#: Seconds between two looks at the store.
_PERIOD = 0.25
#: How often changes are fetched before they are looked at.
_AT_ONCE = 64
#: What a link is recognised by.
_RECOGNISED_BY = (
    "name",
    "kind",
    "if_type",
    "tagged_net_luid",
    "permanent_address",
    "parent_device",
)
#: Seconds until links that could not be read are tried again.
_RETRY = 0.05

#: ifIndexes and what each link is now; None for one that is gone.
_Told = list[tuple[int, LinuxLink | None]]


class ChangeKind(enum.Enum):
    """What has happened."""

    #: It was there when it began.
    INITIAL = "initial"
    #: A link has come, has gone, has changed.
    ADD = "add"
    DELETE = "delete"
    PARAMETER = "parameter"
    #: An identity of the store has been made, changed, released.
    CREATED = "created"
    CHANGED = "changed"
    RELEASED = "released"
    #: Some changes were not seen; those that follow lead to what is now.
    MISSED = "missed"


@dataclass(frozen=True)
class Change:
    """A change of a row; the row is None if anything may have changed."""

    kind: ChangeKind
    row: Row | None
    before: Row | None = None
    #: Seconds since 1970.
    time: float = 0.0

    @property
    def changed(self) -> list[str]:
        """Fields that are not what they were."""
        if self.kind not in {ChangeKind.PARAMETER, ChangeKind.CHANGED}:
            return []
        assert self.row is not None
        assert self.before is not None
        old, new = self.before.fields(), self.row.fields()
        return [name for name in new if new[name] != old[name]]

    @property
    def transition(self) -> str:
        """ "up" or "down" if it is linkUp or linkDown of RFC 2863."""
        if self.kind is not ChangeKind.PARAMETER:
            return ""
        assert self.row is not None
        assert self.before is not None
        old, new = self.before.status, self.row.status
        down, nowhere = IfOperStatus.DOWN.name, IfOperStatus.NOT_PRESENT.name
        if old == new or nowhere in {old, new}:
            return ""
        return "down" if new == down else "up" if old == down else ""

    def fields(self) -> dict[str, Any]:
        """All of it, for programs."""
        when = datetime.fromtimestamp(self.time, timezone.utc)
        return {
            "time": when.isoformat(timespec="milliseconds").replace(
                "+00:00", "Z"
            ),
            "event": self.kind.value,
            "transition": self.transition,
            "changed": self.changed,
            **({} if self.row is None else self.row.fields()),
        }


class Observer:
    """
    The rows of now, and what happens to them.

    Args:
        store: Which store's identities, as ``--store`` says.
        compartment: Name of this namespace; None if it has none: then no
            link is recognised.

    Raises:
        OSError: The kernel does not tell its links.
        StoreError: The store can't be read.
    """

    def __init__(self, store: str | None, compartment: str | None) -> None:
        self.view = StoreView(store)
        self._compartment = compartment
        # Before the links are read: what changes meanwhile is told.
        self._monitor = LinuxMonitor()
        self._links = {each.if_index: each for each in read_links()}
        self._net_luid_of: dict[int, int] = {}
        # Whether some of what has happened to links is not known.
        self._behind = False
        self._next_look = time.monotonic() + _PERIOD
        self._recognise({}, store_first=True)

    def close(self) -> None:
        self._monitor.close()
        self.view.close()

    # -- what is now

    def rows(self) -> list[Row]:
        """Identities, as the store has them; links without one last."""
        return [
            *(self._row_of_identity(each) for each in self.view.records),
            *(
                unknown_row(link)
                for if_index, link in sorted(self._links.items())
                if if_index not in self._net_luid_of
            ),
        ]

    def initial(self) -> list[Change]:
        """The rows of now as changes."""
        now = time.time()
        return [
            Change(ChangeKind.INITIAL, row, None, now) for row in self.rows()
        ]

    def _recognise(
        self, before: Mapping[int, LinuxLink], *, store_first: bool
    ) -> None:
        """
        Find the identities of all links.

        Args:
            before: What the links were when they were last recognised.
            store_first: Whether what the store says goes before what was
                seen: that a link is what it was, whatever it is called now.
        """
        records = self.view.records
        self._owners = owners_of(records.values())
        kept = {
            if_index: net_luid
            for if_index, net_luid in self._net_luid_of.items()
            if net_luid in records
            and _is_same(before.get(if_index), self._links.get(if_index))
        }
        if store_first:
            found = self._found({})
            taken = set(found.values())
            for if_index, net_luid in kept.items():
                if net_luid not in taken:
                    found.setdefault(if_index, net_luid)
        else:
            found = kept | self._found(kept)
        self._net_luid_of = found
        self._link_of = {
            net_luid: if_index for if_index, net_luid in found.items()
        }

    def _found(self, known: Mapping[int, int]) -> dict[int, int]:
        """NET_LUIDs of links that are recognised, but for those known."""
        if self._compartment is None:
            return {}
        taken = set(known.values())
        matches = recognise(
            [each for i, each in self._links.items() if i not in known],
            [
                each
                for each in self.view.records.values()
                if each.provider == PROVIDER_NAME
                and each.net_luid not in taken
            ],
            self._compartment,
        )
        return {
            match.link.if_index: match.record.net_luid
            for match in matches
            if match.record is not None
        }

    def _row_of_identity(self, net_luid: int) -> Row:
        link = self._links.get(self._link_of.get(net_luid, 0))
        return row_of(self.view.records[net_luid], link, self._owners)

    def _row_of_link(self, link: LinuxLink) -> Row:
        net_luid = self._net_luid_of.get(link.if_index, 0)
        if net_luid not in self.view.records:
            return unknown_row(link)
        return row_of(self.view.records[net_luid], link, self._owners)

    # -- what happens

    def wait(self, timeout: float) -> list[Change]:
        """
        What has happened; nothing if nothing has in time.

        Raises:
            OSError: The kernel tells nothing any more.
            StoreError: The store can't be read, and never could.
        """
        end = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            until = max(0.0, min(end, self._next_look) - now)
            if self._behind:
                until = min(until, _RETRY)
            ready, _, _ = select.select([self._monitor], [], [], until)
            found = self._links_changed() if ready or self._behind else []
            if time.monotonic() >= self._next_look:
                found += self._store_changed()
                self._next_look = time.monotonic() + _PERIOD
            if found or time.monotonic() >= end:
                return found

    def _links_changed(self) -> list[Change]:
        told = self._told()
        if not self._behind:
            return list(self._take(told))
        try:
            links = {each.if_index: each for each in read_links()}
        except BlockingIOError:
            # They change faster than they can be read.
            return []
        self._behind = False
        gone = [each for each in self._links if each not in links]
        return [
            Change(ChangeKind.MISSED, None, None, time.time()),
            *self._take([*((each, None) for each in gone), *links.items()]),
        ]

    def _told(self) -> _Told:
        """What the kernel has told; nothing once some of it was lost."""
        told: _Told = []
        try:
            for _ in range(_AT_ONCE):
                changes = self._monitor.changes()
                if not changes:
                    break
                kinds = list(changes)
                if any(kind == CHANGE_RESYNC for kind, _ in kinds):
                    self._behind = True
                else:
                    told += _decoded(changes.links, kinds)
        except OSError:
            # A socket that has failed tells no more.
            self._monitor.close()
            self._monitor = LinuxMonitor()
            self._behind = True
        return told

    def _take(self, told: _Told) -> Iterator[Change]:
        """Changes of links, once all are known: a name may mean another."""
        steps = []
        links = dict(self._links)
        before = {
            if_index: self._row_of_link(link)
            for if_index in {each for each, _ in told}
            if (link := self._links.get(if_index)) is not None
        }
        anew = False
        for if_index, link in told:
            old = self._links.get(if_index)
            anew |= (old is None) != (link is None) or (
                old is not None
                and link is not None
                and any(
                    getattr(old, name) != getattr(link, name)
                    for name in _RECOGNISED_BY
                )
            )
            if link is None:
                self._links.pop(if_index, None)
            else:
                self._links[if_index] = link
            if old != link:
                steps.append((if_index, link))
        if anew:
            known = self._net_luid_of
            self._recognise(links, store_first=False)
            # One that is gone was what it was to the end.
            for if_index in known.keys() - self._links.keys():
                self._net_luid_of[if_index] = known[if_index]
        now = time.time()
        for if_index, link in steps:
            old_row = before.pop(if_index, None)
            if link is None:
                if old_row is not None:
                    row = old_row.without_link()
                    yield Change(ChangeKind.DELETE, row, old_row, now)
                continue
            row = before[if_index] = self._row_of_link(link)
            if old_row is None:
                yield Change(ChangeKind.ADD, row, None, now)
            elif row != old_row:
                yield Change(ChangeKind.PARAMETER, row, old_row, now)
        for if_index in self._net_luid_of.keys() - self._links.keys():
            del self._net_luid_of[if_index]

    def _store_changed(self) -> list[Change]:
        before = self.view.records
        found = self.view.look()
        if found is None:
            return []
        rows = {each: self._row_of_identity(each) for each in before}
        self.view.records = found
        self._recognise(self._links, store_first=True)
        return list(self._compare(before, rows))

    def _compare(
        self, before: dict[int, Any], rows: dict[int, Row]
    ) -> Iterator[Change]:
        now, after = time.time(), self.view.records
        for net_luid, row in rows.items():
            old, new = before[net_luid], after.get(net_luid)
            if new is None or new.interface_guid != old.interface_guid:
                yield Change(ChangeKind.RELEASED, row.without_link(), row, now)
        for net_luid, record in after.items():
            old = before.get(net_luid)
            row = self._row_of_identity(net_luid)
            if old is None or old.interface_guid != record.interface_guid:
                yield Change(ChangeKind.CREATED, row, None, now)
            elif row != rows[net_luid]:
                yield Change(ChangeKind.CHANGED, row, rows[net_luid], now)


def _decoded(links: LinuxLinks, kinds: list[tuple[int, int]]) -> _Told:
    told: _Told = []
    speeds: dict[int, int | None] = {}
    for i, (kind, if_index) in reversed(list(enumerate(kinds))):
        link = None if kind == CHANGE_GONE else decode_link(links, i)
        if link is not None:
            # Only the last record of a link has its speed.
            speed = speeds.setdefault(if_index, link.link_speed)
            link = replace(link, link_speed=speed)
        told.append((if_index, link))
    return told[::-1]


def _is_same(before: LinuxLink | None, now: LinuxLink | None) -> bool:
    """Whether a link is the one that had its ifIndex before."""
    return (
        before is not None
        and now is not None
        and (before.kind, before.address, before.permanent_address)
        == (now.kind, now.address, now.permanent_address)
    )
