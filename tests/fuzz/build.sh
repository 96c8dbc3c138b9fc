#!/bin/sh
# SPDX-License-Identifier: MIT
#
# build.sh DIRECTORY [TARGET...]: builds fuzz targets with clang's libFuzzer,
# or, where there is none, with gcc and replay.c. COMPILER=clang-19 or
# COMPILER=gcc says which; INSTEAD=DIR/name.c is compiled instead of the core's
# file of that name, and what DIRECTORY has of the other files is kept.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$1
shift
[ $# -gt 0 ] || set -- names netlink oids api
sanitizers=address,undefined
flags="-std=c11 -g -O2 -pthread -fno-omit-frame-pointer
    -fno-strict-aliasing -DNB_ASSERT_LEVEL=1
    -fno-sanitize-recover=all -Wall -Wextra -Werror
    -I$root/csrc -I$root/ndisbridge/include"
mkdir -p "$out"

compiler=${COMPILER:-$(command -v clang || true)}
if [ -z "$compiler" ]; then
    compiler=$(ls $(echo "$PATH" | tr : ' ' \
        | sed 's:[^ ]*:&/clang-[0-9][0-9]:g') 2>/dev/null \
        | sort -V | tail -n 1)
fi
echo 'int LLVMFuzzerTestOneInput(const char *d, long n)
{ (void)d; return (int)(n & 0); }' >"$out/probe.c"
if [ -n "$compiler" ] && "$compiler" -fsanitize=fuzzer,$sanitizers \
    "$out/probe.c" -o "$out/probe" 2>/dev/null; then
    main=-fsanitize=fuzzer,$sanitizers
    flags="$flags -fsanitize=fuzzer-no-link,$sanitizers"
    no_traces=-fno-sanitize-coverage=trace-cmp
    echo libfuzzer
else
    [ -n "${COMPILER:-}" ] || compiler=gcc
    main="$root/tests/fuzz/replay.c -fsanitize=$sanitizers"
    flags="$flags -fsanitize=$sanitizers"
    no_traces=
    echo replay
fi
# build_core DIRECTORY FLAGS
build_core() {
    mkdir -p "$1"
    for file in "$root"/csrc/*.c; do
        name=$(basename "$file" .c)
        [ "$name" != fastcall ] || continue
        if [ -n "${INSTEAD:-}" ]; then
            if [ "$name" = "$(basename "$INSTEAD" .c)" ]; then
                file=$INSTEAD
            else
                [ ! -e "$1/$name.o" ] || continue
            fi
        fi
        # shellcheck disable=SC2086
        "$compiler" $flags $2 -c "$file" -o "$1/$name.o"
    done
}
traced= untraced=
for target in "$@"; do
    # The bytes of api choose and are compared with nothing: to trace what is
    # compared costs half the time there, and finds no more.
    if [ "$target" = api ] && [ -n "$no_traces" ]; then
        [ -n "$untraced" ] || build_core "$out/core/untraced" "$no_traces"
        untraced=1 core=untraced more=$no_traces
    else
        [ -n "$traced" ] || build_core "$out/core/traced" ""
        traced=1 core=traced more=
    fi
    # shellcheck disable=SC2086
    "$compiler" $flags $more "$root/tests/fuzz/fuzz_$target.c" \
        "$root/tests/fuzz/options.c" $main \
        "$out/core/$core"/*.o -o "$out/fuzz_$target"
done
