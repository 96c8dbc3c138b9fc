# SPDX-License-Identifier: MIT
"""
Processes on one store, of SQLite or PostgreSQL, are killed at random moments;
what they were told is kept is kept, and nothing else is.  ``NDISBRIDGE_KILLS`` says how
often.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

SOAK = Path(__file__).parent / "soak"
KILLS = os.environ.get("NDISBRIDGE_KILLS", "200")


Proof = Callable[..., tuple[int, dict]]


def test_killed_at_random_moments(proof: Proof) -> None:
    """
    200 kills of 4 processes: the store opens, nothing is lost, given twice
    or leaked.
    """
    status, result = proof("kill9.py", "--rounds", KILLS)
    assert result["failures"] == []
    assert status == 0
    assert result["counts"]["kills"] >= int(KILLS)
    assert result["counts"]["acknowledged"] > int(KILLS)


def test_a_witness_that_is_early_is_found(proof: Proof) -> None:
    """A control: acknowledged before it is done, it is found to be wrong."""
    status, result = proof(
        "kill9.py", "--rounds", "80", "--control", "swapped"
    )
    assert status == 1
    assert re.search("lost|leaked|twice", result["failures"][0])


def test_killed_hosts_of_postgresql(
    proof: Proof, need_module: Callable[[str], None]
) -> None:
    """50 kills of 4 hosts: nothing is lost, given twice or leaked."""
    need_module("psycopg")
    kills = str(max(4, int(KILLS) // 4))
    status, result = proof("kill9_postgresql.py", "--rounds", kills)
    assert result["failures"] == []
    assert status == 0
    assert result["counts"]["kills"] >= int(kills)
    assert result["counts"]["acknowledged"] > int(kills)


def test_an_early_witness_of_postgresql_is_found(
    proof: Proof, need_module: Callable[[str], None]
) -> None:
    """A control, as above."""
    need_module("psycopg")
    status, result = proof(
        "kill9_postgresql.py", "--rounds", "80", "--control", "swapped"
    )
    assert status == 1
    assert re.search("lost|leaked|twice", result["failures"][0])


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        ("retain? 1 2\nretain? 3\n", "never answered"),
        ("identity? a\nforget? b 7\n", "never answered"),
        ("retain? 1\nretain! 1\nretain! 1\n", "not asked"),
        ("retain? 1\nretain! 1\nretain? 1\n", "given twice"),
    ],
)
def test_a_false_witness_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: str,
    match: str,
) -> None:
    """An answer too few or too many does not pass unseen."""
    monkeypatch.syspath_prepend(str(SOAK))
    from kill9 import Told

    witness = tmp_path / "witness"
    witness.write_text(lines)
    with pytest.raises(AssertionError, match=match):
        Told().read(witness)


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules of the soak can be imported."""
    monkeypatch.syspath_prepend(str(SOAK))


def test_who_ends_by_itself_says_why(soak: None, tmp_path: Path) -> None:
    """The failure that is reported has the traceback of the process."""
    from common import fork, kill

    def work() -> None:
        raise ValueError("it was tired")

    pid = fork(work, tmp_path / "said")
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(AssertionError, match=r"by itself(.|\n)*it was tired"):
        kill(pid, tmp_path / "said")


def test_a_busy_store_ends_no_worker(soak: None, tmp_path: Path) -> None:
    """Not even one that is busy for longer than the timeout of 5 seconds."""
    import kill9

    store, witness = tmp_path / "store" / "ndis.db", tmp_path / "witness"
    pid = kill9.start(store, witness, 1, "")

    def lines() -> int:
        return len(witness.read_text().splitlines()) if store.exists() else 0

    def until_more(than: int) -> None:
        deadline = time.monotonic() + 300
        while lines() <= than:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    try:
        until_more(10)
        writer = apsw.Connection(str(store))
        writer.set_busy_timeout(300_000)
        writer.execute("BEGIN IMMEDIATE")
        time.sleep(0.2)
        before = lines()
        time.sleep(6)
        assert lines() <= before + 1, "it was not busy"
        writer.close(True)
        until_more(before + 10)
    finally:
        kill9.kill(pid, kill9.last_words(witness))
