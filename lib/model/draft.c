/* Collecting a network before it is checked. */
#include "model/draft.h"

#include <stdlib.h>
#include <string.h>

static dcls_status new_model(dcls_context *ctx, dcls_tensors *tensors, dcls_model **out)
{
    dcls_model *model = dcls_alloc_zero(ctx, 1, sizeof *model);
    if (model == NULL) return DCLS_ERR_MEMORY;
    model->task = DCLS_TASK_FEATURES;
    model->input_ndim = 4;
    model->input_shape[0] = model->input_shape[2] = model->input_shape[3] = DCLS_ANY;
    model->input_shape[1] = 3;
    model->preprocess.filter = DCLS_FILTER_BILINEAR;
    for (int i = 0; i < 3; i++)
        model->preprocess.std[i] = 1;
    model->preprocess.channels = 3;
    model->tensors = tensors;
    *out = model;
    return DCLS_OK;
}

dcls_status dcls_draft_create(dcls_context *ctx, dcls_tensors *tensors, dcls_draft **out)
{
    *out = NULL;
    dcls_draft *draft = dcls_alloc_zero(ctx, 1, sizeof *draft);
    if (draft == NULL || new_model(ctx, tensors, &draft->model) != DCLS_OK) {
        dcls_tensors_destroy(tensors);
        free(draft);
        return DCLS_ERR_MEMORY;
    }
    *out = draft;
    return DCLS_OK;
}

void dcls_draft_destroy(dcls_draft *draft)
{
    if (draft == NULL) return;
    dcls_model_destroy(draft->model);
    free(draft->nodes);
    free(draft);
}

dcls_status dcls_draft_add(dcls_context *ctx, dcls_draft *draft, dcls_op op, const char *name,
                           dcls_draft_node **out)
{
    if (draft->count >= DCLS_MAX_NODES)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the network has more than %d nodes", DCLS_MAX_NODES);
    DCLS_TRY(dcls_grow(ctx, &draft->nodes, &draft->capacity, draft->count + 1, sizeof *draft->nodes));
    dcls_draft_node *node = &draft->nodes[draft->count];
    memset(node, 0, sizeof *node);
    node->node.op = op;
    node->node.name = dcls_arena_strdup(ctx, &draft->model->arena, name);
    if (node->node.name == NULL) return DCLS_ERR_MEMORY;
    dcls_attr_defaults(&node->node);
    draft->count++;
    *out = node;
    return DCLS_OK;
}

dcls_status dcls_draft_connect(dcls_context *ctx, dcls_draft *draft, dcls_draft_node *node, int count,
                               int index, const char *value)
{
    dcls_arena *arena = &draft->model->arena;
    if (node->inputs == NULL) {
        node->inputs = dcls_arena_alloc(ctx, arena, (size_t)count, sizeof *node->inputs);
        node->node.inputs = dcls_arena_alloc(ctx, arena, (size_t)count, sizeof *node->node.inputs);
        if (node->inputs == NULL || node->node.inputs == NULL) return DCLS_ERR_MEMORY;
        node->input_count = count;
    }
    node->inputs[index] = dcls_arena_strdup(ctx, arena, value);
    return node->inputs[index] != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
}

dcls_status dcls_draft_finish(dcls_context *ctx, dcls_draft *draft, dcls_model **out)
{
    *out = NULL;
    dcls_status status = dcls_check_order(ctx, draft);
    if (status == DCLS_OK) status = dcls_check_values(ctx, draft->model);
    if (status == DCLS_OK) {
        *out = draft->model;
        draft->model = NULL;
    }
    dcls_draft_destroy(draft);
    return status;
}
