/* Layers without spatial windows: activations, sums and products, linear, softmax, dropout. */
#include <math.h>
#include <string.h>

#include "ops/backward.h"
#include "plan/node_ops.h"
#include "train/program.h"

static int64_t floats_of(const dcls_visit *visit, int value)
{
    return visit->program->values[value].floats;
}

/* The gradient of input k, cleared if nothing is in it yet; for functions that add. */
static float *cleared(const dcls_layer *layer, const dcls_visit *visit, int k)
{
    float *dx = dcls_visit_gradient(visit, layer->inputs[k]);
    if (!layer->adds[k])
        memset(dx, 0, (size_t)(visit->count * floats_of(visit, layer->inputs[k])) * sizeof *dx);
    return dx;
}

/* The extent of the images of a visit. */
static dcls_extent extent_of(const dcls_visit *visit, int value)
{
    dcls_extent e = dcls_program_extent(visit->program, value);
    e.batch = visit->count;
    return e;
}

/* ---- activations: the slope is kept ---- */

static dcls_status create_activation(dcls_context *ctx, dcls_program *p, dcls_layer *layer)
{
    (void)ctx;
    if (layer->wanted[0]) layer->saved_floats = (size_t)p->values[layer->output].floats;
    return DCLS_OK;
}

#define LINE ((int64_t)16) /* floats of a cache line */

/* An activation's arithmetic leaves the memory idle: meanwhile what the next visit begins with comes into the
 * cache, as much of it as is done of this visit. */
static void call_for(const dcls_visit *visit, int value, int64_t from, int64_t count)
{
    const float *x = dcls_visit_next(visit, value);
    if (x == NULL) return;
    const int64_t all = visit->count * floats_of(visit, value), end = from + count < all ? from + count : all;
    for (int64_t i = from; i < end; i += LINE)
        __builtin_prefetch(x + i, 0, 2);
}

/* With the statistics of every plane in passing. */
static void forward_with_statistics(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_simd *simd = visit->program->simd;
    const dcls_activation activation = dcls_node_activation(layer->node);
    const dcls_extent e = dcls_program_extent(visit->program, layer->output);
    const float *x = dcls_visit_value(visit, layer->inputs[0]);
    float *y = dcls_visit_value(visit, layer->output), *slope = dcls_visit_saved(layer, visit);
    for (int64_t at = 0; at < visit->count * e.channels * e.pixels;) {
        const int64_t c = at / e.pixels % e.channels, left = e.pixels - at % e.pixels;
        const int64_t n = left < DCLS_STATS_BLOCK ? left : DCLS_STATS_BLOCK;
        const float near = dcls_batch_stats_near(layer->statistics, visit, c);
        float moments[2];
        for (int k = 0; k < 2; k++)
            call_for(visit, layer->ahead[k], at, n);
        simd->activate_slope(activation, x + at, y + at, slope + at, n, near, moments);
        dcls_batch_stats_take(layer->statistics, visit, c, n, near, moments);
        at += n;
    }
}

static void activation_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_simd *simd = visit->program->simd;
    const float *x = dcls_visit_value(visit, layer->inputs[0]);
    float *y = dcls_visit_value(visit, layer->output);
    const int64_t n = visit->count * floats_of(visit, layer->output);
    if (layer->statistics != NULL)
        forward_with_statistics(layer, visit);
    else if (layer->wanted[0])
        simd->activate_slope(dcls_node_activation(layer->node), x, y, dcls_visit_saved(layer, visit), n, 0,
                             (float[2]){0});
    else
        simd->activate(dcls_node_activation(layer->node), x, y, n);
}

static void activation_backward(const dcls_layer *layer, const dcls_visit *visit)
{
    if (!layer->wanted[0] || layer->statistics != NULL) return; /* the batch norm does it in passing */
    const dcls_simd *simd = visit->program->simd;
    const float *dy = dcls_visit_gradient(visit, layer->output), *slope = dcls_visit_saved(layer, visit);
    float *dx = dcls_visit_gradient(visit, layer->inputs[0]);
    const int64_t n = visit->count * floats_of(visit, layer->output);
    if (layer->adds[0])
        simd->add_product(dy, slope, dx, n);
    else
        simd->mul(dy, slope, dx, n);
}

const dcls_layer_type dcls_layer_activation = {.name = "activation",
                                               .create = create_activation,
                                               .forward = activation_forward,
                                               .backward = activation_backward};

/* Where the result is positive the slope is 1. */
static void relu_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    visit->program->simd->activate(DCLS_ACT_RELU, dcls_visit_value(visit, layer->inputs[0]),
                                   dcls_visit_value(visit, layer->output),
                                   visit->count * floats_of(visit, layer->output));
}

static void relu_backward(const dcls_layer *layer, const dcls_visit *visit)
{
    if (!layer->wanted[0]) return;
    visit->program->simd->gate(dcls_visit_value(visit, layer->output),
                               dcls_visit_gradient(visit, layer->output),
                               dcls_visit_gradient(visit, layer->inputs[0]),
                               visit->count * floats_of(visit, layer->output), layer->adds[0]);
}

const dcls_layer_type dcls_layer_relu = {
    .name = "relu", .keeps_output = true, .cheap = true, .forward = relu_forward, .backward = relu_backward};

static void softmax_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    dcls_softmax_forward(visit->program->simd, extent_of(visit, layer->output),
                         dcls_visit_value(visit, layer->inputs[0]), dcls_visit_value(visit, layer->output),
                         1);
}

static void softmax_backward(const dcls_layer *layer, const dcls_visit *visit)
{
    if (layer->wanted[0])
        dcls_softmax_backward(extent_of(visit, layer->output), dcls_visit_value(visit, layer->output),
                              dcls_visit_gradient(visit, layer->output), cleared(layer, visit, 0));
}

const dcls_layer_type dcls_layer_softmax = {
    .name = "softmax", .keeps_output = true, .forward = softmax_forward, .backward = softmax_backward};

/* ---- sums and products: one term may be a single pixel that repeats ---- */

typedef void same_fn(const dcls_simd *simd, const float *a, const float *b, float *y, int64_t n, int threads);
typedef void repeated_fn(const dcls_simd *simd, dcls_extent e, const float *a, const float *b, float *y,
                         int threads);

static void join_forward(const dcls_layer *layer, const dcls_visit *visit, same_fn *same,
                         repeated_fn *repeated)
{
    const float *a = dcls_visit_value(visit, layer->inputs[0]),
                *b = dcls_visit_value(visit, layer->inputs[1]);
    float *y = dcls_visit_value(visit, layer->output);
    const int64_t in[2] = {floats_of(visit, layer->inputs[0]), floats_of(visit, layer->inputs[1])};
    const dcls_simd *simd = visit->program->simd;
    if (in[0] == in[1])
        same(simd, a, b, y, visit->count * in[0], 1);
    else if (in[0] > in[1])
        repeated(simd, extent_of(visit, layer->output), a, b, y, 1);
    else
        repeated(simd, extent_of(visit, layer->output), b, a, y, 1);
}

static void add_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    join_forward(layer, visit, dcls_add_forward, dcls_add_broadcast_forward);
}

static void add_backward(const dcls_layer *layer, const dcls_visit *visit)
{
    const float *dy = dcls_visit_gradient(visit, layer->output);
    for (int k = 0; k < 2; k++)
        if (layer->wanted[k])
            dcls_elementwise_backward(extent_of(visit, layer->output),
                                      dcls_program_extent(visit->program, layer->inputs[k]).pixels, NULL, 1,
                                      dy, cleared(layer, visit, k));
}

const dcls_layer_type dcls_layer_add = {
    .name = "add", .cheap = true, .forward = add_forward, .backward = add_backward};

static void mul_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    join_forward(layer, visit, dcls_mul_forward, dcls_mul_broadcast_forward);
}

static void mul_backward(const dcls_layer *layer, const dcls_visit *visit)
{
    const float *dy = dcls_visit_gradient(visit, layer->output);
    for (int k = 0; k < 2; k++)
        if (layer->wanted[k])
            dcls_elementwise_backward(extent_of(visit, layer->output),
                                      dcls_program_extent(visit->program, layer->inputs[k]).pixels,
                                      dcls_visit_value(visit, layer->inputs[1 - k]),
                                      dcls_program_extent(visit->program, layer->inputs[1 - k]).pixels, dy,
                                      cleared(layer, visit, k));
}

const dcls_layer_type dcls_layer_mul = {
    .name = "mul", .keeps_input = true, .forward = mul_forward, .backward = mul_backward};

/* ---- linear ---- */

static dcls_status create_linear(dcls_context *ctx, dcls_program *p, dcls_layer *layer)
{
    (void)ctx, (void)p;
    layer->lane_floats = layer->weight->count + (size_t)layer->node->out_channels;
    return DCLS_OK;
}

static void linear_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    dcls_linear_forward(visit->program->simd, visit->count, layer->node->in_channels,
                        layer->node->out_channels, dcls_visit_value(visit, layer->inputs[0]),
                        layer->weight->value, layer->bias ? layer->bias->value : NULL,
                        dcls_visit_value(visit, layer->output), 1);
}

static void linear_backward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_simd *simd = visit->program->simd;
    const int64_t in = layer->node->in_channels, out = layer->node->out_channels;
    const float *x = dcls_visit_value(visit, layer->inputs[0]),
                *dy = dcls_visit_gradient(visit, layer->output);
    float *sums = dcls_visit_sums(layer, visit), *bias = sums + layer->weight->count;
    float *dx = layer->wanted[0] ? cleared(layer, visit, 0) : NULL;
    for (int64_t n = 0; n < visit->count; n++, x += in, dy += out)
        for (int64_t o = 0; o < out; o++) {
            if (layer->trains) simd->axpy(dy[o], x, 1, sums + o * in, in);
            bias[o] += dy[o];
            if (dx != NULL) simd->axpy(dy[o], layer->weight->value + o * in, 1, dx + n * in, in);
        }
}

static dcls_status finish_linear(dcls_context *ctx, const dcls_program *p, const dcls_layer *layer,
                                 const float *sums)
{
    (void)ctx, (void)p;
    dcls_add_gradient(layer->weight, sums);
    dcls_add_gradient(layer->bias, sums + layer->weight->count);
    return DCLS_OK;
}

const dcls_layer_type dcls_layer_linear = {.name = "linear",
                                           .keeps_input = true,
                                           .create = create_linear,
                                           .forward = linear_forward,
                                           .backward = linear_backward,
                                           .finish = finish_linear};

/* ---- dropout: numbers or whole images, the same again backward ---- */

static void scale_or_add(const dcls_simd *simd, const float *x, float *y, int64_t n, float factor, bool add)
{
    simd->combine(x, x, y, n, factor, 0, 0, add);
}

/* Without branches, which nobody could foresee: numbers below the limit are those that dcls_rng_uniform makes
 * less than p. */
static void drop_numbers(const dcls_layer *layer, const dcls_visit *visit, const float *x, float *y, bool add)
{
    const int64_t floats = floats_of(visit, layer->output);
    const float factor = layer->node->p < 1 ? (float)(1 / (1 - layer->node->p)) : 0;
    const uint64_t limit = (uint64_t)ceil(layer->node->p * 0x1p53);
    for (int64_t n = 0; n < visit->count; n++) {
        dcls_rng rng = dcls_visit_rng(layer, visit, visit->first + n);
        for (int64_t i = n * floats; i < (n + 1) * floats; i++) {
            const float v = x[i] * factor, left = dcls_rng_next(&rng) >> 11 < limit ? 0 : v;
            y[i] = add ? y[i] + left : left;
        }
    }
}

static void dropout_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    drop_numbers(layer, visit, dcls_visit_value(visit, layer->inputs[0]),
                 dcls_visit_value(visit, layer->output), false);
}

static void dropout_backward(const dcls_layer *layer, const dcls_visit *visit)
{
    if (layer->wanted[0])
        drop_numbers(layer, visit, dcls_visit_gradient(visit, layer->output),
                     dcls_visit_gradient(visit, layer->inputs[0]), layer->adds[0]);
}

const dcls_layer_type dcls_layer_dropout = {
    .name = "dropout", .forward = dropout_forward, .backward = dropout_backward};

static void drop_images(const dcls_layer *layer, const dcls_visit *visit, const float *x, float *y, bool add)
{
    const int64_t floats = floats_of(visit, layer->output);
    for (int64_t n = 0; n < visit->count; n++) {
        dcls_rng rng = dcls_visit_rng(layer, visit, visit->first + n);
        const bool dropped = dcls_rng_uniform(&rng) < layer->node->p;
        scale_or_add(visit->program->simd, x + n * floats, y + n * floats, floats,
                     dropped ? 0 : (float)(1 / (1 - layer->node->p)), add);
    }
}

static void drop_path_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    drop_images(layer, visit, dcls_visit_value(visit, layer->inputs[0]),
                dcls_visit_value(visit, layer->output), false);
}

static void drop_path_backward(const dcls_layer *layer, const dcls_visit *visit)
{
    if (layer->wanted[0])
        drop_images(layer, visit, dcls_visit_gradient(visit, layer->output),
                    dcls_visit_gradient(visit, layer->inputs[0]), layer->adds[0]);
}

const dcls_layer_type dcls_layer_drop_path = {
    .name = "drop path", .forward = drop_path_forward, .backward = drop_path_backward};
