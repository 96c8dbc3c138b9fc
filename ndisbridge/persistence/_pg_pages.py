# SPDX-License-Identifier: MIT
"""
Which indexes are retained, in a PostgreSQL store: pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from . import _rows
from ._pg_leases import BLOCKS, PostgresqlLeases, scoped
from ._rows import page_id, signed
from .errors import (
    LeaseLostError,
)
from .records import IndexSet

#: A page as it is stored, by its scope and number: bits and checksum.
_Stored = dict[tuple[int, int], tuple[bytes, int]]
#: Indexes of one page: its scope, its number, its bits.
Mask = tuple[int, int, bytes]


class PostgresqlPages(PostgresqlLeases):
    """A page holds the retained indexes of a block."""

    def _masks(self, sets: Sequence[IndexSet]) -> list[Mask]:
        """In the order in which everybody locks pages."""
        return sorted(
            (self._scope(number), number, mask)
            for if_type, blocks in sets
            for block, mask in blocks
            for number in [page_id(if_type, block)]
        )

    def _check_leases(self, sets: Sequence[IndexSet]) -> None:
        wanted = {number for _, number, _ in self._masks(sets)}
        if not wanted:
            return
        mine = {
            number
            for (number,) in self._rows(
                "SELECT id FROM leases WHERE session = %s AND "
                "id = ANY(%s::int[])",
                self.session_id,
                sorted(wanted),
            )
        }
        for number in sorted(wanted - mine):
            raise LeaseLostError(
                f"block {number & 4095} of IfType {number >> 12} is not "
                "leased to this session",
                self.path,
            )

    def _stored_pages(
        self, pages: Iterable[tuple[int, int]], lock: str = "FOR UPDATE OF p"
    ) -> _Stored:
        """Pages of these scopes and numbers, verified, and locked."""
        wanted = sorted(set(pages))
        if not wanted:
            return {}
        rows = self._rows(
            "SELECT p.scope, p.id, p.bits, p.checksum FROM pages AS p JOIN "
            "unnest(%s::bigint[], %s::int[]) AS w(scope, id) ON "
            f"w.scope = p.scope AND w.id = p.id ORDER BY 1, 2 {lock}",
            [scope for scope, _ in wanted],
            [number for _, number in wanted],
        )
        return {
            (scope, number): (
                self._bits(scope, number, bits, checksum),
                checksum,
            )
            for scope, number, bits, checksum in rows
        }

    def _change_pages(
        self,
        masks: Sequence[Mask],
        stored: _Stored,
        change: Callable[[int, int, int], int],
    ) -> None:
        count = total = 0
        written: list[tuple[Any, ...]] = []
        emptied: list[tuple[int, int]] = []
        # Several masks may be of one page.
        for (scope, number), same in groupby(masks, key=lambda each: each[:2]):
            bits, checksum = stored.get((scope, number), (b"", None))
            after = int.from_bytes(bits, "little")
            for _, _, mask in same:
                after = change(number, after, int.from_bytes(mask, "little"))
            if checksum is not None:
                count -= 1
                total -= checksum
            if not after:
                emptied.append((scope, number))
                continue
            new = after.to_bytes(_rows.BLOCK_BYTES, "little")
            new_checksum = _rows.page_checksum(number, scoped(new, scope))
            written.append(
                (scope, number, after.bit_count(), new, new_checksum)
            )
            count += 1
            total += new_checksum
        if written:
            self._run(
                "INSERT INTO pages(scope, id, retained, bits, checksum) "
                "SELECT * FROM unnest(%s::bigint[], %s::int[], %s::int[], "
                "%s::bytea[], %s::bigint[]) ON CONFLICT (scope, id) DO "
                "UPDATE SET retained = excluded.retained, "
                "bits = excluded.bits, checksum = excluded.checksum",
                *map(list, zip(*written, strict=True)),
            )
        if emptied:
            self._run(
                "DELETE FROM pages AS p USING unnest(%s::bigint[], %s::int[])"
                " AS w(scope, id) WHERE p.scope = w.scope AND p.id = w.id",
                *map(list, zip(*emptied, strict=True)),
            )
        if written or emptied:
            self._add_to_root("pages", count, total)

    def _pages_of(self, net_luids: Iterable[int]) -> list[tuple[int, int]]:
        """Scopes and numbers of the pages that NET_LUIDs are in."""
        return [
            (self._scope(number), number)
            for net_luid in net_luids
            for number in [page_id(net_luid >> 48, (net_luid >> 36) & 0xFFF)]
        ]

    def _is_in(self, stored: _Stored, net_luid: int) -> bool:
        ((scope, number),) = self._pages_of([net_luid])
        bits, _ = stored.get((scope, number), (b"", 0))
        return bool(bits) and _rows.bit_is_set(
            bits, (net_luid >> 24) & 0xFFFFFF
        )

    def _in_masks(self, masks: Sequence[Mask], table: str) -> list[int]:
        """NET_LUIDs of a table (our word) that lie in these indexes."""
        by_number = {number: mask for _, number, mask in masks}
        firsts = [
            signed((number >> 12) << 48 | (number & 4095) << 36)
            for number in by_number
            if number >= BLOCKS
        ]
        found = []
        for (each,) in self._rows(
            f"SELECT t.net_luid FROM unnest(%s::bigint[]) AS w(first) "
            f"JOIN {table} AS t ON t.net_luid BETWEEN w.first "
            "AND w.first + 68719476735",
            firsts,
        ):
            net_luid = _rows.unsigned(each)
            number = page_id(net_luid >> 48, (net_luid >> 36) & 0xFFF)
            index = (net_luid >> 24) & 0xFFFFFF
            if _rows.bit_is_set(by_number[number], index):
                found.append(net_luid)
        return sorted(found)
