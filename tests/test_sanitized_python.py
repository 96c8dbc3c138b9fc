# SPDX-License-Identifier: MIT
"""
The threads of the tests in Python, on a core and modules that AddressSanitizer
and UBSan, or ThreadSanitizer, look into.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from test_c import without_randomisation

ROOT = Path(__file__).parent.parent
#: What runs in one process, with threads.
TESTS = (
    "threads",
    "handlers",
    "fastcall",
    "fastcall_memory",
    "events",
    "session",
    "builtins",
    "provider",
    "proxy_races",
    "proxy_native",
)
#: The rest that runs in one process, for `make prove`.
MORE = (
    "conformance",
    "conformance_proxy",
    "free_threading",
    "live",
    "namespaces",
    "pinning",
    "proxy",
    "proxy_edges",
    "proxy_machine",
    "proxy_requests",
    "proxy_status",
    "subinterpreters",
)
if os.environ.get("SANITIZED") == "all":
    TESTS += MORE
RUNTIMES = {
    "address,undefined": ["libasan.so", "libubsan.so"],
    "thread": ["libtsan.so"],
}
OPTIONS = {
    # Python itself lets go of nothing when it ends.
    "ASAN_OPTIONS": "detect_leaks=0",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    # Daemon threads are nobody's to join.
    "TSAN_OPTIONS": "exitcode=66:report_thread_leaks=0:suppressions=tsan.supp",
    "PYTHONMALLOC": "malloc",
}

#: The loader, which is not looked into, keeps the thread-local memory of a
#: thread that has ended for the next one, and orders that by a lock of its own.
SUPPRESSED = "race:_dl_deallocate_tls\n"
#: Into how a count of many indexes begins: a write behind a block, and a
#: count that two threads take at once.
PLACE = """ndisbridge_status ndisbridge_count_net_luid_indexes("""
PLANTED = {
    "address,undefined": (
        "uint32_t *room = malloc(4);\n    room[if_type & 1] = 1, free(room);",
        "heap-buffer-overflow",
    ),
    "thread": (
        "static volatile uint32_t asked;\n    asked = asked + 1;",
        "data race",
    ),
}
COUNT = """
import threading, ndisbridge
with ndisbridge.Session() as session:
    def count():
        for _ in range(2000):
            session.count_net_luid_indexes(7)
    threads = [threading.Thread(target=count) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
"""


class Tree:
    """A copy of the checkout, built for a sanitizer."""

    def __init__(self, path: Path, root: Path, sanitizer: str) -> None:
        self.path = path
        self.sanitizer = sanitizer
        ignored = shutil.ignore_patterns("*.so", "__pycache__")
        for name in ("csrc", "ndisbridge", "tests", "docs", "examples"):
            shutil.copytree(root / name, path / name, ignore=ignored)
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(root / name, path)
        (path / "tsan.supp").write_text(SUPPRESSED)

    def python(
        self, *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*without_randomisation(), sys.executable, *arguments],
            cwd=self.path,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=3600,
        )

    def build(self) -> None:
        done = self.python(
            "setup.py",
            "-q",
            "build_ext",
            "--inplace",
            CC="gcc",
            NDISBRIDGE_SANITIZE=self.sanitizer,
        )
        assert done.returncode == 0, done.stdout

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        found = [
            subprocess.run(
                ["gcc", f"-print-file-name={each}"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for each in RUNTIMES[self.sanitizer]
        ]
        preload = os.environ.get("LD_PRELOAD", "")
        return self.python(
            *arguments, **OPTIONS, LD_PRELOAD=" ".join([*found, preload])
        )


@pytest.fixture(scope="module", params=RUNTIMES)
def tree(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    need: Callable[[str], str],
    missing: Callable[[str], NoReturn],
) -> Tree:
    need("gcc")
    for each in RUNTIMES[request.param]:
        done = subprocess.run(
            ["gcc", f"-print-file-name={each}"],
            capture_output=True,
            text=True,
            check=True,
        )
        if not os.path.isabs(done.stdout.strip()):
            missing(f"gcc has no {each} here")
    made = Tree(tmp_path_factory.mktemp("tree"), ROOT, request.param)
    made.build()
    return made


def test_threads(
    tree: Tree, record_property: Callable[[str, object], None]
) -> None:
    """Nothing is read or written that is not there, or by two at once."""
    done = tree.run(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        # Those are other processes.
        "-k",
        "not exit_with and not of_another_process",
        *(f"tests/test_{each}.py" for each in TESTS),
    )
    assert done.returncode == 0, done.stdout[-12000:]
    assert "Sanitizer" not in done.stdout, done.stdout[-12000:]
    assert "runtime error" not in done.stdout, done.stdout[-12000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout[-4000:]
    record_property("tests", int(passed[1]))


def test_what_is_planted_is_found(tree: Tree) -> None:
    """After the tests: the tree is not what it was."""
    planted, report = PLANTED[tree.sanitizer]
    sources = [
        each
        for each in (tree.path / "csrc").glob("*.c")
        if f"\n{PLACE}" in each.read_text()
    ]
    assert len(sources) == 1
    text = sources[0].read_text()
    begin = text.index("{\n", text.index(PLACE)) + 2
    sources[0].write_text(
        "#include <stdlib.h>\n"
        + text[:begin]
        + f"    {planted}\n"
        + text[begin:]
    )
    assert tree.run("-c", COUNT).returncode == 0
    tree.build()
    done = tree.run("-c", COUNT)
    assert done.returncode != 0
    assert report in done.stdout, done.stdout[-4000:]
