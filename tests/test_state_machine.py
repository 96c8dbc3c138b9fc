# SPDX-License-Identifier: MIT
"""
Sessions against a model in plain Python: no difference, in any order of
calls, with one session in memory (of either ifIndex policy) and with two on
one SQLite file.

--hypothesis-show-statistics says how often each outcome was met.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, settings
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
SETTABLE = Oid.GEN_CURRENT_LOOKAHEAD
NOBODYS_IF_INDEX = 0x7FFFFFFF

#: What "this NET_LUID is not retained here" may be told by.
NOT_RETAINED = (ndis.InvalidParameterError, ndis.StoreError)
#: What "this ifIndex is another's" may be told by.
IF_INDEX_TAKEN = (ndis.InUseError, ndis.IdentityConflictError)

#: How often each outcome was met.
outcomes: Counter[str] = Counter()

who = st.integers(0, 1)
pick = st.integers(0, 1 << 30)
if_types = st.sampled_from(IF_TYPES)


def met(what: str) -> None:
    """Count an outcome."""
    outcomes[what] += 1
    event(what)


def tried(what: str, call: Callable[[], Any], expected: Any = None) -> Any:
    """Make a call that must fail as expected, or not at all."""
    if expected is None:
        result = call()
        met(f"{what}: done")
        return result
    with pytest.raises(expected) as caught:
        call()
    met(f"{what}: {caught.type.__name__}")
    return None


@dataclass(eq=False)
class ModelInterface:
    """
    A registered interface as the model has it, and what the handlers get as
    their context.
    """

    answer: int
    published: dict[str, Any] = field(default_factory=dict)
    value: int | None = None  # what was set
    real: ndis.Interface | None = None

    @property
    def interface(self) -> ndis.Interface:
        assert self.real is not None
        return self.real


class Handler:
    """Answers what was set, and takes what is set."""

    def query_object(self, context: Any, oid: int) -> int:
        if oid == SETTABLE and context.value is not None:
            return int(context.value)
        raise ndis.NotSupportedError

    def set_object(self, context: Any, oid: int, value: int) -> None:
        if oid != SETTABLE:
            raise ndis.NotSupportedError
        context.value = value


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
            "p", Handler(), oids={COUNTER: lambda context, oid: context.answer}
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
    policy = ndis.IfIndexPolicy.STICKY

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
        return ModelSession(
            ndis.Session(
                where if self.durable else None, if_index_policy=self.policy
            )
        )

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

    def owned(self) -> set[int]:
        """All ifIndexes that are identities' own."""
        return {each.if_index for each in self.identities.values()}

    def check_handed_out(
        self, session: ModelSession, if_index: int, owned: set[int]
    ) -> None:
        """Of an ifIndex that nobody asked for, before it is in the model."""
        used = owned | set(session.if_indexes())
        assert if_index not in used
        if self.policy == ndis.IfIndexPolicy.LOWEST:
            # The identities' own are all retained here.
            assert if_index == next(
                n for n in range(1, len(used) + 2) if n not in used
            )
            met("lowest ifIndex")

    def with_at_least(self, count: int, number: int) -> ModelSession:
        """A session that has so many registered."""
        return self.some(
            [each for each in self.sessions if len(each.registered) >= count],
            number,
            ordered=True,
        )

    def some(self, among: Any, number: int, *, ordered: bool = False) -> Any:
        members = among if ordered else sorted(among)
        return members[number % len(members)]

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
        # Released by the other session since the block was leased here: this
        # one knows when it leases the block anew.
        unknown = self.count > 1 and (
            session.real.test_net_luid_index(if_type, index)
            == IndexState.RETAINED
        )
        refused = luid in taken or elsewhere or unknown
        tried(
            "claim",
            lambda: session.real.claim_net_luid_index(if_type, index),
            ndis.InUseError if refused else None,
        )
        if not refused:
            session.allocated.add(luid)

    @precondition(lambda self: self.taken())
    @rule(number=who, index=pick)
    def free(self, number: int, index: int) -> None:
        session = self.at(number)
        luid = NetLuid(self.some(self.taken(), index))
        arguments = luid.if_type, luid.net_luid_index
        free = lambda: session.real.free_net_luid_index(*arguments)  # noqa: E731
        if luid in session.allocated - session.registered.keys():
            tried("free", free)
            session.allocated.remove(luid)
        tried("free", free, ndis.InvalidParameterError)

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
            tried("retain", call)
            session.allocated -= set(luids)
            self.retained |= set(luids)
        else:
            tried("retain", call, ndis.InvalidParameterError)

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
            tried("release", lambda: release(*arguments))
            self.retained.remove(luid)
            expected = NOT_RETAINED
        else:
            expected = (*NOT_RETAINED, ndis.InUseError)
        tried("release", lambda: release(*arguments), expected)

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
            tried("identity", ask, ndis.IdentityConflictError)
            return
        before, owned = self.taken(), self.owned()
        found = tried("identity", ask)
        if known is None:
            assert found.net_luid not in before
            self.check_handed_out(session, found.if_index, owned)
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
        if user is session or known.if_index in session.if_indexes():
            expected: Any = ndis.InUseError
        elif user is not None:
            # Of a session's own the core knows, and asks no store.
            expected = (
                ndis.IdentityInUseError
                if known.owner is None
                else (*NOT_RETAINED, ndis.IdentityInUseError)
            )
        elif known.owner not in {None, self.sessions.index(session)}:
            expected = NOT_RETAINED
        else:
            tried("release identity", found.release)
            del self.identities[key]
            expected = NOT_RETAINED
        tried("release identity", found.release, expected)

    # -- interfaces

    def candidates(self, session: ModelSession, which: str) -> set[int]:
        """NET_LUIDs to register: some of a kind, if there are any."""
        mine = session.registered.keys()
        elsewhere = {
            luid
            for each in self.sessions
            if each is not session
            for luid in each.registered
        }
        taken = self.taken()
        return {
            "any": taken,
            "elsewhere": elsewhere or taken,
            "idle": taken - mine - elsewhere or taken,
        }[which]

    def refusal(self, session: ModelSession, luid: int) -> Any:
        """Why a NET_LUID can't be registered; None if it can."""
        known = self.identity_of(luid)
        user = self.registered_by(luid)
        if user is session:
            return ndis.DuplicateObjectIdError
        if known is None and luid not in self.retained | session.allocated:
            return NOT_RETAINED
        if known is not None and known.owner not in {
            None,
            self.sessions.index(session),
        }:
            return (*NOT_RETAINED, ndis.IdentityInUseError)
        return None if user is None else ndis.IdentityInUseError

    def wanted_refusal(
        self, session: ModelSession, luid: int, wanted: int
    ) -> Any:
        """Why it can't have an ifIndex; None if it can."""
        known = self.identity_of(luid)
        if wanted in session.if_indexes():
            return IF_INDEX_TAKEN
        if wanted not in self.owned() or (
            known is not None and wanted == known.if_index
        ):
            return None
        return IF_INDEX_TAKEN

    def named(self, session: ModelSession, luid: int) -> Any:
        """What to register: the identity of a NET_LUID if it has one."""
        for key, known in self.identities.items():
            if known.net_luid == luid:
                return session.provider.find(key)
        return NetLuid(luid)

    def do_register(
        self, session: ModelSession, luid: int, wanted: int | None, answer: int
    ) -> None:
        known = self.identity_of(luid)
        context = ModelInterface(answer)
        expected = self.refusal(session, luid)
        asked = wanted or (
            known.if_index if known is not None and wanted is None else 0
        )
        if expected is None and asked:
            expected = self.wanted_refusal(session, luid, asked)
        what = self.named(session, luid)
        owned = self.owned()
        interface = tried(
            "register",
            lambda: session.provider.register_interface(
                what, context=context, if_index=wanted
            ),
            expected,
        )
        if expected is not None:
            return
        if asked:
            assert interface.if_index == asked
            met("register: the ifIndex wanted")
        else:
            self.check_handed_out(session, interface.if_index, owned)
        if known is not None:
            assert interface.interface_guid == known.interface_guid
        context.real = interface
        session.registered[luid] = context

    @precondition(lambda self: self.taken())
    @rule(
        number=who,
        index=pick,
        answer=st.integers(0, 2**64 - 1),
        which=st.sampled_from(["any", "elsewhere", "idle", "idle"]),
        wanted=st.one_of(
            st.none(),
            st.none(),
            st.just(0),
            st.integers(1, 12),
            st.sampled_from(["registered", "owned"]),
        ),
    )
    def register(
        self,
        number: int,
        index: int,
        answer: int,
        which: str,
        wanted: int | str | None,
    ) -> None:
        session = self.at(number)
        luid = self.some(self.candidates(session, which), index)
        if isinstance(wanted, str):
            among = (
                set(session.if_indexes())
                if wanted == "registered"
                else self.owned()
            )
            wanted = self.some(among, index >> 8) if among else None
        self.do_register(session, luid, wanted, answer)

    @rule(
        number=who,
        if_type=if_types,
        count=st.integers(2, 6),
        answer=st.integers(0, 2**63),
    )
    def register_new(
        self, number: int, if_type: int, count: int, answer: int
    ) -> None:
        session = self.at(number)
        indexes = session.real.allocate_net_luid_indexes(if_type, count)
        for n, index in enumerate(indexes):
            luid = NetLuid.make(if_type, index)
            assert luid not in self.taken()
            session.allocated.add(luid)
            self.do_register(session, luid, None, answer + n)

    @precondition(lambda self: self.identities)
    @rule(
        number=who,
        picks=st.lists(pick, min_size=1, max_size=6),
        own=st.booleans(),
    )
    def register_identities(
        self, number: int, picks: list[int], own: bool
    ) -> None:
        """One call for many: each fails alone, but for what a store says."""
        session = self.at(number)
        keys = [self.some(self.identities, each) for each in picks]
        known = [self.identities[key] for key in keys]
        found = [session.provider.find(key) for key in keys]
        luids = [each.net_luid for each in known]
        # A second of one NET_LUID is a duplicate of the first.
        expected = [
            ndis.DuplicateObjectIdError
            if luid in luids[:i]
            else self.refusal(session, luid)
            for i, luid in enumerate(luids)
        ]
        asks_store = [
            luid not in luids[:i] and luid not in session.registered
            for i, luid in enumerate(luids)
        ]
        refused = any(
            each is not None and asks
            for each, asks in zip(expected, asks_store, strict=True)
        )
        owned = self.owned()
        done = session.provider.register_interfaces(
            [each for each in found if each is not None],
            [ndis.InterfaceInformation(description=key) for key in keys],
            [each.if_index if own else 0 for each in known],
        )
        assert len(done) == len(keys)
        for key, each, model, why, asks in zip(
            keys, done, known, expected, asks_store, strict=True
        ):
            if refused and model.net_luid not in session.registered:
                why = (*NOT_RETAINED, ndis.IdentityInUseError)
                if not asks:
                    why += (ndis.DuplicateObjectIdError,)
            if why is None and own and model.if_index in session.if_indexes():
                why = ndis.InUseError
            if why is not None:
                assert isinstance(each, why), (key, each)
                met(f"register many: {type(each).__name__}")
                # Nobody was, so nobody is.
                continue
            assert isinstance(each, ndis.Interface), (key, each)
            met("register many: done")
            if own:
                assert each.if_index == model.if_index
            else:
                self.check_handed_out(session, each.if_index, owned)
            # These have no context but themselves.
            each.deregister()
            self.do_register(session, model.net_luid, each.if_index, 7)

    @precondition(lambda self: any(s.registered for s in self.sessions))
    @rule(number=who, index=pick, remove=st.booleans())
    def deregister(self, number: int, index: int, remove: bool) -> None:
        session = self.with_at_least(1, number)
        luid = self.some(session.registered, index)
        interface = session.registered.pop(luid).interface
        if_index = interface.if_index
        session.stack -= {row for row in session.stack if if_index in row}
        known = self.identity_of(luid)
        if not remove:
            interface.deregister()
            met("deregister: done")
        elif known is not None and known.if_index in session.if_indexes():
            # Its identity stays: its ifIndex is in use.
            tried("remove", interface.remove, ndis.InUseError)
        else:
            tried("remove", interface.remove)
            session.allocated.discard(luid)
            self.retained.discard(luid)
            for key, known in list(self.identities.items()):
                if known.net_luid == luid:
                    del self.identities[key]
        tried("deregister", interface.deregister, ndis.InterfaceNotFoundError)

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
        session = self.with_at_least(1, number)
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
    @rule(
        number=who,
        index=pick,
        oid=st.sampled_from([SETTABLE, SETTABLE, Oid.GEN_ALIAS]),
        value=st.integers(0, 2**32 - 1),
    )
    def set_value(self, number: int, index: int, oid: Oid, value: int) -> None:
        session = self.with_at_least(1, number)
        luid = self.some(session.registered, index)
        known = session.registered[luid]
        if oid == SETTABLE:
            tried("set", lambda: session.real.set(luid, oid, value))
            assert known.value == value
        else:
            tried(
                "set",
                lambda: known.interface.set(oid, "alias"),
                ndis.NotSupportedError,
            )
        tried(
            "set",
            lambda: session.real.set(NetLuid.make(6, 0xFFFFFF), oid, value),
            (ndis.InterfaceNotFoundError, TypeError),
        )

    @precondition(lambda self: any(s.registered for s in self.sessions))
    @rule(number=who)
    def query(self, number: int) -> None:
        session = self.with_at_least(1, number)
        luids = sorted(session.registered)
        for luid in luids:
            known = session.registered[luid]
            assert session.real.query(luid, COUNTER) == known.answer
            if known.value is not None:
                assert session.real.query(luid, SETTABLE) == known.value
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

    @precondition(
        lambda self: any(len(s.registered) >= 2 for s in self.sessions)
    )
    @rule(
        number=who,
        steps=st.lists(
            st.tuples(
                st.sampled_from(
                    ["add", "add", "add", "loop", "delete", "delete row"]
                ),
                pick,
                pick,
                st.integers(0, 15),
            ),
            min_size=1,
            max_size=8,
        ),
    )
    def stack(
        self, number: int, steps: list[tuple[str, int, int, int]]
    ) -> None:
        session = self.with_at_least(2, number)
        for what, first, second, stranger in steps:
            self.step_of_stack(session, what, first, second, stranger)

    def step_of_stack(
        self,
        session: ModelSession,
        what: str,
        first: int,
        second: int,
        stranger: int,
    ) -> None:
        among = session.if_indexes()
        higher = self.some(among, first)
        lower = self.some(set(among) - {higher}, second)
        if stranger == 0:
            lower = NOBODYS_IF_INDEX
        elif stranger == 1:
            higher = NOBODYS_IF_INDEX
        elif stranger == 2:
            lower = higher
        elif what == "delete row" and session.stack:
            higher, lower = self.some(session.stack, first)
        elif what == "loop" and session.stack:
            top, higher = self.some(session.stack, first)
            lower = self.some(session.above(top), second)
        if what.startswith("delete"):
            session.real.delete_if_stack_entry(higher, lower)
            there = (higher, lower) in session.stack
            met("stack: a row deleted" if there else "stack: none deleted")
            session.stack.discard((higher, lower))
            return
        expected: Any = None
        if NOBODYS_IF_INDEX in {higher, lower}:
            expected = ndis.InterfaceNotFoundError
        elif lower in session.above(higher):
            expected = ndis.StackLoopError
        tried(
            "stack",
            lambda: session.real.add_if_stack_entry(higher, lower),
            expected,
        )
        if expected is None:
            session.stack.add((higher, lower))
        if len(session.stack) > 3:
            met("stack: more than three rows")

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
            inverted = real.if_stack_table(inverted=True).tolist()
            assert inverted == sorted([low, high] for high, low in table)

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


class LowestInMemory(OneInMemory):
    """The same, with NDIS's documented choice of ifIndexes."""

    policy = ndis.IfIndexPolicy.LOWEST


SETTINGS = settings(
    deadline=None,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    print_blob=True,
)

TestTwoOnOneStore = Sessions.TestCase
TestTwoOnOneStore.settings = settings(SETTINGS, max_examples=300)
TestOneInMemory = OneInMemory.TestCase
TestOneInMemory.settings = settings(SETTINGS, max_examples=300)
TestLowestInMemory = LowestInMemory.TestCase
TestLowestInMemory.settings = settings(SETTINGS, max_examples=300)

#: What the rules are there to meet, each many times.
WANTED = (
    "claim: InUseError",
    "claim: done",
    "deregister: InterfaceNotFoundError",
    "deregister: done",
    "free: InvalidParameterError",
    "free: done",
    "identity: IdentityConflictError",
    "identity: done",
    "lowest ifIndex",
    "register many: DuplicateObjectIdError",
    "register many: IdentityInUseError",
    "register many: done",
    "register: DuplicateObjectIdError",
    "register: IdentityInUseError",
    "register: InUseError",
    "register: NotRetainedError",
    "register: done",
    "register: the ifIndex wanted",
    "release identity: done",
    "release: InUseError",
    "release: done",
    "remove: done",
    "retain: InvalidParameterError",
    "retain: done",
    "set: NotSupportedError",
    "set: done",
    "stack: InterfaceNotFoundError",
    "stack: StackLoopError",
    "stack: a row deleted",
    "stack: done",
    "stack: more than three rows",
    "stack: none deleted",
)


def test_every_outcome_was_met() -> None:
    """The machines above have met each kind of outcome."""
    if sum(outcomes.values()) < 10_000:
        pytest.skip("they did not all run")
    assert [each for each in WANTED if not outcomes[each]] == []
