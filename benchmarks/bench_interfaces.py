# SPDX-License-Identifier: MIT
"""Interfaces: registering, asking, and the whole table."""

from __future__ import annotations

from array import array

import pytest

import ndisbridge as ndis
from ndisbridge import Oid
from ndisbridge.structures import InterfaceTable

ETHERNET = int(ndis.IfType.ETHERNET_CSMACD)
QUERIES = 10_000


def register(session, count: int, **provider_values):
    provider = session.register_provider("bench", **provider_values)
    facts = ndis.InterfaceInformation(description="bench")
    return provider, [
        provider.register_interface(
            ndis.NetLuid.make(ETHERNET, session.allocate_net_luid_index(6)),
            facts,
        )
        for _ in range(count)
    ]


@pytest.mark.benchmark(group="register and deregister one interface")
class TestRegister:
    def test_ours(self, benchmark, session) -> None:
        provider = session.register_provider("bench")
        luid = ndis.NetLuid.make(6, session.allocate_net_luid_index(6))
        facts = ndis.InterfaceInformation(description="bench")

        def once() -> int:
            interface = provider.register_interface(luid, facts)
            interface.deregister()
            return interface.if_index

        assert benchmark(once) > 0
        assert session.interface_count == 0

    def test_floor_dict(self, benchmark) -> None:
        table: dict[int, object] = {}
        facts = ndis.InterfaceInformation(description="bench")

        def once() -> int:
            table[5] = facts
            del table[5]
            return 1

        assert benchmark(once) == 1


def ask(query, net_luid: int, oid: int) -> object:
    answer = None
    for _ in range(QUERIES):
        answer = query(net_luid, oid)
    return answer


@pytest.mark.benchmark(group="query one OID of one interface (x 10,000)")
class TestQuery:
    def test_published(self, benchmark, session) -> None:
        _, (interface,) = register(session, 1)
        interface.publish(in_octets=77)
        luid = interface.net_luid
        assert benchmark(ask, session.query, luid, Oid.GEN_BYTES_RCV) == 77

    def test_published_bytes(self, benchmark, session) -> None:
        _, (interface,) = register(session, 1)
        interface.publish(in_octets=77)
        raw = benchmark(
            ask, session.query_bytes, interface.net_luid, Oid.GEN_BYTES_RCV
        )
        assert int.from_bytes(raw, "little") == 77

    def test_native_handler(self, benchmark, session, native) -> None:
        _, (interface,) = register(
            session,
            1,
            handler=ndis.NativeHandler(native, non_blocking=True),
        )
        raw = benchmark(
            ask, session.query_bytes, interface.net_luid, Oid.GEN_BYTES_RCV
        )
        assert int.from_bytes(raw, "little") == 77

    def test_python_handler(self, benchmark, session) -> None:
        _, (interface,) = register(
            session, 1, oids={Oid.GEN_BYTES_RCV: lambda context, oid: 77}
        )
        luid = interface.net_luid
        assert benchmark(ask, session.query, luid, Oid.GEN_BYTES_RCV) == 77

    def test_peer_pysnmp(self, benchmark) -> None:
        """The managed object of an agent, without a network."""
        builder = pytest.importorskip("pysnmp.smi.builder").MibBuilder()
        from pysnmp.smi.instrum import MibInstrumController

        name = (1, 3, 6, 1, 4, 1, 9999, 1)
        scalar, instance, counter = builder.import_symbols(
            "SNMPv2-SMI", "MibScalar", "MibScalarInstance", "Counter64"
        )
        builder.export_symbols(
            "__BENCH",
            scalar(name, counter()),
            instance(name, (0,), counter(77)),
        )
        read = MibInstrumController(builder).read_variables

        def queries() -> int:
            answer = None
            for _ in range(QUERIES // 100):
                ((_, answer),) = read(((*name, 0), None))
            return int(answer)

        benchmark.extra_info["operations"] = QUERIES // 100
        assert benchmark(queries) == 77

    def test_peer_dict_dispatch(self, benchmark) -> None:
        table = {5: {Oid.GEN_BYTES_RCV: lambda context, oid: 77}}

        def query(net_luid: int, oid: int) -> int:
            return table[net_luid][oid](None, oid)

        assert benchmark(ask, query, 5, Oid.GEN_BYTES_RCV) == 77


@pytest.mark.benchmark(
    group="query one OID of 1,000 interfaces, one call (x 1,000)"
)
class TestQueryMany:
    def check(self, benchmark, session, interfaces) -> None:
        luids = array("Q", [each.net_luid for each in interfaces])
        results = benchmark(session.query_many, luids, Oid.GEN_BYTES_RCV)
        assert memoryview(results.buffer).cast("Q").tolist() == [77] * 1000

    def test_published(self, benchmark, session) -> None:
        _, interfaces = register(session, 1000)
        for each in interfaces:
            each.publish(in_octets=77)
        self.check(benchmark, session, interfaces)

    def test_native_handler(self, benchmark, session, native) -> None:
        handler = ndis.NativeHandler(native, non_blocking=True)
        _, interfaces = register(session, 1000, handler=handler)
        self.check(benchmark, session, interfaces)

    def test_python_handler(self, benchmark, session) -> None:
        _, interfaces = register(
            session, 1000, oids={Oid.GEN_BYTES_RCV: lambda context, oid: 77}
        )
        self.check(benchmark, session, interfaces)

    def test_peer_dict_dispatch(self, benchmark) -> None:
        table = {
            i: {Oid.GEN_BYTES_RCV: lambda context, oid: 77}
            for i in range(1000)
        }
        answers = benchmark(
            lambda: [
                table[i][Oid.GEN_BYTES_RCV](None, Oid.GEN_BYTES_RCV)
                for i in range(1000)
            ]
        )
        assert answers == [77] * 1000


@pytest.mark.benchmark(group="table of 10,000 interfaces (x 10,000)")
class TestTable:
    def test_ours(self, benchmark, session) -> None:
        _, interfaces = register(session, 10_000)
        for each in interfaces:
            each.publish(in_octets=77, admin_status=1, alias="")
        table = benchmark(session.interface_table)
        assert len(table) == 10_000
        assert [table[i].in_octets for i in (0, 9_999)] == [77, 77]

    def test_floor_memcpy(self, benchmark) -> None:
        source = bytes(range(256)) * (
            10_000 * InterfaceTable.ROW_SIZE // 256 + 1
        )
        copy = benchmark(bytearray, source)
        assert copy == source


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    """A handler in C that answers 77 to every counter."""
    import ctypes
    import subprocess

    directory = tmp_path_factory.mktemp("native")
    source = directory / "handler.c"
    source.write_text(
        "#include <ndisbridge.h>\n"
        "ndisbridge_status answer(void *c, uint32_t o, uint32_t *l, void *b)\n"
        "{ (void)c; (void)o; *(uint64_t *)b = 77; *l = 8; return 0; }\n"
    )
    library = directory / "handler.so"
    subprocess.run(
        [
            "gcc",
            "-O2",
            "-shared",
            "-fPIC",
            f"-I{ndis.get_include()}",
            str(source),
            "-o",
            str(library),
        ],
        check=True,
    )
    return ctypes.CDLL(str(library)).answer
