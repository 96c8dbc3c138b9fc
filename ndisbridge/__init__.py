# SPDX-License-Identifier: MIT
"""
Windows-grade interface identity, in user space, for any program.

NDIS lets a driver register as an interface provider: it allocates a
NET_LUID index for each new interface, retains the NET_LUID, registers the
interface, uses the same NET_LUID after every restart, answers OID requests
for it, deregisters it when it is shut down, and releases the index when it
is removed for good.  This package is that service as a library, over a
lock-free C core.

Start with :class:`Session`.
"""

from __future__ import annotations

from . import constants, exceptions, persistence, structures
from ._event_thread import Subscription
from ._native import library_version as _library_version
from .constants import (
    IF_INDEX_FIRST_LINUX,
    IF_INDEX_MAX,
    LINK_SPEED_UNKNOWN,
    NET_LUID_INDEX_MAX,
    EventKind,
    IdentityChangeKind,
    IfAccessType,
    IfAdminStatus,
    IfConnectionType,
    IfDirectionType,
    IfFlags,
    IfIndexPolicy,
    IfOperStatus,
    IfOperStatusFlags,
    IfTableLevel,
    IfType,
    IndexState,
    LinkTransition,
    MediaConnectState,
    MediaDuplexState,
    Medium,
    Oid,
    PhysicalMedium,
    StatisticsFlagsValid,
    StatisticsSupported,
    StatusCode,
    TunnelType,
)
from .embedding import get_include, get_library, get_pkg_config_dir
from .events import Event, EventStream, PublishedFields
from .exceptions import (
    AccessDeniedError,
    BufferTooShortError,
    DuplicateObjectIdError,
    ForkedError,
    InOwnHandlerError,
    InterfaceNotFoundError,
    InUseError,
    InvalidDataError,
    InvalidLengthError,
    InvalidOidError,
    InvalidParameterError,
    InvalidStateError,
    LeaseLostStatusError,
    NdisError,
    NdisTimeoutError,
    NotSupportedError,
    ProviderHasInterfacesError,
    ResourcesError,
    StackLoopError,
)
from .handlers import NativeHandler
from .identity import Identity
from .interface import Interface, InterfaceInformation
from .net_luid import NetLuid
from .persistence import (
    IdentityConflictError,
    IdentityInUseError,
    IdentityRecord,
    LeaseLostError,
    NotRetainedError,
    Store,
    StoreError,
    StoreUncertainError,
)
from .provider import Provider
from .query_results import QueryResults
from .session import IndexCounts, Session

__version__ = _library_version()

__all__ = [
    "IF_INDEX_FIRST_LINUX",
    "IF_INDEX_MAX",
    "LINK_SPEED_UNKNOWN",
    "NET_LUID_INDEX_MAX",
    "AccessDeniedError",
    "BufferTooShortError",
    "DuplicateObjectIdError",
    "Event",
    "EventKind",
    "EventStream",
    "ForkedError",
    "Identity",
    "IdentityChangeKind",
    "IdentityConflictError",
    "IdentityInUseError",
    "IdentityRecord",
    "IfAccessType",
    "IfAdminStatus",
    "IfConnectionType",
    "IfDirectionType",
    "IfFlags",
    "IfIndexPolicy",
    "IfOperStatus",
    "IfOperStatusFlags",
    "IfTableLevel",
    "IfType",
    "InOwnHandlerError",
    "InUseError",
    "IndexCounts",
    "IndexState",
    "Interface",
    "InterfaceInformation",
    "InterfaceNotFoundError",
    "InvalidDataError",
    "InvalidLengthError",
    "InvalidOidError",
    "InvalidParameterError",
    "InvalidStateError",
    "LeaseLostError",
    "LeaseLostStatusError",
    "LinkTransition",
    "MediaConnectState",
    "MediaDuplexState",
    "Medium",
    "NativeHandler",
    "NdisError",
    "NdisTimeoutError",
    "NetLuid",
    "NotRetainedError",
    "NotSupportedError",
    "Oid",
    "PhysicalMedium",
    "Provider",
    "ProviderHasInterfacesError",
    "PublishedFields",
    "QueryResults",
    "ResourcesError",
    "Session",
    "StackLoopError",
    "StatisticsFlagsValid",
    "StatisticsSupported",
    "StatusCode",
    "Store",
    "StoreError",
    "StoreUncertainError",
    "Subscription",
    "TunnelType",
    "constants",
    "exceptions",
    "get_include",
    "get_library",
    "get_pkg_config_dir",
    "persistence",
    "structures",
]
