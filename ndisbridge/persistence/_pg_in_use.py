# SPDX-License-Identifier: MIT
"""
Who has what registered, in a PostgreSQL store, and releasing.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import _rows
from ._pg_identities import PostgresqlIdentities
from ._pg_pages import Mask
from ._pg_sessions import SESSION_COLUMNS
from ._rows import signed
from .errors import (
    IdentityConflictError,
    IdentityInUseError,
    NotRetainedError,
)
from .records import IdentityRecord, IndexSet, SessionInfo

_NONE = bytes(_rows.BLOCK_BYTES)


class PostgresqlInUse(PostgresqlIdentities):
    """In-use marks; what has one is not released."""

    def _holders(self, net_luids: Sequence[int]) -> dict[int, SessionInfo]:
        """Who has them registered, of whatever host."""
        found = {}
        for net_luid, *row in self._rows(
            f"SELECT u.net_luid, {SESSION_COLUMNS} FROM in_use AS u "
            "JOIN sessions AS s ON s.id = u.session "
            "JOIN hosts AS h ON h.id = s.host "
            "WHERE u.net_luid = ANY(%s::bigint[]) ORDER BY 1",
            [signed(each) for each in net_luids],
        ):
            holder = self._session(tuple(row))
            if holder is not None:
                found[_rows.unsigned(net_luid)] = holder
        return found

    def _refuse_other_bits(
        self, masks: Sequence[Mask], released: Sequence[IdentityRecord]
    ) -> None:
        """Release the indexes of these identities, and no other ifIndex."""
        bits = {number: mask for _, number, mask in masks}
        if_indexes = {
            number * 4096 + position
            for number, mask in bits.items()
            if number < 4096
            for position in _rows.positions(mask)
        }
        own = {each.if_index for each in released if each.if_index_owned}
        if if_indexes != own or not all(
            _rows.bit_is_set(
                bits.get(number, _NONE), (each.net_luid >> 24) & 0xFFFFFF
            )
            for each in released
            for _, number in self._pages_of([each.net_luid])
        ):
            raise IdentityConflictError(
                "an identity is released with its own index and ifIndex, no "
                "more and no less: look it up again",
                self.path,
            )

    def _release_sets(
        self, sets: Sequence[IndexSet], released: Sequence[IdentityRecord]
    ) -> None:
        masks = self._masks(sets)
        self._refuse_other_bits(masks, released)
        # Locked before it is asked who uses them: see _confirm.
        stored = self._stored_pages(
            (scope, number) for scope, number, _ in masks
        )
        for net_luid in self._in_masks(masks, "identities"):
            raise NotRetainedError(
                f"NET_LUID 0x{net_luid:016x} is an identity: release that",
                self.path,
            )
        used = self._in_masks(masks, "in_use")
        for net_luid, holder in self._holders(used).items():
            self._refuse_holder(net_luid, holder, f"0x{net_luid:016x}")
        self._change_pages(masks, stored, self._clear_bits)

    def _confirm(
        self, net_luids: Sequence[int], if_indexes: Sequence[int]
    ) -> None:
        known = self._known(net_luids)
        holders = self._holders(net_luids)
        # Nobody can release them meanwhile: this host's row is locked for
        # identities, and the pages for what is retained without one.
        stored = self._stored_pages(
            self._pages_of(each for each in net_luids if each not in known),
            "FOR SHARE OF p",
        )
        asked = []
        for net_luid, if_index in zip(net_luids, if_indexes, strict=True):
            holder = holders.get(net_luid)
            if holder is not None and holder.session_id != self.session_id:
                self._refuse_holder(net_luid, holder, f"0x{net_luid:016x}")
            mine = 0
            if net_luid in known:
                record, maker = known[net_luid]
                self._refuse_maker(record, maker)
                mine = record.if_index * record.if_index_owned
            elif not self._is_in(stored, net_luid):
                raise NotRetainedError(
                    f"NET_LUID 0x{net_luid:016x} is neither allocated by "
                    "this session nor retained",
                    self.path,
                )
            if if_index != mine:
                asked.append(if_index)
        self._refuse_if_indexes(asked)
        self._mark(net_luids)

    def _known(
        self, net_luids: Sequence[int]
    ) -> dict[int, tuple[IdentityRecord, SessionInfo | None]]:
        """Identities of this host, and who made those that end."""
        numbers = [signed(each) for each in net_luids]
        makers = {}
        for net_luid, host, owner, *row in self._rows(
            f"SELECT i.net_luid, i.host, i.owner, {SESSION_COLUMNS} FROM "
            "identities AS i LEFT JOIN sessions AS s ON s.id = i.owner "
            "LEFT JOIN hosts AS h ON h.id = s.host "
            "WHERE i.net_luid = ANY(%s::bigint[]) AND (i.host <> %s OR "
            "i.owner IS NOT NULL)",
            numbers,
            self._host_id,
        ):
            if host != self._host_id:
                raise IdentityConflictError(
                    f"NET_LUID 0x{_rows.unsigned(net_luid):016x} is an "
                    "identity of another host",
                    self.path,
                )
            if owner != self.session_id:
                makers[net_luid] = self._session(tuple(row))
        return {
            record.net_luid: (record, makers.get(signed(record.net_luid)))
            for record in self._records(
                "i.net_luid = ANY(%s::bigint[])", numbers
            )
        }

    def _refuse_maker(
        self, record: IdentityRecord, maker: SessionInfo | None
    ) -> None:
        if maker is not None:
            raise IdentityInUseError(
                f"{record.key!r} (NET_LUID 0x{record.net_luid:016x}) belongs "
                f"to {maker}, and ends with it",
                self.path,
                maker,
            )

    def _refuse_if_indexes(self, if_indexes: Sequence[int]) -> None:
        """Refuse handed-out ifIndexes that are another identity's own."""
        asked = [
            each
            for each in if_indexes
            if self.if_index_first <= each <= 0xFFFFFF
        ]
        if not asked:
            return
        for other in self._records(
            "i.if_index_owned = 1 AND i.if_index = ANY(%s::int[])", asked
        ):
            raise IdentityConflictError(
                f"ifIndex {other.if_index} is the identity {other.key!r}'s "
                "own",
                self.path,
            )

    def _mark(self, net_luids: Sequence[int]) -> None:
        """The constraint has the last word if two hosts want the same."""
        wanted = sorted({signed(each) for each in net_luids})
        marked = {
            each
            for (each,) in self._rows(
                "INSERT INTO in_use(net_luid, session) SELECT n, %s FROM "
                "unnest(%s::bigint[]) AS n ON CONFLICT (net_luid) DO UPDATE "
                "SET session = excluded.session WHERE in_use.session = "
                "excluded.session RETURNING net_luid",
                self.session_id,
                wanted,
            )
        }
        for each in wanted:
            if each not in marked:
                raise IdentityInUseError(
                    f"NET_LUID 0x{_rows.unsigned(each):016x} is registered "
                    "by another session",
                    self.path,
                )
