# SPDX-License-Identifier: MIT
"""The PostgreSQL store, against a real server of the tests' own."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from calling import Threads

psycopg = pytest.importorskip("psycopg")

import ndisbridge as ndis  # noqa: E402
from ndisbridge import persistence  # noqa: E402
from ndisbridge.persistence import (  # noqa: E402
    _pg_link,
    _pg_liveness,
    _pg_sessions,
    _pg_url,
    _rows,
    conformance,
)
from ndisbridge.persistence.errors import ServerLostError  # noqa: E402
from ndisbridge.persistence.postgresql import (  # noqa: E402
    IdentityChange,
    PostgresqlStore,
)

TUNNEL = int(ndis.IfType.TUNNEL)
SECRET = "s3cr3t-hunter2"


@pytest.fixture
def database(server: Any) -> str:
    """One without a store in it."""
    sql(
        server,
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
        "datname = 'postgres' AND pid <> pg_backend_pid()",
    )
    sql(server, "postgres", "DROP SCHEMA IF EXISTS ndisbridge CASCADE")
    return "postgres"


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def url(server: Any, database: str) -> Callable[..., str]:
    """``url(host)``: of a fresh database, as a host."""

    def url(host: str = "a", **more: str) -> str:
        return server.url(database, host, **more)

    return url


@pytest.fixture
def store(
    opened: contextlib.ExitStack, url: Callable[..., str]
) -> Callable[..., PostgresqlStore]:
    """``store(host)``: a store of it, closed at the end."""

    def store(host: str = "a", **options: Any) -> PostgresqlStore:
        made = PostgresqlStore(url(host), **options)
        opened.callback(close, made)
        return made

    return store


@pytest.fixture
def session(
    opened: contextlib.ExitStack, url: Callable[..., str]
) -> Callable[..., ndis.Session]:
    """``session(host)``: a session on it, closed at the end."""

    def session(host: str = "a") -> ndis.Session:
        made = ndis.Session(url(host))
        opened.callback(close, made)
        return made

    return session


def sql(server: Any, database: str, text: str, *args: Any) -> Any:
    """Straight to the server; the rows, if there are any."""
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        cursor = connection.execute(text, args or None)
        return cursor.fetchall() if cursor.description else None


def close(opened: Any) -> None:
    with contextlib.suppress(ndis.StoreError):
        opened.close()


def in_process(url: str, body: str) -> subprocess.Popen[str]:
    """Another process with a store of its own open as ``store``."""
    program = (
        "import sys, os\n"
        "from ndisbridge.persistence.postgresql import PostgresqlStore\n"
        f"store = PostgresqlStore({url!r})\n{body}\n"
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


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=30)


def cut(store: PostgresqlStore, when: str) -> None:
    """Lose the connection at the next commit, "before" or "after" it."""
    connection = store._db
    execute = connection.execute

    def cutting(query: Any, *args: Any, **options: Any) -> Any:
        if query == "COMMIT":
            if when == "after":
                execute(query)
            connection.close()
            raise psycopg.OperationalError("cut off")
        return execute(query, *args, **options)

    connection.execute = cutting


# -- the protocol


def test_conformance(url: Callable[..., str]) -> None:
    """Every rule of the protocol holds."""
    conformance.check_store(lambda: PostgresqlStore(url()))
    with contextlib.closing(PostgresqlStore(url())) as store:
        assert store.check() == []


def test_identity_survives(session: Callable[..., ndis.Session]) -> None:
    """An identity is the same after close and open, in every member."""
    first = session()
    made = first.register_provider("acme").identity(
        "tunnel/berlin", TUNNEL, alias="Berlin ☃", attributes={"a": "ß\0\\"}
    )
    with first.register_provider("b").register_interface(made) as interface:
        assert interface.if_index == made.record.if_index
    first.close()
    second = session()
    found = second.register_provider("acme").identity("tunnel/berlin", TUNNEL)
    assert found.net_luid == made.net_luid
    assert found.record.interface_guid == made.record.interface_guid
    assert found.record.if_index == made.record.if_index >= 0x800000
    assert found.record.alias == "Berlin ☃"
    assert found.record.attributes == {"a": "ß\0\\"}
    assert second.store.check() == []
    second.release(found)
    assert list(second.identities()) == []
    assert second.store.check() == []


def test_open_store(url: Callable[..., str]) -> None:
    """Both schemes, and whatever opens a store by its name."""
    with contextlib.closing(persistence.open_store(url())) as store:
        assert isinstance(store, PostgresqlStore)
    other = url().replace("postgresql://", "postgres://")
    with contextlib.closing(persistence.open_store(other)) as store:
        assert isinstance(store, PostgresqlStore)
    with pytest.raises(ndis.StoreError, match="mysql stores are not"):
        persistence.open_store(f"mysql://u:{SECRET}@h/d")


def test_in_use(session: Callable[..., ndis.Session]) -> None:
    """What one session has registered no other registers or releases."""
    one, other = session(), session()
    made = one.register_provider("acme").identity("k", TUNNEL)
    mine = other.register_provider("acme").identity("k", TUNNEL)
    assert mine.net_luid == made.net_luid
    with one.register_provider("acme").register_interface(made):
        with pytest.raises(ndis.IdentityInUseError) as caught:
            other.register_provider("x").register_interface(mine)
        assert caught.value.holder is not None
        assert caught.value.holder.pid == os.getpid()
        with pytest.raises(ndis.IdentityInUseError):
            other.release(mine)
    with other.register_provider("x").register_interface(mine):
        pass
    other.release(mine)


def test_hosts_have_their_own_identities(
    session: Callable[..., ndis.Session],
) -> None:
    """The same key is another identity on each host, and no NET_LUID two."""
    a, b = session("a"), session("b")
    one = a.register_provider("acme").identity("k", TUNNEL)
    two = b.register_provider("acme").identity("k", TUNNEL)
    assert one.net_luid != two.net_luid
    # ifIndexes are each host's own.
    assert one.record.if_index == two.record.if_index
    assert [each.net_luid for each in b.identities()] == [int(two.net_luid)]
    with pytest.raises(ndis.StoreError, match="another host"):
        b.store.confirm([int(one.net_luid)], [0])
    with pytest.raises(ndis.NotRetainedError):
        b.store.release([], [one.record])
    assert a.store.check() == []


def test_bare_index_of_two_hosts(session: Callable[..., ndis.Session]) -> None:
    """A retained index without an identity is registered by one of all."""
    a, b = session("a"), session("b")
    index = a.allocate_net_luid_index(TUNNEL)
    a.retain_net_luid_indexes(TUNNEL, [index])
    net_luid = int(ndis.NetLuid.make(TUNNEL, index))
    with a.register_provider("p").register_interface(net_luid):
        with pytest.raises(ndis.IdentityInUseError, match="on host a"):
            b.store.confirm([net_luid], [0])
    b.store.confirm([net_luid], [0])
    with pytest.raises(ndis.IdentityInUseError):
        a.release_net_luid_indexes(TUNNEL, [index])
    b.store.unconfirm([net_luid])
    a.release_net_luid_indexes(TUNNEL, [index])
    assert a.store.check() == []


def test_non_persistent_ends_with_its_session(
    session: Callable[..., ndis.Session],
) -> None:
    first = session()
    first.register_provider("acme").identity("k", TUNNEL, persistent=False)
    assert len(list(session().identities())) == 1
    first.close()
    second = session()
    assert list(second.identities()) == []
    assert second.store.check() == []


def test_many_indexes_one_transaction(
    server: Any, database: str, session: Callable[..., ndis.Session]
) -> None:
    """100,000 indexes are retained, all or none."""
    one = session()
    indexes = one.allocate_net_luid_indexes(TUNNEL, 100_000)
    one.retain_net_luid_indexes(TUNNEL, indexes)
    with pytest.raises(ndis.StoreError):
        one.store.retain([(TUNNEL, [(0, b"\1" + bytes(511))])], [])
    (row,) = sql(
        server,
        database,
        "SELECT sum(retained), count(DISTINCT xmin::text) FROM "
        "ndisbridge.pages",
    )
    assert row == (100_000, 1)
    one.close()
    two = session("b")
    assert not set(two.allocate_net_luid_indexes(TUNNEL, 4096)) & set(indexes)
    two.release_net_luid_indexes(TUNNEL, indexes)
    assert two.store.stats().types[0].retained == 0
    assert two.store.check() == []


# -- leases


def test_leases_are_exclusive(store: Callable[..., PostgresqlStore]) -> None:
    """Two hosts share a space; what one gives back the other can have."""
    a, b = store("a"), store("b")
    assert [n for n, _ in a.lease_blocks(7, 0, 4095, 4000)] == [*range(4000)]
    assert [n for n, _ in b.lease_blocks(7, 0, 4095, 256)] == [
        *range(4000, 4096)
    ]
    assert b.lease_blocks(7, 0, 4095, 1) == []
    assert sorted(a.lease_holders(7).values()) == [96, 4000]
    a.return_blocks(7, [3, 9])
    b.return_blocks(7, [4])  # not its own
    assert [n for n, _ in b.lease_blocks(7, 0, 4095, 256)] == [3, 9]
    # ifIndexes are not shared.
    assert len(a.lease_blocks(0, 5, 5, 1)) == len(b.lease_blocks(0, 5, 5, 1))
    a.close()
    assert [n for n, _ in b.lease_blocks(7, 0, 4095, 2)] == [0, 1]


def test_hosts_lease_at_once(store: Callable[..., PostgresqlStore]) -> None:
    """Nobody goes away empty, or with what another has."""
    stores = [store(f"h{i}") for i in range(6)]
    found: list[int] = []

    def work(each: PostgresqlStore) -> None:
        for _ in range(5):
            leased = [n for n, _ in each.lease_blocks(7, 0, 4095, 32)]
            assert len(leased) == 32
            found.extend(leased)

    threads = [threading.Thread(target=work, args=(each,)) for each in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(6 * 5 * 32))


def test_lease_is_one_round_trip(
    store: Callable[..., PostgresqlStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """256 blocks: one flush of the pipeline, answered by one sync."""
    one = store()
    sent: list[int] = []
    send = psycopg.Pipeline._sync_gen

    def counting(self: Any) -> Any:
        sent.append(1)
        return send(self)

    monkeypatch.setattr(psycopg.Pipeline, "_sync_gen", counting)
    assert len(one.lease_blocks(7, 0, 4095, 256)) == 256
    assert len(sent) <= 1


def test_dead_session_of_this_host_is_reclaimed(
    url: Callable[..., str], store: Callable[..., PostgresqlStore]
) -> None:
    """Its blocks are had at the next lease; another host's are not."""
    one, other = store("a"), store("b")
    process = in_process(url("a"), "store.lease_blocks(7, 0, 4095, 2)")
    assert [n for n, _ in one.lease_blocks(7, 0, 4095, 1)] == [2]
    kill(process)
    assert [n for n, _ in other.lease_blocks(7, 0, 4095, 1)] == [3]
    assert "died" in str(one.check())
    assert [n for n, _ in one.lease_blocks(7, 0, 4095, 3)] == [0, 1, 4]
    assert one.check() == []


def test_blocks_of_a_dead_host_stay_its_own(
    url: Callable[..., str], store: Callable[..., PostgresqlStore]
) -> None:
    """Until its next session, however long that takes."""
    kill(in_process(url("a"), "store.lease_blocks(7, 0, 0, 1)"))
    other = store("b")
    assert other.lease_blocks(7, 0, 0, 1) == []
    assert other.check() == []
    store("a").close()
    assert len(other.lease_blocks(7, 0, 0, 1)) == 1


def test_evict(session: Callable[..., ndis.Session]) -> None:
    """An evicted host goes on in its blocks, and retains nothing."""
    a, b = session("a"), session("b")
    identity = a.register_provider("p").identity("kept", TUNNEL)
    passing = a.register_provider("p").identity("p", TUNNEL, persistent=False)
    index = a.allocate_net_luid_index(TUNNEL)
    assert b.store.evict("a") == 1
    assert b.store.evict("a") == 0
    with pytest.raises(ndis.StoreError, match="no host 'nobody'"):
        b.store.evict("nobody")
    assert a.allocate_net_luid_index(TUNNEL) == index + 1
    assert passing is not None
    with pytest.raises(ndis.LeaseLostError):
        a.retain_net_luid_indexes(TUNNEL, [index])
    with pytest.raises(ndis.LeaseLostError):
        a.register_provider("p").identity("new", TUNNEL)
    with pytest.raises(ndis.LeaseLostError):
        a.store.lease_blocks(9, 0, 4095, 1)
    with pytest.raises(ndis.LeaseLostError):
        a.register_provider("p").register_interface(identity)
    a.close()
    again = session("a")
    assert [each.key for each in again.identities()] == ["kept"]
    assert again.store.check() == []


def test_evict_of_the_living(
    url: Callable[..., str], store: Callable[..., PostgresqlStore]
) -> None:
    """Of this very host nobody who is seen to be alive is evicted."""
    one = store()
    process = in_process(url(), "")
    with pytest.raises(persistence.StoreBusyError, match="alive"):
        one.evict("a")
    kill(process)
    assert one.evict("a") == 1


def test_cloned_image(
    store: Callable[..., PostgresqlStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines of one name are refused; a reboot is not."""
    one = store()
    one.lease_blocks(7, 0, 0, 1)
    monkeypatch.setattr(_pg_sessions, "boot_id", lambda: "another")
    with pytest.raises(ndis.StoreError, match="cloned image"):
        store()
    assert len(one.lease_blocks(7, 1, 1, 1)) == 1
    # As after a power cut: no connection is left.
    one._drop()
    two = store()
    assert len(two.lease_blocks(7, 0, 0, 1)) == 1
    with pytest.raises(ndis.LeaseLostError):
        one.lease_blocks(7, 2, 2, 1)


def test_session_of_another_lock_file_is_not_judged(
    url: Callable[..., str],
    store: Callable[..., PostgresqlStore],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """In a container one sees the host's machine-id, and not its /run."""
    process = in_process(url(), "store.lease_blocks(7, 0, 0, 1)")
    monkeypatch.setenv("NDISBRIDGE_RUN_DIR", str(tmp_path / "run"))
    one = store()
    assert one.lease_blocks(7, 0, 0, 1) == []
    kill(process)
    assert one.lease_blocks(7, 0, 0, 1) == []
    assert one.evict("a") == 1
    assert len(one.lease_blocks(7, 0, 0, 1)) == 1


def test_run_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "run"
    monkeypatch.setenv("NDISBRIDGE_RUN_DIR", str(directory))
    assert _pg_liveness.run_directory("s") == str(directory)
    directory.chmod(stat.S_IRWXU | stat.S_IWOTH)
    with pytest.raises(ndis.StoreError, match="chmod go-w"):
        _pg_liveness.run_directory("s")
    monkeypatch.delenv("NDISBRIDGE_RUN_DIR")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "no" / "such"))
    with pytest.raises(ndis.StoreError, match="can't be made"):
        _pg_liveness.run_directory("s")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with pytest.raises(ndis.StoreError, match="NDISBRIDGE_RUN_DIR"):
        _pg_liveness.run_directory("s")


# -- beginning


def test_reader_makes_nothing(
    server: Any, database: str, url: Callable[..., str]
) -> None:
    """A database that is no store is left as it is, and named."""
    with pytest.raises(
        persistence.StoreNotFoundError,
        match=f"database '{database}'.*URL.*store create",
    ):
        PostgresqlStore(url(), read_only=True)
    schemas = "SELECT 1 FROM pg_namespace WHERE nspname = 'ndisbridge'"
    assert sql(server, database, schemas) == []
    for _ in range(2):
        name = PostgresqlStore.create(url())
        assert name == f"postgresql:///{database}?host={server.directory}"
    with contextlib.closing(PostgresqlStore(url(), read_only=True)) as made:
        assert made.check() == []
    assert sql(server, database, "SELECT name FROM ndisbridge.hosts") == []
    sql(server, database, "UPDATE ndisbridge.meta SET version = 0")
    with pytest.raises(persistence.StoreVersionError, match="older"):
        PostgresqlStore(url(), read_only=True)


def test_ten_open_a_fresh_database(
    server: Any, database: str, url: Callable[..., str]
) -> None:
    """All begin at once, and none is in another's way."""
    program = (
        "import sys\n"
        "import ndisbridge as ndis\n"
        "sys.stdin.readline()\n"
        "with ndis.Session(sys.argv[1]) as session:\n"
        "    provider = session.register_provider('p')\n"
        f"    print(int(provider.identity('k', {TUNNEL}).net_luid))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, url(f"h{i % 5}")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(10)
    ]
    found = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        found.append(process.communicate(timeout=60)[0])
        assert process.returncode == 0
    # Two on each host, that have made the same identity.
    assert len(set(found)) == 5
    (row,) = sql(server, database, "SELECT count(*) FROM ndisbridge.meta")
    assert row == (1,)


def test_settings(server: Any, store: Callable[..., PostgresqlStore]) -> None:
    """Every timeout is set, and so is how names are found."""
    db = store()._db
    for name, value in {
        "statement_timeout": "30s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "30s",
        "search_path": "pg_catalog,ndisbridge,pg_temp",
        "synchronous_commit": "on",
        "application_name": "ndisbridge",
    }.items():
        assert db.execute(f"SHOW {name}").fetchone() == (value,)
    used = db.info.get_parameters()
    assert used["connect_timeout"] == "5"
    assert used["tcp_user_timeout"] == "20000"
    assert used["keepalives_idle"] == "10"


def test_forgetful_server(
    server: Any, store: Callable[..., PostgresqlStore]
) -> None:
    """One that would lose what it has acknowledged is refused by name."""
    for name in ("fsync", "full_page_writes"):
        try:
            sql(server, "postgres", f"ALTER SYSTEM SET {name} = off")
            sql(server, "postgres", "SELECT pg_reload_conf()")
            wait_for(
                lambda name=name: (
                    sql(server, "postgres", f"SHOW {name}") == [("off",)]
                )
            )
            with pytest.raises(ndis.StoreError, match=f"{name} = off"):
                store()
        finally:
            sql(server, "postgres", f"ALTER SYSTEM RESET {name}")
            sql(server, "postgres", "SELECT pg_reload_conf()")
            wait_for(
                lambda name=name: (
                    sql(server, "postgres", f"SHOW {name}") == [("on",)]
                )
            )
    # What is ours to set is set.
    sql(server, "postgres", "ALTER ROLE postgres SET synchronous_commit = off")
    try:
        store()
    finally:
        sql(server, "postgres", "ALTER ROLE postgres RESET ALL")


@contextlib.contextmanager
def role_has(server: Any, **settings: str) -> Iterator[None]:
    """The role of the tests, with other defaults for a while."""
    try:
        for name, value in settings.items():
            sql(
                server, "postgres", f"ALTER ROLE postgres SET {name} = {value}"
            )
        yield
    finally:
        sql(server, "postgres", "ALTER ROLE postgres RESET ALL")


def test_other_defaults(
    server: Any, database: str, store: Callable[..., PostgresqlStore]
) -> None:
    """What the protocol needs is set, whatever a role has for defaults."""
    sql(
        server,
        database,
        "CREATE SCHEMA evil; CREATE TABLE evil.hosts(); "
        "CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text "
        "LANGUAGE plpgsql AS 'BEGIN RAISE division_by_zero; END'; "
        "CREATE FUNCTION evil.current_setting(text) RETURNS text "
        "LANGUAGE sql AS 'SELECT $1'",
    )
    try:
        with role_has(
            server,
            default_transaction_isolation="serializable",
            search_path="evil, pg_catalog",
            statement_timeout="0",
            lock_timeout="0",
            standard_conforming_strings="off",
            array_nulls="off",
            quote_all_identifiers="on",
            idle_in_transaction_session_timeout="0",
            synchronous_commit="off",
        ):
            one = store()
            for name, value in {
                "transaction_isolation": "read committed",
                "search_path": "pg_catalog,ndisbridge,pg_temp",
                "statement_timeout": "30s",
                "lock_timeout": "5s",
                "idle_in_transaction_session_timeout": "30s",
                "synchronous_commit": "on",
            }.items():
                found = one._db.execute(f"SHOW {name}").fetchone()
                assert found == (value,), name
            assert len(one.lease_blocks(TUNNEL, 0, 4095, 3)) == 3
            one.retain([(TUNNEL, [(0, b"\1" + bytes(511))])], [])
            retaining(one, record_of("\\k", 1))()
            assert one.check() == []
    finally:
        sql(server, database, "DROP SCHEMA evil CASCADE")
    with role_has(server, session_replication_role="replica"):
        with pytest.raises(ndis.StoreError, match="session_replication_role"):
            store()


def test_session_is_not_ended_for_silence(
    server: Any, store: Callable[..., PostgresqlStore]
) -> None:
    """A default of newer servers would let the host look dead."""
    ((version,),) = sql(server, "postgres", "SHOW server_version_num")
    if int(version) < 140000:
        pytest.skip("the server has no idle_session_timeout")
    with role_has(server, idle_session_timeout="'100ms'"):
        one = store()
        time.sleep(0.5)
        assert one._db.execute("SELECT 1").fetchone() == (1,)


def test_pooler_that_drops_options(
    url: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the URL asks for, where it is ours to set, is set all the same."""
    connect = psycopg.Connection.connect.__func__

    def dropping(kind: Any, *args: Any, **options: Any) -> Any:
        options.pop("options", None)
        return connect(kind, *args, **options)

    monkeypatch.setattr(_pg_link.Connection, "connect", classmethod(dropping))
    asked = (
        "-c%20synchronous_commit%3Dremote_apply%20--lock-timeout%3D7s%20"
        "-csearch_path%3Devil%20-c%20work_mem%3D5MB"
    )
    made = PostgresqlStore(url(options=asked))
    with contextlib.closing(made):
        for name, value in {
            "synchronous_commit": "remote_apply",
            "lock_timeout": "7s",
            "search_path": "pg_catalog,ndisbridge,pg_temp",
        }.items():
            assert made._db.execute(f"SHOW {name}").fetchone() == (value,)
        assert made._db.lock_timeout == 7


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_roles(server: Any, root: Path) -> None:
    """What docs/postgresql.md grants is enough, and makes no tables."""
    text = (root / "docs/postgresql.md").read_text()
    first, granted, looking = (
        part.split("```", 1)[0] for part in text.split("```sql")[1:]
    )
    for statement in first.split(";"):
        if statement.strip():
            sql(server, "postgres", statement)

    def url(role: str, host: str = "a") -> str:
        return str(server.url("ndis", host, f"ndisbridge_{role}"))

    def only_by_its_owner() -> None:
        with pytest.raises(
            persistence.StorePermissionError, match=r"postgresql\.md"
        ):
            PostgresqlStore(url("app"))

    only_by_its_owner()
    PostgresqlStore.create(url("owner"))
    only_by_its_owner()
    with psycopg.connect(url("owner").split("&ndis_host")[0]) as owner:
        owner.execute(granted)
    conformance.check_store(lambda: PostgresqlStore(url("app")))
    with ndis.Session(url("app")) as session:
        provider = session.register_provider("p")
        identity = provider.identity("roles", TUNNEL)
        with provider.register_interface(identity):
            pass
        store = session.store
        assert store.evict("a") == 0
        backend = store._db.info.backend_pid
        # What a lost connection has left is ended by the next one.
        cut(store, "before")
        with pytest.raises(ndis.StoreUncertainError):
            identity.update(alias="x")
        identity.update(alias="y")
        assert store._db.info.backend_pid != backend
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            store._db.execute("DROP TABLE leases")
        with store.changes(timeout=0) as listening:
            assert list(listening) == []
    assert PostgresqlStore.repair(url("app")).kept == ()
    with psycopg.connect(server.url("ndis")) as admin:
        admin.execute(looking)
    with contextlib.closing(
        PostgresqlStore(url("reader"), read_only=True)
    ) as reader:
        assert reader.check() == []
        assert reader.stats().identities > 0
        assert reader.find("", "p", "roles") is not None
    with pytest.raises(persistence.StorePermissionError):
        PostgresqlStore(url("reader"))
    sql(server, "postgres", "DROP DATABASE ndis WITH (FORCE)")
    sql(
        server,
        "postgres",
        "DROP ROLE ndisbridge_owner, ndisbridge_app, ndisbridge_reader",
    )


def test_dump(
    server: Any,
    database: str,
    url: Callable[..., str],
    tmp_path: Path,
    postgres_server: Any,
    missing: Callable[[str], NoReturn],
) -> None:
    """A dump while sessions live has all hosts, and is a store again."""
    for program in ("pg_dump", "pg_restore"):
        if not (postgres_server.programs() / program).exists():
            missing(f"no {program} here")

    def run(program: str, *words: str) -> None:
        subprocess.run(
            [postgres_server.programs() / program, *words], check=True
        )

    plain, file = server.url(database), str(tmp_path / "ndis.dump")
    kept = {}
    with ndis.Session(url("a")) as one, ndis.Session(url("b")) as other:
        for each in (one, other):
            each.register_provider("p").identity("k", TUNNEL)
            (kept[each.store.host],) = each.store.identities()
        bare = one.allocate_net_luid_indexes(TUNNEL, 10)
        one.retain_net_luid_indexes(TUNNEL, bare)
        run(
            *("pg_dump", "--schema=ndisbridge", "--format=custom"),
            *(f"--file={file}", f"--dbname={plain}"),
        )
        other.register_provider("p").identity("later", TUNNEL)
    sql(server, database, "DROP SCHEMA ndisbridge CASCADE")
    run("pg_restore", "--single-transaction", f"--dbname={plain}", file)
    for host, record in kept.items():
        with ndis.Session(url(host)) as again:
            assert list(again.store.identities()) == [record]
            fresh = again.allocate_net_luid_indexes(TUNNEL, 4096)
            assert not {*fresh} & {*bare}
            assert len(again.store.stats().sessions) == 1 + (host == "a")
    with contextlib.closing(PostgresqlStore(url(), read_only=True)) as found:
        assert found.check() == []
        assert found.stats().sessions == ()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            "UPDATE ndisbridge.meta SET version = 99",
            persistence.StoreVersionError,
            "upgrade",
        ),
        (
            "DELETE FROM ndisbridge.meta",
            persistence.StoreCorruptError,
            "empty",
        ),
        (
            "ALTER TABLE ndisbridge.identities DROP CONSTRAINT identities_key",
            persistence.StoreCorruptError,
            "identities_key",
        ),
        (
            "DROP TABLE ndisbridge.in_use",
            persistence.StoreCorruptError,
            "in_use",
        ),
        (
            "CREATE FUNCTION ndisbridge.f() RETURNS trigger LANGUAGE plpgsql "
            "AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER evil BEFORE INSERT "
            "ON ndisbridge.leases FOR EACH ROW EXECUTE FUNCTION "
            "ndisbridge.f()",
            persistence.StoreCorruptError,
            "trigger",
        ),
    ],
)
def test_foreign_schema(
    server: Any,
    database: str,
    store: Callable[..., PostgresqlStore],
    change: str,
    error: type[Exception],
    words: str,
) -> None:
    store().close()
    sql(server, database, change)
    with pytest.raises(error, match=words):
        store()


# -- URLs and passwords


def test_url() -> None:
    """Ours is stripped, and what is libpq's is left alone."""
    target = _pg_url.parse(
        f"postgresql://me:{SECRET}@db:5433/x?ndis_host=a%20b&host=/tmp/s"
    )
    assert target.host == "a b"
    assert target.parameters["host"] == "/tmp/s"
    assert target.name == "postgresql:///x?host=/tmp/s"
    assert SECRET not in repr(target)
    plain = _pg_url.parse("postgresql://db:5433/x?ndis_host=a")
    assert plain.name == "postgresql://db:5433/x"


def test_machine_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It names the host, unless the image was never started."""
    file = tmp_path / "machine-id"
    monkeypatch.setattr(_pg_url, "_MACHINE_ID", str(file))
    for text in (None, "", "uninitialized\n", "\udcff"):
        if text is not None:
            file.write_text(text, errors="surrogateescape")
        with pytest.raises(ndis.StoreError, match="ndis_host=NAME"):
            _pg_url.parse("postgresql://db/x")
    file.write_text("0123456789abcdef" * 2 + "\n")
    assert _pg_url.parse("postgresql://db/x").host == "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}@[::1/x",
        f"postgresql://me:{SECRET}@127.0.0.1:port/x",
        f"postgresql://me:{SECRET}@127.0.0.1/x?nonsense=1",
        f"postgresql://me:{SECRET}@127.0.0.1:1/x?ndis_host=a",
        f"postgresql://me@127.0.0.1:1/x?ndis_host=a&password={SECRET}",
        f"postgresql://me:{SECRET}@127.0.0.1:1/x?ndis_host=a%00",
        f"postgresql://me:{SECRET}@no.such.host.invalid/x?ndis_host=a",
        f"postgresql://me:{SECRET}@127.0.0.1:1/x?ndis_host=a&sslmode=nonsense",
        f"host=127.0.0.1 password={SECRET}",
    ],
)
def test_password_is_never_shown(url: str) -> None:
    with pytest.raises(ndis.StoreError) as caught:
        PostgresqlStore(url)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error) + repr(error)
        error = None if error.__suppress_context__ else error.__context__


def test_wrong_password(server: Any, database: str) -> None:
    """The server and the database are named, and the password is not."""
    sql(server, "postgres", "CREATE ROLE locked LOGIN PASSWORD 'right'")
    url = server.tcp_url(database, "a", f"locked:{SECRET}")
    with pytest.raises(persistence.StorePermissionError) as caught:
        PostgresqlStore(url)
    text = str(caught.value)
    assert f"postgresql://127.0.0.1:{server.port}/{database}" in text
    assert SECRET not in text
    # The reason is not kept either.
    assert caught.value.__cause__ is None
    good = PostgresqlStore(server.tcp_url(database, "a"))
    with contextlib.closing(good):
        assert "postgres@" not in str(good) + repr(good)
    with pytest.raises(
        persistence.StoreNotFoundError, match="create the database"
    ):
        PostgresqlStore(server.url("nothing", "a"))


# -- losing the server


def test_server_stops_and_starts(
    server: Any, session: Callable[..., ndis.Session]
) -> None:
    """What needs it fails, what does not goes on, and it comes back."""
    one = session()
    provider = one.register_provider("acme", oids={})
    kept = provider.identity("kept", TUNNEL)
    passing = provider.identity("passing", TUNNEL, persistent=False)
    interface = provider.register_interface(kept)
    index = one.allocate_net_luid_index(TUNNEL)
    server.stop("immediate")
    try:
        for call in (
            lambda: provider.identity("new", TUNNEL),
            lambda: one.retain_net_luid_indexes(TUNNEL, [index]),
            lambda: one.store.lease_blocks(9, 0, 4095, 1),
            lambda: one.store.confirm([int(passing.net_luid)], [0]),
            lambda: list(one.identities()),
            lambda: one.store.check(),
        ):
            began = time.monotonic()
            with pytest.raises(ServerLostError, match="its server"):
                call()
            assert time.monotonic() - began < 10
        more = one.allocate_net_luid_indexes(TUNNEL, 1000)
        assert len(set(more)) == 1000
        assert (
            one.get_interface_index_from_net_luid(int(kept.net_luid))
            == interface.if_index
        )
    finally:
        server.start()
    one.retain_net_luid_indexes(TUNNEL, [index])
    assert provider.identity("kept", TUNNEL).net_luid == kept.net_luid
    # Leases, marks and what ends with the session outlive the server.
    assert one.store.find("", "acme", "passing") is not None
    other = session()
    with pytest.raises(ndis.IdentityInUseError):
        other.register_provider("x").register_interface(
            other.register_provider("acme").identity("kept", TUNNEL)
        )
    taken = other.allocate_net_luid_indexes(TUNNEL, 1000)
    assert not set(taken) & {*more, index}
    interface.deregister()
    assert one.store.check() == []


def test_work_goes_on_over_restarts(
    server: Any,
    session: Callable[..., ndis.Session],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    Hosts, each with threads that share transactions, retain while the server
    is cut down: none lost, none two.
    """
    acknowledged: dict[str, dict[str, int]] = {}
    stop = threading.Event()

    def work(host: str, thread: int) -> None:
        kept = acknowledged[host]
        provider = sessions[host].register_provider("p")
        for number in itertools.count():
            if stop.is_set():
                break
            with contextlib.suppress(ndis.StoreError):
                key = f"{thread}/{number}"
                kept[key] = int(provider.identity(key, TUNNEL).net_luid)

    sessions = {host: session(host) for host in ("w", "x", "y", "z")}
    for host in sessions:
        acknowledged[host] = {}
    threads = [
        threading.Thread(target=work, args=(host, thread))
        for host in sessions
        for thread in range(4)
    ]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.4)
        server.stop("immediate")
        server.start()
    time.sleep(0.4)
    stop.set()
    for thread in threads:
        thread.join()
    everything = []
    for host, kept in acknowledged.items():
        assert kept
        one = session(host)
        stored = {each.key: each.net_luid for each in one.identities()}
        assert kept.items() <= stored.items()
        everything += stored.values()
        assert one.store.check() == []
    assert len(everything) == len(set(everything))
    assert not caplog.records


@pytest.mark.parametrize("when", ["before", "after"])
def test_connection_lost_in_a_commit(
    session: Callable[..., ndis.Session], when: str
) -> None:
    """Nobody can tell, until it is looked up; asking again is the same."""
    one = session()
    provider = one.register_provider("p")
    one.free_net_luid_index(TUNNEL, one.allocate_net_luid_index(TUNNEL))
    provider.identity("first", TUNNEL)
    cut(one.store, when)
    with pytest.raises(ndis.StoreUncertainError):
        provider.identity("k", TUNNEL)
    found = one.store.find("", "p", "k")
    assert (found is not None) == (when == "after")
    again = provider.identity("k", TUNNEL)
    assert found is None or found.net_luid == int(again.net_luid)
    assert one.store.check() == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_lost_connection_left_is_given_back(
    store: Callable[..., PostgresqlStore], when: str
) -> None:
    """Leases and marks that the caller knows nothing of."""
    one, other = store("a"), store("b")
    one.lease_blocks(TUNNEL, 0, 2, 3)
    one.retain([(TUNNEL, [(0, b"\3" + bytes(511))])], [])
    net_luid = int(ndis.NetLuid.make(TUNNEL, 0))
    cut(one, when)
    with pytest.raises(ServerLostError):
        one.confirm([net_luid], [0])
    assert one.find("", "", "") is None  # connects again
    other.confirm([net_luid], [0])
    other.unconfirm([net_luid])
    # To the caller a block that it has given back is gone, come what may.
    cut(one, when)
    one.return_blocks(TUNNEL, [1])
    one.find("", "", "")
    assert [n for n, _ in other.lease_blocks(TUNNEL, 1, 1, 1)] == [1]
    one.confirm([net_luid], [0])
    cut(one, when)
    one.unconfirm([net_luid])
    one.find("", "", "")
    other.confirm([net_luid], [0])
    # A lease is begun again, as nothing of it is kept.
    cut(one, "after")
    assert [n for n, _ in one.lease_blocks(9, 0, 4095, 2)] == [0, 1]
    assert one.check() == []


def test_interrupted_while_giving_back(
    store: Callable[..., PostgresqlStore],
) -> None:
    """What may be another's by now is never taken up again."""
    one, other = store("a"), store("b")
    one.lease_blocks(TUNNEL, 0, 1, 2)
    real = one._db.execute

    def execute(sql: Any, *args: Any, **options: Any) -> Any:
        done = real(sql, *args, **options)
        if sql == "COMMIT":
            raise KeyboardInterrupt
        return done

    one._db.execute = execute
    with pytest.raises(KeyboardInterrupt):
        one.return_blocks(TUNNEL, [1])
        time.sleep(5)  # it comes before
    assert [n for n, _ in other.lease_blocks(TUNNEL, 1, 1, 1)] == [1]
    assert [n for n, _ in one.lease_blocks(TUNNEL, 2, 2, 1)] == [2]
    assert one._leased == {(TUNNEL << 12), (TUNNEL << 12) + 2}
    assert other.check() == []


def test_number_given_to_another(
    server: Any, database: str, store: Callable[..., PostgresqlStore]
) -> None:
    """As by a backup: a session does nothing to one of its number."""
    one = store("a")
    one.lease_blocks(TUNNEL, 0, 3, 4)
    one._drop()
    sql(server, database, "DELETE FROM ndisbridge.sessions")
    sql(
        server,
        database,
        "SELECT setval(pg_get_serial_sequence('ndisbridge.sessions', 'id'), "
        f"{one.session_id}, false)",
    )
    other = store("b")
    assert other.session_id == one.session_id
    assert len(other.lease_blocks(TUNNEL, 0, 3, 4)) == 4
    with pytest.raises(ndis.LeaseLostError):
        one.lease_blocks(TUNNEL, 4, 7, 1)
    one.return_blocks(TUNNEL, [0, 1])
    one.close()
    third = store("c")
    assert third.lease_blocks(TUNNEL, 0, 3, 4) == []
    other.retain([(TUNNEL, [(0, b"\1" + bytes(511))])], [])
    assert other.check() == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE leases DROP CONSTRAINT leases_session_fkey",
        "ALTER TABLE leases DROP CONSTRAINT leases_block, "
        "ADD CONSTRAINT leases_block PRIMARY KEY(scope, id, session)",
        "CREATE RULE x AS ON INSERT TO in_use DO INSTEAD NOTHING",
        "ALTER TABLE identities ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE in_use SET UNLOGGED",
        "ALTER TABLE leases DISABLE TRIGGER ALL",
    ],
)
def test_tables_that_are_not_a_stores(
    server: Any,
    database: str,
    store: Callable[..., PostgresqlStore],
    change: str,
) -> None:
    """What does not keep two holders apart is not opened."""
    store().close()
    sql(server, database, "SET search_path = ndisbridge; " + change)
    with pytest.raises(persistence.StoreCorruptError):
        store()


def test_anybody_may_notify(
    server: Any, database: str, store: Callable[..., PostgresqlStore]
) -> None:
    """What others say on the channel is not told on."""
    one = store()
    listening, watch = one.changes(timeout=1), one.watch()
    for payload in (
        "x",
        "[1]",
        "{}",
        '""',
        "[" * 7000,
        '["a", 1, null, {}, "made"]',
        '["a", "", "", "k", ["made"]]',
        '["a", "", "", "k", "lost"]',
        '["a", "", "", "k", "made", ""]',
        r'["a", "", "", "\ud800", "made"]',
    ):
        sql(
            server,
            database,
            "SELECT pg_notify('ndisbridge_identities', %s)",
            payload,
        )
    assert list(listening) == []
    assert watch.read() == []
    watch.close()


def test_many_changes_are_looked_up_together(
    store: Callable[..., PostgresqlStore],
) -> None:
    """A batch is told with its records, and asked for in few queries."""
    one = store()
    one.lease_blocks(TUNNEL, 0, 0, 1)
    watch, asked = one.watch(), []
    find = watch._find

    def counting(keys: Any) -> Any:
        asked.append(len(keys))
        return find(keys)

    watch._find = counting
    records = [record_of(f"{i}\0\\", i) for i in range(250)]
    bits = ((1 << 250) - 1).to_bytes(512, "little")
    one.retain([(TUNNEL, [(0, bits)])], records)
    one.update(records[0].net_luid, alias="changed")
    one.release([(TUNNEL, [(0, b"\2" + bytes(511))])], [records[1]])
    told: list[Any] = []

    def all_told() -> bool:
        told.extend(watch.read())
        return len(told) >= 252

    wait_for(all_told)
    watch.close()
    assert [each.key for each in told[:250]] == [r.key for r in records]
    assert [each.kind for each in told[-2:]] == ["changed", "released"]
    assert told[250].record is not None
    assert told[250].record.alias == "changed"
    for each, record in zip(told[2:250], records[2:], strict=True):
        assert each.record is not None
        assert each.net_luid == each.record.net_luid == record.net_luid
    assert told[1].record is None
    assert told[251].record is None
    assert max(asked) == 100


def test_told_with_the_answer_of_the_server(
    server: Any,
    database: str,
    store: Callable[..., PostgresqlStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What comes with another answer is told at once, not 30 s later."""
    watch = store().watch()
    execute = watch._connection.execute

    def executing(*args: Any) -> Any:
        payload = '["b", "", "p", "k", "made"]'
        sql(server, database, f"NOTIFY ndisbridge_identities, '{payload}'")
        return execute(*args)

    monkeypatch.setattr(watch._connection, "execute", executing)
    watch._asked -= watch.period
    assert [(each.kind, each.key) for each in watch.read()] == [
        ("created", "k")
    ]
    watch.close()


def test_error_that_is_seen_at_once(
    store: Callable[..., PostgresqlStore],
) -> None:
    """What aborts a round trip is told, and not that it was aborted."""
    one = store()
    for pause in (0, 0.3):
        with pytest.raises(psycopg.errors.DivisionByZero):
            with one._one_trip() as db:
                db.execute("SELECT 1/0")
                for _ in range(3):
                    time.sleep(pause)  # it is answered, or not yet
                    db.execute("SELECT 1")
        assert one.find("", "", "") is None


def test_error_while_an_interrupt_is_handled(
    store: Callable[..., PostgresqlStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for the interrupt; one that comes then is."""
    one = store()

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt("another")

    try:
        raise KeyboardInterrupt("first")
    except KeyboardInterrupt:
        with pytest.raises(psycopg.errors.DivisionByZero), one._one_trip():
            one._db.execute("SELECT 1/0")
        with pytest.raises(psycopg.OperationalError), one._one_trip():
            one._db.close()
            one._db.execute("SELECT 1")
        one._drop()
        assert one.find("", "", "") is None
        real = _pg_link._until
        with pytest.raises(KeyboardInterrupt, match="another"):
            with one._one_trip():
                one._db.execute("SELECT 1")
                monkeypatch.setattr(_pg_link, "_until", interrupted)
        monkeypatch.setattr(_pg_link, "_until", real)
    assert one.find("", "", "") is None


def test_server_that_forgets(
    server: Any, database: str, store: Callable[..., PostgresqlStore]
) -> None:
    """As a replica that was behind: the blocks may be another's by now."""
    one = store()
    one.lease_blocks(7, 0, 1, 2)
    sql(server, database, "DELETE FROM ndisbridge.leases WHERE id % 2 = 1")
    one._drop()
    with pytest.raises(ndis.LeaseLostError, match="forgotten"):
        one.lease_blocks(7, 2, 2, 1)


def test_frozen_server(
    server: Any,
    store: Callable[..., PostgresqlStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that does not answer is given up, and its locks do not stay."""
    one = store()
    one.lease_blocks(TUNNEL, 0, 0, 1)
    monkeypatch.setattr(_pg_link.Connection, "patience", 0.5)
    backend = one._db.info.backend_pid
    os.kill(backend, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(ServerLostError, match="does not answer"):
            one.retain([(TUNNEL, [(0, b"\1" + bytes(511))])], [])
        assert time.monotonic() - began < 5
    finally:
        os.kill(backend, signal.SIGCONT)
    monkeypatch.undo()
    one.retain([(TUNNEL, [(0, b"\1" + bytes(511))])], [])
    assert one.check() == []


def test_busy(
    server: Any,
    database: str,
    store: Callable[..., PostgresqlStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A lock that another keeps is waited for with a bound."""
    monkeypatch.setitem(_pg_link._PREFERRED, "lock_timeout", "1s")
    one = store()
    with psycopg.connect(server.url(database)) as other:
        other.execute("SELECT * FROM ndisbridge.hosts FOR UPDATE")
        with pytest.raises(persistence.StoreBusyError):
            one.lease_blocks(TUNNEL, 0, 0, 1)
        # Who only looks does not wait.
        assert one.identities() == []
    assert len(one.lease_blocks(TUNNEL, 0, 0, 1)) == 1


def test_silent_server() -> None:
    """One that takes the connection and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises(ServerLostError, match="can't be reached"):
            PostgresqlStore(
                f"postgresql://u@127.0.0.1:{port}/d?ndis_host=a"
                "&connect_timeout=2"
            )


def test_fork(session: Callable[..., ndis.Session]) -> None:
    """A child leaves the parent's connection and lock alone."""
    one = session()
    one.register_provider("p").identity("k", TUNNEL)
    pid = os.fork()
    if pid == 0:
        code = 1
        with contextlib.suppress(BaseException):
            try:
                one.store.find("", "p", "k")
            except ndis.StoreError:
                code = 0
        os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert one.store.find("", "p", "k") is not None
    other = session()
    assert len(other.store.stats().sessions) == 2


def test_read_only(store: Callable[..., PostgresqlStore]) -> None:
    """It begins no session, and changes nothing but by an eviction."""
    one = store()
    reader = store(read_only=True)
    assert len(reader.stats().sessions) == 1
    assert reader.identities() == []
    assert reader.check() == []
    with pytest.raises(persistence.StorePermissionError):
        reader.lease_blocks(7, 0, 0, 1)
    with pytest.raises(persistence.StoreBusyError, match="alive"):
        reader.evict("a")
    one.lease_blocks(7, 0, 0, 1)
    assert store("b", read_only=True).evict("a") == 1
    assert one.find("", "", "") is None


def test_reader_that_is_there_before_its_host(
    store: Callable[..., PostgresqlStore],
) -> None:
    """It finds what its host makes later, and does not evict the living."""
    store("b")
    reader = store(read_only=True)
    assert reader.identities() == []
    one = store()
    with pytest.raises(persistence.StoreBusyError, match="alive"):
        reader.evict("a")
    one.lease_blocks(TUNNEL, 0, 0, 1)
    retaining(one, record_of("k", 1))()
    assert [each.key for each in reader.identities()] == ["k"]


def test_inside_of_a_transaction(
    store: Callable[..., PostgresqlStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler of signals, or of garbage, does not end what is under way."""
    one = store()
    one.lease_blocks(TUNNEL, 0, 0, 1)
    real, refused = one._insert_identities, []

    def interrupted(*args: Any) -> None:
        for call in (
            lambda: one.find("", "", ""),
            lambda: one.lease_blocks(TUNNEL, 1, 1, 1),
            retaining(one, record_of("b", 2)),
        ):
            with pytest.raises(ndis.StoreError, match="already") as caught:
                call()
            refused.append(caught)
        real(*args)

    monkeypatch.setattr(one, "_insert_identities", interrupted)
    retaining(one, record_of("a", 1))()
    assert len(refused) == 3
    assert [each.key for each in one.identities()] == ["a"]
    assert one.check() == []


def test_closed(store: Callable[..., PostgresqlStore]) -> None:
    one = store()
    one.close()
    one.close()
    with pytest.raises(ndis.StoreError, match="closed"):
        one.find("", "", "")


# -- group commit


@contextlib.contextmanager
def locked(server: Any, database: str) -> Iterator[None]:
    """Nobody can begin a transaction of a session meanwhile."""
    with psycopg.connect(server.url(database)) as other:
        other.execute("SELECT FROM ndisbridge.hosts FOR UPDATE")
        yield


def record_of(key: str, index: int) -> ndis.IdentityRecord:
    return ndis.IdentityRecord(
        compartment="",
        provider="test",
        key=key,
        net_luid=int(ndis.NetLuid.make(TUNNEL, index)),
        interface_guid=uuid.uuid4(),
    )


def bits_of(record: ndis.IdentityRecord) -> list[persistence.IndexSet]:
    index = record.net_luid >> 24 & 0xFFFFFF
    bits = (1 << (index & 4095)).to_bytes(512, "little")
    return [(TUNNEL, [(index >> 12, bits)])]


def retaining(
    store: PostgresqlStore, record: ndis.IdentityRecord
) -> Callable[[], object]:
    return lambda: store.retain(bits_of(record), [record])


def waiting(store: PostgresqlStore) -> int:
    return len(store._group._queue)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a lock waits for long."""
    monkeypatch.setitem(_pg_link._PREFERRED, "lock_timeout", "60s")
    monkeypatch.setitem(_pg_link._PREFERRED, "statement_timeout", "60s")
    monkeypatch.setattr(_pg_link.Connection, "patience", 90.0)


def counting(store: PostgresqlStore) -> list[int]:
    """Grows by one with each commit."""
    commits: list[int] = []
    execute = store._db.execute

    def count(query: Any, *args: Any, **options: Any) -> Any:
        if query == "COMMIT":
            commits.append(1)
        return execute(query, *args, **options)

    store._db.execute = count
    return commits


@pytest.mark.usefixtures("patient")
def test_threads_share_a_commit(
    server: Any, database: str, store: Callable[..., PostgresqlStore]
) -> None:
    """All that waits goes into one transaction; what fails, fails alone."""
    one = store()
    one.lease_blocks(TUNNEL, 0, 0, 1)
    there, used = record_of("there", 4000), record_of("used", 4001)
    for each in (there, used):
        one.retain(bits_of(each), [each])
    one.confirm([used.net_luid], [0])
    commits = counting(one)
    records = {i: record_of(f"k{i}", i) for i in range(28)}
    twin = record_of("k7", 99)
    threads = Threads(60)
    with locked(server, database):
        for name, record in (
            *records.items(),
            ("exists", record_of("there", 102)),
            ("twin", twin),
            ("lost", record_of("lost", 5 << 12)),
            ("retained", record_of("retained", 4000)),
            ("text", record_of("\ud800", 101)),
        ):
            threads.start(name, retaining(one, record))
            wait_for(lambda: one._group._leader is not None)
        for name, call in {
            "update": lambda: one.update(there.net_luid, alias="a"),
            "in use": lambda: one.release(bits_of(used), [used]),
            "bare": lambda: one.retain(bits_of(record_of("", 103)), ()),
            "passing": lambda: one.retain(
                (), [record_of("p", 104)], persistent=False
            ),
            "type": lambda: one.retain(5, ()),  # type: ignore[arg-type]
        }.items():
            threads.start(name, call)
        wait_for(lambda: waiting(one) == 36)  # a wrong type is told at once
    results = threads.join()
    assert {name for name, each in results.items() if each is None} in (
        {*records, "update", "bare", "passing"},
        # Which of the two was first is anybody's guess.
        {*records, "twin", "update", "bare", "passing"} - {7},
    )
    error = results["exists"]
    assert isinstance(error, persistence.IdentityExistsError)
    assert error.existing.net_luid == there.net_luid
    for name, kind in (
        ("lost", ndis.LeaseLostError),
        ("retained", persistence.AlreadyRetainedError),
        ("text", persistence.IdentityConflictError),
        ("in use", ndis.IdentityInUseError),
        ("type", TypeError),
    ):
        assert type(results[name]) is kind, name
    assert len(commits) <= 2  # the first to come may fail by itself
    stored = {each.key: each for each in one.identities()}
    assert stored.keys() == {
        "there",
        "used",
        "p",
        *(record.key for record in records.values()),
    }
    assert stored["there"].alias == "a"
    one.unconfirm([used.net_luid])
    commits.clear()
    threads = Threads(60)
    gone = [used, *(records[i] for i in range(7)), records[0]]
    with locked(server, database):
        for i, record in enumerate(gone):
            threads.start(i, lambda r=record: one.release(bits_of(r), [r]))
        wait_for(lambda: waiting(one) == 8)
    released = list(threads.join().values())
    assert released.count(None) == 8
    assert sum(isinstance(e, ndis.NotRetainedError) for e in released) == 1
    assert len(commits) == 1
    assert one.check() == []


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("when", ["before", "after"])
def test_commit_that_is_lost_for_all(
    server: Any,
    database: str,
    store: Callable[..., PostgresqlStore],
    when: str,
) -> None:
    """Every thread of it gets an error of its own."""
    one = store()
    one.lease_blocks(TUNNEL, 0, 0, 1)
    cut(one, when)
    threads = Threads(60)
    with locked(server, database):
        for i in range(8):
            threads.start(i, retaining(one, record_of(f"k{i}", i)))
        wait_for(lambda: waiting(one) == 7)
    errors = list(threads.join().values())
    assert {type(each) for each in errors} == {ndis.StoreUncertainError}
    assert len(set(map(id, errors))) == 8
    assert len(one.identities()) == 8 * (when == "after")
    assert one.check() == []


@pytest.mark.usefixtures("patient")
def test_wait_for_a_replica_that_is_cancelled(
    server: Any, database: str, store: Callable[..., PostgresqlStore]
) -> None:
    """What is only on this server is not said to be kept."""
    one = store()
    one.lease_blocks(TUNNEL, 0, 0, 1)
    cancel = (
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
        "WHERE wait_event = 'SyncRep'"
    )
    setting = "ALTER SYSTEM SET synchronous_standby_names = %s"
    try:
        sql(server, database, setting.replace("%s", "'nobody'"))
        sql(server, database, "SELECT pg_reload_conf()")
        shown = "SHOW synchronous_standby_names"
        wait_for(lambda: sql(server, database, shown) == [("nobody",)])
        time.sleep(0.5)  # the server's other processes read it too
        for call in (
            retaining(one, record_of("k", 1)),
            lambda: one.lease_blocks(TUNNEL, 1, 1, 1),
        ):
            threads = Threads(60)
            threads.start(0, call)
            wait_for(lambda: sql(server, database, cancel))
            (error,) = threads.join().values()
            assert type(error) is ndis.StoreUncertainError
            assert "replica" in str(error)
    finally:
        sql(server, database, setting.replace("%s", "''"))
        sql(server, database, "SELECT pg_reload_conf()")
    assert one.check() == []


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("place", ["_insert_identities", "_save_share"])
def test_transaction_that_is_begun_again_for_all(
    server: Any,
    database: str,
    store: Callable[..., PostgresqlStore],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    """The connection is lost when others are in it, before the commit."""
    one = store()
    one.lease_blocks(TUNNEL, 0, 0, 1)
    real, lost = getattr(one, place), []

    def losing(*args: Any) -> Any:
        # The one that leads inserts its own first.
        if not lost and (not args or len(args[0]) > 1):
            lost.append(place)
            one._db.close()
        return real(*args)

    monkeypatch.setattr(one, place, losing)
    threads = Threads(60)
    with locked(server, database):
        for i in range(8):
            threads.start(i, retaining(one, record_of(f"k{i}", i)))
        wait_for(lambda: waiting(one) == 7)
        threads.start("exists", retaining(one, record_of("k1", 100)))
        wait_for(lambda: waiting(one) == 8)
    results = threads.join()
    assert lost
    failed = [each for each in results.values() if each is not None]
    assert [type(e) for e in failed] == [persistence.IdentityExistsError]
    assert {each.key for each in one.identities()} == {
        f"k{i}" for i in range(8)
    }
    assert one.check() == []


@pytest.mark.usefixtures("patient")
def test_leader_that_fails_when_it_is_begun_again(
    server: Any,
    database: str,
    store: Callable[..., PostgresqlStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is wrong with its own part is no matter of the others."""
    one, two = store(), store()
    one.lease_blocks(TUNNEL, 0, 0, 1)
    two.lease_blocks(TUNNEL, 1, 1, 1)
    save, lost = one._save_share, []

    def losing() -> None:
        if not lost:
            lost.append(True)
            one._db.close()
            # Somebody is faster than the next connection.
            retaining(two, record_of("k0", 4096))()
        save()

    monkeypatch.setattr(one, "_save_share", losing)
    threads = Threads(60)
    with locked(server, database):
        threads.start(0, retaining(one, record_of("k0", 0)))
        wait_for(lambda: one._group._leader is not None)
        for i in range(1, 5):
            threads.start(i, retaining(one, record_of(f"k{i}", i)))
        wait_for(lambda: waiting(one) == 4)
    results = threads.join()
    assert type(results.pop(0)) is persistence.IdentityExistsError
    assert results == dict.fromkeys(range(1, 5))
    assert one.check() == []


def test_busy_in_a_group(
    server: Any,
    database: str,
    store: Callable[..., PostgresqlStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each thread waits as long as it was told to, whoever leads."""
    monkeypatch.setitem(_pg_link._PREFERRED, "lock_timeout", "1s")
    one = store()
    one.lease_blocks(TUNNEL, 0, 0, 1)

    def timed(call: Callable[[], object]) -> tuple[float, object]:
        start = time.monotonic()
        with pytest.raises(persistence.StoreBusyError, match="busy"):
            call()
        return time.monotonic() - start

    threads = Threads(60)
    with locked(server, database):
        for i in range(12):
            call = retaining(one, record_of(f"k{i}", i))
            threads.start(i, lambda c=call: timed(c))
            time.sleep(0.05)
        for waited in threads.join().values():
            assert isinstance(waited, float), waited
            # One after another they would wait 12 s.
            assert 0.8 <= waited <= 6
    assert one.identities() == []
    retaining(one, record_of("k", 50))()
    found = one._db.execute("SHOW lock_timeout").fetchone()
    assert found == ("1s",)


def test_busy_page_in_a_group(
    server: Any,
    database: str,
    store: Callable[..., PostgresqlStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A lock that several want is waited for once, and not by each."""
    monkeypatch.setitem(_pg_link._PREFERRED, "lock_timeout", "1s")
    one = store()
    one.lease_blocks(TUNNEL, 0, 1, 2)
    retaining(one, record_of("there", 4096))()
    threads, start = Threads(60), time.monotonic()
    with psycopg.connect(server.url(database)) as other:
        other.execute("SELECT FROM ndisbridge.pages FOR UPDATE")
        with locked(server, database):
            threads.start("free", retaining(one, record_of("free", 0)))
            wait_for(lambda: one._group._leader is not None)
            for i in range(1, 13):
                record = record_of(f"k{i}", 4096 + i)
                threads.start(i, retaining(one, record))
            wait_for(lambda: waiting(one) == 12)
        results = threads.join()
    # One after another they would wait 13 s.
    assert time.monotonic() - start < 8
    assert results.pop("free") is None
    assert {type(each) for each in results.values()} == {
        persistence.StoreBusyError
    }
    assert {each.key for each in one.identities()} == {"there", "free"}
    assert one.check() == []


@pytest.mark.usefixtures("patient")
def test_hosts_that_lock_pages_in_other_orders(
    server: Any,
    store: Callable[..., PostgresqlStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A group locks pages as they come; nobody fails of the deadlock."""
    one, two = store("a"), store("b")
    one.lease_blocks(TUNNEL, 0, 1, 2)
    bits = {i: (1 << i).to_bytes(512, "little") for i in range(4)}
    for mask in bits.values():
        one.retain([(TUNNEL, [(0, mask), (1, mask)])], ())
    release, has_one = one._release_sets, threading.Event()

    def releasing(sets: Any, released: Any) -> None:
        release(sets, released)
        if not has_one.is_set():
            has_one.set()
            # Two has page 0, and waits for page 1.
            waits = "SELECT 1 FROM pg_locks WHERE NOT granted"
            wait_for(lambda: sql(server, "postgres", waits))

    monkeypatch.setattr(one, "_release_sets", releasing)
    threads = Threads(60)
    with locked(server, "postgres"):
        for block in (1, 0):
            threads.start(
                block,
                lambda b=block: one.release([(TUNNEL, [(b, bits[b])])], ()),
            )
            wait_for(lambda: one._group._leader is not None)
        wait_for(lambda: waiting(one) == 1)
    assert has_one.wait(20)
    threads.start(
        "both",
        lambda: two.release([(TUNNEL, [(0, bits[2]), (1, bits[2])])], ()),
    )
    assert threads.join() == {1: None, 0: None, "both": None}
    assert one.check() == []


def test_many_threads_and_kill(url: Callable[..., str]) -> None:
    """What 32 threads were told before a kill -9 is there, and no more."""
    program = (
        "import os, signal, sys, threading\nimport ndisbridge as ndis\n"
        "session = ndis.Session(sys.argv[1])\n"
        "provider = session.register_provider('p')\n"
        "def run(n):\n"
        "    for i in range(1000):\n"
        f"        made = provider.identity(f'{{n}}/{{i}}', {TUNNEL})\n"
        "        os.write(1, f'{n}/{i} {int(made.net_luid)}\\n'.encode())\n"
        "        if n == i == 10: os.kill(os.getpid(), signal.SIGKILL)\n"
        "for n in range(32): threading.Thread(target=run, args=(n,)).start()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, url()],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL
    told = dict(line.split() for line in done.stdout.splitlines())
    assert len(told) >= 11
    with contextlib.closing(PostgresqlStore(url())) as store:
        stored = {each.key: str(each.net_luid) for each in store.identities()}
        assert told.items() <= stored.items()
        # Each thread may have been about one that nobody was told of.
        assert len(stored) <= len(told) + 32
        assert len(set(stored.values())) == len(stored)
        assert store.check() == []


@pytest.mark.usefixtures("patient")
def test_interrupt_anywhere(store: Callable[..., PostgresqlStore]) -> None:
    """
    Ctrl-C after any call that the leader makes: everybody is woken, what
    was acknowledged is there, what was refused is not, and it goes on.
    """
    one = store()
    one.lease_blocks(TUNNEL, 0, 4095, 4)
    numbers = iter(range(4 * 4096))
    here = str(Path(persistence.__file__).parent)
    seen = uncertain = 0

    def interrupt_at(place: int) -> None:
        passed = 0

        def count(frame: Any, event: str, called: Any) -> None:
            nonlocal passed
            # From 3.14 on `with lock` calls __enter__ as it calls anything:
            # to interrupt it there is CPython's to prevent (gh-148874).
            if (
                event in {"c_return", "call"}
                and frame.f_code.co_filename.startswith(here)
                and getattr(called, "__name__", "") != "__enter__"
            ):
                passed += 1
                if passed == place:
                    raise KeyboardInterrupt

        sys.setprofile(count)

    for place in itertools.count(1):
        threads = Threads(60)
        records = [record_of(f"{place}/{i}", next(numbers)) for i in range(4)]

        def lead(
            parts: Any, threads: Threads = threads, records: Any = records
        ) -> None:
            profile = sys.getprofile()
            sys.setprofile(None)
            for i, each in enumerate(records[1:]):
                if i not in threads.results:
                    threads.start(i, retaining(one, each))
            wait_for(lambda: waiting(one) == 3)
            sys.setprofile(profile)
            one._retain_lasting(parts)

        interrupted = False
        try:
            interrupt_at(place)
            one._change(
                lead, (bits_of(records[0]), records[:1], ()), durable=True
            )
        except KeyboardInterrupt:
            interrupted = True
        finally:
            sys.setprofile(None)
        for i, result in threads.join().items():
            assert isinstance(i, int)
            found = one.find("", "test", records[i + 1].key)
            if isinstance(result, ndis.StoreUncertainError):
                uncertain += 1
            else:
                assert result is None, place
                assert found is not None
        assert (one._group._leader, one._group._queue) == (None, [])
        if not interrupted:
            break
        seen += 1
    assert seen > 100
    # Three threads each; how many places a commit has, the disk decides.
    assert 0 < uncertain < seen * 3 / 2
    assert one.check() == []


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"),
    reason="this Python has a GIL",
)
def test_the_gil_stays_off(url: Callable[..., str]) -> None:
    """Whatever psycopg is made of here."""
    program = (
        "import sys, ndisbridge\n"
        "with ndisbridge.Session(sys.argv[1]) as session:\n"
        "    session.register_provider('p').identity('k', 6)\n"
        "print(sys._is_gil_enabled())\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHON_GIL"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, url()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=environment,
    )
    assert done.stdout == "False\n"


# -- being told


def test_changes(session: Callable[..., ndis.Session]) -> None:
    """Each change of an identity is told, when it is committed."""
    a, b = session("a"), session("b")
    told: list[IdentityChange] = []
    listening = b.store.changes(timeout=2)
    provider = a.register_provider("p", compartment="red")
    made = provider.identity("k ß", TUNNEL)
    made.update(alias="x")
    made.release()
    with pytest.raises(ndis.StoreError):
        a.store.update(int(made.net_luid), alias="y")
    began = time.monotonic()
    for change in listening:
        told.append(change)
        if len(told) == 3:
            break
    assert time.monotonic() - began < 2
    assert told == [
        ("a", "red", "p", "k ß", kind)
        for kind in ("made", "changed", "released")
    ]
    listening.close()
    listening.close()
    assert list(b.store.changes(timeout=0.1)) == []


def test_changes_are_let_go_of(
    server: Any, database: str, store: Callable[..., PostgresqlStore]
) -> None:
    """Its connection goes with it, whether anything was read or not."""
    one = store()

    def connections() -> int:
        ((count,),) = sql(
            server,
            database,
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
            "'ndisbridge'",
        )
        return int(count)

    wait_for(lambda: connections() == 1)
    unread = one.changes()
    with one.changes(), one.changes(timeout=0) as ended:
        assert connections() == 4
        assert list(ended) == []
        wait_for(lambda: connections() == 3)
    unread.close()
    wait_for(lambda: connections() == 1)
    assert list(unread) == []


def test_changes_that_are_told_early(
    server: Any, database: str, store: Callable[..., PostgresqlStore]
) -> None:
    """What comes with the answer to something else is not lost."""
    with store().changes(timeout=1) as listening:
        listening._connection.execute(
            """NOTIFY ndisbridge_identities, '["a", "", "p", "k", "made"]'"""
        )
        assert [each.key for each in listening] == ["k"]


def test_events(session: Callable[..., ndis.Session]) -> None:
    """Subscribers are told at once; another host's have no record here."""
    a, b = session("a"), session("b")
    with a.events() as here, b.events() as there:
        made = a.register_provider("p", compartment="red").identity(
            "k", TUNNEL
        )
        made.update(alias="x")
        made.release()
        for kind in ("created", "changed", "released"):
            event, other = here.get(30), there.get(30)
            assert event and event.identity and other and other.identity
            assert event.identity_change is not None
            assert event.identity_change.name == kind.upper()
            for change in (event.identity, other.identity):
                assert change.host == "a"
                assert change.compartment == "red"
                assert (change.provider, change.key) == ("p", "k")
                assert change.kind == kind
            # It may be released by the time that it is looked up.
            if event.record is not None:
                assert event.net_luid == made.net_luid
            assert other.record is None and other.net_luid == 0
        assert here.get(0.1) is None


def test_events_when_the_server_is_back(
    server: Any,
    session: Callable[..., ndis.Session],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who listens is told that changes may have been missed."""
    monkeypatch.setattr("ndisbridge._identity_thread._AGAIN", (0.2, 1.0))
    one = session("a")
    with one.events() as stream:
        server.stop("fast")
        try:
            assert stream.get(0.5) is None
        finally:
            server.start()
        event = stream.get(60)
        assert event is not None and event.identity is not None
        assert event.identity.kind == "lost"
        one.register_provider("p").identity("k", TUNNEL)
        event = stream.get(60)
        assert event is not None and event.record is not None
        assert event.record.key == "k"


def test_changes_end_with_the_server(
    server: Any, store: Callable[..., PostgresqlStore]
) -> None:
    one = store()
    listening = one.changes(timeout=20)
    server.stop("fast")
    try:
        with pytest.raises(ServerLostError, match="look all identities up"):
            next(listening)
    finally:
        server.start()


# -- the last line: constraints and checksums


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("identities", {"guid": uuid.uuid4().bytes, "key": "x"}),
        ("identities", {"net_luid": 5, "guid": uuid.uuid4().bytes}),
        ("identities", {"net_luid": 5, "key": "x"}),
        (
            "identities",
            {"net_luid": 5, "key": "x", "guid": uuid.uuid4().bytes},
        ),
        ("leases", {}),
        ("pages", {}),
        ("in_use", {}),
        ("hosts", {"id": 77}),
    ],
)
def test_constraints(
    server: Any,
    database: str,
    session: Callable[..., ndis.Session],
    table: str,
    change: dict[str, Any],
) -> None:
    """The database itself refuses what would be there twice."""
    one = session()
    provider = one.register_provider("p")
    with provider.register_interface(provider.identity("k", TUNNEL)):
        with psycopg.connect(server.url(database)) as raw:
            columns = [
                name
                for (name,) in raw.execute(
                    "SELECT attname FROM pg_attribute WHERE attrelid = "
                    "%s::regclass AND attnum > 0",
                    (f"ndisbridge.{table}",),
                )
            ]
            values = [
                "%s" if name in change else f"t.{name}" for name in columns
            ]
            with pytest.raises(psycopg.errors.UniqueViolation):
                raw.execute(
                    f"INSERT INTO ndisbridge.{table} OVERRIDING SYSTEM VALUE "
                    f"SELECT {', '.join(values)} FROM ndisbridge.{table} AS t",
                    [change[name] for name in columns if name in change],
                )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE identities SET alias = 'forged'",
        "UPDATE identities SET if_index = if_index + 1000",
        "UPDATE identities SET net_luid = net_luid + 16777216",
        "UPDATE identities SET attributes = 'nonsense'",
        "UPDATE identities SET host = (SELECT max(id) FROM hosts)",
        "DELETE FROM identities",
        "UPDATE pages SET bits = set_bit(bits, 77, 1) WHERE id > 4095",
        "UPDATE pages SET retained = 7",
        "UPDATE pages SET id = id + 1 WHERE id > 4095",
        "DELETE FROM pages WHERE id > 4095",
        "UPDATE hosts SET identities = identities + 1 WHERE name = 'a'",
        "UPDATE hosts SET page_sum = page_sum + 1",
        "ALTER TABLE identities DROP CONSTRAINT identities_key",
        "DROP INDEX identities_if_index",
    ],
)
def test_damage_is_found(
    server: Any,
    database: str,
    store: Callable[..., PostgresqlStore],
    session: Callable[..., ndis.Session],
    change: str,
) -> None:
    """By check(); and a damaged identity is not handed out."""
    one = session()
    session("b").close()
    one.register_provider("p").identity("k", TUNNEL)
    assert one.store.check() == []
    sql(server, database, f"SET search_path = ndisbridge; {change}")
    assert one.store.check() != []
    if change.startswith("UPDATE identities SET") and "host" not in change:
        with pytest.raises(persistence.StoreCorruptError):
            one.store.identities()


def test_missing_rows_are_found_after_an_unclean_end(
    server: Any,
    database: str,
    url: Callable[..., str],
    store: Callable[..., PostgresqlStore],
    session: Callable[..., ndis.Session],
) -> None:
    one = session()
    one.register_provider("p").identity("k", TUNNEL)
    one.close()
    kill(in_process(url(), ""))
    sql(server, database, "DELETE FROM ndisbridge.identities")
    with pytest.raises(persistence.StoreCorruptError, match="root"):
        store()


def test_root_is_verified_patiently(
    server: Any,
    database: str,
    url: Callable[..., str],
    store: Callable[..., PostgresqlStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long that takes, as for a store of many millions."""
    store().close()
    kill(in_process(url(), ""))
    monkeypatch.setitem(_pg_link._PREFERRED, "statement_timeout", "1s")
    monkeypatch.setattr(_pg_link.Connection, "patience", 2.0)
    with psycopg.connect(server.url(database)) as other:
        other.execute("LOCK TABLE ndisbridge.pages")
        timer = threading.Timer(3, other.rollback)
        timer.start()
        one = store()
        timer.join()
    found = one._db.execute("SHOW statement_timeout").fetchone()
    assert found == ("1s",)
    assert one._db.patience == 2.0


# -- repair


def with_one_identity(url: Callable[..., str]) -> ndis.IdentityRecord:
    """A store of two hosts; one has an identity, and nobody is there."""
    ndis.Session(url("b")).close()
    with ndis.Session(url("a")) as one:
        made = one.register_provider("p").identity("k", TUNNEL)
        return made.record


def contents(server: Any, database: str) -> dict[str, Any]:
    """All that a repair may change."""
    return {
        table: sql(
            server, database, f"SELECT * FROM ndisbridge.{table} ORDER BY 1, 2"
        )
        for table in ("identities", "pages", "sessions", "leases", "in_use")
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "UPDATE pages SET retained = 7 WHERE id > 4095",
            "IfType 131, block 0: it counted 7, and has 1",
        ),
        (
            "DELETE FROM pages WHERE id > 4095",
            "IfType 131, block 0: 1 that identities have are retained again",
        ),
        (
            "DELETE FROM pages WHERE id < 4096",
            "of host number 2: 1 that identities have are retained again",
        ),
        (
            "UPDATE hosts SET identities = 5 WHERE name = 'a'",
            "computed again from the 1 identities of host number 2, .* 5",
        ),
        (
            "UPDATE hosts SET page_sum = page_sum + 1024 WHERE name = 'a'",
            "computed again from the 2 pages",
        ),
        (
            "INSERT INTO sessions(host, pid, program, boot_id, started, life)"
            " SELECT id, 1, 'gone', 'another boot', 0, '' FROM hosts "
            "WHERE name = 'a'; INSERT INTO leases SELECT 0, 5000, max(id) "
            "FROM sessions",
            "session 3 died: voided 1 of its leases, 0 of its marks",
        ),
    ],
)
def test_repair(
    server: Any, database: str, url: Callable[..., str], change: str, said: str
) -> None:
    """What is certain is mended and said, and what was there stays."""
    with_one_identity(url)
    before = contents(server, database)
    sql(server, database, f"SET search_path = ndisbridge; {change}")
    repaired = PostgresqlStore.repair(url("a"))
    assert repaired.kept == ()
    assert re.search(said, "; ".join(map(str, repaired.done)))
    assert contents(server, database) == before
    again = PostgresqlStore.repair(url("a"))
    assert (again.done, again.kept) == ((), ())
    with ndis.Session(url("a")) as one:
        assert one.store.check() == []
        one.register_provider("p").identity("new", TUNNEL)


def test_repair_of_what_a_killed_session_left(
    server: Any, database: str, url: Callable[..., str]
) -> None:
    """Its identity has lost its bit, so that no session can begin."""
    made = with_one_identity(url)
    kill(
        in_process(
            url("a"),
            "import ndisbridge as ndis\n"
            "session = ndis.Session(store)\n"
            "provider = session.register_provider('p')\n"
            f"kept = provider.identity('k', {TUNNEL})\n"
            "provider.register_interface(kept)\n"
            f"provider.identity('ends', {TUNNEL}, persistent=False)\n",
        )
    )
    bits = bytes(510) + b"\0\1"
    sql(
        server,
        database,
        "UPDATE ndisbridge.pages SET bits = %s, checksum = %s WHERE id > 4095",
        bits,
        _rows.page_checksum(TUNNEL << 12, bits),
    )
    with pytest.raises(persistence.StoreCorruptError, match="root"):
        PostgresqlStore(url("a"))
    done = "; ".join(map(str, PostgresqlStore.repair(url("a")).done))
    assert "1 of its marks and 1 of the identities that ended with" in done
    assert "1 that identities have are retained again" in done
    ((after,),) = sql(
        server,
        database,
        "SELECT bits FROM ndisbridge.pages WHERE id > 4095",
    )
    # It is there again, and what was retained stays retained.
    assert _rows.bit_is_set(after, made.net_luid >> 24 & 0xFFFFFF)
    assert _rows.bit_is_set(after, 511 * 8)
    with ndis.Session(url("a")) as one:
        assert [each.key for each in one.identities()] == ["k"]
        assert one.store.check() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM identities", "rows of identities are missing"),
        ("UPDATE identities SET alias = 'x'", "is damaged"),
        ("UPDATE identities SET host = 1", "is damaged"),
        (
            "UPDATE pages SET bits = set_bit(bits, 77, 1) WHERE id > 4095",
            "block 0 is damaged",
        ),
    ],
)
def test_repair_keeps_what_is_uncertain(
    server: Any, database: str, url: Callable[..., str], change: str, said: str
) -> None:
    with_one_identity(url)
    sql(server, database, f"SET search_path = ndisbridge; {change}")
    before = contents(server, database)
    repaired = PostgresqlStore.repair(url("a"))
    assert re.search(said, "; ".join(map(str, repaired.kept)))
    assert repaired.done == ()
    assert contents(server, database) == before


def test_repair_wants_nobody_there(
    url: Callable[..., str], store: Callable[..., PostgresqlStore]
) -> None:
    """Hosts that may be alive are not judged here either."""
    one = store("b")
    with pytest.raises(persistence.StoreBusyError, match="on host b"):
        PostgresqlStore.repair(url("a"))
    with pytest.raises(persistence.StoreBusyError, match="end that first"):
        PostgresqlStore.repair(url("b"))
    one.close()
    kill(in_process(url("b"), ""))
    with pytest.raises(persistence.StoreBusyError, match="evict its host"):
        PostgresqlStore.repair(url("a"))
    (done,) = PostgresqlStore.repair(url("b")).done
    assert "died" in str(done)
