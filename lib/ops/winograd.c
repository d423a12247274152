/* Winograd's tiles and weights. */
#include "ops/winograd.h"

#include <stdlib.h>

#include "base/mem.h"
#include "ops/tiles.h"

#define POINTS  DCLS_WINOGRAD_POINTS
#define OUTPUTS DCLS_WINOGRAD_OUTPUTS

/* ---- tiles --------------------------------------------------------------------------------------------- */

/* Tiles of `outputs` outputs in a phase of `length`: as many as go of the largest, then one of the rest. */
static int64_t tiles_of(int64_t length, int outputs, int most)
{
    return outputs == most ? length / most : length % most == outputs;
}

static int64_t phase_length(const dcls_geometry *g, int axis, int64_t phase)
{
    return dcls_ceil_div(g->out[axis] - phase, g->dilation[axis]);
}

static int64_t phases(const dcls_geometry *g, int axis)
{
    return dcls_min_i64(g->dilation[axis], g->out[axis]);
}

static int most_outputs(const dcls_winograd_axis *x)
{
    return x->alone ? 2 : OUTPUTS;
}

static dcls_winograd_kind kind_with(const dcls_winograd_axis *x, int outputs)
{
    if (x->alone)
        return (dcls_winograd_kind){.form = DCLS_WINOGRAD_ALONE + outputs,
                                    .inputs = outputs,
                                    .points = 2 * outputs - 1,
                                    .outputs = outputs};
    return (dcls_winograd_kind){
        .form = outputs, .inputs = outputs + 2, .points = outputs + 2, .outputs = outputs};
}

/* Counts tiles, longest first. */
void dcls_winograd_count_tiles(const dcls_geometry *g, int axis, int64_t copies, dcls_winograd_axis *x)
{
    *x = (dcls_winograd_axis){.alone = g->pad[axis] == g->dilation[axis] && g->in[axis] == g->out[axis] &&
                                       phase_length(g, axis, 0) <= 2};
    for (int outputs = most_outputs(x); outputs >= 1; outputs--) {
        dcls_winograd_kind kind = kind_with(x, outputs);
        kind.first = x->tiles;
        for (int64_t phase = 0; phase < phases(g, axis); phase++)
            kind.count += copies * tiles_of(phase_length(g, axis, phase), outputs, most_outputs(x));
        if (kind.count == 0) continue;
        x->kind[x->kinds++] = kind;
        x->tiles += kind.count;
        for (int p = 0; p < kind.points; p++)
            x->uses[p] += kind.count;
    }
    x->points = x->kind[0].points;
    for (int p = 0; p < x->points; p++)
        x->line += x->uses[p];
}

/* The tile of a copy whose first output is `output`. */
static void place_tile(const dcls_geometry *g, int axis, int64_t copy, int64_t output,
                       const dcls_winograd_kind *kind, dcls_winograd_axis *x, int64_t t)
{
    int64_t first = x->alone ? output : output - g->pad[axis];
    for (int e = 0; e < kind->inputs; e++) {
        int64_t in = first + e * g->dilation[axis];
        x->in[e * x->tiles + t] = in >= 0 && in < g->in[axis] ? (int32_t)(copy * g->in[axis] + in) + 1 : 0;
    }
    for (int e = 0; e < kind->outputs; e++)
        x->out[e * x->tiles + t] = (int32_t)(copy * g->out[axis] + output + e * g->dilation[axis]);
}

/* Tiles of one kind in all phases of a copy; returns the next tile. */
static int64_t place_copy(const dcls_geometry *g, int axis, int64_t copy, const dcls_winograd_kind *kind,
                          dcls_winograd_axis *x, int64_t t)
{
    const int64_t step = g->dilation[axis], most = most_outputs(x);
    for (int64_t phase = 0; phase < phases(g, axis); phase++) {
        int64_t length = phase_length(g, axis, phase), n = tiles_of(length, kind->outputs, (int)most);
        int64_t start = kind->outputs == most ? 0 : length / most * most;
        for (int64_t i = 0; i < n; i++)
            place_tile(g, axis, copy, phase + (start + i * most) * step, kind, x, t++);
    }
    return t;
}

dcls_status dcls_winograd_axis_create(dcls_context *ctx, const dcls_geometry *g, int axis, int64_t copies,
                                      dcls_winograd_axis *out)
{
    dcls_winograd_count_tiles(g, axis, copies, out);
    if (g->in[axis] > INT32_MAX / copies - 1 || g->out[axis] > INT32_MAX / copies - 1)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the sizes of this convolution are too large");
    out->in = dcls_alloc_zero(ctx, (size_t)(POINTS * out->tiles), sizeof *out->in);
    out->out = dcls_alloc_zero(ctx, (size_t)(OUTPUTS * out->tiles), sizeof *out->out);
    if (out->in == NULL || out->out == NULL) return DCLS_ERR_MEMORY;
    int64_t t = 0;
    for (const dcls_winograd_kind *kind = out->kind; kind < out->kind + out->kinds; kind++)
        for (int64_t copy = 0; copy < copies; copy++)
            t = place_copy(g, axis, copy, kind, out, t);
    return DCLS_OK;
}

void dcls_winograd_axis_free(dcls_winograd_axis *axis)
{
    free(axis->in);
    free(axis->out);
}

const dcls_winograd_kind *dcls_winograd_kind_of(const dcls_winograd_axis *axis, int64_t t)
{
    const dcls_winograd_kind *kind = axis->kind;
    while (t >= kind->first + kind->count)
        kind++;
    return kind;
}

/* ---- when it pays -------------------------------------------------------------------------------------- */

/* Multiply-accumulates that the ways to the points and back cost for each pixel of a channel, about. */
#define TRANSFORM_COST 70
/* Tiles that several small images have together: enough to fill vectors, and for weights to be worth reading.
 */
#define JOINED_TILES ((int64_t)128)
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

int64_t dcls_winograd_joined(const dcls_geometry *g, int64_t images)
{
    dcls_winograd_axis rows, columns;
    dcls_winograd_count_tiles(g, 1, 1, &rows);
    dcls_winograd_count_tiles(g, 2, 1, &columns);
    return dcls_max_i64(1, dcls_min_i64(images, JOINED_TILES / dcls_max_i64(1, rows.tiles * columns.tiles)));
}

bool dcls_winograd_pays(const dcls_geometry *g, int64_t images)
{
    if (!possible(g)) return false;
    const double joined = (double)dcls_winograd_joined(g, images);
    dcls_winograd_axis rows, columns;
    dcls_winograd_count_tiles(g, 1, 1, &rows);
    dcls_winograd_count_tiles(g, 2, (int64_t)joined, &columns);
    double products = 0, channels = (double)g->in_channels * (double)g->out_channels;
    for (int p = 0; p < rows.points; p++)
        for (int q = 0; q < columns.points; q++)
            products += (double)whole_lanes(rows.uses[p] * columns.uses[q]);
    double pixels = joined * (double)dcls_volume(g->out);
    double direct = 9 * joined * (double)whole_lanes(dcls_volume(g->out)) * channels;
    double transforms = TRANSFORM_COST * pixels * (double)(g->in_channels + g->out_channels);
    return 1.1 * (products * channels + transforms) < direct;
}

/* ---- weights ------------------------------------------------------------------------------------------- */

#define AT_INFINITY 1

static const double place[POINTS] = {0, 0, 0.75, -0.75, 1.5, -1.5};

/* Three taps at the points; step: between taps, and between points. */
static void at_points(const double *w, int64_t step, const dcls_winograd_axis *axis, double *to,
                      int64_t to_step)
{
    if (axis->alone) {
        const double at[3] = {w[step], w[2 * step] - w[step], w[0] - w[step]};
        for (int64_t p = 0; p < 3; p++) /* all its points */
            to[p * to_step] = at[p];
        return;
    }
    for (int64_t p = 0; p < axis->points; p++) {
        double value = w[0] + place[p] * (w[step] + place[p] * w[2 * step]);
        to[p * to_step] = p == AT_INFINITY ? w[2 * step] : value;
    }
}

void dcls_winograd_weights(const float *taps, int64_t n, const dcls_winograd_axis *rows,
                           const dcls_winograd_axis *columns, float *u, int64_t stride)
{
    for (int64_t i = 0; i < n; i++, taps += 9) {
        double w[9], by_row[3 * POINTS] = {0}, all[POINTS * POINTS] = {0};
        for (int t = 0; t < 9; t++)
            w[t] = (double)taps[t];
        for (int r = 0; r < 3; r++)
            at_points(w + r * 3, 1, columns, by_row + r * POINTS, 1);
        for (int64_t q = 0; q < columns->points; q++)
            at_points(by_row + q, POINTS, rows, all + q, columns->points);
        for (int64_t pq = 0; pq < rows->points * columns->points; pq++)
            u[pq * stride + i] = (float)all[pq];
    }
}

/* Gradients at the points to those of three taps: at_points turned round. */
static void from_points(const double *u, int64_t step, int64_t points, double *w, int64_t to_step)
{
    double sum[3] = {0};
    for (int64_t p = 0; p < points; p++) {
        const double value = u[p * step];
        sum[2] += p == AT_INFINITY ? value : place[p] * place[p] * value;
        if (p == AT_INFINITY) continue;
        sum[0] += value;
        sum[1] += place[p] * value;
    }
    for (int t = 0; t < 3; t++)
        w[t * to_step] = sum[t];
}

void dcls_winograd_weights_gradient(const float *u, int64_t stride, int64_t n, const dcls_winograd_axis *rows,
                                    const dcls_winograd_axis *columns, float *taps)
{
    for (int64_t i = 0; i < n; i++, taps += 9) {
        double all[POINTS * POINTS] = {0}, by_row[3 * POINTS] = {0}, w[9];
        for (int64_t pq = 0; pq < rows->points * columns->points; pq++)
            all[pq] = (double)u[pq * stride + i];
        for (int64_t q = 0; q < columns->points; q++)
            from_points(all + q, columns->points, rows->points, by_row + q, POINTS);
        for (int r = 0; r < 3; r++)
            from_points(by_row + r * POINTS, 1, columns->points, w + r * 3, 1);
        for (int t = 0; t < 9; t++)
            taps[t] = (float)w[t];
    }
}
