# SPDX-License-Identifier: MIT
"""
Which indexes are taken, in a SQLite store: leases of blocks, and pages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from . import _rows
from ._rows import page_id
from ._sessions import SqliteSessions
from .errors import LeaseLostError
from .records import IndexSet, SessionInfo

_BLOCKS = 4096
#: As many rows are asked for by their numbers.
_FEW = 8


class SqlitePages(SqliteSessions):
    """Leases and pages; a page holds the retained indexes of a block."""

    _pages_verified = False

    # -- leases

    def lease_blocks(
        self, if_type: int, lowest: int, highest: int, count: int
    ) -> list[tuple[int, bytes]]:
        """As :meth:`Store.lease_blocks`.  Not flushed."""
        with self._writing(durable=False):
            self._reclaim()
            if not self._pages_verified:
                self._verify_pages()
                self._pages_verified = True
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

    def return_blocks(self, if_type: int, blocks: Sequence[int]) -> None:
        """As :meth:`Store.return_blocks`.  Not flushed."""
        with self._writing(durable=False, giving_back=True):
            self._connection.executemany(
                "DELETE FROM leases WHERE id = ? AND session = ?",
                [
                    (page_id(if_type, block), self.session_id)
                    for block in blocks
                ],
            )

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

    def _check_leases(self, sets: Sequence[IndexSet]) -> None:
        numbers = {
            page_id(if_type, block)
            for if_type, blocks in sets
            for block, _ in blocks
        }
        mine = {
            number
            for number, session in self._near(numbers, "id, session", "leases")
            if session == self.session_id
        }
        for number in numbers:
            if number not in mine:
                raise LeaseLostError(
                    f"block {number & 4095} of IfType {number >> 12} is not "
                    "leased to this session",
                    self.path,
                )

    def _near(
        self, numbers: Collection[int], columns: str, table: str
    ) -> Iterator[tuple[Any, ...]]:
        """
        Rows of leases or pages with these numbers; if they are many,
        others of the same IfTypes too.
        """
        if len(numbers) <= _FEW:
            if numbers:
                marks = ", ".join("?" * len(numbers))
                yield from self._rows(
                    f"SELECT {columns} FROM {table} WHERE id IN ({marks})",
                    *numbers,
                )
            return
        for if_type in {number >> 12 for number in numbers}:
            here = [each for each in numbers if each >> 12 == if_type]
            yield from self._rows(
                f"SELECT {columns} FROM {table} WHERE id BETWEEN ? AND ?",
                min(here),
                max(here),
            )

    # -- pages

    def _verify_pages(self) -> None:
        """
        Each page, and that none is missing: where one has gone, or got
        another number, retained indexes would seem to be free.
        """
        for number, bits, checksum in self._rows(
            "SELECT id, bits, checksum FROM pages"
        ):
            _rows.page_bits(number, bits, checksum, self.path)
        self._verify_root("pages")

    def _page(self, if_type: int, block: int) -> bytes:
        number = page_id(if_type, block)
        for bits, checksum in self._rows(
            "SELECT bits, checksum FROM pages WHERE id = ?", number
        ):
            return _rows.page_bits(number, bits, checksum, self.path)
        return bytes(_rows.BLOCK_BYTES)

    def _is_retained(self, net_luid: int) -> bool:
        index = (net_luid >> 24) & 0xFFFFFF
        bits = self._page(net_luid >> 48, index >> 12)
        return _rows.bit_is_set(bits, index)

    def _change_pages(
        self,
        sets: Sequence[IndexSet],
        change: Callable[[int, int, int], int],
    ) -> None:
        self._add_to_roots(pages=self._written_pages(sets, change))

    def _written_pages(
        self,
        sets: Sequence[IndexSet],
        change: Callable[[int, int, int], int],
    ) -> tuple[int, int]:
        """
        Change pages: how many more there are, and what that adds to the sum
        of their checksums.
        """
        masks = [
            (page_id(if_type, block), mask)
            for if_type, blocks in sets
            for block, mask in blocks
        ]
        numbers = {number for number, _ in masks}
        stored = self._stored_pages(numbers)
        pages = {
            number: int.from_bytes(bits, "little")
            for number, (bits, _) in stored.items()
        }
        for number, mask in masks:
            pages[number] = change(
                number, pages.get(number, 0), int.from_bytes(mask, "little")
            )
        count = total = 0
        written, emptied = [], []
        for number in numbers:
            if number in stored:
                count -= 1
                total -= stored[number][1]
            if not pages[number]:
                emptied.append((number,))
                continue
            bits = pages[number].to_bytes(_rows.BLOCK_BYTES, "little")
            checksum = _rows.page_checksum(number, bits)
            written.append((number, pages[number].bit_count(), bits, checksum))
            count += 1
            total += checksum
        if written:
            self._connection.executemany(
                "INSERT OR REPLACE INTO pages VALUES(?, ?, ?, ?)", written
            )
        if emptied:
            self._connection.executemany(
                "DELETE FROM pages WHERE id = ?", emptied
            )
        return count, total

    def _stored_pages(
        self, numbers: Collection[int]
    ) -> dict[int, tuple[bytes, int]]:
        """Pages with these numbers, verified."""
        return {
            number: (
                _rows.page_bits(number, bits, checksum, self.path),
                checksum,
            )
            for number, bits, checksum in self._near(
                numbers, "id, bits, checksum", "pages"
            )
        }
