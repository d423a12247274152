/* One table per instruction set of this architecture. */
#ifndef DCLS_SIMD_TABLES_H
#define DCLS_SIMD_TABLES_H

#include "simd/simd.h"

extern const dcls_simd dcls_simd_scalar;
#if defined(__x86_64__)
extern const dcls_simd dcls_simd_avx2, dcls_simd_avx512;
#endif

#endif
