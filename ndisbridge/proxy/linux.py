# SPDX-License-Identifier: MIT
"""
The host's own links, adopted: each gets an identity that lasts, and is
registered under the kernel's ifIndex with its values published.

    with ndisbridge.Session("/var/lib/acme/ndis.db") as session:
        with LinuxHost(session) as host:
            for adopted in host.adopt():
                print(adopted.name, adopted.net_luid, adopted.state.value)
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from .._native_linux import LinuxHandle, LinuxLinks
from ..exceptions import (
    InterfaceNotFoundError,
    NdisError,
    StackLoopError,
)
from ..net_luid import NetLuid
from ..persistence import (
    IdentityConflictError,
    IdentityExistsError,
    IdentityInUseError,
    IdentityRecord,
    NotRetainedError,
    StoreUncertainError,
)
from ..persistence.records import SessionInfo
from ..provider import Identity, Interface, InterfaceInformation, Provider
from ..session import Session
from .adoption import (
    AdoptedLink,
    Adoption,
    AdoptionState,
    IfIndexConflictError,
    state_of,
)
from .compartments import CompartmentError, current_compartment
from .links import (
    LinuxLink,
    decode_link,
    information_of,
    read_links,
    stack_rows,
    write_tag,
)
from .recognition import Match, attributes_of, recognise

__all__ = [
    "PROVIDER_NAME",
    "AdoptedLink",
    "Adoption",
    "AdoptionState",
    "CompartmentError",
    "IfIndexConflictError",
    "LinuxHost",
    "LinuxLink",
    "current_compartment",
    "read_links",
]

#: Name of the provider that the host's links belong to.
PROVIDER_NAME = "linux"

# Two processes may adopt one namespace at once; the second try sees what the
# other one has made.
_ATTEMPTS = 5
# What a store says of one identity, as opposed to what is wrong with it.
_REFUSED = (IdentityInUseError, IdentityConflictError, NotRetainedError)


class LinuxHost:
    """
    The links of one network namespace as interfaces of a session.

    Args:
        session: Where to register them.
        compartment: Name of the namespace; by default the calling thread's,
            see :func:`~ndisbridge.proxy.compartments.current_compartment`.
        tag: Write each link's NET_LUID onto it, as an altname in the place
            of an older one, so that it is recognised wherever it goes.

    Raises:
        CompartmentError: The namespace has no name that would outlive it.

    A context manager: leaving it deregisters the links; their identities
    stay.  One thread at a time may call it.  :meth:`adopt` reads the network
    namespace that its thread is in: call it where the host was made.
    """

    def __init__(
        self,
        session: Session,
        *,
        compartment: str | None = None,
        tag: bool = False,
    ) -> None:
        self.session = session
        self.tag = tag
        self.compartment = current_compartment(compartment)
        self.provider: Provider = session.register_provider(
            PROVIDER_NAME, compartment=self.compartment
        )
        self._registered: dict[
            int, tuple[Interface, InterfaceInformation]
        ] = {}
        self._rows: set[tuple[int, int]] = set()
        # Identities that have an ifIndex for their own, by that.
        self._owners: dict[int, IdentityRecord] = {}

    def adopt(self) -> Adoption:
        """
        Adopt all links: find or make their identities, register them,
        publish their values, put them into the interface stack.

        Again later it brings everything up to date: values, names, links
        that have come, gone, or got another ifIndex.

        Raises:
            OSError: The kernel did not tell the links; EAGAIN if they change
                faster than they can be read.
            StoreError: The store refused; nothing is registered, and
                nothing new is durable.

        All new identities become durable in one transaction before the first
        of them is registered; what has changed of known ones follows in a
        second.  An adoption that finds nothing new or changed writes
        nothing but in-use marks.
        """
        raw = LinuxHandle().links()
        links = [decode_link(raw, i) for i in range(len(raw))]
        matches, records = self._settle(links)
        interfaces = self._register(links, records)
        self._publish(raw, links, records, interfaces)
        unstacked = self._stack(links, interfaces)
        tagged = [
            _tag(link, record) if self.tag else None
            for link, record in zip(links, records, strict=True)
        ]
        return Adoption(
            self.compartment,
            [
                AdoptedLink(
                    match.link,
                    record,
                    state_of(match, done),
                    done if isinstance(done, Interface) else None,
                    done if isinstance(done, Exception) else None,
                    match.previous_name,
                    tag_error,
                )
                for match, record, done, tag_error in zip(
                    matches, records, interfaces, tagged, strict=True
                )
            ],
            unstacked,
        )

    # -- identities

    def _settle(
        self, links: Sequence[LinuxLink]
    ) -> tuple[list[Match], list[IdentityRecord]]:
        """Make the identities durable: matches, and the records of now."""
        for left in reversed(range(_ATTEMPTS)):
            known = list(self.session.identities(provider=PROVIDER_NAME))
            matches = recognise(links, known, self.compartment)
            changed = [
                (match.record.net_luid, changes)
                for match in matches
                if match.record is not None
                and (changes := self._changes_of(match))
            ]
            try:
                made = self._make(
                    [m for m in matches if m.record is None], changed
                )
            except IdentityExistsError:
                if not left:
                    raise
            else:
                break
        self._owners = {
            each.if_index: each for each in known if each.if_index_owned
        }
        return matches, [
            made[match.key]
            if match.record is None
            else replace(match.record, **self._changes_of(match))
            for match in matches
        ]

    def _make(
        self,
        matches: Sequence[Match],
        changed: Sequence[tuple[int, Mapping[str, Any]]],
    ) -> dict[str, IdentityRecord]:
        """
        New identities by their keys, and what has changed of known ones,
        durable in one transaction.
        """
        session = self.session
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
                    compartment=self.compartment,
                    provider=PROVIDER_NAME,
                    key=match.key,
                    net_luid=int(net_luid),
                    interface_guid=uuid.uuid4(),
                    if_index=match.link.if_index,
                    alias=match.link.alias,
                    attributes=attributes_of(match.link),
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

    def _changes_of(self, match: Match) -> Mapping[str, Any]:
        """
        What to note of a known link.  A tag alone does not take an identity
        from the session that has it registered where it was last seen.
        """
        if match.moved and match.record and self._elsewhere(match.record):
            return {}
        return match.changes

    def _elsewhere(self, record: IdentityRecord) -> SessionInfo | None:
        """The other session that has it registered, if one has."""
        holder = record.in_use_by
        own = getattr(self.session.store, "session_id", None)
        return None if holder and holder.session_id == own else holder

    # -- interfaces

    def _register(
        self, links: Sequence[LinuxLink], records: Sequence[IdentityRecord]
    ) -> list[Interface | Exception]:
        facts = [information_of(link) for link in links]
        self._forget(links, records, facts)
        done: list[Interface | Exception | None] = []
        for record in records:
            kept = self._registered.get(record.net_luid)
            done.append(None if kept is None else kept[0])
        for i, (link, record) in enumerate(zip(links, records, strict=True)):
            owner = self._owners.get(link.if_index, record)
            if owner.net_luid != record.net_luid:
                if record.net_luid in self._registered:
                    # Reserved since then.
                    self._deregister(self._registered[record.net_luid][0])
                done[i] = self._conflict(link.if_index, owner)
        todo = [i for i, each in enumerate(done) if each is None]
        registered = self._register_all(
            [Identity(self.provider, records[i]) for i in todo],
            [facts[i] for i in todo],
            [links[i].if_index for i in todo],
        )
        for i, result in zip(todo, registered, strict=True):
            done[i] = result
            if isinstance(result, Interface):
                self._registered[records[i].net_luid] = result, facts[i]
        return [each for each in done if each is not None]

    def _forget(
        self,
        links: Sequence[LinuxLink],
        records: Sequence[IdentityRecord],
        facts: Sequence[InterfaceInformation],
    ) -> None:
        """Deregister what is gone or is registered as something else."""
        now = {
            record.net_luid: (link.if_index, fact)
            for link, record, fact in zip(links, records, facts, strict=True)
        }
        for net_luid, (interface, fact) in list(self._registered.items()):
            if now.get(net_luid) != (
                interface.if_index,
                fact,
            ) or not self._is_here(interface):
                self._deregister(interface)

    def _is_here(self, interface: Interface) -> bool:
        """Whether nobody else has deregistered it."""
        try:
            if_index = self.session.get_interface_index_from_net_luid(
                interface.net_luid
            )
        except InterfaceNotFoundError:
            return False
        return bool(if_index == interface.if_index)

    def _deregister(self, interface: Interface) -> None:
        with contextlib.suppress(InterfaceNotFoundError):
            interface.deregister()
        del self._registered[int(interface.net_luid)]
        self._rows = {
            row for row in self._rows if interface.if_index not in row
        }

    def _register_all(
        self,
        identities: Sequence[Identity],
        facts: Sequence[InterfaceInformation],
        if_indexes: Sequence[int],
    ) -> list[Interface | Exception]:
        """Register what can be; what can't be says why."""
        done: list[Interface | Exception] = []
        if not identities:
            return done
        if not any(self._elsewhere(each.record) for each in identities):
            done = self.provider.register_interfaces(
                identities, facts, if_indexes
            )
            if not any(isinstance(each, _REFUSED) for each in done):
                return done
            # The store confirms all or none: now one by one.
        done = []
        try:
            for identity, fact, if_index in zip(
                identities, facts, if_indexes, strict=True
            ):
                done.append(self._register_one(identity, fact, if_index))
        except BaseException:
            for each in done:
                if isinstance(each, Interface):
                    each.deregister()
            raise
        return done

    def _register_one(
        self, identity: Identity, facts: InterfaceInformation, if_index: int
    ) -> Interface | Exception:
        holder = self._elsewhere(identity.record)
        if holder is not None:
            return IdentityInUseError(
                f"{identity.key!r} is registered by {holder}",
                str(self.session.store),
                holder,
            )
        try:
            return self.provider.register_interface(
                identity, facts, if_index=if_index
            )
        except IdentityConflictError as error:
            owner = self._owner_elsewhere(if_index)
            return self._conflict(if_index, owner) if owner else error
        except (NdisError, *_REFUSED) as error:
            return error

    def _owner_elsewhere(self, if_index: int) -> IdentityRecord | None:
        """The identity, of whatever provider, that has an ifIndex."""
        for record in self.session.identities():
            if record.if_index_owned and record.if_index == if_index:
                return record
        return None

    def _conflict(
        self, if_index: int, owner: IdentityRecord
    ) -> IfIndexConflictError:
        return IfIndexConflictError(if_index, owner, str(self.session.store))

    # -- values, stack

    def _publish(
        self,
        raw: LinuxLinks,
        links: Sequence[LinuxLink],
        records: Sequence[IdentityRecord],
        interfaces: Sequence[Interface | Exception],
    ) -> None:
        net_luids = [
            each.net_luid if isinstance(each, Interface) else 0
            for each in interfaces
        ]
        if not net_luids:
            return
        raw.publish(self.session._core, net_luids)
        # An alias of the store's stands in where the kernel has none.
        for link, record, interface in zip(
            links, records, interfaces, strict=True
        ):
            if (
                record.alias
                and not link.alias
                and isinstance(interface, Interface)
            ):
                interface.publish(alias=record.alias)

    def _stack(
        self,
        links: Sequence[LinuxLink],
        interfaces: Sequence[Interface | Exception],
    ) -> list[tuple[int, int]]:
        """Bring the rows up to date; those that cannot be, for a loop."""
        here = {
            each.if_index for each in interfaces if isinstance(each, Interface)
        }
        rows = {
            row
            for row in stack_rows(links)
            if row[0] in here and row[1] in here
        }
        for row in self._rows - rows:
            self.session.delete_if_stack_entry(*row)
        loops = []
        for row in sorted(rows - self._rows):
            try:
                self.session.add_if_stack_entry(*row)
            except StackLoopError:
                loops.append(row)
            except InterfaceNotFoundError:
                rows.discard(row)
        self._rows = rows - set(loops)
        return loops

    # -- life

    def close(self) -> None:
        """Deregister the links and the provider; identities stay."""
        if self.session.closed:
            self._registered.clear()
            return
        for interface, _ in list(self._registered.values()):
            self._deregister(interface)
        self.provider.deregister()

    def __enter__(self) -> LinuxHost:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _tag(link: LinuxLink, record: IdentityRecord) -> OSError | None:
    """Write a link's NET_LUID onto it: why not, if it can't be."""
    try:
        write_tag(link, record.net_luid)
    except OSError as error:
        return error
    return None
