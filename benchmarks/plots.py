# SPDX-License-Identifier: MIT
"""The plots of RESULTS.md: SVG, the same for the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from comparing import Ratio
from growth import Growth

mpl.use("svg")
mpl.rcParams.update(
    {
        "svg.hashsalt": "ndisbridge",
        # Text is text, not its outline: a tenth of the size.
        "svg.fonttype": "none",
        "axes.grid": True,
        "grid.alpha": 0.3,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 9,
        "legend.frameon": False,
    }
)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    # No trailing blanks, which reviews would show.
    lines = path.read_text().splitlines()
    path.write_text("\n".join(each.rstrip() for each in lines) + "\n")


def occupancy(ratios: Sequence[Ratio], path: Path) -> None:
    """A pair in C by occupancy, on one and two threads."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
    for axis, threads in zip(axes, ("1 thread", "2 threads"), strict=True):
        series: dict[str, list[float]] = {}
        labels: list[str] = []
        for each in ratios:
            if not each.what.startswith("C: pair, ") or (
                threads not in each.what
            ):
                continue
            label = each.what.split(", ")[1].removesuffix(" occupied")
            if label not in labels:
                labels.append(label)
                series.setdefault("ndisbridge", []).append(each.ours.median)
            series.setdefault(each.to, []).append(each.theirs.median)
        for name, values in series.items():
            style = "--" if "cached word" in name else "-"
            axis.plot(labels, values, style, marker="o", label=name)
        axis.set_title(f"{threads}: nanoseconds of a pair, each")
        axis.set_yscale("log")
        axis.set_xlabel("occupied, of 16,777,216 indexes")
    axes[0].legend(fontsize=7, loc="upper left")
    _save(figure, path)


def peers(groups: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """A pair in Python: ours and every peer, by occupancy."""
    figure, axis = plt.subplots(figsize=(8, 4))
    series: dict[str, dict[str, float]] = {}
    for group, cases in groups.items():
        if not group.startswith("pair, ") or "1 thread" not in group:
            continue
        label = group.split(", ")[1].removesuffix(" occupied")
        for case in cases:
            name = case["short"].removeprefix("peer_")
            series.setdefault(name, {})[label] = case["each"]
    order = ["0 %", "50 %", "99 %", "99.99 %"]
    several = {
        name: values for name, values in series.items() if len(values) > 1
    }
    for name in sorted(several, key=lambda n: several[n].get("99 %", 0)):
        values = several[name]
        at = [each for each in order if each in values]
        axis.plot(
            at,
            [values[each] for each in at],
            marker="o",
            linewidth=2.5 if name == "ours" else 1,
            label=name,
        )
    axis.set_yscale("log")
    axis.set_xlim(-0.2, 4.4)
    axis.set_title("Python: nanoseconds of allocate + free, one thread")
    axis.set_xlabel("occupied, of 16,777,216 indexes")
    axis.legend(fontsize=7, loc="center right")
    _save(figure, path)


def growth(growths: Sequence[Growth], path: Path) -> None:
    """What an item costs by how many there are."""
    figure, axis = plt.subplots(figsize=(8, 4.4))
    for each in growths:
        if each.what.startswith("SQLite"):
            continue
        style = "--" if each.what.startswith("floor") else "-"
        axis.plot(
            list(each.figures),
            [figure.median for figure in each.figures.values()],
            style,
            marker=".",
            label=each.what,
        )
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("how many there are")
    axis.set_title("nanoseconds of one")
    axis.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
    _save(figure, path)


def goals(ratios: Sequence[Ratio], path: Path) -> None:
    """Each goal, and how far from it: 1 is the goal."""
    held = [each for each in ratios if each.goal is not None]
    figure, axis = plt.subplots(figsize=(8, 0.19 * len(held) + 0.8))
    names = [f"{each.what} / {each.to}" for each in held]
    values = [each.ratio / (each.goal or 1) for each in held]
    colours = ["#2b8a3e" if value <= 1 else "#c92a2a" for value in values]
    axis.barh(range(len(held)), values, color=colours)
    axis.axvline(1, color="black", linewidth=1)
    axis.set_yticks(range(len(held)), names, fontsize=5)
    axis.set_xscale("log")
    axis.invert_yaxis()
    axis.set_title("ratio, of the one that is the goal")
    _save(figure, path)
