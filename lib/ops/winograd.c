/* Winograd's tiles and weights. */
#include "ops/winograd.h"

#include <stdlib.h>

#include "base/mem.h"
#include "ops/tiles.h"

#define POINTS  DCLS_WINOGRAD_POINTS
#define OUTPUTS DCLS_WINOGRAD_OUTPUTS

/* ---- tiles --------------------------------------------------------------------------------------------- */

/* Tiles of `outputs` outputs in a phase of `length`: as many as go of the largest, then one of the rest. */
static int64_t tiles_of(int64_t length, int outputs)
{
    return outputs == OUTPUTS ? length / OUTPUTS : length % OUTPUTS == outputs;
}

static int64_t phase_length(const dcls_geometry *g, int axis, int64_t phase)
{
    return dcls_ceil_div(g->out[axis] - phase, g->dilation[axis]);
}

static int64_t phases(const dcls_geometry *g, int axis)
{
    return dcls_min_i64(g->dilation[axis], g->out[axis]);
}

/* Counts tiles, longest first. */
static void count_tiles(const dcls_geometry *g, int axis, dcls_winograd_axis *x)
{
    *x = (dcls_winograd_axis){0};
    for (int outputs = OUTPUTS; outputs >= 1; outputs--) {
        x->first[outputs] = x->tiles;
        for (int64_t phase = 0; phase < phases(g, axis); phase++)
            x->tiles += tiles_of(phase_length(g, axis, phase), outputs);
        if (x->tiles > 0 && x->points == 0) x->points = outputs + 2;
    }
    x->first[0] = x->tiles;
    for (int p = 0; p < x->points; p++) {
        x->uses[p] = p < 2 ? x->tiles : x->first[p - 2];
        x->line += x->uses[p];
    }
}

/* The tile whose first output is `output`. */
static void place_tile(const dcls_geometry *g, int axis, int64_t output, int outputs, dcls_winograd_axis *x,
                       int64_t t)
{
    for (int e = 0; e < outputs + 2; e++) {
        int64_t in = output - g->pad[axis] + e * g->dilation[axis];
        x->in[e * x->tiles + t] = in >= 0 && in < g->in[axis] ? (int32_t)in + 1 : 0;
    }
    for (int e = 0; e < outputs; e++)
        x->out[e * x->tiles + t] = (int32_t)(output + e * g->dilation[axis]);
}

dcls_status dcls_winograd_axis_create(dcls_context *ctx, const dcls_geometry *g, int axis,
                                      dcls_winograd_axis *x)
{
    count_tiles(g, axis, x);
    x->in = dcls_alloc_zero(ctx, (size_t)(POINTS * x->tiles), sizeof *x->in);
    x->out = dcls_alloc_zero(ctx, (size_t)(OUTPUTS * x->tiles), sizeof *x->out);
    if (x->in == NULL || x->out == NULL) return DCLS_ERR_MEMORY;
    int64_t t = 0, step = g->dilation[axis];
    for (int outputs = OUTPUTS; outputs >= 1; outputs--)
        for (int64_t phase = 0; phase < phases(g, axis); phase++) {
            int64_t length = phase_length(g, axis, phase), n = tiles_of(length, outputs);
            int64_t start = outputs == OUTPUTS ? 0 : length / OUTPUTS * OUTPUTS;
            for (int64_t i = 0; i < n; i++)
                place_tile(g, axis, phase + (start + i * OUTPUTS) * step, outputs, x, t++);
        }
    return DCLS_OK;
}

void dcls_winograd_axis_free(dcls_winograd_axis *axis)
{
    free(axis->in);
    free(axis->out);
}

int dcls_winograd_outputs(const dcls_winograd_axis *axis, int64_t t)
{
    int outputs = OUTPUTS;
    while (t >= axis->first[outputs - 1])
        outputs--;
    return outputs;
}

/* ---- when it pays -------------------------------------------------------------------------------------- */

/* Multiply-accumulates that the ways to the points and back cost for each pixel of a channel, about. */
#define TRANSFORM_COST 70
/* Columns that fill a vector of the widest instruction set. */
#define LANES ((int64_t)16)

static int64_t whole_lanes(int64_t n)
{
    return dcls_ceil_div(n, LANES) * LANES;
}

static bool possible(const dcls_geometry *g)
{
    bool yes = g->groups == 1 && g->kernel[0] == 1 && g->stride[0] == 1 && g->pad[0] == 0 && g->in[0] == 1 &&
               g->out[0] == 1;
    for (int d = 1; d < 3; d++)
        yes = yes && g->kernel[d] == 3 && g->stride[d] == 1 && g->pad[d] >= 0;
    return yes;
}

bool dcls_winograd_pays(const dcls_geometry *g)
{
    if (!possible(g)) return false;
    dcls_winograd_axis rows, columns;
    count_tiles(g, 1, &rows);
    count_tiles(g, 2, &columns);
    double products = 0, channels = (double)g->in_channels * (double)g->out_channels;
    for (int p = 0; p < rows.points; p++)
        for (int q = 0; q < columns.points; q++)
            products += (double)whole_lanes(rows.uses[p] * columns.uses[q]);
    double pixels = (double)dcls_volume(g->out);
    double direct = 9 * (double)whole_lanes(dcls_volume(g->out)) * channels;
    double transforms = TRANSFORM_COST * pixels * (double)(g->in_channels + g->out_channels);
    return 1.1 * (products * channels + transforms) < direct;
}

/* ---- weights ------------------------------------------------------------------------------------------- */

/* Three taps at the points; step: between taps, and between points. */
static void at_points(const double *w, int64_t step, int64_t points, double *to, int64_t to_step)
{
    static const double place[POINTS] = {0, 0, 0.75, -0.75, 1.5, -1.5};
    for (int64_t p = 0; p < points; p++) {
        double value = w[0] + place[p] * (w[step] + place[p] * w[2 * step]);
        to[p * to_step] = p == 1 ? w[2 * step] : value;
    }
}

void dcls_winograd_weights(const float *taps, int64_t n, int64_t rows, int64_t columns, float *u,
                           int64_t stride)
{
    for (int64_t i = 0; i < n; i++, taps += 9) {
        double w[9], by_row[3 * POINTS], all[POINTS * POINTS];
        for (int t = 0; t < 9; t++)
            w[t] = (double)taps[t];
        for (int r = 0; r < 3; r++)
            at_points(w + r * 3, 1, columns, by_row + r * POINTS, 1);
        for (int64_t q = 0; q < columns; q++)
            at_points(by_row + q, POINTS, rows, all + q, columns);
        for (int64_t pq = 0; pq < rows * columns; pq++)
            u[pq * stride + i] = (float)all[pq];
    }
}
