/* Convolutions, DCLS or not. Weights change with every step, so the convolutions of both directions are made
 * again before it. Three ways:
 *
 * - dense: the kernel (constructed, for DCLS), im2col and products;
 * - sparse: taps, for depthwise layers and others with few non-zero cells; the gradient of a tap is a dot
 *   product of shifted planes;
 * - interpolated (arXiv 2112.03740): every element makes a plane by its few taps, a pointwise convolution
 *   follows. Its gradients are those of the two, one after the other. */
#include <stdlib.h>
#include <string.h>

#include "plan/plan_internal.h"
#include "train/layer_conv.h"
#include "train/positions.h"

/* ---- create ---- */

/* Elements make planes, planes are mixed. */
static void set_interpolated(dcls_conv_layer *c)
{
    c->elements = c->g;
    c->elements.groups = c->g.in_channels;
    c->elements.out_channels = c->g.in_channels * c->k.count;
    c->mixing = (dcls_geometry){.batch = 1,
                                .in_channels = c->elements.out_channels,
                                .out_channels = c->g.out_channels,
                                .groups = c->g.groups};
    for (int d = 0; d < 3; d++) {
        c->mixing.in[d] = c->mixing.out[d] = c->g.out[d];
        c->mixing.kernel[d] = c->mixing.stride[d] = c->mixing.dilation[d] = 1;
    }
}

/* Of elements as new networks have them, for the choice of a way: a run that goes on finds
 * others than it began with, and another way would be other bits. */
static double usual_spread(const dcls_kernel *k)
{
    const double max = (DCLS_SPREAD_MAX_LEAST + DCLS_SPREAD_MAX_MOST) / 2;
    return k->version == DCLS_GAUSS ? DCLS_SPREAD_GAUSS : k->version == DCLS_MAX ? max : 0;
}

static dcls_conv_way choose(const dcls_program *p, const dcls_layer *layer, const dcls_conv_layer *c)
{
    const dcls_node *node = layer->node;
    if (node->op == DCLS_OP_CONV)
        return c->g.in_channels == c->g.groups && c->g.out_channels < 4 * c->g.groups &&
                       dcls_volume(c->g.kernel) > 1
                   ? DCLS_WAY_SPARSE
                   : DCLS_WAY_DENSE;
    dcls_algo algo = p->options.algo;
    if (algo == DCLS_ALGO_AUTO) {
        const double support = dcls_element_support(&c->k, usual_spread(&c->k));
        algo = dcls_choose_algorithm(node, &c->k, support, dcls_expected_taps(node, &c->k, support),
                                     p->amx.amx != NULL);
    }
    if (algo == DCLS_ALGO_IM2COL && dcls_can_interpolate(node) &&
        (node->groups == 1 || !node->shared_positions || node->in_channels == node->groups))
        return DCLS_WAY_INTERPOLATED;
    return algo == DCLS_ALGO_SPARSE ? DCLS_WAY_SPARSE : DCLS_WAY_DENSE;
}

/* The padded plane of running numbers says what each of its cells shows. */
static dcls_status create_padding(dcls_context *ctx, const dcls_layer *layer, dcls_conv_layer *c)
{
    static const dcls_border BORDERS[] = {[DCLS_PAD_REFLECT] = DCLS_BORDER_REFLECT,
                                          [DCLS_PAD_REPLICATE] = DCLS_BORDER_REPLICATE,
                                          [DCLS_PAD_CIRCULAR] = DCLS_BORDER_CIRCULAR};
    const dcls_window *w = &layer->node->window;
    int64_t before[3] = {0}, after[3] = {0}, in[3];
    for (int d = 0; d < 3; d++) {
        const int from = w->ndim - 3 + d;
        in[d] = c->g.in[d];
        if (from < 0) continue;
        before[d] = w->pad_before[from];
        after[d] = w->pad_after[from];
    }
    c->plane = dcls_volume(in);
    for (int d = 0; d < 3; d++) {
        c->g.in[d] += before[d] + after[d];
        c->g.pad[d] = 0;
    }
    c->padded = dcls_volume(c->g.in);
    if (c->plane >= 1 << 24) return dcls_fail(ctx, DCLS_ERR_LIMIT, "the padded input is too large to train");
    float *number = dcls_alloc(ctx, (size_t)(c->plane + c->padded), sizeof *number);
    c->shown = dcls_alloc(ctx, (size_t)c->padded, sizeof *c->shown);
    if (number && c->shown) {
        for (int64_t i = 0; i < c->plane; i++)
            number[i] = (float)i;
        dcls_pad_forward(BORDERS[w->pad_mode], 1, in, before, after, number, number + c->plane, 1);
        for (int64_t i = 0; i < c->padded; i++)
            c->shown[i] = (int32_t)number[c->plane + i];
    }
    const bool ready = number && c->shown;
    free(number);
    return ready ? DCLS_OK : DCLS_ERR_MEMORY;
}

static dcls_status create_kernel(dcls_context *ctx, dcls_program *p, const dcls_layer *layer,
                                 dcls_conv_layer *c)
{
    dcls_node_kernel(layer->node, &c->k);
    c->k.weight = layer->weight->value;
    c->k.P = layer->P->value;
    c->k.SIG = layer->SIG != NULL ? layer->SIG->value : NULL;
    c->cutoff = c->k.version == DCLS_GAUSS ? (float)DCLS_TAP_CUTOFF : 0;
    const int64_t elements = c->k.position_rows * c->k.count;
    int64_t cells;
    if (!dcls_mul_i64(dcls_kernel_cells(&c->k), elements > c->k.rows ? elements : c->k.rows, &cells) ||
        cells > INT64_MAX / 64)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the dense kernel is too large");
    DCLS_TRY(dcls_program_claim(ctx, p, (uint64_t)(cells + elements) * sizeof *c->dense));
    c->dense = dcls_alloc(ctx, (size_t)cells, sizeof *c->dense);
    c->ones = dcls_alloc(ctx, (size_t)elements, sizeof *c->ones);
    for (int64_t i = 0; c->ones != NULL && i < elements; i++)
        c->ones[i] = 1;
    return c->dense && c->ones ? DCLS_OK : DCLS_ERR_MEMORY;
}

static dcls_status create(dcls_context *ctx, dcls_program *p, dcls_layer *layer)
{
    dcls_conv_layer *c = layer->state = dcls_alloc_zero(ctx, 1, sizeof *c);
    if (c == NULL) return DCLS_ERR_MEMORY;
    c->g = dcls_program_geometry(p, layer);
    if (layer->node->window.pad_mode != DCLS_PAD_ZEROS) DCLS_TRY(create_padding(ctx, layer, c));
    c->how = p->amx;
    c->how.images = p->chunks[layer->phase];
    c->weights = c->g.out_channels * (c->g.in_channels / c->g.groups) * dcls_volume(c->g.kernel);
    if (layer->node->op == DCLS_OP_DCLS) DCLS_TRY(create_kernel(ctx, p, layer, c));
    c->way = choose(p, layer, c);
    if (c->way == DCLS_WAY_INTERPOLATED) set_interpolated(c);
    c->by_amx = p->amx.amx != NULL && c->way == DCLS_WAY_DENSE && c->shown == NULL &&
                dcls_conv_amx_backward_suits(&c->g);
    if (c->way == DCLS_WAY_DENSE && !c->by_amx && c->shown == NULL && layer->trains &&
        dcls_winograd_backward_suits(&c->g, c->how.images))
        return dcls_winograd_backward_create(ctx, &c->g, c->how.images, &c->winograd);
    return DCLS_OK;
}

static void destroy(dcls_layer *layer)
{
    dcls_conv_layer *c = layer->state;
    if (c == NULL) return;
    dcls_conv_layer_forget(c);
    dcls_taps_backward_destroy(c->taps);
    dcls_winograd_backward_destroy(c->winograd);
    free(c->dense);
    free(c->ones);
    free(c->shown);
    free(c);
}

/* ---- forward and backward ---- */

static const float *padded_input(const dcls_conv_layer *c, const dcls_conv_scratch *s, const float *x)
{
    if (c->shown == NULL) return x;
    for (int64_t channel = 0; channel < c->g.in_channels; channel++)
        for (int64_t i = 0; i < c->padded; i++)
            s->input[channel * c->padded + i] = x[channel * c->plane + c->shown[i]];
    return s->input;
}

static void forward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_conv_layer *c = layer->state;
    const dcls_program *p = visit->program;
    const dcls_conv_scratch s = dcls_conv_layer_scratch(c, visit->scratch);
    const float *x = dcls_visit_value(visit, layer->inputs[0]);
    float *y = dcls_visit_value(visit, layer->output);
    if (c->shown == NULL) {
        dcls_conv_run_images(c->forward, p->simd, visit->count, x, NULL, y, s.work);
        return;
    }
    for (int64_t n = 0; n < visit->count; n++) {
        dcls_conv_run(c->forward, p->simd, padded_input(c, &s, x), NULL, y, s.work, 1);
        x += p->values[layer->inputs[0]].floats;
        y += p->values[layer->output].floats;
    }
}

float *dcls_conv_bias_sums(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_conv_layer *c = layer->state;
    return dcls_visit_sums(layer, visit) + layer->lane_floats - c->g.out_channels;
}

/* Where the lane's sums are: of dense weights, of taps, of the bias. */
static void add_sums(const dcls_layer *layer, const dcls_visit *visit, const dcls_conv_scratch *s,
                     const float *x, const float *dy, const float *plane_gradients)
{
    const dcls_conv_layer *c = layer->state;
    const dcls_simd *simd = visit->program->simd;
    float *sums = dcls_visit_sums(layer, visit);
    float *bias = dcls_conv_bias_sums(layer, visit);
    if (c->way == DCLS_WAY_DENSE && !c->by_amx && c->winograd == NULL)
        dcls_conv_dense_backward(&c->g, simd, x, dy, sums, s->work);
    if (c->way == DCLS_WAY_SPARSE) dcls_taps_backward_run(c->taps, simd, x, dy, sums, s->work);
    if (c->way == DCLS_WAY_INTERPOLATED) {
        dcls_conv_run(c->make_planes, simd, x, NULL, s->planes, s->work, 1);
        dcls_conv_dense_backward(&c->mixing, simd, s->planes, dy, sums, s->work);
        dcls_taps_backward_run(c->taps, simd, x, plane_gradients, sums + c->dense_sums, s->work);
    }
    for (int64_t o = 0; dcls_trains(layer->bias) && !layer->bias_summed && o < c->g.out_channels; o++)
        bias[o] += simd->sum(dy + o * dcls_volume(c->g.out), dcls_volume(c->g.out));
}

/* Whether the input's gradient is a convolution of all images of a visit as they are. */
static bool goes_together(const dcls_conv_layer *c)
{
    return c->way != DCLS_WAY_INTERPOLATED && c->shown == NULL && !dcls_conv_is_strided(&c->g);
}

static void backward_image(const dcls_layer *layer, const dcls_visit *visit, const float *x, const float *dy,
                           float *dx)
{
    const dcls_conv_layer *c = layer->state;
    const dcls_simd *simd = visit->program->simd;
    const dcls_conv_scratch s = dcls_conv_layer_scratch(c, visit->scratch);
    const dcls_geometry *g = c->way == DCLS_WAY_INTERPOLATED ? &c->elements : &c->g;
    const float *back = dy;
    if (c->way == DCLS_WAY_INTERPOLATED) {
        dcls_conv_run(c->turned_mixing, simd, dy, NULL, s.plane_gradients, s.work, 1);
        back = s.plane_gradients;
    }
    if (layer->trains) add_sums(layer, visit, &s, padded_input(c, &s, x), dy, back);
    if (dx == NULL || goes_together(c)) return;
    if (dcls_conv_is_strided(g)) {
        dcls_conv_spread(g, g->out_channels, back, s.spread);
        back = s.spread;
    }
    dcls_conv_run(c->turned, simd, back, dx, c->shown ? s.gradient : dx, s.work, 1);
    if (c->shown == NULL) return;
    if (!layer->adds[0]) memset(dx, 0, (size_t)(c->g.in_channels * c->plane) * sizeof *dx);
    for (int64_t channel = 0; channel < c->g.in_channels; channel++)
        for (int64_t i = 0; i < c->padded; i++)
            dx[channel * c->plane + c->shown[i]] += s.gradient[channel * c->padded + i];
}

static void backward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_program *p = visit->program;
    const dcls_conv_layer *c = layer->state;
    const float *x = dcls_visit_value(visit, layer->inputs[0]),
                *dy = dcls_visit_gradient(visit, layer->output);
    float *dx = layer->wanted[0] ? dcls_visit_gradient(visit, layer->inputs[0]) : NULL;
    float *work = dcls_conv_layer_scratch(c, visit->scratch).work;
    const int64_t in = p->values[layer->inputs[0]].floats, out = p->values[layer->output].floats;
    if (c->by_amx && layer->trains)
        dcls_conv_amx_backward(&c->g, c->how, visit->count, x, dy, dcls_visit_sums(layer, visit), work);
    if (c->winograd != NULL && layer->trains)
        dcls_winograd_backward_run(c->winograd, p->simd, visit->count, x, dy, dcls_visit_sums(layer, visit),
                                   work);
    for (int64_t n = 0; n < visit->count; n++)
        backward_image(layer, visit, x + n * in, dy + n * out, dx ? dx + n * in : NULL);
    if (dx != NULL && goes_together(c))
        dcls_conv_run_images(c->turned, p->simd, visit->count, dy, dx, dx, work);
}

/* ---- finish ---- */

/* From the gradient by cells to that by elements. */
static dcls_status finish_kernel(dcls_context *ctx, const dcls_layer *layer, const dcls_kernel *k,
                                 const float *cells, bool weights)
{
    const size_t w = (size_t)(k->rows * k->count), p = (size_t)(k->ndim * k->position_rows * k->count);
    float *memory = dcls_alloc(ctx, w + 2 * p, sizeof *memory);
    if (memory == NULL) return DCLS_ERR_MEMORY;
    const dcls_kernel_gradients slopes = {memory, memory + w, memory + w + p};
    const dcls_status status = dcls_kernel_backward(ctx, k, cells, dcls_context_threads(ctx), &slopes);
    if (status == DCLS_OK) {
        if (weights) dcls_add_gradient(layer->weight, slopes.weight);
        dcls_add_gradient(layer->P, slopes.P);
        if (layer->SIG != NULL) dcls_add_gradient(layer->SIG, slopes.SIG);
    }
    free(memory);
    return status;
}

/* Sums by cells of dense windows, as [out, in, cells]. */
static dcls_status finish_dense(dcls_context *ctx, const dcls_layer *layer, const float *sums)
{
    const dcls_conv_layer *c = layer->state;
    float *cells = NULL;
    if (c->by_amx || c->winograd != NULL) {
        cells = dcls_alloc(ctx, (size_t)c->weights, sizeof *cells);
        if (cells == NULL) return DCLS_ERR_MEMORY;
        if (c->by_amx)
            dcls_conv_amx_backward_collect(&c->g, sums, cells);
        else
            dcls_winograd_backward_collect(c->winograd, sums, cells);
        sums = cells;
    }
    dcls_status status = DCLS_OK;
    if (layer->node->op == DCLS_OP_CONV)
        dcls_add_gradient(layer->weight, sums);
    else
        status = finish_kernel(ctx, layer, &c->k, sums, true);
    free(cells);
    return status;
}

static dcls_status finish(dcls_context *ctx, const dcls_program *p, const dcls_layer *layer,
                          const float *sums)
{
    const dcls_conv_layer *c = layer->state;
    if (layer->bias != NULL) dcls_add_gradient(layer->bias, sums + layer->lane_floats - c->g.out_channels);
    if (c->way == DCLS_WAY_DENSE) return finish_dense(ctx, layer, sums);
    if (layer->node->op == DCLS_OP_CONV) {
        float *cells = dcls_alloc(ctx, (size_t)c->weights, sizeof *cells);
        if (cells == NULL) return DCLS_ERR_MEMORY;
        dcls_taps_backward_collect(c->taps, p->simd, sums, cells);
        dcls_add_gradient(layer->weight, cells);
        free(cells);
        return DCLS_OK;
    }
    dcls_taps_backward_collect(c->taps, p->simd, sums + c->dense_sums, c->dense);
    if (c->way == DCLS_WAY_SPARSE) return finish_kernel(ctx, layer, &c->k, c->dense, true);
    dcls_add_gradient(layer->weight, sums);
    const dcls_kernel single = dcls_conv_single_elements(c);
    return finish_kernel(ctx, layer, &single, c->dense, false);
}

const dcls_layer_type dcls_layer_conv = {.name = "conv",
                                         .keeps_input = true,
                                         .create = create,
                                         .destroy = destroy,
                                         .prepare = dcls_conv_layer_prepare,
                                         .forward = forward,
                                         .backward = backward,
                                         .finish = finish};
