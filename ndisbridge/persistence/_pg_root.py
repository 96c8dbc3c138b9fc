# SPDX-License-Identifier: MIT
"""
The root of a PostgreSQL store, and telling of what changes.

Each host has its own share of the root, in its row of hosts: with one root
for all, every retain of every host would wait for the others' commits.  A
share counts the host's identities exactly.  Pages of NET_LUIDs pass from
host to host, so a share has what this host has added to them, less what it
has taken away; only the sum of all shares says how many pages there are.

The row is locked by every transaction that changes something of the host.
That makes them one after another, as in SQLite, and nothing else has to be
thought of twice; and a commit of which nobody knows the end is over when the
row can be locked again.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ._damage import reading
from ._pg_connection import PostgresqlConnection
from ._rows import (
    IDENTITY_COLUMNS,
    IDENTITY_ROW,
    identity_record,
    identity_row,
    page_checksum,
    signed,
)
from .errors import StoreCorruptError
from .records import IdentityRecord, SessionInfo

CHANNEL = "ndisbridge_identities"

_SHARE = "id, name, identities, identity_sum, pages, page_sum"
HOST_BY_ID = f"SELECT {_SHARE} FROM hosts WHERE id = %s FOR UPDATE"
HOST_BY_NAME = f"SELECT {_SHARE} FROM hosts WHERE name = %s FOR UPDATE"
#: Sums of checksums fit into 64 bits, and of any number of them do not.
_SUMS = "count(*), coalesce(sum(checksum), 0)"

#: Columns of an identity that a caller may put any character into.
_TEXTS = [
    IDENTITY_COLUMNS.split(", ").index(name)
    for name in ("compartment", "provider", "key", "alias")
]


@dataclass(slots=True)
class Share:
    """A host's share of the root, while its row is locked."""

    host: int
    name: str
    identities: int
    identity_sum: int
    pages: int
    page_sum: int
    changed: bool = False


def _salt(host: int) -> int:
    """What makes a row that is moved to another host a damaged one."""
    return page_checksum(host & 0xFFFFFFFF, b"")


def escaped(text: str) -> str:
    """PostgreSQL's text takes every character but NUL."""
    return text.replace("\\", r"\\").replace("\0", r"\0")


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(
        r"\\(.)", lambda found: "\0" if found[1] == "0" else found[1], text
    )


def stored_row(
    record: IdentityRecord, owner: int | None, host: int
) -> IDENTITY_ROW:
    """The row of a record; the last column is the host."""
    row = list(identity_row(record, owner))
    for i in _TEXTS:
        row[i] = escaped(row[i])
    return (*row[:-1], signed(row[-1] + _salt(host)), host)


def stored_record(
    row: IDENTITY_ROW, path: str, in_use_by: SessionInfo | None
) -> IdentityRecord:
    """
    The record of a row as above.

    Raises:
        StoreCorruptError: Its checksum is wrong.
    """
    with reading(path):
        plain = [*row[:-2], signed(row[-2] - _salt(row[-1]))]
        for i in _TEXTS:
            plain[i] = _unescaped(plain[i])
    return identity_record(tuple(plain), path, in_use_by)


class PostgresqlRoot(PostgresqlConnection):
    """The share of the root, which changes with the rows that it counts."""

    _share: Share

    def _take_share(self, rows: list[tuple[Any, ...]]) -> Share:
        """What the locked row of a host says."""
        with reading(self.path):
            self._share = Share(*rows[0])
        return self._share

    def _add_to_root(self, table: str, count: int, total: int) -> None:
        share = self._share
        share.changed = True
        if table == "identities":
            share.identities += count
            share.identity_sum = signed(share.identity_sum + total)
        else:
            share.pages += count
            share.page_sum = signed(share.page_sum + total)

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        before = replace(self._share)
        try:
            yield
        except BaseException:
            self._share = before
            raise

    def _save_share(self) -> None:
        share = self._share
        if share.changed:
            share.changed = False
            self._run(
                "UPDATE hosts SET identities = %s, identity_sum = %s, "
                "pages = %s, page_sum = %s WHERE id = %s",
                share.identities,
                share.identity_sum,
                share.pages,
                share.page_sum,
                share.host,
            )

    def _verify_root(self) -> None:
        """
        Of the identities of this host, and of all pages: whoever changes
        them meanwhile, one statement sees both before or both after.
        """
        self._save_share()
        wrong = self._wrong_tables(self._share.host)
        if wrong:
            raise StoreCorruptError(
                f"rows of {' and '.join(wrong)} are missing or damaged "
                "(root): restore a backup",
                self.path,
            )

    def _wrong_tables(self, host: int) -> list[str]:
        wrong = []
        for table, sql, args in (
            (
                "identities",
                f"SELECT i.*, h.identities, h.identity_sum FROM hosts AS h, "
                f"(SELECT {_SUMS} FROM identities WHERE host = %s) AS i "
                "WHERE h.id = %s",
                (host, host),
            ),
            (
                "pages",
                f"SELECT p.*, h.* FROM (SELECT {_SUMS} FROM pages) AS p, "
                "(SELECT sum(pages), sum(page_sum) FROM hosts) AS h",
                (),
            ),
        ):
            rows = self._rows(sql, *args)
            with reading(self.path):
                count, total, counted, summed = rows[0]
                same = (count, signed(int(total))) == (
                    counted,
                    signed(int(summed)),
                )
            if not same:
                wrong.append(table)
        return wrong

    # -- identities that go, and who is told

    def _delete_identities(self, where: str, argument: Any) -> None:
        """Those of the host whose share is taken."""
        rows = self._rows(
            f"DELETE FROM identities WHERE {where} AND host = %s "
            f"RETURNING {IDENTITY_COLUMNS}, host",
            argument,
            self._share.host,
        )
        if not rows:
            return
        # Damage must not pass a lasting one off as one that ends.
        gone = [stored_record(row, self.path, None) for row in rows]
        self._add_to_root(
            "identities", -len(rows), -sum(row[-2] for row in rows)
        )
        self._notify(gone, "released")

    def _notify(self, records: Iterable[IdentityRecord], kind: str) -> None:
        """Tell who listens, if and when this is committed."""
        said = [
            json.dumps(
                [
                    self._share.name,
                    each.compartment,
                    each.provider,
                    each.key,
                    kind,
                ],
                ensure_ascii=False,
            )
            for each in records
        ]
        # The server takes no longer ones; whoever listens is told less.
        said = [
            text
            if len(text.encode()) < 8000
            else json.dumps([self._share.name[:255], "", "", "", kind])
            for text in said
        ]
        if said:
            self._run(
                f"SELECT pg_notify('{CHANNEL}', said) FROM "
                "unnest(%s::text[]) AS said",
                said,
            )
