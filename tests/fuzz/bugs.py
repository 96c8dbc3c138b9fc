# SPDX-License-Identifier: MIT
"""Bugs for the fuzz targets to find."""

from __future__ import annotations

from pathlib import Path

CSRC = Path(__file__).parent.parent.parent / "csrc"

#: For each target a file of the core, what is in it, and the bug instead.
BUGS = {
    "names": ("net_luid.c", "(text[0] == '0' && length > 1)", "false"),
    "netlink": (
        "netlink.c",
        "length < ATTRIBUTE_HEADER || length > bytes->size",
        "length < ATTRIBUTE_HEADER",
    ),
    "oids": (
        "oid_dispatch.c",
        "if (written > capacity)",
        "if (written > capacity + 4096)",
    ),
    "api": ("if_stack.c", "NDISBRIDGE_STATUS_STACK_LOOP", "0"),
}


def plant(target: str, directory: Path) -> Path:
    """A copy of the file of the core, with the bug: build.sh's INSTEAD."""
    name, good, bad = BUGS[target]
    text = (CSRC / name).read_text()
    assert text.count(good) == 1, (name, good)
    planted = directory / name
    planted.write_text(text.replace(good, bad))
    return planted
