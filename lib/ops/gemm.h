/* Matrix products on the calling thread, by the kernels in lib/simd or, built with BLAS=openblas, by
 * OpenBLAS.
 */
#ifndef DCLS_OPS_GEMM_H
#define DCLS_OPS_GEMM_H

#include "simd/simd.h"

/* Brings a [m, k], rows lda floats apart, into the form in which dcls_gemm_run wants it: m * k floats. Rows
 * from r, a multiple of DCLS_GEMM_ROWS, on may be multiplied alone; they begin at packed + r * k. */
void dcls_gemm_pack(int64_t m, int64_t k, const float *a, int64_t lda, float *packed);

/* Computes what dcls_gemm describes. Sizes may be 0; k = 0 clears c unless it accumulates. */
void dcls_gemm_run(const dcls_simd *simd, const dcls_gemm *gemm);

#endif
