# SPDX-License-Identifier: MIT
"""
The default store: one SQLite file, shared by any number of processes.

What is durable when a call returns: retaining and releasing persistent
identities and indexes, and updates of persistent identities
(``synchronous=FULL``: the log is flushed to the disk before the commit
returns).  What is visible to other processes but not flushed: leases, in-use
marks and non-persistent identities, which a power cut ends with their
holders (``synchronous=NORMAL``).
"""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import apsw

from . import _files, _rows, _schema
from ._check import check_store, collect_stats
from ._liveness import LockFile, boot_id
from ._rows import page_id, signed
from .errors import (
    AlreadyRetainedError,
    IdentityConflictError,
    IdentityExistsError,
    IdentityInUseError,
    LeaseLostError,
    NotRetainedError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StorePermissionError,
)
from .records import (
    IdentityRecord,
    IndexSet,
    Problem,
    SessionInfo,
    StoreStats,
)

_IDENTITY = _rows.IDENTITY_COLUMNS
_BLOCKS = 4096

#: Connections that a child of fork() has inherited: never touched again, not
#: even to close them.
_leaked: list[apsw.Connection] = []


class SqliteStore:
    """
    A store in one SQLite file.

    Args:
        path: The file; it and its directory (one level) are made if they
            are not there, for their owner only.
        busy_timeout: Seconds to wait for another process before
            StoreBusyError.
        read_only: Read a snapshot taken now: for a user who may not write.
            Only looking up, checking and counting work then.

    Raises:
        StoreError: It can't be opened; the message names the cure.
    """

    leases = True
    #: Lower numbers are the kernel's.
    if_index_first = 0x800000

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy_timeout: float = 5.0,
        read_only: bool = False,
    ) -> None:
        self.path = os.path.abspath(os.fspath(path))
        self.session_id = 0
        self.read_only = read_only
        self._lock = threading.RLock()
        self._closed = False
        self._busy_ms = round(busy_timeout * 1000)
        self._synchronous = ""
        self._liveness: LockFile | None = None
        if read_only:
            with self._errors():
                self._connection = self._snapshot()
            return
        _files.prepare(self.path)
        _, mode = _files._modes(self.path)
        self._liveness = LockFile(self.path, mode)
        try:
            with self._errors():
                self._connection = self._connect()
                self._begin_session()
        except BaseException:
            self._liveness.close()
            raise

    def __str__(self) -> str:
        return self.path

    # -- connection and transactions

    def _connect(self) -> apsw.Connection:
        self._synchronous = ""
        connection = _schema.connect(
            self.path, apsw.SQLITE_OPEN_READWRITE, self._busy_ms
        )
        self._connection = connection
        _schema.prepare(connection, self.path, self._transaction)
        return connection

    def _snapshot(self) -> apsw.Connection:
        """The whole store in memory, as one reader sees it now."""
        _files.check_file(self.path)
        source = self._open_to_read()
        try:
            if not _schema.check(source, self.path):
                raise StoreCorruptError("it is empty", self.path)
            copy = apsw.Connection(":memory:")
            with copy.backup("main", source, "main") as backup:
                backup.step()
        finally:
            source.close()
        return copy

    def _open_to_read(self) -> apsw.Connection:
        # Beside a log in use the readers' file is there to be shared;
        # without a log nobody writes, and the file is all there is.
        busy = os.path.exists(self.path + "-wal")
        if busy:
            return _schema.connect(
                self.path, apsw.SQLITE_OPEN_READONLY, self._busy_ms
            )
        quoted = self.path.replace("%", "%25").replace("?", "%3f")
        quoted = quoted.replace("#", "%23")
        return _schema.connect(
            f"file:{quoted}?immutable=1",
            apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
            self._busy_ms,
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of SQLite as errors of the store."""
        try:
            yield
        except apsw.Error as error:
            raise _schema.typed(error, self.path) from error

    def _set_synchronous(self, level: str) -> None:
        if self._synchronous == level:
            return
        self._connection.execute(f"PRAGMA synchronous = {level}")
        number = _schema.value(self._connection, "PRAGMA synchronous")
        if number != {"FULL": 2, "NORMAL": 1}[level]:
            raise StoreError("SQLite refuses to flush its log", self.path)
        self._synchronous = level

    @contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[None]:
        """
        One transaction, committed at the end, rolled back on any error.
        """
        connection = self._connection
        self._set_synchronous("FULL" if durable else "NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            # Some errors of SQLite have rolled back already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _writing(self, *, durable: bool) -> Iterator[None]:
        """A transaction of this session, which must not have been ended."""
        with self._lock, self._errors():
            self._check_open()
            if self.read_only:
                raise StorePermissionError(
                    "it was opened to be read only", self.path
                )
            try:
                with self._transaction(durable=durable):
                    if self._one(
                        "SELECT 1 FROM sessions WHERE id = ?", self.session_id
                    ) is None:
                        raise LeaseLostError(
                            "this session was ended by another, its leases "
                            "are void: open a new one",
                            self.path,
                        )
                    yield
            except apsw.IOError:
                # Nobody can tell what reached the disk.  Never try again
                # on this connection: read the state anew.
                self._reconnect()
                raise

    def _reconnect(self) -> None:
        self._connection.close(True)
        self._connection = self._connect()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, self._errors():
            self._check_open()
            yield

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("it is closed", self.path)

    def _one(self, sql: str, *args: Any) -> Any:
        return _schema.value(self._connection, sql, *args)

    def _rows(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(sql, args))

    # -- sessions

    def _begin_session(self) -> None:
        assert self._liveness is not None
        program = os.path.basename(sys.argv[0] if sys.argv else "")
        with self._transaction(durable=False):
            self._reclaim()
            self._connection.execute(
                "INSERT INTO sessions(pid, program, boot_id, started) "
                "VALUES(?, ?, ?, ?)",
                (os.getpid(), program[:255], boot_id(), int(time.time())),
            )
            self.session_id = self._connection.last_insert_rowid()
            if not self._liveness.take(self.session_id):
                raise StoreBusyError(
                    f"{self._liveness.path} is locked by somebody else",
                    self.path,
                )

    def _is_alive(self, session_id: int) -> bool:
        if session_id == self.session_id:
            return not self._closed
        return self._liveness is not None and self._liveness.is_held(
            session_id
        )

    def _reclaim(self) -> int:
        """
        Void what dead sessions held, inside a transaction.  Their ends were
        unclean, so what they may have left is verified.
        """
        dead = [
            number
            for (number,) in self._rows("SELECT id FROM sessions")
            if not self._is_alive(number)
        ]
        for number in dead:
            self._end_session(number)
        if dead:
            self._verify_root()
        return len(dead)

    def _end_session(self, session_id: int) -> None:
        self._delete_identities("owner = ?", session_id)
        for table in ("leases", "in_use"):
            self._connection.execute(
                f"DELETE FROM {table} WHERE session = ?", (session_id,)
            )
        self._connection.execute(
            "DELETE FROM sessions WHERE id = ?", (session_id,)
        )

    def _session(self, session_id: int | None) -> SessionInfo | None:
        """A session that is alive."""
        if session_id is None or not self._is_alive(session_id):
            return None
        for row in self._rows(
            "SELECT id, pid, program, boot_id, started FROM sessions "
            "WHERE id = ?",
            session_id,
        ):
            return SessionInfo(*row)
        return None

    def lease_holders(self, if_type: int) -> dict[SessionInfo, int]:
        """Live sessions with leases of an IfType, and how many blocks."""
        with self._reading():
            counts = self._rows(
                "SELECT session, count(*) FROM leases WHERE id BETWEEN ? "
                "AND ? GROUP BY session",
                page_id(if_type, 0),
                page_id(if_type, _BLOCKS - 1),
            )
            found = {}
            for session_id, count in counts:
                info = self._session(session_id)
                if info is not None:
                    found[info] = count
            return found

    # -- the root

    def _verify_root(self) -> None:
        for table, kind in (("identities", "identity"), ("pages", "page")):
            count, low, high = self._rows(
                "SELECT count(*), coalesce(sum(checksum & 4294967295), 0), "
                "coalesce(sum((checksum >> 32) & 4294967295), 0) "
                f"FROM {table}"
            )[0]
            total = signed(low + (high << 32))
            if (count, total) != self._rows(
                f"SELECT {table}, {kind}_sum FROM root"
            )[0]:
                raise StoreCorruptError(
                    f"rows of {table} are missing or damaged (root): keep "
                    "the file, and restore a backup",
                    self.path,
                )

    def _add_to_root(self, table: str, count: int, total: int) -> None:
        column = {"identities": "identity_sum", "pages": "page_sum"}[table]
        before = self._one(f"SELECT {column} FROM root")
        self._connection.execute(
            f"UPDATE root SET {table} = {table} + ?, {column} = ?",
            (count, signed(before + total)),
        )

    # -- leases

    def lease_blocks(
        self, if_type: int, lowest: int, highest: int, count: int
    ) -> list[tuple[int, bytes]]:
        with self._writing(durable=False):
            blocks = self._free_blocks(if_type, lowest, highest, count)
            if not blocks and self._reclaim():
                blocks = self._free_blocks(if_type, lowest, highest, count)
            leased = [(block, self._page(if_type, block)) for block in blocks]
            self._connection.executemany(
                "INSERT INTO leases VALUES(?, ?)",
                [
                    (page_id(if_type, block), self.session_id)
                    for block in blocks
                ],
            )
            return leased

    def _free_blocks(
        self, if_type: int, lowest: int, highest: int, count: int
    ) -> list[int]:
        """Blocks that nobody has leased; a full one only if it is asked."""
        first, last = page_id(if_type, lowest), page_id(if_type, highest)
        taken = {
            number
            for (number,) in self._rows(
                "SELECT id FROM leases WHERE id BETWEEN ? AND ?", first, last
            )
        }
        if lowest != highest:
            taken.update(
                number
                for (number,) in self._rows(
                    "SELECT id FROM pages WHERE id BETWEEN ? AND ? "
                    "AND retained = 4096",
                    first,
                    last,
                )
            )
        blocks = []
        for number in range(first, last + 1):
            if number not in taken:
                blocks.append(number - page_id(if_type, 0))
                if len(blocks) == count:
                    break
        return blocks

    def _page(self, if_type: int, block: int) -> bytes:
        number = page_id(if_type, block)
        for bits, checksum in self._rows(
            "SELECT bits, checksum FROM pages WHERE id = ?", number
        ):
            return _rows.page_bits(number, bits, checksum, self.path)
        return bytes(_rows.BLOCK_BYTES)

    def return_blocks(self, if_type: int, blocks: Sequence[int]) -> None:
        with self._writing(durable=False):
            self._connection.executemany(
                "DELETE FROM leases WHERE id = ? AND session = ?",
                [
                    (page_id(if_type, block), self.session_id)
                    for block in blocks
                ],
            )

    # -- retain, release

    def retain(
        self,
        sets: Sequence[IndexSet],
        identities: Sequence[IdentityRecord],
        *,
        persistent: bool = True,
    ) -> None:
        now = int(time.time())
        with self._writing(durable=persistent):
            for record in identities:
                self._refuse_existing(record)
            self._check_leases(sets)
            if persistent:
                self._change_pages(sets, self._set_bits)
            self._insert_identities(
                [replace(record, created=now) for record in identities],
                None if persistent else self.session_id,
            )

    def _refuse_existing(self, record: IdentityRecord) -> None:
        existing = self._find(
            "compartment = ? AND provider = ? AND key = ?",
            record.compartment,
            record.provider,
            record.key,
        )
        if existing is not None:
            raise IdentityExistsError(
                f"{record.key!r} of {record.provider!r} has an identity",
                self.path,
                existing,
            )

    def _check_leases(self, sets: Sequence[IndexSet]) -> None:
        for if_type, blocks in sets:
            mine = {
                number
                for (number,) in self._rows(
                    "SELECT id FROM leases WHERE session = ? AND id BETWEEN "
                    "? AND ?",
                    self.session_id,
                    page_id(if_type, 0),
                    page_id(if_type, _BLOCKS - 1),
                )
            }
            for block, _ in blocks:
                if page_id(if_type, block) not in mine:
                    raise LeaseLostError(
                        f"block {block} of IfType {if_type} is not leased "
                        "to this session",
                        self.path,
                    )

    def _set_bits(self, number: int, before: int, mask: int) -> int:
        if before & mask:
            raise AlreadyRetainedError(
                f"an index of IfType {number >> 12}, block {number & 4095} "
                "is retained already",
                self.path,
            )
        return before | mask

    def _clear_bits(self, number: int, before: int, mask: int) -> int:
        if before & mask != mask:
            raise NotRetainedError(
                f"an index of IfType {number >> 12}, block {number & 4095} "
                "is not retained",
                self.path,
            )
        return before & ~mask

    def _change_pages(
        self,
        sets: Sequence[IndexSet],
        change: Callable[[int, int, int], int],
    ) -> None:
        count = total = 0
        written, emptied = [], []
        for if_type, blocks in sets:
            stored = self._stored_pages(if_type, [block for block, _ in blocks])
            for block, mask in blocks:
                number = page_id(if_type, block)
                bits, checksum = stored.get(number, (b"", None))
                after = change(
                    number,
                    int.from_bytes(bits, "little"),
                    int.from_bytes(mask, "little"),
                )
                if checksum is not None:
                    count -= 1
                    total -= checksum
                if not after:
                    emptied.append((number,))
                    continue
                new_bits = after.to_bytes(_rows.BLOCK_BYTES, "little")
                new_checksum = _rows.page_checksum(number, new_bits)
                written.append(
                    (number, after.bit_count(), new_bits, new_checksum)
                )
                count += 1
                total += new_checksum
        self._connection.executemany(
            "INSERT OR REPLACE INTO pages VALUES(?, ?, ?, ?)", written
        )
        self._connection.executemany(
            "DELETE FROM pages WHERE id = ?", emptied
        )
        if written or emptied:
            self._add_to_root("pages", count, total)

    def _stored_pages(
        self, if_type: int, blocks: list[int]
    ) -> dict[int, tuple[bytes, int]]:
        """Pages of these blocks, verified."""
        if not blocks:
            return {}
        if len(blocks) <= 8:
            numbers = [page_id(if_type, block) for block in blocks]
            marks = ", ".join("?" * len(numbers))
            rows = self._rows(
                f"SELECT id, bits, checksum FROM pages WHERE id IN ({marks})",
                *numbers,
            )
        else:
            rows = self._rows(
                "SELECT id, bits, checksum FROM pages WHERE id BETWEEN ? "
                "AND ?",
                page_id(if_type, min(blocks)),
                page_id(if_type, max(blocks)),
            )
        return {
            number: (
                _rows.page_bits(number, bits, checksum, self.path),
                checksum,
            )
            for number, bits, checksum in rows
        }

    def _insert_identities(
        self, records: Sequence[IdentityRecord], owner: int | None
    ) -> None:
        rows = [_rows.identity_row(record, owner) for record in records]
        if not rows:
            return
        try:
            self._connection.executemany(
                "INSERT INTO identities VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                "?, ?)",
                rows,
            )
        except apsw.ConstraintError as error:
            raise IdentityConflictError(
                f"an identity is there already ({error})", self.path
            ) from error
        self._add_to_root(
            "identities", len(rows), sum(row[-1] for row in rows)
        )

    def release(
        self,
        sets: Sequence[IndexSet],
        identities: Sequence[IdentityRecord],
        *,
        persistent: bool = True,
    ) -> None:
        with self._writing(durable=persistent):
            for record in identities:
                self._release_identity(record)
            if persistent:
                self._refuse_identities(sets)
                self._refuse_in_use(sets)
                self._change_pages(sets, self._clear_bits)

    def _release_identity(self, record: IdentityRecord) -> None:
        stored = self._find("net_luid = ?", signed(record.net_luid))
        if stored is None or stored.interface_guid != record.interface_guid:
            raise NotRetainedError(
                f"{record.key!r} of {record.provider!r} is released already",
                self.path,
            )
        self._refuse_holder(stored.net_luid, stored.in_use_by, stored.key)
        self._connection.execute(
            "DELETE FROM in_use WHERE net_luid = ?", (signed(stored.net_luid),)
        )
        self._delete_identities("net_luid = ?", signed(stored.net_luid))

    def _refuse_holder(
        self, net_luid: int, holder: SessionInfo | None, what: str
    ) -> None:
        if holder is None or holder.session_id == self.session_id:
            return
        raise IdentityInUseError(
            f"{what!r} (NET_LUID 0x{net_luid:016x}) is registered by "
            f"{holder}: deregister it there",
            self.path,
            holder,
        )

    def _in_sets(
        self, sets: Sequence[IndexSet], table: str
    ) -> Iterator[tuple[int, bytes]]:
        """NET_LUIDs of a table that lie in sets."""
        for if_type, blocks in sets:
            for block, mask in blocks:
                first = if_type << 48 | block << 36
                for (number,) in self._rows(
                    f"SELECT net_luid FROM {table} WHERE net_luid BETWEEN ? "
                    "AND ?",
                    signed(first),
                    signed(first | 0xFFFFFFFFF),
                ):
                    net_luid = _rows.unsigned(number)
                    index = (net_luid >> 24) & 0xFFFFFF
                    if _rows.bit_is_set(mask, index):
                        yield net_luid, mask

    def _refuse_identities(self, sets: Sequence[IndexSet]) -> None:
        """An identity's index goes with the identity only."""
        for net_luid, _ in self._in_sets(sets, "identities"):
            raise NotRetainedError(
                f"NET_LUID 0x{net_luid:016x} is an identity: release that",
                self.path,
            )

    def _refuse_in_use(self, sets: Sequence[IndexSet]) -> None:
        for net_luid, _ in self._in_sets(sets, "in_use"):
            holder = self._session(
                self._one(
                    "SELECT session FROM in_use WHERE net_luid = ?",
                    signed(net_luid),
                )
            )
            self._refuse_holder(net_luid, holder, f"0x{net_luid:016x}")

    def _delete_identities(self, where: str, argument: int) -> None:
        checksums = [
            checksum
            for (checksum,) in self._rows(
                f"SELECT checksum FROM identities WHERE {where}", argument
            )
        ]
        if not checksums:
            return
        self._connection.execute(
            f"DELETE FROM identities WHERE {where}", (argument,)
        )
        self._add_to_root("identities", -len(checksums), -sum(checksums))

    # -- in use

    def confirm(
        self, net_luids: Sequence[int], if_indexes: Sequence[int]
    ) -> None:
        with self._writing(durable=False):
            for net_luid, if_index in zip(net_luids, if_indexes, strict=True):
                self._confirm_one(net_luid, if_index)
            self._connection.executemany(
                "INSERT OR REPLACE INTO in_use VALUES(?, ?)",
                [(signed(each), self.session_id) for each in net_luids],
            )

    def _confirm_one(self, net_luid: int, if_index: int) -> None:
        holder = self._one(
            "SELECT session FROM in_use WHERE net_luid = ?", signed(net_luid)
        )
        if holder is not None and holder != self.session_id:
            self._refuse_holder(
                net_luid, self._session(holder), f"0x{net_luid:016x}"
            )
        row = self._rows(
            "SELECT if_index, if_index_owned, owner FROM identities WHERE "
            "net_luid = ?",
            signed(net_luid),
        )
        if not row and not self._is_retained(net_luid):
            raise NotRetainedError(
                f"NET_LUID 0x{net_luid:016x} is neither allocated by this "
                "session nor retained",
                self.path,
            )
        if row and row[0][2] not in {None, self.session_id}:
            raise NotRetainedError(
                f"NET_LUID 0x{net_luid:016x} belongs to another session",
                self.path,
            )
        own = row[0][0] if row and row[0][1] else 0
        if if_index == own or not (
            self.if_index_first <= if_index <= 0xFFFFFF
        ):
            return
        other = self._one(
            "SELECT key FROM identities WHERE if_index = ? AND "
            "if_index_owned = 1",
            if_index,
        )
        if other is not None:
            raise IdentityConflictError(
                f"ifIndex {if_index} is the identity {other!r}'s own",
                self.path,
            )

    def _is_retained(self, net_luid: int) -> bool:
        index = (net_luid >> 24) & 0xFFFFFF
        bits = self._page(net_luid >> 48, index >> 12)
        return _rows.bit_is_set(bits, index)

    def unconfirm(self, net_luids: Sequence[int]) -> None:
        with self._writing(durable=False):
            self._connection.executemany(
                "DELETE FROM in_use WHERE net_luid = ? AND session = ?",
                [(signed(each), self.session_id) for each in net_luids],
            )

    # -- looking up, changing

    def _records(self, where: str, *args: Any) -> list[IdentityRecord]:
        columns = ", ".join(
            f"i.{name.strip()}" for name in _IDENTITY.split(",")
        )
        rows = self._rows(
            f"SELECT {columns}, u.session FROM identities AS i LEFT JOIN "
            f"in_use AS u ON u.net_luid = i.net_luid WHERE {where} "
            "ORDER BY i.compartment, i.provider, i.key",
            *args,
        )
        sessions: dict[int | None, SessionInfo | None] = {None: None}
        records = []
        for row in rows:
            holder = row[-1]
            if holder not in sessions:
                sessions[holder] = self._session(holder)
            records.append(
                _rows.identity_record(row[:-1], self.path, sessions[holder])
            )
        return records

    def _find(self, where: str, *args: Any) -> IdentityRecord | None:
        where = where.replace("net_luid", "i.net_luid", 1)
        found = self._records(where, *args)
        return found[0] if found else None

    def find(
        self, compartment: str, provider: str, key: str
    ) -> IdentityRecord | None:
        with self._reading():
            return self._find(
                "compartment = ? AND provider = ? AND key = ?",
                compartment,
                provider,
                key,
            )

    def find_by_net_luid(self, net_luid: int) -> IdentityRecord | None:
        with self._reading():
            return self._find("net_luid = ?", signed(net_luid))

    def find_by_guid(self, guid: uuid.UUID) -> IdentityRecord | None:
        with self._reading():
            return self._find("guid = ?", guid.bytes)

    def find_by_if_index(self, if_index: int) -> list[IdentityRecord]:
        """Identities with an ifIndex: its owner first, then last seen."""
        with self._reading():
            found = self._records("if_index = ?", if_index)
            return sorted(found, key=lambda each: not each.if_index_owned)

    def identities(
        self, compartment: str | None = None, provider: str | None = None
    ) -> list[IdentityRecord]:
        with self._reading():
            return self._records(
                "(?1 IS NULL OR compartment = ?1) AND "
                "(?2 IS NULL OR provider = ?2)",
                compartment,
                provider,
            )

    def update(self, net_luid: int, **changes: Any) -> None:
        self.update_many([(net_luid, changes)])

    def update_many(
        self, changes: Sequence[tuple[int, Mapping[str, Any]]]
    ) -> None:
        """
        Change ``alias``, ``attributes``, and ``if_index`` where it is a
        kernel's, of several identities in one durable transaction.
        """
        with self._writing(durable=True):
            for net_luid, values in changes:
                self._update_one(net_luid, values)

    def _update_one(self, net_luid: int, values: Mapping[str, Any]) -> None:
        stored = self._find("net_luid = ?", signed(net_luid))
        if stored is None:
            raise NotRetainedError(
                f"no identity has NET_LUID 0x{net_luid:016x}", self.path
            )
        if not set(values) <= {"alias", "attributes", "if_index"} or (
            stored.if_index_owned
            and values.get("if_index", stored.if_index) != stored.if_index
        ):
            raise IdentityConflictError(
                "only its alias, its attributes and a kernel's ifIndex can "
                "change",
                self.path,
            )
        owner = None if stored.persistent else self.session_id
        row = _rows.identity_row(replace(stored, **values), owner)
        before = self._one(
            "SELECT checksum FROM identities WHERE net_luid = ?", row[0]
        )
        self._connection.execute(
            "UPDATE identities SET if_index = ?, alias = ?, attributes = ?, "
            "checksum = ? WHERE net_luid = ?",
            (row[6], row[8], row[9], row[11], row[0]),
        )
        self._add_to_root("identities", 0, row[11] - before)

    # -- looking after it

    def check(self) -> list[Problem]:
        """
        Verify everything: the file, each page and row, the root, that each
        identity has its bit, and that nothing belongs to dead sessions.
        """
        with self._reading():
            return check_store(
                self._connection, self._is_alive, live=not self.read_only
            )

    def stats(self) -> StoreStats:
        """Figures of the store."""
        with self._reading():
            size = 0
            for name in (self.path, self.path + "-wal"):
                if os.path.exists(name):
                    size += os.path.getsize(name)
            sessions = tuple(
                info
                for (number,) in self._rows("SELECT id FROM sessions")
                if (info := self._session(number)) is not None
            )
            return collect_stats(
                self._connection, self.path, size, sessions
            )

    # -- the end

    def close(self) -> None:
        """
        End the session: its leases, marks and non-persistent identities go.
        """
        with self._lock:
            if self._closed:
                return
            try:
                if not self.read_only:
                    with self._errors(), self._transaction(durable=False):
                        self._end_session(self.session_id)
            finally:
                self._closed = True
                self._connection.close(True)
                if self._liveness is not None:
                    self._liveness.close()

    def after_fork_in_child(self) -> None:
        """Let go of the lock's descriptor; leak the connection."""
        self._closed = True
        _leaked.append(self._connection)
        if self._liveness is not None:
            self._liveness.close()
        # A thread of the parent may have held it.
        self._lock = threading.RLock()
