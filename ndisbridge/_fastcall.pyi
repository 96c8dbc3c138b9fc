# SPDX-License-Identifier: MIT
from collections.abc import Callable
from typing import Any, final

QUERY_TRAMPOLINE: int
SET_TRAMPOLINE: int

def park(exception: BaseException, /) -> None: ...
def take_parked() -> list[BaseException]: ...

@final
class SessionCore:
    def __new__(
        cls, address: int, raise_status: Callable[[int], None], /
    ) -> SessionCore: ...
    @property
    def address(self) -> int: ...
    def get_if_index(self, net_luid: int, /) -> int: ...
    def get_net_luid(self, if_index: int, /) -> int: ...
    def query_bytes(self, net_luid: int, oid: int, /) -> bytes: ...
    def query_plain(
        self, net_luid: int, oid: int, /
    ) -> int | bool | str | bytes: ...

@final
class IndexSpace:
    def __new__(
        cls, core_type: type[SessionCore], core: SessionCore, if_type: int, /
    ) -> IndexSpace: ...
    @property
    def if_type(self) -> int: ...
    def allocate(self) -> int: ...
    def free(self, net_luid_index: int, /) -> None: ...

@final
class HandlerContext:
    context: Any
    def __new__(
        cls,
        query: Callable[[Any, int], Any] | None,
        set: Callable[[Any, int, Any], Any] | None,
        oids: dict[int, Callable[[Any, int], Any]],
        context: object,
        encode: Callable[[int, Any], bytes],
        decode: Callable[[int, bytes], Any],
        /,
    ) -> HandlerContext: ...
    @property
    def address(self) -> int: ...
