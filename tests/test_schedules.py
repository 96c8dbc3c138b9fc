# SPDX-License-Identifier: MIT
"""The core in every order of its steps, and its protocols as models."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from schedules.bugs import BUGS, Bug
from schedules.build import SCHEDULES, compile_all, link, with_bug

#: Schedules a case, in order and at random; `make prove` sets more.
LIMIT = os.environ.get("MODEL_LIMIT", "150000")
RANDOM = os.environ.get("MODEL_RANDOM", "5000")
PREEMPTIONS = os.environ.get("MODEL_PREEMPTIONS", "2")
#: What a planted bug must be found within.
BUG_LIMIT = "20000"


@pytest.fixture(scope="module")
def objects(
    need: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The core and the cases, compiled once."""
    need("gcc")
    return compile_all(tmp_path_factory.mktemp("objects"))


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False
    )


def test_core(
    objects: dict[str, Path],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """No schedule of any case has a wrong answer."""
    program = link(objects, tmp_path / "explore")
    names = run(program, "--limit", "0").stdout.splitlines()
    cases = [line.split()[0] for line in names]
    assert {bug.case for bug in BUGS} <= set(cases)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(
            lambda case: run(
                program,
                *("--case", case, "--preemptions", PREEMPTIONS),
                *("--limit", LIMIT, "--random", RANDOM),
            ),
            cases,
        )
        orders = steps = 0
        for done in found:
            assert done.returncode == 0, done.stderr
            print(done.stdout, end="")
            counts = done.stdout.split()
            orders += int(counts[1])
            steps += int(counts[2])
    record_property("cases", len(cases))
    record_property("orders", orders)
    record_property("steps", steps)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_planted_bug(
    objects: dict[str, Path], tmp_path: Path, bug: Bug
) -> None:
    """The explorer finds what is wrong on purpose."""
    done = run(
        with_bug(objects, bug, tmp_path),
        *("--case", bug.case, "--limit", BUG_LIMIT, "--random", BUG_LIMIT),
    )
    assert done.returncode == 1, done.stdout
    assert "schedule (step by step" in done.stderr
    print(done.stderr)


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        ("resources", ["NO_TELL"]),
        ("lease", ["NO_PIN", "NO_AGAIN"]),
        ("rundown", ["NO_CLOSED", "NO_LAST"]),
    ],
)
def test_spin(
    need: Callable[[str], str],
    tmp_path: Path,
    model: str,
    wrong: list[str],
    record_property: Callable[[str, object], None],
) -> None:
    """Each protocol holds in all its states; each change to it is found."""
    spin = need("spin")
    for change in (None, *wrong):
        options = [f"-D{change}"] if change else []
        subprocess.run(
            [spin, "-a", *options, SCHEDULES / f"{model}.pml"],
            cwd=tmp_path,
            check=True,
        )
        subprocess.run(
            ["gcc", "-w", "-O1", "-DSAFETY", "-o", "pan", "pan.c"],
            cwd=tmp_path,
            check=True,
        )
        done = subprocess.run(
            ["./pan", "-m100000"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "max search depth too small" not in done.stdout
        found = re.search(r"errors: (\d+)", done.stdout)
        assert found, done.stdout
        assert bool(int(found[1])) == bool(change), (change, done.stdout)
        states = re.search(r"(\d+) states, stored", done.stdout)
        if states and not change:
            record_property("states", int(states[1]))


@pytest.mark.parametrize(
    "path", sorted(SCHEDULES.glob("*.litmus")), ids=lambda path: path.stem
)
def test_litmus(path: Path) -> None:
    """
    A pair of orders allows what its name says.  Debian has herd7 from sid
    on, so that CI skips these; docs/reliability.md has what it said.
    """
    twin = path.stem.removesuffix("_relaxed")
    if twin == path.stem:
        twin += "_relaxed"
    assert path.with_stem(twin).exists()
    herd = shutil.which("herd7")
    if herd is None:
        pytest.skip("no herd7 here (herdtools7)")
    done = subprocess.run(
        [herd, "-model", "rc11.cat", path],
        capture_output=True,
        text=True,
        check=True,
    )
    allowed = path.stem.endswith("_relaxed")
    assert bool(re.search(r"^Observation \S+ Never", done.stdout, re.M)) != (
        allowed
    ), done.stdout
