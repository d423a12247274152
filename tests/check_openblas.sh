#!/bin/sh
# The other choice of BLAS: gemm.c built for OpenBLAS passes the same tests. Sanitizers and coverage have looked at ours.
set -u
cd "$(dirname "$0")/.." || exit 2
build=${DCLS_BUILD:?set by tests/run.sh}
case $(basename "$build") in
  *-san* | *-cov* | *-openblas) echo "only for plain builds"; exit 77 ;;
esac
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

# shellcheck disable=SC2086 # lists of flags
compile() {
  ${CC:-gcc} -std=c11 -D_GNU_SOURCE -O1 -DDCLS_USE_OPENBLAS -Iinclude -Ilib ${BLAS_CFLAGS:-} "$@"
}
if ! echo '#include <cblas.h>' | compile -E - >/dev/null 2>&1; then
  echo "no OpenBLAS here"
  exit 77
fi
# The object comes before the library, whose own gemm.o is then not wanted.
# shellcheck disable=SC2086
compile -o "$scratch/test" lib/ops/gemm.c tests/unit/test_gemm.c "$build/libdcls.a" -lcmocka ${BLAS_LIBS:--lopenblas} -pthread -lm || exit 1
"$scratch/test"
