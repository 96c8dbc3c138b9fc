#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh DIRECTORY SECONDS PYTHON: fuzzes every target so long, one after the
# other, and goes on from what DIRECTORY has. Ends with the first failure.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1 seconds=$2 python=$3
fuzz() {
    name=$1
    shift
    mkdir -p "$out/corpus/$name"
    "$@" -max_total_time="$seconds" -artifact_prefix="$out/$name-" \
        "$out/corpus/$name" "$here/corpus/$name" >"$out/$name.log" 2>&1 \
        || { tail -n 40 "$out/$name.log"; exit 1; }
    echo "$name: $(grep '^Done' "$out/$name.log")," \
        "$(grep -o 'cov: [0-9]*' "$out/$name.log" | tail -n 1)"
}
if [ "$("$here/build.sh" "$out")" = libfuzzer ]; then
    for target in names netlink oids api; do
        longest=2500
        [ $target != api ] || longest=300
        fuzz $target "$out/fuzz_$target" -max_len=$longest -len_control=20
    done
else
    echo "no libFuzzer here (Debian: libclang-rt-*-dev)"
fi
if "$python" -c 'import atheris' 2>/dev/null; then
    for target in names oids transfer; do
        fuzz python_$target "$python" "$here/fuzz_python.py" $target
    done
else
    echo "no atheris here"
fi
