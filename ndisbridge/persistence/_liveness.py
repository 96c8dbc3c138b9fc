# SPDX-License-Identifier: MIT
"""
Who is alive: one byte lock per session, in a file beside the store.

An open-file-description lock belongs to the descriptor, not to the process:
two sessions of one process exclude each other too, and the kernel drops it
when the last copy of the descriptor is closed, however the process ends.  A
pid proves nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct

from . import _files
from .errors import StoreError

_FLOCK = struct.Struct("hhqqi4x")
_LAST_BYTE = (1 << 63) - 2


class LockFile:
    """The lock file of a store; byte *session id* is that session's."""

    def __init__(self, store: str, flags: int, mode: int = 0) -> None:
        self.store = store
        self.path = store + ".lock"
        self._descriptor = os.open(
            self.path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode
        )

    @classmethod
    def existing(
        cls, store: str, *, read_only: bool = False
    ) -> LockFile | None:
        """The lock file that is there; None if there is none."""
        try:
            return cls(store, os.O_RDONLY if read_only else os.O_RDWR)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _files.refusal(
                error, f"{store}.lock can't be opened", store
            ) from error

    @classmethod
    def create(cls, store: str, mode: int) -> LockFile:
        """A new one; the caller sees to it that nobody else makes one."""
        try:
            made = cls(store, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
            os.fchmod(made._descriptor, mode)
        except OSError as error:
            raise _files.refusal(
                error, f"{store}.lock can't be made", store
            ) from error
        return made

    def check_in_place(self) -> None:
        """Refuse to go on when others would look at another file."""
        try:
            mine = os.fstat(self._descriptor)
            found = os.stat(self.path)
        except FileNotFoundError:
            found = None
        except OSError as error:
            raise self._refusal(error, "looked at") from error
        if found is None or not os.path.samestat(found, mine):
            raise StoreError(
                f"{self.path} was removed or replaced, so that others take "
                "this session for dead: close it and open a new one",
                self.store,
            )

    def take(self, session_id: int) -> bool:
        """Lock a byte until the descriptor is closed; False if it is held."""
        request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, session_id, 1, 0)
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, request)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            raise self._refusal(error, "locked") from error
        return True

    def is_held(self, session_id: int) -> bool:
        """Whether another session holds a byte."""
        # Damage may put anything where the number of a session should be.
        if not (isinstance(session_id, int) and 0 < session_id <= _LAST_BYTE):
            return False
        # Asks for a read lock, which only a write lock is in the way of: who
        # may but read the file cannot pass for a session.
        request = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, session_id, 1, 0)
        try:
            answer = fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, request)
        except OSError as error:
            raise self._refusal(error, "asked for locks") from error
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)

    def close(self) -> None:
        """
        Let go.  In a child of ``fork()`` this leaves the parent's lock: it
        belongs to the description that both share.
        """
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            # Linux closes it whatever it answers, and nothing was written.
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _refusal(self, error: OSError, done: str) -> StoreError:
        return _files.refusal(
            error, f"{self.path} can't be {done}", self.store
        )


def boot_id() -> str:
    """What the kernel calls this boot; "" if it does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
