# SPDX-License-Identifier: MIT
"""
A process is killed at system calls on its store, and these calls and
allocations fail: tests/soak/faults.py and no_memory.py, at some points.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

Proof = Callable[..., tuple[int, dict]]


def test_killed_at_system_calls(
    need: Callable[[str], str], proof: Proof
) -> None:
    """The store has what was acknowledged, wherever the process is killed."""
    need("strace")
    need("cc")
    status, result = proof("faults.py", "--what", "kill", "--points", "120")
    assert result["failures"] == []
    assert status == 0
    assert result["counts"]["kill points"] > 90


def test_failing_system_calls(
    need: Callable[[str], str], proof: Proof
) -> None:
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
    proof: Proof,
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


def test_failing_allocations(need: Callable[[str], str], proof: Proof) -> None:
    """SQLite and the core run out of memory: typed errors, nothing lost."""
    need("cc")
    status, result = proof("no_memory.py", "--points", "300")
    assert result["failures"] == []
    assert status == 0
    assert result["counts"]["points"] == 300


def test_failing_allocations_are_found(
    need: Callable[[str], str], proof: Proof
) -> None:
    """A control: errors of SQLite that nobody translates."""
    need("cc")
    status, result = proof(
        "no_memory.py", "--points", "60", "--control", "raw"
    )
    assert status == 1
    assert any("not typed" in each for each in result["failures"])
