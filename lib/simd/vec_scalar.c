/* Vector kernels for any architecture: no instruction set is asked for beyond the compiler's baseline. */
#include "simd/tables.h"

#include "simd/vec.h"

#define TAPS_TALLEST 8
#define TAPS_LEFT    1
#define TAPS_WIDE    2
#define VEC_NAME     "scalar"
#define VEC_TABLE    dcls_simd_scalar
#include "simd/vec_template.inc"
