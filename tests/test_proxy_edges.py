# SPDX-License-Identifier: MIT
"""The proxy where lives meet: what is stuck, stale, late or being closed."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import Oid
from ndisbridge.proxy import ProxyProvider

VENDOR = int(Oid.GEN_VENDOR_ID)


class Driver:
    def oid_request(self, request: Any) -> int:
        return 7


class Blocking:
    """A driver that a request stays inside of until it is let go."""

    def __init__(self) -> None:
        self.inside = threading.Event()
        self.go = threading.Event()

    def oid_request(self, request: Any) -> int:
        self.inside.set()
        assert self.go.wait(60)
        return 7


def thread(function: Any, *arguments: Any) -> threading.Thread:
    made = threading.Thread(target=function, args=arguments, daemon=True)
    made.start()
    return made


def test_a_thread_of_a_deadline_keeps_no_request(session):
    """Else an adapter lives as long as the thread that served it once."""
    with ProxyProvider(session, oid_timeout=30) as proxy:
        adapter = proxy.install("card", Driver())
        assert adapter.query(VENDOR) == 7
        gone = weakref.ref(adapter)
        adapter.shutdown()
        del adapter
        patience = time.monotonic() + 4  # until the thread has let go
        while gone() is not None and time.monotonic() < patience:
            gc.collect()
            time.sleep(0.01)
        assert gone() is None
