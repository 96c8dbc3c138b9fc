# SPDX-License-Identifier: MIT
"""
The command stack: what runs on what, as a tree, as rows, as a graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from ..proxy.linux import LinuxHost
from ..session import Session
from .options import compartment_option, output_option_of, store_option
from .output import cell, fitting, show_rows
from .rows import Row, rows_of_links, this_compartment
from .streams import encoding, note, printable, write

_FORMATS = ("tree", "table", "json", "jsonl", "csv", "dot")
_COLUMNS = {
    "Higher": "higher",
    "ifIndex": "higher_if_index",
    "Lower": "lower",
    "ifIndex ": "lower_if_index",
}
_TREE_COLUMNS = {
    "Name": "name",
    "InterfaceDescription": "description",
    "ifIndex": "if_index",
    "Status": "status",
    "NetLuid": "net_luid",
}
#: What is drawn before a branch, the last one, and what is below either.
_LINES = ("├── ", "└── ", "│   ", "    ")
_PLAIN_LINES = ("|-- ", "`-- ", "|   ", "    ")
_COLOURS = {"UP": "palegreen", "ABSENT": "white"}


@dataclass(frozen=True)
class _Stack:
    """Links by their ifIndexes, and who runs on whom."""

    rows: dict[int, Row]
    entries: Sequence[tuple[int, int]]

    def lower(self) -> dict[int, list[int]]:
        """Those that each one runs on."""
        lower: dict[int, list[int]] = {each: [] for each in self.rows}
        for high, low in self.entries:
            lower[high].append(low)
        return lower

    def tops(self) -> list[int]:
        """Those that nothing runs on."""
        lower = {low for _, low in self.entries}
        return [each for each in sorted(self.rows) if each not in lower]

    def entry(self, higher: int, lower: int) -> dict[str, Any]:
        """A row of ifStackTable, with the names of both."""
        return {
            f"{end}{field}": getattr(self.rows[if_index], name)
            for end, if_index in (("higher", higher), ("lower", lower))
            for field, name in (
                ("", "name"),
                ("_if_index", "if_index"),
                ("_net_luid", "net_luid"),
            )
        }


@click.command()
@store_option
@output_option_of(_FORMATS, "tree")
@compartment_option
def stack(store: str | None, output: str, compartment: str | None) -> None:
    """Show what runs on what: the interface stack of this host's links.

    A bridge, a bond or a VLAN is above the links that it runs on. What has
    several above it is shown below each, its own lower ones only once.

    \b
    Example:
      ndisbridge stack
      ndisbridge stack -o dot | dot -Tsvg > stack.svg
    """
    found = _read(store, compartment)
    if output == "tree":
        rows = list(_tree(found))
        shown, _ = fitting(rows, _TREE_COLUMNS)
        show_rows(rows, "table", shown)
    elif output == "dot":
        write(_dot(found))
    else:
        columns = _COLUMNS
        if output == "csv":
            columns = {name: name for name in _COLUMNS.values()}
            columns |= {
                f"{end}_net_luid": f"{end}_net_luid"
                for end in ("higher", "lower")
            }
        show_rows(
            [found.entry(*each) for each in found.entries], output, columns
        )


def _read(store: str | None, compartment: str | None) -> _Stack:
    here = this_compartment(compartment)
    with Session() as session, LinuxHost(session, compartment="-") as host:
        adoption = host.adopt()
        table: Any = session.if_stack_table().tolist()
    for higher, lower in adoption.unstacked:
        note(f"ifIndex {higher} above {lower} would close a loop: left out")
    rows = rows_of_links([each.link for each in adoption], store, here)
    return _Stack(
        {row.if_index: row for row in rows},
        sorted((higher, lower) for higher, lower in table),
    )


# -- a tree


def _tree(found: _Stack) -> Iterator[dict[str, Any]]:
    lines = _LINES if encoding() == "utf-8" else _PLAIN_LINES
    lower_of = found.lower()
    expanded: set[int] = set()

    def below(if_index: int, own: str, rest: str) -> Iterator[dict[str, Any]]:
        lower = lower_of[if_index]
        again = bool(lower) and if_index in expanded
        row = found.rows[if_index].fields()
        # Escaped here, or the guides would be where they can't be written.
        name = printable(row["name"]) + (" ..." if again else "")
        yield {**row, "name": own + name}
        expanded.add(if_index)
        for each in () if again else lower:
            last = each == lower[-1]
            yield from below(
                each,
                rest + lines[1 if last else 0],
                rest + lines[3 if last else 2],
            )

    for top in found.tops():
        yield from below(top, "", "")


# -- a graph


def _dot(found: _Stack) -> str:
    nodes = [
        f"  n{if_index} [label={_quoted(*_label(row))}, "
        f"fillcolor={_COLOURS.get(row.status, 'lightgrey')}];"
        for if_index, row in sorted(found.rows.items())
    ]
    edges = [f"  n{higher} -> n{lower};" for higher, lower in found.entries]
    return "\n".join(
        [
            "digraph stack {",
            '  graph [rankdir="TB"];',
            '  node [shape="box", style="filled", fontname="sans-serif"];',
            *nodes,
            *edges,
            "}",
        ]
    )


def _label(row: Row) -> Iterator[str]:
    yield row.name
    yield row.description
    yield f"ifIndex {row.if_index}, {row.status}"
    if row.net_luid:
        yield row.net_luid


def _quoted(*lines: str) -> str:
    """A label; names are anybody's to choose."""
    text = "\\n".join(
        cell("", line).replace("\\", "\\\\").replace('"', '\\"')
        for line in lines
    )
    return f'"{text}"'
