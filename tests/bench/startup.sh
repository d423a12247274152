#!/bin/sh
# What one small picture costs as a whole process, beside an empty program and one that links the same libraries.
set -eu
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cc=${CC:-gcc}
echo 'int main(void) { return 0; }' >"$scratch/empty.c"
$cc -O2 -o "$scratch/empty" "$scratch/empty.c"
# shellcheck disable=SC2046 # flags are words
$cc -O2 -o "$scratch/linked" "$scratch/empty.c" -Wl,--no-as-needed $(ldd ./dcls | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p')
$cc -O2 -o "$scratch/bench" tests/bench/bench_startup.c
picture=${1:-tests/fixtures/images/good/c2d8.png}
env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE "$scratch/bench" "${RUNS:-200}" "$scratch/empty" "$scratch/linked" \
  "./dcls infer -q $picture" "./dcls infer -q --threads 1 $picture" "./dcls --version"
