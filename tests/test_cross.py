# SPDX-License-Identifier: MIT
"""
The core on machines and systems other than this one, under emulators.

QEMU runs the C tests for aarch64 and for s390x, which has its bytes in the
other order; Wine runs them for Windows, and compares what they name alike.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
import windows_names

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
C_TESTS = ROOT / "tests" / "c"
PROGRAMS = sorted(C_TESTS.glob("test_*.c"))
FLAGS = [
    "-std=c11",
    "-O2",
    "-g",
    "-pthread",
    "-DNB_ASSERT_LEVEL=3",
    "-DCHECK_EMULATED",
    "-fno-strict-aliasing",
    "-Wall",
    "-Wextra",
    "-Werror",
    f"-I{CSRC}",
    f"-I{ROOT / 'ndisbridge' / 'include'}",
    f"-I{C_TESTS}",
]
#: What `make lint` asks of the core for this machine.
STRICT = ["-Wpedantic", "-Wconversion", "-Wshadow"]
WINDOWS = "windows"


class Target(NamedTuple):
    """A machine, or a system; the first compiler that is here is taken."""

    compilers: list[str]
    emulator: str


TARGETS = {
    "aarch64": Target(["aarch64-linux-gnu-gcc"], "qemu-aarch64"),
    "s390x": Target(["s390x-linux-gnu-gcc"], "qemu-s390x"),
    # Debian has a variant for POSIX threads beside another.
    WINDOWS: Target(
        ["x86_64-w64-mingw32-gcc-posix", "x86_64-w64-mingw32-gcc"], "wine"
    ),
}
#: Why a program is not for a target. Parts of others say so themselves.
NOT_FOR = {
    ("s390x", "test_linux_monitor"): "QEMU does not translate all of netlink",
    (WINDOWS, "test_fork"): "no fork() on Windows",
    (WINDOWS, "test_linux_changes"): "netlink is Linux's",
    (WINDOWS, "test_linux_links"): "netlink is Linux's",
    (WINDOWS, "test_linux_monitor"): "netlink is Linux's",
    (WINDOWS, "test_log_store"): "that example of a store needs POSIX files",
}


def run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(each) for each in command],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


@pytest.fixture(scope="module")
def windows_home(
    need: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """An environment with a Windows of its own, without a screen."""
    need("wine")
    need("wineserver")
    home = tmp_path_factory.mktemp("wine")
    environment = {
        **os.environ,
        "WINEPREFIX": str(home / "prefix"),
        "WINEARCH": "win64",
        "WINEDEBUG": "-all",
        # Neither .NET nor a browser, which it would offer to fetch.
        "WINEDLLOVERRIDES": "mscoree,mshtml=",
    }
    environment.pop("DISPLAY", None)
    subprocess.run(
        ["wine", "wineboot", "--init"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=300,
        check=True,
    )
    yield environment
    # It takes 700 MB, and its server waits for more to do.
    run("wineserver", "--kill", env=environment)
    run("wineserver", "--wait", env=environment)
    shutil.rmtree(home)


class Core:
    """The core compiled for a target, and what runs programs for it."""

    def __init__(
        self,
        name: str,
        compiler: str,
        emulator: str,
        directory: Path,
        environment: dict[str, str],
    ) -> None:
        self.name = name
        self.compiler = compiler
        self.emulator = emulator
        self.directory = directory
        self.environment = environment
        sources = sorted(set(CSRC.glob("*.c")) - {CSRC / "fastcall.c"})
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            self.objects = list(pool.map(self._compile, sources))

    def _compile(self, source: Path) -> Path:
        made = self.directory / f"{source.stem}.o"
        done = run(
            self.compiler, *FLAGS, *STRICT, "-c", source, "-o", made
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return made

    def build(self, source: Path, *options: str) -> Path:
        """A program; libraries come last."""
        program = self.directory / f"{source.stem}.exe"
        done = run(
            self.compiler, *FLAGS, "-static", f"-I{self.directory}", source,
            *self.objects, *options, "-o", program,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return program

    def run(self, program: Path) -> str:
        """What it prints, once it has ended with 0."""
        # A file: what Wine starts beside it would keep a pipe open.
        with (self.directory / "said").open("w+") as said:
            done = subprocess.run(
                [self.emulator, program],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                timeout=300,
                check=False,
            )
            said.seek(0)
            text = said.read()
        assert done.returncode == 0, text[-8000:]
        return text


@pytest.fixture(scope="module", params=TARGETS)
def core(
    request: pytest.FixtureRequest,
    need: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Core:
    target = TARGETS[request.param]
    found = filter(shutil.which, target.compilers)
    compiler = need(next(found, target.compilers[0]))
    emulator = need(target.emulator)
    environment = dict(os.environ)
    if request.param == WINDOWS:
        environment = request.getfixturevalue("windows_home")
    return Core(
        request.param,
        compiler,
        emulator,
        tmp_path_factory.mktemp(request.param),
        environment,
    )


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_c(core: Core, program: Path) -> None:
    """The C tests pass there as they do here."""
    reason = NOT_FOR.get((core.name, program.stem))
    if reason is not None:
        pytest.skip(reason)
    said = core.run(core.build(program))
    print(said)
    skipped = re.search(r"^skipped: (.*)$", said, re.M)
    if skipped is not None:
        pytest.skip(skipped[1])


def test_layout(core: Core, need: Callable[[str], str]) -> None:
    """Every structure of the public header has one layout everywhere."""
    structures = windows_names.structures(windows_names.HEADER.read_text())
    lines = []
    for name, body in structures:
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        lines += [
            f'printf(" {member} %zu\\n", offsetof({name}, {member}));'
            for member in windows_names.members(body)
        ]
    source = core.directory / "layout.c"
    source.write_text(
        "#define __USE_MINGW_ANSI_STDIO 1\n"
        "#include <stddef.h>\n#include <stdio.h>\n"
        '#include "ndisbridge.h"\n'
        "int main(void)\n{\n" + "\n".join(lines) + "\nreturn 0;\n}\n"
    )
    here = core.directory / "layout"
    done = run(need("gcc"), *FLAGS, source, "-o", here)
    assert done.returncode == 0, done.stderr
    there = core.run(core.build(source))
    assert len(there.splitlines()) > 300
    assert there.splitlines() == run(here).stdout.splitlines()


@pytest.mark.parametrize("core", [WINDOWS], indirect=True)
def test_iphlpapi(core: Core) -> None:
    """Layouts, values, names and errors are those of Wine's iphlpapi."""
    windows_names.write(core.compiler, core.directory / "names.h")
    source = C_TESTS / "windows" / "test_iphlpapi.c"
    print(core.run(core.build(source, "-liphlpapi", "-lntdll")))
