# SPDX-License-Identifier: MIT
"""
Miniport drivers in C: from C, cffi, ctypes or numba.
"""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING, Any

from .. import _native_miniport
from .._native import NON_BLOCKING, function_address
from ..constants import StatusIndication
from ..exceptions import InvalidStateError, NotSupportedError
from ..structures import LinkState, decode, encode
from .parameters import GeneralAttributes, MiniportInitParameters

if TYPE_CHECKING:
    from .adapter import MiniportAdapter
    from .oid_requests import OidRequest


class NativeMiniport:
    """
    A miniport driver whose functions are C; one object for each adapter.

    Args:
        oid_query: ``ndisbridge_if_query_object``, as an address (int) or as
            a cffi or ctypes function pointer.
        oid_set: ``ndisbridge_if_set_object``, likewise.
        initialize: ``ndisbridge_miniport_initialize``, likewise.
        halt: ``ndisbridge_miniport_halt``, likewise.
        context: The driver context, as an address or as a pointer; first
            argument of all.
        non_blocking: ``oid_query`` neither blocks nor calls the session, so
            that it may run with the GIL held.
        attributes: What ``initialize`` finds in its attributes; without it,
            what they are.

    The functions and the context must outlive the adapter; what is given
    here is kept.  Where no filter
    module wants an OID, ``oid_query`` is what the interface answers by: from
    C it is reached without Python.
    """

    def __init__(
        self,
        oid_query: Any = None,
        oid_set: Any = None,
        *,
        initialize: Any = None,
        halt: Any = None,
        context: Any = 0,
        non_blocking: bool = False,
        attributes: GeneralAttributes | None = None,
    ) -> None:
        functions = (oid_query, oid_set, initialize, halt)
        self._keep: tuple[Any, ...] = (*functions, context)
        self._query, self._set, self._initialize, self._halt = (
            0 if each is None else function_address(each) for each in functions
        )
        self.flags = NON_BLOCKING if non_blocking else 0
        self.attributes = attributes or GeneralAttributes()
        self._driver_context = function_address(context)
        self._adapter_context = self._driver_context
        self._handle = 0
        #: The adapter that it is the driver of, or is about to be.
        self._adapter: MiniportAdapter | None = None
        self._taking = threading.Lock()

    @classmethod
    def from_characteristics(
        cls, characteristics: Any, *, context: Any = 0
    ) -> NativeMiniport:
        """
        The driver of an ``ndisbridge_miniport_driver_characteristics``,
        given as an address, or as a cffi or ctypes pointer.

        Raises:
            InvalidParameterError: It has unknown flags, or is NULL.
            NotSupportedError: It is of an unknown revision.
        """
        found = _native_miniport.characteristics(characteristics)
        flags = found.pop("flags")
        functions: dict[str, Any] = {
            name: each or None for name, each in found.items()
        }
        made = cls(
            **functions,
            context=context,
            non_blocking=bool(flags & NON_BLOCKING),
        )
        made._keep = (*made._keep, characteristics)
        return made

    @property
    def query_address(self) -> int:
        """Address of ``oid_query``, 0 if there is none."""
        return self._query

    @property
    def adapter_context(self) -> int:
        """First argument of its functions."""
        return self._adapter_context

    # -- as any driver

    def initialize(
        self, adapter: MiniportAdapter, parameters: MiniportInitParameters
    ) -> GeneralAttributes:
        # One of two threads that come at the same time finds the other's.
        with self._taking:
            if self._adapter is not None:
                raise InvalidStateError(
                    f"it is the driver of {self._adapter!r}"
                )
            self._adapter = adapter
        try:
            return self._told(adapter, parameters)
        except BaseException:
            self._adapter = None
            raise

    def _told(
        self, adapter: MiniportAdapter, parameters: MiniportInitParameters
    ) -> GeneralAttributes:
        if not self._initialize:
            return self.attributes
        usual = dataclasses.asdict(self.attributes)
        if usual["if_type"] is None:
            usual["if_type"] = parameters.net_luid.if_type
        if usual["if_connector_present"] is None:
            usual["if_connector_present"] = not adapter.virtual

        def indicate(status_code: int, raw: bytes) -> None:
            value: Any = raw
            if status_code == StatusIndication.LINK_STATE:
                value = LinkState.from_bytes(raw)
            adapter.indicate_status(status_code, value)

        self._handle, self._adapter_context, told = (
            _native_miniport.initialize(
                self._initialize,
                self._driver_context,
                indicate,
                {
                    "if_index": parameters.if_index,
                    "net_luid": parameters.net_luid,
                },
                usual,
                self._halt,
            )
        )
        return GeneralAttributes(**told)

    def oid_request(self, request: OidRequest) -> Any:
        oid = request.oid
        if request.is_set:
            if not self._set:
                raise NotSupportedError
            raw = encode(oid, request.value)
            _native_miniport.set_(self._set, self._adapter_context, oid, raw)
            return None
        if not self._query:
            raise NotSupportedError
        return decode(
            oid,
            _native_miniport.query(self._query, self._adapter_context, oid),
        )

    def halt(self) -> None:
        try:
            _native_miniport.halt(
                self._halt, self._adapter_context, self._handle
            )
        finally:
            self._adapter = None
            self._adapter_context = self._driver_context
