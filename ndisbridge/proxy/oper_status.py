# SPDX-License-Identifier: MIT
"""
Operational status: what it follows from, and why it is what it is.

NDIS says which cause gives which status and which reason flag; of several
causes it does not say which one wins.  Here NOT_PRESENT goes before DOWN,
then come LOWER_LAYER_DOWN, DORMANT and UP.  An adapter under test is TESTING
whatever its link does, as RFC 2863 has it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..constants import (
    IfAdminStatus,
    IfOperStatus,
    IfOperStatusFlags,
    MediaConnectState,
)
from ..structures import OperState


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the operational status of an interface follows from."""

    #: The hardware is there, and not taken by something else.
    present: bool = True
    #: What the administrator wants.
    admin_status: int = IfAdminStatus.UP
    #: The default port is authenticated (802.1X), or need not be.
    port_authenticated: bool = True
    #: UNKNOWN does not make it DOWN: so says a link in low power.
    media_connect_state: int = MediaConnectState.UNKNOWN
    #: What it runs on is not UP: for virtual adapters.
    lower_layer_down: bool = False
    #: Paused or pausing.
    paused: bool = False
    #: In a low power state.
    low_power: bool = False


def oper_state(conditions: Conditions) -> OperState:
    """
    NDIS_OPER_STATE of an interface: ifOperStatus of the strongest cause,
    and the flags of all causes that have one.

    Flags are told with DOWN and DORMANT only.

    >>> oper_state(Conditions(paused=True)).operational_status.name
    'DORMANT'
    """
    status = _status(conditions)
    flags = IfOperStatusFlags(0)
    if status in {IfOperStatus.DOWN, IfOperStatus.DORMANT}:
        flags = _flags(conditions)
    return OperState(status, flags)


def _status(conditions: Conditions) -> IfOperStatus:
    if not conditions.present:
        return IfOperStatus.NOT_PRESENT
    if conditions.admin_status == IfAdminStatus.TESTING:
        return IfOperStatus.TESTING
    if (
        conditions.admin_status == IfAdminStatus.DOWN
        or not conditions.port_authenticated
        or conditions.media_connect_state == MediaConnectState.DISCONNECTED
    ):
        return IfOperStatus.DOWN
    if conditions.lower_layer_down:
        return IfOperStatus.LOWER_LAYER_DOWN
    if conditions.paused or conditions.low_power:
        return IfOperStatus.DORMANT
    return IfOperStatus.UP


def _flags(conditions: Conditions) -> IfOperStatusFlags:
    flags = IfOperStatusFlags(0)
    if not conditions.port_authenticated:
        flags |= IfOperStatusFlags.DOWN_NOT_AUTHENTICATED
    if conditions.media_connect_state == MediaConnectState.DISCONNECTED:
        flags |= IfOperStatusFlags.DOWN_NOT_MEDIA_CONNECTED
    if conditions.paused:
        flags |= IfOperStatusFlags.DORMANT_PAUSED
    if conditions.low_power:
        flags |= IfOperStatusFlags.DORMANT_LOW_POWER
    return flags
