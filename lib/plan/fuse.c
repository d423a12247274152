/* Which nodes run as one step. A convolution takes along the batch norms, activation, layer scale and
 * residual that follow it, as long as nobody else looks at the values between. */
#include "plan/node_ops.h"
#include "plan/plan_internal.h"

typedef struct fuser {
    dcls_plan *plan;
    const dcls_model *model;
    int *uses;     /* per value: how many nodes read it, the network's output counted */
    int *consumer; /* per value: the last node that reads it */
} fuser;

static bool is_rename(const dcls_node *node)
{
    switch (node->op) {
    case DCLS_OP_FLATTEN:
    case DCLS_OP_DROPOUT:
    case DCLS_OP_DROP_PATH:
    case DCLS_OP_IDENTITY: return true;
    default: return false;
    }
}

/* The other operand of an addition, as a value with storage that exists before the group's head runs; else
 * -1. */
static int residual_of(const fuser *f, const dcls_group *group, const dcls_node *node, int value)
{
    const dcls_plan *plan = f->plan;
    int other = node->inputs[plan->root[node->inputs[0]] == plan->root[value] ? 1 : 0];
    const dcls_shape *a = &plan->shapes[value], *b = &plan->shapes[other];
    if (!dcls_shape_equal(a->ndim, a->size, b->ndim, b->size)) return -1;
    int root = plan->root[other];
    if (root == 0) return root;
    int made_by = plan->group_of[root - 1];
    return made_by >= 0 && plan->groups[made_by].head < group->head ? root : -1;
}

/* Adds node, the only reader of `value`, to the group if the group's form has room for it. */
static bool absorb(const fuser *f, dcls_group *group, const dcls_node *node, int value)
{
    bool plain = group->activation == DCLS_ACT_NONE && group->affine_count == 0;
    dcls_activation activation = dcls_node_activation(node);
    if (is_rename(node)) return node->op != DCLS_OP_FLATTEN;
    if (node->op == DCLS_OP_BATCH_NORM || node->op == DCLS_OP_LAYER_SCALE) {
        if (group->residual >= 0 || group->activation2 != DCLS_ACT_NONE) return false;
        int *list = plain ? group->fold : group->affine,
            *count = plain ? &group->fold_count : &group->affine_count;
        if (*count == DCLS_MAX_FOLDS) return false;
        list[(*count)++] = (int)(node - f->model->nodes);
        return true;
    }
    if (activation != DCLS_ACT_NONE) {
        bool first = plain && group->residual < 0;
        if (!first && group->activation2 != DCLS_ACT_NONE) return false;
        *(first ? &group->activation : &group->activation2) = activation;
        return true;
    }
    if (node->op == DCLS_OP_ADD && group->residual < 0 && group->activation2 == DCLS_ACT_NONE) {
        group->residual = residual_of(f, group, node, value);
        return group->residual >= 0;
    }
    return false;
}

static void grow_group(const fuser *f, dcls_group *group)
{
    for (;;) {
        int value = group->tail + 1;
        if (f->uses[value] != 1 || value == f->model->output) return;
        int next = f->consumer[value];
        if (!absorb(f, group, &f->model->nodes[next], value)) return;
        f->plan->root[next + 1] = next + 1;
        group->tail = next;
    }
}

/* A convolution that a pair may be made of: 1x1, every input channel to every output channel. */
static bool is_pointwise(const dcls_node *node)
{
    const dcls_window *w = &node->window;
    bool yes = node->op == DCLS_OP_CONV && node->groups == 1;
    for (int d = 0; d < w->ndim; d++)
        yes = yes && w->kernel[d] == 1 && w->stride[d] == 1 && w->pad_before[d] == 0 && w->pad_after[d] == 0;
    return yes;
}

/* The group whose only purpose is to feed a pointwise convolution with another one, which then does both: the
 * wide values between, as in an inverted bottleneck, need no memory. */
static void take_ahead(const fuser *f, dcls_group *group)
{
    dcls_plan *plan = f->plan;
    const dcls_node *node = &f->model->nodes[group->head];
    int value = node->inputs[0], root = plan->root[value];
    if (!is_pointwise(node) || root == 0 || root != value || f->uses[value] != 1) return;
    int made_by = plan->group_of[root - 1];
    dcls_group *ahead = &plan->groups[made_by];
    const dcls_node *first = &f->model->nodes[ahead->head];
    bool plain = ahead->residual < 0 && ahead->affine_count == 0 && ahead->activation2 == DCLS_ACT_NONE;
    if (!plain || ahead->ahead >= 0 || ahead->tail != root - 1 || !is_pointwise(first)) return;
    if (first->out_channels > DCLS_PAIR_MOST) return;
    group->ahead = made_by;
    ahead->absorbed = true;
    plan->step_count--;
}

static void count_uses(const fuser *f)
{
    const dcls_model *model = f->model;
    for (size_t i = 0; i < model->node_count; i++) {
        const dcls_node *node = &model->nodes[i];
        for (int k = 0; k < node->input_count; k++) {
            f->uses[node->inputs[k]]++;
            f->consumer[node->inputs[k]] = (int)i;
        }
    }
    f->uses[model->output]++;
}

static void form_groups(const fuser *f)
{
    dcls_plan *plan = f->plan;
    for (int i = 0; i < (int)f->model->node_count; i++) {
        const dcls_node *node = &f->model->nodes[i];
        if (plan->group_of[i] >= 0) continue;
        if (is_rename(node)) {
            plan->root[i + 1] = plan->root[node->inputs[0]];
            continue;
        }
        dcls_group *group = &plan->groups[plan->group_count];
        *group = (dcls_group){.head = i, .tail = i, .residual = -1, .ahead = -1};
        bool grows = node->op == DCLS_OP_CONV || node->op == DCLS_OP_DCLS;
        if (grows && !plan->keep_values) grow_group(f, group);
        /* All values inside a group are the tail's: nobody else reads them. */
        for (int n = i; n != group->tail; n = f->consumer[n + 1])
            plan->group_of[n] = plan->group_count;
        plan->group_of[group->tail] = plan->group_count++;
        plan->step_count++;
        if (!plan->keep_values) take_ahead(f, group);
    }
}

dcls_status dcls_plan_fuse(dcls_context *ctx, dcls_plan *plan)
{
    const dcls_model *model = plan->model;
    size_t values = model->node_count + 1;
    fuser f = {.plan = plan, .model = model};
    f.uses = dcls_arena_alloc(ctx, &plan->arena, values, sizeof *f.uses);
    f.consumer = dcls_arena_alloc(ctx, &plan->arena, values, sizeof *f.consumer);
    plan->root = dcls_arena_alloc(ctx, &plan->arena, values, sizeof *plan->root);
    plan->groups = dcls_arena_alloc(ctx, &plan->arena, model->node_count, sizeof *plan->groups);
    plan->group_of = dcls_arena_alloc(ctx, &plan->arena, model->node_count, sizeof *plan->group_of);
    if (!f.uses || !f.consumer || !plan->root || !plan->groups || !plan->group_of) return DCLS_ERR_MEMORY;
    for (size_t v = 0; v < values; v++)
        plan->root[v] = (int)v;
    for (size_t n = 0; n < model->node_count; n++)
        plan->group_of[n] = -1;
    count_uses(&f);
    form_groups(&f);
    return DCLS_OK;
}
