# SPDX-License-Identifier: MIT
"""
Sessions, and the NET_LUID indexes, interface table and OIDs of one.

What it makes is in :mod:`ndisbridge.provider`, :mod:`ndisbridge.identity` and
:mod:`ndisbridge.interface`.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _native, _native_events, _native_structures, _process
from ._closing import Closing
from ._event_thread import CallbackThread, Subscription
from ._identity_thread import IdentityThread
from .constants import (
    NET_LUID_INDEX_MAX,
    IfIndexPolicy,
    IfTableLevel,
    IndexState,
    StatusCode,
)
from .events import Event, EventStream
from .exceptions import (
    ForkedError,
    InterfaceNotFoundError,
    InvalidParameterError,
    InvalidStateError,
    ResourcesError,
    error_for,
)
from .handlers import Handler, OidHandler
from .identity import Identity
from .interface import Interface
from .net_luid import NetLuid
from .persistence import IdentityRecord, Store, StoreError, open_store
from .provider import Provider
from .query_results import QueryResults
from .structures import (
    DECODERS,
    InterfaceRow,
    InterfaceTable,
    encode,
    value_size,
)

if TYPE_CHECKING:
    from ._fastcall import IndexSpace

#: Seconds within which one closer's thread notes what another's has seen.
_MOMENT = 1.0


def _milliseconds(seconds: float | None) -> int:
    """
    A timeout for C: the session's own if None, the longest there is for
    inf.
    """
    if seconds is None:
        return _native.TIMEOUT_DEFAULT
    if math.isnan(seconds):
        raise ValueError("a timeout is a number of seconds")
    longest = _native.TIMEOUT_DEFAULT - 1
    return round(min(max(seconds * 1000, 0), longest))


def _check_if_type(if_type: int) -> None:
    if not 0 < if_type <= 0xFFFF:
        raise InvalidParameterError(
            f"there is no IfType {if_type}: it is 1 .. 65535"
        )


def _check_index(if_type: int, net_luid_index: int) -> None:
    _check_if_type(if_type)
    if not 0 <= net_luid_index <= NET_LUID_INDEX_MAX:
        raise InvalidParameterError(
            f"there is no NET_LUID index {net_luid_index}: it is "
            f"0 .. {NET_LUID_INDEX_MAX}"
        )


@dataclass(frozen=True, slots=True)
class IndexCounts:
    """Counts of one IfType in one session."""

    #: Blocks of 4,096 indexes leased by this session.
    leased_blocks: int
    #: Indexes that can be had without another lease.
    free: int
    #: Indexes handed out, and neither freed nor retained.
    allocated: int
    #: Indexes of these blocks that are retained, or held by an interface.
    retained: int


class Session(Closing):
    """
    One session on a store: the whole state of the library.

    Args:
        store: A path (SQLite), a :class:`~ndisbridge.persistence.Store`, or
            nothing: then identities last as long as the session.
        if_index_policy: How ifIndexes are chosen that nobody asked for.
        wait_timeout: Seconds that closing and deregistering wait for
            running handlers; inf for as long as possible.

    Raises:
        ValueError: wait_timeout is negative.
        InvalidParameterError: There is no such policy.
        StoreError: The store can't be opened; its subclasses say why, and
            the message names the file and the cure.

    What sessions on one store share: identities, their ifIndex and alias,
    and who has each one registered.  What they don't: handlers, published
    values, stack rows and statistics.

    A context manager: leaving it closes the session.  Every method may be
    called from any thread.  After ``fork()`` the child's methods raise
    ForkedError; open a new session there.

    >>> with Session() as session:
    ...     index = session.allocate_net_luid_index(6)
    ...     session.free_net_luid_index(6, index)
    """

    # Until it is open, and where it never gets as far.
    _closed = True

    def __init__(
        self,
        store: str | bytes | os.PathLike[str] | Store | None = None,
        *,
        if_index_policy: int = IfIndexPolicy.STICKY,
        wait_timeout: float = 12.0,
    ) -> None:
        if wait_timeout < 0:
            raise ValueError("wait_timeout is a number of seconds, 0 or more")
        # To C 0 is its own default.
        wait_timeout_ms = max(1, _milliseconds(wait_timeout))
        self._pid = os.getpid()
        self._spaces: dict[int, IndexSpace] = {}
        # What may be in the core, with what its handlers are called with.
        self._interfaces: dict[Interface, object] = {}
        # Those of them of which only the core can say whether they are:
        # being deregistered, maybe by the handlers that still run.
        self._uncertain: set[Interface] = set()
        self._registrations = 0  # calls of the core that are under way
        self._closers: list[None] = []  # likewise
        self._event_thread = CallbackThread()
        self._identity_thread: IdentityThread | None = None
        self._make_locks()
        with _process.openings:
            if store is None or isinstance(store, (str, bytes, os.PathLike)):
                self._store: Store = open_store(store)
            else:
                self._store = store
            self._reference = _process.add(self)
        try:
            self._core = _native.Core(
                self._store,
                leases=self._store.leases,
                if_index_policy=if_index_policy,
                if_index_first=self._store.if_index_first,
                wait_timeout_ms=wait_timeout_ms,
            )
        except BaseException:
            self._store.close()
            raise
        watch = getattr(self._store, "watch", None)
        if watch is not None:
            self._identity_thread = IdentityThread(self._core, watch)
        fast = self._core.fast
        self._query_plain = fast.query_plain
        #: query_bytes(net_luid, oid) -> bytes: the answer as it lies in
        #: memory.  A bound builtin: one C call.
        self.query_bytes = fast.query_bytes
        #: get_interface_index_from_net_luid(net_luid) -> int
        #: (NdisIfGetInterfaceIndexFromNetLuid), a bound builtin.
        self.get_interface_index_from_net_luid = fast.get_if_index
        if os.getpid() == self._pid:  # not in a child forked meanwhile
            self._closed = False

    def _make_locks(self) -> None:
        """Also in a child of fork(): who held them is not there."""
        self._lock = threading.RLock()
        self._ending = threading.RLock()

    # -- life

    @property
    def store(self) -> Store:
        """The session's store."""
        return self._store

    @property
    def closed(self) -> bool:
        """Whether the session is closed."""
        return self._closed

    @property
    def address(self) -> int:
        """The ``ndisbridge_session *``, for ctypes and C."""
        return self._core.address

    def close(self, timeout: float | None = None) -> None:
        """
        End the session: refuse new calls, wait for running handlers,
        deregister interfaces and providers, give the leases back.

        Args:
            timeout: Seconds to wait, inf for as long as possible; the
                session's wait_timeout if None.

        Raises:
            NdisTimeoutError: A handler still runs; close again to go on
                waiting.
            InvalidStateError: A handler, or a hook of the store, asks: the
                session stays as it is.
            StoreError: The store failed at the end; the session is closed
                all the same.

        Closing a closed session does nothing, nor does closing one that
        came through ``fork()``.  While another thread closes it, it waits
        for that.
        """
        if os.getpid() != self._pid:
            self._closed = True
            return
        if self._closed:
            with self._ending:
                return
        self._closers.append(None)
        try:
            closed = self._core.close(_milliseconds(timeout))
            if not closed and not self._is_closed_by_another():
                raise InvalidStateError(
                    "a handler or a hook cannot close its session"
                )
        finally:
            self._closers.pop()
            # Only then: whatever else was raised, handlers may run.
            if self._core.closed:
                self._end()

    def _is_closed_by_another(self) -> bool:
        """
        Whether another thread has closed the core.  It may not have noted
        it yet; that a handler or a hook asks looks the same until then.
        """
        deadline = time.monotonic() + _MOMENT
        while len(self._closers) > 1 and time.monotonic() < deadline:
            if self._core.closed:
                break
            time.sleep(0.001)
        return self._core.closed

    def _end(self) -> None:
        with self._ending:
            self._closed = True
            self._interfaces.clear()
            self._uncertain.clear()
            if self._identity_thread is not None:
                self._identity_thread.close()
            try:
                self._store.close()
            finally:
                # Not before: a child that is forked meanwhile must know it.
                _process.discard(self._reference)

    def __del__(self) -> None:
        if self._closed or os.getpid() != self._pid:
            return
        text = f"unclosed {self!r}"
        # A handler may be running, and may be what drops the session: what
        # it uses is let go of when the core is closed, or never.
        _process.leaked[self._core] = self._store, self._interfaces
        try:
            self.close(0)
        except Exception as error:
            text = f"{text}: {error}"
        if self._core.closed:
            del _process.leaked[self._core]
        else:
            text = f"{text}; it is leaked, and its interfaces stay"
        warnings.warn(text, ResourceWarning, source=self, stacklevel=2)

    def _after_fork_in_child(self) -> None:
        """What ``fork()`` brings into a child is closed there."""
        self._closed = True
        self._make_locks()
        self._store.after_fork_in_child()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<ndisbridge.Session on {self._store} ({state})>"

    def _check_process(self) -> None:
        """The store of a parent must not be touched in a child."""
        if os.getpid() != self._pid:
            raise ForkedError
        if self._closed:
            raise InvalidStateError("the session is closed")

    # -- NET_LUID indexes

    def index_space(self, if_type: int) -> IndexSpace:
        """
        The NET_LUID indexes of one IfType, as an object whose
        ``allocate()`` and ``free(net_luid_index)`` are bound builtins: one
        C call each, for loops.

        Args:
            if_type: IANA ifType, 1 .. 65535.

        Raises:
            InvalidParameterError: There is no such IfType.
        """
        space = self._spaces.get(if_type)
        if space is None:
            _check_if_type(if_type)
            space = self._spaces.setdefault(
                if_type, self._core.index_space(if_type)
            )
        return space

    def allocate_net_luid_index(self, if_type: int) -> int:
        """
        Allocate a NET_LUID index (NdisIfAllocateNetLuidIndex).

        It is this session's until it is freed, retained, or the session
        ends, in whatever way; nothing is written for it.

        Args:
            if_type: IANA ifType, 1 .. 65535.

        Returns:
            A number that no other interface of this type has, here or in
            another session of the store.

        Raises:
            ResourcesError: Every index of the type is taken, or in blocks
                of other sessions, which the message names.
            StoreError: A lease was needed, and the store refused it.
        """
        try:
            return self.index_space(if_type).allocate()
        except ResourcesError as error:
            raise self._exhausted(if_type, error) from None

    def _exhausted(
        self, if_type: int, error: ResourcesError
    ) -> ResourcesError:
        """The error, with who holds the blocks if the store can tell."""
        ask = getattr(self._store, "lease_holders", None)
        holders: dict[object, int] = {}
        with contextlib.suppress(StoreError):
            holders = ask(if_type) if ask is not None else {}
        if not holders:
            return error
        names = ", ".join(
            f"{holder}: {count}"
            for holder, count in sorted(
                holders.items(), key=lambda each: -each[1]
            )
        )
        return ResourcesError(
            f"{error}: blocks of IfType {int(if_type)} that sessions hold: "
            f"{names}; end one, or trim() it"
        )

    def free_net_luid_index(self, if_type: int, net_luid_index: int) -> None:
        """
        Free an allocated index (NdisIfFreeNetLuidIndex).

        Raises:
            InvalidParameterError: It is not allocated here: freed already,
                retained, of another type, or of a registered interface.
        """
        self.index_space(if_type).free(net_luid_index)

    def allocate_net_luid_indexes(
        self, if_type: int, count: int | None = None, *, out: Any = None
    ) -> Any:
        """
        Allocate many indexes, all or none.

        Args:
            if_type: IANA ifType, 1 .. 65535.
            count: How many, 0 .. 16777216.
            out: A writable buffer of uint32 to fill, instead of count.

        Returns:
            ``out``, or a new memoryview of uint32.

        Raises:
            ResourcesError: So many are not left; the message names the
                sessions that hold blocks of the type.
            StoreError: A lease was needed, and the store refused it.
        """
        _check_if_type(if_type)
        if out is None:
            most = NET_LUID_INDEX_MAX + 1
            if count is None or not 0 <= count <= most:
                raise ValueError(f"count must be 0 .. {most}")
            out = _native.new_indexes(count)
        elif count is not None:
            raise TypeError("give count or out, not both")
        try:
            self._core.allocate_many(out, if_type)
        except ResourcesError as error:
            raise self._exhausted(if_type, error) from None
        return out

    def free_net_luid_indexes(self, if_type: int, indexes: Any) -> int:
        """
        Free many indexes.

        Args:
            if_type: IANA ifType, 1 .. 65535.
            indexes: A buffer of uint32, or ints; in any order.

        Returns:
            How many were freed: all.

        Raises:
            InvalidParameterError: Some were not allocated here; the others
                have been freed.  Of ints of which one is out of range none
                is.
        """
        _check_if_type(if_type)
        return self._core.free_many(if_type, indexes)

    def claim_net_luid_index(self, if_type: int, net_luid_index: int) -> None:
        """
        Take a given index, for an interface that lives as long as the
        session.

        Args:
            if_type: IANA ifType, 1 .. 65535.
            net_luid_index: 0 .. NET_LUID_INDEX_MAX.

        Raises:
            InUseError: It is taken, here or by another session.
            InvalidParameterError: It is out of range.
        """
        _check_index(if_type, net_luid_index)
        self._core.claim(if_type, net_luid_index)

    def test_net_luid_index(
        self, if_type: int, net_luid_index: int
    ) -> IndexState:
        """
        What this session knows of an index, at one moment.

        Args:
            if_type: IANA ifType, 1 .. 65535.
            net_luid_index: 0 .. NET_LUID_INDEX_MAX.

        Raises:
            InvalidParameterError: One of them is out of range.
        """
        _check_index(if_type, net_luid_index)
        return IndexState(self._core.test(if_type, net_luid_index))

    def count_net_luid_indexes(self, if_type: int) -> IndexCounts:
        """
        Count the indexes of one IfType in this session.

        Args:
            if_type: IANA ifType, 1 .. 65535.

        Raises:
            InvalidParameterError: There is no such IfType.
        """
        _check_if_type(if_type)
        return IndexCounts(**self._core.count(if_type))

    def retain_net_luid_indexes(self, if_type: int, indexes: Any) -> None:
        """
        Make allocated indexes durable, all or none, in one transaction.

        They stay taken, whatever happens, until they are released.  For an
        interface with a key of its own use :meth:`Provider.identity`.

        Args:
            if_type: IANA ifType.
            indexes: A buffer of uint32, or ints; each once.

        Raises:
            InvalidParameterError: One is not allocated here, or is given
                twice.
            StoreUncertainError: The disk failed in the commit: they may be
                retained.  Don't free them.
            StoreError: The store refused; all are allocated as before.
        """
        _check_if_type(if_type)
        self._core.retain(if_type, indexes)

    def release_net_luid_indexes(self, if_type: int, indexes: Any) -> None:
        """
        Give retained indexes up for good, all or none, in one transaction
        (NdisIfFreeNetLuidIndex).

        Args:
            if_type: IANA ifType, 1 .. 65535.
            indexes: A buffer of uint32, or ints.

        Raises:
            InUseError: One is the NET_LUID of a registered interface.
            InvalidParameterError: One is not retained, by what this session
                knows.
            NotRetainedError: So says the store; or one is an identity's,
                and goes with that.
            StoreError: The store refused; all stay retained.
        """
        _check_if_type(if_type)
        self._core.release(if_type, indexes)

    def trim(self) -> int:
        """
        Give blocks in which nothing is allocated back to the store, but for
        one of each IfType.

        Returns:
            Number of blocks.

        Raises:
            StoreError: The store refused some; those stay here.
        """
        return self._core.trim()

    # -- providers, identities

    def register_provider(
        self,
        name: str,
        handler: Handler | None = None,
        *,
        oids: Mapping[int, OidHandler] | None = None,
        compartment: str = "",
    ) -> Provider:
        """
        Register an interface provider (NdisIfRegisterProvider).

        Args:
            name: Whose identities these are; the same one after a restart.
            handler: An object with ``query_object(context, oid)`` and, for
                sets, ``set_object(context, oid, value)``, either may be
                missing; or a :class:`NativeHandler`.
            oids: OIDs with a handler of their own: a callable
                ``(context, oid)`` or a :class:`NativeHandler`.
            compartment: The network namespace of its interfaces; "" is the
                initial one.

        Raises:
            InvalidParameterError: ``oids`` names an OID that the catalog
                does not have.
        """
        self._check_process()
        return Provider(self, name, handler, oids or {}, compartment)

    def identities(
        self, *, compartment: str | None = None, provider: str | None = None
    ) -> Iterator[IdentityRecord]:
        """
        All retained identities, of every process on the store.

        Raises:
            StoreError: The store cannot be read.
        """
        self._check_process()
        return iter(self._store.identities(compartment, provider))

    def release(self, identity: Identity | IdentityRecord) -> None:
        """
        Give an identity up for good, whoever's it was
        (NdisIfFreeNetLuidIndex).

        Raises:
            IdentityInUseError: Another process has it registered.
            InUseError: It is registered here.
            NotRetainedError, InvalidParameterError: It is released already,
                or ends with another session.
            StoreError: The store refused; it is kept.
        """
        self._check_process()
        record = (
            identity.record if isinstance(identity, Identity) else identity
        )
        net_luid = NetLuid(record.net_luid)
        self._core.release(
            net_luid.if_type,
            [net_luid.net_luid_index],
            if_index=record.if_index if record.if_index_owned else 0,
            persistent=record.persistent,
            identities=[record],
        )

    # -- interfaces

    @property
    def interface_count(self) -> int:
        """
        Number of interfaces registered here (ifNumber), with those that a
        handler is still completing.

        Raises:
            InvalidStateError: The session is closed.
            ForkedError: It came through ``fork()``.
        """
        return self._core.interface_count()

    def get_net_luid_from_interface_index(self, if_index: int) -> NetLuid:
        """
        NET_LUID of a registered ifIndex (NdisIfGetNetLuidFromInterfaceIndex).

        Args:
            if_index: 1 .. IF_INDEX_MAX.

        Raises:
            InterfaceNotFoundError: None is registered, or none can be.
        """
        return NetLuid(self._core.fast.get_net_luid(if_index))

    def query_binding_if_index(
        self, if_index: int
    ) -> tuple[int, NetLuid, int, NetLuid]:
        """
        The ends of the filter chain of an interface
        (NdisIfQueryBindingIfIndex).

        Args:
            if_index: Of any interface of the chain, 1 .. IF_INDEX_MAX.

        Returns:
            ifIndex and NET_LUID of the top (bound), then of the bottom
            (lowest); all the interface's own where it has no filters.

        Raises:
            InterfaceNotFoundError: It is not registered.
        """
        bound, bound_luid, lowest, lowest_luid = self._core.query_binding(
            if_index
        )
        return bound, NetLuid(bound_luid), lowest, NetLuid(lowest_luid)

    def interface_table(
        self, level: int = IfTableLevel.NORMAL
    ) -> InterfaceTable:
        """
        The whole interface table in one call (GetIfTable2Ex; ifTable and
        ifXTable of RFC 2863).

        Args:
            level: Whether handlers are asked for what is not published.

        Raises:
            InvalidParameterError: There is no such level.

        A row whose handler fails is there, with what is known without it.
        """
        return InterfaceTable(self._core.if_table(level))

    def interface_entry(
        self, net_luid: int, level: int = IfTableLevel.NORMAL
    ) -> InterfaceRow:
        """
        One row of the table (GetIfEntry2Ex).

        Args:
            net_luid: Of a registered interface.
            level: As for :meth:`interface_table`.

        Raises:
            InterfaceNotFoundError: It is not registered here.
            InvalidParameterError: There is no such level.
        """
        return InterfaceRow.from_bytes(self._core.if_entry(net_luid, level))

    # -- stack

    def add_if_stack_entry(self, higher: int, lower: int) -> None:
        """
        Add a row to the interface stack (NdisIfAddIfStackEntry).

        Args:
            higher: ifIndex of the interface that runs on the other,
                1 .. IF_INDEX_MAX.
            lower: ifIndex of the one below, likewise.

        Raises:
            InterfaceNotFoundError: One of them is not registered.
            StackLoopError: The row would close a loop.
        """
        self._core.add_if_stack_entry(higher, lower)

    def delete_if_stack_entry(self, higher: int, lower: int) -> None:
        """
        Delete a row if it is there (NdisIfDeleteIfStackEntry).

        Args:
            higher: ifIndex of the interface that runs on the other.
            lower: ifIndex of the one below.
        """
        self._core.delete_if_stack_entry(higher, lower)

    def if_stack_table(self, *, inverted: bool = False) -> memoryview:
        """
        The stack's rows, ordered: (higher, lower), or (lower, higher) if
        inverted, as a memoryview of uint32 of shape (rows, 2); of shape (0,)
        if there are none (GetIfStackTable, GetInvertedIfStackTable).
        """
        raw = self._core.stack_table(inverted)
        if not raw.nbytes:
            return raw.cast("I")
        return raw.cast("I", (raw.nbytes // 8, 2))

    # -- OIDs

    def query(self, net_luid: int, oid: int) -> Any:
        """
        Ask an interface for an OID (ProviderQueryObject).

        Returns:
            int (or its enumeration), bool, str, bytes or a structure of
            :mod:`ndisbridge.structures`, as the catalog says; bytes for an
            OID that is not in it.

        Raises:
            InterfaceNotFoundError: It is not registered here.
            NotSupportedError: Nobody answers this OID.
            InvalidOidError: There is no such OID.
            InvalidDataError: The handler broke the OID's rules.
            Exception: What a Python handler raised, unchanged.
        """
        value = self._query_plain(net_luid, oid)
        decoder = DECODERS.get(oid)
        return value if decoder is None else decoder(value)

    def query_many(
        self, net_luids: Any, oid: int, *, size: int | None = None
    ) -> QueryResults:
        """
        Ask many interfaces for one OID in one call.

        Args:
            net_luids: A buffer of uint64, or ints.
            oid: The OID.
            size: Bytes of room for each answer; needed where the OID has no
                fixed size, and then rounded up to a multiple of 8.
        """
        fixed = value_size(oid)
        stride = fixed if size is None else size
        if not stride:
            raise ValueError("this OID has no fixed size: give size")
        if not fixed:
            # Handlers write these in place: every answer must be aligned.
            stride = _native_structures.aligned(stride)
        return QueryResults(
            oid, stride, self._core.query_many(net_luids, oid, stride)
        )

    def set(self, net_luid: int, oid: int, value: Any) -> None:
        """
        Set an OID of an interface (ProviderSetObject).

        Raises:
            NotSupportedError: The provider takes no sets of it.
            InvalidLengthError: The value is not of the OID's size.
            Exception: What a Python handler raised, unchanged.
        """
        self._core.set(net_luid, oid, encode(oid, value))

    def publish(self, net_luid: int, **values: Any) -> None:
        """Publish values of an interface; see :meth:`Interface.publish`."""
        self._core.publish(net_luid, values)

    # -- events

    def events(
        self,
        *,
        initial: bool = True,
        capacity: int = 1024,
        identities: bool = True,
    ) -> EventStream:
        """
        What happens in the session from now on, as an iterator, plain and
        asynchronous.

        Args:
            initial: Begin with an INITIAL event for each interface that is
                registered, and a STACK_ADD event for each row of the stack;
                they take no room of ``capacity``.
            capacity: Events that are kept for a slow reader, 1 .. 1,048,576.
                Beyond that the oldest are lost, and the next one that is
                read says in ``missed`` how many: read the table anew then.
            identities: Tell of the identities of the store too, whoever
                makes, changes or releases them, this process or another; a
                thread watches the store while somebody wants it, and the
                first waits until it does, 2 s at most.  A store that cannot
                tell (``watch()`` of a store) gives none.

        Raises:
            InvalidParameterError: There is no such capacity.
            InvalidStateError: The session is closed.

        The events of an interface come in the order in which they happened,
        without a gap or an overlap between INITIAL and what follows it.
        What handlers answer is not known to the library, and no event tells
        of it; neither does one of counters alone.

        Counterpart: NotifyIpInterfaceChange; linkUp and linkDown of RFC
        2863.
        """
        self._check_process()
        if not identities:
            return EventStream(self._core, None, capacity, initial=initial)
        watched = self._identity_thread
        if watched is None:
            return EventStream(self._core, {}, capacity, initial=initial)
        # Before it begins: what is told of the past does no harm.
        watched.want(capacity)
        try:
            return EventStream(
                self._core,
                watched.changes,
                capacity,
                initial=initial,
                ended=watched.leave,
            )
        except BaseException:
            watched.leave()
            raise

    def subscribe(
        self,
        callback: Callable[[Event], object],
        *,
        initial: bool = True,
        capacity: int = 1024,
        identities: bool = True,
    ) -> Subscription:
        """
        Call a function for each event from now on: one event after another,
        on one thread of the session for all subscriptions, with no lock
        held, so that it may call anything, its own ``close()`` too.

        Args:
            callback: What is called.  What it raises goes to
                ``sys.unraisablehook``.
            initial: As for :meth:`events`.
            capacity: Likewise.
            identities: Likewise.

        Raises: as :meth:`events`.
        """
        if not callable(callback):
            raise TypeError(f"{callback!r} is not callable")
        stream = self.events(
            initial=initial, capacity=capacity, identities=identities
        )
        subscription = Subscription(self._event_thread, callback, stream)
        try:
            self._event_thread.add(subscription)
        except BaseException:
            stream.close()
            raise
        return subscription

    @property
    def if_table_last_change(self) -> int:
        """
        When an interface was last registered or deregistered, in ms since
        the machine started; 0 if none was (ifTableLastChange).
        """
        return _native_events.if_table_last_change(self._core)

    @property
    def if_stack_last_change(self) -> int:
        """
        When a row of the stack was last added or deleted, likewise
        (ifStackLastChange).  An agent that shows the ends of the stack too
        (:func:`rfc2863.if_stack_rows`) answers the later of this and
        ``if_table_last_change``.
        """
        return _native_events.if_stack_last_change(self._core)

    # -- for the provider module

    def _registering(self, kept: Mapping[Interface, object]) -> _Registering:
        """Around a call of the core that registers interfaces."""
        self._check_process()
        self._forget_completed()
        return _Registering(self, kept)

    def _forget(self, *interfaces: Interface) -> None:
        for interface in interfaces:
            self._uncertain.discard(interface)
            self._interfaces.pop(interface, None)

    def _forget_completed(self) -> None:
        """Let go of interfaces that a handler has completed meanwhile."""
        if not self._uncertain:
            return
        with self._lock:
            # An ifIndex on its way to another interface is not asked about:
            # by the time of the question it might be that one's.
            if self._registrations:
                return
            for each in list(self._uncertain):
                try:
                    # 0 where an interrupt came before it was known.
                    gone = not self._core.has_if_index(each.if_index)
                except InterfaceNotFoundError:
                    gone = True
                if gone:
                    self._forget(each)

    def _interfaces_of(self, provider: Provider) -> list[Interface]:
        return [
            interface
            for interface in list(self._interfaces)
            if interface.provider is provider
        ]

    def _is_here(self, interface: Interface) -> bool:
        """Whether the core has it, and not another with its ifIndex."""
        if interface not in self._uncertain:
            return interface in self._interfaces
        return not any(
            each._if_index == interface.if_index and each is not interface
            for each in list(self._interfaces)
        )

    def _deregister(self, interface: Interface, timeout: float | None) -> None:
        milliseconds = _milliseconds(timeout)
        self._check_process()
        self._forget_completed()
        if not self._is_here(interface):
            raise InterfaceNotFoundError
        if_index = interface.if_index
        asked_before = interface in self._uncertain
        self._uncertain.add(interface)
        status = self._core.deregister_interface(if_index, milliseconds)
        if status in _native.GONE:
            self._forget(interface)
        elif status in _native.GOING:
            self._uncertain.add(interface)
        elif not asked_before:
            self._uncertain.discard(interface)
        if status == StatusCode.SUCCESS:
            _native.raise_left()
        elif status != StatusCode.PENDING:
            raise error_for(status)


class _Registering:
    """
    Keeps interfaces, with what their handlers are called with, until the
    core is known to have refused them; after an interrupt nobody knows.
    """

    __slots__ = ("_kept", "_session")

    def __init__(
        self, session: Session, kept: Mapping[Interface, object]
    ) -> None:
        self._session = session
        self._kept = kept

    def __enter__(self) -> None:
        session = self._session
        with session._lock:
            session._registrations += 1
            session._interfaces.update(self._kept)

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        session = self._session
        with session._lock:
            session._registrations -= 1
            if kind is not None:
                # Others register and deregister meanwhile: no operation of
                # views, which goes through them.
                session._uncertain.update(
                    [
                        each
                        for each in self._kept
                        if each in session._interfaces
                    ]
                )
