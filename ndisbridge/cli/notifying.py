# SPDX-License-Identifier: MIT
"""
Telling the service manager how far it is: sd_notify(3), without its library.
"""

from __future__ import annotations

import contextlib
import os
import socket


def notify(*states: str) -> None:
    """
    Send states such as ``READY=1`` to where ``NOTIFY_SOCKET`` says; nothing
    without it, and no error if nobody listens.
    """
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name.startswith(("/", "@")):
        return
    # "@" stands for the NUL of an abstract address.
    address = f"\0{name[1:]}" if name.startswith("@") else name
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.settimeout(1)
        manager.sendto("\n".join(states).encode(), address)
