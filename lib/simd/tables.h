/* One table per instruction set of this architecture. */
#ifndef DCLS_SIMD_TABLES_H
#define DCLS_SIMD_TABLES_H

#include "simd/amx.h"
#include "simd/bf16.h"
#include "simd/simd.h"

extern const dcls_simd dcls_simd_scalar;
extern const dcls_bf16 dcls_bf16_scalar;
extern const dcls_amx dcls_amx_scalar;
#if defined(__x86_64__)
extern const dcls_simd dcls_simd_avx2, dcls_simd_avx512;
extern const dcls_bf16 dcls_bf16_avx2, dcls_bf16_avx512, dcls_bf16_native;
extern const dcls_amx dcls_amx_native, dcls_amx_vectors;
#endif

#endif
