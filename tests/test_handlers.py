# SPDX-License-Identifier: MIT
"""Handlers: Python and native, what they return, raise and call."""

from __future__ import annotations

import ctypes
import gc
import random
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import NativeHandler, NetLuid, Oid, _fastcall, _native
from ndisbridge._ndisbridge import ffi, lib
from ndisbridge.structures import (
    InterfaceInformation,
    IpOperStatus,
    IpOperStatusInfo,
    LinkSpeed,
    LinkState,
    OperState,
    StatisticsInfo,
    decode,
    encode,
)

#: An OID of no catalog: a provider's own.
OWN_OID = 0xFF00_0001
COUNTER = Oid.GEN_RCV_OK  # nothing published answers it


class Answering:
    """A handler that answers from a dict, calls what is callable in it."""

    def __init__(self, answers: dict[int, Any] | None = None) -> None:
        self.answers = answers or {}
        self.sets: list[tuple[Any, int, Any]] = []

    def query_object(self, context: Any, oid: int) -> Any:
        answer = self.answers.get(oid)
        if answer is None:
            raise ndis.NotSupportedError
        return answer(context) if callable(answer) else answer

    def set_object(self, context: Any, oid: int, value: Any) -> None:
        self.sets.append((context, oid, value))


def register(
    session: ndis.Session, handler: Any = None, **kwargs: Any
) -> ndis.Interface:
    """A new interface of a new provider."""
    provider = session.register_provider(
        "p", handler, oids=kwargs.pop("oids", None)
    )
    index = session.allocate_net_luid_index(6)
    return provider.register_interface(NetLuid.make(6, index), **kwargs)


# -- what they return


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("oid", "answer", "decoded"),
    [
        (Oid.GEN_XMIT_LINK_SPEED, 10**10, 10**10),
        (Oid.GEN_MAXIMUM_FRAME_SIZE, 9000, 9000),
        (Oid.GEN_PROMISCUOUS_MODE, True, True),
        (Oid.GEN_PROMISCUOUS_MODE, 0, False),
        (Oid.GEN_OPERATIONAL_STATUS, ndis.IfOperStatus.UP, 1),
        (Oid.GEN_ALIAS, "Berlin ☃ \U0001f600", "Berlin ☃ \U0001f600"),
        (Oid.GEN_ALIAS, "", ""),
        (Oid.GEN_VENDOR_DESCRIPTION, b"Acme\0", b"Acme\0"),
        (COUNTER, (1 << 64) - 1, (1 << 64) - 1),
        (Oid.GEN_LINK_SPEED_EX, LinkSpeed(1, 2), LinkSpeed(1, 2)),
        (Oid.GEN_STATISTICS, StatisticsInfo(3), StatisticsInfo(3)),
        (
            Oid.GEN_INTERFACE_INFO,
            InterfaceInformation(if_mtu=7),
            InterfaceInformation(if_mtu=7),
        ),
        (
            Oid.GEN_LINK_STATE,
            LinkState(1, 2, 3, 4, 0, 6),
            LinkState(1, 2, 3, 4, 0, 6),
        ),
        (
            Oid._802_3_MULTICAST_LIST,
            [b"\1\0\x5e\0\0\1", b"\1\0\x5e\0\0\2"],
            [b"\1\0\x5e\0\0\1", b"\1\0\x5e\0\0\2"],
        ),
        (Oid._802_3_MULTICAST_LIST, [], []),
        (
            Oid.GEN_IP_OPER_STATUS,
            IpOperStatusInfo(
                1, (IpOperStatus(2, 1, 0), IpOperStatus(23, 2, 3))
            ),
            IpOperStatusInfo(
                1, (IpOperStatus(2, 1, 0), IpOperStatus(23, 2, 3))
            ),
        ),
        (Oid.GEN_IP_OPER_STATUS, IpOperStatusInfo(), IpOperStatusInfo()),
        (OWN_OID, b"any bytes", b"any bytes"),
        (OWN_OID, bytearray(b"any"), b"any"),
        (OWN_OID, b"", b""),
        (OWN_OID, bytes(100_000), bytes(100_000)),
    ],
)
def test_values_arrive(
    session: ndis.Session, oid: int, answer: Any, decoded: Any
) -> None:
    """A query gives what the handler returned, of the catalog's type."""
    for interface in (
        register(session, Answering({oid: answer})),
        register(session, Answering({int(oid): lambda _: answer})),
    ):
        value = session.query(interface.net_luid, oid)
        assert value == decoded
        assert type(value) is type(decoded) or isinstance(value, int)
        assert interface.query(oid) == decoded


@pytest.mark.parametrize(
    ("oid", "answer", "error"),
    [
        (Oid.GEN_MAXIMUM_FRAME_SIZE, 1 << 32, OverflowError),
        (Oid.GEN_MAXIMUM_FRAME_SIZE, -1, OverflowError),
        (Oid.GEN_PROMISCUOUS_MODE, 256, OverflowError),
        (COUNTER, 1 << 64, OverflowError),
        (Oid.GEN_ALIAS, "x" * 257, ndis.InvalidParameterError),
        (Oid.GEN_ALIAS, "a\0b", ndis.InvalidParameterError),
        (Oid.GEN_ALIAS, 7, TypeError),
        (Oid.GEN_MAXIMUM_FRAME_SIZE, 1.5, TypeError),
        (Oid.GEN_MAXIMUM_FRAME_SIZE, "1500", TypeError),
        (Oid.GEN_MAXIMUM_FRAME_SIZE, [1500], TypeError),
        (Oid.GEN_VENDOR_DESCRIPTION, "Acme", TypeError),
        (Oid.GEN_VENDOR_DESCRIPTION, 5, TypeError),
        (Oid.GEN_SUPPORTED_LIST, 1 << 32, OverflowError),
        (Oid.GEN_SUPPORTED_LIST, [1, -1], OverflowError),
        (Oid.GEN_SUPPORTED_LIST, [b"12345"], ndis.InvalidParameterError),
        (Oid.GEN_SUPPORTED_LIST, ["a"], TypeError),
        (Oid._802_3_MULTICAST_LIST, 6, TypeError),
        (Oid._802_3_MULTICAST_LIST, [6], TypeError),
        (Oid._802_3_MULTICAST_LIST, [b"123"] * 2, ndis.InvalidParameterError),
        (OWN_OID, "text", TypeError),
        (OWN_OID, 5, TypeError),
        (OWN_OID, None, ndis.NotSupportedError),
        (OWN_OID, object(), TypeError),
    ],
)
def test_values_that_no_oid_has(
    session: ndis.Session, oid: int, answer: Any, error: type[Exception]
) -> None:
    """A value that the OID cannot have is an error of the one who asked."""
    interface = register(session, Answering({oid: answer}))
    with pytest.raises(error):
        session.query(interface.net_luid, oid)


@pytest.mark.parametrize(
    ("oid", "answer"),
    [
        (Oid.GEN_MAXIMUM_FRAME_SIZE, b"\1\2\3"),
        (Oid.GEN_MAXIMUM_FRAME_SIZE, b"\1\2\3\4\5"),
        (Oid.GEN_MAXIMUM_FRAME_SIZE, b""),
        (Oid.GEN_XMIT_LINK_SPEED, b"1234"),
        (COUNTER, b"123"),
        (COUNTER, b"123456789"),
        (Oid.GEN_STATISTICS, bytes(151)),
        (Oid.GEN_STATISTICS, bytes(2000)),
        (Oid.GEN_ALIAS, b"\x05\0" + bytes(514)),
        (Oid._802_3_MULTICAST_LIST, b"1234567"),
        (Oid._802_3_CURRENT_ADDRESS, b"1234567"),
    ],
)
def test_answers_of_a_wrong_size(
    session: ndis.Session, oid: int, answer: bytes
) -> None:
    """Bytes that break the size rule of the OID never reach who asks."""
    interface = register(session, oids={oid: lambda c, o: answer})
    with pytest.raises(ndis.InvalidDataError):
        session.query(interface.net_luid, oid)
    if oid != Oid._802_3_MULTICAST_LIST:
        results = session.query_many(
            [interface.net_luid],
            oid,
            size=600 if oid == Oid.GEN_ALIAS else None,
        )
        assert list(results.statuses) == [ndis.StatusCode.INVALID_DATA]


MAC = b"\1\0\x5e\0\0"
#: An array OID, and members of it as a handler may give them.
ARRAYS = [
    (Oid.GEN_SUPPORTED_LIST, [Oid.GEN_ALIAS, 7, 0xFFFF_FFFF]),
    (
        Oid.GEN_MEDIA_SUPPORTED,
        [ndis.Medium._802_3, ndis.Medium.WAN, ndis.Medium.IP],
    ),
    (Oid.GEN_MEDIA_IN_USE, [ndis.Medium.FDDI, 0x1234, ndis.Medium._802_3]),
    (Oid._802_3_MULTICAST_LIST, [MAC + b"\1", MAC + b"\2", MAC + b"\3"]),
]


@pytest.mark.smoke
@pytest.mark.parametrize("count", range(4))
@pytest.mark.parametrize(
    ("oid", "members"), ARRAYS, ids=[oid.name for oid, _ in ARRAYS]
)
def test_arrays_are_lists(
    session: ndis.Session, oid: int, members: list[Any], count: int
) -> None:
    """The value of an array OID is a list, whatever its length is."""
    wanted = members[:count]
    raw = b"".join(
        each
        if isinstance(each, bytes)
        else int(each).to_bytes(4, sys.byteorder)
        for each in wanted
    )
    assert encode(oid, wanted) == raw
    assert decode(oid, raw) == wanted
    # A fact of the registration would answer the media OIDs: not these.
    answers = [
        wanted,
        tuple(wanted),
        raw,
        [each if isinstance(each, bytes) else int(each) for each in wanted],
        [
            raw[i : i + len(raw) // count]
            for i in range(0, len(raw), len(raw) // count)
        ]
        if count
        else (),
    ]
    handler = Answering()
    interface = register(session, handler)
    for answer in answers:
        if oid in {Oid.GEN_MEDIA_SUPPORTED, Oid.GEN_MEDIA_IN_USE}:
            assert interface.query(oid) == [ndis.Medium._802_3]
            assert encode(oid, answer) == raw
            continue
        handler.answers = {oid: answer}
        found = interface.query(oid)
        assert found == wanted
        assert type(found) is list
        assert session.query_bytes(interface.net_luid, oid) == raw
        many = session.query_many([interface.net_luid] * 2, oid, size=20)
        assert list(many) == [wanted] * 2
    enum = [type(each) for each in wanted if isinstance(each, ndis.Medium)]
    found = [
        each for each in decode(oid, raw) if isinstance(each, ndis.Medium)
    ]
    assert len(found) == len(enum)
    handler.sets.clear()
    interface.set(oid, wanted)
    interface.set(oid, raw)
    assert handler.sets == [(interface, oid, wanted)] * 2


def test_media_are_lists(session: ndis.Session) -> None:
    """The media facts are lists of one medium, also of an unknown one."""
    for medium in (ndis.Medium.WAN, 0x7654):
        interface = register(session, media_type=medium)
        for oid in (Oid.GEN_MEDIA_SUPPORTED, Oid.GEN_MEDIA_IN_USE):
            assert interface.query(oid) == [medium]
            (found,) = interface.query(oid)
            assert isinstance(found, ndis.Medium) == (medium != 0x7654)
            results = session.query_many([interface.net_luid], oid, size=16)
            assert list(results) == [[medium]]


def test_one_int_is_one_member(session: ndis.Session) -> None:
    """An int is an array of one, whatever room the asker has."""
    oid = Oid.GEN_SUPPORTED_LIST
    interface = register(session, oids={oid: lambda c, o: 7})
    assert encode(oid, 7) == (7).to_bytes(4, sys.byteorder)
    assert interface.query(oid) == [7]
    for size in (8, 16, 64):
        results = session.query_many([interface.net_luid] * 2, oid, size=size)
        assert list(results) == [[7], [7]]
        assert list(results.lengths) == [4, 4]
    out, length = ffi.new("uint32_t[2]"), ffi.new("uint32_t *", 3)
    status = lib.ndisbridge_query(
        ffi.cast("ndisbridge_session *", session.address),
        *(out, length, interface.net_luid, oid),
    )
    assert (status, length[0]) == (ndis.StatusCode.BUFFER_TOO_SHORT, 4)


@pytest.mark.parametrize("oid", sorted(_native.list_oids()), ids=hex)
def test_a_batch_answers_as_singles_do(
    session: ndis.Session, oid: int
) -> None:
    """For every OID, and every length of the answers' places."""
    all_of_it = register(session)
    all_of_it.publish(
        in_octets=0x1122334455667788,
        mtu=1500,
        promiscuous_mode=True,
        oper_status=ndis.IfOperStatus.UP,
        xmit_link_speed=10**10,
        alias="wan",
    )
    nothing = register(session)
    luids = [all_of_it.net_luid, nothing.net_luid, 0x0006000FFF000000]
    pointer = ffi.cast("ndisbridge_session *", session.address)
    many = ffi.new("uint64_t[]", luids)
    for stride in (0, 1, 3, 4, 7, 8, 12, 16, 24, 600):
        out = ffi.new("uint64_t[]", [2**64 - 1] * (3 * 600 // 8))
        lengths, statuses = ffi.new("uint32_t[3]"), ffi.new("int32_t[3]")
        if lib.ndisbridge_query_many(
            pointer, out, stride, lengths, statuses, many, 3, oid
        ) == int(ndis.StatusCode.INVALID_PARAMETER):
            continue  # an OID of variable size, and no stride for it
        raw = bytes(ffi.buffer(out))
        for i, luid in enumerate(luids):
            one = ffi.new("uint64_t[75]")
            length = ffi.new("uint32_t *", stride)
            status = lib.ndisbridge_query(pointer, one, length, luid, oid)
            assert (statuses[i], lengths[i]) == (status, length[0])
            wanted = bytes(ffi.buffer(one))[: length[0] if not status else 0]
            assert raw[i * stride : (i + 1) * stride] == wanted.ljust(
                stride, b"\0"
            )
        assert raw[3 * stride :] == b"\xff" * (1800 - 3 * stride)


@pytest.mark.parametrize("count", [31, 2047, 2048, 5000])
def test_a_mixed_batch(session: ndis.Session, count: int) -> None:
    """Published, answered by a handler, not answered and not there, in one
    batch of either length that is treated differently."""
    published, silent = register(session), register(session)
    published.publish(in_octets=1)
    answering = register(session, oids={Oid.GEN_BYTES_RCV: lambda c, o: 2})
    kinds = {
        int(published.net_luid): (ndis.StatusCode.SUCCESS, 1),
        int(answering.net_luid): (ndis.StatusCode.SUCCESS, 2),
        int(silent.net_luid): (ndis.StatusCode.NOT_SUPPORTED, 0),
        0x00180000FF000000: (ndis.StatusCode.INTERFACE_NOT_FOUND, 0),
        0x0006FFFFFF000000: (ndis.StatusCode.INTERFACE_NOT_FOUND, 0),
    }
    luids = random.Random(count).choices([*kinds], (90, 3, 3, 3, 3), k=count)
    results = session.query_many(luids, Oid.GEN_BYTES_RCV)
    values = memoryview(results.buffer).cast("Q")
    for i, luid in enumerate(luids):
        status, value = kinds[luid]
        assert (results.statuses[i], values[i]) == (status, value)
        if status == ndis.StatusCode.SUCCESS:
            assert results.lengths[i] == 8


def test_long_arrays_are_lists(session: ndis.Session) -> None:
    """An array that needs more room than the first try has is a list."""
    macs = [MAC + bytes([i]) for i in range(250)]
    interface = register(
        session,
        oids={
            Oid.GEN_SUPPORTED_LIST: lambda c, o: range_list,
            Oid._802_3_MULTICAST_LIST: lambda c, o: macs,
        },
    )
    range_list = list(range(1000))
    assert interface.query(Oid.GEN_SUPPORTED_LIST) == range_list
    assert interface.query(Oid._802_3_MULTICAST_LIST) == macs


def test_strings_of_handlers_are_whole(session: ndis.Session) -> None:
    """A counted string is read to its length: NULs, lone surrogates."""
    for text in ("a\0b", "\0", "x\ud800", "\udc00y", "z" * 256):
        utf_16 = text.encode("utf-16-le", "surrogatepass")
        raw = len(utf_16).to_bytes(2, "little") + utf_16
        if sys.byteorder == "big":
            pytest.skip("the bytes above are little-endian")
        handler = Answering({Oid.GEN_ALIAS: raw})
        interface = register(session, handler)
        assert interface.query(Oid.GEN_ALIAS) == text
        (found,) = session.query_many([interface.net_luid], Oid.GEN_ALIAS)
        assert found == text
        interface.set(Oid.GEN_ALIAS, raw)
        assert handler.sets == [(interface, Oid.GEN_ALIAS, text)]
    for wrong in (b"\x03\0abc", b"\x04\0ab"):
        with pytest.raises(ndis.InvalidDataError):
            decode(Oid.GEN_ALIAS, wrong)


def test_strings_are_for_counted_strings(session: ndis.Session) -> None:
    """A str is refused where the OID's value is no counted string."""
    interface = register(session, Answering())
    for oid in (OWN_OID, Oid.GEN_MACHINE_NAME, Oid.GEN_VLAN_ID):
        with pytest.raises(TypeError, match="give bytes"):
            interface.set(oid, "text")


def test_query_many_is_aligned(session: ndis.Session) -> None:
    """Answers that are written in place lie at multiples of 8 bytes."""
    addresses = []

    @QUERY_TYPE
    def note(context: Any, oid: int, length: Any, output: int) -> int:
        addresses.append(output)
        ctypes.memmove(output, b"twelve bytes", 12)
        length[0] = 12
        return 0

    interface = register(session, NativeHandler(note))
    for oid in (OWN_OID, Oid.GEN_VENDOR_DESCRIPTION):
        for size in (12, 13, 16, 17):
            results = session.query_many(
                [interface.net_luid] * 3, oid, size=size
            )
            assert results.stride == (size + 7) // 8 * 8
            assert list(results) == [b"twelve bytes"] * 3
            assert len(results.buffer) == 3 * results.stride
    assert all(address % 8 == 0 for address in addresses)
    # One that has a fixed size keeps the stride that was asked for.
    results = session.query_many([interface.net_luid], COUNTER, size=4)
    assert results.stride == 4


def test_counter_of_four_bytes(session: ndis.Session) -> None:
    """A provider with 32-bit counters may answer a counter in 4 bytes."""
    interface = register(session, oids={COUNTER: lambda c, o: b"\1\0\0\0"})
    value = session.query(interface.net_luid, COUNTER)
    assert value == int.from_bytes(b"\1\0\0\0", "little")


def test_long_answers_grow(session: ndis.Session) -> None:
    """An answer that grows while it is asked for is had in the end."""
    sizes = iter([2000, 3000, 4000, 4000])
    interface = register(
        session,
        oids={Oid.GEN_VENDOR_DESCRIPTION: lambda c, o: bytes(next(sizes))},
    )
    answer = session.query(interface.net_luid, Oid.GEN_VENDOR_DESCRIPTION)
    assert len(answer) in {3000, 4000}


# -- what they are called with


def test_context_and_oid(session: ndis.Session) -> None:
    """A handler gets its interface, or the context it was registered with."""
    seen: list[tuple[Any, int]] = []

    def note(context: Any, oid: int) -> int:
        seen.append((context, oid))
        return 1

    plain = register(session, oids={COUNTER: note})
    thing = object()
    own = register(session, oids={COUNTER: note}, context=thing)
    session.query(plain.net_luid, COUNTER)
    session.query(own.net_luid, COUNTER)
    assert seen == [(plain, COUNTER), (thing, COUNTER)]


def test_own_handler_of_an_oid_comes_first(session: ndis.Session) -> None:
    """A handler for one OID goes before the one for all."""
    interface = register(
        session,
        Answering({COUNTER: 1, Oid.GEN_XMIT_OK: 2}),
        oids={COUNTER: lambda c, o: 3},
    )
    assert interface.query(COUNTER) == 3
    assert interface.query(Oid.GEN_XMIT_OK) == 2


def test_published_values_need_no_handler(session: ndis.Session) -> None:
    """What is published is answered without the handler."""
    interface = register(
        session, oids={Oid.GEN_XMIT_LINK_SPEED: lambda c, o: 1 // 0}
    )
    with pytest.raises(ZeroDivisionError):
        interface.query(Oid.GEN_XMIT_LINK_SPEED)
    interface.publish(xmit_link_speed=5)
    assert interface.query(Oid.GEN_XMIT_LINK_SPEED) == 5


def test_partly_published_information(session: ndis.Session) -> None:
    """INTERFACE_INFO and rows say what each single OID says."""

    def information(context: Any, oid: int) -> Any:
        if context == "fails":
            raise OddError
        if context == "leaves it":
            raise ndis.NotSupportedError
        return InterfaceInformation(if_mtu=1500, if_in_errors=3)

    oids = {
        Oid.GEN_INTERFACE_INFO: information,
        Oid.GEN_MAXIMUM_FRAME_SIZE: lambda c, o: 1500,
    }
    answers = register(session, oids=oids)
    answers.publish(in_errors=5, oper_status=1)
    found = answers.query(Oid.GEN_INTERFACE_INFO)
    assert found.if_mtu == answers.query(Oid.GEN_MAXIMUM_FRAME_SIZE) == 1500
    assert found.if_in_errors == answers.query(Oid.GEN_RCV_ERROR) == 5
    row = session.interface_entry(answers.net_luid)
    assert (row.mtu, row.in_errors, row.oper_status) == (1500, 5, 1)
    quiet = session.interface_entry(
        answers.net_luid, ndis.IfTableLevel.PUBLISHED
    )
    assert (quiet.mtu, quiet.in_errors) == (0, 5)

    fails = register(session, oids=oids, context="fails")
    fails.publish(in_errors=5)
    with pytest.raises(OddError):
        fails.query(Oid.GEN_INTERFACE_INFO)
    assert session.interface_entry(fails.net_luid).in_errors == 5

    leaves = register(session, oids=oids, context="leaves it")
    with pytest.raises(ndis.NotSupportedError):
        leaves.query(Oid.GEN_INTERFACE_INFO)
    leaves.publish(in_errors=5)
    found = leaves.query(Oid.GEN_INTERFACE_INFO)
    assert found == InterfaceInformation(
        if_in_errors=5,
        supported_statistics=ndis.StatisticsSupported.RCV_ERROR_SUPPORTED,
    )
    assert _fastcall.take_parked() == []


def test_supported_statistics_stay(session: ndis.Session) -> None:
    """What the registration says is supported survives publishing."""
    supported = ndis.StatisticsSupported
    interface = register(
        session, supported_statistics=supported.BYTES_XMIT_SUPPORTED
    )
    interface.publish(in_errors=5)
    found = interface.query(Oid.GEN_INTERFACE_INFO).supported_statistics
    assert found == (
        supported.BYTES_XMIT_SUPPORTED | supported.RCV_ERROR_SUPPORTED
    )
    interface.publish(supported_statistics=0)
    interface.publish(in_octets=5)
    found = interface.query(Oid.GEN_INTERFACE_INFO).supported_statistics
    assert found == 0


def test_provider_without_python_calls_no_python(
    session: ndis.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no handler is written in Python, none of it is called."""
    monkeypatch.setattr(_fastcall, "QUERY_TRAMPOLINE", 1)
    monkeypatch.setattr(_fastcall, "SET_TRAMPOLINE", 1)
    nobody = register(session)
    setter = register(session, NativeHandler(set=native_set))
    single = register(session, oids={COUNTER: NativeHandler(native_query)})
    for each in (nobody, setter, single):
        each.publish(mtu=1400)
        assert each.query(Oid.GEN_INTERFACE_INFO).if_mtu == 1400
        assert session.interface_entry(each.net_luid).mtu == 1400
        with pytest.raises(ndis.NotSupportedError):
            each.query(Oid.GEN_XMIT_OK)
        with pytest.raises(ndis.NotSupportedError):
            each.query(Oid.TUNNEL_INTERFACE_SET_OID)
        with pytest.raises(ndis.InvalidOidError):
            each.query(OWN_OID)
    native_sets.clear()
    setter.set(Oid.GEN_CURRENT_LOOKAHEAD, 1)
    assert len(native_sets) == 1
    for each in (nobody, single):
        with pytest.raises(ndis.NotSupportedError):
            each.set(Oid.GEN_CURRENT_LOOKAHEAD, 1)


def test_nobody_answers(session: ndis.Session) -> None:
    """Without a handler an OID is unsupported, or none at all."""
    for handler in (None, Answering()):
        interface = register(session, handler)
        with pytest.raises(ndis.NotSupportedError):
            interface.query(COUNTER)
    interface = register(session)
    with pytest.raises(ndis.InvalidOidError):
        interface.query(OWN_OID)
    with pytest.raises(ndis.NotSupportedError):
        interface.set(Oid.GEN_CURRENT_LOOKAHEAD, 1)
    with pytest.raises(ndis.InterfaceNotFoundError):
        session.query(NetLuid.make(6, 0xFFFFFF), COUNTER)


def test_set_arrives_decoded(session: ndis.Session) -> None:
    """A set gives the handler the value as the catalog has its type."""
    handler = Answering()
    interface = register(session, handler)
    macs = [b"\1\0\x5e\0\0\1", b"\1\0\x5e\0\0\2"]
    interface.set(Oid.GEN_CURRENT_LOOKAHEAD, 128)
    interface.set(Oid._802_3_MULTICAST_LIST, macs)
    interface.set(OWN_OID, b"raw")
    interface.set(OWN_OID, b"")
    assert handler.sets == [
        (interface, Oid.GEN_CURRENT_LOOKAHEAD, 128),
        (interface, Oid._802_3_MULTICAST_LIST, macs),
        (interface, OWN_OID, b"raw"),
        (interface, OWN_OID, b""),
    ]
    with pytest.raises(ndis.InvalidLengthError):
        interface.set(Oid.GEN_CURRENT_LOOKAHEAD, b"12345")


# -- what they raise


class OddError(Exception):
    """An exception with state, to be recognized."""


@pytest.mark.smoke
@pytest.mark.parametrize(
    "error",
    [
        OddError("first", 2),
        KeyboardInterrupt(),
        SystemExit(3),
        ndis.ResourcesError("own words"),
        MemoryError(),
        GeneratorExit(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_exceptions_arrive_unchanged(
    session: ndis.Session, error: BaseException
) -> None:
    """What a handler raises is raised in who asked: the very object."""

    def fail(*_: Any) -> Any:
        raise error

    handler = Answering()
    handler.query_object = handler.set_object = fail  # type: ignore[method-assign]
    interface = register(session, handler)
    for call in (
        lambda: session.query(interface.net_luid, COUNTER),
        lambda: session.query_bytes(interface.net_luid, COUNTER),
        lambda: session.query(interface.net_luid, OWN_OID),
        lambda: session.set(interface.net_luid, OWN_OID, b"1"),
        lambda: session.set(interface.net_luid, Oid.GEN_CURRENT_LOOKAHEAD, 1),
    ):
        with pytest.raises(type(error)) as caught:
            call()
        assert caught.value is error
        names = [entry.name for entry in caught.traceback]
        assert "fail" in names


def test_exception_does_not_stay(session: ndis.Session) -> None:
    """An exception is let go when it has been handled, with its frames."""

    class Thing:
        pass

    references = []

    def fail(context: Any, oid: int) -> Any:
        thing = Thing()
        references.append(weakref.ref(thing))
        raise OddError

    interface = register(session, oids={COUNTER: fail})
    for _ in range(3):
        with pytest.raises(OddError):
            interface.query(COUNTER)
    results = session.query_many([interface.net_luid] * 3, COUNTER)
    assert len(results.exceptions) == 3
    del results
    gc.collect()
    assert [reference() for reference in references] == [None] * 6


def test_exceptions_of_a_batch(session: ndis.Session) -> None:
    """A batch goes on after a failure and has every exception, in order."""

    def odd(context: Any, oid: int) -> int:
        if context % 2:
            raise OddError(context)
        return context

    provider = session.register_provider("p", oids={COUNTER: odd})
    luids = [
        provider.register_interface(NetLuid.make(6, i), context=n).net_luid
        for n, i in enumerate(session.allocate_net_luid_indexes(6, 6))
    ]
    luids.append(NetLuid.make(6, 0xFFFFFF))
    results = session.query_many(luids, COUNTER)
    assert list(results) == [0, None, 2, None, 4, None, None]
    assert [error.args for error in results.exceptions] == [(1,), (3,), (5,)]
    assert list(results.statuses) == [
        *(0, ndis.StatusCode.FAILURE) * 3,
        ndis.StatusCode.INTERFACE_NOT_FOUND,
    ]
    assert results[-3] == 4
    assert results[2:5] == [2, None, 4]
    with pytest.raises(IndexError):
        results[7]


def test_nested_queries_of_a_batch(session: ndis.Session) -> None:
    """What a handler asks does not touch what earlier handlers raised."""
    ok = register(session, oids={COUNTER: lambda c, o: 5})
    bad = register(session, oids={COUNTER: lambda c, o: 1 // 0})

    def nested(context: Any, oid: int) -> int:
        assert session.query(ok.net_luid, COUNTER) == 5
        with pytest.raises(ZeroDivisionError):
            session.query(bad.net_luid, COUNTER)
        inner = session.query_many([bad.net_luid] * 2, COUNTER)
        assert len(inner.exceptions) == 2
        if context == "raises":
            raise OddError
        return 9

    middle = register(session, oids={COUNTER: nested}, context="answers")
    last = register(session, oids={COUNTER: nested}, context="raises")
    luids = [each.net_luid for each in (bad, middle, last, bad)]
    results = session.query_many(luids, COUNTER)
    assert list(results) == [None, 9, None, None]
    assert [type(error) for error in results.exceptions] == [
        ZeroDivisionError,
        OddError,
        ZeroDivisionError,
    ]


def test_interrupt_ends_a_batch(session: ndis.Session) -> None:
    """Ctrl-C in a handler is not lost among the answers of a batch."""

    def stop(context: Any, oid: int) -> int:
        raise KeyboardInterrupt

    interface = register(session, oids={COUNTER: stop})
    with pytest.raises(KeyboardInterrupt):
        session.query_many([interface.net_luid], COUNTER)


@pytest.mark.parametrize("error", [OddError, KeyboardInterrupt])
def test_table_with_a_failing_handler(
    session: ndis.Session, error: type[BaseException]
) -> None:
    """A row whose handler fails is in the table; only Ctrl-C ends it."""

    def fail(context: Any, oid: int) -> int:
        raise error

    handler = Answering()
    handler.query_object = fail  # type: ignore[method-assign]
    interface = register(session, handler, description="there")
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            session.interface_table()
    else:
        assert session.interface_table()[0].description == "there"
    level = ndis.IfTableLevel.PUBLISHED
    assert session.interface_table(level)[0].if_index == interface.if_index
    # Nothing is left for a call that has nothing to do with it.
    with pytest.raises(ndis.InterfaceNotFoundError):
        session.add_if_stack_entry(998, 999)
    with pytest.raises(ndis.InterfaceNotFoundError):
        session.get_interface_index_from_net_luid(interface.net_luid + 1)


def test_nested_exceptions_chain(session: ndis.Session) -> None:
    """An exception goes through several handlers to the first who asked."""
    luids: list[NetLuid] = []

    def ask_next(context: int, oid: int) -> int:
        if context == 9:
            raise OddError("from the depth")
        return session.query(luids[context + 1], oid) + 1

    provider = session.register_provider("p", oids={COUNTER: ask_next})
    for n, i in enumerate(session.allocate_net_luid_indexes(6, 10)):
        interface = provider.register_interface(NetLuid.make(6, i), context=n)
        luids.append(interface.net_luid)
    with pytest.raises(OddError, match="from the depth"):
        session.query(luids[0], COUNTER)


def test_deep_recursion_is_an_exception(session: ndis.Session) -> None:
    """A handler that asks itself for ever ends in RecursionError."""
    interface = register(session, oids={COUNTER: lambda c, o: c.query(o)})
    with pytest.raises(RecursionError):
        interface.query(COUNTER)
    interface.deregister()


# -- what they do


def test_handler_cannot_deregister_itself(session: ndis.Session) -> None:
    """A handler that deregisters its own interface is told it cannot."""
    interface = register(
        session, oids={COUNTER: lambda c, o: c.deregister() or 1}
    )
    with pytest.raises(ndis.InOwnHandlerError):
        interface.query(COUNTER)
    assert session.interface_count == 1
    interface.deregister()
    assert session.interface_count == 0


def test_handler_deregisters_another(session: ndis.Session) -> None:
    """A handler may deregister any other interface that is idle."""
    other = register(session)

    def end_other(context: Any, oid: int) -> int:
        other.deregister()
        return 1

    interface = register(session, oids={COUNTER: end_other})
    assert interface.query(COUNTER) == 1
    assert session.interface_count == 1
    with pytest.raises(ndis.InterfaceNotFoundError):
        session.get_interface_index_from_net_luid(other.net_luid)


def test_handler_cannot_deregister_its_caller(
    session: ndis.Session,
) -> None:
    """An interface whose handler is further up the stack is not ended."""
    lower = register(
        session, oids={COUNTER: lambda c, o: upper.deregister() or 1}
    )
    upper = register(
        session, oids={COUNTER: lambda c, o: session.query(lower.net_luid, o)}
    )
    with pytest.raises(ndis.InOwnHandlerError):
        session.query(upper.net_luid, COUNTER)
    assert session.interface_count == 2
    upper.deregister()
    lower.deregister()


def test_handler_deregisters_one_that_is_asked(
    session: ndis.Session,
) -> None:
    """An interface that another thread asks goes when its handler leaves."""
    inside, go_on = threading.Event(), threading.Event()

    def wait(context: Any, oid: int) -> int:
        inside.set()
        assert go_on.wait(30)
        return 7

    busy = register(session, oids={COUNTER: wait})

    def end_busy(context: Any, oid: int) -> int:
        busy.deregister()  # marks it, and does not wait
        with pytest.raises(ndis.InterfaceNotFoundError):
            session.query(busy.net_luid, oid)
        return 8

    ender = register(session, oids={COUNTER: end_busy})
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(busy.query, COUNTER)
        assert inside.wait(30)
        assert ender.query(COUNTER) == 8
        go_on.set()
        assert asked.result(30) == 7
    assert session.interface_count == 1
    assert busy.provider.register_interface(busy.net_luid).if_index > 0


def test_handler_cannot_close_the_session(session: ndis.Session) -> None:
    """A handler that closes its session is refused; the session is open."""
    interface = register(
        session, oids={COUNTER: lambda c, o: session.close() or 1}
    )
    with pytest.raises(ndis.InvalidStateError):
        interface.query(COUNTER)
    assert not session.closed
    assert session.allocate_net_luid_index(6) >= 0


def test_handler_drops_its_session() -> None:
    """The last reference to a session may go inside one of its handlers."""

    def drop(context: Any, oid: int) -> int:
        holder.clear()
        gc.collect()
        return 5

    holder = [ndis.Session()]
    # The interface as context would keep its session.
    interface = register(holder[0], oids={COUNTER: drop}, context=object())
    query, luid = holder[0].query_bytes, interface.net_luid
    del interface
    # It can be closed neither there nor later: what runs must not be freed.
    with pytest.warns(ResourceWarning, match="unclosed.*leaked"):
        assert query(luid, COUNTER) == (5).to_bytes(8, sys.byteorder)
    gc.collect()
    assert [bytes(96) for _ in range(1000)]
    assert query(luid, COUNTER) == (5).to_bytes(8, sys.byteorder)


def test_handler_is_kept_while_registered(session: ndis.Session) -> None:
    """Session keeps handler and context as long as the interface."""

    class Thing:
        pass

    def make() -> tuple[NetLuid, int, weakref.ref[Thing]]:
        thing = Thing()
        interface = register(
            session, oids={COUNTER: lambda c, o: 4}, context=thing
        )
        return interface.net_luid, interface.if_index, weakref.ref(thing)

    luid, _, reference = make()
    gc.collect()
    assert session.query(luid, COUNTER) == 4
    assert reference() is not None
    next(iter(session._interfaces)).deregister()
    gc.collect()
    assert reference() is None


# -- native handlers

QUERY_TYPE = ctypes.CFUNCTYPE(
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_uint32,
    ctypes.POINTER(ctypes.c_uint32),
    ctypes.c_void_p,
)
SET_TYPE = ctypes.CFUNCTYPE(
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_uint32,
    ctypes.c_uint32,
    ctypes.c_void_p,
)


@QUERY_TYPE
def native_query(
    context: int | None, oid: int, length: Any, output: int
) -> int:
    """Answers its context as 8 bytes, or breaks the rules on demand."""
    if context == 13:
        length[0] = 9999  # more than its buffer holds
        return 0
    if context == 14:
        return ndis.StatusCode.RESOURCES
    if length[0] < 8:
        length[0] = 8
        return ndis.StatusCode.BUFFER_TOO_SHORT
    ctypes.memmove(output, (context or 0).to_bytes(8, "little"), 8)
    length[0] = 8
    return 0


native_sets: list[tuple[int | None, int, bytes]] = []


@SET_TYPE
def native_set(context: int | None, oid: int, length: int, data: int) -> int:
    """Notes what it got."""
    native_sets.append((context, oid, ctypes.string_at(data, length)))
    return 0


def as_cffi(kind: str, function: Any) -> Any:
    address = ctypes.cast(function, ctypes.c_void_p).value
    return ffi.cast(f"ndisbridge_if_{kind}_object", address)


def as_address(kind: str, function: Any) -> Any:
    return ctypes.cast(function, ctypes.c_void_p).value


@pytest.mark.thread_unsafe(reason="one list of what was set")
@pytest.mark.parametrize("non_blocking", [False, True])
@pytest.mark.parametrize(
    "form",
    [lambda kind, function: function, as_cffi, as_address],
    ids=["ctypes", "cffi", "address"],
)
def test_native_handlers(
    session: ndis.Session, form: Any, non_blocking: bool
) -> None:
    """A C function is taken from ctypes, cffi, and as a mere address."""
    handler = NativeHandler(
        form("query", native_query),
        form("set", native_set),
        non_blocking=non_blocking,
    )
    interface = register(session, handler, native_context=0x1122334455)
    assert interface.query(COUNTER) == 0x1122334455
    assert interface.query(OWN_OID) == (0x1122334455).to_bytes(8, "little")
    native_sets.clear()
    interface.set(OWN_OID, b"value")
    assert native_sets == [(0x1122334455, OWN_OID, b"value")]
    results = session.query_many([interface.net_luid] * 100, COUNTER)
    assert list(results) == [0x1122334455] * 100


@pytest.mark.thread_unsafe(reason="one list of what was set")
def test_native_handler_of_one_oid(session: ndis.Session) -> None:
    """A C function of one OID gets the native context, if all are C."""
    oids = {COUNTER: NativeHandler(native_query, native_set)}
    interface = register(session, oids=oids, native_context=0x1122334455)
    assert interface.query(COUNTER) == 0x1122334455
    native_sets.clear()
    interface.set(COUNTER, 7)
    assert [each[0] for each in native_sets] == [0x1122334455]
    with pytest.raises(ndis.NotSupportedError):
        interface.query(Oid.GEN_XMIT_OK)
    assert register(session, oids=oids).query(COUNTER) == 0


def test_native_handler_beside_python(session: ndis.Session) -> None:
    """Beside handlers in Python a C function gets their context."""
    native = {COUNTER: NativeHandler(native_query)}
    python = {Oid.GEN_XMIT_OK: lambda c, o: 2}
    for handler, oids in (
        (Answering({Oid.GEN_XMIT_OK: 2}), native),
        (None, native | python),
    ):
        interface = register(session, handler, oids=oids)
        address = session._interfaces[interface].address  # type: ignore[attr-defined]
        assert interface.query(COUNTER) == address
        assert interface.query(Oid.GEN_XMIT_OK) == 2
        index = session.allocate_net_luid_index(6)
        with pytest.raises(ndis.InvalidParameterError, match="in Python"):
            interface.provider.register_interface(
                NetLuid.make(6, index), native_context=1
            )


def test_native_handler_that_breaks_rules(session: ndis.Session) -> None:
    """A C function that reports more than its buffer holds is caught."""
    handler = NativeHandler(native_query)
    provider = session.register_provider("p", handler)
    first, second = session.allocate_net_luid_indexes(6, 2)
    liar = provider.register_interface(
        NetLuid.make(6, first), native_context=13
    )
    poor = provider.register_interface(
        NetLuid.make(6, second), native_context=14
    )
    for oid in (COUNTER, Oid.GEN_STATISTICS):
        with pytest.raises(ndis.InvalidDataError):
            liar.query(oid)
    with pytest.raises(ndis.ResourcesError):
        poor.query(COUNTER)
    with pytest.raises(ndis.NotSupportedError):
        poor.set(Oid.GEN_CURRENT_LOOKAHEAD, 1)  # no set function
    with pytest.raises(ndis.InvalidOidError):
        poor.set(OWN_OID, b"")


def test_native_handlers_are_kept(session: ndis.Session) -> None:
    """A ctypes callback lives as long as the provider that it is of."""

    def answer(context: Any, oid: int, length: Any, output: int) -> int:
        ctypes.memmove(output, b"12345678", 8)
        length[0] = 8
        return 0

    interface = register(session, NativeHandler(QUERY_TYPE(answer)))
    gc.collect()
    assert session.query_bytes(interface.net_luid, COUNTER) == b"12345678"


def test_what_is_no_handler(session: ndis.Session) -> None:
    """Handlers that can do nothing are refused at registration."""
    for handler in (object(), 3, "query"):
        with pytest.raises(TypeError):
            session.register_provider("p", handler)
    with pytest.raises(TypeError):
        session.register_provider("p", oids={COUNTER: 3})
    with pytest.raises(TypeError):
        NativeHandler()
    with pytest.raises(TypeError):
        NativeHandler(object())
    with pytest.raises(ndis.InvalidParameterError):
        session.register_provider("p", oids={OWN_OID: lambda c, o: 1})
    with pytest.raises(TypeError):
        session.register_provider(
            "p", NativeHandler(native_query), oids={COUNTER: lambda c, o: 1}
        )
    provider = session.register_provider("p", Answering())
    index = session.allocate_net_luid_index(6)
    with pytest.raises(ndis.InvalidParameterError):
        provider.register_interface(NetLuid.make(6, index), native_context=1)
    assert session.interface_count == 0


def test_published_in_a_handler(session: ndis.Session) -> None:
    """A handler may publish values of its own interface."""

    def publish(context: Any, oid: int) -> int:
        context.publish(xmit_link_speed=77)
        return 66

    interface = register(session, oids={Oid.GEN_XMIT_LINK_SPEED: publish})
    assert interface.query(Oid.GEN_XMIT_LINK_SPEED) == 66
    assert interface.query(Oid.GEN_XMIT_LINK_SPEED) == 77


def test_ip_oper_status_is_bounded() -> None:
    """More address families than there is room for are refused."""
    status = IpOperStatus(2, 1, 0)
    full = IpOperStatusInfo(0, (status,) * 32)
    raw = full.to_bytes()
    assert len(raw) == 396
    assert IpOperStatusInfo.from_bytes(raw) == full
    with pytest.raises(ndis.InvalidParameterError):
        IpOperStatusInfo(0, (status,) * 33).to_bytes()
    with pytest.raises(ndis.InvalidDataError):
        IpOperStatusInfo.from_bytes(raw[:-1])
    liar = bytearray(raw)
    liar[8:12] = (33).to_bytes(4, sys.byteorder)
    with pytest.raises(ndis.InvalidDataError):
        IpOperStatusInfo.from_bytes(bytes(liar))


def test_oper_state_has_its_header(session: ndis.Session) -> None:
    """Structures with an object header carry it, of the right size."""
    raw = OperState(1, 0).to_bytes()
    assert raw[0] == lib.NDISBRIDGE_OBJECT_TYPE_DEFAULT
    assert raw[1] == lib.NDISBRIDGE_OBJECT_REVISION_1
    assert int.from_bytes(raw[2:4], "little") == len(raw)
    assert OperState.from_bytes(raw) == OperState(1, 0)
    with pytest.raises(ndis.InvalidDataError):
        OperState.from_bytes(raw[:-1])
