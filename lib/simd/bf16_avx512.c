/* Products in bfloat16 for AVX-512 without VDPBF16PS: compiled as vec_avx512.c is. */
#include "simd/tables.h"

#define VEC_AVX512
#include "simd/vec.h"

#define VEC_NAME  "avx512"
#define VEC_TABLE dcls_bf16_avx512
#include "simd/vec_bf16.inc"
