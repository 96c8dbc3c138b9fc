# SPDX-License-Identifier: MIT
"""
Goes through the life of one identity, step by step, and stops after one of
them until it is killed: ``identity_steps.py STORE STEP``.
"""

from __future__ import annotations

import sys

from steps import stop_if

import ndisbridge as ndis

#: In order; "provider" leaves nothing to remember, "removed" and "gone"
#: nothing any more.
STEPS = (
    "provider",
    "made",
    "found",
    "registered",
    "updated",
    "deregistered",
    "registered again",
    "removed",
    "gone",
)


def main(store: str, step: str) -> None:
    session = ndis.Session(store)
    provider = session.register_provider("acme")
    stop_if(step, "provider")
    identity = provider.identity("port", 6)
    facts = (
        int(identity.net_luid),
        identity.interface_guid,
        identity.if_index,
    )
    stop_if(step, "made", *facts)
    identity = provider.identity("port", 6)
    stop_if(step, "found", *facts)
    interface = provider.register_interface(identity)
    stop_if(step, "registered", *facts)
    identity.update(alias="LAN 1")
    stop_if(step, "updated", *facts)
    interface.deregister()
    stop_if(step, "deregistered", *facts)
    interface = provider.register_interface(identity)
    stop_if(step, "registered again", *facts)
    interface.remove()
    stop_if(step, "removed", *facts)
    session.close()
    stop_if(step, "gone", *facts)


if __name__ == "__main__":
    main(*sys.argv[1:])
