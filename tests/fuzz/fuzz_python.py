# SPDX-License-Identifier: MIT
"""
What Python reads of what others wrote, under atheris.

    python tests/fuzz/fuzz_python.py names [-max_total_time=60] [CORPUS]

Targets: ``names`` (NetLuid.parse and OID names), ``oids`` (values of OIDs
from and to bytes), ``transfer`` (lines of an export). The options are those of
libFuzzer. Only the errors that are documented may be raised. With
``--replay`` the corpora are run once, without atheris.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

with contextlib.suppress(ModuleNotFoundError):
    import atheris

if "--replay" in sys.argv or "atheris" not in globals():
    watching: contextlib.AbstractContextManager[None] = (
        contextlib.nullcontext()
    )
else:
    watching = atheris.instrument_imports(include=["ndisbridge"])
with watching:
    import ndisbridge as ndis
    from ndisbridge import structures
    from ndisbridge.persistence import _transfer
    from ndisbridge.persistence.errors import (
        StoreCorruptError,
        StoreVersionError,
    )

OIDS = [int(each) for each in ndis.Oid]


def names(data: bytes) -> None:
    """What is read as a NET_LUID is one, and its forms are read again."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(ndis.InvalidOidError):
        structures.oid_number(text)
    try:
        found = ndis.NetLuid.parse(text)
    except ndis.InvalidParameterError:
        return
    assert 0 < int(found) >> 48 <= 0xFFFF
    assert not int(found) & 0xFFFFFF
    for form in (found.name, str(found), str(int(found))):
        assert ndis.NetLuid.parse(form) == found


def oids(data: bytes) -> None:
    """What has been decoded is encoded to what is decoded alike."""
    if not data:
        return
    oid, raw = OIDS[data[0] % len(OIDS)], data[1:]
    try:
        value = structures.decode(oid, raw)
    except ndis.InvalidDataError:
        return
    try:
        again = structures.encode(oid, value)
    except (TypeError, ndis.InvalidParameterError, OverflowError):
        return
    assert structures.decode(oid, again) == value


class Opened(Exception):
    """The export is whole."""


def refuse() -> NoReturn:
    """In place of the store that it would go to."""
    raise Opened


def transfer(data: bytes) -> None:
    """An export is refused before its store is opened, or is whole."""
    with contextlib.suppress(Opened, StoreCorruptError, StoreVersionError):
        _transfer.import_from(
            io.BytesIO(data), refuse, _transfer.no_progress, "export"
        )


TARGETS: dict[str, Callable[[bytes], None]] = {
    "names": names,
    "oids": oids,
    "transfer": transfer,
}


def corpus(name: str) -> Iterator[bytes]:
    """The inputs that are kept for a target."""
    directory = Path(__file__).parent / "corpus" / f"python_{name}"
    for path in sorted(directory.iterdir()):
        yield path.read_bytes()


def main() -> None:
    """See above."""
    if sys.argv[1] == "--replay":
        for name, target in TARGETS.items():
            for data in corpus(name):
                target(data)
        return
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
