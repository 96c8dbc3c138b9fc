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
from .errors import StorePermissionError

_RUN = "/run/ndisbridge"


def run_directory(store: str) -> str:
    """
    Where the lock files are: $NDISBRIDGE_RUN_DIR, /run/ndisbridge for root,
    or $XDG_RUNTIME_DIR/ndisbridge.  Made if it is not there.

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
        digest = blake2b(host.encode(), digest_size=8).hexdigest()
        path = os.path.join(run_directory(store), f"{store_id}-{digest}")
        try:
            try:
                found = cls(path, os.O_RDWR)
            except FileNotFoundError:
                _make(path + ".lock")
                found = cls(path, os.O_RDWR)
            found.name = os.pread(found._descriptor, 36, 0).decode("ascii")
        except (OSError, UnicodeError) as error:
            if isinstance(error, UnicodeError):
                error = OSError(0, "it is damaged")
            raise _files.refusal(
                error, f"{path}.lock can't be opened", store
            ) from error
        found.store = store
        return found


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
