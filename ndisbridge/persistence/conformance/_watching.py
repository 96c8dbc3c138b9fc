# SPDX-License-Identifier: MIT
"""Rules of being told of changes."""

from __future__ import annotations

import time
from typing import Any

from .. import IdentityWatch
from ..records import StoreChange
from . import _bench
from ._bench import Bench
from ._rule import Rules
from ._verdicts import essence, must

rules = Rules(40_900)


def _told(
    watch: IdentityWatch, changes: list[StoreChange], kind: str, key: str
) -> StoreChange:
    deadline = time.monotonic() + _bench.PATIENCE
    while time.monotonic() < deadline:
        changes += watch.read()
        for each in changes:
            if (each.kind, each.key) == (kind, key):
                return each
        time.sleep(min(watch.period, 0.05))
    raise AssertionError(f"that {key!r} is {kind} is not told")


@rules(watch=True)
def a_watch_tells_what_happens(bench: Bench) -> None:
    """What watch() answers tells of each identity made and released since."""
    store: Any = bench.open()
    bench.make(store, "before", 1)
    watch = store.watch()
    try:
        changes: list[StoreChange] = []
        record = bench.make(store, "k", 2)
        made = _told(watch, changes, "created", "k")
        must(
            made.provider == bench.provider and essence(made.record) == record,
            f"that it is made is told as {made}",
        )
        store.update(record.net_luid, alias="A")
        changed = _told(watch, changes, "changed", "k")
        must(
            changed.record and changed.record.alias == "A",
            f"that it is changed is told as {changed}",
        )
        bench.release(store, record)
        released = _told(watch, changes, "released", "k")
        must(released.record is None, "what is released has a record")
        kinds = [each.kind for each in changes if each.key == "k"]
        must(
            kinds == ["created", "changed", "released"],
            f"it is told as {kinds}",
        )
        must(
            all(each.key != "before" for each in changes),
            "what has not changed is told",
        )
    finally:
        watch.close()
        watch.close()
