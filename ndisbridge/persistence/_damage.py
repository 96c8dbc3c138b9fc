# SPDX-License-Identifier: MIT
"""
What reading a damaged row can raise, as one error.

SQLite does not notice a flipped bit: a number may come back as text, text
as bytes that are no UTF-8, and a row may be gone.
"""

from __future__ import annotations

from ._translating import Translating
from .errors import StoreCorruptError, StoreError

#: All that Python has to say about values that are not what they should be.
DAMAGE = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)


class reading(Translating):  # noqa: N801 - used like a function
    """Around what only reads rows, never around arguments of a caller."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def translated(self, error: BaseException) -> StoreError | None:
        if not isinstance(error, DAMAGE) or isinstance(error, StoreError):
            return None
        return StoreCorruptError(
            f"a row is damaged ({error}): run `ndisbridge store check`, "
            "restore a backup",
            self.path,
        )
