/* Norms. Batch norm is two layers: the first takes the statistics of all images, which ends a phase; the
 * second normalises. Backward the second takes the sums the gradient needs, the first hands it on. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/program.h"

/* ---- batch norm ---- */

#define MOMENTUM 0.1 /* of running statistics, PyTorch's default */

/* Statistics of one channel: number of values, mean, sum of squared distances from it. */
typedef struct moments {
    double count, mean, squares;
} moments;

/* Backward: sum of dy, and of dy (x - mean). */
typedef struct slopes {
    double sum, product;
} slopes;

typedef struct batch_norm {
    int64_t channels, pixels;
    moments *moments; /* [lanes, channels]; then lane 0 has all */
    slopes *slopes;   /* the same */
    float *scale, *shift, *mean;
    float *by_gradient, *by_input, *constant; /* dx = by_gradient dy + by_input x + constant */
} batch_norm;

/* The state belongs to the second layer. */
static batch_norm *state_of(const dcls_layer *layer)
{
    return layer->state != NULL ? layer->state : layer->pair->state;
}

static dcls_status create_batch_norm(dcls_context *ctx, dcls_program *p, dcls_layer *layer)
{
    const dcls_extent e = dcls_program_extent(p, layer->inputs[0]);
    const size_t channels = (size_t)e.channels;
    batch_norm *b = layer->state = dcls_alloc_zero(ctx, 1, sizeof *b);
    if (b == NULL) return DCLS_ERR_MEMORY;
    b->channels = e.channels;
    b->pixels = e.pixels;
    if (e.pixels * p->batch < 2)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a batch norm needs more than one value of each channel");
    b->moments = dcls_alloc(ctx, (size_t)p->lanes * channels, sizeof *b->moments);
    b->slopes = dcls_alloc(ctx, (size_t)p->lanes * channels, sizeof *b->slopes);
    b->scale = dcls_alloc(ctx, 6 * channels, sizeof *b->scale);
    if (b->moments == NULL || b->slopes == NULL || b->scale == NULL) return DCLS_ERR_MEMORY;
    b->shift = b->scale + channels;
    b->mean = b->shift + channels;
    b->by_gradient = b->mean + channels;
    b->by_input = b->by_gradient + channels;
    b->constant = b->by_input + channels;
    return DCLS_OK;
}

static void destroy_batch_norm(dcls_layer *layer)
{
    batch_norm *b = layer->state;
    if (b == NULL) return;
    free(b->moments);
    free(b->slopes);
    free(b->scale);
    free(b);
}

static dcls_status clear_statistics(dcls_context *ctx, const dcls_program *p, dcls_layer *layer)
{
    (void)ctx;
    batch_norm *b = layer->state;
    const size_t count = (size_t)p->lanes * (size_t)b->channels;
    memset(b->moments, 0, count * sizeof *b->moments);
    memset(b->slopes, 0, count * sizeof *b->slopes);
    return DCLS_OK;
}

/* Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances". */
static void join(moments *a, moments b)
{
    const double count = a->count + b.count, d = b.mean - a->mean;
    if (b.count == 0) return;
    a->mean += d * b.count / count;
    a->squares += b.squares + d * d * a->count * b.count / count;
    a->count = count;
}

float dcls_batch_stats_near(const dcls_layer *layer, const dcls_visit *visit, int64_t channel)
{
    const batch_norm *b = state_of(layer);
    const moments *lane = &b->moments[visit->lane * b->channels + channel];
    return lane->count > 0 ? (float)lane->mean : layer->running_mean->value[channel];
}

/* Around a mean that is about right, squares lose nothing when the square of their mean is taken off. */
void dcls_batch_stats_take(const dcls_layer *layer, const dcls_visit *visit, int64_t channel, int64_t count,
                           float near, const float sums[2])
{
    const batch_norm *b = state_of(layer);
    const double off = (double)sums[0] / (double)count;
    join(&b->moments[visit->lane * b->channels + channel],
         (moments){(double)count, (double)near + off, fmax(0, (double)sums[1] - off * (double)sums[0])});
}

static void take_plane(const dcls_layer *layer, const dcls_visit *visit, int64_t channel, const float *plane)
{
    const int64_t pixels = state_of(layer)->pixels;
    for (int64_t from = 0; from < pixels; from += DCLS_STATS_BLOCK) {
        const int64_t count = pixels - from < DCLS_STATS_BLOCK ? pixels - from : DCLS_STATS_BLOCK;
        const float near = dcls_batch_stats_near(layer, visit, channel);
        float sums[2];
        visit->program->simd->moments(plane + from, count, near, sums);
        dcls_batch_stats_take(layer, visit, channel, count, near, sums);
    }
}

static void take_statistics(const dcls_layer *layer, const dcls_visit *visit)
{
    const batch_norm *b = state_of(layer);
    if (layer->activation != NULL) return; /* taken already */
    const float *x = dcls_visit_value(visit, layer->inputs[0]);
    for (int64_t n = 0; n < visit->count; n++)
        for (int64_t c = 0; c < b->channels; c++, x += b->pixels)
            take_plane(layer, visit, c, x);
}

static float weight_of(const dcls_parameter *parameter, int64_t c, float otherwise)
{
    return parameter != NULL ? parameter->value[c] : otherwise;
}

static double inverse_deviation(const dcls_layer *layer, const moments *m)
{
    return 1 / sqrt(m->squares / m->count + (double)layer->node->eps);
}

static void settle_statistics(const dcls_program *p, dcls_layer *layer)
{
    const batch_norm *b = state_of(layer);
    for (int64_t c = 0; c < b->channels; c++) {
        moments *all = &b->moments[c];
        for (int lane = 1; lane < p->lanes; lane++)
            join(all, b->moments[lane * b->channels + c]);
        b->scale[c] = (float)((double)weight_of(layer->weight, c, 1) * inverse_deviation(layer, all));
        b->mean[c] = (float)all->mean;
        b->shift[c] = (float)((double)weight_of(layer->bias, c, 0) - all->mean * (double)b->scale[c]);
    }
}

static void normalise(const dcls_layer *layer, const dcls_visit *visit)
{
    const batch_norm *b = layer->state;
    const dcls_simd *simd = visit->program->simd;
    const float *x = dcls_visit_value(visit, layer->inputs[0]);
    const dcls_layer *other = layer->residual_norm;
    const batch_norm *o = other != NULL ? other->state : NULL;
    const int from = other != NULL ? other->inputs[0] : layer->residual;
    const float *residual = from >= 0 ? dcls_visit_value(visit, from) : NULL;
    float *y = dcls_visit_value(visit, layer->output);
    for (int64_t i = 0; i < visit->count * b->channels; i++, x += b->pixels, y += b->pixels) {
        const int64_t c = i % b->channels;
        const float scale = b->scale[c], shift = b->shift[c];
        if (o != NULL)
            simd->combine(x, residual + i * b->pixels, y, b->pixels, scale, o->scale[c], shift + o->shift[c],
                          false);
        else if (residual != NULL)
            simd->combine(x, residual + i * b->pixels, y, b->pixels, scale, 1, shift, false);
        else
            simd->scale_shift(x, y, b->pixels, scale, shift);
    }
}

static void take_slopes(const dcls_layer *layer, const dcls_visit *visit)
{
    const batch_norm *b = layer->state;
    slopes *lane = b->slopes + visit->lane * b->channels;
    const float *x = dcls_visit_value(visit, layer->inputs[0]);
    const float *dy = dcls_visit_gradient(visit, layer->output);
    for (int64_t n = 0; n < visit->count; n++)
        for (int64_t c = 0; c < b->channels; c++, x += b->pixels, dy += b->pixels) {
            float sums[2];
            visit->program->simd->sum_products(dy, x, b->pixels, b->mean[c], sums);
            lane[c].sum += (double)sums[0];
            lane[c].product += (double)sums[1];
        }
}

/* With h = (x - mean) / s: dx = w / s (dy - mean of dy - h times mean of dy h). */
static void settle_slopes(const dcls_program *p, dcls_layer *layer)
{
    const batch_norm *b = layer->state;
    for (int64_t c = 0; c < b->channels; c++) {
        slopes *all = &b->slopes[c];
        for (int lane = 1; lane < p->lanes; lane++) {
            all->sum += b->slopes[lane * b->channels + c].sum;
            all->product += b->slopes[lane * b->channels + c].product;
        }
        const double inverse = inverse_deviation(layer, &b->moments[c]), count = b->moments[c].count;
        const double factor = (double)b->scale[c], slope = -factor * inverse * inverse * all->product / count;
        b->by_gradient[c] = b->scale[c];
        b->by_input[c] = (float)slope;
        b->constant[c] = (float)(-factor * all->sum / count - slope * b->moments[c].mean);
    }
}

/* To the input, or at once through the activation that made it. */
static void hand_on(const dcls_layer *layer, const dcls_visit *visit)
{
    const batch_norm *b = state_of(layer);
    const dcls_simd *simd = visit->program->simd;
    const dcls_layer *to = layer->activation != NULL ? layer->activation : layer;
    if (!to->wanted[0]) return;
    const float *x = dcls_visit_value(visit, layer->inputs[0]);
    const float *dy = dcls_visit_gradient(visit, layer->gradient);
    const float *slope = layer->activation != NULL ? dcls_visit_saved(to, visit) : NULL;
    float *bias = to->source != NULL ? dcls_conv_bias_sums(to->source, visit) : NULL;
    float *dx = dcls_visit_gradient(visit, to->inputs[0]);
    for (int64_t i = 0; i < visit->count * b->channels;
         i++, x += b->pixels, dy += b->pixels, dx += b->pixels) {
        const int64_t c = i % b->channels;
        if (slope != NULL) {
            const float sum =
                simd->combine_product(dy, x, slope + i * b->pixels, dx, b->pixels, b->by_gradient[c],
                                      b->by_input[c], b->constant[c], to->adds[0]);
            if (bias != NULL) bias[c] += sum;
        } else {
            simd->combine(dy, x, dx, b->pixels, b->by_gradient[c], b->by_input[c], b->constant[c],
                          to->adds[0]);
        }
    }
}

static dcls_status finish_batch_norm(dcls_context *ctx, const dcls_program *p, const dcls_layer *layer,
                                     const float *sums)
{
    (void)ctx, (void)p, (void)sums;
    const batch_norm *b = layer->state;
    for (int64_t c = 0; c < b->channels; c++) {
        const double inverse = inverse_deviation(layer, &b->moments[c]);
        if (dcls_trains(layer->weight)) layer->weight->gradient[c] += (float)(b->slopes[c].product * inverse);
        if (dcls_trains(layer->bias)) layer->bias->gradient[c] += (float)b->slopes[c].sum;
    }
    return DCLS_OK;
}

static void commit_batch_norm(const dcls_program *p, dcls_layer *layer)
{
    (void)p;
    const batch_norm *b = layer->state;
    for (int64_t c = 0; c < b->channels; c++) {
        const moments *m = &b->moments[c];
        float *mean = layer->running_mean->value + c, *var = layer->running_var->value + c;
        *mean = (float)((1 - MOMENTUM) * (double)*mean + MOMENTUM * m->mean);
        if (layer->running_var->frozen) continue; /* a frozen mean makes the whole norm a fixed one */
        *var = (float)((1 - MOMENTUM) * (double)*var + MOMENTUM * m->squares / (m->count - 1));
    }
}

const dcls_layer_type dcls_layer_batch_stats = {.name = "batch statistics",
                                                .keeps_input = true,
                                                .forward = take_statistics,
                                                .settle = settle_statistics,
                                                .backward = hand_on};

const dcls_layer_type dcls_layer_batch_norm = {.name = "batch norm",
                                               .keeps_input = true,
                                               .cheap = true,
                                               .create = create_batch_norm,
                                               .destroy = destroy_batch_norm,
                                               .prepare = clear_statistics,
                                               .forward = normalise,
                                               .backward = take_slopes,
                                               .settle_backward = settle_slopes,
                                               .finish = finish_batch_norm,
                                               .commit = commit_batch_norm};

/* ---- scales: layer scale, and batch norm with statistics that stay ---- */

/* Sums of dy x, then of dy. */
static dcls_status create_scale(dcls_context *ctx, dcls_program *p, dcls_layer *layer)
{
    const size_t channels = (size_t)dcls_program_extent(p, layer->inputs[0]).channels;
    layer->lane_floats = 2 * channels;
    layer->state = dcls_alloc(ctx, 2 * channels, sizeof(float)); /* scale, shift */
    return layer->state != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
}

static void destroy_scale(dcls_layer *layer)
{
    free(layer->state);
}

static dcls_status prepare_scale(dcls_context *ctx, const dcls_program *p, dcls_layer *layer)
{
    (void)ctx;
    const int64_t channels = dcls_program_extent(p, layer->inputs[0]).channels;
    float *scale = layer->state, *shift = scale + channels;
    for (int64_t c = 0; c < channels; c++) {
        scale[c] = weight_of(layer->weight, c, 1);
        shift[c] = 0;
        if (layer->running_mean == NULL) continue;
        scale[c] /= sqrtf(layer->running_var->value[c] + layer->node->eps);
        shift[c] = weight_of(layer->bias, c, 0) - layer->running_mean->value[c] * scale[c];
    }
    return DCLS_OK;
}

static void scale_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_extent e = dcls_program_extent(visit->program, layer->inputs[0]);
    const float *scale = layer->state, *x = dcls_visit_value(visit, layer->inputs[0]);
    float *y = dcls_visit_value(visit, layer->output);
    for (int64_t n = 0; n < visit->count; n++)
        for (int64_t c = 0; c < e.channels; c++, x += e.pixels, y += e.pixels)
            visit->program->simd->scale_shift(x, y, e.pixels, scale[c], scale[e.channels + c]);
}

static void scale_backward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_simd *simd = visit->program->simd;
    const dcls_extent e = dcls_program_extent(visit->program, layer->inputs[0]);
    const float *scale = layer->state, *x = dcls_visit_value(visit, layer->inputs[0]);
    const float *dy = dcls_visit_gradient(visit, layer->output);
    float *sums = dcls_visit_sums(layer, visit);
    float *dx = layer->wanted[0] ? dcls_visit_gradient(visit, layer->inputs[0]) : NULL;
    for (int64_t i = 0; i < visit->count * e.channels; i++, x += e.pixels, dy += e.pixels) {
        const int64_t c = i % e.channels;
        if (layer->trains) {
            float image[2];
            simd->sum_products(dy, x, e.pixels, layer->running_mean ? layer->running_mean->value[c] : 0,
                               image);
            sums[c] += image[1];
            sums[e.channels + c] += image[0];
        }
        if (dx != NULL) simd->combine(dy, dy, dx + i * e.pixels, e.pixels, scale[c], 0, 0, layer->adds[0]);
    }
}

static dcls_status finish_scale(dcls_context *ctx, const dcls_program *p, const dcls_layer *layer,
                                const float *sums)
{
    (void)ctx;
    const int64_t channels = dcls_program_extent(p, layer->inputs[0]).channels;
    for (int64_t c = 0; dcls_trains(layer->weight) && c < channels; c++)
        layer->weight->gradient[c] += layer->running_var == NULL
                                          ? sums[c]
                                          : sums[c] / sqrtf(layer->running_var->value[c] + layer->node->eps);
    dcls_add_gradient(layer->bias, sums + channels);
    return DCLS_OK;
}

const dcls_layer_type dcls_layer_scale = {.name = "scale",
                                          .keeps_input = true,
                                          .cheap = true,
                                          .create = create_scale,
                                          .destroy = destroy_scale,
                                          .prepare = prepare_scale,
                                          .forward = scale_forward,
                                          .backward = scale_backward,
                                          .finish = finish_scale};

/* ---- layer norm ---- */

/* Sums for weight and bias, as vectors. */
static dcls_status create_layer_norm(dcls_context *ctx, dcls_program *p, dcls_layer *layer)
{
    (void)ctx;
    layer->lane_floats =
        2 * (size_t)dcls_program_extent(p, layer->inputs[0]).channels * (size_t)p->simd->width;
    return DCLS_OK;
}

static const float *values_of(const dcls_parameter *parameter)
{
    return parameter != NULL ? parameter->value : NULL;
}

static void layer_norm_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_extent e = dcls_program_extent(visit->program, layer->inputs[0]);
    const float *x = dcls_visit_value(visit, layer->inputs[0]);
    float *y = dcls_visit_value(visit, layer->output);
    for (int64_t n = 0; n < visit->count; n++, x += e.channels * e.pixels, y += e.channels * e.pixels)
        visit->program->simd->layer_norm(x, y, e.channels, e.pixels, e.pixels, values_of(layer->weight),
                                         values_of(layer->bias), layer->node->eps);
}

static void layer_norm_backward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_program *p = visit->program;
    const dcls_extent e = dcls_program_extent(p, layer->inputs[0]);
    const float *x = dcls_visit_value(visit, layer->inputs[0]);
    const float *dy = dcls_visit_gradient(visit, layer->output);
    float *weight = layer->trains ? dcls_visit_sums(layer, visit) : NULL;
    float *bias = layer->trains ? weight + e.channels * p->simd->width : NULL;
    float *dx = layer->wanted[0] ? dcls_visit_gradient(visit, layer->inputs[0]) : NULL;
    const int64_t floats = e.channels * e.pixels;
    for (int64_t n = 0; n < visit->count; n++)
        p->simd->layer_norm_backward(x + n * floats, dy + n * floats, dx ? dx + n * floats : NULL, e.channels,
                                     e.pixels, e.pixels, values_of(layer->weight), layer->node->eps,
                                     layer->adds[0], weight, bias);
}

static dcls_status finish_layer_norm(dcls_context *ctx, const dcls_program *p, const dcls_layer *layer,
                                     const float *sums)
{
    (void)ctx;
    const int64_t channels = dcls_program_extent(p, layer->inputs[0]).channels, width = p->simd->width;
    for (int64_t c = 0; c < channels; c++) {
        if (dcls_trains(layer->weight)) layer->weight->gradient[c] += p->simd->sum(sums + c * width, width);
        if (dcls_trains(layer->bias))
            layer->bias->gradient[c] += p->simd->sum(sums + (channels + c) * width, width);
    }
    return DCLS_OK;
}

const dcls_layer_type dcls_layer_layer_norm = {.name = "layer norm",
                                               .keeps_input = true,
                                               .create = create_layer_norm,
                                               .forward = layer_norm_forward,
                                               .backward = layer_norm_backward,
                                               .finish = finish_layer_norm};
