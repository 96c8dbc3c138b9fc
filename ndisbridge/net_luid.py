# SPDX-License-Identifier: MIT
"""
NET_LUIDs: the identity of an interface, as a number and as text.
"""

from __future__ import annotations

import re

from . import _native
from .constants import NET_LUID_INDEX_MAX, IfType
from .exceptions import InvalidParameterError

_NDISKD = re.compile(r"([0-9a-f]{1,4}):([0-9a-f]{1,6})", re.IGNORECASE)
_NUMBER = re.compile(r"0x([0-9a-f]{1,16})|([0-9]{1,20})", re.IGNORECASE)


class NetLuid(int):
    """
    A NET_LUID: IfType in bits 48 to 63, NET_LUID index in bits 24 to 47.

    It is an int, and goes wherever an int goes.

    >>> luid = NetLuid.make(IfType.ETHERNET_CSMACD, 32768)
    >>> luid.name
    'ethernet_32768'
    >>> hex(luid)
    '0x6008000000000'
    >>> NetLuid.parse("ethernet_32768") == luid
    True
    """

    __slots__ = ()

    @classmethod
    def make(cls, if_type: int, net_luid_index: int) -> NetLuid:
        """
        Make a NET_LUID (NDIS_MAKE_NET_LUID, but with its ranges checked).

        Args:
            if_type: IANA ifType, 1 .. 65535.
            net_luid_index: 0 .. NET_LUID_INDEX_MAX (0xFFFFFF).

        Raises:
            InvalidParameterError: One of them is out of range.
        """
        return cls(_native.make_net_luid(if_type, net_luid_index))

    @classmethod
    def parse(cls, text: str) -> NetLuid:
        """
        Read a NET_LUID: its name (``ethernet_32768``, ``iftype53_7``, in
        any case), a decimal number, a hexadecimal one with ``0x``, or the
        debugger's ``06:8001``.

        Raises:
            InvalidParameterError: It is none of these, or out of range.
        """
        text = text.strip()
        if "_" in text and not text[0].isdigit():
            return cls(_native.net_luid_from_name(text))
        pair = _NDISKD.fullmatch(text)
        if pair is not None:
            return cls.make(int(pair[1], 16), int(pair[2], 16))
        digits = _NUMBER.fullmatch(text)
        if digits is None:
            raise InvalidParameterError(
                f"{text!r} is not a NET_LUID: give a name such as "
                "ethernet_32768, or a number"
            )
        number = int(digits[1], 16) if digits[1] else int(digits[2])
        if not 0 < number >> 48 <= 0xFFFF or number & 0xFFFFFF:
            raise InvalidParameterError(
                f"{text!r} is not a NET_LUID: bits 48 to 63 hold its IfType, "
                "bits 0 to 23 are 0"
            )
        return cls(number)

    @property
    def if_type(self) -> IfType:
        """IANA ifType; a number without a name makes a nameless member."""
        return IfType(self >> 48)

    @property
    def net_luid_index(self) -> int:
        """0 .. 0xFFFFFF, unique among the NET_LUIDs of the IfType."""
        return (self >> 24) & NET_LUID_INDEX_MAX

    @property
    def name(self) -> str:
        """ifName (RFC 2863), such as ``ethernet_32768``."""
        return _native.net_luid_to_name(self)

    def __repr__(self) -> str:
        return f"NetLuid(0x{self:016x})"

    def __str__(self) -> str:
        return f"0x{self:016x}"
