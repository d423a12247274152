/* One table per instruction set; NULL where this build's architecture or compiler flags have none. */
#ifndef DCLS_SIMD_TABLES_H
#define DCLS_SIMD_TABLES_H

#include "simd/simd.h"

extern const dcls_simd *const dcls_simd_scalar; /* never NULL */
extern const dcls_simd *const dcls_simd_avx2;
extern const dcls_simd *const dcls_simd_avx512;

#endif
