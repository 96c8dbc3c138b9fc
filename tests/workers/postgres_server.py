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
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._run(
            "initdb", "--auth=trust", "--no-sync", "--username=postgres",
            "--encoding=UTF8", "--locale=C", "-D", str(self.data),
        )  # fmt: skip
        settings = {
            "unix_socket_directories": str(directory),
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
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
            timeout=60,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}")

    def start(self) -> None:
        # pg_ctl's own output would be kept open by the server.
        log = str(self.directory / "log")
        self._run(
            "pg_ctl", "start", "-w", "-s", "-D", str(self.data), "-l", log
        )

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "stop", "-w", "-s", "-m", mode, "-D",
                  str(self.data))  # fmt: skip

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


@contextmanager
def running(**settings: str) -> Iterator[Server]:
    """
    A server, started; gone afterwards.  Meanwhile lock files of sessions,
    here and in children, are beside it, and never among the machine's own.
    """
    directory = Path(tempfile.mkdtemp(prefix="ndisbridge-pg-"))
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
