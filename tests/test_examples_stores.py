# SPDX-License-Identifier: MIT
"""
The stores of examples/: a session on each, its file damaged, its disk
failing, and its process killed at random moments.
"""

from __future__ import annotations

import dataclasses
import errno
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import NetLuid
from ndisbridge import persistence as p

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
KILLS = int(os.environ.get("NDISBRIDGE_KILLS", "50"))


def load_example() -> Any:
    spec = importlib.util.spec_from_file_location(
        "json_store", EXAMPLES / "json_store.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


JsonStore = load_example().JsonStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.json"


# ---------------------------------------------------------------------------
# The JSON store


def test_json_session(path: Path) -> None:
    """A session on it gives the same identity after it is opened again."""
    with ndis.Session(JsonStore(path)) as session:
        provider = session.register_provider("acme")
        made = provider.identity("lan", 6, alias="Büro", attributes={"a": "b"})
        passing = provider.identity("tmp", 6, persistent=False)
        provider.register_interface(made)
        provider.register_interface(passing)
        with pytest.raises(ndis.InUseError):
            session.release(made)
    with ndis.Session(JsonStore(path)) as session:
        provider = session.register_provider("acme")
        assert provider.find("tmp") is None
        found = provider.identity("lan", 6)
        assert found.net_luid == made.net_luid
        assert found.record.interface_guid == made.record.interface_guid
        assert found.if_index == made.if_index == 0x800000
        assert (found.record.alias, found.record.attributes) == (
            "Büro",
            {"a": "b"},
        )
        assert provider.identity("other", 6).net_luid != made.net_luid
        provider.register_interface(found).remove()
        assert provider.find("lan") is None


def test_json_one_process(path: Path) -> None:
    """Another process is refused, until the first has closed it."""
    program = (
        f"import sys; sys.path.insert(0, {str(EXAMPLES)!r})\n"
        "from json_store import JsonStore\n"
        f"JsonStore({str(path)!r}).close()"
    )
    store = JsonStore(path)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert done.returncode == 1 and "StoreBusyError" in done.stderr
    store.close()
    subprocess.run([sys.executable, "-c", program], check=True)


def made_json(path: Path, count: int = 2) -> list[p.IdentityRecord]:
    with ndis.Session(JsonStore(path)) as session:
        provider = session.register_provider("acme")
        for n in range(count):
            provider.identity(f"k{n}", 6, alias="x")
        return list(session.identities())


def test_json_one_of_each_in_a_call(path: Path) -> None:
    """Neither a key nor a NET_LUID gets two identities in one call."""
    store = JsonStore(path)
    store.lease_blocks(6, 0, 0, 1)
    a, b = (
        p.IdentityRecord("", "x", f"k{i}", i << 24 | 6 << 48, uuid.uuid4())
        for i in (1, 2)
    )
    for other in (
        dataclasses.replace(b, key=a.key),
        dataclasses.replace(b, net_luid=a.net_luid),
    ):
        mask = (0b110).to_bytes(512, "little")
        with pytest.raises(p.IdentityConflictError):
            store.retain([(6, [(0, mask)])], [a, other])
    assert store.identities() == []
    store.close()


def test_json_child_of_a_thread_in_it(path: Path) -> None:
    """A lock that a thread of the parent holds does not hang the child."""
    store = JsonStore(path)
    with store._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            store.after_fork_in_child()
            thread = threading.Thread(target=store.close)
            thread.start()
            thread.join()
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    store.close()


def test_json_damage(path: Path) -> None:
    """Every damaged byte is seen, or means nothing; nothing is written."""
    made = made_json(path)
    whole = path.read_bytes()
    chance = random.Random(1)
    harmless = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        path.unlink()  # ext4 flushes what is written over a file
        path.write_bytes(damaged)
        try:
            store = JsonStore(path)
        except p.StoreCorruptError as error:
            assert str(path) in str(error)
            assert path.read_bytes() == damaged
        else:
            assert store.identities() == made
            harmless += 1
            store.close()
    assert harmless < len(whole) / 10
    for length in range(len(whole)):
        path.unlink()
        path.write_bytes(whole[:length])
        with pytest.raises(p.StoreCorruptError):
            JsonStore(path)


@contextmanager
def failing(
    patch: pytest.MonkeyPatch, name: str, number: int, *, after: int = 0
) -> Iterator[None]:
    """A call of os that fails, but for the first ones."""
    real = getattr(os, name)
    calls = 0

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            raise OSError(number, os.strerror(number))
        return real(*args, **kwargs)

    with patch.context() as inner:
        inner.setattr(os, name, call)
        yield


@pytest.mark.parametrize("name", ["open", "fsync", "rename", "unlink"])
def test_json_failing_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What fails before the rename changes nothing, and says so."""
    with ndis.Session(JsonStore(path)) as session:
        provider = session.register_provider("acme")
        kept = provider.identity("kept", 6)
        before = path.read_bytes()
        with failing(monkeypatch, name, errno.ENOSPC):
            with pytest.raises(p.StoreFullError):
                provider.identity("lost", 6)
            with pytest.raises(p.StoreFullError):
                kept.update(alias="lost")
        assert path.read_bytes() == before
        assert len(os.listdir(path.parent)) == 2, "the lock and the store"
        assert session.count_net_luid_indexes(6).allocated == 0
        assert provider.find("lost") is None
        assert provider.identity("lost", 6).net_luid != kept.net_luid


def test_json_uncertain(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails after the rename is uncertain, and not handed out again."""
    with ndis.Session(JsonStore(path)) as session:
        provider = session.register_provider("acme")
        provider.identity("kept", 6)
        with failing(monkeypatch, "fsync", errno.EIO, after=1):
            with pytest.raises(p.StoreUncertainError):
                provider.identity("maybe", 6)
        found = provider.find("maybe")
        assert found is not None
        with pytest.raises(p.StoreError, match="open it again"):
            provider.identity("more", 6)
        allocated = session.allocate_net_luid_indexes(6, 4000)
        assert found.net_luid not in {NetLuid.make(6, n) for n in allocated}
        session.free_net_luid_indexes(6, allocated)
    with ndis.Session(JsonStore(path)) as session:
        again = session.register_provider("acme").identity("maybe", 6)
        assert again.net_luid == found.net_luid


def test_json_hostile_files(path: Path, tmp_path: Path) -> None:
    """A link, a directory and a missing directory give typed errors."""
    with pytest.raises(p.StoreNotFoundError):
        JsonStore(tmp_path / "no" / "such")
    path.mkdir()
    with pytest.raises(p.StoreError):
        JsonStore(path)
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / "b.new").symlink_to(other)
    JsonStore(tmp_path / "b").close()
    (tmp_path / "c.lock").symlink_to(other)
    with pytest.raises(p.StorePermissionError):
        JsonStore(tmp_path / "c")
    assert other.read_text() == "precious"


# ---------------------------------------------------------------------------
# The log store of C


@pytest.fixture(scope="module")
def build(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Path]:
    """Builds a program with the library of the package."""
    compiler = os.environ.get("CC") or shutil.which("cc") or "gcc"
    directory = tmp_path_factory.mktemp("programs")

    def build(*sources: Path) -> Path:
        library = Path(ndis.get_library())
        binary = directory / sources[0].stem
        done = subprocess.run(
            [
                compiler,
                *("-std=c11", "-O1", "-pthread"),
                *("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"),
                f"-I{ndis.get_include()}",
                *map(str, sources),
                str(library),
                f"-Wl,-rpath,{library.parent}",
                *("-o", str(binary)),
            ],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return binary

    return build


def test_lasting(build: Callable[..., Path], tmp_path: Path) -> None:
    """A C program has the same NET_LUID on every run."""
    lasting = build(EXAMPLES / "lasting.c", EXAMPLES / "log_store.c")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(lasting), *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )

    first = run("log", "uplink")
    assert first.returncode == 0, first.stderr
    assert first.stdout == (
        "uplink: ethernet_0, NET_LUID 0x0006000000000000, ifIndex 8388608\n"
    )
    other = run("log", "downlink")
    assert other.stdout.startswith("downlink: ethernet_1, ")
    assert run("log", "uplink").stdout == first.stdout
    # Another log is another machine.
    assert run("new", "downlink").stdout.startswith("downlink: ethernet_0,")
    (tmp_path / "log").write_text("no log at all, but long enough")
    refused = run("log", "uplink")
    assert refused.returncode == 1
    assert refused.stderr == "log: NDIS_STATUS_INVALID_DATA\n"
    missing = run("no/log", "uplink")
    assert "No such file or directory" in missing.stderr


# ---------------------------------------------------------------------------
# kill -9


@dataclass
class Told:
    """What a store must have in it, by its witness file."""

    names: dict[str, int] = field(default_factory=dict)
    indexes: set[int] = field(default_factory=set)
    #: The one call that was never answered: what, and of which.
    open_call: tuple[str, str] = ("", "")
    answered: int = 0

    def read(self, witness: Path) -> None:
        begun = ("", "")
        lines = witness.read_text() if witness.exists() else ""
        for line in lines.splitlines(keepends=True):
            # A line that was cut short was not flushed, nor acted upon.
            if not line.endswith("\n"):
                break
            what, name, *rest = line.split()
            if what.endswith("?"):
                assert begun == ("", ""), f"{begun} was never answered"
                begun = what[:-1], name
                continue
            assert begun == (what[:-1], name), f"not asked: {line}"
            begun = ("", "")
            self.answered += 1
            if what == "make!":
                luid = int(rest[0])
                assert luid not in self.names.values(), "given twice"
                self.names[name] = luid
            elif what == "forget!":
                del self.names[name]
            elif what == "retain!":
                assert int(name) not in self.indexes, "given twice"
                self.indexes.add(int(name))
            else:
                self.indexes.remove(int(name))
        self.open_call = begun

    def compare(self, names: dict[str, int], indexes: set[int]) -> None:
        """With what is in the store; what is open is as the store says."""
        what, name = self.open_call
        lost = dict(self.names.items() - names.items())
        new = dict(names.items() - self.names.items())
        assert list(lost) in ([], [name] if what == "forget" else []), "lost"
        assert list(new) in ([], [name] if what == "make" else []), "leaked"
        of_names = {luid >> 24 & 0xFFFFFF for luid in names.values()}
        assert len(of_names) == len(names), "given twice"
        assert of_names <= indexes, "an identity without its index"
        bare = indexes - of_names
        assert self.indexes - bare <= (
            {int(name)} if what == "release" else set()
        ), "an index is lost"
        assert bare - self.indexes <= (
            {int(name)} if what == "retain" else set()
        ), "an index has leaked"
        self.names, self.indexes = names, bare


@pytest.mark.parametrize(
    ("lines", "names", "match"),
    [
        ("make? a\nmake! a 1\nmake? b\nmake! b 1\n", {}, "given twice"),
        ("make? a\nmake? b\n", {}, "never answered"),
        ("make? a\nforget! a\n", {}, "not asked"),
        ("make? a\nmake! a 1\n", {}, "lost"),
        ("make? a\n", {"b": 1}, "leaked"),
        ("make? a\n", {"a": 1}, "without its index"),
        ("retain? 1\nretain! 1\n", {}, "is lost"),
        ("retain? 7\nretain! 7\nrelease? 7\nrelease! 7\n", {}, ""),
    ],
)
def test_a_false_witness_is_found(
    tmp_path: Path, lines: str, names: dict[str, int], match: str
) -> None:
    """What a store has lost, doubled or leaked does not pass unseen."""
    witness = tmp_path / "witness"
    witness.write_text(lines)
    told = Told()
    if not match:
        told.read(witness)
        told.compare(names, set())
        return
    with pytest.raises(AssertionError, match=match):
        told.read(witness)
        told.compare(names, set())


class Witness:
    """A file of lines, each on the disk before the call returns."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(path, flags, 0o600)

    def write(self, *words: object) -> None:
        line = " ".join(map(str, words)) + "\n"
        os.write(self._file, line.encode())
        os.fdatasync(self._file)


def churn(store: p.Store, witness: Witness, seed: int) -> None:
    """Make, retain and release until killed."""
    chance = random.Random(seed)
    session = ndis.Session(store)
    provider = session.register_provider("churn")
    names: list[str] = []
    indexes: list[int] = []
    for step in range(1_000_000):
        choice = chance.random()
        if choice < 0.35:
            name = f"{seed}/{step}"
            witness.write("make?", name)
            identity = provider.identity(name, 6)
            witness.write("make!", name, int(identity.net_luid))
            names.append(name)
            provider.register_interface(identity).deregister()
            provider.identity("passing", 6, persistent=False).release()
        elif choice < 0.6 and names:
            name = names.pop(chance.randrange(len(names)))
            found = provider.find(name)
            assert found is not None
            witness.write("forget?", name)
            found.release()
            witness.write("forget!", name)
        elif choice < 0.85:
            index = session.allocate_net_luid_index(6)
            witness.write("retain?", index)
            session.retain_net_luid_indexes(6, [index])
            witness.write("retain!", index)
            indexes.append(index)
        elif indexes:
            index = indexes.pop(chance.randrange(len(indexes)))
            witness.write("release?", index)
            session.release_net_luid_indexes(6, [index])
            witness.write("release!", index)


def start_json(
    open_store: Callable[[], p.Store], witness: Path, seed: int
) -> int:
    """A child of fork(): a new interpreter would only take longer."""
    child = os.fork()
    if child == 0:
        try:
            churn(open_store(), Witness(witness), seed)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(1)
    return child


def kill(child: int) -> None:
    """Kill -9; before that it must not have ended by itself."""
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert status == signal.SIGKILL, "it ended by itself: see above"


def look_at_json(
    open_store: Callable[[], p.Store],
) -> tuple[dict[str, int], set[int]]:
    store = open_store()
    records = list(store.identities())
    assert all(each.in_use_by is None for each in records)
    assert all(each.persistent for each in records)
    leased = store.lease_blocks(6, 0, 9, 10)
    assert len(leased) == 10, "a dead session has a lease"
    if_indexes = {
        number * 4096 + bit
        for number, mask in store.lease_blocks(0, 2048, 2050, 3)
        for bit in range(4096)
        if mask[bit >> 3] >> (bit & 7) & 1
    }
    assert if_indexes == {each.if_index for each in records}
    store.close()
    return {each.key: each.net_luid for each in records}, {
        number * 4096 + bit
        for number, mask in leased
        for bit in range(4096)
        if mask[bit >> 3] >> (bit & 7) & 1
    }


def kill_json(
    open_store: Callable[[], p.Store], directory: Path, rounds: int
) -> Told:
    moments = random.Random(20_260_103)
    told = Told()
    for number in range(rounds):
        witness = directory / f"witness{number}"
        child = start_json(open_store, witness, number)
        time.sleep(moments.uniform(0.002, 0.12))
        kill(child)
        told.read(witness)
        told.compare(*look_at_json(open_store))
    return told


def test_json_killed(path: Path, tmp_path: Path) -> None:
    """kill -9 at random moments: nothing is lost, doubled or leaked."""
    told = kill_json(lambda: JsonStore(path), tmp_path, KILLS)
    assert told.answered > KILLS


class Late(JsonStore):
    """Answers first, and writes with the next change but three."""

    late = 0

    def _write(self, bits: Any, records: Any) -> None:
        self.late += 1
        if self.late % 4 == 1:
            super()._write(bits, records)


def test_json_killed_control(path: Path, tmp_path: Path) -> None:
    """A store that answers too early does not pass."""
    with pytest.raises(AssertionError, match=r"lost|leaked|without|twice"):
        kill_json(lambda: Late(path), tmp_path, 20)


def look_at_log(
    churn: Path, log: Path
) -> tuple[dict[str, int], set[int], set[int]]:
    done = subprocess.run([churn, log], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names: dict[str, int] = {}
    indexes: dict[str, set[int]] = {"index": set(), "if_index": set()}
    for line in done.stdout.splitlines():
        what, *rest = line.split()
        if what == "identity":
            names[rest[0]] = int(rest[1])
        else:
            indexes[what].add(int(rest[0]))
    return names, indexes["index"], indexes["if_index"]


def test_log_killed(build: Callable[..., Path], tmp_path: Path) -> None:
    """The same of the store in C, which is written anew meanwhile, too."""
    churn = build(ROOT / "tests" / "workers" / "log_churn.c")
    log = tmp_path / "log"
    moments = random.Random(20_260_104)
    told = Told()
    inodes = set()
    for number in range(KILLS):
        witness = tmp_path / f"witness{number}"
        process = subprocess.Popen([churn, log, witness, str(number)])
        time.sleep(moments.uniform(0.002, 0.12))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended by itself"
        told.read(witness)
        names, indexes, if_indexes = look_at_log(churn, log)
        told.compare(names, indexes)
        assert len(if_indexes) == len(names), "an ifIndex is lost or leaked"
        inodes.add(log.stat().st_ino)
    assert told.answered > KILLS
    assert len(inodes) > 2, "it was never written anew"
