/*
 * Pointwise convolution as a matrix product, weight [m, k] times the input plane [k, n], in tiles of output
 * channels by chunks of pixels. A chunk is copied into panels of PANEL pixels, and its results are summed in
 * panels as well: products then read and write memory that hangs together, where rows of the planes lie pages
 * apart. The results go to the output with the epilogue, once, while they are in the second-level cache.
 */
#include <stdlib.h>

#include "ops/conv_internal.h"
#include "ops/gemm.h"

#define PANEL DCLS_GEMM_PANEL
/* Panels lie this much further apart than they are long: powers of two would make them share the sets of the
 * caches. */
#define PANEL_GAP ((int64_t)48)

/* Rows of a chunk are short and lie planes apart, and some may be in another processor's cache. */
#define ROWS_AHEAD  ((int64_t)12)
#define LINE_FLOATS ((int64_t)16)

/* Input channels of one product: dcls_gemm_run cuts longer sums at this length itself. */
#define BLOCK_K ((int64_t)256)
/* Most panels of a chunk and output channels of a tile: a block of the chunk, its results and the weights
 * that pass beside them fit in a second-level cache of 1 MiB. */
#define CHUNK_PANELS ((int64_t)8)
#define TILE_M       ((int64_t)264)

/* Units of work: enough for a few threads if each gets MACS_MIN multiply-accumulates, then one per
 * MACS_WANTED. */
#define MACS_MIN    ((double)(1 << 20))
#define MACS_WANTED ((double)(24 << 20))
#define UNITS_FEW   8
#define UNITS_MOST  24

typedef struct conv_pointwise {
    dcls_conv base;
    int64_t m, n, k, block_k;
    int64_t tiles, chunks, panels; /* of m; of n; of PANEL pixels in a chunk, at most */
    float *weight;                 /* [groups][blocks of k] packed [m, block] */
} conv_pointwise;

static int64_t panel_size(int64_t rows)
{
    return rows * PANEL + PANEL_GAP;
}

/* First output channel of a tile. */
static int64_t tile_start(const conv_pointwise *x, int64_t tile)
{
    int64_t groups = dcls_ceil_div(x->m, DCLS_GEMM_ROWS);
    return dcls_min_i64(x->m, groups * tile / x->tiles * DCLS_GEMM_ROWS);
}

/* First pixel of a chunk. */
static int64_t chunk_start(const conv_pointwise *x, int64_t chunk)
{
    int64_t panels = dcls_ceil_div(x->n, PANEL);
    return dcls_min_i64(x->n, panels * chunk / x->chunks * PANEL);
}

/* ---- run ----------------------------------------------------------------------------------------------- */

/* A tile of outputs at a chunk of pixels of one image and group. */
typedef struct piece {
    int64_t part; /* image * groups + group */
    int64_t row, rows, pixel, pixels;
    float *columns, *results; /* panels [block of k][PANEL] and [rows][PANEL] */
} piece;

static piece piece_of(const conv_pointwise *x, int64_t unit, float *scratch)
{
    int64_t chunk = unit % x->chunks, tile = unit / x->chunks % x->tiles;
    piece p = {
        .part = unit / (x->tiles * x->chunks), .row = tile_start(x, tile), .pixel = chunk_start(x, chunk)};
    p.rows = tile_start(x, tile + 1) - p.row;
    p.pixels = chunk_start(x, chunk + 1) - p.pixel;
    p.columns = scratch;
    p.results = scratch + x->panels * panel_size(x->block_k);
    return p;
}

static void fetch(const float *row, int64_t pixels)
{
    for (int64_t i = 0; i < pixels; i += LINE_FLOATS)
        __builtin_prefetch(row + i);
}

static void multiply(const dcls_conv_pass *pass, const piece *p, int64_t column, int64_t columns)
{
    const conv_pointwise *x = (const conv_pointwise *)pass->conv;
    const int64_t group = p->part % x->base.g.groups;
    const float *in = pass->in + (p->part * x->k + column) * x->n + p->pixel;
    for (int64_t k = 0; k < columns; k++) {
        if (k + ROWS_AHEAD < columns) fetch(in + (k + ROWS_AHEAD) * x->n, p->pixels);
        pass->simd->to_panels(in + k * x->n, p->pixels, p->columns + k * PANEL, panel_size(columns));
    }
    dcls_gemm gemm = {.m = p->rows,
                      .k = columns,
                      .a = x->weight + (group * x->k + column) * x->m + p->row * columns,
                      .ldb = PANEL,
                      .ldc = PANEL,
                      .accumulate = column > 0};
    for (int64_t i = 0; i * PANEL < p->pixels; i++) {
        gemm.n = dcls_min_i64(PANEL, p->pixels - i * PANEL);
        gemm.b = p->columns + i * panel_size(columns);
        gemm.c = p->results + i * panel_size(p->rows);
        dcls_gemm_run(pass->simd, &gemm);
    }
}

static void run_unit(const dcls_conv_pass *pass, int64_t unit, float *scratch)
{
    const conv_pointwise *x = (const conv_pointwise *)pass->conv;
    const piece p = piece_of(x, unit, scratch);
    for (int64_t column = 0; column < x->k; column += x->block_k)
        multiply(pass, &p, column, dcls_min_i64(x->block_k, x->k - column));
    dcls_conv_finish_rows(pass, p.part * x->m + p.row, p.rows, p.pixel, p.pixels, p.results,
                          panel_size(p.rows));
}

/* ---- create -------------------------------------------------------------------------------------------- */

static void release(dcls_conv *conv)
{
    conv_pointwise *x = (conv_pointwise *)conv;
    free(x->weight);
}

/* Large tiles and chunks copy and read less; smaller ones give threads something to do. */
static void choose_tiles(conv_pointwise *x)
{
    const dcls_geometry *g = &x->base.g;
    double parts = (double)g->batch * (double)g->groups,
           macs = parts * (double)x->m * (double)x->n * (double)x->k;
    double few = macs / MACS_MIN < UNITS_FEW ? macs / MACS_MIN : UNITS_FEW;
    double many = macs / MACS_WANTED < UNITS_MOST ? macs / MACS_WANTED : UNITS_MOST;
    double wanted = few > many ? few : many;
    int64_t panels = dcls_ceil_div(x->n, PANEL), smallest = DCLS_GEMM_ROWS * 8;
    x->panels = CHUNK_PANELS;
    x->tiles = dcls_ceil_div(x->m, TILE_M);
    for (;;) {
        x->chunks = dcls_ceil_div(panels, x->panels);
        if (parts * (double)(x->chunks * x->tiles) >= wanted) break;
        if (x->m / (x->tiles + 1) >= 2 * smallest)
            x->tiles++;
        else if (x->panels > 2)
            x->panels--;
        else if (x->m / (x->tiles + 1) >= smallest)
            x->tiles++;
        else if (x->panels > 1)
            x->panels--;
        else
            break;
    }
    x->panels = dcls_ceil_div(panels, x->chunks);
}

static dcls_status pack(dcls_context *ctx, conv_pointwise *x, const float *weight)
{
    const int64_t groups = x->base.g.groups;
    float *to = x->weight = dcls_conv_pack(ctx, &x->base, groups * x->m * x->k, sizeof *to);
    if (to == NULL) return DCLS_ERR_MEMORY;
    for (int64_t group = 0; group < groups; group++, weight += x->m * x->k)
        for (int64_t column = 0; column < x->k; column += x->block_k) {
            int64_t columns = dcls_min_i64(x->block_k, x->k - column);
            dcls_gemm_pack(x->m, columns, weight + column, x->k, to);
            to += x->m * columns;
        }
    return DCLS_OK;
}

static dcls_status fill(dcls_context *ctx, conv_pointwise *x, const float *weight)
{
    const dcls_geometry *g = &x->base.g;
    x->block_k = x->k <= BLOCK_K * 3 / 2 ? x->k : dcls_ceil_div(x->k, dcls_ceil_div(x->k, BLOCK_K));
    choose_tiles(x);
    DCLS_TRY(pack(ctx, x, weight));
    int64_t rows = dcls_ceil_div(dcls_ceil_div(x->m, DCLS_GEMM_ROWS), x->tiles) * DCLS_GEMM_ROWS;
    dcls_conv_work work = {.units = g->batch * g->groups * x->tiles * x->chunks};
    work.total_macs = (double)g->batch * (double)x->n * (double)g->out_channels * (double)x->k;
    work.macs = work.total_macs / (double)work.units;
    work.scratch_floats = (size_t)(x->panels * (panel_size(x->block_k) + panel_size(rows)));
    return dcls_conv_set_work(ctx, &x->base, work);
}

dcls_status dcls_conv_create_pointwise(dcls_context *ctx, const dcls_geometry *g, const float *weight,
                                       const dcls_epilogue *epilogue, dcls_conv **out)
{
    const dcls_conv_method method = {.name = "dense", .run_unit = run_unit, .release = release};
    conv_pointwise *x = dcls_conv_allocate(ctx, sizeof *x, &method, g, epilogue);
    if (x == NULL) return DCLS_ERR_MEMORY;
    x->m = g->out_channels / g->groups;
    x->k = g->in_channels / g->groups;
    x->n = x->base.out_volume;
    return dcls_conv_finish(&x->base, fill(ctx, x, weight), out);
}
