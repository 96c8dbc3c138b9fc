# SPDX-License-Identifier: MIT
"""
Where the header, the library and the pkg-config file are, for C programs.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ._native import library_version

_PACKAGE = Path(__file__).parent


def get_include() -> str:
    """Directory of ``ndisbridge.h``, for ``-I``."""
    return str(_PACKAGE / "include")


def get_library() -> str:
    """Path of ``libndisbridge.so``, for the linker and ``dlopen()``."""
    return str(_PACKAGE / "libndisbridge.so")


def pkg_config() -> str:
    """Text of the pkg-config file for where the package is installed."""
    directory = str(_PACKAGE)
    if any(c in directory for c in " \t\"'"):
        directory = directory.replace(" ", "\\ ")
    return (
        f"prefix={directory}\n"
        "Name: ndisbridge\n"
        "Description: Windows-grade interface identity, in user space\n"
        f"Version: {library_version()}\n"
        "Cflags: -I${prefix}/include\n"
        "Libs: -L${prefix} -lndisbridge -Wl,-rpath,${prefix}\n"
    )


def get_pkg_config_dir() -> str:
    """
    Directory with ``ndisbridge.pc``, for PKG_CONFIG_PATH.

    The file names where the package is, and so is written when it is asked
    for: beside the library, or in the user's cache where that is read-only.
    """
    text = pkg_config()
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for directory in (
        _PACKAGE / "pkgconfig",
        Path(cache) / "ndisbridge" / "pkgconfig",
    ):
        path = directory / "ndisbridge.pc"
        try:
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                return str(directory)
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=directory, delete=False, encoding="utf-8"
            ) as file:
                file.write(text)
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except OSError:
            continue
        return str(directory)
    raise OSError(f"ndisbridge.pc can't be written to {directory}")
