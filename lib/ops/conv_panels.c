#include "ops/conv_panels.h"

#include <string.h>

#define PANEL DCLS_GEMM_PANEL

dcls_conv_tiles dcls_conv_cut(int64_t n, int64_t most, int64_t wanted)
{
    int64_t count = dcls_ceil_div(n, most);
    const int64_t even = dcls_ceil_div(count, wanted) * wanted;
    if (count < 8 * wanted) count = dcls_max_i64(count, dcls_min_i64(even, n / DCLS_CONV_TILE_LEAST));
    return (dcls_conv_tiles){count, dcls_ceil_div(n, count)};
}

int64_t dcls_conv_tiles_wanted(const dcls_geometry *g, int64_t threads)
{
    int64_t common = threads;
    while (g->batch % common != 0)
        common--;
    return threads / common;
}

void dcls_conv_write_panel(const dcls_conv_pass *pass, int64_t image, int64_t panel, int64_t pixel,
                           int64_t count, float *scratch)
{
    const int64_t outputs = pass->conv->g.out_channels, plane = image * outputs + panel * PANEL;
    const int64_t channels = dcls_min_i64(PANEL, outputs - panel * PANEL);
    float *rows = scratch + count * PANEL;
    for (int64_t p = 0; p < count; p += PANEL)
        pass->simd->transpose(scratch + p * PANEL, PANEL, dcls_min_i64(PANEL, count - p), channels,
                              rows + p * channels, PANEL);
    dcls_conv_finish_rows(pass, plane, channels, pixel, count, rows, channels * PANEL);
}

float *dcls_conv_pack_bias(dcls_context *ctx, dcls_conv *conv, int64_t channels, const float *bias)
{
    const int64_t floats = dcls_ceil_div(channels, PANEL) * PANEL;
    float *packed = dcls_conv_pack(ctx, conv, floats, sizeof *packed);
    for (int64_t o = 0; packed != NULL && o < floats; o++)
        packed[o] = bias != NULL && o < channels ? bias[o] : 0.0f;
    return packed;
}

dcls_status dcls_conv_check_pair(dcls_context *ctx, const dcls_geometry *g, const dcls_conv_expansion *e)
{
    DCLS_TRY(dcls_conv_check(ctx, g));
    if (!dcls_conv_is_pointwise(g) || g->groups != 1 || e->channels < 1 || e->channels > DCLS_PAIR_MOST)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "these convolutions cannot run as a pair");
    return DCLS_OK;
}

/* What lies under one cell of the window for pixels [x0, x1) of one output row. in: the input channel. */
static void fill_row(const dcls_geometry *g, const int64_t shift[3], int64_t row, int64_t x0, int64_t x1,
                     const float *in, float *to)
{
    const int64_t z = row / g->out[1] * g->stride[0] + shift[0];
    const int64_t y = row % g->out[1] * g->stride[1] + shift[1], stride = g->stride[2];
    if (z < 0 || z >= g->in[0] || y < 0 || y >= g->in[1]) {
        memset(to, 0, (size_t)(x1 - x0) * sizeof *to);
        return;
    }
    in += (z * g->in[1] + y) * g->in[2];
    if (stride == 1 && x0 + shift[2] >= 0 && x1 + shift[2] <= g->in[2]) {
        memcpy(to, in + x0 + shift[2], (size_t)(x1 - x0) * sizeof *to);
        return;
    }
    for (int64_t x = x0; x < x1; x++) {
        const int64_t at = x * stride + shift[2];
        *to++ = at >= 0 && at < g->in[2] ? in[at] : 0.0f;
    }
}

/* Whole rows of one slice, none of which see padding, at once; false if they are not. */
static bool fill_rows(const dcls_simd *simd, const dcls_geometry *g, const int64_t shift[3], int64_t pixel,
                      int64_t n, const float *in, float *to)
{
    static const int64_t offset[] = {0};
    static const float one[] = {1.0f};
    const int64_t width = g->out[2], row = pixel / width, rows = n / width,
                  z = row / g->out[1] * g->stride[0] + shift[0];
    const int64_t top = row % g->out[1] * g->stride[1] + shift[1], bottom = top + (rows - 1) * g->stride[1],
                  right = (width - 1) * g->stride[2] + shift[2];
    if (g->stride[2] > 2) return false; /* which taps_rows reads number by number */
    if (pixel % width != 0 || n % width != 0 || row / g->out[1] != (row + rows - 1) / g->out[1]) return false;
    if (z < 0 || z >= g->in[0] || top < 0 || bottom >= g->in[1] || shift[2] < 0 || right >= g->in[2])
        return false;
    simd->taps_rows(in + (z * g->in[1] + top) * g->in[2] + shift[2], g->stride[1] * g->in[2], g->stride[2],
                    offset, one, 1, to, width, rows, width);
    return true;
}

const float *dcls_conv_column(const dcls_conv_pass *pass, int64_t image, int64_t column, int64_t pixel,
                              int64_t n, float *to)
{
    const dcls_conv *conv = pass->conv;
    const dcls_geometry *g = &conv->g;
    const int64_t cells = dcls_volume(g->kernel), width = g->out[2], end = pixel + n;
    if (column >= g->in_channels * cells) return memset(to, 0, (size_t)n * sizeof *to);
    const float *in = pass->in + (image * g->in_channels + column / cells) * conv->in_volume;
    if (dcls_conv_is_pointwise(g)) return in + pixel;
    int64_t shift[3];
    dcls_conv_cell(g, column % cells, shift);
    if (fill_rows(pass->simd, g, shift, pixel, n, in, to)) return to;
    for (int64_t at = pixel; at < end;) {
        int64_t x = at % width, stop = dcls_min_i64(end, at - x + width);
        fill_row(g, shift, at / width, x, x + stop - at, in, to + (at - pixel));
        at = stop;
    }
    return to;
}
