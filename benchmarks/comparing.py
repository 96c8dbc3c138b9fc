# SPDX-License-Identifier: MIT
"""
Ratios that hold on a busy machine.

What is compared is sampled in turns (A B B A), so that whatever else the
machine does falls on all of it.  Each sample's result is asserted, and the
clock stops before that.  A goal is judged by the ratio of the medians; the
ratio of the tenth percentiles stands beside it, for a machine that is
disturbed more often than not.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any


@dataclass
class Side:
    """One of the things compared; only `run` is timed."""

    run: Callable[[], object]
    expected: object = None
    #: Called with the result after each sample.
    after: Callable[[Any], object] | None = None


@dataclass
class Figure:
    """Nanoseconds of one operation."""

    median: float
    p10: float

    @classmethod
    def of(cls, samples: Sequence[float], each: float = 1) -> Figure:
        if len(samples) < 2:
            return cls(float("nan"), float("nan"))
        return cls(median(samples) / each, quantiles(samples, n=10)[0] / each)

    def __sub__(self, other: Figure) -> Figure:
        return Figure(self.median - other.median, self.p10 - other.p10)


@dataclass
class Ratio:
    """An operation on both sides, and what was asked."""

    what: str
    to: str
    goal: float | None
    ours: Figure
    theirs: Figure
    #: Of what the ratio is: "floor", "peer" or "before".
    kind: str = "floor"

    @property
    def ratio(self) -> float:
        return self.ours.median / self.theirs.median

    @property
    def ratio_p10(self) -> float:
        return self.ours.p10 / self.theirs.p10

    @property
    def met(self) -> bool | None:
        if self.goal is None or self.ratio != self.ratio:  # NaN: no samples
            return None
        return self.ratio <= self.goal


def _sample(side: Side) -> int:
    start = time.perf_counter_ns()
    result = side.run()
    taken = time.perf_counter_ns() - start
    if side.expected is not None:
        assert result == side.expected, (result, side.expected)
    if side.after is not None:
        side.after(result)
    return taken


def in_turns(sides: Sequence[Side], samples: int, each: int) -> list[Figure]:
    """What one operation takes; `each` operations are one sample."""
    taken: list[list[float]] = [[] for _ in sides]
    warm_up = samples // 20 + 1
    for i in range(samples + warm_up):
        order = range(len(sides))
        for which in order if i % 2 else reversed(order):
            taken[which].append(_sample(sides[which]))
    return [Figure.of(each_side[warm_up:], each) for each_side in taken]


def compare(
    what: str,
    ours: Side,
    to: str,
    theirs: Side,
    *,
    each: int,
    samples: int,
    goal: float | None = None,
    kind: str = "floor",
) -> Ratio:
    figures = in_turns([ours, theirs], samples, each)
    return Ratio(what, to, goal, *figures, kind)


def loop(count: int, statement: str, **names: object) -> Side:
    """
    A statement in a loop of Python, with its names bound.

    It may set `result`, which the last turn leaves behind.
    """
    arguments = ", ".join(f"{name}={name}" for name in names)
    text = (
        f"def run(turns=turns, {arguments}):\n"
        "    result = None\n"
        "    for _ in turns(None, count):\n"
        f"        {statement}\n"
        "    return result\n"
    )
    scope: dict[str, Any] = {
        **names,
        "turns": itertools.repeat,
        "count": count,
    }
    exec(text, scope)
    return Side(scope["run"])


def duration(nanoseconds: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def line(each: Ratio) -> str:
    verdict = {True: "met", False: "MISSED", None: ""}[each.met]
    goal = "" if each.goal is None else f"{each.goal:g}"
    return (
        f"| {each.what} | {duration(each.ours.median)} "
        f"| {duration(each.theirs.median)} | {each.to} | {each.ratio:.2f} "
        f"| {each.ratio_p10:.2f} | {goal} | {verdict} |"
    )
