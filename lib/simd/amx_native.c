/* Products by AMX: compiled for AVX-512 with AMX-TILE and AMX-BF16.
 *
 * Four tiles of sums, two of rows of A and two of columns of B take the eight registers. Steps go block by
 * block, so that a block of A stays in the first-level cache while all columns pass; sums rest in C between
 * blocks. The processor adds the terms of one instruction among themselves first, and sums are floats, so
 * that resting changes no bit. */
#include <immintrin.h>
#include <stdint.h>

#include "simd/amx.h"
#include "simd/amx_pack.h"
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
                                  .pack = dcls_amx_pack,
                                  .pack_row = dcls_amx_pack_row,
                                  .pack_tiles = dcls_amx_pack_tiles,
                                  .transpose = dcls_amx_transpose,
                                  .multiply_add = multiply_add};
