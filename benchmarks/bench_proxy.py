# SPDX-License-Identifier: MIT
"""The proxy provider: an OID request on its way through filter modules."""

from __future__ import annotations

import itertools

import pytest

import ndisbridge as ndis
from ndisbridge import Oid
from ndisbridge.proxy import NativeMiniport, ProxyProvider

REQUESTS = 10_000
FILTERS = 8
OID = int(Oid.GEN_VENDOR_ID)


class Driver:
    def oid_request(self, request) -> int:
        return 77


class Passing:
    """A filter module that passes every request."""

    def oid_request(self, request):
        return request.forward()


class Elsewhere(Passing):
    """One that wants other OIDs."""

    oids = frozenset({Oid.GEN_LINK_PARAMETERS})


class Peer:
    """
    What one would write by hand: handlers in a dict, each given what is
    below it.
    """

    def __init__(self, filters: int) -> None:
        def passing(below):
            return lambda oid: below(oid)

        below = self.answer
        for _ in range(filters):
            below = passing(below)
        self.table = {5: {OID: below}}

    def answer(self, oid: int) -> int:
        return 77

    def query(self, net_luid: int, oid: int) -> int:
        return self.table[net_luid][oid](oid)


def ask(query, net_luid: int) -> object:
    answer = None
    for _ in itertools.repeat(None, REQUESTS):
        answer = query(net_luid, OID)
    return answer


@pytest.fixture
def proxy(session):
    with ProxyProvider(session) as made:
        yield made


def installed(proxy, filter_class=None, driver=None) -> int:
    adapter = proxy.install("eth", driver or Driver())
    for _ in range(FILTERS if filter_class else 0):
        adapter.attach(filter_class(), "f")
    return int(adapter.net_luid)


@pytest.mark.benchmark(group="an OID request through 8 filters (x 10,000)")
class TestFilters:
    def test_passing(self, benchmark, session, proxy) -> None:
        luid = installed(proxy, Passing)
        assert benchmark(ask, session.query, luid) == 77

    def test_elsewhere(self, benchmark, session, proxy) -> None:
        luid = installed(proxy, Elsewhere)
        assert benchmark(ask, session.query, luid) == 77

    def test_without_oid_request(self, benchmark, session, proxy) -> None:
        luid = installed(proxy, object)
        assert benchmark(ask, session.query, luid) == 77

    def test_none(self, benchmark, session, proxy) -> None:
        luid = installed(proxy)
        assert benchmark(ask, session.query, luid) == 77

    def test_native_below_none(
        self, benchmark, session, proxy, native
    ) -> None:
        driver = NativeMiniport(native, non_blocking=True)
        luid = installed(proxy, driver=driver)
        assert benchmark(ask, session.query, luid) == 77

    def test_deadline(self, benchmark, session) -> None:
        with ProxyProvider(session, oid_timeout=60) as proxy:
            luid = installed(proxy, Passing)
            assert benchmark(ask, session.query, luid) == 77

    def test_peer_dict_dispatch(self, benchmark) -> None:
        assert benchmark(ask, Peer(FILTERS).query, 5) == 77

    def test_peer_dict_dispatch_none(self, benchmark) -> None:
        assert benchmark(ask, Peer(0).query, 5) == 77


@pytest.mark.benchmark(group="attach and detach a filter module, in memory")
class TestAttach:
    def test_ours(self, benchmark, session, proxy) -> None:
        adapter = proxy.install("eth", Driver())
        for _ in range(FILTERS):
            adapter.attach(Passing(), "f")

        def once() -> int:
            module = adapter.attach(Passing(), "g", position=FILTERS // 2)
            module.detach()
            return len(adapter.filters)

        assert benchmark(once) == FILTERS
        assert session.interface_count == FILTERS + 1


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    """A driver in C that answers 77."""
    import ctypes
    import subprocess

    directory = tmp_path_factory.mktemp("native")
    source, library = directory / "driver.c", directory / "driver.so"
    source.write_text(
        "#include <ndisbridge.h>\n"
        "ndisbridge_status answer(void *c, uint32_t o, uint32_t *l, void *b)\n"
        "{ (void)c; (void)o; *(uint32_t *)b = 77; *l = 4; return 0; }\n"
    )
    subprocess.run(
        [
            *("gcc", "-O2", "-shared", "-fPIC"),
            f"-I{ndis.get_include()}",
            *(str(source), "-o", str(library)),
        ],
        check=True,
    )
    return ctypes.CDLL(str(library)).answer
