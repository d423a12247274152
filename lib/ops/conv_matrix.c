/* Tiles of matrix products. */
#include "ops/conv_matrix.h"

#include <stdlib.h>
#include <string.h>

#include "ops/gemm.h"

/* Floats of a block of columns and of a tile of results: a usual second-level cache of 1 MiB holds both. */
#define BLOCK_FLOATS  ((int64_t)64 << 10)
#define RESULT_FLOATS ((int64_t)192 << 10)

/* Columns of one product: dcls_gemm_run cuts longer sums at this length itself, so cutting here costs
 * nothing. */
#define BLOCK_K ((int64_t)256)

/* Tiles begin at multiples of these, and are not smaller than SIDE_MIN if there is a choice: the kernels of a
 * product would stay partly empty. */
#define UNIT_M   DCLS_GEMM_ROWS
#define UNIT_N   ((int64_t)16)
#define SIDE_MIN ((int64_t)64)

/* Channels this many bytes apart share so few sets of a cache that the rows of a tile would drive each other
 * out of it with every block of columns. */
#define SAME_SETS 1024
/* Rows in scratch lie this many floats further apart than they are long. */
#define ROW_GAP ((int64_t)16)

/* Tiles of a product: enough for a few threads if each gets MACS_MIN multiply-accumulates, then one per
 * MACS_WANTED. */
#define MACS_MIN    ((int64_t)1 << 20)
#define MACS_WANTED ((int64_t)12 << 20)
#define TILES_FEW   ((int64_t)8)
#define TILES_MOST  ((int64_t)24)

/* ---- create -------------------------------------------------------------------------------------------- */

static void release(dcls_conv *conv);
static void run_unit(const dcls_conv_pass *pass, int64_t unit, float *scratch);

/* Tiles one image and group should be cut into, so that several threads get even shares. */
static int64_t tiles_wanted(const dcls_conv_matrix *x)
{
    double macs = (double)x->m * (double)x->n * (double)x->k;
    double others = (double)x->base.g.batch * (double)x->base.g.groups;
    double few = macs / (double)MACS_MIN, many = macs / (double)MACS_WANTED;
    if (few > (double)TILES_FEW / others) few = (double)TILES_FEW / others;
    double wanted = few > many ? few : many;
    return wanted < 1 ? 1 : (int64_t)(wanted < (double)TILES_MOST ? wanted + 0.5 : TILES_MOST);
}

/* Tiles of whole image rows are filled faster, where they are multiples of UNIT_N as well. */
static int64_t pixel_unit(const dcls_conv_matrix *x)
{
    int64_t width = x->base.g.out[2];
    for (int64_t pixels = width; pixels <= 2 * SIDE_MIN; pixels += width)
        if (pixels % UNIT_N == 0) return pixels;
    return UNIT_N;
}

/* First row or pixel of tile i of `tiles` even ones. */
static int64_t tile_start(int64_t size, int64_t unit, int64_t tiles, int64_t i)
{
    return dcls_min_i64(size, dcls_ceil_div(size, unit) * i / tiles * unit);
}

static int64_t largest_tile(int64_t size, int64_t unit, int64_t tiles)
{
    return dcls_min_i64(size, dcls_ceil_div(dcls_ceil_div(size, unit), tiles) * unit);
}

/* What making one element of a column costs, where 1 is what copying it in a product costs. */
static double fill_cost(const dcls_conv_matrix *x)
{
    return 1 + 0.5 * (double)x->columns.taps / (double)dcls_max_i64(x->columns.count, 1);
}

/* Every tile of n reads the weights again and every tile of m makes and copies the columns again: of all ways
 * to get the wanted number of tiles, or the nearest to it, the one with the least of that. */
static void choose_tiles(dcls_conv_matrix *x)
{
    int64_t wanted = tiles_wanted(x), most_parts = 0;
    int64_t block_n = dcls_max_i64(BLOCK_FLOATS / x->block_k, SIDE_MIN);
    double fill = fill_cost(x), least = 0, side_min = (double)SIDE_MIN * (1 + 2 * fill);
    for (int64_t m = 1; m <= wanted; m++) {
        int64_t tile_m = largest_tile(x->m, UNIT_M, m);
        if (m > 1 && (double)tile_m < side_min) break;
        int64_t most_n = dcls_min_i64(block_n, dcls_max_i64(RESULT_FLOATS / tile_m, SIDE_MIN));
        int64_t n = dcls_max_i64(dcls_ceil_div(wanted, m), dcls_ceil_div(x->n, most_n));
        n = dcls_min_i64(n, dcls_ceil_div(x->n, dcls_max_i64(SIDE_MIN, x->unit_n)));

        int64_t parts = dcls_min_i64(m * n, wanted);
        double cost = (double)n * (double)x->m + (double)m * (double)x->n * (1 + fill);
        if (parts < most_parts || (parts == most_parts && cost >= least)) continue;
        most_parts = parts;
        least = cost;
        x->tiles_m = m;
        x->tiles_n = n;
    }
}

dcls_conv_matrix *dcls_conv_matrix_allocate(dcls_context *ctx, const char *name, const dcls_geometry *g,
                                            const dcls_epilogue *epilogue)
{
    const dcls_conv_method method = {
        .name = name, .prepare = dcls_conv_columns_prepare, .run_unit = run_unit, .release = release};
    dcls_conv_matrix *x = dcls_conv_allocate(ctx, sizeof *x, &method, g, epilogue);
    if (x == NULL) return NULL;
    x->m = g->out_channels / g->groups;
    x->n = x->base.out_volume;
    return x;
}

/* Within a group, the blocks of block_k columns follow each other. */
static dcls_status pack_weight(dcls_context *ctx, dcls_conv_matrix *x, const float *weight)
{
    const int64_t groups = x->base.g.groups;
    float *to = x->weight = dcls_conv_pack(ctx, &x->base, groups * x->m * x->k, sizeof *to);
    if (to == NULL) return DCLS_ERR_MEMORY;
    for (int64_t group = 0; group < groups; group++, weight += x->m * x->k) {
        for (int64_t column = 0; column < x->k; column += x->block_k) {
            int64_t columns = dcls_min_i64(x->block_k, x->k - column);
            dcls_gemm_pack(x->m, columns, weight + column, x->k, to);
            to += x->m * columns;
        }
    }
    return DCLS_OK;
}

dcls_status dcls_conv_matrix_plan(dcls_context *ctx, dcls_conv_matrix *x, const float *weight)
{
    const dcls_geometry *g = &x->base.g;
    x->block_k = dcls_max_i64(x->k, 1);
    if (x->k > BLOCK_K * 3 / 2) x->block_k = dcls_ceil_div(x->k, dcls_ceil_div(x->k, BLOCK_K));
    x->unit_n = pixel_unit(x);
    choose_tiles(x);
    DCLS_TRY(pack_weight(ctx, x, weight));

    int64_t tile_m = largest_tile(x->m, UNIT_M, x->tiles_m),
            tile_n = largest_tile(x->n, x->unit_n, x->tiles_n);
    dcls_conv_work work = {.units = g->batch * g->groups * x->tiles_n * x->tiles_m,
                           .macs = (double)tile_m * (double)tile_n * (double)x->k};
    double images = (double)(g->batch * x->n);
    work.total_macs = images * (double)g->out_channels * (double)x->k;
    if (x->columns.taps > x->columns.count) /* interpolation */
        work.total_macs +=
            images * (double)(g->groups * x->k) * (double)x->columns.taps / (double)x->columns.count;
    x->columns_floats = x->block_k * tile_n;
    work.scratch_floats = (size_t)x->columns_floats;
    x->apart = x->k > BLOCK_K && x->n * (int64_t)sizeof(float) % SAME_SETS == 0;
    if (x->base.epilogue.residual || x->apart) work.scratch_floats += (size_t)(tile_m * (tile_n + ROW_GAP));
    size_t channels = (size_t)(g->batch * g->in_channels), volume = (size_t)dcls_volume(x->columns.size);
    if (x->columns.apron && !dcls_mul_size(channels, volume, &work.shared_floats))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the padded input of this convolution is too large");
    return dcls_conv_set_work(ctx, &x->base, work);
}

static void release(dcls_conv *conv)
{
    dcls_conv_matrix *x = (dcls_conv_matrix *)conv;
    free(x->weight);
    dcls_conv_columns_free(&x->columns);
}

/* ---- run ---------------------------------------------------------------------------------------------- */

/* The product over all columns, block by block. gemm: everything but a and k. */
static void multiply(const dcls_conv_pass *pass, dcls_conv_slice slice, int64_t row, dcls_gemm gemm,
                     float *columns)
{
    const dcls_conv_matrix *x = (const dcls_conv_matrix *)pass->conv;
    const float *weight = x->weight + slice.group * x->m * x->k;
    do { /* once even for k = 0, which clears the results */
        slice.columns = dcls_min_i64(x->block_k, x->k - slice.column);
        dcls_conv_columns_fill(pass, &slice, columns);
        gemm.k = slice.columns;
        gemm.a = weight + x->m * slice.column + row * slice.columns;
        dcls_gemm_run(pass->simd, &gemm);
        gemm.accumulate = true;
        slice.column += slice.columns;
    } while (slice.column < x->k);
}

/* Units count tiles of m fastest, then tiles of n, then groups and images. */
static void run_unit(const dcls_conv_pass *pass, int64_t unit, float *scratch)
{
    const dcls_conv_matrix *x = (const dcls_conv_matrix *)pass->conv;
    const dcls_geometry *g = &x->base.g;
    int64_t i = unit % x->tiles_m, j = unit / x->tiles_m % x->tiles_n;
    int64_t part = unit / (x->tiles_m * x->tiles_n); /* image * groups + group */
    int64_t row = tile_start(x->m, UNIT_M, x->tiles_m, i), pixel = tile_start(x->n, x->unit_n, x->tiles_n, j);
    int64_t rows = tile_start(x->m, UNIT_M, x->tiles_m, i + 1) - row;
    int64_t pixels = tile_start(x->n, x->unit_n, x->tiles_n, j + 1) - pixel;

    dcls_conv_slice slice = {.group = part % g->groups,
                             .plane = part * (g->in_channels / g->groups),
                             .pixel = pixel,
                             .pixels = pixels};
    bool in_scratch = pass->in_place || x->apart;
    int64_t stride = in_scratch ? pixels + ROW_GAP : x->n;
    float *results =
        in_scratch ? scratch + x->columns_floats : dcls_conv_target(pass, part * x->m + row, pixel, scratch);
    dcls_gemm gemm = {.m = rows, .n = pixels, .b = scratch, .ldb = pixels, .c = results, .ldc = stride};
    multiply(pass, slice, row, gemm, scratch);
    for (int64_t r = 0; r < rows; r++) {
        int64_t plane = part * x->m + row + r;
        float *y = dcls_conv_target(pass, plane, pixel, results + r * stride);
        if (y != results + r * stride) memcpy(y, results + r * stride, (size_t)pixels * sizeof *y);
        dcls_conv_complete(pass, plane, pixel, y, pixels);
    }
}
