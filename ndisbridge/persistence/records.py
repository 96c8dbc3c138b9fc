# SPDX-License-Identifier: MIT
"""
What a store remembers, as plain records.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session on a store: a process that has it open."""

    session_id: int
    pid: int
    program: str
    #: Boot of the machine it began in; for information.
    boot_id: str = ""
    #: Seconds since 1970.
    started: int = 0

    def __str__(self) -> str:
        return f"{self.program or 'a program'} (pid {self.pid})"


@dataclass(frozen=True, slots=True)
class IdentityRecord:
    """One identity: (compartment, provider, key) and what it is."""

    compartment: str
    provider: str
    key: str
    net_luid: int
    interface_guid: uuid.UUID
    #: False: it belongs to the session that made it, and ends with it.
    persistent: bool = True
    #: ifIndex; 0 for none.
    if_index: int = 0
    #: True: handed out and retained by the store, unique there.  False: a
    #: kernel's, as last seen.
    if_index_owned: bool = False
    alias: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    #: Seconds since 1970.
    created: int = 0
    #: Who has it registered; None for nobody alive.
    in_use_by: SessionInfo | None = None

    def __post_init__(self) -> None:
        for name, value in self.attributes.items():
            if not (isinstance(name, str) and isinstance(value, str)):
                raise TypeError(
                    f"attributes map str to str, not {name!r} to {value!r}"
                )


@dataclass(frozen=True, slots=True)
class StoreChange:
    """What has happened to an identity of a store, and is committed."""

    #: "created", "changed", "released"; or "lost": changes may have been
    #: missed, and nothing else here says anything.
    kind: str
    #: 0 if the store does not tell.
    net_luid: int = 0
    #: Whose it is where many hosts share the store; "" otherwise.
    host: str = ""
    compartment: str = ""
    provider: str = ""
    #: "" if the store does not tell.
    key: str = ""
    #: As it is now; None if it is released, or another host's.
    record: IdentityRecord | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """What ``check()`` has found."""

    #: "file", "page", "identity", "root", "lease", "mark" or "session".
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass(frozen=True, slots=True)
class TypeStats:
    """Figures of one IfType; IfType 0 is the space of ifIndexes."""

    if_type: int
    retained: int
    leased_blocks: int


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Figures of a store."""

    store: str
    version: int
    #: Bytes of the database file and of its log.
    size: int
    identities: int
    sessions: tuple[SessionInfo, ...]
    types: tuple[TypeStats, ...]


#: Indexes of one IfType by block: 512 bytes a block, bit i & 7 of byte
#: i >> 3 for the index block * 4096 + i (on a little-endian machine; 64-bit
#: words of the machine's order in general).
IndexSet = tuple[int, list[tuple[int, bytes]]]
