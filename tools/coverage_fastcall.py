#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Branch coverage of csrc/fastcall.c by Python's tests, or a reason.

    python tools/coverage_fastcall.py            # fails if one is not taken
    python tools/coverage_fastcall.py --marked   # and lists the marks

The rest of csrc/ is for coverage_c.py, whose marks are those of this file
too.  Builds fastcall.c with ``gcc --coverage`` into a copy of the package,
which must have been built in place, runs TESTS there, and asks gcov.

Not counted is what others have written: functions of Python's headers that
are in line, and the glue that cffi generates from the public header.  That is
not in csrc/: it converts arguments, calls what coverage_c.py counts, and its
branches are cffi's own, one pattern for each function.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from coverage_c import ROOT, Covered, covered_by, report, run

SOURCE = ROOT / "csrc" / "fastcall.c"
#: What is for fastcall.c, and what drives it besides.
TESTS = [
    "test_fastcall.py",
    "test_fastcall_memory.py",
    "test_builtins.py",
    "test_handlers.py",
]
#: The branches of a function in line would be counted as those of its caller.
CALLED = """
#include <pyconfig.h>
#ifndef Py_GIL_DISABLED
#define Py_LIMITED_API 0x030A0000
#endif
#include <Python.h>
#undef Py_INCREF
#define Py_INCREF(object) Py_IncRef((PyObject *)(object))
"""
FLAGS = [
    "-std=c11",
    "-O0",
    "-g",
    "-pthread",
    "-fPIC",
    "-DNB_ASSERT_LEVEL=3",
    "-DNB_COVERAGE",
    "-fprofile-update=atomic",
    f"-I{sysconfig.get_path('include')}",
]


def build(directory: Path) -> Path:
    """Makes a copy of all that the tests need; gcov's notes."""
    ignored = shutil.ignore_patterns("__pycache__", "_fastcall*.so")
    for name in ("ndisbridge", "tests"):
        shutil.copytree(ROOT / name, directory / name, ignore=ignored)
    for name in ("pyproject.toml", "csrc"):
        (directory / name).symlink_to(ROOT / name)
    called, made = directory / "called.h", directory / "fastcall.o"
    called.write_text(CALLED)
    run(
        "gcc", *FLAGS, "--coverage", "-include", called, "-c", SOURCE,
        "-o", made,
        cwd=directory,
    )  # fmt: skip
    package = directory / "ndisbridge"
    run(
        "gcc", "--coverage", "-shared", made, "-Wl,-rpath,$ORIGIN",
        f"-L{package}", "-lndisbridge", "-o", package / "_fastcall.abi3.so",
        cwd=directory,
    )  # fmt: skip
    return made.with_suffix(".gcno")


def measure(directory: Path) -> Covered:
    """What the tests take."""
    notes = build(directory)
    tests = [f"tests/{name}" for name in TESTS]
    run(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests,
        cwd=directory,
    )  # fmt: skip
    return covered_by([notes])[SOURCE.name]


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--marked", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        covered = measure(Path(directory))
    report({SOURCE.name: covered}, arguments.marked)


if __name__ == "__main__":
    main()
