# SPDX-License-Identifier: MIT
"""
Whose the indexes are, in a PostgreSQL store: identities and in-use marks.

A session sees the identities of its own host; the constraints see all.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from psycopg import errors as pg

from . import _rows
from ._pg_pages import PostgresqlPages
from ._pg_root import escaped, stored_record, stored_row
from ._pg_sessions import SESSION_COLUMNS
from ._rows import signed
from .errors import (
    IdentityConflictError,
    IdentityExistsError,
)
from .records import IdentityRecord

#: Compartment, provider and key.
Key = tuple[str, str, str]

_COLUMNS = [*_rows.IDENTITY_COLUMNS.split(", "), "host"]
_OWNER = _COLUMNS.index("owner")
#: SESSION_COLUMNS of the session in use, then of the owner.
_WIDTH = len(SESSION_COLUMNS.split(", "))
_HOLDER = SESSION_COLUMNS
_MAKER = SESSION_COLUMNS.replace("s.", "o.").replace("h.", "k.")
_IDENTITIES = (
    f"SELECT {', '.join(f'i.{name}' for name in _COLUMNS)}, {_HOLDER}, "
    f"{_MAKER} FROM identities AS i "
    "LEFT JOIN in_use AS u ON u.net_luid = i.net_luid "
    "LEFT JOIN sessions AS s ON s.id = u.session "
    "LEFT JOIN hosts AS h ON h.id = s.host "
    "LEFT JOIN sessions AS o ON o.id = i.owner "
    "LEFT JOIN hosts AS k ON k.id = o.host WHERE i.host = %s AND "
)
_ORDER = " ORDER BY i.compartment, i.provider, i.key"
_BY_KEY = "i.compartment = %s AND i.provider = %s AND i.key = %s"
_TYPES = (
    "bigint text text text bytea bigint int int text text bigint bigint bigint"
)
_INSERT = (
    f"INSERT INTO identities({', '.join(_COLUMNS)}) SELECT * FROM unnest("
    + ", ".join(f"%s::{each}[]" for each in _TYPES.split())
    + ")"
)


class PostgresqlIdentities(PostgresqlPages):
    """Rows of identities, and who has each one registered."""

    #: First ifIndex that is handed out; lower numbers are the kernel's.
    if_index_first = 0x800000

    # -- looking up

    def _records(self, where: str, *args: Any) -> list[IdentityRecord]:
        records = []
        for row in self._rows(
            _IDENTITIES + where + _ORDER, self._host_id, *args
        ):
            own = row[: len(_COLUMNS)]
            holder, maker = row[len(_COLUMNS) : -_WIDTH], row[-_WIDTH:]
            record = stored_record(own, self.path, self._session(holder))
            if own[_OWNER] is None or self._session(maker) is not None:
                records.append(record)  # else it ended with its session
        return records

    def _find(self, where: str, *args: Any) -> IdentityRecord | None:
        found = self._records(where, *args)
        return found[0] if found else None

    def find(
        self, compartment: str, provider: str, key: str
    ) -> IdentityRecord | None:
        which = [escaped(each) for each in (compartment, provider, key)]
        return self._reading(lambda: self._find(_BY_KEY, *which))

    def find_by_net_luid(self, net_luid: int) -> IdentityRecord | None:
        return self._reading(
            lambda: self._find("i.net_luid = %s", signed(net_luid))
        )

    def find_by_guid(self, guid: uuid.UUID) -> IdentityRecord | None:
        return self._reading(lambda: self._find("i.guid = %s", guid.bytes))

    def find_by_if_index(self, if_index: int) -> list[IdentityRecord]:
        """Identities with an ifIndex: its owner first, then last seen."""
        found = self._reading(
            lambda: self._records("i.if_index = %s", if_index)
        )
        return sorted(found, key=lambda each: not each.if_index_owned)

    def identities(
        self, compartment: str | None = None, provider: str | None = None
    ) -> list[IdentityRecord]:
        wanted = {"i.compartment": compartment, "i.provider": provider}
        given = {
            column: escaped(value)
            for column, value in wanted.items()
            if value is not None
        }
        where = "".join(f" AND {column} = %s" for column in given)
        return self._reading(
            lambda: self._records("true" + where, *given.values())
        )

    def _find_many(self, keys: Sequence[Key]) -> dict[Key, IdentityRecord]:
        """Those that are there, of these compartments, providers and keys."""
        found = self._reading(lambda: self._of_keys(keys))
        return {
            (each.compartment, each.provider, each.key): each for each in found
        }

    def _of_keys(self, keys: Sequence[Key]) -> list[IdentityRecord]:
        return self._records(
            "(i.compartment, i.provider, i.key) IN (SELECT * FROM "
            "unnest(%s::text[], %s::text[], %s::text[]))",
            *([escaped(key[i]) for key in keys] for i in range(3)),
        )

    # -- changing

    def _refuse_existing(self, records: Sequence[IdentityRecord]) -> None:
        for existing in self._of_keys(
            [(each.compartment, each.provider, each.key) for each in records]
        ):
            raise IdentityExistsError(
                f"{existing.key!r} of {existing.provider!r} has an identity",
                self.path,
                existing,
            )

    def _insert_identities(
        self, records: Sequence[IdentityRecord], owner: int | None
    ) -> None:
        rows = [stored_row(each, owner, self._host_id) for each in records]
        if not rows:
            return
        try:
            self._run(_INSERT, *map(list, zip(*rows, strict=True)))
        except (pg.UniqueViolation, pg.CheckViolation) as error:
            raise IdentityConflictError(
                f"an identity is there already, or can't be "
                f"({error.diag.constraint_name})",
                self.path,
            ) from error
        self._add_to_root(
            "identities", len(rows), sum(row[-2] for row in rows)
        )
        self._notify(records, "made")

    def update(self, net_luid: int, **changes: Any) -> None:
        self.update_many([(net_luid, changes)])

    def update_many(
        self, changes: Sequence[tuple[int, Mapping[str, Any]]]
    ) -> None:
        """
        Change ``alias``, ``attributes``, and ``if_index`` where it is a
        kernel's, of several identities in one transaction.
        """
        self._change(self._update_all, changes, durable=True)

    def _update_all(
        self, parts: list[Sequence[tuple[int, Mapping[str, Any]]]]
    ) -> None:
        self._notify(
            [
                self._update_one(net_luid, values)
                for changes in parts
                for net_luid, values in changes
            ],
            "changed",
        )

    def _update_one(
        self, net_luid: int, values: Mapping[str, Any]
    ) -> IdentityRecord:
        stored = self._changeable(
            self._find("i.net_luid = %s", signed(net_luid)), net_luid, values
        )
        # The owner of a non-persistent one may be another session.
        ((owner, before),) = self._rows(
            "SELECT owner, checksum FROM identities WHERE net_luid = %s",
            signed(net_luid),
        )
        row = stored_row(replace(stored, **values), owner, self._host_id)
        self._run(
            "UPDATE identities SET if_index = %s, alias = %s, "
            "attributes = %s, checksum = %s WHERE net_luid = %s",
            row[6],
            row[8],
            row[9],
            row[11],
            row[0],
        )
        self._add_to_root("identities", 0, row[11] - before)
        return stored

    def _release_identity(
        self, record: IdentityRecord, persistent: bool
    ) -> IdentityRecord:
        """Delete its row, and return what the row said."""
        stored = self._same(
            self._find("i.net_luid = %s", signed(record.net_luid)), record
        )
        ((owner,),) = self._rows(
            "SELECT owner FROM identities WHERE net_luid = %s",
            signed(stored.net_luid),
        )
        self._refuse_owner(owner, record, persistent)
        self._refuse_holder(stored.net_luid, stored.in_use_by, stored.key)
        self._delete_identities("net_luid = %s", signed(stored.net_luid))
        return stored
