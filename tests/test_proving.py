# SPDX-License-Identifier: MIT
"""The tables of docs/reliability.md that proofs write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from proving import PROOFS
from soak.document import DOCUMENT, replace_rows

TABLE = """\
before
<!-- made -->
| proof | found |
|---|---|
{}<!-- end of made -->
after
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "| b | 5 |\n"),
        ("| b | 1 |\n", "| b | 5 |\n"),
        ("| a | 1 |\n| c | 1 |\n", "| a | 1 |\n| b | 5 |\n| c | 1 |\n"),
    ],
)
def test_rows_are_replaced(old: str, new: str) -> None:
    """Those that are given, where they belong; no others."""
    text = replace_rows(TABLE.format(old), "made", ["| b | 5 |"], "abc")
    assert text == TABLE.format(new)


def test_every_proof_is_a_test() -> None:
    """And what the document says of the last run is of these."""
    tests = {
        name
        for path in Path(__file__).parent.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.M)
    }
    assert set(PROOFS) <= tests
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text.split("<!-- proved -->")[1].split("<!--")[0]
    rows = re.findall(r"^\| (.*?) \|", table, re.M)[1:]
    assert rows == [name for name in PROOFS.values() if name in rows]
    assert rows
