# SPDX-License-Identifier: MIT
"""
Printing: tables, JSON, JSON Lines, CSV.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .rows import Row
from .streams import encoding, note, printable, write

FORMATS = ("table", "json", "jsonl", "csv")


#: Columns of the table: heading, field.
COLUMNS = {
    "Name": "name",
    "Compartment": "compartment",
    "InterfaceDescription": "description",
    "ifIndex": "if_index",
    "Status": "status",
    "MacAddress": "mac_address",
    "LinkSpeed": "link_speed",
    "NetLuid": "net_luid",
    "ifName": "net_luid_name",
    "InterfaceGuid": "interface_guid",
}
#: Those that a narrow terminal can do without, the first ones first.
OPTIONAL = (
    "InterfaceGuid",
    "ifName",
    "LinkSpeed",
    "MacAddress",
    "InterfaceDescription",
    "Compartment",
)
#: Between two columns.
_GAP = 2
#: Where there is no terminal, nothing is too wide.
_ENDLESS = 1_000_000


def speed_text(bits: int | None) -> str:
    """A link speed as Windows shows it."""
    if bits is None:
        return ""
    for unit, size in (("Tbps", 10**12), ("Gbps", 10**9), ("Mbps", 10**6)):
        if bits >= size:
            return f"{bits / size:g} {unit}"
    return f"{bits / 1000:g} Kbps"


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON that is valid in whatever encoding stdout has."""
    narrow = encoding() != "utf-8"
    return json.dumps(value, indent=indent, ensure_ascii=narrow)


def cell(field: str, value: Any) -> str:
    """A value as people read it."""
    if field == "link_speed":
        return speed_text(value)
    return "" if value is None else printable(value)


def show_rows(
    rows: Sequence[dict[str, Any]],
    output: str,
    columns: dict[str, str] | None = None,
    caption: str = "",
) -> None:
    """
    Print rows in the format that was asked for.

    Without columns these are identities: a table has the usual ones, as many
    as the terminal has room for; CSV has them all.
    """
    if output == "json":
        write(json_text(list(rows), indent=2))
    elif output == "jsonl":
        for row in rows:
            write(json_text(row))
    elif output == "csv":
        names = columns.values() if columns else Row.__dataclass_fields__
        _show_csv(rows, list(names))
    elif columns is not None:
        _show_table(rows, columns, caption)
    else:
        shown, hidden = fitting(rows, _usual_columns(rows))
        if hidden:
            caption += (
                f"; no room for {', '.join(hidden)}: -o json or --columns "
                "shows them"
            )
        _show_table(rows, shown, caption)


def _show_csv(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(
        text, names, extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    write(text.getvalue().removesuffix("\n"))


def _usual_columns(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    several = len({row["compartment"] for row in rows}) > 1
    return {
        heading: field
        for heading, field in COLUMNS.items()
        if several or field != "compartment"
    }


def _width() -> int:
    if not sys.stdout.isatty():
        return _ENDLESS
    return shutil.get_terminal_size().columns


def fitting(
    rows: Sequence[dict[str, Any]], columns: dict[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The columns that there is room for, and those that there is not."""
    room = _width()
    widths = {
        heading: max(
            map(
                cell_len, [heading, *(cell(field, row[field]) for row in rows)]
            )
        )
        for heading, field in columns.items()
    }
    hidden = []
    for heading in OPTIONAL:
        if sum(widths.values()) + _GAP * (len(widths) - 1) <= room:
            break
        if widths.pop(heading, None) is not None:
            hidden.append(heading)
    return {heading: columns[heading] for heading in widths}, hidden


def _show_table(
    rows: Sequence[dict[str, Any]], columns: dict[str, str], caption: str
) -> None:
    cells = [
        [cell(field, row.get(field)) for field in columns.values()]
        for row in rows
    ]
    write(
        _styled(rows, columns, cells)
        if sys.stdout.isatty()
        else _plain(columns, cells)
    )
    if caption:
        note(caption)


def _to_the_right(field: str) -> bool:
    return field == "if_index"


def _plain(columns: dict[str, str], cells: Sequence[Sequence[str]]) -> str:
    """Lines without styles or folds; rich takes long over many."""
    table = [list(columns), *cells]
    widths = [
        max(map(cell_len, column)) for column in zip(*table, strict=True)
    ]
    fields = list(columns.values())
    lines = []
    for row in table:
        padded = []
        for text, width, field in zip(row, widths, fields, strict=True):
            blanks = " " * (width - cell_len(text))
            padded.append(
                blanks + text if _to_the_right(field) else text + blanks
            )
        lines.append((" " * _GAP).join(padded).rstrip(" "))
    return "\n".join(lines)


def _styled(
    rows: Sequence[dict[str, Any]],
    columns: dict[str, str],
    cells: Sequence[Sequence[str]],
) -> str:
    # Not to stdout: rich has its own ideas of what a broken pipe means.
    text = io.StringIO()
    Console(
        file=text, width=_width(), force_terminal=True, highlight=False
    ).print(_rich_table(rows, columns, cells), crop=False)
    return text.getvalue().removesuffix("\n")


def live_table(
    rows: Sequence[dict[str, Any]],
    columns: dict[str, str] | None,
    marked: Sequence[bool],
) -> Table:
    """Rows for a screen; what is marked stands out."""
    if columns is None:
        columns, _ = fitting(rows, _usual_columns(rows))
    cells = [
        [cell(field, row.get(field)) for field in columns.values()]
        for row in rows
    ]
    return _rich_table(rows, columns, cells, marked)


def _rich_table(
    rows: Sequence[dict[str, Any]],
    columns: dict[str, str],
    cells: Sequence[Sequence[str]],
    marked: Sequence[bool] = (),
) -> Table:
    # Plain lines: what is copied from a terminal has no frames in it.
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, field in columns.items():
        table.add_column(
            Text(heading),
            overflow="ellipsis" if marked else "fold",
            no_wrap=bool(marked),
            justify="right" if _to_the_right(field) else "left",
        )
    for i, (row, texts) in enumerate(zip(rows, cells, strict=True)):
        style = {"UP": "green", "ABSENT": "dim"}.get(row.get("status", ""), "")
        if i < len(marked) and marked[i]:
            style += " reverse"
        table.add_row(*map(Text, texts), style=style)
    return table


def count_of(number: int, one: str, many: str) -> str:
    """A number of things, in words."""
    return f"{number} {one if number == 1 else many}"


def all_columns(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Every field as a column of its own name."""
    return {name: name for row in rows[:1] for name in row}


def chosen_columns(text: str | None) -> dict[str, str] | None:
    """The columns of ``--columns``; None for the usual ones."""
    if text is None:
        return None
    fields = list(Row.__dataclass_fields__)
    by_name = {
        **{heading.lower(): field for heading, field in COLUMNS.items()},
        **{field: field for field in fields},
    }
    columns = {}
    for name in text.split(","):
        field = by_name.get(name.strip().lower())
        if field is None:
            raise click.UsageError(
                f"there is no column {name.strip()!r}: choose from "
                + ", ".join(fields)
            )
        columns[name.strip()] = field
    return columns


def sort_field(text: str) -> str:
    """The field of ``--sort``."""
    columns = chosen_columns(text) or {}
    if "," in text:
        raise click.UsageError(
            f"rows are sorted by one column, not by {', '.join(columns)}"
        )
    (field,) = columns.values()
    return field


def show_one(fields: dict[str, Any], output: str) -> None:
    """Print the fields of one thing."""
    if output == "table":
        width = max(len(name) for name in fields)
        lines = [
            f"{name:{width}}  {cell(name, value)}".rstrip()
            for name, value in fields.items()
        ]
        write("\n".join(lines))
    elif output == "json":
        write(json_text(fields, indent=2))
    else:
        show_rows([fields], output, all_columns([fields]))
