# SPDX-License-Identifier: MIT
"""
ifIndexes that the kernel is asked for, and tags on links: stability that is
real in the kernel, with real devices.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

import ndisbridge as ndis
from ndisbridge._native_linux import LinuxHandle

#: Makes a tun or a tap with a given ifIndex, and keeps it until stdin ends.
TUN = """
import fcntl, struct, sys
name, if_index = sys.argv[1].encode(), int(sys.argv[2])
flags = {"tun": 0x1001, "tap": 0x1002}[sys.argv[3]]  # IFF_NO_PI
with open("/dev/net/tun", "r+b", buffering=0) as tun:
    fcntl.ioctl(tun, 0x400454DA, struct.pack("I", if_index))  # TUNSETIFINDEX
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", name, flags))
    print("ready", flush=True)
    sys.stdin.read()
"""
PERSISTENT = ("net_luid", "interface_guid", "key")


@pytest.fixture
def here(new_namespace: Callable[[], object]):
    return new_namespace()


def lasting(row: dict) -> tuple[str, ...]:
    return tuple(row[name] for name in PERSISTENT)


@contextlib.contextmanager
def tun(here, name: str, if_index: int, mode: str) -> Iterator[None]:
    """A device of a program that runs, as those of VPN daemons are."""
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("no /dev/net/tun")
    with here.start(
        *[sys.executable, "-c", TUN, name, str(if_index), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        yield
        process.communicate()
    assert process.returncode == 0


def reserve(here, *arguments: str) -> int:
    return int(here.run("reserve", *arguments, "--field", "if_index").stdout)


@pytest.mark.parametrize(
    ("kind", "if_type"),
    [("ifb", "ethernet"), ("bridge", "bridge"), ("veth", "ethernet")],
)
def test_pinned_link(here, kind: str, if_type: str) -> None:
    """Created with the reserved ifIndex it is that identity, each time."""
    if_index = reserve(here, "vpn0", "--type", if_type)
    (reserved,) = here.rows("list").values()
    assert reserved["reserved_if_index"] == if_index
    for _ in range(2):
        here.ip(f"link add vpn0 index {if_index} type {kind}")
        row = here.rows("adopt")["vpn0"]
        assert here.links()["vpn0"]["ifindex"] == if_index
        assert row["if_index"] == row["reserved_if_index"] == if_index
        assert (row["state"], row["error"]) == ("known", "")
        assert lasting(row) == lasting(reserved)
        here.ip("link del vpn0")


@pytest.mark.parametrize(
    ("mode", "if_type"), [("tun", "prop_virtual"), ("tap", "ethernet")]
)
def test_pinned_tun(here, mode: str, if_type: str) -> None:
    """TUNSETIFINDEX does for a program's own device what `index` does."""
    if_index = reserve(here, "vpn7", "--type", if_type)
    seen = set()
    for _ in range(2):
        with tun(here, "vpn7", if_index, mode):
            assert here.links()["vpn7"]["ifindex"] == if_index
            row = here.rows("adopt")["vpn7"]
            assert (row["if_index"], row["state"]) == (if_index, "known")
            assert row["description"] == mode
            seen.add(lasting(row))
    assert len(seen) == 1


def test_taken_for_something_else(here) -> None:
    """The link that has it is in conflict, by name, and not registered."""
    if_index = reserve(here, "vpn0")
    reserved = here.rows("list")["vpn0"]
    here.ip(f"link add other index {if_index} type ifb")
    done = here.run("adopt", "-o", "json", code=4)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    other = rows["other"]
    assert other["state"] == "conflict"
    assert other["net_luid"] != reserved["net_luid"]
    assert str(if_index) in other["error"]
    assert "'vpn0'" in other["error"]
    assert reserved["net_luid"] in other["error"]
    assert f"other: {other['error']}\n" == done.stderr
    # The one that it is reserved for is there too, as something else.
    here.ip("link add vpn0 type ifb")
    rows = here.rows("adopt", code=4)
    assert rows["other"]["state"] == "conflict"
    assert lasting(rows["vpn0"]) == lasting(reserved)
    assert rows["vpn0"]["if_index"] != if_index
    assert rows["vpn0"]["reserved_if_index"] == if_index
    assert f"and not {if_index}, which is reserved" in (
        here.run("adopt", code=4).stderr
    )
    # Only looking tells it too.
    assert here.rows("list")["other"]["state"] == "conflict"
    # As the message says: the reservation ends, and so does the conflict.
    here.run("release", "vpn0", "--yes")
    rows = here.rows("adopt")
    assert lasting(rows["other"]) == lasting(other)
    assert (rows["other"]["state"], rows["other"]["error"]) == ("known", "")


def test_reserved_while_taken(here) -> None:
    """One that the kernel has in use already is printed, and said to be."""
    here.ip(f"link add early index {0x800000} type ifb")
    assert here.rows("adopt")["early"]["state"] == "new"
    done = here.run("reserve", "late", "--field", "if_index", code=4)
    assert done.stdout == f"{0x800000}\n"
    assert "'early'" in done.stderr
    assert here.rows("adopt", code=4)["early"]["state"] == "conflict"
    here.ip("link del early")
    here.ip(f"link add late index {0x800000} type ifb")
    assert here.rows("adopt")["late"]["state"] == "known"


def test_reserved_by_another_provider(here) -> None:
    """Nor is an ifIndex of a provider's own a link's."""
    if_index = reserve(here, "tunnel/1", "--provider", "acme")
    here.ip(f"link add x0 index {if_index} type ifb")
    row = here.rows("adopt", code=4)["x0"]
    assert row["state"] == "conflict"
    assert "'tunnel/1' of 'acme'" in row["error"]


def test_tag(here, new_namespace) -> None:
    """A tag goes along: rename, to another namespace, and back."""
    there = new_namespace()
    here.ip("link add ve0 type veth peer name ve1")
    first = here.rows("adopt", "--tag")
    for name in ("lo", "ve0", "ve1"):
        tag = f"ndis-luid-{first[name]['net_luid'][2:]}"
        assert here.links()[name]["altnames"] == [tag]
        # Every command of iproute2 takes it for a name.
        assert json.loads(here.ip(f"-j link show {tag}"))[0]["ifname"] == name
    assert here.rows("adopt", "--tag")["ve0"]["state"] == "known"
    # Names are swapped, which without tags would swap the identities.
    here.ip("link set ve0 name tmp")
    here.ip("link set ve1 name ve0")
    here.ip("link set tmp name ve1")
    swapped = here.rows("adopt")
    assert lasting(swapped["ve1"]) == lasting(first["ve0"])
    assert lasting(swapped["ve0"]) == lasting(first["ve1"])
    here.ip(f"link set ve1 netns {there.name}")
    there.ip("link set ve1 name wan")
    moved = there.rows("adopt")["wan"]
    assert moved["state"] == "moved"
    assert moved["compartment"] == there.name
    assert lasting(moved) == lasting(first["ve0"])
    there.ip(f"link set wan netns {here.name}")
    back = here.rows("adopt")["wan"]
    assert back["state"] == "moved"
    assert back["compartment"] == here.name
    assert lasting(back) == lasting(first["ve0"])
    assert "no problem" in here.run("store", "check").stdout


def test_old_tag(here) -> None:
    """A tag goes with its identity, and never passes for the next one's."""
    here.ip("link add x0 type ifb")
    here.ip("link property add dev x0 altname uplink")
    old = here.rows("adopt", "--tag")["x0"]
    tag = f"ndis-luid-{old['net_luid'][2:]}"
    here.run("release", "x0", "--yes")
    assert here.links()["x0"]["altnames"] == ["uplink"]
    # Somebody writes it again; its NET_LUID is a veth's now.
    other = json.loads(here.run("reserve", "y0", "-o", "json").stdout)
    assert other["net_luid"] == old["net_luid"]
    here.ip(f"link add y0 index {other['if_index']} type veth peer name y1")
    assert lasting(here.rows("adopt")["y0"]) == lasting(other)
    here.ip(f"link property add dev x0 altname {tag}")
    new = here.rows("adopt", "--tag")["x0"]
    assert new["net_luid"] != old["net_luid"]
    assert sorted(here.links()["x0"]["altnames"]) == sorted(
        ["uplink", f"ndis-luid-{new['net_luid'][2:]}"]
    )
    assert here.links()["y0"]["altnames"] == [tag]
    assert here.links()["y0"]["ifindex"] == other["if_index"]


def test_tags_of_another_store(here) -> None:
    """What tags meant in a lost store they don't mean in the next one."""
    for name in ("x0", "x1", "x2"):
        here.ip(f"link add name {name} type ifb")
    here.rows("adopt", "--tag")
    here.ip("link del x0")
    here.ip("link add name x3 type ifb")
    for each in here.store.parent.glob(f"{here.store.name}*"):
        each.unlink()
    first = here.rows("adopt")
    # What is on x1 is the NET_LUID of x2 now.
    assert here.links()["x1"]["altnames"] == [
        f"ndis-luid-{first['x2']['net_luid'][2:]}"
    ]
    here.ip("link set x1 name wan")
    again = here.rows("adopt")
    assert lasting(again["wan"]) == lasting(first["x1"])
    for name in ("x2", "x3"):
        assert lasting(again[name]) == lasting(first[name])
        assert again[name]["state"] == "known"
    tagged = here.rows("adopt", "--tag")
    assert lasting(tagged["wan"]) == lasting(first["x1"])
    # From now on the new tags count, wherever it goes.
    here.ip("link set wan name x1")
    assert lasting(here.rows("adopt")["x1"]) == lasting(first["x1"])
    (tag,) = here.links()["x1"]["altnames"]
    assert tag == f"ndis-luid-{first['x1']['net_luid'][2:]}"


def test_release_of_what_is_elsewhere(here, new_namespace) -> None:
    """A tag that can't be reached from here is told."""
    there = new_namespace()
    there.ip("link add x0 type ifb")
    (tag,) = (
        f"ndis-luid-{row['net_luid'][2:]}"
        for name, row in there.rows("adopt", "--tag").items()
        if name == "x0"
    )
    said = here.run("release", "x0", "--yes").stderr
    assert f"in compartment {there.name!r} has the altname {tag}" in said
    here.ip("link add y0 type ifb")
    here.rows("adopt", "--tag")
    assert "altname" not in here.run("release", "y0", "--yes").stderr


def test_tag_that_is_taken(here) -> None:
    """What the kernel refuses is said, and is no success."""
    here.ip("link add x0 type ifb")
    here.ip("link add y0 type bridge")
    row = here.rows("adopt")["x0"]
    tag = f"ndis-luid-{row['net_luid'][2:]}"
    here.ip(f"link property add dev y0 altname {tag}")
    done = here.run("adopt", "--tag", code=4)
    assert "x0: the tag could not be written: File exists" in done.stderr
    assert "y0:" not in done.stderr


def test_tag_without_the_right(here, need) -> None:
    """Without CAP_NET_ADMIN all is adopted, and nothing tagged."""
    here.inside += [need("setpriv"), "--bounding-set", "-net_admin"]
    done = here.run("adopt", "--tag", "-o", "json", code=4)
    assert [row["name"] for row in json.loads(done.stdout)] == ["lo"]
    assert "lo: the tag could not be written: Operation not" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (0, 0x0006000000000000),
        (0x80000000, 0x0006000000000000),
        (1, 5),  # reserved bits
        (1, 0xFFFFFF),
        (1, 0x0006000000000000, 5),
        (1, 0x0000000001000000),  # IfType 0
    ],
)
def test_no_such_tag(arguments: tuple[int, ...]) -> None:
    """What is no ifIndex or no NET_LUID never gets to the kernel."""
    handle = LinuxHandle()
    with pytest.raises(ndis.InvalidParameterError):
        handle.tag(*arguments)
    handle.close()
