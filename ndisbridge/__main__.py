# SPDX-License-Identifier: MIT
"""``python -m ndisbridge``: the command; with one option, paths for C."""

from __future__ import annotations

import sys

from .embedding import get_include, get_library, get_pkg_config_dir

_PATHS = {
    "--include-dir": get_include,
    "--library": get_library,
    "--pkg-config-dir": get_pkg_config_dir,
}


def main() -> int:
    """Print a path, or run the command."""
    if len(sys.argv) == 2 and sys.argv[1] in _PATHS:
        print(_PATHS[sys.argv[1]]())
        return 0
    from .cli import run

    return run()


if __name__ == "__main__":
    sys.exit(main())
