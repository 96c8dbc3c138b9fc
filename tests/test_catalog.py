# SPDX-License-Identifier: MIT
"""
The OID catalog, the IfTypes and the constants of the public header.

Numbers are compared with csrc/ndis_constants.json.  What is not in there is
compared with what NDIS documents, written out below: the two reserved
OID_TUNNEL_INTERFACE_ OIDs, NET_IF_RCV_ADDRESS_TYPE, and the ifTypes that
only IANA has.
"""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cffi
import pytest

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
GENERATOR = CSRC / "generate_catalog.py"
HEADER = ROOT / "ndisbridge" / "include" / "ndisbridge.h"

CONSTANTS: dict[str, Any] = json.loads(
    (CSRC / "ndis_constants.json").read_text(encoding="utf-8")
)
RESERVED_OIDS = {
    "TUNNEL_INTERFACE_SET_OID": 0x0F010106,
    "TUNNEL_INTERFACE_RELEASE_OID": 0x0F010107,
}
IANA_IF_TYPES = {
    "INFINIBAND": 199,
    "BRIDGE": 209,
    "GTP": 216,
    "MACSEC_CONTROLLED_IF": 231,
    "MACSEC_UNCONTROLLED_IF": 232,
}
PREFIXES = {
    1: "other",
    6: "ethernet",
    9: "tokenring",
    23: "ppp",
    24: "loopback",
    37: "atm",
    71: "wireless",
    131: "tunnel",
    144: "ieee1394",
}

#: OIDs that every provider must answer, and those of miniport adapters, with
#: the size that NDIS documents.
DOCUMENTED_SIZES = {
    "GEN_PROMISCUOUS_MODE": "fixed 1",
    "GEN_LAST_CHANGE": "fixed 8",
    "GEN_DISCONTINUITY_TIME": "fixed 8",
    "GEN_OPERATIONAL_STATUS": "fixed 4",
    "GEN_XMIT_LINK_SPEED": "fixed 8",
    "GEN_RCV_LINK_SPEED": "fixed 8",
    "GEN_UNKNOWN_PROTOS": "fixed 8",
    "GEN_INTERFACE_INFO": "fixed 216",
    "GEN_ADMIN_STATUS": "fixed 4",
    "GEN_ALIAS": "counted_string",
    "GEN_MEDIA_CONNECT_STATUS_EX": "fixed 4",
    "GEN_LINK_SPEED_EX": "fixed 16",
    "GEN_MEDIA_DUPLEX_STATE": "fixed 4",
    "TUNNEL_INTERFACE_SET_OID": "variable",
    "TUNNEL_INTERFACE_RELEASE_OID": "variable",
    "GEN_IP_OPER_STATUS": "fixed 396",
    "GEN_MAXIMUM_FRAME_SIZE": "fixed 4",
    "802_3_CURRENT_ADDRESS": "fixed 6",
    "802_3_PERMANENT_ADDRESS": "fixed 6",
    "802_3_MULTICAST_LIST": "array 6",
    "802_3_MAXIMUM_LIST_SIZE": "fixed 4",
    "GEN_RCV_ERROR": "counter",
    "GEN_XMIT_ERROR": "counter",
    "GEN_RCV_DISCARDS": "counter",
    "GEN_XMIT_DISCARDS": "counter",
    "GEN_BYTES_RCV": "counter",
    "GEN_BYTES_XMIT": "counter",
    **{
        f"GEN_{cast}_{what}_{way}": "counter"
        for cast in ("DIRECTED", "MULTICAST", "BROADCAST")
        for what in ("FRAMES", "BYTES")
        for way in ("RCV", "XMIT")
    },
    "GEN_STATISTICS": "fixed 152",
    "GEN_MAXIMUM_TOTAL_SIZE": "fixed 4",
    "GEN_RCV_OK": "counter",
    "GEN_XMIT_OK": "counter",
    "GEN_RECEIVE_BLOCK_SIZE": "fixed 4",
    "GEN_RECEIVE_BUFFER_SPACE": "fixed 4",
    "GEN_TRANSMIT_BLOCK_SIZE": "fixed 4",
    "GEN_TRANSMIT_BUFFER_SPACE": "fixed 4",
    "GEN_VENDOR_DESCRIPTION": "variable",
    "GEN_VENDOR_DRIVER_VERSION": "fixed 4",
    "GEN_VENDOR_ID": "fixed 4",
    "GEN_CURRENT_LOOKAHEAD": "fixed 4",
    "GEN_CURRENT_PACKET_FILTER": "fixed 4",
    "GEN_LINK_PARAMETERS": "variable",
    "GEN_INTERRUPT_MODERATION": "variable",
    "GEN_LINK_SPEED": "fixed 4",
    "GEN_MEDIA_CONNECT_STATUS": "fixed 4",
    "GEN_MAX_LINK_SPEED": "fixed 16",
    "GEN_LINK_STATE": "fixed 40",
    "GEN_PHYSICAL_MEDIUM": "fixed 4",
    "GEN_PHYSICAL_MEDIUM_EX": "fixed 4",
    "GEN_NETWORK_LAYER_ADDRESSES": "variable",
}

#: Reads the catalog as the core does: prints every entry, then checks OIDs
#: from stdin ("find OID") and prefixes, and sweeps ranges by itself.
PROGRAM = r"""
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "oid_catalog.h"

int main(void)
{
    uint64_t found = 0;
    uint32_t oid;

    for (uint16_t i = 0; i < NB_OID_COUNT; i++) {
        const struct nb_oid_entry *e = nb_oid_entry(i);

        if (nb_oid_find(e->oid) != i || (i && e[-1].oid >= e->oid))
            return 1;
        printf("%" PRIu32 " %" PRIu32 " %u %u %u %u %s %s %s\n", e->oid,
            e->size, e->size_rule, e->type, e->access, e->field, e->name,
            *e->type_name ? e->type_name : "-",
            *e->if_mib_object ? e->if_mib_object : "-");
    }
    for (uint32_t high = 0; high < 0x10000000; high += 0x01000000)
        for (oid = high; oid < high + 0x40000; oid++)
            found += nb_oid_find(oid) != NB_OID_NONE;
    printf("swept %" PRIu64 "\n", found);
    found = 0;
    while (scanf("%" SCNu32, &oid) == 1)
        found += nb_oid_find(oid) != NB_OID_NONE;
    printf("others %" PRIu64 "\n", found);
    for (uint32_t type = 0; type <= UINT16_MAX; type++) {
        const char *prefix = nb_if_type_prefix((uint16_t)type);

        if (prefix != NULL)
            printf("prefix %" PRIu32 " %s %u\n", type, prefix,
                nb_if_type_of_prefix(prefix, strlen(prefix)));
    }
    printf("%u %u %u %u %u %u %u\n",
        nb_if_type_of_prefix("EtherNet", 8),
        nb_if_type_of_prefix("ethernet_1", 8),
        nb_if_type_of_prefix("ethernet", 7),
        nb_if_type_of_prefix("ethernets", 9),
        nb_if_type_of_prefix("iftype6", 7),
        nb_if_type_of_prefix("ETHERN\xc5T", 8),
        nb_if_type_of_prefix("", 0));
    return 0;
}
"""


def read_csv(name: str) -> list[dict[str, str]]:
    """Read one of the catalog's CSV files."""
    with (CSRC / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def oid_number(name: str) -> int:
    """Give the number of an OID, without what is under test."""
    if name in RESERVED_OIDS:
        return RESERVED_OIDS[name]
    return int(CONSTANTS["oids"][f"OID_{name}"]["value"])


@pytest.fixture(scope="module")
def ffi() -> cffi.FFI:
    """Parse the constants of the header as cffi does for the package."""
    text = HEADER.read_text(encoding="utf-8")
    _, rest = text.split("/* generated: begin constants */")
    region, _ = rest.split("/* generated: end constants */")
    ffi = cffi.FFI()
    ffi.cdef(region)
    return ffi


@pytest.fixture(scope="module")
def catalog(
    tmp_path_factory: pytest.TempPathFactory, need: Callable[[str], str]
) -> list[list[str]]:
    """Compile and run PROGRAM; the words of its lines."""
    compiler = need("cc")
    folder = tmp_path_factory.mktemp("catalog")
    (folder / "program.c").write_text(PROGRAM, encoding="utf-8")
    flags = ["-std=c11", "-O1", "-DNB_ASSERT_LEVEL=3", "-Wall", "-Werror"]
    sources = [str(folder / "program.c"), str(CSRC / "oid_catalog.c")]
    subprocess.run(
        [compiler, *flags, f"-I{CSRC}", "-o", "program", *sources],
        cwd=folder,
        check=True,
    )
    known = {oid_number(row["name"]) for row in read_csv("oid_catalog.csv")}
    generator = random.Random(20)
    others = {generator.getrandbits(32) for _ in range(100_000)}
    others |= {oid ^ 1 << bit for oid in known for bit in range(32)}
    result = subprocess.run(
        [str(folder / "program")],
        input="\n".join(map(str, others - known)),
        capture_output=True,
        text=True,
        check=True,
    )
    # The last word, IF-MIB objects, may have spaces.
    return [line.split(" ", 8) for line in result.stdout.splitlines()]


def constant(ffi: cffi.FFI, tag: str) -> dict[str, int]:
    """Give the members of one enumeration, without NDISBRIDGE_."""
    members = ffi.typeof(f"enum ndisbridge_{tag}").relements
    return {
        name.removeprefix("NDISBRIDGE_"): value
        for name, value in members.items()
    }


def test_generated_files_are_current() -> None:
    """What is checked in is what the generator makes of its input."""
    result = subprocess.run(
        [sys.executable, str(GENERATOR), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_check_notices_a_stale_file(tmp_path: Path) -> None:
    """--check fails, says where, and writes nothing; a plain run repairs."""
    (tmp_path / "csrc").mkdir()
    for pattern in ("*catalog*.[chp]*", "*.csv", "*.json"):
        for path in CSRC.glob(pattern):
            shutil.copy2(path, tmp_path / "csrc")
    header = tmp_path / "ndisbridge" / "include" / "ndisbridge.h"
    header.parent.mkdir(parents=True)
    text = HEADER.read_text(encoding="utf-8")
    stale = text.replace("OID_GEN_ALIAS = 0x00010289", "OID_GEN_ALIAS = 1")
    assert stale != text
    header.write_text(stale, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "csrc" / GENERATOR.name)]
    check = subprocess.run(
        [*command, "--check"], capture_output=True, text=True, check=False
    )
    assert check.returncode == 1
    assert "stale   ndisbridge/include/ndisbridge.h" in check.stdout
    assert header.read_text(encoding="utf-8") == stale
    subprocess.run(command, check=True, capture_output=True)
    assert header.read_text(encoding="utf-8") == text


def test_oids_of_the_header_have_their_numbers(ffi: cffi.FFI) -> None:
    """The header has every OID of the catalog, numbered as in the JSON."""
    expected = {
        f"OID_{row['name']}": oid_number(row["name"])
        for row in read_csv("oid_catalog.csv")
    }
    assert constant(ffi, "oid") == expected
    assert not RESERVED_OIDS.keys() & {
        name.removeprefix("OID_") for name in CONSTANTS["oids"]
    }


def test_no_oid_of_the_json_is_missing(ffi: cffi.FFI) -> None:
    """Only reserved OIDs and second names of a number are left out."""
    numbers = set(constant(ffi, "oid").values())
    missing = [
        name
        for name, entry in CONSTANTS["oids"].items()
        if entry["value"] not in numbers and "_RESERVED_" not in name
    ]
    assert missing == []


def test_documented_oids_have_their_sizes() -> None:
    """Every OID that NDIS asks of a provider or a miniport is there."""
    rules = {
        row["name"]: row["size_rule"] for row in read_csv("oid_catalog.csv")
    }
    got = {name: rules.get(name) for name in DOCUMENTED_SIZES}
    assert got == DOCUMENTED_SIZES


def test_if_types_have_their_numbers(ffi: cffi.FFI) -> None:
    """The header has every IF_TYPE of the JSON, and IANA's for Linux."""
    expected = {
        name: entry["value"]
        for name, entry in CONSTANTS["iftypes"].items()
        if name.startswith("IF_TYPE_")
    }
    iana = {f"IF_TYPE_{name}": n for name, n in IANA_IF_TYPES.items()}
    assert not iana.keys() & expected.keys()
    assert constant(ffi, "if_type") == expected | iana


def test_enumerations_have_their_numbers(ffi: cffi.FFI) -> None:
    """No member of an enumeration of the JSON is missing or renumbered."""
    tags = {
        "MediaConnectState": "net_if_media_connect_state",
        "MediaDuplexState": "net_if_media_duplex_state",
        "NdisMedium": "medium",
        "NdisPhysicalMedium": "physical_medium",
        "NdisPauseFunctions": "pause_functions",
        "NET_IF_OPER_STATUS_": "net_if_oper_status",
        "NET_IF_ADMIN_STATUS_": "net_if_admin_status",
        "NET_IF_ACCESS_": "net_if_access_type",
        "NET_IF_DIRECTION_": "net_if_direction_type",
        "NET_IF_CONNECTION_": "net_if_connection_type",
        "TUNNEL_TYPE_": "tunnel_type",
    }
    bounds = re.compile("_MAXIMUM$|^Ndis(Physical)?MediumMax$")
    for prefix, tag in tags.items():
        expected = {
            re.sub("[^A-Z0-9]", "", name.removeprefix(prefix).upper()): value
            for name, value in CONSTANTS["enums"].items()
            if name.startswith(prefix) and not bounds.search(name)
        }
        head = (prefix if "_" in prefix else f"{tag.upper()}_").upper()
        got = {
            re.sub("[^A-Z0-9]", "", name.removeprefix(head)): value
            for name, value in constant(ffi, tag).items()
        }
        assert got == expected, tag
    assert constant(ffi, "net_if_rcv_address_type") == {
        "NET_IF_RCV_ADDRESS_TYPE_OTHER": 1,
        "NET_IF_RCV_ADDRESS_TYPE_VOLATILE": 2,
        "NET_IF_RCV_ADDRESS_TYPE_NON_VOLATILE": 3,
    }


def test_flags_have_their_bits(ffi: cffi.FFI) -> None:
    """Statistics bits, NIIF_ flags and oper status flags are the JSON's."""
    statistics = {
        name.removeprefix("NDIS_"): entry["value"]
        for name, entry in CONSTANTS["statistics_flags"].items()
        if "_REVISION_" not in name
    }
    got = constant(ffi, "statistics_supported")
    assert got.keys().isdisjoint(constant(ffi, "statistics_flags_valid"))
    got |= constant(ffi, "statistics_flags_valid")
    assert got == statistics
    macros = {
        name: entry["value"] & 0xFFFFFFFF
        for name, entry in CONSTANTS["ifdef_macros"].items()
        if re.match("NIIF_|NET_IF_OPER_STATUS_|NET_IF_COMPARTMENT_ID_", name)
    }
    lib = ffi.dlopen(None)
    unknown = {
        name: getattr(lib, f"NDISBRIDGE_{name}")
        for name in macros
        if name.endswith("_UNKNOWN")
    }
    assert len(unknown) == 4
    got = constant(ffi, "net_if_flags") | unknown
    got |= constant(ffi, "net_if_oper_status_flags")
    got |= constant(ffi, "net_if_compartment_id")
    assert got == macros


def test_entries_are_the_rows(catalog: list[list[str]]) -> None:
    """C finds every OID, ascending, and tells of it what the row says."""
    rows = sorted(
        read_csv("oid_catalog.csv"), key=lambda row: oid_number(row["name"])
    )
    rules = ["variable", "fixed", "counter", "counted_string", "array"]
    access = {"query": 1, "set": 2, "both": 3, "settable": 1 | 4}
    for row, words in zip(rows, catalog, strict=False):
        oid, size, rule, _, rights, field, name, type_name, mib = words
        assert int(oid) == oid_number(name)
        assert name == row["name"]
        kind, _, length = row["size_rule"].partition(" ")
        usual = {"counter": "8", "counted_string": "516", "variable": "0"}
        assert size == usual.get(kind, length), name
        assert rules[int(rule)] == kind, name
        assert int(rights) == access[row["access"]], name
        assert (field == "0") == (row["field"] == "NONE"), name
        assert type_name == (row["type"].partition(":")[2] or "-"), name
        assert mib == (row["if_mib_object"] or "-"), name
    assert catalog[len(rows)][0] == "swept"


def test_link_speeds_have_both_if_mib_objects() -> None:
    """The IF-MIB objects of the link speeds are those NDIS names."""
    objects = {
        row["name"]: row["if_mib_object"]
        for row in read_csv("oid_catalog.csv")
        if row["name"].endswith(("_LINK_SPEED", "_LINK_SPEED_EX"))
    }
    assert objects["GEN_XMIT_LINK_SPEED"] == "ifHighSpeed, ifSpeed"
    assert objects["GEN_RCV_LINK_SPEED"] == "ifHighSpeed, ifSpeed"
    assert objects["GEN_LINK_SPEED_EX"] == "ifHighSpeed"
    text = HEADER.read_text(encoding="utf-8")
    assert len(re.findall(r"ifHighSpeed,\s+(?:\*\s+)?ifSpeed", text)) == 2


def test_find_refuses_all_others(catalog: list[list[str]]) -> None:
    """No other OID is found: ranges swept, bits flipped, 100,000 random."""
    count = len(read_csv("oid_catalog.csv"))
    assert ["swept", str(count)] in catalog
    assert ["others", "0"] in catalog


def test_prefixes_go_both_ways(catalog: list[list[str]]) -> None:
    """Nine IfTypes have a prefix, found again in any case of letters."""
    found = [words[1:] for words in catalog if words[0] == "prefix"]
    assert found == [[str(n), p, str(n)] for n, p in PREFIXES.items()]
    assert catalog[-1] == ["6", "6", "0", "0", "0", "0", "0"]
