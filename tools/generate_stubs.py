# SPDX-License-Identifier: MIT
"""
Writes the type stubs of what is made from the public header.

    ndisbridge/_ndisbridge.pyi   cffi's module: ffi and lib
    ndisbridge/constants.pyi     the enumerations

Run after the header has changed; ``--check`` only says whether they are
current.
"""

from __future__ import annotations

import sys
from enum import IntEnum, IntFlag
from pathlib import Path

from ndisbridge import constants
from ndisbridge._ndisbridge import ffi, lib

PACKAGE = Path(__file__).parent.parent / "ndisbridge"
HEAD = (
    "# SPDX-License-Identifier: MIT\n# Written by tools/generate_stubs.py.\n"
)


def annotation(c_type: object, *, result: bool = False) -> str:
    """The Python type of a type of C."""
    kind = c_type.kind  # type: ignore[attr-defined]
    if kind == "void":
        return "None"
    if kind in {"primitive", "enum"}:
        return "int"
    return "FFI.CData" if result else "Any"


def ndisbridge_stub() -> str:
    """Stub of the cffi module."""
    lines = [
        HEAD,
        "from typing import Any",
        "",
        "from cffi import FFI",
        "",
        "ffi: FFI",
        "",
        "class _Lib:",
    ]
    for name in sorted(dir(lib)):
        if name.startswith("NDISBRIDGE_"):
            lines.append(f"    {name}: int")
    for name in sorted(dir(lib)):
        if not name.startswith("ndisbridge_"):
            continue
        c_type = ffi.typeof(getattr(lib, name))
        arguments = "".join(
            f", a{i}: {annotation(each)}" for i, each in enumerate(c_type.args)
        )
        if arguments:
            arguments += ", /"
        result = annotation(c_type.result, result=True)
        lines += [f"    def {name}(self{arguments}) -> {result}: ..."]
    lines += [f"    nb_py_{name}: FFI.CData" for name in HOOKS]
    return "\n".join([*lines, "", "lib: _Lib", ""])


HOOKS = (
    "confirm",
    "lease_blocks",
    "release",
    "retain",
    "return_blocks",
    "unconfirm",
)


def constants_stub() -> str:
    """Stub of the enumerations."""
    lines = [HEAD, "from enum import IntEnum, IntFlag", ""]
    for name, value in vars(constants).items():
        if name.startswith("_") or name in {"IntEnum", "IntFlag"}:
            continue
        if isinstance(value, type) and issubclass(value, (IntEnum, IntFlag)):
            kind = "IntFlag" if issubclass(value, IntFlag) else "IntEnum"
            lines.append(f"class {name}({kind}):")
            for member, number in value.__members__.items():
                lines.append(f"    {member} = {int(number)}")
            lines.append("")
    lines += [
        f"{name}: int"
        for name, value in vars(constants).items()
        if isinstance(value, int) and not name.startswith("_")
    ]
    return "\n".join([*lines, ""])


def main() -> int:
    """Write the stubs, or check them."""
    stale = 0
    for path, text in (
        (PACKAGE / "_ndisbridge.pyi", ndisbridge_stub()),
        (PACKAGE / "constants.pyi", constants_stub()),
    ):
        if path.exists() and path.read_text(encoding="utf-8") == text:
            print(f"current {path.name}")
        elif "--check" in sys.argv[1:]:
            print(f"stale {path.name}: run python tools/generate_stubs.py")
            stale = 1
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.name}")
    return stale


if __name__ == "__main__":
    sys.exit(main())
