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
#define TILES_LEAST ((int64_t)16)
/* Tiles of a band, about: what stands at the points is then of moderate size, however large the planes. */
#define TILES_MOST ((int64_t)256)

struct dcls_winograd_backward {
    dcls_geometry g;
    dcls_winograd_tiling tiling;
    int64_t bands;
    int64_t channel; /* floats of one channel's tiles of a band at all points, at most */
    int64_t tiles;   /* at one point, at most */
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
    const int64_t rows = b->tiling.rows.tiles;
    b->bands = dcls_min_i64(rows, dcls_ceil_div(rows * b->tiling.columns.tiles, TILES_MOST));
    for (int64_t i = 0; i < b->bands; i++) {
        const dcls_winograd_band band = dcls_winograd_band_at(&b->tiling, i, b->bands, g->in[1]);
        b->channel = dcls_max_i64(b->channel, band.place[b->tiling.points]);
        for (int64_t point = 0; point < b->tiling.points; point++)
            b->tiles = dcls_max_i64(b->tiles, band.tiles[point]);
    }
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

size_t dcls_winograd_backward_scratch(const dcls_winograd_backward *b)
{
    const dcls_geometry *g = &b->g;
    const int64_t in = dcls_winograd_to_points_scratch(&b->tiling, g->in[1], g->in[2]),
                  out = dcls_winograd_to_points_scratch(&b->tiling, g->out[1], g->out[2]),
                  products = DCLS_GEMM_ROWS_SCRATCH(g->in_channels, b->tiles);
    return (size_t)((g->in_channels + g->out_channels) * b->channel +
                    dcls_max_i64(products, dcls_max_i64(in, out)));
}

static void add_band(const dcls_winograd_backward *b, const dcls_simd *simd, const dcls_winograd_band *band,
                     int64_t images, const float *x, const float *dy, float *sums, float *scratch)
{
    const dcls_geometry *g = &b->g;
    const int64_t k = g->in_channels, m = g->out_channels, in = dcls_volume(g->in), out = dcls_volume(g->out);
    float *inputs = scratch, *gradients = inputs + k * b->channel, *rest = gradients + m * b->channel;
    for (int64_t c = 0; c < k; c++) {
        const dcls_winograd_planes planes = {x + c * in, k * in, images, g->in[1], g->in[2]};
        dcls_winograd_inputs_to_points(simd, &b->tiling, band, &planes, inputs + c * b->channel, rest);
    }
    for (int64_t o = 0; o < m; o++) {
        const dcls_winograd_planes planes = {dy + o * out, m * out, images, g->out[1], g->out[2]};
        dcls_winograd_outputs_to_points(simd, &b->tiling, band, &planes, gradients + o * b->channel, rest);
    }
    for (int64_t point = 0; point < b->tiling.points; point++) {
        if (band->tiles[point] == 0) continue;
        simd->gemm_rows(&(dcls_gemm){.m = m,
                                     .n = k,
                                     .k = band->tiles[point],
                                     .a = gradients + band->place[point],
                                     .lda = b->channel,
                                     .b = inputs + band->place[point],
                                     .ldb = b->channel,
                                     .c = sums + point * m * k,
                                     .ldc = k},
                        rest);
    }
}

void dcls_winograd_backward_run(const dcls_winograd_backward *b, const dcls_simd *simd, int64_t images,
                                const float *x, const float *dy, float *sums, float *scratch)
{
    const int64_t in = b->g.in_channels * dcls_volume(b->g.in),
                  out = b->g.out_channels * dcls_volume(b->g.out), joined = b->tiling.joined;
    for (int64_t image = 0; image < images; image += joined)
        for (int64_t i = 0; i < b->bands; i++) {
            const dcls_winograd_band band = dcls_winograd_band_at(&b->tiling, i, b->bands, b->g.in[1]);
            add_band(b, simd, &band, dcls_min_i64(joined, images - image), x + image * in, dy + image * out,
                     sums, scratch);
        }
}

void dcls_winograd_backward_collect(const dcls_winograd_backward *b, const float *sums, float *gradient)
{
    const int64_t windows = b->g.out_channels * b->g.in_channels;
    dcls_winograd_weights_gradient(sums, windows, windows, &b->tiling.rows, &b->tiling.columns, gradient);
}
