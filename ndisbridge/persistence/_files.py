# SPDX-License-Identifier: MIT
"""
Whether a store's file may be trusted, and making it so that it may.
"""

from __future__ import annotations

import os
import stat

from .errors import (
    NetworkFileSystemError,
    StoreCorruptError,
    StoreNotFoundError,
    StorePermissionError,
)

#: Types of file systems that several hosts can have mounted at once: the
#: locks and the shared memory of SQLite do not reach from one to another.
NETWORK_TYPES = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb2",
        "smb3",
        "smbfs",
    ]
)


def file_system_type(path: str) -> str:
    """Type of the file system that a path is on; "" if unknown."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            for line in mounts:
                left, _, right = line.partition(" - ")
                if left.split()[2] == wanted:
                    return right.split()[0]
    except OSError:
        pass
    return ""


def modes(path: str) -> tuple[int, int]:
    """Modes of directory and file: the system's store can be read by all."""
    system = os.geteuid() == 0 and path.startswith("/var/lib/")
    return (0o755, 0o644) if system else (0o700, 0o600)


def prepare(path: str) -> None:
    """
    Make the directory (one level) and the file if they are not there, and
    refuse what is unsafe.

    Raises:
        StoreNotFoundError: The directory can't be made.
        StorePermissionError: Not ours to write, or others can write it.
        StoreCorruptError: Not a regular file.
        NetworkFileSystemError: On a network file system.
    """
    directory = os.path.dirname(path) or "."
    directory_mode, file_mode = modes(path)
    try:
        os.mkdir(directory, directory_mode)
    except FileExistsError:
        pass
    except FileNotFoundError:
        raise StoreNotFoundError(
            f"its directory does not exist: mkdir -p {directory}", path
        ) from None
    except OSError as error:
        raise StorePermissionError(
            f"its directory can't be made: {error.strerror}", path
        ) from error
    check_directory(path, directory)
    # Never opened by us while SQLite may have it open: closing any
    # descriptor of a file drops the process's locks on it.
    try:
        descriptor = os.open(
            path,
            os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC,
            file_mode,
        )
        os.close(descriptor)
    except FileExistsError:
        pass
    except OSError as error:
        raise StorePermissionError(
            f"it can't be made: {error.strerror}", path
        ) from error
    check_file(path)


def check_directory(path: str, directory: str) -> None:
    """Refuse a directory that a store must not be in."""
    found = os.stat(directory)
    if not stat.S_ISDIR(found.st_mode):
        raise StoreNotFoundError(f"{directory} is not a directory", path)
    others = stat.S_IMODE(found.st_mode) & 0o002
    if others and not found.st_mode & stat.S_ISVTX:
        raise StorePermissionError(
            f"everybody can write {directory}: chmod o-w {directory}", path
        )
    kind = file_system_type(directory)
    if kind in NETWORK_TYPES:
        raise NetworkFileSystemError(
            f"{directory} is on a network file system ({kind}), where locks "
            "do not hold between hosts: keep the store on a local disk",
            path,
        )


def check_file(path: str) -> None:
    """Refuse a file that is no safe store."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        raise StoreNotFoundError("there is no such store", path) from None
    except OSError as error:
        raise StorePermissionError(
            f"it can't be read: {error.strerror}", path
        ) from error
    if stat.S_ISLNK(found.st_mode):
        raise StorePermissionError(
            "it is a symbolic link: give the path of the file itself", path
        )
    if not stat.S_ISREG(found.st_mode):
        raise StoreCorruptError("it is not a regular file", path)
    if found.st_uid not in {os.geteuid(), 0}:
        raise StorePermissionError(
            f"it belongs to another user (uid {found.st_uid}): use a store "
            "of your own",
            path,
        )
    if found.st_mode & 0o002:
        raise StorePermissionError(
            f"everybody can write it: chmod o-w {path}", path
        )
    if found.st_nlink != 1:
        raise StorePermissionError(
            "it has more than one name (hard links): remove the others", path
        )
