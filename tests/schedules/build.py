# SPDX-License-Identifier: MIT
"""The explorer, compiled with the core as it is or with a bug planted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from schedules.bugs import Bug

ROOT = Path(__file__).parent.parent.parent
SCHEDULES = ROOT / "tests" / "schedules"
LEFT_OUT = {"fastcall.c", "linux_absent.c"}
FLAGS = [
    "-std=c11",
    "-D_GNU_SOURCE=",
    "-O2",
    "-g",
    "-pthread",
    "-fno-strict-aliasing",
    "-Wall",
    "-Wextra",
    "-Werror",
]


def _compile(source: Path, made: Path, tree: Path) -> Path:
    """An object file of a source, with its atomics as steps."""
    subprocess.run(
        [
            "gcc",
            *FLAGS,
            *(["-w"] if tree != ROOT else []),  # planted bugs look odd
            f"-I{tree / 'csrc'}",
            f"-I{tree / 'ndisbridge' / 'include'}",
            "-include",
            tree / "tests" / "schedules" / "steps.h",
            "-c",
            source,
            "-o",
            made,
        ],
        check=True,
    )
    return made


def compile_all(scratch: Path) -> dict[str, Path]:
    """The core and the cases, by the names of their sources."""
    sources = [
        path
        for path in sorted((ROOT / "csrc").glob("*.c"))
        if path.name not in LEFT_OUT
    ]
    sources += sorted(SCHEDULES.glob("*.c"))
    return {
        each.name: _compile(each, scratch / f"{each.stem}.o", ROOT)
        for each in sources
    }


def link(objects: dict[str, Path], program: Path) -> Path:
    subprocess.run(
        ["gcc", "-pthread", *objects.values(), "-o", program], check=True
    )
    return program


def with_bug(objects: dict[str, Path], bug: Bug, scratch: Path) -> Path:
    """The explorer of a copy of the sources that has the bug."""
    for name in ("csrc", "ndisbridge/include", "tests/c", "tests/schedules"):
        shutil.copytree(ROOT / name, scratch / name)
    path = scratch / "csrc" / bug.file
    text = path.read_text()
    assert text.count(bug.right) == 1
    path.write_text(text.replace(bug.right, bug.wrong))
    changed = [bug.file]
    if bug.file.endswith(".h"):
        changed = ["if_table.c", "cases_table.c"]
    built = dict(objects)
    for name in changed:
        source = next(scratch.rglob(name))
        built[name] = _compile(source, scratch / f"{name}.o", scratch)
    return link(built, scratch / "explore")
