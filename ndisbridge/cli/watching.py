# SPDX-License-Identifier: MIT
"""
Rows that are kept current: the command watch, and what `list --watch` and
`adopt --follow` share with it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from .observing import Change, ChangeKind, Observer
from .options import (
    columns_option,
    compartment_option,
    output_option_of,
    store_option,
)
from .output import cell, chosen_columns, count_of, json_text, live_table
from .rows import ABSENT, Row, this_compartment
from .streams import note, printable, write

FORMATS = ("table", "jsonl")
#: Seconds that a row stands out after it has changed.
_MARKED = 2.0
#: Seconds between two looks at the screen's size.
_PERIOD = 0.25
#: Events below the table.
_LATEST = 6

Keep = Callable[[Row], bool]
Arrange = Callable[[list[Row]], list[Row]]


@click.command()
@store_option
@output_option_of(FORMATS, "table")
@columns_option
@compartment_option
def watch(
    store: str | None,
    output: str,
    columns: str | None,
    compartment: str | None,
) -> None:
    """Watch the links of this host, and the identities of the store.

    A table on a terminal, until an interrupt; elsewhere one line for each
    event. With `-o jsonl` one JSON object for each, beginning with those
    that are there. Changes of identities by other processes are events too.

    Nothing is registered or written: it takes no rights but to read.

    \b
    Example:
      ndisbridge watch
      ndisbridge watch -o jsonl | jq 'select(.transition == "down").name'
    """
    watch_rows(store, compartment, output, chosen_columns(columns))


def watch_rows(
    store: str | None,
    compartment: str | None,
    output: str,
    columns: dict[str, str] | None,
    keep: Keep = lambda _: True,
    arrange: Arrange | None = None,
) -> None:
    """Show rows and what happens to them, until an interrupt."""
    here = this_compartment(compartment)
    with contextlib.closing(Observer(store, here)) as observer:
        if output == "jsonl" or not _is_screen():
            _stream(observer, output, keep)
        else:
            _show(observer, columns, keep, arrange or by_if_index)


def by_if_index(rows: list[Row]) -> list[Row]:
    """Links in the kernel's order; then what has none."""
    return sorted(rows, key=lambda row: (row.status == ABSENT, row.if_index))


def _is_screen() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") not in {None, "dumb"}


# -- one line for each event


def _stream(observer: Observer, output: str, keep: Keep) -> None:
    for each in observer.initial():
        _write(each, output, keep)
    problem = ""
    while not reader_is_gone():
        for each in observer.wait(_PERIOD):
            _write(each, output, keep)
        if observer.view.problem != problem:
            problem = observer.view.problem
            note(problem or f"{observer.view.name}: it can be read again")


def reader_is_gone() -> bool:
    """Whether nobody reads stdout any more."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return bool(poll.poll(0))


def _write(change: Change, output: str, keep: Keep) -> None:
    rows = [each for each in (change.row, change.before) if each is not None]
    if rows and not any(map(keep, rows)):
        return
    if output == "jsonl":
        write(json_text(change.fields()))
    else:
        write(f"{clock(change.time)} {line_of(change)}")


def clock(seconds: float) -> str:
    """A time of day, to the millisecond."""
    whole = int(seconds)
    text = time.strftime("%H:%M:%S", time.localtime(whole))
    return f"{text}.{int((seconds - whole) * 1000):03}"


def line_of(change: Change) -> str:
    """A change in one line, for people."""
    row = change.row
    if row is None:
        return "some changes were missed; what is so now follows"
    name = printable(row.name or row.key)
    what = {
        ChangeKind.INITIAL: "is there",
        ChangeKind.ADD: "added",
        ChangeKind.DELETE: "deleted",
        ChangeKind.CREATED: "identity made",
        ChangeKind.RELEASED: "identity released",
    }.get(change.kind)
    if what is not None:
        known = row.net_luid or "no identity"
        state = f", {row.error or row.state}" if row.state else ""
        return (
            f"{name}: {what}: ifIndex {row.if_index}, {known}, "
            + printable(f"{row.status}{state}")
        )
    before, now = (
        {name: getattr(each, name) for name in change.changed}
        for each in (change.before, row)
    )
    parts = [
        f"{each} {_shown(each, before[each])} -> {_shown(each, now[each])}"
        for each in change.changed
    ]
    if change.transition:
        parts.insert(0, f"link{change.transition.capitalize()}")
    if change.kind is ChangeKind.CHANGED:
        parts.insert(0, "identity")
    return f"{name}: {', '.join(parts)}"


def _shown(field: str, value: Any) -> str:
    return cell(field, value) or "-"


# -- a table that is kept current


def _show(
    observer: Observer,
    columns: dict[str, str] | None,
    keep: Keep,
    arrange: Arrange,
) -> None:
    console = Console(highlight=False, soft_wrap=False)
    latest: deque[str] = deque(maxlen=_LATEST)
    marked: dict[tuple[str, int], float] = {}
    shown: object = None
    # Or the screen would stay as it is now.
    signal.signal(signal.SIGTERM, _end)
    with Live(
        console=console,
        screen=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:
        while True:
            now = time.monotonic()
            marked = {
                each: until for each, until in marked.items() if until > now
            }
            state = (console.size, frozenset(marked), observer.view.problem)
            if state != shown:
                live.update(
                    _screen(
                        observer,
                        columns,
                        arrange(list(filter(keep, observer.rows()))),
                        marked,
                        latest,
                        console.size.height,
                    ),
                    refresh=True,
                )
                shown = state
            for change in observer.wait(_PERIOD):
                shown = None
                row = change.row
                if row is not None and keep(row):
                    latest.append(f"{clock(change.time)} {line_of(change)}")
                    marked[_mark_of(row)] = time.monotonic() + _MARKED


def _end(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def _mark_of(row: Row) -> tuple[str, int]:
    return row.net_luid, row.if_index


def _screen(
    observer: Observer,
    columns: dict[str, str] | None,
    rows: Sequence[Row],
    marked: dict[tuple[str, int], float],
    latest: Sequence[str],
    height: int,
) -> Group:
    caption = observer.view.problem or (
        f"{count_of(len(rows), 'interface', 'interfaces')}, "
        f"{observer.view.name}"
    )
    # The heading, an empty line and the caption take their room first.
    room = max(1, height - 3)
    events = list(latest)[-max(0, min(_LATEST, room - len(rows))) :]
    if room <= len(rows):
        events = []
    visible = rows[: room - len(events)]
    if len(visible) < len(rows):
        caption += f"; {len(rows) - len(visible)} more below"
    return Group(
        live_table(
            [row.fields() for row in visible],
            columns,
            [_mark_of(row) in marked for row in visible] or [False],
        ),
        Text(""),
        *(_one_line(each, "dim") for each in events),
        _one_line(printable(caption), "bold"),
    )


def _one_line(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
