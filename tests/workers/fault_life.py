# SPDX-License-Identifier: MIT
"""
The life of two sessions on a store, always the same, while faults are put
into what they do: ``fault_life.py STORE``.

Prints a witness (``tests/soak/model.py``): each line is out before the next
thing is done.  A step that fails is noted, and the others go on: what can be
done without a step's result is done.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import ndisbridge as ndis
from ndisbridge.exceptions import NdisError
from ndisbridge.persistence import StoreError
from ndisbridge.persistence.sqlite import SqliteStore

Say = Callable[[str], None]


class Life:
    """Takes steps, and says what came of them."""

    def __init__(
        self, store: str, say: Say, typed: tuple[type[Exception], ...]
    ) -> None:
        self.store = store
        self.say = say
        self.typed = typed

    def step(self, name: str, call: Callable[[], Any]) -> Any:
        """None if it fails."""
        try:
            return call()
        except self.typed as error:
            self.say(f"note {name} {type(error).__name__} {error}")
        except BaseException as error:
            self.say(f"raw {name} {type(error).__name__} {error}")
        return None

    def change(
        self,
        what: str,
        words: str,
        call: Callable[[], Any],
        answer: Callable[[Any], str] = lambda _: "",
    ) -> Any:
        """A step that changes what lasts; True or its result if done."""
        self.say(f"{what}? {words}")
        try:
            result = call()
        except BaseException as error:
            self.say(f"{what}- {type(error).__name__}")
            how = "note" if isinstance(error, self.typed) else "raw"
            self.say(f"{how} {what} {type(error).__name__} {error}")
            return None
        self.say(f"{what}! {answer(result)}".rstrip())
        return True if result is None else result

    def _open(self) -> ndis.Session:
        # A lock that fails for ever is waited for at each step.
        return ndis.Session(SqliteStore(self.store, busy_timeout=0.1))

    def run(self) -> None:
        first = self.step("open", self._open)
        if first is not None:
            self._first(first)
        second = self.step("open", self._open)
        if second is not None:
            self._retain(second, 1)
        # The first goes last, as the one that removes the log.
        for session in (second, first):
            if session is not None:
                self.step("close", session.close)

    def _retain(self, session: ndis.Session, count: int) -> list[int] | None:
        got = self.step(
            "allocate",
            lambda: list(session.allocate_net_luid_indexes(6, count)),
        )
        if got is None:
            return None
        words = " ".join(map(str, got))
        done = self.change(
            "retain", words, lambda: session.retain_net_luid_indexes(6, got)
        )
        return got if done else None

    def _identity(
        self, provider: ndis.Provider, key: str
    ) -> ndis.Identity | None:
        return self.change(
            "identity",
            key,
            lambda: provider.identity(key, 6),
            lambda made: f"{key} {int(made.net_luid)}",
        )

    def _first(self, session: ndis.Session) -> None:
        kept = self._retain(session, 3)
        provider = self.step(
            "provider", lambda: session.register_provider("life")
        )
        if provider is not None:
            self._identities(provider)
        if kept:
            self.change(
                "release",
                str(kept[1]),
                lambda: session.release_net_luid_indexes(6, kept[1:2]),
            )
        # Whatever has happened, the session is usable or says why not.
        self._retain(session, 2)

    def _identities(self, provider: ndis.Provider) -> None:
        one = self._identity(provider, "one")
        two = self._identity(provider, "two")
        self.step(
            "temporary",
            lambda: provider.identity("temporary", 6, persistent=False),
        )
        if one is not None:
            self._use(provider, one)
        if two is not None:
            self.change("forget", f"two {int(two.net_luid)}", two.release)

    def _use(self, provider: ndis.Provider, one: ndis.Identity) -> None:
        self.change("alias", "one LAN", lambda: one.update(alias="LAN"))
        interface = self.step(
            "register", lambda: provider.register_interface(one)
        )
        if interface is not None:
            self.step("deregister", interface.deregister)


def write_line(descriptor: int) -> Say:
    """Lines that are out when it returns."""

    def say(line: str) -> None:
        raw = line.replace("\n", " ").encode(errors="replace") + b"\n"
        os.write(descriptor, raw)

    return say


def main(store: str) -> None:
    Life(store, write_line(1), (StoreError, NdisError)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
