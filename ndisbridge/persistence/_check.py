# SPDX-License-Identifier: MIT
"""
Verifying a whole SQLite store, and counting what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import apsw

from . import _rows, _schema
from ._damage import DAMAGE
from .errors import StoreCorruptError
from .records import Problem, SessionInfo, StoreStats, TypeStats

#: Whether a session is alive; None where nobody can tell.
IsAlive = Callable[[int], bool] | None


def check_store(
    connection: apsw.Connection, is_alive: IsAlive
) -> list[Problem]:
    """Every invariant, in one read transaction.  Damage is a problem too."""
    problems: list[Problem] = []
    try:
        connection.execute("BEGIN")
        for kind, part in _PARTS.items():
            problems += _listed(kind, part(connection, is_alive))
    except apsw.Error as error:
        problems.append(Problem("file", f"it can't be read ({error})"))
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return problems


def _listed(kind: str, part: Iterator[Problem]) -> Iterator[Problem]:
    """What a part finds, up to where damage stops it."""
    try:
        yield from part
    except (apsw.Error, StoreCorruptError, *DAMAGE) as error:
        yield Problem(kind, f"no more of it can be read ({error})")


def _check_file(
    connection: apsw.Connection, is_alive: IsAlive
) -> Iterator[Problem]:
    for (text,) in connection.execute("PRAGMA integrity_check"):
        if text != "ok":
            yield Problem("file", text)


def _check_pages(
    connection: apsw.Connection, is_alive: IsAlive
) -> Iterator[Problem]:
    own = {
        if_index
        for (if_index,) in connection.execute(
            "SELECT if_index FROM identities WHERE if_index_owned = 1 "
            "AND owner IS NULL"
        )
    }
    for number, retained, bits, checksum in connection.execute(
        "SELECT id, retained, bits, checksum FROM pages"
    ):
        if_type, block = number >> 12, number & 4095
        where = f"IfType {if_type}, block {block}"
        if _rows.page_checksum(number, bits) != checksum:
            yield Problem("page", f"{where} is damaged (checksum)")
        if int.from_bytes(bits, "little").bit_count() != retained:
            yield Problem("page", f"{where} counts {retained} wrongly")
        if if_type == 0:
            found = {block << 12 | each for each in _rows.positions(bits)}
            for if_index in sorted(found - own):
                yield Problem(
                    "page",
                    f"ifIndex {if_index} is retained, and no identity's own",
                )


def _page_has(connection: apsw.Connection, if_type: int, number: int) -> bool:
    bits = _schema.value(
        connection,
        "SELECT bits FROM pages WHERE id = ?",
        _rows.page_id(if_type, number >> 12),
    )
    return bits is not None and _rows.bit_is_set(bits, number)


def _retains(connection: apsw.Connection, net_luid: int) -> bool:
    index = (net_luid >> 24) & 0xFFFFFF
    return _page_has(connection, net_luid >> 48, index)


def _check_identities(
    connection: apsw.Connection, is_alive: IsAlive
) -> Iterator[Problem]:
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
        if not _retains(connection, record.net_luid):
            yield Problem("identity", f"{what}: its index is not retained")
        if record.if_index_owned and not _page_has(
            connection, 0, record.if_index
        ):
            yield Problem(
                "identity",
                f"{what}: its ifIndex {record.if_index} is not retained",
            )


def _check_root(
    connection: apsw.Connection, is_alive: IsAlive
) -> Iterator[Problem]:
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


def _check_marks(
    connection: apsw.Connection, is_alive: IsAlive
) -> Iterator[Problem]:
    for (number,) in connection.execute(
        "SELECT net_luid FROM in_use WHERE net_luid NOT IN "
        "(SELECT net_luid FROM identities)"
    ):
        net_luid = _rows.unsigned(number)
        if not _retains(connection, net_luid):
            yield Problem(
                "mark",
                f"NET_LUID 0x{net_luid:016x} is in use, and not retained",
            )


def _check_sessions(
    connection: apsw.Connection, is_alive: IsAlive
) -> Iterator[Problem]:
    known = {
        number for (number,) in connection.execute("SELECT id FROM sessions")
    }
    for table, column, kind in (
        ("leases", "session", "lease"),
        ("in_use", "session", "mark"),
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


#: What is checked, by the kind of the problem that nothing can be read.
_PARTS = {
    "file": _check_file,
    "page": _check_pages,
    "identity": _check_identities,
    "root": _check_root,
    "mark": _check_marks,
    "session": _check_sessions,
}


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
