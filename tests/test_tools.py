# SPDX-License-Identifier: MIT
"""Looking after a store: export, import, backup, repair, and the commands."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest

import ndisbridge as ndis
from ndisbridge import cli, persistence
from ndisbridge.cli import stores
from ndisbridge.persistence import _backup, _rows, _transfer
from ndisbridge.persistence.memory import MemoryStore
from ndisbridge.persistence.sqlite import SqliteStore

TUNNEL = int(ndis.IfType.TUNNEL)
COMMAND = [sys.executable, "-m", "ndisbridge"]
FULL = bytes([255]) * 512
ODD = bytes([0b10101010]) * 512
EVIL = "ключ ☃\u2028\n\t\"\\' \U0001d518"


def command(
    *arguments: str,
    store: Path | str,
    code: int = 0,
    stdin: bytes = b"",
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run the command on a store; it ends with code."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        check=False,
        input=stdin,
        cwd=cwd,
        env={**os.environ, "NDISBRIDGE_STORE": str(store)},
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    return done


def record_of(key: str, index: int, **values: Any) -> ndis.IdentityRecord:
    """An identity of a tunnel."""
    values.setdefault("interface_guid", uuid.uuid4())
    values.setdefault("created", 1_600_000_000 + index)
    return ndis.IdentityRecord(
        compartment=values.pop("compartment", ""),
        provider="tést",
        key=key,
        net_luid=int(ndis.NetLuid.make(TUNNEL, index)),
        **values,
    )


def pages_of(*records: ndis.IdentityRecord) -> dict[tuple[int, int], int]:
    """The bits that identities need, by IfType and block."""
    found: dict[tuple[int, int], int] = {}
    for each in records:
        indexes = [(each.net_luid >> 48, each.net_luid >> 24 & 0xFFFFFF)]
        if each.if_index_owned:
            indexes.append((0, each.if_index))
        for if_type, index in indexes:
            block = if_type, index >> 12
            found[block] = found.get(block, 0) | 1 << (index & 4095)
    return found


class Made:
    """A store that is nothing but what is exported of it."""

    def __init__(
        self,
        records: list[ndis.IdentityRecord],
        bare: dict[tuple[int, int], bytes],
    ) -> None:
        pages = pages_of(*records)
        for block, bits in bare.items():
            pages[block] = pages.get(block, 0) | int.from_bytes(bits, "little")
        self._pages = [
            (*block, bits.to_bytes(512, "little"))
            for block, bits in sorted(pages.items())
        ]
        self._records = records

    @contextlib.contextmanager
    def contents(self) -> Iterator[_transfer.Contents]:
        yield _transfer.Contents(
            _transfer.Counts(
                len(self._pages),
                sum(
                    int.from_bytes(bits, "little").bit_count()
                    for _, _, bits in self._pages
                ),
                len(self._records),
            ),
            iter(self._pages),
            iter(self._records),
        )

    def add_contents(self, pages: Any, identities: Any) -> None:
        raise AssertionError("nothing is imported into it")


SMALL = (
    [
        record_of("a", 0, if_index=0x800000, if_index_owned=True),
        record_of(
            EVIL,
            0xFFFFFF,
            if_index=0xFFFFFF,
            if_index_owned=True,
            alias=EVIL,
            attributes={"z": EVIL, "a": "", EVIL: "x"},
            created=0,
        ),
        record_of("b", 5, if_index=3, compartment="blue", alias="☃"),
    ],
    {
        (TUNNEL, 7): FULL,
        (TUNNEL, 9): ODD,
        (6, 0): bytes([0b10001101]) + bytes(510) + b"\x80",
        (0xFFFF, 4095): bytes(511) + b"\x80",
    },
)


def export(store: Any) -> bytes:
    """The export of a store."""
    file = io.BytesIO()
    _transfer.export(store, file, _transfer.no_progress, str(store))
    return file.getvalue()


def import_into(path: Path, text: bytes) -> None:
    """Import into the store at a path."""
    _transfer.import_from(
        io.BytesIO(text),
        lambda: contextlib.closing(SqliteStore(path)),
        _transfer.no_progress,
        "test",
    )


def export_of(path: Path) -> bytes:
    with contextlib.closing(SqliteStore(path)) as store:
        return export(store)


def checked(path: Path) -> list[persistence.Problem]:
    with contextlib.closing(SqliteStore(path, read_only=True)) as store:
        return store.check()


def sql(path: Path, *statements: str) -> None:
    """Change a store behind its back."""
    database = apsw.Connection(str(path))
    database.execute("PRAGMA ignore_check_constraints = ON")
    for each in statements:
        database.execute(each)
    database.close()


def dump(path: Path) -> dict[str, list[Any]]:
    """All rows of all tables."""
    database = apsw.Connection(str(path))
    tables = ("sessions", "leases", "pages", "identities", "in_use", "root")
    found = {
        table: list(database.execute(f"SELECT * FROM {table} ORDER BY 1"))
        for table in tables
    }
    database.close()
    return found


@pytest.fixture
def small(store_path: Path) -> Path:
    """A store with something of everything."""
    import_into(store_path, export(Made(*SMALL)))
    return store_path


# ---------------------------------------------------------------------------
# Export and import


@pytest.mark.smoke
def test_round_trip(small: Path, tmp_path: Path) -> None:
    """Nothing is lost, nothing changes, and two exports are equal."""
    text = export(Made(*SMALL))
    assert export_of(small) == text
    import_into(tmp_path / "other.db", export_of(small))
    assert export_of(tmp_path / "other.db") == text
    for path in (small, tmp_path / "other.db"):
        assert checked(path) == []
        with contextlib.closing(SqliteStore(path)) as store:
            for record in SMALL[0]:
                assert store.find_by_guid(record.interface_guid) == record
    with ndis.Session(small) as session:
        found = session.allocate_net_luid_indexes(6, 10)
        assert list(found) == [1, 4, 5, 6, *range(8, 14)]


def test_what_a_session_made(store_path: Path, tmp_path: Path) -> None:
    """An identity is found by its key where it was imported."""
    with ndis.Session(store_path) as session:
        provider = session.register_provider("acme")
        made = provider.identity(EVIL, TUNNEL, attributes={"a": EVIL})
        provider.identity("ends", TUNNEL, persistent=False)
        indexes = session.allocate_net_luid_indexes(TUNNEL, 10_000)
        session.retain_net_luid_indexes(TUNNEL, indexes)
        text = export(session.store)
    assert b"ends" not in text
    import_into(tmp_path / "other.db", text)
    with ndis.Session(tmp_path / "other.db") as session:
        provider = session.register_provider("acme")
        found = provider.identity(EVIL, TUNNEL)
        assert found.record == replace(
            made.record, created=found.record.created
        )
        new = session.allocate_net_luid_indexes(TUNNEL, 100)
        assert not set(new) & {*indexes, made.net_luid.net_luid_index}


def test_large(tmp_path: Path) -> None:
    """20,000 identities and 1,000,000 indexes in little memory."""
    few, many = tmp_path / "few.jsonl", tmp_path / "many.jsonl"
    few.write_bytes(export(Made(*SMALL)))
    records = sorted(
        (
            record_of(f"k{number:05}", number * 7, attributes={"a": "x" * 400})
            for number in range(20_000)
        ),
        key=lambda each: each.key,
    )
    bare = {(6, block): ODD for block in range(490)}
    many.write_bytes(export(Made(records, bare)))
    assert many.stat().st_size > 10_000_000
    peaks = {}
    for source in (few, many):
        path = source.with_suffix(".db")
        again = source.with_suffix(".again")
        for arguments in (
            ["import", str(source)],
            ["export", str(again)],
        ):
            process = subprocess.Popen(
                [*COMMAND, "store", *arguments, "--store", str(path)]
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0
            peaks[source, arguments[0]] = usage.ru_maxrss
        assert again.read_bytes() == source.read_bytes()
    for direction in ("import", "export"):
        # Half of the export's size, and a tenth of its objects in memory.
        more = peaks[many, direction] - peaks[few, direction]
        assert more < 6_000, f"{direction}: {more} KiB more"


def refuse(text: bytes, error: type[Exception], match: str) -> None:
    """It is refused before any store is opened."""

    def never() -> Any:
        raise AssertionError("the store is opened")

    with pytest.raises(error, match=match):
        _transfer.import_from(
            io.BytesIO(text), never, _transfer.no_progress, "test"
        )


def test_cut_off() -> None:
    """Wherever an export ends early, nothing of it is imported."""
    text = export(Made(*SMALL))
    for length in range(len(text)):
        refuse(text[:length], persistence.StoreCorruptError, "^test: line")


def test_altered() -> None:
    """Whatever byte, line or order of lines is changed, it is noticed."""
    text = export(Made(*SMALL))
    altered = []
    for place in range(len(text)):
        for bit in (1, 32):
            each = bytearray(text)
            each[place] ^= bit
            altered.append(bytes(each))
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        before, after = lines[:number], lines[number + 1 :]
        altered += [
            b"".join(each)
            for each in (
                [*before, *after],
                [*before, line, line, *after],
                [*before, b"\n", line, *after],
                [*before, line.replace(b"\n", b"\r\n"), *after],
                [*before, b'{"identity":{}}\n', *after],
                [*before, b"[" * 100_000 + b"\n", *after],
            )
        ]
        if after:
            altered.append(b"".join([*before, after[0], line, *after[1:]]))
    altered += [text + b"\n", text + text, b"\n" + text, b"\xff", b"0\n"]
    for each in altered:
        if each != text:
            refuse(
                each,
                (  # type: ignore[arg-type]
                    persistence.StoreCorruptError,
                    persistence.StoreVersionError,
                ),
                "^test: ",
            )


def sealed(*lines: dict[str, Any], **counts: int) -> bytes:
    """An export that somebody has written himself, with its checksum."""
    from hashlib import blake2b

    given = {
        name: counts.get(name, 0)
        for name in ("pages", "retained", "identities")
    }
    body = b"".join(
        json.dumps(each).encode() + b"\n"
        for each in ({"ndisbridge_export": 1, **given}, *lines)
    )
    digest = blake2b(body, digest_size=32).hexdigest()
    return body + _transfer._line({"end": {**given, "blake2b": digest}})


PAGE = {"retained": {"if_type": TUNNEL, "block": 0, "indexes": "0-5"}}
RECORD = _transfer._identity_values(record_of("k", 0))


def with_values(**values: Any) -> bytes:
    return sealed(
        PAGE,
        {"identity": {**RECORD["identity"], **values}},
        pages=1,
        retained=6,
        identities=1,
    )


@pytest.mark.parametrize(
    "text",
    [
        sealed(RECORD, identities=1),
        sealed(PAGE, pages=1, retained=5),
        sealed(PAGE, PAGE, pages=2, retained=12),
        sealed(RECORD, PAGE, pages=1, retained=6, identities=1),
        *(
            sealed({"retained": values}, pages=1, retained=retained)
            for values, retained in (
                ({"if_type": 65536, "block": 0, "indexes": "0"}, 1),
                ({"if_type": 1, "block": 4096, "indexes": "16777216"}, 1),
                ({"if_type": True, "block": 0, "indexes": "0"}, 1),
                ({"if_type": 1, "block": 0, "indexes": "0,1"}, 2),
                ({"if_type": 1, "block": 0, "indexes": "1,1"}, 1),
                ({"if_type": 1, "block": 0, "indexes": "5-4"}, 0),
                ({"if_type": 1, "block": 0, "indexes": "4096"}, 1),
                ({"if_type": 1, "block": 0, "indexes": f"0-{10**30}"}, 1),
                ({"if_type": 1, "block": 0, "indexes": ""}, 0),
                ({"if_type": 1, "block": 0, "indexes": {}}, 0),
                ({"if_type": 1, "block": 0, "bits": "AA=="}, 0),
                ({"if_type": 1, "block": 0, "bits": "AQ=="}, 1),
                ({"if_type": 1, "block": 0, "bits": 5}, 0),
                ({"if_type": 1, "block": 0, "indexes": "1", "x": 1}, 1),
                ([1], 0),
                (None, 0),
            )
        ),
        with_values(key=5),
        with_values(key="\ud800"),
        with_values(more="x"),
        with_values(attributes={"a": 1}),
        with_values(if_index=True),
        with_values(if_index=-1),
        with_values(if_index=1 << 31),
        with_values(if_index_owned=True),
        with_values(if_index_owned=True, if_index=0x800000),
        with_values(net_luid="0x0083000000000001"),
        with_values(net_luid="0x0083000006000000"),
        with_values(net_luid="0x0000000000000000"),
        with_values(net_luid="0x83000000000000"),
        with_values(interface_guid="x"),
        with_values(interface_guid="{" + str(uuid.uuid4()) + "}"),
        with_values(created=-1),
        with_values(created=1 << 63),
        sealed(pages=-1),
    ],
)
def test_nonsense_with_a_checksum(text: bytes) -> None:
    """What no store can have is refused, whoever vouches for it."""
    refuse(text, persistence.StoreCorruptError, "^test: line")


def test_newer_format() -> None:
    """An export of a newer version says so."""
    text = b'{"ndisbridge_export":2,"more":1}\n'
    refuse(text, persistence.StoreVersionError, "upgrade")


def test_long_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is read that is longer than any may be, or written."""
    text = export(Made(*SMALL))
    monkeypatch.setattr(_transfer, "_LONGEST", 100)
    refuse(text, persistence.StoreCorruptError, "cut off")
    with pytest.raises(persistence.StoreCorruptError, match="more to it"):
        export(Made(*SMALL))


def test_doubled_identity(store_path: Path) -> None:
    """Two of one key in one export: nothing of either is written."""
    text = sealed(
        PAGE,
        RECORD,
        _transfer._identity_values(record_of("k", 1)),
        pages=1,
        retained=6,
        identities=2,
    )
    with pytest.raises(persistence.IdentityConflictError, match="'k' of"):
        import_into(store_path, text)
    assert dump(store_path)["pages"] == []
    assert checked(store_path) == []


def test_changed_between_the_readings(store_path: Path) -> None:
    """What changes after it was verified is found out, and rolled back."""
    text = export(Made(*SMALL))
    other = text.replace(b'"alias":"\xe2\x98\x83"', b'"alias":"XXX"')
    assert len(other) == len(text) and other != text

    class Changing(io.BytesIO):
        def seek(self, *arguments: int) -> int:
            self.write(b"")
            super().seek(0)
            self.write(other)
            return super().seek(*arguments)

    with pytest.raises(persistence.StoreCorruptError, match="checksum"):
        _transfer.import_from(
            Changing(text),
            lambda: contextlib.closing(SqliteStore(store_path)),
            _transfer.no_progress,
            "test",
        )
    assert dump(store_path)["pages"] == []
    assert checked(store_path) == []


def test_import_beside_others(small: Path) -> None:
    """Into a store with something in it, if nothing is there already."""
    one = record_of("other", 4096 * 7 - 1)
    bare = {(6, 0): bytes([2]) + bytes(511)}
    import_into(small, export(Made([one], bare)))
    assert checked(small) == []
    records = sorted(
        [*SMALL[0], one], key=lambda each: (each.compartment, each.key)
    )
    merged = {**SMALL[1], (6, 0): b"\x8f" + bytes(510) + b"\x80"}
    assert export_of(small) == export(Made(records, merged))


@pytest.mark.parametrize(
    ("records", "bare", "match"),
    [
        ([record_of("a", 99)], {}, "'a' of 'tést'"),
        ([record_of("c", 5)], {}, "'c' of 'tést'"),
        (
            [record_of("c", 9, interface_guid=SMALL[0][0].interface_guid)],
            {},
            "'c' of",
        ),
        (
            [record_of("c", 9, if_index=0x800000, if_index_owned=True)],
            {},
            "'c' of",
        ),
        ([], {(6, 0): FULL}, "index 0 of IfType 6, index 2 of .* are al"),
        ([], {(6, 0): b"\x04" + bytes(511)}, "index 2 of IfType 6 is already"),
        ([], {(0, 2048): FULL}, "ifIndex 8388608 is already"),
        ([], {(TUNNEL, 7): FULL}, "and 4091 more are already"),
        (SMALL[0], {}, "'a' of .*'b' of"),
    ],
)
def test_collisions(
    small: Path,
    records: list[ndis.IdentityRecord],
    bare: dict[tuple[int, int], bytes],
    match: str,
) -> None:
    """What is there already is named, and nothing is imported."""
    free = {(71, 0): FULL}
    text = export(Made(records, {**free, **bare}))
    before = export_of(small)
    with pytest.raises(persistence.IdentityConflictError, match=match):
        import_into(small, text)
    assert export_of(small) == before
    assert checked(small) == []


def test_import_wants_no_session(small: Path) -> None:
    """A live session is refused: it takes what it has leased to be free."""
    text = export(Made([], {(71, 0): FULL}))
    with ndis.Session(small) as session:
        with pytest.raises(persistence.StoreBusyError, match="end that first"):
            import_into(small, text)
        store: Any = session.store
        store.lease_blocks(6, 0, 0, 1)
        with pytest.raises(persistence.StoreBusyError):
            store.add_contents([], [])
    with contextlib.closing(SqliteStore(small)) as alone:
        alone.lease_blocks(6, 0, 0, 1)
        with pytest.raises(persistence.StoreBusyError, match="leased"):
            alone.add_contents([], [])
    import_into(small, text)


def test_damaged_store_is_not_exported(small: Path) -> None:
    """An export that is made can be imported."""
    before = export_of(small)
    for statement in (
        "UPDATE identities SET alias = 'x' WHERE key = 'b'",
        "UPDATE pages SET bits = zeroblob(512) WHERE id >> 12 = 6",
        "UPDATE pages SET retained = 4 WHERE id >> 12 = 6",
        "DELETE FROM pages WHERE id >> 12 = 6",
    ):
        database = apsw.Connection(str(small))
        database.execute("BEGIN")
        database.execute(statement)
        database.execute("COMMIT")
        store = SqliteStore(small, read_only=True)
        with pytest.raises(persistence.StoreCorruptError):
            export(store)
        store.close()
        database.close()
        os.unlink(small)
        import_into(small, before)


# ---------------------------------------------------------------------------
# Backup

WRITER = """
import itertools, sys
import ndisbridge as ndis
with ndis.Session(sys.argv[1]) as session:
    provider = session.register_provider("writer")
    mine = provider.identity("ends", 131, persistent=False)
    provider.register_interface(provider.identity("k-1", 131))
    for number in itertools.count():
        provider.identity(f"k{number}", 131)
        print(number, flush=True)
"""


def test_backup_while_another_writes(store_path: Path, tmp_path: Path) -> None:
    """The copy has all that was acknowledged, and nothing that ends."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        try:
            for number in range(8):
                for _ in range(20):
                    last = int(writer.stdout.readline())
                target = tmp_path / f"copy-{number}.db"
                steps: list[tuple[int, int]] = []
                count = SqliteStore.back_up(
                    store_path, target, lambda *far: steps.append(far)
                )
                assert count >= last + 2
                assert writer.poll() is None
                assert os.listdir(tmp_path / "store") == os.listdir(
                    store_path.parent
                )
                assert not list(tmp_path.glob("*.tmp*"))
                found = dump(target)
                assert not (
                    found["sessions"] or found["leases"] or found["in_use"]
                )
                keys = {row[3] for row in found["identities"]}
                assert keys >= {f"k{each}" for each in range(-1, last + 1)}
                assert "ends" not in keys
                assert len(keys) == count
                assert checked(target) == []
        finally:
            writer.kill()
    with ndis.Session(target) as session:
        provider = session.register_provider("writer")
        found_again = provider.find("k-1")
        assert found_again is not None
        provider.register_interface(found_again)


def test_backup_in_steps(store_path: Path, tmp_path: Path) -> None:
    """A large store is copied in steps, and equal in what lasts."""
    records = [
        record_of(f"k{number:04}", number, attributes={"a": "x" * 4000})
        for number in range(1000)
    ]
    import_into(store_path, export(Made(records, {})))
    steps: list[tuple[int, int]] = []
    target = tmp_path / "copy.db"
    SqliteStore.back_up(store_path, target, lambda *far: steps.append(far))
    assert len(steps) >= 3
    assert all(0 < done <= total for done, total in steps)
    assert export_of(target) == export_of(store_path)


def test_backup_file(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the mode of the store, and takes the place of nothing."""
    target = tmp_path / "copy.db"
    small.chmod(0o640)
    SqliteStore.back_up(small, target)
    assert target.stat().st_mode & 0o777 == 0o640
    assert target.stat().st_nlink == 1
    before = target.read_bytes()
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "nowhere")
    for each in (target, link, small, tmp_path):
        with pytest.raises(persistence.StoreError, match="there already"):
            SqliteStore.back_up(small, each)
    assert target.read_bytes() == before
    with pytest.raises(persistence.StoreNotFoundError, match="mkdir"):
        SqliteStore.back_up(small, tmp_path / "no" / "copy.db")
    with pytest.raises(persistence.StoreNotFoundError, match="no such store"):
        SqliteStore.back_up(tmp_path / "no.db", tmp_path / "copy-2.db")

    # Somebody else makes it meanwhile, or the file system has no links.
    def race(source: str, name: str) -> None:
        Path(name).write_text("theirs")
        raise FileExistsError

    def unable(source: str, name: str) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", race)
    with pytest.raises(persistence.StoreError, match="there already"):
        SqliteStore.back_up(small, tmp_path / "copy-3.db")
    assert (tmp_path / "copy-3.db").read_text() == "theirs"
    monkeypatch.setattr(os, "link", unable)
    SqliteStore.back_up(small, tmp_path / "copy-4.db")
    assert checked(tmp_path / "copy-4.db") == []
    with pytest.raises(persistence.StoreError, match="there already"):
        SqliteStore.back_up(small, target)
    assert sorted(os.listdir(tmp_path)) == [
        *("copy-3.db", "copy-4.db", "copy.db", "link.db", "store"),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE identities SET alias = 'x' WHERE key = 'b'",
        "UPDATE identities SET owner = 5 WHERE key = 'b'",
        "DELETE FROM pages WHERE id >> 12 = 6",
        "DELETE FROM root",
    ],
)
def test_no_backup_of_a_damaged_store(
    small: Path, tmp_path: Path, statement: str
) -> None:
    """A backup that is there is a good one."""
    sql(small, statement)
    with pytest.raises(persistence.StoreCorruptError, match="store check"):
        SqliteStore.back_up(small, tmp_path / "copy.db")
    assert os.listdir(tmp_path) == ["store"]


def test_no_room_for_a_backup(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails is the copy's, and leaves nothing behind."""

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_backup, "_flush", fail)
    with pytest.raises(persistence.StoreFullError, match=r"copy\.db"):
        SqliteStore.back_up(small, tmp_path / "copy.db")
    assert os.listdir(tmp_path) == ["store"]
    error = apsw.FullError("full")
    with pytest.raises(persistence.StoreFullError, match=r"copy\.db"):
        connection = apsw.Connection(":memory:")
        with _backup._copying(connection, "a.db", "copy.db"):
            raise error
    with pytest.raises(persistence.StoreError, match=r"copy\.db"):
        with _backup._copying(connection, "a.db", "copy.db"):
            raise apsw.IOError("disk")


@pytest.fixture
def chattr(
    tmp_path: Path, need: Callable[[str], str], missing: Callable
) -> Iterator[Callable[..., None]]:
    """``chattr("+i", path)``: what not even root may change."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    command = need("chattr")
    given: list[tuple[str, str]] = []

    def chattr(mode: str, path: str | Path) -> None:
        done = subprocess.run([command, mode, path], capture_output=True)
        if done.returncode != 0:
            missing("no attributes of files here")
        given.append((mode.replace("+", "-"), str(path)))

    yield chattr
    for mode, path in given:
        subprocess.run([command, mode, path], check=True)


def test_a_name_that_cannot_be_given(
    tmp_path: Path, chattr: Callable[..., None]
) -> None:
    """The name that was taken for it is given back, and the error told."""
    target = tmp_path / "copy.db"
    with pytest.raises(persistence.StorePermissionError, match="written"):
        with _backup.appearing(str(target), 0o600) as temporary:
            # It can neither be linked nor renamed, nor removed.
            chattr("+i", temporary)
    assert not os.path.lexists(target)
    assert os.listdir(tmp_path) == [Path(temporary).name]


def test_backup_into_what_takes_no_files(
    small: Path, tmp_path: Path, chattr: Callable[..., None]
) -> None:
    """A directory that must not change."""
    place = tmp_path / "place"
    place.mkdir()
    chattr("+i", place)
    with pytest.raises(persistence.StorePermissionError, match=r"copy\.db"):
        SqliteStore.back_up(small, place / "copy.db")
    assert os.listdir(place) == []


def test_a_directory_that_cannot_be_flushed(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is there then, and the error says so."""
    target = tmp_path / "copy.db"
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(persistence.StoreError, match="it is there, but"):
        SqliteStore.back_up(small, target)
    monkeypatch.undo()
    assert SqliteStore.check_snapshot(target) == []
    assert sorted(os.listdir(tmp_path)) == ["copy.db", "store"]


def test_backup_by_a_reader(small: Path) -> None:
    """Who may only read the store can back it up too."""
    if os.geteuid() != 0:
        pytest.skip("another user takes root")
    # Not below tmp_path, which is this user's alone.
    place = Path(tempfile.mkdtemp())
    shutil.copytree(small.parent, place / "store")
    small = place / "store" / "ndis.db"
    open_ = place / "open"
    open_.mkdir()
    for path, mode in (
        (place, 0o755),
        (small.parent, 0o755),
        (small, 0o644),
        (open_, 0o777),
    ):
        path.chmod(mode)
    program = (
        "import os, sys\n"
        "from ndisbridge.persistence.sqlite import SqliteStore\n"
        "os.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\n"
        "print(SqliteStore.back_up(sys.argv[1], sys.argv[2]))\n"
    )
    target = open_ / "copy.db"
    done = subprocess.run(
        [sys.executable, "-c", program, str(small), str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "3\n", done.stderr
    assert target.stat().st_mode & 0o777 == 0o644
    assert dump(target)["identities"] == dump(small)["identities"]
    shutil.rmtree(place)


# ---------------------------------------------------------------------------
# Repair


def insert_identity(
    path: Path, record: ndis.IdentityRecord, owner: int
) -> None:
    """An identity that ends with a session, and the root that goes with it."""
    row = _rows.identity_row(record, owner)
    database = apsw.Connection(str(path))
    database.execute(
        f"INSERT INTO identities VALUES({', '.join('?' * 12)})", row
    )
    ((count, total),) = database.execute(
        "SELECT identities, identity_sum FROM root"
    )
    database.execute(
        "UPDATE root SET identities = ?, identity_sum = ?",
        (count + 1, _rows.signed(total + row[-1])),
    )
    database.close()


def change_page(path: Path, if_type: int, block: int, take: int) -> None:
    """Take bits from a page, as if they had never been there."""
    number = _rows.page_id(if_type, block)
    database = apsw.Connection(str(path))
    ((bits, before),) = database.execute(
        "SELECT bits, checksum FROM pages WHERE id = ?", (number,)
    )
    after = int.from_bytes(bits, "little") & ~take
    new = after.to_bytes(512, "little")
    checksum = _rows.page_checksum(number, new)
    ((total,),) = database.execute("SELECT page_sum FROM root")
    database.execute(
        "UPDATE pages SET bits = ?, retained = ?, checksum = ? WHERE id = ?",
        (new, max(1, after.bit_count()), checksum, number),
    )
    database.execute(
        "UPDATE root SET page_sum = ?",
        (_rows.signed(total + checksum - before),),
    )
    database.close()


def killed(path: Path) -> None:
    """A process with a bit of everything is killed."""
    program = (
        "import os, sys, signal\nimport ndisbridge as ndis\n"
        "session = ndis.Session(sys.argv[1])\n"
        "provider = session.register_provider('gone')\n"
        "provider.register_interface(provider.identity('kept', 131))\n"
        "provider.identity('ends', 131, persistent=False)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    found = dump(path)
    assert found["sessions"] and found["leases"] and found["in_use"]


SESSION = (
    "INSERT INTO sessions(id, pid, program, boot_id, started) "
    "VALUES(70, 1, 'gone', 'another boot', 0)"
)

#: What can be repaired: how it comes about, and what is said of it.
REPAIRS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a killed process": (killed, "session 2 died: .*1 of its marks and 1 of"),
    "a dead session": (
        lambda path: sql(
            path, SESSION, "INSERT INTO leases VALUES(5, 70), (6, 70)"
        ),
        "session 70 died: voided 2 of its leases",
    ),
    "leases of no session": (
        lambda path: sql(path, "INSERT INTO leases VALUES(5, 77)"),
        "removed 1 of leases that belonged to no session",
    ),
    "marks of no session": (
        lambda path: sql(
            path, f"INSERT INTO in_use VALUES({SMALL[0][0].net_luid}, 77)"
        ),
        "removed 1 of in_use that belonged to no session",
    ),
    "identities of no session": (
        lambda path: insert_identity(path, record_of("x", 99), 77),
        "removed 1 of identities that ended",
    ),
    "a wrong count": (
        lambda path: sql(
            path, "UPDATE pages SET retained = 5 WHERE retained = 4096"
        ),
        "IfType 131, block 7: it counted 5, and has 4096",
    ),
    "a page of nothing": (
        lambda path: change_page(path, 6, 0, -1),
        "IfType 6, block 0: removed",
    ),
    "an identity without its bit": (
        lambda path: change_page(path, TUNNEL, 0, 1 << 5),
        "IfType 131, block 0: 1 that identities have are retained again",
    ),
    "an ifIndex without its bit": (
        lambda path: change_page(path, 0, 0xFFF, 1 << 0xFFF),
        "IfType 0, block 4095: 1 that identities have",
    ),
    "an identity without its page": (
        lambda path: sql(
            path, f"DELETE FROM pages WHERE id = {TUNNEL * 4096 + 4095}"
        ),
        "rows of pages are what they were",
    ),
    "a flipped count of identities": (
        lambda path: sql(path, "UPDATE root SET identities = 7"),
        "computed again from the 3 identities, .* compare",
    ),
    "a flipped sum of identities": (
        lambda path: sql(
            path, "UPDATE root SET identity_sum = identity_sum + 1024"
        ),
        "computed again from the 3 identities",
    ),
    "a flipped count of pages": (
        lambda path: sql(path, "UPDATE root SET pages = 9999"),
        "computed again from the 8 pages",
    ),
    "a flipped sum of pages": (
        lambda path: sql(path, "UPDATE root SET page_sum = page_sum - 4"),
        "computed again from the 8 pages",
    ),
}


@pytest.mark.parametrize("name", REPAIRS)
def test_repair(small: Path, name: str) -> None:
    """What is certain is repaired, said, and kept as it was in a copy."""
    damage, said = REPAIRS[name]
    before = dump(small)
    damage(small)
    damaged = dump(small)
    assert checked(small) or "a killed process" in name or "dead" in name
    repaired = SqliteStore.repair(small)
    assert repaired.kept == ()
    assert any(re.search(said, str(each)) for each in repaired.done), repaired
    assert repaired.copy == f"{small}.before-repair-1"
    assert dump(Path(repaired.copy)) == damaged
    assert os.stat(repaired.copy).st_mode & 0o777 == 0o600
    assert checked(small) == []
    after = dump(small)
    assert not (after["sessions"] or after["leases"] or after["in_use"])
    if name not in {
        "a killed process",
        "a lost identity",
        "a page of nothing",
    }:
        assert after == before
    # No index is free that was not.
    for number, _, bits, _ in damaged["pages"]:
        if any(bits):
            found = {row[0]: row[2] for row in after["pages"]}[number]
            assert all(
                new & old == old for new, old in zip(found, bits, strict=True)
            )
    again = SqliteStore.repair(small)
    assert again.done == again.kept == ()
    assert again.copy == ""
    with ndis.Session(small) as session:
        session.register_provider("x").identity("new", TUNNEL)


def damage_mine(path: Path) -> None:
    """A dead session has an identity whose row is damaged."""
    insert_identity(path, record_of("x", 99), 70)
    sql(path, SESSION, "UPDATE identities SET alias = 'x' WHERE key = 'x'")


#: What must be left alone, and what is said of it.
UNCERTAIN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "an identity": (
        lambda path: sql(
            path, "UPDATE identities SET alias = 'x' WHERE key = 'b'"
        ),
        "NET_LUID 0x0083000005000000 is damaged .* restore a backup",
    ),
    "text that is none": (
        lambda path: sql(
            path,
            "UPDATE identities SET alias = CAST(x'ff' AS TEXT) "
            "WHERE key = 'b'",
        ),
        "identity: no more of it can be read",
    ),
    "a lasting one with an owner": (
        lambda path: sql(
            path, SESSION, "UPDATE identities SET owner = 70 WHERE key = 'b'"
        ),
        "NET_LUID 0x0083000005000000 is damaged",
    ),
    "one that ends": (damage_mine, "0x0083000063000000 is damaged"),
    "a page": (
        lambda path: sql(
            path,
            "UPDATE pages SET bits = zeroblob(512) WHERE id = 131 * 4096",
        ),
        "IfType 131, block 0 is damaged",
    ),
    "its checksum": (
        lambda path: sql(
            path,
            "UPDATE pages SET checksum = checksum + 1 WHERE id >> 12 = 6",
        ),
        "IfType 6, block 0 is damaged",
    ),
    "a lost page": (
        lambda path: sql(path, "DELETE FROM pages WHERE id >> 12 = 6"),
        "root: rows of pages are missing",
    ),
    "a lost identity": (
        lambda path: sql(path, "DELETE FROM identities WHERE key = 'b'"),
        "root: rows of identities are missing",
    ),
    "no root": (lambda path: sql(path, "DELETE FROM root"), "root: rows of"),
    "a count that no page can have": (
        lambda path: sql(
            path, "UPDATE pages SET retained = 0 WHERE id >> 12 = 6"
        ),
        "file: CHECK constraint",
    ),
}


@pytest.mark.parametrize("name", UNCERTAIN)
def test_not_repaired(small: Path, name: str) -> None:
    """What is not certain is not touched, and reported with the cure."""
    damage, said = UNCERTAIN[name]
    damage(small)
    before = dump_raw(small)
    repaired = SqliteStore.repair(small)
    assert repaired.done == ()
    assert any(re.search(said, str(each)) for each in repaired.kept), repaired
    assert repaired.copy == ""
    assert dump_raw(small) == before
    assert not list(small.parent.glob("*repair*"))


def dump_raw(path: Path) -> list[Any]:
    """All rows; text as bytes, for not all is UTF-8."""
    database = apsw.Connection(str(path))
    columns = _rows.IDENTITY_COLUMNS.replace("alias", "CAST(alias AS BLOB)")
    found = [
        *database.execute(f"SELECT {columns} FROM identities"),
        *(
            row
            for table in ("sessions", "leases", "pages", "in_use", "root")
            for row in database.execute(f"SELECT * FROM {table}")
        ),
    ]
    database.close()
    return found


def test_retained_without_an_identity(small: Path) -> None:
    """An ifIndex that nobody has is lost, which is better than doubled."""
    sql(small, "DELETE FROM identities WHERE key = 'a'")
    repaired = SqliteStore.repair(small)
    assert repaired.done == ()
    kept = "\n".join(map(str, repaired.kept))
    assert "ifIndex 8388608 is retained, and no identity's own" in kept
    assert "rows of identities are missing" in kept
    with ndis.Session(small) as session:
        made = session.register_provider("x").identity("new", TUNNEL)
        assert made.if_index != 0x800000
        assert made.net_luid.net_luid_index not in {0, 5}


def test_part_is_repaired(small: Path) -> None:
    """Damage in one place does not keep what is certain from being done."""
    sql(
        small,
        SESSION,
        "INSERT INTO leases VALUES(5, 70)",
        "UPDATE identities SET alias = 'x' WHERE key = 'b'",
        "UPDATE pages SET retained = 5 WHERE retained = 4096",
        "UPDATE root SET identities = 9",
    )
    (row,) = (row for row in dump(small)["identities"] if row[3] == "b")
    repaired = SqliteStore.repair(small)
    assert [each.kind for each in repaired.done] == ["session", "page"]
    assert {each.kind for each in repaired.kept} == {"identity", "root"}
    after = dump(small)
    assert row in after["identities"]
    assert after["root"][0][1] == 9
    sql(small, "UPDATE pages SET retained = 6 WHERE retained = 4096")
    assert SqliteStore.repair(small).copy == f"{small}.before-repair-2"


def test_repair_wants_no_session(small: Path, tmp_path: Path) -> None:
    """A live session is refused, and so is what is no store."""
    sql(small, "UPDATE root SET identities = 9")
    with contextlib.closing(SqliteStore(small)):
        before = dump(small)
        with pytest.raises(persistence.StoreBusyError, match="end that first"):
            SqliteStore.repair(small)
        assert dump(small) == before
    assert not list(small.parent.glob("*repair*"))
    empty = tmp_path / "empty.db"
    with pytest.raises(persistence.StoreNotFoundError):
        SqliteStore.repair(empty)
    empty.touch(0o600)
    with pytest.raises(persistence.StoreNotFoundError):
        SqliteStore.repair(empty)
    assert empty.stat().st_size == 0
    empty.write_bytes(b"no store at all" * 1000)
    with pytest.raises(persistence.StoreCorruptError):
        SqliteStore.repair(empty)
    assert empty.read_bytes() == b"no store at all" * 1000


def test_repair_that_can_keep_no_copy(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a copy of what was there nothing is changed."""
    sql(small, "UPDATE root SET identities = 9")
    before = dump(small)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_backup, "_flush", fail)
    with pytest.raises(persistence.StoreFullError):
        SqliteStore.repair(small)
    assert dump(small) == before
    assert not list(small.parent.glob("*repair*"))


# ---------------------------------------------------------------------------
# The commands


def test_check_and_repair_command(small: Path) -> None:
    """What was done is printed; 0 if all is well then, else 3."""
    done = command("store", "check", "--repair", store=small)
    assert done.stdout.decode() == f"{small}: all well\n"
    sql(small, "UPDATE root SET identities = 9")
    command("store", "check", store=small, code=3)
    done = command("store", "check", "--repair", store=small)
    assert b"repaired: root: computed again" in done.stdout
    assert f"{small}.before-repair-1" in done.stderr.decode()
    command("store", "check", store=small)
    sql(
        small,
        "UPDATE pages SET retained = 5 WHERE retained = 4096",
        "UPDATE identities SET alias = 'x' WHERE key = 'b'",
    )
    arguments = ["store", "check", "--repair", "-o", "json"]
    done = command(*arguments, store=small, code=3)
    assert b"restore a backup" in done.stderr
    rows = json.loads(done.stdout)
    assert [(row["kind"], row["repaired"]) for row in rows] == [
        ("page", True),
        ("identity", False),
    ]
    done = command("store", "check", "--repair", store=small, code=3)
    assert b"kept as it is: identity: " in done.stdout
    small.write_bytes(b"x" * 5000)
    done = command("store", "check", "--repair", store=small, code=3)
    assert b"kept as it is: file: " in done.stdout


def test_pipe(small: Path, tmp_path: Path) -> None:
    """An export goes through stdout and stdin into another store."""
    other = tmp_path / "other" / "ndis.db"
    text = command("store", "export", store=small).stdout
    assert text == export(Made(*SMALL))
    done = command("store", "import", "-", store=other, stdin=text)
    assert done.stdout == b""
    assert b"imported 3 identities" in done.stderr
    assert command("store", "export", "-", store=other).stdout == text
    done = command("store", "import", "-", store=other, stdin=text, code=3)
    assert b"are already there" in done.stderr
    third = tmp_path / "third" / "ndis.db"
    command("store", "import", "-", store=third, stdin=text[:-9], code=3)
    assert not third.parent.exists()


def test_files(small: Path, tmp_path: Path) -> None:
    """Files are made for who may read the store, and never overwritten."""
    file, copy = str(tmp_path / "x.jsonl"), str(tmp_path / "copy.db")
    command("store", "export", file, store=small)
    assert os.stat(file).st_mode & 0o777 == 0o600
    assert Path(file).read_bytes() == export(Made(*SMALL))
    done = command("store", "export", file, store=small, code=3)
    assert b"there already" in done.stderr
    command("store", "import", file, store=tmp_path / "other.db")
    done = command("store", "import", "nowhere", store=small, code=1)
    assert b"no such file" in done.stderr
    command("store", "import", str(tmp_path), store=small, code=3)
    done = command("store", "backup", copy, store=small)
    assert done.stderr.decode() == f"{copy}: 3 identities, verified\n"
    done = command("store", "backup", copy, store=small, code=3)
    assert b"there already" in done.stderr
    assert (
        command("store", "export", store=copy).stdout
        == Path(file).read_bytes()
    )


def test_fifo(small: Path, tmp_path: Path) -> None:
    """A pipe with a name can be imported, though it can't be read twice."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(
        [*COMMAND, "store", "import", fifo, "--store", tmp_path / "other.db"]
    ) as process:
        fifo.write_bytes(export(Made(*SMALL)))
    assert process.returncode == 0
    assert export_of(tmp_path / "other.db") == export_of(small)


def test_export_that_nobody_reads(store_path: Path) -> None:
    """Half an export is none: the exit code says so."""
    bare = {(6, block): ODD for block in range(1000)}
    import_into(store_path, export(Made([], bare)))
    process = subprocess.Popen(
        [*COMMAND, "store", "export", "--store", str(store_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(100)
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 3
    assert b"stdout: it can't be written: Broken pipe" in said
    full = os.open("/dev/full", os.O_WRONLY)
    done = subprocess.run(
        [*COMMAND, "store", "export", "--store", str(store_path)],
        stdout=full,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(full)
    assert done.returncode == 3
    assert b"No space left" in done.stderr


ON_STORES = [
    ["adopt", "--compartment", "t"],
    ["list"],
    ["show", "x"],
    ["reserve", "x", "--provider", "p"],
    ["release", "x", "-y"],
    ["query", "nothing", "GEN_ALIAS"],
    ["store", "create"],
    ["store", "check"],
    ["store", "check", "--repair"],
    ["store", "stats"],
    ["store", "export", "new.jsonl"],
    ["store", "import", "-"],
    ["store", "backup", "new.db"],
]


@pytest.mark.parametrize(
    "url", ["postgresql://127.0.0.1:1/x?ndis_host=a", "odd://x/y.db"]
)
def test_url_is_no_path(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A URL is never taken for a path, by any command."""
    monkeypatch.chdir(tmp_path)
    text = export(Made([], {(6, 0): ODD}))
    for arguments in ON_STORES:
        stdin = io.TextIOWrapper(io.BytesIO(text))
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(SystemExit) as ended:
            cli.run([*arguments, "--store", url])
        said = capsys.readouterr().err
        assert ended.value.code in {2, 3}, (arguments, said)
        assert "internal error" not in said
    assert os.listdir(tmp_path) == []


@pytest.fixture
def database(server: Any) -> Callable[..., str]:
    """``database(host)``: the URL of an empty database, as a host."""
    import psycopg

    name = f"tools_{uuid.uuid4().hex}"
    with psycopg.connect(
        server.url("postgres"), autocommit=True
    ) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return lambda host: server.url(name, host)


def test_between_sqlite_and_postgresql(
    small: Path, tmp_path: Path, database: Callable[..., str]
) -> None:
    """There and back again nothing has changed."""
    url, text = database("one"), export(Made(*SMALL))
    file, back = str(tmp_path / "x.jsonl"), str(tmp_path / "back.jsonl")
    command("store", "export", file, store=small)
    done = command("store", "import", file, store=url)
    assert b"imported 3 identities" in done.stderr
    assert b"no problem" in command("store", "check", store=url).stdout
    command("store", "export", back, store=url)
    assert Path(back).read_bytes() == text
    assert os.stat(back).st_mode & 0o777 == 0o600
    command("store", "import", back, store=tmp_path / "back.db")
    assert export_of(tmp_path / "back.db") == text
    with ndis.Session(url) as session:
        found = session.allocate_net_luid_indexes(6, 10)
        assert list(found) == [1, 4, 5, 6, *range(8, 14)]
        for record in SMALL[0]:
            assert session.store.find_by_guid(record.interface_guid) == record
    done = command("store", "import", file, store=url, code=3)
    assert "'a' of 'tést'" in done.stderr.decode()
    # Of another host they are not; what is nobody's is everybody's.
    two = database("two")
    done = command("store", "export", store=two, code=3)
    assert b"there is no host 'two'" in done.stderr
    ndis.Session(two).close()
    (header, *_) = command("store", "export", store=two).stdout.splitlines()
    assert json.loads(header)["identities"] == 0
    assert json.loads(header)["pages"] == len(SMALL[1])


def test_import_into_postgresql(database: Callable[..., str]) -> None:
    """All or nothing, if nobody else has the store open."""
    from ndisbridge.persistence._pg_contents import PostgresqlContents

    def import_text(text: bytes) -> None:
        _transfer.import_from(
            io.BytesIO(text),
            lambda: contextlib.closing(PostgresqlContents(database("one"))),
            _transfer.no_progress,
            "test",
        )

    def exported() -> bytes:
        with contextlib.closing(
            PostgresqlContents(database("one"), read_only=True)
        ) as store:
            assert store.check() == []
            return export(store)

    import_text(export(Made(*SMALL)))
    before = exported()
    assert before == export(Made(*SMALL))
    new = {(71, 0): FULL}
    for records, bare, match in (
        ([record_of("a", 99)], {}, "'a' of"),
        ([record_of("c", 5)], {}, "'c' of"),
        (
            [record_of("d", 9, interface_guid=SMALL[0][0].interface_guid)],
            {},
            "'d' of",
        ),
        (
            [record_of("e", 9, if_index=0x800000, if_index_owned=True)],
            {},
            "'e' of",
        ),
        ([], {(6, 0): FULL}, "index 0 of IfType 6"),
    ):
        text = export(Made(records, {**new, **bare}))
        with pytest.raises(persistence.StoreError, match=match):
            import_text(text)
        assert exported() == before
    doubled = sealed(
        {
            "retained": {
                "if_type": TUNNEL,
                "block": 3,
                "indexes": "12288,12290",
            }
        },
        *(
            _transfer._identity_values(record_of("x", index))
            for index in (12288, 12290)
        ),
        pages=1,
        retained=2,
        identities=2,
    )
    with pytest.raises(persistence.IdentityConflictError):
        import_text(doubled)
    assert exported() == before
    text = export(Made([record_of("later", 4096)], new))
    for host in ("one", "two"):
        with ndis.Session(database(host)):
            with pytest.raises(persistence.StoreBusyError, match="end that"):
                import_text(text)
    assert exported() == before
    import_text(text)
    assert len(exported()) > len(before)


def test_large_into_postgresql(
    tmp_path: Path, database: Callable[..., str]
) -> None:
    """Batches make one whole."""
    file = tmp_path / "x.jsonl"
    records = sorted(
        (record_of(f"k{number:04}", number * 7) for number in range(2500)),
        key=lambda each: each.key,
    )
    text = export(Made(records, {(6, block): ODD for block in range(600)}))
    file.write_bytes(text)
    command("store", "import", str(file), store=database("one"))
    assert command("store", "export", store=database("one")).stdout == text


def test_commands_on_postgresql(
    small: Path, database: Callable[..., str]
) -> None:
    """Commands serve a store that is no file; what can't says what can."""
    url = database("one")
    for arguments in ("check",), ("stats",), ("export",), ("evict", "x"):
        done = command("store", *arguments, store=url, code=3)
        assert b"there is no store in the database" in done.stderr
    command("list", store=url, code=3)
    done = command("store", "create", store=url)
    assert done.stderr.endswith(b": ready\n")
    command("store", "import", "-", store=url, stdin=export_of(small))
    done = command("list", "--compartment", "t", store=url)
    assert b"identities in postgresql://" in done.stderr
    shown = command("show", "a", "-o", "json", store=url).stdout
    assert json.loads(shown)["key"] == "a"
    done = command("reserve", "new", "--provider", "p", store=url)
    command("release", "new", "-y", store=url)
    found = json.loads(
        command("store", "stats", "-o", "json", store=url).stdout
    )
    assert found["identities"] == 3
    assert found["sessions"] == []
    with ndis.Session(database("two")) as session:
        session.allocate_net_luid_indexes(6, 10)
        stats = command("store", "stats", "-o", "json", store=url).stdout
        assert str(os.getpid()) in json.loads(stats)["sessions"][0]
        done = command("store", "evict", "two", store=url)
        assert done.stderr == b"evicted two: 1 session ended\n"
        indexes = session.allocate_net_luid_indexes(6, 1)
        with pytest.raises(persistence.LeaseLostError):
            session.retain_net_luid_indexes(6, indexes)
        with contextlib.suppress(persistence.StoreError):
            session.close()
    command("store", "evict", "nobody", store=url, code=3)
    done = command("store", "backup", "x.db", store=url, code=2)
    assert b"pg_dump" in done.stderr
    with ndis.Session(database("two")):
        done = command("store", "check", "--repair", store=url, code=3)
        assert b"on host two" in done.stderr
    done = command("store", "check", "--repair", store=url)
    assert done.stdout.endswith(b": all well\n")
    assert url.split("?")[0].split("@")[0].encode() not in done.stdout


def test_stores_that_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store without what it takes is a typed error."""
    monkeypatch.setattr(stores, "open_store", lambda _: MemoryStore())
    with pytest.raises(persistence.StoreError, match="look after"):
        stores.read_store("x://y")
    with pytest.raises(persistence.StoreError, match="neither exported"):
        with stores.store_to_import("x://y"):
            pass


def test_evict_wants_hosts(small: Path) -> None:
    """A file has no hosts to evict, and the message says what instead."""
    done = command("store", "evict", "web-7", store=small, code=2)
    assert b"only a PostgreSQL store has hosts" in done.stderr


def test_examples() -> None:
    """Every command says how it is used."""
    for name, each in cli.main.commands["store"].commands.items():  # type: ignore[attr-defined]
        assert "Example:\n" in each.help, name
        assert f"ndisbridge store {name}" in each.help, name


def test_progress(tmp_path: Path) -> None:
    """Over a second on a terminal it is said how far it is; not elsewhere."""
    for terminal in (True, False):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [
                *(*COMMAND, "store", "import", "-"),
                *("--store", str(tmp_path / f"{terminal}.db")),
            ],
            stdin=subprocess.PIPE,
            stderr=theirs if terminal else subprocess.PIPE,
        ) as process:
            os.close(theirs)
            assert process.stdin is not None
            said = b""
            if terminal:
                while b"importing: 1 s" not in said:
                    said += os.read(ours, 100)
            else:
                time.sleep(1.5)
            process.stdin.write(export(Made(*SMALL)))
            process.stdin.close()
            if process.stderr is not None:
                said = process.stderr.read()
            else:
                with contextlib.suppress(OSError):
                    while part := os.read(ours, 1000):
                        said += part
        os.close(ours)
        assert process.returncode == 0
        assert (b"\r\x1b[K" in said) == terminal
        assert b"imported 3 identities" in said
        assert (b"importing" in said) == terminal


def test_progress_in_percent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it is known how much there is, it is said."""
    from ndisbridge.cli import progress

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress, "_EVERY", 0.02)
    with progress.Progress("copying") as report:
        report(1, 3)
        time.sleep(0.2)
    assert "copying: 33 %, 1 s" in capsys.readouterr().err


def test_interrupted_export_leaves_nothing(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who interrupts an export finds no part of it."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_transfer, "export", interrupt)
    with pytest.raises(SystemExit) as ended:
        cli.run(
            [
                *("store", "export", str(tmp_path / "x.jsonl")),
                *("--store", str(small)),
            ]
        )
    assert ended.value.code == 130
    assert os.listdir(tmp_path) == ["store"]


def test_record_is_whole() -> None:
    """A field that is added to identities is not forgotten here."""
    fields = set(ndis.IdentityRecord.__dataclass_fields__)
    assert fields - {"persistent", "in_use_by"} == set(
        _transfer._IDENTITY_FIELDS
    )
    assert replace(SMALL[0][0], alias="x") != SMALL[0][0]
