# SPDX-License-Identifier: MIT
"""
The rows of the interface stack that the links of a host ask for.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...exceptions import InterfaceNotFoundError, StackLoopError
from ...session import Session
from .links import LinuxLink, stack_rows

Row = tuple[int, int]


class LinkStack:
    """
    (higher, lower) rows of ifIndexes.

    A row may be asked for before both of its links are registered, or while
    it would close a loop: it waits until it can be.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        # By the link whose record says so.
        self._wanted: dict[int, set[Row]] = {}
        self._missing: set[Row] = set()
        self._there: set[Row] = set()
        # Rows of which a link is an end.
        self._ends: dict[int, set[Row]] = {}

    def want(self, links: Iterable[LinuxLink]) -> None:
        """Note the rows that records say, in place of their earlier ones."""
        for link in links:
            rows = stack_rows([link])
            before = self._wanted.get(link.if_index, set())
            if rows == before:
                continue
            for row in before - rows:
                self._drop(row, link.if_index)
            for row in rows - before:
                self._missing.add(row)
                for end in row:
                    self._ends.setdefault(end, set()).add(row)
            if rows:
                self._wanted[link.if_index] = rows
            else:
                del self._wanted[link.if_index]

    def _drop(self, row: Row, if_index: int) -> None:
        """One of its ends asks no more for a row; the other one may."""
        if any(
            row in self._wanted.get(end, ()) for end in row if end != if_index
        ):
            return
        self._missing.discard(row)
        if row in self._there:
            self._there.discard(row)
            self._session.delete_if_stack_entry(*row)
        for end in row:
            rows = self._ends[end]
            rows.discard(row)
            if not rows:
                del self._ends[end]

    def deregistered(self, if_index: int) -> None:
        """Its rows are gone with it; its own wishes too."""
        gone = self._ends.get(if_index, set()) & self._there
        self._there -= gone
        self._missing |= gone
        for row in self._wanted.pop(if_index, set()):
            self._drop(row, if_index)

    def settle(self) -> list[Row]:
        """Add the rows that can be; those that would close a loop."""
        loops = []
        for row in sorted(self._missing):
            try:
                self._session.add_if_stack_entry(*row)
            except StackLoopError:
                loops.append(row)
            except InterfaceNotFoundError:
                continue
            else:
                self._there.add(row)
                self._missing.discard(row)
        return loops
