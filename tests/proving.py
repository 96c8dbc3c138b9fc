# SPDX-License-Identifier: MIT
"""
Writes what `make prove` has found into docs/reliability.md: a pytest plugin.

A row for each of the tests below that ran, over all its parameters: how many
passed, failed and were skipped, the sums of the figures that they have given
with ``record_property``, and the commit.  In CI, which runs a part in a
checkout that nobody keeps, it writes nothing.
"""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from soak.common import versions
from soak.document import DOCUMENT, replace, replace_rows

#: Names of tests, and what each proves.
PROOFS = {
    "test_core": "every order of the steps",
    "test_planted_bug": "orders: planted bugs are found",
    "test_spin": "models of the protocols, in spin",
    "test_litmus": "memory orders, in herd7",
    "test_c": "C tests: plain, ASan with UBSan, TSan",
    "test_threads": "Python tests: ASan with UBSan, TSan",
    "test_what_is_planted_is_found": "sanitizers: planted bugs are found",
    "test_replay_with_gcc": "corpora, with gcc",
    "test_fuzz": "fuzz targets in C",
    "test_fuzz_python": "fuzz targets in Python",
    "test_planted_bug_is_found": "fuzz targets: planted bugs are found",
    "test_every_branch_is_taken": "branches of csrc/",
}


@dataclass
class _Found:
    outcomes: Counter[str] = field(default_factory=Counter)
    figures: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def row(self, name: str, commit: str) -> str:
        counts = [str(self.outcomes[o]) for o in ("passed", "failed")]
        figures = [f"{count:,} {of}" for of, count in self.figures.items()]
        return " | ".join(
            [
                f"| {name}",
                *counts,
                str(self.outcomes["skipped"]),
                ", ".join(figures) or "-",
                f"{self.seconds:.0f} s",
                f"{commit} |",
            ]
        )


_found: dict[str, _Found] = {}


@pytest.hookimpl
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    name = report.nodeid.rpartition("::")[2].partition("[")[0]
    if name not in PROOFS:
        return
    found = _found.setdefault(PROOFS[name], _Found())
    found.seconds += report.duration
    if report.when == "call" or not report.passed:
        found.outcomes[report.outcome] += 1
        found.figures.update(dict(_numbers(report)))


def _numbers(report: pytest.TestReport) -> Iterator[tuple[str, int]]:
    for name, value in report.user_properties:
        if isinstance(value, int):
            yield name, value


def pytest_sessionfinish() -> None:
    if not _found or os.environ.get("CI"):
        return
    text = DOCUMENT.read_text(encoding="utf-8")
    of = versions()
    rows = [found.row(name, of["commit"]) for name, found in _found.items()]
    text = replace_rows(text, "proved", rows, list(PROOFS.values()))
    text = replace(
        text,
        "proving",
        f"Last run: Python {of['python']}, {of['compiler']},\n"
        f"Linux {platform.release()}, {of['machine']}.",
    )
    DOCUMENT.write_text(text, encoding="utf-8")
