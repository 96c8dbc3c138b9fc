#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Instructions of one operation of each core path, which do not depend on the
machine's mood.

    python benchmarks/instructions.py             # counts, beside the record
    python benchmarks/instructions.py --record    # writes instructions.json

They are counted under valgrind's callgrind, over the library that is
installed; `tests/test_instructions.py` holds them to the record.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import ndisbridge as ndis

HERE = Path(__file__).resolve().parent
RECORD = HERE / "instructions.json"
#: Of a count that the compiler of the record makes, and that of another.
CEILING, LOOSE_CEILING = 1.05, 1.5
SWITCHES = HERE.parent / "build" / "switches.json"


def switches() -> list[str]:
    """What the library was compiled with; nothing where it was not here."""
    if not SWITCHES.exists():
        return []
    found: list[str] = json.loads(SWITCHES.read_text())[0]
    return found


def compiler() -> str:
    """The one that `make build` takes, how, and for which machine."""
    version = subprocess.run(
        ["cc", "--version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]
    return f"{version}, {' '.join(switches())}, {platform.machine()}"


def paths() -> list[str]:
    """The functions of instructions.c that are counted."""
    source = (HERE / "instructions.c").read_text()
    return re.findall(r"^PATH (path_\w+)\(", source, re.MULTILINE)


def count(directory: Path) -> dict[str, float]:
    """Instructions of one operation, by the name of its path."""
    program = directory / "instructions"
    package = Path(ndis.get_library())
    subprocess.run(
        [
            *("gcc", "-std=c11", "-O2", f"-I{ndis.get_include()}"),
            *(str(HERE / "instructions.c"), str(HERE / "bench_core.c")),
            *(str(package), f"-Wl,-rpath,{package.parent}"),
            *("-o", str(program)),
        ],
        check=True,
    )
    subprocess.run(
        [
            *("valgrind", "--tool=callgrind", "--quiet"),
            "--callgrind-out-file=out",
            "--collect-atstart=no",
            "--toggle-collect=path_*",
            *(
                f"--{option}={path}"
                for path in paths()
                for option in ("zero-before", "dump-after")
            ),
            str(program),
        ],
        check=True,
        cwd=directory,
        stderr=subprocess.DEVNULL,
    )
    found: dict[str, float] = {}
    for path in sorted(
        directory.glob("out.*"), key=lambda each: int(each.suffix[1:])
    ):
        text = path.read_text()
        trigger = re.search(r"Trigger: --dump-after=path_(\w+)_(\d+)", text)
        total = re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)
        if trigger and total:
            # The second time counts.
            found[trigger[1]] = int(total[1]) / int(trigger[2])
    return found


def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORD.read_text())
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--record", action="store_true", help="write them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        counts = count(Path(directory))
    before = record()["instructions"] if RECORD.exists() else {}
    for name, value in counts.items():
        print(f"{name:24}{value:10.2f}{before.get(name, 0):10.2f}")
    if options.record:
        made = {
            "compiler": compiler(),
            "instructions": {
                name: round(value, 2) for name, value in counts.items()
            },
        }
        RECORD.write_text(json.dumps(made, indent=4) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
