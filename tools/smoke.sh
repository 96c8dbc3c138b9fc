#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the smoke selection of the tests on every interpreter of this machine
# but the one given, all with one wheel.  One line for each.
set -eu

newest=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
wheels=.cache/wheel
rm -rf "$wheels"
mkdir -p "$wheels"

for python in $(tools/find_python.sh); do
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    [ "$version" != "$newest" ] || continue
    if [ -z "$(ls "$wheels")" ]; then
        "$1" -m pip --disable-pip-version-check -qq wheel \
            --no-build-isolation --no-deps -w "$wheels" . >.cache/wheel.log 2>&1 \
            || { cat .cache/wheel.log; exit 1; }
    fi
    venv=.venv-$version
    if [ ! -e "$venv/.made" ]; then
        "$python" -m venv --clear "$venv"
        "$venv/bin/python" -m pip --disable-pip-version-check -qq install \
            'cffi>=2.0' 'apsw>=3.52' 'click>=8.1' 'rich>=13' \
            'pytest>=8' 'hypothesis>=6.100'
        touch "$venv/.made"
    fi
    "$venv/bin/python" -m pip --disable-pip-version-check -qq install \
        --no-deps --force-reinstall "$wheels"/*.whl
    printf 'Python %s, smoke: ' "$version"
    if ! "$venv/bin/pytest" -q -m smoke -p no:cacheprovider \
        >".cache/smoke-$version.log" 2>&1; then
        echo failed
        cat ".cache/smoke-$version.log"
        exit 1
    fi
    tail -n 1 ".cache/smoke-$version.log"
done
