# SPDX-License-Identifier: MIT
"""
The rules of stores, run on those that keep them, and on some that do not:
each rule finds the store that breaks it.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ndisbridge import persistence as p
from ndisbridge.persistence.conformance import (
    RULES,
    Rule,
    _bench,
    check_store,
    sets_of,
)
from ndisbridge.persistence.memory import MemoryStore
from ndisbridge.persistence.sqlite import SqliteStore

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = {rule.name: rule for rule in RULES}


def load_example() -> Any:
    spec = importlib.util.spec_from_file_location(
        "json_store", EXAMPLES / "json_store.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


JsonStore = load_example().JsonStore


# ---------------------------------------------------------------------------
# Stores that keep the rules


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_sqlite(rule: Rule, store_path: Path) -> None:
    """Every rule applies to the SQLite store, and holds."""
    assert rule(lambda: SqliteStore(store_path))


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_json_example(rule: Rule, tmp_path: Path) -> None:
    """The JSON example keeps all rules but those for a shared store, and
    cannot be watched."""
    wants = rule.shared or rule.watch
    assert rule(lambda: JsonStore(tmp_path / "s.json")) is not wants


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_memory(rule: Rule) -> None:
    """The store in memory keeps all that does not need a lease or a disk."""
    wants = rule.leases or rule.durable or rule.shared or rule.watch
    assert rule(MemoryStore, durable=False) is not wants


def test_all_at_once(store_path: Path) -> None:
    """All rules may be run on one store."""
    check_store(lambda: SqliteStore(store_path))
    store = SqliteStore(store_path)
    assert store.check() == []
    store.close()


def test_rules_are_said() -> None:
    """Each rule is one sentence, and has a name of its own."""
    assert len(NAMES) == len(RULES)
    for rule in RULES:
        assert rule.text.endswith(".") and rule.text.count(". ") == 0


def test_rules_are_documented() -> None:
    """docs/stores.md has each rule by its name."""
    text = (EXAMPLES.parent / "docs" / "stores.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in text] == []


def test_what_is_broken_is_told(tmp_path: Path) -> None:
    """The error names every rule that is broken, and how."""
    with pytest.raises(AssertionError) as caught:
        check_store(lambda: Renaming(tmp_path / "s.json"))
    text = str(caught.value)
    assert "keys_are_exact: Compartment, provider and key differ" in text
    assert "closing_twice_is_once" not in text


# ---------------------------------------------------------------------------
# Stores that break one each

BROKEN: dict[str, type] = {}


def breaks(*names: str) -> Callable[[type], type]:
    """The rules that must find what is wrong with a store."""

    def note(broken: type) -> type:
        BROKEN.update(dict.fromkeys(names, broken))
        return broken

    return note


@breaks("leases_are_lowest_first")
class HighestFirst(JsonStore):
    def lease_blocks(self, if_type, lowest, highest, count):
        return super().lease_blocks(if_type, lowest, highest, count)[::-1]


@breaks("nothing_is_leased_twice")
class LeasingTwice(JsonStore):
    def lease_blocks(self, *args):
        self._leased.clear()
        return super().lease_blocks(*args)


@breaks("if_types_are_spaces_apart")
class OneSpace(JsonStore):
    def lease_blocks(self, if_type, lowest, highest, count):
        leased = {(if_type, number) for _, number in self._leased}
        self._leased |= leased
        return super().lease_blocks(if_type, lowest, highest, count)


@breaks("leases_tell_what_is_retained")
class LeasingEmpty(JsonStore):
    def lease_blocks(self, *args):
        return [(n, bytes(512)) for n, _ in super().lease_blocks(*args)]


@breaks("leases_end_with_their_session")
class KeepingLeases(JsonStore):
    kept: dict[str, set] = {}

    def __init__(self, path):
        super().__init__(path)
        self._leased = self.kept.setdefault(self.path, set())


@breaks("retaining_needs_a_lease")
class NoLeaseNeeded(JsonStore):
    def retain(self, sets, *args, **kwargs):
        self._leased |= {(t, n) for t, blocks in sets for n, _ in blocks}
        super().retain(sets, *args, **kwargs)


@breaks("retained_indexes_last")
class ForgettingIndexes(JsonStore):
    def _write(self, bits, records):
        super()._write({}, records)


@breaks("nothing_is_retained_twice")
class RetainingTwice(JsonStore):
    def retain(self, *args, **kwargs):
        with contextlib.suppress(p.AlreadyRetainedError):
            super().retain(*args, **kwargs)


@breaks("the_last_net_luid_is_as_good")
class SignedNumbers(JsonStore):
    def retain(self, sets, identities, **kwargs):
        low = (1 << 63) - 1
        identities = [
            replace(each, net_luid=each.net_luid & low) for each in identities
        ]
        super().retain(sets, identities, **kwargs)


@breaks("identities_are_found")
class NotByGuid(JsonStore):
    def find_by_guid(self, guid):
        return None


@breaks("identities_last")
class ForgettingAliases(JsonStore):
    def _write(self, bits, records):
        records = {n: replace(r, alias="") for n, r in records.items()}
        super()._write(bits, records)


@breaks("keys_are_exact")
class Renaming(JsonStore):
    def find(self, compartment, provider, key):
        return super().find(compartment, provider, key.strip())


@breaks("identities_are_listed")
class OneCompartment(JsonStore):
    def identities(self, compartment=None, provider=None):
        return super().identities(None, provider)


@breaks("a_key_has_one_identity")
class FirstIsEnough(JsonStore):
    def retain(self, sets, identities, **kwargs):
        for each in identities:
            with contextlib.suppress(p.IdentityExistsError):
                super().retain(sets, [each], **kwargs)


@breaks("a_call_makes_a_key_once")
class LastOfAKey(JsonStore):
    def retain(self, sets, identities, **kwargs):
        identities = list({each.key: each for each in identities}.values())
        super().retain(sets, identities, **kwargs)


@breaks("a_call_makes_a_net_luid_once")
class LastOfANetLuid(JsonStore):
    def retain(self, sets, identities, **kwargs):
        identities = list({e.net_luid >> 24: e for e in identities}.values())
        super().retain(sets, identities, **kwargs)


@breaks("a_call_names_a_block_once")
class LastOfABlock(JsonStore):
    def _refuse_doubles(self, sets, identities):
        super()._refuse_doubles((), identities)


@breaks("updates_go_with_retaining")
class UpdatingLater(JsonStore):
    def retain(self, sets, identities, *, persistent=True, updates=()):
        super().retain(sets, identities, persistent=persistent)
        self.update_many(updates)


@breaks("an_own_if_index_is_retained")
class NoIfIndexes(JsonStore):
    def _write(self, bits, records):
        bits = {block: mask for block, mask in bits.items() if block[0]}
        super()._write(bits, records)


@breaks("what_is_not_persistent_ends")
class AllPersistent(JsonStore):
    def retain(self, sets, identities, *, persistent=True, updates=()):
        super().retain(sets, identities, updates=updates)


@breaks("released_is_gone")
class ReleasingInMemory(JsonStore):
    def release(self, *args, **kwargs):
        self._write = lambda bits, records: None
        try:
            super().release(*args, **kwargs)
        finally:
            del self._write


@breaks("what_is_gone_is_not_released")
class ReleasingOneByOne(JsonStore):
    def release(self, sets, identities, **kwargs):
        for each in identities:
            index = [(each.net_luid >> 48, each.net_luid >> 24 & 0xFFFFFF)]
            super().release(sets_of(index), [each], **kwargs)
        if not identities:
            super().release(sets, (), **kwargs)


@breaks("what_is_free_is_not_released", "what_is_in_use_is_not_released")
class NeverRefusing(JsonStore):
    def release(self, *args, **kwargs):
        with contextlib.suppress(p.NotRetainedError, p.IdentityInUseError):
            super().release(*args, **kwargs)


@breaks("an_identity_keeps_its_index", "releasing_takes_what_it_names")
class OnlyBits(JsonStore):
    def _release_bits(self, bits, given, records, released):
        for block, mask in given.items():
            if bits.get(block, 0) & mask != mask:
                raise p.NotRetainedError("it is free")
            bits[block] ^= mask


@breaks("stale_records_release_nothing")
class ByNetLuidOnly(JsonStore):
    def release(self, sets, identities, **kwargs):
        identities = [self.find_by_net_luid(e.net_luid) for e in identities]
        super().release(sets, identities, **kwargs)


@breaks("persistent_or_not_is_told")
class AsItIs(JsonStore):
    def release(self, sets, identities, *, persistent=True):
        for each in identities:
            persistent = self.find_by_net_luid(each.net_luid).persistent
        super().release(sets, identities, persistent=persistent)


@breaks("only_the_retained_is_confirmed")
class ConfirmingOneByOne(JsonStore):
    def confirm(self, net_luids, if_indexes):
        for each in zip(net_luids, if_indexes, strict=True):
            super().confirm([each[0]], [each[1]])


@breaks("if_indexes_are_not_taken_away")
class AnyIfIndex(JsonStore):
    def confirm(self, net_luids, if_indexes):
        super().confirm(net_luids, [0] * len(net_luids))


@breaks("marks_end_with_their_session")
class KeepingMarks(JsonStore):
    kept: dict[str, set] = {}

    def __init__(self, path):
        super().__init__(path)
        self._in_use = self.kept.setdefault(self.path, set())

    def close(self):
        kept = set(self._in_use)
        super().close()
        self._in_use |= kept


@breaks("updates_change_what_they_name")
class UpdatingOneByOne(JsonStore):
    def update_many(self, changes):
        for each in changes:
            super().update_many([each])


@breaks("updates_last")
class UpdatingInMemory(JsonStore):
    def update_many(self, changes):
        records = dict(self._records)
        self._update(records, changes)
        self._commit(records, durable=False)


@breaks("what_is_frozen_stays")
class Thawed(JsonStore):
    def _update(self, records, changes):
        for net_luid, values in changes:
            records[net_luid] = replace(records[net_luid], **values)


@breaks("closing_twice_is_once")
class ClosingOnce(JsonStore):
    def close(self):
        assert self._lock_file >= 0
        super().close()


@breaks("a_closed_store_refuses")
class NeverClosed(JsonStore):
    def close(self):
        super().close()
        self._refusal = ""


@breaks("any_thread_may_call")
class OneThread(JsonStore):
    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        yield

    def _commit(self, records, bits=None, *, durable=True):
        time.sleep(0.001)
        super()._commit(records, bits, durable=False)


@breaks("a_child_lets_go")
class ChildUnlocks(JsonStore):
    def after_fork_in_child(self):
        fcntl.flock(self._lock_file, fcntl.LOCK_UN)
        super().after_fork_in_child()


@breaks("a_child_waits_for_nobody")
class ChildWaits(JsonStore):
    def after_fork_in_child(self):
        with self._lock:
            super().after_fork_in_child()


class ChildGoesOn(JsonStore):
    def after_fork_in_child(self):
        super().after_fork_in_child()
        self._refusal, self._inside = "", False


@breaks("a_call_inside_a_call_is_whole")
class Reentered(JsonStore):
    @contextlib.contextmanager
    def _changing(self):
        with super()._changing():
            self._inside = False
            yield


class Stuck(JsonStore):
    def __init__(self, path):
        super().__init__(path)
        self._lock = threading.Lock()


@breaks("who_is_killed_leaves_nothing_else")
class WritingAtTheEnd(JsonStore):
    def _write(self, bits, records):
        pass

    def close(self):
        if self._lock_file >= 0:
            super()._write(self._bits, self._records)
        super().close()


@breaks("it_is_shared_or_refused")
class NotTyped(JsonStore):
    def __init__(self, path):
        try:
            super().__init__(path)
        except p.StoreBusyError as error:
            raise BlockingIOError("locked") from error


@breaks(
    "sessions_lease_apart",
    "sessions_see_each_other",
    "one_session_uses_an_identity",
    "passing_ones_are_their_makers",
)
class Unlocked(JsonStore):
    def __init__(self, path):
        super().__init__(path)
        fcntl.flock(self._lock_file, fcntl.LOCK_UN)


@breaks("a_watch_tells_what_happens")
class SilentInPart(SqliteStore):
    """Its watch keeps quiet about what is changed."""

    def watch(self):
        watch = super().watch()
        read = watch.read
        watch.read = lambda: [e for e in read() if e.kind != "changed"]
        return watch


MORE_BROKEN = [
    ("a_child_lets_go", ChildGoesOn),
    ("a_call_inside_a_call_is_whole", Stuck),
]


@pytest.mark.parametrize(
    ("name", "broken"),
    [*((name, BROKEN.get(name)) for name in NAMES), *MORE_BROKEN],
)
def test_broken_stores_are_found(
    name: str,
    broken: type,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Each rule has a store that breaks it, and finds that."""
    # Some are stuck, for certain.
    monkeypatch.setattr(_bench, "PATIENCE", 3)
    rule = NAMES[name]
    with pytest.raises(AssertionError) as caught:
        rule(lambda: broken(tmp_path / "s.json"))
    assert str(caught.value).startswith(rule.text)
