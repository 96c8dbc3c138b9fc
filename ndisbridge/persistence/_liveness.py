# SPDX-License-Identifier: MIT
"""
Who is alive: one byte lock per session, in a file beside the store.

An open-file-description lock belongs to the descriptor, not to the process:
two sessions of one process exclude each other too, and the kernel drops it
when the last copy of the descriptor is closed, however the process ends.  A
pid proves nothing.
"""

from __future__ import annotations

import fcntl
import os
import struct

from .errors import StorePermissionError

_FLOCK = struct.Struct("hhqqi4x")


class LockFile:
    """The lock file of a store; byte *session id* is that session's."""

    def __init__(self, store: str, mode: int) -> None:
        self.path = store + ".lock"
        try:
            self._descriptor = os.open(
                self.path,
                os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                mode,
            )
        except OSError as error:
            raise StorePermissionError(
                f"{self.path} can't be opened: {error.strerror}", store
            ) from error

    def take(self, session_id: int) -> bool:
        """Lock a byte until the descriptor is closed; False if it is held."""
        request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, session_id, 1, 0)
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, request)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def is_held(self, session_id: int) -> bool:
        """Whether another session holds a byte."""
        request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, session_id, 1, 0)
        answer = fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, request)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)

    def close(self) -> None:
        """
        Let go.  In a child of ``fork()`` this leaves the parent's lock: it
        belongs to the description that both share.
        """
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def boot_id() -> str:
    """What the kernel calls this boot; "" if it does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
