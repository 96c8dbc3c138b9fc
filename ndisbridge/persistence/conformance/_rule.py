# SPDX-License-Identifier: MIT
"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import StoreBusyError
from ._bench import Bench, OpenStore


@dataclass(frozen=True)
class Rule:
    """One rule of the protocol; call it with what opens a store."""

    name: str
    #: The rule in a sentence.
    text: str
    #: What it makes is of this IfType.
    if_type: int
    function: Callable[[Bench], None]
    #: Only for stores that lease blocks.
    leases: bool
    #: Only for stores that keep something when they are closed.
    durable: bool
    #: Only for stores that can be open twice.
    shared: bool
    #: Only for stores that have watch().
    watch: bool

    def __str__(self) -> str:
        return self.name

    def __call__(self, open_store: OpenStore, *, durable: bool = True) -> bool:
        """
        Check it.

        Args:
            open_store: Opens the store, always the same one.
            durable: False for a store that is empty whenever it is opened.

        Returns:
            False if it does not apply to this store.

        Raises:
            AssertionError: It is broken.
        """
        if (self.durable or self.shared) and not durable:
            return False
        bench = Bench(open_store, self.if_type, self.name)
        try:
            if self.leases and not bench.open().leases:
                return False
            if self.watch and not hasattr(bench.open(), "watch"):
                return False
            bench.close()
            if self.shared and not _opens_twice(bench):
                return False
            bench.close()
            self.function(bench)
        except AssertionError as error:
            raise AssertionError(f"{self.text} But: {error}") from error
        except Exception as error:
            raise AssertionError(
                f"{self.text} But: {type(error).__name__}: {error}"
            ) from error
        finally:
            bench.close()
        return True


def _opens_twice(bench: Bench) -> bool:
    bench.open()
    try:
        bench.open()
    except StoreBusyError:
        return False
    return True


class Rules(list[Rule]):
    """
    Rules of a topic, in order; each is added by decorating its function.

    Args:
        first: Their IfTypes begin here; those of IANA end far below.
    """

    def __init__(self, first: int) -> None:
        super().__init__()
        self._first = first

    def __call__(
        self,
        *,
        leases: bool = False,
        durable: bool = False,
        shared: bool = False,
        watch: bool = False,
    ) -> Callable[[Callable[[Bench], None]], Rule]:
        def add(function: Callable[[Bench], None]) -> Rule:
            text = " ".join((function.__doc__ or "").split())
            self.append(
                Rule(
                    function.__name__,
                    text,
                    self._first + len(self),
                    function,
                    leases,
                    durable,
                    shared,
                    watch,
                )
            )
            return self[-1]

        return add
