/* Operands of products of bfloat16 numbers, packed: compiled for AVX-512 with AVX512-BF16, which every
 * processor with AMX has too. */
#include "simd/amx_pack.h"

#include <immintrin.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

/* The nearest bfloat16 number as the upper half of each lane, larger ones in a tie; NaN stays one. */
ALWAYS __m512i round_off(__m512 x)
{
    const __m512i bits = _mm512_castps_si512(x);
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i rounded = _mm512_mask_or_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x8000)), nan, bits,
                                                 _mm512_set1_epi32(0x400000));
    return _mm512_and_si512(rounded, _mm512_set1_epi32((int)0xffff0000));
}

/* The nearest bfloat16 numbers, even ones in a tie, of low and then high. */
ALWAYS __m512i round_even(__m512 low, __m512 high)
{
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* (low[i], high[i]) side by side, for low and high one after the other. */
ALWAYS __m512i interleave(__m512i numbers)
{
    const __m512i upper = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), numbers);
    const __m512i high = _mm512_shuffle_epi32(upper, (_MM_PERM_ENUM)0x4e);
    return _mm512_unpacklo_epi16(upper, high);
}

/* The upper halves of two. */
ALWAYS __m512i pair(__m512i term0, __m512i term1)
{
    return _mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_srli_epi32(term0, 16), term1);
}

ALWAYS void pack_vector(const int parts, __m512 x, __m512 y, uint32_t *out, int64_t part, __mmask16 lanes)
{
    if (parts == 1) {
        _mm512_mask_storeu_epi32(out, lanes, interleave(round_even(x, y)));
        return;
    }
    const __m512i x0 = round_off(x), y0 = round_off(y);
    _mm512_mask_storeu_epi32(out, lanes, pair(x0, y0));
    x = _mm512_sub_ps(x, _mm512_castsi512_ps(x0));
    y = _mm512_sub_ps(y, _mm512_castsi512_ps(y0));
    const __m512i x1 = round_off(x), y1 = round_off(y);
    _mm512_mask_storeu_epi32(out + part, lanes, pair(x1, y1));
    x = _mm512_sub_ps(x, _mm512_castsi512_ps(x1));
    y = _mm512_sub_ps(y, _mm512_castsi512_ps(y1));
    _mm512_mask_storeu_epi32(out + 2 * part, lanes, pair(_mm512_castps_si512(x), _mm512_castps_si512(y)));
}

ALWAYS void pack_as(const int parts, const float *term0, const float *term1, uint32_t *out, int64_t part,
                    int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        pack_vector(parts, _mm512_loadu_ps(term0 + i), _mm512_loadu_ps(term1 + i), out + i, part, 0xffff);
    if (i == n) return;
    const __mmask16 lanes = (__mmask16)((1u << (n - i)) - 1);
    pack_vector(parts, _mm512_maskz_loadu_ps(lanes, term0 + i), _mm512_maskz_loadu_ps(lanes, term1 + i),
                out + i, part, lanes);
}

void dcls_amx_pack(int parts, const float *term0, const float *term1, uint32_t *out, int64_t part, int64_t n)
{
    if (parts == 1)
        pack_as(1, term0, term1, out, part, n);
    else
        pack_as(3, term0, term1, out, part, n);
}

/* The upper halves of two vectors, side by side. */
ALWAYS __m512i halves(__m512i low, __m512i high)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(_mm512_srli_epi32(low, 16))),
                              _mm512_cvtepi32_epi16(_mm512_srli_epi32(high, 16)), 1);
}

ALWAYS void pack_numbers(const int parts, __m512 x, __m512 y, uint16_t *out, int64_t part, __mmask32 lanes)
{
    if (parts == 1) {
        _mm512_mask_storeu_epi16(out, lanes, round_even(x, y));
        return;
    }
    __m512i low = round_off(x), high = round_off(y);
    _mm512_mask_storeu_epi16(out, lanes, halves(low, high));
    for (int p = 1; p < parts; p++) {
        x = _mm512_sub_ps(x, _mm512_castsi512_ps(low));
        y = _mm512_sub_ps(y, _mm512_castsi512_ps(high));
        low = p == 1 ? round_off(x) : _mm512_castps_si512(x);
        high = p == 1 ? round_off(y) : _mm512_castps_si512(y);
        _mm512_mask_storeu_epi16(out + p * part, lanes, halves(low, high));
    }
}

ALWAYS void pack_row_as(const int parts, const float *x, uint16_t *out, int64_t part, int64_t n)
{
    int64_t i = 0;
    for (; i + 32 <= n; i += 32)
        pack_numbers(parts, _mm512_loadu_ps(x + i), _mm512_loadu_ps(x + i + 16), out + i, part, 0xffffffffu);
    if (i == n) return;
    const __mmask32 lanes = (__mmask32)((1ull << (n - i)) - 1);
    pack_numbers(parts, _mm512_maskz_loadu_ps((__mmask16)lanes, x + i),
                 _mm512_maskz_loadu_ps((__mmask16)(lanes >> 16), x + i + 16), out + i, part, lanes);
}

void dcls_amx_pack_row(int parts, const float *x, uint16_t *out, int64_t part, int64_t n)
{
    if (parts == 1)
        pack_row_as(1, x, out, part, n);
    else
        pack_row_as(3, x, out, part, n);
}

/* Tiles of one step from column k on. */
ALWAYS void pack_step(const int parts, const float *x, int64_t x_stride, int64_t rows, int64_t left,
                      int64_t row_tiles, uint16_t *to)
{
    const int64_t row = 2 * DCLS_AMX_SIDE, part = row_tiles * DCLS_AMX_SIDE * row;
    const __mmask32 lanes = left >= row ? 0xffffffffu : (__mmask32)((1ull << left) - 1);
    const __mmask16 low = (__mmask16)lanes, high = (__mmask16)(lanes >> 16);
    for (int64_t r = 0; r < rows; r++, x += x_stride, to += row)
        pack_numbers(parts, _mm512_maskz_loadu_ps(low, x), _mm512_maskz_loadu_ps(high, x + 16), to, part,
                     0xffffffffu);
    for (int64_t r = rows; r < row_tiles * DCLS_AMX_SIDE; r++, to += row)
        for (int p = 0; p < parts; p++)
            memset(to + p * part, 0, (size_t)row * sizeof *to);
}

void dcls_amx_pack_tiles(int parts, const float *x, int64_t x_stride, int64_t rows, int64_t n,
                         int64_t row_tiles, void *out)
{
    const int64_t row = 2 * DCLS_AMX_SIDE, step = parts * row_tiles * DCLS_AMX_SIDE * row;
    uint16_t *to = out;
    for (int64_t k = 0; k < n; k += row, to += step)
        if (parts == 1)
            pack_step(1, x + k, x_stride, rows, n - k, row_tiles, to);
        else
            pack_step(3, x + k, x_stride, rows, n - k, row_tiles, to);
}

/* Exchanges blocks of 2^k, k = 0 .. 3. */
void dcls_amx_transpose(const uint32_t *from, int64_t from_stride, uint32_t *to, int64_t stride)
{
    __m512i a[16], b[16];
    for (int i = 0; i < 16; i++)
        a[i] = _mm512_loadu_si512(from + i * from_stride);
    for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            a[i + 2 * j] = _mm512_unpacklo_epi64(b[i + j], b[i + j + 2]);
            a[i + 2 * j + 1] = _mm512_unpackhi_epi64(b[i + j], b[i + j + 2]);
        }
    for (int i = 0; i < 16; i += 8)
        for (int j = 0; j < 4; j++) {
            b[i + j] = _mm512_shuffle_i32x4(a[i + j], a[i + j + 4], 0x88);
            b[i + j + 4] = _mm512_shuffle_i32x4(a[i + j], a[i + j + 4], 0xdd);
        }
    for (int j = 0; j < 8; j++) {
        a[j] = _mm512_shuffle_i32x4(b[j], b[j + 8], 0x88);
        a[j + 8] = _mm512_shuffle_i32x4(b[j], b[j + 8], 0xdd);
    }
    for (int i = 0; i < 16; i++)
        _mm512_storeu_si512(to + i * stride, a[i]);
}
