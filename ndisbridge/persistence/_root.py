# SPDX-License-Identifier: MIT
"""
The root of a SQLite store: how many rows there must be, and the sum of their
checksums, so that none can get lost unseen.
"""

from __future__ import annotations

from ._connection import SqliteConnection
from ._damage import reading
from ._rows import IDENTITY_COLUMNS, identity_record, signed
from .errors import StoreCorruptError


class SqliteRoot(SqliteConnection):
    """The row of root, which changes with the rows that it counts."""

    def _verify_root(self) -> None:
        for table, kind in (("identities", "identity"), ("pages", "page")):
            rows = self._rows(
                "SELECT count(*), coalesce(sum(checksum & 4294967295), 0), "
                "coalesce(sum((checksum >> 32) & 4294967295), 0) "
                f"FROM {table}"
            )
            root = self._rows(f"SELECT {table}, {kind}_sum FROM root")
            with reading(self.path):
                count, low, high = rows[0]
                same = root[0] == (count, signed(low + (high << 32)))
            if not same:
                raise StoreCorruptError(
                    f"rows of {table} are missing or damaged (root): keep "
                    "the file, and restore a backup",
                    self.path,
                )

    def _add_to_root(self, table: str, count: int, total: int) -> None:
        column = {"identities": "identity_sum", "pages": "page_sum"}[table]
        before = self._one(f"SELECT {column} FROM root")
        with reading(self.path):
            after = signed(before + total)
        self._connection.execute(
            f"UPDATE root SET {table} = {table} + ?, {column} = ?",
            (count, after),
        )

    def _delete_identities(self, where: str, argument: int) -> None:
        rows = self._rows(
            f"SELECT {IDENTITY_COLUMNS} FROM identities WHERE {where}",
            argument,
        )
        for row in rows:
            # Damage must not pass a lasting one off as one that ends.
            identity_record(row, self.path, None)
        if not rows:
            return
        self._connection.execute(
            f"DELETE FROM identities WHERE {where}", (argument,)
        )
        self._add_to_root(
            "identities", -len(rows), -sum(row[-1] for row in rows)
        )
