# SPDX-License-Identifier: MIT
"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

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
