# SPDX-License-Identifier: MIT
"""Fixtures that every test may use."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

import ndisbridge as ndis

ROOT = Path(__file__).parent.parent


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell's background jobs, and what they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def missing() -> Callable[[str], NoReturn]:
    """
    ``missing(what)``: skips the test; but CI, which has everything, fails.
    """

    def missing(what: str) -> NoReturn:
        if os.environ.get("CI"):
            pytest.fail(what)
        pytest.skip(what)

    return missing


@pytest.fixture(scope="session")
def need(missing: Callable[[str], NoReturn]) -> Callable[[str], str]:
    """``need(command)``: its path, unless it is :func:`missing`."""

    def need(command: str) -> str:
        return shutil.which(command) or missing(f"no {command} here")

    return need


@pytest.fixture(scope="session")
def need_module(
    missing: Callable[[str], NoReturn],
) -> Callable[[str], None]:
    """``need_module(name)``: a module of Python, likewise."""

    def need_module(name: str) -> None:
        if importlib.util.find_spec(name) is None:
            missing(f"no {name} here")

    return need_module


@pytest.fixture(scope="session")
def proof(
    missing: Callable[[str], NoReturn],
) -> Callable[..., tuple[int, dict[str, Any]]]:
    """``proof(script, *arguments)`` of tests/soak: its status and result."""

    def proof(script: str, *arguments: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, ROOT / "tests" / "soak" / script, *arguments],
            capture_output=True,
            text=True,
        )
        begin = done.stdout.find("{")
        if begin < 0:
            for said in ("NoServerError", "strace does not trace"):
                if said in done.stderr:
                    missing(done.stderr.splitlines()[-1])
        assert begin >= 0, done.stderr
        return done.returncode, json.loads(done.stdout[begin:])

    return proof


@pytest.fixture
def session():
    """A session without a store."""
    with ndis.Session() as made:
        yield made


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "store" / "ndis.db"
