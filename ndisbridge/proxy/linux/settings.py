# SPDX-License-Identifier: MIT
"""
What the kernel is asked to change of a link of the calling thread's network
namespace, whoever has it registered.
"""

from __future__ import annotations

from typing import Any

from ..._native_linux import LinuxHandle
from ...constants import Oid
from ...exceptions import NotSupportedError
from ...interface import Interface
from ...structures import encode
from .links import LinuxLink

#: OIDs that the kernel can be asked to set.
SETTABLE = (
    Oid.GEN_ADMIN_STATUS,
    Oid.GEN_ALIAS,
    Oid.GEN_MAXIMUM_FRAME_SIZE,
    Oid.GEN_PROMISCUOUS_MODE,
)


class LinkSettings:
    """A handler whose sets go to the kernel."""

    def __init__(self, handle: LinuxHandle) -> None:
        self._handle = handle

    def set_object(self, interface: Interface, oid: int, value: Any) -> None:
        if oid not in SETTABLE:
            raise NotSupportedError
        self._handle.set(interface.if_index, oid, encode(oid, value))
        if oid == Oid.GEN_ALIAS and interface.identity is not None:
            interface.identity.update(alias=value)
        # What was set can be asked for at once, followed or not.
        link = self._handle.link(interface.if_index)
        link.publish(interface.provider.session._core, [interface.net_luid])


def set_link(if_index: int, oid: int, value: Any) -> None:
    """
    Set an OID of a link, one of :data:`SETTABLE`.

    Raises:
        NdisError: The status of the kernel's refusal; its text is the
            kernel's.
    """
    handle = LinuxHandle()
    try:
        handle.set(if_index, oid, encode(oid, value))
    finally:
        handle.close()


def write_tag(link: LinuxLink, net_luid: int) -> None:
    """
    Write a NET_LUID onto a link, as an altname that goes with it wherever it
    goes, in the place of the one that it has; 0: only take that off.

    Raises:
        OSError: The kernel refused; EEXIST if another link has that tag.
    """
    if link.tagged_net_luid == net_luid:
        return
    handle = LinuxHandle()
    try:
        handle.tag(link.if_index, net_luid, link.tagged_net_luid)
    finally:
        handle.close()
