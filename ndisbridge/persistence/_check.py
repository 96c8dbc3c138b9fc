# SPDX-License-Identifier: MIT
"""
Verifying a whole SQLite store, and counting what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import apsw

from . import _rows, _schema
from .errors import StoreCorruptError
from .records import Problem, SessionInfo, StoreStats, TypeStats


def check_store(
    connection: apsw.Connection,
    is_alive: Callable[[int], bool],
    *,
    live: bool,
) -> list[Problem]:
    """
    Every invariant, in one read transaction.

    Args:
        live: Whether sessions can be told alive from dead; not so for a
            snapshot.
    """
    connection.execute("BEGIN")
    try:
        problems = list(_check_file(connection))
        problems += _check_pages(connection)
        problems += _check_identities(connection)
        problems += _check_root(connection)
        problems += _check_sessions(connection, is_alive if live else None)
    finally:
        connection.execute("COMMIT")
    return problems


def _check_file(connection: apsw.Connection) -> Iterator[Problem]:
    for (text,) in connection.execute("PRAGMA integrity_check"):
        if text != "ok":
            yield Problem("file", text)


def _check_pages(connection: apsw.Connection) -> Iterator[Problem]:
    for number, retained, bits, checksum in connection.execute(
        "SELECT id, retained, bits, checksum FROM pages"
    ):
        where = f"IfType {number >> 12}, block {number & 4095}"
        if _rows.page_checksum(number, bits) != checksum:
            yield Problem("page", f"{where} is damaged (checksum)")
        if int.from_bytes(bits, "little").bit_count() != retained:
            yield Problem("page", f"{where} counts {retained} wrongly")


def _page_has(connection: apsw.Connection, if_type: int, number: int) -> bool:
    bits = _schema.value(
        connection,
        "SELECT bits FROM pages WHERE id = ?",
        _rows.page_id(if_type, number >> 12),
    )
    return bits is not None and _rows.bit_is_set(bits, number)


def _check_identities(connection: apsw.Connection) -> Iterator[Problem]:
    for row in connection.execute(
        f"SELECT {_rows.IDENTITY_COLUMNS} FROM identities"
    ):
        try:
            record = _rows.identity_record(row, "", None)
        except StoreCorruptError as error:
            yield Problem("identity", str(error))
            continue
        what = f"{record.key!r} (NET_LUID 0x{record.net_luid:016x})"
        if not record.persistent:
            continue
        index = (record.net_luid >> 24) & 0xFFFFFF
        if not _page_has(connection, record.net_luid >> 48, index):
            yield Problem("identity", f"{what}: its index is not retained")
        if record.if_index_owned and not _page_has(
            connection, 0, record.if_index
        ):
            yield Problem(
                "identity",
                f"{what}: its ifIndex {record.if_index} is not retained",
            )


def _check_root(connection: apsw.Connection) -> Iterator[Problem]:
    for table, column in (
        ("identities", "identity_sum"),
        ("pages", "page_sum"),
    ):
        count = total = 0
        for (checksum,) in connection.execute(f"SELECT checksum FROM {table}"):
            count += 1
            total += checksum
        stored = connection.execute(
            f"SELECT {table}, {column} FROM root"
        ).fetchone()
        if stored != (count, _rows.signed(total)):
            yield Problem(
                "root", f"rows of {table} are missing, doubled or damaged"
            )


def _check_sessions(
    connection: apsw.Connection, is_alive: Callable[[int], bool] | None
) -> Iterator[Problem]:
    known = {
        number for (number,) in connection.execute("SELECT id FROM sessions")
    }
    for table, column, kind in (
        ("leases", "session", "lease"),
        ("in_use", "session", "session"),
        ("identities", "owner", "identity"),
    ):
        for number, count in connection.execute(
            f"SELECT {column}, count(*) FROM {table} WHERE {column} IS NOT "
            f"NULL GROUP BY {column}"
        ):
            if number not in known:
                yield Problem(
                    kind, f"{count} of {table} belong to no session ({number})"
                )
    for number in sorted(known):
        if is_alive is not None and not is_alive(number):
            yield Problem(
                "session",
                f"session {number} died; the next lease or open reclaims "
                "what it held",
            )


def collect_stats(
    connection: apsw.Connection,
    path: str,
    size: int,
    sessions: tuple[SessionInfo, ...],
) -> StoreStats:
    """Figures of a store."""
    retained = dict(
        connection.execute(
            "SELECT id >> 12, sum(retained) FROM pages GROUP BY id >> 12"
        )
    )
    leased = dict(
        connection.execute(
            "SELECT id >> 12, count(*) FROM leases GROUP BY id >> 12"
        )
    )
    return StoreStats(
        store=path,
        version=_schema.VERSION,
        size=size,
        identities=_schema.value(connection, "SELECT identities FROM root"),
        sessions=sessions,
        types=tuple(
            TypeStats(
                if_type, retained.get(if_type, 0), leased.get(if_type, 0)
            )
            for if_type in sorted({*retained, *leased})
        ),
    )
