# SPDX-License-Identifier: MIT
"""The SQLite store: what it keeps, what it shares, what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import apsw
import pytest

import ndisbridge as ndis
from ndisbridge import persistence
from ndisbridge.persistence import _files, _schema
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
    process.communicate("\n", timeout=30)
    assert process.returncode == 0


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=30)


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
            thread.join(60)
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
    assert _files.file_system_type(str(tmp_path))
    assert _files.file_system_type(str(tmp_path)) not in _files.NETWORK_TYPES
    assert {"nfs", "nfs4", "cifs", "fuse.sshfs"} <= _files.NETWORK_TYPES


def test_postgresql_is_not_pretended() -> None:
    """A URL of a kind that is not there is refused plainly."""
    with pytest.raises(ndis.StoreError, match="not supported"):
        ndis.Session("postgresql://localhost/x")


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
