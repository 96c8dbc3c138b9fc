# SPDX-License-Identifier: MIT
"""
Header, cdef, exported symbols, ctypes, constants, exceptions and layouts
say the same.
"""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
from collections.abc import Callable
from enum import IntEnum, IntFlag
from pathlib import Path

import pytest

import ndisbridge as ndis
from ndisbridge import (
    _fastcall,
    _native,
    _ndisbridge,
    constants,
    ctypes_api,
    exceptions,
    persistence,
    structures,
)
from ndisbridge._ndisbridge import ffi, lib

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def header() -> str:
    path = Path(ndis.get_include()) / "ndisbridge.h"
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def declarations(header: str) -> str:
    """The slice without its comments."""
    begin, end = "/* cffi: begin */", "/* cffi: end */"
    part = header[header.index(begin) + len(begin) : header.index(end)]
    return re.sub(r"/\*.*?\*/", "", part, flags=re.DOTALL)


def declared_functions(declarations: str) -> set[str]:
    return set(re.findall(r"\b(ndisbridge_\w+)\((?!\*)", declarations))


def test_header_is_all_in_the_slice(header: str, declarations: str) -> None:
    """Nothing public is declared outside the markers but the version."""
    outside = header.replace(
        header[
            header.index("/* cffi: begin */") : header.index("/* cffi: end */")
        ],
        "",
    )
    outside = re.sub(r"/\*.*?\*/", "", outside, flags=re.DOTALL)
    assert declared_functions(outside) == set()
    assert re.findall(r"#define (NDISBRIDGE_\w+) \S", outside) == [
        "NDISBRIDGE_VERSION"
    ]


def test_cdef_has_every_function(declarations: str) -> None:
    """cffi's module has the functions of the header and no other."""
    functions = {n for n in dir(lib) if n.startswith("ndisbridge_")}
    assert functions == declared_functions(declarations)


def test_cdef_has_every_constant(declarations: str) -> None:
    """cffi's module has the constants of the header and no other."""
    names = set(re.findall(r"\b(NDISBRIDGE_\w+)\s*=", declarations))
    names |= set(re.findall(r"#define (NDISBRIDGE_\w+)", declarations))
    assert {n for n in dir(lib) if n.startswith("NDISBRIDGE_")} == names


def test_exported_symbols(
    declarations: str, need: Callable[[str], str]
) -> None:
    """The library exports the functions of the header and nothing else."""
    out = subprocess.run(
        [need("nm"), "-D", "--defined-only", ndis.get_library()],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    exported = {line.split()[-1].split("@")[0] for line in out.splitlines()}
    assert exported == declared_functions(declarations)


def test_library_has_no_python(need: Callable[[str], str]) -> None:
    """The core needs nothing of Python."""
    out = subprocess.run(
        [need("nm"), "-D", "--undefined-only", ndis.get_library()],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert not re.search(r"\b_?Py", out)


def test_one_core(need: Callable[[str], str]) -> None:
    """
    Both modules of Python use the one library beside them.

    Two copies of the core would have two thread-local states; a search path
    of the machine that built them would be searched first everywhere else.
    """
    readelf = need("readelf")

    def dynamic(path: str) -> list[tuple[str, str]]:
        out = subprocess.run(
            [readelf, "-d", "-W", path],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return re.findall(r"\((\w+)\)[^\[\n]*\[([^\]]*)\]", out)

    core = dynamic(ndis.get_library())
    assert ("SONAME", "libndisbridge.so") in core
    assert not {"RPATH", "RUNPATH"} & {tag for tag, _ in core}
    for module in (_fastcall, _ndisbridge):
        found = dynamic(module.__file__)
        assert ("NEEDED", "libndisbridge.so") in found
        assert [
            value for tag, value in found if tag in {"RPATH", "RUNPATH"}
        ] == ["$ORIGIN"]
        assert not any("python" in v for t, v in found if t == "NEEDED")
        exported = subprocess.run(
            ["nm", "-D", "--defined-only", module.__file__],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()[2::3]
        assert exported == [f"PyInit_{module.__name__.rpartition('.')[2]}"]


def test_version(header: str) -> None:
    """Header, library, package, pkg-config and metadata have one version."""
    from importlib.metadata import version
    from pathlib import Path

    (text,) = re.findall(r'NDISBRIDGE_VERSION "([^"]+)"', header)
    assert ndis.__version__ == text == version("ndisbridge")
    pc = Path(ndis.get_pkg_config_dir(), "ndisbridge.pc").read_text()
    assert f"\nVersion: {text}\n" in pc


def test_statuses_have_names_and_classes() -> None:
    """Every failure status has a name and exactly one exception class."""
    classes = {
        cls.status: cls
        for cls in vars(exceptions).values()
        if isinstance(cls, type) and issubclass(cls, exceptions.NdisError)
    }
    for code in constants.StatusCode:
        assert _native.status_string(code) == f"NDIS_STATUS_{code.name}"
        if code < 0:
            assert classes.pop(code).__doc__
            assert exceptions.error_for(code).status == code
    assert classes == {}


def test_status_values(declarations: str) -> None:
    """Each status is the hexadecimal number that its comment gives."""
    from pathlib import Path

    text = (Path(ndis.get_include()) / "ndisbridge.h").read_text()
    pairs = re.findall(
        r"\(0x([0-9A-F]{8})\)[^=]*?NDISBRIDGE_STATUS_(\w+) = (-?\d+)", text
    )
    assert len(pairs) == len(constants.StatusCode) - 1
    for number, name, value in pairs:
        assert int(number, 16) == int(value) & 0xFFFFFFFF, name


def snake(name: str) -> str:
    """ifHCInOctets -> if_hc_in_octets."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z\d])([A-Z])", r"\1_\2", name).lower()


#: Names that the rule above does not make: kept as NDIS spells them.
SPELLED = {
    "query_object_handler": "query_object_handler",
    "in_n_ucast_pkts": "in_nucast_pkts",
    "out_n_ucast_pkts": "out_nucast_pkts",
    "out_q_len": "out_qlen",
    "im_device_instance_context": "im_device_instance_context",
}


def layouts() -> list[tuple[str, dict]]:
    from pathlib import Path

    root = Path(__file__).parent.parent
    data = json.loads((root / "csrc" / "ndis_constants.json").read_text())
    return sorted(data["layouts"].items())


@pytest.mark.parametrize(
    ("name", "layout"), layouts(), ids=[name for name, _ in layouts()]
)
def test_layout(name: str, layout: dict) -> None:
    """Size and offsets of a structure are those of the real headers."""
    if ctypes.sizeof(ctypes.c_void_p) != 8:
        pytest.skip("layouts are compared on 64-bit machines")
    wanted = layout["x86_64"]
    c_name = "ndisbridge_" + name.lower().removeprefix("ndis_")
    c_type = ffi.typeof(c_name)
    assert ffi.sizeof(c_type) == wanted["size"]
    if c_type.kind == "primitive":
        # NET_LUID: bit-fields there, shifts here (test_conformance.py).
        assert name == "NET_LUID"
        return
    for (ours, field), theirs in zip(
        c_type.fields, wanted["fields"], strict=True
    ):
        expected = snake(theirs["name"])
        assert ours == SPELLED.get(expected, expected)
        assert field.offset == theirs["offset"], ours
        assert ffi.sizeof(field.type) == theirs["size"], ours


def test_every_layout_is_there() -> None:
    """All 22 layouts of the data are compared above."""
    assert len(layouts()) == 22


def test_ctypes_agrees() -> None:
    """Sizes, offsets and prototypes of ctypes are cffi's."""
    ctypes_api.load()
    assert set(ctypes_api.FUNCTIONS) == {
        n for n in dir(lib) if n.startswith("ndisbridge_")
    }
    for name, c_type in ctypes_api.TYPES.items():
        cffi_type = ffi.typeof(name)
        if cffi_type.kind != "struct":
            continue
        assert ctypes.sizeof(c_type) == ffi.sizeof(cffi_type)
        for member, field in cffi_type.fields:
            assert getattr(c_type, member).offset == field.offset


def wanted_ctypes(declarations: str, declared: str) -> object:
    """What ctypes should have for a result or a parameter, by its text."""
    values = {
        "int": ctypes.c_int,
        "size_t": ctypes.c_size_t,
        **{
            f"{sign}int{bits}_t": getattr(ctypes, f"c_{sign}int{bits}")
            for sign in ("", "u")
            for bits in (8, 16, 32, 64)
        },
    }
    for number, name in re.findall(
        r"typedef (\w+) (ndisbridge_\w+);", declarations
    ):
        values[name] = values[number]
    words = declared.replace("const ", "").split()
    kind = words[0]
    if "*" not in declared and kind in values:
        return values[kind]
    if "**" in declared or "*const *" in declared or "*" not in declared:
        return "pointer" if kind != "void" or "*" in declared else None
    if kind == "void" or kind in ctypes_api._OPAQUE:
        return ctypes.c_void_p
    if kind == "char":
        return ctypes.c_char_p
    if kind in values:
        return ctypes.POINTER(values[kind])
    return ctypes.POINTER(ctypes_api.TYPES[kind])


def test_ctypes_prototypes(declarations: str) -> None:
    """Results and parameters of ctypes are those that the header's text has."""
    library = ctypes_api.load()
    found = re.findall(
        r"^(\S[\w *]*?)\b(ndisbridge_\w+)\(([^;{}]*)\);", declarations, re.M
    )
    assert {name for _, name, _ in found} == set(ctypes_api.FUNCTIONS)
    for result, name, parameters in found:
        function = getattr(library, name)
        texts = [" ".join(each.split()) for each in parameters.split(",")]
        if texts == ["void"]:
            texts = []
        assert len(function.argtypes) == len(texts), name
        for ours, text in zip(
            [function.restype, *function.argtypes],
            [result.strip(), *texts],
            strict=True,
        ):
            theirs = wanted_ctypes(declarations, text)
            if theirs == "pointer":
                assert ctypes.sizeof(ours) == ctypes.sizeof(ctypes.c_void_p)
                assert not issubclass(ours, ctypes._SimpleCData) or (
                    ours is ctypes.c_void_p
                ), (name, text)
            else:
                assert ours is theirs, (name, text)


def test_dataclasses_agree() -> None:
    """The dataclasses have the members of their structures, in order."""
    for cls in structures.Structure.__subclasses__():
        if cls.__module__ != structures.__name__ or not cls._c_name:
            continue
        names = [n for n, _ in ffi.typeof(f"ndisbridge_{cls._c_name}").fields]
        assert list(cls.__dataclass_fields__) == [
            n for n in names if n != "header"
        ]


def test_enums_are_the_compiled_ones(declarations: str) -> None:
    """Every enumeration of the header is one of Python's, or one of these."""
    not_in_python = {
        "handler_flags": "NativeHandler(non_blocking=...)",
        "linux_change_kind": "the follower's own",
        "net_if_compartment_id": "a compartment is a name in Python",
        "net_if_rcv_address_type": "nothing of Python's carries one",
        "oid_size_rule": "the catalog's own",
        "oid_type": "the catalog's own",
        "retain_flags": "identity(persistent=...)",
        "subscribe_flags": "events(initial=...)",
    }
    unmatched = {
        name: each
        for name, each in vars(constants).items()
        if isinstance(each, type)
        and issubclass(each, (IntEnum, IntFlag))
        and each.__module__ == constants.__name__
        and not name.startswith("_")
        and each not in {IntEnum, IntFlag}
    }
    for enum in re.findall(r"^enum ndisbridge_(\w+) \{", declarations, re.M):
        if enum in not_in_python:
            continue
        wanted = ffi.typeof(f"enum ndisbridge_{enum}").relements

        def has_all(each: type, wanted: dict[str, int] = wanted) -> bool:
            return len(each.__members__) == len(wanted) and all(
                any(
                    full.endswith(f"_{name.removeprefix('_')}")
                    and value == member
                    for full, value in wanted.items()
                )
                for name, member in each.__members__.items()
            )

        found = [name for name, each in unmatched.items() if has_all(each)]
        assert len(found) == 1, (enum, found)
        del unmatched[found[0]]
    assert not unmatched


def test_exceptions_are_public() -> None:
    """Whatever a status raises can be caught by a name of the package."""
    classes = {
        exceptions.error_for(code).__class__ for code in constants.StatusCode
    }
    for each in classes:
        assert each.__name__ in ndis.__all__, each
    for name in persistence.__all__:
        if name.endswith("Error"):
            assert issubclass(getattr(persistence, name), ndis.StoreError)


def test_stubs_are_current(root: Path) -> None:
    """The stubs of the compiled modules are what the generator writes."""
    subprocess.run(
        [sys.executable, str(root / "tools/generate_stubs.py"), "--check"],
        check=True,
    )


@pytest.mark.parametrize(
    ("compiler", "standard"), [("gcc", "c99"), ("g++", "c++11")]
)
def test_header_compiles(
    compiler: str, standard: str, tmp_path: Path, need: Callable[[str], str]
) -> None:
    """The header is clean as C99 and as C++11."""
    need(compiler)
    suffix = "c" if compiler == "gcc" else "cc"
    source = tmp_path / f"header.{suffix}"
    source.write_text("#include <ndisbridge.h>\nint main(void){return 0;}\n")
    subprocess.run(
        [
            compiler,
            f"-std={standard}",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-fsyntax-only",
            f"-I{ndis.get_include()}",
            str(source),
        ],
        check=True,
    )
