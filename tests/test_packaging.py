# SPDX-License-Identifier: MIT
"""What distributors ship with the command: its man page, and its unit."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from pathlib import Path

import click
import pytest

import ndisbridge as ndis
from ndisbridge.cli import main


def every_command(
    group: click.Group, name: str
) -> Iterator[tuple[str, click.Command]]:
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


COMMANDS = dict(every_command(main, "ndisbridge"))


# ---------------------------------------------------------------------------
# The man page


@pytest.fixture(scope="module")
def page() -> str:
    """Its source, without what is for roff."""
    path = Path(__file__).parent.parent / "docs" / "ndisbridge.1"
    text = re.sub(r"\\f[BIR]", "", path.read_text(encoding="utf-8"))
    return text.replace("\\-", "-")


def test_is_current(root: Path) -> None:
    """It says what the command says."""
    tool = root / "tools" / "generate_man.py"
    done = subprocess.run(
        [sys.executable, str(tool), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option(page: str, name: str) -> None:
    """Each command has a section, and each option of it is in there."""
    (section,) = (
        each
        for each in re.split(r"^\.S[SH] ", page, flags=re.MULTILINE)
        if re.match(rf"{name}( \[| [A-Z]|$)", each.splitlines()[0])
    )
    for param in COMMANDS[name].params:
        if isinstance(param, click.Option):
            (entry,) = (
                each.splitlines()
                for each in section.split(".TP\n")[1:]
                if each.startswith(param.opts[0])
            )
            assert entry[0].startswith(", ".join(param.opts))
            assert len(entry[1]) > 5


def test_exit_codes_and_version(page: str) -> None:
    """Every exit code is explained."""
    from ndisbridge.cli import errors

    codes = page[page.index("EXIT STATUS") :]
    for code in (
        *(errors.OK, errors.NOT_FOUND, errors.USAGE, errors.STORE),
        *(errors.HOST, errors.INTERNAL, errors.INTERRUPTED),
    ):
        assert f".TP\n.B {code}\n" in codes
    assert ndis.__version__ in page


def test_no_warning(root: Path, need: Callable[[str], str]) -> None:
    """groff has nothing to say of it."""
    done = subprocess.run(
        [
            *(need("man"), "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"),
            str(root / "docs" / "ndisbridge.1"),
        ],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


# ---------------------------------------------------------------------------
# The unit


@pytest.fixture
def unit(root: Path, tmp_path: Path) -> Path:
    """The unit, with the command of this checkout."""
    text = (root / "packaging" / "ndisbridge.service").read_text()
    command = Path(sys.executable).with_name("ndisbridge")
    path = tmp_path / "ndisbridge.service"
    path.write_text(text.replace("/usr/bin/ndisbridge", str(command)))
    return path


def test_unit_runs_what_there_is(unit: Path) -> None:
    """What it starts is a command line that the command takes."""
    parser = ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    parser.optionxform = str
    parser.read(unit)
    service = parser["Service"]
    _, name, *arguments = service["ExecStart"].split()
    command = main.commands[name]
    made = command.make_context(name, arguments)
    assert made.params["following"]
    assert service["Type"] == "notify"
    assert service["CapabilityBoundingSet"] == "CAP_NET_ADMIN"
    from ndisbridge.cli.stores import SYSTEM_STORE

    store = service["Environment"].partition("NDISBRIDGE_STORE=")[2]
    assert store.replace("%S", "/var/lib") == SYSTEM_STORE
    assert Path(SYSTEM_STORE).parent.name == service["StateDirectory"]


def test_unit_is_well_formed(unit: Path, need: Callable[[str], str]) -> None:
    """systemd has nothing to say of it."""
    done = subprocess.run(
        [need("systemd-analyze"), "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
    )
    said = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, said) == (0, [])


def test_unit_is_confined(unit: Path, need: Callable[[str], str]) -> None:
    """As systemd scores it: 10 is wide open, 2.0 hardly is."""
    analyze = need("systemd-analyze")
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
    )
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze scores no files")
    assert done.returncode == 0, done.stdout + done.stderr
