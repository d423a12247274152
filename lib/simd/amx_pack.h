/* What the tables of AMX and of AVX512-BF16 share: simd/amx.h says what each does. */
#ifndef DCLS_SIMD_AMX_PACK_H
#define DCLS_SIMD_AMX_PACK_H

#include "simd/amx.h"

void dcls_amx_pack(int parts, const float *term0, const float *term1, uint32_t *out, int64_t part, int64_t n);
void dcls_amx_pack_row(int parts, const float *x, uint16_t *out, int64_t part, int64_t n);
void dcls_amx_pack_tiles(int parts, const float *x, int64_t x_stride, int64_t rows, int64_t n,
                         int64_t row_tiles, void *out);
void dcls_amx_transpose(const uint32_t *from, int64_t from_stride, uint32_t *to, int64_t stride);

#endif
