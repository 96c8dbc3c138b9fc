# SPDX-License-Identifier: MIT
"""
The library through ctypes, with prototypes.

Structures, constants and prototypes are made from the same slice of
``ndisbridge.h`` as the cffi module (by way of it), so that they cannot say
anything else::

    from ndisbridge import ctypes_api

    lib = ctypes_api.load()
    session = ctypes.c_void_p()
    lib.ndisbridge_session_create(ctypes.byref(session), None)

The header says what a call does.  A session made here works through every
other route, and the other way round (``Session.address``).
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from ._ndisbridge import ffi, lib
from .embedding import get_library

_PRIMITIVES: dict[str, Any] = {
    "char": ctypes.c_char,
    "int": ctypes.c_int,
    "int32_t": ctypes.c_int32,
    "size_t": ctypes.c_size_t,
    "uint8_t": ctypes.c_uint8,
    "uint16_t": ctypes.c_uint16,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
}
#: Opaque in the header; plain pointers here.
_OPAQUE = (
    "ndisbridge_session",
    "ndisbridge_linux_host",
    "ndisbridge_linux_monitor",
)


@cache
def _convert(c_type: Any) -> Any:
    """The ctypes type of a type of cffi."""
    kind = c_type.kind
    if kind == "primitive":
        return _PRIMITIVES[c_type.cname]
    if kind == "void":
        return None
    if kind == "array":
        return _convert(c_type.item) * c_type.length
    if kind == "struct":
        return _structure(c_type)
    if kind == "function":
        return _function(c_type)
    if kind == "pointer":
        return _pointer(c_type.item)
    raise TypeError(f"no ctypes type for {c_type.cname}")


def _pointer(item: Any) -> Any:
    if item.kind == "function":
        return _function(item)
    if item.kind == "void" or item.cname.endswith(_OPAQUE):
        return ctypes.c_void_p
    if item.cname == "char":
        return ctypes.c_char_p
    return ctypes.POINTER(_convert(item))


def _function(c_type: Any) -> Any:
    return ctypes.CFUNCTYPE(
        _convert(c_type.result), *(_convert(each) for each in c_type.args)
    )


@cache
def _structure(c_type: Any) -> Any:
    ffi.sizeof(c_type)  # cffi completes it
    return type(
        c_type.cname.removeprefix("struct "),
        (ctypes.Structure,),
        {
            "__doc__": f"``{c_type.cname}``: see the header.",
            "_fields_": [
                (name, _convert(field.type)) for name, field in c_type.fields
            ],
        },
    )


def _structures() -> dict[str, Any]:
    found = {}
    for name in ffi.list_types()[0]:
        c_type = ffi.typeof(name)
        if name not in _OPAQUE and c_type.kind in {"struct", "function"}:
            found[name] = _convert(c_type)
    return found


#: The types of the header by name: structures, and function pointers.
TYPES: dict[str, Any] = _structures()
#: Its constants by name.
CONSTANTS: dict[str, int] = {
    name: getattr(lib, name)
    for name in dir(lib)
    if name.startswith("NDISBRIDGE_")
}
#: Its functions.
FUNCTIONS: tuple[str, ...] = tuple(
    name for name in dir(lib) if name.startswith("ndisbridge_")
)
#: Result and arguments of each.  Made at import, once: threads that made the
#: same type at the same time would have two of it.
PROTOTYPES: dict[str, tuple[Any, list[Any]]] = {
    name: (_convert(each.result), [_convert(c_type) for c_type in each.args])
    for name in FUNCTIONS
    for each in [ffi.typeof(getattr(lib, name))]
}


def __getattr__(name: str) -> Any:
    if name in TYPES:
        return TYPES[name]
    if name in CONSTANTS:
        return CONSTANTS[name]
    raise AttributeError(f"the header has no {name}")


def load(path: str | None = None) -> ctypes.CDLL:
    """
    Open the library, with the prototype of every function set.

    Args:
        path: The library; the package's own by default.
    """
    library = ctypes.CDLL(path or get_library())
    for name, (result, arguments) in PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def new(name: str) -> Any:
    """
    A zeroed structure; its ``header``, if it has one, is filled in.

    Args:
        name: Such as ``"ndisbridge_session_config"``.
    """
    made = TYPES[name]()
    header = getattr(made, "header", None)
    if header is not None:
        header.type = CONSTANTS["NDISBRIDGE_OBJECT_TYPE_DEFAULT"]
        header.revision = CONSTANTS["NDISBRIDGE_OBJECT_REVISION_1"]
        header.size = ctypes.sizeof(made)
    return made
