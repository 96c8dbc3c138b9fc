# SPDX-License-Identifier: MIT
"""
Bytes from anywhere (tests/fuzz): each target of libFuzzer so many times, and
each of atheris a hundredth of that.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from common import Report, Scratch, parser

sys.path.insert(0, str(Path(__file__).parent.parent))

from fuzz.targets import BUGS, options, plant

FUZZ = Path(__file__).parent.parent / "fuzz"
PYTHON_TARGETS = ["names", "oids", "transfer"]
#: Runs of one process: what it has found is on the disk after them.
PART = 2_000_000


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
    arguments = parser(__doc__)
    arguments.add_argument("--runs", type=int, default=1_000_000_000)
    arguments.add_argument("--targets", help="some of them, with commas")
    arguments.add_argument(
        "--control", choices=("", *BUGS), default="", help="plant its bug"
    )
    args = arguments.parse_args()
    report = Report("inputs", args)
    with Scratch() as scratch:
        if build(scratch) != "libfuzzer":
            sys.exit("clang has no libFuzzer here (Debian: libclang-rt-*-dev)")
        if args.control:
            build(scratch, INSTEAD=str(plant(args.control, scratch)))
        targets = [
            Target(name, [scratch / f"fuzz_{name}"], args.runs, options(name))
            for name in BUGS
        ]
        targets += [
            Target(
                f"python_{name}",
                [sys.executable, FUZZ / "fuzz_python.py", name],
                args.runs // 100,
                [],
            )
            for name in PYTHON_TARGETS
        ]
        if args.control or args.targets:
            chosen = (args.control or args.targets).split(",")
            targets = [each for each in targets if each.name in chosen]
        hours = args.hours / len(targets) if args.hours else None
        for target in targets:
            fuzz(report, args, scratch, target, hours)
    return report.finish()


@dataclass(frozen=True)
class Target:
    """What is run, how often, and with which options of libFuzzer."""

    name: str
    command: list[str | Path]
    runs: int
    options: list[str]


def fuzz(
    report: Report,
    args: argparse.Namespace,
    scratch: Path,
    target: Target,
    hours: float | None,
) -> None:
    """One target, in parts, until it has run so often, or for so long."""
    corpus = scratch / f"corpus_{target.name}"
    corpus.mkdir()
    end = time.monotonic() + hours * 3600 if hours else float("inf")
    seeds = itertools.count(args.seed + 1)
    done = 0

    def part(seed: int, runs: int) -> subprocess.CompletedProcess[str]:
        limit = []
        if hours:
            left = max(1, int(end - time.monotonic()))
            limit = [f"-max_total_time={left}"]
        return subprocess.run(
            [
                *target.command,
                *target.options,
                *limit,
                f"-seed={seed % 2**32}",
                f"-runs={runs}",
                "-print_final_stats=1",
                f"-artifact_prefix={scratch}/{target.name}-",
                corpus,
                FUZZ / "corpus" / target.name,
            ],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )

    # They share what they find: each looks into the directory for it.
    with ThreadPoolExecutor(args.jobs) as pool:
        while (
            done < target.runs
            and time.monotonic() < end
            and not report.failures
        ):
            runs = min(PART, -(-(target.runs - done) // args.jobs))
            for ended in pool.map(
                part, itertools.islice(seeds, args.jobs), [runs] * args.jobs
            ):
                done += note(report, scratch, target.name, ended)
            report.counts[target.name] = done
            tell(report, target, done)


def note(
    report: Report,
    scratch: Path,
    name: str,
    ended: subprocess.CompletedProcess[str],
) -> int:
    """How often it has run; a failure with the input that shows it."""
    said = ended.stderr
    found = re.search(r"number_of_executed_units: (\d+)", said) or re.search(
        r"^Done (\d+) runs", said, re.MULTILINE
    )
    if ended.returncode or not found:
        inputs = [
            base64.b64encode(each.read_bytes()).decode()
            for each in sorted(scratch.glob(f"{name}-*"))
        ]
        report.failures.append(
            f"{name} ended with {ended.returncode}: {said[-2000:]}"
            f" with {' or '.join(inputs)}"
        )
    for key, label in (("cov", "edges"), ("ft", "features")):
        most = max(map(int, re.findall(rf" {key}: (\d+)", said)), default=0)
        label = f"{name} {label}"
        report.counts[label] = max(report.counts[label], most)
    runs = int(found[1]) if found else 0
    report.counts["runs"] += runs
    return runs


def tell(report: Report, target: Target, done: int) -> None:
    """How far it is."""
    edges = report.counts[f"{target.name} edges"]
    print(
        time.strftime("%H:%M:%S"),
        f"{target.name}: {done:,} of {target.runs:,}, {edges} edges",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
