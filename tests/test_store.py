# SPDX-License-Identifier: MIT
"""The SQLite store: what it keeps, what it shares, what it refuses."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import errno
import fcntl
import itertools
import os
import pickle
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

import apsw
import pytest
from calling import Threads

import ndisbridge as ndis
from ndisbridge import persistence
from ndisbridge.persistence import _files, _rows, _schema
from ndisbridge.persistence._group import Change, Group
from ndisbridge.persistence._liveness import LockFile
from ndisbridge.persistence.memory import MemoryStore
from ndisbridge.persistence.sqlite import SqliteStore

TUNNEL = int(ndis.IfType.TUNNEL)


def mask_of(*positions: int) -> bytes:
    number = 0
    for position in positions:
        number |= 1 << position
    return number.to_bytes(512, "little")


def record_of(key: str, net_luid_index: int, **values) -> ndis.IdentityRecord:
    values.setdefault("interface_guid", uuid.uuid4())
    return ndis.IdentityRecord(
        compartment="",
        provider="test",
        key=key,
        net_luid=int(ndis.NetLuid.make(TUNNEL, net_luid_index)),
        **values,
    )


def sets_of(*records: ndis.IdentityRecord) -> list[persistence.IndexSet]:
    """The retained indexes of identities, as the core gives them."""
    bits: dict[int, dict[int, int]] = {}
    for each in records:
        indexes = [(each.net_luid >> 48, each.net_luid >> 24 & 0xFFFFFF)]
        if each.if_index_owned:
            indexes.append((0, each.if_index))
        for if_type, index in indexes:
            blocks = bits.setdefault(if_type, {})
            blocks[index >> 12] = blocks.get(index >> 12, 0) | 1 << (
                index & 4095
            )
    return [
        (
            if_type,
            [(block, mask.to_bytes(512, "little")) for block, mask in found],
        )
        for if_type, found in (
            (if_type, blocks.items()) for if_type, blocks in bits.items()
        )
    ]


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    """Closes what a test opens, even if it fails."""
    with contextlib.ExitStack() as stack:
        yield stack


def open_store(
    stack: contextlib.ExitStack, path: Path, **options
) -> SqliteStore:
    return stack.enter_context(
        contextlib.closing(SqliteStore(path, **options))
    )


def with_identity(
    store: SqliteStore, key: str = "k", index: int = 0, **values
) -> ndis.IdentityRecord:
    """An identity of a store, made in blocks that it leases."""
    record = record_of(key, index, **values)
    for if_type, blocks in sets_of(record):
        for block, _ in blocks:
            store.lease_blocks(if_type, block, block, 1)
    store.retain(
        sets_of(record) if record.persistent else (),
        [record],
        persistent=record.persistent,
    )
    return record


def in_process(path: Path, body: str) -> subprocess.Popen[str]:
    """Another process with a store of its own open as ``store``."""
    program = (
        "import sys, os, signal\n"
        "from ndisbridge.persistence.sqlite import SqliteStore\n"
        "import ndisbridge as ndis\n"
        f"store = SqliteStore({str(path)!r})\n{body}\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "store.close()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=300)
    assert process.returncode == 0


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=300)


@pytest.mark.smoke
def test_identity_survives(store_path: Path) -> None:
    """An identity is the same after close and open, in every member."""
    with ndis.Session(store_path) as session:
        provider = session.register_provider("acme")
        made = provider.identity(
            "tunnel/berlin", TUNNEL, alias="Berlin ☃", attributes={"a": "ß"}
        )
    with ndis.Session(store_path) as session:
        provider = session.register_provider("acme")
        found = provider.identity("tunnel/berlin", TUNNEL)
        assert found.record == made.record.__class__(
            **{
                name: getattr(made.record, name)
                for name in made.record.__dataclass_fields__
                if name != "created"
            },
            created=found.record.created,
        )
        assert found.if_index == 0x800000
        assert session.store.check() == []


def test_many_processes_make_it_at_once(tmp_path: Path) -> None:
    """Whoever is first makes it; nobody is refused."""
    worker = Path(__file__).parent / "workers" / "open_at_once.py"
    done = subprocess.run(
        [sys.executable, worker, tmp_path, "30", "8"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_leases_are_disjoint(store_path: Path) -> None:
    """No block is leased by two sessions; what is returned can be had."""
    one, two = SqliteStore(store_path), SqliteStore(store_path)
    first = [block for block, _ in one.lease_blocks(6, 0, 4095, 3)]
    second = [block for block, _ in two.lease_blocks(6, 0, 4095, 3)]
    assert first == [0, 1, 2]
    assert second == [3, 4, 5]
    assert two.lease_blocks(6, 1, 1, 1) == []
    one.return_blocks(6, [1])
    assert two.lease_blocks(6, 1, 1, 1) == [(1, bytes(512))]
    assert {info.session_id for info in two.lease_holders(6)} == {
        one.session_id,
        two.session_id,
    }
    one.close()
    assert two.lease_blocks(6, 0, 4095, 1) == [(0, bytes(512))]
    two.close()


def test_only_the_rest_of_the_range(store_path: Path) -> None:
    """Leases stay inside the range, and end when it is used up."""
    store = SqliteStore(store_path)
    found = store.lease_blocks(0, 2048, 4095, 4096)
    assert [block for block, _ in found] == list(range(2048, 4096))
    assert store.lease_blocks(0, 2048, 4095, 1) == []
    store.close()


def test_dead_session_is_reclaimed_at_a_lease(store_path: Path) -> None:
    """What a killed process had leased can be leased when all is gone."""
    store = SqliteStore(store_path)
    process = in_process(
        store_path,
        "print(len(store.lease_blocks(6, 0, 4095, 4096)), file=sys.stderr)",
    )
    assert store.lease_blocks(6, 0, 4095, 1) == []
    kill(process)
    assert store.lease_blocks(6, 0, 4095, 1) == [(0, bytes(512))]
    assert [each.kind for each in store.check()] == []
    store.close()


def test_dead_session_is_reclaimed_at_any_lease(store_path: Path) -> None:
    """A dead session goes with the next lease, though blocks are left."""
    store = SqliteStore(store_path)
    process = in_process(store_path, "store.lease_blocks(6, 0, 4095, 3)")
    kill(process)
    assert len(store.check()) == 1
    assert store.lease_blocks(71, 0, 4095, 1) == [(0, bytes(512))]
    assert store.check() == []
    assert [each.leased_blocks for each in store.stats().types] == [1]
    store.close()


def test_dead_session_is_reclaimed_at_open(store_path: Path) -> None:
    """Marks, leases and non-persistent identities of the dead are void."""
    process = in_process(
        store_path,
        "s = ndis.Session(store)\np = s.register_provider('acme')\n"
        "p.register_interface(p.identity('kept', 131))\n"
        "p.identity('gone', 131, persistent=False)",
    )
    with ndis.Session(store_path) as session:
        provider = session.register_provider("acme")
        kept = provider.find("kept")
        assert kept is not None
        assert kept.record.in_use_by is not None
        assert kept.record.in_use_by.pid == process.pid
        with pytest.raises(ndis.IdentityInUseError, match=str(process.pid)):
            provider.register_interface(kept)
        with pytest.raises(ndis.IdentityInUseError):
            kept.release()
    kill(process)
    with ndis.Session(store_path) as session:
        provider = session.register_provider("acme")
        kept = provider.find("kept")
        assert kept is not None
        assert kept.record.in_use_by is None
        assert provider.find("gone") is None
        provider.register_interface(kept)
        assert session.store.check() == []


def test_non_persistent_ends_with_its_session(store_path: Path) -> None:
    """A clean end releases a non-persistent identity and its index."""
    with ndis.Session(store_path) as session:
        provider = session.register_provider("acme")
        identity = provider.identity("x", TUNNEL, persistent=False)
        net_luid = identity.net_luid
        provider.register_interface(identity).deregister()
    with ndis.Session(store_path) as session:
        provider = session.register_provider("acme")
        assert provider.find("x") is None
        session.claim_net_luid_index(TUNNEL, net_luid.net_luid_index)


def test_not_persistent_is_not_taken_for_persistent(
    any_session: ndis.Session,
) -> None:
    """Who asks for a lasting identity does not get one that ends."""
    provider = any_session.register_provider("acme")
    provider.identity("x", TUNNEL, persistent=False)
    with pytest.raises(ndis.IdentityConflictError, match="ends with"):
        provider.identity("x", TUNNEL)
    assert not provider.identity("x", TUNNEL, persistent=False).persistent


def test_what_ended_with_the_dead_is_not_seen(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """A dead session's non-persistent identity is gone before any reclaim."""
    store = open_store(opened, store_path)
    process = in_process(
        store_path,
        "s = ndis.Session(store)\np = s.register_provider('test')\n"
        "p.identity('k', 131, persistent=False)",
    )
    found = store.find("", "test", "k")
    assert found is not None
    (block,) = store.lease_blocks(TUNNEL, 1, 1, 1)
    kill(process)
    reader = open_store(opened, store_path, read_only=True)
    for each in (store, reader):
        assert each.find("", "test", "k") is None
        assert each.find_by_net_luid(found.net_luid) is None
        assert each.find_by_guid(found.interface_guid) is None
        assert each.find_by_if_index(found.if_index) == []
        assert each.identities() == []
    with pytest.raises(persistence.NotRetainedError):
        store.confirm([found.net_luid], [0])
    # No lease is asked for here, which would have reclaimed.
    lasting = record_of("k", block[0] * 4096)
    store.retain(sets_of(lasting), [lasting])
    assert store.check() == []


def test_not_persistent_and_of_another(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """Another's non-persistent identity is neither registered nor released."""
    one, two = (open_store(opened, store_path) for _ in range(2))
    record = with_identity(one, persistent=False)
    with pytest.raises(ndis.IdentityInUseError, match="ends with it") as info:
        two.confirm([record.net_luid], [0])
    assert info.value.holder is not None
    assert info.value.holder.session_id == one.session_id
    for store, persistent in ((two, False), (two, True), (one, True)):
        with pytest.raises(persistence.NotRetainedError):
            store.release(sets_of(record), [record], persistent=persistent)
    one.confirm([record.net_luid], [0])
    one.unconfirm([record.net_luid])
    one.release((), [record], persistent=False)
    lasting = with_identity(one)
    with pytest.raises(persistence.NotRetainedError, match="lasts"):
        one.release((), [lasting], persistent=False)
    assert one.check() == []


def test_release_of_what_is_registered_here(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """This session's own mark is in the way of a release, too."""
    store = open_store(opened, store_path)
    record = with_identity(store)
    bare = record_of("", 5)
    store.retain(sets_of(bare), ())
    for each, identities in ((record, [record]), (bare, [])):
        store.confirm([each.net_luid], [0])
        with pytest.raises(ndis.IdentityInUseError, match="this session"):
            store.release(sets_of(each), identities)
        store.unconfirm([each.net_luid])
        store.release(sets_of(each), identities)
    assert store.check() == []


def test_mark_of_the_dead_goes_with_its_index(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """Nobody's mark is left on an index that is given up."""
    store = open_store(opened, store_path)
    bare = record_of("", 5)
    store.lease_blocks(TUNNEL, 0, 0, 1)
    store.retain(sets_of(bare), ())
    process = in_process(store_path, f"store.confirm([{bare.net_luid}], [0])")
    with pytest.raises(ndis.IdentityInUseError, match=str(process.pid)):
        store.release(sets_of(bare), ())
    kill(process)
    store.release(sets_of(bare), ())
    assert {each.kind for each in store.check()} == {"session"}


def test_release_of_another_if_index(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """A record that was tampered with cannot free another's ifIndex."""
    store = open_store(opened, store_path)
    one, two = (
        with_identity(
            store,
            key,
            index=index,
            if_index=0x800000 + index,
            if_index_owned=True,
        )
        for index, key in enumerate("ab")
    )
    for forged in (
        dataclasses.replace(one, if_index=two.if_index),
        dataclasses.replace(one, if_index=0, if_index_owned=False),
    ):
        with pytest.raises(persistence.IdentityConflictError):
            store.release(sets_of(forged), [forged])
    with pytest.raises(persistence.IdentityConflictError):
        store.release(sets_of(one)[1:], [one])
    assert store.check() == []
    store.release(sets_of(one, two), [one, two])
    assert store.check() == []
    assert store.stats().types == (
        persistence.TypeStats(0, 0, 1),
        persistence.TypeStats(TUNNEL, 0, 1),
    )


def test_race_for_a_key(store_path: Path) -> None:
    """Sixteen threads of two sessions get one identity for one key."""
    found = set()
    with ndis.Session(store_path) as one, ndis.Session(store_path) as two:
        providers = [s.register_provider("acme") for s in (one, two)]
        barrier = threading.Barrier(16)

        def ask(provider: ndis.Provider) -> None:
            barrier.wait()
            found.add(provider.identity("same", TUNNEL).net_luid)

        threads = [
            threading.Thread(target=ask, args=(providers[i % 2],))
            for i in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
        assert len(found) == 1
        assert one.store.check() == []
        held = sum(
            s.count_net_luid_indexes(TUNNEL).allocated for s in (one, two)
        )
        assert held == 0


def test_other_if_type_is_a_conflict(store_path: Path) -> None:
    """A key cannot change its IfType."""
    with ndis.Session(store_path) as session:
        provider = session.register_provider("acme")
        provider.identity("k", TUNNEL)
        with pytest.raises(ndis.IdentityConflictError, match="tunnel"):
            provider.identity("k", 6)


def test_million_indexes_one_transaction(store_path: Path) -> None:
    """A million retained indexes are there again, and can be released."""
    with ndis.Session(store_path) as session:
        indexes = session.allocate_net_luid_indexes(6, 1_000_000)
        session.retain_net_luid_indexes(6, indexes)
        with pytest.raises(ndis.InvalidParameterError):
            session.free_net_luid_index(6, indexes[5])
    with ndis.Session(store_path) as session:
        fresh = session.allocate_net_luid_indexes(6, 10_000)
        assert not set(fresh) & set(indexes)
        session.release_net_luid_indexes(6, indexes)
        assert session.store.stats().types[0].retained == 0
        with pytest.raises(persistence.NotRetainedError):
            session.release_net_luid_indexes(6, indexes)
        assert session.store.check() == []


def test_retain_is_all_or_nothing(store_path: Path) -> None:
    """A retain that fails changes nothing, in the store and in the core."""
    with ndis.Session(store_path) as session:
        a, b = session.allocate_net_luid_indexes(6, 2)
        with pytest.raises(ndis.InvalidParameterError):
            session.retain_net_luid_indexes(6, [a, b, b])
        session.retain_net_luid_indexes(6, [a])
        with pytest.raises(ndis.InvalidParameterError):
            session.retain_net_luid_indexes(6, [b, a])
        session.free_net_luid_index(6, b)
        session.release_net_luid_indexes(6, [a])
        assert session.store.check() == []


def test_an_identity_is_not_released_by_its_index(store_path: Path) -> None:
    """A bare release cannot take an identity's index away."""
    with ndis.Session(store_path) as session:
        identity = session.register_provider("p").identity("k", TUNNEL)
        index = identity.net_luid.net_luid_index
        with pytest.raises(persistence.NotRetainedError, match="identity"):
            session.release_net_luid_indexes(TUNNEL, [index])
        identity.release()
        with pytest.raises(persistence.NotRetainedError):
            identity.release()
        assert session.store.check() == []


def test_lease_lost(store_path: Path) -> None:
    """A session whose row is gone cannot retain, and says why."""
    with ndis.Session(store_path) as session:
        index = session.allocate_net_luid_index(6)
        db = apsw.Connection(str(store_path))
        db.execute("DELETE FROM sessions")
        db.close()
        with pytest.raises(ndis.LeaseLostError):
            session.retain_net_luid_indexes(6, [index])
        session.free_net_luid_index(6, index)


def test_confirm_of_what_is_not_retained(store_path: Path) -> None:
    """A NET_LUID that nobody has retained cannot be registered."""
    with ndis.Session(store_path) as session:
        provider = session.register_provider("p")
        with pytest.raises(persistence.NotRetainedError):
            provider.register_interface(ndis.NetLuid.make(6, 77))


def test_if_index_of_another(store_path: Path) -> None:
    """An identity's own ifIndex cannot be registered by another."""
    with ndis.Session(store_path) as session:
        provider = session.register_provider("p")
        one, two = (provider.identity(k, TUNNEL) for k in ("a", "b"))
        with pytest.raises(persistence.IdentityConflictError, match="'a'"):
            provider.register_interface(two, if_index=one.if_index)
        registered = provider.register_interface(two)
        assert registered.if_index == two.if_index


def test_update(store_path: Path) -> None:
    """Alias and attributes are durable; the NET_LUID cannot change."""
    with ndis.Session(store_path) as session:
        identity = session.register_provider("p").identity("k", TUNNEL)
        identity.update(alias="new", attributes={"x": "y"})
        with pytest.raises(persistence.IdentityConflictError):
            session.store.update(identity.net_luid, if_index=5)
        with pytest.raises(persistence.IdentityConflictError):
            session.store.update(identity.net_luid, key="other")
    with ndis.Session(store_path) as session:
        found = session.register_provider("p").identity("k", TUNNEL)
        assert (found.alias, found.record.attributes) == ("new", {"x": "y"})
        assert session.store.check() == []


# -- what is refused


def refuse(error: type[BaseException], path: Path, match: str) -> None:
    with pytest.raises(error, match=match) as caught:
        ndis.Session(path)
    assert str(path) in str(caught.value)


def make(path: Path) -> None:
    with ndis.Session(path) as session:
        provider = session.register_provider("p")
        for i in range(20):
            provider.identity(f"k{i}", TUNNEL)


def test_newer_schema(store_path: Path) -> None:
    """A store of a newer version is refused and left alone."""
    make(store_path)
    db = apsw.Connection(str(store_path))
    db.execute(f"PRAGMA user_version = {_schema.VERSION + 1}")
    db.close()
    before = store_path.read_bytes()
    refuse(persistence.StoreVersionError, store_path, "upgrade")
    assert store_path.read_bytes() == before


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER t AFTER INSERT ON leases BEGIN SELECT 1; END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE extra(x)",
        "DROP INDEX in_use_session",
    ],
)
def test_foreign_schema(store_path: Path, sql: str) -> None:
    """A store with anything else in it is refused."""
    make(store_path)
    db = apsw.Connection(str(store_path))
    db.execute(sql)
    db.close()
    refuse(persistence.StoreCorruptError, store_path, "tables")


def test_foreign_database(tmp_path: Path) -> None:
    """Somebody else's database is refused and left alone."""
    path = tmp_path / "other.db"
    db = apsw.Connection(str(path))
    db.execute("CREATE TABLE x(y)")
    db.close()
    os.chmod(path, 0o600)
    refuse(persistence.StoreCorruptError, path, "no store")


def test_no_database(tmp_path: Path) -> None:
    """A file that is no database is refused and left alone."""
    path = tmp_path / "text"
    path.write_text("not a database, but long enough to look like one" * 20)
    os.chmod(path, 0o600)
    refuse(persistence.StoreCorruptError, path, "not a store")
    assert path.read_text().startswith("not a database")


def test_symbolic_link(tmp_path: Path, store_path: Path) -> None:
    """A symbolic link is refused."""
    make(store_path)
    link = tmp_path / "link"
    link.symlink_to(store_path)
    refuse(persistence.StorePermissionError, link, "symbolic link")


def test_hard_link(tmp_path: Path, store_path: Path) -> None:
    """A file with two names is refused."""
    make(store_path)
    os.link(store_path, tmp_path / "second")
    refuse(persistence.StorePermissionError, store_path, "hard links")


def test_world_writable(store_path: Path) -> None:
    """A store that everybody can write is refused, and the cure is named."""
    make(store_path)
    os.chmod(store_path, 0o666)
    refuse(persistence.StorePermissionError, store_path, "chmod o-w")
    os.chmod(store_path, 0o600)
    os.chmod(store_path.parent, 0o777)
    refuse(persistence.StorePermissionError, store_path, "chmod o-w")


def test_missing_directory(tmp_path: Path) -> None:
    """More than one missing directory is not made."""
    path = tmp_path / "a" / "b" / "ndis.db"
    refuse(persistence.StoreNotFoundError, path, "mkdir -p")
    assert not (tmp_path / "a").exists()


def test_directory_as_store(tmp_path: Path) -> None:
    """A directory is no store."""
    refuse(persistence.StoreCorruptError, tmp_path, "regular file")


def test_modes(store_path: Path) -> None:
    """What is made is for its owner only."""
    make(store_path)
    assert store_path.parent.stat().st_mode & 0o777 == 0o700
    assert store_path.stat().st_mode & 0o777 == 0o600
    lock = Path(f"{store_path}.lock")
    assert lock.stat().st_mode & 0o777 == 0o600


def test_network_file_systems_are_known(tmp_path: Path) -> None:
    """Local file systems pass, the usual network ones do not."""
    here = _files.file_system_type(str(tmp_path))
    assert here
    local = {here, "ext4", "xfs", "tmpfs", "overlay", "fuseblk", "fuse.ext4"}
    network = {"nfs", "nfs4", "cifs", "virtiofs", "vboxsf", "fuse.sshfs"}
    unknown = {"fuse.vmhgfs-fuse", "fuse.something", "fuse"}
    for kind in local:
        assert not _files.is_network_type(kind)
    for kind in network | unknown:
        assert _files.is_network_type(kind)


def test_mount_that_is_no_utf_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount point of any bytes keeps no store from being opened."""
    device = os.stat(tmp_path).st_dev
    numbers = f"{os.major(device)}:{os.minor(device)}".encode()
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(
        b"1 2 9:9 / /mnt/\xff rw - tmpfs tmpfs rw\n"
        b"2 2 " + numbers + b" / / rw - somefs /dev/x rw\n"
    )
    monkeypatch.setattr(
        _files,
        "open",
        lambda path, **options: mounts.open(**options),
        raising=False,
    )
    assert _files.file_system_type(str(tmp_path)) == "somefs"


@pytest.mark.parametrize("umask", [0o077, 0o000])
@pytest.mark.parametrize("modes", [(0o755, 0o644), (0o700, 0o600)])
def test_modes_whatever_the_umask(
    store_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    umask: int,
    modes: tuple[int, int],
) -> None:
    """What is made has the modes of its kind of store; the rest is kept."""
    monkeypatch.setattr(_files, "modes", lambda path: modes)
    before = os.umask(umask)
    try:
        SqliteStore(store_path).close()
        paths = (store_path.parent, store_path, Path(f"{store_path}.lock"))
        found = [each.stat().st_mode & 0o777 for each in paths]
        assert found == [modes[0], modes[1], modes[1]]
        for each in paths:
            each.chmod(0o740 if each.is_dir() else 0o640)
        SqliteStore(store_path).close()
        found = [each.stat().st_mode & 0o777 for each in paths]
        assert found == [0o740, 0o640, 0o640]
    finally:
        os.umask(before)


@pytest.mark.parametrize("suffix", [".lock", "-wal", "-shm", "-journal"])
def test_files_beside_the_store(
    tmp_path: Path, store_path: Path, suffix: str
) -> None:
    """What somebody else may have put beside a store is not used."""
    make(store_path)
    beside = Path(f"{store_path}{suffix}")
    beside.unlink(missing_ok=True)
    beside.touch()
    beside.chmod(0o666)
    refuse(persistence.StorePermissionError, store_path, f"chmod .*{suffix}")
    with pytest.raises(persistence.StorePermissionError):
        SqliteStore(store_path, read_only=True)
    beside.unlink()
    beside.symlink_to(tmp_path / "elsewhere")
    refuse(persistence.StorePermissionError, store_path, "symbolic link")
    beside.unlink()
    beside.mkdir()
    refuse(persistence.StoreCorruptError, store_path, "regular file")
    beside.rmdir()
    make(store_path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["", ":memory:", "file:x?mode=memory"])
def test_names_that_mean_something_to_sqlite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A store is a path, or there is none."""
    monkeypatch.chdir(tmp_path)
    for opening in (persistence.open_store, SqliteStore):
        with pytest.raises(persistence.StoreError, match="in memory"):
            opening(name)
    assert list(tmp_path.iterdir()) == []


def test_paths(tmp_path: Path) -> None:
    """Any UTF-8 path will do, as text or as bytes; others are refused."""
    odd = tmp_path / "ü ?#%20.db"
    store = persistence.open_store(os.fsencode(odd))
    store.close()
    assert odd.exists()
    SqliteStore(os.fsencode(odd), read_only=True).close()
    for name, match in (
        (b"\xff\xfe.db", "UTF-8"),
        (b"x" * 300, "too long"),
        (b"/".join([b"x" * 200] * 3), "too long"),
        (b"a\0b", "NUL"),
    ):
        path = os.fsencode(tmp_path) + b"/" + name
        with pytest.raises(persistence.StoreError, match=match) as caught:
            persistence.open_store(path)
        str(caught.value).encode()
        assert caught.value.store.startswith(str(tmp_path))


def test_longest_paths(tmp_path: Path) -> None:
    """What is not called too long can be opened."""
    directory = tmp_path
    while len(str(directory)) < 504 - 247 - 2:
        room = 504 - 247 - 2 - len(str(directory))
        directory /= "d" * min(200, room)
    directory.mkdir(parents=True)
    longest = directory / ("n" * (504 - len(str(directory)) - 1))
    SqliteStore(longest).close()
    with pytest.raises(persistence.StoreError, match="too long"):
        SqliteStore(f"{longest}n")


def test_text_that_cannot_be_stored(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """Keys and aliases are Unicode, attributes map str to str."""
    store = open_store(opened, store_path)
    record = with_identity(store)
    conflict = persistence.IdentityConflictError
    with pytest.raises(conflict, match="Unicode"):
        store.find("", "test", "\udcff")
    with pytest.raises(conflict, match="Unicode"):
        store.retain((), [record_of("\udcff", 7)], persistent=False)
    with pytest.raises(conflict, match="Unicode"):
        store.update(record.net_luid, alias="\ud800")
    with pytest.raises(TypeError, match="str"):
        store.update(record.net_luid, attributes={"x": 1})
    with pytest.raises(TypeError, match="str"):
        record_of("x", 8, attributes={1: "x"})
    assert store.identities()[0].alias == ""
    assert store.check() == []


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("3.40.1", False),
        ("3.44.5", False),
        ("3.44.6", True),
        ("3.45.0", False),
        ("3.50.6", False),
        ("3.50.7", True),
        ("3.51.2", False),
        ("3.51.3", True),
        ("3.52.0", True),
    ],
)
def test_sqlite_with_the_race(
    store_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    fits: bool,
) -> None:
    """Nothing is written with a SQLite that can damage it."""
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: version)
    if fits:
        SqliteStore(store_path).close()
    else:
        refuse(persistence.StoreError, store_path, "upgrade apsw")
        assert not store_path.exists()


# -- files that go away


@pytest.mark.parametrize("suffix", ["", ".lock"])
@pytest.mark.parametrize("replaced", [False, True])
def test_file_removed_while_open(
    store_path: Path, suffix: str, replaced: bool
) -> None:
    """Nothing is written where nobody would look for it."""
    store = SqliteStore(store_path)
    path = Path(f"{store_path}{suffix}")
    before = path.with_suffix(".before")
    path.rename(before)
    if replaced:
        shutil.copy(before, path)
    for write in (
        lambda: store.lease_blocks(6, 0, 4095, 1),
        lambda: store.update_many([]),
        lambda: store.return_blocks(6, [0]),
    ):
        with pytest.raises(persistence.StoreError, match="removed or repl"):
            write()
    before.replace(path)
    assert len(store.lease_blocks(6, 0, 4095, 1)) == 1
    path.unlink()
    store.close()


def test_lock_file_removed_under_the_living(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """Who can't tell whether sessions are alive does not void them."""
    make(store_path)
    store = open_store(opened, store_path)
    lock = Path(f"{store_path}.lock")
    away = lock.with_suffix(".away")
    lock.rename(away)
    for _ in range(2):
        refuse(
            persistence.StoreError, store_path, rf"pid {os.getpid()}.*touch"
        )
        assert not lock.exists()
    away.rename(lock)
    assert len(store.lease_blocks(6, 0, 4095, 1)) == 1
    store.close()
    lock.unlink()
    make(store_path)


def test_lock_file_removed_and_the_dead(store_path: Path) -> None:
    """The dead of another boot need no lock file; those of this one do."""
    process = in_process(store_path, "pass")
    kill(process)
    lock = Path(f"{store_path}.lock")
    lock.unlink()
    refuse(persistence.StoreError, store_path, str(process.pid))
    lock.touch()
    make(store_path)
    process = in_process(store_path, "pass")
    kill(process)
    lock.unlink()
    db = apsw.Connection(str(store_path))
    db.execute("UPDATE sessions SET boot_id = 'another'")
    db.close()
    make(store_path)


# -- what is on the disk, and what nobody knows


def trace(tmp_path: Path, program: str, *options: str) -> list[str]:
    """Lines of strace: what was flushed, and what was said."""
    output = tmp_path / "trace"
    flags = options or ("-e", "trace=fsync,fdatasync,write")
    if (
        shutil.which("strace") is None
        or subprocess.run(["strace", "-o", "/dev/null", "true"]).returncode
    ):
        pytest.skip("no strace here, or it may not look")
    subprocess.run(
        [
            "strace",
            "-f",
            "-y",
            *flags,
            "-o",
            output,
            sys.executable,
            "-c",
            program,
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return output.read_text().splitlines()


@pytest.mark.parametrize("dead", [True, False])
def test_found_after_a_kill_is_durable(
    tmp_path: Path, store_path: Path, dead: bool
) -> None:
    """What a killed process may not have flushed, the next one has flushed
    before it tells anybody; beside the living, opening does not wait."""
    process = in_process(store_path, "store.lease_blocks(6, 0, 0, 1)")
    if dead:
        kill(process)
    lines = trace(
        tmp_path,
        "import os\n"
        "from ndisbridge.persistence.sqlite import SqliteStore\n"
        f"store = SqliteStore({str(store_path)!r})\n"
        "os.write(1, b'OPEN')\n"
        "store.close()",
    )
    (opened,) = (i for i, line in enumerate(lines) if '"OPEN"' in line)
    flushed = [line for line in lines[:opened] if "-wal>" in line]
    assert bool(flushed) == dead
    if not dead:
        end(process)


def test_what_ends_does_not_wait_for_the_disk(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """Only a change of a lasting identity is flushed."""
    store = open_store(opened, store_path)
    passing = with_identity(store, "a", 0, persistent=False)
    lasting = with_identity(store, "b", 1)
    level = {"FULL": 2, "NORMAL": 1}
    for changed, expected in (
        ([passing], "NORMAL"),
        ([passing, lasting], "FULL"),
        ([lasting], "FULL"),
    ):
        updates = [(each.net_luid, {"alias": "x"}) for each in changed]
        store.lease_blocks(6, 0, 0, 1)
        store.update_many(updates)
        found = store._one("PRAGMA synchronous")
        assert found == level[expected]
        store.lease_blocks(6, 0, 0, 1)
        store.retain((), (), persistent=False, updates=updates)
        assert store._one("PRAGMA synchronous") == level[expected]
    assert {each.alias for each in store.identities()} == {"x"}


class Failing:
    """A connection whose commit fails, before or after it is done."""

    def __init__(self, inner: apsw.Connection, *, done: bool) -> None:
        self._inner = inner
        self._done = done

    def execute(self, sql: str, *args):
        if sql == "COMMIT":
            if self._done:
                self._inner.execute(sql)
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        return self._inner.execute(sql, *args)

    def __getattr__(self, name: str):
        return getattr(self._inner, name)


@pytest.mark.parametrize("done", [True, False])
def test_disk_fails_in_a_commit(
    store_path: Path, opened: contextlib.ExitStack, done: bool
) -> None:
    """Nobody can tell whether it is kept; the store is usable after it."""
    store = open_store(opened, store_path)
    record = record_of("k", 3)
    store.lease_blocks(TUNNEL, 0, 0, 1)
    store._connection = Failing(store._connection, done=done)
    with pytest.raises(persistence.StoreUncertainError, match="look it up"):
        store.retain(sets_of(record), [record])
    assert [each.key for each in store.identities()] == ["k"] * done
    if not done:
        store.retain(sets_of(record), [record])
    store.release(sets_of(record), [record])
    assert store.check() == []


def test_changed_by_a_handler_of_signals(
    opened: dict, store_path: Path
) -> None:
    """One that interrupts a change is refused, and spoils nothing."""
    store = open_store(opened, store_path)
    store.lease_blocks(TUNNEL, 0, 0, 1)
    refused = []

    def handler(*_: object) -> None:
        for call in (
            lambda: store.retain(
                sets_of(record_of("b", 2)), [record_of("b", 2)]
            ),
            lambda: store.lease_blocks(TUNNEL, 1, 1, 1),
        ):
            with pytest.raises(persistence.StoreError, match="already") as it:
                call()
            refused.append(it)

    run = store._check_session

    def interrupted() -> None:
        signal.raise_signal(signal.SIGUSR1)
        run()

    before = signal.signal(signal.SIGUSR1, handler)
    store._check_session = interrupted
    try:
        record = record_of("a", 1)
        store.retain(sets_of(record), [record])
    finally:
        signal.signal(signal.SIGUSR1, before)
        del store._check_session
    assert len(refused) == 2
    assert [each.key for each in store.identities()] == ["a"]
    assert store.check() == []


def test_write_the_kernel_refuses(opened: dict, store_path: Path) -> None:
    """A real error of input and output; the next session goes on."""
    store = open_store(opened, store_path)
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        with pytest.raises(persistence.StoreUncertainError) as caught:
            store.lease_blocks(TUNNEL, 0, 0, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert isinstance(caught.value.__cause__, apsw.IOError)
    store.close()
    store = open_store(opened, store_path)
    assert store.lease_blocks(TUNNEL, 0, 0, 1) == [(0, bytes(512))]
    assert store.check() == []


def test_connection_that_cannot_be_had_again(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store whose connection broke says so each time, and lets go."""
    store = SqliteStore(store_path)
    with monkeypatch.context() as patch:
        patch.setattr(
            _schema,
            "connect",
            lambda *_: (_ for _ in ()).throw(apsw.IOError("gone")),
        )
        store._connection = Failing(store._connection, done=False)
        with pytest.raises(persistence.StoreUncertainError):
            store.lease_blocks(6, 0, 4095, 1)
    for call in (
        lambda: store.lease_blocks(6, 0, 4095, 1),
        lambda: store.find("", "", ""),
        store.identities,
        store.check,
        store.stats,
        lambda: store.unconfirm([1]),
    ):
        with pytest.raises(persistence.StoreError, match="broke") as caught:
            call()
        assert type(caught.value) is persistence.StoreError
    other = SqliteStore(store_path)
    store.close()
    assert other.lease_blocks(6, 0, 4095, 1) == [(0, bytes(512))]
    assert other.check() == []
    other.close()


@pytest.mark.parametrize(
    "code",
    [
        apsw.SQLITE_FULL,
        apsw.SQLITE_IOERR_SHMSIZE,
        apsw.SQLITE_IOERR_SHMOPEN,
    ],
)
def test_no_room(code: int) -> None:
    """However SQLite says it, a full disk is a full disk."""
    error = apsw.exception_for(code)
    assert isinstance(
        _schema.typed(error, "store"), persistence.StoreFullError
    )


def test_error_of_the_disk(opened: dict, store_path: Path) -> None:
    """An error of input and output is one of the store, open or closed."""
    store = open_store(opened, store_path)
    for _ in ("open", "closed"):
        with pytest.raises(persistence.StoreError, match="IOError: no disk"):
            with store._errors():
                raise apsw.IOError("no disk")
        store.close()


@pytest.mark.parametrize(
    ("module", "name"),
    [(fcntl, "fcntl"), (os, "fstat"), (os, "stat")],
    ids=["fcntl", "fstat", "stat"],
)
def test_look_at_the_files_that_fails(
    store_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: types.ModuleType,
    name: str,
) -> None:
    """Whatever the system refuses is an error of the store, at any time."""
    store, other = SqliteStore(store_path), SqliteStore(store_path)

    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    with monkeypatch.context() as patch:
        patch.setattr(module, name, failing)
        for call in (
            lambda: SqliteStore(store_path),
            lambda: store.lease_blocks(TUNNEL, 0, 0xFFFF, 1 << 12),
        ):
            with pytest.raises(persistence.StoreError) as caught:
                call()
            assert type(caught.value) is persistence.StoreError
            assert str(store_path) in str(caught.value)
    assert store.lease_blocks(TUNNEL, 0, 0, 1) == [(0, bytes(512))]
    other.close()
    store.close()


def test_open_that_fails_leaves_nothing_open(store_path: Path) -> None:
    """No descriptor outlives a failed open, whatever keeps the error."""
    process = in_process(store_path, "pass")
    kill(process)
    before = os.listdir("/proc/self/fd")
    kept = []
    for sql, options in (
        ("DELETE FROM root", {}),  # in beginning a session
        ("CREATE TABLE extra(x)", {}),  # in connecting
        ("PRAGMA user_version = 99", {"read_only": True}),
    ):
        db = apsw.Connection(str(store_path))
        db.execute(sql)
        db.close()
        with pytest.raises(persistence.StoreError) as caught:
            SqliteStore(store_path, **options)
        kept.append(caught)
        assert os.listdir("/proc/self/fd") == before


def test_mysql_is_not_pretended() -> None:
    """A URL of a kind that is not there is refused plainly."""
    with pytest.raises(ndis.StoreError, match="not supported"):
        ndis.Session("mysql://localhost/x")


# -- damage


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("identities", "alias", "'forged'"),
        ("identities", "if_index", "if_index + 1000"),
        ("identities", "attributes", '\'{"a": "b"}\''),
        ("pages", "bits", "zeroblob(512)"),
    ],
)
def test_damage_is_found(
    store_path: Path, table: str, column: str, value: str
) -> None:
    """A row that was changed behind our back is found when it is read."""
    make(store_path)
    db = apsw.Connection(str(store_path))
    db.execute(f"UPDATE {table} SET {column} = {value}")
    db.close()
    with ndis.Session(store_path) as session:
        kinds = {problem.kind for problem in session.store.check()}
        assert (
            table.removesuffix("s").replace("identitie", "identity") in kinds
        )
        provider = session.register_provider("p")
        with pytest.raises(persistence.StoreCorruptError, match="damaged"):
            provider.identity("k1", TUNNEL)
            provider.identity("new", TUNNEL)


def test_missing_rows_are_found(store_path: Path) -> None:
    """Rows that are gone are found by check, and after an unclean end."""
    process = in_process(store_path, "pass")
    make(store_path)
    db = apsw.Connection(str(store_path))
    db.execute("DELETE FROM identities WHERE key = 'k3'")
    db.close()
    store = SqliteStore(store_path)
    assert "root" in {problem.kind for problem in store.check()}
    store.close()
    kill(process)
    refuse(persistence.StoreCorruptError, store_path, "root")


def view(store: SqliteStore) -> dict[str, tuple[object, ...]]:
    return {
        each.key: (
            each.net_luid,
            each.interface_guid,
            each.if_index,
            each.if_index_owned,
            each.persistent,
            each.alias,
            each.attributes,
        )
        for each in store.identities()
    }


def compare_damaged(
    path: Path, known: dict[str, tuple[object, ...]], **options
) -> bool:
    """
    Read a damaged store: whether it could be opened.  Nothing but an error
    of stores, nothing false, and nothing missing that check passes over.
    """
    refused = contextlib.suppress(persistence.StoreError)
    try:
        store = SqliteStore(path, **options)
    except persistence.StoreError:
        return False
    problems = store.check()
    with refused:
        found = view(store)
        assert found.items() <= known.items(), "a false identity"
        assert problems or found == known, "an identity is missing"
    for key in known:
        with refused:
            record = store.find("", "p", key)
            assert problems or record is not None
            assert record is None or record.net_luid == known[key][0]
    with refused:
        store.stats()
    if not options:
        with refused:
            store.lease_blocks(TUNNEL, 0, 0, 1)
        with refused:
            store.update(int(ndis.NetLuid.make(TUNNEL, 1)), alias="new")
    with refused:
        store.close()
    return True


def test_flipped_bits(tmp_path: Path, store_path: Path) -> None:
    """One wrong bit anywhere is found or does no harm, and never lies."""
    with ndis.Session(store_path) as session:
        provider = session.register_provider("p")
        for key in ("a", "b", "c"):
            provider.identity(key, TUNNEL, alias=key, attributes={"x": "y"})
        indexes = session.allocate_net_luid_indexes(71, 5)
        session.retain_net_luid_indexes(71, indexes)
    with contextlib.closing(SqliteStore(store_path, read_only=True)) as store:
        known = view(store)
    raw = store_path.read_bytes()
    damaged = tmp_path / "damaged"
    path = damaged / "ndis.db"
    opened = 0
    places = [i for i in range(len(raw)) if raw[i] or i % 41 == 0]
    for number, place in enumerate(places[:: len(places) // 900]):
        for options in ({}, {"read_only": True}):
            shutil.rmtree(damaged, ignore_errors=True)
            damaged.mkdir(0o700)
            flipped = bytearray(raw)
            flipped[place] ^= 1 << number % 8
            path.write_bytes(flipped)
            path.chmod(0o600)
            opened += compare_damaged(path, known, **options)
    assert opened > 400


def damage(path: Path, *statements: str) -> None:
    """Change a store as SQLite's own checks would not let anybody."""
    db = apsw.Connection(str(path))
    db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    db.execute("PRAGMA ignore_check_constraints = ON")
    for sql in statements:
        db.execute(sql)
    db.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE identities SET key = CAST(X'ff' AS TEXT) WHERE key = 'k1'",
        "UPDATE identities SET attributes = 'no JSON', checksum = checksum",
        "UPDATE identities SET alias = CAST(X'c328' AS TEXT)",
        "UPDATE identities SET owner = 1",
        "DELETE FROM root",
        "UPDATE pages SET bits = X'00'",
        "UPDATE pages SET id = 268435455 WHERE id < 4096",
        "INSERT INTO in_use SELECT net_luid, -1 FROM identities",
        f"INSERT INTO in_use SELECT net_luid, {2**63 - 1} FROM identities",
    ],
)
def test_damaged_rows(store_path: Path, sql: str) -> None:
    """Whatever is in a row, it is a StoreCorruptError and a problem."""
    make(store_path)
    damage(store_path, sql)
    store = SqliteStore(store_path)
    assert store.check()
    with contextlib.suppress(persistence.StoreCorruptError):
        assert len(store.identities()) == 20
    with contextlib.suppress(persistence.StoreCorruptError):
        store.find("", "p", "k1")
    with contextlib.suppress(persistence.StoreCorruptError):
        with_identity(store, "new", 50)
    store.close()
    assert SqliteStore.check_snapshot(store_path)


def test_nonsense_with_a_checksum(store_path: Path) -> None:
    """Even a row that seems intact may hold what nobody can read."""
    make(store_path)
    db = apsw.Connection(str(store_path))
    columns = f"SELECT {_rows.IDENTITY_COLUMNS} FROM identities"
    row = list(db.execute(columns).fetchone())
    for nonsense in ("no JSON", "[1]", '{"a": 1}'):
        row[9] = nonsense
        row[11] = _rows.identity_checksum(tuple(row[:-1]))
        db.execute(
            "UPDATE identities SET attributes = ?, checksum = ? "
            "WHERE net_luid = ?",
            (row[9], row[11], row[0]),
        )
        with contextlib.closing(SqliteStore(store_path)) as store:
            with pytest.raises(persistence.StoreCorruptError):
                store.find_by_net_luid(row[0])
            kinds = {each.kind for each in store.check()}
            assert "identity" in kinds
    db.close()


def test_lasting_row_with_a_dead_owner(store_path: Path) -> None:
    """Damage gives no lasting identity to a dead session to end with."""
    process = in_process(store_path, "pass")
    make(store_path)
    damage(
        store_path,
        "UPDATE identities SET owner = (SELECT id FROM sessions) "
        "WHERE key = 'k3'",
    )
    kill(process)
    refuse(persistence.StoreCorruptError, store_path, "identity of NET_LUID")
    db = apsw.Connection(str(store_path))
    assert db.execute("SELECT count(*) FROM identities").fetchone() == (20,)
    db.close()


def test_check_finds_what_nobody_owns(store_path: Path) -> None:
    """An ifIndex that no identity has, a mark on what is not retained."""
    store = SqliteStore(store_path)
    with_identity(store, if_index=0x800001, if_index_owned=True)
    assert store.check() == []
    with store._writing(durable=True):
        store._change_pages(
            [(0, [(0x800, mask_of(1, 9))])], lambda _, a, b: a | b
        )
        store._connection.execute(
            "INSERT INTO in_use VALUES(?, ?)",
            (6 << 48 | 7 << 24, store.session_id),
        )
    assert [
        (each.kind, str(0x800009) in each.text) for each in store.check()
    ] == [
        ("page", True),
        ("mark", False),
    ]
    store.close()


def test_check_of_what_cannot_be_opened(store_path: Path) -> None:
    """A snapshot is checked when damage keeps sessions out."""
    process = in_process(store_path, "pass")
    make(store_path)
    damage(store_path, "DELETE FROM identities WHERE key = 'k3'")
    kill(process)
    refuse(persistence.StoreCorruptError, store_path, "root")
    kinds = {each.kind for each in SqliteStore.check_snapshot(store_path)}
    assert "root" in kinds
    store_path.write_bytes(b"x" * 4096)
    Path(f"{store_path}-wal").unlink(missing_ok=True)
    (problem,) = SqliteStore.check_snapshot(store_path)
    assert problem.kind == "file"
    with pytest.raises(persistence.StoreNotFoundError):
        SqliteStore.check_snapshot(store_path.with_name("none"))


def test_exhausted_names_who_has_the_blocks(store_path: Path) -> None:
    """When no block is left, the error says who holds them."""
    with ndis.Session(store_path) as session:
        process = in_process(
            store_path, "store.lease_blocks(6, 0, 4095, 4096)"
        )
        for allocate in (
            lambda: session.allocate_net_luid_index(6),
            lambda: session.allocate_net_luid_indexes(6, 5),
        ):
            with pytest.raises(ndis.ResourcesError) as caught:
                allocate()
            assert f"(pid {process.pid}): 4096" in str(caught.value)
        kill(process)
        assert session.allocate_net_luid_index(6) == 0
    with (
        ndis.Session() as session,
        pytest.raises(ndis.ResourcesError, match=r"^Nothing is left"),
    ):
        for _ in range(2):
            session.allocate_net_luid_indexes(6, 1 << 24)


def test_busy(store_path: Path) -> None:
    """A store that another process keeps locked is busy, not stuck."""
    store = SqliteStore(store_path, busy_timeout=0.2)
    db = apsw.Connection(str(store_path))
    db.execute("BEGIN IMMEDIATE")
    with pytest.raises(persistence.StoreBusyError, match="busy"):
        store.lease_blocks(6, 0, 4095, 1)
    db.execute("ROLLBACK")
    db.close()
    assert len(store.lease_blocks(6, 0, 4095, 1)) == 1
    store.close()


# -- reading only


def test_read_only_snapshot(store_path: Path) -> None:
    """A snapshot of a store in use, and of one at rest, can be read."""
    make(store_path)
    at_rest = SqliteStore(store_path, read_only=True)
    with ndis.Session(store_path) as session:
        session.register_provider("q").identity("late", TUNNEL)
        in_use = SqliteStore(store_path, read_only=True)
        assert len(in_use.identities()) == 21
        assert in_use.check() == []
        in_use.close()
    assert len(at_rest.identities()) == 20
    with pytest.raises(persistence.StorePermissionError):
        at_rest.lease_blocks(6, 0, 4095, 1)
    at_rest.close()


def test_reader_knows_who_is_alive(
    store_path: Path,
    opened: contextlib.ExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In-use marks and sessions are those of the living, for readers too."""
    store = open_store(opened, store_path)
    record = with_identity(store)
    with_identity(store, "passing", 1, persistent=False)
    store.confirm([record.net_luid], [0])
    process = in_process(store_path, "pass")
    kill(process)
    reader = open_store(opened, store_path, read_only=True)
    found = reader.find("", "test", "k")
    assert found is not None
    assert found.in_use_by is not None
    assert found.in_use_by.session_id == store.session_id
    assert [each.pid for each in reader.stats().sessions] == [os.getpid()]
    assert len(reader.identities()) == 2

    def refused(*_: object, **__: object) -> None:
        raise persistence.StorePermissionError("not for you")

    monkeypatch.setattr(LockFile, "existing", refused)
    blind = open_store(opened, store_path, read_only=True)
    assert [each.in_use_by for each in blind.identities()] == [None]
    assert blind.stats().sessions == ()
    assert blind.check() == []


def test_reader_is_not_told_to_write(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who only reads is told that it can't be read."""
    make(store_path)

    def refused(*_: object, **__: object) -> None:
        raise apsw.CantOpenError("unable to open database file")

    monkeypatch.setattr(apsw, "Connection", refused)
    with pytest.raises(persistence.StorePermissionError, match="be read") as e:
        SqliteStore(store_path, read_only=True)
    assert "writing" not in str(e.value)
    with pytest.raises(persistence.StorePermissionError, match="for writing"):
        SqliteStore(store_path)


def test_readers_cannot_pass_for_sessions(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """A read lock in the lock file keeps nobody alive."""
    import fcntl
    import struct

    store = open_store(opened, store_path)
    process = in_process(store_path, "pass")
    kill(process)
    dead = store.session_id + 1
    descriptor = os.open(f"{store_path}.lock", os.O_RDONLY)
    request = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, dead, 1, 0)
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
    assert store._rows("SELECT id FROM sessions WHERE id = ?", dead)
    assert [each.pid for each in store.stats().sessions] == [os.getpid()]
    os.close(descriptor)


# -- fork


def test_fork(store_path: Path) -> None:
    """A child's end leaves the parent's session alive."""
    with ndis.Session(store_path) as session:
        provider = session.register_provider("p")
        identity = provider.identity("k", TUNNEL)
        provider.register_interface(identity)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                provider.find("k")
            except ndis.ForkedError:
                code = 0
            session.close()
            os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        with ndis.Session(store_path) as other:
            found = other.register_provider("p").find("k")
            assert found is not None
            assert found.record.in_use_by is not None
        provider.identity("after", TUNNEL)
        assert session.store.check() == []


def test_inherited_connection_is_never_closed(store_path: Path) -> None:
    """Not even the end of a child's interpreter closes the parent's log."""
    program = (
        "from ndisbridge.persistence.sqlite import SqliteStore\n"
        f"SqliteStore({str(store_path)!r}).after_fork_in_child()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert Path(f"{store_path}-wal").exists()


# -- the protocol, on both stores


@pytest.fixture(params=["sqlite", "memory"])
def any_session(request, store_path: Path):
    where = store_path if request.param == "sqlite" else None
    with ndis.Session(where) as session:
        yield session


def test_life_of_an_interface(any_session: ndis.Session) -> None:
    """New, shut down, registered again, removed: with either store."""
    provider = any_session.register_provider("acme")
    identity = provider.identity("k", TUNNEL)
    interface = provider.register_interface(identity)
    with pytest.raises(ndis.DuplicateObjectIdError):
        provider.register_interface(identity)
    with pytest.raises(ndis.InUseError):
        identity.release()
    interface.deregister()
    again = provider.identity("k", TUNNEL)
    assert again.net_luid == identity.net_luid
    registered = provider.register_interface(again)
    assert registered.if_index == interface.if_index
    registered.remove()
    assert provider.find("k") is None
    assert list(any_session.identities()) == []
    assert any_session.count_net_luid_indexes(TUNNEL).retained == 0


def test_find_and_filter(any_session: ndis.Session) -> None:
    """Identities are found by what they are, and by whose."""
    for name in ("a", "b"):
        provider = any_session.register_provider(name)
        provider.identity("k", TUNNEL)
    assert [r.provider for r in any_session.identities(provider="b")] == ["b"]
    assert [r.provider for r in any_session.identities()] == ["a", "b"]
    (record,) = any_session.identities(provider="a")
    store = any_session.store
    assert store.find_by_net_luid(record.net_luid) == record
    assert store.find_by_guid(record.interface_guid) == record
    assert store.find("", "a", "other") is None


def test_memory_store_forgets() -> None:
    """Without a store an identity ends with its session."""
    with ndis.Session() as session:
        session.register_provider("p").identity("k", TUNNEL)
        assert isinstance(session.store, MemoryStore)
    with ndis.Session() as session:
        assert session.register_provider("p").find("k") is None


def test_if_index_of_another_in_memory() -> None:
    """An identity's own ifIndex is its own without a file, too."""
    store = MemoryStore()
    records = [
        record_of(key, index, if_index=index, if_index_owned=True)
        for index, key in ((1, "a"), (2, "b"))
    ]
    store.retain((), records)
    store.confirm([each.net_luid for each in records], [1, 2])
    with pytest.raises(persistence.IdentityConflictError, match="'a'"):
        store.confirm([records[1].net_luid], [1])
    store.release((), records[:1])
    store.confirm([records[1].net_luid], [1])


# -- group commit


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Counting(Failing):
    """A connection that counts commits, and may do something after one."""

    def __init__(
        self,
        inner: apsw.Connection,
        after: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(inner, done=True)
        self.after = after
        self.commits = 0

    def execute(self, sql: str, *args):
        result = self._inner.execute(sql, *args)
        if sql == "COMMIT":
            self.commits += 1
            self.after()
        return result


@contextlib.contextmanager
def writer(path: Path) -> Iterator[None]:
    """Another one has the store."""
    db = apsw.Connection(str(path))
    db.execute("BEGIN IMMEDIATE")
    yield
    db.execute("ROLLBACK")
    db.close()


def retaining(
    store: SqliteStore, record: ndis.IdentityRecord
) -> Callable[[], object]:
    return lambda: store.retain(sets_of(record), [record])


def waiting(store: SqliteStore) -> int:
    return len(store._group._queue)


def test_threads_share_a_commit(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """All that waits goes into one transaction; what fails, fails alone."""
    store = open_store(opened, store_path, busy_timeout=300)
    there = with_identity(store, "there", 4000)
    store._connection = counting = Counting(store._connection)
    threads = Threads()
    records = {i: record_of(f"k{i}", i) for i in range(28)}
    text = record_of("\ud800", 101)
    with writer(store_path):
        for name, record in (
            *records.items(),
            ("exists", record_of("there", 102)),
            ("lost", record_of("lost", 5 << 12)),
            ("retained", record_of("retained", 4000)),
            ("text", text),
        ):
            threads.start(name, retaining(store, record))
            until(lambda n=name: store._group._leader is not None)
        threads.start(
            "update", lambda: store.update(there.net_luid, alias="a")
        )
        bare = record_of("", 103)
        threads.start("bare", lambda: store.retain(sets_of(bare), ()))
        threads.start(
            "passing", lambda: store.retain((), (), persistent=False)
        )
        ((if_type, _),) = sets_of(bare)
        threads.start(
            "type", lambda: store.retain([(if_type, [(0, None)])], ())
        )
        until(lambda: waiting(store) == 35)
    results = threads.join()
    assert {name for name, each in results.items() if each is None} == {
        *records,
        "update",
        "bare",
        "passing",
    }
    error = results["exists"]
    assert isinstance(error, persistence.IdentityExistsError)
    assert error.existing.net_luid == there.net_luid
    for name, kind in (
        ("lost", persistence.LeaseLostError),
        ("retained", persistence.AlreadyRetainedError),
        ("text", persistence.IdentityConflictError),
        ("type", TypeError),
    ):
        assert type(results[name]) is kind, name
    assert counting.commits <= 2  # the first to come may fail by itself
    assert {each.key for each in store.identities()} == {
        "there",
        *(record.key for record in records.values()),
    }
    assert store.check() == []


def test_busy_store_loses_no_change(
    store_path: Path,
    opened: contextlib.ExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was found while records could not be read is told next time."""
    store = open_store(opened, store_path)
    watch = store.watch()
    opened.callback(watch.close)
    store.lease_blocks(TUNNEL, 0, 0, 1)
    records = watch._records

    def busy(_: object) -> NoReturn:
        raise persistence.StoreBusyError("busy")

    retaining(store, record_of("a", 1))()
    monkeypatch.setattr(watch, "_records", busy)
    with pytest.raises(persistence.StoreBusyError):
        watch.read()
    retaining(store, record_of("b", 2))()
    monkeypatch.setattr(watch, "_records", records)
    told = watch.read()
    assert [(each.kind, each.key) for each in told] == [
        ("created", "a"),
        ("created", "b"),
    ]
    assert all(each.record is not None for each in told)
    assert watch.read() == []


def test_errors_are_copied() -> None:
    """Each thread of a group has its own; processes send them."""
    record = record_of("k", 1)
    for error in (
        persistence.IdentityExistsError("it is there", "a.db", record),
        persistence.IdentityInUseError("in use", "a.db"),
        persistence.StoreBusyError("busy", "a.db"),
    ):
        for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
            assert type(other) is type(error)
            assert str(other) == str(error)
            assert other.__dict__ == error.__dict__


def test_threads_release_together(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """Releases share a commit too; of two of one identity one fails."""
    store = open_store(opened, store_path, busy_timeout=300)
    records = [with_identity(store, f"k{i}", i) for i in range(8)]
    store._connection = counting = Counting(store._connection)
    threads = Threads()
    with writer(store_path):
        for i, record in enumerate([*records, records[0]]):
            threads.start(i, lambda r=record: store.release(sets_of(r), [r]))
        until(lambda: waiting(store) == 8)
    results = list(threads.join().values())
    assert results.count(None) == 8
    assert {type(each) for each in results if each is not None} == {
        persistence.NotRetainedError
    }
    assert counting.commits == 1
    assert store.identities() == store.check() == []


def test_passing_takes_nothing_durable_along(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """Who is not to wait for the disk does not flush, nor lets others
    believe that it did."""
    store = open_store(opened, store_path, busy_timeout=300)
    levels: list[object] = []
    store.lease_blocks(TUNNEL, 0, 0, 1)
    store._connection = Counting(
        store._connection,
        lambda: levels.append(store._one("PRAGMA synchronous")),
    )
    threads = Threads()
    with writer(store_path):
        for i, persistent in enumerate((False, True, False, True)):
            record = record_of(f"k{i}", i, persistent=persistent)
            sets = sets_of(record) if persistent else ()
            threads.start(
                i,
                lambda s=sets, r=record: store.retain(
                    s, [r], persistent=r.persistent
                ),
            )
            until(lambda n=i: waiting(store) == n and store._group._leader)
    assert set(threads.join().values()) == {None}
    assert levels == [1, 2]
    owners = store._rows("SELECT owner IS NULL FROM identities ORDER BY key")
    assert owners == [(0,), (1,), (0,), (1,)]


@pytest.mark.parametrize("done", [True, False])
def test_commit_that_fails_for_all(
    store_path: Path, opened: contextlib.ExitStack, done: bool
) -> None:
    """Every thread of a failed commit gets an error of its own."""
    store = open_store(opened, store_path, busy_timeout=300)
    store.lease_blocks(TUNNEL, 0, 0, 1)
    store._connection = Failing(store._connection, done=done)
    threads = Threads()
    with writer(store_path):
        for i in range(8):
            threads.start(i, retaining(store, record_of(f"k{i}", i)))
        until(lambda: waiting(store) == 7)
    errors = list(threads.join().values())
    assert {type(each) for each in errors} == {persistence.StoreUncertainError}
    assert len(set(map(id, errors))) == 8
    assert all(isinstance(e.__cause__, apsw.IOError) for e in errors)
    assert len(store.identities()) == 8 * done
    assert store.check() == []


def test_busy_in_a_group(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """Each thread waits as long as it was told to, whoever leads."""
    store = open_store(opened, store_path, busy_timeout=1.0)
    store.lease_blocks(TUNNEL, 0, 0, 1)

    def timed(call: Callable[[], object]) -> tuple[float, object]:
        start = time.monotonic()
        with pytest.raises(persistence.StoreBusyError, match="busy"):
            call()
        return time.monotonic() - start

    process = in_process(
        store_path,
        "store._connection.execute('BEGIN IMMEDIATE')\n"
        "import atexit; atexit.register(os._exit, 0)",
    )
    threads = Threads()
    for i in range(12):
        call = retaining(store, record_of(f"k{i}", i))
        threads.start(i, lambda c=call: timed(c))
        time.sleep(0.05)
    for waited in threads.join().values():
        assert isinstance(waited, float), waited
        # One after another they would wait 12 s.
        assert 0.8 <= waited <= 5
    kill(process)
    assert store.identities() == []
    record = record_of("k", 50)
    store.retain(sets_of(record), [record])


def test_look_ups_while_another_writes(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """Who waits for another process keeps nobody from reading."""
    store = open_store(opened, store_path, busy_timeout=300)
    record = with_identity(store)
    threads = Threads()
    with writer(store_path):
        threads.start(
            "waits", lambda: store.update(record.net_luid, alias="a")
        )
        until(lambda: store._group._leader is not None)
        for _ in range(20):
            start = time.monotonic()
            found = store.find("", "test", "k")
            assert time.monotonic() - start < 5
            assert found is not None and found.alias == ""
    assert threads.join() == {"waits": None}
    found = store.find("", "test", "k")
    assert found is not None and found.alias == "a"


def test_closed_while_threads_wait(store_path: Path) -> None:
    """Whoever waits at the end of the session is told, not left."""
    store = SqliteStore(store_path, busy_timeout=300)
    store.lease_blocks(TUNNEL, 0, 0, 1)
    threads = Threads()
    with writer(store_path):
        for i in range(4):
            threads.start(i, retaining(store, record_of(f"k{i}", i)))
        until(lambda: waiting(store) == 3)
        threads.start("close", store.close)
        time.sleep(0.1)  # now it is the next, or the next but one
    results = threads.join()
    assert results.pop("close") is None
    done = {i for i, each in results.items() if each is None}
    for i in results.keys() - done:
        assert isinstance(results[i], persistence.StoreError)
        assert "closed" in str(results[i])
    with contextlib.closing(SqliteStore(store_path)) as store:
        assert {each.key for each in store.identities()} == {
            f"k{i}" for i in done
        }


def test_interrupt_of_one_who_waits(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """Ctrl-C takes a waiting change out of the queue, and nothing else."""
    store = open_store(opened, store_path, busy_timeout=300)
    store.lease_blocks(TUNNEL, 0, 0, 1)
    threads = Threads()
    with writer(store_path):
        threads.start("leads", retaining(store, record_of("a", 1)))
        until(lambda: store._group._leader is not None)

        def interrupt() -> None:
            until(lambda: waiting(store) == 1)
            os.kill(os.getpid(), signal.SIGINT)

        threads.start("interrupts", interrupt)
        with pytest.raises(KeyboardInterrupt):
            retaining(store, record_of("b", 2))()
        assert waiting(store) == 0
        threads.start("waits", retaining(store, record_of("c", 3)))
        until(lambda: waiting(store) == 1)
    assert set(threads.join().values()) == {None}
    assert [each.key for each in store.identities()] == ["a", "c"]
    retaining(store, record_of("b", 2))()


def test_interrupt_while_all_are_woken() -> None:
    """Who is woken first leaves before the leader comes back to go on."""
    group = Group()
    left, main = threading.Event(), threading.get_ident()

    class Interrupted(Change):
        __slots__ = ()

        def rouse(self) -> None:
            super().rouse()
            if threading.get_ident() == main and not left.is_set():
                raise KeyboardInterrupt

    def waits(change: Change) -> None:
        group.join(change)
        assert change.is_over
        group.leave(change)
        left.set()

    leader = Change(lambda parts: None, "leader", True)
    group.join(leader)
    threads = Threads(10)
    for i, kind in enumerate((Interrupted, Change, Change)):
        threads.start(i, partial(waits, kind(leader.run, i, True)))
        until(lambda n=i: len(group._queue) == n + 1)
    assert len(group.take(leader, durable=True)) == 3
    leader.outcome = True
    with pytest.raises(KeyboardInterrupt):
        group.leave(leader)
    assert left.wait(10)
    group.leave(leader)
    assert threads.join() == {0: None, 1: None, 2: None}
    assert (group._leader, group._queue) == (None, [])


# Before 3.12, and without a GIL, the profiler also sees how generators are let
# go of: what is raised there is nobody's.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored .*generator"
    ":pytest.PytestUnraisableExceptionWarning"
)
def test_interrupt_anywhere(
    store_path: Path, opened: contextlib.ExitStack
) -> None:
    """
    Ctrl-C after any call that the leader makes: everybody is woken, what
    was acknowledged is there, what was refused is not, and it goes on.
    """
    store = open_store(
        opened, store_path, busy_timeout=300, synchronous="normal"
    )
    store.lease_blocks(TUNNEL, 0, 4095, 64)
    numbers = iter(range(64 * 4096))
    here = str(Path(persistence.__file__).parent)
    seen = uncertain = 0
    raised = False

    def interrupt_at(place: int) -> None:
        passed = 0

        def count(frame, event, called) -> None:
            nonlocal passed, raised
            # From 3.14 on `with lock` calls __enter__ as it calls anything:
            # to interrupt it there is CPython's to prevent (gh-148874).
            if (
                event in {"c_return", "call"}
                and frame.f_code.co_filename.startswith(here)
                and getattr(called, "__name__", "") != "__enter__"
            ):
                passed += 1
                if passed == place:
                    raised = True
                    raise KeyboardInterrupt

        sys.setprofile(count)

    for place in itertools.count(1):
        threads = Threads()
        records = [
            record_of(f"{place}/{i}", next(numbers), alias=str(i))
            for i in range(4)
        ]

        def lead(parts: list) -> None:
            profile = sys.getprofile()
            sys.setprofile(None)
            for i, each in enumerate(records[1:]):
                threads.start(i, retaining(store, each))
            until(lambda: waiting(store) == 3)
            sys.setprofile(profile)
            store._retain_lasting(parts)

        raised = interrupted = False
        try:
            interrupt_at(place)
            store._change(
                lead, (sets_of(records[0]), records[:1], ()), durable=True
            )
        except KeyboardInterrupt:
            interrupted = True
        finally:
            sys.setprofile(None)
        for i, result in threads.join().items():
            found = store.find("", "test", records[i + 1].key)
            if isinstance(result, persistence.StoreUncertainError):
                uncertain += 1
            else:
                assert result is None
                assert found is not None
        assert (store._group._leader, store._group._queue) == (None, [])
        if not raised:
            break
        seen += interrupted
    assert seen > 100
    assert 0 < uncertain < 20 * 3
    assert store.check() == []


def test_many_threads_and_kill(store_path: Path) -> None:
    """
    What 32 threads were told before a kill -9 is there, each identity its
    own; that it is on the disk too, only a power cut can tell.
    """
    program = (
        "import os, signal, sys, threading\nimport ndisbridge as ndis\n"
        f"session = ndis.Session({str(store_path)!r})\n"
        "provider = session.register_provider('p')\n"
        "def run(n):\n"
        "    for i in range(1000):\n"
        "        made = provider.identity(f'{n}/{i}', 6)\n"
        "        os.write(1, f'{n}/{i} {int(made.net_luid)}\\n'.encode())\n"
        "        if n == i == 20: os.kill(os.getpid(), signal.SIGKILL)\n"
        "for n in range(32): threading.Thread(target=run, args=(n,)).start()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    )
    assert done.returncode == -signal.SIGKILL
    told = dict(line.split() for line in done.stdout.splitlines())
    assert len(told) >= 21
    with contextlib.closing(SqliteStore(store_path)) as store:
        stored = {each.key: str(each.net_luid) for each in store.identities()}
        assert told.items() <= stored.items()
        assert len(set(stored.values())) == len(stored)
        assert {each.kind for each in store.check()} <= {"session"}


# -- what is flushed


def flushes(tmp_path: Path, body: str, *options: str) -> list[str]:
    """strace of a process, from "START" on."""
    lines = trace(
        tmp_path,
        "import os, uuid\nimport ndisbridge as ndis\n"
        "from ndisbridge.persistence import *\n"
        "from ndisbridge.persistence.sqlite import SqliteStore\n"
        f"{body}",
        *options,
    )
    start = next(i for i, line in enumerate(lines) if '"START"' in line)
    return lines[start:]


@pytest.mark.parametrize(("level", "expected"), [("full", 3), ("normal", 0)])
def test_synchronous(
    tmp_path: Path, store_path: Path, level: str, expected: int
) -> None:
    """FULL flushes the log in each durable call, NORMAL in none."""
    lines = flushes(
        tmp_path,
        f"store = SqliteStore({str(store_path)!r}, synchronous={level!r})\n"
        "session = ndis.Session(store)\n"
        "identity = session.register_provider('p').identity('a', 6)\n"
        "os.write(1, b'START')\n"
        "session.register_provider('q').identity('b', 6)\n"
        "identity.update(alias='x')\n"
        "identity.release()\n"
        "os.write(1, b'END')\n"
        "session.close()",
    )
    (end_,) = (i for i, line in enumerate(lines) if '"END"' in line)
    assert sum("sync(" in line for line in lines[:end_]) == expected


def test_synchronous_is_full_or_normal(store_path: Path) -> None:
    """Anything else, such as off, is refused before anything is made."""
    with pytest.raises(ValueError, match="full"):
        SqliteStore(store_path, synchronous="off")
    assert not store_path.parent.exists()


def test_log_that_failed_to_be_flushed_is_left(
    tmp_path: Path, store_path: Path
) -> None:
    """
    After EIO from fdatasync nothing more is written to that log: it is
    closed, the state is read again, and a new one begins.  (Closing, SQLite
    copies what was committed before to the file and flushes that.)
    """
    make(store_path)
    lines = flushes(
        tmp_path,
        f"store = SqliteStore({str(store_path)!r})\n"
        "session = ndis.Session(store)\n"
        "provider = session.register_provider('p')\n"
        "provider.find('k1')\n"
        "os.write(1, b'START')\n"
        "try: provider.identity('new', 131)\n"
        "except StoreUncertainError: os.write(1, b'UNCERTAIN')\n"
        "assert len({each.net_luid for each in store.identities()}) >= 20\n"
        "provider.identity('next', 131)\n"
        "assert store.check() == []\n"
        "session.close()",
        *("-e", "trace=fsync,fdatasync,write,pwrite64,close,openat"),
        *("-e", "inject=fdatasync:error=EIO:when=3"),
    )
    failed = next(i for i, line in enumerate(lines) if "EIO" in line)
    told = next(i for i, line in enumerate(lines) if "UNCERTAIN" in line)
    assert "-wal>" in lines[failed]
    between = lines[failed + 1 : told]
    (closed,) = (
        i
        for i, line in enumerate(between)
        if re.search(r"close\(.*-wal>", line)
    )
    assert any(
        "openat(" in line and "-wal" in line for line in between[closed:]
    )
    assert not any(re.search(r"pwrite.*-wal>", line) for line in between)
    assert any(re.search(r"fdatasync.*-wal>", line) for line in lines[told:])
