/* Tiles of matrix products. */
#include "ops/conv_matrix.h"

#include "ops/gemm.h"

/* Floats of a block of columns and of a tile of results: each about half of a usual 1 MiB second-level cache.
 */
#define BLOCK_FLOATS  ((int64_t)128 << 10)
#define RESULT_FLOATS ((int64_t)192 << 10)

/* Columns of one product: BLAS cuts longer sums at about this length itself, so cutting here costs little. */
#define BLOCK_K ((int64_t)512)

/* Smaller sides leave BLAS kernels partly empty. */
#define TILE_MIN ((int64_t)64)

/* Multiply-accumulates of a tile: at least MACS_MIN, and once there are TILES_MIN tiles, about MACS_WANTED.
 */
#define MACS_MIN    ((int64_t)1 << 20)
#define MACS_WANTED ((int64_t)12 << 20)
#define TILES_MIN   ((int64_t)8)
#define TILES_MAX   ((int64_t)24)

static int64_t clamp(int64_t value, int64_t lo, int64_t hi)
{
    return dcls_max_i64(lo, dcls_min_i64(value, hi));
}

/* Tiles one image and group should be cut into, so that several threads get even shares. */
static int64_t tiles_wanted(const dcls_conv_matrix *x)
{
    double macs = (double)x->m * (double)x->n * (double)x->k;
    double others = (double)x->base.g.batch * (double)x->base.g.groups;
    double few = macs / (double)MACS_MIN, many = macs / (double)MACS_WANTED;
    if (few > (double)TILES_MIN / others) few = (double)TILES_MIN / others;
    double wanted = few > many ? few : many;
    return clamp((int64_t)(wanted < (double)TILES_MAX ? wanted + 0.5 : TILES_MAX), 1, TILES_MAX);
}

/* Sizes of `tiles` even parts of `size`, rounded up to whole vectors. */
static int64_t even_tile(int64_t size, int64_t tiles, int64_t multiple)
{
    int64_t tile = dcls_ceil_div(size, tiles);
    return dcls_min_i64(size, dcls_ceil_div(tile, multiple) * multiple);
}

/* Every tile of n packs the weights again and every tile of m makes and packs the columns again: of all ways
 * to get the wanted number of tiles, or the nearest to it, the one with the least of that. */
static void choose_tiles(dcls_conv_matrix *x, int64_t fill_cost)
{
    int64_t wanted = tiles_wanted(x), most_parts = 0;
    int64_t block_n = x->fill != NULL ? dcls_max_i64(BLOCK_FLOATS / x->block_k, TILE_MIN) : x->n;
    double least = 0;
    for (int64_t m = 1; m <= wanted; m++) {
        int64_t tile_m = even_tile(x->m, m, 8);
        if (m > 1 && tile_m < TILE_MIN) break;
        int64_t most_n = dcls_min_i64(block_n, dcls_max_i64(RESULT_FLOATS / tile_m, TILE_MIN));
        int64_t n = dcls_max_i64(dcls_ceil_div(wanted, m), dcls_ceil_div(x->n, most_n));
        n = dcls_min_i64(n, dcls_ceil_div(x->n, TILE_MIN));

        int64_t parts = dcls_min_i64(m * n, wanted);
        double cost = (double)n * (double)x->m + (double)m * (double)x->n * (double)(1 + fill_cost);
        if (parts < most_parts || (parts == most_parts && cost >= least)) continue;
        most_parts = parts;
        least = cost;
        x->tile_m = tile_m;
        x->tile_n = even_tile(x->n, n, 16);
    }
    x->tiles_m = dcls_ceil_div(x->m, x->tile_m);
    x->tiles_n = dcls_ceil_div(x->n, x->tile_n);
}

dcls_status dcls_conv_matrix_plan(dcls_context *ctx, dcls_conv_matrix *x, int64_t fill_cost,
                                  size_t shared_floats)
{
    const dcls_geometry *g = &x->base.g;
    x->block_k = dcls_max_i64(x->k, 1);
    if (x->fill != NULL && x->k > BLOCK_K * 3 / 2)
        x->block_k = dcls_ceil_div(x->k, dcls_ceil_div(x->k, BLOCK_K));
    if (x->k > INT32_MAX || x->n > INT32_MAX || x->base.in_volume > INT32_MAX)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the matrices of this convolution are too large");
    choose_tiles(x, fill_cost);

    int64_t columns = x->fill != NULL ? x->block_k * x->tile_n : 0;
    int64_t results = x->base.epilogue.residual ? x->tile_m * x->tile_n : 0;
    dcls_conv_work work = {.units = g->batch * g->groups * x->tiles_n * x->tiles_m,
                           .macs = (double)x->tile_m * (double)x->tile_n * (double)x->k,
                           .shared_floats = shared_floats,
                           .scratch_floats = (size_t)(columns + results)};
    return dcls_conv_set_work(ctx, &x->base, work);
}

/* results [rows of the tile] with row stride ldc = sum over all columns. */
static void multiply(const dcls_conv_pass *pass, dcls_conv_slice slice, dcls_gemm gemm, float *columns)
{
    const dcls_conv_matrix *x = (const dcls_conv_matrix *)pass->conv;
    const float *weight = gemm.a;
    do { /* once even for k = 0, which clears the results */
        slice.columns = dcls_min_i64(x->block_k, x->k - slice.column);
        if (x->fill != NULL) x->fill(pass, &slice, columns);
        gemm.k = slice.columns;
        gemm.a = weight + slice.column;
        gemm.accumulate = slice.column > 0;
        dcls_gemm_run(&gemm);
        slice.column += slice.columns;
    } while (slice.column < x->k);
}

void dcls_conv_matrix_run_unit(const dcls_conv_pass *pass, int64_t unit, float *scratch)
{
    const dcls_conv_matrix *x = (const dcls_conv_matrix *)pass->conv;
    const dcls_geometry *g = &x->base.g;
    int64_t row = unit % x->tiles_m * x->tile_m, pixel = unit / x->tiles_m % x->tiles_n * x->tile_n;
    int64_t part = unit / (x->tiles_m * x->tiles_n); /* image * groups + group */
    int64_t rows = dcls_min_i64(x->tile_m, x->m - row), pixels = dcls_min_i64(x->tile_n, x->n - pixel);
    int64_t plane = part * x->m + row;

    dcls_conv_slice slice = {.group = part % g->groups,
                             .plane = part * (g->in_channels / g->groups),
                             .pixel = pixel,
                             .pixels = pixels};
    float *columns = scratch;
    float *results =
        dcls_conv_target(pass, plane, pixel, scratch + (x->fill != NULL ? x->block_k * x->tile_n : 0));
    int64_t stride = pass->in_place ? pixels : x->n;
    dcls_gemm gemm = {.m = rows,
                      .n = pixels,
                      .a = x->weight + (slice.group * x->m + row) * x->k,
                      .lda = x->k,
                      .b = x->fill != NULL ? columns : pass->in + slice.plane * x->base.in_volume + pixel,
                      .ldb = x->fill != NULL ? pixels : x->base.in_volume,
                      .c = results,
                      .ldc = stride};
    multiply(pass, slice, gemm, columns);
    for (int64_t r = 0; r < rows; r++)
        dcls_conv_complete(pass, plane + r, pixel, results + r * stride, pixels);
}

dcls_conv_block dcls_conv_next_block(const dcls_geometry *g, int64_t pixel, int64_t pixels)
{
    int64_t row = pixel / g->out[2];
    dcls_conv_block block = {.z = row / g->out[1], .y = row % g->out[1], .x = pixel % g->out[2], .rows = 1};
    block.width = dcls_min_i64(g->out[2] - block.x, pixels);
    if (block.width == g->out[2]) block.rows = dcls_min_i64(g->out[1] - block.y, pixels / g->out[2]);
    return block;
}
