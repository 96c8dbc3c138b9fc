# SPDX-License-Identifier: MIT
"""Miniport drivers in C below the proxy: from C, cffi and ctypes."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import Oid, ctypes_api
from ndisbridge._ndisbridge import ffi
from ndisbridge.proxy import GeneralAttributes, NativeMiniport, ProxyProvider

OWN_OID = 0xFF00_0001
VENDOR = int(Oid.GEN_VENDOR_ID)

SOURCE = r"""
#include <ndisbridge.h>
#include <string.h>

struct adapter {
    uint32_t calls, sets, value, halted, if_index;
    ndisbridge_net_luid net_luid;
    void *handle;
    ndisbridge_indicate_status indicate;
    ndisbridge_status fails;
};

static ndisbridge_status query(
    void *context, uint32_t oid, uint32_t *length, void *output)
{
    struct adapter *adapter = context;

    adapter->calls++;
    switch (oid) {
    case NDISBRIDGE_OID_GEN_VENDOR_ID:
        memcpy(output, &adapter->value, 4);
        *length = 4;
        return NDISBRIDGE_STATUS_SUCCESS;
    case NDISBRIDGE_OID_GEN_STATISTICS: {
        ndisbridge_statistics_info statistics = { 0 };

        statistics.header.type = NDISBRIDGE_OBJECT_TYPE_DEFAULT;
        statistics.header.revision = 1;
        statistics.header.size = sizeof statistics;
        statistics.supported_statistics =
            NDISBRIDGE_STATISTICS_FLAGS_VALID_BYTES_RCV;
        statistics.if_hc_in_octets = 4711;
        memcpy(output, &statistics, sizeof statistics);
        *length = sizeof statistics;
        return NDISBRIDGE_STATUS_SUCCESS;
    }
    case 0xFF000001:  /* 3,000 bytes */
        if (*length < 3000) {
            *length = 3000;
            return NDISBRIDGE_STATUS_BUFFER_TOO_SHORT;
        }
        memset(output, 'x', 3000);
        *length = 3000;
        return NDISBRIDGE_STATUS_SUCCESS;
    case 0xFF000002:  /* tells more than it had room for */
        *length += 100;
        return NDISBRIDGE_STATUS_SUCCESS;
    case 0xFF000003:  /* never content */
        *length += 1;
        return NDISBRIDGE_STATUS_BUFFER_TOO_SHORT;
    case 0xFF000004:  /* NDIS_STATUS_MULTICAST_FULL */
        return (ndisbridge_status)0xC0010009;
    case 0xFF000005:
        return NDISBRIDGE_STATUS_PENDING;
    case NDISBRIDGE_OID_GEN_XMIT_OK:  /* lies about a length */
        *length = 3;
        return NDISBRIDGE_STATUS_SUCCESS;
    default:
        return NDISBRIDGE_STATUS_NOT_SUPPORTED;
    }
}

static ndisbridge_status set(
    void *context, uint32_t oid, uint32_t length, const void *input)
{
    struct adapter *adapter = context;

    if (oid != NDISBRIDGE_OID_GEN_CURRENT_LOOKAHEAD || length != 4)
        return NDISBRIDGE_STATUS_INVALID_DATA;
    memcpy(&adapter->value, input, 4);
    adapter->sets++;
    return NDISBRIDGE_STATUS_SUCCESS;
}

static const uint32_t oids[] = { NDISBRIDGE_OID_GEN_VENDOR_ID, 0xFF000001 };

static ndisbridge_status initialize(void **adapter_context,
    void *driver_context, void *handle, ndisbridge_indicate_status indicate,
    const ndisbridge_miniport_init_parameters *parameters,
    ndisbridge_miniport_general_attributes *attributes)
{
    struct adapter *adapter = driver_context;

    adapter->handle = handle;
    adapter->indicate = indicate;
    adapter->if_index = parameters->if_index;
    adapter->net_luid = parameters->net_luid;
    *adapter_context = adapter;
    attributes->mtu_size = 9000;
    attributes->media_connect_state =
        NDISBRIDGE_NET_IF_MEDIA_CONNECT_STATE_CONNECTED;
    attributes->mac_address_length = 6;
    memcpy(attributes->current_mac_address, "\2\0\0\0\0\7", 6);
    memcpy(attributes->permanent_mac_address, "\0\0\0\0\0\7", 6);
    attributes->supported_oid_list = oids;
    attributes->supported_oid_list_length = sizeof oids;
    return adapter->fails;
}

static void halt(void *context)
{
    ((struct adapter *)context)->halted++;
}

ndisbridge_status indicate_link(struct adapter *adapter, uint32_t state)
{
    ndisbridge_link_state link = { 0 };

    link.header.type = NDISBRIDGE_OBJECT_TYPE_DEFAULT;
    link.header.revision = 1;
    link.header.size = sizeof link;
    link.media_connect_state = state;
    link.xmit_link_speed = 100000000;
    link.rcv_link_speed = 100000000;
    return adapter->indicate(adapter->handle, NDISBRIDGE_STATUS_LINK_STATE,
        &link, sizeof link);
}

ndisbridge_status indicate_other(
    struct adapter *adapter, uint32_t code, const char *text, uint32_t size)
{
    return adapter->indicate(adapter->handle, code, text, size);
}

const ndisbridge_miniport_driver_characteristics driver = {
    { NDISBRIDGE_OBJECT_TYPE_DEFAULT, 1,
        sizeof(ndisbridge_miniport_driver_characteristics) },
    NDISBRIDGE_HANDLER_NON_BLOCKING, initialize, halt, query, set
};

/* Asks as a C program does, many times. */
ndisbridge_status ask(ndisbridge_session *session, ndisbridge_net_luid luid,
    uint32_t oid, uint32_t times, uint32_t *answer)
{
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;

    for (uint32_t i = 0; i < times; i++) {
        uint32_t length = 4;

        status = ndisbridge_query(session, answer, &length, luid, oid);
        if (status != NDISBRIDGE_STATUS_SUCCESS)
            break;
    }
    return status;
}
"""


class Adapter(ctypes.Structure):
    _fields_ = [
        ("calls", ctypes.c_uint32),
        ("sets", ctypes.c_uint32),
        ("value", ctypes.c_uint32),
        ("halted", ctypes.c_uint32),
        ("if_index", ctypes.c_uint32),
        ("net_luid", ctypes.c_uint64),
        ("handle", ctypes.c_void_p),
        ("indicate", ctypes.c_void_p),
        ("fails", ctypes.c_int32),
    ]


@pytest.fixture(scope="module")
def library(tmp_path_factory, need):
    """The driver above, compiled."""
    directory = tmp_path_factory.mktemp("driver")
    source, made = directory / "driver.c", directory / "driver.so"
    source.write_text(SOURCE)
    shared = Path(ndis.get_library())
    subprocess.run(
        [
            need("gcc"),
            *("-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"),
            f"-I{ndis.get_include()}",
            str(source),
            *("-o", str(made), str(shared), f"-Wl,-rpath,{shared.parent}"),
        ],
        check=True,
    )
    return ctypes.CDLL(str(made))


@pytest.fixture
def proxy(session):
    with ProxyProvider(session) as made:
        yield made


def driver_of(library, state: Adapter) -> NativeMiniport:
    return NativeMiniport.from_characteristics(
        ctypes.addressof(ctypes.c_char.in_dll(library, "driver")),
        context=ctypes.pointer(state),
    )


class Passing:
    def __init__(self) -> None:
        self.seen: list[int] = []

    def oid_request(self, request: Any) -> Any:
        self.seen.append(request.oid)
        return request.forward()


def test_a_driver_in_c(session, proxy, library) -> None:
    """Initialized, asked, set, halted; attributes as a Python driver's."""
    state = Adapter(value=0xACE)
    adapter = proxy.install("eth", driver_of(library, state))
    assert (state.if_index, state.net_luid) == (
        adapter.if_index,
        adapter.net_luid,
    )
    row = session.interface_entry(adapter.net_luid)
    assert row.mtu == 9000
    assert row.physical_address == b"\2\0\0\0\0\7"
    assert row.permanent_physical_address == b"\0\0\0\0\0\7"
    assert row.oper_status == ndis.IfOperStatus.UP
    assert row.in_octets == 4711
    assert adapter.query(Oid.GEN_SUPPORTED_LIST) == [VENDOR, OWN_OID]
    assert adapter.query(VENDOR) == 0xACE
    adapter.set(Oid.GEN_CURRENT_LOOKAHEAD, 0xBEE)
    assert (state.sets, state.value) == (1, 0xBEE)
    with pytest.raises(ndis.NotSupportedError):
        adapter.set(VENDOR, 1)
    adapter.uninstall()
    assert state.halted == 1


def test_what_it_answers_is_the_same_with_filters_above(
    session, proxy, library
) -> None:
    """Without a filter the core calls it; with one, Python does."""
    state = Adapter(value=7)
    adapter = proxy.install("eth", driver_of(library, state))

    def answers() -> list[Any]:
        found: list[Any] = []
        for oid in (
            VENDOR,
            OWN_OID,
            *range(OWN_OID + 1, OWN_OID + 5),
            Oid.GEN_XMIT_OK,
            Oid.GEN_RCV_OK,
            Oid.GEN_BYTES_RCV,
            Oid.GEN_STATISTICS,
            Oid.GEN_INTERFACE_INFO,
        ):
            try:
                found.append(adapter.query(oid))
            except ndis.NdisError as error:
                found.append(error.status)
        return found

    direct = answers()
    assert direct[:2] == [7, b"x" * 3000]
    assert direct[4] & 0xFFFFFFFF == 0xC0010009
    assert direct[2] == direct[6] == ndis.StatusCode.INVALID_DATA
    assert direct[5] == ndis.StatusCode.FAILURE
    assert direct[8] == 4711
    modules = [adapter.attach(object(), "passed")]
    assert answers() == direct
    passing = Passing()
    modules.append(adapter.attach(passing, "passing"))
    with_filters = answers()
    # One that is never content gives up at some length of its own.
    assert with_filters[3] < 0
    assert direct[3] < 0
    del with_filters[3], direct[3]
    assert with_filters == direct
    assert len(passing.seen) >= 9
    for each in modules:
        each.detach()
    again = answers()
    del again[3]
    assert again == direct


def test_from_c_it_is_reached_without_python(session, proxy, library) -> None:
    """
    C asks a thousand times, and no Python function runs; with a filter in
    Python above, one does each time.
    """
    library.ask.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint64,
        ctypes.c_uint32,
        ctypes.c_uint32,
        ctypes.POINTER(ctypes.c_uint32),
    ]
    state = Adapter(value=99)
    adapter = proxy.install("eth", driver_of(library, state))
    adapter.attach(object(), "passed")
    answer = ctypes.c_uint32()

    def ask(times: int) -> tuple[int, list[str]]:
        """The status, and the Python functions that were called for it."""
        called: list[str] = []
        arguments = (
            session.address,
            int(adapter.net_luid),
            VENDOR,
            times,
            ctypes.byref(answer),
        )

        def note(frame: Any, event: str, argument: Any) -> None:
            if event == "call":
                called.append(frame.f_code.co_name)

        sys.setprofile(note)
        status = library.ask(*arguments)
        sys.setprofile(None)
        return status, called

    assert ask(1000) == (0, [])
    assert (answer.value, state.calls) == (99, 1000)
    passing = Passing()
    adapter.attach(passing, "passing")
    status, called = ask(10)
    assert (status, answer.value, len(passing.seen)) == (0, 99, 10)
    assert called.count("forward") == 20


def test_it_indicates(session, proxy, library) -> None:
    """From its own threads; wrongly; and after it was halted."""
    heard: list[Any] = []

    class Hearing:
        def status(self, code, value):
            heard.append((code, value))

    state = Adapter()
    adapter = proxy.install("eth", driver_of(library, state))
    adapter.attach(Hearing(), "f")
    link = library.indicate_link
    other = library.indicate_other
    reference = ctypes.byref(state)
    statuses = []
    thread = threading.Thread(
        target=lambda: statuses.append(link(reference, 2))
    )
    thread.start()
    thread.join()
    assert statuses == [0]
    assert adapter.oper_state.operational_status == ndis.IfOperStatus.DOWN
    assert adapter.query(Oid.GEN_XMIT_LINK_SPEED) == 100_000_000
    assert link(reference, 1) == 0
    assert adapter.oper_state.operational_status == ndis.IfOperStatus.UP
    assert other(reference, 0x40019999, b"abc", 3) == 0
    assert heard[-1] == (0x40019999, b"abc")
    invalid = ndis.StatusCode.INVALID_PARAMETER
    assert link(reference, 3) == invalid
    assert other(reference, 0x40010023, b"", 0) == invalid
    assert other(reference, 0x40010017, b"abc", 3) < 0
    adapter.uninstall()
    assert link(reference, 1) == ndis.StatusCode.INVALID_STATE


def test_an_initialization_that_fails(session, proxy, library) -> None:
    """Its status comes back; it is not halted; its handle is none."""
    state = Adapter(fails=-0x3FFFFF66)  # RESOURCES
    with pytest.raises(ndis.ResourcesError):
        proxy.install("eth", driver_of(library, state))
    assert state.halted == 0
    assert list(session.identities()) == []
    assert (
        library.indicate_link(ctypes.byref(state), 1)
        == ndis.StatusCode.INVALID_STATE
    )


def test_one_object_for_each_adapter(proxy, library) -> None:
    """It is refused to a second adapter until the first one is halted."""
    state = Adapter(value=1)
    driver = driver_of(library, state)
    adapter = proxy.install("one", driver)
    with pytest.raises(ndis.InvalidStateError, match="the driver of"):
        proxy.install("two", driver)
    assert state.halted == 0
    adapter.uninstall()
    assert proxy.install("two", driver).query(VENDOR) == 1


def test_characteristics_are_checked(library) -> None:
    characteristics = ffi.new("ndisbridge_miniport_driver_characteristics *")
    size = ffi.sizeof(characteristics[0])
    for header, flags, error in (
        ((0x80, 1, size - 1), 0, ndis.NotSupportedError),
        ((0x80, 2, size), 0, ndis.NotSupportedError),
        ((0, 1, size), 0, ndis.NotSupportedError),
        ((0x80, 1, size), 2, ndis.InvalidParameterError),
    ):
        characteristics.header = header
        characteristics.flags = flags
        with pytest.raises(error):
            NativeMiniport.from_characteristics(characteristics)
    with pytest.raises(ndis.InvalidParameterError):
        NativeMiniport.from_characteristics(0)
    characteristics.header = (0x80, 1, size)
    characteristics.flags = 1
    driver = NativeMiniport.from_characteristics(characteristics)
    assert driver.query_address == 0


@pytest.mark.smoke
def test_functions_of_ctypes_and_cffi(session, proxy) -> None:
    """Single functions, with attributes from Python."""
    query_type = ctypes.CFUNCTYPE(
        ctypes.c_int32,
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.POINTER(ctypes.c_uint32),
        ctypes.POINTER(ctypes.c_uint32),
    )

    @query_type
    def by_ctypes(context, oid, length, output):
        output[0] = context
        length[0] = 4
        return 0

    @ffi.callback("ndisbridge_if_query_object")
    def by_cffi(context, oid, length, output):
        ffi.cast("uint32_t *", output)[0] = 6
        length[0] = 4
        return 0

    attributes = GeneralAttributes(mtu_size=4000)
    one = proxy.install(
        "one", NativeMiniport(by_ctypes, context=5, attributes=attributes)
    )
    two = proxy.install("two", NativeMiniport(by_cffi))
    assert [each.query(VENDOR) for each in (one, two)] == [5, 6]
    assert one.query(Oid.GEN_MAXIMUM_FRAME_SIZE) == 4000
    passing = Passing()
    one.attach(passing, "f")
    assert one.query(VENDOR) == 5
    assert passing.seen == [VENDOR]
    for each in (one, two):
        with pytest.raises(ndis.NotSupportedError):
            each.set(Oid.GEN_CURRENT_LOOKAHEAD, 1)
    empty = proxy.install("empty", NativeMiniport())
    with pytest.raises(ndis.NotSupportedError):
        empty.query(VENDOR)


def test_a_driver_by_the_ctypes_api(session, proxy) -> None:
    """The whole structure, with its functions, as ctypes has it."""
    driver = ctypes_api.new("ndisbridge_miniport_driver_characteristics")
    types = dict(driver._fields_)
    told = []

    @types["initialize_handler"]
    def initialize(adapter, context, handle, indicate, parameters, attributes):
        told.append((context, parameters[0].if_index))
        attributes[0].mtu_size = 1234
        return 0

    @types["oid_query_handler"]
    def query(context, oid, length, output):
        ctypes.memmove(output, b"\7\0\0\0", 4)
        length[0] = 4
        return 0

    driver.initialize_handler = initialize
    driver.oid_query_handler = query
    adapter = proxy.install(
        "eth",
        NativeMiniport.from_characteristics(
            ctypes.pointer(driver), context=0x1000
        ),
    )
    assert told == [(0x1000, adapter.if_index)]
    assert adapter.query(VENDOR) == 7
    assert adapter.query(Oid.GEN_MAXIMUM_FRAME_SIZE) == 1234
    adapter.uninstall()


def test_one_that_begins_with_attributes_that_are_none(session, proxy) -> None:
    """It has succeeded, so that it is ended."""
    ended = []

    @ffi.callback("ndisbridge_miniport_initialize")
    def initialize(adapter, context, handle, indicate, parameters, attributes):
        adapter[0] = ffi.cast("void *", 0x2000)
        attributes.mac_address_length = 33
        return 0

    @ffi.callback("ndisbridge_miniport_halt")
    def halt(context):
        ended.append(int(ffi.cast("uintptr_t", context)))

    with pytest.raises(ndis.InvalidParameterError, match="33 bytes"):
        proxy.install("eth", NativeMiniport(initialize=initialize, halt=halt))
    assert ended == [0x2000]
    assert list(session.identities()) == []
