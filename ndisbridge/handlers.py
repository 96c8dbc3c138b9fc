# SPDX-License-Identifier: MIT
"""What answers OID requests for a provider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _native


class NativeHandler:
    """
    A handler that is a C function: from C, ctypes, cffi or numba.

    Args:
        query: ``ndisbridge_if_query_object``, as an address (int) or as a
            cffi or ctypes function pointer.
        set: ``ndisbridge_if_set_object``, likewise.
        non_blocking: It neither blocks nor calls the session, so that it
            may run with the GIL held.

    The functions must outlive the provider; what is given here is kept.

    They get the ``native_context`` of each interface as
    provider_if_context, if every handler of the provider is native.  Beside
    a handler in Python, of other OIDs, provider_if_context is that
    handler's: a native one must neither dereference it nor rely on its
    value, and ``native_context`` is refused.
    """

    def __init__(
        self, query: Any = None, set: Any = None, *, non_blocking: bool = False
    ) -> None:
        if query is None and set is None:
            raise TypeError("give a query function, a set function, or both")
        self._keep = (query, set)
        self.query = 0 if query is None else _native.function_address(query)
        self.set = 0 if set is None else _native.function_address(set)
        self.flags = _native.NON_BLOCKING if non_blocking else 0


#: What answers one OID.
OidHandler = Callable[[Any, int], Any] | NativeHandler
#: What answers for a provider.
Handler = Any
