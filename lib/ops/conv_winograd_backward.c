/* The gradient of 3x3 weights by Winograd's method: inputs and gradients of outputs are taken to the points,
 * where the products of every pair of channels are summed over all tiles; the sums are taken back to windows
 * once, at the end of a batch. */
#include <stdlib.h>

#include "ops/conv_backward.h"
#include "ops/tiles.h"
#include "ops/winograd_planes.h"

/* Sums at the points are as many as this at most: they are read and written for every few images. */
#define SUMS_MOST ((int64_t)4 << 20)
/* Fewer tiles are not worth that. */
#define TILES_LEAST ((int64_t)48)

struct dcls_winograd_backward {
    dcls_geometry g;
    dcls_winograd_tiling tiling;
    dcls_winograd_band all;
    int64_t channel; /* floats of one channel's tiles at all points */
};

bool dcls_winograd_backward_suits(const dcls_geometry *g, int64_t images)
{
    if (!dcls_winograd_pays(g, images)) return false;
    dcls_winograd_axis rows, columns;
    const int64_t joined = dcls_winograd_joined(g, images);
    dcls_winograd_count_tiles(g, 1, 1, &rows);
    dcls_winograd_count_tiles(g, 2, joined, &columns);
    return !rows.alone && !columns.alone && rows.tiles * columns.tiles >= TILES_LEAST &&
           rows.points * columns.points * g->out_channels <= SUMS_MOST / g->in_channels;
}

dcls_status dcls_winograd_backward_create(dcls_context *ctx, const dcls_geometry *g, int64_t images,
                                          dcls_winograd_backward **out)
{
    dcls_winograd_backward *b = *out = dcls_alloc_zero(ctx, 1, sizeof *b);
    if (b == NULL) return DCLS_ERR_MEMORY;
    b->g = *g;
    const dcls_status status = dcls_winograd_tiling_create(ctx, g, images, &b->tiling);
    if (status != DCLS_OK) {
        dcls_winograd_backward_destroy(b);
        *out = NULL;
        return status;
    }
    b->all = dcls_winograd_band_at(&b->tiling, 0, 1, g->in[1]);
    b->channel = b->all.place[b->tiling.points];
    return DCLS_OK;
}

void dcls_winograd_backward_destroy(dcls_winograd_backward *b)
{
    if (b == NULL) return;
    dcls_winograd_tiling_free(&b->tiling);
    free(b);
}

size_t dcls_winograd_backward_sums(const dcls_winograd_backward *b)
{
    return (size_t)(b->tiling.points * b->g.out_channels * b->g.in_channels);
}

static int64_t most_tiles(const dcls_winograd_backward *b)
{
    return b->tiling.rows.tiles * b->tiling.columns.tiles;
}

size_t dcls_winograd_backward_scratch(const dcls_winograd_backward *b)
{
    const dcls_geometry *g = &b->g;
    const int64_t in = dcls_winograd_to_points_scratch(&b->tiling, g->in[1], g->in[2]),
                  out = dcls_winograd_to_points_scratch(&b->tiling, g->out[1], g->out[2]),
                  products = DCLS_GEMM_ROWS_SCRATCH(g->in_channels, most_tiles(b));
    return (size_t)((g->in_channels + g->out_channels) * b->channel +
                    dcls_max_i64(products, dcls_max_i64(in, out)));
}

static void add_group(const dcls_winograd_backward *b, const dcls_simd *simd, int64_t images, const float *x,
                      const float *dy, float *sums, float *scratch)
{
    const dcls_geometry *g = &b->g;
    const int64_t k = g->in_channels, m = g->out_channels, in = dcls_volume(g->in), out = dcls_volume(g->out);
    float *inputs = scratch, *gradients = inputs + k * b->channel, *rest = gradients + m * b->channel;
    for (int64_t c = 0; c < k; c++) {
        const dcls_winograd_planes planes = {x + c * in, k * in, images, g->in[1], g->in[2]};
        dcls_winograd_inputs_to_points(simd, &b->tiling, &b->all, &planes, inputs + c * b->channel, rest);
    }
    for (int64_t o = 0; o < m; o++) {
        const dcls_winograd_planes planes = {dy + o * out, m * out, images, g->out[1], g->out[2]};
        dcls_winograd_outputs_to_points(simd, &b->tiling, &b->all, &planes, gradients + o * b->channel, rest);
    }
    for (int64_t point = 0; point < b->tiling.points; point++)
        simd->gemm_rows(&(dcls_gemm){.m = m,
                                     .n = k,
                                     .k = b->all.tiles[point],
                                     .a = gradients + b->all.place[point],
                                     .lda = b->channel,
                                     .b = inputs + b->all.place[point],
                                     .ldb = b->channel,
                                     .c = sums + point * m * k,
                                     .ldc = k},
                        rest);
}

void dcls_winograd_backward_run(const dcls_winograd_backward *b, const dcls_simd *simd, int64_t images,
                                const float *x, const float *dy, float *sums, float *scratch)
{
    const int64_t in = b->g.in_channels * dcls_volume(b->g.in),
                  out = b->g.out_channels * dcls_volume(b->g.out), joined = b->tiling.joined;
    for (int64_t image = 0; image < images; image += joined)
        add_group(b, simd, dcls_min_i64(joined, images - image), x + image * in, dy + image * out, sums,
                  scratch);
}

void dcls_winograd_backward_collect(const dcls_winograd_backward *b, const float *sums, float *gradient)
{
    const int64_t windows = b->g.out_channels * b->g.in_channels;
    dcls_winograd_weights_gradient(sums, windows, windows, &b->tiling.rows, &b->tiling.columns, gradient);
}
