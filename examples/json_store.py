# SPDX-License-Identifier: MIT
"""
A store in one JSON file, for one process at a time:

    session = ndisbridge.Session(JsonStore("interfaces.json"))

A change writes the whole file anew: to a temporary one, flushed, then renamed
over the old, then the directory flushed.  So the file is always one state or
the next, and a change that was answered is on the disk.  That suits some
hundred identities; SQLite suits the rest.

What each method must do is said by ndisbridge.persistence.Store, and in
docs/stores.md.  The file is for reading: its checksum is of what it says, not
of how that is laid out, and who changes what it says is told so.
"""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import sys
import threading
import time
import uuid
from dataclasses import replace

from ndisbridge import persistence as p

FORMAT = "ndisbridge JSON store 1"
ERRORS = {
    errno.ENOSPC: p.StoreFullError,
    errno.EDQUOT: p.StoreFullError,
    errno.ENOENT: p.StoreNotFoundError,
    errno.EACCES: p.StorePermissionError,
    errno.EROFS: p.StorePermissionError,
    errno.ELOOP: p.StorePermissionError,
}


def key_of(record):
    return record.compartment, record.provider, record.key


def place_of(net_luid):
    """Its block, as (IfType, number), and its bit there."""
    return (net_luid >> 48, net_luid >> 36 & 4095), net_luid >> 24 & 4095


def bits_for(records):
    """NET_LUID indexes and own ifIndexes of identities, by block."""
    found = {}
    for each in records:
        places = [place_of(each.net_luid)]
        if each.if_index_owned:
            places.append(((0, each.if_index >> 12), each.if_index & 4095))
        for block, bit in places:
            found[block] = found.get(block, 0) | 1 << bit
    return found


def bits_of(sets):
    return {
        (if_type, number): int.from_bytes(mask, "little")
        for if_type, blocks in sets
        for number, mask in blocks
    }


def checksum(state):
    text = json.dumps(state, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class JsonStore:
    """Identities and retained indexes in a file; leases in memory."""

    leases = True
    if_index_first = 0x800000

    def __init__(self, path):
        self.path = os.path.abspath(os.fspath(path))
        self._lock = threading.RLock()
        self._leased, self._in_use = set(), set()
        self._bits, self._records = {}, {}  # by block, by NET_LUID
        self._refusal = ""  # why it takes no more changes
        self._inside = False
        program = os.path.basename(sys.argv[0] if sys.argv else "")
        self._self = p.SessionInfo(1, os.getpid(), program)
        with contextlib.ExitStack() as undo, self._errors():
            # A file of its own, never replaced: a lock goes with its inode.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._lock_file = os.open(f"{self.path}.lock", flags, 0o600)
            undo.callback(os.close, self._lock_file)
            try:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise p.StoreBusyError("it is open", self.path) from None
            self._read()
            undo.pop_all()

    def __str__(self):
        return self.path

    @contextlib.contextmanager
    def _errors(self):
        try:
            yield
        except OSError as error:
            kind = ERRORS.get(error.errno, p.StoreError)
            raise kind(str(error.strerror), self.path) from error

    @contextlib.contextmanager
    def _changing(self):
        with self._lock, self._errors():
            # A handler of signals comes in the middle of a change, too.
            if self._refusal or self._inside:
                text = self._refusal or "this thread is changing it already"
                raise p.StoreError(text, self.path)
            self._inside = True
            try:
                yield
            finally:
                self._inside = False

    # -- the file

    def _read(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                whole = json.load(file)
            state = whole["store"]
            if whole["checksum"] != checksum(state):
                raise ValueError("its checksum is wrong")
            if state["format"] != FORMAT:
                raise ValueError("it is no such store")
            for if_type, number, bits in state["retained"]:
                self._bits[if_type, number] = int(bits, 16)
            for row in state["identities"]:
                row["net_luid"] = int(row["net_luid"], 16)
                row["interface_guid"] = uuid.UUID(row["interface_guid"])
                self._records[row["net_luid"]] = p.IdentityRecord(**row)
            # Who was killed may have renamed it only; now it will be used.
            self._flush_directory()
        except FileNotFoundError:
            self._commit(self._records)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise p.StoreCorruptError(f"damaged: {error}", self.path) from None

    def _write(self, bits, records):
        """Replace the file; until that is done nothing has changed."""
        rows = []
        for each in filter(lambda each: each.persistent, records.values()):
            row = {
                field.name: getattr(each, field.name)
                for field in dataclasses.fields(each)
                if field.name not in {"in_use_by", "persistent"}
            }
            row["net_luid"] = f"{each.net_luid:#018x}"
            row["interface_guid"] = str(each.interface_guid)
            row["attributes"] = dict(each.attributes)
            rows.append(row)
        pages = [[*block, f"{mask:x}"] for block, mask in bits.items() if mask]
        state = {"format": FORMAT, "retained": pages, "identities": rows}
        whole = {"checksum": checksum(state), "store": state}
        temporary = f"{self.path}.new"
        try:
            # Who was killed may have left one; and a link is not ours.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600), "w") as file:
                json.dump(whole, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def _flush_directory(self):
        directory = os.open(os.path.dirname(self.path), os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _commit(self, records, bits=None, *, durable=True):
        bits = self._bits if bits is None else bits
        if durable:
            self._write(bits, records)
        self._bits, self._records = bits, records
        try:
            if durable:
                self._flush_directory()
        except OSError as error:
            # It is done, and a power cut may undo it.
            self._refusal = "its disk has failed: open it again"
            raise p.StoreUncertainError(f"{error}", self.path) from error

    # -- leases

    def lease_blocks(self, if_type, lowest, highest, count):
        found = []
        with self._changing():
            for number in range(lowest, highest + 1):
                block = if_type, number
                if len(found) < count and block not in self._leased:
                    mask = self._bits.get(block, 0).to_bytes(512, "little")
                    found.append((number, mask))
                    self._leased.add(block)
        return found

    def return_blocks(self, if_type, blocks):
        with self._lock:
            self._leased -= {(if_type, number) for number in blocks}

    # -- retain, release: on copies, which a commit puts in place

    def _refuse_doubles(self, sets, identities):
        blocks = [(if_type, n) for if_type, blocks in sets for n, _ in blocks]
        for each in (
            blocks,
            [key_of(each) for each in identities],
            [place_of(each.net_luid) for each in identities],
            [each.interface_guid for each in identities],
        ):
            if len(set(each)) < len(each):
                raise p.IdentityConflictError("one is named twice", self.path)

    def retain(self, sets, identities, *, persistent=True, updates=()):
        with self._changing():
            self._refuse_doubles(sets, identities)
            bits, records = dict(self._bits), dict(self._records)
            keys = {key_of(each): each for each in records.values()}
            for each in identities:
                existing = keys.get(key_of(each))
                if existing is not None:
                    text = f"{each.key!r} has an identity"
                    raise p.IdentityExistsError(text, self.path, existing)
                if each.net_luid in records:
                    text = f"{each.net_luid:#x} is another's"
                    raise p.IdentityConflictError(text, self.path)
                keys[key_of(each)] = records[each.net_luid] = replace(
                    each, persistent=persistent, created=int(time.time())
                )
            for block, mask in bits_of(sets).items():
                if block not in self._leased:
                    raise p.LeaseLostError(f"{block}", self.path)
                if persistent and bits.get(block, 0) & mask:
                    raise p.AlreadyRetainedError(f"{block}", self.path)
                if persistent:
                    bits[block] = bits.get(block, 0) | mask
            self._update(records, updates)
            self._commit(records, bits, durable=persistent or bool(updates))

    def release(self, sets, identities, *, persistent=True):
        with self._changing():
            self._refuse_doubles(sets, identities)
            bits, records, released = dict(self._bits), dict(self._records), []
            for each in identities:
                stored = records.pop(each.net_luid, None)
                if stored is None or (
                    (stored.interface_guid, stored.persistent)
                    != (each.interface_guid, persistent)
                ):
                    raise p.NotRetainedError(f"{each.key!r}", self.path)
                if each.net_luid in self._in_use:
                    raise p.IdentityInUseError("it", self.path, self._self)
                released.append(stored)
            if persistent:
                self._release_bits(bits, bits_of(sets), records, released)
            self._commit(records, bits, durable=persistent)

    def _release_bits(self, bits, given, records, released):
        own, others = bits_for(released), bits_for(records.values())
        for block, mask in given.items():
            if bits.get(block, 0) & mask != mask:
                raise p.NotRetainedError(f"one of {block}", self.path)
            if others.get(block, 0) & mask and not released:
                raise p.NotRetainedError("an identity's index", self.path)
            bits[block] ^= mask
        for block in {*own, *given}:
            mask, owned = given.get(block, 0), own.get(block, 0)
            # Its own bits and none of another's; and no more ifIndexes.
            wrong = owned & ~mask | others.get(block, 0) & mask
            if wrong or (block[0] == 0 and mask != owned):
                raise p.IdentityConflictError("other indexes", self.path)
        for block, bit in map(place_of, self._in_use):
            if given.get(block, 0) >> bit & 1:
                raise p.IdentityInUseError("it", self.path, self._self)

    # -- in use

    def confirm(self, net_luids, if_indexes):
        with self._changing():
            owners = {
                each.if_index: each.net_luid
                for each in self._records.values()
                if each.if_index_owned
            }
            for net_luid, if_index in zip(net_luids, if_indexes, strict=True):
                block, bit = place_of(net_luid)
                retained = self._bits.get(block, 0) >> bit & 1
                if not retained and net_luid not in self._records:
                    raise p.NotRetainedError(f"{net_luid:#x}", self.path)
                if owners.get(if_index, net_luid) != net_luid:
                    raise p.IdentityConflictError("its ifIndex", self.path)
            self._in_use.update(net_luids)

    def unconfirm(self, net_luids):
        with self._lock:
            self._in_use.difference_update(net_luids)

    # -- looking up, updating

    def identities(self, compartment=None, provider=None):
        with self._lock:
            return [
                replace(each, in_use_by=self._self)
                if each.net_luid in self._in_use
                else each
                for each in self._records.values()
                if compartment in {None, each.compartment}
                and provider in {None, each.provider}
            ]

    def find(self, compartment, provider, key):
        found = self.identities(compartment, provider)
        return next((each for each in found if each.key == key), None)

    def find_by_net_luid(self, net_luid):
        found = self.identities()
        return next((e for e in found if e.net_luid == net_luid), None)

    def find_by_guid(self, guid):
        found = self.identities()
        return next((e for e in found if e.interface_guid == guid), None)

    def update(self, net_luid, **changes):
        self.update_many([(net_luid, changes)])

    def update_many(self, changes):
        with self._changing():
            records = dict(self._records)
            self._update(records, changes)
            self._commit(records)

    def _update(self, records, changes):
        for net_luid, values in changes:
            stored = records.get(net_luid)
            if stored is None:
                raise p.NotRetainedError(f"{net_luid:#x}", self.path)
            if not values.keys() <= {"alias", "attributes", "if_index"} or (
                stored.if_index_owned
                and values.get("if_index", stored.if_index) != stored.if_index
            ):
                raise p.IdentityConflictError("that is frozen", self.path)
            records[net_luid] = replace(stored, **values)

    # -- the end

    def close(self):
        with self._lock:
            self._refusal = self._refusal or "it is closed"
            self._in_use.clear()
            if self._lock_file >= 0:
                os.close(self._lock_file)
                self._lock_file = -1

    def after_fork_in_child(self):
        # The flock is of the open file, which the parent still has; and
        # the lock may be held by a thread that is not here.
        self._lock = threading.RLock()
        self._refusal = "it is the parent's"
        if self._lock_file >= 0:
            os.close(self._lock_file)
            self._lock_file = -1
