/* Cutting arrays into blocks for threads. Block sizes come from shapes alone, so that no result depends on
 * the number of threads; work too small to pay for waking threads stays on one. */
#ifndef DCLS_OPS_TILES_H
#define DCLS_OPS_TILES_H

#include "base/threads.h"

/* Floats per block of work that streams through memory: three arrays of them fit the second-level cache. */
#define DCLS_BLOCK_FLOATS ((int64_t)16384)

static inline int64_t dcls_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t dcls_max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t dcls_ceil_div(int64_t n, int64_t divisor)
{
    return n / divisor + (n % divisor != 0);
}

/* Whole rows (or channels) of `floats` floats that make a block. */
static inline int64_t dcls_rows_per_block(int64_t floats)
{
    return dcls_max_i64(DCLS_BLOCK_FLOATS / dcls_max_i64(floats, 1), 1);
}

/* Threads worth using for work like that of touching `floats`. */
static inline int dcls_threads_for(int threads, int64_t floats)
{
    return floats < 2 * DCLS_BLOCK_FLOATS ? 1 : threads;
}

/* One block of an array [planes, pixels]: several whole planes, or a part of one. */
typedef struct dcls_block {
    int64_t plane, planes; /* first, number of */
    int64_t first, pixels; /* within each of them */
} dcls_block;

static inline int64_t dcls_block_count(int64_t planes, int64_t pixels)
{
    if (pixels <= 0 || planes <= 0) return 0;
    if (pixels >= DCLS_BLOCK_FLOATS) return planes * dcls_ceil_div(pixels, DCLS_BLOCK_FLOATS);
    return dcls_ceil_div(planes, dcls_rows_per_block(pixels));
}

static inline dcls_block dcls_block_at(int64_t planes, int64_t pixels, int64_t index)
{
    if (pixels >= DCLS_BLOCK_FLOATS) {
        int64_t parts = dcls_ceil_div(pixels, DCLS_BLOCK_FLOATS);
        int64_t first = index % parts * DCLS_BLOCK_FLOATS;
        return (dcls_block){index / parts, 1, first, dcls_min_i64(DCLS_BLOCK_FLOATS, pixels - first)};
    }
    int64_t group = dcls_rows_per_block(pixels);
    return (dcls_block){index * group, dcls_min_i64(group, planes - index * group), 0, pixels};
}

#endif
