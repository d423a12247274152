/* Products of one part as AMX computes them, by vectors: compiled for AVX-512 with AVX512-BF16.
 *
 * Sums of ROWS rows by VECTORS vectors of columns stay in registers while the steps of a block pass; they
 * rest in C between blocks, so that what a block reads of A and of B stays in the first-level cache. The
 * instruction adds the terms of a pair one after the other, the odd one first. */
#include <immintrin.h>
#include <string.h>

#include "simd/amx.h"
#include "simd/amx_pack.h"
#include "simd/tables.h"

#define ALWAYS static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

#define ROWS        8
#define VECTORS     3
#define ROW_BYTES   (DCLS_AMX_SIDE * (int64_t)sizeof(uint32_t))
#define BLOCK_STEPS ((int64_t)8)

static void nothing(void)
{
}

/* In bytes. */
typedef struct places {
    int64_t row, step;
} places;

ALWAYS __m512i repeat(const char *a)
{
    int pair;
    memcpy(&pair, a, sizeof pair);
    return _mm512_set1_epi32(pair);
}

/* ROWS rows of `columns` vectors from c on: steps [from, to). Rows of A are `row` bytes apart. */
ALWAYS void multiply_tile(const int columns, const int64_t row, const dcls_amx_product *g, const char *a,
                          int64_t step, const uint32_t *b, float *c, int64_t from, int64_t to)
{
    __m512 sum[ROWS][VECTORS];
    const bool add = from > 0 || g->add;
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        UNROLL
        for (int v = 0; v < columns; v++)
            sum[r][v] = add ? _mm512_loadu_ps(c + r * g->c_stride + v * DCLS_AMX_SIDE) : _mm512_setzero_ps();
    }
    const char *step_a = a + from * step;
    for (int64_t s = from; s < to; s++, step_a += step) {
        const uint32_t *pairs = b + g->start[s];
        const char *half[2] = {step_a, step_a + ROWS / 2 * row};
        for (int j = 0; j < DCLS_AMX_SIDE; j++, pairs += g->b_stride) {
            __m512i w[VECTORS];
            UNROLL
            for (int v = 0; v < columns; v++)
                w[v] = _mm512_loadu_si512(pairs + v * DCLS_AMX_SIDE);
            UNROLL
            for (int r = 0; r < ROWS; r++) {
                const __m512i x = repeat(half[r / (ROWS / 2)] + r % (ROWS / 2) * row);
                UNROLL
                for (int v = 0; v < columns; v++)
                    sum[r][v] = _mm512_dpbf16_ps(sum[r][v], (__m512bh)x, (__m512bh)w[v]);
            }
            half[0] += sizeof *pairs;
            half[1] += sizeof *pairs;
        }
    }
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        UNROLL
        for (int v = 0; v < columns; v++)
            _mm512_storeu_ps(c + r * g->c_stride + v * DCLS_AMX_SIDE, sum[r][v]);
    }
}

/* All rows of `columns` vectors from `column` on. */
ALWAYS void multiply_columns(const int columns, const dcls_amx_product *g, const places *at, int64_t column,
                             int64_t from, int64_t to)
{
    const char *a = g->a;
    for (int64_t r = 0; r < g->row_tiles * DCLS_AMX_SIDE; r += ROWS) {
        float *c = g->c + r * g->c_stride + column;
        if (at->row == ROW_BYTES)
            multiply_tile(columns, ROW_BYTES, g, a + r * ROW_BYTES, at->step, g->b + column, c, from, to);
        else
            multiply_tile(columns, at->row, g, a + r * at->row, at->step, g->b + column, c, from, to);
    }
}

static void multiply_3(const dcls_amx_product *g, const places *at, int64_t column, int64_t from, int64_t to)
{
    multiply_columns(3, g, at, column, from, to);
}

static void multiply_2(const dcls_amx_product *g, const places *at, int64_t column, int64_t from, int64_t to)
{
    multiply_columns(2, g, at, column, from, to);
}

static void multiply_1(const dcls_amx_product *g, const places *at, int64_t column, int64_t from, int64_t to)
{
    multiply_columns(1, g, at, column, from, to);
}

static void multiply(const dcls_amx_product *g)
{
    places at = {ROW_BYTES, g->row_tiles * DCLS_AMX_SIDE * ROW_BYTES};
    if (g->rows.row != 0) at = (places){2 * g->rows.row, 2 * g->rows.step};
    const int64_t blocks = (g->steps + BLOCK_STEPS - 1) / BLOCK_STEPS;
    for (int64_t i = 0; i < blocks; i++) {
        const int64_t from = g->steps * i / blocks, to = g->steps * (i + 1) / blocks;
        int64_t left = g->column_tiles, column = 0;
        for (; left == 3 || left > 4; left -= 3, column += 3 * DCLS_AMX_SIDE)
            multiply_3(g, &at, column, from, to);
        for (; left >= 2; left -= 2, column += 2 * DCLS_AMX_SIDE)
            multiply_2(g, &at, column, from, to);
        if (left == 1) multiply_1(g, &at, column, from, to);
    }
}

static float multiply_add(int64_t rounds)
{
    return dcls_bf16_native.multiply_add(rounds * 4 * 2 * DCLS_AMX_SIDE * DCLS_AMX_TILE /
                                         (DCLS_SIMD_CHAINS * 2 * DCLS_AMX_SIDE));
}

const dcls_amx dcls_amx_vectors = {.name = "avx512_bf16",
                                   .begin = nothing,
                                   .end = nothing,
                                   .multiply = multiply,
                                   .pack = dcls_amx_pack,
                                   .pack_row = dcls_amx_pack_row,
                                   .pack_tiles = dcls_amx_pack_tiles,
                                   .transpose = dcls_amx_transpose,
                                   .multiply_add = multiply_add};
