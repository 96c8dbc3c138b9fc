# SPDX-License-Identifier: MIT
"""
What a store must have, from what its users were told; and what it has.

A *witness* is a list of lines: ``retain? 1 2`` before the call, then
``retain! 1 2`` when it has returned, or ``retain- Class`` when it has raised;
with several threads each line begins with the thread's name: ``t1:retain?``.
The two are compared by code that shares none with the store but the sums.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import apsw

#: The IfType that all of this works with.
IF_TYPE = 6
#: Raised by a call of which nobody can tell whether it is done.
UNCERTAIN = "StoreUncertainError"


class Wrong(Exception):
    """The store is not as it must be."""


@dataclass
class State:
    """What lasts, of one store."""

    #: Retained indexes of IF_TYPE: bits by block, those of identities too.
    pages: dict[int, int] = field(default_factory=dict)
    #: (NET_LUID, alias) by key.
    names: dict[str, tuple[int, str]] = field(default_factory=dict)

    def copy(self) -> State:
        return State(dict(self.pages), dict(self.names))

    def has(self, index: int) -> bool:
        return bool(self.pages.get(index >> 12, 0) >> (index & 4095) & 1)

    def _add(self, index: int) -> None:
        if self.has(index):
            raise Wrong(f"index {index} was given twice")
        self.pages[index >> 12] = self.pages.get(index >> 12, 0) | 1 << (
            index & 4095
        )

    def _take(self, index: int) -> None:
        if not self.has(index):
            raise Wrong(f"index {index} was never retained")
        left = self.pages[index >> 12] & ~(1 << (index & 4095))
        if left:
            self.pages[index >> 12] = left
        else:
            del self.pages[index >> 12]

    def apply(self, what: str, words: list[str]) -> None:
        """What a call does when it is done."""
        if what == "retain":
            for word in words:
                self._add(int(word))
        elif what == "release":
            for word in words:
                self._take(int(word))
        elif what == "identity":
            key, luid = words
            self._add(int(luid) >> 24 & 0xFFFFFF)
            self.names[key] = int(luid), ""
        elif what == "alias":
            key, alias = words
            self.names[key] = self.names[key][0], alias
        elif what == "forget":
            luid, _ = self.names.pop(words[0])
            self._take(luid >> 24 & 0xFFFFFF)
        else:
            raise Wrong(f"not a call: {what}")


@dataclass
class Told:
    """A witness as far as it was read."""

    state: State = field(default_factory=State)
    #: The calls under way, by thread: name and words.
    begun: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    #: Calls of which nobody can tell whether they are done.
    doubts: list[tuple[str, list[str]]] = field(default_factory=list)
    acknowledged: int = 0
    #: Classes of what calls have raised, other than the uncertain.
    raised: list[str] = field(default_factory=list)

    def read(self, line: str) -> None:
        word, *words = line.split()
        thread, _, what = word[:-1].rpartition(":")
        sign = word[-1]
        if sign == "?":
            if thread in self.begun:
                raise Wrong(f"{self.begun[thread][0]} was never answered")
            self.begun[thread] = what, words
            return
        asked, asked_words = self.begun.pop(thread, ("", []))
        if asked != what:
            raise Wrong(f"not asked: {line}")
        if sign == "!":
            self.state.apply(what, words or asked_words)
            self.acknowledged += 1
        elif words[0] == UNCERTAIN:
            self.doubts.append((asked, asked_words))
        else:
            self.raised.append(words[0])

    def possible(self, actual: State) -> Iterator[State]:
        """Every state that is right, given what is in doubt."""
        doubts = [*self.doubts, *self.begun.values()]
        for chosen in range(1 << len(doubts)):
            state = self.state.copy()
            try:
                for place, (what, words) in enumerate(doubts):
                    if not chosen >> place & 1:
                        continue
                    if what == "identity":
                        # Which NET_LUID it got, only the store knows.
                        if words[0] not in actual.names:
                            break
                        luid = str(actual.names[words[0]][0])
                        state.apply(what, [words[0], luid])
                    else:
                        state.apply(what, words)
                else:
                    yield state
            except (Wrong, KeyError):
                continue  # one doubt depends on another

    def compare(self, actual: State) -> None:
        """Raise Wrong unless the store has what it must have."""
        if not any(state == actual for state in self.possible(actual)):
            raise Wrong(self._difference(actual))

    def _difference(self, actual: State) -> str:
        told = self.state
        lost = [
            f"{key}={luid:#x}"
            for key, (luid, _) in told.names.items()
            if actual.names.get(key, (0,))[0] != luid
        ]
        more = sorted(set(actual.names) - set(told.names))
        bits = {
            block: (told.pages.get(block, 0), actual.pages.get(block, 0))
            for block in {*told.pages, *actual.pages}
        }
        gone = sum((a & ~b).bit_count() for a, b in bits.values())
        extra = sum((b & ~a).bit_count() for a, b in bits.values())
        return (
            f"lost: {gone} indexes, identities {lost}; not told of: {extra} "
            f"indexes, identities {more}; in doubt: {self.begun} "
            f"{self.doubts}"
        )


def told_by(lines: Iterable[str]) -> Told:
    """A whole witness."""
    told = Told()
    for line in lines:
        told.read(line)
    return told


# ---- what a store's file has -------------------------------------------


def _sum(raw: bytes) -> int:
    return int.from_bytes(
        hashlib.blake2b(raw, digest_size=8).digest(), "little", signed=True
    )


def _signed(number: int) -> int:
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def read_state(
    connection: apsw.Connection, *, checksums: bool = True
) -> State | None:
    """
    What a store has, each row, sum and count verified; None if it was never
    made.  Not a line of this is the store's own.
    """
    tables = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_schema")
    }
    if not tables:
        return None
    state = State()
    sums = {"pages": [0, 0], "identities": [0, 0]}
    own: set[int] = set()
    if_index_bits: dict[int, int] = {}
    luids: set[int] = set()
    for number, retained, bits, checksum in connection.execute(
        "SELECT id, retained, bits, checksum FROM pages"
    ):
        if checksums and _sum(number.to_bytes(4, "little") + bits) != checksum:
            raise Wrong(f"page {number}: checksum")
        set_bits = int.from_bytes(bits, "little")
        if set_bits.bit_count() != retained:
            raise Wrong(f"page {number}: count")
        sums["pages"][0] += 1
        sums["pages"][1] += checksum
        if number >> 12 == IF_TYPE:
            state.pages[number & 4095] = set_bits
        elif number >> 12 == 0:
            if_index_bits[number & 4095] = set_bits
        else:
            raise Wrong(f"page {number}: nobody's")
    for row in connection.execute(
        "SELECT net_luid, compartment, provider, key, guid, owner, if_index, "
        "if_index_owned, alias, attributes, created, checksum FROM identities"
    ):
        plain = [
            each.hex() if isinstance(each, bytes) else each for each in row
        ]
        encoded = json.dumps(plain[:-1], separators=(",", ":")).encode()
        if checksums and _sum(encoded) != row[-1]:
            raise Wrong(f"identity {row[3]}: checksum")
        uuid.UUID(bytes=row[4])
        sums["identities"][0] += 1
        sums["identities"][1] += row[-1]
        luid = row[0] % (1 << 64)
        if luid in luids:
            raise Wrong(f"NET_LUID {luid:#x} twice")
        luids.add(luid)
        if row[5] is not None:
            continue  # ends with its session
        state.names[row[3]] = luid, row[8]
        if not state.has(luid >> 24 & 0xFFFFFF):
            raise Wrong(f"identity {row[3]}: not retained")
        if row[7]:
            if row[6] in own:
                raise Wrong(f"ifIndex {row[6]} twice")
            own.add(row[6])
    found = sum(bits.bit_count() for bits in if_index_bits.values())
    if found != len(own) or not all(
        if_index_bits.get(each >> 12, 0) >> (each & 4095) & 1 for each in own
    ):
        raise Wrong("ifIndexes are lost or leaked")
    root = connection.execute(
        "SELECT identities, identity_sum, pages, page_sum FROM root"
    ).fetchall()
    expected = (
        sums["identities"][0],
        _signed(sums["identities"][1]),
        sums["pages"][0],
        _signed(sums["pages"][1]),
    )
    if checksums and root != [expected]:
        raise Wrong("root")
    return state
