# SPDX-License-Identifier: MIT
"""
The store for many hosts: a PostgreSQL database, with psycopg 3.

``postgresql://USER@SERVER/DATABASE``, as libpq has it, with one parameter of
our own: ``ndis_host=NAME``, the name of this host among those that share the
store; by default its /etc/machine-id.  (``host`` is libpq's: the server.)
The tables are in the schema ``ndisbridge``, made at the first open by a role
that may; docs/postgresql.md has the grants of one that may not.

NET_LUIDs are one space for all hosts; a block of 4,096 belongs to one session
of one host at a time, so that at most 4,096 sessions can hold blocks of one
IfType.  Identities, keys and ifIndexes belong to a host each: a host finds
its own only.

What is durable when a call returns: whatever takes something, which is
retaining, updates, leases, in-use marks and non-persistent identities too.
Unlike a power cut of this machine, one of the server does not end who holds
them.  What is not waited for: giving leases and marks back, and ending a
session; lost, it is done again.

Without the server what is in memory goes on: allocating in leased blocks,
queries, looking interfaces up.  What needs it fails with a StoreError, after
a bounded time; the next call connects again, and the session goes on.

What is durable on a server whose replica takes over is what the replica has
got: set ``synchronous_standby_names`` there, or a NET_LUID may be given twice.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import _pg_repair, _pg_url
from ._mending import Repaired
from ._pg_changes import Changes, IdentityChange
from ._pg_check import PostgresqlCheck
from ._pg_connection import PostgresqlConnection
from ._pg_watch import PostgresqlWatch
from ._rows import signed
from ._rules import refuse_doubles
from .errors import ServerLostError, StoreUncertainError
from .records import IdentityRecord, IndexSet

__all__ = ["Changes", "IdentityChange", "PostgresqlStore"]


#: What retain() and release() are given.
_Retained = tuple[
    Sequence[IndexSet],
    Sequence[IdentityRecord],
    Sequence[tuple[int, Mapping[str, Any]]],
]
_Released = tuple[Sequence[IndexSet], Sequence[IdentityRecord], bool]


class PostgresqlStore(PostgresqlCheck):
    """
    A store in a PostgreSQL database.

    Args:
        url: Where it is, and as which host.
        read_only: Begin no session: for looking up, checking, counting and
            evicting.  Makes no tables either.

    Threads that change it at the same time share a transaction, and so wait
    for the server's disk together.

    Raises:
        StoreError: It can't be opened; the message names the server, the
            database and the cure, and never has the password.
    """

    leases = True

    @classmethod
    def create(cls, url: str) -> str:
        """
        Make the tables, or bring them up to date, without a session: for
        their owner.  What is there stays.  Returns the store's name.

        Raises:
            StoreError: As opening it does.
        """
        with contextlib.closing(PostgresqlConnection(url)) as server:
            with server._errors():
                server._connect()
            return server.path

    @staticmethod
    def name_of(url: str) -> str:
        """What messages call a store: no user, and no password."""
        return _pg_url.parse(url).name

    @classmethod
    def repair(cls, url: str) -> Repaired:
        """
        Mend what is certain, if that loses nothing, in one transaction: as
        :meth:`SqliteStore.repair`, but that no copy is kept.  Make one with
        pg_dump first.

        Raises:
            StoreBusyError: A session of any host has it open.
            StoreError: It can't be opened, or this role may not change it.
        """
        return _pg_repair.repair(url)

    # -- retain, release

    def retain(
        self,
        sets: Sequence[IndexSet],
        identities: Sequence[IdentityRecord],
        *,
        persistent: bool = True,
        updates: Sequence[tuple[int, Mapping[str, Any]]] = (),
    ) -> None:
        self._refuse_read_only()
        refuse_doubles(sets, identities, self.path)
        self._change(
            self._retain_lasting if persistent else self._retain_passing,
            (sets, identities, updates),
            durable=True,
        )

    def _retain_lasting(self, parts: list[_Retained]) -> None:
        sets = [each for part in parts for each in part[0]]
        self._check_new(sets, parts)
        masks = self._masks(sets)
        stored = self._stored_pages(
            (scope, number) for scope, number, _ in masks
        )
        self._change_pages(masks, stored, self._set_bits)
        self._retain_identities(parts, None)

    def _retain_passing(self, parts: list[_Retained]) -> None:
        self._check_new([each for part in parts for each in part[0]], parts)
        self._retain_identities(parts, self.session_id)

    def _check_new(
        self, sets: Sequence[IndexSet], parts: list[_Retained]
    ) -> None:
        identities = [record for part in parts for record in part[1]]
        if identities:
            self._refuse_existing(identities)
        self._check_leases(sets)

    def _retain_identities(
        self, parts: list[_Retained], owner: int | None
    ) -> None:
        now = int(time.time())
        self._insert_identities(
            [
                replace(record, created=now)
                for part in parts
                for record in part[1]
            ],
            owner,
        )
        self._update_all([part[2] for part in parts])

    def release(
        self,
        sets: Sequence[IndexSet],
        identities: Sequence[IdentityRecord],
        *,
        persistent: bool = True,
    ) -> None:
        self._refuse_read_only()
        refuse_doubles(sets, identities, self.path)
        self._change(
            self._release_all, (sets, identities, persistent), durable=True
        )

    def _release_all(self, parts: list[_Released]) -> None:
        for sets, identities, persistent in parts:
            released = [
                self._release_identity(record, persistent)
                for record in identities
            ]
            if persistent:
                self._release_sets(sets, released)

    # -- in use

    def confirm(
        self, net_luids: Sequence[int], if_indexes: Sequence[int]
    ) -> None:
        with self._lock:
            try:
                self._writing(lambda: self._confirm(net_luids, if_indexes))
            except StoreUncertainError as error:
                # With the next connection it is taken off, if it is there.
                raise ServerLostError(
                    "its server was lost: try again when it is back", self.path
                ) from error
            self._marked.update(signed(each) for each in net_luids)

    def unconfirm(self, net_luids: Sequence[int]) -> None:
        self._refuse_read_only()
        self._check_open()
        numbers = {signed(each) for each in net_luids}
        with self._lock:
            self._marked -= numbers
            self._surely(
                lambda: self._giving_back(
                    "DELETE FROM in_use WHERE session = %s AND "
                    "net_luid = ANY(%s::bigint[])",
                    self.session_id,
                    sorted(numbers),
                )
            )

    # -- being told

    def changes(self, timeout: float | None = None) -> Changes:
        """
        Identities that are made, changed or released from now on, by any
        host, as they are committed: an iterator with a connection of its
        own, to be closed or used as a context manager.

        Args:
            timeout: Seconds after which it ends; None for never.

        Raises:
            ServerLostError: The server is lost; changes may have been
                missed.
        """
        self._check_open()
        return Changes(self._target, timeout)

    def watch(self) -> PostgresqlWatch:
        """As :meth:`changes`, for a session: it never blocks."""
        self._check_open()
        return PostgresqlWatch(self._target, self._watches, self._find_many)
