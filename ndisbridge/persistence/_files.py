# SPDX-License-Identifier: MIT
"""
Whether a store's file may be trusted, and making it so that it may.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Any

from .errors import (
    NetworkFileSystemError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreNotFoundError,
    StorePermissionError,
)

#: What is beside a store: the lock file, and what SQLite itself looks for.
SUFFIXES = (".lock", "-wal", "-shm", "-journal")

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
        "vboxsf",
        "virtiofs",
    ]
)
#: Those of FUSE that are known to be local; any other may lead anywhere.
LOCAL_FUSE = frozenset(
    [
        "fuse.ext2",
        "fuse.ext3",
        "fuse.ext4",
        "fuse.fuse-overlayfs",
        "fuse.ntfs",
    ]
)

#: Bytes of the longest path that SQLite takes, and of the longest name that
#: can get the longest suffix ("-journal").
_LONGEST_PATH = 504
_LONGEST_NAME = 247


def is_network_type(kind: str) -> bool:
    """Whether a type of file system may be shared by several hosts."""
    if kind == "fuse" or kind.startswith("fuse."):
        return kind not in LOCAL_FUSE
    return kind in NETWORK_TYPES


def checked_path(where: str | bytes | os.PathLike[Any]) -> str:
    """
    The absolute path of a store.

    Raises:
        StoreError: It can be no path of a store.
    """
    given = os.fsdecode(where)
    shown = os.fsencode(given).decode("utf-8", "backslashreplace")
    if given in {"", ":memory:"} or given.startswith("file:"):
        raise StoreError(
            f"{shown!r} is no path of a store: give no store at all for one "
            "in memory, or the path of a file"
        )
    if "\0" in given:
        raise StoreError("its path has a NUL in it: give another", shown)
    try:
        path = os.path.abspath(given)
    except OSError as error:
        raise StoreNotFoundError(
            f"the current directory can't be found: {error.strerror}", shown
        ) from error
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        raise StoreError(
            "its path is not valid UTF-8, which SQLite needs: give another",
            shown,
        ) from None
    if len(raw) > _LONGEST_PATH or len(os.path.basename(raw)) > _LONGEST_NAME:
        raise StoreError(
            f"its path is too long: at most {_LONGEST_PATH} bytes, and "
            f"{_LONGEST_NAME} for the name of the file",
            shown,
        )
    return path


#: What has failed is the disk, or the machine is out of something.
_NOT_OF_RIGHTS = {
    errno.EIO,
    errno.EINTR,
    errno.ENOLCK,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
}


def refusal(error: OSError, text: str, store: str) -> StoreError:
    """The error of a store for one of the system."""
    text = f"{text}: {error.strerror}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreFullError(text, store)
    if error.errno in _NOT_OF_RIGHTS:
        return StoreError(text, store)
    return StorePermissionError(text, store)


def file_system_type(path: str) -> str:
    """Type of the file system that a path is on; "" if unknown."""
    return mounted_type(os.stat(path).st_dev)


def mounted_type(device: int, mounts: str = "/proc/self/mountinfo") -> str:
    """Type of the file system on a device; "" if unknown."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
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
        # The umask has no say in who may read the system's store.
        os.chmod(directory, directory_mode)
    except FileExistsError:
        pass
    except FileNotFoundError:
        raise StoreNotFoundError(
            f"its directory does not exist: mkdir -p {directory}", path
        ) from None
    except OSError as error:
        raise refusal(error, "its directory can't be made", path) from error
    check_directory(path, directory)
    # Never opened by us while SQLite may have it open: closing any
    # descriptor of a file drops the process's locks on it.
    try:
        descriptor = os.open(
            path,
            os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC,
            file_mode,
        )
        try:
            os.fchmod(descriptor, file_mode)
        finally:
            os.close(descriptor)
    except FileExistsError:
        pass
    except OSError as error:
        raise refusal(error, "it can't be made", path) from error
    check_files(path)
    # Whoever writes the first page has done this, even if the process that
    # made the file did not come so far.
    try:
        if os.stat(path).st_size == 0:
            flush_directory(directory)
            flush_directory(os.path.dirname(directory))
    except OSError as error:
        raise refusal(error, "its directory can't be flushed", path) from error


def flush_directory(directory: str) -> None:
    """A new name in it outlives a power cut."""
    try:
        descriptor = os.open(
            directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        )
    except PermissionError:
        return  # who may write a directory but not read it can't flush it
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that can't
            raise
    finally:
        os.close(descriptor)


def inode(path: str) -> tuple[int, int]:
    """Device and inode number of the file that a path leads to now."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return 0, 0
    except OSError as error:
        raise refusal(error, "it can't be looked at", path) from error
    return found.st_dev, found.st_ino


def check_directory(path: str, directory: str) -> None:
    """Refuse a directory that a store must not be in."""
    try:
        found = os.stat(directory)
    except FileNotFoundError:
        raise StoreNotFoundError(f"there is no {directory}", path) from None
    except OSError as error:
        raise refusal(
            error, f"{directory} can't be looked at", path
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise StoreNotFoundError(f"{directory} is not a directory", path)
    others = stat.S_IMODE(found.st_mode) & 0o002
    if others and not found.st_mode & stat.S_ISVTX:
        raise StorePermissionError(
            f"everybody can write {directory}: chmod o-w {directory}", path
        )
    kind = mounted_type(found.st_dev)
    if is_network_type(kind):
        raise NetworkFileSystemError(
            f"{directory} is on a network file system ({kind}), where locks "
            "do not hold between hosts: keep the store on a local disk",
            path,
        )


def check_files(path: str) -> None:
    """Refuse a store with a file that is not safe to use."""
    _check_file(path, path, "it")
    for suffix in SUFFIXES:
        beside = path + suffix
        with contextlib.suppress(StoreNotFoundError):
            _check_file(path, beside, beside)


def _check_file(store: str, path: str, it: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        raise StoreNotFoundError("there is no such store", store) from None
    except OSError as error:
        raise refusal(error, f"{it} can't be read", store) from error
    if stat.S_ISLNK(found.st_mode):
        raise StorePermissionError(
            f"{it} is a symbolic link: "
            + (
                "give the path of the file itself"
                if path == store
                else "remove it"
            ),
            store,
        )
    if not stat.S_ISREG(found.st_mode):
        raise StoreCorruptError(f"{it} is not a regular file", store)
    if path == store and found.st_size == 1:
        # SQLite takes it for an empty one, and would make a new store.
        raise StoreCorruptError(
            "it has one byte, and is no store: keep the file, and restore a "
            "backup",
            store,
        )
    if found.st_uid not in {os.geteuid(), 0}:
        raise StorePermissionError(
            f"{it} belongs to another user (uid {found.st_uid}): use a store "
            "of your own",
            store,
        )
    if found.st_mode & 0o002:
        raise StorePermissionError(
            f"everybody can write {it}: chmod o-w {path}", store
        )
    # 0: removed since, by the last session that closed.
    if found.st_nlink > 1:
        raise StorePermissionError(
            f"{it} has more than one name (hard links): remove the others",
            store,
        )
