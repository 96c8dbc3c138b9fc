# SPDX-License-Identifier: MIT
"""The command: what it prints, how it ends, and that it never traces back."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ndisbridge as ndis
from ndisbridge.cli import main
from ndisbridge.cli.options import parse_type
from ndisbridge.cli.output import speed_text

TUNNEL = int(ndis.IfType.TUNNEL)


def run(
    *arguments: str, store: Path | None = None, code: int = 0, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the command; it ends with code, and without a traceback."""
    values = {**os.environ, **env}
    values.pop("NDISBRIDGE_STORE", None)
    if store is not None:
        values["NDISBRIDGE_STORE"] = str(store)
    done = subprocess.run(
        [sys.executable, "-m", "ndisbridge", *arguments],
        capture_output=True,
        text=True,
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
    ],
)
def test_usage_errors(arguments: list[str], filled: Path) -> None:
    """A user's mistake is explained, and exits with 2."""
    assert run(*arguments, store=filled, code=2).stderr


def test_broken_pipe(filled: Path) -> None:
    """A reader that goes away is no error."""
    done = subprocess.run(
        f"{sys.executable} -m ndisbridge list -o jsonl | true",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NDISBRIDGE_STORE": str(filled)},
    )
    assert done.stderr.count("Traceback") == 0
    assert "BrokenPipe" not in done.stderr


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
