#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Branch coverage of csrc/ by its own tests, against a floor.

    python tools/coverage_c.py            # the table; fails below the floor
    python tools/coverage_c.py --missing  # and each branch never taken
    python tools/coverage_c.py --record   # writes what was reached as floor

Builds the core with ``gcc --coverage``, runs tests/c/*, and asks gcov. Not
looked at are fastcall.c, which only Python runs, so that tests/*.py have it;
assertions, whose failing side no test can take, and what is there for them
only (#if NB_ASSERT_LEVEL); lines with a comment that begins with
"unreachable:", which says why; and headers.

The floor, tests/c/coverage.json, is the number of branches of each file that
were not taken. A new branch needs a test, or the mark.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
FLOOR = ROOT / "tests" / "c" / "coverage.json"
MARK = "/* unreachable:"
#: Branches that only another thread's moment decides differ from run to run:
#: so many more may be missing in the files that have them.
SLACK = 4
TIMED = {
    "if_events.c",
    "if_table.c",
    "if_values.c",
    "linux_monitor.c",
    "linux_socket.c",
    "luid_bitmap.c",
    "luid_pool.c",
    "oid_dispatch.c",
    "session.c",
    "session_interfaces.c",
    "transit.c",
}
#: Not run by C tests; see above.
PYTHON_ONLY = {"fastcall.c"}
FLAGS = [
    "-std=c11",
    "-O0",
    "-g",
    "-pthread",
    "-DNB_ASSERT_LEVEL=3",
    "-fprofile-update=atomic",
    "-fno-strict-aliasing",
    f"-I{ROOT / 'csrc'}",
    f"-I{ROOT / 'ndisbridge' / 'include'}",
]


class Covered(NamedTuple):
    """What the tests have taken of one file."""

    branches: int
    #: Line and number of each branch that was not taken.
    missing: list[tuple[int, int]]
    marked: int


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


def run_tests(directory: Path) -> list[Path]:
    """Builds and runs all in a directory; the names of the notes."""
    sources = [
        path
        for path in sorted((ROOT / "csrc").glob("*.c"))
        if path.name not in PYTHON_ONLY
    ]
    programs = sorted((ROOT / "tests" / "c").glob("test_*.c"))

    def compile_one(source: Path) -> Path:
        made = directory / f"{source.stem}.o"
        run(
            "gcc", *FLAGS, "--coverage", "-c", source, "-o", made,
            cwd=directory,
        )  # fmt: skip
        return made

    def run_one(program: Path) -> None:
        own = directory / program.stem
        own.mkdir()
        binary = own / "program"
        run(
            "gcc", *FLAGS, "--coverage", program, *objects, "-o", binary,
            cwd=own,
        )  # fmt: skip
        run(binary, cwd=own)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        objects = list(pool.map(compile_one, sources))
        list(pool.map(run_one, programs))
    return [path.with_suffix(".gcno") for path in objects]


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


def read(found: dict[str, Any], source: Path) -> Covered:
    """Counts the branches of a file, but for the marked lines."""
    text = source.read_text().splitlines()
    passed_over = assertions(text)
    branches = marked = 0
    missing = []
    for line in found["lines"]:
        number = line["line_number"]
        if number in passed_over:
            continue
        if MARK in text[number - 1]:
            marked += len(line["branches"])
            continue
        for i, branch in enumerate(line["branches"]):
            branches += 1
            if branch["count"] == 0:
                missing.append((number, i))
    return Covered(branches, missing, marked)


def measure(directory: Path) -> dict[str, Covered]:
    """By name of the file."""
    covered = {}
    for notes in run_tests(directory):
        said = json.loads(run("gcov", "-b", "-t", "--json-format", notes,
                              cwd=directory))  # fmt: skip
        for found in said["files"]:
            source = Path(said["current_working_directory"], found["file"])
            if source.stem == notes.stem and source.suffix == ".c":
                covered[source.name] = read(found, source)
    return covered


def table(covered: dict[str, Covered]) -> str:
    """A line for each file, and the sum."""
    rows = []
    for name, each in sorted(covered.items()):
        rows.append((name, each.branches, len(each.missing), each.marked))
    rows.append(("all", *(sum(row[i] for row in rows) for i in (1, 2, 3))))
    return "\n".join(
        f"{name:24}{branches:6} branches,{missing:4} not taken,"
        f"{marked:3} marked, "
        f"{100 * (branches - missing) / branches if branches else 100:6.2f} %"
        for name, branches, missing, marked in rows
    )


def below(covered: dict[str, Covered]) -> list[str]:
    """What is below the floor."""
    floor: dict[str, int] = json.loads(FLOOR.read_text())
    return [
        f"{name}: {len(each.missing)} branches not taken,"
        f" the floor is {floor.get(name, 0)}: lines "
        + ", ".join(str(line) for line in sorted({m[0] for m in each.missing}))
        for name, each in sorted(covered.items())
        if len(each.missing)
        > floor.get(name, 0) + (SLACK if name in TIMED else 0)
    ]


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        covered = measure(Path(directory))
    if arguments.missing:
        for name, each in sorted(covered.items()):
            text = (ROOT / "csrc" / name).read_text().splitlines()
            for line, branch in each.missing:
                print(f"{name}:{line}: {branch}: {text[line - 1].strip()}")
    print(table(covered))
    if arguments.record:
        floor = {
            name: len(each.missing)
            for name, each in sorted(covered.items())
            if each.missing
        }
        FLOOR.write_text(json.dumps(floor, indent=1) + "\n")
    problems = below(covered)
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
