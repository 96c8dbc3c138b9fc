# SPDX-License-Identifier: MIT
"""
What reading a damaged row can raise, as one error.

SQLite does not notice a flipped bit: a number may come back as text, text
as bytes that are no UTF-8, and a row may be gone.
"""

from __future__ import annotations

from types import TracebackType

from .errors import StoreCorruptError, StoreError

#: All that Python has to say about values that are not what they should be.
DAMAGE = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)


class reading:  # noqa: N801 - used like a function
    """
    Around what only reads rows, never around arguments of a caller.

    A class, because a generator costs more than most of what it is around.
    """

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, DAMAGE) and not isinstance(error, StoreError):
            raise StoreCorruptError(
                f"a row is damaged ({error}): run `ndisbridge store check`, "
                "restore a backup",
                self.path,
            ) from error
