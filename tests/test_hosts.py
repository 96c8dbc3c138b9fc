# SPDX-License-Identifier: MIT
"""
Hosts work on one PostgreSQL store while its server crashes, connections are
cut or frozen, and hosts are evicted and come back: tests/soak/hosts.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

Proof = Callable[..., tuple[int, dict]]


@pytest.fixture
def hosts(
    need_module: Callable[[str], None],
    proof: Proof,
) -> Proof:
    """``hosts(*arguments)``: exit status and result of the proof."""
    need_module("psycopg")
    return partial(proof, "hosts.py")


def test_no_index_is_held_by_two_hosts(
    hosts: Proof,
) -> None:
    """Whatever befalls the server, connections and hosts."""
    status, result = hosts("--seconds", "15")
    assert result["failures"] == []
    assert status == 0
    counts = result["counts"]
    assert counts["hold"] > 1000 and counts["retain"] > 100
    assert sum(counts.get(k, 0) for k in ("crash", "cut", "freeze", "evict"))


def test_leases_that_vanish_are_found(
    hosts: Proof,
) -> None:
    """A control: the history shows the indexes that two have held."""
    status, result = hosts("--seconds", "8", "--control", "forget")
    assert status == 1
    assert "index" in result["failures"][0]
