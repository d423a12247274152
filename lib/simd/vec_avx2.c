/* Vector kernels for AVX2 with FMA: compiled with -mavx2 -mfma -mf16c where the architecture has them. */
#include "simd/tables.h"

#define VEC_AVX2
#include "simd/vec.h"

#define TAPS_TALLEST 12
#define TAPS_LEFT    4
#define TAPS_WIDE    2
#define VEC_NAME     "avx2"
#define VEC_TABLE    dcls_simd_avx2
#include "simd/vec_template.inc"
