# SPDX-License-Identifier: MIT
"""
Goes through the life of an adapter with two filter modules, step by step, and
stops after one of them until it is killed: ``proxy_steps.py STORE STEP``.
"""

from __future__ import annotations

import sys

from steps import stop_if

import ndisbridge as ndis
from ndisbridge.proxy import ProxyProvider

STEPS = (
    "proxy",
    "initializing",
    "installed",
    "attaching",
    "attached",
    "two attached",
    "detaching",
    "detach: deregistered",
    "detached",
    "uninstalling",
    "uninstall: filters gone",
    "halting",
    "uninstalled",
)


def main(store: str, step: str) -> None:
    session = ndis.Session(store)
    proxy = ProxyProvider(session)
    stop_if(step, "proxy")

    def stop(reached: str) -> None:
        stop_if(step, reached, *sorted(each.key for each in known()))

    def known() -> list[ndis.IdentityRecord]:
        return list(session.identities())

    class Card:
        def initialize(self, adapter, parameters):
            stop("initializing")

        def halt(self) -> None:
            stop("halting")

    class Filter:
        def attach(self, module, parameters):
            stop("attaching")

        def detach(self) -> None:
            # Its interface is deregistered, its NET_LUID not yet released.
            stop("detach: deregistered")

    adapter = proxy.install("eth", Card())
    stop("installed")
    first = adapter.attach(Filter(), "f")
    stop("attached")
    second = adapter.attach(object(), "g")
    stop("two attached")

    def note_leaving(identity: ndis.Identity, **keywords) -> None:
        leave(identity, **keywords)
        stop("uninstalling" if identity.key == "eth" else "detaching")

    leave = proxy.identities.leave
    proxy.identities.leave = note_leaving  # type: ignore[method-assign]
    first.detach()
    stop("detached")
    remove = adapter.stack.remove

    def note_removed(*arguments, **keywords) -> None:
        remove(*arguments, **keywords)
        stop("uninstall: filters gone")

    adapter.stack.remove = note_removed  # type: ignore[method-assign]
    assert adapter.filters == (second,)
    adapter.uninstall()
    stop("uninstalled")


if __name__ == "__main__":
    main(*sys.argv[1:])
