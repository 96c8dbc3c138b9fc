# SPDX-License-Identifier: MIT
"""
Slices the public header into the cdef of cffi's module.

Nothing is declared here but the functions that call back into Python, and
their types are the header's own too.
"""

from __future__ import annotations

import re
from pathlib import Path

from cffi import FFI

HEADER = Path("ndisbridge/include/ndisbridge.h")
BEGIN, END = "/* cffi: begin */", "/* cffi: end */"


def header_slice(text: str) -> str:
    """What lies between the two markers of the header."""
    _, found, rest = text.partition(BEGIN)
    declarations, found_end, _ = rest.partition(END)
    if not (found and found_end):
        raise ValueError("the header has lost its cffi markers")
    return declarations


def trampolines(declarations: str) -> str:
    """
    extern "Python" functions for the members of the hooks structure, and for
    what drivers indicate by.
    """
    members = re.search(
        r"typedef struct ndisbridge_persistence_hooks \{(.*?)\n\} ",
        declarations,
        re.DOTALL,
    )
    assert members is not None
    functions = re.findall(
        r"ndisbridge_status \(\*(\w+)\)\(([^;]*)\);", members[1]
    )
    functions += re.findall(
        r"ndisbridge_status \(\*ndisbridge_(indicate_status)\)\(([^;]*)\);",
        declarations,
    )
    lines = [
        f"ndisbridge_status nb_py_{name}({parameters});"
        for name, parameters in functions
    ]
    return 'extern "Python" {\n' + "\n".join(lines) + "\n}\n"


declarations = header_slice(HEADER.read_text(encoding="utf-8"))
ffibuilder = FFI()
ffibuilder.cdef(declarations + trampolines(declarations))
ffibuilder.set_source(
    "ndisbridge._ndisbridge",
    '#include "ndisbridge.h"',
    include_dirs=[str(HEADER.parent)],
    depends=[str(HEADER), "csrc/cffi_build.py"],
)
