# SPDX-License-Identifier: MIT
"""The C tests take every branch of the core but those that are known."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def test_coverage(root: Path, need: Callable[[str], str]) -> None:
    """No file is below the floor of tests/c/coverage.json."""
    need("gcc")
    need("gcov")
    done = subprocess.run(
        [sys.executable, root / "tools" / "coverage_c.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
