#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Branch coverage of csrc/ by its own tests: every branch, or a reason.

    python tools/coverage_c.py            # fails if a branch is not taken
    python tools/coverage_c.py --marked   # and lists what is marked, and why

Builds the core with ``gcc --coverage`` and the steps of
tests/c/staged/staged.h, runs tests/c and tests/c/staged, and asks gcov.

Not counted are fastcall.c, which only Python runs (coverage_fastcall.py);
NB_ASSERT, whose failing side no test can take, and what is there for it only
(#if NB_ASSERT_LEVEL); and what is marked:

- ``NB_NEVER(x)``, ``NB_ALWAYS(x)``: x cannot be; asserted in every test;
- ``/* not reached: why */`` at the end of a line, or on the line above it:
  some branches of that line cannot be taken. If all are, the mark is wrong;
- ``/* by chance: why */``: only another thread's moment decides.

Tests with threads and seeds take some branches in most runs, not in all:
while a branch is missing, they run again, up to so many rounds in all.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests" / "c"
STAGED = TESTS / "staged"
MARK = re.compile(r"/\* (not reached|by chance): ")
NEVER = re.compile(r"\bNB_(?:NEVER|ALWAYS)\(")
#: Of all tests; counts add up.
ROUNDS = 4
#: Not run by C tests; see above.
PYTHON_ONLY = {"fastcall.c"}
#: What staged.c can make fail.
WRAPPED = re.findall(
    r"__wrap_(\w+) ?\(|^WRAP\(\w+, [\w *]+, (\w+),",
    (STAGED / "staged.c").read_text(),
    re.MULTILINE,
)
WRAPS = sorted({a or b for a, b in WRAPPED if (a or b) != "name"})
FLAGS = [
    "-std=c11",
    "-O0",
    "-g",
    "-pthread",
    "-DNB_ASSERT_LEVEL=3",
    "-DNB_COVERAGE",
    "-fprofile-update=atomic",
    "-fno-strict-aliasing",
    f"-I{ROOT / 'csrc'}",
    f"-I{ROOT / 'ndisbridge' / 'include'}",
    f"-I{TESTS}",
]
STEPS = ["-include", str(STAGED / "staged.h")]


class Branch(NamedTuple):
    """One way on from a line."""

    line: int
    number: int


class Covered(NamedTuple):
    """What the tests have taken of one file."""

    branches: int
    missing: list[Branch]
    #: Line -> its mark.
    marked: dict[int, str]
    #: Marked as not reached, but every branch was.
    wrong: list[int]


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; ends this one if it fails."""
    done = subprocess.run(
        [str(each) for each in command],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def build(directory: Path) -> tuple[list[Path], list[Path]]:
    """Builds all in a directory: the programs, and gcov's notes."""
    sources = [
        path
        for path in sorted((ROOT / "csrc").glob("*.c"))
        if path.name not in PYTHON_ONLY
    ]
    programs = [*TESTS.glob("test_*.c"), *STAGED.glob("test_*.c")]

    def compile_one(source: Path) -> Path:
        made = directory / f"{source.stem}.o"
        run(
            "gcc", *FLAGS, *STEPS, "--coverage", "-c", source, "-o", made,
            cwd=directory,
        )  # fmt: skip
        return made

    def link_one(program: Path) -> Path:
        own = directory / program.stem
        own.mkdir()
        binary = own / "program"
        run(
            "gcc", *FLAGS, *STEPS, "--coverage", program, staged, *objects,
            *(f"-Wl,--wrap={name}" for name in WRAPS), "-o", binary,
            cwd=own,
        )  # fmt: skip
        return binary

    staged = directory / "staged.o"
    run("gcc", *FLAGS, "-c", STAGED / "staged.c", "-o", staged, cwd=directory)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        objects = list(pool.map(compile_one, sources))
        binaries = list(pool.map(link_one, sorted(programs)))
    return binaries, [path.with_suffix(".gcno") for path in objects]


def assertions(text: list[str]) -> set[int]:
    """Numbers of the lines that are there for assertions only."""
    found = set()
    statement = False
    condition = 0
    for number, line in enumerate(text, 1):
        if line.startswith("#if") and (condition or "NB_ASSERT_LEVEL" in line):
            condition += 1
        statement = statement or "NB_ASSERT(" in line
        if statement or condition:
            found.add(number)
        if line.rstrip().endswith(";"):
            statement = False
        if line.startswith("#endif") and condition:
            condition -= 1
    return found


def marks(text: list[str]) -> dict[int, str]:
    """The marks by comment: number of the marked line -> the comment."""
    found = {}
    for number, line in enumerate(text, 1):
        if not MARK.search(line):
            continue
        mark, end = line[line.index("/*") :].strip(), number
        while "*/" not in mark:
            end += 1
            mark += " " + text[end - 1].strip().removeprefix("* ")
        alone = line.strip().startswith("/*")
        found[end + 1 if alone else number] = mark
    return found


def judge(source: Path, taken: dict[int, dict[int, int]]) -> Covered:
    """What is missing of a file, given its counts by line and branch."""
    text = source.read_text().splitlines()
    passed_over = assertions(text)
    comments = marks(text)
    marked = {
        number: line.strip()
        for number, line in enumerate(text, 1)
        if NEVER.search(line) and not line.startswith("#define")
    }
    branches, missing, wrong = 0, [], []
    for line, counts in sorted(taken.items()):
        if line in passed_over:
            continue
        untaken = [Branch(line, i) for i, n in counts.items() if n == 0]
        if line in comments:
            marked[line] = comments[line]
            if not untaken and "not reached" in comments[line]:
                wrong.append(line)
            continue
        branches += len(counts)
        missing += untaken
    # A mark that gcov knows no branches of has slipped.
    wrong += [line for line in comments if not taken.get(line)]
    return Covered(branches, missing, marked, wrong)


def covered_by(notes: list[Path]) -> dict[str, Covered]:
    """By name of the file; a header is what all that include it have."""
    taken: dict[str, dict[int, dict[int, int]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(int))
    )

    def ask(path: Path) -> Any:
        return json.loads(
            run("gcov", "-b", "-t", "--json-format", path, cwd=path.parent)
        )

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        answers = list(pool.map(ask, notes))
    for said in answers:
        for found in said["files"]:
            source = Path(said["current_working_directory"], found["file"])
            if source.resolve().parent != ROOT.resolve() / "csrc":
                continue
            lines = taken[source.name]
            for line in found["lines"]:
                for i, branch in enumerate(line["branches"]):
                    lines[line["line_number"]][i] += branch["count"]
    return {
        name: judge(ROOT / "csrc" / name, lines)
        for name, lines in sorted(taken.items())
    }


def measure(directory: Path) -> dict[str, Covered]:
    """Builds all, and runs it until nothing is missing, or long enough."""
    binaries, notes = build(directory)
    covered: dict[str, Covered] = {}
    for number in range(1, ROUNDS + 1):
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(lambda each: run(each, cwd=each.parent), binaries))
        covered = covered_by(notes)
        if not any(each.missing for each in covered.values()):
            break
        if number < ROUNDS:
            print(f"round {number}: some branches were not taken yet")
    return covered


def table(covered: dict[str, Covered]) -> str:
    """A line for each file, and the sum."""
    rows = [
        (name, each.branches, len(each.missing), len(each.marked))
        for name, each in covered.items()
        if each.branches or each.marked
    ]
    rows.append(("all", *(sum(row[i] for row in rows) for i in (1, 2, 3))))
    return "\n".join(
        f"{name:24}{branches:6} branches,{missing:4} not taken,"
        f"{marked:3} lines marked, "
        f"{100 * (branches - missing) / branches if branches else 100:6.2f} %"
        for name, branches, missing, marked in rows
    )


def report(covered: dict[str, Covered], marked: bool) -> None:
    """Prints it, and ends this program if something is missing."""
    print(table(covered))
    problems = []
    for name, each in covered.items():
        text = (ROOT / "csrc" / name).read_text().splitlines()
        if marked:
            for line, mark in sorted(each.marked.items()):
                print(f"csrc/{name}:{line}: {mark}")
        problems += [
            f"csrc/{name}:{line}: branch {number} is not taken:"
            f" {text[line - 1].strip()}"
            for line, number in each.missing
        ]
        problems += [
            f"csrc/{name}:{line}: is marked, but all its branches are taken"
            for line in each.wrong
        ]
    if problems:
        sys.exit("\n".join(problems))


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--marked", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        covered = measure(Path(directory))
    report(covered, arguments.marked)


if __name__ == "__main__":
    main()
