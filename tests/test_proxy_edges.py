# SPDX-License-Identifier: MIT
"""The proxy where lives meet: what is stuck, stale, late or being closed."""

from __future__ import annotations

import gc
import importlib.util
import itertools
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import Oid
from ndisbridge.constants import StatusIndication
from ndisbridge.persistence import IdentityInUseError
from ndisbridge.proxy import FilterDriver, MiniportDriver, ProxyProvider

VENDOR = int(Oid.GEN_VENDOR_ID)
LINK_STATE = StatusIndication.LINK_STATE
OWN_STATUS = 0x4001_FF01


class Driver:
    def oid_request(self, request: Any) -> int:
        return 7


class Blocking:
    """A driver that a request stays inside of until it is let go."""

    def __init__(self) -> None:
        self.inside = threading.Event()
        self.go = threading.Event()

    def oid_request(self, request: Any) -> int:
        self.inside.set()
        assert self.go.wait(60)
        return 7


def thread(function: Any, *arguments: Any) -> threading.Thread:
    made = threading.Thread(target=function, args=arguments, daemon=True)
    made.start()
    return made


def test_a_thread_of_a_deadline_keeps_no_request(session):
    """Else an adapter lives as long as the thread that served it once."""
    with ProxyProvider(session, oid_timeout=30) as proxy:
        adapter = proxy.install("card", Driver())
        assert adapter.query(VENDOR) == 7
        gone = weakref.ref(adapter)
        adapter.shutdown()
        del adapter
        patience = time.monotonic() + 4  # until the thread has let go
        while gone() is not None and time.monotonic() < patience:
            gc.collect()
            time.sleep(0.01)
        assert gone() is None


def test_closing_goes_on_where_one_driver_blocks(session):
    stuck = Blocking()
    proxy = ProxyProvider(session)
    other = proxy.install("other", Driver())
    adapter = proxy.install("stuck", stuck)
    asker = thread(adapter.query, VENDOR)
    assert stuck.inside.wait(60)
    with pytest.raises(ndis.NdisTimeoutError):
        proxy.close(0.05)
    with pytest.raises(ndis.InterfaceNotFoundError):
        other.query(VENDOR)
    stuck.go.set()
    asker.join(60)
    proxy.close()
    assert not proxy.adapters


class Initializing(Driver):
    """Initializes until it is let go; then its interface is registered."""

    def __init__(self) -> None:
        self.inside = threading.Event()
        self.go = threading.Event()
        self.halted = False

    def initialize(self, adapter: Any, parameters: Any) -> None:
        self.inside.set()
        assert self.go.wait(60)

    def halt(self) -> None:
        self.halted = True


def test_closing_waits_for_an_adapter_that_is_being_installed(session):
    driver = Initializing()
    proxy = ProxyProvider(session)
    installer = thread(proxy.install, "late", driver)
    assert driver.inside.wait(60)
    with pytest.raises(ndis.NdisTimeoutError, match="late"):
        proxy.close(0.05)
    with pytest.raises(ndis.InvalidStateError, match="closed"):
        proxy.install("later", Driver())
    driver.go.set()
    proxy.close()
    installer.join(60)
    assert driver.halted
    assert not proxy.adapters


def test_a_driver_that_closes_the_proxy_in_initialize(session):
    class Closing(Driver):
        def initialize(self, adapter: Any, parameters: Any) -> None:
            adapter.proxy.close()

    with ProxyProvider(session) as proxy:
        with pytest.raises(ndis.InvalidStateError):
            proxy.install("closing", Closing())
        assert list(session.identities()) == []
        assert proxy.install("other", Driver()).query(VENDOR) == 7


def test_uninstalling_an_adapter_that_has_been_installed_anew(tmp_path):
    """The one that came after keeps the NET_LUID, also after a crash."""
    with ndis.Session(tmp_path / "ndis.db") as session:
        with ProxyProvider(session) as proxy:
            before = proxy.install("card", Driver())
            before.shutdown()
            after = proxy.install("card", Driver())
            with pytest.raises(ndis.InvalidStateError, match="anew"):
                before.uninstall()
            assert after.query(VENDOR) == 7
        with ProxyProvider(session) as proxy:
            assert proxy.healed == ()
            again = proxy.install("card", Driver())
            assert again.net_luid == before.net_luid


def test_uninstalling_what_another_process_has_installed(tmp_path):
    path = tmp_path / "ndis.db"
    with ndis.Session(path) as session, ProxyProvider(session) as proxy:
        before = proxy.install("card", Driver())
        before.shutdown()
        with (
            ndis.Session(path) as other,
            ProxyProvider(other) as theirs,
        ):
            theirs.install("card", Driver())
            with pytest.raises(IdentityInUseError):
                before.uninstall()
            assert "leaving" not in before.identity.record.attributes
        before.uninstall()
        assert list(session.identities()) == []


def test_attaching_beside_a_module_that_cannot_leave_yet(session):
    """A handler completes it later; the others need not wait for it."""
    driver = Blocking()
    with ProxyProvider(session) as proxy:
        adapter = proxy.install("card", driver)
        low, stuck, high = (adapter.attach(object(), n) for n in "abc")
        asker = thread(stuck.query, VENDOR)
        assert driver.inside.wait(60)
        with pytest.raises(ndis.NdisTimeoutError):
            stuck.detach(0.05)
        middle = adapter.attach(object(), "d", above=stuck)
        top = adapter.attach(object(), "e")
        binding = adapter.bind(object())
        assert binding.parameters.bound_if_index == top.if_index
        driver.go.set()
        asker.join(60)
        stuck.detach()
        chain = [adapter, low, middle, high, top]
        assert adapter.filters == tuple(chain[1:])
        assert sorted(session.if_stack_table().tolist()) == sorted(
            [upper.if_index, lower.if_index]
            for lower, upper in itertools.pairwise(chain)
        )


def test_attaching_above_a_module_that_a_request_is_inside_of(session):
    module = Blocking()
    with ProxyProvider(session) as proxy:
        adapter = proxy.install("card", Driver())
        stuck = adapter.attach(module, "a")
        binding = adapter.bind(object())
        asker = thread(adapter.query, VENDOR)
        assert module.inside.wait(60)
        with pytest.raises(ndis.NdisTimeoutError):
            stuck.detach(0.05)
        top = adapter.attach(object(), "b")
        assert binding.parameters.bound_if_index == top.if_index
        module.go.set()
        asker.join(60)
        stuck.detach()
        assert session.if_stack_table().tolist() == [
            [top.if_index, adapter.if_index]
        ]


class Told:
    """A filter module or protocol driver that notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def status(self, *arguments: Any) -> None:
        self.calls.append("status")

    def detach(self) -> None:
        self.calls.append("detach")


def test_who_leaves_while_others_are_told_is_told_no_more(session):
    class Slow:
        def __init__(self) -> None:
            self.inside = threading.Event()
            self.go = threading.Event()

        def status(self, status_code: int, value: Any) -> None:
            if status_code == OWN_STATUS:
                self.inside.set()
                assert self.go.wait(60)

    slow, module, protocol = Slow(), Told(), Told()
    with ProxyProvider(session) as proxy:
        adapter = proxy.install("card", Driver())
        adapter.attach(slow, "slow")
        told = adapter.attach(module, "told")
        binding = adapter.bind(protocol)
        module.calls.clear()
        teller = thread(adapter.indicate_status, OWN_STATUS)
        assert slow.inside.wait(60)
        told.detach()
        binding.close()
        slow.go.set()
        teller.join(60)
        assert module.calls == ["detach"]
        assert protocol.calls == []


def test_drivers_that_inherit_what_they_leave_out(session):
    class Card(MiniportDriver):
        def halt(self) -> None:
            halted.append(self)

    class Idle(FilterDriver):
        pass

    halted: list[Any] = []
    with ProxyProvider(session) as proxy:
        silent = proxy.install("silent", Card())
        with pytest.raises(ndis.NotSupportedError):
            silent.query(VENDOR)
        adapter = proxy.install("card", Driver())
        adapter.attach(Idle(), "idle")
        assert adapter.query(VENDOR) == 7
    assert len(halted) == 1


@pytest.mark.parametrize("lie", [0, 300, 1 << 40, -1, True, "x", [1, 2], b"x"])
def test_statistics_that_are_none(session, lie):
    """An int, above all, is no number of zero bytes."""

    class Lying:
        def oid_request(self, request: Any) -> Any:
            if request.oid == Oid.GEN_STATISTICS:
                return lie
            raise ndis.NotSupportedError

    with ProxyProvider(session) as proxy:
        adapter = proxy.install("card", Lying())
        for oid in (Oid.GEN_BYTES_RCV, Oid.GEN_INTERFACE_INFO):
            with pytest.raises((TypeError, ndis.InvalidDataError)):
                adapter.query(oid)


def test_counters_are_discontinuous_when_a_known_adapter_starts(session):
    """RFC 2863: the same ifIndex, so that a manager has to be told."""
    with ProxyProvider(session) as proxy:
        adapter = proxy.install("card", Driver())
        module = adapter.attach(object(), "f")
        for each in (adapter, module):
            assert each.query(Oid.GEN_DISCONTINUITY_TIME) == 0
        adapter.shutdown()
        again = proxy.install("card", Driver())
        assert again.if_index == adapter.if_index
        for each in (again, again.attach(object(), "f")):
            since = each.query(Oid.GEN_DISCONTINUITY_TIME)
            assert 0 < since <= each.query(Oid.GEN_LAST_CHANGE)


def test_a_change_while_a_binding_is_made_is_not_missed(session):
    state = ndis.MediaConnectState

    class Protocol:
        def __init__(self) -> None:
            self.told: list[Any] = []

        def bind(self, binding: Any, parameters: Any) -> None:
            self.before = parameters.media_connect_state
            link = binding.adapter.link_state
            down = replace(link, media_connect_state=state.DISCONNECTED)
            binding.adapter.indicate_status(LINK_STATE, down)

        def status(self, binding: Any, status_code: int, value: Any) -> None:
            self.told.append((status_code, value))

    with ProxyProvider(session) as proxy:
        adapter = proxy.install("card", Driver())
        first = Protocol()
        adapter.bind(first)
        assert first.before == state.UNKNOWN
        assert first.told == [
            (LINK_STATE, adapter.link_state),
            (StatusIndication.OPER_STATUS, adapter.oper_state),
        ]
        quiet = Protocol()
        adapter.bind(quiet)  # it finds the link as it is
        assert quiet.told == []


TYPED = """
from ndisbridge.proxy import (
    Binding, FilterDriver, GeneralAttributes, MiniportAdapter,
    MiniportDriver, MiniportInitParameters, ProtocolDriver,
)

class Card(MiniportDriver):
    def initialize(
        self, adapter: MiniportAdapter, parameters: MiniportInitParameters
    ) -> GeneralAttributes:
        return GeneralAttributes()

class Some(FilterDriver):
    oids = frozenset({1})

class Edge(ProtocolDriver):
    def unbind(self, binding: Binding) -> None: ...

drivers = (Card(), Some(), Edge())
"""


def test_drivers_that_inherit_are_well_typed(tmp_path):
    """What they leave out does not make them abstract."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("no mypy here")
    (tmp_path / "drivers.py").write_text(TYPED)
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nfollow_imports = silent\nignore_missing_imports = True\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict"),
            *("--config-file", str(tmp_path / "mypy.ini")),
            *("--cache-dir", str(tmp_path / "cache")),
            str(tmp_path / "drivers.py"),
        ],
        capture_output=True,
        text=True,
        check=False,
        # An editable installation is found from here alone.
        cwd=Path(ndis.__file__).parent.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
