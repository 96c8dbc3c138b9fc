# SPDX-License-Identifier: MIT
"""
The whole store in memory, as one reader sees it now: for those who may read
its file and not write it.
"""

from __future__ import annotations

import os

import apsw

from . import _files, _schema
from .errors import StoreNotFoundError


def take(path: str, timeout_ms: int) -> apsw.Connection:
    """A connection to a copy that nobody changes."""
    _files.check_files(path)
    source = _open(path, timeout_ms)
    try:
        if not _schema.check(source, path):
            # Who makes it has got no further than the file's header.
            raise StoreNotFoundError("it is empty, no store yet", path)
        copy = apsw.Connection(":memory:")
        with copy.backup("main", source, "main") as backup:
            backup.step()
    finally:
        source.close(True)
    return copy


def _open(path: str, timeout_ms: int) -> apsw.Connection:
    # Beside a log in use the readers' file is there to be shared; without a
    # log nobody writes, and the file is all there is.
    if os.path.exists(path + "-wal"):
        return _schema.connect(path, apsw.SQLITE_OPEN_READONLY, timeout_ms)
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return _schema.connect(
        f"file:{quoted}?immutable=1",
        apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
        timeout_ms,
    )
