# SPDX-License-Identifier: MIT
"""
What reading a damaged row can raise, as one error.

SQLite does not notice a flipped bit: a number may come back as text, text
as bytes that are no UTF-8, and a row may be gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import StoreCorruptError, StoreError

#: All that Python has to say about values that are not what they should be.
DAMAGE = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Around what only reads rows, never around arguments of a caller."""
    try:
        yield
    except StoreError:
        raise
    except DAMAGE as error:
        raise StoreCorruptError(
            f"a row is damaged ({error}): run `ndisbridge store check`, "
            "restore a backup",
            path,
        ) from error
