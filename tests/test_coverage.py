# SPDX-License-Identifier: MIT
"""Every branch of csrc/ is taken by its tests, or says why not."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("what", ["c", "fastcall"])
def test_every_branch_is_taken(
    what: str,
    need: Callable[[str], str],
    record_property: Callable[[str, object], None],
) -> None:
    need("gcc")
    need("gcov")
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / f"coverage_{what}.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    branches = re.search(r"^all +(\d+) branches", done.stdout, re.M)
    assert branches, done.stdout
    record_property("branches", int(branches[1]))
