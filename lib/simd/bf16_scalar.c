/* Products in bfloat16 for every processor. */
#include "simd/tables.h"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif
#include "simd/vec.h"

#define VEC_NAME  "scalar"
#define VEC_TABLE dcls_bf16_scalar
#include "simd/vec_bf16.inc"
