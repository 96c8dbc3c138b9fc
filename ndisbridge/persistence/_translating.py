# SPDX-License-Identifier: MIT
"""Raising one error as another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType

from .errors import StoreError


class Translating(ABC):
    """
    Around what raises errors that are to be a store's.

    A class, because a generator costs more than most of what it is around.
    """

    __slots__ = ()

    @abstractmethod
    def translated(self, error: BaseException) -> StoreError | None:
        """What to raise for an error; None to let it pass."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            found = self.translated(error)
            if found is not None:
                raise found from error
