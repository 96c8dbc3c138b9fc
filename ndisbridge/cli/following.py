# SPDX-License-Identifier: MIT
"""
What `adopt --follow` does: keeps the links adopted, and says what happens,
until it is told to end.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType
from typing import Any

from ..persistence import LeaseLostError
from ..proxy.linux import LinuxHost
from ..proxy.linux.adoption import Adoption, AdoptionState
from ..proxy.linux.following import Follower, Removal
from .errors import INTERRUPTED, OK, STORE
from .notifying import notify
from .observing import Change, ChangeKind, Observer
from .output import json_text
from .rows import ABSENT
from .streams import note, write
from .watching import clock, line_of, reader_is_gone

#: Seconds between two looks at whether to end.
_PERIOD = 0.25
#: What else is written of an identity while its link is registered here.
_OURS = {"registered_by", "if_index"}


class Ending:
    """Signals that ask for the end; the first one is kept."""

    def __init__(self) -> None:
        self.by = 0

    @property
    def code(self) -> int:
        """The exit code for it."""
        return INTERRUPTED if self.by == signal.SIGINT else OK

    def _take(self, number: int, _: FrameType | None) -> None:
        if self.by and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.by = self.by or number

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """Signals are taken meanwhile; who insists interrupts it."""
        handlers = {
            each: signal.signal(each, self._take)
            for each in (signal.SIGTERM, signal.SIGHUP)
        }
        # Who started it in the background may have had it ignored.
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            handlers[signal.SIGINT] = signal.signal(signal.SIGINT, self._take)
        try:
            yield
        finally:
            for each, handler in handlers.items():
                signal.signal(each, handler)


class Log:
    """
    One line for each thing that happens: on stderr, or as JSON on stdout.

    A link that comes is told once it has its identity.
    """

    def __init__(self, output: str) -> None:
        self._json = output == "jsonl"
        # The journal has times of its own.
        self._timed = not self._json and "JOURNAL_STREAM" not in os.environ
        self._coming: dict[int, Change] = {}

    def tell(self, change: Change) -> None:
        """Write a change, or keep it until there is more to say."""
        row = change.row
        if row is not None and row.status != ABSENT:
            if change.kind is ChangeKind.ADD and not row.net_luid:
                self._coming[row.if_index] = change
            came = self._coming.get(row.if_index)
            if came is not None:
                if not row.net_luid:
                    return
                if change.kind is ChangeKind.CREATED:
                    row = replace(row, state=AdoptionState.NEW.value)
                change = Change(ChangeKind.ADD, row, None, came.time)
                del self._coming[row.if_index]
        elif (
            row is not None
            and change.kind is ChangeKind.DELETE
            and self._coming.pop(row.if_index, None) is not None
        ):
            return
        if change.kind is ChangeKind.CHANGED and not (
            set(change.changed) - _OURS
        ):
            return
        self._write(change)

    def _write(self, change: Change) -> None:
        if self._json:
            write(json_text(change.fields()))
        elif self._timed:
            note(f"{clock(change.time)} {line_of(change)}")
        else:
            note(line_of(change))


def follow(
    host: LinuxHost,
    adoption: Adoption,
    store: str | None,
    output: str,
    removal: Removal,
    ending: Ending,
) -> int:
    """Follow until a signal: the exit code."""
    log = Log(output)
    with (
        host.follow(removal=removal) as follower,
        contextlib.closing(Observer(store, host.compartment)) as observer,
    ):
        adopted = {each.if_index for each in adoption}
        for each in observer.initial():
            if each.row is None or each.row.status == ABSENT:
                continue
            if each.row.if_index not in adopted:
                # It has come since then.
                log.tell(replace(each, kind=ChangeKind.ADD))
            elif output == "jsonl":
                log.tell(each)
        notify("READY=1", f"STATUS={len(adoption)} links adopted")
        try:
            return _run(log, follower, observer, ending, output)
        finally:
            notify("STOPPING=1")


def _run(
    log: Log,
    follower: Follower,
    observer: Observer,
    ending: Ending,
    output: str,
) -> int:
    told: dict[str, Any] = {}
    while not ending.by:
        if output == "jsonl" and reader_is_gone():
            return OK
        for change in observer.wait(_PERIOD):
            log.tell(change)
        for what, problem in (
            ("links", follower.last_error),
            ("store", observer.view.problem),
        ):
            said = str(problem or "")
            if said != told.setdefault(what, ""):
                note(f"{said}: trying again" if said else f"{what}: well")
                told[what] = said
        if isinstance(follower.last_error, LeaseLostError) or follower.closed:
            note("the store has given this session up")
            return STORE
    note(f"ending: {signal.Signals(ending.by).name}")
    return ending.code


__all__ = ["Ending", "Log", "follow"]
