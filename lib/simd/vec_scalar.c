/* Vector kernels for any architecture: no instruction set is asked for beyond the compiler's baseline. */
#include "simd/tables.h"

#include "simd/vec.h"

#define TAPS_ROWS 7
#define TAPS_VECS 1
#define VEC_NAME  "scalar"
#define VEC_TABLE dcls_simd_scalar
#include "simd/vec_template.inc"
