# SPDX-License-Identifier: MIT
"""
What RFC 2863 (IF-MIB) wants and NDIS does not have, as pure functions.

NDIS speaks of bit/s and of milliseconds since the machine started, and its
stack table has no rows for the ends of a stack.  An SNMP agent on top of a
session converts by these.  None has state; all may be called from any
thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from .constants import LINK_SPEED_UNKNOWN, IfOperStatus

#: Greatest Gauge32, which stands for "this or more".
GAUGE32_MAX = 0xFFFFFFFF
_TICKS_MODULUS = 1 << 32


def if_speed(bits_per_second: int) -> int:
    """
    ifSpeed of a link.

    Args:
        bits_per_second: The speed, as OID_GEN_XMIT_LINK_SPEED answers it.

    Returns:
        bit/s, at most 4294967295 (then ifHighSpeed has the speed); 0 if it
        is not known.
    """
    if bits_per_second == LINK_SPEED_UNKNOWN:
        return 0
    return min(bits_per_second, GAUGE32_MAX)


def if_high_speed(bits_per_second: int) -> int:
    """
    ifHighSpeed of a link.

    Args:
        bits_per_second: The speed, as OID_GEN_XMIT_LINK_SPEED answers it.

    Returns:
        10^6 bit/s: n for a speed of n * 10^6 - 500000 up to
        n * 10^6 + 499999; 0 if it is not known.
    """
    if bits_per_second == LINK_SPEED_UNKNOWN:
        return 0
    return min((bits_per_second + 500_000) // 1_000_000, GAUGE32_MAX)


def time_ticks(milliseconds: int, agent_start: int) -> int:
    """
    ifLastChange and ifCounterDiscontinuityTime.

    Args:
        milliseconds: The moment, in ms since the machine started; 0 is
            NDIS's "never, or not known".
        agent_start: When the agent was last re-initialised, likewise.

    Returns:
        Hundredths of a second of the agent's sysUpTime, which starts again
        at 0 after 497 days; 0 for a moment before the agent's start.
    """
    if milliseconds <= agent_start:
        return 0
    return (milliseconds - agent_start) // 10 % _TICKS_MODULUS


def if_stack_rows(
    rows: Iterable[tuple[int, int]] | memoryview, if_indexes: Iterable[int]
) -> list[tuple[int, int]]:
    """
    ifStackTable: the rows of a stack with those that mark its ends.

    Args:
        rows: (higher, lower) pairs of ifIndexes, or what
            :meth:`Session.if_stack_table` returns.
        if_indexes: All registered ifIndexes.

    Returns:
        The rows, (0, x) for every x with nothing above it and (x, 0) for
        every x with nothing below it, ordered by (higher, lower).  With the
        members of each swapped it is ifInvStackTable (RFC 2864).
    """
    # Python does not iterate over memory of two dimensions.
    pairs: Any = rows.tolist() if isinstance(rows, memoryview) else rows
    found = {(int(higher), int(lower)) for higher, lower in pairs}
    has_higher = {lower for _, lower in found}
    has_lower = {higher for higher, _ in found}
    for if_index in if_indexes:
        if if_index not in has_higher:
            found.add((0, if_index))
        if if_index not in has_lower:
            found.add((if_index, 0))
    return sorted(found)


def link_up_down(
    before: int, after: int
) -> Literal["linkUp", "linkDown"] | None:
    """
    The notification that a change of ifOperStatus calls for.

    linkDown is about to be sent when *down* is entered from any state but
    notPresent, linkUp when *down* is left for any state but notPresent.

    Args:
        before: IfOperStatus until now.
        after: IfOperStatus from now on.

    Returns:
        The name of the notification, or None for none.
    """
    if before == after or IfOperStatus.NOT_PRESENT in {before, after}:
        return None
    if after == IfOperStatus.DOWN:
        return "linkDown"
    if before == IfOperStatus.DOWN:
        return "linkUp"
    return None
