# SPDX-License-Identifier: MIT
"""A PostgreSQL server of one's own, in a directory that goes with it."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Seconds that a loaded machine may take to start or stop it.
_PATIENCE = 120
#: Where Debian keeps what is not in the PATH.
_DEBIAN = Path("/usr/lib/postgresql")
_USER = "postgres"


class NoServerError(Exception):
    """There is none here, and why."""


def programs() -> Path:
    """The directory of initdb, pg_ctl and postgres."""
    found = shutil.which("postgres")
    if found:
        directory = Path(found).resolve().parent
        if (directory / "initdb").exists():
            return directory
    versions = [
        each.parent
        for each in _DEBIAN.glob("*/bin/initdb")
        if re.fullmatch(r"\d+", each.parent.parent.name)
    ]
    if not versions:
        raise NoServerError("no postgres here")
    return max(versions, key=lambda each: int(each.parent.name))


def _prefix() -> list[str]:
    """The server refuses to run as root."""
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        raise NoServerError(f"no user {_USER} to run postgres as") from None
    if shutil.which("runuser") is None:
        raise NoServerError("no runuser here")
    return ["runuser", "-u", _USER, "--"]


class Server:
    """One that listens on a socket in its directory, and on loopback."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        self.data = directory / "data"
        self._programs = programs()
        self._prefix = _prefix()
        if self._prefix:
            user = pwd.getpwnam(_USER)
            os.chown(directory, user.pw_uid, user.pw_gid)
        os.chmod(directory, 0o755)
        self.port = 0
        self._run(
            "initdb", "--auth=trust", "--no-sync", "--username=postgres",
            "--encoding=UTF8", "--locale=C", "-D", str(self.data),
        )  # fmt: skip
        settings = {
            "unix_socket_directories": str(directory),
            "listen_addresses": "127.0.0.1",
            "max_connections": "60",
            "shared_buffers": "32MB",
            **settings,
        }
        with open(self.data / "postgresql.conf", "a") as file:
            for name, value in settings.items():
                file.write(f"{name} = '{value}'\n")
        hba = self.data / "pg_hba.conf"
        # The only role that needs a password.
        hba.write_text(
            "host all locked 127.0.0.1/32 scram-sha-256\n" + hba.read_text()
        )

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [*self._prefix, str(self._programs / program), *words],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE + 60,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}")

    def start(self) -> None:
        """On the port that it had; the first time on one that is free."""
        for _ in range(1 if self.port else 10):
            port = self.port or _free_port()
            try:
                # pg_ctl's own output would be kept open by the server.
                self._control(
                    "start", "-l", str(self.directory / "log"),
                    "-o", f"-p {port}",
                )  # fmt: skip
            except RuntimeError as error:
                failure = error
                if "could not bind" not in self.log():
                    break
            else:
                self.port = port
                return
        raise RuntimeError(f"{failure}\n{self.log()}")

    def log(self) -> str:
        """What it has said last."""
        try:
            text = (self.directory / "log").read_text(errors="replace")
        except OSError:
            return ""
        return text[-4000:]

    def stop(self, mode: str = "immediate") -> None:
        self._control("stop", "-m", mode)

    def _control(self, verb: str, *words: str) -> None:
        self._run("pg_ctl", verb, "-w", "-s", "-t", str(_PATIENCE), "-D",
                  str(self.data), *words)  # fmt: skip

    @property
    def pid(self) -> int:
        """The postmaster's."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def url(
        self, database: str, host: str = "", user: str = _USER, **more: str
    ) -> str:
        """Of a database, as a host."""
        query = [f"host={self.directory}", f"port={self.port}"]
        query += [f"ndis_host={host}"] * bool(host)
        query += [f"{name}={value}" for name, value in more.items()]
        return f"postgresql://{user}@/{database}?{'&'.join(query)}"

    def tcp_url(self, database: str, host: str, user: str = _USER) -> str:
        """The same over loopback."""
        return (
            f"postgresql://{user}@127.0.0.1:{self.port}/{database}"
            f"?ndis_host={host}"
        )


def _free_port() -> int:
    """Somebody else may take it before the server does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _directory() -> Path:
    """A new one that the server's user can enter, with a short name."""
    parents = [tempfile.gettempdir(), "/tmp", "/var/tmp"]
    for parent in parents:
        # The path of a socket has at most 107 bytes.
        if len(parent) < 60 and _can_enter(parent):
            return Path(tempfile.mkdtemp(prefix="ndisbridge-pg-", dir=parent))
    raise NoServerError(f"user {_USER} can enter none of {parents}")


def _can_enter(path: str) -> bool:
    return os.path.isdir(path) and not (
        _prefix()
        and subprocess.run(
            [*_prefix(), "test", "-x", path], cwd="/", check=False
        ).returncode
    )


@contextmanager
def running(**settings: str) -> Iterator[Server]:
    """
    A server, started; gone afterwards.  Meanwhile lock files of sessions,
    here and in children, are beside it, and never among the machine's own.
    """
    directory = _directory()
    before = os.environ.get("NDISBRIDGE_RUN_DIR")
    os.environ["NDISBRIDGE_RUN_DIR"] = str(directory / "run")
    try:
        server = Server(directory, **settings)
        server.start()
        try:
            yield server
        finally:
            for _ in range(3):
                if not (server.data / "postmaster.pid").exists():
                    break
                try:
                    server.stop()
                except (RuntimeError, subprocess.TimeoutExpired):
                    time.sleep(0.5)
    finally:
        if before is None:
            del os.environ["NDISBRIDGE_RUN_DIR"]
        else:
            os.environ["NDISBRIDGE_RUN_DIR"] = before
        shutil.rmtree(directory, ignore_errors=True)
