# SPDX-License-Identifier: MIT
"""
Whose the indexes are, in a SQLite store: identities and in-use marks.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import apsw

from . import _rows
from ._damage import reading
from ._pages import SqlitePages
from ._rows import signed
from .errors import (
    AlreadyRetainedError,
    IdentityConflictError,
    IdentityExistsError,
    IdentityInUseError,
    NotRetainedError,
    StoreError,
)
from .records import IdentityRecord, IndexSet, SessionInfo

_IDENTITY = _rows.IDENTITY_COLUMNS
_NONE = bytes(_rows.BLOCK_BYTES)
_OWNER = _IDENTITY.split(", ").index("owner")
_INSERT = f"INSERT INTO identities VALUES({', '.join('?' * 12)})"
_HOLDER = "SELECT session FROM in_use WHERE net_luid = ?"
#: As many are asked for one by one.
_FEW = 8


class _LastsError(Exception):
    """An identity that ended with its session has made way for another."""


class SqliteIdentities(SqlitePages):
    """Rows of identities, and who has each one registered."""

    #: First ifIndex that is handed out; lower numbers are the kernel's.
    if_index_first = 0x800000

    # -- looking up

    def _records(self, where: str, *args: Any) -> list[IdentityRecord]:
        rows = self._rows(
            f"SELECT {_IDENTITY} FROM identities WHERE {where} "
            "ORDER BY compartment, provider, key",
            *args,
        )
        if not rows:
            return []
        holders = self._holders([row[0] for row in rows])
        sessions: dict[int | None, SessionInfo | None] = {None: None}
        records = []
        for row in rows:
            owner, holder = row[_OWNER], holders.get(row[0])
            for each in (owner, holder):
                if each not in sessions:
                    sessions[each] = self._session(each)
            record = _rows.identity_record(row, self.path, sessions[holder])
            if owner is None or sessions[owner] is not None:
                records.append(record)  # else it ended with its session
        return records

    def _holders(self, numbers: list[int]) -> dict[int, int]:
        """
        The sessions of the marks on these.  Not by a join: SQLite would
        make a new plan for it each time, which costs more than the rest.
        """
        if len(numbers) > _FEW:
            return dict(self._rows("SELECT net_luid, session FROM in_use"))
        found = {}
        for number in numbers:
            for (session,) in self._rows(_HOLDER, number):
                found[number] = session
        return found

    def _find(self, where: str, *args: Any) -> IdentityRecord | None:
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

    def identities_stamp(self) -> tuple[int, int]:
        """Their root: as long as it is the same, so are they."""
        with self._reading():
            rows = self._connection.execute(
                "SELECT identities, identity_sum FROM root"
            )
            with reading(self.path):
                ((count, total),) = rows
            return count, total

    def _find_many(
        self, net_luids: Sequence[int]
    ) -> dict[int, IdentityRecord]:
        """Those that are there."""
        places = ", ".join("?" * len(net_luids))
        with self._reading():
            found = self._records(
                f"net_luid IN ({places})", *map(signed, net_luids)
            )
        return {each.net_luid: each for each in found}

    # -- changing

    def _insert_identities(
        self,
        records: Sequence[IdentityRecord],
        owner: int | None,
        created: int,
    ) -> tuple[int, int]:
        """How many, and the sum of their checksums."""
        rows = [
            _rows.identity_row(record, owner, created) for record in records
        ]
        if len(rows) == 1:
            try:
                self._connection.execute(_INSERT, rows[0])
            except apsw.ConstraintError as error:
                raise self._refused(records, error) from error
        else:
            self._connection.execute("SAVEPOINT many")
            try:
                self._connection.executemany(_INSERT, rows)
            except apsw.ConstraintError as error:
                # What is there was there before, then.
                self._connection.execute("ROLLBACK TO many")
                raise self._refused(records, error) from error
            self._connection.execute("RELEASE many")
        return len(rows), sum(row[-1] for row in rows)

    def _refused(
        self, records: Sequence[IdentityRecord], error: apsw.Error
    ) -> StoreError:
        for record in records:
            existing = self._find(
                "compartment = ? AND provider = ? AND key = ?",
                record.compartment,
                record.provider,
                record.key,
            )
            if existing is not None:
                return IdentityExistsError(
                    f"{record.key!r} of {record.provider!r} has an identity",
                    self.path,
                    existing,
                )
        for record in records:
            if record.persistent and self._is_retained(record.net_luid):
                return AlreadyRetainedError(
                    f"NET_LUID 0x{record.net_luid:016x} is retained already",
                    self.path,
                )
        return IdentityConflictError(
            f"an identity is there already ({error})", self.path
        )

    def update(self, net_luid: int, **changes: Any) -> None:
        """As :meth:`update_many`, for one."""
        self.update_many([(net_luid, changes)])

    def update_many(
        self, changes: Sequence[tuple[int, Mapping[str, Any]]]
    ) -> None:
        """
        Change ``alias``, ``attributes``, and ``if_index`` where it is a
        kernel's, of several identities in one transaction, which is flushed
        unless all end with this session.
        """
        self._change_rows(self._update_all, changes, changes)

    def _change_rows(
        self,
        run: Callable[[list[Any]], None],
        part: Any,
        updates: Sequence[tuple[int, Mapping[str, Any]]],
        *,
        durable: bool = False,
    ) -> None:
        """A change that is durable too if one of these identities lasts."""
        net_luids = [net_luid for net_luid, _ in updates]
        if durable or self._any_lasts(net_luids):
            self._change(run, part, durable=True)
            return

        def run_if_none_lasts(parts: list[Any]) -> None:
            if self._any_lasts(net_luids):
                raise _LastsError
            run(parts)

        try:
            self._change(
                run_if_none_lasts if net_luids else run, part, durable=False
            )
        except _LastsError:
            self._change(run, part, durable=True)

    def _update_all(
        self, parts: list[Sequence[tuple[int, Mapping[str, Any]]]]
    ) -> None:
        for changes in parts:
            self._update_rows(changes)

    def _update_rows(
        self, changes: Sequence[tuple[int, Mapping[str, Any]]]
    ) -> None:
        for net_luid, values in changes:
            self._update_one(net_luid, values)

    def _owner(self, net_luid: int) -> Any:
        return self._one(
            "SELECT owner FROM identities WHERE net_luid = ?", signed(net_luid)
        )

    def _any_lasts(self, net_luids: Iterable[int]) -> bool:
        """Whether one does not end with this session."""
        with self._reading():
            return any(
                self._owner(net_luid) != self.session_id
                for net_luid in net_luids
            )

    def _update_one(self, net_luid: int, values: Mapping[str, Any]) -> None:
        stored = self._changeable(
            self._find("net_luid = ?", signed(net_luid)), net_luid, values
        )
        # The owner of a non-persistent one may be another session.
        ((owner, before),) = self._rows(
            "SELECT owner, checksum FROM identities WHERE net_luid = ?",
            signed(net_luid),
        )
        row = _rows.identity_row(replace(stored, **values), owner)
        self._connection.execute(
            "UPDATE identities SET if_index = ?, alias = ?, attributes = ?, "
            "checksum = ? WHERE net_luid = ?",
            (row[6], row[8], row[9], row[11], row[0]),
        )
        self._add_to_root("identities", 0, row[11] - before)

    def _release_identity(
        self, record: IdentityRecord, persistent: bool
    ) -> IdentityRecord:
        """Delete its row, and return what the row said."""
        stored = self._same(
            self._find("net_luid = ?", signed(record.net_luid)), record
        )
        owner = self._owner(stored.net_luid)
        self._refuse_owner(owner, record, persistent)
        self._refuse_holder(stored.net_luid, stored.in_use_by, stored.key)
        self._connection.execute(
            "DELETE FROM in_use WHERE net_luid = ?", (signed(stored.net_luid),)
        )
        self._delete_identities("net_luid = ?", signed(stored.net_luid))
        return stored

    def _refuse_other_bits(
        self, sets: Sequence[IndexSet], released: Sequence[IdentityRecord]
    ) -> None:
        """Release the indexes of these identities, and no other ifIndex."""
        masks = {
            (if_type, block): mask
            for if_type, blocks in sets
            for block, mask in blocks
        }
        if_indexes = {
            block * 4096 + position
            for (if_type, block), mask in masks.items()
            if if_type == 0
            for position in _rows.positions(mask)
        }
        own = {each.if_index for each in released if each.if_index_owned}
        indexes = [
            (each.net_luid >> 48, (each.net_luid >> 24) & 0xFFFFFF)
            for each in released
        ]
        if if_indexes != own or not all(
            _rows.bit_is_set(masks.get((if_type, index >> 12), _NONE), index)
            for if_type, index in indexes
        ):
            raise IdentityConflictError(
                "an identity is released with its own index and ifIndex, no "
                "more and no less: look it up again",
                self.path,
            )

    # -- in use

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
        """Refuse what is registered, and take the marks of the dead off."""
        for net_luid, _ in list(self._in_sets(sets, "in_use")):
            holder = self._holder(net_luid)
            self._refuse_holder(net_luid, holder, f"0x{net_luid:016x}")
            self._connection.execute(
                "DELETE FROM in_use WHERE net_luid = ?", (signed(net_luid),)
            )

    def _holder(self, net_luid: int) -> SessionInfo | None:
        return self._session(self._one(_HOLDER, signed(net_luid)))

    def _confirm_one(
        self, net_luid: int, if_index: int, mark: int | None
    ) -> None:
        """mark: the session that the row in_use has, if there is one."""
        if mark is not None and mark != self.session_id:
            self._refuse_holder(
                net_luid, self._session(mark), f"0x{net_luid:016x}"
            )
        row = self._rows(
            "SELECT if_index, if_index_owned, owner, key FROM identities "
            "WHERE net_luid = ?",
            signed(net_luid),
        )
        if row and self._is_gone(row[0][2]):
            row = []
        if not row and not self._is_retained(net_luid):
            raise NotRetainedError(
                f"NET_LUID 0x{net_luid:016x} is neither allocated by this "
                "session nor retained",
                self.path,
            )
        if row and row[0][2] not in {None, self.session_id}:
            owner = self._session(row[0][2])
            raise IdentityInUseError(
                f"{row[0][3]!r} (NET_LUID 0x{net_luid:016x}) belongs to "
                f"{owner}, and ends with it",
                self.path,
                owner,
            )
        own = row[0][0] if row and row[0][1] else 0
        if if_index == own or not (
            self.if_index_first <= if_index <= 0xFFFFFF
        ):
            return
        for other, owner in self._rows(
            "SELECT key, owner FROM identities WHERE if_index = ? AND "
            "if_index_owned = 1",
            if_index,
        ):
            if not self._is_gone(owner):
                raise IdentityConflictError(
                    f"ifIndex {if_index} is the identity {other!r}'s own",
                    self.path,
                )
