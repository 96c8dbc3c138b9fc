# SPDX-License-Identifier: MIT
"""
Runs the proofs of docs/reliability.md at their full size, with the controls
that must fail: ``python tests/soak [--hours H] [--only kill9,power-cut]``.

Writes one JSON file with seeds, counts, failures and versions, and the
tables of docs/reliability.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from document import DOCUMENT, replace, replace_rows

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Proof:
    """A script, its full size, and its controls."""

    script: str
    size: tuple[str, ...]
    #: Which counts are its trials, with what the document calls them.
    trials: tuple[tuple[str, str], ...]
    #: Name, arguments, whether it must be found.
    controls: tuple[tuple[str, tuple[str, ...], bool], ...]


PROOFS = {
    "kill9": Proof(
        "kill9.py",
        ("--rounds", "10000"),
        (("kills", "kills"),),
        (
            (
                "the witness is ahead of the store",
                ("--rounds", "40", "--control", "swapped"),
                True,
            ),
            (
                "nothing is synced (kill -9 can't find it)",
                ("--rounds", "40", "--control", "off"),
                False,
            ),
        ),
    ),
    "kill9-postgresql": Proof(
        "kill9_postgresql.py",
        ("--rounds", "1000"),
        (("kills", "kills"),),
        (
            (
                "the witness is ahead of the store",
                ("--rounds", "40", "--control", "swapped"),
                True,
            ),
        ),
    ),
    "hosts": Proof(
        "hosts.py",
        ("--seconds", "1800"),
        (
            ("crash", "crashes"),
            ("cut", "cuts"),
            ("freeze", "freezes"),
            ("evict", "evictions"),
        ),
        (
            (
                "leases vanish unseen",
                ("--seconds", "10", "--control", "forget"),
                True,
            ),
        ),
    ),
    "faults": Proof(
        "faults.py",
        (),
        (
            ("kill points", "system calls killed at"),
            ("error points", "system calls failed"),
        ),
        (
            (
                "acknowledged before it is done",
                ("--what", "kill", "--points", "200", "--control", "early"),
                True,
            ),
            (
                "errors are not translated",
                ("--what", "error", "--points", "40", "--control", "raw"),
                True,
            ),
        ),
    ),
    "power-cut": Proof(
        "power_cut.py",
        ("--images", "1000000"),
        (("images", "images"),),
        (
            (
                "synchronous=OFF",
                ("--images", "2000", "--synchronous", "OFF"),
                True,
            ),
            (
                "synchronous=NORMAL",
                ("--images", "2000", "--synchronous", "NORMAL"),
                True,
            ),
            (
                "the directory is never synced",
                ("--images", "2000", "--forget-directory-syncs"),
                True,
            ),
        ),
    ),
    "no-memory": Proof(
        "no_memory.py",
        (),
        (("points", "allocations failed"),),
        (
            (
                "errors are not translated",
                ("--points", "60", "--control", "raw"),
                True,
            ),
        ),
    ),
    "orders": Proof(
        "orders.py",
        ("--schedules", "1000000000"),
        (("schedules", "orders"), ("steps", "steps of them")),
        tuple(
            (name, ("--schedules", "1000000", "--control", name), True)
            for name in (
                "a claim in two steps",
                "exhausted by one scan",
                "a lease is published beside who holds what it brings",
                "completed before the last has left",
            )
        ),
    ),
    "inputs": Proof(
        "inputs.py",
        ("--runs", "1000000000"),
        (("runs", "runs"),),
        tuple(
            (
                f"the bug for {name}",
                ("--runs", "100000000", "--hours", "0.1", "--control", name),
                True,
            )
            for name in ("names", "netlink", "oids", "api")
        ),
    ),
}


def run(script: str, arguments: list[str]) -> dict[str, Any]:
    """What a script has found."""
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result"
        done = subprocess.run(
            [sys.executable, HERE / script, "--json", result, *arguments],
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if not result.exists():
            return {
                "counts": {},
                "failures": [f"{script} ended with {done.returncode}"],
                "versions": {},
            }
        found: dict[str, Any] = json.loads(result.read_text())
        return found


def figure(name: str, result: dict[str, Any]) -> str:
    """A row of the first table."""
    counts = result["counts"]
    trials = ", ".join(
        f"{counts.get(key, 0):,} {text}" for key, text in PROOFS[name].trials
    )
    failures = result.get("failed", len(result["failures"]))
    verified = counts.get("acknowledged changes verified") or counts.get(
        "acknowledged"
    )
    told = f"{verified:,}" if verified else "-"
    return (
        f"| {name} | {trials} | {told} | {failures} "
        f"| {result.get('seed')} | {result.get('seconds')} s |"
    )


def control_row(name: str, text: str, found: dict, expected: bool) -> str:
    """A row of the second table."""
    failures = found.get("failed", len(found["failures"]))
    seen = "nothing"
    if failures:
        seen = f"{failures} failure{'s' * (failures > 1)}"
    must = "be found" if expected else "not be found"
    return f"| {name} | {text} | {must} | {seen} |"


def describe(versions: dict[str, str]) -> str:
    """The sentence about the machine and the versions."""
    return (
        "Last run: ndisbridge {ndisbridge}, commit {commit}, Python {python}, "
        "apsw {apsw}\nwith SQLite {sqlite}, Linux {kernel}, {libc}, "
        "{machine}.".format(**versions)
    )


def write_document(results: dict[str, Any]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    order = list(PROOFS)
    figures = [figure(name, each["result"]) for name, each in results.items()]
    text = replace_rows(text, "figures", figures, order)
    controls = [
        control_row(name, row["control"], row["result"], row["must"])
        for name, each in results.items()
        for row in each["controls"]
    ]
    text = replace_rows(text, "controls", controls, order)
    versions = next(
        (
            e["result"]["versions"]
            for e in results.values()
            if e["result"]["versions"]
        ),
        None,
    )
    if versions:
        text = replace(text, "versions", describe(versions))
    DOCUMENT.write_text(text, encoding="utf-8")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hours", type=float, help="for all together")
    options.add_argument("--only", help=f"some of {','.join(PROOFS)}")
    options.add_argument("--seed", type=int, default=20_260_101)
    options.add_argument("--kills", type=int, help="rounds of kill9")
    options.add_argument("--images", type=int, help="of power-cut")
    options.add_argument("--json", default="soak.json")
    options.add_argument(
        "--no-document",
        action="store_true",
        help="leave the document as it is",
    )
    args = options.parse_args()
    names = args.only.split(",") if args.only else list(PROOFS)
    if unknown := set(names) - set(PROOFS):
        options.error(f"no such proof: {', '.join(unknown)}")
    sizes = {
        "kill9": ("--rounds", args.kills),
        "power-cut": ("--images", args.images),
    }
    results: dict[str, Any] = {}
    good = True
    for name in names:
        proof = PROOFS[name]
        arguments = [*proof.size, "--seed", str(args.seed)]
        option, size = sizes.get(name, ("", None))
        if size:
            arguments += [option, str(size)]
        if args.hours:
            arguments += ["--hours", str(args.hours / len(names))]
        print(name, *arguments, flush=True)
        result = run(proof.script, arguments)
        print("  counts", result["counts"], flush=True)
        for failure in result["failures"][:10]:
            print("  FAILED", failure, flush=True)
        good = good and not result["failures"]
        controls = []
        for text, more, must in proof.controls:
            found = run(proof.script, [*more, "--seed", str(args.seed)])
            right = bool(found["failures"]) == must
            print(
                "  control:",
                text,
                "as it must be" if right else "WRONG",
                flush=True,
            )
            good = good and right
            found["failures"] = found["failures"][:5]
            controls.append({"control": text, "must": must, "result": found})
        results[name] = {"result": result, "controls": controls}
        Path(args.json).write_text(json.dumps(results, indent=1) + "\n")
    if not args.no_document:
        write_document(results)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
