# SPDX-License-Identifier: MIT
"""
Interface providers, the identities they keep, the interfaces they register.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _fastcall, _native
from .constants import (
    IfAccessType,
    IfConnectionType,
    IfDirectionType,
    IfType,
    Medium,
    Oid,
    PhysicalMedium,
)
from .exceptions import (
    InterfaceNotFoundError,
    InvalidParameterError,
    NdisError,
    ResourcesError,
    error_for,
)
from .net_luid import NetLuid
from .persistence import (
    IdentityConflictError,
    IdentityExistsError,
    IdentityRecord,
    StoreUncertainError,
)
from .structures import decode, encode

if TYPE_CHECKING:
    from .session import Session

_NON_BLOCKING = _native.NON_BLOCKING
#: The core refuses a provider without any query handler: one that answers
#: nothing says so itself for an OID that nobody asks for.
_NOBODY = (
    int(Oid.TUNNEL_INTERFACE_SET_OID),
    _NON_BLOCKING,
    _fastcall.NOT_SUPPORTED_QUERY,
    0,
)
#: The default network of the primary compartment.
_DEFAULT_NETWORK = uuid.UUID(int=0)
_KEY = re.compile("[^\0\ud800-\udfff]{1,255}")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _check_key(key: str) -> None:
    if not isinstance(key, str) or _KEY.fullmatch(key) is None:
        raise InvalidParameterError(
            "a key is a str of 1 to 255 characters, without NUL and surrogates"
        )


def _check_alias(alias: str) -> None:
    _native.limited_utf16(alias, "an alias")
    if _SURROGATE.search(alias):
        raise InvalidParameterError("an alias has no surrogates")


class NativeHandler:
    """
    A handler that is a C function: from C, ctypes, cffi or numba.

    Args:
        query: ``ndisbridge_if_query_object``, as an address (int) or as a
            cffi or ctypes function pointer.
        set: ``ndisbridge_if_set_object``, likewise.
        non_blocking: It neither blocks nor calls the session, so that it
            may run with the GIL held.

    The functions must outlive the provider; what is given here is kept.

    They get the ``native_context`` of each interface as
    provider_if_context, if every handler of the provider is native.  Beside
    a handler in Python, of other OIDs, provider_if_context is that
    handler's: a native one must neither dereference it nor rely on its
    value, and ``native_context`` is refused.
    """

    def __init__(
        self, query: Any = None, set: Any = None, *, non_blocking: bool = False
    ) -> None:
        if query is None and set is None:
            raise TypeError("give a query function, a set function, or both")
        self._keep = (query, set)
        self.query = 0 if query is None else _native.function_address(query)
        self.set = 0 if set is None else _native.function_address(set)
        self.flags = _NON_BLOCKING if non_blocking else 0


#: What answers one OID.
OidHandler = Callable[[Any, int], Any] | NativeHandler
#: What answers for a provider.
Handler = Any


@dataclass(frozen=True, slots=True)
class InterfaceInformation:
    """
    NET_IF_INFORMATION: what stays constant while an interface is
    registered.
    """

    description: str = ""
    physical_address: bytes = b""
    permanent_address: bytes = b""
    flags: int = 0
    access_type: int = IfAccessType.BROADCAST
    direction_type: int = IfDirectionType.SENDRECEIVE
    connection_type: int = IfConnectionType.DEDICATED
    connector_present: bool = False
    media_type: int = Medium._802_3
    physical_medium_type: int = PhysicalMedium.UNSPECIFIED
    network_guid: uuid.UUID = _DEFAULT_NETWORK
    tunnel_type: int = _native.TUNNEL_TYPE_UNKNOWN
    port_number: int = 0
    supported_statistics: int = 0
    #: Bus, slot and function number; 0xFFFFFFFF where unknown.
    location: tuple[int, int, int] = _native.LOCATION_UNKNOWN

    def pack(self, interface_guid: uuid.UUID) -> bytes:
        """The structure with its addresses and its name behind it."""
        # One by one: this is most of what registering takes.
        return _native.pack_information(
            interface_guid=interface_guid,
            description=self.description,
            physical_address=self.physical_address,
            permanent_address=self.permanent_address,
            flags=self.flags,
            access_type=self.access_type,
            direction_type=self.direction_type,
            connection_type=self.connection_type,
            connector_present=self.connector_present,
            media_type=self.media_type,
            physical_medium_type=self.physical_medium_type,
            network_guid=self.network_guid,
            tunnel_type=self.tunnel_type,
            port_number=self.port_number,
            supported_statistics=self.supported_statistics,
            location=self.location,
        )


class Identity:
    """
    The identity of one interface, as its store has it.

    Made by :meth:`Provider.identity`; the same one after every restart.
    Any thread may use it; of two that update it at once, the store keeps
    the values of the one that came last.
    """

    def __init__(self, provider: Provider, record: IdentityRecord) -> None:
        self._provider = provider
        #: The store's record, as last seen.
        self.record = record

    @property
    def key(self) -> str:
        """The provider's own name for the interface."""
        return self.record.key

    @property
    def net_luid(self) -> NetLuid:
        """The NET_LUID, for ever."""
        return NetLuid(self.record.net_luid)

    @property
    def interface_guid(self) -> uuid.UUID:
        """The interface GUID, for ever."""
        return self.record.interface_guid

    @property
    def if_type(self) -> IfType:
        """IANA ifType, frozen with the NET_LUID."""
        return self.net_luid.if_type

    @property
    def persistent(self) -> bool:
        """Whether it outlives the session that made it."""
        return self.record.persistent

    @property
    def if_index(self) -> int:
        """ifIndex: the identity's own, or a kernel's as last seen; 0 none."""
        return self.record.if_index

    @property
    def alias(self) -> str:
        """ifAlias."""
        return self.record.alias

    def update(
        self,
        *,
        alias: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """
        Change the alias or the attributes in the store, durably.

        Raises:
            InvalidParameterError: The alias has more than 256 UTF-16 units,
                a NUL or a surrogate.
            StoreUncertainError: The disk failed in the commit: either may
                be so.
            StoreError: The store refused; nothing is changed.
        """
        changes: dict[str, Any] = {}
        if alias is not None:
            _check_alias(alias)
            changes["alias"] = alias
        if attributes is not None:
            changes["attributes"] = dict(attributes)
        if changes:
            session = self._provider.session
            session._check_process()
            session.store.update(self.record.net_luid, **changes)
            self.record = replace(self.record, **changes)

    def release(self) -> None:
        """
        Give the identity up for good: its NET_LUID may be another's next
        (NdisIfFreeNetLuidIndex).

        Raises:
            InUseError: It is registered here.
            IdentityInUseError: Another process has it registered.
            NotRetainedError: It is released already.
            StoreError: The store refused; it is kept.
        """
        self._provider.session.release(self)

    def __repr__(self) -> str:
        return f"<ndisbridge.Identity {self.key!r} {self.net_luid.name}>"


class Interface:
    """
    A registered interface (RFC 2863: a conceptual row of the ifTable).

    Made by :meth:`Provider.register_interface`.  A context manager: leaving
    it deregisters.  Any thread may use it.
    """

    def __init__(
        self,
        provider: Provider,
        net_luid: NetLuid,
        if_index: int,
        interface_guid: uuid.UUID,
        identity: Identity | None,
    ) -> None:
        self.provider = provider
        self.net_luid = net_luid
        self._if_index = if_index
        self.interface_guid = interface_guid
        #: What it was registered with; None for a bare NET_LUID.
        self.identity = identity

    @property
    def if_index(self) -> int:
        """
        ifIndex: 1 .. IF_INDEX_MAX.

        A handler may be asked, and ask for it, before
        :meth:`Provider.register_interface` has returned: the core knows it.

        Raises:
            InterfaceNotFoundError: It was not registered, in the end.
        """
        if self._if_index == 0:
            self._if_index = (
                self.provider.session.get_interface_index_from_net_luid(
                    self.net_luid
                )
            )
        return self._if_index

    def publish(self, **values: Any) -> None:
        """
        Publish values, so that their OIDs are answered without a handler.

        Args:
            values: Members of NDIS_INTERFACE_INFORMATION without ``if_`` and
                ``hc_`` (``oper_status``, ``mtu``, ``xmit_link_speed`` in
                bit/s, ``in_octets`` ...), ``admin_status``, ``alias``.

        Raises:
            InterfaceNotFoundError: It is not registered any more.
            InvalidParameterError: A value is out of range.
            TypeError: There is no such value, or it is of another type.
        """
        self.provider.session._core.publish(self.net_luid, values)

    def replace_information(
        self,
        information: InterfaceInformation | None = None,
        **facts: Any,
    ) -> None:
        """
        Replace the facts that it was registered with: a device that has got
        another name or address is the same interface.  What is published
        stays, and so does ``supported_statistics``.

        Args:
            information: The facts, all of them.
            facts: Members of :class:`InterfaceInformation`, instead of it.

        Raises:
            InterfaceNotFoundError: It is not registered any more.
            InvalidParameterError: A fact is out of range; or the interface
                would become a filter, or not be one any more.
        """
        if information is None:
            information = InterfaceInformation(**facts)
        elif facts:
            information = replace(information, **facts)
        self.provider.session._core.replace_information(
            self.net_luid, information.pack(self.interface_guid)
        )

    def query(self, oid: int) -> Any:
        """See :meth:`Session.query`."""
        return self.provider.session.query(self.net_luid, oid)

    def set(self, oid: int, value: Any) -> None:
        """See :meth:`Session.set`."""
        self.provider.session.set(self.net_luid, oid, value)

    def deregister(self, timeout: float | None = None) -> None:
        """
        Deregister: the interface is being shut down, or is gone from here
        (NdisIfDeregisterInterface).  Its identity stays.

        Args:
            timeout: Seconds to wait for running handlers, inf for as long
                as possible; the session's wait_timeout if None.

        Raises:
            InterfaceNotFoundError: It is not registered any more; another
                one that has its ifIndex or NET_LUID by now stays.
            InOwnHandlerError: A handler of this interface asks.
            NdisTimeoutError: A handler still runs; it completes it.
                Deregister again to go on waiting.
            StoreError: The store did not take its mark off; the interface
                is deregistered all the same.

        From a handler of another interface it does not wait: if handlers
        run, the last one of them completes it.  The core knows it by its
        ifIndex: two threads must not deregister one interface while a third
        registers another under the same.
        """
        self.provider.session._deregister(self, timeout)

    def remove(self, timeout: float | None = None) -> None:
        """
        Deregister, then give the identity up for good: the interface is
        removed completely (NdisIfDeregisterInterface, then
        NdisIfFreeNetLuidIndex).

        Args:
            timeout: As for :meth:`deregister`.

        Raises:
            InOwnHandlerError, NdisTimeoutError: As for :meth:`deregister`;
                the identity is kept.
            InUseError: Somebody has registered it again.
            IdentityInUseError: So has another process.
            NotRetainedError, InvalidParameterError: It is released already.
            StoreError: The store refused.  The interface is deregistered;
                remove it again.
        """
        with contextlib.suppress(InterfaceNotFoundError):
            self.deregister(timeout)
        if self.identity is not None:
            self.identity.release()
            return
        session = self.provider.session
        if_type, index = self.net_luid.if_type, self.net_luid.net_luid_index
        try:
            session.free_net_luid_index(if_type, index)
        except InvalidParameterError:
            # Retained without an identity, or released already.
            session.release_net_luid_indexes(if_type, [index])

    def __enter__(self) -> Interface:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.provider.session.closed:
            return
        with contextlib.suppress(InterfaceNotFoundError):
            self.deregister()

    def __repr__(self) -> str:
        return (
            f"<ndisbridge.Interface {self.net_luid.name} "
            f"ifIndex {self._if_index or '?'}>"
        )


class Provider:
    """
    A registered interface provider.  A context manager: leaving it
    deregisters its interfaces and itself.

    Made by :meth:`Session.register_provider`.  Any thread may use it.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        handler: Handler | None,
        oids: Mapping[int, OidHandler],
        compartment: str,
    ) -> None:
        self.session = session
        self.name = name
        self.compartment = compartment
        self._native = {
            int(oid): each
            for oid, each in oids.items()
            if isinstance(each, NativeHandler)
        }
        self._callables = {
            int(oid): each
            for oid, each in oids.items()
            if not isinstance(each, NativeHandler)
        }
        for oid, each in self._callables.items():
            if not callable(each):
                raise TypeError(
                    f"the handler of OID 0x{oid:08x} is not callable"
                )
        self._whole = handler if isinstance(handler, NativeHandler) else None
        self._query = self._set = None
        if self._whole is None and handler is not None:
            self._query = getattr(handler, "query_object", None)
            self._set = getattr(handler, "set_object", None)
            if self._query is None and self._set is None:
                raise TypeError(
                    "a handler has query_object(context, oid), "
                    "set_object(context, oid, value), or both"
                )
        self._keep = (handler, dict(oids))
        self._handle = self._register()

    @property
    def _in_python(self) -> bool:
        return bool(
            self._callables or self._query is not None or self._set is not None
        )

    def _register(self) -> int:
        trampoline = _fastcall.QUERY_TRAMPOLINE
        if self._whole is not None:
            if self._callables:
                raise TypeError(
                    "a native handler cannot share its interfaces' context "
                    "with Python callables"
                )
            query, set_ = self._whole.query, self._whole.set
            flags = self._whole.flags
        else:
            # Only for what Python answers: the core itself says that the
            # rest is not supported, and calls nobody.
            query = trampoline if self._query is not None else 0
            set_ = _fastcall.SET_TRAMPOLINE if self._set is not None else 0
            flags = _NON_BLOCKING
        entries = [
            (oid, each.flags, each.query, each.set)
            for oid, each in self._native.items()
        ]
        entries += [
            (oid, _NON_BLOCKING, trampoline, 0) for oid in self._callables
        ]
        if not query and not entries:
            entries = [_NOBODY]
        return self.session._core.register_provider(
            query, set_, flags, entries
        )

    def _context(
        self, context: object, native_context: int
    ) -> tuple[Any, int]:
        """What to keep for an interface, and provider_if_context."""
        if not self._in_python:
            return None, native_context
        if native_context:
            raise InvalidParameterError(
                "native_context is for providers all of whose handlers are "
                "native: those in Python need provider_if_context themselves"
            )
        kept = _fastcall.HandlerContext(
            self._query,
            self._set,
            self._callables,
            context,
            encode,
            decode,
        )
        return kept, kept.address

    # -- identities

    def find(self, key: str) -> Identity | None:
        """
        The identity of a key, if there is one.

        Raises:
            InvalidParameterError: There is no such key.
            StoreError: The store cannot be read.
        """
        _check_key(key)
        self.session._check_process()
        record = self.session.store.find(self.compartment, self.name, key)
        return None if record is None else Identity(self, record)

    def identity(
        self,
        key: str,
        if_type: int,
        *,
        persistent: bool = True,
        if_index: bool = True,
        alias: str = "",
        attributes: Mapping[str, str] | None = None,
    ) -> Identity:
        """
        Find the identity of an interface, or make it.

        A new one is durable before this returns; asking again, after a
        crash too, returns the same one.

        Args:
            key: The provider's own name for the interface, 1 .. 255
                characters; never shown to NDIS.
            if_type: IANA ifType, 1 .. 65535; part of the NET_LUID, and so
                frozen.
            persistent: False for one that ends with this session.
            if_index: Whether it gets an ifIndex of its own to keep.
            alias: ifAlias of a new one.
            attributes: Attributes of a new one.

        Raises:
            IdentityConflictError: The key has an identity of another IfType,
                or one that is not persistent.
            InvalidParameterError: The key, the IfType or the alias is none.
            ResourcesError: Every NET_LUID index of the type is taken.
            StoreUncertainError: The disk failed in the commit: asking again
                tells whether it was made.
            StoreError: The store refused; nothing is taken.
        """
        _check_key(key)
        _check_alias(alias)
        self.session._check_process()
        store = self.session.store
        record = store.find(self.compartment, self.name, key)
        if record is None:
            record = self._make(
                key, if_type, persistent, if_index, alias, attributes or {}
            )
        self._check_type(record, if_type)
        if persistent and not record.persistent:
            raise IdentityConflictError(
                f"{record.key!r} of {record.provider!r} ends with the "
                "session that made it: release it first"
            )
        return Identity(self, record)

    def _check_type(self, record: IdentityRecord, if_type: int) -> None:
        stored = NetLuid(record.net_luid)
        if stored.if_type != if_type:
            raise IdentityConflictError(
                f"{record.key!r} of {record.provider!r} is {stored.name}: an "
                f"identity keeps its IfType ({int(stored.if_type)}), it "
                f"cannot become {int(if_type)}"
            )

    def _make(
        self,
        key: str,
        if_type: int,
        persistent: bool,
        wants_if_index: bool,
        alias: str,
        attributes: Mapping[str, str],
    ) -> IdentityRecord:
        session, core = self.session, self.session._core
        net_luid_index = session.allocate_net_luid_index(if_type)
        if_index = 0
        try:
            if wants_if_index:
                try:
                    if_index = core.allocate_if_index()
                except ResourcesError as error:
                    raise session._exhausted(0, error) from None
            record = IdentityRecord(
                compartment=self.compartment,
                provider=self.name,
                key=key,
                net_luid=int(NetLuid.make(if_type, net_luid_index)),
                interface_guid=uuid.uuid4(),
                persistent=persistent,
                if_index=if_index,
                if_index_owned=bool(if_index),
                alias=alias,
                attributes=dict(attributes),
            )
            core.retain(
                if_type,
                [net_luid_index],
                if_index=if_index,
                persistent=persistent,
                identities=[record],
            )
        except StoreUncertainError:
            # As after an interrupt, the store may have it all the same, and
            # then it must not be handed out again.
            raise
        except Exception as error:
            session.free_net_luid_index(if_type, net_luid_index)
            if if_index:
                core.free_if_index(if_index)
            if isinstance(error, IdentityExistsError):
                return error.existing
            raise
        return record

    # -- interfaces

    def register_interface(
        self,
        identity: Identity | int,
        information: InterfaceInformation | None = None,
        *,
        if_index: int | None = None,
        context: object = None,
        native_context: int = 0,
        interface_guid: uuid.UUID | None = None,
        **facts: Any,
    ) -> Interface:
        """
        Register an interface (NdisIfRegisterInterface).

        Args:
            identity: An :class:`Identity`, or a NET_LUID whose index is
                allocated or retained.
            information: Constant facts.
            if_index: The ifIndex wanted, 1 .. IF_INDEX_MAX, or 0 for any;
                by default the identity's own, or one by the session's
                policy.
            context: First argument of Python handlers; by default the
                :class:`Interface`.
            native_context: provider_if_context of a native handler.
            interface_guid: For a bare NET_LUID; a new one by default.
            facts: Members of :class:`InterfaceInformation`, instead of it.

        Raises:
            DuplicateObjectIdError: The NET_LUID is registered here.
            IdentityInUseError: Another process has it registered.
            InUseError: The ifIndex is taken.
            InvalidParameterError: The NET_LUID is neither allocated nor
                retained; or a fact is out of range.
        """
        if information is None:
            information = InterfaceInformation(**facts)
        elif facts:
            information = replace(information, **facts)
        known = identity if isinstance(identity, Identity) else None
        net_luid = NetLuid(
            identity.net_luid if isinstance(identity, Identity) else identity
        )
        guid = interface_guid or uuid.uuid4()
        wanted = if_index or 0
        if known is not None:
            guid = known.interface_guid
            if if_index is None and known.record.if_index_owned:
                wanted = known.if_index
        # Complete before it is registered: a handler may run at once.
        interface = Interface(self, net_luid, 0, guid, known)
        kept, address = self._context(
            interface if context is None else context, native_context
        )
        packed = information.pack(guid)
        session = self.session
        with session._registering({interface: kept}):
            status, assigned = session._core.register_interface(
                self._handle, net_luid, packed, wanted, address
            )
            if status != 0:
                session._forget(interface)
                _native.raise_parked(status)
            interface._if_index = assigned
        return interface

    def register_interfaces(
        self,
        identities: Sequence[Identity],
        information: Sequence[InterfaceInformation],
        if_indexes: Sequence[int],
    ) -> list[Interface | Exception]:
        """
        Register many identities, with one call to the store
        (NdisIfRegisterInterface for each).

        Args:
            identities: What to register.
            information: Constant facts of each.
            if_indexes: The ifIndex wanted for each, 1 .. IF_INDEX_MAX, or 0
                for any.

        Returns:
            For each the :class:`Interface`, or the exception that says why
            it was not registered.  The store confirms all or none: one that
            it refuses is every other one's exception too.

        Raises:
            InvalidParameterError: The three are not of one length; or the
                provider is deregistered.
        """
        if not len(identities) == len(information) == len(if_indexes):
            raise InvalidParameterError(
                f"there are {len(identities)} identities, but information of "
                f"{len(information)} and {len(if_indexes)} ifIndexes"
            )
        session = self.session
        interfaces = [
            Interface(self, each.net_luid, 0, each.interface_guid, each)
            for each in identities
        ]
        contexts = [self._context(each, 0) for each in interfaces]
        packed = [
            facts.pack(each.interface_guid)
            for each, facts in zip(identities, information, strict=True)
        ]
        kept = {
            interface: context
            for interface, (context, _) in zip(
                interfaces, contexts, strict=True
            )
        }
        with session._registering(kept):
            try:
                indexes, statuses, raised = session._core.register_interfaces(
                    self._handle,
                    [each.net_luid for each in identities],
                    packed,
                    if_indexes,
                    [address for _, address in contexts],
                )
            except NdisError:
                session._forget(*interfaces)
                raise
            done: list[Interface | Exception] = []
            for interface, if_index, status in zip(
                interfaces, indexes, statuses, strict=True
            ):
                if status == 0:
                    interface._if_index = if_index
                    done.append(interface)
                    continue
                session._forget(interface)
                # The store's own word, for those that it was asked about.
                error = raised[-1] if raised else None
                if isinstance(error, Exception) and (
                    status == _native.status_of(error)
                ):
                    done.append(error)
                else:
                    done.append(error_for(status))
        if raised and not isinstance(raised[-1], Exception):
            # An interrupt: as if nothing had been asked.
            for each in done:
                if isinstance(each, Interface):
                    each.deregister()
            _fastcall.reraise(raised[-1])
        return done

    def deregister(self) -> None:
        """
        Deregister the provider (NdisIfDeregisterProvider).

        Raises:
            ProviderHasInterfacesError: It has; deregister them first.
            InvalidParameterError: It is deregistered already.
        """
        self.session._core.deregister_provider(self._handle)

    def __enter__(self) -> Provider:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.session.closed:
            return
        with contextlib.ExitStack() as stack:
            for interface in self.session._interfaces_of(self):
                stack.push(interface)  # each one, whatever the others raise
        self.deregister()

    def __repr__(self) -> str:
        return f"<ndisbridge.Provider {self.name!r}>"
