# SPDX-License-Identifier: MIT
"""
Printing: tables, JSON, JSON Lines, CSV.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from .rows import Row

FORMATS = ("table", "json", "jsonl", "csv")


#: Columns of the table: heading, field.
COLUMNS = {
    "Name": "name",
    "InterfaceDescription": "description",
    "ifIndex": "if_index",
    "Status": "status",
    "MacAddress": "mac_address",
    "LinkSpeed": "link_speed",
    "NetLuid": "net_luid",
    "ifName": "net_luid_name",
    "InterfaceGuid": "interface_guid",
}


def speed_text(bits: int | None) -> str:
    """A link speed as Windows shows it."""
    if bits is None:
        return ""
    for unit, size in (("Tbps", 10**12), ("Gbps", 10**9), ("Mbps", 10**6)):
        if bits >= size:
            return f"{bits / size:g} {unit}"
    return f"{bits / 1000:g} Kbps"


def console() -> Console:
    """The terminal; wide enough to be cut by nobody where it is none."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(
        width=250, no_color=True, highlight=False, force_terminal=False
    )


def _cell(field: str, value: Any) -> str:
    if field == "link_speed":
        return speed_text(value)
    return "" if value is None else str(value)


def show_rows(
    rows: Sequence[dict[str, Any]],
    output: str,
    columns: dict[str, str],
    caption: str = "",
) -> None:
    """Print rows in the format that was asked for."""
    if output == "json":
        click.echo(json.dumps(list(rows), indent=2, ensure_ascii=False))
    elif output == "jsonl":
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    elif output == "csv":
        names = list(columns.values())
        writer = csv.DictWriter(
            sys.stdout, names, extrasaction="ignore", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)
    else:
        _show_table(rows, columns, caption)


def _show_table(
    rows: Sequence[dict[str, Any]], columns: dict[str, str], caption: str
) -> None:
    # Plain lines: what is copied from a terminal has no frames in it.
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, field in columns.items():
        table.add_column(
            heading,
            no_wrap=field != "interface_guid" or not sys.stdout.isatty(),
            justify="right" if field == "if_index" else "left",
        )
    for row in rows:
        cells = [_cell(field, row.get(field)) for field in columns.values()]
        style = {"UP": "green", "ABSENT": "dim"}.get(row.get("status", ""))
        table.add_row(*cells, style=style)
    console().print(table)
    if caption:
        click.echo(caption, err=True)


def all_columns(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Every field as a column of its own name."""
    return {name: name for row in rows[:1] for name in row}


def chosen_columns(text: str | None, output: str) -> dict[str, str]:
    """The columns of ``--columns``, or the usual ones."""
    fields = list(Row.__dataclass_fields__)
    if text is None:
        if output == "csv":
            return {name: name for name in fields}
        return COLUMNS
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


def show_one(fields: dict[str, Any], output: str) -> None:
    if output == "table":
        width = max(len(name) for name in fields)
        for name, value in fields.items():
            click.echo(f"{name:{width}}  {_cell(name, value)}".rstrip())
    elif output == "json":
        click.echo(json.dumps(fields, indent=2, ensure_ascii=False))
    else:
        show_rows([fields], output, all_columns([fields]))
