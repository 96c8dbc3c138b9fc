# SPDX-License-Identifier: MIT
"""
What the public header and the headers of mingw-w64 both name, as macros for
tests/c/windows: SAME_VALUES(V), SAME_SIZES(S) and SAME_OFFSETS(O).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEADER = ROOT / "ndisbridge" / "include" / "ndisbridge.h"
INCLUDES = ROOT / "tests" / "c" / "windows" / "includes.h"
#: Does not compile, but its macros can be had.
DDK = "#include <ntdef.h>\n#include <ddk/ndis.h>\n"


def preprocess(compiler: str, *options: str | Path, text: str = "") -> str:
    return subprocess.run(
        [compiler, "-E", "-x", "c", *map(str, options)],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def plain(name: str) -> str:
    """MEDIA_CONNECT_STATE and MediaConnectState are one name."""
    return name.replace("_", "").lower()


def ddk_statuses(compiler: str) -> dict[str, str]:
    """NDIS_STATUS_* by name, as they are defined."""
    found = re.search(
        r'"([^"]*)/ntdef\.h"',
        preprocess(compiler, "-", text="#include <ntdef.h>\n"),
    )
    assert found is not None
    text = preprocess(compiler, "-dM", f"-I{found[1]}/ddk", "-", text=DDK)
    return dict(re.findall(r"^#define (NDIS_STATUS_\w+) (\(.*)$", text, re.M))


def same_values(ours: str, theirs: set[str]) -> Iterator[tuple[str, str]]:
    """Constants that both have; statuses are compared one by one."""
    by_plain = {plain(name): name for name in sorted(theirs)}
    for name in re.findall(r"^ +NDISBRIDGE_(\w+) = ", ours, re.M):
        if name.startswith("STATUS_"):
            continue
        for spelling in (
            name,
            f"NDIS_{name}",
            name.removeprefix("NET_IF_"),
        ):
            if plain(spelling) in by_plain:
                yield f"NDISBRIDGE_{name}", by_plain[plain(spelling)]
                break


def structures(ours: str) -> list[tuple[str, str]]:
    """Structures of the public header, each with what is in its braces."""
    return re.findall(
        r"^typedef struct (ndisbridge_\w+) \{(.*?)^\}", ours, re.M | re.S
    )


def members(body: str) -> list[str]:
    """Names of the members of a structure of the public header."""
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
    return re.findall(r"(\w+)\)?(?:\[\w+\]|\([^;]*\))?;", body)


def same_structures(
    ours: str, theirs: str
) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Structures that both have, with their members."""
    for name, body in structures(ours):
        short = name.removeprefix("ndisbridge_").upper()
        for other in (short, f"NDIS_{short}"):
            found = re.search(
                rf"typedef struct _{other}(?:_LH)? \{{(.*?)\}} ?{other}(_LH)?\b",
                theirs,
                re.S,
            )
            if found is None:
                continue
            words = {plain(w): w for w in re.findall(r"\w+", found[1])}
            pairs = [
                (member, words[plain(member)])
                for member in members(body)
                if plain(member) in words
            ]
            yield name, other, pairs
            break


def macro(name: str, lines: list[str]) -> str:
    return " \\\n    ".join([f"#define {name}", *lines]) + "\n"


def write(compiler: str, path: Path) -> None:
    """Writes the header that tests/c/windows include."""
    ours = HEADER.read_text()
    theirs = preprocess(compiler, "-P", INCLUDES)
    macros = preprocess(compiler, "-dM", INCLUDES)
    names = set(re.findall(r"\b[A-Za-z]\w+", theirs))
    names |= set(re.findall(r"^#define ([A-Z]\w+) \S", macros, re.M))
    alike = list(same_structures(ours, theirs))
    parts = [
        f"#define {name} {value}\n"
        for name, value in sorted(ddk_statuses(compiler).items())
    ]
    parts.append(
        macro(
            "SAME_VALUES(V)",
            [f"V({a}, {b})" for a, b in same_values(ours, names)],
        )
    )
    parts.append(macro("SAME_SIZES(S)", [f"S({a}, {b})" for a, b, _ in alike]))
    parts.append(
        macro(
            "SAME_OFFSETS(O)",
            [
                f"O({a}, {mine}, {b}, {other})"
                for a, b, pairs in alike
                for mine, other in pairs
            ],
        )
    )
    path.write_text("".join(parts))
