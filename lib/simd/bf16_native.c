/* Products in bfloat16 for AVX-512 with VDPBF16PS: compiled as vec_avx512.c is and with -mavx512bf16. */
#include "simd/tables.h"

#define VEC_AVX512
#define VEC_BF16
#include "simd/vec.h"

#define VEC_NAME  "avx512_bf16"
#define VEC_TABLE dcls_bf16_native
#include "simd/vec_bf16.inc"
