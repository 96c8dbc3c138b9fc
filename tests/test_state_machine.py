# SPDX-License-Identifier: MIT
"""
Sessions against a model in plain Python: no difference, in any order of
calls, with one session in memory and with two on one SQLite file.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

import ndisbridge as ndis
from ndisbridge import IndexState, NetLuid, Oid

IF_TYPES = (6, 131)
KEYS = tuple(f"key/{n}" for n in range(6))
COUNTER = Oid.GEN_RCV_OK

#: What "this NET_LUID is not retained here" may be told by.
NOT_RETAINED = (ndis.InvalidParameterError, ndis.StoreError)

who = st.integers(0, 1)
pick = st.integers(0, 1 << 30)
if_types = st.sampled_from(IF_TYPES)


@dataclass
class ModelInterface:
    """A registered interface as the model has it."""

    interface: ndis.Interface
    answer: int
    published: dict[str, Any] = field(default_factory=dict)


@dataclass
class ModelIdentity:
    """An identity as the model has it."""

    net_luid: int
    interface_guid: uuid.UUID
    if_index: int
    alias: str
    #: Number of the session that it ends with; None for one that lasts.
    owner: int | None


class ModelSession:
    """What one session should know, beside the real one."""

    def __init__(self, real: ndis.Session) -> None:
        self.real = real
        self.allocated: set[int] = set()  # NET_LUIDs
        self.registered: dict[int, ModelInterface] = {}
        self.stack: set[tuple[int, int]] = set()
        self.provider = real.register_provider(
            "p", oids={COUNTER: lambda context, oid: context}
        )

    def if_indexes(self) -> list[int]:
        return [m.interface.if_index for m in self.registered.values()]

    def above(self, if_index: int) -> set[int]:
        """The interface and all that run on it."""
        found = {if_index}
        while True:
            more = {high for high, low in self.stack if low in found} - found
            if not more:
                return found
            found |= more


class Sessions(RuleBasedStateMachine):
    """One session in memory, or two on one store."""

    count = 2
    durable = True

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        self.retained: set[int] = set()  # without an identity
        self.identities: dict[str, ModelIdentity] = {}
        self.sessions: list[ModelSession] = []

    @initialize()
    def begin(self) -> None:
        for _ in range(self.count):
            self.sessions.append(self.open())

    def open(self) -> ModelSession:
        where = Path(self.directory) / "s" / "ndis.db"
        return ModelSession(ndis.Session(where if self.durable else None))

    def teardown(self) -> None:
        for session in self.sessions:
            session.real.close()
        shutil.rmtree(self.directory)

    # -- what the model says

    def at(self, number: int) -> ModelSession:
        return self.sessions[number % self.count]

    def taken(self) -> set[int]:
        """All NET_LUIDs that nobody else may get."""
        taken = {each.net_luid for each in self.identities.values()}
        taken |= self.retained
        for session in self.sessions:
            taken |= session.allocated
        return taken

    def identity_of(self, net_luid: int) -> ModelIdentity | None:
        for each in self.identities.values():
            if each.net_luid == net_luid:
                return each
        return None

    def registered_by(self, net_luid: int) -> ModelSession | None:
        for session in self.sessions:
            if net_luid in session.registered:
                return session
        return None

    def some(self, among: Any, number: int) -> Any:
        ordered = sorted(among)
        return ordered[number % len(ordered)]

    # -- allocate and free

    @rule(number=who, if_type=if_types)
    def allocate(self, number: int, if_type: int) -> None:
        session = self.at(number)
        index = session.real.allocate_net_luid_index(if_type)
        luid = NetLuid.make(if_type, index)
        assert luid not in self.taken()
        session.allocated.add(luid)

    @rule(
        number=who,
        if_type=if_types,
        count=st.sampled_from([0, 1, 2, 63, 64, 65, 300, 4097]),
        keep=st.integers(0, 5),
    )
    def allocate_many(
        self, number: int, if_type: int, count: int, keep: int
    ) -> None:
        session = self.at(number)
        indexes = session.real.allocate_net_luid_indexes(if_type, count)
        luids = {NetLuid.make(if_type, index) for index in indexes}
        assert len(luids) == count
        assert not luids & self.taken()
        freed = session.real.free_net_luid_indexes(if_type, indexes[keep:])
        assert freed == max(0, count - keep)
        session.allocated |= {
            NetLuid.make(if_type, index) for index in indexes[:keep]
        }

    @rule(number=who, if_type=if_types, index=pick, fresh=st.booleans())
    def claim(
        self, number: int, if_type: int, index: int, fresh: bool
    ) -> None:
        session = self.at(number)
        taken = self.taken()
        if taken and not fresh:
            luid = NetLuid(self.some(taken, index))
        else:
            luid = NetLuid.make(if_type, index % 20_000)
        if_type, index = luid.if_type, luid.net_luid_index
        elsewhere = any(
            each is not session
            and each.real.test_net_luid_index(if_type, index)
            != IndexState.UNLEASED
            for each in self.sessions
        )
        if luid in taken or elsewhere:
            with pytest.raises(ndis.InUseError):
                session.real.claim_net_luid_index(if_type, index)
        else:
            session.real.claim_net_luid_index(if_type, index)
            session.allocated.add(luid)

    @precondition(lambda self: self.taken())
    @rule(number=who, index=pick)
    def free(self, number: int, index: int) -> None:
        session = self.at(number)
        luid = NetLuid(self.some(self.taken(), index))
        arguments = luid.if_type, luid.net_luid_index
        if luid in session.allocated - session.registered.keys():
            session.real.free_net_luid_index(*arguments)
            session.allocated.remove(luid)
        with pytest.raises(ndis.InvalidParameterError):
            session.real.free_net_luid_index(*arguments)

    @rule(number=who, if_type=if_types)
    def free_all(self, number: int, if_type: int) -> None:
        session = self.at(number)
        wanted = [x for x in session.allocated if x >> 48 == if_type]
        held = session.registered.keys() & wanted
        indexes = [NetLuid(luid).net_luid_index for luid in wanted]
        free = session.real.free_net_luid_indexes
        if held:
            with pytest.raises(ndis.InvalidParameterError):
                free(if_type, indexes)
        else:
            assert free(if_type, indexes) == len(indexes)
        session.allocated -= set(wanted) - held

    @rule(number=who)
    def trim(self, number: int) -> None:
        self.at(number).real.trim()

    # -- retain and release

    @precondition(lambda self: self.taken())
    @rule(number=who, picks=st.lists(pick, min_size=1, max_size=4))
    def retain(self, number: int, picks: list[int]) -> None:
        session = self.at(number)
        among = session.allocated or self.taken()
        luids = [NetLuid(self.some(among, each)) for each in picks]
        luids = [each for each in luids if each.if_type == luids[0].if_type]
        call = lambda: session.real.retain_net_luid_indexes(  # noqa: E731
            luids[0].if_type, [each.net_luid_index for each in luids]
        )
        free = session.allocated - session.registered.keys()
        if len(set(luids)) == len(luids) and free >= set(luids):
            call()
            session.allocated -= set(luids)
            self.retained |= set(luids)
        else:
            with pytest.raises(ndis.InvalidParameterError):
                call()

    @precondition(lambda self: self.taken())
    @rule(number=who, index=pick, bare=st.booleans())
    def release(self, number: int, index: int, bare: bool) -> None:
        session = self.at(number)
        among = self.retained if bare and self.retained else self.taken()
        luid = NetLuid(self.some(among, index))
        release = session.real.release_net_luid_indexes
        arguments = luid.if_type, [luid.net_luid_index]
        user = self.registered_by(luid)
        if user is not None and luid in self.retained:
            expected: Any = (
                ndis.InUseError if user is session else ndis.IdentityInUseError
            )
        elif luid in self.retained:
            release(*arguments)
            self.retained.remove(luid)
            expected = NOT_RETAINED
        else:
            expected = (*NOT_RETAINED, ndis.InUseError)
        with pytest.raises(expected):
            release(*arguments)

    # -- identities

    @rule(
        number=who,
        key=st.sampled_from(KEYS),
        if_type=if_types,
        persistent=st.booleans(),
        alias=st.text(max_size=5).filter(lambda text: "\0" not in text),
    )
    def identity(
        self, number: int, key: str, if_type: int, persistent: bool, alias: str
    ) -> None:
        session = self.at(number)
        ask = lambda: session.provider.identity(  # noqa: E731
            key, if_type, persistent=persistent, alias=alias
        )
        known = self.identities.get(key)
        # An identity keeps its IfType, and one that ends with a session is
        # not passed off as one that lasts.
        if known is not None and (
            known.net_luid >> 48 != if_type
            or (persistent and known.owner is not None)
        ):
            with pytest.raises(ndis.IdentityConflictError):
                ask()
            return
        before, owned = (
            self.taken(),
            {each.if_index for each in self.identities.values()},
        )
        found = ask()
        if known is None:
            assert found.net_luid not in before
            assert found.if_index not in owned
            assert found.if_index not in session.if_indexes()
            assert found.persistent is persistent
            known = self.identities[key] = ModelIdentity(
                found.net_luid,
                found.interface_guid,
                found.if_index,
                alias,
                None if persistent else self.sessions.index(session),
            )
        self.same(found, known)

    def same(self, found: ndis.Identity, known: ModelIdentity) -> None:
        assert found.net_luid == known.net_luid
        assert found.interface_guid == known.interface_guid
        assert found.if_index == known.if_index
        assert found.alias == known.alias
        assert found.persistent is (known.owner is None)

    @rule(
        number=who, key=st.sampled_from(KEYS), alias=st.text("ab", max_size=3)
    )
    def update_identity(self, number: int, key: str, alias: str) -> None:
        found = self.at(number).provider.find(key)
        known = self.identities.get(key)
        assert (found is None) == (known is None)
        if found is None or known is None:
            return
        self.same(found, known)
        found.update(alias=alias)
        known.alias = alias

    @rule(number=who, key=st.sampled_from(KEYS))
    def release_identity(self, number: int, key: str) -> None:
        session = self.at(number)
        found = session.provider.find(key)
        known = self.identities.get(key)
        if found is None or known is None:
            assert found is known
            return
        user = self.registered_by(known.net_luid)
        if user is session:
            expected: Any = ndis.InUseError
        elif user is not None:
            # Of a session's own the core knows, and asks no store.
            expected = (
                ndis.IdentityInUseError
                if known.owner is None
                else NOT_RETAINED
            )
        elif known.owner not in {None, self.sessions.index(session)}:
            expected = NOT_RETAINED
        else:
            found.release()
            del self.identities[key]
            expected = NOT_RETAINED
        with pytest.raises(expected):
            found.release()

    # -- interfaces

    @precondition(lambda self: self.taken())
    @rule(number=who, index=pick, answer=st.integers(0, 2**64 - 1))
    def register(self, number: int, index: int, answer: int) -> None:
        session = self.at(number)
        luid = NetLuid(self.some(self.taken(), index))
        known = self.identity_of(luid)
        what: Any = luid
        if known is not None:
            key = next(k for k, v in self.identities.items() if v is known)
            what = session.provider.find(key)
        call = lambda: session.provider.register_interface(  # noqa: E731
            what, context=answer
        )
        user = self.registered_by(luid)
        expected: Any = None
        own = known is None or known.owner in {
            None,
            self.sessions.index(session),
        }
        if user is session:
            expected = ndis.DuplicateObjectIdError
        elif known is None and luid not in self.retained | session.allocated:
            expected = NOT_RETAINED
        elif not own:
            expected = (*NOT_RETAINED, ndis.IdentityInUseError)
        elif user is not None:
            expected = ndis.IdentityInUseError
        if expected is not None:
            with pytest.raises(expected):
                call()
            return
        before = session.if_indexes()
        owned = {each.if_index for each in self.identities.values()}
        interface = call()
        assert interface.if_index not in before
        if known is not None:
            assert interface.if_index == known.if_index
            assert interface.interface_guid == known.interface_guid
        else:
            assert interface.if_index not in owned
        session.registered[luid] = ModelInterface(interface, answer)

    @precondition(lambda self: any(s.registered for s in self.sessions))
    @rule(number=who, index=pick, remove=st.booleans())
    def deregister(self, number: int, index: int, remove: bool) -> None:
        session = self.at(number)
        if not session.registered:
            return
        luid = self.some(session.registered, index)
        interface = session.registered.pop(luid).interface
        if_index = interface.if_index
        session.stack -= {row for row in session.stack if if_index in row}
        if not remove:
            interface.deregister()
        else:
            interface.remove()
            session.allocated.discard(luid)
            self.retained.discard(luid)
            for key, known in list(self.identities.items()):
                if known.net_luid == luid:
                    del self.identities[key]
        with pytest.raises(ndis.InterfaceNotFoundError):
            interface.deregister()

    @precondition(lambda self: any(s.registered for s in self.sessions))
    @rule(
        number=who,
        index=pick,
        mtu=st.integers(0, 2**32 - 1),
        octets=st.integers(0, 2**64 - 1),
        alias=st.text("aä☃\U0001f600", max_size=128),
    )
    def publish(
        self, number: int, index: int, mtu: int, octets: int, alias: str
    ) -> None:
        session = self.at(number)
        if not session.registered:
            return
        known = session.registered[self.some(session.registered, index)]
        for name, value in (
            ("mtu", mtu),
            ("in_octets", octets),
            ("alias", alias),
        ):
            if (index >> 3 ^ mtu) & len(name):
                known.interface.publish(**{name: value})
                known.published[name] = value

    @precondition(lambda self: any(s.registered for s in self.sessions))
    @rule(number=who)
    def query(self, number: int) -> None:
        session = self.at(number)
        luids = sorted(session.registered)
        for luid in luids:
            known = session.registered[luid]
            assert session.real.query(luid, COUNTER) == known.answer
            for name, oid in (
                ("mtu", Oid.GEN_MAXIMUM_FRAME_SIZE),
                ("in_octets", Oid.GEN_BYTES_RCV),
                ("alias", Oid.GEN_ALIAS),
            ):
                if name in known.published:
                    value = session.real.query(luid, oid)
                    assert value == known.published[name]
                else:
                    with pytest.raises(ndis.NotSupportedError):
                        session.real.query(luid, oid)
        stranger = NetLuid.make(6, 0xFFFFFF)
        results = session.real.query_many([*luids, stranger], COUNTER)
        answers = [session.registered[luid].answer for luid in luids]
        assert list(results) == [*answers, None]

    # -- the stack

    @precondition(lambda self: any(s.registered for s in self.sessions))
    @rule(number=who, first=pick, second=pick, delete=st.booleans())
    def stack(
        self, number: int, first: int, second: int, delete: bool
    ) -> None:
        session = self.at(number)
        among = [*session.if_indexes(), 0x7FFFFFFF]
        higher, lower = self.some(among, first), self.some(among, second)
        if delete:
            session.real.delete_if_stack_entry(higher, lower)
            session.stack.discard((higher, lower))
            return
        expected: Any = None
        if 0x7FFFFFFF in {higher, lower}:
            expected = ndis.InterfaceNotFoundError
        elif lower in session.above(higher):
            expected = ndis.StackLoopError
        if expected is not None:
            with pytest.raises(expected):
                session.real.add_if_stack_entry(higher, lower)
        else:
            session.real.add_if_stack_entry(higher, lower)
            session.stack.add((higher, lower))

    # -- the end of a session

    @rule(number=who)
    def reopen(self, number: int) -> None:
        place = number % self.count
        self.sessions[place].real.close()
        for key, known in list(self.identities.items()):
            if known.owner == place or not self.durable:
                del self.identities[key]
        if not self.durable:
            self.retained.clear()
        self.sessions[place] = self.open()

    # -- what always holds

    @invariant()
    def indexes_agree(self) -> None:
        kept = self.retained | {x.net_luid for x in self.identities.values()}
        for session in self.sessions:
            held = session.allocated & session.registered.keys()
            for if_type in IF_TYPES:
                counts = session.real.count_net_luid_indexes(if_type)
                mine = {x for x in session.allocated if x >> 48 == if_type}
                assert counts.allocated == len(mine - held)
                assert (
                    counts.free + counts.allocated + counts.retained
                    == counts.leased_blocks * 4096
                )
            for luid in session.allocated | kept:
                state = session.real.test_net_luid_index(
                    luid >> 48, luid >> 24 & 0xFFFFFF
                )
                if luid in held or luid in kept:
                    assert state in {IndexState.RETAINED, IndexState.UNLEASED}
                else:
                    assert state == IndexState.ALLOCATED

    @invariant()
    def interfaces_agree(self) -> None:
        for session in self.sessions:
            real = session.real
            assert real.interface_count == len(session.registered)
            rows = {row.net_luid: row for row in real.interface_table(2)}
            assert rows.keys() == session.registered.keys()
            for luid, known in session.registered.items():
                row, interface = rows[NetLuid(luid)], known.interface
                assert row.if_index == interface.if_index
                assert row.interface_guid == interface.interface_guid
                assert row.alias == known.published.get("alias", "")
                assert row.mtu == known.published.get("mtu", 0)
                assert row.in_octets == known.published.get("in_octets", 0)
                index = real.get_interface_index_from_net_luid(luid)
                assert index == row.if_index
                found = real.get_net_luid_from_interface_index(index)
                assert found == luid
            table = [tuple(row) for row in real.if_stack_table().tolist()]
            assert table == sorted(session.stack)

    @invariant()
    def store_agrees(self) -> None:
        for session in self.sessions:
            records = {each.key: each for each in session.real.identities()}
            assert records.keys() == self.identities.keys()
            for key, known in self.identities.items():
                assert records[key].net_luid == known.net_luid
                assert records[key].alias == known.alias
        if self.durable and self.sessions:
            store: Any = self.sessions[0].real.store
            lasting = [x for x in self.identities.values() if x.owner is None]
            stats = {each.if_type: each for each in store.stats().types}
            retained = {t: s.retained for t, s in stats.items()}
            for if_type in IF_TYPES:
                luids = [x.net_luid for x in lasting]
                wanted = [
                    luid
                    for luid in (*luids, *self.retained)
                    if luid >> 48 == if_type
                ]
                assert retained.get(if_type, 0) == len(wanted)
            assert retained.get(0, 0) == len(lasting)
            assert store.check() == []


class OneInMemory(Sessions):
    """A session without a store."""

    count = 1
    durable = False


SETTINGS = settings(
    deadline=None,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    print_blob=True,
)

TestTwoOnOneStore = Sessions.TestCase
TestTwoOnOneStore.settings = settings(SETTINGS, max_examples=120)
TestOneInMemory = OneInMemory.TestCase
TestOneInMemory.settings = settings(SETTINGS, max_examples=200)
