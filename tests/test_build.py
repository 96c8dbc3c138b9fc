# SPDX-License-Identifier: MIT
"""setup.py, where it does more than setuptools."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_parallel_build(
    tmp_path: Path,
    need: Callable[[str], str],
    need_module: Callable[[str], None],
) -> None:
    """With -j the core is there before the modules that link to it."""
    need_module("setuptools")
    need_module("cffi")
    need("cc")
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, tree)
    for name in ("csrc", "ndisbridge"):
        shutil.copytree(
            ROOT / name,
            tree / name,
            ignore=shutil.ignore_patterns("*.so", "__pycache__"),
        )
    built = tmp_path / "built"
    done = subprocess.run(
        [
            *(sys.executable, "setup.py", "-q", "build_ext", "-j", "4"),
            *("--build-lib", str(built), "--build-temp", str(tmp_path / "t")),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tree,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = {path.name.split(".")[0] for path in built.rglob("*.so")}
    assert names == {"libndisbridge", "_ndisbridge", "_fastcall"}
