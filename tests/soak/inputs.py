# SPDX-License-Identifier: MIT
"""
Bytes from anywhere (tests/fuzz): each target of libFuzzer so many times, and
each of atheris a hundredth of that.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

from common import Report, Scratch, parser

sys.path.insert(0, str(Path(__file__).parent.parent))

from fuzz.bugs import BUGS, plant

FUZZ = Path(__file__).parent.parent / "fuzz"
PYTHON_TARGETS = ["names", "oids", "transfer"]
#: Runs of one process: what it has found is on the disk after them.
PART = 20_000_000


def build(directory: Path, **environ: str) -> str:
    done = subprocess.run(
        [
            "env",
            *(f"{k}={v}" for k, v in environ.items()),
            FUZZ / "build.sh",
            directory,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--runs", type=int, default=1_000_000_000)
    options.add_argument("--targets", help="some of them, with commas")
    options.add_argument(
        "--control", choices=("", *BUGS), default="", help="plant its bug"
    )
    args = options.parse_args()
    report = Report("inputs", args)
    with Scratch() as scratch:
        if build(scratch) != "libfuzzer":
            sys.exit("clang has no libFuzzer here (Debian: libclang-rt-*-dev)")
        if args.control:
            build(scratch, INSTEAD=str(plant(args.control, scratch)))
        targets: dict[str, tuple[list[str | Path], int]] = {
            name: ([scratch / f"fuzz_{name}"], args.runs) for name in BUGS
        }
        if not args.control:
            for name in PYTHON_TARGETS:
                command = [sys.executable, FUZZ / "fuzz_python.py", name]
                targets[f"python_{name}"] = (command, args.runs // 100)
        if args.control or args.targets:
            chosen = args.control or args.targets
            targets = {name: targets[name] for name in chosen.split(",")}
        hours = args.hours / len(targets) if args.hours else None
        for name, (command, runs) in targets.items():
            fuzz(report, args, scratch, name, command, runs, hours)
    return report.finish()


def fuzz(
    report: Report,
    args: argparse.Namespace,
    scratch: Path,
    name: str,
    command: list[str | Path],
    runs: int,
    hours: float | None,
) -> None:
    """One target, in parts, until it has run so often, or for so long."""
    corpus = scratch / f"corpus_{name}"
    corpus.mkdir()
    end = time.monotonic() + hours * 3600 if hours else float("inf")
    seed = args.seed
    done = 0
    while done < runs and time.monotonic() < end and not report.failures:
        seed += 1
        options = [
            f"-seed={seed % 2**32}",
            f"-runs={min(PART, runs - done)}",
            "-print_final_stats=1",
            f"-artifact_prefix={scratch}/{name}-",
        ]
        if hours:
            options.append(
                f"-max_total_time={max(1, int(end - time.monotonic()))}"
            )
        if not name.startswith("python_"):
            options += ["-max_len=2500", "-len_control=20"]
        ended = subprocess.run(
            [*command, *options, corpus, FUZZ / "corpus" / name],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        found = re.search(
            r"number_of_executed_units: (\d+)", ended.stderr
        ) or re.search(r"^Done (\d+) runs", ended.stderr, re.MULTILINE)
        if ended.returncode or not found:
            report.failures.append(
                f"{name} ended with {ended.returncode}: {ended.stderr[-2000:]}"
            )
            return
        done += int(found[1])
        report.counts[name] = done
        report.counts["runs"] += int(found[1])
        print(
            time.strftime("%H:%M:%S"), name, done, file=sys.stderr, flush=True
        )


if __name__ == "__main__":
    sys.exit(main())
