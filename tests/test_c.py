# SPDX-License-Identifier: MIT
"""The C tests, plain and under sanitizers."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parent.parent
PROGRAMS = sorted((ROOT / "tests" / "c").glob("test_*.c"))
FLAGS = [
    "-std=c11",
    "-g",
    "-pthread",
    "-DNB_ASSERT_LEVEL=3",
    "-fno-strict-aliasing",
    f"-I{ROOT / 'csrc'}",
    f"-I{ROOT / 'ndisbridge' / 'include'}",
    "-Wall",
    "-Wextra",
    "-Werror",
]
BUILDS = {
    "plain": ["-O2"],
    "asan": [
        "-O1",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        "-fno-omit-frame-pointer",
    ],
    "tsan": ["-O1", "-fsanitize=thread"],
}


def run(*command: str | Path, **kwargs) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(each) for each in command],
        capture_output=True,
        text=True,
        check=False,
        **kwargs,
    )


@cache
def without_randomisation() -> list[str]:
    """
    What runs a command where thread sanitizer finds room for its shadow,
    which randomisation may have taken; nothing where that is not allowed.
    """
    command = ["setarch", platform.machine(), "-R"]
    if shutil.which("setarch") and run(*command, "true").returncode == 0:
        return command
    return []


class Core:
    """Object files of the core, compiled once for each build."""

    def __init__(
        self, directory: Path, missing: Callable[[str], NoReturn]
    ) -> None:
        self.directory = directory
        self.missing = missing
        self.objects: dict[str, list[Path]] = {}

    def build(self, build: str) -> list[Path]:
        if build in self.objects:
            return self.objects[build]
        probe = self.directory / "probe.c"
        probe.write_text("int main(void) { return 0; }\n")
        found = run(
            "gcc", *BUILDS[build], probe, "-o", self.directory / "probe"
        )
        if found.returncode != 0:
            self.missing(f"gcc has no runtime for {build} here")
        target = self.directory / build
        target.mkdir()
        sources = [
            path
            for path in sorted((ROOT / "csrc").glob("*.c"))
            if path.name != "fastcall.c"
        ]

        def compile_one(source: Path) -> Path:
            made = target / (source.stem + ".o")
            done = run("gcc", *FLAGS, *BUILDS[build], "-c", source, "-o", made)
            assert done.returncode == 0, done.stderr
            return made

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            self.objects[build] = list(pool.map(compile_one, sources))
        return self.objects[build]


@pytest.fixture(scope="module")
def core(
    tmp_path_factory: pytest.TempPathFactory,
    need: Callable[[str], str],
    missing: Callable[[str], NoReturn],
) -> Core:
    need("gcc")
    return Core(tmp_path_factory.mktemp("core"), missing)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_c(core: Core, program: Path, build: str, tmp_path: Path) -> None:
    """The program ends with 0 and no sanitizer has anything to say."""
    objects = core.build(build)
    binary = tmp_path / program.stem
    done = run("gcc", *FLAGS, *BUILDS[build], program, *objects, "-o", binary)
    assert done.returncode == 0, done.stderr
    command: list[str | Path] = [binary]
    if build == "tsan":
        command = [*without_randomisation(), binary]
    done = run(*command, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
