/*
 * Convolution of 3x3 taps by Winograd's method: input planes are taken to the points tile by tile, at each
 * point the channels are multiplied with the weights at that point (a matrix product over all tiles), and the
 * results are taken back. Tiles of 4x4 outputs cost 36 products instead of 144.
 *
 * Everything goes band of tile rows by band, and input channels block by block, so that what lies at the
 * points stays of moderate size. It is kept in panels of PANEL tiles: one product reads and writes memory
 * that hangs together.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/conv_internal.h"
#include "ops/gemm.h"
#include "ops/winograd_planes.h"

#define POINTS  DCLS_WINOGRAD_POINTS
#define OUTPUTS DCLS_WINOGRAD_OUTPUTS
#define PANEL   DCLS_GEMM_PANEL
#define COPY    DCLS_WINOGRAD_COPY

/* Panels lie this much further apart than they are long: powers of two would make them share the sets of the
 * caches. */
#define PANEL_GAP ((int64_t)48)

/* Channels of one block: dcls_gemm_run cuts longer sums at this length itself. */
#define BLOCK_K ((int64_t)256)
/* Rows of one product: their weights stay in a second-level cache of 1 MiB while all tiles pass. */
#define BLOCK_M ((int64_t)192)
/* Floats at the points of all output channels and a block of input channels in a band, about. */
#define BAND_FLOATS ((double)(8 << 20))

typedef struct conv_winograd {
    dcls_conv base;
    dcls_winograd_tiling tiling;
    int64_t m, k, block_k;
    int64_t parts_m;
    int64_t bands, band_panels; /* of PANEL tiles, at most, in a band */
    int64_t band_rows;          /* input rows a band reads, at most */
    int64_t band_place;         /* floats of the points of one channel, at most */
    float *weight;              /* [points][blocks of k] packed [m, block] */
} conv_winograd;

/* One band of images side by side, and a block of channels. */
typedef struct band {
    const dcls_conv_pass *pass;
    int64_t image, images; /* the first, and how many there are */
    dcls_winograd_band rows;
    int64_t first_k, k;                          /* channels */
    int64_t panel[DCLS_WINOGRAD_ALL_POINTS + 1]; /* first panel of each point */
    float *in, *out;                             /* panels [k][PANEL] and [m][PANEL], panel_size apart */
} band;

static const conv_winograd *winograd_of(const dcls_conv_pass *pass)
{
    return (const conv_winograd *)pass->conv;
}

static int64_t panel_size(int64_t rows)
{
    return rows * PANEL + PANEL_GAP;
}

/* ---- bands --------------------------------------------------------------------------------------------- */

/* Band i of the plan. */
static void place_band(const conv_winograd *x, int64_t i, band *b)
{
    b->rows = dcls_winograd_band_at(&x->tiling, i, x->bands, x->base.g.in[1]);
    b->panel[0] = 0;
    for (int64_t at = 0; at < x->tiling.points; at++)
        b->panel[at + 1] = b->panel[at] + dcls_ceil_div(b->rows.tiles[at], PANEL);
}

/* Enough bands, and what the largest needs. */
static void choose_bands(conv_winograd *x)
{
    band b;
    x->bands = 1;
    place_band(x, 0, &b);
    double floats = (double)b.rows.place[x->tiling.points] * (double)(x->m + x->block_k);
    x->bands = (int64_t)fmin((double)x->tiling.rows.tiles, floats / BAND_FLOATS + 1);
    for (int64_t i = 0; i < x->bands; i++) {
        place_band(x, i, &b);
        x->band_panels = dcls_max_i64(x->band_panels, b.panel[x->tiling.points]);
        x->band_rows = dcls_max_i64(x->band_rows, b.rows.highest - b.rows.lowest + 1);
        x->band_place = dcls_max_i64(x->band_place, b.rows.place[x->tiling.points]);
    }
}

/* ---- inputs to points ---------------------------------------------------------------------------------- */

static void channel_to_points(void *arg, int64_t channel, int worker)
{
    const band *b = arg;
    const conv_winograd *x = winograd_of(b->pass);
    const dcls_geometry *g = &x->base.g;
    const int64_t plane = b->image * g->in_channels + b->first_k + channel, volume = x->base.in_volume;
    const dcls_winograd_planes planes = {b->pass->in + plane * volume, g->in_channels * volume, b->images,
                                         g->in[1], g->in[2]};
    float *tiles = dcls_conv_scratch(b->pass, worker);
    dcls_winograd_inputs_to_points(b->pass->simd, &x->tiling, &b->rows, &planes, tiles,
                                   tiles + x->band_place);
    for (int64_t at = 0; at < x->tiling.points; at++)
        b->pass->simd->to_panels(tiles + b->rows.place[at], b->rows.tiles[at],
                                 b->in + b->panel[at] * panel_size(b->k) + channel * PANEL, panel_size(b->k));
}

/* ---- products ------------------------------------------------------------------------------------------ */

static void multiply(void *arg, int64_t item, int worker)
{
    const band *b = arg;
    const conv_winograd *x = winograd_of(b->pass);
    (void)worker;
    const int64_t point = item / x->parts_m, part = item % x->parts_m;
    const int64_t groups = dcls_ceil_div(x->m, DCLS_GEMM_ROWS);
    const int64_t row = groups * part / x->parts_m * DCLS_GEMM_ROWS;
    const int64_t end = dcls_min_i64(x->m, groups * (part + 1) / x->parts_m * DCLS_GEMM_ROWS);
    dcls_gemm gemm = {.m = end - row,
                      .k = b->k,
                      .a = x->weight + (point * x->k + b->first_k) * x->m + row * b->k,
                      .ldb = PANEL,
                      .ldc = PANEL,
                      .accumulate = b->first_k > 0};
    for (int64_t tile = 0; tile < b->rows.tiles[point]; tile += PANEL) {
        int64_t panel = b->panel[point] + tile / PANEL;
        gemm.n = dcls_min_i64(PANEL, b->rows.tiles[point] - tile);
        gemm.b = b->in + panel * panel_size(b->k);
        gemm.c = b->out + panel * panel_size(x->m) + row * PANEL;
        dcls_gemm_run(b->pass->simd, &gemm);
    }
}

/* ---- points to outputs --------------------------------------------------------------------------------- */

/* One row of outputs from the points of its tiles. scratch: [OUTPUTS][tiles]. */
static void points_to_row(const dcls_conv_pass *pass, const float *line, float *row, float *scratch)
{
    const dcls_winograd_axis *c = &winograd_of(pass)->tiling.columns;
    for (const dcls_winograd_kind *kind = c->kind; kind < c->kind + c->kinds; kind++) {
        const int64_t first = kind->first;
        const float *in[POINTS], *from = line + first;
        float *out[POINTS];
        for (int p = 0; p < kind->points; p++) {
            in[p] = from;
            from += c->uses[p];
        }
        for (int e = 0; e < kind->outputs; e++)
            out[e] = scratch + e * c->tiles + first;
        pass->simd->winograd_inverse(kind->form, in, out, kind->count);
        for (int e = 0; e < kind->outputs; e++) {
            const int32_t *to = c->out + e * c->tiles + first;
            for (int64_t t = 0; t < kind->count; t++)
                row[to[t]] = out[e][t];
        }
    }
}

/* A row of tiles, taken from all of them at each point, back to rows of outputs at their points along the
 * columns. */
static void tiles_to_rows(const band *b, int64_t t, const float *tiles, float *const rows[OUTPUTS],
                          float *scratch)
{
    const conv_winograd *x = winograd_of(b->pass);
    const dcls_winograd_kind *kind = dcls_winograd_kind_of(&x->tiling.rows, t);
    const float *in[POINTS];
    for (int64_t p = 0; p < kind->points; p++) {
        float *to = scratch + p * (x->tiling.columns.line + COPY);
        in[p] = to;
        for (int64_t q = 0; q < x->tiling.columns.points; q++) {
            int64_t at = p * x->tiling.columns.points + q, n = x->tiling.columns.uses[q];
            dcls_winograd_copy_beyond(tiles + b->rows.place[at] + (t - b->rows.from) * n, n, to);
            to += n;
        }
    }
    b->pass->simd->winograd_inverse(kind->form, in, rows, x->tiling.columns.line);
}

/* Row `row` of a channel's outputs, from what points_to_row takes. scratch: what that needs, then the row. */
static void finish_row(const band *b, int64_t channel, int64_t row, const float *line, float *scratch)
{
    const conv_winograd *x = winograd_of(b->pass);
    const int64_t width = x->base.g.out[2], plane = b->image * x->m + channel, pixel = row * width;
    float *results = scratch + OUTPUTS * x->tiling.columns.tiles;
    if (x->tiling.joined == 1) results = dcls_conv_target(b->pass, plane, pixel, results);
    points_to_row(b->pass, line, results, scratch);
    for (int64_t i = 0; i < b->images; i++, results += width) {
        float *y = dcls_conv_target(b->pass, plane + i * x->m, pixel, results);
        if (y != results) memcpy(y, results, (size_t)width * sizeof *y);
        dcls_conv_complete(b->pass, plane + i * x->m, pixel, y, width);
    }
}

static void points_to_channel(void *arg, int64_t channel, int worker)
{
    const band *b = arg;
    const conv_winograd *x = winograd_of(b->pass);
    const int64_t line = x->tiling.columns.line;
    float *tiles = dcls_conv_scratch(b->pass, worker);
    float *results = tiles + x->band_place, *rest = results + OUTPUTS * line;
    float *rows[OUTPUTS] = {results, results + line, results + 2 * line, results + 3 * line};
    for (int64_t at = 0; at < x->tiling.points; at++)
        b->pass->simd->from_panels(b->out + b->panel[at] * panel_size(x->m) + channel * PANEL,
                                   panel_size(x->m), tiles + b->rows.place[at], b->rows.tiles[at]);
    for (int64_t t = b->rows.from; t < b->rows.to; t++) {
        tiles_to_rows(b, t, tiles, rows, rest);
        for (int e = 0; e < dcls_winograd_kind_of(&x->tiling.rows, t)->outputs; e++)
            finish_row(b, channel, x->tiling.rows.out[e * x->tiling.rows.tiles + t], rows[e], rest);
    }
}

/* ---- run ----------------------------------------------------------------------------------------------- */

static void run_band(band *b, int threads)
{
    const conv_winograd *x = winograd_of(b->pass);
    b->out = b->pass->shared;
    b->in = b->out + x->band_panels * panel_size(x->m);
    for (b->first_k = 0; b->first_k < x->k; b->first_k += x->block_k) {
        b->k = dcls_min_i64(x->block_k, x->k - b->first_k);
        dcls_parallel_for(threads, b->k, channel_to_points, b);
        dcls_parallel_for(threads, x->tiling.points * x->parts_m, multiply, b);
    }
    dcls_parallel_for(threads, x->m, points_to_channel, b);
}

static void run(const dcls_conv_pass *pass, int threads)
{
    const conv_winograd *x = winograd_of(pass);
    for (int64_t image = 0; image < pass->images; image += x->tiling.joined)
        for (int64_t i = 0; i < x->bands; i++) {
            band b = {.pass = pass, .image = image};
            b.images = dcls_min_i64(x->tiling.joined, pass->images - image);
            place_band(x, i, &b);
            run_band(&b, threads);
        }
}

/* ---- create -------------------------------------------------------------------------------------------- */

static void release(dcls_conv *conv)
{
    conv_winograd *x = (conv_winograd *)conv;
    dcls_winograd_tiling_free(&x->tiling);
    free(x->weight);
}

typedef struct packing {
    const conv_winograd *x;
    const float *weight;
    float *scratch; /* [workers][points][DCLS_GEMM_ROWS][block_k] */
} packing;

/* DCLS_GEMM_ROWS output channels of a block of k. */
static void pack_part(void *arg, int64_t item, int worker)
{
    const packing *p = arg;
    const conv_winograd *x = p->x;
    const int64_t blocks = dcls_ceil_div(x->k, x->block_k), size = DCLS_GEMM_ROWS * x->block_k;
    const int64_t column = item % blocks * x->block_k, k = dcls_min_i64(x->block_k, x->k - column);
    const int64_t row = item / blocks * DCLS_GEMM_ROWS, rows = dcls_min_i64(DCLS_GEMM_ROWS, x->m - row);
    float *u = p->scratch + worker * x->tiling.points * size;
    for (int64_t r = 0; r < rows; r++)
        dcls_winograd_weights(p->weight + ((row + r) * x->k + column) * 9, k, &x->tiling.rows,
                              &x->tiling.columns, u + r * k, size);
    for (int64_t point = 0; point < x->tiling.points; point++)
        dcls_gemm_pack(rows, k, u + point * size, k, x->weight + (point * x->k + column) * x->m + row * k);
}

static dcls_status pack(dcls_context *ctx, conv_winograd *x, const float *weight)
{
    int64_t floats;
    if (!dcls_mul_i64(x->tiling.points * x->m, x->k, &floats))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the sizes of this convolution are too large");
    x->weight = dcls_conv_pack(ctx, &x->base, floats, sizeof *x->weight);
    int threads = dcls_context_threads(ctx);
    int64_t items = dcls_ceil_div(x->m, DCLS_GEMM_ROWS) * dcls_ceil_div(x->k, x->block_k);
    threads = (int)dcls_min_i64(threads, items);
    packing p = {.x = x, .weight = weight};
    p.scratch = dcls_alloc(ctx, (size_t)(threads * x->tiling.points),
                           (size_t)(DCLS_GEMM_ROWS * x->block_k) * sizeof(float));
    bool ready = x->weight != NULL && p.scratch != NULL;
    if (ready) dcls_parallel_for(threads, items, pack_part, &p);
    free(p.scratch);
    return ready ? DCLS_OK : DCLS_ERR_MEMORY;
}

static dcls_status set_work(dcls_context *ctx, conv_winograd *x)
{
    const int64_t line = x->tiling.columns.line;
    double tiles = 0;
    for (int64_t p = 0; p < x->tiling.rows.points; p++)
        for (int64_t q = 0; q < x->tiling.columns.points; q++)
            tiles += (double)(x->tiling.rows.uses[p] * x->tiling.columns.uses[q]);
    dcls_conv_work work = {.units = x->m, /* never more workers than these */
                           .total_macs = tiles * (double)x->m * (double)x->k *
                                         (double)dcls_ceil_div(x->base.g.batch, x->tiling.joined)};
    work.macs = work.total_macs / (double)work.units;
    int64_t forward = dcls_winograd_to_points_scratch(&x->tiling, x->band_rows, x->base.g.in[2]);
    int64_t inverse = OUTPUTS * (line + x->tiling.columns.tiles) +
                      dcls_max_i64(POINTS * (line + COPY), x->tiling.joined * x->base.g.out[2]);
    work.scratch_floats = (size_t)(x->band_place + dcls_max_i64(forward, inverse));
    int64_t shared;
    if (!dcls_mul_i64(x->band_panels, panel_size(x->m) + panel_size(x->block_k), &shared))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the sizes of this convolution are too large");
    work.shared_floats = (size_t)shared;
    return dcls_conv_set_work(ctx, &x->base, work);
}

static dcls_status fill(dcls_context *ctx, conv_winograd *x, int64_t images, const float *weight)
{
    DCLS_TRY(dcls_winograd_tiling_create(ctx, &x->base.g, images, &x->tiling));
    x->base.group = x->tiling.joined;
    x->block_k = x->k <= BLOCK_K * 3 / 2 ? x->k : dcls_ceil_div(x->k, dcls_ceil_div(x->k, BLOCK_K));
    x->parts_m = dcls_ceil_div(x->m, BLOCK_M);
    choose_bands(x);
    DCLS_TRY(pack(ctx, x, weight));
    return set_work(ctx, x);
}

dcls_status dcls_conv_create_winograd(dcls_context *ctx, const dcls_geometry *g, int64_t images,
                                      const float *weight, const dcls_epilogue *epilogue, dcls_conv **out)
{
    const dcls_conv_method method = {.name = "winograd", .run = run, .release = release};
    conv_winograd *x = dcls_conv_allocate(ctx, sizeof *x, &method, g, epilogue);
    if (x == NULL) return DCLS_ERR_MEMORY;
    x->m = g->out_channels;
    x->k = g->in_channels;
    return dcls_conv_finish(&x->base, fill(ctx, x, images, weight), out);
}
