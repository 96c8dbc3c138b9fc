# SPDX-License-Identifier: MIT
"""Arrows point one way, in C and in Python."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "ndisbridge"

#: Headers of the core; each may be included by those after it.
C_LAYERS = [
    "ndisbridge.h",
    "platform.h",
    "system.h",
    "thread.h",
    "host.h",
    "transit.h",
    "luid_bitmap.h",
    "luid_pool.h",
    "index_sets.h",
    "if_events.h",
    "if_table.h",
    "oid_catalog.h",
    "if_values.h",
    "if_stack.h",
    "oid_dispatch.h",
    "session.h",
    "netlink.h",
    "linux_links.h",
    "linux_changes.h",
    "linux_settings.h",
    "linux_socket.h",
    "linux_details.h",
]
#: Modules; each may import those before it.
PYTHON_LAYERS = [
    "persistence",
    "_closing",
    "_numbering",
    "_ndisbridge",
    "_fastcall",
    "exceptions",
    "constants",
    "rfc2863",
    "_native_structures",
    "_native_hooks",
    "_native",
    "_native_events",
    "_native_linux",
    "_native_miniport",
    "embedding",
    "ctypes_api",
    "net_luid",
    "structures",
    "query_results",
    "handlers",
    "identity",
    "interface",
    "provider",
    "events",
    "_event_thread",
    "_identity_thread",
    "_process",
    "session",
    "proxy",
    "__init__",
    "cli",
    "__main__",
]
#: Modules of the proxy provider; each may import those before it.
PROXY_LAYERS = [
    "drivers",
    "oid_requests",
    "deadlines",
    "indications",
    "turns",
    "oper_status",
    "parameters",
    "native_miniport",
    "endpoints",
    "answers",
    "identities",
    "bindings",
    "filters",
    "adapter_state",
    "adapter",
    "provider",
]


#: Modules of the host's own links; each may import those before it.
HOST_LAYERS = [
    "compartments",
    "links",
    "recognition",
    "identities",
    "adoption",
    "stacking",
    "settings",
    "following",
    "host",
]


def c_includes(path: Path) -> list[str]:
    return [
        Path(name).name
        for name in re.findall(r'^#include "([^"]+)"', path.read_text(), re.M)
    ]


@pytest.mark.parametrize(
    "path", sorted(CSRC.glob("*.[ch]")), ids=lambda path: path.name
)
def test_c_includes_point_up(path: Path) -> None:
    """A file of the core includes only headers above its own."""
    own = path.with_suffix(".h").name
    limit = C_LAYERS.index(own) if own in C_LAYERS else len(C_LAYERS)
    for name in c_includes(path):
        assert name in C_LAYERS, f"{path.name} includes unknown {name}"
        assert C_LAYERS.index(name) <= limit, f"{path.name} includes {name}"


def test_only_fastcall_knows_python() -> None:
    """No other file of the core includes Python.h."""
    found = {
        path.name
        for path in CSRC.glob("*.[ch]")
        if "<Python.h>" in path.read_text()
    }
    assert found == {"fastcall.c"}


def test_one_file_does_io() -> None:
    """No other file of the core talks to anything but its own process."""
    io = re.compile(
        r"<(sys/socket|sys/ioctl|fcntl|poll|net/if)\.h>"
        r"|\b(fopen|socket|recvmsg|sendmsg)\("
    )
    found = {
        path.name
        for path in CSRC.glob("*.[ch]")
        if io.search(path.read_text())
    }
    assert found == {"linux_socket.c"}


def test_systems_differ_in_one_place() -> None:
    """Only system_*.c and linux_* know which system they are compiled for."""
    found = {
        path.name
        for path in CSRC.glob("*.[ch]")
        if not path.name.startswith(("system_", "linux_"))
        and re.search(
            r"\b(_WIN32|__linux__|__APPLE__)\b"
            r"|<(windows|unistd|sys/\w+)\.h>",
            path.read_text(),
        )
    }
    assert not found


def test_only_linux_knows_the_kernel() -> None:
    """What parses what the kernel says needs nothing of its headers."""
    found = {
        path.name
        for path in CSRC.glob("*.[ch]")
        if re.search(r"<linux/\w+\.h>", path.read_text())
    }
    assert found == {
        "linux_details.c",
        "linux_host.c",
        "linux_monitor.c",
        "linux_socket.c",
    }


def test_no_fences() -> None:
    """No stand-alone fence, and no order but in platform.h's names."""
    for path in CSRC.glob("*.[ch]"):
        text = path.read_text()
        assert "atomic_thread_fence" not in text, path.name
        if path.name != "platform.h":
            assert "memory_order_" not in text, path.name


def layer(module: str) -> str:
    """The layer of a dotted name below ndisbridge."""
    return module.split(".")[0] or "__init__"


def imported(path: Path) -> set[str]:
    """Modules of ours that a file imports when it is imported itself."""
    relative = path.relative_to(PACKAGE)
    package = list(relative.parts[:-1])
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            if node.module:
                names.add(".".join([*base, node.module]))
            else:
                names |= {".".join([*base, a.name]) for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.split(".")[0] == "ndisbridge":
                names.add(node.module.partition(".")[2])
    return names


def type_checking_only(path: Path) -> set[str]:
    """Modules that are imported for types only."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.If)
            and isinstance(node.test, ast.Name)
            and node.test.id == "TYPE_CHECKING"
        ):
            for each in node.body:
                if isinstance(each, ast.ImportFrom) and each.module:
                    names.add(each.module)
    return names


@pytest.mark.parametrize(
    "path",
    sorted(PACKAGE.rglob("*.py")),
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_python_imports_point_up(path: Path) -> None:
    """A module imports only modules of layers above its own."""
    relative = path.relative_to(PACKAGE).with_suffix("")
    own = PYTHON_LAYERS.index(relative.parts[0])
    for name in imported(path) - type_checking_only(path):
        found = layer(name)
        assert found in PYTHON_LAYERS, f"{relative} imports unknown {name}"
        assert PYTHON_LAYERS.index(found) <= own, f"{relative} imports {name}"


@pytest.mark.parametrize(
    ("package", "layers"),
    [("proxy", PROXY_LAYERS), ("proxy.linux", HOST_LAYERS)],
)
def test_proxy_imports_point_up(package: str, layers: list[str]) -> None:
    """So it is between the modules of the proxy provider, and the host's."""
    directory = PACKAGE.joinpath(*package.split("."))
    found = {path.stem for path in directory.glob("*.py")}
    assert found == {"__init__", *layers}
    for number, name in enumerate(layers):
        path = directory / f"{name}.py"
        for each in imported(path) - type_checking_only(path):
            parent, _, module = each.rpartition(".")
            if each.startswith("proxy") and module not in type_checking_only(
                path
            ):
                assert parent == package, f"{path} imports {each}"
                assert module in layers[:number], f"{path} imports {each}"


def test_design_shows_all_layers() -> None:
    """The figure of docs/design.md has what is there, and no more."""
    text = (ROOT / "docs/design.md").read_text()
    figure = re.search(r"^csrc/ .*?(?=^```$)", text, re.M | re.S)
    assert figure is not None
    core, python = figure[0].split("\nndisbridge/\n")
    shown = {
        path.name
        for name in re.findall(r"[\w*]+\.[ch]\b|\w+\.\[ch\]|\w+\*", core)
        for path in CSRC.glob(name)
    }
    assert shown == {path.name for path in CSRC.glob("*.[ch]")}
    named = [each for each in PYTHON_LAYERS if not each.startswith("__")]
    assert set(named) == set(re.findall(r"\w+", python)) & set(named)


def test_only_native_calls_c() -> None:
    """Only the _native modules call functions of cffi's lib."""
    for path in PACKAGE.rglob("*.py"):
        if path.name.startswith("_native") or path.name == "ctypes_api.py":
            continue
        assert not re.search(r"\blib\.ndisbridge_", path.read_text()), path
