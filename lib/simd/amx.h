/* Matrix products by AMX, whose tiles multiply bfloat16 numbers and add in float. Floats go through it whole:
 * as the sum of three bfloat16 numbers, which 24 bits fill exactly. Of the nine products of two such sums the
 * six largest are added; what is left out is below 2^-24 of a product, as the rounding of a float product is.
 *
 * A pair is one uint32_t: term 0 in the lower half, term 1 in the upper one, as in simd/bf16.h. Denormal
 * numbers count as zeros; with three parts an infinity, or a number of 3.39e38 and more, becomes NaN, and
 * numbers below 2^-110 lose bits. */
#ifndef DCLS_SIMD_AMX_H
#define DCLS_SIMD_AMX_H

#include <stdbool.h>
#include <stdint.h>

#define DCLS_AMX_SIDE  ((int64_t)16) /* rows and columns of a tile of results, and pairs of one step */
#define DCLS_AMX_TILE  (DCLS_AMX_SIDE * DCLS_AMX_SIDE)
#define DCLS_AMX_ROWS  ((int64_t)2) /* most tiles of rows of one product */
#define DCLS_AMX_PARTS 3            /* of a float; 1: its bfloat16 number alone */

/* Where numbers of A are, counted in numbers: row r of step s, part p at s * step + p * part + r * row. The
 * 32 of a row in a step lie side by side, and may begin anywhere. Zeros: packed, as [steps, parts, row_tiles,
 * 16 rows, 32 numbers]. */
typedef struct dcls_amx_rows {
    int64_t row, part, step;
} dcls_amx_rows;

/* c[r, x] = sum over steps s, pairs j of a[s, r, j] . b[start[s] + j * b_stride + x], for 16 * row_tiles rows
 * r and 16 * column_tiles columns x; with add, on top of what c holds. Part p of b lies p * b_part pairs
 * further on. Bits of a result depend on its own row and column alone, on the order of steps, and on add. */
typedef struct dcls_amx_product {
    int parts; /* 1 or DCLS_AMX_PARTS */
    int64_t row_tiles, column_tiles, steps;
    const int64_t *start;
    const void *a;
    dcls_amx_rows rows;
    const uint32_t *b;
    int64_t b_stride, b_part;
    float *c;
    int64_t c_stride;
    bool add;
    const void
        *next; /* a of the next product of this kind, to be fetched meanwhile, which may be none; or NULL */
} dcls_amx_product;

typedef struct dcls_amx {
    const char *name; /* "amx"; "scalar": the same sums, computed otherwise; "avx512_bf16": one part alone */
    /* Around products, on their thread: the tiles are configured, and given up again. */
    void (*begin)(void);
    void (*end)(void);
    void (*multiply)(const dcls_amx_product *product);
    /* Part p of the pairs (term0[i], term1[i]), i < n, at out + p * part. One part is rounded to nearest,
     * ties to even; three add up to the number. */
    void (*pack)(int parts, const float *term0, const float *term1, uint32_t *out, int64_t part, int64_t n);
    /* The same of one row of numbers, a number in the place of half a pair; part counts numbers. */
    void (*pack_row)(int parts, const float *x, uint16_t *out, int64_t part, int64_t n);
    /* A as a product wants it packed: x [rows, n], rows x_stride floats apart; what whole tiles have beyond
     * is zeros. rows >= 1, at most row_tiles * 16 */
    void (*pack_tiles)(int parts, const float *x, int64_t x_stride, int64_t rows, int64_t n,
                       int64_t row_tiles, void *out);
    /* to[j * stride + i] = from[i * from_stride + j] for i, j < 16 */
    void (*transpose)(const uint32_t *from, int64_t from_stride, uint32_t *to, int64_t stride);
    /* rounds * 4 products of tiles, 2 * 16^3 multiply-adds each: what the processor can do at most */
    float (*multiply_add)(int64_t rounds);
} dcls_amx;

/* The processor's own, or NULL where it has none, or the system does not let this process use it, or DCLS_CPU
 * forbids it (base/cpu.h). Thread-safe. */
const dcls_amx *dcls_amx_get(void);
/* The same for products of one part: where there are no tiles, but vectors of AVX512-BF16 that are faster
 * than those of floats, products by these, which add terms in another order (amx_vectors.c). Thread-safe. */
const dcls_amx *dcls_amx_get_bf16(void);
/* Runs anywhere, for tests. */
const dcls_amx *dcls_amx_emulated(void);

#endif
