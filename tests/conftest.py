# SPDX-License-Identifier: MIT
"""Fixtures that every test may use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ndisbridge as ndis

ROOT = Path(__file__).parent.parent


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def need() -> Callable[[str], str]:
    """
    ``need(command)``: its path.  Without it the test is skipped; but CI,
    which installs them all, fails.
    """

    def need(command: str) -> str:
        path = shutil.which(command)
        if path is None:
            missing = pytest.fail if os.environ.get("CI") else pytest.skip
            missing(f"no {command} here")
        return path

    return need


@pytest.fixture
def session():
    """A session without a store."""
    with ndis.Session() as made:
        yield made


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "store" / "ndis.db"


class Namespace:
    """A network namespace that a test has made, with a store to go by."""

    def __init__(self, store: Path) -> None:
        self.name = f"ndisbridge-test-{uuid.uuid4().hex[:8]}"
        self.environment = {**os.environ, "NDISBRIDGE_STORE": str(store)}
        self.inside = ["ip", "netns", "exec", self.name]
        subprocess.run(["ip", "netns", "add", self.name], check=True)

    def ip(self, command: str) -> str:
        """``ip`` in here; what it prints."""
        done = subprocess.run(
            ["ip", "-n", self.name, *command.split()],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def links(self) -> dict[str, Any]:
        """What ``ip`` says of the links, by name."""
        found = json.loads(self.ip("-j -d link show"))
        return {each["ifname"]: each for each in found}

    def run(
        self, *arguments: str, code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """The command ndisbridge in here, once it has ended with code."""
        done = subprocess.run(
            [*self.inside, sys.executable, "-m", "ndisbridge", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
        )
        assert "Traceback" not in done.stderr
        assert done.returncode == code, f"{arguments}: {done.stderr}"
        return done

    def rows(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """What a command says of interfaces, by name."""
        done = self.run(*arguments, "-o", "json", code=code)
        return {row["name"]: row for row in json.loads(done.stdout)}

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """A program that runs in here."""
        return subprocess.Popen(
            [*self.inside, *command],
            text=True,
            env=self.environment,
            **options,
        )


@pytest.fixture
def new_namespace(
    need: Callable[[str], str], store_path: Path
) -> Iterator[Callable[[], Namespace]]:
    """Makes network namespaces that share a store."""
    need("ip")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made: list[Namespace] = []

    def make() -> Namespace:
        try:
            made.append(Namespace(store_path))
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error}")
        return made[-1]

    yield make
    for each in made:
        subprocess.run(["ip", "netns", "del", each.name], check=True)
