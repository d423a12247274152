/* C = A B (+ C), row-major floats, on one thread: the one door to BLAS. */
#ifndef DCLS_OPS_GEMM_H
#define DCLS_OPS_GEMM_H

#include <stdbool.h>
#include <stdint.h>

/* a [m, k] with row stride lda, b [k, n] with row stride ldb, c [m, n] with row stride ldc. transpose_b: b is
 * [n, k]. accumulate: adds to c. Sizes may be 0 (k 0 clears c). */
typedef struct dcls_gemm {
    int64_t m, n, k;
    const float *a, *b;
    float *c;
    int64_t lda, ldb, ldc;
    bool transpose_b, accumulate;
} dcls_gemm;

void dcls_gemm_run(const dcls_gemm *gemm);

#endif
