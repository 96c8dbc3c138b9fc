# SPDX-License-Identifier: MIT
"""
A MUX intermediate driver: virtual adapters over physical ones.

    python examples/mux.py lbfo [STORE]    one virtual adapter over many
    python examples/mux.py vlan [STORE]    many virtual adapters over one
    python examples/mux.py mn [STORE]      many over many
    python examples/mux.py sample [STORE]  as the public MUX sample has it

Its lower edge is a protocol driver: it binds to miniport adapters.  Its upper
edge is a miniport driver: the virtual adapters are installed like physical
ones, and the proxy provider registers their interfaces.  What lies between,
the internal binding, NDIS cannot see: the MUX driver registers as an interface
provider of its own, and the internal interface with it, when the first lower
edge binds.

The rows of the interface stack that the MUX adds go from its own interfaces
to the *bound* ones: to the top of the filter stack below.  When that changes,
so do the rows.  As the public drivers do, it takes a row away only if it has
added it.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import ndisbridge as ndis
from ndisbridge import IfOperStatus, IfType, Oid, StatisticsFlagsValid
from ndisbridge.constants import StatusIndication
from ndisbridge.proxy import (
    Binding,
    BindParameters,
    GeneralAttributes,
    MiniportAdapter,
    MiniportInitParameters,
    OidRequest,
    ProtocolRestartParameters,
    ProxyProvider,
)
from ndisbridge.structures import LinkState, OperState, StatisticsInfo

MAC = 0x02AC0000_0000


class Counters:
    """What one interface has moved; all of it unicast."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {"in_octets": 0, "out_octets": 0} | {
            f"{way}_{cast}_{what}": 0
            for way in ("in", "out")
            for cast in ("ucast", "multicast", "broadcast")
            for what in ("pkts", "octets")
        }

    def count(self, way: str, octets: int) -> None:
        with self._lock:
            self._counts[f"{way}_ucast_pkts"] += 1
            self._counts[f"{way}_ucast_octets"] += octets
            self._counts[f"{way}_octets"] += octets

    def values(self) -> dict[str, int]:
        """By the names that they are published under."""
        with self._lock:
            return dict(self._counts)

    def statistics(self) -> StatisticsInfo:
        """As OID_GEN_STATISTICS tells them; all, as NDIS 6 demands."""
        return StatisticsInfo(
            supported_statistics=int(sum(StatisticsFlagsValid)),
            **{f"if_hc_{name}": n for name, n in self.values().items()},
        )


class Card:
    """The driver of a physical adapter, as far as counting frames goes."""

    def __init__(self, number: int) -> None:
        self.counters = Counters()
        self._address = (MAC + number).to_bytes(6, "big")

    def initialize(
        self, adapter: MiniportAdapter, parameters: MiniportInitParameters
    ) -> GeneralAttributes:
        self.adapter = adapter
        return GeneralAttributes(
            current_mac_address=self._address,
            media_connect_state=ndis.MediaConnectState.CONNECTED,
            xmit_link_speed=10**9,
            rcv_link_speed=10**9,
        )

    def oid_request(self, request: OidRequest) -> StatisticsInfo:
        if request.oid == Oid.GEN_STATISTICS:
            return self.counters.statistics()
        raise ndis.NotSupportedError

    def plug(self, connected: bool) -> None:
        """Put the cable in, or pull it."""
        state = ndis.MediaConnectState
        speed = 10**9 if connected else ndis.LINK_SPEED_UNKNOWN
        self.adapter.indicate_status(
            StatusIndication.LINK_STATE,
            LinkState(
                state.CONNECTED if connected else state.DISCONNECTED,
                ndis.MediaDuplexState.FULL,
                speed,
                speed,
                pause_functions=4,
                auto_negotiation_flags=0,
            ),
        )


class Rows:
    """Rows of the interface stack that one driver has added."""

    def __init__(self, session: ndis.Session) -> None:
        self._session = session
        self._added: set[tuple[int, int]] = set()

    def add(self, higher: int, lower: int) -> None:
        """As in MPInitialize: a failure is no reason to fail."""
        try:
            self._session.add_if_stack_entry(higher, lower)
        except ndis.NdisError:
            return
        self._added.add((higher, lower))

    def delete(self, higher: int, lower: int) -> None:
        """As in MPHalt: only what was added, and then it is forgotten."""
        if (higher, lower) in self._added:
            self._session.delete_if_stack_entry(higher, lower)
            self._added.discard((higher, lower))


class LowerEdge:
    """One binding of the MUX to an adapter below: a protocol driver."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self.bound_if_index = 0
        self.up = False

    def bind(self, binding: Binding, parameters: BindParameters) -> None:
        self.binding = binding
        self.bound_if_index = parameters.bound_if_index
        status = binding.query(Oid.GEN_OPERATIONAL_STATUS)
        self.up = status == IfOperStatus.UP
        self._group.add_lower(self)

    def restart(
        self, binding: Binding, parameters: ProtocolRestartParameters
    ) -> None:
        self._group.move_lower(self, parameters.bound_if_index)

    def status(self, binding: Binding, status_code: int, value: Any) -> None:
        if status_code == StatusIndication.OPER_STATUS:
            assert isinstance(value, OperState)
            self.up = value.operational_status == IfOperStatus.UP
            self._group.lower_changed()

    def unbind(self, binding: Binding) -> None:
        self.up = False
        self._group.remove_lower(self)


class VirtualMiniport:
    """The upper edge: the driver of one virtual adapter."""

    def __init__(self, group: Group, vlan_id: int = 0) -> None:
        self.group = group
        self.vlan_id = vlan_id
        self.counters = Counters()
        self._rows = Rows(group.mux.session)

    def initialize(
        self, adapter: MiniportAdapter, parameters: MiniportInitParameters
    ) -> None:
        self.adapter = adapter
        adapter.set_miniport_attributes(
            GeneralAttributes(
                current_mac_address=self.group.address,
                media_connect_state=ndis.MediaConnectState.CONNECTED,
                mtu_size=1496 if self.vlan_id else 1500,
            )
        )
        self.add_rows()
        self.lower_changed()

    def add_rows(self) -> None:
        """higher = own IfIndex, lower = what the group offers."""
        for lower in self.group.upper_ends():
            self._rows.add(self.adapter.if_index, lower)

    def delete_row(self, lower: int) -> None:
        self._rows.delete(self.adapter.if_index, lower)

    def lower_changed(self) -> None:
        self.adapter.report(lower_layer_down=not self.group.up)

    def halt(self) -> None:
        for lower in self.group.upper_ends():
            self.delete_row(lower)
        self.group.uppers = [u for u in self.group.uppers if u is not self]

    def oid_request(self, request: OidRequest) -> Any:
        if request.oid == Oid.GEN_STATISTICS:
            return self.counters.statistics()  # of this adapter alone
        if request.oid == Oid.GEN_VLAN_ID and self.vlan_id:
            if not request.is_set:
                return self.vlan_id
            self.vlan_id = int(request.value)
            return None
        raise ndis.NotSupportedError

    def send(self, octets: int) -> None:
        """A frame from above."""
        self.group.send(octets + (4 if self.vlan_id else 0))
        self.counters.count("out", octets)

    def receive(self, octets: int) -> None:
        """A frame for it, without its tag."""
        self.counters.count("in", octets)


class Group:
    """
    An internal binding: some lower edges, and the virtual adapters on them.

    Args:
        internal: Whether it has an interface of its own; the public sample
            has none, and puts its virtual adapters on the bound ones.
    """

    def __init__(self, mux: Mux, name: str, *, internal: bool = True) -> None:
        self.mux = mux
        self.name = name
        self.address = bytes(6)
        self.lowers: list[LowerEdge] = []
        self.uppers: list[VirtualMiniport] = []
        self.counters = Counters()
        self._interface: ndis.Interface | None = None
        self._internal = internal
        self._rows = Rows(mux.session)
        self._lock = threading.RLock()

    @property
    def up(self) -> bool:
        """Whether a lower edge is."""
        return any(each.up for each in self.lowers)

    @property
    def interface(self) -> ndis.Interface | None:
        """The internal interface, once a lower edge is bound."""
        return self._interface

    def upper_ends(self) -> list[int]:
        """ifIndexes that the virtual adapters are stacked on."""
        if self._internal:
            return [self._interface.if_index] if self._interface else []
        return [each.bound_if_index for each in self.lowers]

    # -- the lower edges

    def add_lower(self, lower: LowerEdge) -> None:
        with self._lock:
            if not self.lowers:
                attributes = lower.binding.parameters
                self.address = attributes.current_mac_address
                if self._internal:
                    self._interface = self.mux.register(self)
            self.lowers.append(lower)
            self._add_row(lower)
        self.lower_changed()

    def _add_row(self, lower: LowerEdge) -> None:
        if self._interface is not None:
            self._rows.add(self._interface.if_index, lower.bound_if_index)
        for each in self.uppers:
            each.add_rows()

    def _delete_row(self, if_index: int) -> None:
        if self._interface is not None:
            self._rows.delete(self._interface.if_index, if_index)
        else:
            for each in self.uppers:
                each.delete_row(if_index)

    def move_lower(self, lower: LowerEdge, bound_if_index: int) -> None:
        """The filter stack below has another top: first add, then delete."""
        with self._lock:
            before, lower.bound_if_index = lower.bound_if_index, bound_if_index
            if before != bound_if_index:
                self._add_row(lower)
                self._delete_row(before)

    def remove_lower(self, lower: LowerEdge) -> None:
        with self._lock:
            self._delete_row(lower.bound_if_index)
            self.lowers = [each for each in self.lowers if each is not lower]
            if not self.lowers and self._interface is not None:
                self._interface.deregister()
                self._interface = None
        self.lower_changed()

    def lower_changed(self) -> None:
        if self._interface is not None:
            self._interface.publish(
                oper_status=IfOperStatus.UP
                if self.up
                else IfOperStatus.LOWER_LAYER_DOWN
            )
        for each in list(self.uppers):
            each.lower_changed()

    # -- frames

    def send(self, octets: int) -> None:
        """By the first lower edge that is up: fail over."""
        lower = next((each for each in self.lowers if each.up), None)
        if lower is None:
            raise ConnectionError(f"nothing below {self.name} is up")
        driver = lower.binding.adapter.driver
        driver.counters.count("out", octets)
        self._count("out", octets)

    def receive(self, lower: LowerEdge, vlan_id: int, octets: int) -> None:
        """A frame from below, for the virtual adapter of its VLAN."""
        lower.binding.adapter.driver.counters.count("in", octets)
        self._count("in", octets)
        for each in self.uppers:
            if each.vlan_id == vlan_id:
                each.receive(octets - (4 if vlan_id else 0))

    def _count(self, way: str, octets: int) -> None:
        with self._lock:
            self.counters.count(way, octets)
            if self._interface is not None:
                self._interface.publish(**self.counters.values())


class Mux:
    """The driver: a provider for its internal bindings."""

    def __init__(self, proxy: ProxyProvider, name: str = "acme-mux") -> None:
        self.proxy = proxy
        self.session = proxy.session
        self._provider = self.session.register_provider(name)
        self.groups: dict[str, Group] = {}

    def group(
        self,
        name: str,
        lowers: list[MiniportAdapter],
        *,
        vlans: tuple[int, ...] = (0,),
        internal: bool = True,
    ) -> Group:
        """Bind to adapters, and install the virtual ones over them."""
        group = self.groups[name] = Group(self, name, internal=internal)
        for adapter in lowers:
            adapter.bind(LowerEdge(group))
        for vlan_id in vlans:
            key = f"{name}.{vlan_id}" if vlan_id else name
            upper = VirtualMiniport(group, vlan_id)
            group.uppers.append(upper)
            self.proxy.install(
                key,
                upper,
                description=f"Acme virtual adapter {key}",
                alias=key,
                virtual=True,
            )
        return group

    def register(self, group: Group) -> ndis.Interface:
        """The interface of an internal binding; the same after a restart."""
        identity = self._provider.identity(
            f"internal/{group.name}", IfType.PROP_MULTIPLEXOR
        )
        interface = self._provider.register_interface(
            identity,
            description=f"Acme MUX {group.name}",
            physical_address=group.address,
            permanent_address=group.address,
        )
        interface.publish(
            admin_status=ndis.IfAdminStatus.UP,
            alias="",
            mtu=1500,
            media_connect_state=ndis.MediaConnectState.CONNECTED,
            promiscuous_mode=False,
            last_change=0,
            counter_discontinuity_time=0,
            in_unknown_protos=0,
            **group.counters.values(),
        )
        return interface

    def close(self) -> None:
        """Halt the virtual adapters, unbind, deregister; identities stay."""
        for group in self.groups.values():
            for upper in reversed(list(group.uppers)):
                upper.adapter.shutdown()
            for lower in list(group.lowers):
                lower.binding.close()
                lower.unbind(lower.binding)
        self._provider.deregister()


# -- showing it

SCENES: dict[str, dict[str, Any]] = {
    "lbfo": {"cards": 3, "vlans": (0,)},
    "vlan": {"cards": 1, "vlans": (10, 20, 30)},
    "mn": {"cards": 2, "vlans": (10, 20, 30)},
    "sample": {"cards": 1, "vlans": (10, 20), "internal": False},
}


def build(
    proxy: ProxyProvider, scene: str
) -> tuple[Mux, Group, list[MiniportAdapter]]:
    """Cards with a filter on the first one, and the MUX over them."""
    given = dict(SCENES[scene])
    cards = [
        proxy.install(
            f"card/{i}", Card(i), description=f"Acme GBE #{i}", alias=f"lan{i}"
        )
        for i in range(given.pop("cards"))
    ]
    cards[0].attach(object(), "Acme packet scheduler")
    mux = Mux(proxy)
    group = mux.group("team", cards, **given)
    return mux, group, cards


def show(session: ndis.Session) -> None:
    """The interface table, and the rows of the stack."""
    print(f"{'ifIndex':>8}  {'ifName':<24}{'ifDescr':<42}{'status':<18}octets")
    for row in session.interface_table():
        print(
            f"{row.if_index:>8}  {row.net_luid.name:<24}"
            f"{row.description:<42}{row.oper_status.name:<18}"
            f"{row.in_octets} in, {row.out_octets} out"
        )
    print("\n higher   lower")
    for higher, lower in session.if_stack_table().tolist():
        print(f"{higher:>7} {lower:>7}")
    print()


def main(scene: str = "mn", store: str | None = None) -> None:
    with ndis.Session(store) as session, ProxyProvider(session) as proxy:
        mux, group, cards = build(proxy, scene)
        for i, upper in enumerate(group.uppers):
            upper.send(1000 + i)
            group.receive(group.lowers[-1], upper.vlan_id, 500)
        show(session)
        print("The cable of the first card is pulled.\n")
        first = cards[0].driver
        assert isinstance(first, Card)
        first.plug(False)
        show(session)
        mux.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
