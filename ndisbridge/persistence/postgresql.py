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

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._pg_changes import IdentityChange, changes
from ._pg_check import PostgresqlCheck
from ._pg_watch import PostgresqlWatch
from ._rows import signed
from .errors import ServerLostError, StoreUncertainError
from .records import IdentityRecord, IndexSet

__all__ = ["IdentityChange", "PostgresqlStore"]


class PostgresqlStore(PostgresqlCheck):
    """
    A store in a PostgreSQL database.

    Args:
        url: Where it is, and as which host.
        read_only: Begin no session: for looking up, checking, counting and
            evicting.

    Raises:
        StoreError: It can't be opened; the message names the server, the
            database and the cure, and never has the password.
    """

    leases = True

    # -- retain, release

    def retain(
        self,
        sets: Sequence[IndexSet],
        identities: Sequence[IdentityRecord],
        *,
        persistent: bool = True,
        updates: Sequence[tuple[int, Mapping[str, Any]]] = (),
    ) -> None:
        now = int(time.time())

        def work() -> None:
            if identities:
                self._refuse_existing(identities)
            self._check_leases(sets)
            if persistent:
                masks = self._masks(sets)
                stored = self._stored_pages(
                    (scope, number) for scope, number, _ in masks
                )
                self._change_pages(masks, stored, self._set_bits)
            self._insert_identities(
                [replace(record, created=now) for record in identities],
                None if persistent else self.session_id,
            )
            self._update_all(updates)

        self._writing(work)

    def release(
        self,
        sets: Sequence[IndexSet],
        identities: Sequence[IdentityRecord],
        *,
        persistent: bool = True,
    ) -> None:
        def work() -> None:
            released = [
                self._release_identity(record, persistent)
                for record in identities
            ]
            if persistent:
                self._release_sets(sets, released)

        self._writing(work)

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

    def changes(
        self, timeout: float | None = None
    ) -> Iterator[IdentityChange]:
        """
        Identities that are made, changed or released from now on, by any
        host, as they are committed.

        Args:
            timeout: Seconds after which it ends; None for never.

        Raises:
            ServerLostError: The server is lost; changes may have been
                missed.
        """
        self._check_open()
        return changes(self._target, timeout)

    def watch(self) -> PostgresqlWatch:
        """As :meth:`changes`, for a session: it never blocks."""
        self._check_open()
        return PostgresqlWatch(self._target, self._watches, self.find)
