# SPDX-License-Identifier: MIT
"""
A process is killed at system calls on its store, and these calls and
allocations fail: tests/soak/faults.py and no_memory.py, at some points.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOAK = Path(__file__).parent / "soak"


def proof(script: str, *arguments: str) -> tuple[int, dict]:
    """Exit status and result of a proof."""
    done = subprocess.run(
        [sys.executable, SOAK / script, *arguments],
        capture_output=True,
        text=True,
    )
    if "strace does not trace" in done.stderr and not os.environ.get("CI"):
        pytest.skip("no leave to trace here")
    begin = done.stdout.find("{")
    assert begin >= 0, done.stderr
    return done.returncode, json.loads(done.stdout[begin:])


def test_killed_at_system_calls(need: Callable[[str], str]) -> None:
    """The store has what was acknowledged, wherever the process is killed."""
    need("strace")
    need("cc")
    status, result = proof("faults.py", "--what", "kill", "--points", "120")
    assert result["failures"] == []
    assert status == 0
    assert result["counts"]["kill points"] > 90


def test_failing_system_calls(need: Callable[[str], str]) -> None:
    """Errors are typed, and the store has what was acknowledged."""
    need("strace")
    need("cc")
    status, result = proof("faults.py", "--what", "error", "--points", "300")
    assert result["failures"] == []
    assert status == 0
    assert result["counts"]["error points"] > 200
    assert result["errors raised"]["StoreFullError"]
    assert result["errors raised"]["StoreUncertainError"]


@pytest.mark.parametrize(
    ("what", "points", "control", "found"),
    [
        ("kill", "150", "early", "lost"),
        ("error", "40", "raw", "not typed"),
    ],
)
def test_faults_are_found(
    need: Callable[[str], str],
    what: str,
    points: str,
    control: str,
    found: str,
) -> None:
    """Controls: early acknowledgements, errors that nobody translates."""
    need("strace")
    need("cc")
    status, result = proof(
        "faults.py", "--what", what, "--points", points, "--control", control
    )
    assert status == 1
    assert any(found in each for each in result["failures"])


def test_failing_allocations(need: Callable[[str], str]) -> None:
    """SQLite and the core run out of memory: typed errors, nothing lost."""
    need("cc")
    status, result = proof("no_memory.py", "--points", "300")
    assert result["failures"] == []
    assert status == 0
    assert result["counts"]["points"] == 300


def test_failing_allocations_are_found(need: Callable[[str], str]) -> None:
    """A control: errors of SQLite that nobody translates."""
    need("cc")
    status, result = proof(
        "no_memory.py", "--points", "60", "--control", "raw"
    )
    assert status == 1
    assert any("not typed" in each for each in result["failures"])
