# SPDX-License-Identifier: MIT
"""The fuzz targets in C: their options, and bugs for them to find."""

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

#: Bytes of an input at most; api makes some hundred operations of so many.
LONGEST = {"names": 2500, "netlink": 2500, "oids": 2500, "api": 300}


def options(target: str) -> list[str]:
    """What libFuzzer is told."""
    return [f"-max_len={LONGEST[target]}", "-len_control=20"]


def plant(target: str, directory: Path) -> Path:
    """A copy of the file of the core, with the bug: build.sh's INSTEAD."""
    name, good, bad = BUGS[target]
    text = (CSRC / name).read_text()
    assert text.count(good) == 1, (name, good)
    planted = directory / name
    planted.write_text(text.replace(good, bad))
    return planted
