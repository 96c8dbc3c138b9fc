# SPDX-License-Identifier: MIT
"""
Compartments: network namespaces and the names that outlive them.

A namespace has no name of its own, and its inode number is another one after
every restart.  What names it, in this order:

1. the caller (``--compartment``);
2. being the initial namespace: that one is ``""``;
3. its one entry in ``/run/netns``, as ``ip netns add`` makes it;
4. being the namespace that a container was started with: also ``""``.

The initial namespace is told without privileges, and whatever is mounted
where, by what only it has: since Linux 6.18 the fixed inode number
``NET_NS_INIT_INO`` of ``<linux/nsfs.h>``; before that, the entries of
``/proc/sys/net/core`` that are the whole machine's, such as
``netdev_max_backlog``, which the kernel shows there and in no other
namespace.  (Comparing with ``/proc/1/ns/net`` takes the right to trace
process 1, and in a container compares with the wrong process.)

A process whose PID namespace is not the machine's first is in a container;
what process 1 of the container has is the initial namespace of all that can
be seen from there.  Containers that share one store must be told apart by
the caller, with a name for each.
"""

from __future__ import annotations

import os

# Fixed by <linux/nsfs.h>; numbers given at run time are greater.
_NET_NS_INIT_INO = 0xEFFFFFF9
_PID_NS_INIT_INO = 0xEFFFFFFC

_OURS = "/proc/thread-self/ns/net"
_NAMES = "/run/netns"


class CompartmentError(Exception):
    """The network namespace has no name, or more than one."""


def current_compartment(name: str | None = None) -> str:
    """
    The compartment of the calling thread's network namespace.

    Args:
        name: What the caller says it is; taken as it is.

    Raises:
        CompartmentError: It has no name that would outlive it, or several.
            The message says how to give it one.
    """
    if name is not None:
        if len(name) > 255 or any(
            each == "/" or not each.isprintable() for each in name
        ):
            raise CompartmentError(
                f"{name!r} is not the name of a compartment: it has up to "
                "255 printable characters and no slash"
            )
        return name
    ours = _identity_of(_OURS)
    if ours is None:
        raise CompartmentError(
            "the network namespace of this process can't be seen: /proc is "
            "not mounted; give the compartment's name with --compartment"
        )
    if _is_initial(ours):
        return ""
    names = names_of_namespace(ours)
    if len(names) == 1:
        return names[0]
    if names:
        raise CompartmentError(
            f"this network namespace has several names in {_NAMES}: "
            f"{', '.join(names)}; say which with --compartment"
        )
    if _is_initial_of_container():
        return ""
    raise CompartmentError(
        "this network namespace has no name that would outlive it: it is "
        f"not the initial one and has no entry in {_NAMES} (ip netns attach "
        "makes one); or give it a name with --compartment"
    )


def namespace_of_thread() -> tuple[int, int] | None:
    """
    Device and inode number of the calling thread's network namespace; None
    where they can't be seen.
    """
    return _identity_of(_OURS)


def names_of_namespace(identity: tuple[int, int]) -> list[str]:
    """Names in ``/run/netns`` of a namespace, by device and inode number."""
    try:
        names = sorted(os.listdir(_NAMES))
    except OSError:
        return []
    return [
        name
        for name in names
        if _identity_of(os.path.join(_NAMES, name)) == identity
    ]


def _identity_of(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_initial(ours: tuple[int, int]) -> bool:
    return ours[1] == _NET_NS_INIT_INO or os.path.exists(
        "/proc/sys/net/core/netdev_max_backlog"
    )


def _is_initial_of_container() -> bool:
    pids = _identity_of("/proc/self/ns/pid")
    if pids is None or pids[1] == _PID_NS_INIT_INO:
        return False
    # Files below /proc/PID/net are those of the namespace, each with an
    # inode number of its own there, and anybody may look at them.
    first = _identity_of("/proc/1/net/dev")
    return first is not None and first == _identity_of(
        "/proc/thread-self/net/dev"
    )
