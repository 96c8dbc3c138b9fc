# SPDX-License-Identifier: MIT
"""Wheel, sdist, editable and in-place installs work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAM = """
import pathlib, sys
import ndisbridge as ndis
with ndis.Session() as session:
    first, second = (session.allocate_net_luid_index(6) for _ in range(2))
    assert first != second
where = pathlib.Path(ndis.__file__).resolve()
assert (where.parent / "py.typed").is_file()
assert (where.parent / "_ndisbridge.pyi").is_file()
assert pathlib.Path(ndis.get_include(), "ndisbridge.h").is_file()
assert pathlib.Path(ndis.get_pkg_config_dir(), "ndisbridge.pc").is_file()
print(where)
"""


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the project is made from."""
    target = tmp_path_factory.mktemp("source") / "ndisbridge"
    ignore = shutil.ignore_patterns(
        ".git",
        ".venv*",
        ".cache",
        "build",
        "dist",
        "*.so",
        "*.egg-info",
        "__pycache__",
        ".*_cache",
        ".hypothesis",
        ".benchmarks",
    )
    shutil.copytree(ROOT, target, ignore=ignore)
    return target


@pytest.fixture(scope="module")
def dists(source: Path) -> Path:
    """An sdist, and the wheel that is built from it."""
    out = source.parent / "dist"
    run(
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "-o",
        out,
        source,
        cwd=source.parent,
    )
    return out


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """An interpreter with nothing of ours, but what we depend on."""
    directory = tmp_path / "venv"
    venv.create(directory, with_pip=True, symlinks=True)
    python = directory / "bin" / "python"
    site = run(
        python,
        "-c",
        "import site; print(site.getsitepackages()[0])",
        cwd=tmp_path,
    ).strip()
    # Before 3.12 there is a setuptools, which may be too old for us.
    for path in Path(site).iterdir():
        if not path.name.startswith("pip"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    # The dependencies are borrowed: no network is needed.
    ours = Path(sysconfig.get_paths()["platlib"])
    for path in ours.iterdir():
        name = path.name.lower()
        if "ndisbridge" in name or name.startswith(("pip", "_virtualenv")):
            continue
        target = Path(site) / path.name
        if not target.exists():
            target.symlink_to(path)
    return python


def test_wheel(dists: Path, fresh: Path, tmp_path: Path) -> None:
    """The wheel is one for all CPythons, and works where it is installed."""
    (wheel,) = dists.glob("*.whl")
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert "-cp310-abi3-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert "ndisbridge/libndisbridge.so" in names
    assert "ndisbridge/include/ndisbridge.h" in names
    assert any(
        name.endswith(".data/data/share/man/man1/ndisbridge.1")
        for name in names
    )
    assert not any(name.startswith(("tests", "csrc")) for name in names)
    run(fresh, "-m", "pip", "install", "-q", "--no-deps", wheel, cwd=tmp_path)
    assert str(tmp_path) in run(fresh, "-c", PROGRAM, cwd=tmp_path)


def test_wheel_of_a_used_tree(source: Path, tmp_path: Path) -> None:
    """What an earlier build has left in the tree gets into no wheel."""
    tree = tmp_path / "tree"
    shutil.copytree(source, tree, ignore=shutil.ignore_patterns("build"))
    later = time.time() + 3600
    for name in ("libndisbridge.so", "_fastcall.abi3.so", "libother.so"):
        path = tree / "ndisbridge" / name
        path.write_bytes(b"left here")
        os.utime(path, (later, later))
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        tree,
        cwd=tmp_path,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        libraries = [n for n in archive.namelist() if n.endswith(".so")]
        assert len(libraries) == 3
        for name in libraries:
            assert archive.read(name).startswith(b"\x7fELF"), name


def test_switches(source: Path, tmp_path: Path) -> None:
    """Other switches build again what is there; the same ones do not."""
    tree = tmp_path / "tree"
    shutil.copytree(source, tree, ignore=shutil.ignore_patterns("build"))
    library = tree / "ndisbridge" / "libndisbridge.so"
    built = []
    for switches in ({}, {"NDISBRIDGE_DEBUG": "1"}, {"NDISBRIDGE_DEBUG": "1"}):
        run(
            sys.executable,
            "setup.py",
            "-q",
            "build_ext",
            "--inplace",
            cwd=tree,
            **switches,
        )
        built.append((library.stat().st_mtime_ns, library.read_bytes()))
    assert built[0][1] != built[1][1]
    assert built[1] == built[2]


def test_sdist(dists: Path, fresh: Path, tmp_path: Path) -> None:
    """The sdist has all that it needs to be built from."""
    (sdist,) = dists.glob("*.tar.gz")
    run(
        fresh,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        sdist,
        cwd=tmp_path,
    )
    assert str(tmp_path) in run(fresh, "-c", PROGRAM, cwd=tmp_path)


def test_editable(source: Path, fresh: Path, tmp_path: Path) -> None:
    """An editable install uses the sources where they are."""
    run(
        fresh,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-e",
        source,
        cwd=tmp_path,
    )
    where = run(fresh, "-c", PROGRAM, cwd=tmp_path).strip()
    assert Path(where) == source / "ndisbridge" / "__init__.py"


def test_in_place(source: Path, fresh: Path, tmp_path: Path) -> None:
    """Built in place, the sources work from their own directory."""
    run(fresh, "setup.py", "-q", "build_ext", "--inplace", cwd=source)
    where = run(fresh, "-c", PROGRAM, cwd=source).strip()
    assert Path(where) == source / "ndisbridge" / "__init__.py"
