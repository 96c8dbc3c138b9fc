# SPDX-License-Identifier: MIT
"""The fuzz targets: their corpora, some seconds of each, and planted bugs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from fuzz.targets import BUGS, options, plant

ROOT = Path(__file__).parent.parent
FUZZ = ROOT / "tests" / "fuzz"
TARGETS = ["names", "netlink", "oids", "api"]
PYTHON_TARGETS = ["names", "oids", "transfer"]
#: Of each target; `make prove` sets more.
SECONDS = int(os.environ.get("FUZZ_SECONDS", "4"))
#: Seconds in which a planted bug must be found: it ends when it is.
PATIENCE = 120


def run(*command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["env", *(f"{k}={v}" for k, v in env.items()), *map(str, command)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=600,
    )


def build(directory: Path, *targets: str, **env: str) -> str:
    """Which main function it has been built with."""
    done = run(FUZZ / "build.sh", directory, *targets, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory,
    need: Callable[[str], str],
    missing: Callable[[str], NoReturn],
) -> Path:
    """The targets, with libFuzzer."""
    directory = tmp_path_factory.mktemp("fuzz")
    need("gcc")
    if build(directory) != "libfuzzer":
        missing("clang has no libFuzzer here (Debian: libclang-rt-*-dev)")
    return directory


def fuzz(program: Path, target: str, directory: Path, seconds: int) -> str:
    """What libFuzzer says; the last line is how it ended."""
    directory.mkdir(exist_ok=True)
    done = run(
        program,
        f"-max_total_time={seconds}",
        *options(target),
        f"-artifact_prefix={directory}/found-",
        directory,
        FUZZ / "corpus" / target,
    )
    return f"{done.stderr}\nended with {done.returncode}"


def test_replay_with_gcc(tmp_path: Path, need: Callable[[str], str]) -> None:
    """Without clang the corpora are replayed all the same."""
    need("gcc")
    assert build(tmp_path, COMPILER="gcc") == "replay"
    for target in TARGETS:
        files = sorted((FUZZ / "corpus" / target).iterdir())
        assert files
        done = run(tmp_path / f"fuzz_{target}", *files)
        assert done.returncode == 0, done.stderr[-4000:]
        assert f"{len(files)} replayed" in done.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_fuzz(
    built: Path,
    target: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Some seconds of new inputs find nothing."""
    said = fuzz(built / f"fuzz_{target}", target, tmp_path, SECONDS)
    assert said.endswith("ended with 0"), said
    runs = re.search(r"Done (\d+) runs", said)
    assert runs, said
    record_property("inputs", int(runs[1]))


@pytest.mark.parametrize("target", BUGS)
def test_planted_bug_is_found(
    built: Path, target: str, tmp_path: Path
) -> None:
    """A bug that is planted in the core is found, and soon."""
    shutil.copytree(built / "core", tmp_path / "core")
    build(tmp_path, target, INSTEAD=str(plant(target, tmp_path)))
    said = fuzz(
        tmp_path / f"fuzz_{target}", target, tmp_path / "run", PATIENCE
    )
    assert not said.endswith("ended with 0"), said
    assert "failed:" in said or "ERROR: AddressSanitizer" in said, said


def test_replay_python() -> None:
    """The corpora of Python's targets, without atheris."""
    done = run(sys.executable, FUZZ / "fuzz_python.py", "--replay")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("target", PYTHON_TARGETS)
def test_fuzz_python(
    target: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Some seconds of each, where atheris is: not for every Python."""
    pytest.importorskip("atheris")
    done = run(
        sys.executable,
        FUZZ / "fuzz_python.py",
        target,
        f"-max_total_time={SECONDS}",
        f"-artifact_prefix={tmp_path}/",
        tmp_path,
        FUZZ / "corpus" / f"python_{target}",
    )
    assert done.returncode == 0, done.stderr[-4000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs, done.stderr[-4000:]
    record_property("inputs", int(runs[1]))
