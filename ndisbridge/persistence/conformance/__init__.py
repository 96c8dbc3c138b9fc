# SPDX-License-Identifier: MIT
"""
Whether a store keeps the rules of :class:`~ndisbridge.persistence.Store`.

``check_store(lambda: MyStore(path))`` runs every rule that applies and says
which are broken.  It needs no test framework; with one, each of ``RULES`` is
a test of its own.  docs/stores.md has the rules in plain words.

A rule leaves behind what it has made, under an IfType and a provider name of
its own: give it a store that is nobody else's.
"""

from __future__ import annotations

from ._bench import Bench, OpenStore, sets_of
from ._in_use import rules as _in_use
from ._leases import rules as _leases
from ._life import rules as _life
from ._looking_up import rules as _looking_up
from ._one_call import rules as _one_call
from ._releasing import rules as _releasing
from ._retaining import rules as _retaining
from ._rule import Rule
from ._sharing import rules as _sharing
from ._threads import rules as _threads
from ._watching import rules as _watching

__all__ = ["RULES", "Bench", "Rule", "check_store", "sets_of"]

#: Every rule, in the order of the protocol.
RULES: tuple[Rule, ...] = (
    *_leases,
    *_retaining,
    *_one_call,
    *_releasing,
    *_in_use,
    *_looking_up,
    *_life,
    *_threads,
    *_sharing,
    *_watching,
)


def check_store(open_store: OpenStore, *, durable: bool = True) -> None:
    """
    Run every rule that applies to a store.

    Args:
        open_store: Opens the store, always the same one: what it kept when
            it was closed is there again.  It is empty at first, and nobody
            else's.
        durable: False for a store that keeps nothing.

    Raises:
        AssertionError: A rule or more are broken; it says which, and how.
    """
    broken = []
    for rule in RULES:
        try:
            rule(open_store, durable=durable)
        except AssertionError as error:
            broken.append(f"{rule.name}: {error}")
    if broken:
        raise AssertionError(
            f"{len(broken)} of {len(RULES)} rules are broken:\n"
            + "\n".join(broken)
        )
