# SPDX-License-Identifier: MIT
"""`watch` and `list --watch`: links and identities as they change."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ndisbridge as ndis

COMMAND = [sys.executable, "-m", "ndisbridge"]


@pytest.fixture
def here(new_namespace: Callable[[], object]):
    return new_namespace()


# ---------------------------------------------------------------------------
# Events


def test_links_and_identities(here) -> None:
    """What the kernel and what other processes do, in its order."""
    with here.running("watch", "-o", "jsonl") as running:
        lo = running.event(event="initial", name="lo")
        assert (lo["net_luid"], lo["state"]) == ("", "unknown")
        here.ip("link add ve0 type veth peer name ve1")
        running.event(event="add", name="ve0")
        here.ip("link set ve0 up")
        here.ip("link set ve1 up")
        up = running.event(event="parameter", name="ve1", transition="up")
        assert {"status", "admin_status"} <= set(up["changed"])
        adopted = here.rows("adopt")
        made = [running.event(event="created") for _ in adopted]
        assert {row["name"]: row["net_luid"] for row in made} == {
            name: row["net_luid"] for name, row in adopted.items()
        }
        here.ip("link set ve1 down")
        down = running.event(event="parameter", name="ve1", transition="down")
        assert down["net_luid"] == adopted["ve1"]["net_luid"]
        # Under another name it is known by what it was.
        here.ip("link set ve1 name wan")
        renamed = running.event(event="parameter", name="wan")
        assert renamed["changed"] == ["name"]
        assert renamed["net_luid"] == adopted["ve1"]["net_luid"]
        here.run("reserve", "vpn0")
        vpn = running.event(event="created", name="vpn0")
        assert (vpn["status"], vpn["state"]) == ("ABSENT", "")
        here.run("release", "vpn0", "--yes")
        assert running.event(event="released")["key"] == "vpn0"
        here.ip("link del ve0")
        gone = running.event(event="delete", name="ve0")
        assert gone["net_luid"] == adopted["ve0"]["net_luid"]
        assert running.end(signal.SIGINT) == 130
        assert running.said == []


def test_who_has_it_registered(here) -> None:
    """That a process takes an identity, and gives it back, is an event."""
    here.run("reserve", "tunnel/1", "--provider", "acme")
    with here.running("watch", "-o", "jsonl") as running:
        running.event(name="tunnel/1")
        with ndis.Session(here.store) as session:
            provider = session.register_provider("acme")
            provider.register_interface(provider.identity("tunnel/1", 6))
            taken = running.event(event="changed", name="tunnel/1")
            assert taken["changed"] == ["registered_by"]
            assert f"pid {os.getpid()}" in taken["registered_by"]
        assert running.event(event="changed")["registered_by"] == ""
        assert running.end(signal.SIGINT) == 130


def test_plain_lines(here) -> None:
    """Elsewhere than on a terminal each event is a line for people."""
    with here.running("watch") as running:
        running.line("lo: is there: ifIndex 1, no identity")
        here.ip("link add if0 type ifb")
        running.line("if0: added: ifIndex 2, no identity")
        here.ip("link set if0 mtu 1400")
        line = running.line("if0: mtu 1500 -> 1400")
        assert re.match(r"\d\d:\d\d:\d\d\.\d\d\d if0", line)
        here.ip("link del if0")
        running.line("if0: deleted")
        assert running.end(signal.SIGINT) == 130


@pytest.mark.parametrize(("count", "all_kept"), [(300, True), (4000, False)])
def test_as_many_as_come(here, count: int, all_kept: bool, need) -> None:
    """Any number at once, while nobody reads: the last word is what is so."""
    if not all_kept:
        most = int(Path("/proc/sys/net/core/rmem_max").read_text())
        if most > 8 << 20:
            pytest.skip(f"here the kernel keeps {most} bytes for anybody")
        here.inside += [need("setpriv"), "--bounding-set", "-net_admin"]
    missed = False
    with here.running("watch", "-o", "jsonl") as running:
        running.event(name="lo")
        running.process.send_signal(signal.SIGSTOP)
        batch = "".join(f"link add if{i} type ifb\n" for i in range(count))
        batch += "".join(f"link del if{i}\n" for i in range(0, 200, 2))
        subprocess.run(
            ["ip", "-n", here.name, "-batch", "-"],
            input=batch,
            text=True,
            check=True,
        )
        running.process.send_signal(signal.SIGCONT)
        wanted, there = set(here.links()), {"lo"}
        while there != wanted:
            event = json.loads(running.line())
            if event["event"] == "missed":
                missed = True
            elif event["status"] == "ABSENT":
                there.discard(event["name"])
            else:
                there.add(event["name"])
        assert missed != all_kept
        assert running.end(signal.SIGINT) == 130


def test_swapped_names(here) -> None:
    """While a process follows them, links are what they are by any name."""
    here.ip("link add ve0 type veth peer name ve1")
    with contextlib.ExitStack() as stack:
        follow = stack.enter_context(
            here.running("adopt", "--follow", "-o", "jsonl")
        )
        net_luids = {
            row["if_index"]: row["net_luid"]
            for row in (follow.event() for _ in range(3))
        }
        watch = stack.enter_context(here.running("watch", "-o", "jsonl"))
        for _ in net_luids:
            watch.event(event="initial")
        for old, new in (("ve0", "tmp"), ("ve1", "ve0"), ("tmp", "ve1")):
            here.ip(f"link set {old} name {new}")
        # Until the store has been looked at, and a little longer.
        time.sleep(1)
        here.ip("link set lo mtu 1234")
        for running in (follow, watch):
            seen = []
            while (event := running.event())["mtu"] != 1234:
                seen.append(event)
            for event in seen:
                assert event["event"] == "parameter"
                assert event["net_luid"] == net_luids[event["if_index"]]
            assert sum(each["changed"] == ["name"] for each in seen) == 3
            running.end()


def test_latency(here) -> None:
    """An event is there well before anybody has looked up."""
    with here.running("watch", "-o", "jsonl") as running:
        running.event(name="lo")
        took = []
        for mtu in range(1400, 1420):
            began = time.monotonic()
            here.ip(f"link set lo mtu {mtu}")
            running.event(name="lo", mtu=mtu)
            took.append(time.monotonic() - began)
        # With what `ip` takes to start; the median, for the machine is busy.
        assert sorted(took)[10] < 1.0
        assert running.end(signal.SIGINT) == 130


def test_list_watch(here) -> None:
    """The filters of list hold for what happens, too."""
    here.ip("link add if0 type ifb")
    here.ip("link add br0 type bridge")
    here.rows("adopt")
    options = ["--watch", "--type", "bridge", "-o", "jsonl"]
    with here.running("list", *options) as running:
        assert running.event()["name"] == "br0"
        here.ip("link set if0 mtu 1400")
        here.ip("link set br0 mtu 1400")
        event = running.event()
        assert (event["name"], event["changed"]) == ("br0", ["mtu"])
        assert running.end(signal.SIGINT) == 130
    for output in ("json", "csv"):
        done = here.run("list", "--watch", "-o", output, code=2)
        assert "--watch takes table or jsonl" in done.stderr


def test_nobody_reads(here) -> None:
    """A reader that has gone ends it, though nothing happens."""
    process = here.start(*COMMAND, "watch", stdout=subprocess.PIPE)
    assert "lo" in process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 0


def test_reading_is_all_it_needs(here, tmp_path: Path) -> None:
    """Who may not write the store sees what happens to it."""
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    for parent in shared.parents:
        if not parent.stat().st_mode & 1:
            parent.chmod(0o755)
    here.environment["NDISBRIDGE_STORE"] = str(shared / "ndis.db")
    here.run("reserve", "vpn0")
    for path in shared.iterdir():
        path.chmod(0o644)
    before = {each.name for each in shared.iterdir()}
    program = (
        "import difflib, os, sys\n"
        "import ndisbridge.cli\n"
        "os.setgroups([])\n"
        "os.setgid(65534)\n"
        "os.setuid(65534)\n"
        "ndisbridge.cli.run(sys.argv[1:])\n"
    )
    with here.start(
        *[sys.executable, "-c", program, "watch", "-o", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        names = set()
        while {"lo", "vpn0"} - names:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            names.add(json.loads(line)["name"])
        here.run("reserve", "vpn1")
        while "vpn1" not in names:
            names.add(json.loads(process.stdout.readline())["name"])
        assert {each.name for each in shared.iterdir()} == before
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_store_comes_and_goes(here) -> None:
    """A store that is not there yet is seen when it is made."""
    with here.running("watch", "-o", "jsonl") as running:
        assert running.event(name="lo")["state"] == "unknown"
        here.rows("adopt")
        assert running.event(event="created", name="lo")["net_luid"]
        # What can't be read for now is said once, and stays as it was.
        aside = here.store.with_name("aside")
        here.store.rename(aside)
        here.store.write_bytes(b"this is no store at all" * 100)
        running.say(str(here.store))
        aside.replace(here.store)
        running.say("can be read again")
        here.run("reserve", "vpn0")
        running.event(event="created", name="vpn0")
        assert running.end(signal.SIGINT) == 130


def test_store_that_is_being_made(here) -> None:
    """Between its first page and its tables a store is not there yet."""
    import apsw

    here.store.parent.mkdir(exist_ok=True)
    database = apsw.Connection(str(here.store))
    database.execute("PRAGMA journal_mode=WAL").fetchall()
    assert here.store.stat().st_size
    assert "it is empty, no store yet" in here.run("list", code=3).stderr
    with here.running("watch", "-o", "jsonl") as running:
        assert running.event(name="lo")["state"] == "unknown"
        database.close()
        here.rows("adopt")
        assert running.event(event="created", name="lo")["net_luid"]
        assert running.end(signal.SIGINT) == 130


# ---------------------------------------------------------------------------
# The live table


class Screen:
    """A terminal, and what is on it."""

    def __init__(self, here, *arguments: str) -> None:
        self.descriptor, theirs = pty.openpty()
        self.resize(20, 100)
        self.text = ""
        self.process = here.start(
            *COMMAND,
            *arguments,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def resize(self, lines: int, columns: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, size)

    def read(self) -> bool:
        if not select.select([self.descriptor], [], [], 0.1)[0]:
            return False
        try:
            self.text += os.read(self.descriptor, 65536).decode()
        except OSError:
            return False
        return True

    def frame(self) -> list[str]:
        """The lines of the last frame."""
        last = self.text.rpartition("\x1b[H")[2]
        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", last)
        return [line.rstrip() for line in plain.split("\r\n")]

    def until(self, part: str) -> list[str]:
        """The frame once a part is in it."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            self.read()
            frame = self.frame()
            if any(part in line for line in frame):
                return frame
        pytest.fail(f"no {part!r} in {self.frame()}")

    def end(self, by: int) -> int:
        self.process.send_signal(by)
        code = self.process.wait(30)
        while self.read():
            pass
        return code


@pytest.fixture
def screen(here) -> Iterator[Callable[..., Screen]]:
    here.environment["TERM"] = "xterm"
    made: list[Screen] = []

    def show(*arguments: str) -> Screen:
        made.append(Screen(here, *arguments))
        return made[-1]

    yield show
    for each in made:
        each.process.kill()
        each.process.wait()
        os.close(each.descriptor)


@pytest.mark.parametrize(
    ("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_live_table(here, screen, by: int, code: int) -> None:
    """It is kept current, and the terminal is given back as it was."""
    shown = screen("watch")
    frame = shown.until("lo")
    assert frame[0].split()[:2] == ["Name", "InterfaceDescription"]
    here.ip("link add if0 type ifb")
    here.ip("link set if0 up")
    frame = shown.until("if0: ")
    assert [line.split()[0] for line in frame[1:3]] == ["lo", "if0"]
    here.rows("adopt")
    assert any("if0" in line for line in shown.until("0x0006"))
    assert shown.end(by) == code
    assert shown.text.startswith("\x1b[?1049h")
    assert shown.text.endswith("\x1b[?25h\x1b[?1049l")
    assert "Traceback" not in shown.text
    # Nothing is ever wiped: so nothing flickers.
    assert "\x1b[2J" not in shown.text


def test_resized(here, screen) -> None:
    """Whatever the size, no line is too long, and none too many."""
    for i in range(30):
        here.ip(f"link add if{i} type ifb")
    here.rows("adopt")
    shown = screen("list", "--watch")
    shown.until("more below")
    for lines, columns in ((10, 40), (50, 200), (3, 20), (12, 80)):
        shown.resize(lines, columns)
        here.ip(f"link set if0 mtu {1000 + lines}")
        deadline = time.monotonic() + 30
        while len(shown.frame()) != lines:
            assert time.monotonic() < deadline
            shown.read()
        assert all(len(line) <= columns for line in shown.frame())
    assert shown.end(signal.SIGINT) == 130


def test_dumb_terminal(here, screen) -> None:
    """Where the cursor can't be moved there are lines."""
    here.environment["TERM"] = "dumb"
    shown = screen("watch")
    shown.until("lo: is there")
    assert "\x1b" not in shown.text
    assert shown.end(signal.SIGINT) == 130
