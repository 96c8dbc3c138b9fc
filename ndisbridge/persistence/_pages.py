# SPDX-License-Identifier: MIT
"""
Which indexes are taken, in a SQLite store: leases of blocks, and pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import _rows
from ._rows import page_id
from ._sessions import SqliteSessions
from .errors import AlreadyRetainedError, LeaseLostError, NotRetainedError
from .records import IndexSet, SessionInfo

_BLOCKS = 4096


class SqlitePages(SqliteSessions):
    """Leases and pages; a page holds the retained indexes of a block."""

    # -- leases

    def lease_blocks(
        self, if_type: int, lowest: int, highest: int, count: int
    ) -> list[tuple[int, bytes]]:
        with self._writing(durable=False):
            self._reclaim()
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

    # -- pages

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
            stored = self._stored_pages(
                if_type, [block for block, _ in blocks]
            )
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
        self._connection.executemany("DELETE FROM pages WHERE id = ?", emptied)
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
