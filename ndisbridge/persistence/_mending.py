# SPDX-License-Identifier: MIT
"""
Repairing a store, of whatever server: what is certain, and loses nothing.

An index that may be somebody's is never freed, for losing one is better than
handing it out twice; a row whose checksum is wrong is never touched, for
nobody knows which part of it is wrong.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ._rows import page_id, signed
from .records import Problem

_Scope = TypeVar("_Scope", bound=Hashable)

#: How many rows a table has, and the sum of their checksums.
Sum = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair has done."""

    done: tuple[Problem, ...]
    #: What is wrong still, and was kept as it is.
    kept: tuple[Problem, ...]
    #: Copy of the store as it was before; "" if there is none.
    copy: str


@dataclass
class Survey(Generic[_Scope]):
    """What the rows of identities say that can be believed."""

    #: Bits that lasting ones must have, by whose space the page is of (that
    #: of NET_LUIDs, or of ifIndexes) and its number.
    bits: dict[tuple[_Scope, int], int] = field(default_factory=dict)
    #: NET_LUIDs of those that end with a session, by session.
    ending: dict[int, list[int]] = field(default_factory=dict)
    #: Sessions that rows which can't be believed name.
    doubtful: set[int] = field(default_factory=set)

    def add_bit(self, scope: _Scope, if_type: int, index: int) -> None:
        page = scope, page_id(if_type, index >> 12)
        self.bits[page] = self.bits.get(page, 0) | 1 << (index & 4095)


def mended_root(
    stored: Sum, before: Sum, after: Sum, damaged: int
) -> tuple[Sum, str]:
    """
    What the root is to say of a table: what its rows do, if they are all
    there for sure.

    Args:
        stored: What it says.
        before: What the rows were before the repair.
        after: What they are after it.
        damaged: How many of them have a wrong checksum.

    Returns:
        That, and what has been mended of the root itself; "" for nothing.
    """
    if after == stored:
        return stored, "are what they were" if before != stored else ""
    if before == stored:
        return after, ""
    # Where a row is gone, only the root knows it for sure: a page may hold
    # indexes that nothing else tells of, and an index may be retained
    # without an identity.  One number that is wrong alone was flipped.
    gone = before[0] != stored[0] and before[1] != stored[1]
    if damaged or gone:
        return (
            stored[0] + after[0] - before[0],
            signed(stored[1] + after[1] - before[1]),
        ), ""
    return after, "counted"


def root_problem(table: str, stored: Sum, after: Sum, how: str) -> Problem:
    """What is said of a root that has been mended."""
    if how == "counted":
        return Problem(
            "root",
            f"computed again from the {after[0]} {table}, whose checksums "
            f"are right (it said {stored[0]}): compare them with a backup",
        )
    return Problem("root", f"rows of {table} {how}")


def ended(session: int, leases: int, marks: int, identities: int) -> Problem:
    """What is said of a dead session that is ended."""
    return Problem(
        "session",
        f"session {session} died: voided {leases} of its leases, {marks} of "
        f"its marks and {identities} of the identities that ended with it",
    )


def emptied(where: str) -> Problem:
    return Problem("page", f"{where}: removed, nothing is retained")


def counted(where: str, said: int, has: int) -> Problem:
    return Problem("page", f"{where}: it counted {said}, and has {has}")


def retained_again(where: str, missing: int) -> Problem:
    return Problem(
        "page",
        f"{where}: {missing} that identities have are retained again",
    )
