/* Vector kernels for AVX-512: compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl where the architecture
 * has them. */
#include "simd/tables.h"

#define VEC_AVX512
#include "simd/vec.h"

#define TAPS_TALLEST 16
#define TAPS_LEFT    1
#define TAPS_WIDE    4
#define VEC_NAME     "avx512"
#define VEC_TABLE    dcls_simd_avx512
#include "simd/vec_template.inc"
