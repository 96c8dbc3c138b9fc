# SPDX-License-Identifier: MIT
"""OID requests on their way down through filter modules to a driver."""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import Oid
from ndisbridge._ndisbridge import ffi, lib
from ndisbridge.proxy import GeneralAttributes, ProxyProvider
from ndisbridge.structures import (
    InterfaceInformation,
    LinkSpeed,
    StatisticsInfo,
)

OWN_OID = 0xFF00_0001
VENDOR = int(Oid.GEN_VENDOR_ID)


class Driver:
    """Answers from a dict; what is an exception is raised."""

    def __init__(self, answers: dict[int, Any] | None = None, **facts: Any):
        self.answers = {int(k): v for k, v in (answers or {}).items()}
        self.attributes = GeneralAttributes(**facts)
        self.asked: list[int] = []
        self.sets: list[tuple[int, Any]] = []

    def initialize(self, adapter, parameters):
        self.adapter = adapter
        return self.attributes

    def oid_request(self, request):
        self.asked.append(request.oid)
        if request.is_set:
            self.sets.append((request.oid, request.value))
        if request.oid not in self.answers:
            raise ndis.NotSupportedError
        answer = self.answers[request.oid]
        if isinstance(answer, BaseException):
            raise answer
        return answer(request) if callable(answer) else answer


class Passing:
    """A filter module that passes, and notes what it has seen."""

    def __init__(self, seen: list[Any] | None = None, name: str = "") -> None:
        self.seen = [] if seen is None else seen
        self.name = name

    def attach(self, module, parameters):
        self.module = module

    def oid_request(self, request):
        self.seen.append((self.name, request.oid))
        return request.forward()


class Doing(Passing):
    """A filter module that does what a function says."""

    def __init__(self, does) -> None:
        super().__init__()
        self.oid_request = does


@pytest.fixture
def proxy(session):
    with ProxyProvider(session) as made:
        yield made


# -- down and up


@pytest.mark.smoke
def test_requests_go_down_from_where_they_are_asked(session, proxy) -> None:
    """
    From the top for the adapter, from the module for a module; each driver
    sees each request once.
    """
    driver = Driver({VENDOR: 0xACE})
    adapter = proxy.install("eth", driver)
    seen: list[Any] = []
    modules = [adapter.attach(Passing(seen, n), n) for n in "abc"]
    assert adapter.query(VENDOR) == 0xACE
    assert seen == [(name, VENDOR) for name in "cba"]
    for i, module in enumerate(modules):
        seen.clear()
        assert module.query(VENDOR) == 0xACE
        assert [name for name, _ in seen] == list("cba")[2 - i :]
    assert len(driver.asked) == 4
    assert session.query_bytes(adapter.net_luid, VENDOR) == (
        (0xACE).to_bytes(4, "little")
    )


def test_a_filter_answers_changes_refuses(session, proxy) -> None:
    """What a filter returns or raises is the answer of what lies below."""
    driver = Driver({VENDOR: 1, OWN_OID: b"abc"})
    adapter = proxy.install("eth", driver)

    def changes(request):
        value = request.forward()
        return value + 1 if request.oid == VENDOR else value[::-1]

    module = adapter.attach(Doing(changes), "changes")
    assert adapter.query(VENDOR) == 2
    assert adapter.query(OWN_OID) == b"cba"
    module.detach()
    module = adapter.attach(Doing(lambda request: 77), "answers")
    driver.asked.clear()
    assert adapter.query(VENDOR) == 77
    assert driver.asked == []
    module.detach()

    def refuses(request):
        raise ndis.exceptions.error_for(
            -0x3FFEFFFB
        )  # NDIS_STATUS_BAD_CHARACTERISTICS

    adapter.attach(Doing(refuses), "refuses")
    with pytest.raises(ndis.NdisError) as caught:
        adapter.query(VENDOR)
    assert caught.value.status & 0xFFFFFFFF == 0xC0010005
    assert driver.asked == []


def test_filters_are_passed_without_a_call(proxy) -> None:
    """One without oid_request; one that wants other OIDs."""
    adapter = proxy.install("eth", Driver({VENDOR: 1, OWN_OID: b"x"}))

    class Choosing(Passing):
        oids = frozenset({Oid.GEN_VENDOR_ID})

    choosing = Choosing()
    adapter.attach(choosing, "choosing")
    adapter.attach(object(), "sees nothing")
    assert adapter.query(OWN_OID) == b"x"
    assert choosing.seen == []
    assert adapter.query(VENDOR) == 1
    assert choosing.seen == [("", VENDOR)]


def test_sets_go_down(session, proxy) -> None:
    """Decoded, changed on the way, refused where the OID takes none."""
    oid = int(Oid.GEN_CURRENT_LOOKAHEAD)
    driver = Driver(
        {oid: None, OWN_OID: None, Oid.GEN_CURRENT_PACKET_FILTER: 0}
    )
    adapter = proxy.install("eth", driver)

    def doubles(request):
        if request.is_set and isinstance(request.value, int):
            request.value *= 2
        return request.forward()

    adapter.attach(Doing(doubles), "doubles")
    adapter.set(oid, 100)
    session.set(adapter.net_luid, OWN_OID, b"raw")
    assert driver.sets == [(oid, 200), (OWN_OID, b"raw")]
    for refused in (Oid.GEN_VENDOR_ID, Oid.GEN_STATISTICS):
        with pytest.raises(ndis.NotSupportedError, match="cannot be set"):
            adapter.set(refused, b"\0" * (4 if refused == VENDOR else 152))
    with pytest.raises(ndis.NotSupportedError):
        adapter.set(Oid.GEN_VLAN_ID, 7)
    with pytest.raises(ndis.InvalidLengthError):
        adapter.set(oid, b"123")
    assert driver.asked[-1] == Oid.GEN_VLAN_ID


def test_what_the_proxy_keeps_is_set_there(session, proxy) -> None:
    """ifAdminStatus and ifAlias, as RFC 2863 has it; the rest is refused."""
    driver = Driver(dict.fromkeys(Oid))
    adapter = proxy.install("eth", driver)
    module = adapter.attach(Passing(), "f")
    module.query(Oid.GEN_ADMIN_STATUS)
    adapter.set(Oid.GEN_ADMIN_STATUS, ndis.IfAdminStatus.DOWN)
    assert module.query(Oid.GEN_OPERATIONAL_STATUS) == ndis.IfOperStatus.DOWN
    with pytest.raises(ndis.InvalidParameterError):
        adapter.set(Oid.GEN_ADMIN_STATUS, 9)
    session.set(module.net_luid, Oid.GEN_ALIAS, "Above")
    adapter.set(Oid.GEN_ALIAS, "Below")
    assert module.query(Oid.GEN_ALIAS) == module.identity.alias == "Above"
    assert adapter.query(Oid.GEN_ALIAS) == adapter.identity.alias == "Below"
    for oid, value in (
        (Oid.GEN_PROMISCUOUS_MODE, True),
        (Oid.GEN_MAXIMUM_FRAME_SIZE, 9000),
        (Oid.GEN_OPERATIONAL_STATUS, 1),
    ):
        with pytest.raises(ndis.NotSupportedError):
            adapter.set(oid, value)
    assert driver.asked == module.driver.seen == []


def test_the_packet_filter_says_whether_it_is_promiscuous(proxy) -> None:
    """ifPromiscuousMode is never asked of the driver."""
    driver = Driver({Oid.GEN_CURRENT_PACKET_FILTER: lambda r: None})
    adapter = proxy.install("eth", driver)
    module = adapter.attach(object(), "f")
    assert adapter.query(Oid.GEN_PROMISCUOUS_MODE) is False
    adapter.set(Oid.GEN_CURRENT_PACKET_FILTER, 0x2F)
    assert adapter.query(Oid.GEN_PROMISCUOUS_MODE) is True
    late = adapter.attach(object(), "late")
    for each in (module, late):
        assert each.query(Oid.GEN_PROMISCUOUS_MODE) is True
    adapter.set(Oid.GEN_CURRENT_PACKET_FILTER, 0xB)
    assert adapter.query(Oid.GEN_PROMISCUOUS_MODE) is False
    driver.answers[int(Oid.GEN_CURRENT_PACKET_FILTER)] = OSError()
    with pytest.raises(OSError):
        adapter.set(Oid.GEN_CURRENT_PACKET_FILTER, 0x20)
    assert adapter.query(Oid.GEN_PROMISCUOUS_MODE) is False


def test_a_module_s_own_requests_begin_below_it(proxy) -> None:
    """NdisFOidRequest: those above and the module itself do not see it."""
    driver = Driver({VENDOR: 5, Oid.GEN_CURRENT_LOOKAHEAD: None})
    adapter = proxy.install("eth", driver)
    below, own, above = Passing(), Passing(), Passing()
    for each in (below, own, above):
        adapter.attach(each, "f")
    assert own.module.query_lower(VENDOR) == 5
    own.module.set_lower(Oid.GEN_CURRENT_LOOKAHEAD, 9)
    assert len(below.seen) == 2
    assert own.seen == above.seen == []
    assert driver.sets == [(Oid.GEN_CURRENT_LOOKAHEAD, 9)]


def test_a_driver_cannot_pass_on(proxy) -> None:
    """There is nothing below; nor is there after a request is over."""
    kept = []

    def keeps(request):
        kept.append(request)
        return request.forward()

    adapter = proxy.install("eth", Driver({VENDOR: lambda r: r.forward()}))
    with pytest.raises(ndis.InvalidStateError, match="nothing below"):
        adapter.query(VENDOR)
    adapter.driver.answers[VENDOR] = 3
    adapter.attach(Doing(keeps), "keeps")
    assert adapter.query(VENDOR) == 3
    with pytest.raises(ndis.InvalidStateError, match="over"):
        kept[0].forward()


def test_a_filter_may_ask_twice(proxy) -> None:
    """A request that failed below may be sent once more."""
    answers = iter([OSError("busy"), 8])

    def answer(request):
        value = next(answers)
        if isinstance(value, Exception):
            raise value
        return value

    def retries(request):
        try:
            return request.forward()
        except OSError:
            return request.forward()

    adapter = proxy.install("eth", Driver({VENDOR: answer}))
    passing = Passing()
    adapter.attach(passing, "below")
    adapter.attach(Doing(retries), "retries")
    assert adapter.query(VENDOR) == 8
    assert len(passing.seen) == 2


# -- from what the proxy knows


def test_what_is_published_or_an_attribute_asks_nobody(proxy) -> None:
    """The OIDs that NDIS 6 drivers are never sent."""
    driver = Driver(
        mtu_size=9000,
        max_xmit_link_speed=10**10,
        max_rcv_link_speed=10**9,
        xmit_link_speed=10**9,
        rcv_link_speed=10**8,
        media_connect_state=ndis.MediaConnectState.CONNECTED,
        media_duplex_state=ndis.MediaDuplexState.FULL,
        lookahead_size=256,
        mac_options=3,
        max_multicast_list_size=32,
        supported_oid_list=(VENDOR, OWN_OID),
        current_mac_address=b"\2\0\0\0\0\1",
        permanent_mac_address=b"\0\0\0\0\0\1",
    )
    adapter = proxy.install("eth", driver)
    passing = Passing()
    module = adapter.attach(passing, "f")
    for oid, value in {
        Oid.GEN_MAXIMUM_FRAME_SIZE: 9000,
        Oid.GEN_LINK_SPEED: 10**7,
        Oid.GEN_MEDIA_CONNECT_STATUS: 0,
        Oid.GEN_MAX_LINK_SPEED: LinkSpeed(10**10, 10**9),
        Oid.GEN_LINK_SPEED_EX: LinkSpeed(10**9, 10**8),
        Oid.GEN_MEDIA_DUPLEX_STATE: ndis.MediaDuplexState.FULL,
        Oid.GEN_MAXIMUM_LOOKAHEAD: 256,
        Oid.GEN_MAC_OPTIONS: 3,
        Oid._802_3_MAXIMUM_LIST_SIZE: 32,
        Oid.GEN_SUPPORTED_LIST: [VENDOR, OWN_OID],
        Oid._802_3_CURRENT_ADDRESS: b"\2\0\0\0\0\1",
        Oid._802_3_PERMANENT_ADDRESS: b"\0\0\0\0\0\1",
        Oid.GEN_PHYSICAL_MEDIUM: 0,
        Oid.GEN_MEDIA_IN_USE: [0],
        Oid.GEN_UNKNOWN_PROTOS: 0,
        Oid.GEN_DISCONTINUITY_TIME: 0,
        Oid.GEN_ADMIN_STATUS: 1,
        Oid.GEN_ALIAS: "",
        Oid.GEN_OPERATIONAL_STATUS: 1,
        Oid.GEN_PROMISCUOUS_MODE: False,
    }.items():
        for each in (adapter, module):
            assert each.query(oid) == value, oid
    assert adapter.query(Oid.GEN_LINK_STATE).xmit_link_speed == 10**9
    assert passing.seen == [] == driver.asked


def test_attributes_that_say_nothing_ask_the_driver(proxy) -> None:
    adapter = proxy.install("eth", Driver({Oid.GEN_MAC_OPTIONS: 9}))
    assert adapter.query(Oid.GEN_MAC_OPTIONS) == 9
    for oid in (Oid.GEN_LINK_SPEED, Oid.GEN_SUPPORTED_LIST):
        with pytest.raises(ndis.NotSupportedError):
            adapter.query(oid)
    assert adapter.query(Oid.GEN_MEDIA_CONNECT_STATUS) == 0


def statistics(**counters: int) -> StatisticsInfo:
    return StatisticsInfo(
        supported_statistics=(
            ndis.StatisticsFlagsValid.BYTES_RCV
            | ndis.StatisticsFlagsValid.XMIT_DISCARDS
        ),
        **counters,
    )


def test_counters_come_from_the_statistics(session, proxy) -> None:
    """
    A driver that answers GEN_STATISTICS only: each counter, and
    GEN_INTERFACE_INFO, say the same; those without a valid bit nothing.
    """
    adapter = proxy.install(
        "eth",
        Driver(
            {
                Oid.GEN_STATISTICS: statistics(
                    if_hc_in_octets=11, if_out_discards=22, if_in_errors=33
                ),
                Oid.GEN_XMIT_OK: 44,
            }
        ),
    )
    assert adapter.query(Oid.GEN_BYTES_RCV) == 11
    assert adapter.query(Oid.GEN_XMIT_DISCARDS) == 22
    assert adapter.query(Oid.GEN_XMIT_OK) == 44
    with pytest.raises(ndis.NotSupportedError):
        adapter.query(Oid.GEN_RCV_ERROR)
    information = adapter.query(Oid.GEN_INTERFACE_INFO)
    assert isinstance(information, InterfaceInformation)
    assert information.if_hc_in_octets == 11
    assert information.if_out_discards == 22
    assert information.if_in_errors == 0
    assert information.supported_statistics == (
        ndis.StatisticsSupported.BYTES_RCV_SUPPORTED
        | ndis.StatisticsSupported.XMIT_DISCARDS_SUPPORTED
    )
    assert information.if_mtu == 1500
    row = session.interface_entry(adapter.net_luid)
    assert (row.in_octets, row.out_discards) == (11, 22)


def test_a_counter_s_own_oid_goes_first(proxy) -> None:
    """Also raw bytes are statistics."""
    raw = statistics(if_hc_in_octets=1).to_bytes()
    adapter = proxy.install(
        "eth", Driver({Oid.GEN_STATISTICS: raw, Oid.GEN_XMIT_DISCARDS: 9})
    )
    assert adapter.query(Oid.GEN_XMIT_DISCARDS) == 9
    assert adapter.query(Oid.GEN_BYTES_RCV) == 1


def test_without_statistics_the_rest_is_told(session, proxy) -> None:
    """A driver that has none; and one whose statistics fail."""
    bare = proxy.install("bare", object())
    assert bare.query(Oid.GEN_INTERFACE_INFO).if_mtu == 1500
    broken = proxy.install("broken", Driver({Oid.GEN_STATISTICS: OSError()}))
    with pytest.raises(OSError):
        broken.query(Oid.GEN_INTERFACE_INFO)
    short = proxy.install("short", Driver({Oid.GEN_STATISTICS: b"123"}))
    with pytest.raises(ndis.InvalidDataError):
        short.query(Oid.GEN_BYTES_RCV)
    assert [each.mtu for each in session.interface_table()] == [1500] * 3


# -- drivers that do wrong


class Odd(Exception):
    pass


def ask(session, luid: int, oid: int, room: int) -> tuple[int, int]:
    """Status and length as C has them."""
    output = ffi.new("uint64_t[]", 16)
    length = ffi.new("uint32_t *", room)
    status = lib.ndisbridge_query(
        ffi.cast("ndisbridge_session *", session.address),
        output,
        length,
        luid,
        oid,
    )
    return status, length[0]


def test_statuses_and_lengths_come_back_unchanged(session, proxy) -> None:
    """Through any number of filters that pass."""
    odd = ndis.exceptions.error_for(-0x3FFEFFF8)  # NDIS_STATUS_MULTICAST_FULL
    driver = Driver({OWN_OID: b"0123456789", OWN_OID + 1: odd})
    adapter = proxy.install("eth", driver)
    for _ in range(3):
        for room, expected in (
            (4, (ndis.StatusCode.BUFFER_TOO_SHORT, 10)),
            (10, (0, 10)),
            (64, (0, 10)),
        ):
            assert ask(session, adapter.net_luid, OWN_OID, room) == expected
        status, _ = ask(session, adapter.net_luid, OWN_OID + 1, 8)
        assert status == odd.status
        status, length = ask(session, adapter.net_luid, Oid.GEN_XMIT_OK, 2)
        assert (status, length) == (ndis.StatusCode.INVALID_LENGTH, 8)
        adapter.attach(Passing(), "f")


@pytest.mark.parametrize(
    "answer",
    [
        Odd("broken"),
        b"12345",  # not the size of the OID
        "text",
        1 << 40,
        -1,
        None,
        [],
        object(),
        lambda request: 1 / 0,
    ],
)
def test_a_driver_that_answers_wrongly_harms_nobody(
    session, proxy, answer
) -> None:
    """The asker gets an error; the neighbour and the table are whole."""
    adapter = proxy.install("bad", Driver({VENDOR: answer}))
    good = proxy.install("good", Driver({VENDOR: 5}))
    adapter.attach(Passing(), "f")
    with pytest.raises((Odd, ndis.NdisError, TypeError, ArithmeticError)):
        adapter.query(VENDOR)
    assert good.query(VENDOR) == 5
    results = session.query_many([adapter.net_luid, good.net_luid], VENDOR)
    assert list(results) == [None, 5]
    assert len(session.interface_table()) == 3
    adapter.uninstall()


def test_exceptions_come_through_as_they_are(proxy) -> None:
    """The very object, with where it was raised."""
    error = Odd("the driver's own")
    adapter = proxy.install("eth", Driver({VENDOR: error}))
    adapter.attach(Passing(), "f")
    with pytest.raises(Odd) as caught:
        adapter.query(VENDOR)
    assert caught.value is error
    assert any(entry.name == "oid_request" for entry in caught.traceback), (
        caught.traceback
    )


def test_drivers_that_raise_where_nobody_asks(proxy, caplog) -> None:
    """pause, halt, detach, status: logged, and the rest goes on."""

    class Bad:
        def fail(self, *_: Any) -> None:
            raise Odd

        pause = halt = detach = status = unbind = fail

    adapter = proxy.install("eth", Bad())
    adapter.attach(Bad(), "f")
    adapter.bind(Bad())
    with caplog.at_level(logging.ERROR, "ndisbridge.proxy"):
        adapter.indicate_status(0x40010099, b"")
        adapter.uninstall()
    assert len([each for each in caplog.records if each.exc_info]) == 7
    assert proxy.adapters == {}


# -- drivers that block, with a deadline


def test_a_deadline(session) -> None:
    """
    The asker gets TIMEOUT, the driver is told, a late answer is dropped;
    others are served meanwhile.
    """
    release, cancelled = threading.Event(), []

    class Slow(Driver):
        def cancel_oid_request(self, request):
            cancelled.append(request)
            release.set()

    def blocks(request):
        release.wait(30)
        return 1

    with ProxyProvider(session, oid_timeout=0.2) as proxy:
        slow = proxy.install("slow", Slow({VENDOR: blocks}))
        good = proxy.install("good", Driver({VENDOR: 5}))
        slow.attach(Passing(), "f")
        began = time.monotonic()
        with pytest.raises(ndis.NdisTimeoutError):
            slow.query(VENDOR)
        assert time.monotonic() - began < 20
        assert good.query(VENDOR) == 5
        assert release.wait(30)
        assert cancelled[0].cancelled
        slow.driver.answers[VENDOR] = 9
        assert slow.query(VENDOR) == 9
        status, _ = ask(session, slow.net_luid, VENDOR, 8)
        assert status == 0
        # What a driver raises comes over from the other thread.
        error = Odd()
        slow.driver.answers[VENDOR] = error
        with pytest.raises(Odd) as caught:
            slow.query(VENDOR)
        assert caught.value is error
        slow.uninstall()


def test_a_given_up_request_goes_no_further(session) -> None:
    """A filter that was slow does not send it down any more."""
    goes, sent = threading.Event(), []
    done = threading.Event()

    def holds(request):
        goes.wait(30)
        try:
            return request.forward()
        except ndis.NdisTimeoutError:
            sent.append("refused")
            raise
        finally:
            done.set()

    with ProxyProvider(session, oid_timeout=0.1) as proxy:
        driver = Driver({VENDOR: 5})
        adapter = proxy.install("eth", driver)
        adapter.attach(Doing(holds), "holds")
        with pytest.raises(ndis.NdisTimeoutError):
            adapter.query(VENDOR)
        goes.set()
        assert done.wait(30)
        assert sent == ["refused"]
        assert driver.asked == []


def test_threads_that_drivers_hold_are_bounded(session, monkeypatch) -> None:
    """Beyond the bound the asker gets RESOURCES at once."""
    from ndisbridge.proxy import deadlines

    monkeypatch.setattr(deadlines, "_MOST", 3)
    release = threading.Event()
    with ProxyProvider(session, oid_timeout=0.05) as proxy:
        adapter = proxy.install(
            "eth", Driver({VENDOR: lambda r: release.wait(30)})
        )
        for _ in range(3):
            with pytest.raises(ndis.NdisTimeoutError):
                adapter.query(VENDOR)
        with pytest.raises(ndis.ResourcesError, match="3 threads"):
            adapter.query(VENDOR)
        release.set()
        deadline = time.monotonic() + 30
        while adapter.requests.running and time.monotonic() < deadline:
            time.sleep(0.01)
        adapter.driver.answers[VENDOR] = 4
        assert adapter.query(VENDOR) == 4


def test_idle_threads_end(session, monkeypatch) -> None:
    from ndisbridge.proxy import deadlines

    monkeypatch.setattr(deadlines, "_IDLE", 0.02)

    before = set(threading.enumerate())

    def ours() -> int:
        return sum(
            each.name == "ndisbridge OID requests"
            for each in set(threading.enumerate()) - before
        )

    with ProxyProvider(session, oid_timeout=10) as proxy:
        adapter = proxy.install("eth", Driver({VENDOR: 4}))
        for _ in range(20):
            assert adapter.query(VENDOR) == 4
        deadline = time.monotonic() + 30
        while ours() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ours() == 0
        assert adapter.query(VENDOR) == 4


# -- drivers that remove themselves


def test_a_driver_cannot_end_itself_in_its_handler(session, proxy) -> None:
    """By the adapter, by a module, directly or through another query."""
    caught: list[type] = []

    def suicidal(request):
        for end in (
            request.adapter.uninstall,
            request.adapter.shutdown,
            module.detach,
        ):
            try:
                end()
            except ndis.InOwnHandlerError as error:
                caught.append(type(error))
        return 6

    adapter = proxy.install("eth", Driver({VENDOR: suicidal}))
    module = adapter.attach(Passing(), "f")
    assert module.query(VENDOR) == 6
    assert adapter.query(VENDOR) == 6
    outer = proxy.install(
        "outer", Driver({VENDOR: lambda r: adapter.query(VENDOR)})
    )
    assert outer.query(VENDOR) == 6
    assert caught == [ndis.InOwnHandlerError] * 9
    assert len(session.interface_table()) == 3
    module.detach()
    adapter.uninstall()


def test_the_same_with_a_deadline(session) -> None:
    """The thread that serves is another one then."""

    def suicidal(request):
        request.adapter.uninstall()

    with ProxyProvider(session, oid_timeout=30) as proxy:
        adapter = proxy.install("eth", Driver({VENDOR: suicidal}))
        with pytest.raises(ndis.InOwnHandlerError):
            adapter.query(VENDOR)
        adapter.uninstall()


def test_a_driver_ends_another_adapter_in_its_handler(session, proxy) -> None:
    """That is allowed: nobody is inside the other one."""
    other = proxy.install("other", Driver())
    other.attach(Passing(), "f")

    def ends(request):
        other.uninstall()
        return 3

    adapter = proxy.install("eth", Driver({VENDOR: ends}))
    assert adapter.query(VENDOR) == 3
    assert [each.key for each in session.identities()] == ["eth"]


def test_native_pointers_are_not_python_drivers(proxy) -> None:
    """A C function is no driver object; NativeMiniport makes it one."""
    function = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 0)
    adapter = proxy.install("eth", function)
    with pytest.raises(ndis.NotSupportedError):
        adapter.query(VENDOR)
