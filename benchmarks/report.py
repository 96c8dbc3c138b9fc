#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Writes RESULTS.md and its plots, and says which goals are missed.

    make bench    # all of it
    make goals    # goals only; no file

The status is 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import goals_core
import goals_python
import goals_store
import growth
import instructions
import native
import peers
from comparing import Ratio, duration, line
from conftest import machine

HERE = Path(__file__).resolve().parent
PLOTS = HERE / "plots"
#: What no package index has.
NOT_BUILT = "sbitmap, of which no index that is asked here has a package"
COLUMNS = (
    "| what | ours | theirs | to | ratio | of p10 | goal | |\n"
    "|---|---|---|---|---|---|---|---|"
)


class Progress:
    """What is done, and when; load of the machine over the run."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self.loads = [os.getloadavg()[0]]

    def say(self, text: str) -> None:
        self.loads.append(os.getloadavg()[0])
        print(f"[{time.monotonic() - self._start:4.0f} s] {text}", flush=True)


def measure(directory: Path, progress: Progress, core: Any) -> Iterator[Ratio]:
    floors = native.load_fastcall(directory)
    for each in goals_core.measure(core):
        progress.say(line(each))
        yield each
    for each in goals_python.measure(core, floors, directory):
        progress.say(line(each))
        yield each
    for each in goals_store.measure(directory):
        progress.say(line(each))
        yield each


# ---- what pytest-benchmark has measured -----------------------------------


def read_groups(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Its cases by group, with nanoseconds of one operation each."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for case in json.loads(path.read_text())["benchmarks"]:
        group = case["group"]
        found = re.search(r"\(x ([\d,]+)[^)]*\)$", group)
        operations = case["extra_info"].get("operations") or int(
            found[1].replace(",", "") if found else 1
        )
        name = case["name"].removeprefix("test_")
        short = re.sub(
            r"^(pair|pair_two_threads|batch)\[([^]-]+).*", r"\2", name
        )
        groups.setdefault(group, []).append(
            {
                "name": name,
                "short": short,
                "kind": kind_of(name),
                "each": case["stats"]["median"] * 1e9 / operations,
                "least": case["stats"]["min"] * 1e9 / operations,
            }
        )
    return groups


def kind_of(name: str) -> str:
    for kind in ("floor", "peer"):
        if re.search(rf"(^|\[){kind}", name):
            return kind
    return "ours"


def group_tables(groups: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    for group, cases in sorted(groups.items()):
        floors = [c["each"] for c in cases if c["kind"] == "floor"]
        others = [c["each"] for c in cases if c["kind"] == "peer"]
        floor = min(floors, default=math.nan)
        best = min(others, default=math.nan)
        title = re.sub(r" \(x [\d,]+[^)]*\)$", "", group)
        yield f"\n### {title}\n"
        yield "| case | median | minimum | to the floor | to the best peer |"
        yield "|---|---|---|---|---|"
        for case in sorted(cases, key=lambda c: c["each"]):
            ratios = (
                "" if math.isnan(each) else f"{case['each'] / each:.2f}"
                for each in (floor, best)
            )
            yield (
                f"| {case['name']} | {duration(case['each'])} "
                f"| {duration(case['least'])} | {' | '.join(ratios)} |"
            )


# ---- growth, memory, instructions -----------------------------------------


def verdict(each: growth.Growth, floor: growth.Growth | None) -> str:
    if each.what.startswith("floor"):
        return ""
    if each.factor <= 3:
        return "within 3"
    if floor is not None and each.miss:
        return f"misses: {each.miss}; the floor grows {floor.factor:.0f} times"
    return "MISSED"


def growth_table(growths: list[growth.Growth]) -> Iterator[str]:
    names = [f"10^{n}" for n in range(3, 8)]
    yield f"| what | {' | '.join(names)} | last to first | |"
    yield "|---" * 8 + "|"
    floors = {
        "row": next(g for g in growths if "memcpy" in g.what),
        "query": next(g for g in growths if "direct index" in g.what),
    }
    for each in growths:
        cells = [
            duration(each.figures[size].median) if size in each.figures else ""
            for size in growth.SIZES
        ]
        floor = floors["row" if "a row" in each.what else "query"]
        yield (
            f"| {each.what} | {' | '.join(cells)} | {each.factor:.2f} "
            f"| {verdict(each, floor)} |"
        )


def instruction_table() -> Iterator[str]:
    recorded = instructions.record()
    yield f"Recorded with {recorded['compiler']}; the tests hold them."
    yield ""
    yield "| path | instructions of one operation |"
    yield "|---|---|"
    for name, value in recorded["instructions"].items():
        yield f"| {name.replace('_', ' ')} | {value:g} |"


# ---- the whole -------------------------------------------------------------


def versions() -> Iterator[str]:
    for package in (*peers.PACKAGES, "pytest-benchmark", "apsw", "cffi"):
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"{package} is not installed: left out"


def write(
    head: list[str],
    ratios: list[Ratio],
    growths: list[growth.Growth],
    memory: growth.Memory,
    groups: dict[str, list[dict[str, Any]]],
    missed: list[str],
) -> None:
    import plots

    PLOTS.mkdir(exist_ok=True)
    plots.occupancy(ratios, PLOTS / "occupancy.svg")
    plots.peers(groups, PLOTS / "peers.svg")
    plots.growth(growths, PLOTS / "growth.svg")
    plots.goals(ratios, PLOTS / "goals.svg")
    text = [
        "# Results",
        "",
        "Written by `make bench`. [`README.md`](README.md) says how to read",
        "it, and why what is missed is missed.",
        "",
        *head,
        f"- not measured: {NOT_BUILT}",
        "",
        "## Goals, in turns",
        "",
        f"{len(missed)} missed." if missed else "Every goal is met.",
        "",
        *(f"- {each}" for each in missed),
        "",
        COLUMNS,
        *map(line, ratios),
        "",
        "![ratios](plots/goals.svg)",
        "",
        "![pairs in C](plots/occupancy.svg)",
        "",
        "## Growth",
        "",
        *growth_table(growths),
        "",
        "Interfaces up to 10^6: 10^7 would take 18 GB, and their table 13 GB",
        "more.",
        "",
        "![growth](plots/growth.svg)",
        "",
        "## Memory of an interface, of 1,000,000",
        "",
        f"{memory.in_all:,.0f} bytes, of which {memory.supplied:,} are its",
        "row and its values as anybody may read them at any time, and",
        f"{memory.beyond:,.0f} are what is beyond that (goal: "
        f"{growth.MEMORY_GOAL}). The row holds strings of fixed size, as",
        "MIB_IF_ROW2 does: of one with short names most is zeros.",
        "",
        "## Instructions",
        "",
        *instruction_table(),
        "",
        "## Every case of pytest-benchmark",
        "",
        "Not in turns: see the goals for ratios that a busy machine does not",
        "bend. Times of one operation.",
        "",
        "![peers](plots/peers.svg)",
        *group_tables(groups),
    ]
    (HERE / "RESULTS.md").write_text("\n".join(text) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="goals only")
    parser.add_argument("--groups", type=Path, help="of pytest-benchmark")
    options = parser.parse_args()
    if not options.check and options.groups is None:
        parser.error("give --groups or --check")
    head = [f"- {name}: {value}" for name, value in machine().items()]
    head.append(f"- {', '.join(versions())}")
    print("\n".join(head), flush=True)
    progress = Progress()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        core = native.load_core(directory)
        ratios = list(measure(directory, progress, core))
        memory = growth.memory(directory)
        progress.say(f"{memory.beyond:.0f} bytes an interface, beyond its own")
        growths = []
        for each in growth.measure(core, directory):
            progress.say(f"{each.what}: {each.factor:.2f} times")
            growths.append(each)
    missed = [
        f"{each.what}: {each.ratio:.2f} of {each.to}, goal {each.goal:g}"
        for each in ratios
        if each.met is False
    ]
    if memory.beyond > growth.MEMORY_GOAL:
        missed.append(f"memory of an interface: {memory.beyond:.0f} bytes")
    missed += [
        f"{each.what}: grows {each.factor:.1f} times, and nothing explains it"
        for each in growths
        if each.factor > 3
        and not each.miss
        and not each.what.startswith("floor")
    ]
    loads = progress.loads
    head.append(
        f"- load of the machine during the run: {min(loads):.1f} to "
        f"{max(loads):.1f}, of which the run itself is 1 to 2"
    )
    if not options.check:
        groups = read_groups(options.groups)
        write(head, ratios, growths, memory, groups, missed)
    for each in missed:
        print(f"MISSED: {each}")
    print(f"{len(missed)} goals missed" if missed else "every goal met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
