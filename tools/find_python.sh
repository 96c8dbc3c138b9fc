#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints the interpreters of this machine that can build ndisbridge, newest
# first, one a line and one a version: CPython 3.10 or later with venv and its
# headers.  What is not final yet comes last: the packages that we depend on may
# not be there for it.  With --free-threaded, those without a GIL instead, from
# 3.14 on, the first that cffi works with.
# Each candidate is run: a name on the PATH may be a shim of nothing.
set -u
wanted=${1:-}

candidates() {
    # All of the PATH: a shim may stand before one that works.
    echo "$PATH" | tr : '\n' | while read -r directory; do
        for name in "$directory"/python3 "$directory"/python3.[1-9][0-9] \
            "$directory"/python3.[1-9][0-9]t; do
            [ -x "$name" ] && echo "$name"
        done
    done
    for root in "${PYENV_ROOT:-}" "${HOME:-/nonexistent}/.pyenv"; do
        [ -n "$root" ] && ls "$root"/versions/*/bin/python3 2>/dev/null
    done
}

probe='
import os, sys, sysconfig
import ensurepip, venv
header = os.path.join(sysconfig.get_path("include"), "Python.h")
free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
if (free == (sys.argv[1] == "--free-threaded")
        and sys.version_info >= ((3, 14) if free else (3, 10))
        and sys.implementation.name == "cpython"
        and os.path.exists(header)):
    plain = sys.version_info.releaselevel == "final"
    print(int(plain), sys.version_info[0] * 1000 + sys.version_info[1],
          "%d.%d" % sys.version_info[:2], sys.executable)
'

candidates | while read -r candidate; do
    "$candidate" -c "$probe" "$wanted" 2>/dev/null </dev/null || true
done | sort -s -k1,1nr -k2,2nr | awk '!seen[$3]++ { print $4 }'
