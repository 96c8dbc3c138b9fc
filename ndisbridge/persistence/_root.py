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

_KINDS = {"identities": "identity", "pages": "page"}


class SqliteRoot(SqliteConnection):
    """The row of root, which changes with the rows that it counts."""

    def _verify_root(self, *tables: str) -> None:
        """Of both tables, or of these."""
        for table, kind in _KINDS.items():
            if tables and table not in tables:
                continue
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
        self._add_to_roots(**{table: (count, total)})

    def _add_to_roots(
        self,
        *,
        identities: tuple[int, int] = (0, 0),
        pages: tuple[int, int] = (0, 0),
    ) -> None:
        """Rows more, and what that adds to the sum of their checksums."""
        if identities == pages == (0, 0):
            return
        rows = self._rows("SELECT identity_sum, page_sum FROM root")
        with reading(self.path):
            ((identity_sum, page_sum),) = rows
            sums = (
                signed(identity_sum + identities[1]),
                signed(page_sum + pages[1]),
            )
        self._connection.execute(
            "UPDATE root SET identities = identities + ?, identity_sum = ?, "
            "pages = pages + ?, page_sum = ?",
            (identities[0], sums[0], pages[0], sums[1]),
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
