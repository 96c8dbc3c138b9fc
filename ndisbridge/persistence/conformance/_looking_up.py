# SPDX-License-Identifier: MIT
"""Rules of looking up and updating."""

from __future__ import annotations

import uuid
from dataclasses import replace

from ..errors import (
    IdentityConflictError,
    NotRetainedError,
)
from ._bench import Bench
from ._rule import Rules
from ._verdicts import essence, must, refused

rules = Rules(40_500)


@rules()
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
        must(essence(found) == record, f"made {record}, found {found}")
    must(bench.find(store, "other") is None, "an unknown key is found")
    found = store.find_by_net_luid(record.net_luid + (1 << 24))
    must(found is None, "an unknown NET_LUID is found")
    found = store.find_by_guid(uuid.uuid4())
    must(found is None, "an unknown GUID is found")


@rules()
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
        must(essence(bench.find(store, key)) == record, f"{key!r}")
    found = store.find("a", bench.provider, "c")
    must(essence(found) == other, "a compartment's")
    must(bench.find(store, "c") is None, "found in another compartment")


@rules()
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
        must(
            sorted(found) == sorted(wanted),
            f"of ({compartment!r}, {provider!r}): {found}",
        )


@rules()
def updates_change_what_they_name(bench: Bench) -> None:
    """An update changes what it names, all of several or none."""
    store = bench.open()
    one, two = bench.make(store, "one", 1), bench.make(store, "two", 2)
    store.update(one.net_luid, alias="A", attributes={"a": "1"}, if_index=9)
    found = essence(bench.find(store, "one"))
    one = replace(one, alias="A", attributes={"a": "1"}, if_index=9)
    must(found == one, f"wanted {one}, found {found}")
    gone = two.net_luid + (1 << 24)
    with refused(NotRetainedError, "an update of what is not there"):
        store.update(gone, alias="B")
    with refused(NotRetainedError, "one of several that is not there"):
        store.update_many(
            [(two.net_luid, {"alias": "B"}), (gone, {"alias": "B"})]
        )
    found = bench.find(store, "two")
    must(essence(found) == two, f"another was updated: {found}")


@rules(durable=True)
def updates_last(bench: Bench) -> None:
    """An update is there when the store is opened again."""
    store = bench.open()
    record = bench.make(store, "k", 1)
    store.update_many([(record.net_luid, {"alias": "A", "if_index": 9})])
    store = bench.reopen(store)
    found = bench.find(store, "k")
    must(found and (found.alias, found.if_index) == ("A", 9), f"{found}")


@rules(leases=True)
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
        with refused(IdentityConflictError, f"a change of {changes}"):
            store.update_many([(record.net_luid, {"alias": "A", **changes})])
    found = essence(bench.find(store, "k"))
    must(found == record, f"it became {found}")
    store.update(record.net_luid, if_index=record.if_index)
