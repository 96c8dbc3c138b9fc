# SPDX-License-Identifier: MIT
"""The C of the benchmarks: built in a directory, loaded, and its types."""

from __future__ import annotations

import ctypes
import importlib.util
import math
import subprocess
import sysconfig
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import peers

import ndisbridge as ndis

HERE = Path(__file__).resolve().parent
SPACE = 1 << 24
#: Bytes of a record of the core, and where in it the octets received are:
#: a floor that has the same misses takes the same cache lines.
CORE_RECORD = (1664, 160)
#: The least that a record can be: one cache line.
ONE_LINE = (64, 32)

_POINTER, _U16, _U32, _U64 = (
    ctypes.c_void_p,
    ctypes.c_uint16,
    ctypes.c_uint32,
    ctypes.c_uint64,
)
_FUNCTIONS: dict[str, list[Any]] = {
    "pairs": [_POINTER, _U16, _U32],
    "churn": [_POINTER, _U16, _POINTER, _U32, _U32],
    "claims": [_POINTER, _U16, _U32, _U32],
    "claim_many": [_POINTER, _U16, _POINTER, _U32],
    "free_many": [_POINTER, _U16, _POINTER, _U32],
    "batch": [_POINTER, _U16, _POINTER, _U32],
    "provide": [_POINTER],
    "populate": [_POINTER, _U64, _POINTER, _POINTER, _U32, _U64],
    "registrations": [_POINTER, _U64, _U64, _U32],
    "find_if_indexes": [_POINTER, _POINTER, _U32, _U32],
    "find_net_luids": [_POINTER, _POINTER, _U32, _U32],
    "queries": [_POINTER, _POINTER, _U32, _U32, _U32],
    "query_many": [_POINTER, _POINTER, _U32, _U32] + 3 * [_POINTER] + [_U32],
    "table": [_POINTER, _POINTER, _U32],
    "floor_pairs": [_U32, _U32],
    "floor_churn": [_POINTER, _POINTER, _U32, _U32],
    "floor_claim_many": [_POINTER, _POINTER, _U32],
    "floor_free_many": [_POINTER, _U32],
    "floor_queries": [_POINTER, _POINTER, _U32, _U32, _U32],
    "floor_find": [_POINTER, _POINTER, _U32, _U32],
    "floor_query_many": [_POINTER, _POINTER, _U32, _U32]
    + 3 * [_POINTER]
    + [_U32],
    "floor_indirect_calls": [_POINTER, _U32, _U32],
    "floor_table": [_POINTER, _POINTER, _U32],
    "peer_begin": [_POINTER, _U32, ctypes.c_int],
    "peer_end": [_POINTER],
    "peer_pairs": [_POINTER, _U32],
    "peer_churn": [_POINTER, _POINTER, _U32, _U32],
    "direct_begin": [_POINTER, _U32, _POINTER] + 3 * [_U32] + [_U64],
    "direct_end": [_POINTER],
    "together": [_POINTER, _U32, _U32, _POINTER, _POINTER],
}
#: The OIDs that a provider of the floor answers; the first is asked for.
OIDS = [int(ndis.Oid.GEN_BYTES_RCV), *(0x10100 + n for n in range(1, 16))]


def compile_c(output: Path, *arguments: str) -> None:
    command = ["gcc", "-std=c11", "-O2", "-shared", "-fPIC", "-pthread"]
    subprocess.run([*command, *arguments, "-o", str(output)], check=True)


def load_core(directory: Path) -> ctypes.CDLL:
    """The loops over the core, linked to the package's library, and what it
    is compared with."""
    library = directory / "bench_core.so"
    package = Path(ndis.get_library())
    sources = ("bench_core.c", "bench_floors.c", "bench_threads.c")
    compile_c(
        library,
        f"-I{ndis.get_include()}",
        *(str(HERE / name) for name in sources),
        str(package),
        f"-Wl,-rpath,{package.parent}",
    )
    be_multithreaded()
    return _typed(ctypes.CDLL(str(library)), _FUNCTIONS)


def _typed(
    loaded: ctypes.CDLL, functions: Mapping[str, list[Any]]
) -> ctypes.CDLL:
    for name, arguments in functions.items():
        function = getattr(loaded, name)
        function.restype = ctypes.c_uint64
        if name in ("peer_begin", "direct_begin"):
            function.restype = ctypes.c_void_p
        function.argtypes = arguments
    return loaded


@cache
def load_mimalloc() -> ctypes.CDLL | None:
    """The functions of :class:`Peer` over bitmaps of mimalloc, if the package
    that has its static library is installed."""
    try:
        files = metadata.files(peers.MIMALLOC) or []
    except metadata.PackageNotFoundError:
        return None
    archive = next(each for each in files if each.name == "libmimalloc.a")
    functions = {
        name: arguments
        for name, arguments in _FUNCTIONS.items()
        if name.startswith("peer_")
    }
    with tempfile.TemporaryDirectory() as scratch:
        library = Path(scratch) / "bench_mimalloc.so"
        source = str(HERE / "bench_mimalloc.c")
        compile_c(library, source, str(archive.locate()))
        return _typed(ctypes.CDLL(str(library)), functions)


@cache
def be_multithreaded() -> None:
    """glibc leaves the atomics out of a mutex while there is one thread."""
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def load_fastcall(directory: Path) -> ModuleType:
    """empty() and call(function, a, b), as METH_FASTCALL."""
    path = directory / "bench_fastcall.so"
    include = sysconfig.get_path("include")
    compile_c(path, f"-I{include}", str(HERE / "bench_fastcall.c"))
    spec = importlib.util.spec_from_file_location("bench_fastcall", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- objects of C ---------------------------------------------------------


class Peer:
    """Free indexes under a mutex: a list of them (64 MiB), or a tree of bits
    that gives the lowest (2 MiB), as Linux's IDA does; or those of another
    library that has the same functions."""

    def __init__(
        self,
        core: ctypes.CDLL,
        free: ctypes.Array[Any],
        *,
        tree: bool = False,
    ) -> None:
        self.core = core
        self.address = core.peer_begin(free, len(free), tree)
        assert self.address

    def workload(self, n: int) -> Workload:
        """Pairs, for :func:`together`."""
        pairs = ctypes.cast(self.core.peer_pairs, ctypes.c_void_p)
        return Workload(PEER_PAIRS, n, self.address, peer_pairs=pairs)

    def close(self) -> None:
        self.core.peer_end(self.address)


class Direct:
    """Interfaces by the NET_LUID index itself, that nothing guards."""

    def __init__(
        self,
        core: ctypes.CDLL,
        net_luids: ctypes.Array[Any],
        record: tuple[int, int],
        value: int,
    ) -> None:
        self._core = core
        oids = (ctypes.c_uint32 * len(OIDS))(*OIDS)
        self.address = core.direct_begin(
            net_luids, len(net_luids), oids, len(OIDS), *record, value
        )
        assert self.address

    def close(self) -> None:
        self._core.direct_end(self.address)


class Interfaces:
    """Many registered interfaces, made without Python; see populate()."""

    def __init__(
        self,
        core: ctypes.CDLL,
        session: ndis.Session,
        count: int,
        octets: int,
    ) -> None:
        self.net_luids = (ctypes.c_uint64 * count)()
        self.if_indexes = (ctypes.c_uint32 * count)()
        self.provider = core.provide(session.address)
        assert self.provider
        done = core.populate(
            session.address,
            self.provider,
            self.net_luids,
            self.if_indexes,
            count,
            octets,
        )
        assert done == count


# ---- two threads ----------------------------------------------------------


class Workload(ctypes.Structure):
    """struct workload of bench_threads.c."""

    _fields_ = [
        ("kind", ctypes.c_uint32),
        ("n", ctypes.c_uint32),
        ("object", ctypes.c_void_p),
        ("net_luids", ctypes.c_void_p),
        ("count", ctypes.c_uint32),
        ("oid", ctypes.c_uint32),
        ("threads", ctypes.c_uint32),
        ("done", ctypes.c_uint64),
        ("peer_pairs", ctypes.c_void_p),
    ]


PAIRS, FLOOR_PAIRS, PEER_PAIRS, QUERIES = range(4)


@dataclass
class Together:
    """Nanoseconds of an operation of each thread, of the samples in which
    both ran at once; and what all samples did."""

    nanoseconds: list[float]
    done: int


def together(
    core: ctypes.CDLL,
    workloads: Sequence[Workload],
    samples: int,
    threads: int | Sequence[int],
) -> list[Together]:
    """
    Workloads in turns, each on one or two threads.

    The threads have cores of their own.
    """
    count = len(workloads)
    array = (Workload * count)(*workloads)
    for which in range(count):
        array[which].threads = (
            threads if isinstance(threads, int) else threads[which]
        )
    out = (ctypes.c_double * (count * samples))()
    times = (ctypes.c_uint64 * (4 * count * samples))()
    assert core.together(array, count, samples, out, times)
    return [
        Together(
            [x for x in out[which::count] if not math.isnan(x)],
            array[which].done,
        )
        for which in range(count)
    ]
