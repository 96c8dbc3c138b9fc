# SPDX-License-Identifier: MIT
"""
Everything durable of a store as JSON Lines, to be read by any store.

A header says what follows; then come the retained indexes, by block, then
the identities, then a trailer with a checksum over all lines before it.
Nothing is said of when and where it was made: two exports of equal stores
are equal.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, BinaryIO, NoReturn, Protocol

from . import _rows
from .errors import (
    IdentityConflictError,
    StoreCorruptError,
    StoreVersionError,
)
from .records import IdentityRecord

#: Told how much is done, and of how much.
Progress = Callable[[int, int], None]
#: IfType (0 for ifIndexes), block, and its retained indexes as 512 bytes.
Page = tuple[int, int, bytes]

FORMAT = 1
#: Bytes of a line: no more is read at a time, whatever there is.
_LONGEST = 64 << 20
#: Ranges of a block; more than that are written as a bitmap.
_MOST_RANGES = 64
#: As many collisions are named.
_NAMED = 5

_IDENTITY_FIELDS = {
    "compartment": str,
    "provider": str,
    "key": str,
    "net_luid": str,
    "interface_guid": str,
    "if_index": int,
    "if_index_owned": bool,
    "alias": str,
    "attributes": dict,
    "created": int,
}
_COUNTS = ("pages", "retained", "identities")


def no_progress(done: int, total: int) -> None:
    """For who does not want to know."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is."""

    pages: int
    #: Retained indexes and ifIndexes.
    retained: int
    identities: int


@dataclass(frozen=True, slots=True)
class Contents:
    """
    Everything durable of a store.  The pages are read before the identities,
    each once, and not held in memory together.
    """

    counts: Counts
    pages: Iterator[Page]
    identities: Iterator[IdentityRecord]


class Transferable(Protocol):
    """A store that can be exported and imported into."""

    def contents(self) -> AbstractContextManager[Contents]:
        """
        What is durable, all of one moment, while the context lasts.

        Raises:
            StoreCorruptError: A row is damaged, or missing.
        """
        ...

    def add_contents(
        self, pages: Iterable[Page], identities: Iterable[IdentityRecord]
    ) -> None:
        """
        Make it durable, all or none; every identity as it is given, with
        ``created``.  The pages must be exhausted before the identities are
        begun.  Whatever these raise leaves the store as it was.

        Raises:
            StoreBusyError: Another live session has the store open.
            IdentityConflictError: Something of it is there already; the
                message names the first ones.
        """
        ...


# -- what is there already


class Collisions:
    """The first ones, and how many."""

    def __init__(self) -> None:
        self.count = 0
        self._names: list[str] = []

    def _add(self, name: str) -> None:
        self.count += 1
        if len(self._names) < _NAMED:
            self._names.append(name)

    def add_identity(self, record: IdentityRecord) -> None:
        self._add(
            f"{record.key!r} of {record.provider!r} (NET_LUID "
            f"0x{record.net_luid:016x})"
        )

    def add_indexes(self, number: int, bits: int) -> None:
        """Indexes of a page."""
        if_type, base = number >> 12, (number & 4095) << 12
        for each in _rows.positions(bits.to_bytes(512, "little")):
            self._add(
                f"index {base + each} of IfType {if_type}"
                if if_type
                else f"ifIndex {base + each}"
            )

    def __str__(self) -> str:
        more = self.count - len(self._names)
        names = ", ".join(self._names) + f" and {more} more" * (more > 0)
        return f"{names} {'is' if self.count == 1 else 'are'}"


def refuse_collisions(
    identities: Collisions, indexes: Collisions, store: str
) -> None:
    """
    Raises:
        IdentityConflictError: There is one.
    """
    # Whose they are says more than which they are.
    found = identities if identities.count else indexes
    if found.count:
        raise IdentityConflictError(
            f"of what is to be imported {found} already there; nothing is "
            "imported: give another store",
            store,
        )


# -- what is in both directions the same


class _Ledger:
    """Counts what goes by, and finds what can't be."""

    def __init__(self, fail: Callable[[str], NoReturn]) -> None:
        self._fail = fail
        self._bits: dict[int, bytes] = {}
        self._last_page = -1
        self._retained = 0
        self._identities = 0

    @property
    def counts(self) -> Counts:
        return Counts(len(self._bits), self._retained, self._identities)

    @property
    def lines(self) -> int:
        return len(self._bits) + self._identities

    def page(self, page: Page) -> Page:
        if_type, block, bits = page
        number = _rows.page_id(if_type, block)
        if number <= self._last_page:
            self._fail("pages are doubled or out of order")
        self._last_page = number
        self._bits[number] = bits
        self._retained += int.from_bytes(bits, "little").bit_count()
        return page

    def identity(self, record: IdentityRecord) -> IdentityRecord:
        net_luid = record.net_luid
        index = (net_luid >> 24) & 0xFFFFFF
        if not self._has(net_luid >> 48, index):
            self._fail(f"the index of {record.key!r} is not retained")
        if record.if_index_owned and not self._has(0, record.if_index):
            self._fail(f"the ifIndex of {record.key!r} is not retained")
        self._identities += 1
        return record

    def _has(self, if_type: int, index: int) -> bool:
        bits = self._bits.get(_rows.page_id(if_type, index >> 12))
        return (
            index <= 0xFFFFFF
            and bits is not None
            and _rows.bit_is_set(bits, index)
        )


def _line(value: dict[str, Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode() + b"\n"


def _counts_of(counts: Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in _COUNTS}


def _page_values(page: Page) -> dict[str, Any]:
    if_type, block, bits = page
    values: dict[str, Any] = {"if_type": if_type, "block": block}
    # Ranges can be read by people; of many a bitmap is the shorter.
    number = int.from_bytes(bits, "little")
    if (number & ~(number << 1)).bit_count() <= _MOST_RANGES:
        values["indexes"] = _ranges(bits, block << 12)
    else:
        values["bits"] = base64.b64encode(bits).decode()
    return {"retained": values}


def _ranges(bits: bytes, base: int) -> str:
    """Indexes as "5,7-4095"."""
    number = int.from_bytes(bits, "little")
    found = []
    while number:
        first = (number & -number).bit_length() - 1
        rest = ~(number >> first)
        length = (rest & -rest).bit_length() - 1
        number &= ~(((1 << length) - 1) << first)
        last = base + first + length - 1
        text = str(base + first)
        found.append(text if length == 1 else f"{text}-{last}")
    return ",".join(found)


def _bits_of_ranges(text: Any, base: int) -> bytes:
    if not isinstance(text, str):
        raise TypeError("no text")
    if len(text) > 4096 * len("16777215,"):
        raise ValueError("more than there are")
    number = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        low, high = int(first) - base, int(last or first) - base
        if not 0 <= low <= high <= 4095:
            raise ValueError("an index of another block")
        number |= ((1 << (high - low + 1)) - 1) << low
    return number.to_bytes(_rows.BLOCK_BYTES, "little")


def _identity_values(record: IdentityRecord) -> dict[str, Any]:
    return {
        "identity": {
            "compartment": record.compartment,
            "provider": record.provider,
            "key": record.key,
            "net_luid": f"0x{record.net_luid:016x}",
            "interface_guid": str(record.interface_guid),
            "if_index": record.if_index,
            "if_index_owned": record.if_index_owned,
            "alias": record.alias,
            "attributes": dict(sorted(record.attributes.items())),
            "created": record.created,
        }
    }


# -- export


def export(
    store: Transferable, file: BinaryIO, progress: Progress, name: str
) -> Counts:
    """
    Write everything durable of a store.

    Raises:
        StoreCorruptError: It could not be imported again.
        OSError: The file can't be written.
    """

    def fail(text: str) -> NoReturn:
        raise StoreCorruptError(
            f"it can't be exported: {text}: run `ndisbridge store check`",
            name,
        )

    digest = blake2b(digest_size=32)

    def write(value: dict[str, Any]) -> None:
        line = _line(value)
        if len(line) > _LONGEST:
            fail("an identity has more to it than a line may have")
        digest.update(line)
        file.write(line)

    with store.contents() as contents:
        counts, ledger = contents.counts, _Ledger(fail)
        write({"ndisbridge_export": FORMAT, **_counts_of(counts)})
        total = counts.pages + counts.identities
        for page in contents.pages:
            write(_page_values(ledger.page(page)))
            progress(ledger.lines, total)
        for record in contents.identities:
            write(_identity_values(ledger.identity(record)))
            progress(ledger.lines, total)
        if ledger.counts != counts:
            fail(f"it has {ledger.counts}, and not {counts}")
    file.write(
        _line(
            {
                "end": {
                    **_counts_of(counts),
                    "blake2b": digest.hexdigest(),
                }
            }
        )
    )
    file.flush()
    return counts


# -- import


def import_from(
    file: BinaryIO,
    opening: Callable[[], AbstractContextManager[Transferable]],
    progress: Progress,
    name: str,
) -> tuple[str, Counts]:
    """
    Read an export twice: once to see that it is whole, then to write it.

    Args:
        file: The export; it can be read from its start again.
        opening: Opens the store that it goes to, if it is whole.
        progress: Told how many lines of both readings are done.
        name: What the user calls the export.

    Returns:
        The store's name, and how much was imported.

    Raises:
        StoreCorruptError: It was cut off or altered.
        StoreVersionError: It was made by a newer version.
        StoreError: See :class:`Transferable`.
    """
    counts = _verify(file, progress, name)
    total = counts.pages + counts.identities
    file.seek(0)
    # Who changes it meanwhile is found out at the end, and then nothing of
    # it is written.
    again = _Reader(file, name)
    again.begin()

    def report(done: int, _: int) -> None:
        progress(total + done, 2 * total)

    with opening() as store:
        store.add_contents(again.pages(report), again.identities(report))
        return str(store), counts


def _verify(file: BinaryIO, progress: Progress, name: str) -> Counts:
    reader = _Reader(file, name)
    counts = reader.begin()
    for part in (reader.pages, reader.identities):
        for _ in part(lambda done, total: progress(done, 2 * total)):
            pass
    return counts


class _Reader:
    """An export, believed line by line and in the end as a whole."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._number = 0
        self._digest = blake2b(digest_size=32)
        self._ledger = _Ledger(self._fail)
        #: A line that was read, and is another part's.
        self._next: tuple[str, Any] = ("", None)
        self._counts = Counts(0, 0, 0)
        self._total = 0

    def _fail(self, text: str) -> NoReturn:
        raise StoreCorruptError(
            f"line {self._number}: {text}; nothing is imported: make the "
            "export again",
            self._name,
        )

    def _read(self) -> None:
        """The next line, as what it is and what it says."""
        line = self._file.readline(_LONGEST)
        self._number += 1
        if not line.endswith(b"\n"):
            self._fail("it is cut off" if not line else "it is cut off there")
        try:
            value = json.loads(line)
            kind = next(iter(value))
            content = value[kind]
        except (ValueError, TypeError, LookupError, RecursionError):
            self._fail("it is no line of an export")
        except StopIteration:
            self._fail("it says nothing")
        if kind == "end":
            if line != _line(
                {"end": {**_counts_of(self._counts), "blake2b": self._sum()}}
            ):
                self._fail("the checksum or the counts are wrong")
        elif kind not in {"retained", "identity", "ndisbridge_export"}:
            self._fail("it is no line of an export")
        self._digest.update(line)
        self._next = kind, value if kind == "ndisbridge_export" else content

    def _sum(self) -> str:
        return self._digest.hexdigest()

    def begin(self) -> Counts:
        """Read the header."""
        self._read()
        kind, value = self._next
        if kind != "ndisbridge_export":
            self._fail("it is no export of ndisbridge")
        version = value[kind]
        if type(version) is int and version > FORMAT:
            raise StoreVersionError(
                f"it has format {version}, made by a newer ndisbridge; this "
                f"one knows up to {FORMAT}: upgrade ndisbridge",
                self._name,
            )
        counts = [value.get(name) for name in _COUNTS]
        if any(type(each) is not int or each < 0 for each in counts):
            self._fail("its counts are none")
        self._counts = Counts(*counts)
        if value != {"ndisbridge_export": FORMAT, **_counts_of(self._counts)}:
            self._fail("it is another header")
        self._total = self._counts.pages + self._counts.identities
        self._read()
        return self._counts

    def pages(self, progress: Progress) -> Iterator[Page]:
        while self._next[0] == "retained":
            yield self._ledger.page(self._page(self._next[1]))
            progress(self._ledger.lines, self._total)
            self._read()

    def identities(self, progress: Progress) -> Iterator[IdentityRecord]:
        while self._next[0] == "identity":
            yield self._ledger.identity(self._identity(self._next[1]))
            progress(self._ledger.lines, self._total)
            self._read()
        if self._next[0] != "end":
            self._fail("its lines are not in order")
        if self._ledger.counts != self._counts:
            self._fail(f"it has {self._ledger.counts}, not {self._counts}")
        self._number += 1
        if self._file.read(1):
            self._fail("something follows the end")

    def _page(self, values: Any) -> Page:
        try:
            if_type, block = values["if_type"], values["block"]
            if not (
                type(if_type) is int
                and type(block) is int
                and 0 <= if_type <= 0xFFFF
                and 0 <= block <= 4095
            ):
                self._fail("there is no such block")
            # Only as it would be written: nothing is said twice.
            same: dict[str, Any] = {"if_type": if_type, "block": block}
            if "bits" in values:
                bits = base64.b64decode(values["bits"], validate=True)
                same["bits"] = base64.b64encode(bits).decode()
            else:
                bits = _bits_of_ranges(values["indexes"], block << 12)
                same["indexes"] = _ranges(bits, block << 12)
        except (ValueError, TypeError, LookupError, binascii.Error):
            self._fail("its indexes can't be read")
        if values != same or len(bits) != _rows.BLOCK_BYTES or not any(bits):
            self._fail("its indexes are written otherwise")
        return if_type, block, bits

    def _identity(self, values: Any) -> IdentityRecord:
        if not (
            isinstance(values, dict)
            and values.keys() == _IDENTITY_FIELDS.keys()
            and all(
                type(values[name]) is kind
                for name, kind in _IDENTITY_FIELDS.items()
            )
        ):
            self._fail("it has not the fields of an identity")
        try:
            record = IdentityRecord(
                **{
                    **values,
                    "net_luid": int(values["net_luid"], 16),
                    "interface_guid": uuid.UUID(values["interface_guid"]),
                }
            )
            # Text that is no Unicode can't be encoded.
            same = _line(_identity_values(record)) == _line(
                {"identity": values}
            )
        except (ValueError, TypeError):
            self._fail("its values are not those of an identity")
        if not (
            same
            and 0 < record.net_luid >> 48 <= 0xFFFF
            and not record.net_luid & 0xFFFFFF
            and 0 <= record.if_index <= 0x7FFFFFFF
            and 0 <= record.created < 1 << 63
            and (record.if_index or not record.if_index_owned)
        ):
            self._fail("its values are not those of an identity")
        return record
