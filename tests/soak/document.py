# SPDX-License-Identifier: MIT
"""The tables of docs/reliability.md that proofs write themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"


def replace(text: str, marker: str, new: str) -> str:
    """What stands between two comments."""
    begin, end = f"<!-- {marker} -->\n", f"<!-- end of {marker} -->"
    before, rest = text.split(begin)
    return before + begin + new + "\n" + end + rest.split(end)[1]


def replace_rows(
    text: str, marker: str, rows: Sequence[str], order: Sequence[str]
) -> str:
    """
    Some rows of a table between two comments, for those that begin alike.
    What rows begin with is one of the order.
    """

    def name(row: str) -> str:
        return row.split("|")[1].strip()

    table = text.split(f"<!-- {marker} -->\n")[1]
    head, rule, *old = table.split("\n<!--")[0].split("\n")
    names = {name(row) for row in rows}
    body = [row for row in old if name(row) not in names]
    body = sorted([*body, *rows], key=lambda row: order.index(name(row)))
    return replace(text, marker, "\n".join([head, rule, *body]))
