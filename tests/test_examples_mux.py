# SPDX-License-Identifier: MIT
"""The example of a MUX intermediate driver: 1:n, n:1, m:n, and the sample."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import IfOperStatus, Oid
from ndisbridge.proxy import ProxyProvider

EXAMPLE = Path(__file__).parent.parent / "examples" / "mux.py"


@pytest.fixture(scope="module")
def mux() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mux_example", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def proxy(session):
    with ProxyProvider(session) as made:
        yield made


def rows(session) -> set[tuple[int, int]]:
    return {(a, b) for a, b in session.if_stack_table().tolist()}


def status(session, interface: Any) -> IfOperStatus:
    return session.query(interface.net_luid, Oid.GEN_OPERATIONAL_STATUS)


def test_lbfo(session, proxy, mux) -> None:
    """
    One virtual adapter over many: over the internal interface, which is
    over the top of each filter stack; up while one of them is; fails over.
    """
    team, group, cards = mux.build(proxy, "lbfo")
    internal = group.interface
    (virtual,) = (each.adapter for each in group.uppers)
    filter_module = cards[0].filters[0]
    wanted = {
        (filter_module.if_index, cards[0].if_index),
        (internal.if_index, filter_module.if_index),
        (internal.if_index, cards[1].if_index),
        (internal.if_index, cards[2].if_index),
        (virtual.if_index, internal.if_index),
    }
    assert rows(session) == wanted
    assert internal.net_luid.if_type == ndis.IfType.PROP_MULTIPLEXOR
    assert virtual.virtual
    assert virtual.query(Oid._802_3_CURRENT_ADDRESS) == (
        cards[0].query(Oid._802_3_CURRENT_ADDRESS)
    )
    for pulled in range(3):
        group.uppers[0].send(100)
        assert [card.query(Oid.GEN_BYTES_XMIT) for card in cards] == [
            100 if i <= pulled else 0 for i in range(3)
        ]
        assert status(session, virtual) == IfOperStatus.UP
        cards[pulled].driver.plug(False)
    assert status(session, virtual) == IfOperStatus.LOWER_LAYER_DOWN
    assert status(session, internal) == IfOperStatus.LOWER_LAYER_DOWN
    with pytest.raises(ConnectionError):
        group.uppers[0].send(100)
    cards[1].driver.plug(True)
    assert status(session, virtual) == IfOperStatus.UP
    assert virtual.query(Oid.GEN_BYTES_XMIT) == 300
    assert session.query(internal.net_luid, Oid.GEN_BYTES_XMIT) == 300
    team.close()


def test_vlans_have_their_own_statistics(session, proxy, mux) -> None:
    """Many over one: each virtual adapter counts for itself."""
    team, group, (card,) = mux.build(proxy, "vlan")
    for i, upper in enumerate(group.uppers):
        for _ in range(i + 1):
            upper.send(100)
        group.receive(group.lowers[0], upper.vlan_id, 504)
    for i, upper in enumerate(group.uppers):
        adapter = upper.adapter
        assert adapter.query(Oid.GEN_BYTES_XMIT) == 100 * (i + 1)
        assert adapter.query(Oid.GEN_DIRECTED_FRAMES_XMIT) == i + 1
        assert adapter.query(Oid.GEN_BYTES_RCV) == 500
        assert adapter.query(Oid.GEN_VLAN_ID) == 10 * (i + 1)
        assert adapter.query(Oid.GEN_MAXIMUM_FRAME_SIZE) == 1496
        row = session.interface_entry(adapter.net_luid)
        assert (row.in_octets, row.out_octets) == (500, 100 * (i + 1))
    # Six frames with their tags left by the card; three came.
    assert card.query(Oid.GEN_BYTES_XMIT) == 6 * 104
    assert card.query(Oid.GEN_BYTES_RCV) == 3 * 504
    group.uppers[0].adapter.set(Oid.GEN_VLAN_ID, 77)
    assert group.uppers[0].adapter.query(Oid.GEN_VLAN_ID) == 77
    team.close()


def test_many_over_many(session, proxy, mux) -> None:
    """m:n is a diamond, and no loop."""
    team, group, cards = mux.build(proxy, "mn")
    internal = group.interface.if_index
    top = cards[0].filters[0].if_index
    assert rows(session) == {
        (top, cards[0].if_index),
        (internal, top),
        (internal, cards[1].if_index),
        *((each.adapter.if_index, internal) for each in group.uppers),
    }
    with pytest.raises(ndis.StackLoopError):
        session.add_if_stack_entry(
            cards[1].if_index, group.uppers[0].adapter.if_index
        )
    # Virtual adapters have filter modules like any others.
    module = group.uppers[0].adapter.attach(object(), "f")
    upper = group.uppers[0].adapter.if_index
    assert (module.if_index, upper) in rows(session)
    assert session.query_binding_if_index(upper)[::2] == (
        module.if_index,
        upper,
    )
    team.close()


def test_the_calls_of_the_public_sample(session, proxy, mux) -> None:
    """
    MPInitialize: higher is the own IfIndex, lower BoundIfIndex; MPHalt
    deletes a row only if it was added; without registering as a provider.
    """
    team, group, (card,) = mux.build(proxy, "sample")
    assert group.interface is None
    bound = card.filters[0].if_index
    uppers = [each.adapter for each in group.uppers]
    chain = (bound, card.if_index)
    assert rows(session) == {
        chain,
        *((each.if_index, bound) for each in uppers),
    }
    uppers[0].uninstall()
    assert rows(session) == {chain, (uppers[1].if_index, bound)}
    # The lower interface vanishes first: then halting must be harmless.
    card.uninstall()
    assert rows(session) == set()
    uppers[1].uninstall()
    assert session.interface_count == 0
    team.close()


def test_a_row_that_was_not_added_is_not_deleted(session, mux) -> None:
    """A failure is ignored, and another's row is left alone."""
    provider = session.register_provider("other")
    one, two = (
        provider.register_interface(
            ndis.NetLuid.make(6, session.allocate_net_luid_index(6))
        )
        for _ in range(2)
    )
    session.add_if_stack_entry(one.if_index, two.if_index)
    own = mux.Rows(session)
    own.add(two.if_index, one.if_index)  # would close a loop
    own.add(one.if_index, 4711)  # is not registered
    own.delete(two.if_index, one.if_index)
    own.delete(one.if_index, 4711)
    own.delete(one.if_index, two.if_index)
    assert rows(session) == {(one.if_index, two.if_index)}
    own.add(one.if_index, two.if_index)
    own.delete(one.if_index, two.if_index)
    own.delete(one.if_index, two.if_index)
    assert rows(session) == set()


@pytest.mark.parametrize("scene", ["lbfo", "sample"])
def test_rows_follow_the_bound_interface(session, proxy, mux, scene) -> None:
    """When a filter attaches or detaches below, the rows move with it."""
    team, group, cards = mux.build(proxy, scene)
    higher = {each.adapter.if_index for each in group.uppers}
    if group.interface is not None:
        higher = {group.interface.if_index}
    card = cards[0]

    def bound() -> set[int]:
        others = {each.if_index for each in cards[1:]}
        return {b for a, b in rows(session) if a in higher} - others

    first = card.filters[0]
    assert bound() == {first.if_index}
    second = card.attach(object(), "second")
    assert bound() == {second.if_index}
    card.attach(object(), "below", position=0)
    assert bound() == {second.if_index}
    second.detach()
    assert bound() == {first.if_index}
    for each in reversed(card.filters):
        each.detach()
    assert bound() == {card.if_index}
    team.close()
    assert session.interface_count == len(cards)


def test_the_internal_interface_begins_with_the_first_binding(
    session, proxy, mux
) -> None:
    """And ends with the last one; its identity is the same then."""
    team, group, cards = mux.build(proxy, "lbfo")
    luid, guid = group.interface.net_luid, group.interface.interface_guid
    for i, card in enumerate(cards):
        assert group.interface is not None
        assert len(group.lowers) == 3 - i
        card.uninstall()
    assert group.interface is None
    card = proxy.install("new", mux.Card(9))
    card.bind(mux.LowerEdge(group))
    assert (group.interface.net_luid, group.interface.interface_guid) == (
        luid,
        guid,
    )
    virtual = group.uppers[0].adapter
    assert (virtual.if_index, group.interface.if_index) in rows(session)
    assert status(session, virtual) == IfOperStatus.UP
    team.close()


def test_restarts(store_path, mux) -> None:
    """Every NET_LUID, GUID and ifIndex is the same in the next process."""
    seen = []
    for _ in range(2):
        with ndis.Session(store_path) as session:
            with ProxyProvider(session) as proxy:
                team, _, _ = mux.build(proxy, "mn")
                seen.append(
                    [
                        (row.net_luid, row.interface_guid, row.if_index)
                        for row in session.interface_table()
                    ]
                )
                team.close()
    assert seen[0] == seen[1]
    assert len(seen[0]) == 7


@pytest.mark.parametrize("scene", ["lbfo", "vlan", "mn", "sample"])
def test_it_runs(scene: str) -> None:
    """As a program, it prints the table and the rows."""
    done = subprocess.run(
        [sys.executable, EXAMPLE, scene],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stderr == ""
    assert "Acme virtual adapter team" in done.stdout
    assert "LOWER_LAYER_DOWN" in done.stdout or scene in {"lbfo", "mn"}
    assert done.stdout.count("higher   lower") == 2
