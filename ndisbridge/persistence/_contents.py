# SPDX-License-Identifier: MIT
"""
Everything durable of a SQLite store at once: reading it, and adding to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from . import _rows
from ._damage import reading
from ._identities import SqliteIdentities
from ._rows import page_id, signed
from ._transfer import (
    Collisions,
    Contents,
    Counts,
    Page,
    refuse_collisions,
)
from .errors import StoreBusyError
from .records import IdentityRecord


class SqliteContents(SqliteIdentities):
    """A store that can be exported and imported into."""

    # -- reading

    @contextmanager
    def contents(self) -> Iterator[Contents]:
        with self._reading():
            self._connection.execute("BEGIN")
            try:
                self._verify_root()
                ((pages, retained),) = self._rows(
                    "SELECT count(*), coalesce(sum(retained), 0) FROM pages"
                )
                identities = self._one(
                    "SELECT count(*) FROM identities WHERE owner IS NULL"
                )
                yield Contents(
                    Counts(pages, retained, identities),
                    self._all_pages(),
                    self._all_lasting(),
                )
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _all_pages(self) -> Iterator[Page]:
        with reading(self.path):
            for number, bits, checksum in self._connection.execute(
                "SELECT id, bits, checksum FROM pages ORDER BY id"
            ):
                yield (
                    number >> 12,
                    number & 4095,
                    _rows.page_bits(number, bits, checksum, self.path),
                )

    def _all_lasting(self) -> Iterator[IdentityRecord]:
        with reading(self.path):
            for row in self._connection.execute(
                f"SELECT {_rows.IDENTITY_COLUMNS} FROM identities "
                "WHERE owner IS NULL ORDER BY compartment, provider, key"
            ):
                yield _rows.identity_record(row, self.path, None)

    # -- adding

    def add_contents(
        self, pages: Iterable[Page], identities: Iterable[IdentityRecord]
    ) -> None:
        with self._writing(durable=True):
            self._reclaim()
            self._refuse_sessions()
            indexes, names = Collisions(), Collisions()
            self._add_pages(pages, indexes)
            self._add_identities(identities, names)
            refuse_collisions(names, indexes, self.path)

    def _refuse_sessions(self) -> None:
        """What a session has leased it takes to be free."""
        for (number,) in self._rows("SELECT id FROM sessions"):
            found = self._session(number)
            if found is not None and number != self.session_id:
                raise StoreBusyError(
                    f"{found} has it open: end that first", self.path
                )
        if self._one("SELECT count(*) FROM leases"):
            raise StoreBusyError(
                "this session has leased blocks of it: import first", self.path
            )

    def _add_pages(self, pages: Iterable[Page], found: Collisions) -> None:
        count = total = 0
        for if_type, block, bits in pages:
            number = page_id(if_type, block)
            before = self._page(if_type, block)
            mask, old = (
                int.from_bytes(each, "little") for each in (bits, before)
            )
            if mask & old:
                found.add_indexes(number, mask & old)
                continue
            new = (mask | old).to_bytes(_rows.BLOCK_BYTES, "little")
            checksum = _rows.page_checksum(number, new)
            self._connection.execute(
                "INSERT OR REPLACE INTO pages VALUES(?, ?, ?, ?)",
                (number, (mask | old).bit_count(), new, checksum),
            )
            count += not old
            total += checksum
            if old:
                total -= _rows.page_checksum(number, before)
        self._add_to_root("pages", count, total)

    def _add_identities(
        self, identities: Iterable[IdentityRecord], found: Collisions
    ) -> None:
        count = total = 0
        for record in identities:
            if self._is_there(record):
                found.add_identity(record)
                continue
            row = _rows.identity_row(record, None)
            self._connection.execute(
                "INSERT INTO identities VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                "?, ?)",
                row,
            )
            count += 1
            total += row[-1]
        self._add_to_root("identities", count, total)

    def _is_there(self, record: IdentityRecord) -> bool:
        """Whether anything that no two may share is another's."""
        return bool(
            self._one(
                "SELECT 1 FROM identities WHERE net_luid = ?1 OR guid = ?2 "
                "OR (compartment = ?3 AND provider = ?4 AND key = ?5) OR "
                "(?6 AND if_index_owned = 1 AND if_index = ?7) LIMIT 1",
                signed(record.net_luid),
                record.interface_guid.bytes,
                record.compartment,
                record.provider,
                record.key,
                int(record.if_index_owned),
                record.if_index,
            )
        )
