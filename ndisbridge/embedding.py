# SPDX-License-Identifier: MIT
"""
Where the header, the library and the pkg-config file are, for C programs.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def get_include() -> str:
    """Directory of ``ndisbridge.h``, for ``-I``."""
    return str(_PACKAGE / "include")


def get_library() -> str:
    """Path of ``libndisbridge.so``, for the linker and ``dlopen()``."""
    return str(_PACKAGE / "libndisbridge.so")


def get_pkg_config_dir() -> str:
    """Directory with ``ndisbridge.pc``, for PKG_CONFIG_PATH."""
    return str(_PACKAGE / "pkgconfig")
