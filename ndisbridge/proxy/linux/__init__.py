# SPDX-License-Identifier: MIT
"""
The host's own links, adopted: each gets an identity that lasts, and is
registered under the kernel's ifIndex with its values published.

    with ndisbridge.Session("/var/lib/acme/ndis.db") as session:
        with LinuxHost(session) as host:
            for adopted in host.adopt():
                print(adopted.name, adopted.net_luid, adopted.state.value)

:meth:`LinuxHost.follow` keeps them so; see
:mod:`ndisbridge.proxy.linux.following`.
"""

from .adoption import (
    AdoptedLink,
    Adoption,
    AdoptionState,
    IfIndexConflictError,
)
from .compartments import CompartmentError, current_compartment
from .following import Follower
from .host import PROVIDER_NAME, LinuxHost
from .links import LinuxLink, read_links

__all__ = [
    "PROVIDER_NAME",
    "AdoptedLink",
    "Adoption",
    "AdoptionState",
    "CompartmentError",
    "Follower",
    "IfIndexConflictError",
    "LinuxHost",
    "LinuxLink",
    "current_compartment",
    "read_links",
]
