# SPDX-License-Identifier: MIT
"""
Goes through the life of one interface, step by step, and stops after one of
them until it is killed: ``steps.py STORE STEP [KEY]``.
"""

from __future__ import annotations

import sys
import time

import ndisbridge as ndis

#: In order; "opened" and "provider" leave nothing to remember.
STEPS = (
    "opened",
    "provider",
    "allocated",
    "retained",
    "registered",
    "deregistered",
    "released",
    "freed",
)


def stop_if(step: str, reached: str, *facts: object) -> None:
    """Say how far it went, and wait to be killed if that is far enough."""
    if step == reached:
        print("reached", *facts, flush=True)
        time.sleep(120)


def main(store: str, step: str) -> None:
    session = ndis.Session(store)
    stop_if(step, "opened")
    provider = session.register_provider("acme")
    stop_if(step, "provider")
    index = session.allocate_net_luid_index(6)
    luid = ndis.NetLuid.make(6, index)
    stop_if(step, "allocated", int(luid))
    session.retain_net_luid_indexes(6, [index])
    stop_if(step, "retained", int(luid))
    interface = provider.register_interface(luid)
    stop_if(step, "registered", int(luid))
    interface.deregister()
    stop_if(step, "deregistered", int(luid))
    session.release_net_luid_indexes(6, [index])
    stop_if(step, "released", int(luid))
    session.free_net_luid_index(6, session.allocate_net_luid_index(6))
    stop_if(step, "freed", int(luid))


if __name__ == "__main__":
    main(*sys.argv[1:])
