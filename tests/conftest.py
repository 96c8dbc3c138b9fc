# SPDX-License-Identifier: MIT
"""Fixtures that every test may use."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest
from netns import skip_without_namespaces
from parallel import pytest_itemcollected  # noqa: F401 - a hook

import ndisbridge as ndis

ROOT = Path(__file__).parent.parent


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell's background jobs, and what they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def missing() -> Callable[[str], NoReturn]:
    """
    ``missing(what)``: skips the test; but CI, which has everything, fails.
    """

    def missing(what: str) -> NoReturn:
        if os.environ.get("CI"):
            pytest.fail(what)
        pytest.skip(what)

    return missing


@pytest.fixture(scope="session")
def need(missing: Callable[[str], NoReturn]) -> Callable[[str], str]:
    """``need(command)``: its path, unless it is :func:`missing`."""

    def need(command: str) -> str:
        return shutil.which(command) or missing(f"no {command} here")

    return need


@pytest.fixture(scope="session")
def need_module(
    missing: Callable[[str], NoReturn],
) -> Callable[[str], None]:
    """``need_module(name)``: a module of Python, likewise."""

    def need_module(name: str) -> None:
        if importlib.util.find_spec(name) is None:
            missing(f"no {name} here")

    return need_module


@pytest.fixture(scope="session")
def proof(
    missing: Callable[[str], NoReturn],
) -> Callable[..., tuple[int, dict[str, Any]]]:
    """``proof(script, *arguments)`` of tests/soak: its status and result."""

    def proof(script: str, *arguments: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, ROOT / "tests" / "soak" / script, *arguments],
            capture_output=True,
            text=True,
        )
        begin = done.stdout.find("{")
        if begin < 0:
            for said in ("NoServerError", "strace does not trace"):
                if said in done.stderr:
                    missing(done.stderr.splitlines()[-1])
        assert begin >= 0, done.stderr
        return done.returncode, json.loads(done.stdout[begin:])

    return proof


@pytest.fixture(scope="session")
def postgres_server() -> ModuleType:
    """The module that runs a server."""
    path = ROOT / "tests" / "workers" / "postgres_server.py"
    spec = importlib.util.spec_from_file_location("postgres_server", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def server(
    postgres_server: Any,
    missing: Callable[[str], NoReturn],
    need_module: Callable[[str], None],
) -> Iterator[Any]:
    """One PostgreSQL server for all tests that want one."""
    need_module("psycopg")
    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(postgres_server.running())
        except postgres_server.NoServerError as error:
            missing(str(error))
        yield found


@pytest.fixture
def session():
    """A session without a store."""
    with ndis.Session() as made:
        yield made


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "store" / "ndis.db"


class Running:
    """A program that runs, and the lines that it writes, as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=each, daemon=True)
            for each in (
                (process.stdout, self.lines.put),
                (process.stderr, self.said.append),
            )
        ]
        for each in self._readers:
            each.start()

    @staticmethod
    def _read(stream: Iterable[str], take: Callable[[str], None]) -> None:
        for line in stream:
            take(line)

    def line(self, part: str = "") -> str:
        """The next line of stdout that has a part."""
        while True:
            try:
                line = self.lines.get(timeout=30)
            except queue.Empty:
                pytest.fail(f"no {part!r} in what it writes: {self.said}")
            if part in line:
                return line

    def event(self, **members: Any) -> dict[str, Any]:
        """The next line that is an object with these members."""
        while True:
            found = json.loads(self.line("{"))
            if members.items() <= found.items():
                return found

    def say(self, part: str) -> str:
        """The line of stderr that has a part, once it is there."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for line in list(self.said):
                if part in line:
                    return line
            time.sleep(0.02)
        pytest.fail(f"no {part!r} in {self.said}")

    def end(self, by: int = signal.SIGTERM) -> int:
        """Its exit code, once a signal has ended it."""
        self.process.send_signal(by)
        code = self.process.wait(30)
        for each in self._readers:
            each.join()
        assert not [line for line in self.said if "Traceback" in line]
        return code


class Namespace:
    """A network namespace that a test has made, with a store to go by."""

    def __init__(self, store: Path) -> None:
        self.name = f"ndisbridge-test-{uuid.uuid4().hex[:8]}"
        self.store = store
        self.environment = {**os.environ, "NDISBRIDGE_STORE": str(store)}
        self.inside = ["ip", "netns", "exec", self.name]
        subprocess.run(["ip", "netns", "add", self.name], check=True)

    def ip(self, command: str) -> str:
        """``ip`` in here; what it prints."""
        done = subprocess.run(
            ["ip", "-n", self.name, *command.split()],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def links(self) -> dict[str, Any]:
        """What ``ip`` says of the links, by name."""
        found = json.loads(self.ip("-j -d link show"))
        return {each["ifname"]: each for each in found}

    def run(
        self, *arguments: str, code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """The command ndisbridge in here, once it has ended with code."""
        done = subprocess.run(
            [*self.inside, sys.executable, "-m", "ndisbridge", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
        )
        assert "Traceback" not in done.stderr
        assert done.returncode == code, f"{arguments}: {done.stderr}"
        return done

    def rows(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """What a command says of interfaces, by name."""
        done = self.run(*arguments, "-o", "json", code=code)
        return {row["name"]: row for row in json.loads(done.stdout)}

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """A program that runs in here."""
        return subprocess.Popen(
            [*self.inside, *command],
            text=True,
            env=self.environment,
            **options,
        )

    @contextlib.contextmanager
    def running(self, *arguments: str, **env: str) -> Iterator[Running]:
        """The command ndisbridge while it runs in here."""
        command = [sys.executable, "-m", "ndisbridge", *arguments]
        with subprocess.Popen(
            [*self.inside, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.environment, **env},
        ) as process:
            try:
                yield Running(process)
            finally:
                process.kill()


@pytest.fixture
def new_namespace(
    need: Callable[[str], str], store_path: Path
) -> Iterator[Callable[[], Namespace]]:
    """Makes network namespaces that share a store."""
    need("ip")
    skip_without_namespaces()
    made: list[Namespace] = []

    def make() -> Namespace:
        made.append(Namespace(store_path))
        return made[-1]

    yield make
    for each in made:
        subprocess.run(["ip", "netns", "del", each.name], check=True)
