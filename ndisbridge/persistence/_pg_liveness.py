# SPDX-License-Identifier: MIT
"""
Who is alive on this host: a lock file as beside a SQLite store, in a
directory that does not outlive the boot.

Each file has a name of its own in it, drawn by chance.  A session says which
file tells of its life, so that who sees another file under the same path, in
a container or after a clean-up, does not take the living for dead.
"""

from __future__ import annotations

import contextlib
import os
import stat
import uuid
from hashlib import blake2b

from . import _files
from ._liveness import LockFile
from .errors import StoreError, StorePermissionError

_RUN = "/run/ndisbridge"


def run_directory(store: str, *, make: bool = True) -> str:
    """
    Where the lock files are: $NDISBRIDGE_RUN_DIR, /run/ndisbridge for root,
    or $XDG_RUNTIME_DIR/ndisbridge.  Made if it is not there, and to be made.

    Raises:
        StorePermissionError: There is none, or others may write it.
    """
    own = os.environ.get("NDISBRIDGE_RUN_DIR")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if own:
        path = own
    elif os.geteuid() == 0:
        path = _RUN
    elif runtime:
        path = os.path.join(runtime, "ndisbridge")
    else:
        raise StorePermissionError(
            "there is no directory for its lock file: set NDISBRIDGE_RUN_DIR "
            "to one of your own, on a file system that a reboot empties",
            store,
        )
    path = os.path.abspath(path)
    try:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o755)
        found = os.stat(path)
    except OSError as error:
        raise _files.refusal(error, f"{path} can't be made", store) from error
    if found.st_uid not in {0, os.geteuid()} or found.st_mode & (
        stat.S_IWGRP | stat.S_IWOTH
    ):
        raise StorePermissionError(
            f"others may write {path}: `chmod go-w {path}`, or set "
            "NDISBRIDGE_RUN_DIR to a directory of your own",
            store,
        )
    return path


class HostLock(LockFile):
    """The lock file of a store's sessions on this host."""

    #: What it is called, whatever its path.
    name = ""

    @classmethod
    def open(cls, store: str, store_id: str, host: str) -> HostLock:
        """The one of this host; made if it is not there."""
        path = os.path.join(run_directory(store), _file(store_id, host))
        try:
            found = cls._named(path, os.O_RDWR, store)
            if found is None:
                _make(path + ".lock")
                found = cls._named(path, os.O_RDWR, store)
        except OSError as error:
            raise _refusal(error, path, store) from error
        if found is None:
            gone = FileNotFoundError(0, "it is removed all the time")
            raise _refusal(gone, path, store)
        return found

    @classmethod
    def to_look(cls, store: str, store_id: str, host: str) -> HostLock | None:
        """The one of this host, for who has no session; nothing is made."""
        try:
            directory = run_directory(store, make=False)
        except StorePermissionError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        return cls._named(
            os.path.join(directory, _file(store_id, host)), os.O_RDONLY, store
        )

    @classmethod
    def _named(cls, path: str, flags: int, store: str) -> HostLock | None:
        try:
            found = cls(path, flags)
            found.name = os.pread(found._descriptor, 36, 0).decode("ascii")
        except FileNotFoundError:
            return None
        except UnicodeError as error:
            damage = OSError(0, "it is damaged")
            raise _refusal(damage, path, store) from error
        except OSError as error:
            raise _refusal(error, path, store) from error
        found.store = store
        return found


def _file(store_id: str, host: str) -> str:
    return f"{store_id}-{blake2b(host.encode(), digest_size=8).hexdigest()}"


def _refusal(error: OSError, path: str, store: str) -> StoreError:
    return _files.refusal(error, f"{path}.lock can't be opened", store)


def _make(path: str) -> None:
    """With its name in it from the first moment, by whoever is first."""
    new = f"{path}.{uuid.uuid4()}"
    descriptor = os.open(
        new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644
    )
    try:
        os.write(descriptor, str(uuid.uuid4()).encode())
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        os.close(descriptor)
        os.unlink(new)
