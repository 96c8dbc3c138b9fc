# SPDX-License-Identifier: MIT
"""
Everything durable of one host in a PostgreSQL store: reading, and adding.

NET_LUIDs are one space for all hosts, and a retained index without an
identity is no host's: it is read with each.  A whole store of many hosts is
copied by pg_dump.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from . import _rows
from ._pg_root import escaped, stored_record
from ._rows import page_id, signed, unsigned
from ._transfer import (
    Collisions,
    Contents,
    Counts,
    Page,
    refuse_collisions,
)
from .errors import (
    ServerLostError,
    StoreBusyError,
    StoreCorruptError,
    StoreNotFoundError,
)
from .postgresql import PostgresqlStore
from .records import IdentityRecord

_T = TypeVar("_T")

#: How many are written at a time.
_PAGES = 256
_IDENTITIES = 1000
#: Which of these have anything that no two may share with others.
_THERE = """SELECT w.n FROM unnest(%s::int[], %s::bigint[], %s::bytea[],
    %s::text[], %s::text[], %s::text[], %s::int[])
AS w(n, net_luid, guid, compartment, provider, key, if_index)
WHERE EXISTS (SELECT FROM identities AS i WHERE i.net_luid = w.net_luid)
OR EXISTS (SELECT FROM identities AS i WHERE i.guid = w.guid)
OR EXISTS (SELECT FROM identities AS i WHERE i.host = %s
    AND i.compartment = w.compartment AND i.provider = w.provider
    AND i.key = w.key)
OR EXISTS (SELECT FROM identities AS i WHERE i.host = %s
    AND i.if_index = w.if_index AND i.if_index_owned = 1)
ORDER BY 1"""


class PostgresqlContents(PostgresqlStore):
    """A store that can be exported and imported into."""

    # -- reading

    @contextmanager
    def contents(self) -> Iterator[Contents]:
        with self._lock, self._errors(), self._alone():
            if self._connection is None:
                self._resume()
            with (
                self._transaction(
                    lambda: self._run(
                        "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                    )
                ),
                self._patiently(),
            ):
                self._wait_for_us()
                if not self._host_id:
                    # Or an empty export would be taken for a good one.
                    raise StoreNotFoundError(
                        f"there is no host {self.host!r} in it yet: name "
                        "the one to export, with ?ndis_host=NAME in the URL",
                        self.path,
                    )
                wrong = self._wrong_tables(self._host_id)
                if wrong:
                    raise StoreCorruptError(
                        f"rows of {' and '.join(wrong)} are missing or "
                        "damaged (root): restore a backup",
                        self.path,
                    )
                pages = list(self._own_pages())
                identities = self._rows(
                    "SELECT count(*) FROM identities WHERE host = %s "
                    "AND owner IS NULL",
                    self._host_id,
                )[0][0]
                yield Contents(
                    Counts(
                        len(pages),
                        sum(
                            int.from_bytes(bits, "little").bit_count()
                            for _, _, bits in pages
                        ),
                        identities,
                    ),
                    iter(pages),
                    self._own_identities(),
                )

    def _wait_for_us(self) -> None:
        """The server: who reads an export may be slow."""
        self._run("SET LOCAL idle_in_transaction_session_timeout = 0")

    def _own_pages(self) -> Iterator[Page]:
        """Without the indexes that identities of other hosts have."""
        others: dict[int, int] = {}
        for (each,) in self._each(
            "SELECT net_luid FROM identities WHERE owner IS NULL AND host <> "
            f"{int(self._host_id)}"
        ):
            net_luid = unsigned(each)
            number = page_id(net_luid >> 48, (net_luid >> 36) & 0xFFF)
            others[number] = others.get(number, 0) | 1 << (
                (net_luid >> 24) & 4095
            )
        for scope, number, bits, checksum in self._each(
            "SELECT scope, id, bits, checksum FROM pages WHERE scope IN "
            f"(0, {int(self._host_id)}) ORDER BY id"
        ):
            found = int.from_bytes(
                self._bits(scope, number, bits, checksum), "little"
            ) & ~others.get(number, 0)
            if found:
                yield (
                    number >> 12,
                    number & 4095,
                    found.to_bytes(512, "little"),
                )

    def _own_identities(self) -> Iterator[IdentityRecord]:
        for row in self._each(
            f"SELECT {_rows.IDENTITY_COLUMNS}, host FROM identities WHERE "
            f"owner IS NULL AND host = {int(self._host_id)} "
            "ORDER BY compartment, provider, key"
        ):
            yield stored_record(row, self.path, None)

    # -- adding

    def add_contents(
        self, pages: Iterable[Page], identities: Iterable[IdentityRecord]
    ) -> None:
        begun = False

        def work() -> None:
            nonlocal begun
            if begun:
                # What has been read can't be read again.
                raise ServerLostError(
                    "its server was lost: import again", self.path
                )
            begun = True
            self._wait_for_us()
            self._refuse_sessions()
            indexes, names = Collisions(), Collisions()
            for some in _batches(pages, _PAGES):
                self._add_pages(some, indexes)
            for others in _batches(identities, _IDENTITIES):
                self._add_identities(others, names)
            refuse_collisions(names, indexes, self.path)

        self._writing(work)

    def _refuse_sessions(self) -> None:
        """
        What a session has leased it takes to be free.  None can begin, and
        no block can be leased, until this is committed.
        """
        self._run("LOCK TABLE sessions, leases IN SHARE ROW EXCLUSIVE MODE")
        for row in self._all_sessions():
            if row[0] != self.session_id:
                raise StoreBusyError(
                    f"{self._info(row)} has it open: end that first, or "
                    "evict its host if that is gone",
                    self.path,
                )
        if self._rows("SELECT 1 FROM leases LIMIT 1"):
            raise StoreBusyError(
                "this session has leased blocks of it: import first", self.path
            )

    def _add_pages(self, pages: list[Page], found: Collisions) -> None:
        masks = self._masks(
            [(if_type, [(block, bits)]) for if_type, block, bits in pages]
        )
        stored = self._stored_pages((scope, each) for scope, each, _ in masks)
        for scope, number, bits in masks:
            before, _ = stored.get((scope, number), (b"", 0))
            both = int.from_bytes(bits, "little") & int.from_bytes(
                before, "little"
            )
            if both:
                found.add_indexes(number, both)
        if not found.count:
            self._change_pages(masks, stored, self._set_bits)

    def _add_identities(
        self, records: list[IdentityRecord], found: Collisions
    ) -> None:
        for (number,) in self._rows(
            _THERE,
            list(range(len(records))),
            [signed(each.net_luid) for each in records],
            [each.interface_guid.bytes for each in records],
            [escaped(each.compartment) for each in records],
            [escaped(each.provider) for each in records],
            [escaped(each.key) for each in records],
            [each.if_index if each.if_index_owned else -1 for each in records],
            self._host_id,
            self._host_id,
        ):
            found.add_identity(records[number])
        if not found.count:
            self._insert_identities(records, None)


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
