# SPDX-License-Identifier: MIT
"""
Hostile files: a typed error that names the file and the cure, nothing
overwritten or deleted, and never a wrong NET_LUID.

``NDISBRIDGE_FLIPS=all`` flips every bit; else one in some hundred.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

import ndisbridge as ndis
from ndisbridge import persistence
from ndisbridge.persistence import StoreError, _files, _rows, _schema
from ndisbridge.persistence.sqlite import SqliteStore

TUNNEL = int(ndis.IfType.TUNNEL)
FLIPS_ALL = os.environ.get("NDISBRIDGE_FLIPS") == "all"
#: Seconds that flipping may take, if not all bits are flipped.
FLIPS_SECONDS = 8
NOBODY = 65534
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

#: NET_LUID indexes of the identities that make() makes.
TAKEN = (0, 1, 2)
Bytes = dict[str, bytes]


def make(path: Path) -> dict[str, Any]:
    """A small store; what each key must be."""
    with ndis.Session(path) as session:
        provider = session.register_provider("p")
        found = {
            key: provider.identity(
                key, TUNNEL, alias=f"alias {key}", attributes={"a": key}
            ).record
            for key in ("one", "two", "three")
        }
        indexes = session.allocate_net_luid_indexes(71, 5)
        session.retain_net_luid_indexes(71, indexes)
    assert (
        tuple(each.net_luid >> 24 & 4095 for each in found.values()) == TAKEN
    )
    return {key: facts(record) for key, record in found.items()}


def facts(record: ndis.IdentityRecord) -> tuple[Any, ...]:
    return (
        record.net_luid,
        record.interface_guid,
        record.if_index,
        record.if_index_owned,
        record.persistent,
        record.alias,
        dict(record.attributes),
    )


def contents(directory: Path) -> Bytes:
    """All files of a directory; nothing that is asked for may change them."""
    return {
        each.name: each.read_bytes()
        for each in sorted(directory.iterdir())
        if each.is_file() and not each.is_symlink()
    }


@contextlib.contextmanager
def nothing_changes(path: Path) -> Iterator[None]:
    """
    The store's bytes, and what is beside it, stay as they are; only an
    empty lock file, or a log of readers that is gone again, may come.
    """
    before = contents(path.parent)
    yield
    after = contents(path.parent)
    assert after.keys() - before.keys() <= {f"{path.name}.lock"}
    assert {name: after.get(name) for name in before} == before


def refuse(error: type[StoreError], path: Path, cure: str) -> None:
    """Session, store and reader refuse it, name it, and leave it alone."""
    for opening in (
        ndis.Session,
        SqliteStore,
        lambda where: SqliteStore(where, read_only=True),
    ):
        with nothing_changes(path), pytest.raises(error, match=cure) as caught:
            opening(path)
        assert type(caught.value) is error
        assert caught.value.store == str(path)
        assert str(path) in str(caught.value)


# -- what is no store


@pytest.mark.parametrize(
    "raw",
    [
        b"not a database, but long enough to look like one" * 100,
        b"\0" * 8192,
        b"SQLite format 3\0" + b"\xff" * 4080,
        b"{}\n",
    ],
    ids=["text", "zeros", "header only", "short"],
)
def test_not_sqlite(store_path: Path, raw: bytes) -> None:
    """Somebody else's file is refused, and stays as it is."""
    store_path.parent.mkdir(0o700)
    store_path.write_bytes(raw)
    store_path.chmod(0o600)
    refuse(persistence.StoreCorruptError, store_path, "not a store|damaged")


def alter(path: Path, *statements: str) -> None:
    """Change a store as only an enemy, or another program, would."""
    db = apsw.Connection(str(path))
    db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    for sql in statements:
        db.execute(sql)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def test_newer_schema(store_path: Path) -> None:
    """A store of a version to come is not touched."""
    make(store_path)
    alter(store_path, f"PRAGMA user_version = {_schema.VERSION + 1}")
    refuse(persistence.StoreVersionError, store_path, "upgrade ndisbridge")


@pytest.mark.parametrize(
    "statements",
    [
        [
            "CREATE TRIGGER t AFTER INSERT ON leases BEGIN "
            "DELETE FROM identities; END"
        ],
        ["CREATE VIEW v AS SELECT randomblob(1000000000)"],
        ["CREATE TABLE extra(x)"],
        ["CREATE INDEX extra ON identities(alias)"],
        ["ALTER TABLE identities ADD COLUMN evil TEXT"],
        ["ALTER TABLE identities RENAME COLUMN alias TO alias2"],
        ["DROP INDEX identities_if_index"],
        [
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_schema SET sql = replace(sql, "
            "'net_luid INTEGER', 'net_luid ANY') WHERE name = 'identities'",
        ],
        ["PRAGMA application_id = 1"],
        ["PRAGMA user_version = 0"],
    ],
    ids=lambda statements: " ".join(statements[-1].split()[:3]),
)
def test_foreign_schema(store_path: Path, statements: list[str]) -> None:
    """One table, trigger, view, index or column that differs is enough."""
    make(store_path)
    alter(store_path, *statements)
    refuse(
        persistence.StoreCorruptError,
        store_path,
        "restore a backup|another path",
    )


# -- damage


def judge(path: Path, known: dict[str, Any]) -> str:
    """
    Use a damaged store: "refused", "found" by check or in use, "harmless",
    or "SILENT": something false was said, or something missing not noticed.
    """
    before = path.read_bytes()
    try:
        store = SqliteStore(path)
    except StoreError as error:
        assert str(path) in str(error)
        assert path.read_bytes() == before, "it was refused, and changed"
        return "refused"
    try:
        return said_by(store, known)
    finally:
        with contextlib.suppress(StoreError):
            store.close()


def said_by(store: SqliteStore, known: dict[str, Any]) -> str:
    problems = store.check()
    verdict = "found" if problems else "harmless"
    for key, expected in known.items():
        try:
            record = store.find("", "p", key)
        except StoreError:
            verdict = "found"
            continue
        if record is None and not problems:
            return "SILENT"
        if record is not None and facts(record) != expected:
            return "SILENT"
    # What would be handed out next, whether or not anybody checks.
    taken = [0b11111, sum(1 << each for each in TAKEN)]
    for if_type, expected_bits in zip((71, TUNNEL), taken, strict=True):
        try:
            ((_, retained),) = store.lease_blocks(if_type, 0, 0, 1)
        except (StoreError, ValueError):
            verdict = "found"
            continue
        if int.from_bytes(retained, "little") != expected_bits:
            return "SILENT"
    with contextlib.suppress(StoreError):
        store.stats()
    return verdict


def copies(
    directory: Path, raw: bytes, changed: Callable[[bytearray], None]
) -> Path:
    """A store of its own with other bytes."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(0o700)
    path = directory / "ndis.db"
    copy = bytearray(raw)
    changed(copy)
    path.write_bytes(copy)
    path.chmod(0o600)
    return path


def scratch() -> Path:
    """Not on a disk: thousands of stores are opened."""
    shared = Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) else Path("/tmp")


@pytest.fixture
def memory(tmp_path_factory) -> Iterator[Path]:
    path = scratch() / f"ndisbridge-hostile-{os.getpid()}"
    yield path
    shutil.rmtree(path, ignore_errors=True)


def flip(
    raw: bytes, known: dict[str, Any], directory: Path, until: str = ""
) -> dict[str, int]:
    """
    Verdicts on bits flipped one by one, spread over the whole file, or
    until one is as wanted.
    """
    bits = 8 * len(raw)
    # Coprime to it: any number of steps is spread evenly.
    stride = 1 if FLIPS_ALL else 104_729
    verdicts: dict[str, int] = {}
    deadline = time.monotonic() + FLIPS_SECONDS
    for number in range(bits):
        if not FLIPS_ALL and time.monotonic() > deadline:
            break
        bit = number * stride % bits

        def changed(copy: bytearray, bit: int = bit) -> None:
            copy[bit >> 3] ^= 1 << (bit & 7)

        verdict = judge(copies(directory, raw, changed), known)
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
        if verdict == until:
            break
    print(f"{sum(verdicts.values())} flips: {verdicts}")
    return verdicts


def test_every_flipped_bit(store_path: Path, memory: Path) -> None:
    """A flipped bit is refused, found, or does no harm."""
    known = make(store_path)
    verdicts = flip(store_path.read_bytes(), known, memory)
    assert "SILENT" not in verdicts
    assert verdicts["found"] and verdicts["harmless"]


def test_flipped_bits_without_checksums(
    store_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: without checksums the same flips tell lies."""
    known = make(store_path)
    raw = store_path.read_bytes()
    place = raw.index(b"alias two")

    def changed(copy: bytearray) -> None:
        copy[place + 6] ^= 1

    assert judge(copies(memory, raw, changed), known) == "found"

    def anything(number: int, bits: bytes, *_: object) -> bytes:
        return bits

    def sum_of(columns: tuple[Any, ...]) -> int:
        return current[0]

    current = [0]

    def record_of(row: tuple[Any, ...], *args: Any) -> ndis.IdentityRecord:
        current[0] = row[-1]
        return original(row, *args)

    original = _rows.identity_record
    monkeypatch.setattr(_rows, "page_bits", anything)
    monkeypatch.setattr(_rows, "identity_checksum", sum_of)
    monkeypatch.setattr(_rows, "identity_record", record_of)
    monkeypatch.setattr(SqliteStore, "check", lambda _: [])
    assert judge(copies(memory, raw, changed), known) == "SILENT"
    assert "SILENT" in flip(raw, known, memory, until="SILENT")


def test_truncated(store_path: Path, memory: Path) -> None:
    """Cut off anywhere it is refused, found, or nothing is lost."""
    known = make(store_path)
    raw = store_path.read_bytes()
    verdicts = {}
    some = [*range(1, 9), *range(512, len(raw), 512), len(raw) - 1]
    for size in range(1, len(raw)) if FLIPS_ALL else some:

        def changed(copy: bytearray, size: int = size) -> None:
            del copy[size:]

        verdict = judge(copies(memory, raw, changed), known)
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
    print(f"{sum(verdicts.values())} truncations: {verdicts}")
    # The last few bytes are zeros, as which SQLite reads what is not there.
    assert verdicts.keys() <= {"refused", "found", "harmless"}
    assert verdicts["harmless"] < 16


# -- places


def as_nobody(
    path: Path, body: str = "SqliteStore(sys.argv[1])"
) -> tuple[str, str]:
    """Name and text of what opening it raises, for another user."""
    # Once before, for whatever is imported late: the other user may not be
    # able to read the interpreter's own files.
    program = (
        "import os, sys, tempfile\n"
        "import ndisbridge\n"
        "from ndisbridge.persistence import *\n"
        "from ndisbridge.persistence.sqlite import SqliteStore\n"
        "with tempfile.TemporaryDirectory() as name:\n"
        "    SqliteStore(name + '/a/db').close()\n"
        "    SqliteStore(name + '/a/db', read_only=True).close()\n"
        "    try: SqliteStore(name + '/a/b/c/db')\n"
        "    except StoreError: pass\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        f"try: {body}\n"
        "except StoreError as e: print(type(e).__name__, e, sep='\\n')\n"
        "else: print('no error\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    name, text = done.stdout.split("\n", 1)
    return name, text


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Where another user can get to."""
    directory = scratch() / f"ndisbridge-open-{os.getpid()}"
    directory.mkdir(0o755)
    directory.chmod(0o755)
    yield directory / "ndis.db"
    shutil.rmtree(directory)


@root_only
def test_read_only_file(open_path: Path) -> None:
    """Who may not write his own file is told, and may read it."""
    make(open_path)
    os.chown(open_path.parent, NOBODY, NOBODY)
    for each in open_path.parent.iterdir():
        os.chown(each, NOBODY, NOBODY)
    open_path.chmod(0o400)
    with nothing_changes(open_path):
        name, text = as_nobody(open_path)
        assert name == "StorePermissionError"
        assert str(open_path) in text and "mode" in text
        assert (
            as_nobody(open_path, "SqliteStore(sys.argv[1], read_only=True)")[0]
            == "no error"
        )


@root_only
def test_read_only_directory(open_path: Path) -> None:
    """Where no log can be made nothing is written."""
    make(open_path)
    for each in open_path.parent.iterdir():
        os.chown(each, NOBODY, NOBODY)
    open_path.parent.chmod(0o555)
    with nothing_changes(open_path):
        name, text = as_nobody(open_path)
    assert name == "StorePermissionError"
    assert str(open_path) in text
    # And where there is no store yet.
    empty = open_path.with_name("new.db")
    name, text = as_nobody(empty)
    assert name == "StorePermissionError"
    assert str(empty) in text
    assert not empty.exists()


@root_only
def test_file_of_another_user(open_path: Path) -> None:
    """Another user's store, who could change it at any time, is refused."""
    make(open_path)
    os.chown(open_path, NOBODY - 1, 0)
    refuse(persistence.StorePermissionError, open_path, "belongs to another")


def test_missing_directory(tmp_path: Path) -> None:
    """Only one level is made; else the command that makes it is told."""
    path = tmp_path / "a" / "b" / "ndis.db"
    with pytest.raises(persistence.StoreNotFoundError, match="mkdir -p") as e:
        ndis.Session(path)
    assert str(path) in str(e.value)
    assert not (tmp_path / "a").exists()


def test_file_as_directory(tmp_path: Path) -> None:
    """A path through a file is no path."""
    (tmp_path / "file").write_text("kept")
    path = tmp_path / "file" / "ndis.db"
    with pytest.raises(StoreError) as caught:
        ndis.Session(path)
    assert str(path) in str(caught.value)
    assert (tmp_path / "file").read_text() == "kept"


def test_symbolic_link(tmp_path: Path, store_path: Path) -> None:
    """A link may lead anywhere, and elsewhere at any time."""
    make(store_path)
    link = tmp_path / "link"
    link.symlink_to(store_path)
    before = contents(store_path.parent)
    refuse(persistence.StorePermissionError, link, "path of the file itself")
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "elsewhere")
    refuse(persistence.StorePermissionError, dangling, "symbolic link")
    assert not (tmp_path / "elsewhere").exists()
    assert contents(store_path.parent) == before


def test_hard_link(tmp_path: Path, store_path: Path) -> None:
    """Under a second name it would have a second log."""
    make(store_path)
    os.link(store_path, tmp_path / "second")
    refuse(persistence.StorePermissionError, store_path, "remove the others")
    refuse(persistence.StorePermissionError, tmp_path / "second", "hard links")


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", ".lock", "-journal"])
def test_pipe(store_path: Path, suffix: str) -> None:
    """A pipe, there or beside, is refused, and nobody waits for its end."""
    store_path.parent.mkdir(0o700)
    os.mkfifo(f"{store_path}{suffix}", 0o600)
    if suffix:
        store_path.touch(0o600)
    start = time.monotonic()
    refuse(persistence.StoreCorruptError, store_path, "not a regular file")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("which", ["file", "directory"])
def test_world_writable(store_path: Path, which: str) -> None:
    """What everybody can write nobody can rely on."""
    make(store_path)
    (store_path if which == "file" else store_path.parent).chmod(0o777)
    with nothing_changes(store_path):
        with pytest.raises(
            persistence.StorePermissionError, match="chmod o-w"
        ) as caught:
            ndis.Session(store_path)
    assert str(store_path) in str(caught.value)


# -- disks


@contextlib.contextmanager
def mounted(directory: Path, *command: str) -> Iterator[None]:
    directory.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", *command, str(directory)], stderr=subprocess.DEVNULL
    )
    if done.returncode:
        pytest.skip(f"can't mount here: {' '.join(command)}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


@root_only
def test_full_disk(tmp_path: Path) -> None:
    """What there is no room for is refused as a whole; the rest stays."""
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"):
        path = disk / "ndis.db"
        made = {}
        with ndis.Session(path) as session:
            provider = session.register_provider("p")
            filler = disk / "filler"
            for i in range(1000):
                if i == 10:
                    with contextlib.suppress(OSError):
                        filler.write_bytes(bytes(1 << 20))
                try:
                    identity = provider.identity(f"k{i}", TUNNEL)
                except persistence.StoreFullError as error:
                    assert str(path) in str(error)
                    assert "make some" in str(error)
                    break
                made[identity.key] = identity.net_luid
            else:
                pytest.fail("it never got full")
            assert len(made) >= 10
            # Look-ups go on, and so does everything once there is room.
            for key, net_luid in made.items():
                found = provider.find(key)
                assert found is not None and found.net_luid == net_luid
            filler.unlink()
            later = provider.identity("later", TUNNEL)
            assert later.net_luid not in made.values()
            assert session.store.check() == []
        with ndis.Session(path) as session:
            assert len(list(session.identities())) == len(made) + 1


@root_only
def test_disk_without_any_room(tmp_path: Path) -> None:
    """A store that can't even be made says why."""
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs"):
        with pytest.raises(persistence.StoreFullError) as caught:
            with ndis.Session(disk / "ndis.db") as session:
                provider = session.register_provider("p")
                for i in range(1000):
                    provider.identity(f"k{i}", TUNNEL)
        assert str(disk / "ndis.db") in str(caught.value)


def test_network_file_system(tmp_path: Path) -> None:
    """Each mount is taken for what it is, from the kernel's own words."""
    text = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "30 22 0:45 / /mnt/nfs rw - nfs4 server:/x rw,vers=4.2\n"
        "31 22 0:46 / /mnt/p9 rw - 9p host rw,trans=virtio\n"
        "32 22 0:47 / /mnt/ssh\\040fs rw - fuse.sshfs me@there: rw\n"
        "33 22 0:48 / /mnt/ov rw master:3 - overlay overlay rw\n"
    )
    mounts = tmp_path / "mountinfo"
    mounts.write_text(text)
    for device, kind, network in (
        ((8, 1), "ext4", False),
        ((0, 45), "nfs4", True),
        ((0, 46), "9p", True),
        ((0, 47), "fuse.sshfs", True),
        ((0, 48), "overlay", False),
        ((0, 99), "", False),
    ):
        found = _files.mounted_type(os.makedev(*device), str(mounts))
        assert found == kind
        assert _files.is_network_type(found) is network
    assert _files.mounted_type(0, str(tmp_path / "none")) == ""


@root_only
def test_a_real_network_file_system(tmp_path: Path) -> None:
    """A store on one is refused before anything is made there."""
    served = tmp_path / "served"
    served.mkdir()
    disk = tmp_path / "disk"
    for command in (
        ("-t", "nfs", "-o", "soft,timeo=1,retry=0", f"127.0.0.1:{served}"),
        ("-t", "9p", "-o", "trans=virtio", "share"),
    ):
        disk.mkdir(exist_ok=True)
        done = subprocess.run(
            ["timeout", "5", "mount", *command, str(disk)],
            stderr=subprocess.DEVNULL,
        )
        if done.returncode == 0:
            break
    else:
        pytest.skip("neither NFS nor 9p can be mounted here")
    try:
        with pytest.raises(
            persistence.NetworkFileSystemError, match="local disk"
        ):
            ndis.Session(disk / "ndis.db")
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
