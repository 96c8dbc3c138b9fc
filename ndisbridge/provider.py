# SPDX-License-Identifier: MIT
"""
Interface providers: they keep identities and register interfaces.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _fastcall, _native, _native_hooks
from .constants import (
    Oid,
)
from .exceptions import (
    InvalidParameterError,
    NdisError,
    ResourcesError,
    error_for,
)
from .handlers import Handler, NativeHandler, OidHandler
from .identity import Identity, check_alias
from .interface import Interface, InterfaceInformation
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
_KEY = re.compile("[^\0\ud800-\udfff]{1,255}")


def _check_key(key: str) -> None:
    if not isinstance(key, str) or _KEY.fullmatch(key) is None:
        raise InvalidParameterError(
            "a key is a str of 1 to 255 characters, without NUL and surrogates"
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
        check_alias(alias)
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
                    status == _native_hooks.status_of(error)
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
