# SPDX-License-Identifier: MIT
"""
The identities of a store for those who keep looking: read anew when they
may have changed, whoever has changed them.
"""

from __future__ import annotations

import contextlib
import os
import time

from ..persistence import (
    IdentityRecord,
    IdentityWatch,
    StoreBusyError,
    StoreError,
    StoreNotFoundError,
)
from .stores import WholeStore, is_url, read_store, store_to_read

#: Seconds that a file's time may stand still though the file has changed.
_GRAIN = 0.1
#: Seconds after which a server is asked again, whatever it has told.
_AGAIN = 5.0

_Stamp = tuple[tuple[int, int, int], ...] | None


class StoreView:
    """
    Identities of a store by NET_LUID; none while there is no store.

    Reading a file takes no lock that anybody waits for, and writes nothing:
    it works for those who may only read it.
    """

    def __init__(self, given: str | None) -> None:
        self.name = store_to_read(given)
        self.records: dict[int, IdentityRecord] = {}
        #: Why it could not be read the last time; "" if it could.
        self.problem = ""
        self._given = given
        self._stamp: _Stamp = None
        self._server: WholeStore | None = None
        self._watch: IdentityWatch | None = None
        self._asked = 0.0
        self.records = self.look() or {}

    def look(self) -> dict[int, IdentityRecord] | None:
        """
        What there is now; None if nothing has changed.

        Where the store can't be read for now nothing has changed either, and
        :attr:`problem` says why; it is read the next time.

        Raises:
            StoreError: It can't be read, and never could.
        """
        try:
            found = self._read()
            self.problem = ""
        except StoreNotFoundError:
            found = {}
        except StoreError as error:
            if not self.records and not isinstance(error, StoreBusyError):
                raise
            self.problem, found = str(error), None
        return None if found == self.records else found

    def _read(self) -> dict[int, IdentityRecord] | None:
        if is_url(self.name):
            return self._read_server()
        # Before the file is read: what is written meanwhile is read again.
        stamp = _stamp_of(self.name)
        if stamp is not None and stamp == self._stamp:
            return None
        with contextlib.closing(read_store(self._given)) as source:
            found = source.identities()
        self._stamp = stamp if _is_settled(stamp) else None
        return {each.net_luid: each for each in found}

    def _read_server(self) -> dict[int, IdentityRecord] | None:
        """It tells of identities; of in-use marks it has to be asked."""
        try:
            if self._server is None:
                self._server = read_store(self._given)
                self._asked = -_AGAIN
                if hasattr(self._server, "watch"):
                    self._watch = self._server.watch()
            told = self._watch is not None and bool(self._watch.read())
            if not told and time.monotonic() - self._asked < _AGAIN:
                return None
            self._asked = time.monotonic()
            return {each.net_luid: each for each in self._server.identities()}
        except StoreError:
            # What it tells meanwhile is lost: begin anew.
            self.close()
            raise

    def close(self) -> None:
        """Let go of a server."""
        watch, self._watch = self._watch, None
        server, self._server = self._server, None
        with contextlib.suppress(StoreError):
            if watch is not None:
                watch.close()
            if server is not None:
                server.close()


def _stamp_of(path: str) -> _Stamp:
    """Another one once a file of the store has been written."""
    found = []
    for name in (path, f"{path}-wal"):
        try:
            status = os.stat(name)
        except OSError:
            continue
        found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found) or None


def _is_settled(stamp: _Stamp) -> bool:
    newest = max((each[2] for each in stamp or ()), default=0)
    return time.time() - newest / 1e9 > _GRAIN
