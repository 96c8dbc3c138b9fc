# SPDX-License-Identifier: MIT
"""What the proofs share: versions, results, compiling, a place for files."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw

import ndisbridge
from ndisbridge import NetLuid, Session

HERE = Path(__file__).parent


def versions() -> dict[str, str]:
    """What a figure depends on."""
    return {
        "ndisbridge": str(getattr(ndisbridge, "__version__", "")),
        "commit": _output(
            "git", "-C", str(HERE), "describe", "--always", "--dirty"
        ),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "apsw": apsw.apsw_version(),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "compiler": _output("cc", "--version").split("\n")[0],
        "strace": _output("strace", "--version").split("\n")[0],
    }


def _output(*command: str) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False
        ).stdout.strip()
    except OSError:
        return ""


def compiled(name: str, where: Path) -> Path:
    """A shared object of one of the C sources beside this file."""
    target = where / f"{name}.so"
    subprocess.run(
        [
            os.environ.get("CC") or "cc",
            *[
                "-std=c11",
                "-O2",
                "-Wall",
                "-Wextra",
                "-fPIC",
                "-shared",
                "-pthread",
            ],
            *("-o", target, HERE / f"{name}.c", "-ldl"),
        ],
        check=True,
    )
    return target


def preload(name: str) -> None:
    """Begin again with one of the C sources before the C library."""
    if os.environ.pop("NDISBRIDGE_PRELOADED", "") == name:
        # Mapped, and for nobody else.
        shutil.rmtree(Path(os.environ.pop("LD_PRELOAD")).parent)
        return
    where = tempfile.mkdtemp(prefix="ndis-soak-")
    made = compiled(name, Path(where))
    environ = dict(os.environ, NDISBRIDGE_PRELOADED=name, LD_PRELOAD=str(made))
    os.execve(sys.executable, [sys.executable, *sys.argv], environ)


def in_memory_directory() -> str | None:
    """Where files need no disk: what is shown there is not of a disk."""
    found = "/dev/shm"
    return found if os.access(found, os.W_OK) else None


class Scratch:
    """A directory of this run, gone after it."""

    def __init__(self, *, memory: bool = False) -> None:
        self.path = Path(
            tempfile.mkdtemp(
                prefix="ndis-soak-",
                dir=in_memory_directory() if memory else None,
            )
        )

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def parser(text: str | None) -> argparse.ArgumentParser:
    """The options that every proof has."""
    made = argparse.ArgumentParser(description=text)
    made.add_argument("--seed", type=int, default=20_260_101)
    made.add_argument(
        "--hours", type=float, help="stop after that long, with what is done"
    )
    made.add_argument("--json", help="write the result into this file too")
    made.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes"
    )
    return made


def finish(result: dict[str, Any], json_path: str | None) -> int:
    """Print a result, and the exit status that it means."""
    result.setdefault("failures", [])
    text = json.dumps(result, indent=1, sort_keys=True)
    if json_path:
        Path(json_path).write_text(text + "\n", encoding="utf-8")
    print(text, flush=True)
    for failure in result["failures"][:20]:
        print("FAILED:", failure, file=sys.stderr)
    return 1 if result["failures"] else 0


class Report:
    """What a proof finds, from its beginning to its result."""

    def __init__(self, proof: str, args: argparse.Namespace) -> None:
        self._proof = proof
        self._args = args
        self._began = time.monotonic()
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        print("seed", args.seed, flush=True)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def rounds(self, count: int, step: int) -> Iterator[int]:
        """The first number of each, until time is up or one has failed."""
        hours = self._args.hours
        for first in range(0, count, step):
            if self.failures or (hours and self.seconds > hours * 3600):
                return
            yield first

    @contextlib.contextmanager
    def trying(self, what: str) -> Iterator[None]:
        """What is raised inside is a failure."""
        try:
            yield
        except Exception as error:
            self.failures.append(f"{what}: {type(error).__name__}: {error}")

    def finish(self) -> int:
        """As :func:`finish`."""
        return finish(
            {
                "proof": self._proof,
                "seed": self._args.seed,
                "seconds": round(self.seconds),
                "counts": self.counts,
                "failures": self.failures,
                "versions": versions(),
            },
            self._args.json,
        )


def fork(work: Callable[[], None], last_words: Path) -> int:
    """
    A process that works until it is killed; forked, as we are warm.  If it
    ends, a file has the reason.
    """
    last_words.unlink(missing_ok=True)
    pid = os.fork()
    if pid:
        return pid
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        work()
    except BaseException:
        last_words.write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        os._exit(3)


def kill(pid: int, last_words: Path) -> None:
    """Kill -9; before that it must not have ended by itself."""
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    ended = os.waitstatus_to_exitcode(status)
    if ended != -signal.SIGKILL:
        why = "it did not say why"
        if last_words.exists():
            why = last_words.read_text(encoding="utf-8")
        raise AssertionError(f"it has ended by itself ({ended}): {why}")


def try_out(store: Path) -> None:
    """A store that has survived must be good for work."""
    with Session(store) as session:
        index = session.allocate_net_luid_index(6)
        session.retain_net_luid_indexes(6, [index])
        session.release_net_luid_indexes(6, [index])
        provider = session.register_provider("after")
        identity = provider.identity("after", 6)
        assert NetLuid(identity.net_luid).if_type == 6
        identity.release()
