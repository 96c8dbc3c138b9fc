# SPDX-License-Identifier: MIT
"""
The orders of the steps of the core (tests/schedules): every one with up to
so many preemptions, as far as a limit, and then random ones.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import Report, Scratch, parser

sys.path.insert(0, str(Path(__file__).parent.parent))

from schedules.bugs import BUGS
from schedules.build import compile_all, link, with_bug

#: Random orders of each case that one process goes through.
PART = 1_000_000


def explore(program: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--schedules", type=int, default=1_000_000_000)
    options.add_argument("--preemptions", type=int, default=3)
    options.add_argument(
        "--limit", type=int, default=20_000_000, help="of a case, in order"
    )
    options.add_argument(
        "--control", choices=("", *(bug.name for bug in BUGS)), default=""
    )
    args = options.parse_args()
    report = Report("orders", args)
    counts = report.counts

    def note(found: tuple[int, str, str]) -> None:
        status, lines, error = found
        for line in lines.splitlines():
            _, schedules, steps, whole = line.split()
            counts["schedules"] += int(schedules)
            counts["steps"] += int(steps)
            counts["cases gone through whole"] += whole == "all"
        if status:
            report.failures.append(error.strip())

    def done() -> bool:
        late = args.hours and report.seconds > args.hours * 3600
        return bool(
            report.failures or late or counts["schedules"] >= args.schedules
        )

    def tell() -> None:
        print(
            time.strftime("%H:%M:%S"),
            dict(counts),
            file=sys.stderr,
            flush=True,
        )

    with Scratch() as scratch, ThreadPoolExecutor(args.jobs) as pool:
        objects = compile_all(scratch)
        if args.control:
            bug = next(each for each in BUGS if each.name == args.control)
            program = with_bug(objects, bug, scratch / "bug")
        else:
            program = link(objects, scratch / "explore")
        cases = re.findall(
            r"^(\S+) ", explore(program, "--limit", "1")[1], re.MULTILINE
        )
        limit = min(args.limit, args.schedules // max(len(cases), 1))
        for found in pool.map(
            lambda case: explore(
                program,
                *("--case", case, "--limit", str(limit)),
                *("--preemptions", str(args.preemptions)),
            ),
            cases,
        ):
            note(found)
            tell()
        counts["in order"] = counts["schedules"]
        seed = args.seed
        while not done():
            left = args.schedules - counts["schedules"]
            part = min(PART, left // (len(cases) * args.jobs) + 1)
            seeds = range(seed, seed + args.jobs)
            seed += args.jobs
            for found in pool.map(
                lambda each, part=part: explore(
                    program,
                    *("--limit", "0", "--random", str(part)),
                    *("--seed", str(each)),
                ),
                seeds,
            ):
                note(found)
            tell()
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
