# SPDX-License-Identifier: MIT
"""
The host's links: what the dump says against ``ip``, recognition, and
adoption in network namespaces of this test's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netns import Namespace, ip, made_namespace

import ndisbridge as ndis
from ndisbridge.persistence import IdentityRecord
from ndisbridge.persistence.sqlite import SqliteStore
from ndisbridge.proxy.linux import LinuxHost, LinuxLink
from ndisbridge.proxy.linux.adoption import Adoption, AdoptionState
from ndisbridge.proxy.linux.compartments import (
    CompartmentError,
    current_compartment,
)
from ndisbridge.proxy.linux.recognition import Match, attributes_of, recognise

IF_TYPE_OF_KIND = {
    "bridge": 209,
    "vxlan": 131,
    "vlan": 135,
    "tun": 53,
    "wireguard": 53,
    "bond": 161,
}


# ---------------------------------------------------------------------------
# Namespaces


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    yield from made_namespace()


@pytest.fixture
def other_namespace() -> Iterator[Namespace]:
    yield from made_namespace()


class CountingStore(SqliteStore):
    """The real store, counting transactions that must be durable."""

    durable = 0

    def retain(self, *arguments: Any, **options: Any) -> None:
        self.durable += 1
        super().retain(*arguments, **options)

    def update_many(self, *arguments: Any) -> None:
        self.durable += 1
        super().update_many(*arguments)


@pytest.fixture
def store_path(tmp_path: Path) -> str:
    return str(tmp_path / "ndis.db")


@pytest.fixture
def session(store_path: str) -> Iterator[ndis.Session]:
    with ndis.Session(store_path) as session:
        yield session


# ---------------------------------------------------------------------------
# The dump, against ip


def _build_all_kinds(namespace: Namespace) -> None:
    namespace.add("br0", "type", "bridge")
    namespace.add("v0", "type", "veth", "peer", "name", "v1")
    namespace.add("ifb7", "type", "ifb")
    namespace.add(
        *("vx0", "type", "vxlan", "id", "4", "dev", "v1"),
        *("dstport", "4789", "remote", "10.0.0.1"),
    )
    namespace.add("mv0", "link", "v1", "type", "macvlan")
    namespace.tuntap("tun0", "tun")
    namespace.tuntap("tap0", "tap")
    namespace.ip("link", "set", "v0", "master", "br0")
    for name in ("lo", "br0", "v0", "v1", "mv0", "tun0"):
        namespace.ip("link", "set", name, "up")
    namespace.ip("link", "set", "v1", "alias", "Büro 😀", "mtu", "1400")
    namespace.ip(
        *("link", "property", "add", "dev", "v1"),
        *("altname", "ndis-luid-0006008000000000", "altname", "uplink"),
    )


def test_dump_agrees_withip(
    namespace: Namespace, session: ndis.Session
) -> None:
    """Every member of a record is what ip prints for the same link."""
    _build_all_kinds(namespace)
    for _ in range(100):  # until no packet was counted in between
        time.sleep(0.1)
        before = namespace.ip("-j", "-d", "-s", "-s", "link")
        adopted, rows, numbers = _rows(namespace, session)
        if namespace.ip("-j", "-d", "-s", "-s", "link") == before:
            break
    else:
        pytest.fail("the counters of the namespace never stood still")
    oracle = {each["ifname"]: each for each in json.loads(before)}
    assert [each.name for each in adopted] == list(oracle)
    by_index = {each["ifindex"]: each for each in oracle.values()}
    for each in adopted:
        _check_link(each.link, oracle[each.name], by_index)
        _check_row(rows[each.if_index], oracle[each.name])
        _check_values(numbers[each.if_index], oracle[each.name])


def _rows(
    namespace: Namespace, session: ndis.Session
) -> tuple[Adoption, dict[int, Any], dict[int, Any]]:
    with namespace.entered(), LinuxHost(session) as host:
        adopted = host.adopt()
        return (
            adopted,
            {row.if_index: row for row in session.interface_table()},
            {
                each.if_index: session.query(
                    each.net_luid, ndis.Oid.GEN_INTERFACE_INFO
                )
                for each in adopted
            },
        )


def _check_link(
    link: LinuxLink, ip: dict[str, Any], by_index: dict[int, Any]
) -> None:
    kind = ip.get("linkinfo", {}).get("info_kind", "")
    if kind == "tun":
        kind = ip["linkinfo"]["info_data"]["type"]
    assert link.kind == kind
    assert link.if_index == ip["ifindex"]
    assert link.mtu == ip["mtu"]
    assert link.alias == ip.get("ifalias", "")
    if link.arphrd != 65534:
        assert link.address.hex(":") == ip["address"]
    if "permaddr" in ip:
        assert link.permanent_address.hex(":") == ip["permaddr"]
    assert link.parent_device == ip.get("parentdev", "")
    master = by_index.get(link.master_if_index, {}).get("ifname")
    assert master == ip.get("master")
    expected = 24 if link.name == "lo" else IF_TYPE_OF_KIND.get(kind, 6)
    assert link.if_type == expected
    lower = by_index.get(link.lower_if_index, {}).get("ifname")
    if kind == "vxlan":
        assert lower == ip["linkinfo"]["info_data"]["link"]
    elif kind in {"macvlan", "macvtap", "vlan", "ipvlan", "macsec"}:
        assert lower == ip["link"]
    else:
        assert link.lower_if_index == 0  # a veth's link is its peer
    tags = [
        name
        for name in ip.get("altnames", ())
        if name.startswith("ndis-luid-")
    ]
    assert link.tagged_net_luid == int(tags[0][10:] if tags else "0", 16)


def _check_row(row: Any, ip: dict[str, Any]) -> None:
    up = "UP" in ip["flags"]
    assert row.description == ip["ifname"]
    assert row.alias == ip.get("ifalias", "")
    assert row.mtu == ip["mtu"]
    assert row.admin_status == (1 if up else 2)
    if ip["operstate"] == "UNKNOWN":
        expected = 1 if up and "LOWER_UP" in ip["flags"] else 2
    else:
        expected = {"UP": 1, "DOWN": 2, "LOWERLAYERDOWN": 7}[ip["operstate"]]
    assert row.oper_status == expected
    if up:
        connected = "LOWER_UP" in ip["flags"]
        assert row.media_connect_state == (1 if connected else 2)
    else:
        assert row.media_connect_state == 0
    expected = (
        1
        if "LOOPBACK" in ip["flags"]
        else 3
        if "POINTOPOINT" in ip["flags"]
        else 2
    )
    assert row.access_type == expected


def _check_values(information: Any, ip: dict[str, Any]) -> None:
    rx, tx = ip["stats64"]["rx"], ip["stats64"]["tx"]
    assert information.if_hc_in_octets == rx["bytes"]
    assert information.if_hc_in_ucast_pkts == rx["packets"] - rx["multicast"]
    assert information.if_hc_in_multicast_pkts == rx["multicast"]
    assert information.if_in_errors == rx["errors"]
    assert information.if_in_discards == rx["dropped"] + rx["missed_errors"]
    assert information.if_in_unknown_protos == rx.get("nohandler", 0)
    assert information.if_hc_out_octets == tx["bytes"]
    assert information.if_hc_out_ucast_pkts == tx["packets"]
    assert information.if_out_errors == tx["errors"]
    assert information.if_out_discards == tx["dropped"]
    assert information.if_promiscuous_mode == (ip["promiscuity"] > 0)
    supported = ndis.StatisticsSupported(information.supported_statistics)
    assert ndis.StatisticsSupported.BYTES_RCV_SUPPORTED in supported
    assert (
        ndis.StatisticsSupported.BROADCAST_FRAMES_RCV_SUPPORTED
        not in supported
    )


def test_speed_comes_from_ethtool(namespace: Namespace) -> None:
    """A veth says 10 Gbit/s, full duplex, as /sys has it; an ifb nothing."""
    namespace.add("v0", "type", "veth", "peer", "name", "v1")
    namespace.add("ifb7", "type", "ifb")
    links = {link.name: link for link in namespace.links()}
    if links["v0"].link_speed is None:
        pytest.skip("this kernel has no ethtool netlink")
    assert links["v0"].link_speed == 10_000_000_000
    assert links["ifb7"].link_speed is None


def test_oids_are_answered_from_the_dump(
    namespace: Namespace, session: ndis.Session
) -> None:
    """State, speed, MTU, address and counters have their OIDs answered."""
    namespace.add("v0", "type", "veth", "peer", "name", "v1")
    namespace.ip("link", "set", "v0", "up", "alias", "uplink")
    namespace.ip("link", "set", "v1", "up")
    with namespace.entered(), LinuxHost(session) as host:
        v0 = next(each for each in host.adopt() if each.name == "v0")

        def ask(oid: ndis.Oid) -> Any:
            return session.query(v0.net_luid, oid)

        assert ask(ndis.Oid.GEN_OPERATIONAL_STATUS) == ndis.IfOperStatus.UP
        assert ask(ndis.Oid.GEN_ADMIN_STATUS) == ndis.IfAdminStatus.UP
        assert ask(ndis.Oid.GEN_MAXIMUM_FRAME_SIZE) == 1500
        assert ask(ndis.Oid.GEN_ALIAS) == "uplink"
        assert ask(ndis.Oid.GEN_XMIT_LINK_SPEED) == v0.link.link_speed
        assert ask(ndis.Oid._802_3_CURRENT_ADDRESS) == v0.link.address
        assert ask(ndis.Oid.GEN_STATISTICS).if_hc_in_octets == ask(
            ndis.Oid.GEN_BYTES_RCV
        )
        with pytest.raises(ndis.NotSupportedError):
            ask(ndis.Oid.GEN_LAST_CHANGE)  # rtnetlink does not tell it


def test_many_links(namespace: Namespace, session: ndis.Session) -> None:
    """A dump of more links than the first buffer holds is whole."""
    batch = "".join(f"link add d{i} type ifb\n" for i in range(300))
    done = subprocess.run(
        ["ip", "-n", namespace.name, "-batch", "-"],
        input=batch,
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no ifb links here: {done.stderr.strip()}")
    adopted = namespace.adopt(session)
    assert len(adopted) == 301
    assert len({each.net_luid for each in adopted.values()}) == 301


# ---------------------------------------------------------------------------
# Recognition, on plain data


def _link(name: str, if_index: int = 1, **facts: Any) -> LinuxLink:
    facts.setdefault("kind", "ifb")
    facts.setdefault("if_type", ndis.IfType(6))
    return LinuxLink(if_index=if_index, name=name, **facts)


def _nic(
    name: str, address: str, parent: str = "0000:00:1f.6", **facts: Any
) -> LinuxLink:
    return _link(
        name,
        kind="",
        permanent_address=bytes.fromhex(address),
        parent_device=parent,
        connector_present=True,
        **facts,
    )


class Known:
    """Identities as a store would keep them."""

    def __init__(self) -> None:
        self.records: dict[int, IdentityRecord] = {}
        self._next = 0

    def see(self, *links: LinuxLink, compartment: str = "") -> list[Match]:
        """Recognise, and remember what is new and what has changed."""
        matches = recognise(links, self.records.values(), compartment)
        for match in matches:
            if match.record is None:
                self._next += 1
                record = IdentityRecord(
                    compartment,
                    "linux",
                    match.key,
                    int(ndis.NetLuid.make(match.link.if_type, self._next)),
                    uuid.uuid4(),
                    if_index=match.link.if_index,
                    attributes=attributes_of(match.link),
                )
            else:
                record = replace(match.record, **match.changes)
            self.records[record.net_luid] = record
        return matches

    def reserve(self, key: str, if_type: int) -> None:
        net_luid = int(ndis.NetLuid.make(if_type, 1000))
        self.records[net_luid] = IdentityRecord(
            *("", "linux", key, net_luid, uuid.uuid4()),
            if_index=0x800000,
            if_index_owned=True,
        )


def _keys(matches: list[Match]) -> list[str]:
    return [
        "new " + match.key if match.record is None else match.key
        for match in matches
    ]


def test_hardware_may_swap_names() -> None:
    """Permanent address and parent device win over the name."""
    known = Known()
    known.see(_nic("eth0", "020000000001"), _nic("eth1", "020000000002"))
    matches = known.see(
        _nic("eth1", "020000000001", if_index=9),
        _nic("eth0", "020000000002", if_index=8),
    )
    assert _keys(matches) == ["eth0", "eth1"]
    assert [match.previous_name for match in matches] == ["eth0", "eth1"]
    assert [r.if_index for r in known.records.values()] == [9, 8]


def test_another_card_is_another_identity() -> None:
    """Neither the address alone nor the slot alone is recognised."""
    known = Known()
    known.see(_nic("eth0", "020000000001"))
    matches = known.see(
        _nic("eth0", "020000000009"),
        _nic("eth1", "020000000001", "0000:05:00.0"),
    )
    assert _keys(matches) == ["new eth0#2", "new eth1"]


def test_twins_on_one_device_keep_their_names() -> None:
    """Two links with one address and parent are told apart by name."""
    known = Known()
    twins = [_nic("p0", "020000000001"), _nic("p1", "020000000001")]
    assert _keys(known.see(*twins)) == ["new p0", "new p1"]
    assert _keys(known.see(*reversed(twins))) == ["p1", "p0"]
    # One renamed: the other is still itself.
    renamed = _nic("p9", "020000000001")
    assert _keys(known.see(renamed, twins[1])) == ["p0", "p1"]


def test_parent_device_may_appear_with_a_newer_kernel() -> None:
    """A card first seen by a kernel that did not tell it keeps its own."""
    known = Known()
    known.see(_nic("eth0", "020000000001", ""))
    assert _keys(known.see(_nic("lan", "020000000001"))) == ["eth0"]
    other = _nic("lan", "020000000001", "0000:05:00.0")
    assert _keys(known.see(other)) == ["new lan"]


def test_virtual_links_go_by_kind_and_name() -> None:
    """A permanent address of a virtual kind is nobody's."""
    known = Known()
    first = _link("gre1", kind="ip6tnl", permanent_address=b"\2" * 6)
    again = _link("gre1", kind="ip6tnl", permanent_address=b"\3" * 6)
    assert _keys(known.see(first)) == ["new gre1"]
    assert _keys(known.see(again)) == ["gre1"]
    assert _keys(known.see(_link("gre1", kind="veth"))) == ["new gre1#2"]
    assert _keys(known.see(_link("gre2", kind="veth"))) == ["new gre2"]


def test_tag_wins_and_crosses_compartments() -> None:
    """A tagged device is itself under any name, in any compartment; where
    it was, another may take its name without becoming it."""
    known = Known()
    known.see(_link("veth0"), _link("veth1"))
    first, second = known.records
    swapped = known.see(
        _link("veth1", tagged_net_luid=first),
        _link("veth0", tagged_net_luid=second),
    )
    assert _keys(swapped) == ["veth0", "veth1"]
    moved = known.see(_link("in", tagged_net_luid=first), compartment="blue")
    assert _keys(moved) == ["veth0"] and moved[0].moved
    assert _keys(known.see(_link("veth1"), _link("in"))) == [
        "new veth1#2",
        "new in",
    ]
    # Seen there again, without its tag: known by kind and name.
    again = known.see(_link("in"), compartment="blue")
    assert _keys(again) == ["veth0"] and not again[0].moved
    home = known.see(_link("back", tagged_net_luid=first))
    assert _keys(home) == ["veth0"] and home[0].moved
    assert "compartment" not in known.records[first].attributes


def test_unknown_tag_is_ignored() -> None:
    """A tag that this store has not written makes nobody anybody."""
    known = Known()
    tagged = _link("x", tagged_net_luid=0x0006_000777_000000)
    assert _keys(known.see(tagged)) == ["new x"]


def test_stale_tag_is_ignored() -> None:
    """The NET_LUID of a tag may have become another device's since it was
    given up: a device of another kind or with other hardware."""
    known = Known()
    known.see(_link("a", kind="veth"), _nic("eth0", "020000000001"))
    first, second = known.records
    matches = known.see(
        _link("x", kind="bridge", tagged_net_luid=first),
        _nic("eth9", "020000000009", tagged_net_luid=second),
    )
    assert _keys(matches) == ["new x", "new eth9"]


def test_compartments_are_apart() -> None:
    """The same name elsewhere is another device."""
    known = Known()
    known.see(_link("veth0"))
    matches = known.see(_link("veth0"), compartment="blue")
    assert _keys(matches) == ["new veth0"]


def test_reserved_key_waits_for_its_device() -> None:
    """An identity made before its device is the device's, with its own
    ifIndex kept, if the IfType is right."""
    known = Known()
    known.reserve("vpn0", 6)
    matches = known.see(_link("vpn0", if_index=7))
    assert _keys(matches) == ["vpn0"]
    (record,) = known.records.values()
    assert record.if_index == 0x800000
    known = Known()
    known.reserve("vpn0", 131)
    assert _keys(known.see(_link("vpn0"))) == ["new vpn0#2"]


@st.composite
def _hosts(draw: st.DrawFn) -> list[LinuxLink]:
    names = draw(
        st.lists(
            st.sampled_from(["a", "b", "c", "d", "a#2"]),
            unique=True,
            max_size=5,
        )
    )
    links = []
    for i, name in enumerate(names):
        if draw(st.booleans()):
            octet = draw(st.integers(1, 3))
            parent = draw(st.sampled_from(["", "p0", "p1"]))
            links.append(
                _nic(name, f"0200000000{octet:02x}", parent, if_index=i + 1)
            )
        else:
            kind = draw(st.sampled_from(["veth", "ifb", ""]))
            tag = draw(st.sampled_from([0, 1, 2, 3]))
            tagged = int(ndis.NetLuid.make(6, tag)) if tag else 0
            links.append(_link(name, i + 1, kind=kind, tagged_net_luid=tagged))
    return links


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(_hosts(), st.sampled_from(["", "blue"])), max_size=6)
)
def test_recognition_is_a_matching(
    runs: list[tuple[list[LinuxLink], str]],
) -> None:
    """No identity for two links, no key twice, and the same links seen
    again are the same identities with nothing left to write."""
    known = Known()
    for links, compartment in runs:
        before = set(known.records)
        # Nobody tags a device with what is not in the store.
        links = [
            link
            if link.tagged_net_luid in before
            else replace(link, tagged_net_luid=0)
            for link in links
        ]
        matches = known.see(*links, compartment=compartment)
        old = [m.record.net_luid for m in matches if m.record is not None]
        assert len(set(old)) == len(old) and set(old) <= before
        keys = [(r.compartment, r.key) for r in known.records.values()]
        assert len(set(keys)) == len(keys)
        again = known.see(*links, compartment=compartment)
        assert all(m.record is not None for m in again)
        assert not any(m.changes or m.moved for m in again)


# ---------------------------------------------------------------------------
# Compartments


def test_named_namespace_is_its_name(namespace: Namespace) -> None:
    """A namespace with one entry in /run/netns is called that."""
    with namespace.entered():
        assert current_compartment() == namespace.name
        assert current_compartment("blue") == "blue"


def test_namespace_without_a_name_is_refused(namespace: Namespace) -> None:
    """No name, or two, is an error that says what to do."""
    with namespace.entered():
        alias = namespace.name + "-too"
        ip("netns", "attach", alias, str(os.getpid()))
        try:
            # attach takes the main thread's namespace, which this is.
            with pytest.raises(CompartmentError, match="several names"):
                current_compartment()
        finally:
            ip("netns", "del", alias)
    if os.path.exists("/proc/sys/net/core/netdev_max_backlog"):
        script = (
            "from ndisbridge.proxy.linux.compartments import *\n"
            "try: print(repr(current_compartment()))\n"
            "except CompartmentError as error: print(error)\n"
        )
        done = subprocess.run(
            ["unshare", "--net", sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert "--compartment" in done.stdout


def test_initial_namespace_has_the_empty_name() -> None:
    """The machine's first namespace is "", also for a plain user."""
    if not os.path.exists("/proc/sys/net/core/netdev_max_backlog"):
        pytest.skip("these tests run in another namespace")
    assert current_compartment() == ""


@pytest.mark.parametrize("name", ["a/b", "a\nb", "x" * 256])
def test_compartment_names_are_checked(name: str) -> None:
    """A name that could not be an entry of /run/netns is refused."""
    with pytest.raises(CompartmentError):
        current_compartment(name)


# ---------------------------------------------------------------------------
# Adoption


def _luids(adopted: dict[str, Any]) -> dict[str, tuple[int, uuid.UUID]]:
    return {
        name: (each.net_luid, each.interface_guid)
        for name, each in adopted.items()
    }


def test_identity_survives_re_creation(
    namespace: Namespace, store_path: str
) -> None:
    """Deleted and made again, every kind of link is who it was, under
    whatever ifIndex the kernel gave."""
    _build_all_kinds(namespace)
    namespace.ip(
        *("link", "property", "del", "dev", "v1"),
        *("altname", "ndis-luid-0006008000000000"),
    )
    with ndis.Session(store_path) as session:
        first = namespace.adopt(session)
    assert {each.state for each in first.values()} == {AdoptionState.NEW}
    for name in ("vx0", "mv0", "v0", "br0", "ifb7", "tun0", "tap0"):
        namespace.ip("link", "del", name)
    namespace.add("dummy-first", "type", "ifb")
    _build_all_kinds(namespace)
    namespace.ip(
        *("link", "property", "del", "dev", "v1"),
        *("altname", "ndis-luid-0006008000000000"),
    )
    with ndis.Session(store_path) as session:
        second = namespace.adopt(session)
        assert second.pop("dummy-first").state is AdoptionState.NEW
        assert _luids(second) == _luids(first)
        assert second["br0"].if_index != first["br0"].if_index
        record = session.store.find(namespace.name, "linux", "br0")
        assert record is not None
        assert record.if_index == second["br0"].if_index
        assert not record.if_index_owned


def test_one_durable_transaction(
    namespace: Namespace, store_path: str
) -> None:
    """All new identities, of any IfType, are one transaction; nothing new
    is none."""
    namespace.add("br0", "type", "bridge")
    namespace.add("ifb7", "type", "ifb")
    store = CountingStore(store_path)
    with ndis.Session(store) as session:
        adopted = namespace.adopt(session)
        assert len({each.link.if_type for each in adopted.values()}) == 3
        assert store.durable == 1
        namespace.adopt(session)
        assert store.durable == 1
        namespace.ip("link", "set", "br0", "name", "br1")
        namespace.adopt(session)
        assert store.durable == 2


def test_refused_transaction_leaves_nothing(
    namespace: Namespace, store_path: str
) -> None:
    """When the store fails, nothing is registered, allocated or stored."""

    class FullStore(SqliteStore):
        def retain(self, *arguments: Any, **options: Any) -> None:
            raise ndis.StoreError("there is no room left")

    namespace.add("br0", "type", "bridge")
    with ndis.Session(FullStore(store_path)) as session:
        with pytest.raises(ndis.StoreError, match="no room"):
            namespace.adopt(session)
        assert session.interface_count == 0
        for if_type in (24, 209):
            assert session.count_net_luid_indexes(if_type).allocated == 0
        assert list(session.identities()) == []


def test_stack_rows(namespace: Namespace, session: ndis.Session) -> None:
    """Masters run on their ports, links on their lower ones; a veth's peer
    is not below it."""
    _build_all_kinds(namespace)
    with namespace.entered(), LinuxHost(session) as host:
        index = {each.name: each.if_index for each in host.adopt()}
        rows = {tuple(row) for row in session.if_stack_table().tolist()}
        assert rows == {
            (index["br0"], index["v0"]),
            (index["vx0"], index["v1"]),
            (index["mv0"], index["v1"]),
        }
        namespace.ip("link", "set", "v0", "nomaster")
        namespace.ip("link", "del", "mv0")
        host.adopt()
        rows = {tuple(row) for row in session.if_stack_table().tolist()}
        assert rows == {(index["vx0"], index["v1"])}


def test_adopting_again_brings_up_to_date(
    namespace: Namespace, session: ndis.Session
) -> None:
    """Links that come, go, or are renamed, and values that change."""
    namespace.add("ifb-a", "type", "ifb")
    namespace.add("ifb-b", "type", "ifb")
    with namespace.entered(), LinuxHost(session) as host:
        first = {each.name: each for each in host.adopt()}
        namespace.ip("link", "del", "ifb-a")
        namespace.add("ifb-c", "type", "ifb")
        namespace.ip("link", "set", "ifb-b", "mtu", "1300", "alias", "lab")
        second = {each.name: each for each in host.adopt()}
        assert set(second) == {"lo", "ifb-b", "ifb-c"}
        assert second["ifb-b"].interface is first["ifb-b"].interface
        assert second["ifb-b"].record.alias == "lab"
        table = {row.description: row for row in session.interface_table()}
        assert set(table) == set(second)
        assert (table["ifb-b"].mtu, table["ifb-b"].alias) == (1300, "lab")
        # The kernel forgets an alias with its device; the store does not.
        namespace.ip("link", "del", "ifb-b")
        namespace.add("ifb-b", "type", "ifb")
        third = {each.name: each for each in host.adopt()}
        assert _luids(third) == _luids(second)
        assert third["ifb-b"].alias == "lab"
        assert (
            session.query(third["ifb-b"].net_luid, ndis.Oid.GEN_ALIAS) == "lab"
        )
        # Somebody else took it off the table: it comes back.
        third["ifb-b"].interface.deregister()
        fourth = {each.name: each for each in host.adopt()}
        assert fourth["ifb-b"].interface is not None
    assert session.interface_count == 0


def test_tag_follows_rename_and_move(
    namespace: Namespace, other_namespace: Namespace, session: ndis.Session
) -> None:
    """A device with its NET_LUID as altname is itself anywhere."""
    namespace.add("v0", "type", "veth", "peer", "name", "v1")
    first = namespace.adopt(session)
    tag = f"ndis-luid-{int(first['v0'].net_luid):016x}"
    namespace.ip("link", "property", "add", "dev", "v0", "altname", tag)
    namespace.ip("link", "set", "v0", "name", "wan")
    second = namespace.adopt(session)
    assert second["wan"].net_luid == first["v0"].net_luid
    assert second["wan"].state is AdoptionState.RENAMED
    assert second["wan"].previous_name == "v0"
    assert second["wan"].key == "v0"
    namespace.ip("link", "set", "wan", "netns", other_namespace.name)
    third = other_namespace.adopt(session)
    assert third["wan"].net_luid == first["v0"].net_luid
    assert third["wan"].state is AdoptionState.MOVED
    assert third["lo"].net_luid != first["lo"].net_luid
    fourth = other_namespace.adopt(session)
    assert fourth["wan"].state is AdoptionState.KNOWN


def test_tag_takes_nothing_from_who_has_it(
    namespace: Namespace, other_namespace: Namespace, store_path: str
) -> None:
    """A tag that somebody has put on another device is refused."""
    namespace.add("here", "type", "ifb")
    other_namespace.add("evil", "type", "ifb")
    with (
        ndis.Session(store_path) as one,
        ndis.Session(store_path) as two,
    ):
        with namespace.entered():
            mine = LinuxHost(one)
            first = {each.name: each for each in mine.adopt()}
        tag = f"ndis-luid-{int(first['here'].net_luid):016x}"
        other_namespace.ip(
            "link", "property", "add", "dev", "evil", "altname", tag
        )
        with other_namespace.entered(), LinuxHost(two) as theirs:
            adopted = {each.name: each for each in theirs.adopt()}
        assert isinstance(adopted["evil"].error, ndis.IdentityInUseError)
        with namespace.entered():
            again = {each.name: each for each in mine.adopt()}
        assert again["here"].state is AdoptionState.KNOWN
        for member in ("net_luid", "interface_guid", "attributes"):
            assert getattr(again["here"].record, member) == getattr(
                first["here"].record, member
            )
        mine.close()


def test_namespaces_do_not_disturb_each_other(
    namespace: Namespace, other_namespace: Namespace, store_path: str
) -> None:
    """Same names, same ifIndexes, two sessions at once on one store."""
    for each in (namespace, other_namespace):
        each.add("eth7", "type", "ifb")
    with (
        ndis.Session(store_path) as here,
        ndis.Session(store_path) as there,
    ):
        with namespace.entered():
            one = LinuxHost(here)
            first = {each.name: each for each in one.adopt()}
        with other_namespace.entered():
            two = LinuxHost(there)
            second = {each.name: each for each in two.adopt()}
        for name in ("lo", "eth7"):
            assert first[name].if_index == second[name].if_index
            assert first[name].net_luid != second[name].net_luid
            assert first[name].error is second[name].error is None
        one.close()
        two.close()


def test_second_adopter_is_told_who_has_them(
    namespace: Namespace, store_path: str
) -> None:
    """While another process has the links registered, a second one still
    learns their identities, and why it cannot have them."""
    namespace.add("ifb7", "type", "ifb")
    ready_out, ready_in = os.pipe()
    end_out, end_in = os.pipe()
    child = os.fork()
    if child == 0:  # a process of its own, with a session of its own
        try:
            os.close(end_in)
            with (
                ndis.Session(store_path) as theirs,
                namespace.entered(),
                LinuxHost(theirs) as host,
            ):
                host.adopt()
                os.write(ready_in, b".")
                os.read(end_out, 1)
        finally:
            os._exit(0)
    os.close(ready_in)
    try:
        assert os.read(ready_out, 1) == b"."
        with ndis.Session(store_path) as session:
            adopted = namespace.adopt(session)
            assert session.interface_count == 0
        for each in adopted.values():
            assert each.state is AdoptionState.KNOWN
            assert each.interface is None
            assert isinstance(each.error, ndis.IdentityInUseError)
            assert each.error.holder is not None
            assert each.error.holder.pid == child
    finally:
        for end in (end_in, end_out, ready_out):
            os.close(end)
        os.waitpid(child, 0)
    with ndis.Session(store_path) as session:
        again = namespace.adopt(session)
        assert _luids(again) == _luids(adopted)
        assert all(each.interface for each in again.values())


def test_memory_session_adopts_too(namespace: Namespace) -> None:
    """Without a store identities last as long as the session."""
    namespace.add("br0", "type", "bridge")
    with ndis.Session() as session:
        first = namespace.adopt(session)
        assert _luids(namespace.adopt(session)) == _luids(first)


def test_retain_net_luids_is_all_or_none(store_path: str) -> None:
    """One that is not allocated, or is given twice, refuses them all."""
    with ndis.Session(store_path) as session:
        good = [
            ndis.NetLuid.make(kind, session.allocate_net_luid_index(kind))
            for kind in (6, 131, 131, 209)
        ]
        retain = session._core.retain_net_luids
        for bad in (good[0], ndis.NetLuid.make(6, 99), 1 << 23, 1):
            with pytest.raises(ndis.InvalidParameterError):
                retain([*good, bad])
        for kind, count in ((6, 1), (131, 2), (209, 1)):
            counts = session.count_net_luid_indexes(kind)
            assert (counts.allocated, counts.retained) == (count, 0)
        retain(list(reversed(good)))
        for luid in good:
            with pytest.raises(ndis.InvalidParameterError):
                session.free_net_luid_index(luid.if_type, luid.net_luid_index)
    with ndis.Session(store_path) as session:
        for luid in good:
            with pytest.raises(ndis.InUseError):
                session.claim_net_luid_index(luid.if_type, luid.net_luid_index)
