# SPDX-License-Identifier: MIT
"""
What the specification says of the NDIS proxy interface provider, line by
line: its events (5.1), what is durable (5.2), the interface stack (5.4), and
those points of the conformance checklist that its interfaces must pass too.

The kills of point 16 are in test_proxy_crash.py, the threads of point 17 in
test_proxy_races.py.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from interface_info import SINGLES

import ndisbridge as ndis
from ndisbridge import IndexState, Oid, StatusCode
from ndisbridge._ndisbridge import ffi, lib
from ndisbridge.proxy import GeneralAttributes, ProxyProvider
from ndisbridge.structures import StatisticsInfo

#: OIDs of interface providers, which miniports and filters are never sent.
NEVER_SENT = [
    Oid.GEN_PROMISCUOUS_MODE,
    Oid.GEN_LAST_CHANGE,
    Oid.GEN_DISCONTINUITY_TIME,
    Oid.GEN_OPERATIONAL_STATUS,
    Oid.GEN_XMIT_LINK_SPEED,
    Oid.GEN_RCV_LINK_SPEED,
    Oid.GEN_UNKNOWN_PROTOS,
    Oid.GEN_INTERFACE_INFO,
    Oid.GEN_ADMIN_STATUS,
    Oid.GEN_ALIAS,
    Oid.GEN_MEDIA_CONNECT_STATUS_EX,
    Oid.GEN_LINK_SPEED_EX,
    Oid.GEN_MEDIA_DUPLEX_STATE,
]
#: OIDs that NDIS answers from attributes for NDIS 6 miniports.
FROM_ATTRIBUTES = [
    Oid.GEN_MAXIMUM_FRAME_SIZE,
    Oid.GEN_LINK_SPEED,
    Oid.GEN_MEDIA_CONNECT_STATUS,
    Oid.GEN_MAX_LINK_SPEED,
    Oid.GEN_LINK_STATE,
    Oid.GEN_PHYSICAL_MEDIUM,
    Oid.GEN_PHYSICAL_MEDIUM_EX,
]
#: What NDIS 6 miniports must answer.
MANDATORY = {
    Oid.GEN_MAXIMUM_TOTAL_SIZE: 1514,
    Oid.GEN_RCV_OK: 10,
    Oid.GEN_XMIT_OK: 11,
    Oid.GEN_RECEIVE_BLOCK_SIZE: 256,
    Oid.GEN_RECEIVE_BUFFER_SPACE: 65536,
    Oid.GEN_TRANSMIT_BLOCK_SIZE: 256,
    Oid.GEN_TRANSMIT_BUFFER_SPACE: 65536,
    Oid.GEN_VENDOR_DESCRIPTION: b"Acme\0",
    Oid.GEN_VENDOR_DRIVER_VERSION: 0x0001_0002,
    Oid.GEN_VENDOR_ID: 0xACE,
    Oid.GEN_INTERRUPT_MODERATION: bytes(12),
}
COUNTERS = {
    f"if_{name}": n
    for n, name in enumerate(
        (
            "in_discards",
            "in_errors",
            "hc_in_ucast_pkts",
            "hc_in_multicast_pkts",
            "hc_in_broadcast_pkts",
            "hc_out_ucast_pkts",
            "hc_out_multicast_pkts",
            "hc_out_broadcast_pkts",
            "out_errors",
            "out_discards",
            "hc_in_ucast_octets",
            "hc_in_multicast_octets",
            "hc_in_broadcast_octets",
            "hc_out_ucast_octets",
            "hc_out_multicast_octets",
            "hc_out_broadcast_octets",
        ),
        1,
    )
}
STATISTICS = StatisticsInfo(
    supported_statistics=int(sum(ndis.StatisticsFlagsValid)),
    **COUNTERS,
    if_hc_in_octets=11 + 12 + 13,
    if_hc_out_octets=14 + 15 + 16,
)


class Miniport:
    """Answers what NDIS 6 miniports must, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def initialize(self, adapter: Any, parameters: Any) -> GeneralAttributes:
        return GeneralAttributes(
            mtu_size=1500,
            current_mac_address=b"\2\0\0\0\0\1",
            media_connect_state=ndis.MediaConnectState.CONNECTED,
            media_duplex_state=ndis.MediaDuplexState.FULL,
            xmit_link_speed=10**9,
            rcv_link_speed=10**9,
            max_xmit_link_speed=10**9,
            max_rcv_link_speed=10**9,
        )

    def oid_request(self, request: Any) -> Any:
        self.asked.append(request.oid)
        if request.oid == Oid.GEN_STATISTICS:
            return STATISTICS
        try:
            return MANDATORY[Oid(request.oid)]
        except (KeyError, ValueError):
            raise ndis.NotSupportedError from None


@pytest.fixture
def proxy(session):
    with ProxyProvider(session) as made:
        yield made


@pytest.fixture
def both(proxy) -> list[Any]:
    """An adapter and a filter module on it."""
    adapter = proxy.install("eth", Miniport())
    return [adapter, adapter.attach(object(), "f")]


def state(session, net_luid) -> int:
    return session.test_net_luid_index(
        net_luid.if_type, net_luid.net_luid_index
    )


# -- 5.1: the events


def test_adapter_installed(store_path: Path) -> None:
    """Allocate, store durably, register; the driver sees it stored."""
    seen = []

    class Looking(Miniport):
        def initialize(self, adapter: Any, parameters: Any) -> Any:
            with ndis.Session(store_path) as other:
                seen.extend(other.identities())
            return super().initialize(adapter, parameters)

    for virtual in (False, True):
        seen.clear()
        with ndis.Session(store_path) as session:
            with ProxyProvider(session) as proxy:
                key = f"virtual {virtual}"
                adapter = proxy.install(key, Looking(), virtual=virtual)
                luids = {each.key: each.net_luid for each in seen}
                assert luids[key] == adapter.net_luid
                assert session.get_interface_index_from_net_luid(
                    adapter.net_luid
                )


def test_filter_module_attached(session, both) -> None:
    """The same for the filter module."""
    adapter, module = both
    assert module.net_luid != adapter.net_luid
    assert module.net_luid.if_type == adapter.net_luid.if_type
    assert session.interface_count == 2
    assert state(session, module.net_luid) == IndexState.RETAINED


def test_machine_restart_known_adapter(store_path: Path) -> None:
    """Reuse the stored NET_LUID; GUID and name are the same (point 15)."""
    found = []
    for _ in range(2):
        with ndis.Session(store_path) as session:
            assert session.interface_count == 0
            with ProxyProvider(session) as proxy:
                adapter = proxy.install("eth", Miniport())
                module = adapter.attach(object(), "f")
                assert len(session.if_stack_table()) == 1
                found.append(
                    [
                        (each.net_luid.name, each.identity.interface_guid)
                        for each in (adapter, module)
                    ]
                )
    assert found[0] == found[1]


def test_interface_shut_down(session, both) -> None:
    """Deregister; nothing is released."""
    adapter, module = both
    adapter.shutdown()
    assert session.interface_count == 0
    for each in (adapter, module):
        assert state(session, each.net_luid) == IndexState.RETAINED


def test_adapter_uninstalled(session, both) -> None:
    """Deregister, then release; filter modules too."""
    adapter, module = both
    adapter.uninstall()
    assert session.interface_count == 0
    for each in (adapter, module):
        assert state(session, each.net_luid) == IndexState.FREE


def test_filter_module_detached(session, both) -> None:
    """Deregister and release; the adapter stays as it is."""
    adapter, module = both
    module.detach()
    assert session.interface_count == 1
    assert state(session, module.net_luid) == IndexState.FREE
    assert state(session, adapter.net_luid) == IndexState.RETAINED


def test_information_query(both) -> None:
    """
    From the cache, otherwise by an OID request; drivers are never sent what
    is the provider's, nor what their attributes say.
    """
    adapter, _module = both
    for oid in NEVER_SENT + FROM_ATTRIBUTES:
        for each in both:
            assert each.query(oid) is not None
    # INTERFACE_INFO takes the counters from here.
    assert set(adapter.driver.asked) == {Oid.GEN_STATISTICS}
    adapter.driver.asked.clear()
    for oid, value in MANDATORY.items():
        for each in both:
            assert each.query(oid) == value
    assert adapter.driver.asked == [oid for oid in MANDATORY for _ in range(2)]


def test_alias_and_status_are_the_proxys(session, both) -> None:
    """The proxy generates ifAlias and ifOperStatus itself."""
    for each in both:
        row = session.interface_entry(each.net_luid)
        assert row.alias == ""
        assert row.oper_status == ndis.IfOperStatus.UP
        assert row.admin_status == ndis.IfAdminStatus.UP


# -- 5.2


def test_what_survives(store_path: Path) -> None:
    """NET_LUID, GUID and alias do; interfaces and stack rows don't."""
    with ndis.Session(store_path) as session, ProxyProvider(session) as proxy:
        adapter = proxy.install("eth", Miniport(), alias="LAN")
        adapter.set_alias("WAN")
    with ndis.Session(store_path) as session, ProxyProvider(session) as proxy:
        assert session.interface_count == 0
        again = proxy.install("eth", Miniport(), alias="LAN")
        assert again.query(Oid.GEN_ALIAS) == "WAN"
        assert again.identity.interface_guid == adapter.identity.interface_guid


# -- points of the checklist


def test_12_stack(session, both) -> None:
    """No loop over the chain; deregistering removes all rows."""
    adapter, module = both
    with pytest.raises(ndis.StackLoopError):
        session.add_if_stack_entry(adapter.if_index, module.if_index)
    rows = session.if_stack_table().tolist()
    assert rows == [[module.if_index, adapter.if_index]]
    assert 0 not in rows[0]
    adapter.shutdown()
    assert len(session.if_stack_table()) == 0


@pytest.mark.parametrize(
    "oid", [*NEVER_SENT, *FROM_ATTRIBUTES, *MANDATORY, Oid.GEN_STATISTICS]
)
def test_13_query(session, both, oid) -> None:
    """Exact size, one less, eight more; counters with 8, 4 and 3 bytes."""
    exact = len(session.query_bytes(both[0].net_luid, oid))
    is_counter = oid in {Oid.GEN_RCV_OK, Oid.GEN_XMIT_OK}

    def ask(each: Any, room: int) -> tuple[int, int]:
        output = ffi.new("uint64_t[]", 128)
        length = ffi.new("uint32_t *", room)
        status = lib.ndisbridge_query(
            ffi.cast("ndisbridge_session *", session.address),
            output,
            length,
            each.net_luid,
            oid,
        )
        return status, length[0]

    for each in both:
        assert ask(each, exact) == ask(each, exact + 8) == (0, exact)
        if is_counter:
            assert ask(each, 4) == (0, 4)
            assert ask(each, 3) == (StatusCode.INVALID_LENGTH, 8)
        else:
            assert ask(each, exact - 1) == (
                StatusCode.BUFFER_TOO_SHORT,
                exact,
            )


def test_14_interface_info_agrees(session, both) -> None:
    """INTERFACE_INFO says what every single OID says; octets add up."""
    for each in both:
        information = each.query(Oid.GEN_INTERFACE_INFO)
        for member, oid in SINGLES.items():
            assert each.query(oid) == getattr(information, member), member
        for member, value in dataclasses.asdict(STATISTICS).items():
            if member != "supported_statistics":
                assert getattr(information, member) == value, member
        assert information.if_hc_in_octets == 36
        assert information.if_hc_out_octets == 45
        row = session.interface_entry(each.net_luid)
        assert (row.in_octets, row.out_octets) == (36, 45)
        assert row.in_nucast_pkts == 4 + 5
