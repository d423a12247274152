/* Products of bfloat16 numbers with sums in float, in pairs of terms as the instruction VDPBF16PS adds them:
 * sum = (sum + a1 b1) + a0 b0, each step rounded once, denormal numbers taken and given as zeros. Where a
 * processor lacks it the same bits are computed otherwise, but for the scalar variant where a product is
 * below 2^-126, and on processors that are not x86 for denormal numbers.
 *
 * A pair is one uint32_t: term 0 in the lower half, term 1 in the upper one. */
#ifndef DCLS_SIMD_BF16_H
#define DCLS_SIMD_BF16_H

#include "simd/simd.h"

/* out[p, o] = activation(bias[o] + sum over pairs j of in[j * in_step + p * in_stride] . weight[j, o]) for p
 * < pixels and the DCLS_GEMM_PANEL outputs o of a panel; rows of out are out_stride floats apart. in_stride
 * or in_step is 1. bias [DCLS_GEMM_PANEL]; NULL: neither bias nor activation. packed, if not NULL: the
 * results, as pairs of outputs (o, o + DCLS_GEMM_PANEL / 2), rows packed_stride pairs apart, GELU to 4e-5;
 * out is scratch then. pixels, pairs >= 1. Bits depend on pairs alone. */
typedef struct dcls_bf16_product {
    int64_t pixels, pairs;
    const uint32_t *in;
    int64_t in_step, in_stride;
    const uint32_t *weight;
    const float *bias;
    dcls_activation activation;
    float *out;
    int64_t out_stride;
    uint32_t *packed;
    int64_t packed_stride;
} dcls_bf16_product;

typedef struct dcls_bf16 {
    const char *name; /* "scalar", "avx2", "avx512", "avx512_bf16" */
    void (*multiply)(const dcls_bf16_product *product);
    /* Rounds to nearest even: out[i] = (term0[i], term1[i]). */
    void (*pack)(const float *term0, const float *term1, uint32_t *out, int64_t n);
    /* rounds * DCLS_SIMD_CHAINS vectors of 2 * width multiply-adds: what the processor can do at most. */
    float (*multiply_add)(int64_t rounds);
    int width; /* floats per vector */
} dcls_bf16;

/* The table that goes with a level; native: with the instruction, which needs DCLS_CPU_AVX512. Never NULL. */
const dcls_bf16 *dcls_bf16_get(dcls_cpu_level level, bool native);

#endif
