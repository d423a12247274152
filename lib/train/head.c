/* A network for other classes: its last layer is made anew, all others stay. */
#include <stdlib.h>
#include <string.h>

#include "model/rewrite.h"
#include "train/create.h"

static bool has_outputs(const dcls_node *node)
{
    return node->op == DCLS_OP_CONV || node->op == DCLS_OP_DCLS || node->op == DCLS_OP_LINEAR;
}

/* What may stand between the last layer and the output: every channel stays one of its own. */
static bool keeps_channels(dcls_op op)
{
    switch (op) {
    case DCLS_OP_SIGMOID:
    case DCLS_OP_SOFTMAX:
    case DCLS_OP_MAX_POOL:
    case DCLS_OP_AVG_POOL:
    case DCLS_OP_GLOBAL_AVG_POOL:
    case DCLS_OP_GLOBAL_MAX_POOL:
    case DCLS_OP_FLATTEN:
    case DCLS_OP_RESIZE:
    case DCLS_OP_DROPOUT:
    case DCLS_OP_IDENTITY: return true;
    default: return false;
    }
}

static dcls_status find_head(dcls_context *ctx, const dcls_model *model, size_t *out)
{
    int value = model->output;
    while (value > 0 && keeps_channels(model->nodes[value - 1].op))
        value = model->nodes[value - 1].inputs[0];
    if (value == 0) return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "no layer with weights makes its output");
    const dcls_node *head = &model->nodes[value - 1];
    int64_t classes;
    DCLS_TRY(dcls_model_classes(ctx, model, &classes));
    if (!has_outputs(head))
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "its output comes from '%s' (%s), which has no weights",
                         head->name, dcls_op_name(head->op));
    if (head->out_channels != classes || head->groups != 1)
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "the outputs of its last layer '%s' are not its classes",
                         head->name);
    for (size_t i = 0; i < model->node_count; i++)
        if (&model->nodes[i] != head && model->nodes[i].weight == head->weight)
            return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "its last layer '%s' shares tensor '%s' with '%s'",
                             head->name, head->weight->name, model->nodes[i].name);
    *out = (size_t)(value - 1);
    return DCLS_OK;
}

/* Which axis of a tensor of the layer counts outputs; -1: none does. */
static int output_axis(const dcls_node *node, dcls_slot slot)
{
    if (slot != DCLS_SLOT_P && slot != DCLS_SLOT_SIG) return 0;
    return node->shared_positions ? -1 : 1;
}

static dcls_status put_tensor(dcls_context *ctx, dcls_tensors *set, const dcls_node *node, dcls_slot slot,
                              int64_t classes)
{
    const dcls_tensor *old = dcls_node_tensor(node, slot);
    const int axis = output_axis(node, slot);
    int64_t shape[DCLS_MAX_DIMS];
    void *data;
    if (old == NULL || dcls_tensors_find(set, old->name) != NULL) return DCLS_OK;
    memcpy(shape, old->shape, (size_t)old->ndim * sizeof *shape);
    if (axis >= 0) shape[axis] = classes;
    return dcls_tensors_add_new(ctx, set, old->name, DCLS_F32, old->ndim, shape, &data);
}

static dcls_status put_tensors(dcls_context *ctx, dcls_tensors *set, const dcls_model *model, size_t head,
                               int64_t classes)
{
    DCLS_TRY(dcls_copy_meta(ctx, model->tensors, NULL, set));
    for (int slot = 0; slot < DCLS_SLOT_COUNT; slot++)
        DCLS_TRY(put_tensor(ctx, set, &model->nodes[head], (dcls_slot)slot, classes));
    const dcls_tensors *from = model->tensors;
    for (size_t i = 0; i < from->count; i++)
        if (dcls_tensors_find(set, from->items[i].name) == NULL)
            DCLS_TRY(dcls_copy_tensor(ctx, set, &from->items[i]));
    return DCLS_OK;
}

/* The header with other classes; strings stay the caller's. */
static dcls_status rename_classes(dcls_context *ctx, const dcls_model *model, int64_t classes,
                                  const char *const *labels, dcls_model *out)
{
    *out = *model;
    out->palette_count = 0; /* of other classes */
    out->labels = NULL;
    out->label_count = 0;
    if (labels == NULL) return DCLS_OK;
    out->labels = dcls_alloc(ctx, (size_t)classes, sizeof *out->labels);
    if (out->labels == NULL) return DCLS_ERR_MEMORY;
    memcpy(out->labels, labels, (size_t)classes * sizeof *labels);
    out->label_count = (size_t)classes;
    return DCLS_OK;
}

static dcls_status rebuild(dcls_context *ctx, const dcls_model *model, size_t head, int64_t classes,
                           const char *const *labels, dcls_model **out)
{
    dcls_model renamed;
    dcls_tensors *set;
    DCLS_TRY(rename_classes(ctx, model, classes, labels, &renamed));
    dcls_status status = dcls_tensors_create(ctx, "", &set);
    if (status == DCLS_OK) status = put_tensors(ctx, set, model, head, classes);
    if (status == DCLS_OK)
        status = dcls_rebuild_model(ctx, &renamed, model->nodes, set, out); /* takes the set */
    else
        dcls_tensors_destroy(set);
    free(renamed.labels);
    return status;
}

/* Nodes are in order of execution, which another order of equals might change: the name finds it. */
static const dcls_node *find_node(const dcls_model *model, const char *name)
{
    for (size_t i = 0; i < model->node_count; i++)
        if (strcmp(model->nodes[i].name, name) == 0) return &model->nodes[i];
    return NULL;
}

static dcls_status make(dcls_context *ctx, const dcls_model *model, int64_t classes,
                        const char *const *labels, uint64_t seed, dcls_model **out, const char **layer)
{
    size_t head = 0;
    DCLS_TRY(find_head(ctx, model, &head));
    DCLS_TRY(rebuild(ctx, model, head, classes, labels, out));
    const dcls_node *node = find_node(*out, model->nodes[head].name);
    if (layer != NULL) *layer = node->name;
    DCLS_TRY(dcls_initialize_node(ctx, *out, node, seed));
    return dcls_model_describe(ctx, *out);
}

dcls_status dcls_model_new_head(dcls_context *ctx, const dcls_model *model, int64_t classes,
                                const char *const *labels, uint64_t seed, dcls_model **out,
                                const char **layer)
{
    dcls_model *made = NULL;
    *out = NULL;
    if (classes < 1 || classes > INT32_MAX)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%lld classes", (long long)classes);
    const dcls_status status = make(ctx, model, classes, labels, seed, &made, layer);
    if (status == DCLS_OK)
        *out = made;
    else
        dcls_model_destroy(made);
    return status;
}
