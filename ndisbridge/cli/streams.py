# SPDX-License-Identifier: MIT
"""
The standard streams: they may be closed, narrow, or read by nobody.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys


def prepare() -> None:
    """Streams that every text can be written to."""
    # In this order each closed one gets back the number that it had, which
    # then can't become that of a file.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(nowhere, mode))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def settle() -> None:
    """Flush; what can't be written any more goes nowhere."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # Or the interpreter would try again, and exit with 120.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_utf8(text: str) -> bool:
    """Whether what came from the system was UTF-8."""
    return not any("\ud800" <= each <= "\udfff" for each in text)


def encoding() -> str:
    """The encoding of stdout."""
    return codecs.lookup(sys.stdout.encoding or "utf-8").name


def printable(value: object) -> str:
    """
    A text for people: what is not printable is escaped.  Names are anybody's
    to choose, and must not move the cursor or make up lines.
    """
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    text = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in text
    )
    # Here, not when it is written: columns are as wide as what is shown.
    return text.encode(encoding(), "backslashreplace").decode(encoding())


def write(text: str) -> None:
    """Write lines to stdout, before anything that stderr says next."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def note(text: object) -> None:
    """Say one line on stderr, if somebody listens."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()
