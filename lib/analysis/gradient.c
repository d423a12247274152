/* Forward with every value kept, then back node by node. */
#include "analysis/gradient.h"

#include <stdlib.h>
#include <string.h>

#include "ops/backward.h"
#include "ops/conv_backward.h"
#include "plan/node_ops.h"
#include "plan/plan_internal.h"

/* Multiply-accumulates from which several threads gain more than starting and waiting for them costs. */
#define THREADS_PAY 2e8

/* A convolution run backwards is a convolution of the gradient, spread out by the stride, with the kernel
 * turned round and inputs and outputs exchanged. */
typedef struct back_conv {
    dcls_conv *conv;
    dcls_geometry forward; /* of the node; in is the padded input where padding is not with zeros */
    const dcls_step *pad;  /* step whose padding is to be folded back, or NULL */
} back_conv;

struct dcls_gradient {
    dcls_model part; /* the model up to the value */
    dcls_plan *plan;
    back_conv *convs; /* per step */
    float **d;        /* per value: its gradient, NULL before it has one */
    float *output;
};

static size_t count_of(const dcls_gradient *g, int value)
{
    dcls_extent e = dcls_plan_extent(g->plan, value);
    return (size_t)(e.batch * e.channels * e.pixels);
}

/* ---- convolutions ---- */

/* The node's dense kernel [out, in/groups, kernel..]. */
static dcls_status dense_weight(dcls_context *ctx, dcls_plan *plan, const dcls_node *node, const float **out,
                                float **owned)
{
    *owned = NULL;
    *out = dcls_plan_floats(ctx, &plan->arena, node->weight);
    if (!*out) return DCLS_ERR_MEMORY;
    if (node->op == DCLS_OP_CONV) return DCLS_OK;
    dcls_kernel k;
    size_t cells;
    dcls_node_kernel(node, &k);
    k.weight = *out;
    k.P = dcls_plan_floats(ctx, &plan->arena, node->P);
    k.SIG = node->SIG ? dcls_plan_floats(ctx, &plan->arena, node->SIG) : NULL;
    if (!k.P || (node->SIG && !k.SIG)) return DCLS_ERR_MEMORY;
    if (!dcls_mul_size((size_t)k.rows, (size_t)dcls_kernel_cells(&k), &cells))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the dense kernel is too large");
    *owned = dcls_alloc(ctx, cells, sizeof **owned);
    if (!*owned) return DCLS_ERR_MEMORY;
    *out = *owned;
    return dcls_kernel_construct(ctx, &k, plan->threads, *owned);
}

static dcls_status create_turned(dcls_context *ctx, const dcls_gradient *g, const dcls_node *node,
                                 back_conv *out)
{
    const float *weight;
    float *owned;
    dcls_status status = dense_weight(ctx, g->plan, node, &weight, &owned);
    if (status == DCLS_OK)
        status =
            dcls_conv_create_turned_dense(ctx, &out->forward, weight, NULL, (dcls_conv_how){0}, &out->conv);
    free(owned);
    return status;
}

static dcls_status prepare_conv(dcls_context *ctx, const dcls_gradient *g, const dcls_step *step,
                                back_conv *out)
{
    const dcls_node *node = step->node;
    out->forward =
        dcls_node_geometry(node, &g->plan->shapes[node->inputs[0]], &g->plan->shapes[step->output]);
    if (node->window.pad_mode != DCLS_PAD_ZEROS) {
        out->pad = step;
        for (int d = 0; d < 3; d++) {
            out->forward.in[d] = step->padded[d];
            out->forward.pad[d] = 0;
        }
    }
    return create_turned(ctx, g, node, out);
}

/* Every cell of the padding gives its gradient to the cell it shows; padding a plane of running numbers tells
 * which one that is. */
static dcls_status fold_padding(dcls_context *ctx, const dcls_step *s, const float *padded, float *dx)
{
    int64_t in[3];
    for (int d = 0; d < 3; d++)
        in[d] = s->padded[d] - s->pad_before[d] - s->pad_after[d];
    int64_t cells = dcls_volume(in), all = dcls_volume(s->padded);
    if (cells >= 1 << 24)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the padded input is too large for a gradient");
    float *number = dcls_alloc(ctx, (size_t)(cells + all), sizeof *number);
    if (!number) return DCLS_ERR_MEMORY;
    for (int64_t i = 0; i < cells; i++)
        number[i] = (float)i;
    dcls_pad_forward(s->border, 1, in, s->pad_before, s->pad_after, number, number + cells, 1);
    for (int64_t p = 0; p < s->extent.batch * s->extent.channels; p++)
        for (int64_t i = 0; i < all; i++)
            dx[p * cells + (int64_t)number[cells + i]] += padded[p * all + i];
    free(number);
    return DCLS_OK;
}

static dcls_status conv_back(dcls_context *ctx, const dcls_gradient *g, const back_conv *c, const float *dy,
                             float *dx)
{
    const dcls_geometry *f = &c->forward;
    const dcls_geometry turned = dcls_conv_turned_geometry(f);
    size_t spread = (size_t)(f->batch * f->out_channels * dcls_volume(turned.in));
    size_t in = (size_t)(f->batch * f->in_channels * dcls_volume(f->in));
    float *memory = dcls_alloc(ctx, spread + in, sizeof *memory);
    void *workspace = dcls_alloc(ctx, dcls_conv_workspace(c->conv, g->plan->threads) + 1, 1);
    dcls_status status = memory && workspace ? DCLS_OK : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) {
        dcls_conv_spread(f, f->batch * f->out_channels, dy, memory);
        dcls_conv_run(c->conv, g->plan->simd, memory, NULL, memory + spread, workspace, g->plan->threads);
        if (c->pad)
            status = fold_padding(ctx, c->pad, memory + spread, dx);
        else
            for (size_t i = 0; i < in; i++)
                dx[i] += memory[spread + i];
    }
    free(workspace);
    free(memory);
    return status;
}

static void linear_back(const dcls_step *s, const float *dy, float *dx)
{
    int64_t in = s->node->in_channels, out = s->node->out_channels;
    for (int64_t n = 0; n < s->extent.batch; n++)
        for (int64_t o = 0; o < out; o++)
            for (int64_t i = 0; i < in; i++)
                dx[n * in + i] += s->weight[o * in + i] * dy[n * out + o];
}

/* ---- one step back ---- */

/* Gradient of a value's storage, zero at first; NULL with the failure recorded. */
static float *gradient_of(dcls_context *ctx, dcls_gradient *g, int value)
{
    int root = g->plan->root[value];
    if (!g->d[root]) g->d[root] = dcls_alloc_zero(ctx, count_of(g, root) + 1, sizeof(float));
    return g->d[root];
}

static void pool_back(const dcls_simd *simd, const dcls_step *s, const float *x, const float *dy, float *dx)
{
    if (s->node->op == DCLS_OP_MAX_POOL)
        dcls_max_pool_backward(simd, &s->geometry, x, dy, dx);
    else
        dcls_avg_pool_backward(&s->geometry, s->pad_after, s->node->window.count_include_pad, dy, dx);
}

static dcls_status elementwise_back(dcls_context *ctx, dcls_gradient *g, const dcls_step *s, const float *x,
                                    const float *dy)
{
    const dcls_node *node = s->node;
    for (int k = 0; k < 2; k++) {
        int other = node->inputs[1 - k];
        float *dx = gradient_of(ctx, g, node->inputs[k]);
        if (!dx) return DCLS_ERR_MEMORY;
        const float *factor = node->op == DCLS_OP_MUL ? dcls_plan_value(g->plan, other, x, g->output) : NULL;
        dcls_elementwise_backward(dcls_plan_extent(g->plan, s->output),
                                  dcls_plan_extent(g->plan, node->inputs[k]).pixels, factor,
                                  dcls_plan_extent(g->plan, other).pixels, dy, dx);
    }
    return DCLS_OK;
}

static dcls_status concat_back(dcls_context *ctx, dcls_gradient *g, const dcls_step *s, const float *dy)
{
    for (int k = 0; k < s->node->input_count; k++) {
        size_t count = count_of(g, s->node->inputs[k]);
        float *dx = gradient_of(ctx, g, s->node->inputs[k]);
        if (!dx) return DCLS_ERR_MEMORY;
        for (size_t i = 0; i < count; i++) /* one item: parts follow each other */
            dx[i] += dy[i];
        dy += count;
    }
    return DCLS_OK;
}

static dcls_status step_back(dcls_context *ctx, dcls_gradient *g, int index, const float *input)
{
    const dcls_step *s = &g->plan->steps[index];
    const dcls_node *node = s->node;
    const float *dy = g->d[s->output];
    dcls_extent e = dcls_plan_extent(g->plan, node->inputs[0]);
    if (node->op == DCLS_OP_ADD || node->op == DCLS_OP_MUL) return elementwise_back(ctx, g, s, input, dy);
    if (node->op == DCLS_OP_CONCAT) return concat_back(ctx, g, s, dy);
    float *dx = gradient_of(ctx, g, node->inputs[0]);
    if (!dx) return DCLS_ERR_MEMORY;
    const float *x = dcls_plan_value(g->plan, node->inputs[0], input, g->output);
    const float *y = dcls_plan_value(g->plan, s->output, input, g->output);
    switch (node->op) {
    case DCLS_OP_CONV:
    case DCLS_OP_DCLS: return conv_back(ctx, g, &g->convs[index], dy, dx);
    case DCLS_OP_RESIZE: return dcls_resize_backward(ctx, &s->resize, dy, dx);
    case DCLS_OP_LINEAR: linear_back(s, dy, dx); break;
    case DCLS_OP_BATCH_NORM:
    case DCLS_OP_LAYER_SCALE: dcls_scale_backward(e, s->weight, dy, dx); break;
    case DCLS_OP_LAYER_NORM: dcls_layer_norm_backward(e, node->eps, s->weight, x, dy, dx); break;
    case DCLS_OP_SOFTMAX: dcls_softmax_backward(e, y, dy, dx); break;
    case DCLS_OP_MAX_POOL:
    case DCLS_OP_AVG_POOL: pool_back(g->plan->simd, s, x, dy, dx); break;
    case DCLS_OP_GLOBAL_AVG_POOL: dcls_global_pool_backward(true, e, x, dy, dx); break;
    case DCLS_OP_GLOBAL_MAX_POOL: dcls_global_pool_backward(false, e, x, dy, dx); break;
    default: dcls_activation_backward(s->activation, (int64_t)count_of(g, s->output), x, y, dy, dx);
    }
    return DCLS_OK;
}

/* ---- the public functions ---- */

dcls_status dcls_gradient_run(dcls_context *ctx, dcls_gradient *g, const float *x, const float *dy, float *dx)
{
    dcls_plan *plan = g->plan;
    int root = plan->root[g->part.output];
    DCLS_TRY(dcls_plan_run(ctx, plan, x, g->output));
    float *start = gradient_of(ctx, g, root);
    dcls_status status = start ? DCLS_OK : DCLS_ERR_MEMORY;
    if (start) memcpy(start, dy, count_of(g, root) * sizeof *dy);
    for (int s = plan->step_count - 1; s >= 0 && status == DCLS_OK; s--) {
        int value = plan->steps[s].output;
        if (!g->d[value]) continue; /* nothing on the way to the value */
        status = step_back(ctx, g, s, x);
        free(g->d[value]);
        g->d[value] = NULL;
    }
    if (status == DCLS_OK && g->d[0])
        memcpy(dx, g->d[0], count_of(g, 0) * sizeof *dx);
    else if (status == DCLS_OK)
        memset(dx, 0, count_of(g, 0) * sizeof *dx);
    for (int v = 0; v < plan->value_count; v++) {
        free(g->d[v]);
        g->d[v] = NULL;
    }
    return status;
}

static dcls_status prepare(dcls_context *ctx, dcls_gradient *g, int ndim, const int64_t *shape)
{
    DCLS_TRY(dcls_plan_create_keeping(ctx, &g->part, ndim, shape, &g->plan));
    dcls_plan *plan = g->plan;
    if (dcls_gradient_macs(g) < THREADS_PAY) plan->threads = 1;
    g->output = dcls_alloc(ctx, dcls_plan_output_count(plan) + 1, sizeof *g->output);
    g->d = dcls_alloc_zero(ctx, (size_t)plan->value_count, sizeof *g->d);
    g->convs = dcls_alloc_zero(ctx, (size_t)plan->step_count + 1, sizeof *g->convs);
    if (!g->output || !g->d || !g->convs) return DCLS_ERR_MEMORY;
    for (int s = 0; s < plan->step_count; s++) {
        const dcls_node *node = plan->steps[s].node;
        if (node->op != DCLS_OP_CONV && node->op != DCLS_OP_DCLS) continue;
        dcls_status status = prepare_conv(ctx, g, &plan->steps[s], &g->convs[s]);
        if (status) return dcls_fail_within(ctx, status, "node '%s': ", node->name);
    }
    return DCLS_OK;
}

dcls_status dcls_gradient_create(dcls_context *ctx, const dcls_model *model, int value, int ndim,
                                 const int64_t *shape, dcls_gradient **out)
{
    int64_t one[DCLS_MAX_DIMS] = {1};
    *out = NULL;
    dcls_gradient *g = dcls_alloc_zero(ctx, 1, sizeof *g);
    if (!g) return DCLS_ERR_MEMORY;
    memcpy(one + 1, shape + 1, (size_t)(ndim - 1) * sizeof *one);
    g->part = *model;
    g->part.node_count = (size_t)value;
    g->part.output = value;
    dcls_status status = prepare(ctx, g, ndim, one);
    if (status == DCLS_OK)
        *out = g;
    else
        dcls_gradient_destroy(g);
    return status;
}

void dcls_gradient_destroy(dcls_gradient *g)
{
    if (!g) return;
    for (int s = 0; g->convs && s < g->plan->step_count; s++)
        dcls_conv_destroy(g->convs[s].conv);
    dcls_plan_destroy(g->plan);
    free(g->convs);
    free(g->d);
    free(g->output);
    free(g);
}

const dcls_shape *dcls_gradient_shape(const dcls_gradient *g, int value)
{
    return &g->plan->shapes[value];
}

double dcls_gradient_macs(const dcls_gradient *g)
{
    double macs = 0;
    for (int s = 0; s < g->plan->step_count; s++)
        if (g->plan->steps[s].conv) macs += dcls_conv_macs(g->plan->steps[s].conv);
    return macs;
}
