# SPDX-License-Identifier: MIT
"""The main job in network namespaces, by the command, with real links."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from netns import skip_without_namespaces

LINKS = [
    "link add if0 type ifb",
    "link add ve0 type veth peer name ve1",
    "link add br0 type bridge",
    "link add vx0 type vxlan id 7 dstport 4789 local 127.0.0.1",
    "link add mv0 link ve0 type macvlan mode bridge",
    "tuntap add tp0 mode tap",
    "link set ve1 master br0",
]
NAMES = {"lo", "if0", "ve0", "ve1", "br0", "vx0", "mv0", "tp0"}


class Namespace:
    """A network namespace that this test has made."""

    def __init__(self, store: Path) -> None:
        self.name = f"ndisbridge-test-{uuid.uuid4().hex[:8]}"
        self.store = store
        run("ip", "netns", "add", self.name)

    def ip(self, command: str) -> str:
        return run("ip", "-n", self.name, *command.split())

    def create(self, commands: list[str]) -> None:
        for command in commands:
            self.ip(command)

    def delete(self) -> None:
        for name in ("mv0", "ve0", "if0", "vx0", "tp0", "br0"):
            self.ip(f"link del {name}")

    def command(self, *arguments: str) -> str:
        return self.ended(*arguments).stdout

    def ended(
        self, *arguments: str, code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """The command here, once it has ended, with code."""
        return command("ip", "netns", "exec", self.name)(
            *arguments, "--store", str(self.store), code=code
        )

    def adopt(self) -> dict[str, dict]:
        rows = json.loads(self.command("adopt", "-o", "json"))
        return {row["name"]: row for row in rows}


def command(*prefix: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command ndisbridge, run by another one."""

    def ended(
        *arguments: str, code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "ndisbridge", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.stderr}"
        return done

    return ended


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@pytest.fixture
def namespaces(store_path: Path) -> Iterator[list[Namespace]]:
    """Two namespaces on one store."""
    skip_without_namespaces()
    made: list[Namespace] = []
    try:
        for _ in range(2):
            made.append(Namespace(store_path))
        yield made
    finally:
        for namespace in made:
            run("ip", "netns", "del", namespace.name)


def identity_of(row: dict) -> tuple[str, str]:
    return row["net_luid"], row["interface_guid"]


def kernel_indexes(namespace: Namespace) -> dict[str, int]:
    links = json.loads(namespace.ip("-j link show"))
    return {link["ifname"]: link["ifindex"] for link in links}


def test_recreated_links(namespaces: list[Namespace]) -> None:
    """Deleted and made again, links have their NET_LUID and GUID again."""
    here = namespaces[0]
    here.create(LINKS)
    before = here.adopt()
    assert set(before) == NAMES
    assert {row["state"] for row in before.values()} == {"new"}
    assert before["br0"]["if_type_name"] == "BRIDGE"
    assert before["vx0"]["if_type_name"] == "TUNNEL"
    again = here.adopt()
    assert {n: identity_of(r) for n, r in again.items()} == {
        n: identity_of(r) for n, r in before.items()
    }
    here.delete()
    here.create(["link add other type ifb", *LINKS])
    after = here.adopt()
    for name in NAMES:
        assert identity_of(after[name]) == identity_of(before[name]), name
        assert after[name]["if_index"] == kernel_indexes(here)[name]
    assert after["if0"]["if_index"] != before["if0"]["if_index"]
    assert after["other"]["state"] == "new"
    check = here.command("store", "check")
    assert "no problem" in check


def test_reserved_if_index(namespaces: list[Namespace]) -> None:
    """A link made with what `reserve` printed has its ifIndex each time."""
    here = namespaces[0]
    printed = here.command("reserve", "vpn0", "--field", "if_index").strip()
    assert int(printed) >= 0x800000
    seen = set()
    for _ in range(2):
        here.ip(f"link add vpn0 index {printed} type ifb")
        row = here.adopt()["vpn0"]
        assert row["if_index"] == int(printed)
        seen.add(identity_of(row))
        here.ip("link del vpn0")
    assert len(seen) == 1
    shown = json.loads(here.command("show", "vpn0", "-o", "json"))
    assert identity_of(shown) in seen


def test_two_namespaces_one_store(namespaces: list[Namespace]) -> None:
    """The same names in two namespaces are different interfaces."""
    rows = []
    for namespace in namespaces:
        namespace.create(LINKS)
        rows.append(namespace.adopt())
    one, two = rows
    assert not {identity_of(r) for r in one.values()} & {
        identity_of(r) for r in two.values()
    }
    namespaces[0].delete()
    for namespace, before in zip(namespaces, rows, strict=True):
        after = namespace.adopt()
        for name, row in after.items():
            assert identity_of(row) == identity_of(before[name])
            assert row["compartment"] == namespace.name


def test_stack_and_query(namespaces: list[Namespace]) -> None:
    """Stack rows and OIDs are the kernel's."""
    here = namespaces[0]
    here.create(LINKS)
    here.ip("link set ve0 up")
    here.ip("link set ve1 up")
    here.adopt()
    done = run(
        "ip",
        "netns",
        "exec",
        here.name,
        sys.executable,
        "-m",
        "ndisbridge",
        "stack",
        "-o",
        "json",
    )
    rows = {(row["higher"], row["lower"]) for row in json.loads(done)}
    assert rows == {("br0", "ve1"), ("mv0", "ve0")}
    status = here.command("query", "ve0", "GEN_OPERATIONAL_STATUS")
    assert status.strip() == "UP"
    mtu = here.command("query", "ve0", "GEN_MAXIMUM_FRAME_SIZE")
    link = json.loads(here.ip("-j link show ve0"))[0]
    assert int(mtu) == link["mtu"]
    address = here.command("query", "ve0", "802_3_CURRENT_ADDRESS")
    assert address.strip() == link["address"]


def test_same_name_again(namespaces: list[Namespace]) -> None:
    """A name means the link that has it now, not one that had it once."""
    here, there = namespaces
    for namespace in namespaces:
        namespace.ip("link add x0 type ifb")
        namespace.adopt()
    here.ip("link del x0")
    here.ip("link add x0 type bridge")
    done = here.ended("adopt", "-o", "json")
    (row,) = (row for row in json.loads(done.stdout) if row["name"] == "x0")
    assert row["key"] == "x0#2"
    assert "x0: it has a new identity with the key 'x0#2'" in done.stderr
    assert "new identity" not in here.ended("adopt", "-o", "json").stderr
    shown = json.loads(here.command("show", "x0", "-o", "json"))
    assert identity_of(shown) == identity_of(row)
    # Both of here are without a link now, and that of there has none here.
    here.ip("link del x0")
    done = here.ended("show", "x0", code=1)
    assert "more than one" in done.stderr
    here.command("release", row["net_luid"], "--yes")
    shown = json.loads(here.command("show", "x0", "-o", "json"))
    assert shown["compartment"] == here.name
    shown = json.loads(there.command("show", "x0", "-o", "json"))
    assert (shown["compartment"], shown["status"]) == (there.name, "DOWN")


def test_reserved_with_another_type(namespaces: list[Namespace]) -> None:
    """A reservation that is not the link's is said to have been missed."""
    here = namespaces[0]
    here.command("reserve", "br7", "--type", "ethernet")
    here.ip("link add br7 type bridge")
    done = here.ended("adopt")
    assert "reserved with another IfType" in done.stderr
    here.command("release", "br7", "--yes")


def test_compartments_in_table(namespaces: list[Namespace]) -> None:
    """A table of several namespaces says which is whose."""
    for namespace in namespaces:
        namespace.adopt()
    here, there = namespaces
    table = here.command("list")
    assert table.split()[:2] == ["Name", "Compartment"]
    assert here.name in table
    assert there.name in table
    assert "Compartment" not in here.command("adopt")


def test_query_of_unknown_link(namespaces: list[Namespace]) -> None:
    """A link here is asked, if what the store knows by its name is not."""
    here, there = namespaces
    there.ip("link add x0 type ifb")
    there.adopt()
    here.ip("link add x0 type ifb")
    here.ip("link set x0 mtu 1234")
    index = str(kernel_indexes(here)["x0"])
    for name in ("x0", index):
        mtu = here.command("query", name, "GEN_MAXIMUM_FRAME_SIZE")
        assert mtu == "1234\n"


def test_namespace_without_name(namespaces: list[Namespace]) -> None:
    """Where nobody knows what is live, that is said; or told by the user."""
    store = ["--store", str(namespaces[0].store)]
    unnamed = command("unshare", "-n")
    done = unnamed("adopt", *store, code=2)
    assert "--compartment" in done.stderr
    mine = ["--compartment", "mine", *store]
    unnamed("adopt", *mine)
    for arguments in (["list", "-o", "json"], ["show", "lo", "-o", "json"]):
        rows = json.loads(unnamed(*arguments, *mine).stdout)
        row = rows[0] if isinstance(rows, list) else rows
        assert row["status"] != "ABSENT"
        done = unnamed(*arguments, *store)
        rows = json.loads(done.stdout)
        row = rows[0] if isinstance(rows, list) else rows
        assert row["status"] == "ABSENT"
        assert "no name" in done.stderr
        assert done.stderr.count("\n") == 1
    net_luid = row["net_luid"]
    query = ["query", net_luid, "GEN_MAXIMUM_FRAME_SIZE"]
    assert int(unnamed(*query, *mine).stdout) > 0
    assert "no name" in unnamed(*query, *store, code=1).stderr
    by_name = unnamed("query", "lo", "GEN_MAXIMUM_FRAME_SIZE", *store)
    assert int(by_name.stdout) > 0
    unnamed("release", "lo", "--yes", *mine)
