# SPDX-License-Identifier: MIT
"""The stub of _fastcall, which is written by hand, against the module."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_stub_of_fastcall(tmp_path: Path) -> None:
    """_fastcall.pyi declares what _fastcall has, as it has it."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("no mypy here")
    config = tmp_path / "mypy.ini"
    # Other stubs are looked at on the way: cffi has none of its own.
    config.write_text("[mypy]\nignore_missing_imports = True\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy.stubtest"),
            *("--mypy-config-file", str(config), "ndisbridge._fastcall"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"MYPY_CACHE_DIR": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
