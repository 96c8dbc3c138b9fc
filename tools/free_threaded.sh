#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the tests, or those given, on the Pythons of this machine that have no
# GIL: each test in four threads at once, by pytest-run-parallel, unless
# tests/parallel.py says why not.  Says so where there is no such Python.
#
# FREE_THREADED_VENV=DIR: only on this environment's, which has what it needs.
set -eu

# What does not run in the interpreter, or takes a machine for itself.
others='build c contract coverage cross faults fuzz hosts install instructions
kill9 packaging power_cut schedules sanitized_python'
ignored=
for each in $others; do
    ignored="$ignored --ignore=tests/test_$each.py"
done

# apsw says nothing about the GIL, and would turn it on again for all: it is
# used under a lock.
export PYTHON_GIL=0

run() {
    venv=$(cd "$1" && pwd)
    shift
    version=$("$venv/bin/python" -c \
        'import sys; print("%d.%dt" % sys.version_info[:2])')
    # In a copy: what this Python builds would be in the way of others.
    copy=.cache/free-threaded-$version
    log=$copy.log
    rm -rf "$copy"
    mkdir -p "$copy"
    tar -cf - --exclude='./.*' --exclude='./build' --exclude='*.so' . \
        | tar -xf - -C "$copy"
    "$venv/bin/python" -m pip --disable-pip-version-check -qq install \
        --no-build-isolation --no-deps -e "$copy"
    printf 'Python %s, in four threads: ' "$version"
    # shellcheck disable=SC2086
    if ! (cd "$copy" && "$venv/bin/python" -m pytest -q -p no:cacheprovider \
        --parallel-threads=4 $ignored "$@") >"$log" 2>&1; then
        echo failed
        tail -n 200 "$log"
        exit 1
    fi
    tail -n 1 "$log"
}

mkdir -p .cache
if [ -n "${FREE_THREADED_VENV:-}" ]; then
    run "$FREE_THREADED_VENV" "$@"
    exit
fi
found=$(tools/find_python.sh --free-threaded)
[ -n "$found" ] || echo "no free-threaded Python >= 3.14 here: not tried on one"
for python in $found; do
    venv=.venv-$("$python" -c \
        'import sys; print("%d.%dt" % sys.version_info[:2])')
    if [ ! "$venv/.made" -nt "$0" ]; then
        "$python" -m venv --clear "$venv"
        "$venv/bin/python" -m pip --disable-pip-version-check -qq install \
            'setuptools>=77' wheel 'cffi>=2.0' 'apsw>=3.52' 'click>=8.1' \
            'rich>=13' 'pytest>=8' 'hypothesis>=6.100' pyroute2 psutil \
            'pytest-run-parallel>=0.7'
        # There is no wheel with libpq in it, so it must be here.
        libpq='import ctypes.util; print(ctypes.util.find_library("pq") or "")'
        [ -z "$("$python" -c "$libpq")" ] \
            || "$venv/bin/python" -m pip --disable-pip-version-check -qq \
                install 'psycopg>=3.2.4'
        touch "$venv/.made"
    fi
    run "$venv" "$@"
done
