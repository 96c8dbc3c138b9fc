# SPDX-License-Identifier: MIT
"""Every branch of the core is taken by its tests, or says why not."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_branch_is_taken(
    need: Callable[[str], str],
    record_property: Callable[[str, object], None],
) -> None:
    need("gcc")
    need("gcov")
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "coverage_c.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    branches = re.search(r"^all +(\d+) branches", done.stdout, re.M)
    assert branches, done.stdout
    record_property("branches", int(branches[1]))
