/* Products by AMX: compiled for AVX-512 with AMX-TILE and AMX-BF16.
 *
 * Four tiles of sums, two of rows of A and two of columns of B take the eight registers. Steps go block by
 * block, so that a block of A stays in the first-level cache while all columns pass; sums rest in C between
 * blocks. The processor adds the terms of one instruction among themselves first, and sums are floats, so
 * that resting changes no bit. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "simd/amx.h"
#include "simd/tables.h"

/* Bytes of a block of A: half of a usual first-level cache of 48 KiB. */
#define BLOCK_BYTES ((int64_t)24 << 10)
#define ROW_BYTES   (DCLS_AMX_SIDE * (int64_t)sizeof(uint32_t))

/* What LDTILECFG reads. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

static void begin(void)
{
    tile_config config = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        config.row_bytes[t] = (uint16_t)ROW_BYTES;
        config.rows[t] = (uint8_t)DCLS_AMX_SIDE;
    }
    /* The intrinsics of gcc 12 do not say that they read memory. */
    __asm__ volatile("ldtilecfg %0" : : "m"(config) : "memory");
}

static void end(void)
{
    __asm__ volatile("tilerelease" ::: "memory");
}

#define ALWAYS static inline __attribute__((always_inline))
#define LOAD(tile, at, stride)                                                                               \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(at), "r"((int64_t)(stride)) : "memory")
#define STORE(tile, at, stride)                                                                              \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"(at), "r"((int64_t)(stride)) : "memory")
#define ZERO(tile)     __asm__ volatile("tilezero %%tmm" #tile ::)
#define DOT(sum, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #sum ::)

/* Part p of the step's tiles of A into 4 and 5, of B into 6 and 7. */
ALWAYS void load_a(const int rows, const char *a, int64_t stride)
{
    LOAD(4, a, stride);
    if (rows == 2) LOAD(5, a + DCLS_AMX_SIDE * stride, stride);
}

ALWAYS void load_b(const int columns, const uint32_t *b, int64_t stride)
{
    LOAD(6, b, stride);
    if (columns == 2) LOAD(7, b + DCLS_AMX_SIDE, stride);
}

ALWAYS void dots(const int rows, const int columns)
{
    DOT(0, 4, 6);
    if (columns == 2) DOT(1, 4, 7);
    if (rows == 2) DOT(2, 5, 6);
    if (rows == 2 && columns == 2) DOT(3, 5, 7);
}

ALWAYS void multiply_step(const int parts, const int rows, const int columns, const char *a,
                          const dcls_amx_rows *at, const uint32_t *b, int64_t stride, int64_t part)
{
    load_a(rows, a, at->row);
    if (parts == 3) {
        load_b(columns, b + 2 * part, stride);
        dots(rows, columns);
        load_b(columns, b + part, stride);
        dots(rows, columns);
    }
    load_b(columns, b, stride);
    dots(rows, columns);
    if (parts == 1) return;
    load_a(rows, a + at->part, at->row);
    dots(rows, columns);
    load_b(columns, b + part, stride);
    dots(rows, columns);
    load_a(rows, a + 2 * at->part, at->row);
    load_b(columns, b, stride);
    dots(rows, columns);
}

ALWAYS void load_sums(const int rows, const int columns, const float *c, int64_t stride)
{
    LOAD(0, c, stride);
    if (columns == 2) LOAD(1, c + DCLS_AMX_SIDE, stride);
    c += DCLS_AMX_SIDE * (stride / (int64_t)sizeof *c);
    if (rows == 2) LOAD(2, c, stride);
    if (rows == 2 && columns == 2) LOAD(3, c + DCLS_AMX_SIDE, stride);
}

ALWAYS void store_sums(const int rows, const int columns, float *c, int64_t stride)
{
    STORE(0, c, stride);
    if (columns == 2) STORE(1, c + DCLS_AMX_SIDE, stride);
    c += DCLS_AMX_SIDE * (stride / (int64_t)sizeof *c);
    if (rows == 2) STORE(2, c, stride);
    if (rows == 2 && columns == 2) STORE(3, c + DCLS_AMX_SIDE, stride);
}

#define LINE 64

/* What the next block reads, fetched into the second-level cache a little at every step. */
typedef struct fetching {
    const char *at;
    int64_t lines; /* a step */
} fetching;

/* In bytes. */
ALWAYS dcls_amx_rows rows_of(const int parts, const int rows, const dcls_amx_product *g)
{
    const int64_t tile = ROW_BYTES * DCLS_AMX_SIDE;
    if (g->rows.row == 0) return (dcls_amx_rows){ROW_BYTES, rows * tile, parts * rows * tile};
    return (dcls_amx_rows){2 * g->rows.row, 2 * g->rows.part, 2 * g->rows.step};
}

/* One block of sums: steps [from, to). */
ALWAYS void multiply_block(const int parts, const int rows, const int columns, const dcls_amx_product *g,
                           const dcls_amx_rows *at, int64_t from, int64_t to, int64_t column, fetching *fetch)
{
    const int64_t stride = g->b_stride * (int64_t)sizeof *g->b,
                  c_stride = g->c_stride * (int64_t)sizeof *g->c;
    const char *a = (const char *)g->a + from * at->step;
    const uint32_t *b = g->b + column;
    float *c = g->c + column;
    if (from > 0 || g->add) {
        load_sums(rows, columns, c, c_stride);
    } else {
        ZERO(0);
        ZERO(1);
        ZERO(2);
        ZERO(3);
    }
    for (int64_t s = from; s < to; s++, a += at->step) {
        for (int64_t i = 0; i < fetch->lines; i++, fetch->at += LINE)
            __builtin_prefetch(fetch->at, 0, 2);
        multiply_step(parts, rows, columns, a, at, b + g->start[s], stride, g->b_part);
    }
    store_sums(rows, columns, c, c_stride);
}

ALWAYS void multiply_all(const int parts, const int rows, const dcls_amx_product *g)
{
    const int64_t step = ROW_BYTES * DCLS_AMX_SIDE * parts * rows, most = BLOCK_BYTES / step;
    const int64_t blocks = (g->steps + most - 1) / most;
    const dcls_amx_rows at = rows_of(parts, rows, g);
    for (int64_t i = 0; i < blocks; i++) {
        const int64_t from = g->steps * i / blocks, to = g->steps * (i + 1) / blocks;
        const int64_t lines = step / LINE, turns = (g->column_tiles + 1) / 2;
        fetching fetch = {(const char *)g->a + to * at.step, (lines + turns - 1) / turns};
        if (i + 1 == blocks) fetch.at = (const char *)g->next;
        if (fetch.at == NULL || at.row != ROW_BYTES) fetch.lines = 0;
        int64_t column = 0, columns = g->column_tiles * DCLS_AMX_SIDE;
        for (; column + 2 * DCLS_AMX_SIDE <= columns; column += 2 * DCLS_AMX_SIDE)
            multiply_block(parts, rows, 2, g, &at, from, to, column, &fetch);
        if (column < columns) multiply_block(parts, rows, 1, g, &at, from, to, column, &fetch);
    }
}

static void multiply(const dcls_amx_product *g)
{
    if (g->parts == 1 && g->row_tiles == 1)
        multiply_all(1, 1, g);
    else if (g->parts == 1)
        multiply_all(1, 2, g);
    else if (g->row_tiles == 1)
        multiply_all(3, 1, g);
    else
        multiply_all(3, 2, g);
}

/* ---- parts ---- */

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

static void pack(int parts, const float *term0, const float *term1, uint32_t *out, int64_t part, int64_t n)
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

static void pack_row(int parts, const float *x, uint16_t *out, int64_t part, int64_t n)
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

static void pack_tiles(int parts, const float *x, int64_t x_stride, int64_t rows, int64_t n,
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
static void transpose(const uint32_t *from, int64_t from_stride, uint32_t *to, int64_t stride)
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

static float multiply_add(int64_t rounds)
{
    static const uint32_t zeros[DCLS_AMX_SIDE * DCLS_AMX_SIDE];
    float sums[DCLS_AMX_SIDE * DCLS_AMX_SIDE] = {0};
    begin();
    ZERO(0);
    ZERO(1);
    ZERO(2);
    ZERO(3);
    LOAD(4, zeros, ROW_BYTES);
    LOAD(5, zeros, ROW_BYTES);
    LOAD(6, zeros, ROW_BYTES);
    LOAD(7, zeros, ROW_BYTES);
    for (; rounds > 0; rounds--)
        dots(2, 2);
    STORE(0, sums, ROW_BYTES);
    end();
    return sums[0];
}

const dcls_amx dcls_amx_native = {.name = "amx",
                                  .begin = begin,
                                  .end = end,
                                  .multiply = multiply,
                                  .pack = pack,
                                  .pack_row = pack_row,
                                  .pack_tiles = pack_tiles,
                                  .transpose = transpose,
                                  .multiply_add = multiply_add};
