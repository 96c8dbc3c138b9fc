# SPDX-License-Identifier: MIT
"""The core paths take no more instructions than they are recorded to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import instructions
import pytest


def test_core_paths(need: Callable[[str], str], tmp_path: Path) -> None:
    need("valgrind")
    instrumented = ("-fsanitize", "--coverage", "-DNB_ASSERT_LEVEL")
    if any(each.startswith(instrumented) for each in instructions.switches()):
        pytest.skip("this build counts or checks more than it is asked for")
    record = instructions.record()
    recorded = record["instructions"]
    same = record["compiler"] == instructions.compiler()
    if record["compiler"].split()[-1] != instructions.platform.machine():
        pytest.skip("the record is that of another kind of machine")
    most = instructions.CEILING if same else instructions.LOOSE_CEILING
    counts = instructions.count(tmp_path)
    assert all(value > 0.5 for value in counts.values())
    assert counts.keys() == recorded.keys()
    over = {
        name: (value, recorded[name])
        for name, value in counts.items()
        if value > most * recorded[name]
    }
    assert not over, "more instructions than recorded in instructions.json"
    # What has become better is recorded, so that it stays so.
    under = {
        name: (value, recorded[name])
        for name, value in counts.items()
        if same and value < recorded[name] * 0.9
    }
    assert not under, "python benchmarks/instructions.py --record"


def test_it_counts_what_there_is() -> None:
    """Every path of the program is in the record."""
    names = {
        path.removeprefix("path_").rpartition("_")[0]
        for path in instructions.paths()
    }
    assert names == instructions.record()["instructions"].keys()
