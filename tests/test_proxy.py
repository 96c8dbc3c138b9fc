# SPDX-License-Identifier: MIT
"""The proxy provider: the life of miniport adapters and filter modules."""

from __future__ import annotations

import gc
import os
import weakref
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import IfFlags, Oid
from ndisbridge.persistence import (
    IdentityConflictError,
    IdentityInUseError,
    StoreError,
)
from ndisbridge.proxy import (
    FilterAttachParameters,
    GeneralAttributes,
    MiniportInitParameters,
    ProxyProvider,
)

MAC = bytes.fromhex("02fc00000001")


class Card:
    """A miniport driver that notes what it is called for."""

    def __init__(self, **attributes: Any) -> None:
        self.attributes = GeneralAttributes(
            **{"current_mac_address": MAC, "mtu_size": 9000, **attributes}
        )
        self.calls: list[str] = []
        self.parameters: MiniportInitParameters | None = None

    def initialize(self, adapter, parameters):
        self.calls.append("initialize")
        self.parameters = parameters
        return self.attributes

    def restart(self) -> None:
        self.calls.append("restart")

    def pause(self) -> None:
        self.calls.append("pause")

    def halt(self) -> None:
        self.calls.append("halt")


class Filter:
    """A filter module that notes what it is called for."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.parameters: FilterAttachParameters | None = None

    def attach(self, module, parameters):
        self.calls.append("attach")
        self.parameters = parameters

    def restart(self) -> None:
        self.calls.append("restart")

    def pause(self) -> None:
        self.calls.append("pause")

    def detach(self) -> None:
        self.calls.append("detach")


@pytest.fixture
def proxy(session):
    with ProxyProvider(session) as made:
        yield made


def stack(session) -> list[list[int]]:
    return [list(row) for row in session.if_stack_table().tolist()]


def retained(session) -> dict[int, int]:
    """Indexes that the store has retained, by IfType."""
    return {
        each.if_type: each.retained for each in session.store.stats().types
    }


# -- installing


@pytest.mark.smoke
def test_install_and_uninstall(session, proxy) -> None:
    """Allocate, initialize, register; deregister, halt, release."""
    driver = Card()
    adapter = proxy.install("slot 3", driver, description="Acme 1000")
    assert driver.calls == ["initialize", "restart"]
    assert driver.parameters == MiniportInitParameters(
        adapter.if_index, adapter.net_luid
    )
    row = session.interface_entry(adapter.net_luid)
    assert row.description == "Acme 1000"
    assert row.physical_address == MAC == row.permanent_physical_address
    assert row.mtu == 9000
    assert row.if_index == adapter.if_index
    assert row.oper_status == ndis.IfOperStatus.UP
    assert row.admin_status == ndis.IfAdminStatus.UP
    assert row.interface_and_oper_status_flags & 1  # hardware
    assert row.interface_and_oper_status_flags & 4  # connector
    assert proxy.adapters == {"slot 3": adapter}
    luid = adapter.net_luid
    adapter.uninstall()
    assert driver.calls[2:] == ["pause", "halt"]
    assert session.interface_count == 0
    assert list(session.identities()) == []
    assert proxy.adapters == {}
    assert (
        session.test_net_luid_index(6, luid.net_luid_index)
        == ndis.IndexState.FREE
    )


def test_a_virtual_adapter_is_installed_likewise(session, proxy) -> None:
    """An intermediate driver's: neither hardware nor connector."""
    adapter = proxy.install("team", Card(), virtual=True)
    row = session.interface_entry(adapter.net_luid)
    assert not row.interface_and_oper_status_flags & 5
    assert adapter.virtual
    told = proxy.install("odd", Card(if_connector_present=True), virtual=True)
    row = session.interface_entry(told.net_luid)
    assert row.interface_and_oper_status_flags & 4


def test_a_driver_may_have_no_method_at_all(session, proxy) -> None:
    """All of them are optional."""
    adapter = proxy.install("bare", object())
    module = adapter.attach(object(), "nothing")
    assert adapter.query(Oid.GEN_MAXIMUM_FRAME_SIZE) == 1500
    with pytest.raises(ndis.NotSupportedError):
        adapter.query(Oid.GEN_VENDOR_ID)
    with pytest.raises(ndis.NotSupportedError):
        adapter.set(Oid.GEN_CURRENT_LOOKAHEAD, 9)
    adapter.pause()
    module.pause()
    module.restart()
    adapter.restart()
    adapter.uninstall()


def test_a_restart_allocates_nothing(store_path) -> None:
    """
    Known adapters and filter modules have their stored NET_LUIDs again;
    the number of retained indexes says that nothing is allocated.
    """
    seen = []
    for _ in range(3):
        with ndis.Session(store_path) as session:
            with ProxyProvider(session) as proxy:
                before = retained(session)
                adapter = proxy.install("slot 3", Card(), alias="LAN")
                modules = [
                    adapter.attach(Filter(), name) for name in ("a", "b", "a")
                ]
                after = retained(session)
                seen.append(
                    [
                        (
                            each.net_luid,
                            each.identity.interface_guid,
                            each.if_index,
                        )
                        for each in (adapter, *modules)
                    ]
                )
                assert len({luid for luid, _, _ in seen[-1]}) == 4
                if len(seen) > 1:
                    assert before == after
                    # No index was even within reach of being allocated.
                    counts = session.count_net_luid_indexes(6)
                    assert (counts.leased_blocks, counts.allocated) == (0, 0)
                assert adapter.query(Oid.GEN_ALIAS) == "LAN"
            # Shut down: the interfaces are gone, the identities are not.
            assert session.interface_count == 0
            assert len(list(session.identities())) == 4
    assert seen[0] == seen[1] == seen[2]


def test_shutdown_keeps_and_uninstall_gives_back(store_path) -> None:
    """One adapter of each; what is uninstalled gets a new NET_LUID."""
    with ndis.Session(store_path) as session, ProxyProvider(session) as proxy:
        kept = proxy.install("kept", Card())
        gone = proxy.install("gone", Card())
        kept_filter = kept.attach(Filter(), "f")
        gone.attach(Filter(), "f")
        guid = gone.identity.interface_guid
        kept.shutdown()
        gone.uninstall()
        assert {each.key for each in session.identities()} == {
            "kept",
            "kept/f-0000",
        }
        # Of one that is shut down the identity can be given back too.
        again = proxy.install("gone", Card())
        assert again.identity.interface_guid != guid
        again.shutdown()
        again.uninstall()
        again.uninstall()
        kept_again = proxy.install("kept", Card())
        assert kept_again.net_luid == kept.net_luid
        module = kept_again.attach(Filter(), "f")
        assert module.net_luid == kept_filter.net_luid


def test_uninstalling_takes_filters_that_are_not_attached(store_path) -> None:
    """An adapter's filter modules do not outlive it in the store."""
    with ndis.Session(store_path) as session, ProxyProvider(session) as proxy:
        adapter = proxy.install("a", Card())
        adapter.attach(Filter(), "f")
        other = proxy.install("a/b", Card())
        other.attach(Filter(), "f")
        adapter.shutdown()
        proxy.install("a", Card()).uninstall()
        assert {each.key for each in session.identities()} == {
            "a/b",
            "a/b/f-0000",
        }


def test_keys(session, proxy) -> None:
    """One adapter of a key; a filter module's key is none of an adapter."""
    adapter = proxy.install("eth", Card())
    with pytest.raises(ndis.DuplicateObjectIdError):
        proxy.install("eth", Card())
    adapter.attach(Filter(), "f")
    with pytest.raises(IdentityConflictError, match="not a miniport"):
        proxy.install("eth/f-0000", Card())
    proxy.install("eth/f-0001", Card())
    second = adapter.attach(Filter(), "f")
    assert second.identity.key == "eth/f-0002"
    adapter.shutdown()
    with pytest.raises(IdentityConflictError, match="keeps its IfType"):
        proxy.install("eth", Card(), if_type=ndis.IfType.TUNNEL)
    for name in ("", "a/b"):
        with pytest.raises(ndis.InvalidParameterError):
            proxy.adapters["eth/f-0001"].attach(Filter(), name)
    with pytest.raises(ndis.InvalidParameterError):
        proxy.install("", Card())


class Failing(Card):
    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def initialize(self, adapter, parameters):
        if self.at == "initialize":
            raise OSError("no such device")
        if self.at == "if_type":
            return GeneralAttributes(if_type=71)
        if self.at == "type":
            return {"mtu_size": 1500}
        if self.at == "fact":
            return GeneralAttributes(current_mac_address=bytes(33))
        if self.at == "value":
            return GeneralAttributes(media_connect_state=77)
        return super().initialize(adapter, parameters)

    def restart(self) -> None:
        if self.at == "restart":
            raise OSError("does not start")


@pytest.mark.parametrize(
    "at", ["initialize", "if_type", "type", "fact", "value", "restart"]
)
def test_an_install_that_fails_leaves_nothing(session, proxy, at: str) -> None:
    """A new adapter's identity goes; a known one's stays; it is halted."""
    known = proxy.install("known", Card())
    known.shutdown()
    for key, kept in (("new", False), ("known", True)):
        driver = Failing(at)
        with pytest.raises((OSError, TypeError, ndis.NdisError)):
            proxy.install(key, driver)
        assert ("halt" in driver.calls) == (at != "initialize")
        assert session.interface_count == 0
        keys = [each.key for each in session.identities()]
        assert (key in keys) == kept
        assert proxy.adapters == {}
    assert proxy.install("known", Card()).net_luid == known.net_luid


def test_what_another_process_has_is_refused(store_path) -> None:
    """Two sessions on one store: the second one's driver is halted."""
    with ndis.Session(store_path) as first, ndis.Session(store_path) as second:
        with ProxyProvider(first) as one, ProxyProvider(second) as two:
            adapter = one.install("eth", Card())
            module = adapter.attach(Filter(), "f")
            driver = Card()
            with pytest.raises(IdentityInUseError):
                two.install("eth", driver)
            assert driver.calls == ["initialize", "halt"]
            assert two.release_absent(adapters=True) == []
            assert module.query(Oid.GEN_MAXIMUM_FRAME_SIZE) == 9000


# -- filter modules


@pytest.mark.smoke
def test_the_chain_of_the_reference(session, proxy) -> None:
    """
    Adapter ifIndex 6 with filters 15, 16 and 17: rows lower/higher 6/15,
    15/16, 16/17, the adapter lowest, no rows with 0 (-ndiskd-ifstacktable).
    """
    adapter = proxy.install(
        "pci", Card(), description="Acme PCIe GBE", if_index=6
    )
    names = ("WFP Native MAC Layer LightWeight Filter", "QoS", "WFP 802.3")
    modules = [
        adapter.attach(Filter(), name, if_index=15 + i)
        for i, name in enumerate(names)
    ]
    assert stack(session) == [[15, 6], [16, 15], [17, 16]]
    inverted = session.if_stack_table(inverted=True).tolist()
    assert [tuple(row) for row in inverted] == [(6, 15), (15, 16), (16, 17)]
    for each in (6, 15, 16, 17):
        bound, bound_luid, lowest, lowest_luid = (
            session.query_binding_if_index(each)
        )
        assert (bound, lowest) == (17, 6)
        assert bound_luid == modules[2].net_luid
        assert lowest_luid == adapter.net_luid
    for module, name in zip(modules, names, strict=True):
        row = session.interface_entry(module.net_luid)
        assert row.description == f"Acme PCIe GBE-{name}-0000"
        assert row.alias == ""
        assert row.type == 6
        assert row.physical_address == MAC
        assert row.interface_and_oper_status_flags == 2  # only filter
        assert module.net_luid.name == (
            f"ethernet_{module.net_luid.net_luid_index}"
        )
    lowers = [adapter, *modules]
    for module, lower in zip(modules, lowers, strict=False):
        told = module.driver.parameters
        assert (told.if_index, told.net_luid) == (
            module.if_index,
            module.net_luid,
        )
        assert (told.lower_if_index, told.lower_if_net_luid) == (
            lower.if_index,
            lower.net_luid,
        )
        assert told.base_miniport_if_index == 6
        assert told.base_miniport_net_luid == adapter.net_luid
        assert told.base_miniport_if_connector_present is True


def test_filters_attach_and_detach_in_any_order(session, proxy) -> None:
    """At the bottom, in the middle, on top, beside one another."""
    adapter = proxy.install("eth", Card(), if_index=6)

    def attach(if_index: int, **place: Any):
        return adapter.attach(Filter(), "f", if_index=if_index, **place)

    top = attach(10)
    bottom = attach(11, position=0)
    middle = attach(12, above=bottom)
    under = attach(13, below=top)
    order = [bottom, middle, under, top]
    assert list(adapter.filters) == order
    assert stack(session) == sorted([[11, 6], [12, 11], [13, 12], [10, 13]])
    middle.detach()
    assert stack(session) == sorted([[11, 6], [13, 11], [10, 13]])
    bottom.detach()
    assert stack(session) == sorted([[13, 6], [10, 13]])
    top.detach()
    assert stack(session) == [[13, 6]]
    assert session.query_binding_if_index(6)[0] == 13
    under.detach()
    assert stack(session) == []
    assert session.query_binding_if_index(6)[0] == 6
    for each in order:
        assert each.driver.calls == ["attach", "restart", "pause", "detach"]
        each.detach()  # once more: nothing
    assert session.interface_count == 1
    assert len(list(session.identities())) == 1


def test_detaching_releases(session, proxy) -> None:
    """A filter's NET_LUID goes with it, unlike an adapter's at shutdown."""
    adapter = proxy.install("eth", Card())
    module = adapter.attach(Filter(), "f")
    luid, guid = module.net_luid, module.identity.interface_guid
    module.detach()
    assert (
        session.test_net_luid_index(6, luid.net_luid_index)
        == ndis.IndexState.FREE
    )
    again = adapter.attach(Filter(), "f")
    assert again.identity.interface_guid != guid


def test_places(proxy) -> None:
    """Where a filter module can be put."""
    one, two = (proxy.install(key, Card()) for key in ("one", "two"))
    module = one.attach(Filter(), "f")
    with pytest.raises(TypeError, match="one of"):
        one.attach(Filter(), "f", position=0, above=module)
    for position in (-1, 2):
        with pytest.raises(IndexError):
            one.attach(Filter(), "f", position=position)
    with pytest.raises(ndis.InvalidStateError):
        two.attach(Filter(), "f", above=module)
    module.detach()
    with pytest.raises(ndis.InvalidStateError):
        one.attach(Filter(), "f", below=module)
    for change in (module.pause, lambda: module.set_alias("gone")):
        with pytest.raises(ndis.InvalidStateError):
            change()
    one.uninstall()
    for change in (
        one.pause,
        one.restart,
        lambda: one.attach(Filter(), "f"),
        lambda: one.set_alias("gone"),
    ):
        with pytest.raises(ndis.InvalidStateError):
            change()


class Refusing(Filter):
    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def attach(self, module, parameters):
        if self.at == "attach":
            raise OSError("not here")

    def restart(self) -> None:
        if self.at == "restart":
            raise OSError("does not start")


@pytest.mark.parametrize("at", ["attach", "restart"])
def test_an_attach_that_fails_leaves_nothing(session, proxy, at) -> None:
    """The chain is as before, and the NET_LUID is free."""
    adapter = proxy.install("eth", Card(), if_index=6)
    adapter.attach(Filter(), "f", if_index=7)
    adapter.attach(Filter(), "f", if_index=8)
    before = session.if_stack_table().tobytes()
    driver = Refusing(at)
    with pytest.raises(OSError):
        adapter.attach(driver, "g", position=1)
    assert ("detach" in driver.calls) == (at == "restart")
    assert session.if_stack_table().tobytes() == before
    assert len(adapter.filters) == 2
    assert [each.key for each in session.identities()].count("eth/g-0000") == 0


def test_a_taken_if_index_is_refused(session, proxy) -> None:
    """What registers nothing leaves nothing either."""
    adapter = proxy.install("eth", Card(), if_index=6)
    driver = Filter()
    with pytest.raises(ndis.InUseError):
        adapter.attach(driver, "f", if_index=6)
    assert driver.calls == ["attach", "detach"]
    with pytest.raises(ndis.InUseError):
        proxy.install("eth2", Card(), if_index=6)
    assert [each.key for each in session.identities()] == ["eth"]


def test_an_identity_without_an_if_index_wants_one(proxy) -> None:
    """Who chose the ifIndex chooses it after a restart, too."""
    proxy.install("eth", Card(), if_index=6).shutdown()
    with pytest.raises(ndis.InvalidParameterError, match="ifIndex"):
        proxy.install("eth", Card())
    assert proxy.install("eth", Card(), if_index=9).if_index == 9


def test_long_descriptions_keep_the_filter(session, proxy) -> None:
    """ifDescr has 256 UTF-16 units: the adapter's part is cut."""
    adapter = proxy.install("eth", Card(), description="\U0001f600" * 128)
    module = adapter.attach(Filter(), "acme")
    description = session.interface_entry(module.net_luid).description
    assert description.endswith("\U0001f600-acme-0000")
    assert 254 <= len(description.encode("utf-16-le")) // 2 <= 256


def test_filters_of_one_name_are_numbered(session, proxy) -> None:
    """NNNN is the lowest that is not attached; gaps are used again."""
    adapter = proxy.install("eth", Card())
    modules = [adapter.attach(Filter(), "f") for _ in range(3)]
    assert [each.description for each in modules] == [
        f"eth-f-{i:04}" for i in range(3)
    ]
    modules[1].detach()
    assert adapter.attach(Filter(), "f").description == "eth-f-0001"


# -- the proxy itself


def test_closing_shuts_down(session) -> None:
    """All adapters, filters first; then it installs nothing any more."""
    proxy = ProxyProvider(session)
    drivers = [Card(), Card()]
    adapters = [proxy.install(str(i), each) for i, each in enumerate(drivers)]
    module = adapters[0].attach(Filter(), "f")
    proxy.close()
    proxy.close()
    assert [each.calls[-1] for each in drivers] == ["halt", "halt"]
    assert module.driver.calls[-1] == "detach"
    assert session.interface_count == 0
    assert len(list(session.identities())) == 3
    with pytest.raises(ndis.InvalidStateError):
        proxy.install("2", Card())
    with ProxyProvider(session) as again:
        assert again.install("0", Card()).net_luid == adapters[0].net_luid


def test_leaving_after_the_session_is_harmless(session) -> None:
    with ProxyProvider(session) as proxy:
        proxy.install("eth", Card())
        session.close()


@pytest.mark.parametrize("name", ["oid_timeout", "wait_timeout"])
@pytest.mark.parametrize("value", [-1, float("nan")])
def test_timeouts(session, name: str, value: float) -> None:
    with pytest.raises(ValueError):
        ProxyProvider(session, **{name: value})


def test_release_absent(store_path) -> None:
    """What nobody attaches or installs any more can be given back."""
    with ndis.Session(store_path) as session:
        with ProxyProvider(session) as proxy:
            for key in ("a", "b"):
                adapter = proxy.install(key, Card())
                adapter.attach(Filter(), "old")
                adapter.attach(Filter(), "new")
        with ProxyProvider(session) as proxy:
            proxy.install("a", Card()).attach(Filter(), "new")
            released = proxy.release_absent()
            assert {each.key for each in released} == {
                "a/old-0000",
                "b/old-0000",
                "b/new-0000",
            }
            released = proxy.release_absent(adapters=True)
            assert {each.key for each in released} == {"b"}
            assert {each.key for each in session.identities()} == {
                "a",
                "a/new-0000",
            }


def test_other_providers_identities_are_left_alone(session) -> None:
    """Those of another name, and those that no proxy has made."""
    with session.register_provider("proxy") as provider:
        provider.identity("own", 6)
        with ProxyProvider(session, "other") as other:
            other.install("eth", Card())
        with ProxyProvider(session) as proxy:
            with pytest.raises(IdentityConflictError):
                proxy.install("own", Card())
            assert proxy.release_absent(adapters=True) == []
        assert len(list(session.identities())) == 2


def test_a_store_that_refuses(session, proxy, monkeypatch) -> None:
    """Uninstalling goes on when it is asked again."""
    adapter = proxy.install("eth", Card())
    module = adapter.attach(Filter(), "f")

    def refuse(*_: Any, **__: Any) -> None:
        raise StoreError("no space left", "here")

    with monkeypatch.context() as patched:
        patched.setattr(session.store, "release", refuse)
        with pytest.raises(StoreError):
            adapter.uninstall()
        with pytest.raises(StoreError):
            module.detach()
    assert session.interface_count in {0, 1}
    module.detach()
    adapter.uninstall()
    assert adapter.driver.calls.count("halt") == 1
    assert module.driver.calls.count("detach") == 1
    assert list(session.identities()) == []


def test_flags_and_names() -> None:
    assert IfFlags.FILTER_INTERFACE == 2
    with ndis.Session() as session, ProxyProvider(session) as proxy:
        adapter = proxy.install("eth", Card())
        module = adapter.attach(Filter(), "f")
        binding = adapter.bind(object())
        for each in (proxy, adapter, module, binding):
            assert "ndisbridge.proxy" in repr(each)


def test_after_its_session_drivers_are_still_ended(store_path) -> None:
    """Halted and detached; but the store is not at hand any more."""
    session = ndis.Session(store_path)
    proxy = ProxyProvider(session)
    adapters = [proxy.install(key, Card()) for key in ("one", "two")]
    modules = [adapters[0].attach(Filter(), "f") for _ in range(2)]
    session.close()
    for end in (modules[0].detach, adapters[1].uninstall):
        with pytest.raises(ndis.InvalidStateError):
            end()
    proxy.close()
    proxy.close()
    for each in adapters:
        assert each.driver.calls[-1] == "halt"
    for each in modules:
        assert each.driver.calls[-1] == "detach"
    with ndis.Session(store_path) as again:
        assert len(list(again.identities())) == 4


def test_a_child_of_fork_leaves_the_drivers_alone(session, proxy) -> None:
    """Everything there is refused; leaving the proxy does nothing."""
    adapter = proxy.install("eth", Card())
    module = adapter.attach(Filter(), "f")
    calls = [*adapter.driver.calls, *module.driver.calls]
    child = os.fork()
    if child == 0:
        refused = 0
        for call in (
            proxy.close,
            adapter.shutdown,
            adapter.uninstall,
            module.detach,
            lambda: adapter.attach(Filter(), "f"),
            lambda: proxy.install("new", Card()),
            lambda: adapter.query(Oid.GEN_ALIAS),
        ):
            try:
                call()
            except ndis.ForkedError:
                refused += 1
        proxy.__exit__(None, None, None)
        same = calls == [*adapter.driver.calls, *module.driver.calls]
        os._exit(refused if same else 99)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert adapter.query(Oid.GEN_ALIAS) == ""


def test_nothing_is_kept_of_what_is_gone(session, proxy) -> None:
    """Drivers, modules and adapters are let go of."""
    adapter = proxy.install("eth", Card())
    module = adapter.attach(Filter(), "f")
    binding = adapter.bind(Filter())
    adapter.query(Oid.GEN_ALIAS)
    gone = [
        weakref.ref(each)
        for each in (adapter, adapter.driver, module, module.driver, binding)
    ]
    adapter.uninstall()
    del adapter, module, binding
    gc.collect()
    assert [each() for each in gone] == [None] * 5
