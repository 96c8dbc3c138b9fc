# SPDX-License-Identifier: MIT
"""
Copying a SQLite store while others write it, and files that appear whole.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from typing import Any

import apsw

from . import _files, _rows, _schema, _snapshot
from ._check import check_store
from ._damage import reading
from ._transfer import Progress, no_progress
from .errors import (
    StoreCorruptError,
    StoreError,
    StoreNotFoundError,
)

#: Pages of SQLite (4 KiB) that are copied at a time.
_STEP = 256


# -- a new file


@contextlib.contextmanager
def appearing(target: str, mode: int) -> Iterator[str]:
    """
    A temporary path; what is there at the end gets the target's name, whole
    and flushed.  After an error nothing does; but if the directory can't be
    flushed, which comes last, the target is there, and a power cut may take
    its name.

    Raises:
        StoreError: The target exists already, or can't be made or flushed.
    """
    if os.path.lexists(target):
        raise _there_already(target)
    # In the same directory, or it could not just be given the name.
    temporary = f"{target}.{secrets.token_hex(3)}.tmp"
    _make(temporary, target, mode)
    try:
        yield temporary
        with _writing(target):
            _flush(temporary)
            _give_name(temporary, target)
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            # It may be gone; and whatever else, the error before says more.
            with contextlib.suppress(OSError):
                os.unlink(temporary + suffix)
    with _writing(target, "it is there, but its directory can't be flushed"):
        _files.flush_directory(os.path.dirname(target) or ".")


def _there_already(target: str) -> StoreError:
    return StoreError(
        "it is there already, and nothing is overwritten: give another name",
        target,
    )


@contextlib.contextmanager
def _writing(target: str, what: str = "it can't be written") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _files.refusal(error, what, target) from error


def _make(temporary: str, target: str, mode: int) -> None:
    directory = os.path.dirname(target) or "."
    if not os.path.isdir(directory):
        raise StoreNotFoundError(
            f"its directory does not exist: mkdir -p {directory}", target
        )
    with _writing(target):
        descriptor = os.open(
            temporary,
            os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC,
            mode,
        )
        try:
            # The umask has no say in it.
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)


def _flush(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_name(temporary: str, target: str) -> None:
    """Unlike a rename, a link never takes the place of another file."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise _there_already(target) from None
    except OSError:
        _replace_nothing(temporary, target)


def _replace_nothing(temporary: str, target: str) -> None:
    """On a file system without links: the name is taken first."""
    try:
        placeholder = os.open(
            target, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
        )
    except FileExistsError:
        raise _there_already(target) from None
    os.close(placeholder)
    try:
        os.replace(temporary, target)
    except BaseException:
        os.unlink(target)
        raise


# -- a backup


def file_mode(path: str) -> int:
    """Mode of a store's file, for what is made of it."""
    return stat.S_IMODE(os.stat(path).st_mode) & 0o777


def back_up(
    path: str,
    target: str,
    progress: Progress = no_progress,
    busy_timeout: float = 5.0,
) -> int:
    """
    Copy a store that others may have open, without what ends with their
    sessions, and verify the copy before it gets its name.

    Returns:
        How many identities are in it.

    Raises:
        StoreError: The target exists, or can't be made.
        StoreCorruptError: The store is damaged: there is no copy then.
    """
    path, target = _files.checked_path(path), _files.checked_path(target)
    busy_ms = round(busy_timeout * 1000)
    source = reader(path, busy_ms)
    try:
        with appearing(target, file_mode(path)) as temporary:
            copy_pages(source, temporary, path, target, progress)
            return _finish(temporary, path, target, busy_ms)
    finally:
        source.close(True)


def reader(path: str, busy_ms: int) -> apsw.Connection:
    """A connection that reads a store as it is now, as long as it is open."""
    directory = os.path.dirname(path)
    _files.check_files(path)
    _files.check_directory(path, directory)
    try:
        if not (os.access(path, os.W_OK) and os.access(directory, os.W_OK)):
            return _snapshot.take(path, busy_ms)
        _schema.check_library(apsw.sqlite_lib_version(), path)
        source = _schema.connect(path, apsw.SQLITE_OPEN_READWRITE, busy_ms)
        try:
            # From here on it sees nothing new, so that the copy need never
            # be begun again however much is written meanwhile.
            source.execute("BEGIN")
            if not _schema.check(source, path):
                raise StoreCorruptError("it is empty", path)
        except BaseException:
            source.close(True)
            raise
    except apsw.Error as error:
        raise _schema.typed(error, path) from error
    return source


def copy_pages(
    source: apsw.Connection,
    temporary: str,
    path: str,
    target: str,
    progress: Progress = no_progress,
) -> None:
    """Copy all that a connection sees into an empty file."""
    copy = apsw.Connection(temporary, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        with _copying(copy, path, target):
            # It is flushed as a whole before it gets its name.
            copy.execute("PRAGMA synchronous = OFF")
            with copy.backup("main", source, "main") as backup:
                while not backup.step(_STEP):
                    total = backup.page_count
                    progress(total - backup.remaining, total)
    finally:
        copy.close(True)


@contextlib.contextmanager
def _copying(copy: apsw.Connection, path: str, target: str) -> Iterator[None]:
    """Damage is the store's; all else has happened to the copy."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise _schema.typed(error, path) from error
    except apsw.Error as error:
        errno = copy.system_errno if isinstance(error, apsw.IOError) else 0
        raise _schema.typed(error, target, errno=errno) from error


def _finish(temporary: str, path: str, target: str, busy_ms: int) -> int:
    """Take out what ends with sessions, and verify what is left."""
    copy = _schema.connect(temporary, apsw.SQLITE_OPEN_READWRITE, busy_ms)
    try:
        with _copying(copy, path, target):
            # Nobody else knows the file, and it is flushed at the end.
            copy.execute("PRAGMA locking_mode = EXCLUSIVE")
            copy.execute("PRAGMA synchronous = OFF")
            with copy:
                _void_sessions(copy, path)
            busy = _schema.value(copy, "PRAGMA wal_checkpoint(TRUNCATE)")
            problems = check_store(copy, None)
            if problems:
                raise StoreCorruptError(
                    f"it is damaged ({problems[0]}), and no backup is made "
                    "of it: run `ndisbridge store check`",
                    path,
                )
            if busy:
                raise StoreError("its log can't be emptied", target)
            return int(_schema.value(copy, "SELECT identities FROM root"))
    finally:
        copy.close(True)


def _void_sessions(copy: apsw.Connection, path: str) -> None:
    rows = _ending(copy, path)
    root = _fetched(copy, path, "SELECT identities, identity_sum FROM root")
    with reading(path):
        ((count, total),) = root
    copy.execute("DELETE FROM identities WHERE owner IS NOT NULL")
    copy.execute(
        "UPDATE root SET identities = ?, identity_sum = ?",
        (
            count - len(rows),
            _rows.signed(total - sum(each[-1] for each in rows)),
        ),
    )
    for table in ("sessions", "leases", "in_use"):
        copy.execute(f"DELETE FROM {table}")


def _ending(copy: apsw.Connection, path: str) -> list[tuple[Any, ...]]:
    """Identities that end with a session; verified, for all others stay."""
    rows = _fetched(
        copy,
        path,
        f"SELECT {_rows.IDENTITY_COLUMNS} FROM identities WHERE owner IS NOT "
        "NULL",
    )
    for row in rows:
        _rows.identity_record(row, path, None)
    return rows


def _fetched(
    copy: apsw.Connection, path: str, sql: str
) -> list[tuple[Any, ...]]:
    with reading(path):
        return list(copy.execute(sql))
