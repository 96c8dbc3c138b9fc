# SPDX-License-Identifier: MIT
"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

import ndisbridge as ndis

ROOT = Path(__file__).parent.parent


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def session():
    """A session without a store."""
    with ndis.Session() as made:
        yield made


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "store" / "ndis.db"
