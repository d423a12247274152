#include "ops/backward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- activations and norms ---- */

static double activation_slope(dcls_activation activation, double x, double y)
{
    switch (activation) {
    case DCLS_ACT_RELU: return x > 0 ? 1 : 0;
    case DCLS_ACT_SIGMOID: return y * (1 - y);
    case DCLS_ACT_GELU: /* x Phi(x): Phi(x) + x phi(x) */
        return 0.5 + 0.5 * (double)erff((float)(x * 0.70710678118654752)) +
               x * 0.39894228040143268 * (double)expf((float)(-0.5 * x * x));
    case DCLS_ACT_GELU_TANH: {
        const double a = 0.79788456080286536, b = 0.044715; /* sqrt(2 / pi) */
        double t = tanh(a * (x + b * x * x * x));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * a * (1 + 3 * b * x * x);
    }
    default: return 1;
    }
}

void dcls_activation_backward(dcls_activation activation, int64_t n, const float *x, const float *y,
                              const float *dy, float *dx)
{
    for (int64_t i = 0; i < n; i++)
        dx[i] += (float)((double)dy[i] * activation_slope(activation, (double)x[i], (double)y[i]));
}

void dcls_scale_backward(dcls_extent e, const float *scale, const float *dy, float *dx)
{
    for (int64_t p = 0; p < e.batch * e.channels; p++)
        for (int64_t i = 0; i < e.pixels; i++)
            dx[p * e.pixels + i] += scale[p % e.channels] * dy[p * e.pixels + i];
}

/* y = w h + b, h = (x - mean) / s: dx = (g - mean(g) - h mean(g h)) / s with g = w dy. */
static void norm_pixel(dcls_extent e, float eps, const float *weight, const float *x, const float *dy,
                       float *dx)
{
    double mean = 0, square = 0, sum = 0, product = 0, channels = (double)e.channels;
    for (int64_t c = 0; c < e.channels; c++)
        mean += (double)x[c * e.pixels] / channels;
    for (int64_t c = 0; c < e.channels; c++)
        square += ((double)x[c * e.pixels] - mean) * ((double)x[c * e.pixels] - mean) / channels;
    double inverse = 1 / sqrt(square + (double)eps);
    for (int64_t c = 0; c < e.channels; c++) {
        double g = (double)dy[c * e.pixels] * (weight ? (double)weight[c] : 1);
        sum += g / channels;
        product += g * ((double)x[c * e.pixels] - mean) * inverse / channels;
    }
    for (int64_t c = 0; c < e.channels; c++) {
        double g = (double)dy[c * e.pixels] * (weight ? (double)weight[c] : 1);
        double h = ((double)x[c * e.pixels] - mean) * inverse;
        dx[c * e.pixels] += (float)((g - sum - h * product) * inverse);
    }
}

void dcls_layer_norm_backward(dcls_extent e, float eps, const float *weight, const float *x, const float *dy,
                              float *dx)
{
    for (int64_t n = 0; n < e.batch; n++)
        for (int64_t i = 0; i < e.pixels; i++) {
            int64_t at = n * e.channels * e.pixels + i;
            norm_pixel(e, eps, weight, x + at, dy + at, dx + at);
        }
}

void dcls_softmax_backward(dcls_extent e, const float *y, const float *dy, float *dx)
{
    for (int64_t n = 0; n < e.batch; n++)
        for (int64_t i = 0; i < e.pixels; i++) {
            int64_t first = n * e.channels * e.pixels + i;
            double sum = 0;
            for (int64_t c = 0; c < e.channels; c++)
                sum += (double)y[first + c * e.pixels] * (double)dy[first + c * e.pixels];
            for (int64_t c = 0; c < e.channels; c++) {
                int64_t at = first + c * e.pixels;
                dx[at] += (float)((double)y[at] * ((double)dy[at] - sum));
            }
        }
}

/* ---- pools ---- */

typedef struct window {
    int64_t from[3], to[3]; /* cells of the kernel that lie in the input */
    int64_t origin[3];      /* of the window in the input */
} window;

static window window_at(const dcls_geometry *g, int64_t out)
{
    window w;
    int64_t at[3] = {out / (g->out[1] * g->out[2]), out / g->out[2] % g->out[1], out % g->out[2]};
    for (int d = 0; d < 3; d++) {
        w.origin[d] = at[d] * g->stride[d] - g->pad[d];
        w.from[d] = g->kernel[d];
        w.to[d] = 0;
        for (int64_t k = 0; k < g->kernel[d]; k++) {
            int64_t cell = w.origin[d] + k * g->dilation[d];
            if (cell < 0 || cell >= g->in[d]) continue;
            if (k < w.from[d]) w.from[d] = k;
            w.to[d] = k + 1;
        }
    }
    return w;
}

static int64_t cell_of(const dcls_geometry *g, const window *w, int64_t k0, int64_t k1, int64_t k2)
{
    return ((w->origin[0] + k0 * g->dilation[0]) * g->in[1] + w->origin[1] + k1 * g->dilation[1]) * g->in[2] +
           w->origin[2] + k2 * g->dilation[2];
}

/* Calls the statement for every cell of the window, whose index in the plane is `cell`. */
#define FOR_CELLS(g, w)                                                                                      \
    for (int64_t k0 = (w).from[0]; k0 < (w).to[0]; k0++)                                                     \
        for (int64_t k1 = (w).from[1]; k1 < (w).to[1]; k1++)                                                 \
            for (int64_t k2 = (w).from[2], cell;                                                             \
                 k2 < (w).to[2] && (cell = cell_of(g, &(w), k0, k1, k2), true); k2++)

static void max_halving_backward(const dcls_simd *simd, const dcls_geometry *g, const float *x,
                                 const float *dy, float *dx)
{
    const int64_t pair = 2 * g->in[2], plane = g->in[1] * g->in[2];
    for (int64_t p = 0; p < g->batch * g->in_channels; p++, x += plane, dx += plane)
        for (int64_t row = 0; row < g->out[1]; row++, dy += g->out[2])
            simd->max_halving_backward(x + row * pair, g->in[2], dy, dx + row * pair, g->out[2]);
}

void dcls_max_pool_backward(const dcls_simd *simd, const dcls_geometry *g, const float *x, const float *dy,
                            float *dx)
{
    if (dcls_pool_is_halving(g)) {
        max_halving_backward(simd, g, x, dy, dx);
        return;
    }
    int64_t out = dcls_volume(g->out), in = dcls_volume(g->in);
    for (int64_t o = 0; o < out; o++) {
        window w = window_at(g, o);
        for (int64_t p = 0; p < g->batch * g->in_channels; p++) {
            int64_t best = -1;
            FOR_CELLS(g, w) if (best < 0 || x[p * in + cell] > x[p * in + best]) best = cell;
            if (best >= 0) dx[p * in + best] += dy[p * out + o];
        }
    }
}

/* Cells an average divides by: those inside the input, or inside its padding too. */
static int64_t divisor(const dcls_geometry *g, const window *w, const int64_t pad_after[3],
                       bool count_include_pad)
{
    int64_t cells = 1;
    for (int d = 0; d < 3; d++) {
        int64_t count = w->to[d] - w->from[d];
        if (count_include_pad) {
            count = 0;
            for (int64_t k = 0; k < g->kernel[d]; k++)
                count += w->origin[d] + k * g->dilation[d] < g->in[d] + pad_after[d];
        }
        cells *= count > 0 ? count : 0;
    }
    return cells;
}

void dcls_avg_pool_backward(const dcls_geometry *g, const int64_t pad_after[3], bool count_include_pad,
                            const float *dy, float *dx)
{
    int64_t out = dcls_volume(g->out), in = dcls_volume(g->in);
    for (int64_t o = 0; o < out; o++) {
        window w = window_at(g, o);
        int64_t cells = divisor(g, &w, pad_after, count_include_pad);
        for (int64_t p = 0; p < g->batch * g->in_channels && cells > 0; p++)
            FOR_CELLS(g, w) dx[p * in + cell] += dy[p * out + o] / (float)cells;
    }
}

void dcls_global_pool_backward(bool average, dcls_extent e, const float *x, const float *dy, float *dx)
{
    for (int64_t p = 0; p < e.batch * e.channels; p++) {
        int64_t best = 0;
        for (int64_t i = 0; i < e.pixels; i++) {
            if (average) dx[p * e.pixels + i] += dy[p] / (float)e.pixels;
            if (x[p * e.pixels + i] > x[p * e.pixels + best]) best = i;
        }
        if (!average && e.pixels > 0) dx[p * e.pixels + best] += dy[p];
    }
}

/* ---- sums, products ---- */

void dcls_elementwise_backward(dcls_extent e, int64_t pixels, const float *other, int64_t other_pixels,
                               const float *dy, float *dx)
{
    for (int64_t p = 0; p < e.batch * e.channels; p++)
        for (int64_t i = 0; i < e.pixels; i++) {
            float factor = other ? other[p * other_pixels + (other_pixels == 1 ? 0 : i)] : 1;
            dx[p * pixels + (pixels == 1 ? 0 : i)] += factor * dy[p * e.pixels + i];
        }
}
