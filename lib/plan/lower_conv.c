/* Convolutions: what follows is folded into weights and epilogue, DCLS layers get their algorithm, and
 * padding modes other than zeros become a padded copy ahead of the convolution. */
#include <stdlib.h>
#include <string.h>

#include "plan/node_ops.h"
#include "plan/plan_internal.h"

/* ---- weights and epilogue ---- */

/* bias is NULL until something needs it. */
typedef struct folded {
    const float *weight; /* [out, per_output]: the model's, or own */
    float *own;
    float *bias; /* [out] or NULL */
    int64_t out, per_output;
} folded;

/* change: the weights will be changed. Otherwise the model's are used where they are floats: a copy of all of
 * them takes longer than packing. */
static dcls_status load_weights(dcls_context *ctx, dcls_arena *arena, const dcls_node *node, bool change,
                                folded *f)
{
    size_t count = node->weight->nbytes / dcls_dtype_size(node->weight->dtype);
    f->out = node->out_channels;
    f->per_output = (int64_t)count / f->out;
    if (change || node->weight->dtype != DCLS_F32) {
        f->own = dcls_alloc(ctx, count, sizeof *f->own);
        if (!f->own) return DCLS_ERR_MEMORY;
        dcls_to_float(node->weight->dtype, node->weight->data, f->own, count);
    }
    f->weight = f->own ? f->own : node->weight->data;
    if (!node->bias) return DCLS_OK;
    f->bias = dcls_arena_alloc(ctx, arena, (size_t)f->out, sizeof *f->bias);
    if (!f->bias) return DCLS_ERR_MEMORY;
    dcls_to_float(node->bias->dtype, node->bias->data, f->bias, (size_t)f->out);
    return DCLS_OK;
}

/* scale (W x + b) + shift = (scale W) x + (scale b + shift) */
static dcls_status fold_affine(dcls_context *ctx, const dcls_plan *plan, dcls_arena *arena, int node,
                               folded *f)
{
    float *scale, *shift;
    DCLS_TRY(dcls_plan_affine(ctx, arena, &plan->model->nodes[node], f->out, &scale, &shift));
    for (int64_t o = 0; o < f->out; o++) {
        for (int64_t i = 0; i < f->per_output; i++)
            f->own[o * f->per_output + i] *= scale[o];
        shift[o] += f->bias ? scale[o] * f->bias[o] : 0;
    }
    f->bias = shift;
    return DCLS_OK;
}

/* Affine maps behind the activation are joined into one. */
static dcls_status make_epilogue(dcls_context *ctx, const dcls_plan *plan, dcls_arena *arena,
                                 const dcls_group *group, const folded *f, dcls_epilogue *e)
{
    *e = (dcls_epilogue){.bias = f->bias,
                         .activation = group->activation,
                         .activation2 = group->activation2,
                         .residual = group->residual >= 0};
    float *scale = NULL, *shift = NULL;
    for (int i = 0; i < group->affine_count; i++) {
        float *next_scale, *next_shift;
        DCLS_TRY(dcls_plan_affine(ctx, arena, &plan->model->nodes[group->affine[i]], f->out, &next_scale,
                                  &next_shift));
        for (int64_t c = 0; scale && c < f->out; c++) {
            next_shift[c] += next_scale[c] * shift[c];
            next_scale[c] *= scale[c];
        }
        scale = next_scale;
        shift = next_shift;
    }
    e->scale = scale;
    e->shift = shift;
    return DCLS_OK;
}

static dcls_conv_how amx_of(const dcls_plan *plan)
{
    return (dcls_conv_how){plan->amx, plan->bf16 ? 1 : DCLS_AMX_PARTS, plan->threads, 1};
}

static dcls_status create_dense(dcls_context *ctx, const dcls_plan *plan, const dcls_geometry *g,
                                const float *weight, const dcls_epilogue *e, dcls_conv **out)
{
    const bool amx = plan->amx && dcls_conv_amx_suits(g);
    if (plan->bf16 && dcls_conv_pixels_suits(g) && !amx)
        return dcls_conv_create_pixels(ctx, plan->bf16, plan->threads, g, weight, e, out);
    return dcls_conv_create_dense(ctx, g, weight, e, amx_of(plan), out);
}

/* ---- the algorithms of a DCLS layer ---- */

static dcls_status create_constructed(dcls_context *ctx, const dcls_plan *plan, const dcls_kernel *k,
                                      const dcls_geometry *g, const dcls_epilogue *e, dcls_conv **out)
{
    size_t cells;
    if (!dcls_mul_size((size_t)k->rows, (size_t)dcls_kernel_cells(k), &cells))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the dense kernel is too large");
    float *dense = dcls_alloc(ctx, cells, sizeof *dense);
    if (!dense) return DCLS_ERR_MEMORY;
    dcls_status status = dcls_kernel_construct(ctx, k, dcls_context_threads(ctx), dense);
    if (!status) status = create_dense(ctx, plan, g, dense, e, out);
    free(dense);
    return status;
}

/* Layers with positions along some dimensions have several rows per window: their windows are put together
 * densely first. */
static dcls_status window_taps(dcls_context *ctx, const dcls_kernel *k, int64_t windows, double cutoff,
                               dcls_taps *taps)
{
    if (k->rows == windows) return dcls_taps_from_kernel(ctx, k, cutoff, dcls_context_threads(ctx), taps);
    int64_t cells = k->rows / windows * dcls_kernel_cells(k);
    float *dense = dcls_alloc(ctx, (size_t)windows * (size_t)cells, sizeof *dense);
    if (!dense) return DCLS_ERR_MEMORY;
    dcls_status status = dcls_kernel_construct(ctx, k, dcls_context_threads(ctx), dense);
    if (!status) status = dcls_taps_from_dense(ctx, dense, windows, cells, cutoff, taps);
    free(dense);
    return status;
}

static dcls_status create_sparse(dcls_context *ctx, const dcls_kernel *k, const dcls_geometry *g,
                                 double cutoff, const dcls_epilogue *e, dcls_conv **out)
{
    dcls_taps taps;
    DCLS_TRY(window_taps(ctx, k, g->out_channels * (g->in_channels / g->groups), cutoff, &taps));
    dcls_status status = dcls_conv_create_sparse(ctx, g, &taps, e, out);
    dcls_taps_free(&taps);
    return status;
}

/* Every element becomes a window of its own with weight 1. */
static dcls_status create_interpolated(dcls_context *ctx, const dcls_kernel *k, const dcls_geometry *g,
                                       double cutoff, const dcls_epilogue *e, dcls_conv **out)
{
    dcls_kernel elements = *k;
    elements.rows = elements.position_rows = k->position_rows * k->count;
    elements.count = 1;
    float *ones = dcls_alloc(ctx, (size_t)elements.rows, sizeof *ones);
    if (!ones) return DCLS_ERR_MEMORY;
    for (int64_t i = 0; i < elements.rows; i++)
        ones[i] = 1;
    elements.weight = ones;
    dcls_taps taps;
    dcls_status status = dcls_taps_from_kernel(ctx, &elements, cutoff, dcls_context_threads(ctx), &taps);
    free(ones);
    if (status) return status;
    status = dcls_conv_create_interpolated(ctx, g, &taps, k->count, k->weight, e, out);
    dcls_taps_free(&taps);
    return status;
}

/* Of one run. */
static dcls_status predict(dcls_context *ctx, const dcls_plan *plan, const dcls_node *node,
                           const dcls_kernel *k, const dcls_geometry *g, double cutoff, dcls_algo *algo,
                           double cost[DCLS_ALGO_COUNT])
{
    double taps, pixels = (double)(g->batch * dcls_volume(g->out));
    const double support = dcls_element_support(k, dcls_mean_spread(k));
    const bool amx = plan->amx != NULL && dcls_conv_amx_suits(g);
    DCLS_TRY(dcls_sample_taps(ctx, node, k, cutoff, &taps));
    dcls_algorithm_costs(node, k, support, taps, amx, cost);
    dcls_plane_costs(node, pixels, pixels / (double)g->out[2], cost);
    if (*algo == DCLS_ALGO_AUTO) *algo = dcls_choose_algorithm(node, k, support, taps, amx);
    return DCLS_OK;
}

static dcls_status create_dcls(dcls_context *ctx, const dcls_plan *plan, const dcls_node *node,
                               const float *weight, const dcls_geometry *g, const dcls_epilogue *e,
                               dcls_step *step)
{
    dcls_kernel k;
    dcls_node_kernel(node, &k);
    k.weight = weight;
    k.P = dcls_plan_floats(ctx, step->arena, node->P);
    k.SIG = node->SIG ? dcls_plan_floats(ctx, step->arena, node->SIG) : NULL;
    if (!k.P || (node->SIG && !k.SIG)) return DCLS_ERR_MEMORY;
    double cutoff = plan->options.tap_cutoff;
    if (cutoff < 0) cutoff = DCLS_TAP_CUTOFF;
    if (node->version != DCLS_GAUSS) cutoff = 0;

    dcls_algo algo = plan->options.algo;
    DCLS_TRY(predict(ctx, plan, node, &k, g, cutoff, &algo, step->cost));
    if (algo == DCLS_ALGO_IM2COL && !dcls_can_interpolate(node)) algo = DCLS_ALGO_CONSTRUCT;
    step->algo = algo;
    dcls_conv **out = &step->conv;
    if (algo == DCLS_ALGO_IM2COL) return create_interpolated(ctx, &k, g, cutoff, e, out);
    if (algo == DCLS_ALGO_SPARSE) return create_sparse(ctx, &k, g, cutoff, e, out);
    return create_constructed(ctx, plan, &k, g, e, out);
}

/* ---- the step ---- */

static void run_conv(const dcls_step *s, const dcls_operands *o)
{
    dcls_conv_run(s->conv, o->simd, o->in[0], o->residual, o->out, o->workspace, o->threads);
}

static size_t padded_bytes(const dcls_step *s)
{
    size_t bytes = (size_t)(s->extent.batch * s->extent.channels * dcls_volume(s->padded)) * sizeof(float);
    return (bytes + 63) / 64 * 64;
}

static void run_padded_conv(const dcls_step *s, const dcls_operands *o)
{
    float *padded = o->workspace;
    int64_t in[3];
    for (int d = 0; d < 3; d++)
        in[d] = s->padded[d] - s->pad_before[d] - s->pad_after[d];
    dcls_pad_forward(s->border, s->extent.batch * s->extent.channels, in, s->pad_before, s->pad_after,
                     o->in[0], padded, o->threads);
    dcls_conv_run(s->conv, o->simd, padded, o->residual, o->out,
                  (unsigned char *)o->workspace + padded_bytes(s), o->threads);
}

static dcls_border border_of(dcls_pad_mode mode)
{
    switch (mode) {
    case DCLS_PAD_REFLECT: return DCLS_BORDER_REFLECT;
    case DCLS_PAD_REPLICATE: return DCLS_BORDER_REPLICATE;
    case DCLS_PAD_CIRCULAR: return DCLS_BORDER_CIRCULAR;
    default: return DCLS_BORDER_ZEROS;
    }
}

/* The convolution then sees the padded planes and no padding of its own. */
static dcls_status pad_ahead(dcls_context *ctx, const dcls_node *node, dcls_step *step, dcls_geometry *g)
{
    const dcls_window *w = &node->window;
    int64_t total = step->extent.batch * step->extent.channels;
    step->run = run_padded_conv;
    step->border = border_of(w->pad_mode);
    for (int d = 0; d < 3; d++) {
        int from = w->ndim - 3 + d;
        step->pad_before[d] = from >= 0 ? w->pad_before[from] : 0;
        step->pad_after[d] = from >= 0 ? w->pad_after[from] : 0;
        g->in[d] = step->padded[d] = g->in[d] + step->pad_before[d] + step->pad_after[d];
        g->pad[d] = 0;
        if (!dcls_mul_i64(total, step->padded[d], &total) || total > INT64_MAX / 16)
            return dcls_fail(ctx, DCLS_ERR_LIMIT, "the padded input is too large");
    }
    return DCLS_OK;
}

/* Weights and bias of a group's convolution with what is folded into them. */
static dcls_status fold_group(dcls_context *ctx, const dcls_plan *plan, dcls_arena *arena,
                              const dcls_group *group, folded *f)
{
    DCLS_TRY(load_weights(ctx, arena, &plan->model->nodes[group->head], group->fold_count > 0, f));
    for (int i = 0; i < group->fold_count; i++)
        DCLS_TRY(fold_affine(ctx, plan, arena, group->fold[i], f));
    return DCLS_OK;
}

/* Whether every pixel of a group's input comes from a layer norm. */
static bool is_normed(const dcls_plan *plan, const dcls_group *group)
{
    const int from = plan->root[plan->model->nodes[group->head].inputs[0]];
    return from > 0 && plan->model->nodes[from - 1].op == DCLS_OP_LAYER_NORM;
}

/* group's convolution behind that of the group ahead of it. */
static dcls_status create_pair(dcls_context *ctx, const dcls_plan *plan, dcls_arena *arena,
                               const dcls_group *group, const dcls_geometry *g, const float *weight,
                               const dcls_epilogue *e, dcls_conv **out)
{
    const dcls_group *ahead = &plan->groups[group->ahead];
    folded f = {0};
    dcls_status status = fold_group(ctx, plan, arena, ahead, &f);
    if (!status) {
        const dcls_conv_expansion expansion = {.channels = f.out,
                                               .weight = f.weight,
                                               .bias = f.bias,
                                               .activation = ahead->activation,
                                               .even = is_normed(plan, ahead)};
        if (plan->amx && dcls_conv_amx_fits(g))
            status = dcls_conv_create_amx_pair(ctx, amx_of(plan), g, &expansion, weight, e, out);
        else
            status = dcls_conv_create_pair(ctx, plan->bf16, plan->threads, g, &expansion, weight, e, out);
    }
    free(f.own);
    return status;
}

static dcls_status make_conv(dcls_context *ctx, const dcls_plan *plan, const dcls_group *group,
                             dcls_step *step, folded *f)
{
    const dcls_node *node = step->node;
    dcls_epilogue epilogue;
    DCLS_TRY(fold_group(ctx, plan, step->arena, group, f));
    DCLS_TRY(make_epilogue(ctx, plan, step->arena, group, f, &epilogue));
    dcls_geometry g =
        dcls_node_geometry(node, &plan->shapes[node->inputs[0]], &plan->shapes[group->tail + 1]);
    step->run = run_conv;
    step->in_place = group->residual >= 0;
    if (node->window.pad_mode != DCLS_PAD_ZEROS) DCLS_TRY(pad_ahead(ctx, node, step, &g));
    if (group->ahead >= 0)
        DCLS_TRY(create_pair(ctx, plan, step->arena, group, &g, f->weight, &epilogue, &step->conv));
    else if (node->op == DCLS_OP_CONV)
        DCLS_TRY(create_dense(ctx, plan, &g, f->weight, &epilogue, &step->conv));
    else
        DCLS_TRY(create_dcls(ctx, plan, node, f->weight, &g, &epilogue, step));
    step->workspace = dcls_conv_workspace(step->conv, plan->threads);
    if (node->window.pad_mode != DCLS_PAD_ZEROS &&
        !dcls_add_size(step->workspace, padded_bytes(step), &step->workspace))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the padded input is too large");
    return DCLS_OK;
}

dcls_status dcls_lower_conv(dcls_context *ctx, const dcls_plan *plan, const dcls_group *group,
                            dcls_step *step)
{
    folded f = {0};
    dcls_status status = make_conv(ctx, plan, group, step, &f);
    free(f.own);
    return status;
}
