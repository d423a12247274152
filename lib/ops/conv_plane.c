/*
 * Sparse depthwise convolution of planes so small that a window covers most of them: each window is kept as
 * dense rows for simd->plane, whose cost does not depend on the number of taps. The list of taps of
 * conv_sparse.c would spend most of its time on borders there.
 */
#include <stdlib.h>
#include <string.h>

#include "ops/conv_internal.h"

/* A tap costs simd->taps_rows as much as this many input pixels cost simd->plane, and a list of any length as
 * much as so many pixels more (measured with 7x7 planes). What is not finite reaches the whole plane here,
 * not only the outputs whose windows hold it. */
#define PIXELS_OF_TAP  1
#define PIXELS_OF_LIST 60

typedef struct conv_plane {
    dcls_conv base;
    int64_t fanout;        /* outputs of one input channel */
    int64_t window_floats; /* of one output channel */
    float *weight;         /* [out_channels, rows of dcls_plane.weight, DCLS_PLANE_PITCH] */
} conv_plane;

static void run_unit(const dcls_conv_pass *pass, int64_t unit, float *scratch)
{
    const conv_plane *x = (const conv_plane *)pass->conv;
    const dcls_geometry *g = &pass->conv->g;
    float *y = dcls_conv_target(pass, unit, 0, scratch);
    const dcls_plane plane = {.in = pass->in + unit / x->fanout * pass->conv->in_volume,
                              .in_rows = g->in[1],
                              .in_width = g->in[2],
                              .weight = x->weight + unit % g->out_channels * x->window_floats,
                              .out = y,
                              .rows = g->out[1],
                              .width = g->out[2]};
    pass->simd->plane(&plane);
    dcls_conv_complete(pass, unit, 0, y, pass->conv->out_volume);
}

static void release(dcls_conv *conv)
{
    free(((conv_plane *)conv)->weight);
}

static const dcls_conv_method method = {.name = "sparse", .run_unit = run_unit, .release = release};

/* Writes the windows of all output channels, upside down. */
static void write_windows(conv_plane *x, const dcls_taps *taps)
{
    const dcls_geometry *g = &x->base.g;
    int64_t shift[3];
    memset(x->weight, 0, (size_t)(g->out_channels * x->window_floats) * sizeof *x->weight);
    for (int64_t o = 0; o < g->out_channels; o++) {
        float *last = x->weight + o * x->window_floats + (g->in[1] - 1) * DCLS_PLANE_PITCH + g->in[2] - 1;
        for (int64_t t = taps->start[o]; t < taps->start[o + 1]; t++)
            if (dcls_conv_shift(g, taps->cell[t], shift))
                last[-shift[1] * DCLS_PLANE_PITCH - shift[2]] += taps->value[t];
    }
}

static dcls_status pack(dcls_context *ctx, conv_plane *x, const dcls_taps *taps)
{
    const dcls_geometry *g = &x->base.g;
    x->fanout = g->out_channels / g->groups;
    x->window_floats = (g->out[1] + g->in[1] - 1) * DCLS_PLANE_PITCH;
    x->weight = dcls_conv_pack(ctx, &x->base, g->out_channels * x->window_floats, sizeof *x->weight);
    if (x->weight == NULL) return DCLS_ERR_MEMORY;
    write_windows(x, taps);
    double planes = (double)(g->batch * g->out_channels);
    dcls_conv_work work = {.units = g->batch * g->out_channels,
                           .macs = (double)(x->base.in_volume * g->out[1] * DCLS_PLANE_SIDE),
                           .total_macs = planes * (double)(x->base.in_volume * x->base.out_volume),
                           .scratch_floats = x->base.epilogue.residual ? (size_t)x->base.out_volume : 0};
    return dcls_conv_set_work(ctx, &x->base, work);
}

static int64_t reaching_taps(const dcls_geometry *g, const dcls_taps *taps)
{
    int64_t shift[3], count = 0;
    for (int64_t t = 0; t < taps->start[taps->rows]; t++)
        count += dcls_conv_shift(g, taps->cell[t], shift);
    return count;
}

bool dcls_conv_prefers_plane(const dcls_geometry *g, const dcls_taps *taps)
{
    if (g->in_channels != g->groups || g->in[0] != 1 || g->out[0] != 1) return false;
    for (int d = 1; d < 3; d++) {
        if (g->in[d] > DCLS_PLANE_SIDE || g->out[d] > DCLS_PLANE_SIDE) return false;
        if (g->stride[d] != 1 && g->out[d] != 1) return false;
    }
    return PIXELS_OF_TAP * reaching_taps(g, taps) + PIXELS_OF_LIST * g->out_channels >=
           g->in[1] * g->in[2] * g->out_channels;
}

dcls_status dcls_conv_create_plane(dcls_context *ctx, const dcls_geometry *g, const dcls_taps *taps,
                                   const dcls_epilogue *epilogue, dcls_conv **out)
{
    conv_plane *x = dcls_conv_allocate(ctx, sizeof *x, &method, g, epilogue);
    if (x == NULL) return DCLS_ERR_MEMORY;
    return dcls_conv_finish(&x->base, pack(ctx, x, taps), out);
}
