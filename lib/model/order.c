/* From names to numbered values: resolves what nodes refer to, refuses cycles and dead ends, and puts nodes
 * in an order in which they can run. An order that already works is kept. */
#include <stdlib.h>
#include <string.h>

#include "model/draft.h"

static const char *draft_name(const void *of, size_t index)
{
    const dcls_draft *draft = of;
    return index == draft->count ? "input" : draft->nodes[index].node.name;
}

/* Values of the draft: 0 is the input, i + 1 its node i. */
static dcls_status name_values(dcls_context *ctx, const dcls_draft *draft, dcls_map *values)
{
    DCLS_TRY(dcls_map_add(ctx, values, "input", 0, NULL, NULL));
    for (size_t i = 0; i < draft->count; i++) {
        const char *name = draft->nodes[i].node.name;
        bool found = false;
        if (name[0] == '\0')
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "node number %zu has an empty name", i + 1);
        DCLS_TRY(dcls_map_add(ctx, values, name, (int64_t)i + 1, &found, NULL));
        if (found && strcmp(name, "input") == 0)
            return dcls_fail(ctx, DCLS_ERR_FORMAT,
                             "a node is named 'input', which stands for the network's input");
        if (found) return dcls_fail(ctx, DCLS_ERR_FORMAT, "two nodes are named '%s'", name);
    }
    return DCLS_OK;
}

static dcls_status find_value(dcls_context *ctx, const dcls_draft *draft, const dcls_map *values,
                              const char *name, const char *what, int *out)
{
    const int64_t value = dcls_map_find(values, name);
    char hint[DCLS_HINT_TEXT];
    if (value < 0) {
        dcls_hint(hint, sizeof hint, dcls_nearest(name, draft->count + 1, draft_name, draft));
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "%s '%s' does not exist%s", what, name, hint);
    }
    *out = (int)value;
    return DCLS_OK;
}

static dcls_status resolve_node(dcls_context *ctx, const dcls_draft *draft, const dcls_map *values,
                                dcls_draft_node *node)
{
    const dcls_op_info *info = dcls_op_describe(node->node.op);
    if (node->input_count < info->min_inputs || node->input_count > info->max_inputs)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "it has %d input%s, must have %d%s", node->input_count,
                         node->input_count == 1 ? "" : "s", info->min_inputs,
                         info->max_inputs > info->min_inputs ? " or more" : "");
    node->node.input_count = node->input_count;
    for (int k = 0; k < node->input_count; k++)
        DCLS_TRY(find_value(ctx, draft, values, node->inputs[k], "its input", &node->node.inputs[k]));
    return DCLS_OK;
}

/* ---- sorting -------------------------------------------------------------------------------------- */

typedef struct visit {
    size_t node;
    int next; /* input to look at */
} visit;

typedef struct sorter {
    const dcls_draft *draft;
    unsigned char *state; /* per node: 0 not seen, 1 on the stack, 2 done */
    visit *stack;
    size_t depth;
    size_t *order; /* nodes, each after its inputs */
    size_t done;
} sorter;

#define SHOWN_OF_CYCLE 8

/* The stack holds consumers before producers; the path is shown in the direction of the data. */
static dcls_status fail_cycle(dcls_context *ctx, const sorter *s, size_t again)
{
    size_t first = s->depth;
    while (first > 0 && s->stack[first - 1].node != again)
        first--;
    dcls_string path = {0};
    dcls_string_puts(&path, s->draft->nodes[again].node.name);
    for (size_t i = s->depth; i >= first; i--) {
        if (s->depth - i == SHOWN_OF_CYCLE && i > first + 1) {
            dcls_string_puts(&path, " -> ..");
            i = first;
        }
        dcls_string_printf(&path, " -> %s", s->draft->nodes[s->stack[i - 1].node].node.name);
    }
    dcls_fail(ctx, DCLS_ERR_FORMAT, "the nodes form a cycle: %s", path.failed ? "" : path.data);
    dcls_string_free(&path);
    return DCLS_ERR_FORMAT;
}

static void push(sorter *s, size_t node)
{
    s->state[node] = 1;
    s->stack[s->depth++] = (visit){.node = node};
}

/* Depth first, with a stack of our own: a chain may have as many nodes as a network. */
static dcls_status sort_from(dcls_context *ctx, sorter *s, size_t root)
{
    push(s, root);
    while (s->depth > 0) {
        visit *top = &s->stack[s->depth - 1];
        const dcls_node *node = &s->draft->nodes[top->node].node;
        if (top->next == node->input_count) {
            s->state[top->node] = 2;
            s->order[s->done++] = top->node;
            s->depth--;
            continue;
        }
        const int value = node->inputs[top->next++];
        if (value == 0) continue;
        const size_t producer = (size_t)value - 1;
        if (s->state[producer] == 1) return fail_cycle(ctx, s, producer);
        if (s->state[producer] == 0) push(s, producer);
    }
    return DCLS_OK;
}

static dcls_status sort_nodes(dcls_context *ctx, const dcls_draft *draft, size_t *order)
{
    dcls_status status = DCLS_OK;
    sorter s = {.draft = draft, .order = order};
    s.state = dcls_alloc_zero(ctx, draft->count, sizeof *s.state);
    s.stack = dcls_alloc_zero(ctx, draft->count, sizeof *s.stack);
    if (s.state == NULL || s.stack == NULL) status = DCLS_ERR_MEMORY;
    for (size_t i = 0; status == DCLS_OK && i < draft->count; i++)
        if (s.state[i] == 0) status = sort_from(ctx, &s, i);
    free(s.state);
    free(s.stack);
    return status;
}

/* ---- the model's nodes ---------------------------------------------------------------------------- */

static dcls_status check_used(dcls_context *ctx, const dcls_model *model)
{
    bool *used = dcls_alloc_zero(ctx, model->node_count + 1, sizeof *used);
    if (used == NULL) return DCLS_ERR_MEMORY;
    used[model->output] = true;
    for (size_t i = 0; i < model->node_count; i++)
        for (int k = 0; k < model->nodes[i].input_count; k++)
            used[model->nodes[i].inputs[k]] = true;
    const dcls_node *dead = NULL;
    for (size_t i = 0; i < model->node_count && dead == NULL; i++)
        if (!used[i + 1]) dead = &model->nodes[i];
    free(used);
    if (dead == NULL) return DCLS_OK;
    return dcls_fail(
        ctx, DCLS_ERR_FORMAT,
        "node '%s' (%s): its output is neither used nor the network's output '%s': a network has one output",
        dead->name, dcls_op_name(dead->op), model->nodes[model->output - 1].name);
}

/* Checks a node, number `index` of the model, whose tensors are made first where that is to be. shapes is
 * NULL unless it is. */
static dcls_status check_placed(dcls_context *ctx, dcls_draft *draft, dcls_draft_node *node, size_t index,
                                dcls_shape *shapes)
{
    dcls_model *model = draft->model;
    if (shapes != NULL)
        DCLS_TRY(draft->maker->make(ctx, draft->maker->arg, model->tensors, node, model,
                                    &shapes[node->node.inputs[0]]));
    DCLS_TRY(dcls_check_node(ctx, model, node));
    if (shapes == NULL) return DCLS_OK;
    return dcls_infer_node(ctx, model, DCLS_ERR_FORMAT, &node->node, shapes, &shapes[index + 1]);
}

/* Room for the shapes of all values and for all tensors that may be made; NULL where none are. */
static dcls_status prepare_making(dcls_context *ctx, const dcls_draft *draft, dcls_shape **out)
{
    *out = NULL;
    if (draft->maker == NULL) return DCLS_OK;
    const dcls_model *model = draft->model;
    dcls_tensors *tensors = model->tensors;
    DCLS_TRY(dcls_grow(ctx, &tensors->items, &tensors->capacity,
                       tensors->count + draft->count * DCLS_SLOT_COUNT, sizeof *tensors->items));
    *out = dcls_alloc(ctx, draft->count + 1, sizeof **out);
    if (*out == NULL) return DCLS_ERR_MEMORY;
    (*out)[0] = (dcls_shape){.ndim = model->input_ndim};
    memcpy((*out)[0].size, model->input_shape, sizeof model->input_shape);
    return DCLS_OK;
}

/* Copies nodes into the model in execution order and renumbers values. */
static dcls_status place_nodes(dcls_context *ctx, dcls_draft *draft, const size_t *order, int output)
{
    dcls_model *model = draft->model;
    dcls_shape *shapes;
    DCLS_TRY(prepare_making(ctx, draft, &shapes));
    int *position = dcls_alloc_zero(ctx, draft->count + 1, sizeof *position);
    model->nodes = dcls_arena_alloc(ctx, &model->arena, draft->count, sizeof *model->nodes);
    if (position == NULL || model->nodes == NULL) {
        free(position);
        free(shapes);
        return DCLS_ERR_MEMORY;
    }
    for (size_t i = 0; i < draft->count; i++)
        position[order[i] + 1] = (int)i + 1;
    dcls_status status = DCLS_OK;
    for (size_t i = 0; i < draft->count && status == DCLS_OK; i++) {
        dcls_draft_node *node = &draft->nodes[order[i]];
        for (int k = 0; k < node->input_count; k++)
            node->node.inputs[k] = position[node->node.inputs[k]];
        status = check_placed(ctx, draft, node, i, shapes);
        if (status != DCLS_OK)
            dcls_fail_within(ctx, status, "node '%s' (%s): ", node->node.name, dcls_op_name(node->node.op));
        model->nodes[i] = node->node;
    }
    model->node_count = draft->count;
    model->output = position[output];
    free(position);
    free(shapes);
    return status;
}

static dcls_status resolve(dcls_context *ctx, dcls_draft *draft, dcls_map *values, int *output)
{
    DCLS_TRY(name_values(ctx, draft, values));
    for (size_t i = 0; i < draft->count; i++) {
        dcls_draft_node *node = &draft->nodes[i];
        const dcls_status status = resolve_node(ctx, draft, values, node);
        if (status != DCLS_OK)
            return dcls_fail_within(ctx, status, "node '%s' (%s): ", node->node.name,
                                    dcls_op_name(node->node.op));
    }
    *output = (int)draft->count;
    if (draft->output == NULL) return DCLS_OK;
    DCLS_TRY(find_value(ctx, draft, values, draft->output, "the output", output));
    if (*output == 0) return dcls_fail(ctx, DCLS_ERR_FORMAT, "the output is the network's input");
    return DCLS_OK;
}

dcls_status dcls_check_order(dcls_context *ctx, dcls_draft *draft)
{
    if (draft->count == 0) return dcls_fail(ctx, DCLS_ERR_FORMAT, "the network has no nodes");
    dcls_map values = {0};
    int output = 0;
    size_t *order = dcls_alloc_zero(ctx, draft->count, sizeof *order);
    dcls_status status = order != NULL ? resolve(ctx, draft, &values, &output) : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) status = sort_nodes(ctx, draft, order);
    if (status == DCLS_OK) status = place_nodes(ctx, draft, order, output);
    if (status == DCLS_OK) status = check_used(ctx, draft->model);
    dcls_map_free(&values);
    free(order);
    return status;
}
