#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Generate the OID catalog and the constants of the public header.

From ndis_constants.json, oid_catalog.csv and if_types.csv (see
catalog_rows.py) are written

* the region "constants" of ndisbridge/include/ndisbridge.h,
* the region "catalog" of oid_catalog.h,
* the whole of oid_catalog.c.

The same input always gives the same output.  With --check nothing is
written, and the exit status is 1 if anything is not current.  Inconsistent
input ends with a message that names the row, status 2, and nothing written.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import json
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from catalog_header import constants_region
from catalog_rows import (
    ACCESS,
    CATALOG_H,
    HERE,
    TYPES,
    IfType,
    InputError,
    Oid,
    load_fields,
    load_if_types,
    load_oids,
)

CONSTANTS = HERE / "ndis_constants.json"
CATALOG_C = HERE / "oid_catalog.c"
HEADER = HERE.parent / "ndisbridge" / "include" / "ndisbridge.h"

TEMPLATE_C = """\
/* SPDX-License-Identifier: MIT
 *
 * oid_catalog.c - see oid_catalog.h.  Written by generate_catalog.py: change
 * oid_catalog.csv or if_types.csv and run that instead.
 */
#include "oid_catalog.h"

const struct nb_oid_entry nb_oid_entries[NB_OID_COUNT] = {
@ENTRIES@
};

const struct nb_oid_hash_slot nb_oid_hash_slots[NB_OID_HASH_SLOTS] = {
@SLOTS@
};

static const struct {
    const char *prefix;
    uint16_t length, if_type;
} prefixes[] = {
@PREFIXES@
};
#define PREFIX_COUNT (sizeof prefixes / sizeof *prefixes)

const char *nb_if_type_prefix(uint16_t if_type)
{
    for (size_t i = 0; i < PREFIX_COUNT; i++)
        if (prefixes[i].if_type == if_type)
            return prefixes[i].prefix;
    return NULL;
}

/* Of ASCII only, whatever the locale says. */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

uint16_t nb_if_type_of_prefix(const char *prefix, size_t length)
{
    for (size_t i = 0; i < PREFIX_COUNT; i++) {
        size_t same = 0;

        if (prefixes[i].length != length)
            continue;
        while (same < length
            && lower(prefix[same]) == prefixes[i].prefix[same])
            same++;
        if (same == length)
            return prefixes[i].if_type;
    }
    return 0;
}
"""


def multipliers() -> Iterator[int]:
    """An endless, fixed row of odd 32-bit numbers (splitmix64)."""
    state, mask = 0, (1 << 64) - 1
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
        yield (mixed ^ (mixed >> 31)) >> 32 | 1


def slot_of(number: int, multiplier: int, shift: int) -> int:
    """The hash slot of an OID, as nb_oid_find() computes it."""
    return (number * multiplier & 0xFFFFFFFF) >> shift


def find_hash(numbers: Iterable[int]) -> tuple[int, int]:
    """A multiplier and a shift under which no two numbers collide."""
    numbers = list(numbers)
    # Four to eight slots a number: found in a second, and a few KiB.
    shift = 32 - (4 * len(numbers)).bit_length()
    while shift > 16:
        for multiplier in itertools.islice(multipliers(), 100_000):
            seen = set()
            for number in numbers:
                slot = slot_of(number, multiplier, shift)
                if slot in seen:
                    break
                seen.add(slot)
            else:
                return multiplier, shift
        shift -= 1
    raise InputError("no hash without collisions found")


def catalog_region(oids: list[Oid], multiplier: int, shift: int) -> str:
    """The region "catalog" of oid_catalog.h."""
    return (
        f"#define NB_OID_COUNT {len(oids)}\n"
        f"#define NB_OID_HASH_SLOTS {1 << (32 - shift)}\n"
        f"#define NB_OID_HASH_SHIFT {shift}\n"
        f"#define NB_OID_HASH_MULTIPLIER UINT32_C(0x{multiplier:08X})\n"
    )


def catalog_c(
    oids: list[Oid], if_types: list[IfType], multiplier: int, shift: int
) -> str:
    """The whole of oid_catalog.c."""
    entries = []
    for oid in oids:
        entry = (
            f"{{ 0x{oid.number:08X}, {oid.size},"
            f" NDISBRIDGE_OID_SIZE_{oid.size_rule},"
            f" NDISBRIDGE_OID_TYPE_{TYPES[oid.type][0]},"
            f" {ACCESS[oid.access][0]}, NB_FIELD_{oid.field},"
            f' "{oid.name}", "{oid.type_name}", "{oid.if_mib_object}" }}'
        )
        # One below the limit, for the comma that follows.
        entries.append(
            textwrap.fill(
                entry,
                78,
                initial_indent="    ",
                subsequent_indent="        ",
                break_on_hyphens=False,
            )
        )
    slots = ["{ 0, NB_OID_NONE, 0 }"] * (1 << (32 - shift))
    for dense, oid in enumerate(oids):
        slot = slot_of(oid.number, multiplier, shift)
        slots[slot] = (
            f"{{ 0x{oid.number:08X}, {dense}, NB_FIELD_{oid.field} }}"
        )
    # As many on a line as fit, each whole.
    hashed = textwrap.wrap(
        ", ".join(slot.replace(" ", "\0") for slot in slots), 74
    )
    hashed = ["    " + line.rstrip(",").replace("\0", " ") for line in hashed]
    prefixes = [
        f'    {{ "{entry.prefix}", {len(entry.prefix)},'
        f" NDISBRIDGE_IF_TYPE_{entry.name} }}"
        for entry in if_types
        if entry.prefix
    ]
    text = TEMPLATE_C
    for key, lines in (
        ("ENTRIES", entries),
        ("SLOTS", hashed),
        ("PREFIXES", prefixes),
    ):
        text = text.replace(f"@{key}@", ",\n".join(lines))
    return text


def replace_region(path: Path, name: str, content: str) -> str:
    """The text of a file with one generated region replaced."""
    text = path.read_text(encoding="utf-8")
    begin, end = (
        f"/* generated: {word} {name} */\n" for word in ("begin", "end")
    )
    if text.count(begin) != 1 or text.count(end) != 1:
        raise InputError(f"{path.name}: no region {name!r}, or several")
    head, rest = text.split(begin)
    _, tail = rest.split(end)
    return head + begin + content + end + tail


def generate() -> dict[Path, str]:
    """All generated files, with the text that they should have."""
    constants = json.loads(CONSTANTS.read_text(encoding="utf-8"))
    oids = load_oids(constants, load_fields())
    if_types = load_if_types(constants)
    multiplier, shift = find_hash(oid.number for oid in oids)
    return {
        HEADER: replace_region(
            HEADER, "constants", constants_region(constants, oids, if_types)
        ),
        CATALOG_H: replace_region(
            CATALOG_H, "catalog", catalog_region(oids, multiplier, shift)
        ),
        CATALOG_C: catalog_c(oids, if_types, multiplier, shift),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit status."""
    parser = argparse.ArgumentParser(description="Generate the OID catalog.")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit 1 and show what is not current",
    )
    check = parser.parse_args(arguments).check
    try:
        files = generate()
    except InputError as error:
        print(f"generate_catalog: {error}", file=sys.stderr)
        return 2
    stale = 0
    for path, text in files.items():
        name = path.relative_to(HERE.parent).as_posix()
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old == text:
            print(f"current {name}")
            continue
        stale = 1
        if not check:
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"wrote   {name}")
            continue
        diff = list(
            difflib.unified_diff(
                old.splitlines(),
                text.splitlines(),
                name,
                f"{name} (generated)",
                lineterm="",
                n=0,
            )
        )
        print(f"stale   {name}: {len(diff)} lines of difference")
        print("\n".join(diff[:20]))
    return stale if check else 0


if __name__ == "__main__":
    sys.exit(main())
