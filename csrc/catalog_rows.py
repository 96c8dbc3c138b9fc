# SPDX-License-Identifier: MIT
"""
The rows of the OID catalog and of the IfTypes, read and checked.

Numbers come from ndis_constants.json; what it does not tell comes from
oid_catalog.csv (type, size rule, access, unit, the nb_oid_field that the core
answers from, IF-MIB object, meaning) and if_types.csv (IfTypes that only IANA
has, prefixes of ifNames).  Only generate_catalog.py uses this module.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OIDS = HERE / "oid_catalog.csv"
IF_TYPES = HERE / "if_types.csv"
CATALOG_H = HERE / "oid_catalog.h"

#: OIDs that NDIS documents for providers, with numbers that no header of
#: ndis_constants.json has (both are reserved for system use).
RESERVED_OIDS = {
    "TUNNEL_INTERFACE_SET_OID": 0x0F010106,
    "TUNNEL_INTERFACE_RELEASE_OID": 0x0F010107,
}

#: Types of oid_catalog.csv: C enumerator, words for the header's comments.
TYPES = {
    "boolean": ("BOOLEAN", "BOOLEAN"),
    "u32": ("UNSIGNED", "ULONG"),
    "u64": ("UNSIGNED", "ULONG64"),
    "u64ms": ("UNSIGNED", "ULONG64"),
    "counter": ("UNSIGNED", "ULONG64"),
    "enum": ("UNSIGNED", ""),
    "counted_string": ("COUNTED_STRING", "IF_COUNTED_STRING"),
    "mac_address": ("MAC_ADDRESS", "6 bytes"),
    "mac_list": ("MAC_LIST", "6 bytes each"),
    "bytes": ("BYTES", "Bytes"),
    "struct": ("STRUCT", ""),
}

ACCESS = {
    "query": ("NB_OID_QUERY", "query"),
    "set": ("NB_OID_SET", "set"),
    "both": ("NB_OID_QUERY | NB_OID_SET", "query and set"),
    # NDIS has no set of it, but RFC 2863 or Linux has: an extension.
    "settable": (
        "NB_OID_QUERY | NB_OID_SETTABLE",
        "query; settable by an extension of NDIS",
    ),
}


class InputError(Exception):
    """The JSON and the CSV files contradict each other or themselves."""


@dataclass(frozen=True)
class Oid:
    """One row of the catalog; ``name`` is without ``OID_``."""

    number: int
    name: str
    type: str
    type_name: str
    size_rule: str
    size: int
    access: str
    unit: str
    field: str
    if_mib_object: str
    meaning: str


@dataclass(frozen=True)
class IfType:
    """One IANA ifType; ``prefix`` begins its ifNames, "" if none does."""

    name: str
    number: int
    prefix: str


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a heading."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def parse_size(rule: str, name: str) -> tuple[str, int]:
    """Read a size rule: its C enumerator and its bytes."""
    plain = {"variable": 0, "counter": 8, "counted_string": 516}
    if rule in plain:
        return rule.upper(), plain[rule]
    match = re.fullmatch(r"(fixed|array) ([1-9][0-9]*)", rule)
    if match is None:
        raise InputError(f"OID_{name}: no such size rule: {rule!r}")
    return match[1].upper(), int(match[2])


def check_size(oid: Oid, layouts: Mapping[str, Any]) -> None:
    """Refuse a type whose size is not that of the size rule."""
    sizes = {
        "boolean": 1,
        "u32": 4,
        "u64": 8,
        "u64ms": 8,
        "counter": 8,
        "counted_string": 516,
        "mac_address": 6,
        "mac_list": 6,
        "enum": 4,
        "bytes": oid.size,
    }
    expected = sizes.get(oid.type)
    if oid.type == "struct":
        if oid.type_name not in layouts:
            raise InputError(f"OID_{oid.name}: no layout of {oid.type_name}")
        expected = layouts[oid.type_name]["x86_64"]["size"]
    if oid.size != expected:
        raise InputError(
            f"OID_{oid.name}: {oid.type} {oid.type_name} has {expected}"
            f" bytes, not {oid.size}"
        )


def load_oids(constants: Mapping[str, Any], fields: set[str]) -> list[Oid]:
    """Read and check the catalog; ascending by number."""
    oids = []
    for row in read_csv(OIDS):
        name = row["name"]
        known = constants["oids"].get(f"OID_{name}")
        if (known is None) != (name in RESERVED_OIDS):
            raise InputError(f"OID_{name}: needs exactly one number")
        number = RESERVED_OIDS[name] if known is None else known["value"]
        kind, _, type_name = row["type"].partition(":")
        if kind not in TYPES or (kind in ("enum", "struct")) != bool(
            type_name
        ):
            raise InputError(f"OID_{name}: no such type: {row['type']!r}")
        if row["access"] not in ACCESS:
            raise InputError(f"OID_{name}: no such access: {row['access']!r}")
        if row["field"] not in fields:
            raise InputError(f"OID_{name}: no NB_FIELD_{row['field']}")
        size_rule, size = parse_size(row["size_rule"], name)
        oid = Oid(
            number,
            name,
            kind,
            type_name,
            size_rule,
            size,
            row["access"],
            row["unit"],
            row["field"],
            row["if_mib_object"],
            row["meaning"],
        )
        check_size(oid, constants["layouts"])
        oids.append(oid)
    oids.sort(key=lambda oid: oid.number)
    for low, high in itertools.pairwise(oids):
        if low.number == high.number:
            raise InputError(f"OID_{low.name} is OID_{high.name}")
    return oids


def load_if_types(constants: Mapping[str, Any]) -> list[IfType]:
    """Read the IfTypes; every one of the JSON must be there."""
    known = {
        name.removeprefix("IF_TYPE_"): entry["value"]
        for name, entry in constants["iftypes"].items()
        if name.startswith("IF_TYPE_")
    }
    types = []
    for row in read_csv(IF_TYPES):
        name, number = row["name"], int(row["number"])
        if row["source"] not in ("ndis", "iana"):
            raise InputError(f"IF_TYPE_{name}: no such source")
        if row["source"] == "ndis" and known.pop(name, None) != number:
            raise InputError(f"IF_TYPE_{name}: {number} is not the JSON's")
        if name in known or not 0 < number <= 0xFFFF:
            raise InputError(f"IF_TYPE_{name}: contradicts the JSON")
        types.append(IfType(name, number, row["if_name_prefix"]))
    if known:
        raise InputError(f"not in {IF_TYPES.name}: {', '.join(known)}")
    # Of two names for a number (145) the first row's is the main one.
    return sorted(types, key=lambda entry: entry.number)


def load_fields() -> set[str]:
    """Names of enum nb_oid_field, without NB_FIELD_."""
    text = CATALOG_H.read_text(encoding="utf-8")
    body = text[text.index("enum nb_oid_field {") :]
    return set(
        re.findall(r"^ +NB_FIELD_(\w+)", body[: body.index("};")], re.M)
    )
