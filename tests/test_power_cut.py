# SPDX-License-Identifier: MIT
"""
What a power cut could leave of a store has everything that was acknowledged:
tests/soak/power_cut.py, with few images.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

import ndisbridge as ndis

SOAK = Path(__file__).parent / "soak"


Proof = Callable[..., tuple[int, dict]]


def test_power_cuts(need: Callable[[str], str], proof: Proof) -> None:
    """10,000 images: each opens, nothing acknowledged is lost or doubled."""
    need("cc")
    status, result = proof("power_cut.py", "--images", "10000")
    assert result["failures"] == []
    assert status == 0
    assert result["counts"]["images"] >= 10_000
    assert result["counts"]["images opened by ndisbridge"] >= 150
    assert result["counts"]["acknowledged"] > 100


@pytest.mark.parametrize(
    "control",
    [
        ("--synchronous", "OFF"),
        ("--synchronous", "NORMAL"),
        ("--forget-directory-syncs",),
    ],
    ids=lambda words: words[-1].strip("-"),
)
def test_losses_are_found(
    need: Callable[[str], str], proof: Proof, control: tuple[str, ...]
) -> None:
    """Controls: a store that syncs too little loses, and it is seen."""
    need("cc")
    status, result = proof("power_cut.py", "--images", "1500", *control)
    assert status == 1
    assert any(re.search("lost: [1-9]", each) for each in result["failures"])


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules of the soak can be imported."""
    monkeypatch.syspath_prepend(str(SOAK))


def test_what_is_looked_at_is_verified(soak: None, store_path: Path) -> None:
    """A flipped bit is found, and would not be without the checksums."""
    from model import Wrong, read_state

    with ndis.Session(store_path) as session:
        indexes = list(session.allocate_net_luid_indexes(6, 3))
        session.retain_net_luid_indexes(6, indexes)
        session.register_provider("acme").identity("port", 6)
    connection = apsw.Connection(str(store_path))
    state = read_state(connection)
    assert state is not None
    assert set(state.names) == {"port"}
    connection.execute("UPDATE identities SET alias = 'x'")
    with pytest.raises(Wrong, match="checksum"):
        read_state(connection)
    assert read_state(connection, checksums=False) is not None
    connection.execute("UPDATE identities SET alias = ''")
    assert read_state(connection) == state
    connection.execute("DELETE FROM pages WHERE id >> 12 = 6")
    with pytest.raises(Wrong, match="not retained"):
        read_state(connection)
    connection.close()


@pytest.mark.parametrize(
    ("lines", "pages", "right"),
    [
        (["retain? 1 2", "retain!"], {0: 6}, True),
        (["retain? 1 2", "retain!"], {0: 2}, False),
        (["retain? 1 2"], {0: 6}, True),
        (["retain? 1 2"], {}, True),
        (["retain? 1 2"], {0: 2}, False),
        (["retain? 1", "retain!", "release? 1", "release!"], {0: 2}, False),
        (["retain? 1", "retain- StoreUncertainError"], {0: 2}, True),
        (["retain? 1", "retain- StoreUncertainError"], {}, True),
        (["retain? 1", "retain- StoreFullError"], {0: 2}, False),
    ],
)
def test_the_witness_decides(
    soak: None, lines: list[str], pages: dict[int, int], right: bool
) -> None:
    """All of a change or nothing; what is acknowledged, refused, in doubt."""
    from model import State, Wrong, told_by

    told = told_by(lines)
    if right:
        told.compare(State(pages))
    else:
        with pytest.raises(Wrong):
            told.compare(State(pages))


def test_the_directory_that_is_made_is_durable(
    soak: None, need: Callable[[str], str], tmp_path: Path
) -> None:
    """
    A directory made for a store is synced in its parent before anything is
    acknowledged: POSIX promises no less that it is there after a power cut.
    """
    need("cc")
    from common import compiled
    from power_cut import DIRECTORY_MADE, DIRECTORY_SYNCED, read_records

    base = tmp_path / "base"
    base.mkdir()
    log = tmp_path / "record"
    code = (
        "import ctypes, sys, ndisbridge\n"
        "with ndisbridge.Session(sys.argv[1]) as session:\n"
        "    index = session.allocate_net_luid_index(6)\n"
        "    session.retain_net_luid_indexes(6, [index])\n"
        "    ctypes.CDLL(None).recorder_mark(b'retained')\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, base / "store" / "ndis.db"],
        env=dict(
            os.environ,
            LD_PRELOAD=str(compiled("recorder", tmp_path)),
            RECORDER_LOG=str(log),
            RECORDER_DIRECTORY=str(base),
        ),
        check=True,
    )
    records = list(read_records(log))
    told = next(
        n for n, each in enumerate(records) if each.data == b"retained"
    )
    before = [each.operation for each in records[:told]]
    assert DIRECTORY_MADE in before
    made = before.index(DIRECTORY_MADE)
    assert DIRECTORY_SYNCED in before[made:]
