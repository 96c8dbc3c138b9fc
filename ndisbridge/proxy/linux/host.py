# SPDX-License-Identifier: MIT
"""
The links of one network namespace as interfaces of a session.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..._closing import Closing
from ..._native_linux import LinuxHandle, LinuxLinks
from ...exceptions import (
    InterfaceNotFoundError,
    InUseError,
    InvalidParameterError,
    NdisError,
)
from ...identity import Identity
from ...interface import Interface, InterfaceInformation
from ...persistence import (
    IdentityConflictError,
    IdentityInUseError,
    IdentityRecord,
    NotRetainedError,
)
from ...provider import Provider
from ...session import Session
from .adoption import (
    AdoptedLink,
    Adoption,
    AdoptionState,
    IfIndexConflictError,
    state_of,
)
from .compartments import (
    current_compartment,
    namespace_of_thread,
)
from .following import Follower, Removal
from .identities import LinkIdentities
from .links import (
    LinuxLink,
    decode_link,
    information_of,
)
from .recognition import is_same
from .settings import LinkSettings
from .stacking import LinkStack

#: Name of the provider that the host's links belong to.
PROVIDER_NAME = "linux"

# What a store says of one identity, as opposed to what is wrong with it.
_REFUSED = (IdentityInUseError, IdentityConflictError, NotRetainedError)


@dataclass(slots=True)
class _Held:
    """A link that is registered."""

    adopted: AdoptedLink
    interface: Interface
    #: Of its record, as it was when it was last looked at.
    fingerprint: int

    @property
    def net_luid(self) -> int:
        return self.adopted.record.net_luid

    @property
    def if_index(self) -> int:
        return self.adopted.link.if_index

    @property
    def needs_alias(self) -> bool:
        """An alias of the store's stands in where the kernel has none."""
        return bool(self.adopted.record.alias) and not self.adopted.link.alias


class LinuxHost(Closing):
    """
    The links of one network namespace as interfaces of a session.

    Args:
        session: Where to register them.
        compartment: Name of the namespace; by default the calling thread's,
            see :func:`~ndisbridge.proxy.linux.current_compartment`.
        tag: Write each link's NET_LUID onto it, as an altname in the place
            of an older one, so that it is recognised wherever it goes.

    Raises:
        CompartmentError: The namespace has no name that would outlive it.
        OSError: The kernel gives no access to its links.

    A context manager: leaving it deregisters the links; their identities
    stay.  Any thread may call it, one after the other, and it stays with the
    network namespace that it was made in, whichever they are in.

    Its interfaces take sets, which go to the kernel (an extension of NDIS):
    GEN_ADMIN_STATUS (up, down), GEN_ALIAS, GEN_PROMISCUOUS_MODE and
    GEN_MAXIMUM_FRAME_SIZE, the MTU.  What the kernel refuses raises the
    status that its errno stands for, AccessDeniedError without
    CAP_NET_ADMIN.  An alias is kept in the store, too.
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
        self._handle = LinuxHandle()
        self._namespace = namespace_of_thread()
        self.provider: Provider = session.register_provider(
            PROVIDER_NAME,
            LinkSettings(self._handle),
            compartment=self.compartment,
        )
        self._identities = LinkIdentities(
            session, PROVIDER_NAME, self.compartment
        )
        self._stack = LinkStack(session)
        # Registered links by ifIndex, and their ifIndexes by NET_LUID.
        self._held: dict[int, _Held] = {}
        self._if_indexes: dict[int, int] = {}
        # Deregistered, and to be removed once the store lets them be.
        self._going: dict[int, Interface] = {}
        self._followers: list[Follower] = []
        # Never held by a handler: deregistering waits for those.
        self._lock = threading.RLock()

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
        of them is registered; what has changed of known ones goes into the
        same.  An adoption that finds nothing new or changed writes nothing
        but in-use marks.
        """
        with self._lock:
            links = self._handle.links()
            adopted, loops = self._take_all(links, scan=True)
        return Adoption(self.compartment, adopted, loops)

    def adopted(self) -> list[AdoptedLink]:
        """The links that are registered now, as last adopted or followed."""
        with self._lock:
            return [held.adopted for held in self._held.values()]

    def refresh(self) -> int:
        """
        Publish the values of all registered links as they are now, counters
        too, from one dump: how many links.

        Raises:
            OSError: The kernel did not tell the links.
        """
        with self._lock:
            links = self._handle.links()
            return self._publish(links)

    def follow(
        self,
        *,
        removal: Removal = "deregister",
        refresh_interval: float | None = 10.0,
        receive_buffer: int = 0,
    ) -> Follower:
        """
        Adopt all links, and keep them up to date from then on, on a thread
        of its own, until the :class:`Follower` is closed.

        Args: as for :class:`Follower`.
        """
        follower = Follower(
            self,
            removal=removal,
            refresh_interval=refresh_interval,
            receive_buffer=receive_buffer,
        )
        follower.start()
        return follower

    # -- all links, or some

    def _take_all(
        self,
        links: LinuxLinks,
        *,
        scan: bool,
        continuing: bool = False,
        removal: Removal = "deregister",
    ) -> tuple[list[AdoptedLink], list[tuple[int, int]]]:
        """
        Bring everything in line with a dump: what there is, and rows that
        cannot be.

        Args:
            scan: Whether to read all identities that may have changed.
            continuing: A link that has the ifIndex, the kind and the
                address of one held here is that one, whatever its name.
            removal: What to do with a link that is gone.
        """
        self._remove_going()
        scanned = scan and self._identities.scan()
        if_indexes = links.if_indexes().tolist()
        for if_index in self._held.keys() - set(if_indexes):
            self._leave(self._held[if_index], removal)
        todo = []
        prints: list[int] = []
        for i, if_index in enumerate(if_indexes):
            fingerprint = links.fingerprint(i)
            prints.append(fingerprint)
            held = self._held.get(if_index)
            if (
                held is None
                or held.fingerprint != fingerprint
                or not self._is_here(held.interface)
                or (scanned and not self._is_current(held))
            ):
                todo.append(i)
        known = {}
        decoded = [decode_link(links, i) for i in todo]
        if continuing:
            for n, link in enumerate(decoded):
                held = self._held.get(link.if_index)
                if held is not None and is_same(held.adopted.link, link):
                    known[n] = held.net_luid
        # What needs no store first: it may refuse.
        self._publish(
            links, but=[i for n, i in enumerate(todo) if n not in known]
        )
        taken = self._take(
            links,
            todo,
            decoded,
            [prints[i] for i in todo],
            known,
            few=not scanned,
        )
        loops = self._stack.settle()
        fresh = dict(zip(todo, taken, strict=True))
        return [
            fresh[i] if i in fresh else self._again(self._held[if_index])
            for i, if_index in enumerate(if_indexes)
        ], loops

    def _again(self, held: _Held) -> AdoptedLink:
        """What was adopted before, and has not changed since."""
        adopted = held.adopted
        if adopted.state is not AdoptionState.KNOWN or adopted.previous_name:
            adopted = held.adopted = replace(
                adopted, state=AdoptionState.KNOWN, previous_name=""
            )
        return adopted

    def _is_current(self, held: _Held) -> bool:
        """Whether the store says of it what it said before."""
        record = self._identities.get(held.net_luid)
        owner = self._identities.owner_of(held.if_index)
        before = held.adopted.record
        return (
            record is not None
            and record.alias == before.alias
            and record.attributes == before.attributes
            and record.if_index == before.if_index
            and (owner is None or owner.net_luid == record.net_luid)
            and not (self.tag and held.adopted.tag_error)
        )

    def _take_changes(
        self,
        links: LinuxLinks,
        changes: Iterable[tuple[bool, int]],
        removal: Removal,
    ) -> list[AdoptedLink]:
        """
        Bring what has changed in line: (whether it is there, ifIndex) of
        each record, in order.  What has been taken anew.

        Changes of a link that was there before, and still is, are published
        one by one.  What came and went meanwhile was never here.
        """
        last: dict[int, int] = {}
        net_luids = [0] * len(links)
        for i, (there, if_index) in enumerate(changes):
            held = self._held.get(if_index)
            if not there:
                if held is not None:
                    back = removal == "remove" and self._is_back(held)
                    self._leave(held, "deregister" if back else removal)
                last.pop(if_index, None)
                continue
            last[if_index] = i
            if held is not None and self._is_here(held.interface):
                net_luids[i] = held.net_luid
                links.leave_counters(i)
                if held.adopted.record.alias and not links.alias(i):
                    links.leave_alias(i)
        todo: list[int] = []
        prints: list[int] = []
        known: dict[int, int] = {}
        for if_index, i in last.items():
            held = self._held.get(if_index)
            fingerprint = links.fingerprint(i)
            if held is not None:
                if held.fingerprint == fingerprint and net_luids[i]:
                    continue
                known[len(todo)] = held.net_luid
            todo.append(i)
            prints.append(fingerprint)
        # Of those that are gone since, it says not found: they are.
        links.publish(self.session._core, net_luids)
        taken = self._take(
            links,
            todo,
            [decode_link(links, i) for i in todo],
            prints,
            known,
            few=True,
        )
        self._stack.settle()
        return taken

    def _take(
        self,
        raw: LinuxLinks,
        positions: Sequence[int],
        links: Sequence[LinuxLink],
        fingerprints: Sequence[int],
        known: dict[int, int],
        *,
        few: bool = False,
    ) -> list[AdoptedLink]:
        """Recognise links of a dump, and have them registered as they are."""
        if not links:
            return []
        # Identities of these links are free to be found again.
        free = {0, *(link.if_index for link in links)}
        matches, records = self._identities.settle(
            links,
            known,
            lambda net_luid: self._if_indexes.get(net_luid, 0) not in free,
            few=few,
        )
        tag_errors: list[OSError | None] = [None] * len(links)
        if self.tag:
            for i, (match, record) in enumerate(
                zip(matches, records, strict=True)
            ):
                tag_errors[i] = self._tag(match.link, record)
                if tag_errors[i] is None:
                    records[i] = self._identities.forget_old_tag(record)
        interfaces = self._register(links, records)
        adopted = []
        for match, record, done, tag_error in zip(
            matches, records, interfaces, tag_errors, strict=True
        ):
            adopted.append(
                AdoptedLink(
                    match.link,
                    record,
                    state_of(match, done),
                    done if isinstance(done, Interface) else None,
                    done if isinstance(done, Exception) else None,
                    match.previous_name,
                    tag_error,
                )
            )
        net_luids = [0] * len(raw)
        needing_alias = []
        for i, each, fingerprint in zip(
            positions, adopted, fingerprints, strict=True
        ):
            if each.interface is None:
                continue
            held = _Held(each, each.interface, fingerprint)
            self._held[each.if_index] = held
            self._if_indexes[held.net_luid] = each.if_index
            net_luids[i] = held.net_luid
            if held.needs_alias:
                raw.leave_alias(i)
                needing_alias.append(held)
        raw.publish(self.session._core, net_luids)
        for held in needing_alias:
            with contextlib.suppress(InterfaceNotFoundError):
                held.interface.publish(alias=held.adopted.record.alias)
        self._stack.want(each.link for each in adopted if each.interface)
        return adopted

    def _publish(self, links: LinuxLinks, but: Sequence[int] = ()) -> int:
        """Publish what a dump says of the links that are registered."""
        net_luids = []
        for i, if_index in enumerate(links.if_indexes().tolist()):
            held = self._held.get(if_index)
            if held is None:
                net_luids.append(0)
                continue
            net_luids.append(held.net_luid)
            if held.needs_alias:
                links.leave_alias(i)
        for i in but:
            net_luids[i] = 0
        return links.publish(self.session._core, net_luids)

    def _tag(self, link: LinuxLink, record: IdentityRecord) -> OSError | None:
        """Write a link's NET_LUID onto it: why not, if it can't be."""
        if link.tagged_net_luid != record.net_luid:
            try:
                self._handle.tag(
                    link.if_index, record.net_luid, link.tagged_net_luid
                )
            except OSError as error:
                return error
        return None

    # -- interfaces

    def _register(
        self, links: Sequence[LinuxLink], records: Sequence[IdentityRecord]
    ) -> list[Interface | Exception]:
        self._forget(links, records)
        done: list[Interface | Exception | None] = []
        for link, record in zip(links, records, strict=True):
            owner = self._identities.owner_of(link.if_index)
            held = self._held.get(link.if_index)
            if owner is not None and owner.net_luid != record.net_luid:
                if held is not None:
                    self._leave(held)  # reserved since then
                done.append(self._conflict(link.if_index, owner))
            elif held is not None:
                self._replace_facts(held, link)
                done.append(held.interface)
            else:
                done.append(None)
        todo = [i for i, each in enumerate(done) if each is None]
        registered = self._register_all(
            [Identity(self.provider, records[i]) for i in todo],
            [information_of(links[i]) for i in todo],
            [links[i].if_index for i in todo],
        )
        for i, result in zip(todo, registered, strict=True):
            done[i] = result
        return [each for each in done if each is not None]

    def _replace_facts(self, held: _Held, link: LinuxLink) -> None:
        """A device with another name or address is the same interface."""
        facts = information_of(link)
        if facts != information_of(held.adopted.link):
            held.interface.replace_information(facts)

    def _forget(
        self, links: Sequence[LinuxLink], records: Sequence[IdentityRecord]
    ) -> None:
        """Deregister what is registered as something else."""
        for link, record in zip(links, records, strict=True):
            held = self._held.get(link.if_index)
            if held is not None and (
                held.net_luid != record.net_luid
                or not self._is_here(held.interface)
            ):
                self._leave(held)
            elsewhere = self._if_indexes.get(record.net_luid, link.if_index)
            if elsewhere != link.if_index:
                self._leave(self._held[elsewhere])

    def _is_here(self, interface: Interface) -> bool:
        """Whether nobody else has deregistered it."""
        try:
            if_index = self.session.get_interface_index_from_net_luid(
                interface.net_luid
            )
        except InterfaceNotFoundError:
            return False
        return bool(if_index == interface.if_index)

    def _is_back(self, held: _Held) -> bool:
        """
        Whether the kernel has the link all the same: it is there again, and
        was found by a dump before this change was read.
        """
        try:
            link = decode_link(self._handle.link(held.if_index), 0)
        except InterfaceNotFoundError:
            return False
        return is_same(held.adopted.link, link)

    def _leave(self, held: _Held, removal: Removal = "deregister") -> None:
        """Deregister a link; give its identity up, if it is to be removed."""
        del self._held[held.if_index]
        self._if_indexes.pop(held.net_luid, None)
        try:
            with contextlib.suppress(InterfaceNotFoundError):
                held.interface.deregister()
        finally:
            self._stack.deregistered(held.if_index)
        if removal == "remove":
            self._going[held.net_luid] = held.interface
            self._remove_going()

    def _remove_going(self) -> None:
        """Release the identities that are to be; what fails stays so."""
        for net_luid, interface in list(self._going.items()):
            # Released already; or somebody has it registered by now.
            with contextlib.suppress(
                NotRetainedError,
                InvalidParameterError,
                InUseError,
                IdentityInUseError,
            ):
                interface.remove()
            self._identities.drop(net_luid)
            del self._going[net_luid]

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
        if not any(
            self._identities.elsewhere(each.record) for each in identities
        ):
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
        holder = self._identities.elsewhere(identity.record)
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

    # -- life

    def close(self) -> None:
        """
        Stop following, deregister the links and the provider; identities
        stay.  Again, it does nothing; all else raises InvalidStateError
        from then on.
        """
        for follower in list(self._followers):
            follower.close()
        with self._lock:
            if self._handle.closed:
                return
            if self.session.closed:
                self._held.clear()
            else:
                for held in list(self._held.values()):
                    self._leave(held)
                self.provider.deregister()
            self._handle.close()
