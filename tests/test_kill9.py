# SPDX-License-Identifier: MIT
"""
Processes on one store, of SQLite or PostgreSQL, are killed at random moments;
what they were told is kept is kept, and nothing else is.  ``NDISBRIDGE_KILLS`` says how
often.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parent / "soak"
KILLS = os.environ.get("NDISBRIDGE_KILLS", "200")


def kill9(*arguments: str, script: str = "kill9.py") -> tuple[int, dict]:
    """Exit status and result of the proof."""
    done = subprocess.run(
        [sys.executable, SOAK / script, *arguments],
        capture_output=True,
        text=True,
    )
    if "NoServerError" in done.stderr and not os.environ.get("CI"):
        pytest.skip("no PostgreSQL server here")
    begin = done.stdout.find("{")
    assert begin >= 0, done.stderr
    return done.returncode, json.loads(done.stdout[begin:])


def test_killed_at_random_moments() -> None:
    """
    200 kills of 4 processes: the store opens, nothing is lost, given twice
    or leaked.
    """
    status, result = kill9("--rounds", KILLS)
    assert result["failures"] == []
    assert status == 0
    assert result["counts"]["kills"] >= int(KILLS)
    assert result["counts"]["acknowledged"] > int(KILLS)


def test_a_witness_that_is_early_is_found() -> None:
    """A control: acknowledged before it is done, it is found to be wrong."""
    status, result = kill9("--rounds", "80", "--control", "swapped")
    assert status == 1
    assert re.search("lost|leaked|twice", result["failures"][0])


def test_killed_hosts_of_postgresql() -> None:
    """50 kills of 4 hosts: nothing is lost, given twice or leaked."""
    pytest.importorskip("psycopg")
    kills = str(max(4, int(KILLS) // 4))
    status, result = kill9("--rounds", kills, script="kill9_postgresql.py")
    assert result["failures"] == []
    assert status == 0
    assert result["counts"]["kills"] >= int(kills)
    assert result["counts"]["acknowledged"] > int(kills)


def test_an_early_witness_of_postgresql_is_found() -> None:
    """A control, as above."""
    pytest.importorskip("psycopg")
    status, result = kill9(
        "--rounds", "80", "--control", "swapped", script="kill9_postgresql.py"
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
