# SPDX-License-Identifier: MIT
"""The command: what it prints, how it ends, and that it never traces back."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import ndisbridge as ndis
from ndisbridge import cli
from ndisbridge.cli import main
from ndisbridge.cli.options import parse_type
from ndisbridge.cli.output import speed_text
from ndisbridge.proxy.linux import LinuxHost

TUNNEL = int(ndis.IfType.TUNNEL)
COMMAND = [sys.executable, "-m", "ndisbridge"]


def run(
    *arguments: str | bytes,
    store: Path | None = None,
    code: int = 0,
    **env: str,
) -> subprocess.CompletedProcess[str]:
    """Run the command; it ends with code, and without a traceback."""
    values = {**os.environ, **env}
    values.pop("NDISBRIDGE_STORE", None)
    if store is not None:
        values["NDISBRIDGE_STORE"] = str(store)
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        encoding="utf-8",
        check=False,
        stdin=subprocess.DEVNULL,
        env=values,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture
def filled(store_path: Path) -> Path:
    """A store with two tunnels of a provider."""
    with ndis.Session(store_path) as session:
        provider = session.register_provider("acme")
        provider.identity("berlin", TUNNEL, alias="Berlin ☃")
        provider.identity("paris", TUNNEL)
    return store_path


@pytest.mark.smoke
def test_adopt_twice(store_path: Path) -> None:
    """The host's links keep their NET_LUID and GUID."""
    first, second = (
        {
            row["name"]: (row["net_luid"], row["interface_guid"])
            for row in json.loads(
                run(
                    "adopt",
                    "-o",
                    "json",
                    "--compartment",
                    "t",
                    store=store_path,
                ).stdout
            )
        }
        for _ in range(2)
    )
    assert first == second
    assert "lo" in first


def test_formats_agree(filled: Path) -> None:
    """Every format says the same of every identity."""
    rows = json.loads(run("list", "-o", "json", store=filled).stdout)
    lines = run("list", "-o", "jsonl", store=filled).stdout.splitlines()
    assert [json.loads(line) for line in lines] == rows
    text = run("list", "-o", "csv", store=filled).stdout
    found = list(csv.DictReader(io.StringIO(text)))
    assert [row["net_luid"] for row in found] == [
        row["net_luid"] for row in rows
    ]
    assert found[0].keys() == rows[0].keys()
    table = run("list", store=filled)
    for row in rows:
        assert row["net_luid"] in table.stdout
        assert row["interface_guid"] in table.stdout
    assert str(filled) in table.stderr
    assert "\x1b" not in table.stdout


def test_any_form_of_identity(filled: Path) -> None:
    """Every form of identity finds the same interface."""
    (row, _) = json.loads(run("list", "-o", "json", store=filled).stdout)
    for text in (
        row["key"],
        row["net_luid"],
        str(int(row["net_luid"], 16)),
        row["net_luid_name"],
        row["net_luid_name"].upper(),
        str(row["if_index"]),
        row["interface_guid"],
        f"{{{row['interface_guid'].upper()}}}",
        row["alias"],
    ):
        shown = run("show", text, "-o", "json", store=filled)
        assert json.loads(shown.stdout) == row, text


def test_filters(filled: Path) -> None:
    """Filters, order and columns do what they say."""

    def names(*arguments: str) -> list[str]:
        text = run("list", "-o", "json", *arguments, store=filled).stdout
        return [row["name"] for row in json.loads(text)]

    assert names("--name", "^b") == ["berlin"]
    assert names("--type", "tunnel") == names("--type", "131")
    assert names("--type", "ethernet") == []
    assert names("--provider", "acme") == ["berlin", "paris"]
    assert names("--status", "up") == []
    assert names("--status", "absent", "--sort", "net_luid") == [
        "berlin",
        "paris",
    ]
    text = run(
        "list", "-o", "csv", "--columns", "Name,NetLuid", store=filled
    ).stdout
    assert text.splitlines()[0] == "name,net_luid"


def test_reserve_and_release(store_path: Path) -> None:
    """A reserved key has an ifIndex; a released one is gone."""
    arguments = ["reserve", "vpn0", "--provider", "acme", "--field"]
    printed = run(*arguments, "if_index", store=store_path).stdout
    assert int(printed) == 0x800000
    assert run(*arguments, "if_index", store=store_path).stdout == printed
    run(*arguments, "nonsense", store=store_path, code=2)
    run("release", "vpn0", store=store_path, code=2)  # nobody to ask
    run("release", "vpn0", "--yes", store=store_path)
    run("show", "vpn0", store=store_path, code=1)
    run("release", "vpn0", "--yes", store=store_path, code=1)


@pytest.mark.smoke
def test_release_in_use(filled: Path) -> None:
    """An identity that a process has registered is not released."""
    with ndis.Session(filled) as session:
        provider = session.register_provider("acme")
        provider.register_interface(provider.identity("paris", TUNNEL))
        done = run("release", "paris", "--yes", store=filled, code=3)
        assert str(os.getpid()) in done.stderr


def test_query(store_path: Path) -> None:
    """OIDs of the loopback link are answered, by name and by number."""
    for name in ("GEN_MAXIMUM_FRAME_SIZE", "oid_gen_maximum_frame_size"):
        mtu = run("query", "lo", name, store=store_path).stdout
        assert int(mtu) > 0
    assert run("query", "lo", "0x00010106", store=store_path).stdout == mtu
    statistics = json.loads(
        run(
            "query", "lo", "GEN_STATISTICS", "-o", "json", store=store_path
        ).stdout
    )
    assert "if_hc_in_octets" in statistics
    run("query", "lo", "GEN_NONSENSE", store=store_path, code=1)
    run("query", "nobody", "GEN_ALIAS", store=store_path, code=1)


def test_query_of_another_process(filled: Path) -> None:
    """What other processes have registered is not pretended to be known."""
    done = run("query", "berlin", "GEN_ALIAS", store=filled, code=1)
    assert "other processes" in done.stderr


def test_convert() -> None:
    """A NET_LUID is shown in all its forms, whatever form it came in."""
    wanted = {
        "net_luid": "0x0006008000000000",
        "decimal": 1689399616077824,
        "name": "ethernet_32768",
        "if_type": 6,
        "if_type_name": "ETHERNET_CSMACD",
        "net_luid_index": 32768,
        "debugger": "06:8000",
    }
    for text in (
        ["ethernet_32768"],
        ["0x0006008000000000"],
        ["1689399616077824"],
        ["06:8000"],
        ["ethernet", "32768"],
        ["6", "32768"],
    ):
        done = run("convert", *text, "-o", "json")
        assert json.loads(done.stdout) == wanted
    for text in (["bogus_1"], ["ethernet_16777216"], ["6", "16777216"]):
        run("convert", *text, code=2)


def test_check_of_a_store_that_cannot_be_opened(filled: Path) -> None:
    """A damaged root and a dead session: still every problem is listed."""
    import apsw

    database = apsw.Connection(str(filled))
    database.execute("UPDATE root SET identity_sum = identity_sum + 1")
    database.execute(
        "INSERT INTO sessions(pid, program, boot_id, started) "
        "VALUES(1, 'gone', 'another boot', 0)"
    )
    database.close()
    done = run("list", store=filled)
    assert "berlin" in done.stdout
    done = run("store", "check", "-o", "json", store=filled, code=3)
    assert "root" in {each["kind"] for each in json.loads(done.stdout)}
    done = run("reserve", "rome", "--provider", "a", store=filled, code=3)
    assert "root" in done.stderr


def test_check_and_stats(filled: Path) -> None:
    """A good store has no problem; a damaged one exits with 3."""
    assert "no problem" in run("store", "check", store=filled).stdout
    stats = json.loads(
        run("store", "stats", "-o", "json", store=filled).stdout
    )
    assert stats["identities"] == 2
    import apsw

    db = apsw.Connection(str(filled))
    db.execute("UPDATE identities SET alias = 'forged' WHERE key = 'paris'")
    db.close()
    done = run("store", "check", "-o", "json", store=filled, code=3)
    assert {p["kind"] for p in json.loads(done.stdout)} == {"identity"}
    done = run("list", store=filled, code=3)
    assert str(filled) in done.stderr


def test_no_store(store_path: Path) -> None:
    """Without a store the message says how to get one; none is made."""
    for command in (["list"], ["show", "x"], ["store", "check"]):
        done = run(*command, store=store_path, code=3)
        assert str(store_path) in done.stderr
    assert not store_path.exists()


def test_default_store(tmp_path: Path) -> None:
    """A user's store is in the state directory; an option overrides it."""
    if os.geteuid() == 0:
        from ndisbridge.cli import stores

        assert stores.own_store() == "/var/lib/ndisbridge/ndis.db"
    else:
        run("reserve", "k", "--provider", "p", XDG_STATE_HOME=str(tmp_path))
        assert (tmp_path / "ndisbridge" / "ndis.db").is_file()
    path = tmp_path / "other" / "ndis.db"
    run("reserve", "k", "--provider", "p", "--store", str(path))
    assert path.is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["list", "-o", "xml"],
        ["list", "--columns", "nonsense"],
        ["list", "--type", "nonsense"],
        ["list", "--name", "("],
        ["show"],
        ["convert"],
        ["reserve", "k", "--type", "70000"],
        ["reserve", "", "--provider", "p"],
        ["reserve", "k", "--provider", "p", "--compartment", "a/b"],
        ["list", "--sort", "name,status"],
        ["list", "--status", "nonsense"],
        ["list", "--compartment", "a/b"],
        ["list", "--name", "a{99999999999999}"],
        ["list", "--type", "9" * 5000],
        ["convert", "6", "9" * 5000],
    ],
)
def test_usage_errors(arguments: list[str], filled: Path) -> None:
    """A user's mistake is explained, and exits with 2."""
    assert run(*arguments, store=filled, code=2).stderr


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "-o", "json"],
        ["list", "-o", "csv"],
        ["show", "berlin"],
        ["convert", "ethernet_1"],
        ["stack"],
        ["stack", "-o", "dot"],
        ["watch"],
        ["watch", "-o", "jsonl"],
        ["list", "--watch"],
        ["--help"],
    ],
)
def test_broken_pipe(arguments: list[str], both: bool, filled: Path) -> None:
    """A reader that goes away, even from stderr, is no error."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, *arguments],
        stdout=writer,
        stderr=subprocess.STDOUT if both else subprocess.PIPE,
        check=False,
        env={**os.environ, "NDISBRIDGE_STORE": str(filled)},
    )
    os.close(writer)
    assert done.returncode == 0
    # What tables say on stderr comes after the table.
    assert not done.stderr


def test_check_into_broken_pipe(filled: Path) -> None:
    """A damaged store is one, also if nobody reads what is wrong."""
    import apsw

    db = apsw.Connection(str(filled))
    db.execute("UPDATE identities SET alias = 'forged' WHERE key = 'paris'")
    db.close()
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, "store", "check", "--store", str(filled)],
        stdout=writer,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 3


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("list", 0),
        ("list -o csv", 0),
        ("list -o json", 0),
        ("--help", 0),
        ("show nobody", 1),
        ("list -o xml", 2),
        ("release paris", 2),
    ],
)
def test_closed_streams(
    closed: str, arguments: str, code: int, filled: Path
) -> None:
    """Streams that are closed are no error."""
    done = subprocess.run(
        f"{' '.join(COMMAND)} {arguments} {closed}",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NDISBRIDGE_STORE": str(filled)},
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "internal" not in done.stderr


def test_full_disk(filled: Path) -> None:
    """What can't be written is said once."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "list", "-o", "json", "--store", str(filled)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """Completion scripts name the command; bash takes its own."""
    text = run("completion", shell).stdout
    assert "_NDISBRIDGE_COMPLETE" in text
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_every_command_has_help() -> None:
    """Each command explains itself with an example."""
    for name, command in main.commands.items():
        assert command.help, name
        if name != "store":
            assert "Example:" in command.help, name
    assert "Exit codes" in run("--help").stdout
    assert "may be taken" in run("reserve", "--help").stdout
    assert ndis.__version__ in run("--version").stdout


def test_words() -> None:
    """Types by every name; speeds as Windows shows them."""
    assert parse_type("tunnel") == parse_type("131") == TUNNEL
    assert parse_type("l2-vlan") == ndis.IfType.L2_VLAN
    assert speed_text(10**10) == "10 Gbps"
    assert speed_text(2_500_000_000) == "2.5 Gbps"
    assert speed_text(None) == ""


def test_two_with_one_name(store_path: Path) -> None:
    """A name that means two interfaces is not guessed."""
    with ndis.Session(store_path) as session:
        for name in ("a", "b"):
            session.register_provider(name).identity("same", TUNNEL)
    done = run("show", "same", store=store_path, code=1)
    assert "more than one" in done.stderr


# ---------------------------------------------------------------------------
# What names may hold

EVIL = "e\x1b[31m[bold]\nvil"
SHOWN = r"e\x1b[31m[bold]\nvil"


@pytest.fixture
def evil(store_path: Path) -> Path:
    """A store with a name that would move the cursor and make up lines."""
    with ndis.Session(store_path) as session:
        session.register_provider("acme").identity(EVIL, TUNNEL, alias=EVIL)
    return store_path


def test_unprintable_names(evil: Path) -> None:
    """People see names escaped, and markup as it is; programs as they are."""
    for command in (
        ["list"],
        ["list", "--columns", "name,alias"],
        ["show", EVIL],
        ["reserve", EVIL, "--provider", "acme"],
        ["reserve", EVIL, "--provider", "acme", "--field", "key"],
    ):
        done = run(*command, store=evil)
        assert SHOWN in done.stdout, command
        assert "\x1b" not in done.stdout + done.stderr
    (row,) = json.loads(run("list", "-o", "json", store=evil).stdout)
    assert row["name"] == EVIL
    text = run("list", "-o", "csv", store=evil).stdout
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["key"] == EVIL


def test_unprintable_messages(evil: Path, tmp_path: Path) -> None:
    """Messages are one line, whatever is in what they name."""
    released = run("release", EVIL, "--yes", store=evil)
    missing = run("list", store=tmp_path / EVIL, code=3)
    for done in (released, missing):
        assert SHOWN in done.stderr
        assert len(done.stderr.splitlines()) == 1
    unknown = run(EVIL, code=2)
    assert SHOWN in unknown.stderr
    assert "\x1b" not in unknown.stderr
    caption = run(
        "reserve", "k", "--provider", "p", store=tmp_path / EVIL / "ndis.db"
    )
    assert not caption.stderr
    caption = run("list", store=tmp_path / EVIL / "ndis.db")
    assert SHOWN in caption.stderr


def test_arguments_not_utf8(filled: Path) -> None:
    """Bytes that are no text are a mistake, wherever they are."""
    for command in (["show", b"\xff"], [b"\xff"], ["list", "--name", b"\xff"]):
        done = run(*command, store=filled, code=2)
        assert done.stderr == r"ndisbridge: '\udcff' is not valid UTF-8" + "\n"
    run("list", store=Path("/nowhere/\udcff"), code=2)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_narrow_encodings(encoding: str, filled: Path) -> None:
    """In any encoding JSON is valid and tables are complete."""
    env = {"PYTHONIOENCODING": encoding, "store": filled}
    (row, _) = json.loads(run("list", "-o", "json", **env).stdout)
    assert row["alias"] == "Berlin ☃"
    lines = run("list", "-o", "jsonl", **env).stdout.splitlines()
    assert json.loads(lines[0])["alias"] == "Berlin ☃"
    for arguments in (
        ["list", "--columns", "alias,key"],
        ["list", "-o", "csv"],
        ["show", "berlin"],
    ):
        assert r"Berlin \u2603" in run(*arguments, **env).stdout


# ---------------------------------------------------------------------------
# How it ends


def raising(problem: BaseException):
    def fail(*_: object) -> None:
        raise problem

    return fail


def test_internal_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no user's mistake is one line too, and says it is ours."""
    problem = KeyError("boom\nboom")
    monkeypatch.setattr(cli.identities, "read_store", raising(problem))
    with pytest.raises(SystemExit) as ended:
        cli.run(["list"])
    assert ended.value.code == 70
    said = capsys.readouterr().err
    assert said == (
        r"ndisbridge: internal error: KeyError: 'boom\nboom' "
        "(NDISBRIDGE_DEBUG=1 shows where)\n"
    )
    monkeypatch.setenv("NDISBRIDGE_DEBUG", "1")
    with pytest.raises(SystemExit) as ended:
        cli.run(["list"])
    assert ended.value.code == 70
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["read_store", "show_rows"])
def test_interrupt(
    where: str,
    filled: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An interrupt ends it without a word."""
    monkeypatch.setattr(cli.identities, where, raising(KeyboardInterrupt()))
    with pytest.raises(SystemExit) as ended:
        cli.run(["list", "--store", str(filled)])
    assert ended.value.code == 130
    said = capsys.readouterr()
    assert said.out == said.err == ""


def test_interrupt_while_explaining(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even an interrupt of an error message traces back."""
    monkeypatch.setattr(cli, "explain", raising(KeyboardInterrupt()))
    with pytest.raises(SystemExit) as ended:
        cli.run(["nonsense"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == ""


# ---------------------------------------------------------------------------
# Which one is meant


def test_compartments(store_path: Path) -> None:
    """Of two with one name that of this compartment is meant."""
    for name in ("red", "blue"):
        run(
            *["reserve", "same", "--provider", "acme", "--compartment", name],
            store=store_path,
        )
    for name in ("red", "blue"):
        shown = run(
            *["show", "same", "--compartment", name, "-o", "json"],
            store=store_path,
        )
        assert json.loads(shown.stdout)["compartment"] == name
    done = run("show", "same", "--compartment", "x", store=store_path, code=1)
    assert "more than one" in done.stderr
    table = run("list", store=store_path).stdout
    assert table.split()[:2] == ["Name", "Compartment"]
    run("release", "same", "-y", "--compartment", "red", store=store_path)
    table = run("list", store=store_path).stdout
    assert "Compartment" not in table
    (row,) = json.loads(run("list", "-o", "json", store=store_path).stdout)
    assert row["compartment"] == "blue"


def test_where_it_is_now(store_path: Path) -> None:
    """A device that has moved is shown where it is."""
    with ndis.Session(store_path) as session:
        session.register_provider("acme", compartment="red").identity(
            "k", TUNNEL, attributes={"compartment": "blue"}
        )
    shown = json.loads(run("show", "k", "-o", "json", store=store_path).stdout)
    assert shown["compartment"] == "blue"


def test_reserve_what_is_there(filled: Path) -> None:
    """Found whatever its type, unless another one was asked for."""
    arguments = ["reserve", "paris", "--provider", "acme"]
    found = run(*arguments, "--field", "if_type_name", store=filled)
    assert found.stdout == "TUNNEL\n"
    run(*arguments, "--type", "tunnel", store=filled)
    done = run(*arguments, "--type", "bridge", store=filled, code=2)
    assert "TUNNEL" in done.stderr
    assert "BRIDGE" in done.stderr
    new = run(
        "reserve",
        "new",
        "--provider",
        "acme",
        "--field",
        "if_type_name",
        store=filled,
    )
    assert new.stdout == "ETHERNET_CSMACD\n"


def test_reserve_unknown_field(store_path: Path) -> None:
    """A field that is not there is found out before anything is made."""
    run(
        "reserve",
        "k",
        "--provider",
        "p",
        "--field",
        "x",
        store=store_path,
        code=2,
    )
    assert not store_path.exists()


def test_adoption_says_what_failed(store_path: Path) -> None:
    """Rows of links that another process has registered say so."""
    arguments = ["adopt", "-o", "json", "--compartment", "t"]
    with (
        ndis.Session(store_path) as session,
        LinuxHost(session, compartment="t") as host,
    ):
        host.adopt()
        rows = json.loads(run(*arguments, store=store_path).stdout)
        assert all(str(os.getpid()) in row["error"] for row in rows)
    rows = json.loads(run(*arguments, store=store_path).stdout)
    assert {row["error"] for row in rows} == {""}


def test_query_errors(store_path: Path) -> None:
    """What a link does not answer is said with its name and the OID's."""
    done = run("query", "lo", "GEN_RESET_COUNTS", store=store_path, code=1)
    assert "lo: GEN_RESET_COUNTS: " in done.stderr
    done = run("query", "lo", "0x12345678", store=store_path, code=1)
    assert "lo: 0x12345678: " in done.stderr
    for oid in ("9" * 12, "9" * 5000, "0x1ffffffff"):
        done = run("query", "lo", oid, store=store_path, code=1)
        assert "no OID" in done.stderr


def test_query_values(store_path: Path) -> None:
    """Members have names of their enumerations; no speed is none."""

    def query(oid: str) -> dict:
        done = run("query", "lo", oid, "-o", "json", store=store_path)
        return json.loads(done.stdout)

    info = query("GEN_INTERFACE_INFO")
    assert info["if_oper_status"] in ndis.IfOperStatus.__members__
    assert info["media_connect_state"] in ndis.MediaConnectState.__members__
    assert info["media_duplex_state"] in ndis.MediaDuplexState.__members__
    assert info["xmit_link_speed"] is None
    assert query("GEN_LINK_STATE")["rcv_link_speed"] is None
    assert query("GEN_XMIT_LINK_SPEED") == {"value": None}


# ---------------------------------------------------------------------------
# Stores that are none


COMMANDS_ON_STORES = [
    ["adopt"],
    ["list"],
    ["show", "x"],
    ["reserve", "x"],
    ["release", "x", "-y"],
    ["query", "lo", "GEN_ALIAS"],
    ["set", "lo", "GEN_ALIAS", "x"],
    ["stack"],
    ["watch"],
    ["list", "--watch"],
    ["adopt", "--follow"],
    ["store", "check"],
    ["store", "stats"],
]


@pytest.mark.parametrize("command", COMMANDS_ON_STORES)
def test_empty_path(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An empty path is a mistake, and never the default."""
    # Not the real one: it would be somebody's.
    default = tmp_path / "default" / "ndis.db"
    for module in (cli.identities, cli.stores):
        monkeypatch.setattr(module, "own_store", lambda: str(default))
    with pytest.raises(SystemExit) as ended:
        cli.run([*command, "--store", ""])
    assert ended.value.code == 2
    assert "--store" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "command",
    [["store", "check"], ["store", "stats"], ["list"], ["release", "x", "-y"]],
)
def test_empty_file(command: list[str], tmp_path: Path) -> None:
    """An empty file is no store yet, and looking at it makes none of it."""
    path = tmp_path / "ndis.db"
    path.touch(0o600)
    done = run(*command, store=path, code=3)
    assert "it is empty, no store yet: `ndisbridge adopt`" in done.stderr
    assert os.listdir(tmp_path) == ["ndis.db"]
    assert path.stat().st_size == 0


@pytest.mark.parametrize(
    "command",
    [
        ["store", "check"],
        ["store", "stats"],
        ["list"],
        ["release", "x", "--yes"],
    ],
)
def test_unreachable_store(command: list[str], tmp_path: Path) -> None:
    """A store that can't be reached is not said to be missing."""
    if os.geteuid() != 0:
        pytest.skip("another user takes root")
    locked = tmp_path / "locked"
    locked.mkdir(0o700)
    program = (
        "import os, sys\n"
        "import ndisbridge.cli\n"
        "os.setgroups([])\n"
        "os.setgid(65534)\n"
        "os.setuid(65534)\n"
        "ndisbridge.cli.run(sys.argv[1:])\n"
    )
    path = str(locked / "ndis.db")
    done = subprocess.run(
        [sys.executable, "-c", program, *command, "--store", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert f"{path}: it can't be read: Permission denied" in done.stderr


# ---------------------------------------------------------------------------
# Terminals


def on_terminal(*arguments: str, columns: int = 80) -> tuple[list[str], str]:
    """Lines of stdout on a terminal, without colours, and stderr."""
    ours, theirs = pty.openpty()
    size = struct.pack("HHHH", 24, columns, 0, 0)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    env = {**os.environ, "TERM": "xterm"}
    env.pop("COLUMNS", None)
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=theirs,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=env,
    ) as process:
        os.close(theirs)
        found = b""
        # At the end Linux says EIO.
        while part := _read(ours):
            found += part
        assert process.stderr is not None
        said = process.stderr.read().decode()
    os.close(ours)
    assert process.returncode == 0, said
    text = re.sub(r"\x1b\[[0-9;]*m", "", found.decode())
    return text.splitlines(), said


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


def test_narrow_terminal(filled: Path) -> None:
    """Columns that there is no room for are left out whole, and named."""
    rows = json.loads(run("list", "-o", "json", store=filled).stdout)
    lines, said = on_terminal("list", "--store", str(filled))
    assert len(lines) == 3
    assert all(len(line) <= 80 for line in lines)
    assert "InterfaceGuid" not in lines[0]
    assert "Compartment" not in lines[0]
    for line, row in zip(lines[1:], rows, strict=True):
        for field in ("name", "if_index", "status", "net_luid"):
            assert str(row[field]) in line.split()
    hidden = [
        each
        for each in cli.output.OPTIONAL[:-1]
        if each not in lines[0].split()
    ]
    assert f"no room for {', '.join(hidden)}: -o json or --columns" in said
    # The first ones go first.
    assert hidden == list(cli.output.OPTIONAL[: len(hidden)])
    lines, said = on_terminal("list", "--store", str(filled), columns=200)
    assert rows[0]["interface_guid"] in lines[1]
    assert "no room" not in said


def test_very_narrow_terminal(store_path: Path) -> None:
    """What a terminal is too narrow for is folded, not cut."""
    key = "k" * 100
    run("reserve", key, "--provider", "p", store=store_path)
    (row,) = json.loads(run("list", "-o", "json", store=store_path).stdout)
    for columns in (["--columns", "name,interface_guid,net_luid"], []):
        lines, said = on_terminal("list", "--store", str(store_path), *columns)
        text = "".join(lines)
        assert text.count("k") == 100
        assert "…" not in text
        assert ("no room" in said) == (not columns)
    lines, _ = on_terminal(
        *["list", "--columns", "interface_guid", "--store", str(store_path)],
        columns=20,
    )
    assert row["interface_guid"] in "".join(line.strip() for line in lines)


def test_wide_output_elsewhere(store_path: Path) -> None:
    """Where there is no terminal nothing is folded, however wide."""
    key = "k" * 255
    run("reserve", key, "--provider", "p", store=store_path)
    lines = run("list", store=store_path).stdout.splitlines()
    assert len(lines) == 2
    assert key in lines[1]


# ---------------------------------------------------------------------------
# Completion


def completed(store: Path, *words: str) -> set[str]:
    """What bash is offered for the last word."""
    done = run(
        store=store,
        _NDISBRIDGE_COMPLETE="bash_complete",
        COMP_WORDS=" ".join(["ndisbridge", *words]),
        COMP_CWORD=str(len(words)),
    )
    assert not done.stderr
    return {line.split(",", 1)[1] for line in done.stdout.splitlines() if line}


def test_completion_of_identities(filled: Path, evil: Path) -> None:
    """IDs are completed from the store that is meant, if it can be read."""
    for command in (["show"], ["release"], ["query"], ["set"]):
        assert completed(filled, *command, "b") == {"berlin"}
    # The fixtures share one store; what can't be typed is not offered.
    assert "paris" in completed(filled, "show", "")
    assert not [each for each in completed(evil, "show", "") if "vil" in each]
    assert not completed(filled, "show", "--store", "/nowhere/x", "b")
    assert not completed(filled.parent, "show", "b")


def test_completion_of_words(filled: Path) -> None:
    """OIDs and IfTypes are completed from the catalog."""
    assert "GEN_STATISTICS" in completed(filled, "query", "lo", "GEN_STA")
    assert "gen_statistics" in completed(filled, "query", "lo", "gen_sta")
    assert "OID_GEN_ALIAS" in completed(filled, "query", "lo", "OID_GEN_A")
    assert "802_3_CURRENT_ADDRESS" in completed(filled, "query", "lo", "802")
    assert completed(filled, "set", "lo", "gen_a") == {
        "gen_admin_status",
        "gen_alias",
    }
    status = ["set", "lo", "GEN_ADMIN_STATUS"]
    assert completed(filled, *status, "") == {"up", "down"}
    assert completed(filled, *status, "d") == {"down"}
    assert completed(filled, "set", "lo", "oid_gen_promiscuous_mode", "") == {
        "on",
        "off",
    }
    assert completed(filled, "adopt", "--removal", "s") == {"shutdown"}
    assert completed(filled, "stack", "-o", "d") == {"dot"}
    for command in ("list", "reserve"):
        found = completed(filled, command, "--type", "eth")
        assert {"ethernet", "ethernet_csmacd"} <= found
    assert "tunnel" in completed(filled, "list", "--type", "TUN")
