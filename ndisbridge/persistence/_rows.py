# SPDX-License-Identifier: MIT
"""
Rows of a SQLite store: their numbers, their checksums, their records.

A checksum is the first 8 bytes of BLAKE2b over everything that the row says,
kept as a signed number; SQLite itself would not notice a flipped bit.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

from ._damage import reading
from .errors import StoreCorruptError
from .records import IdentityRecord, SessionInfo

BLOCK_BYTES = 512

#: Columns of a row of identities, in the order of the table.
IDENTITY_COLUMNS = (
    "net_luid, compartment, provider, key, guid, owner, if_index, "
    "if_index_owned, alias, attributes, created, checksum"
)
IDENTITY_ROW = tuple[Any, ...]

_GUID = 4
_compact = json.JSONEncoder(separators=(",", ":")).encode
_sorted = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode


def signed(number: int) -> int:
    """A number of 64 bits as SQLite keeps it."""
    number &= 0xFFFFFFFFFFFFFFFF
    return number - (1 << 64) if number >> 63 else number


def unsigned(number: int) -> int:
    """The reverse of :func:`signed`."""
    return number & 0xFFFFFFFFFFFFFFFF


def _hash(raw: bytes) -> int:
    return int.from_bytes(
        blake2b(raw, digest_size=8).digest(), "little", signed=True
    )


def page_id(if_type: int, block: int) -> int:
    """Number of the page and of the lease of a block."""
    return if_type * 4096 + block


def page_checksum(number: int, bits: bytes) -> int:
    """Checksum of a page."""
    return _hash(number.to_bytes(4, "little") + bits)


def identity_checksum(columns: IDENTITY_ROW) -> int:
    """Checksum of a row of identities, from its columns but the last."""
    plain = list(columns)
    plain[_GUID] = columns[_GUID].hex()  # nothing else may be of bytes
    return _hash(_compact(plain).encode())


def identity_row(
    record: IdentityRecord, owner: int | None, created: int | None = None
) -> IDENTITY_ROW:
    """The row of a record; of a new one, made at a time."""
    columns = (
        signed(record.net_luid),
        record.compartment,
        record.provider,
        record.key,
        record.interface_guid.bytes,
        owner,
        record.if_index,
        int(record.if_index_owned),
        record.alias,
        dump_attributes(record.attributes),
        record.created if created is None else created,
    )
    return (*columns, identity_checksum(columns))


def dump_attributes(attributes: Mapping[str, str]) -> str:
    """Attributes as they are stored."""
    return _sorted(dict(attributes)) if attributes else "{}"


def identity_record(
    row: IDENTITY_ROW, path: str, in_use_by: SessionInfo | None
) -> IdentityRecord:
    """
    The record of a row.

    Raises:
        StoreCorruptError: Its checksum is wrong.
    """
    with reading(path):
        if identity_checksum(row[:-1]) == row[-1]:
            return IdentityRecord(
                compartment=row[1],
                provider=row[2],
                key=row[3],
                net_luid=unsigned(row[0]),
                interface_guid=uuid.UUID(bytes=row[4]),
                persistent=row[5] is None,
                if_index=row[6],
                if_index_owned=bool(row[7]),
                alias=row[8],
                attributes=json.loads(row[9]),
                created=row[10],
                in_use_by=in_use_by,
            )
    raise StoreCorruptError(
        f"the identity of NET_LUID 0x{unsigned(row[0]):016x} is damaged "
        "(checksum): run `ndisbridge store check`, restore a backup",
        path,
    )


def page_bits(number: int, bits: bytes, checksum: int, path: str) -> bytes:
    """
    The bits of a page.

    Raises:
        StoreCorruptError: Its checksum is wrong.
    """
    with reading(path):
        intact = page_checksum(number, bits) == checksum
    if not intact:
        raise StoreCorruptError(
            f"the page of IfType {number >> 12}, block {number & 4095} is "
            "damaged (checksum): run `ndisbridge store check`, restore a "
            "backup",
            path,
        )
    return bits


def bit_is_set(bits: bytes, index: int) -> bool:
    """Whether an index is in the bits of its block."""
    position = index & 4095
    return bool(bits[position >> 3] & 1 << (position & 7))


def positions(mask: bytes) -> Iterator[int]:
    """Where bits are set in a mask."""
    number = int.from_bytes(mask, "little")
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest
