# SPDX-License-Identifier: MIT
"""
Whether a store keeps the rules of :class:`~ndisbridge.persistence.Store`.

``check_store(lambda: MyStore(path))`` runs every rule that applies and says
which are broken.  It needs no test framework; with one, each of ``RULES`` is
a test of its own.  docs/stores.md has the rules in plain words.

A rule leaves behind what it has made, under an IfType and a provider name of
its own: give it a store that is nobody else's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from . import IdentityWatch, Store
from .errors import (
    AlreadyRetainedError,
    IdentityConflictError,
    IdentityExistsError,
    IdentityInUseError,
    LeaseLostError,
    NotRetainedError,
    StoreBusyError,
    StoreError,
)
from .records import IdentityRecord, IndexSet, StoreChange

__all__ = ["RULES", "Bench", "Rule", "check_store", "sets_of"]

OpenStore = Callable[[], Store]

_BLOCK = 4096
_LAST_BLOCK = 4095
_EMPTY = bytes(512)
#: Seconds within which a change is told.
_PATIENCE = 10.0


# ---------------------------------------------------------------------------
# Saying what is wrong.  Not by assert: that is gone under python -O.


def _must(holds: object, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


@contextmanager
def _refused(
    expected: type[StoreError], what: str
) -> Iterator[list[StoreError]]:
    """The body must raise an error; it is put into the list."""
    caught: list[StoreError] = []
    try:
        yield caught
    except expected as error:
        caught.append(error)
        return
    except StoreError as error:
        raise AssertionError(
            f"{what}: {type(error).__name__}, not {expected.__name__}"
        ) from error
    raise AssertionError(f"{what}: no {expected.__name__}")


def _essence(record: IdentityRecord | None) -> IdentityRecord | None:
    """What a store must give back as it got it."""
    return record and replace(record, created=0, in_use_by=None)


def _bits(mask: bytes) -> int:
    return int.from_bytes(mask, "little")


# ---------------------------------------------------------------------------
# What rules work with


def sets_of(indexes: Iterable[tuple[int, int]]) -> list[IndexSet]:
    """Pairs (IfType, index) as the core gives them to a store."""
    found: dict[int, dict[int, int]] = {}
    for if_type, index in sorted(indexes):
        blocks = found.setdefault(if_type, {})
        bit = 1 << (index % _BLOCK)
        blocks[index // _BLOCK] = blocks.get(index // _BLOCK, 0) | bit
    return [
        (
            if_type,
            [(n, bits.to_bytes(512, "little")) for n, bits in blocks.items()],
        )
        for if_type, blocks in found.items()
    ]


class Bench:
    """
    A store under test: opens it, makes identities of one IfType and
    provider in it, and closes what a rule leaves open.
    """

    def __init__(self, open_store: OpenStore, if_type: int, name: str) -> None:
        self._open_store = open_store
        self._opened: list[Store] = []
        self.if_type = if_type
        self.provider = name

    def open(self) -> Store:
        """Open the store, maybe once more."""
        store = self._open_store()
        self._opened.append(store)
        return store

    def reopen(self, store: Store) -> Store:
        """End a session, and begin another."""
        store.close()
        return self.open()

    def close(self) -> None:
        for store in self._opened:
            # The rule has failed, or closed it itself.
            with contextlib.suppress(Exception):
                store.close()

    # -- what the session does for a store

    def record(
        self, key: str, net_luid_index: int, **values: Any
    ) -> IdentityRecord:
        """A new identity, not in the store yet."""
        values.setdefault("interface_guid", uuid.uuid4())
        values.setdefault("compartment", "")
        return IdentityRecord(
            provider=self.provider,
            key=key,
            net_luid=self.if_type << 48 | net_luid_index << 24,
            **values,
        )

    def lease(self, store: Store, *indexes: int) -> None:
        """Have the blocks of these indexes leased."""
        for block in sorted({index // _BLOCK for index in indexes}):
            # Nothing: this session has it already.
            store.lease_blocks(self.if_type, block, block, 1)

    def sets(self, *indexes: int) -> list[IndexSet]:
        return sets_of((self.if_type, index) for index in indexes)

    def sets_for(self, *records: IdentityRecord) -> list[IndexSet]:
        """The indexes and own ifIndexes of identities."""
        indexes = [
            (each.net_luid >> 48, each.net_luid >> 24 & 0xFFFFFF)
            for each in records
        ]
        indexes += [(0, r.if_index) for r in records if r.if_index_owned]
        return sets_of(indexes)

    def retain(self, store: Store, *indexes: int) -> None:
        """Retain bare indexes."""
        self.lease(store, *indexes)
        store.retain(self.sets(*indexes), ())

    def make(
        self,
        store: Store,
        key: str,
        net_luid_index: int,
        *,
        owns_if_index: bool = False,
        persistent: bool = True,
        **values: Any,
    ) -> IdentityRecord:
        """Make an identity as Provider.identity() does."""
        self.lease(store, net_luid_index)
        if owns_if_index:
            values |= {
                "if_index": self.free_if_index(store),
                "if_index_owned": True,
            }
        record = self.record(
            key, net_luid_index, persistent=persistent, **values
        )
        store.retain(self.sets_for(record), [record], persistent=persistent)
        return record

    def free_if_index(self, store: Store) -> int:
        """An ifIndex of a block that is leased now."""
        if not store.leases:
            return store.if_index_first
        first = store.if_index_first
        ((block, mask),) = store.lease_blocks(
            0, first // _BLOCK, _LAST_BLOCK, 1
        )
        return next(
            index
            for index in range(max(first, block * _BLOCK), 1 << 24)
            if not _bits(mask) >> (index % _BLOCK) & 1
        )

    def release(self, store: Store, *records: IdentityRecord) -> None:
        store.release(self.sets_for(*records), records)

    def find(self, store: Store, key: str) -> IdentityRecord | None:
        return store.find("", self.provider, key)

    def retained(self, store: Store, block: int, if_type: int = -1) -> int:
        """
        Bits of a block that are retained, by leasing it once more.

        Raises:
            AssertionError: Somebody has it.
        """
        if_type = self.if_type if if_type < 0 else if_type
        store.return_blocks(if_type, [block])
        found = store.lease_blocks(if_type, block, block, 1)
        _must(
            [number for number, _ in found] == [block],
            f"a lease of free block {block} gave {found!r:.80}",
        )
        return _bits(found[0][1])

    def in_child(self, work: Callable[[], None], *, killed: bool) -> None:
        """Work in a child of fork(), which is then killed, or ends."""
        child = os.fork()
        if child == 0:
            try:
                work()
                if killed:
                    os.kill(os.getpid(), signal.SIGKILL)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        _must(
            status == (signal.SIGKILL if killed else 0),
            "it failed in a child of fork(): see above",
        )


@dataclass(frozen=True)
class Rule:
    """One rule of the protocol; call it with what opens a store."""

    name: str
    #: The rule in a sentence.
    text: str
    number: int
    function: Callable[[Bench], None]
    #: Only for stores that lease blocks.
    leases: bool
    #: Only for stores that keep something when they are closed.
    durable: bool
    #: Only for stores that can be open twice.
    shared: bool
    #: Only for stores that have watch().
    watch: bool = False

    def __str__(self) -> str:
        return self.name

    def __call__(self, open_store: OpenStore, *, durable: bool = True) -> bool:
        """
        Check it.

        Args:
            open_store: Opens the store, always the same one.
            durable: False for a store that is empty whenever it is opened.

        Returns:
            False if it does not apply to this store.

        Raises:
            AssertionError: It is broken.
        """
        if (self.durable or self.shared) and not durable:
            return False
        # IfTypes of IANA end far below.
        bench = Bench(open_store, 40_000 + self.number, self.name)
        try:
            if self.leases and not bench.open().leases:
                return False
            if self.watch and not hasattr(bench.open(), "watch"):
                return False
            bench.close()
            if self.shared and not _opens_twice(bench):
                return False
            bench.close()
            self.function(bench)
        except AssertionError as error:
            raise AssertionError(f"{self.text} But: {error}") from error
        except Exception as error:
            raise AssertionError(
                f"{self.text} But: {type(error).__name__}: {error}"
            ) from error
        finally:
            bench.close()
        return True


def _opens_twice(bench: Bench) -> bool:
    bench.open()
    try:
        bench.open()
    except StoreBusyError:
        return False
    return True


_rules: list[Rule] = []


def _rule(
    *,
    leases: bool = False,
    durable: bool = False,
    shared: bool = False,
    watch: bool = False,
) -> Callable[[Callable[[Bench], None]], Rule]:
    def make(function: Callable[[Bench], None]) -> Rule:
        text = " ".join((function.__doc__ or "").split())
        name = function.__name__
        made = Rule(
            name, text, len(_rules), function, leases, durable, shared, watch
        )
        _rules.append(made)
        return made

    return make


# ---------------------------------------------------------------------------
# Leases


@_rule(leases=True)
def leases_are_lowest_first(bench: Bench) -> None:
    """Blocks are leased lowest first, inside the range, and at most count."""
    store = bench.open()
    got: list[int] = []
    while len(got) < 5:
        found = store.lease_blocks(bench.if_type, 5, 9, 3)
        _must(0 < len(found) <= 3, f"{len(found)} blocks of 3")
        got += [block for block, _ in found]
    _must(got == [5, 6, 7, 8, 9], f"leased {got} of 5 .. 9")


@_rule(leases=True)
def nothing_is_leased_twice(bench: Bench) -> None:
    """A leased block is not leased again until it is returned."""
    store = bench.open()
    store.lease_blocks(bench.if_type, 7, 7, 1)
    found = list(store.lease_blocks(bench.if_type, 7, 7, 1))
    _must(not found, "block 7 was leased twice")
    store.return_blocks(bench.if_type, [7])
    found = list(store.lease_blocks(bench.if_type, 7, 7, 1))
    _must(found == [(7, _EMPTY)], f"after its return: {found!r:.80}")


@_rule(leases=True)
def if_types_are_spaces_apart(bench: Bench) -> None:
    """Each IfType has blocks of its own."""
    store = bench.open()
    bench.retain(store, 3)
    found = list(store.lease_blocks(65_535, 0, 0, 1))
    _must(found == [(0, _EMPTY)], "another IfType has its indexes too")
    store.return_blocks(65_535, [0])


@_rule(leases=True)
def leases_tell_what_is_retained(bench: Bench) -> None:
    """A lease comes with the retained indexes of its block, bit by bit."""
    store = bench.open()
    bench.retain(store, 4096, 4096 + 9, 4096 + 4095)
    found = bench.retained(store, 1)
    _must(found == 1 | 1 << 9 | 1 << 4095, f"bits {found:#x}")
    _must(bench.retained(store, 0) == 0, "in a block where nothing is")


@_rule(leases=True, durable=True)
def leases_end_with_their_session(bench: Bench) -> None:
    """Closing gives all leases back."""
    store = bench.open()
    bench.lease(store, 0)
    store = bench.reopen(store)
    found = list(store.lease_blocks(bench.if_type, 0, 0, 1))
    _must(found == [(0, _EMPTY)], "block 0 is still leased")


# ---------------------------------------------------------------------------
# Retaining


@_rule(leases=True)
def retaining_needs_a_lease(bench: Bench) -> None:
    """Who has not leased a block cannot retain in it."""
    store = bench.open()
    bench.lease(store, 0)
    with _refused(LeaseLostError, "an index of a block that is not leased"):
        store.retain(bench.sets(1, 4096), ())
    _must(bench.retained(store, 0) == 0, "the other index was retained")


@_rule(leases=True, durable=True)
def retained_indexes_last(bench: Bench) -> None:
    """A retained index stays taken when the store is opened again."""
    store = bench.open()
    bench.retain(store, 0, 77, 5000)
    store = bench.reopen(store)
    found = bench.retained(store, 0), bench.retained(store, 1)
    _must(found == (1 | 1 << 77, 1 << 904), "some are lost, or others there")


@_rule(leases=True)
def nothing_is_retained_twice(bench: Bench) -> None:
    """A retained index is refused, and with it all of the call."""
    store = bench.open()
    bench.retain(store, 1)
    bench.lease(store, 5000)
    with _refused(AlreadyRetainedError, "a retained index"):
        store.retain(bench.sets(0, 1, 5000), ())
    _must(bench.retained(store, 0) == 2, "index 0 was retained all the same")
    _must(bench.retained(store, 1) == 0, "another block was")


@_rule(leases=True, durable=True)
def the_last_net_luid_is_as_good(bench: Bench) -> None:
    """A NET_LUID may use all of its 64 bits."""
    store = bench.open()
    bench.if_type = 65_535
    record = bench.make(store, "last", 0xFFFFFF)
    store.confirm([record.net_luid], [0])
    store = bench.reopen(store)
    found = _essence(store.find_by_net_luid(record.net_luid))
    _must(found == record, f"found {found}")
    bench.release(store, record)


@_rule()
def identities_are_found(bench: Bench) -> None:
    """An identity is found by its key, its NET_LUID and its GUID."""
    store = bench.open()
    record = bench.make(
        store, "k", 1, alias="Küche ☃", attributes={"a": "ß", "": "\n"}
    )
    for found in (
        bench.find(store, "k"),
        store.find_by_net_luid(record.net_luid),
        store.find_by_guid(record.interface_guid),
    ):
        _must(_essence(found) == record, f"made {record}, found {found}")
    _must(bench.find(store, "other") is None, "an unknown key is found")
    found = store.find_by_net_luid(record.net_luid + (1 << 24))
    _must(found is None, "an unknown NET_LUID is found")
    found = store.find_by_guid(uuid.uuid4())
    _must(found is None, "an unknown GUID is found")


@_rule(durable=True)
def identities_last(bench: Bench) -> None:
    """A persistent identity is the same when the store is opened again."""
    store = bench.open()
    record = bench.make(
        store,
        "k",
        1,
        owns_if_index=True,
        alias="Küche ☃",
        attributes={"a": "ß", "b": ""},
    )
    bench.make(store, "kernel's", 2, if_index=7)
    store = bench.reopen(store)
    found = bench.find(store, "k")
    _must(_essence(found) == record, f"made {record}, found {found}")
    found = bench.find(store, "kernel's")
    _must(
        found and (found.if_index, found.if_index_owned) == (7, False),
        f"ifIndex 7, not its own, became {found}",
    )


@_rule()
def keys_are_exact(bench: Bench) -> None:
    """Compartment, provider and key differ if any character does."""
    store = bench.open()
    keys = ["a", "A", "a ", " a", "a\0", "ä", "a\u0308", "a/b", "1"]
    made = {
        key: bench.make(store, key, place) for place, key in enumerate(keys)
    }
    made["b\0c"] = bench.make(store, "b\0c", 50)
    other = bench.make(store, "c", 51, compartment="a")
    for key, record in made.items():
        _must(_essence(bench.find(store, key)) == record, f"{key!r}")
    found = store.find("a", bench.provider, "c")
    _must(_essence(found) == other, "a compartment's")
    _must(bench.find(store, "c") is None, "found in another compartment")


@_rule()
def identities_are_listed(bench: Bench) -> None:
    """All identities are listed, or those of a compartment or provider."""
    store = bench.open()
    one = bench.make(store, "one", 1)
    two = bench.make(store, "two", 2, compartment="c")
    bench.provider += "'s other"
    three = bench.make(store, "three", 3)
    for wanted, compartment, provider in (
        ({one.key, two.key, three.key}, None, None),
        ({one.key, two.key}, None, one.provider),
        ({one.key}, "", one.provider),
        ({three.key}, None, three.provider),
        (set(), "no such", None),
    ):
        found = [
            each.key
            for each in store.identities(compartment, provider)
            if each.net_luid >> 48 == bench.if_type
        ]
        _must(
            sorted(found) == sorted(wanted),
            f"of ({compartment!r}, {provider!r}): {found}",
        )


@_rule()
def a_key_has_one_identity(bench: Bench) -> None:
    """A key that has an identity is refused, and with it all of the call."""
    store = bench.open()
    first = bench.make(store, "k", 1)
    new, second = bench.record("new", 2), bench.record("k", 3)
    bench.lease(store, 1)
    with _refused(IdentityExistsError, "a second identity of a key") as errors:
        store.retain(bench.sets_for(new, second), [new, second])
    (error,) = errors
    existing = getattr(error, "existing", None)
    _must(_essence(existing) == first, f"its error has existing={existing}")
    _must(bench.find(store, "new") is None, "another one was made")
    _must(_essence(bench.find(store, "k")) == first, "it was changed")
    if store.leases:
        _must(bench.retained(store, 0) == 2, "its index was retained")


@_rule()
def updates_go_with_retaining(bench: Bench) -> None:
    """Updates given to retain() are of its transaction, all or none."""
    store = bench.open()
    first = bench.make(store, "first", 1)
    one, two = bench.record("one", 2), bench.record("two", 3)
    store.retain(
        bench.sets_for(one), [one], updates=[(first.net_luid, {"alias": "x"})]
    )
    found = bench.find(store, "first")
    _must(found and found.alias == "x", f"not updated: {found}")
    _must(bench.find(store, "one"), "not retained")
    with _refused(NotRetainedError, "an update of what is not there"):
        store.retain(
            bench.sets_for(two),
            [two],
            updates=[
                (first.net_luid, {"alias": "y"}),
                (first.net_luid + (99 << 24), {"alias": "y"}),
            ],
        )
    _must(bench.find(store, "two") is None, "it was retained all the same")
    found = bench.find(store, "first")
    _must(found and found.alias == "x", "another was updated all the same")


@_rule(leases=True, durable=True)
def an_own_if_index_is_retained(bench: Bench) -> None:
    """An identity's own ifIndex is taken as long as the identity lasts."""
    store = bench.open()
    record = bench.make(store, "k", 1, owns_if_index=True)
    store = bench.reopen(store)
    block, bit = divmod(record.if_index, _BLOCK)
    found = bench.retained(store, block, 0) >> bit & 1
    _must(found, f"ifIndex {record.if_index} is free")
    bench.release(store, record)
    found = bench.retained(store, block, 0) >> bit & 1
    _must(not found, f"ifIndex {record.if_index} stays taken")


@_rule(leases=True, durable=True)
def what_is_not_persistent_ends(bench: Bench) -> None:
    """A non-persistent identity retains no index, ends with its session."""
    store = bench.open()
    record = bench.make(store, "k", 1, persistent=False)
    found = bench.find(store, "k")
    _must(_essence(found) == record, f"made {record}, found {found}")
    store.confirm([record.net_luid], [0])
    store.unconfirm([record.net_luid])
    _must(bench.retained(store, 0) == 0, "its index was retained")
    store = bench.reopen(store)
    _must(bench.find(store, "k") is None, "it outlived its session")
    bench.make(store, "k", 1)


# ---------------------------------------------------------------------------
# Releasing


@_rule(leases=True, durable=True)
def released_is_gone(bench: Bench) -> None:
    """What is released is gone for good, and its index free."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    bench.retain(store, 2, 3)
    store = bench.reopen(store)
    bench.release(store, record)
    store.release(bench.sets(2), ())
    _must(bench.find(store, "k") is None, "the identity is still there")
    store = bench.reopen(store)
    _must(bench.find(store, "k") is None, "the identity is there again")
    found = bench.retained(store, 0)
    _must(found == 1 << 3, f"retained are {found:#x}")
    bench.make(store, "k", 1)


@_rule()
def what_is_gone_is_not_released(bench: Bench) -> None:
    """An identity that is not there is refused, with all of the call."""
    store = bench.open()
    gone, kept = bench.make(store, "gone", 1), bench.make(store, "kept", 2)
    bench.release(store, gone)
    with _refused(NotRetainedError, "an identity that was released"):
        bench.release(store, kept, gone)
    _must(bench.find(store, "kept"), "another one was released all the same")


@_rule(leases=True)
def what_is_free_is_not_released(bench: Bench) -> None:
    """An index that is not retained is refused, with all of the call."""
    store = bench.open()
    bench.retain(store, 1, 5000)
    with _refused(NotRetainedError, "an index that is not retained"):
        store.release(bench.sets(1, 2, 5000), ())
    found = bench.retained(store, 0), bench.retained(store, 1)
    _must(found == (2, 1 << 904), "others were released all the same")


@_rule()
def an_identity_keeps_its_index(bench: Bench) -> None:
    """An identity's index is released with the identity only."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    with _refused(NotRetainedError, "an identity's index alone"):
        store.release(bench.sets_for(record), ())
    _must(bench.find(store, "k"), "the identity is gone")


@_rule(leases=True)
def releasing_takes_what_it_names(bench: Bench) -> None:
    """An identity goes with its own indexes, and with no other ifIndex."""
    store = bench.open()
    record = bench.make(store, "k", 1, owns_if_index=True)
    other = bench.make(store, "other", 2, owns_if_index=True)
    bare = replace(record, if_index=0, if_index_owned=False)
    for sets, what in (
        (bench.sets_for(bare), "an identity without its ifIndex"),
        (
            bench.sets_for(
                replace(record, if_index=other.if_index),
            ),
            "an identity with another's ifIndex",
        ),
    ):
        with _refused(IdentityConflictError, what):
            store.release(sets, [record])
    for key in ("k", "other"):
        _must(bench.find(store, key), f"{key!r} is gone")


@_rule(leases=True)
def stale_records_release_nothing(bench: Bench) -> None:
    """A record of an earlier holder of the NET_LUID releases nothing."""
    store = bench.open()
    stale = bench.make(store, "k", 1)
    bench.release(store, stale)
    bench.make(store, "k", 1)
    with _refused(NotRetainedError, "a record of an identity long gone"):
        bench.release(store, stale)
    _must(bench.find(store, "k"), "its successor was released")


@_rule(leases=True)
def persistent_or_not_is_told(bench: Bench) -> None:
    """Who releases must know whether the identity is persistent."""
    store = bench.open()
    lasting = bench.make(store, "lasting", 1)
    passing = bench.make(store, "passing", 2, persistent=False)
    with _refused(NotRetainedError, "a persistent one as if it were not"):
        store.release(bench.sets_for(lasting), [lasting], persistent=False)
    with _refused(NotRetainedError, "one as if it were persistent"):
        store.release(bench.sets_for(passing), [passing])
    store.release(bench.sets_for(passing), [passing], persistent=False)
    _must(bench.find(store, "passing") is None, "it is still there")
    _must(bench.find(store, "lasting"), "the persistent one is gone")


# ---------------------------------------------------------------------------
# In use


@_rule(leases=True)
def what_is_in_use_is_not_released(bench: Bench) -> None:
    """What is registered is not released, until it no longer is."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    bench.retain(store, 2)
    both = [record.net_luid, record.net_luid + (1 << 24)]
    store.confirm(both, [0, 0])
    found = bench.find(store, "k")
    _must(found and found.in_use_by, "in_use_by does not say so")
    with _refused(IdentityInUseError, "an identity in use"):
        bench.release(store, record)
    with _refused(IdentityInUseError, "an index in use"):
        store.release(bench.sets(2), ())
    store.unconfirm(both)
    found = bench.find(store, "k")
    _must(found and not found.in_use_by, "in_use_by stays")
    bench.release(store, record)
    store.release(bench.sets(2), ())


@_rule(leases=True)
def only_the_retained_is_confirmed(bench: Bench) -> None:
    """A NET_LUID that is not retained is refused, with all of the call."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    free = record.net_luid + (1 << 24)
    with _refused(NotRetainedError, "a NET_LUID that is not retained"):
        store.confirm([record.net_luid, free], [0, 0])
    found = bench.find(store, "k")
    _must(found and not found.in_use_by, "another was marked all the same")
    bench.release(store, record)


@_rule()
def if_indexes_are_not_taken_away(bench: Bench) -> None:
    """Nobody registers with the own ifIndex of another identity."""
    store = bench.open()
    owner = bench.make(store, "owner", 1, owns_if_index=True)
    other = bench.make(store, "other", 2)
    with _refused(IdentityConflictError, "another identity's own ifIndex"):
        store.confirm([other.net_luid], [owner.if_index])
    store.confirm([owner.net_luid], [owner.if_index])
    store.unconfirm([owner.net_luid])


@_rule(leases=True, durable=True)
def marks_end_with_their_session(bench: Bench) -> None:
    """Closing takes the session's marks off."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    store.confirm([record.net_luid], [0])
    store = bench.reopen(store)
    found = bench.find(store, "k")
    _must(found and not found.in_use_by, "in_use_by outlived its session")
    bench.release(store, record)


# ---------------------------------------------------------------------------
# Updating


@_rule()
def updates_change_what_they_name(bench: Bench) -> None:
    """An update changes what it names, all of several or none."""
    store = bench.open()
    one, two = bench.make(store, "one", 1), bench.make(store, "two", 2)
    store.update(one.net_luid, alias="A", attributes={"a": "1"}, if_index=9)
    found = _essence(bench.find(store, "one"))
    one = replace(one, alias="A", attributes={"a": "1"}, if_index=9)
    _must(found == one, f"wanted {one}, found {found}")
    gone = two.net_luid + (1 << 24)
    with _refused(NotRetainedError, "an update of what is not there"):
        store.update(gone, alias="B")
    with _refused(NotRetainedError, "one of several that is not there"):
        store.update_many(
            [(two.net_luid, {"alias": "B"}), (gone, {"alias": "B"})]
        )
    found = bench.find(store, "two")
    _must(_essence(found) == two, f"another was updated: {found}")


@_rule(durable=True)
def updates_last(bench: Bench) -> None:
    """An update is there when the store is opened again."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    store.update_many([(record.net_luid, {"alias": "A", "if_index": 9})])
    store = bench.reopen(store)
    found = bench.find(store, "k")
    _must(found and (found.alias, found.if_index) == ("A", 9), f"{found}")


@_rule(leases=True)
def what_is_frozen_stays(bench: Bench) -> None:
    """NET_LUID, GUID, key and an own ifIndex never change."""
    store = bench.open()
    record = bench.make(store, "k", 1, owns_if_index=True)
    for changes in (
        {"net_luid": record.net_luid + (1 << 24)},
        {"interface_guid": uuid.uuid4()},
        {"key": "l"},
        {"if_index": record.if_index + 1},
    ):
        with _refused(IdentityConflictError, f"a change of {changes}"):
            store.update_many([(record.net_luid, {"alias": "A", **changes})])
    found = _essence(bench.find(store, "k"))
    _must(found == record, f"it became {found}")
    store.update(record.net_luid, if_index=record.if_index)


# ---------------------------------------------------------------------------
# Life


@_rule()
def closing_twice_is_once(bench: Bench) -> None:
    """A closed store can be closed again."""
    store = bench.open()
    store.close()
    store.close()


@_rule(durable=True)
def a_closed_store_refuses(bench: Bench) -> None:
    """A closed store refuses to change anything, by a StoreError."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    store.close()
    changes: dict[str, Callable[[], None]] = {
        "retain()": lambda: store.retain(bench.sets(2), ()),
        "release()": lambda: bench.release(store, record),
        "update()": lambda: store.update(record.net_luid, alias="A"),
    }
    for what, change in changes.items():
        with _refused(StoreError, f"{what} when closed"):
            change()
    store = bench.open()
    _must(_essence(bench.find(store, "k")) == record, "it is changed")


@_rule()
def any_thread_may_call(bench: Bench) -> None:
    """Every method may be called from any thread, at any time."""
    store = bench.open()
    bench.lease(store, 0)
    errors: list[BaseException] = []
    count = 6

    def work(number: int) -> None:
        try:
            for place in range(number * 100, number * 100 + 3):
                record = bench.record(f"k{place}", place)
                store.retain(bench.sets_for(record), [record])
                store.confirm([record.net_luid], [0])
                store.update(record.net_luid, alias="A")
                list(store.identities())
                found = bench.find(store, record.key)
                _must(found and found.alias == "A", f"found {found}")
                store.unconfirm([record.net_luid])
            bench.release(store, record)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    _must(not any(t.is_alive() for t in threads), "a thread is stuck")
    _must(not errors, f"{errors!r:.300}")
    found = len(list(store.identities(None, bench.provider)))
    _must(found == 2 * count, f"{found} identities, not {2 * count}")


@_rule(durable=True)
def a_child_lets_go(bench: Bench) -> None:
    """A child of fork() ends nothing of its parent's when it lets go."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    store.confirm([record.net_luid], [0])
    bench.in_child(store.after_fork_in_child, killed=False)
    if store.leases:
        found = bench.find(store, "k")
        _must(found and found.in_use_by, "the parent's mark is gone")
        found_blocks = list(store.lease_blocks(bench.if_type, 0, 0, 1))
        _must(not found_blocks, "the parent's lease is gone")
    store.update(record.net_luid, alias="A")
    with contextlib.suppress(StoreBusyError):
        other = bench.open()
        if store.leases:
            with _refused(IdentityInUseError, "what the parent has in use"):
                bench.release(other, record)


@_rule(leases=True, durable=True)
def who_is_killed_leaves_nothing_else(bench: Bench) -> None:
    """A killed session leaves what is retained, and nothing else."""

    def work() -> None:
        store = bench.open()
        record = bench.make(store, "lasting", 1)
        bench.make(store, "passing", 2, persistent=False)
        bench.retain(store, 3)
        gone = bench.make(store, "gone", 4)
        bench.release(store, gone)
        store.confirm([record.net_luid], [0])

    bench.in_child(work, killed=True)
    store = bench.open()
    lasting = bench.find(store, "lasting")
    if lasting is None:
        raise AssertionError("a persistent identity is lost")
    _must(not lasting.in_use_by, "its mark stays")
    _must(bench.find(store, "passing") is None, "a passing one stays")
    _must(bench.find(store, "gone") is None, "a released one is back")
    bits = bench.retained(store, 0)
    _must(bits == 0b1010, f"retained are {bits:#x}")
    bench.release(store, lasting)


@_rule(durable=True)
def it_is_shared_or_refused(bench: Bench) -> None:
    """A store that cannot be shared says StoreBusyError soon."""
    store = bench.open()
    bench.make(store, "k", 1)
    begun = time.monotonic()
    try:
        other = bench.open()
    except StoreBusyError:
        seconds = time.monotonic() - begun
        _must(seconds < 30, f"after {seconds:.0f} s")
        store = bench.reopen(store)
        _must(bench.find(store, "k"), "the refused opening has lost it")
    else:
        _must(bench.find(other, "k"), "the other sees nothing of it")


# ---------------------------------------------------------------------------
# Sharing


@_rule(leases=True, shared=True)
def sessions_lease_apart(bench: Bench) -> None:
    """No block is leased by two sessions."""
    one, two = bench.open(), bench.open()
    first = {n for n, _ in one.lease_blocks(bench.if_type, 0, 9, 4)}
    second = {n for n, _ in two.lease_blocks(bench.if_type, 0, 9, 4)}
    _must(first and second, "one of two got nothing of ten blocks")
    _must(not first & second, f"both have {first & second}")
    with _refused(LeaseLostError, "an index of another's block"):
        two.retain(bench.sets(min(first) * _BLOCK), ())
    one.close()
    for block in first:
        bench.lease(two, block * _BLOCK)
    two.retain(bench.sets(*(block * _BLOCK for block in first)), ())


@_rule(leases=True, shared=True)
def sessions_see_each_other(bench: Bench) -> None:
    """What one session has retained or released, another sees at once."""
    one, two = bench.open(), bench.open()
    record = bench.make(one, "k", 1)
    _must(_essence(bench.find(two, "k")) == record, "not seen")
    other = bench.record("k", 5000)
    bench.lease(two, 5000)
    with _refused(IdentityExistsError, "a key that another has made"):
        two.retain(bench.sets_for(other), [other])
    two.update(record.net_luid, alias="A")
    found = bench.find(one, "k")
    _must(found and found.alias == "A", "an update is not seen")
    bench.release(two, record)
    _must(bench.find(one, "k") is None, "a release is not seen")


@_rule(leases=True, shared=True)
def one_session_uses_an_identity(bench: Bench) -> None:
    """What one has registered no other registers or releases."""
    one, two = bench.open(), bench.open()
    record = bench.make(one, "k", 1)
    one.confirm([record.net_luid], [0])
    with _refused(IdentityInUseError, "another registers it") as errors:
        two.confirm([record.net_luid], [0])
    holder = getattr(errors[0], "holder", None)
    _must(holder and holder.pid == os.getpid(), f"its holder is {holder}")
    two.unconfirm([record.net_luid])
    with _refused(IdentityInUseError, "another releases it"):
        bench.release(two, record)
    one.close()
    two.confirm([record.net_luid], [0])
    two.unconfirm([record.net_luid])
    bench.release(two, record)


@_rule(leases=True, shared=True)
def passing_ones_are_their_makers(bench: Bench) -> None:
    """A non-persistent identity is used by its session only."""
    one, two = bench.open(), bench.open()
    record = bench.make(one, "k", 1, persistent=False)
    with _refused(IdentityInUseError, "another registers it"):
        two.confirm([record.net_luid], [0])
    with _refused(NotRetainedError, "another releases it"):
        two.release((), [record], persistent=False)
    one.close()
    _must(bench.find(two, "k") is None, "it outlived its session")
    bench.make(two, "k", 1)


# ---------------------------------------------------------------------------
# Being told


def _told(
    watch: IdentityWatch, changes: list[StoreChange], kind: str, key: str
) -> StoreChange:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        changes += watch.read()
        for each in changes:
            if (each.kind, each.key) == (kind, key):
                return each
        time.sleep(min(watch.period, 0.05))
    raise AssertionError(f"that {key!r} is {kind} is not told")


@_rule(watch=True)
def a_watch_tells_what_happens(bench: Bench) -> None:
    """What watch() answers tells of each identity made and released since."""
    store: Any = bench.open()
    bench.make(store, "before", 1)
    watch = store.watch()
    try:
        changes: list[StoreChange] = []
        record = bench.make(store, "k", 2)
        made = _told(watch, changes, "created", "k")
        _must(
            made.provider == bench.provider
            and _essence(made.record) == record,
            f"that it is made is told as {made}",
        )
        store.update(record.net_luid, alias="A")
        changed = _told(watch, changes, "changed", "k")
        _must(
            changed.record and changed.record.alias == "A",
            f"that it is changed is told as {changed}",
        )
        bench.release(store, record)
        released = _told(watch, changes, "released", "k")
        _must(released.record is None, "what is released has a record")
        kinds = [each.kind for each in changes if each.key == "k"]
        _must(
            kinds == ["created", "changed", "released"],
            f"it is told as {kinds}",
        )
        _must(
            all(each.key != "before" for each in changes),
            "what has not changed is told",
        )
    finally:
        watch.close()
        watch.close()


#: Every rule, in the order of the protocol.
RULES: tuple[Rule, ...] = tuple(_rules)


def check_store(open_store: OpenStore, *, durable: bool = True) -> None:
    """
    Run every rule that applies to a store.

    Args:
        open_store: Opens the store, always the same one: what it kept when
            it was closed is there again.  It is empty at first, and nobody
            else's.
        durable: False for a store that keeps nothing.

    Raises:
        AssertionError: A rule or more are broken; it says which, and how.
    """
    broken = []
    for rule in RULES:
        try:
            rule(open_store, durable=durable)
        except AssertionError as error:
            broken.append(f"{rule.name}: {error}")
    if broken:
        raise AssertionError(
            f"{len(broken)} of {len(RULES)} rules are broken:\n"
            + "\n".join(broken)
        )
