# SPDX-License-Identifier: MIT
"""The library outside the package: from C, and through ctypes alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ndisbridge as ndis

ROOT = Path(__file__).parent.parent
WANTED = "ethernet_0, ifIndex 1: 12345 octets received\n"


def test_c_program(tmp_path: Path, need: Callable[[str], str]) -> None:
    """A C program builds with pkg-config alone, and works."""
    need("pkg-config")
    compiler = os.environ.get("CC") or shutil.which("cc") or "gcc"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "ndisbridge"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PKG_CONFIG_PATH": ndis.get_pkg_config_dir()},
    ).stdout.split()
    binary = tmp_path / "embed"
    subprocess.run(
        [
            compiler,
            "-std=c99",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            str(ROOT / "examples" / "embed.c"),
            *flags,
            "-o",
            str(binary),
        ],
        check=True,
    )
    done = subprocess.run(
        [str(binary)], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout == WANTED


def test_ctypes_program(tmp_path: Path) -> None:
    """The same program through ctypes says the same."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "embed_ctypes.py")],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stdout == WANTED


def test_one_session_two_routes() -> None:
    """A session made in Python works through ctypes, and goes on after."""
    import ctypes

    from ndisbridge import ctypes_api

    library = ctypes_api.load()
    with ndis.Session() as session:
        first = session.allocate_net_luid_index(6)
        index = ctypes.c_uint32()
        status = library.ndisbridge_allocate_net_luid_index(
            session.address, index, 6
        )
        assert status == 0
        assert index.value != first
        session.free_net_luid_index(6, index.value)
        assert session.count_net_luid_indexes(6).allocated == 1


def test_paths() -> None:
    """What the package says of itself is there."""
    assert (Path(ndis.get_include()) / "ndisbridge.h").is_file()
    assert Path(ndis.get_library()).is_file()
    for option in ("--include-dir", "--library", "--pkg-config-dir"):
        done = subprocess.run(
            [sys.executable, "-m", "ndisbridge", option],
            check=True,
            capture_output=True,
            text=True,
        )
        assert Path(done.stdout.strip()).exists()
