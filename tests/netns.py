# SPDX-License-Identifier: MIT
"""Network namespaces for tests, and what is in them."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge.proxy.linux import LinuxHost, LinuxLink, read_links


def ip(*arguments: str) -> str:
    done = subprocess.run(
        ["ip", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


@functools.cache
def why_not() -> str:
    """Why there can be no namespaces here; "" if there can."""
    if shutil.which("ip") is None:
        return "no ip command (package iproute2)"
    if os.geteuid() != 0:
        return "needs root to make network namespaces"
    name = f"ndistest-{os.getpid()}"
    try:
        ip("netns", "add", name)
    except RuntimeError as error:
        return f"no network namespaces: {error}"
    ip("netns", "del", name)
    return ""


def skip_without_namespaces() -> None:
    """Making one takes rights that nobody can install."""
    if reason := why_not():
        pytest.skip(reason)


class Namespace:
    """A network namespace with an entry in /run/netns."""

    def __init__(self, name: str) -> None:
        self.name = name
        ip("netns", "add", name)

    def delete(self) -> None:
        ip("netns", "del", self.name)

    def ip(self, *arguments: str) -> str:
        return ip("-n", self.name, *arguments)

    def add(self, *arguments: str) -> None:
        """``ip link add``; skips the test if the kernel has no such kind."""
        try:
            self.ip("link", "add", "name", *arguments)
        except RuntimeError as error:
            if "Unknown device type" in str(error) or "not supported" in str(
                error
            ):
                pytest.skip(f"this kernel has no such link: {error}")
            raise

    def tuntap(self, name: str, mode: str) -> None:
        if not os.path.exists("/dev/net/tun"):
            pytest.skip("no /dev/net/tun")
        flags = {"tun": 0x1, "tap": 0x2}[mode] | 0x1000  # IFF_NO_PI
        with self.entered(), open("/dev/net/tun", "rb", buffering=0) as file:
            request = struct.pack("16sH22x", name.encode(), flags)
            fcntl.ioctl(file, 0x400454CA, request)  # TUNSETIFF
            fcntl.ioctl(file, 0x400454CB, 1)  # TUNSETPERSIST

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in the namespace meanwhile."""
        libc = ctypes.CDLL(None, use_errno=True)
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            assert libc.setns(there, 0x40000000) == 0, ctypes.get_errno()
            yield
        finally:
            assert libc.setns(home, 0x40000000) == 0, ctypes.get_errno()
            os.close(there)
            os.close(home)

    def links(self) -> list[LinuxLink]:
        with self.entered():
            return read_links()

    def adopt(self, session: ndis.Session) -> dict[str, Any]:
        """Adopt once and let go again: links by name."""
        with self.entered(), LinuxHost(session) as host:
            return {each.name: each for each in host.adopt()}


_count = iter(range(1_000_000))


def made_namespace() -> Iterator[Namespace]:
    skip_without_namespaces()
    made = Namespace(f"ndistest-{os.getpid()}-{next(_count)}")
    try:
        yield made
    finally:
        made.delete()
