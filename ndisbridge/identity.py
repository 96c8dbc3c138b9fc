# SPDX-License-Identifier: MIT
"""The identity of an interface, which its store keeps."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import _native_structures
from .constants import IfType
from .exceptions import InvalidParameterError
from .net_luid import NetLuid
from .persistence import IdentityRecord

if TYPE_CHECKING:
    from .provider import Provider

_SURROGATE = re.compile("[\ud800-\udfff]")


def check_alias(alias: str) -> None:
    """Raise InvalidParameterError unless it can be an ifAlias."""
    _native_structures.limited_utf16(alias, "an alias")
    if _SURROGATE.search(alias):
        raise InvalidParameterError("an alias has no surrogates")


class Identity:
    """
    The identity of one interface, as its store has it.

    Made by :meth:`Provider.identity`; the same one after every restart.
    Any thread may use it; of two that update it at once, the store keeps
    the values of the one that came last.
    """

    def __init__(self, provider: Provider, record: IdentityRecord) -> None:
        self._provider = provider
        #: The store's record, as last seen.
        self.record = record

    @property
    def key(self) -> str:
        """The provider's own name for the interface."""
        return self.record.key

    @property
    def net_luid(self) -> NetLuid:
        """The NET_LUID, for ever."""
        return NetLuid(self.record.net_luid)

    @property
    def interface_guid(self) -> uuid.UUID:
        """The interface GUID, for ever."""
        return self.record.interface_guid

    @property
    def if_type(self) -> IfType:
        """IANA ifType, frozen with the NET_LUID."""
        return self.net_luid.if_type

    @property
    def persistent(self) -> bool:
        """Whether it outlives the session that made it."""
        return self.record.persistent

    @property
    def if_index(self) -> int:
        """ifIndex: the identity's own, or a kernel's as last seen; 0 none."""
        return self.record.if_index

    @property
    def alias(self) -> str:
        """ifAlias."""
        return self.record.alias

    def update(
        self,
        *,
        alias: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """
        Change the alias or the attributes in the store, durably.

        Raises:
            InvalidParameterError: The alias has more than 256 UTF-16 units,
                a NUL or a surrogate.
            StoreUncertainError: The disk failed in the commit: either may
                be so.
            StoreError: The store refused; nothing is changed.
        """
        changes: dict[str, Any] = {}
        if alias is not None:
            check_alias(alias)
            changes["alias"] = alias
        if attributes is not None:
            changes["attributes"] = dict(attributes)
        if changes:
            session = self._provider.session
            session._check_process()
            session.store.update(self.record.net_luid, **changes)
            self.record = replace(self.record, **changes)

    def release(self) -> None:
        """
        Give the identity up for good: its NET_LUID may be another's next
        (NdisIfFreeNetLuidIndex).

        Raises:
            InUseError: It is registered here.
            IdentityInUseError: Another process has it registered.
            NotRetainedError: It is released already.
            StoreError: The store refused; it is kept.
        """
        self._provider.session.release(self)

    def __repr__(self) -> str:
        return f"<ndisbridge.Identity {self.key!r} {self.net_luid.name}>"
