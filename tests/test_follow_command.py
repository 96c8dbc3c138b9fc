# SPDX-License-Identifier: MIT
"""`adopt --follow`: a process that keeps links adopted, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def here(new_namespace: Callable[[], object]):
    return new_namespace()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What a service manager listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(30)
        yield made


def stats(here) -> dict:
    return json.loads(here.run("store", "stats", "-o", "json").stdout)


def assert_nothing_left(here) -> None:
    """No session, no lease, no in-use mark."""
    found = stats(here)
    assert found["sessions"] == []
    assert {each["leased_blocks"] for each in found["types"]} == {0}
    rows = here.rows("list").values()
    assert {row["registered_by"] for row in rows} == {""}
    assert "no problem" in here.run("store", "check").stdout


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("by", "code"),
    [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)],
)
def test_clean_end(here, manager, by: int, code: int) -> None:
    """It is ready, follows, and leaves nothing but the identities."""
    path = manager.getsockname()
    with here.running("adopt", "--follow", NOTIFY_SOCKET=path) as running:
        assert manager.recv(1000).split(b"\n")[0] == b"READY=1"
        here.ip("link add ve0 type veth peer name ve1")
        added = running.say("ve0: added")
        during = here.rows("list")
        assert during["ve0"]["net_luid"] in added
        assert f"pid {running.process.pid}" in during["ve0"]["registered_by"]
        assert len(stats(here)["sessions"]) == 1
        here.ip("link set ve0 up")
        here.ip("link set ve1 up")
        running.say("ve1: linkUp")
        assert running.end(by) == code
        assert manager.recv(1000) == b"STOPPING=1"
        assert running.said[-1] == f"ending: {signal.Signals(by).name}\n"
        assert running.lines.empty()
    assert_nothing_left(here)
    after = here.rows("list")
    for name in ("ve0", "ve1", "lo"):
        assert after[name]["net_luid"] == during[name]["net_luid"]


def test_adopt_beside_it(here) -> None:
    """Where the service runs, `adopt` says so once, not for each link."""
    here.ip("link add ve0 type veth peer name ve1")
    with here.running("adopt", "--follow") as running:
        running.say("3 links")
        wait_for(lambda: here.rows("list")["ve1"]["registered_by"])
        done = here.run("adopt", "-o", "jsonl")
        pid = f"(pid {running.process.pid})"
        (line,) = (each for each in done.stderr.splitlines() if pid in each)
        assert line.startswith("3 links are registered by ")
        assert done.stdout.count(pid) == 2 * 3  # the holder, and why not here
        assert running.end() == 0


def test_signal_before_it_is_ready(here) -> None:
    """Whenever the signal comes, it ends, and leaves nothing."""
    for delay in (0.0, 0.1, 0.2, 0.3, 0.4):
        with here.running("adopt", "--follow") as running:
            wait_for(lambda: os.path.exists(here.store))
            time.sleep(delay)
            assert running.end() in {0, -signal.SIGTERM}
    with here.running("adopt", "--follow"):
        pass  # and it begins again


def test_killed(here) -> None:
    """After kill -9 the next run takes over, with the same identities."""
    here.ip("link add if0 type ifb")
    with here.running("adopt", "--follow", "-o", "jsonl") as running:
        first = running.event(name="if0")
        here.ip("link add if1 type ifb")
        second = running.event(name="if1", event="add", state="new")
        assert running.end(signal.SIGKILL) == -signal.SIGKILL
    with here.running("adopt", "--follow", "-o", "jsonl") as running:
        for before in (first, second):
            again = running.event(name=before["name"])
            assert again["net_luid"] == before["net_luid"]
            assert again["interface_guid"] == before["interface_guid"]
            assert f"pid {running.process.pid}" in again["registered_by"]
        assert running.end() == 0
    assert_nothing_left(here)


def test_events_as_json(here) -> None:
    """Each event has all members, those that are named ones differ."""
    with here.running("adopt", "--follow", "-o", "jsonl") as running:
        assert running.event(event="initial")["name"] == "lo"
        here.ip("link add if0 type ifb")
        event = running.event(event="add", name="if0")
        row = here.rows("list")["if0"]
        members = ["time", "event", "transition", "changed", *row]
        assert list(event) == members
        assert event["net_luid"] == row["net_luid"]
        here.ip("link set if0 name up0")
        event = running.event(event="parameter", name="up0")
        assert event["changed"] == ["name"]
        assert event["net_luid"] == row["net_luid"]
        here.ip("link set up0 mtu 1400")
        assert running.event(changed=["mtu"])["mtu"] == 1400
        here.ip("link del up0")
        event = running.event(event="delete", name="up0")
        assert (event["status"], event["changed"]) == ("ABSENT", [])
        here.ip("link add up0 type ifb")
        event = running.event(event="add", name="up0")
        assert event["net_luid"] == row["net_luid"]
        assert event["state"] == "known"
        assert running.end() == 0


@pytest.mark.parametrize("removal", ["shutdown", "remove"])
def test_removal(here, removal: str) -> None:
    """What a link leaves behind is what was chosen."""
    options = ["--follow", "--removal", removal, "-o", "jsonl"]
    with here.running("adopt", *options) as running:
        running.event(event="initial")
        here.ip("link add if0 type ifb")
        first = running.event(event="add", name="if0")
        here.ip("link del if0")
        running.event(event="delete", name="if0")
        if removal == "remove":
            running.event(event="released", name="if0")
        there = "if0" in here.rows("list")
        assert there == (removal == "shutdown")
        here.ip("link add if0 type ifb")
        again = running.event(event="add", name="if0")
        assert (again["interface_guid"] == first["interface_guid"]) == there
        assert running.end() == 0


def test_tags_what_comes(here, new_namespace) -> None:
    """With --tag a link is itself wherever it goes, while all follow."""
    there = new_namespace()
    options = ["adopt", "--follow", "--tag", "-o", "jsonl"]
    with here.running(*options) as one, there.running(*options) as two:
        one.event(name="lo")
        two.event(name="lo")
        here.ip("link add ve0 type veth peer name ve1")
        first = one.event(event="add", name="ve0")
        tag = f"ndis-luid-{first['net_luid'][2:]}"
        wait_for(lambda: here.links()["ve0"].get("altnames") == [tag])
        here.ip(f"link set ve0 netns {there.name} name wan")
        mine = {"net_luid": first["net_luid"], "compartment": there.name}
        assert two.event(**mine)["interface_guid"] == first["interface_guid"]
        pid = f"pid {two.process.pid}"
        wait_for(lambda: pid in there.rows("list")["wan"]["registered_by"])
        assert one.end() == two.end() == 0


def test_conflict_while_following(here) -> None:
    """A link with a reserved ifIndex is said to be in conflict at once."""
    if_index = here.run("reserve", "vpn0", "--field", "if_index").stdout
    with here.running("adopt", "--follow") as running:
        running.say("1 link")
        here.ip(f"link add other index {if_index.strip()} type ifb")
        assert "reserved for 'vpn0'" in running.say("other: added")
        here.ip("link del other")
        running.say("other: deleted")
        here.ip(f"link add vpn0 index {if_index.strip()} type ifb")
        assert if_index.strip() in running.say("vpn0: added")
        assert running.end() == 0


def test_store_that_is_busy(here) -> None:
    """While the store is kept busy it tries again, and says so."""
    import apsw

    with here.running("adopt", "--follow") as running:
        running.say("1 link")
        database = apsw.Connection(str(here.store))
        database.execute("BEGIN IMMEDIATE")
        here.ip("link add if0 type ifb")
        assert "trying again" in running.say(f"{here.store}: ")
        database.execute("ROLLBACK")
        database.close()
        running.say("if0: added")
        assert here.rows("list")["if0"]["registered_by"]
        assert running.end() == 0
    assert_nothing_left(here)


def test_reader_that_goes(here) -> None:
    """Events that nobody reads any more end it, cleanly."""
    process = here.start(
        *[sys.executable, "-m", "ndisbridge", "adopt", "--follow"],
        *["-o", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert "lo" in process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert_nothing_left(here)


#: As MemoryDenyWriteExecute= of systemd.
DENY_WRITE_EXECUTE = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)  # PR_SET_MDWE; from Linux 6.3
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_confined(here, need) -> None:
    """It needs what the unit leaves it, and no more."""
    here.inside += [need("setpriv"), "--bounding-set", "-all,+net_admin"]
    here.inside += [sys.executable, "-c", DENY_WRITE_EXECUTE]
    with here.running("adopt", "--follow", "--tag") as running:
        running.say("1 link")
        here.ip("link add if0 type ifb")
        running.say("if0: added")
        wait_for(lambda: here.links()["if0"].get("altnames"))
        assert running.end() == 0


def test_busy_at_the_end(here) -> None:
    """What it could not give back is said, and is void with it."""
    import apsw

    with here.running("adopt", "--follow") as running:
        running.say("1 link")
        database = apsw.Connection(str(here.store))
        database.execute("BEGIN IMMEDIATE")
        assert running.end() == 3
        assert str(here.store) in running.said[-1]
        database.execute("ROLLBACK")
        database.close()
    assert here.rows("adopt")["lo"]["error"] == ""
    assert_nothing_left(here)


def test_journal(here) -> None:
    """In the journal lines have no times of their own."""
    with here.running("adopt", "--follow", JOURNAL_STREAM="1:2") as running:
        running.say("1 link")
        here.ip("link add if0 type ifb")
        assert running.say("if0: added").startswith("if0: added")
        assert running.end() == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--follow", "-o", "json"],
        ["--follow", "-o", "csv"],
        ["--removal", "remove"],
        ["--follow", "--removal", "nonsense"],
    ],
)
def test_usage(here, arguments: list[str]) -> None:
    """What makes no sense is refused before anything is made."""
    assert here.run("adopt", *arguments, code=2).stderr
    assert not here.store.exists()


# ---------------------------------------------------------------------------
# On a server


def test_on_a_server(here, server: Any) -> None:
    """A store that many hosts share does as well, also when it has lost the
    connection."""
    import psycopg

    url = server.url("postgres", "here")
    here.environment["NDISBRIDGE_STORE"] = url
    with here.running("adopt", "--follow") as running:
        running.say("1 link")
        here.ip("link add if0 type ifb")
        running.say("if0: added")
        with psycopg.connect(
            server.url("postgres"), autocommit=True
        ) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = 'postgres' AND pid <> pg_backend_pid()"
            )
        here.ip("link add if1 type ifb")
        running.say("if1: added")
        assert set(here.rows("list")) == {"lo", "if0", "if1"}
        assert running.end() == 0
    found = stats(here)
    assert {each["leased_blocks"] for each in found["types"]} == {0}
    rows = here.rows("list").values()
    assert {row["registered_by"] for row in rows} == {""}


def test_evicted(here, server: Any) -> None:
    """Given up by an operator, it ends, and a service manager begins anew."""
    here.environment["NDISBRIDGE_STORE"] = server.url("postgres", "here")
    with here.running("adopt", "--follow") as running:
        running.say("1 link")
        other = server.url("postgres", "other")
        here.run("store", "evict", "here", "--store", other)
        here.ip("link add if0 type ifb")
        assert running.process.wait(60) == 3
        assert "evicted" in "".join(running.said) or "given" in (
            "".join(running.said)
        )
    with here.running("adopt", "--follow", "-o", "jsonl") as running:
        running.event(name="if0")
        assert running.end() == 0
