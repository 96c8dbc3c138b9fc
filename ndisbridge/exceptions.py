# SPDX-License-Identifier: MIT
"""
One exception class per failure status of the core.

Errors of stores have classes of their own, in :mod:`ndisbridge.persistence`.
"""

from __future__ import annotations

from typing import ClassVar

from ._ndisbridge import lib

_classes: dict[int, type[NdisError]] = {}


class NdisError(Exception):
    """
    Superclass of all errors that the core reports, and the error itself for
    NDIS_STATUS_FAILURE and for statuses that only a provider knows.
    """

    #: The NDIS_STATUS, as a signed 32-bit number.
    status: int = lib.NDISBRIDGE_STATUS_FAILURE

    _default: ClassVar[str] = "the operation failed"

    def __init_subclass__(cls, *, status: int, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.status = status
        text = " ".join((cls.__doc__ or "").split())
        cls._default = text.rstrip(".")
        _classes[status] = cls

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self._default)


class ResourcesError(NdisError, status=int(lib.NDISBRIDGE_STATUS_RESOURCES)):
    """Nothing is left to hand out, or there is no memory."""


class InvalidParameterError(
    NdisError, ValueError, status=int(lib.NDISBRIDGE_STATUS_INVALID_PARAMETER)
):
    """An argument is invalid here: out of range, not allocated or unknown."""


class NotSupportedError(
    NdisError, status=int(lib.NDISBRIDGE_STATUS_NOT_SUPPORTED)
):
    """The interface does not answer this OID, or does not take it."""


class InvalidStateError(
    NdisError, status=int(lib.NDISBRIDGE_STATUS_INVALID_STATE)
):
    """The session is closed, or the call came from one of its own hooks."""


class AccessDeniedError(
    NdisError, PermissionError, status=int(lib.NDISBRIDGE_STATUS_ACCESS_DENIED)
):
    """The system does not let this process do it."""


class DuplicateObjectIdError(
    NdisError, status=int(lib.NDISBRIDGE_STATUS_DUPLICATE_OBJECTID)
):
    """The NET_LUID is registered already."""


class InvalidLengthError(
    NdisError, ValueError, status=int(lib.NDISBRIDGE_STATUS_INVALID_LENGTH)
):
    """The value does not have the length of the OID."""


class InvalidDataError(
    NdisError, status=int(lib.NDISBRIDGE_STATUS_INVALID_DATA)
):
    """A handler's answer breaks the rules of its OID."""


class BufferTooShortError(
    NdisError, status=int(lib.NDISBRIDGE_STATUS_BUFFER_TOO_SHORT)
):
    """The buffer is too short for the answer."""


class InvalidOidError(
    NdisError, LookupError, status=int(lib.NDISBRIDGE_STATUS_INVALID_OID)
):
    """There is no such OID, and the provider has none of its own."""


class InterfaceNotFoundError(
    NdisError,
    LookupError,
    status=int(lib.NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND),
):
    """No registered interface has that NET_LUID or interface index."""


class StackLoopError(
    NdisError, ValueError, status=int(lib.NDISBRIDGE_STATUS_STACK_LOOP)
):
    """The row would close a loop in the interface stack."""


class ProviderHasInterfacesError(
    NdisError, status=int(lib.NDISBRIDGE_STATUS_PROVIDER_HAS_INTERFACES)
):
    """The provider still has registered interfaces."""


class InOwnHandlerError(
    NdisError, status=int(lib.NDISBRIDGE_STATUS_IN_OWN_HANDLER)
):
    """A handler cannot deregister the interface that it answers for."""


class NdisTimeoutError(
    NdisError, TimeoutError, status=int(lib.NDISBRIDGE_STATUS_TIMEOUT)
):
    """A handler was still running when the deadline passed."""


class InUseError(NdisError, status=int(lib.NDISBRIDGE_STATUS_IN_USE)):
    """It is taken, by somebody here or by another session of the store."""


class LeaseLostStatusError(
    NdisError, status=int(lib.NDISBRIDGE_STATUS_LEASE_LOST)
):
    """The store has given this session's leases to another."""


class ForkedError(NdisError, status=int(lib.NDISBRIDGE_STATUS_FORKED)):
    """The session belongs to the parent process; open one after fork()."""


def error_for(status: int, message: str | None = None) -> NdisError:
    """
    The exception for a failure status; an unknown one makes an
    :class:`NdisError` that carries it.
    """
    found = _classes.get(status)
    if found is not None:
        return found(message)
    error = NdisError(
        message or f"the provider answered 0x{status & 0xFFFFFFFF:08X}"
    )
    error.status = status
    return error
