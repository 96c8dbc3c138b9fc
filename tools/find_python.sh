#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints the interpreters of this machine that can build ndisbridge, newest
# first, one a line: CPython 3.10 or later with venv and its headers.
# Each candidate is run: a name on the PATH may be a shim of nothing.
set -u

candidates() {
    for minor in 20 19 18 17 16 15 14 13 12 11 10; do
        command -v "python3.$minor" || true
    done
    command -v python3 || true
    for root in "${PYENV_ROOT:-}" "${HOME:-/nonexistent}/.pyenv"; do
        [ -n "$root" ] && ls "$root"/versions/*/bin/python3 2>/dev/null
    done
}

probe='
import os, sys, sysconfig
import ensurepip, venv
header = os.path.join(sysconfig.get_path("include"), "Python.h")
if (sys.version_info >= (3, 10)
        and sys.implementation.name == "cpython"
        and os.path.exists(header)):
    real = os.path.realpath(sys.executable)
    print(sys.version_info[0] * 1000 + sys.version_info[1], sys.executable,
          "%d.%d" % sys.version_info[:2], real)
'

candidates | while read -r candidate; do
    "$candidate" -c "$probe" 2>/dev/null || true
done | sort -k1,1nr -s | awk '!seen[$3]++ { print $2 }'
