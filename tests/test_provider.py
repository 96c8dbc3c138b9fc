# SPDX-License-Identifier: MIT
"""Providers, identities and interfaces."""

from __future__ import annotations

import gc
import struct
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import IfType, InterfaceInformation, NetLuid, Oid
from ndisbridge.persistence import NotRetainedError
from ndisbridge.persistence.sqlite import SqliteStore
from ndisbridge.proxy.linux import CompartmentError, LinuxHost

ETHERNET = IfType.ETHERNET_CSMACD
COUNTER = Oid.GEN_RCV_OK


@pytest.fixture(params=["memory", "sqlite"])
def any_session(request: pytest.FixtureRequest, store_path: Path):
    """A session without a store, then one on a SQLite store."""
    where = store_path if request.param == "sqlite" else None
    with ndis.Session(where) as made:
        yield made
        if where is not None:
            assert made.store.check() == []


# -- identities


@pytest.mark.smoke
def test_identity_is_found_again(any_session: ndis.Session) -> None:
    """A key has one identity, however often it is asked for."""
    provider = any_session.register_provider("acme")
    assert provider.find("port/1") is None
    made = provider.identity("port/1", ETHERNET, alias="uplink")
    again = provider.identity("port/1", ETHERNET, alias="ignored")
    found = provider.find("port/1")
    assert found is not None
    for each in (again, found):
        assert each.net_luid == made.net_luid
        assert each.interface_guid == made.interface_guid
        assert each.if_index == made.if_index
        assert each.alias == "uplink"
    assert made.if_type == ETHERNET
    assert made.if_index >= any_session.store.if_index_first
    assert made.persistent
    assert made.key == "port/1"
    assert "port/1" in repr(made)
    assert any_session.count_net_luid_indexes(6).allocated == 0


def test_keys_of_providers_and_compartments(
    any_session: ndis.Session,
) -> None:
    """One key is another identity of another provider or compartment."""
    identities = [
        any_session.register_provider(name, compartment=where).identity("k", 6)
        for name in ("a", "b")
        for where in ("", "red")
    ]
    assert len({each.net_luid for each in identities}) == 4
    assert len({each.if_index for each in identities}) == 4
    assert len({each.interface_guid for each in identities}) == 4


def test_identity_keeps_its_if_type(any_session: ndis.Session) -> None:
    """Another IfType for an existing key is refused, and nothing changes."""
    provider = any_session.register_provider("acme")
    made = provider.identity("k", 6)
    with pytest.raises(ndis.IdentityConflictError, match="131"):
        provider.identity("k", 131)
    assert provider.identity("k", 6).net_luid == made.net_luid
    assert any_session.count_net_luid_indexes(131).allocated == 0


@pytest.mark.parametrize(
    "key", ["", "x" * 256, "a\0b", "a\ud800", b"bytes", None, 5]
)
def test_no_such_key(any_session: ndis.Session, key: Any) -> None:
    """A key is a str of 1 to 255 characters, no NUL, no surrogate."""
    provider = any_session.register_provider("p")
    with pytest.raises(ndis.InvalidParameterError):
        provider.identity(key, 6)
    with pytest.raises(ndis.InvalidParameterError):
        provider.find(key)
    provider.identity("x\n" * 127 + "\U0001f600", 6)


@pytest.mark.parametrize("alias", ["x" * 257, "a\0b", "a\udfff"])
def test_no_such_alias(any_session: ndis.Session, alias: str) -> None:
    """An alias that no OID could tell is refused when it is given."""
    provider = any_session.register_provider("p")
    with pytest.raises(ndis.InvalidParameterError):
        provider.identity("k", 6, alias=alias)
    assert provider.find("k") is None
    identity = provider.identity("k", 6, alias="x" * 256)
    with pytest.raises(ndis.InvalidParameterError):
        identity.update(alias=alias)
    with pytest.raises(TypeError):
        identity.update(alias=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("made", [False, True])
def test_uncertain_commit(store_path: Path, made: bool) -> None:
    """What nobody knows to be stored is not handed out to another."""

    class Uncertain(SqliteStore):
        on = True

        def retain(self, *args: Any, **kwargs: Any) -> None:
            if made or not self.on:
                super().retain(*args, **kwargs)
            if self.on:
                raise ndis.StoreUncertainError("the disk failed")

    store = Uncertain(store_path)
    with ndis.Session(store) as session:
        provider = session.register_provider("p")
        with pytest.raises(ndis.StoreUncertainError):
            provider.identity("k", 6)
        taken = session.count_net_luid_indexes(6).allocated
        assert taken == 1
        store.on = False
        found = provider.identity("k", 6)
        new = session.allocate_net_luid_indexes(6, 4094)
        assert found.net_luid.net_luid_index not in new
        assert len(set(new)) == 4094
        assert (session.count_net_luid_indexes(6).allocated) == 4095
    with ndis.Session(store_path) as session:
        provider = session.register_provider("p")
        assert provider.identity("k", 6).net_luid == found.net_luid
        assert session.store.check() == []


def test_no_such_if_type_of_an_identity(session: ndis.Session) -> None:
    """An identity of an impossible IfType is refused."""
    provider = session.register_provider("p")
    for if_type in (0, 65536, -1):
        with pytest.raises(ndis.InvalidParameterError):
            provider.identity("k", if_type)
    assert provider.find("k") is None


def test_non_persistent_identity_ends_with_its_session(
    store_path: Path,
) -> None:
    """A non-persistent identity is gone when its session is."""
    with ndis.Session(store_path) as session:
        provider = session.register_provider("p")
        brief = provider.identity("brief", 6, persistent=False)
        lasting = provider.identity("lasting", 6)
        assert not brief.persistent
        provider.register_interface(brief)
    with ndis.Session(store_path) as session:
        provider = session.register_provider("p")
        assert provider.find("brief") is None
        assert provider.find("lasting") is not None
        new = set(session.allocate_net_luid_indexes(6, 4095))
        assert brief.net_luid.net_luid_index in new
        assert lasting.net_luid.net_luid_index not in new
        assert session.store.check() == []


def test_identity_without_an_if_index(any_session: ndis.Session) -> None:
    """An identity need not have an ifIndex of its own."""
    provider = any_session.register_provider("p")
    identity = provider.identity("k", 6, if_index=False)
    assert identity.if_index == 0
    interface = provider.register_interface(identity)
    assert interface.if_index > 0


def test_identity_keeps_its_if_index(store_path: Path) -> None:
    """A handed-out ifIndex is the identity's, registered or not."""
    with ndis.Session(store_path) as session:
        provider = session.register_provider("p")
        mine = provider.identity("mine", 6)
    for _ in range(2):
        with ndis.Session(store_path) as session:
            provider = session.register_provider("p")
            others = [
                provider.register_interface(NetLuid.make(6, index)).if_index
                for index in session.allocate_net_luid_indexes(6, 50)
            ]
            assert mine.if_index not in others
            again = provider.identity("mine", 6)
            interface = provider.register_interface(again)
            assert interface.if_index == mine.if_index


def test_update(any_session: ndis.Session) -> None:
    """Alias and attributes can be changed, durably."""
    provider = any_session.register_provider("p")
    identity = provider.identity("k", 6, attributes={"a": "1"})
    identity.update()
    identity.update(alias="new")
    identity.update(attributes={"b": "2"})
    found = provider.find("k")
    assert found is not None
    for each in (identity, found):
        assert each.alias == "new"
        assert dict(each.record.attributes) == {"b": "2"}
    with pytest.raises(ndis.InvalidParameterError):
        identity.update(alias="x" * 257)


def test_update_from_another_session(store_path: Path) -> None:
    """Any session may change an alias, also of what is not its own."""
    with ndis.Session(store_path) as one, ndis.Session(store_path) as other:
        first, second = (each.register_provider("p") for each in (one, other))
        for key, persistent in (("lasting", True), ("brief", False)):
            first.identity(key, 6, persistent=persistent)
            found = second.find(key)
            assert found is not None
            found.update(alias=key)
            again = first.identity(key, 6, persistent=persistent)
            assert again.alias == key
        assert one.store.check() == []


def test_release(any_session: ndis.Session) -> None:
    """A released identity is gone, and its key makes a new one."""
    provider = any_session.register_provider("p")
    identity = provider.identity("k", 6)
    interface = provider.register_interface(identity)
    with pytest.raises(ndis.InUseError):
        identity.release()
    interface.deregister()
    identity.release()
    assert provider.find("k") is None
    with pytest.raises((NotRetainedError, ndis.InvalidParameterError)):
        identity.release()
    with pytest.raises((NotRetainedError, ndis.InvalidParameterError)):
        provider.register_interface(identity)
    new = provider.identity("k", 6)
    assert new.interface_guid != identity.interface_guid


def test_identity_of_another_session_is_in_use(store_path: Path) -> None:
    """An identity registered elsewhere is refused, with the holder named."""
    with ndis.Session(store_path) as one, ndis.Session(store_path) as other:
        first = one.register_provider("p")
        second = other.register_provider("p")
        identity = first.identity("k", 6)
        same = second.identity("k", 6)
        assert same.net_luid == identity.net_luid
        interface = first.register_interface(identity)
        with pytest.raises(ndis.IdentityInUseError, match="pid"):
            second.register_interface(same)
        with pytest.raises(ndis.IdentityInUseError, match="pid"):
            same.release()
        assert other.interface_count == 0
        interface.deregister()
        mine = second.register_interface(same)
        assert mine.if_index == interface.if_index
        with pytest.raises(ndis.IdentityInUseError):
            first.register_interface(identity)
        mine.remove()
        assert first.find("k") is None


def test_lost_race_returns_the_winners(store_path: Path) -> None:
    """Two that make the same identity at once get the same one."""
    with ndis.Session(store_path) as one, ndis.Session(store_path) as other:
        first, second = (each.register_provider("p") for each in (one, other))
        real, calls = one.store.find, []

        def find_late(*args: str) -> Any:
            calls.append(args)
            found = real(*args)
            if len(calls) == 1:
                calls.append(second.identity("k", 6))
            return found

        one.store.find = find_late  # type: ignore[method-assign]
        identity = first.identity("k", 6)
        assert identity.net_luid == calls[1].net_luid
        assert identity.if_index == calls[1].if_index
        for session in (one, other):
            assert session.count_net_luid_indexes(6).allocated == 0
        assert one.store.check() == []


# -- interfaces


@pytest.mark.smoke
def test_life_of_an_interface(any_session: ndis.Session) -> None:
    """Register, deregister, register again, remove."""
    provider = any_session.register_provider("acme")
    identity = provider.identity("k", ETHERNET)
    with provider.register_interface(identity) as interface:
        assert any_session.interface_count == 1
        assert interface.net_luid == identity.net_luid
        assert interface.interface_guid == identity.interface_guid
        assert interface.identity is identity
        with pytest.raises(ndis.DuplicateObjectIdError):
            provider.register_interface(identity)
    assert any_session.interface_count == 0
    with pytest.raises(ndis.InterfaceNotFoundError):
        interface.deregister()
    again = provider.register_interface(identity)
    assert again.if_index == interface.if_index
    again.remove()
    assert provider.find("k") is None


def test_remove_of_a_bare_net_luid(any_session: ndis.Session) -> None:
    """Removing an interface without an identity frees its index."""
    provider = any_session.register_provider("p")
    index = any_session.allocate_net_luid_index(6)
    interface = provider.register_interface(NetLuid.make(6, index))
    with pytest.raises(ndis.InvalidParameterError):
        any_session.free_net_luid_index(6, index)
    interface.remove()
    state = any_session.test_net_luid_index(6, index)
    assert state == ndis.IndexState.FREE


def test_remove_of_a_retained_net_luid(any_session: ndis.Session) -> None:
    """Removing an interface with a merely retained index releases it."""
    provider = any_session.register_provider("p")
    index = any_session.allocate_net_luid_index(6)
    any_session.retain_net_luid_indexes(6, [index])
    provider.register_interface(NetLuid.make(6, index)).remove()
    state = any_session.test_net_luid_index(6, index)
    assert state == ndis.IndexState.FREE


def test_facts(session: ndis.Session) -> None:
    """What an interface is registered with is what its row says."""
    provider = session.register_provider("p")
    guid, network = uuid.uuid4(), uuid.uuid4()
    index = session.allocate_net_luid_index(ETHERNET)
    information = InterfaceInformation(
        description="Märklin ☃",
        physical_address=b"\2\0\0\0\0\1",
        permanent_address=b"\2\0\0\0\0\2",
        access_type=ndis.IfAccessType.POINT_TO_POINT,
        connection_type=ndis.IfConnectionType.PASSIVE,
        direction_type=ndis.IfDirectionType.SENDONLY,
        connector_present=True,
        media_type=ndis.Medium.TUNNEL,
        physical_medium_type=ndis.PhysicalMedium._802_3,
        network_guid=network,
        flags=ndis.IfFlags.HARDWARE_INTERFACE,
    )
    interface = provider.register_interface(
        NetLuid.make(ETHERNET, index), information, interface_guid=guid
    )
    row = session.interface_entry(interface.net_luid)
    assert row.description == "Märklin ☃"
    assert row.physical_address == b"\2\0\0\0\0\1"
    assert row.permanent_physical_address == b"\2\0\0\0\0\2"
    assert row.interface_guid == interface.interface_guid == guid
    assert row.network_guid == network
    assert row.access_type is ndis.IfAccessType.POINT_TO_POINT
    assert row.connection_type is ndis.IfConnectionType.PASSIVE
    assert row.direction_type is ndis.IfDirectionType.SENDONLY
    assert row.media_type is ndis.Medium.TUNNEL
    assert row.physical_medium_type is ndis.PhysicalMedium._802_3
    assert interface.query(Oid.GEN_MEDIA_IN_USE) == [ndis.Medium.TUNNEL]
    with pytest.raises(ndis.NotSupportedError):
        interface.query(Oid._802_3_CURRENT_ADDRESS)  # its medium has none
    again = provider.register_interface(
        NetLuid.make(6, session.allocate_net_luid_index(6)),
        information,
        description="other",
        media_type=ndis.Medium._802_3,
    )
    assert again.query(Oid._802_3_CURRENT_ADDRESS) == b"\2\0\0\0\0\1"
    assert again.query(Oid._802_3_PERMANENT_ADDRESS) == b"\2\0\0\0\0\2"
    row = session.interface_entry(again.net_luid)
    assert (row.description, row.network_guid) == ("other", network)


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"description": "x" * 257}, ndis.InvalidParameterError),
        ({"description": "a\0b"}, ndis.InvalidParameterError),
        ({"physical_address": bytes(33)}, ndis.InvalidParameterError),
        ({"permanent_address": bytes(6)}, ndis.InvalidParameterError),
        ({"access_type": 99}, ndis.InvalidParameterError),
        ({"direction_type": 99}, ndis.InvalidParameterError),
        ({"connection_type": 0}, ndis.InvalidParameterError),
        ({"if_index": 1 << 31}, ndis.InvalidParameterError),
        ({"no_such_fact": 1}, TypeError),
    ],
)
def test_impossible_facts(
    session: ndis.Session, facts: dict[str, Any], error: type[Exception]
) -> None:
    """Facts that no interface has are refused, and nothing is taken."""
    provider = session.register_provider("p")
    luid = NetLuid.make(6, session.allocate_net_luid_index(6))
    with pytest.raises(error):
        provider.register_interface(luid, **facts)
    assert session.interface_count == 0
    assert provider.register_interface(luid).if_index == 1


def test_wanted_if_index(any_session: ndis.Session) -> None:
    """A wanted ifIndex is had if it is free, or refused."""
    provider = any_session.register_provider("p")
    one, other = (
        NetLuid.make(6, index)
        for index in any_session.allocate_net_luid_indexes(6, 2)
    )
    first = provider.register_interface(one, if_index=7)
    assert first.if_index == 7
    with pytest.raises(ndis.InUseError):
        provider.register_interface(other, if_index=7)
    first.deregister()
    assert provider.register_interface(other, if_index=7).if_index == 7


def test_register_many(any_session: ndis.Session) -> None:
    """Many identities register in one call, each with its own outcome."""
    provider = any_session.register_provider("p")
    identities = [provider.identity(f"port/{n}", 6) for n in range(20)]
    busy = provider.register_interface(identities[3])
    done = provider.register_interfaces(
        identities,
        [InterfaceInformation(description=each.key) for each in identities],
        [each.if_index for each in identities],
    )
    assert isinstance(done[3], ndis.DuplicateObjectIdError)
    for n, each in enumerate(done):
        if n == 3:
            continue
        assert isinstance(each, ndis.Interface)
        assert each.if_index == identities[n].if_index
        row = any_session.interface_entry(each.net_luid)
        assert row.description == f"port/{n}"
        each.deregister()
    busy.deregister()
    assert any_session.interface_count == 0


def test_register_many_of_other_lengths(session: ndis.Session) -> None:
    """Too few or too many facts or ifIndexes are refused, before C runs."""
    provider = session.register_provider("p")
    identities = [provider.identity(f"port/{n}", 6) for n in range(40)]
    facts = [InterfaceInformation()] * 41
    for information, if_indexes in (
        (facts[:40], [0]),
        (facts[:40], [0] * 41),
        (facts[:39], [0] * 40),
        (facts, [0] * 40),
    ):
        with pytest.raises(ndis.InvalidParameterError, match="40"):
            provider.register_interfaces(identities, information, if_indexes)
    assert session.interface_count == 0
    assert not session._interfaces
    done = provider.register_interfaces(
        identities, facts[:40], [-1, *[0] * 38, 1 << 40]
    )
    assert isinstance(done[0], ndis.InvalidParameterError)
    assert isinstance(done[39], ndis.InvalidParameterError)
    assert session.interface_count == len(session._interfaces) == 38


def test_register_many_of_no_provider(session: ndis.Session) -> None:
    """What was not tried at all is not kept either."""
    provider = session.register_provider("p")
    identity = provider.identity("k", 6)
    provider.deregister()
    with pytest.raises(ndis.InvalidParameterError):
        provider.register_interfaces([identity], [InterfaceInformation()], [0])
    with pytest.raises(ndis.InvalidParameterError):
        provider.register_interface(identity)
    assert not session._interfaces
    assert not session._uncertain


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("registered", [False, True])
def test_interrupted_registration(
    session: ndis.Session,
    monkeypatch: pytest.MonkeyPatch,
    many: bool,
    registered: bool,
) -> None:
    """Ctrl-C around the call of the core frees nothing that it may use."""
    provider = session.register_provider("p", oids={COUNTER: lambda c, o: 5})
    identity = provider.identity("k", 6)
    name = "register_interfaces" if many else "register_interface"
    real = getattr(session._core, name)

    def interrupted(*args: Any) -> None:
        if registered:
            real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(session._core, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        if many:
            provider.register_interfaces(
                [identity], [InterfaceInformation()], [0]
            )
        else:
            provider.register_interface(identity)
    monkeypatch.undo()
    gc.collect()
    assert [bytes(96) for _ in range(1000)]
    assert session.interface_count == registered
    if registered:
        assert session.query(identity.net_luid, COUNTER) == 5
    else:
        provider.register_interface(identity)
    with provider:
        pass
    assert session.interface_count == 0


@pytest.mark.parametrize("policy", list(ndis.IfIndexPolicy))
def test_stale_interface_ends_nobody_else(policy: int) -> None:
    """An interface that is gone does not take another's ifIndex with it."""
    with ndis.Session(if_index_policy=policy) as session:
        provider = session.register_provider("p")
        one, other = (
            NetLuid.make(6, i) for i in session.allocate_net_luid_indexes(6, 2)
        )
        stale = provider.register_interface(one, if_index=7)
        stale.deregister()
        living = provider.register_interface(other, if_index=7)
        again = provider.register_interface(one)
        with pytest.raises(ndis.InterfaceNotFoundError):
            stale.deregister()
        with stale:
            pass
        assert session.interface_count == 2
        assert living.if_index == 7
        for each in (living, again):
            each.deregister()


def test_deregistered_again_while_it_goes(session: ndis.Session) -> None:
    """After a timeout it can be waited for again, but ends nobody else."""
    inside, go_on = threading.Event(), threading.Event()

    def wait(context: Any, oid: int) -> int:
        inside.set()
        assert go_on.wait(30)
        return 5

    provider = session.register_provider("p", oids={COUNTER: wait})
    one, other = (
        NetLuid.make(6, i) for i in session.allocate_net_luid_indexes(6, 2)
    )
    slow = provider.register_interface(one, if_index=7)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(slow.query, COUNTER)
        assert inside.wait(30)
        for _ in range(2):
            with pytest.raises(ndis.NdisTimeoutError):
                slow.deregister(0)
        assert session.interface_count == 1
        go_on.set()
        assert asked.result(30) == 5
    living = provider.register_interface(other, if_index=7)
    with pytest.raises(ndis.InterfaceNotFoundError):
        slow.deregister()
    assert session.interface_count == 1
    living.deregister()


def test_completed_interfaces_are_forgotten(session: ndis.Session) -> None:
    """What handlers have completed is let go of by the next call."""
    inside, go_on = threading.Event(), threading.Event()
    targets: list[ndis.Interface] = []

    def wait(context: Any, oid: int) -> int:
        inside.set()
        assert go_on.wait(30)
        return 5

    def end(context: Any, oid: int) -> int:
        targets[-1].deregister()
        return 1

    busy = session.register_provider("busy", oids={COUNTER: wait})
    ender = session.register_provider("ender", oids={COUNTER: end})
    indexes = list(session.allocate_net_luid_indexes(6, 5))
    ending = ender.register_interface(NetLuid.make(6, indexes.pop()))
    with ThreadPoolExecutor(1) as pool:
        for index in indexes:
            inside.clear()
            go_on.clear()
            target = busy.register_interface(NetLuid.make(6, index))
            targets.append(target)
            asked = pool.submit(target.query, COUNTER)
            assert inside.wait(30)
            assert ending.query(COUNTER) == 1
            assert target in session._interfaces  # its handler still runs
            assert session.interface_count == 2
            go_on.set()
            assert asked.result(30) == 5
            assert len(session._interfaces) <= 2
    ending.deregister()
    assert not session._interfaces
    assert not session._uncertain


def test_if_index_in_a_handler_that_is_early(
    session: ndis.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that runs before it is all told knows its ifIndex."""
    provider = session.register_provider(
        "p", oids={COUNTER: lambda context, oid: context.if_index}
    )
    luid = NetLuid.make(6, session.allocate_net_luid_index(6))
    real, early = session._core.register_interface, []

    def register(*args: Any) -> Any:
        done = real(*args)
        early.append(session.query(luid, COUNTER))
        return done

    monkeypatch.setattr(session._core, "register_interface", register)
    interface = provider.register_interface(luid)
    assert early == [interface.if_index]
    assert "?" not in repr(interface)


def test_exceptions_keep_their_context(session: ndis.Session) -> None:
    """What a handler raises has the context that it was raised with."""

    def fail(context: Any, oid: int, value: Any = None) -> int:
        try:
            return 1 // 0
        except ZeroDivisionError:
            raise ValueError("mine")  # noqa: B904

    class Handler:
        query_object = staticmethod(fail)
        set_object = staticmethod(fail)

    provider = session.register_provider("p", Handler())
    luid = NetLuid.make(6, session.allocate_net_luid_index(6))
    interface = provider.register_interface(luid)
    for call in (
        lambda: interface.query(COUNTER),
        lambda: session.query_bytes(luid, COUNTER),
        lambda: interface.set(Oid.GEN_CURRENT_LOOKAHEAD, 1),
    ):
        try:
            raise KeyError("the caller's")
        except KeyError:
            with pytest.raises(ValueError, match="mine") as caught:
                call()
        context = caught.value.__context__
        assert isinstance(context, ZeroDivisionError)
        assert caught.value.__traceback__ is not None


def test_publish_in_a_signal_handler(session: ndis.Session) -> None:
    """A signal handler that publishes does not spoil what it interrupts."""
    provider = session.register_provider("p")
    one, other = (
        provider.register_interface(NetLuid.make(6, i))
        for i in session.allocate_net_luid_indexes(6, 2)
    )

    class Interrupting:
        def __index__(self) -> int:
            other.publish(mtu=2, in_octets=2, alias="other")
            return 1

        __int__ = __index__

    one.publish(alias="one", mtu=1, in_octets=Interrupting())
    for interface, number, alias in ((one, 1, "one"), (other, 2, "other")):
        row = session.interface_entry(interface.net_luid)
        assert (row.mtu, row.in_octets, row.alias) == (number, number, alias)


def test_publish(session: ndis.Session) -> None:
    """Published values answer their OIDs and stand in the table."""
    provider = session.register_provider("p")
    luid = NetLuid.make(6, session.allocate_net_luid_index(6))
    interface = provider.register_interface(luid)
    with pytest.raises(ndis.NotSupportedError):
        interface.query(Oid.GEN_ALIAS)
    interface.publish(alias="Straße", oper_status=ndis.IfOperStatus.DORMANT)
    session.publish(luid, in_octets=2**64 - 1)
    interface.publish(mtu=9000)
    assert interface.query(Oid.GEN_ALIAS) == "Straße"
    assert interface.query(Oid.GEN_OPERATIONAL_STATUS) == 5
    row = session.interface_entry(luid)
    assert row.alias == "Straße"
    assert row.oper_status is ndis.IfOperStatus.DORMANT
    assert row.in_octets == 2**64 - 1
    assert row.mtu == 9000
    with pytest.raises(TypeError, match="speling"):
        interface.publish(speling=1)
    for wrong in (
        {"oper_status": 0},
        {"oper_status": 8},
        {"admin_status": 4},
        {"media_connect_state": 3},
        {"alias": "x" * 257},
    ):
        with pytest.raises(ndis.InvalidParameterError):
            interface.publish(**wrong)
    for wrong in (
        {"mtu": 1 << 32},
        {"mtu": 1 << 40},
        {"in_octets": -1},
        {"admin_status": -1},
    ):
        with pytest.raises(ndis.InvalidParameterError, match="out of range"):
            interface.publish(**wrong)
    for wrong in ({"alias": 5}, {"mtu": "9000"}, {"mtu": 1.5}):
        with pytest.raises(TypeError):
            interface.publish(**wrong)
    assert session.interface_entry(luid) == row
    interface.deregister()
    with pytest.raises(ndis.InterfaceNotFoundError):
        interface.publish(mtu=1)


def test_published_values_end_with_the_registration(
    session: ndis.Session,
) -> None:
    """An interface that registers again has published nothing yet."""
    provider = session.register_provider("p")
    luid = NetLuid.make(6, session.allocate_net_luid_index(6))
    interface = provider.register_interface(luid)
    interface.publish(mtu=9000, alias="old")
    interface.deregister()
    again = provider.register_interface(luid)
    for oid in (Oid.GEN_MAXIMUM_FRAME_SIZE, Oid.GEN_ALIAS):
        with pytest.raises(ndis.NotSupportedError):
            again.query(oid)
    assert session.interface_entry(luid).alias == ""


# -- providers


def test_provider_context_manager(session: ndis.Session) -> None:
    """Leaving a provider deregisters its interfaces, not those of others."""
    other = session.register_provider("other")
    luids = [
        NetLuid.make(6, i) for i in session.allocate_net_luid_indexes(6, 4)
    ]
    other.register_interface(luids[0])
    with session.register_provider("p") as provider:
        for luid in luids[1:]:
            provider.register_interface(luid)
        assert session.interface_count == 4
    assert session.interface_count == 1
    with pytest.raises(ndis.InvalidParameterError):
        provider.register_interface(luids[1])
    assert repr(provider) == "<ndisbridge.Provider 'p'>"


def test_provider_leaves_although_its_store_fails(store_path: Path) -> None:
    """Leaving a provider deregisters all, whatever the store raises."""

    class Failing(SqliteStore):
        def unconfirm(self, *args: Any) -> None:
            raise ndis.StoreError("the disk is on fire")

    with ndis.Session(Failing(store_path)) as session:
        with pytest.raises(ndis.StoreError, match="on fire"):
            with session.register_provider("p") as provider:
                for n in range(3):
                    provider.register_interface(provider.identity(f"{n}", 6))
        assert session.interface_count == 0
        provider.deregister()


def test_provider_leaves_after_its_session() -> None:
    """A provider may be left when its session is closed already."""
    session = ndis.Session()
    with session.register_provider("p") as provider:
        index = session.allocate_net_luid_index(6)
        with provider.register_interface(NetLuid.make(6, index)):
            session.close()
    assert session.closed


def test_many_providers(session: ndis.Session) -> None:
    """Providers come and go; a stale handle is refused, never followed."""
    for _ in range(3):
        providers = [session.register_provider(f"p{n}") for n in range(300)]
        for provider in providers:
            provider.deregister()
        for provider in providers:
            with pytest.raises(ndis.InvalidParameterError):
                provider.deregister()


def test_two_providers_of_one_name(session: ndis.Session) -> None:
    """Two providers of one name share the identities of that name."""
    one, other = (session.register_provider("p") for _ in range(2))
    identity = one.identity("k", 6)
    assert other.identity("k", 6).net_luid == identity.net_luid
    one.register_interface(identity)
    with pytest.raises(ndis.DuplicateObjectIdError):
        other.register_interface(identity)


def test_uncertain_adoption(
    session: ndis.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of links whose commit is uncertain no index is handed out again."""
    asked: list[int] = []

    def retain(net_luids: Any, **kwargs: Any) -> None:
        asked.extend(net_luids)
        raise ndis.StoreUncertainError("the disk failed")

    try:
        host = LinuxHost(session)
    except CompartmentError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(session._core, "retain_net_luids", retain)
    with host, pytest.raises(ndis.StoreUncertainError):
        host.adopt()
    assert asked
    for luid in map(NetLuid, asked):
        state = session.test_net_luid_index(luid.if_type, luid.net_luid_index)
        assert state == ndis.IndexState.ALLOCATED


def test_refused_facts_leave_nothing(session: ndis.Session) -> None:
    """What is refused before C is called is not kept."""
    provider = session.register_provider("p", oids={Oid.GEN_RCV_OK: int})
    identity = provider.identity("k", 131)
    for facts in ({"description": "x" * 300}, {"flags": "none"}):
        with pytest.raises((ndis.InvalidParameterError, struct.error)):
            provider.register_interface(identity, **facts)
    with pytest.raises((TypeError, OverflowError)):
        provider.register_interface(identity, if_index="one")
    provider.register_interface(identity).deregister()
    assert not session._interfaces
    assert not session._uncertain
