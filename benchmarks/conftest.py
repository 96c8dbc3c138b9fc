# SPDX-License-Identifier: MIT
"""What the benchmarks share: the machine, and how samples are taken."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

import ndisbridge as ndis

ROOT = Path(__file__).parent.parent


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT
        )
    except OSError:
        return "?"
    return (done.stdout.splitlines() or ["?"])[0]


def _commit() -> str:
    """The commit, and where the tree differs from it."""
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    ).stdout.splitlines()
    parts = sorted({line[3:].partition("/")[0] for line in changed})
    commit = _first_line("git", "rev-parse", "--short", "HEAD")
    return commit + (f", changed: {', '.join(parts)}" if parts else "")


def machine() -> dict[str, str]:
    """What a figure depends on."""
    cpu = "?"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    return {
        "CPU": f"{cpu}, {os.cpu_count()} threads",
        "kernel": platform.release(),
        "compiler": _first_line("gcc", "--version"),
        "Python": platform.python_version(),
        "ndisbridge": ndis.__version__,
        "commit": _commit(),
    }


def pytest_report_header() -> list[str]:
    return [f"{name}: {value}" for name, value in machine().items()]


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, object]
) -> None:
    machine_info.update(machine())


@pytest.fixture(scope="session", autouse=True)
def one_core() -> None:
    """Samples of one run come from one core, where it can be chosen."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@pytest.fixture
def session():
    with ndis.Session() as made:
        yield made
