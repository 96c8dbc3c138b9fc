# SPDX-License-Identifier: MIT
"""
The state of a miniport adapter: its link, the conditions that its
operational status follows from, and those who are told when it changes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..constants import (
    MediaConnectState,
    MediaDuplexState,
    StatusIndication,
)
from ..exceptions import InvalidParameterError
from ..structures import LinkState, OperState
from .drivers import tell
from .endpoints import Endpoint
from .indications import Indications
from .oper_status import Conditions, oper_state

if TYPE_CHECKING:
    from .adapter import MiniportAdapter
    from .bindings import Binding
    from .filters import FilterModule


def _now() -> int:
    """Milliseconds since the machine started."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000


class AdapterState:
    """
    The state of one adapter, published for it and for its filter modules,
    which follow it.

    Any thread may change it.  It is published under a lock, in which no
    driver is called; what drivers are told waits until that is released.
    """

    def __init__(self, adapter: MiniportAdapter) -> None:
        self._adapter = adapter
        self._lock = threading.Lock()
        self._indications = Indications()
        self._link: LinkState | None = None
        self._promiscuous = False
        #: What the operational status follows from.
        self.conditions = Conditions(paused=True)

    @property
    def link_state(self) -> LinkState:
        """What was indicated last, or what the attributes say."""
        if self._link is not None:
            return self._link
        attributes = self._adapter.attributes
        return LinkState(
            attributes.media_connect_state,
            attributes.media_duplex_state,
            attributes.xmit_link_speed,
            attributes.rcv_link_speed,
            attributes.supported_pause_functions,
            attributes.auto_negotiation_flags,
        )

    # -- changes

    def begin(self) -> None:
        """
        Take the link from the attributes, unless one has been indicated.

        Raises:
            InvalidParameterError: There is no such link state.
        """
        with self._lock:
            link = self.link_state
            _check_link(link)
            self._take_media_state(link)

    def indicate_status(self, status_code: int, value: Any) -> None:
        """See :meth:`MiniportAdapter.indicate_status`."""
        if status_code == StatusIndication.OPER_STATUS:
            raise InvalidParameterError(
                "miniport drivers must not indicate OPER_STATUS: the proxy "
                "does, from the link state and from what is reported"
            )
        if status_code == StatusIndication.LINK_STATE:
            if not isinstance(value, LinkState):
                raise InvalidParameterError(
                    "LINK_STATE comes with a LinkState"
                )
            _check_link(value)
        with self._lock:
            if status_code == StatusIndication.LINK_STATE:
                self._link = value
                self._take_media_state(value)
                self._publish(self._values())
            self._indicate(status_code, value)
        self._indications.deliver()

    def update(self, **changes: Any) -> None:
        """
        Change conditions, publish what follows, and tell of it; what is
        None stays.
        """
        with self._lock:
            self.conditions = replace(
                self.conditions,
                **{
                    name: each
                    for name, each in changes.items()
                    if each is not None
                },
            )
            # Also what a filter module has missed while it was registered.
            self._publish(self._values())
        self._indications.deliver()

    def catch_up(
        self, binding: Binding, link: LinkState, oper: OperState
    ) -> None:
        """Tell a new binding what has changed while it was being made."""

        def deliver() -> None:
            adapter = self._adapter
            for code, before, now in (
                (StatusIndication.LINK_STATE, link, adapter.link_state),
                (StatusIndication.OPER_STATUS, oper, adapter.oper_state),
            ):
                if now != before and binding in adapter.bindings:
                    tell(binding.protocol, "status", binding, code, now)

        self._indications.add(deliver)
        self._indications.deliver()

    def set_promiscuous(self, promiscuous: bool) -> None:
        """Publish ifPromiscuousMode: the packet filter has been set."""
        with self._lock:
            self._promiscuous = promiscuous
            self._publish(self._values())

    def _take_media_state(self, link: LinkState) -> None:
        self.conditions = replace(
            self.conditions, media_connect_state=link.media_connect_state
        )

    # -- publishing; the lock is held

    def begin_publishing(self, endpoint: Endpoint, alias: str) -> None:
        """Publish all values of an interface that is registered now."""
        with self._lock:
            self._publish_one(
                endpoint,
                replace(self.conditions, paused=True),
                {
                    **self._values(),
                    "alias": alias,
                    "mtu": self._adapter.attributes.mtu_size,
                    "in_unknown_protos": 0,
                    "counter_discontinuity_time": (
                        _now() if endpoint.is_known else 0
                    ),
                },
            )

    def _values(self) -> dict[str, Any]:
        """What all interfaces of the adapter have in common, and varies."""
        link = self.link_state
        return {
            "admin_status": self.conditions.admin_status,
            "promiscuous_mode": self._promiscuous,
            "media_connect_state": link.media_connect_state,
            "media_duplex_state": link.media_duplex_state,
            "xmit_link_speed": link.xmit_link_speed,
            "rcv_link_speed": link.rcv_link_speed,
        }

    def _publish(self, values: Mapping[str, Any]) -> None:
        adapter = self._adapter
        self._publish_one(adapter.endpoint, self.conditions, values)
        for module in adapter.filters:
            self._publish_one(
                module.endpoint, self._conditions_of(module), values
            )

    def _conditions_of(self, module: FilterModule) -> Conditions:
        """Those of a filter module: its adapter's, and its own pause."""
        if module.paused:
            return replace(self.conditions, paused=True)
        return self.conditions

    def _publish_one(
        self,
        endpoint: Endpoint,
        conditions: Conditions,
        values: Mapping[str, Any],
    ) -> None:
        if endpoint.interface is None:
            return
        state = oper_state(conditions)
        before, endpoint.oper_state = endpoint.oper_state, state
        values = {
            **values,
            "oper_status": state.operational_status,
            "oper_status_flags": state.operational_status_flags,
        }
        if (
            before is None
            or before.operational_status != state.operational_status
        ):
            values["last_change"] = _now()
        endpoint.publish(values)
        if before not in {None, state} and not endpoint.is_filter:
            self._indicate(StatusIndication.OPER_STATUS, state)

    def _indicate(self, status_code: int, value: Any) -> None:
        def deliver() -> None:
            adapter = self._adapter
            # Some may leave while others are told.
            for module in adapter.filters:
                if module in adapter.filters:
                    tell(module.driver, "status", status_code, value)
            for binding in adapter.bindings:
                if binding in adapter.bindings:
                    protocol = binding.protocol
                    tell(protocol, "status", binding, status_code, value)

        self._indications.add(deliver)


def _check_link(link: LinkState) -> None:
    try:
        MediaConnectState(link.media_connect_state)
        MediaDuplexState(link.media_duplex_state)
    except ValueError as error:
        raise InvalidParameterError(f"no such link state: {error}") from None
    if not (
        0 <= link.xmit_link_speed < 1 << 64
        and 0 <= link.rcv_link_speed < 1 << 64
    ):
        raise InvalidParameterError("a link speed is a 64-bit number")
