# SPDX-License-Identifier: MIT
"""
Hosts work on one PostgreSQL store while its server crashes, connections are
cut or frozen, and hosts are evicted and come back: tests/soak/hosts.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROOF = Path(__file__).parent / "soak" / "hosts.py"


def hosts(*arguments: str) -> tuple[int, dict]:
    """Exit status and result of the proof."""
    pytest.importorskip("psycopg")
    done = subprocess.run(
        [sys.executable, PROOF, *arguments], capture_output=True, text=True
    )
    if "NoServerError" in done.stderr and not os.environ.get("CI"):
        pytest.skip("no PostgreSQL server here")
    begin = done.stdout.find("{")
    assert begin >= 0, done.stderr
    return done.returncode, json.loads(done.stdout[begin:])


def test_no_index_is_held_by_two_hosts() -> None:
    """Whatever befalls the server, connections and hosts."""
    status, result = hosts("--seconds", "15")
    assert result["failures"] == []
    assert status == 0
    counts = result["counts"]
    assert counts["hold"] > 1000 and counts["retain"] > 100
    assert sum(counts.get(k, 0) for k in ("crash", "cut", "freeze", "evict"))


def test_leases_that_vanish_are_found() -> None:
    """A control: the history shows the indexes that two have held."""
    status, result = hosts("--seconds", "8", "--control", "forget")
    assert status == 1
    assert "index" in result["failures"][0]
