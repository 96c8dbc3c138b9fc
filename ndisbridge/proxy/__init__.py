# SPDX-License-Identifier: MIT
"""
Proxy providers: they register interfaces on behalf of those that don't.

:class:`ProxyProvider` does it for the drivers of miniport adapters and filter
modules, :mod:`ndisbridge.proxy.linux` for the links of a Linux host.
"""

from __future__ import annotations

from .adapter import MiniportAdapter
from .bindings import Binding
from .drivers import FilterDriver, MiniportDriver, ProtocolDriver
from .filters import FilterModule
from .native_miniport import NativeMiniport
from .oid_requests import OidRequest
from .oper_status import Conditions, oper_state
from .parameters import (
    BindParameters,
    FilterAttachParameters,
    GeneralAttributes,
    MiniportInitParameters,
    ProtocolRestartParameters,
)
from .provider import ProxyProvider

__all__ = [
    "BindParameters",
    "Binding",
    "Conditions",
    "FilterAttachParameters",
    "FilterDriver",
    "FilterModule",
    "GeneralAttributes",
    "MiniportAdapter",
    "MiniportDriver",
    "MiniportInitParameters",
    "NativeMiniport",
    "OidRequest",
    "ProtocolDriver",
    "ProtocolRestartParameters",
    "ProxyProvider",
    "oper_state",
]
