/* Products in bfloat16 for AVX2 with FMA: compiled as vec_avx2.c is. */
#include "simd/tables.h"

#define VEC_AVX2
#include "simd/vec.h"

#define VEC_NAME  "avx2"
#define VEC_TABLE dcls_bf16_avx2
#include "simd/vec_bf16.inc"
