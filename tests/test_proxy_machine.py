# SPDX-License-Identifier: MIT
"""
Random lives of adapters and filter modules, against a model that is a dict of
lists: install, attach anywhere, detach, shut down, uninstall, restart, crash.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

import ndisbridge as ndis
from ndisbridge import IfOperStatus, Oid
from ndisbridge.proxy import ProxyProvider

KEYS = ("eth0", "eth1")
NAMES = ("a", "b")
VENDOR = int(Oid.GEN_VENDOR_ID)


class Card:
    def oid_request(self, request: Any) -> int:
        return 0


class Counting:
    """Adds one to what is below, so that the answer counts the modules."""

    def oid_request(self, request: Any) -> Any:
        value = request.forward()
        return value + 1 if request.oid == VENDOR else value


class Lives(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "ndis.db"
        #: What the store must know: key -> NET_LUID.
        self.known: dict[str, int] = {}
        #: Installed adapters: key -> keys of their modules, lowest first.
        self.installed: dict[str, list[str]] = {}
        self.paused: set[str] = set()
        self.open()

    def open(self) -> None:
        self.session = ndis.Session(self.path)
        self.proxy = ProxyProvider(self.session)
        self.installed = {}
        self.paused = set()

    def adapter(self, key: str) -> Any:
        return self.proxy.adapters[key]

    def know(self, made: Any) -> None:
        """A known one has its NET_LUID; a new one has nobody's."""
        key, net_luid = made.identity.key, int(made.net_luid)
        if key in self.known:
            assert self.known[key] == net_luid
        else:
            assert net_luid not in self.known.values()
            self.known[key] = net_luid

    @rule(key=st.sampled_from(KEYS))
    def install(self, key: str) -> None:
        if key in self.installed:
            with pytest.raises(ndis.DuplicateObjectIdError):
                self.proxy.install(key, Card())
            return
        self.know(self.proxy.install(key, Card()))
        self.installed[key] = []

    @precondition(lambda self: self.installed)
    @rule(
        data=st.data(),
        name=st.sampled_from(NAMES),
        paused=st.booleans(),
    )
    def attach(self, data: Any, name: str, paused: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.installed)))
        modules = self.installed[key]
        place = data.draw(st.integers(0, len(modules)))
        module = self.adapter(key).attach(
            Counting(), name, position=place, paused=paused
        )
        free = (
            f"{key}/{name}-{number:04}"
            for number in itertools.count()
            if f"{key}/{name}-{number:04}" not in modules
        )
        assert module.identity.key == next(free)
        self.know(module)
        modules.insert(place, module.identity.key)
        if paused:
            self.paused.add(module.identity.key)

    def pick(self, data: Any) -> tuple[str, int]:
        key = data.draw(
            st.sampled_from(
                [k for k, v in sorted(self.installed.items()) if v]
            )
        )
        place = data.draw(st.integers(0, len(self.installed[key]) - 1))
        return key, place

    @precondition(lambda self: any(self.installed.values()))
    @rule(data=st.data())
    def detach(self, data: Any) -> None:
        key, place = self.pick(data)
        self.adapter(key).filters[place].detach()
        gone = self.installed[key].pop(place)
        del self.known[gone]
        self.paused.discard(gone)

    @precondition(lambda self: any(self.installed.values()))
    @rule(data=st.data())
    def pause_or_restart(self, data: Any) -> None:
        key, place = self.pick(data)
        module = self.adapter(key).filters[place]
        (module.restart if module.paused else module.pause)()
        self.paused ^= {module.identity.key}

    @precondition(lambda self: self.installed)
    @rule(data=st.data(), forever=st.booleans())
    def end(self, data: Any, forever: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.installed)))
        adapter = self.adapter(key)
        self.paused -= set(self.installed.pop(key))
        if forever:
            adapter.uninstall()
            self.known = {
                each: luid
                for each, luid in self.known.items()
                if each != key and not each.startswith(f"{key}/")
            }
        else:
            adapter.shutdown()

    @rule()
    def release_absent(self) -> None:
        present = {*self.installed}.union(*self.installed.values())
        released = {each.key for each in self.proxy.release_absent()}
        gone = {
            each for each in self.known if "/" in each and each not in present
        }
        assert released == gone
        for each in gone:
            del self.known[each]

    @rule(politely=st.booleans())
    def restart(self, politely: bool) -> None:
        """Close the proxy, or let the session end without it."""
        if politely:
            self.proxy.close()
        self.session.close()
        self.open()

    @invariant()
    def the_store_knows(self) -> None:
        assert {
            each.key: each.net_luid for each in self.session.identities()
        } == self.known

    @invariant()
    def the_stack_is_the_chains(self) -> None:
        rows = set()
        for key, modules in self.installed.items():
            adapter = self.adapter(key)
            assert [each.identity.key for each in adapter.filters] == modules
            chain = [adapter, *adapter.filters]
            rows |= {
                (b.if_index, a.if_index) for a, b in itertools.pairwise(chain)
            }
            for i, each in enumerate(chain):
                bound, _, lowest, _ = self.session.query_binding_if_index(
                    each.if_index
                )
                assert (bound, lowest) == (
                    chain[-1].if_index,
                    adapter.if_index,
                )
                wanted = len(modules) if i == 0 else i
                assert each.query(VENDOR) == wanted
                status = each.query(Oid.GEN_OPERATIONAL_STATUS)
                paused = each.identity.key in self.paused
                assert status == (
                    IfOperStatus.DORMANT if paused else IfOperStatus.UP
                )
        found = {(a, b) for a, b in self.session.if_stack_table().tolist()}
        assert found == rows
        assert self.session.interface_count == sum(
            1 + len(modules) for modules in self.installed.values()
        )

    def teardown(self) -> None:
        if hasattr(self, "session"):
            self.session.close()
            self.directory.cleanup()


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
