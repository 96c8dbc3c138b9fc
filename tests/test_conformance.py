# SPDX-License-Identifier: MIT
"""
The conformance checklist of the specification, one test for each point.

Where ndisbridge means something else than NDIS on purpose, the point is read
so: 6, 9 and 15 speak of retained NET_LUID indexes; 8 and 9 have lowest-free
under the policy of that name; 11 and 12 are refused calls where Windows
stops the machine; 16 leaks nothing.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from interface_info import SINGLES

import ndisbridge as ndis
from ndisbridge import NetLuid, Oid, StatusCode, rfc2863
from ndisbridge._ndisbridge import ffi, lib
from ndisbridge.structures import InterfaceInformation, StatisticsInfo

HERE = Path(__file__).parent
DATA = json.loads((HERE.parent / "csrc" / "ndis_constants.json").read_text())


def call(session: ndis.Session) -> Any:
    """The session for calls of the C functions themselves."""
    return ffi.cast("ndisbridge_session *", session.address)


def interfaces(
    session: ndis.Session, count: int, provider: Any = None, if_type: int = 6
) -> list[ndis.Interface]:
    """Register a number of interfaces."""
    provider = provider or session.register_provider("p")
    return [
        provider.register_interface(NetLuid.make(if_type, index))
        for index in session.allocate_net_luid_indexes(if_type, count)
    ]


@pytest.mark.smoke
def test_01_luid_packing() -> None:
    """A NET_LUID has IfType in bits 48-63, its index in 24-47, else 0."""
    vectors = [
        (6, 21, 0x0006000015000000),
        (6, 11, 0x000600000B000000),
        (6, 32769, 0x0006008001000000),
        (6, 1, 0x0006000001000000),
        (1, 0, 0x0001000000000000),
    ]
    for if_type, index, value in vectors:
        assert NetLuid.make(if_type, index) == value
    for if_type in (1, 6, 24, 65535):
        for index in (0, 1, 0x7FFF, 0x8000, 0xFFFFFF):
            luid = NetLuid.make(if_type, index)
            assert luid == if_type << 48 | index << 24
            assert (luid.if_type, luid.net_luid_index) == (if_type, index)
            assert lib.ndisbridge_net_luid_if_type(luid) == if_type
            assert lib.ndisbridge_net_luid_index(luid) == index
            for text in (str(luid), str(int(luid)), luid.name):
                assert NetLuid.parse(text) == luid
            ndiskd = f"{if_type:02x}:{index:02x}"
            assert NetLuid.parse(ndiskd) == luid
    for if_type, index in [(0, 1), (65536, 1), (6, 1 << 24), (6, -1)]:
        with pytest.raises(ndis.InvalidParameterError):
            NetLuid.make(if_type, index)


@pytest.mark.smoke
def test_02_names() -> None:
    """ifName is one of nine prefixes or iftypeN, "_", index in decimal."""
    prefixes = {
        1: "other",
        6: "ethernet",
        9: "tokenring",
        23: "ppp",
        24: "loopback",
        37: "atm",
        71: "wireless",
        131: "tunnel",
        144: "ieee1394",
        53: "iftype53",
        65535: "iftype65535",
    }
    for if_type, prefix in prefixes.items():
        for index in (0, 7, 32768, 0xFFFFFF):
            luid = NetLuid.make(if_type, index)
            assert luid.name == f"{prefix}_{index}"
            for text in (luid.name, luid.name.upper(), luid.name.title()):
                assert NetLuid.parse(text) == luid
    for wrong in (
        *("", "_", "ethernet", "ethernet_", "_5", "ethernet_x"),
        *("ethernet_16777216", "ethernet_-1", "ethernet_1_2", "iftype_1"),
        *("iftype0_1", "iftype65536_1", "ethernet_1 2", "eth\0ernet_1"),
        *("ethernett_1", "ethernet_99999999999999999999", "ifType6x_1"),
        *("0", "-5", "0x", "0x7", "18446744073709551616", "6:1000000"),
        *("0:1", "gg:1", "1.5", "\N{SNOWMAN}_1"),
    ):
        with pytest.raises(ndis.InvalidParameterError):
            NetLuid.parse(wrong)
    invalid = StatusCode.INVALID_PARAMETER
    from_name = lib.ndisbridge_net_luid_from_name
    to_name = lib.ndisbridge_net_luid_to_name
    out = ffi.new("ndisbridge_net_luid *")
    for text in (b"nonsense", b"", ffi.NULL):
        out[0] = 5
        assert (from_name(out, text), out[0]) == (invalid, 0)
    for text in (b"ethernet_1", b"nonsense", ffi.NULL):
        assert from_name(ffi.NULL, text) == invalid
    size, name = ffi.new("uint32_t *", 5), ffi.new("char[24]", b"as it was")
    luid = NetLuid.make(6, 21)
    too_short = StatusCode.BUFFER_TOO_SHORT
    assert (to_name(name, size, luid), size[0]) == (too_short, 12)
    # Without a buffer it says how much it needs, but only if none is said
    # to be there.
    size[0] = 0
    assert (to_name(ffi.NULL, size, luid), size[0]) == (too_short, 12)
    for arguments in (
        (ffi.NULL, size, luid),
        (name, ffi.NULL, luid),
        (ffi.NULL, ffi.NULL, luid),
        (name, size, 0),
        (name, size, luid | 1),
    ):
        size[0] = 24
        assert to_name(*arguments) == invalid
        assert (ffi.string(name), size[0]) == (b"as it was", 24)
    assert lib.ndisbridge_make_net_luid(ffi.NULL, 6, 21) == invalid


def test_03_layouts() -> None:
    """Sizes and offsets are those of the real headers, all of them."""
    compared = 0
    for name, layout in DATA["layouts"].items():
        c_type = ffi.typeof("ndisbridge_" + name.lower().removeprefix("ndis_"))
        wanted = layout["x86_64"]
        assert ffi.sizeof(c_type) == wanted["size"], name
        if "fields" in wanted:
            assert [
                (field.offset, ffi.sizeof(field.type))
                for _, field in c_type.fields
            ] == [
                (field["offset"], field["size"]) for field in wanted["fields"]
            ], name
            compared += len(wanted["fields"])
    assert compared > 150


def test_04_provider(session: ndis.Session) -> None:
    """Characteristics of a wrong type, revision or size are refused."""
    out = ffi.new("ndisbridge_provider *")
    handler = ffi.cast("ndisbridge_if_query_object", 1)

    def register(kind: int, revision: int, size: int, query: Any) -> int:
        wanted = ffi.new("ndisbridge_if_provider_characteristics *")
        wanted.header.type = kind
        wanted.header.revision = revision
        wanted.header.size = size
        wanted.query_object_handler = query
        return int(
            lib.ndisbridge_register_provider(
                call(session), out, wanted, 0, ffi.NULL, 0
            )
        )

    size = ffi.sizeof("ndisbridge_if_provider_characteristics")
    for kind, revision in [(0, 1), (0x81, 1), (0x80, 0), (0x80, 2)]:
        status = register(kind, revision, size, handler)
        assert status == StatusCode.NOT_SUPPORTED
    assert register(0x80, 1, size, ffi.NULL) == StatusCode.INVALID_PARAMETER
    assert register(0x80, 1, size - 1, handler) < 0
    assert register(0x80, 1, 0, handler) < 0
    assert out[0] == 0
    assert register(0x80, 1, size, handler) == StatusCode.SUCCESS
    assert out[0] != 0


@pytest.mark.smoke
def test_05_allocate(session: ndis.Session) -> None:
    """Indexes differ within a type, not between types, and can run out."""
    ethernet = session.allocate_net_luid_indexes(6, 10_000)
    assert len(set(ethernet)) == 10_000
    index = ethernet[5000]
    session.claim_net_luid_index(131, index)  # the same one, another type
    session.allocate_net_luid_indexes(53, (1 << 24) - 1)
    last = session.allocate_net_luid_index(53)
    with pytest.raises(ndis.ResourcesError):
        session.allocate_net_luid_index(53)
    session.free_net_luid_index(53, last)
    assert session.allocate_net_luid_index(53) == last


def test_06_allocate_after_restart(store_path: Path) -> None:
    """A retained index is not given again, not after a restart either."""
    kept: set[int] = set()
    for _ in range(3):
        with ndis.Session(store_path) as session:
            indexes = list(session.allocate_net_luid_indexes(6, 1500))
            assert not kept & set(indexes)
            session.retain_net_luid_indexes(6, indexes[:1000])
            kept |= set(indexes[:1000])
    with ndis.Session(store_path) as session:
        gone = sorted(kept)[:1000]
        session.release_net_luid_indexes(6, gone)
        assert set(session.allocate_net_luid_indexes(6, 20_000)) >= set(gone)


@pytest.mark.smoke
def test_07_free_twice(session: ndis.Session) -> None:
    """A second free, or one of the wrong type, is refused."""
    index = session.allocate_net_luid_index(6)
    session.claim_net_luid_index(131, index ^ 1)  # leases the block there
    for wrong_type in (131, 7):
        with pytest.raises(ndis.InvalidParameterError):
            session.free_net_luid_index(wrong_type, index)
    session.free_net_luid_index(6, index)
    with pytest.raises(ndis.InvalidParameterError):
        session.free_net_luid_index(6, index)
    status = lib.ndisbridge_free_net_luid_index(call(session), 6, index)
    assert status == StatusCode.INVALID_PARAMETER


def test_08_register() -> None:
    """ifIndexes are unique and lowest-free; a NET_LUID registers once."""
    policy = ndis.IfIndexPolicy.LOWEST
    with ndis.Session(if_index_policy=policy) as session:
        made = interfaces(session, 5)
        assert [each.if_index for each in made] == [1, 2, 3, 4, 5]
        provider = made[0].provider
        with pytest.raises(ndis.DuplicateObjectIdError) as caught:
            provider.register_interface(made[2].net_luid)
        assert caught.value.status & 0xFFFFFFFF == 0xC000022A
        made[2].deregister()
        again = provider.register_interface(made[2].net_luid)
        assert again.if_index == 3
        assert again.net_luid == made[2].net_luid
        with pytest.raises(ndis.InvalidParameterError):
            provider.register_interface(NetLuid.make(6, 0xFFFFFF))
        index = session.allocate_net_luid_index(6)
        with pytest.raises(ndis.InUseError):
            provider.register_interface(NetLuid.make(6, index), if_index=3)
        wanted = provider.register_interface(
            NetLuid.make(6, index), if_index=2147483647
        )
        assert wanted.if_index == 2147483647


def test_09_deregister(store_path: Path) -> None:
    """The ifIndex is lowest-free again; the NET_LUID stays taken."""
    policy = ndis.IfIndexPolicy.LOWEST
    with ndis.Session(store_path, if_index_policy=policy) as session:
        first = session.store.if_index_first
        provider = session.register_provider("p")
        indexes = session.allocate_net_luid_indexes(6, 3)
        session.retain_net_luid_indexes(6, indexes)
        luids = [NetLuid.make(6, index) for index in indexes]
        one, two, three = map(provider.register_interface, luids)
        assert [i.if_index - first for i in (one, two, three)] == [0, 1, 2]
        two.deregister()
        one.deregister()
        new = interfaces(session, 2, provider)
        assert [each.if_index - first for each in new] == [0, 1]
        taken = set(session.allocate_net_luid_indexes(6, 8000))
        assert not taken & set(indexes)


def test_10_mappers(session: ndis.Session) -> None:
    """Both mappers know registered interfaces only, and write 0 if not."""
    (interface,) = interfaces(session, 1)
    luid, if_index = interface.net_luid, interface.if_index
    assert session.get_interface_index_from_net_luid(luid) == if_index
    assert session.get_net_luid_from_interface_index(if_index) == luid
    interface.deregister()
    for gone_luid, gone_index in [(luid, if_index), (0, 0), (1 << 48, 1)]:
        with pytest.raises(ndis.InterfaceNotFoundError) as caught:
            session.get_interface_index_from_net_luid(gone_luid)
        assert caught.value.status & 0xFFFFFFFF == 0xC023002B
        with pytest.raises(ndis.InterfaceNotFoundError):
            session.get_net_luid_from_interface_index(gone_index)
        out_index = ffi.new("uint32_t *", 77)
        out_luid = ffi.new("ndisbridge_net_luid *", 77)
        lib.ndisbridge_get_interface_index_from_net_luid(
            call(session), out_index, gone_luid
        )
        lib.ndisbridge_get_net_luid_from_interface_index(
            call(session), out_luid, gone_index
        )
        assert (out_index[0], out_luid[0]) == (0, 0)


def test_11_provider_with_interfaces(session: ndis.Session) -> None:
    """A provider with interfaces is not deregistered, one without is."""
    (interface,) = interfaces(session, 1)
    provider = interface.provider
    with pytest.raises(ndis.ProviderHasInterfacesError):
        provider.deregister()
    interface.deregister()
    provider.deregister()
    with pytest.raises(ndis.InvalidParameterError):
        provider.deregister()
    with pytest.raises(ndis.InvalidParameterError):
        provider.register_interface(interface.net_luid)
    session.free_net_luid_index(6, interface.net_luid.net_luid_index)


def test_12_stack(session: ndis.Session) -> None:
    """Rows join registered interfaces, without loops, and go with them."""
    a, b, c, d = (each.if_index for each in interfaces(session, 4))
    add = session.add_if_stack_entry

    def rows() -> set[tuple[int, int]]:
        return {(high, low) for high, low in session.if_stack_table().tolist()}

    for higher, lower in [(a, 999), (999, a), (0, a), (a, 0)]:
        with pytest.raises(ndis.InterfaceNotFoundError):
            add(higher, lower)
    with pytest.raises(ndis.StackLoopError):
        add(a, a)
    add(a, b)
    add(a, b)
    with pytest.raises(ndis.StackLoopError):
        add(b, a)
    add(b, c)
    with pytest.raises(ndis.StackLoopError):
        add(c, a)
    add(a, d)
    add(d, c)  # a diamond
    assert rows() == {(a, b), (b, c), (a, d), (d, c)}
    session.delete_if_stack_entry(c, a)
    session.delete_if_stack_entry(999, 998)
    next(x for x in session._interfaces if x.if_index == b).deregister()
    assert rows() == {(a, d), (d, c)}
    session.delete_if_stack_entry(a, d)
    assert rows() == {(d, c)}


#: OIDs of 4.1 and their sizes.
SIZES = {
    Oid.GEN_PROMISCUOUS_MODE: 1,
    Oid.GEN_LAST_CHANGE: 8,
    Oid.GEN_DISCONTINUITY_TIME: 8,
    Oid.GEN_OPERATIONAL_STATUS: 4,
    Oid.GEN_XMIT_LINK_SPEED: 8,
    Oid.GEN_RCV_LINK_SPEED: 8,
    Oid.GEN_UNKNOWN_PROTOS: 8,
    Oid.GEN_INTERFACE_INFO: 216,
    Oid.GEN_ADMIN_STATUS: 4,
    Oid.GEN_ALIAS: 516,
    Oid.GEN_MEDIA_CONNECT_STATUS_EX: 4,
    Oid.GEN_LINK_SPEED_EX: 16,
    Oid.GEN_MEDIA_DUPLEX_STATE: 4,
    Oid.GEN_IP_OPER_STATUS: 396,
    Oid.GEN_STATISTICS: 152,
    Oid.GEN_MAXIMUM_FRAME_SIZE: 4,
}


def raw_query(
    session: ndis.Session, luid: int, oid: int, room: int
) -> tuple[int, int, bytes]:
    """Status, length and buffer of a query into room bytes (and 8 more)."""
    blocks = ffi.new("uint64_t[]", room // 8 + 2)
    buffer = ffi.buffer(blocks)
    buffer[:] = b"\xee" * len(buffer)
    length = ffi.new("uint32_t *", room)
    status = lib.ndisbridge_query(call(session), blocks, length, luid, oid)
    return int(status), length[0], bytes(buffer)


def test_13_query(session: ndis.Session) -> None:
    """A handler gets its context; buffers are exact, short or long."""
    contexts = []

    class Handler:
        def query_object(self, context: object, oid: int) -> bytes:
            contexts.append(context)
            return bytes(range(256))[: SIZES.get(oid, 8)].ljust(
                SIZES.get(oid, 8), b"\0"
            )

    provider = session.register_provider("p", Handler())
    thing = object()
    luid = NetLuid.make(6, session.allocate_net_luid_index(6))
    interface = provider.register_interface(luid, context=thing)
    for published in (False, True):
        if published:
            interface.publish(
                mtu=1500, in_octets=5, alias="a", admin_status=1,
                oper_status=1, promiscuous_mode=0, last_change=3,
                counter_discontinuity_time=4, xmit_link_speed=10,
                rcv_link_speed=20, in_unknown_protos=1,
                media_connect_state=1, media_duplex_state=2,
            )  # fmt: skip
        for oid, size in SIZES.items():
            for room in (size, size + 8):
                status, length, raw = raw_query(session, luid, oid, room)
                assert (status, length) == (0, size), oid.name
                assert set(raw[room:]) == {0xEE}, oid.name
            status, length, raw = raw_query(session, luid, oid, size - 1)
            assert status == StatusCode.BUFFER_TOO_SHORT, oid.name
            assert length == size, oid.name
            assert set(raw) == {0xEE}, oid.name
        counter = Oid.GEN_BYTES_RCV
        value = (5 if published else 0x0706050403020100).to_bytes(8, "little")
        for room, status, length in [
            (16, 0, 8),
            (8, 0, 8),
            (7, 0, 4),
            (4, 0, 4),
            (3, StatusCode.INVALID_LENGTH, 8),
            (0, StatusCode.INVALID_LENGTH, 8),
        ]:
            found = raw_query(session, luid, counter, room)
            assert found[:2] == (status, length)
            if status == 0 and sys.byteorder == "little":
                assert found[2][:length] == value[:length]
            assert set(found[2][length if not status else 0 :]) == {0xEE}
    assert set(map(id, contexts)) == {id(thing)}


def test_14_interface_info_agrees(session: ndis.Session) -> None:
    """INTERFACE_INFO says what every single OID says; octets add up."""
    (interface,) = interfaces(session, 1)
    octets = {
        f"{way}_{kind}_octets": 1000 * n + len(way)
        for way in ("in", "out")
        for n, kind in enumerate(("ucast", "multicast", "broadcast"), 1)
    }
    interface.publish(
        oper_status=ndis.IfOperStatus.UP,
        media_connect_state=ndis.MediaConnectState.CONNECTED,
        media_duplex_state=ndis.MediaDuplexState.FULL,
        mtu=1500,
        promiscuous_mode=1,
        xmit_link_speed=10**9,
        rcv_link_speed=10**8,
        last_change=123,
        counter_discontinuity_time=45,
        in_unknown_protos=1,
        in_discards=2,
        in_errors=3,
        in_ucast_pkts=4,
        in_multicast_pkts=5,
        in_broadcast_pkts=6,
        out_ucast_pkts=7,
        out_multicast_pkts=8,
        out_broadcast_pkts=9,
        out_errors=10,
        out_discards=11,
        **octets,  # and no total: that it is their sum is to be seen
    )
    info = interface.query(Oid.GEN_INTERFACE_INFO)
    statistics = interface.query(Oid.GEN_STATISTICS)
    for member, oid in SINGLES.items():
        value = interface.query(oid)
        assert value == getattr(info, member), member
        assert value != 0, member
        if member in StatisticsInfo.__dataclass_fields__:
            assert value == getattr(statistics, member), member
    for way in ("in", "out"):
        parts = [
            getattr(info, f"if_hc_{way}_{kind}_octets")
            for kind in ("ucast", "multicast", "broadcast")
        ]
        assert sum(parts) == getattr(info, f"if_hc_{way}_octets")
    assert info.if_oper_status_flags == 0
    speeds = interface.query(Oid.GEN_LINK_SPEED_EX)
    assert (speeds.xmit_link_speed, speeds.rcv_link_speed) == (10**9, 10**8)
    row = session.interface_entry(interface.net_luid)
    assert row.in_octets == info.if_hc_in_octets == 6006
    assert row.out_octets == info.if_hc_out_octets == 6009
    assert row.mtu == info.if_mtu

    # Also where some is published and the rest is a handler's to say.
    told = {oid: n for n, oid in enumerate(SINGLES.values(), 1)}
    told[Oid.GEN_PROMISCUOUS_MODE] = 1
    told[Oid.GEN_INTERFACE_INFO] = InterfaceInformation(
        **{member: told[oid] for member, oid in SINGLES.items()}
    )

    class Handler:
        def query_object(self, context: object, oid: int) -> Any:
            return told[Oid(oid)]

    (mixed,) = interfaces(
        session, 1, session.register_provider("mixed", Handler())
    )
    mixed.publish(mtu=1280, in_errors=77, oper_status=ndis.IfOperStatus.UP)
    info = mixed.query(Oid.GEN_INTERFACE_INFO)
    for member, oid in SINGLES.items():
        assert mixed.query(oid) == getattr(info, member), member
    assert (info.if_mtu, info.if_in_errors) == (1280, 77)
    assert info.if_out_errors == told[Oid.GEN_XMIT_ERROR]
    row = session.interface_entry(mixed.net_luid)
    assert (row.mtu, row.in_errors, row.oper_status) == (1280, 77, 1)
    assert row.out_errors == info.if_out_errors


def test_15_restart(store_path: Path) -> None:
    """After a restart nothing is registered, and identities are the same."""
    found = []
    for _ in range(2):
        with ndis.Session(store_path) as session:
            assert session.interface_count == 0
            assert len(session.if_stack_table()) == 0
            provider = session.register_provider("p")
            made = [
                provider.register_interface(provider.identity(key, 6))
                for key in ("a", "b")
            ]
            session.add_if_stack_entry(made[0].if_index, made[1].if_index)
            table = session.interface_table()
            found.append(
                [(each.net_luid, each.net_luid.name) for each in made]
            )
            found[-1].extend(
                (row.net_luid, row.interface_guid) for row in table
            )
            new = session.allocate_net_luid_indexes(6, 5000)
            taken = {each.net_luid.net_luid_index for each in made}
            assert not taken & set(new)
    assert found[0] == found[1]
    assert found[0]


def test_16_killed_between_steps(store_path: Path) -> None:
    """Killed after any step of a life, the store is sound: nothing leaks."""
    sys.path.insert(0, str(HERE / "workers"))
    try:
        from steps import STEPS
    finally:
        sys.path.pop(0)
    for step in STEPS:
        worker = subprocess.Popen(
            [sys.executable, HERE / "workers" / "steps.py", store_path, step],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert worker.stdout is not None
        reached, *facts = worker.stdout.readline().split()
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
        assert reached == "reached"
        with ndis.Session(store_path) as session:
            assert session.store.check() == []
            stats = session.store.stats()
            assert len(stats.sessions) == 1
            kept = step in {"retained", "registered", "deregistered"}
            ethernet = [t for t in stats.types if t.if_type == 6]
            assert sum(t.retained for t in ethernet) == (1 if kept else 0)
            assert sum(t.leased_blocks for t in ethernet) == 0
            if kept:
                luid = NetLuid(int(facts[0]))
                provider = session.register_provider("acme")
                provider.register_interface(luid).deregister()
                session.release_net_luid_indexes(6, [luid.net_luid_index])
            assert session.store.check() == []


def test_16_killed_between_steps_of_an_identity(store_path: Path) -> None:
    """The same for an identity with its key: it is whole, or it is not."""
    sys.path.insert(0, str(HERE / "workers"))
    try:
        from identity_steps import STEPS
    finally:
        sys.path.pop(0)
    worker_path = HERE / "workers" / "identity_steps.py"
    for step in STEPS:
        worker = subprocess.Popen(
            [sys.executable, worker_path, store_path, step],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert worker.stdout is not None
        reached, *facts = worker.stdout.readline().split()
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
        assert reached == "reached"
        with ndis.Session(store_path) as session:
            assert session.store.check() == []
            kept = step not in {"provider", "removed", "gone"}
            types = session.store.stats().types
            ethernet = [t for t in types if t.if_type == 6]
            assert sum(t.retained for t in ethernet) == (1 if kept else 0)
            assert sum(t.leased_blocks for t in ethernet) == 0
            found = [each.key for each in session.identities()]
            assert found == (["port"] if kept else [])
            provider = session.register_provider("acme")
            identity = provider.identity("port", 6)
            if kept:
                # The same one as before, and nobody's: it registers.
                assert [
                    str(int(identity.net_luid)),
                    str(identity.interface_guid),
                    str(identity.if_index),
                ] == facts
            interface = provider.register_interface(identity)
            assert interface.if_index == identity.if_index
            interface.remove()
            assert list(session.identities()) == []
            assert session.store.check() == []


@pytest.mark.thread_unsafe(reason="it has threads of its own")
def test_17_threads(session: ndis.Session) -> None:
    """Register, query and deregister run beside each other; the last waits."""
    provider = session.register_provider(
        "p", oids={Oid.GEN_RCV_OK: lambda context, oid: int(context.net_luid)}
    )
    stop = time.monotonic() + 0.5

    def live(number: int) -> int:
        luid = NetLuid.make(6, session.allocate_net_luid_index(6))
        rounds = 0
        while time.monotonic() < stop:
            interface = provider.register_interface(luid)
            assert interface.query(Oid.GEN_RCV_OK) == luid
            assert len(session.interface_table()) >= 1
            interface.deregister()
            with pytest.raises(ndis.InterfaceNotFoundError):
                interface.query(Oid.GEN_RCV_OK)
            rounds += 1
        return rounds

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(live, range(8)))
    assert session.interface_count == 0

    inside, go_on, left = (threading.Event() for _ in range(3))

    def wait(context: object, oid: int) -> int:
        inside.set()
        assert go_on.wait(30)
        left.set()
        return 1

    slow = session.register_provider("slow", oids={Oid.GEN_RCV_OK: wait})
    (interface,) = interfaces(session, 1, slow)
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(interface.query, Oid.GEN_RCV_OK)
        assert inside.wait(30)
        ended = pool.submit(interface.deregister)
        time.sleep(0.1)
        assert not ended.done()
        go_on.set()
        ended.result(30)
        assert left.is_set()
        assert asked.result(30) == 1


def link_event(before: int, after: int) -> str | None:
    """What a subscriber is told of a change."""
    names = {
        ndis.LinkTransition.NONE: None,
        ndis.LinkTransition.UP: "linkUp",
        ndis.LinkTransition.DOWN: "linkDown",
    }
    with ndis.Session() as session:
        provider = session.register_provider("p")
        index = session.allocate_net_luid_index(6)
        interface = provider.register_interface(ndis.NetLuid.make(6, index))
        interface.publish(oper_status=before)
        with session.events(initial=False) as events:
            interface.publish(oper_status=after)
            event = events.get(0)
    return None if event is None else names[event.link]


@pytest.mark.smoke
def test_18_rfc_2863() -> None:
    """Speeds, times, zero rows and notifications are RFC 2863's."""
    for bps, speed, high_speed in [
        (0, 0, 0),
        (56_000, 56_000, 0),
        (499_999, 499_999, 0),
        (500_000, 500_000, 1),
        (1_499_999, 1_499_999, 1),
        (1_500_000, 1_500_000, 2),
        (10**8 - 500_000, 10**8 - 500_000, 100),
        (10**8 + 499_999, 10**8 + 499_999, 100),
        (4_294_967_294, 4_294_967_294, 4295),
        (4_294_967_295, 4_294_967_295, 4295),
        (4_294_967_296, 4_294_967_295, 4295),
        (10**10, 4_294_967_295, 10_000),
        (ndis.LINK_SPEED_UNKNOWN, 0, 0),
    ]:
        assert rfc2863.if_speed(bps) == speed
        assert rfc2863.if_high_speed(bps) == high_speed
    assert rfc2863.time_ticks(0, 0) == 0
    assert rfc2863.time_ticks(0, 5000) == 0
    assert rfc2863.time_ticks(4999, 5000) == 0
    assert rfc2863.time_ticks(12_345, 5000) == 734
    assert rfc2863.time_ticks(10 * (1 << 32) + 5070, 5000) == 7
    rows = [(5, 3), (5, 4), (4, 2), (3, 2)]  # a diamond, and 9 alone
    assert rfc2863.if_stack_rows(rows, [2, 3, 4, 5, 9]) == [
        (0, 5), (0, 9), (2, 0), (3, 2), (4, 2), (5, 3), (5, 4), (9, 0),
    ]  # fmt: skip
    assert rfc2863.if_stack_rows([], []) == []
    down, missing = ndis.IfOperStatus.DOWN, ndis.IfOperStatus.NOT_PRESENT
    for before in ndis.IfOperStatus:
        for after in ndis.IfOperStatus:
            expected = None
            if missing not in {before, after} and before != after:
                if after == down:
                    expected = "linkDown"
                elif before == down:
                    expected = "linkUp"
            assert rfc2863.link_up_down(before, after) == expected
            assert link_event(before, after) == expected
