/* Groups become steps. Every operation has one function that reads its node and says how it is run;
 * convolutions have a file of their own. */
#include <math.h>
#include <stdatomic.h>

#include "ops/tiles.h"
#include "plan/node_ops.h"
#include "plan/plan_internal.h"

const float *dcls_plan_floats(dcls_context *ctx, dcls_arena *arena, const dcls_tensor *tensor)
{
    if (tensor->dtype == DCLS_F32) return tensor->data;
    size_t count = tensor->nbytes / dcls_dtype_size(tensor->dtype);
    float *floats = dcls_arena_alloc(ctx, arena, count ? count : 1, sizeof *floats);
    if (floats) dcls_to_float(tensor->dtype, tensor->data, floats, count);
    return floats;
}

/* NULL for a tensor that is absent; false when memory is short. */
static bool optional_floats(dcls_context *ctx, dcls_arena *arena, const dcls_tensor *tensor,
                            const float **out)
{
    *out = tensor ? dcls_plan_floats(ctx, arena, tensor) : NULL;
    return !tensor || *out;
}

dcls_status dcls_plan_affine(dcls_context *ctx, dcls_arena *arena, const dcls_node *node, int64_t channels,
                             float **scale, float **shift)
{
    const float *weight, *bias, *mean, *var;
    *scale = dcls_arena_alloc(ctx, arena, (size_t)channels, sizeof **scale);
    *shift = dcls_arena_alloc(ctx, arena, (size_t)channels, sizeof **shift);
    if (!*scale || !*shift || !optional_floats(ctx, arena, node->weight, &weight) ||
        !optional_floats(ctx, arena, node->bias, &bias) ||
        !optional_floats(ctx, arena, node->running_mean, &mean) ||
        !optional_floats(ctx, arena, node->running_var, &var))
        return DCLS_ERR_MEMORY;
    if (node->op == DCLS_OP_BATCH_NORM) {
        dcls_batch_norm_fold(channels, weight, bias, mean, var, node->eps, *scale, *shift);
        return DCLS_OK;
    }
    for (int64_t c = 0; c < channels; c++) {
        (*scale)[c] = weight[c]; /* NOLINT(clang-analyzer-core.NullDereference): layer scale has a weight */
        (*shift)[c] = 0;
    }
    return DCLS_OK;
}

dcls_extent dcls_plan_extent(const dcls_plan *plan, int value)
{
    const dcls_shape *shape = &plan->shapes[value];
    dcls_extent e = {.batch = shape->size[0], .channels = shape->size[1], .pixels = 1};
    for (int d = 2; d < shape->ndim; d++)
        e.pixels *= shape->size[d];
    return e;
}

/* ---- run functions ---- */

static void run_activation(const dcls_step *s, const dcls_operands *o)
{
    dcls_extent e = s->extent;
    dcls_activation_forward(o->simd, s->activation, o->in[0], o->out, e.batch * e.channels * e.pixels,
                            o->threads);
}

static void run_scale_shift(const dcls_step *s, const dcls_operands *o)
{
    dcls_scale_shift_forward(o->simd, s->extent, o->in[0], s->weight, s->bias, o->out, o->threads);
}

static void run_layer_norm(const dcls_step *s, const dcls_operands *o)
{
    dcls_layer_norm_forward(o->simd, s->extent, o->in[0], s->weight, s->bias, s->node->eps, o->out,
                            o->threads);
}

static void run_softmax(const dcls_step *s, const dcls_operands *o)
{
    dcls_softmax_forward(o->simd, s->extent, o->in[0], o->out, o->threads);
}

static void run_pool(const dcls_step *s, const dcls_operands *o)
{
    if (s->node->op == DCLS_OP_MAX_POOL)
        dcls_max_pool_forward(o->simd, &s->geometry, o->in[0], o->out, o->threads);
    else
        dcls_avg_pool_forward(o->simd, &s->geometry, s->pad_after, s->node->window.count_include_pad,
                              o->in[0], o->out, o->threads);
}

static void run_global_pool(const dcls_step *s, const dcls_operands *o)
{
    if (s->node->op == DCLS_OP_GLOBAL_AVG_POOL)
        dcls_global_avg_pool_forward(o->simd, s->extent, o->in[0], o->out, o->threads);
    else
        dcls_global_max_pool_forward(o->simd, s->extent, o->in[0], o->out, o->threads);
}

static void run_elementwise(const dcls_step *s, const dcls_operands *o)
{
    dcls_extent e = s->extent;
    int64_t n = e.batch * e.channels * e.pixels;
    if (s->node->op == DCLS_OP_ADD)
        dcls_add_forward(o->simd, o->in[0], o->in[1], o->out, n, o->threads);
    else
        dcls_mul_forward(o->simd, o->in[0], o->in[1], o->out, n, o->threads);
}

static void run_broadcast(const dcls_step *s, const dcls_operands *o)
{
    if (s->node->op == DCLS_OP_ADD)
        dcls_add_broadcast_forward(o->simd, s->extent, o->in[0], o->in[1], o->out, o->threads);
    else
        dcls_mul_broadcast_forward(o->simd, s->extent, o->in[0], o->in[1], o->out, o->threads);
}

static void run_concat(const dcls_step *s, const dcls_operands *o)
{
    dcls_concat_forward(s->input_count, o->in, s->channels, s->extent.batch, s->extent.pixels, o->out,
                        o->threads);
}

static void run_resize(const dcls_step *s, const dcls_operands *o)
{
    dcls_resize_forward(&s->resize, o->in[0], o->out, o->threads);
}

static void run_linear(const dcls_step *s, const dcls_operands *o)
{
    dcls_linear_forward(o->simd, s->extent.batch, s->node->in_channels, s->node->out_channels, o->in[0],
                        s->weight, s->bias, o->out, o->threads);
}

/* ---- one function per kind of operation ---- */

static dcls_status lower_activation(dcls_context *ctx, const dcls_plan *plan, const dcls_group *group,
                                    dcls_step *step)
{
    (void)ctx, (void)plan, (void)group;
    step->run = run_activation;
    step->in_place = true;
    step->activation = dcls_node_activation(step->node);
    return DCLS_OK;
}

static dcls_status lower_affine(dcls_context *ctx, const dcls_plan *plan, const dcls_group *group,
                                dcls_step *step)
{
    (void)plan, (void)group;
    float *scale, *shift;
    DCLS_TRY(dcls_plan_affine(ctx, step->arena, step->node, step->extent.channels, &scale, &shift));
    step->weight = scale;
    step->bias = shift;
    step->run = run_scale_shift;
    step->in_place = true;
    return DCLS_OK;
}

static dcls_status lower_layer_norm(dcls_context *ctx, const dcls_plan *plan, const dcls_group *group,
                                    dcls_step *step)
{
    (void)plan, (void)group;
    if (!optional_floats(ctx, step->arena, step->node->weight, &step->weight) ||
        !optional_floats(ctx, step->arena, step->node->bias, &step->bias))
        return DCLS_ERR_MEMORY;
    step->run = run_layer_norm;
    step->in_place = true;
    return DCLS_OK;
}

static dcls_status lower_softmax(dcls_context *ctx, const dcls_plan *plan, const dcls_group *group,
                                 dcls_step *step)
{
    (void)ctx, (void)plan, (void)group;
    step->run = run_softmax;
    step->in_place = true;
    return DCLS_OK;
}

static dcls_status lower_pool(dcls_context *ctx, const dcls_plan *plan, const dcls_group *group,
                              dcls_step *step)
{
    (void)ctx;
    const dcls_node *node = step->node;
    step->geometry = dcls_node_geometry(node, &plan->shapes[node->inputs[0]], &plan->shapes[group->tail + 1]);
    dcls_node_pad_after(node, step->pad_after);
    step->run = run_pool;
    return DCLS_OK;
}

static dcls_status lower_global_pool(dcls_context *ctx, const dcls_plan *plan, const dcls_group *group,
                                     dcls_step *step)
{
    (void)ctx, (void)plan, (void)group;
    step->run = run_global_pool;
    return DCLS_OK;
}

/* The larger operand comes first: only the second may repeat over pixels. */
static dcls_status lower_elementwise(dcls_context *ctx, const dcls_plan *plan, const dcls_group *group,
                                     dcls_step *step)
{
    (void)group;
    const int *in = step->node->inputs;
    const dcls_shape *a = &plan->shapes[in[0]], *b = &plan->shapes[in[1]];
    if (dcls_shape_equal(a->ndim, a->size, b->ndim, b->size)) {
        step->run = run_elementwise;
        step->in_place = true;
        return DCLS_OK;
    }
    if (dcls_plan_extent(plan, in[1]).pixels != 1) {
        int *swapped = dcls_arena_alloc(ctx, step->arena, 2, sizeof *swapped);
        if (!swapped) return DCLS_ERR_MEMORY;
        swapped[0] = step->inputs[1];
        swapped[1] = step->inputs[0];
        step->inputs = swapped;
        step->extent = dcls_plan_extent(plan, in[1]);
    }
    step->run = run_broadcast;
    return DCLS_OK;
}

static dcls_status lower_concat(dcls_context *ctx, const dcls_plan *plan, const dcls_group *group,
                                dcls_step *step)
{
    (void)group;
    int64_t *channels = dcls_arena_alloc(ctx, step->arena, (size_t)step->input_count, sizeof *channels);
    if (!channels) return DCLS_ERR_MEMORY;
    for (int k = 0; k < step->input_count; k++)
        channels[k] = plan->shapes[step->node->inputs[k]].size[1];
    step->channels = channels;
    step->run = run_concat;
    return DCLS_OK;
}

static dcls_status lower_resize(dcls_context *ctx, const dcls_plan *plan, const dcls_group *group,
                                dcls_step *step)
{
    (void)ctx;
    const dcls_node *node = step->node;
    step->resize = dcls_node_resize(node, &plan->shapes[node->inputs[0]], &plan->shapes[group->tail + 1]);
    step->input_count = 1; /* a second input gives its size alone */
    step->run = run_resize;
    return DCLS_OK;
}

static dcls_status lower_linear(dcls_context *ctx, const dcls_plan *plan, const dcls_group *group,
                                dcls_step *step)
{
    (void)plan, (void)group;
    step->weight = dcls_plan_floats(ctx, step->arena, step->node->weight);
    if (!step->weight || !optional_floats(ctx, step->arena, step->node->bias, &step->bias))
        return DCLS_ERR_MEMORY;
    step->run = run_linear;
    return DCLS_OK;
}

typedef dcls_status lower_fn(dcls_context *ctx, const dcls_plan *plan, const dcls_group *group,
                             dcls_step *step);

static lower_fn *const lower_table[DCLS_OP_COUNT] = {
    [DCLS_OP_CONV] = dcls_lower_conv,
    [DCLS_OP_DCLS] = dcls_lower_conv,
    [DCLS_OP_LINEAR] = lower_linear,
    [DCLS_OP_BATCH_NORM] = lower_affine,
    [DCLS_OP_LAYER_NORM] = lower_layer_norm,
    [DCLS_OP_RELU] = lower_activation,
    [DCLS_OP_GELU] = lower_activation,
    [DCLS_OP_SIGMOID] = lower_activation,
    [DCLS_OP_SOFTMAX] = lower_softmax,
    [DCLS_OP_MAX_POOL] = lower_pool,
    [DCLS_OP_AVG_POOL] = lower_pool,
    [DCLS_OP_GLOBAL_AVG_POOL] = lower_global_pool,
    [DCLS_OP_GLOBAL_MAX_POOL] = lower_global_pool,
    [DCLS_OP_ADD] = lower_elementwise,
    [DCLS_OP_MUL] = lower_elementwise,
    [DCLS_OP_LAYER_SCALE] = lower_affine,
    [DCLS_OP_CONCAT] = lower_concat,
    [DCLS_OP_RESIZE] = lower_resize,
};

/* Many layers may share one small tensor, and each packs it anew. */
static dcls_status count_packed(dcls_context *ctx, dcls_plan *plan, dcls_step *step)
{
    if (step->conv == NULL) return DCLS_OK;
    const uint64_t bytes = dcls_conv_packed_bytes(step->conv);
    const uint64_t all = atomic_fetch_add(&plan->packed_bytes, bytes) + bytes;
    const uint64_t limit = dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES);
    if (all <= limit) return DCLS_OK;
    atomic_fetch_sub(&plan->packed_bytes, bytes);
    dcls_conv_destroy(step->conv);
    step->conv = NULL;
    return dcls_fail(ctx, DCLS_ERR_LIMIT, "packed weights take %.1f MB, over the memory limit of %.1f MB",
                     (double)all / 1e6, (double)limit / 1e6);
}

/* step->arena is set. */
static dcls_status lower_group(dcls_context *ctx, dcls_plan *plan, const dcls_group *group, dcls_step *step)
{
    dcls_arena *arena = step->arena;
    int head = group->ahead >= 0 ? plan->groups[group->ahead].head : group->head;
    const dcls_node *node = &plan->model->nodes[head];
    int *inputs = dcls_arena_alloc(ctx, arena, (size_t)node->input_count, sizeof *inputs);
    if (!inputs) return DCLS_ERR_MEMORY;
    for (int k = 0; k < node->input_count; k++)
        inputs[k] = plan->root[node->inputs[k]];
    *step = (dcls_step){.arena = arena,
                        .node = node,
                        .head = head,
                        .tail = group->tail,
                        .input_count = node->input_count,
                        .inputs = inputs,
                        .residual = group->residual,
                        .output = group->tail + 1,
                        .extent = dcls_plan_extent(plan, node->inputs[0])};
    dcls_status status = lower_table[node->op](ctx, plan, group, step);
    if (!status) status = count_packed(ctx, plan, step);
    if (status) return dcls_fail_within(ctx, status, "node '%s' (%s): ", node->name, dcls_op_name(node->op));
    return DCLS_OK;
}

/* ---- all of them ---- */

/* Worker w takes memory from plan->arenas[w]. */
typedef struct lowering {
    dcls_plan *plan;
    size_t most;      /* bytes of weights: larger steps are made in turn, each on all threads */
    const int *group; /* of every step */
    dcls_context **ctx;
    dcls_status *status; /* of every step */
} lowering;

static size_t weight_bytes(const dcls_plan *plan, int group)
{
    const dcls_tensor *weight = plan->model->nodes[plan->groups[group].head].weight;
    return weight ? weight->nbytes : 0;
}

static void lower_one(void *arg, int64_t item, int worker)
{
    const lowering *l = arg;
    dcls_step *step = &l->plan->steps[item];
    if (weight_bytes(l->plan, l->group[item]) > l->most) return;
    step->arena = &l->plan->arenas[worker];
    l->status[item] = lower_group(l->ctx[worker], l->plan, &l->plan->groups[l->group[item]], step);
}

/* Those that are left, and those that failed again, for the message. */
static dcls_status lower_in_turn(dcls_context *ctx, dcls_plan *plan, const int *group,
                                 const dcls_status *status)
{
    for (int i = 0; i < plan->step_count; i++) {
        if (status[i] == DCLS_OK) continue;
        dcls_conv_destroy(plan->steps[i].conv);
        plan->steps[i] = (dcls_step){.arena = &plan->arena};
        DCLS_TRY(lower_group(ctx, plan, &plan->groups[group[i]], &plan->steps[i]));
    }
    return DCLS_OK;
}

/* Where steps are many enough for it, and it is worth it. */
static dcls_status lower_side_by_side(dcls_context *ctx, dcls_plan *plan, const int *group,
                                      dcls_status *status)
{
    const int threads = plan->threads;
    size_t bytes = 0;
    for (int i = 0; i < plan->step_count; i++)
        bytes += weight_bytes(plan, group[i]);
    if (threads < 2 || plan->step_count < 2 * threads ||
        dcls_threads_for(threads, (int64_t)(bytes / sizeof(float))) == 1)
        return DCLS_OK;
    lowering l = {.plan = plan, .most = bytes / (size_t)threads, .group = group, .status = status};
    plan->arenas = dcls_arena_alloc(ctx, &plan->arena, (size_t)threads, sizeof *plan->arenas);
    if (!plan->arenas) return DCLS_ERR_MEMORY;
    plan->arena_count = threads;
    DCLS_TRY(dcls_contexts_create(ctx, threads, &l.ctx));
    dcls_parallel_for(threads, plan->step_count, lower_one, &l);
    dcls_contexts_destroy(l.ctx, threads);
    return DCLS_OK;
}

dcls_status dcls_plan_lower(dcls_context *ctx, dcls_plan *plan)
{
    const size_t wanted = (size_t)plan->step_count;
    int *group = dcls_arena_alloc(ctx, &plan->arena, wanted, sizeof *group);
    dcls_status *status = dcls_arena_alloc(ctx, &plan->arena, wanted, sizeof *status);
    plan->steps = dcls_arena_alloc(ctx, &plan->arena, wanted, sizeof *plan->steps);
    if (!group || !status || !plan->steps) {
        plan->step_count = 0;
        return DCLS_ERR_MEMORY;
    }
    for (int g = 0, i = 0; g < plan->group_count; g++)
        if (!plan->groups[g].absorbed) {
            status[i] = DCLS_ERR_ARGUMENT; /* to be made */
            group[i++] = g;
        }
    DCLS_TRY(lower_side_by_side(ctx, plan, group, status));
    return lower_in_turn(ctx, plan, group, status);
}
