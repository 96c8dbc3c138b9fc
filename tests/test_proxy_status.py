# SPDX-License-Identifier: MIT
"""Operational status, status indications, and bindings that hear of them."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import (
    IfAdminStatus,
    IfOperStatus,
    IfOperStatusFlags,
    MediaConnectState,
    MediaDuplexState,
    Oid,
)
from ndisbridge.constants import StatusIndication
from ndisbridge.proxy import (
    BindParameters,
    Conditions,
    GeneralAttributes,
    ProtocolRestartParameters,
    ProxyProvider,
    oper_state,
)
from ndisbridge.structures import LinkState, OperState

UP, DOWN, DORMANT = IfOperStatus.UP, IfOperStatus.DOWN, IfOperStatus.DORMANT
NOT_AUTHENTICATED = IfOperStatusFlags.DOWN_NOT_AUTHENTICATED
NOT_CONNECTED = IfOperStatusFlags.DOWN_NOT_MEDIA_CONNECTED
PAUSED = IfOperStatusFlags.DORMANT_PAUSED
LOW_POWER = IfOperStatusFlags.DORMANT_LOW_POWER
CONNECTED = LinkState(
    MediaConnectState.CONNECTED, MediaDuplexState.FULL, 10**9, 10**9, 4, 0
)
DISCONNECTED = LinkState(
    MediaConnectState.DISCONNECTED,
    MediaDuplexState.UNKNOWN,
    ndis.LINK_SPEED_UNKNOWN,
    ndis.LINK_SPEED_UNKNOWN,
    4,
    0,
)


class Card:
    def initialize(self, adapter, parameters):
        return GeneralAttributes(
            media_connect_state=MediaConnectState.CONNECTED
        )


class Hearing:
    """A filter module, or a protocol driver, that notes what it hears."""

    def __init__(self, heard: list[Any], name: str) -> None:
        self.heard = heard
        self.name = name

    def attach(self, module, parameters):
        pass

    def status(self, *arguments: Any) -> None:
        self.heard.append((self.name, *arguments[-2:]))


@pytest.fixture
def proxy(session):
    with ProxyProvider(session) as made:
        yield made


def told(interface: Any) -> tuple[int, int]:
    """Status and flags as the interface tells them."""
    information = interface.query(Oid.GEN_INTERFACE_INFO)
    status = interface.query(Oid.GEN_OPERATIONAL_STATUS)
    assert status == information.if_oper_status
    return status, information.if_oper_status_flags


# -- the rules


@pytest.mark.parametrize(
    ("conditions", "status", "flags"),
    [
        ({}, UP, 0),
        ({"paused": True}, DORMANT, PAUSED),
        ({"low_power": True}, DORMANT, LOW_POWER),
        ({"port_authenticated": False}, DOWN, NOT_AUTHENTICATED),
        ({"media_connect_state": 2}, DOWN, NOT_CONNECTED),
        ({"media_connect_state": 0}, UP, 0),
        ({"admin_status": 2}, DOWN, 0),
        ({"admin_status": 3}, IfOperStatus.TESTING, 0),
        ({"lower_layer_down": True}, IfOperStatus.LOWER_LAYER_DOWN, 0),
        ({"present": False}, IfOperStatus.NOT_PRESENT, 0),
    ],
)
def test_one_cause(conditions, status, flags) -> None:
    """The table of the reference: each cause with its reason flag."""
    assert oper_state(Conditions(**conditions)) == OperState(status, flags)


def test_all_causes_together() -> None:
    """
    NOT_PRESENT > (under test) > DOWN > LOWER_LAYER_DOWN > DORMANT > UP in
    every combination, flags with DOWN and DORMANT only, of all causes.
    """
    order = [
        IfOperStatus.NOT_PRESENT,
        IfOperStatus.TESTING,
        DOWN,
        IfOperStatus.LOWER_LAYER_DOWN,
        DORMANT,
        UP,
    ]
    causes = [
        ({"present": False}, IfOperStatus.NOT_PRESENT, 0),
        ({"port_authenticated": False}, DOWN, 1),
        ({"media_connect_state": 2}, DOWN, 2),
        ({"lower_layer_down": True}, IfOperStatus.LOWER_LAYER_DOWN, 0),
        ({"paused": True}, DORMANT, 4),
        ({"low_power": True}, DORMANT, 8),
    ]
    for admin in IfAdminStatus:
        own = {IfAdminStatus.DOWN: DOWN, IfAdminStatus.TESTING: order[1]}
        for holds in itertools.product((False, True), repeat=len(causes)):
            conditions = {"admin_status": admin}
            statuses, flags = {own.get(admin, UP)}, 0
            for (change, status, flag), held in zip(
                causes, holds, strict=True
            ):
                if held:
                    conditions |= change
                    statuses.add(status)
                    flags |= flag
            strongest = min(statuses, key=order.index)
            if strongest not in {DOWN, DORMANT}:
                flags = 0
            assert oper_state(Conditions(**conditions)) == OperState(
                strongest, flags
            )


def test_filters_follow_their_adapter(session, proxy) -> None:
    """They are what it is; a paused one is DORMANT and PAUSED."""
    adapter = proxy.install("eth", Card())
    modules = [adapter.attach(object(), "f") for _ in range(2)]
    everything = [adapter, *modules]
    changes = [
        (lambda: adapter.pause(), (DORMANT, PAUSED)),
        (lambda: adapter.report(low_power=True), (DORMANT, PAUSED | 8)),
        (lambda: adapter.restart(), (DORMANT, LOW_POWER)),
        (lambda: adapter.report(low_power=False), (UP, 0)),
        (lambda: adapter.report(port_authenticated=False), (DOWN, 1)),
        (
            lambda: adapter.indicate_status(0x40010017, DISCONNECTED),
            (DOWN, 3),
        ),
        (lambda: adapter.report(port_authenticated=True), (DOWN, 2)),
        (lambda: adapter.report(present=False), (IfOperStatus.NOT_PRESENT, 0)),
        (lambda: adapter.report(present=True), (DOWN, 2)),
        (
            lambda: adapter.indicate_status(0x40010017, CONNECTED),
            (UP, 0),
        ),
        (lambda: adapter.set_admin_status(2), (DOWN, 0)),
        (lambda: adapter.set_admin_status(1), (UP, 0)),
        (
            lambda: adapter.report(lower_layer_down=True),
            (IfOperStatus.LOWER_LAYER_DOWN, 0),
        ),
        (lambda: adapter.report(lower_layer_down=False), (UP, 0)),
    ]
    for change, expected in changes:
        change()
        assert [told(each) for each in everything] == [expected] * 3
        assert adapter.oper_state == OperState(*expected)
        row = session.interface_entry(adapter.net_luid)
        assert row.interface_and_oper_status_flags >> 3 & 0xF == expected[1]
    modules[0].pause()
    modules[0].pause()
    assert told(modules[0]) == (DORMANT, PAUSED)
    assert told(adapter) == told(modules[1]) == (UP, 0)
    adapter.indicate_status(0x40010017, DISCONNECTED)
    assert told(modules[0]) == (DOWN, NOT_CONNECTED | PAUSED)
    adapter.indicate_status(0x40010017, CONNECTED)
    modules[0].restart()
    assert told(modules[0]) == (UP, 0)
    paused = adapter.attach(object(), "g", paused=True)
    assert told(paused) == (DORMANT, PAUSED)


def test_last_change(proxy) -> None:
    """ms since the machine started, of the last change of the status."""
    adapter = proxy.install("eth", Card())
    first = adapter.query(Oid.GEN_LAST_CHANGE)
    now = time.clock_gettime(time.CLOCK_BOOTTIME) * 1000
    assert now - 60_000 < first <= now
    adapter.report(low_power=False)  # no change
    assert adapter.query(Oid.GEN_LAST_CHANGE) == first
    time.sleep(0.005)
    adapter.pause()
    second = adapter.query(Oid.GEN_LAST_CHANGE)
    assert second > first
    time.sleep(0.005)
    adapter.report(low_power=True)  # DORMANT as before, for one reason more
    assert adapter.query(Oid.GEN_LAST_CHANGE) == second


def test_admin_status(proxy) -> None:
    adapter = proxy.install("eth", Card())
    module = adapter.attach(object(), "f")
    adapter.set_admin_status(IfAdminStatus.DOWN)
    assert module.query(Oid.GEN_ADMIN_STATUS) == IfAdminStatus.DOWN
    for wrong in (0, 4):
        with pytest.raises(ndis.InvalidParameterError):
            adapter.set_admin_status(wrong)


# -- indications


def test_a_link_state_changes_the_values(proxy) -> None:
    """Speeds, duplex, media state of the adapter and of its filters."""
    adapter = proxy.install("eth", Card())
    module = adapter.attach(object(), "f")
    state = LinkState(1, 1, 25_000_000_000, 5, 3, 7)
    adapter.indicate_status(StatusIndication.LINK_STATE, state)
    for each in (adapter, module):
        assert each.query(Oid.GEN_XMIT_LINK_SPEED) == 25_000_000_000
        assert each.query(Oid.GEN_RCV_LINK_SPEED) == 5
        assert each.query(Oid.GEN_MEDIA_DUPLEX_STATE) == MediaDuplexState.HALF
        assert each.query(Oid.GEN_MEDIA_CONNECT_STATUS_EX) == 1
        assert each.query(Oid.GEN_LINK_SPEED) == 250_000_000
    assert adapter.link_state == state
    late = adapter.attach(object(), "late")
    assert late.query(Oid.GEN_XMIT_LINK_SPEED) == 25_000_000_000


def test_drivers_must_not_make_oper_status(proxy) -> None:
    """The proxy alone does; and other nonsense is refused too."""
    adapter = proxy.install("eth", Card())
    state = OperState(DOWN, 0)
    for code, value in (
        (StatusIndication.OPER_STATUS, state),
        (StatusIndication.LINK_STATE, state),
        (StatusIndication.LINK_STATE, None),
        (StatusIndication.LINK_STATE, LinkState(3, 0, 0, 0, 0, 0)),
        (StatusIndication.LINK_STATE, LinkState(1, 3, 0, 0, 0, 0)),
        (StatusIndication.LINK_STATE, LinkState(1, 1, 1 << 64, 0, 0, 0)),
    ):
        with pytest.raises(ndis.InvalidParameterError):
            adapter.indicate_status(code, value)
    assert told(adapter) == (UP, 0)
    adapter.uninstall()
    with pytest.raises(ndis.InvalidStateError):
        adapter.indicate_status(StatusIndication.LINK_STATE, CONNECTED)


def test_indications_go_up_in_order(proxy) -> None:
    """Filters lowest first, then protocols; OPER_STATUS made by the proxy."""
    heard: list[Any] = []
    adapter = proxy.install("eth", Card())
    for name in ("low", "high"):
        adapter.attach(Hearing(heard, name), name)
    adapter.bind(Hearing(heard, "protocol"))
    adapter.indicate_status(StatusIndication.LINK_STATE, DISCONNECTED)
    everybody = ("low", "high", "protocol")
    down = OperState(DOWN, NOT_CONNECTED)
    assert sorted(heard, key=lambda each: each[1] != 0x40010023) == [
        *((name, StatusIndication.OPER_STATUS, down) for name in everybody),
        *(
            (name, StatusIndication.LINK_STATE, DISCONNECTED)
            for name in everybody
        ),
    ]
    heard.clear()
    adapter.indicate_status(0x40019999, b"private")
    assert heard == [(name, 0x40019999, b"private") for name in everybody]
    heard.clear()
    adapter.report(low_power=False)
    assert heard == []


def test_what_is_told_may_tell(proxy) -> None:
    """An indication from within one is delivered after it, not inside."""
    heard: list[Any] = []

    class Echo:
        def status(self, code, value):
            heard.append((self, code))
            if code == 0x40019999:
                adapter.indicate_status(0x4001AAAA)
                assert heard[-1][1] == 0x40019999

    adapter = proxy.install("eth", Card())
    echoes = [Echo(), Echo()]
    for each in echoes:
        adapter.attach(each, "f")
    adapter.indicate_status(0x40019999)
    assert heard == [
        (each, code)
        for code in (0x40019999, 0x4001AAAA, 0x4001AAAA)
        for each in echoes
    ]


def test_a_driver_indicates_while_it_is_initialized(proxy) -> None:
    """It holds once the interface is registered."""

    class Early:
        def initialize(self, adapter, parameters):
            adapter.indicate_status(StatusIndication.LINK_STATE, DISCONNECTED)
            return GeneralAttributes(media_connect_state=1)

    adapter = proxy.install("eth", Early())
    assert told(adapter) == (DOWN, NOT_CONNECTED)


def test_indications_of_many_threads(proxy) -> None:
    """Each is told once to each; the last one is what is told at last."""
    heard: list[Any] = []
    adapter = proxy.install("eth", Card())
    adapter.attach(Hearing(heard, "f"), "f")

    def flap(thread: int) -> None:
        for i in range(100):
            adapter.indicate_status(0x40019000 + thread, i)
            adapter.indicate_status(
                StatusIndication.LINK_STATE, (CONNECTED, DISCONNECTED)[i % 2]
            )

    threads = [threading.Thread(target=flap, args=(i,)) for i in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for thread in range(4):
        own = [v for _, code, v in heard if code == 0x40019000 + thread]
        assert own == list(range(100))
    states = [v for _, code, v in heard if code == 0x40010023]
    assert states
    assert all(a != b for a, b in itertools.pairwise(states))
    assert told(adapter) == (
        states[-1].operational_status,
        states[-1].operational_status_flags,
    )
    assert adapter.oper_state == states[-1]


# -- bindings


def test_bind_parameters(proxy) -> None:
    """Bound is the top of the filter stack, lowest the adapter."""
    seen = []

    class Protocol:
        def bind(self, binding, parameters):
            seen.append(parameters)

        def restart(self, binding, parameters):
            seen.append(parameters)

        def unbind(self, binding):
            seen.append("unbind")

    adapter = proxy.install("eth", Card(), description="Acme", if_index=6)
    module = adapter.attach(object(), "f", if_index=15)
    binding = adapter.bind(Protocol())
    assert adapter.bindings == (binding,)
    (told,) = seen
    assert isinstance(told, BindParameters)
    assert (told.bound_if_index, told.bound_if_net_luid) == (
        15,
        module.net_luid,
    )
    assert (told.lowest_if_index, told.lowest_if_net_luid) == (
        6,
        adapter.net_luid,
    )
    assert told.adapter_name == "Acme"
    assert told.if_type == 6
    assert told.mtu_size == 1500
    assert told.media_connect_state == 1
    assert told.if_connector_present
    assert binding.query_binding_if_index() == (
        15,
        module.net_luid,
        6,
        adapter.net_luid,
    )
    assert binding.query(Oid.GEN_MAXIMUM_FRAME_SIZE) == 1500
    with pytest.raises(ndis.NotSupportedError):
        binding.set(Oid.GEN_CURRENT_LOOKAHEAD, 1)
    module.detach()
    upper = adapter.attach(object(), "g", if_index=20)
    assert seen[1:] == [
        ProtocolRestartParameters(6, adapter.net_luid),
        ProtocolRestartParameters(20, upper.net_luid),
    ]
    assert binding.parameters.bound_if_index == 20
    adapter.uninstall()
    assert seen[3] == "unbind"
    with pytest.raises(ndis.InterfaceNotFoundError):
        binding.parameters  # noqa: B018


def test_a_refused_and_a_closed_binding(proxy) -> None:
    class Refusing:
        def bind(self, binding, parameters):
            raise OSError

    adapter = proxy.install("eth", Card())
    with pytest.raises(OSError):
        adapter.bind(Refusing())
    assert adapter.bindings == ()
    heard: list[Any] = []
    binding = adapter.bind(Hearing(heard, "p"))
    binding.close()
    binding.close()
    adapter.indicate_status(0x40019999)
    assert heard == []
    adapter.shutdown()
    with pytest.raises(ndis.InvalidStateError):
        adapter.bind(object())


def test_a_change_from_within_a_change_is_refused(proxy) -> None:
    """A driver that is being attached cannot attach another one."""

    class Nested:
        def attach(self, module, parameters):
            module.adapter.attach(object(), "inner")

    adapter = proxy.install("eth", Card())
    with pytest.raises(ndis.InvalidStateError, match="being changed"):
        adapter.attach(Nested(), "outer")
    assert adapter.filters == ()


def test_a_change_that_hangs_holds_up_its_adapter_only(session) -> None:
    """Others wait no longer than they want; OIDs and states go on."""
    inside, release = threading.Event(), threading.Event()

    class Hanging:
        def attach(self, module, parameters):
            inside.set()
            release.wait(30)

    with ProxyProvider(session) as proxy:
        adapter = proxy.install("eth", Card())
        other = proxy.install("other", Card())
        thread = threading.Thread(
            target=adapter.attach, args=(Hanging(), "hangs")
        )
        thread.start()
        assert inside.wait(30)
        with pytest.raises(ndis.NdisTimeoutError):
            adapter.attach(object(), "f", timeout=0.05)
        other.attach(object(), "f")
        adapter.report(low_power=True)
        assert told(adapter) == (DORMANT, LOW_POWER)
        release.set()
        thread.join()
        assert len(adapter.filters) == 1
