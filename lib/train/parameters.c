#include "train/parameters.h"

#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "base/text.h"
#include "model/rewrite.h"

static dcls_role role_of(const dcls_node *node, dcls_slot slot)
{
    const bool weighs = node->op == DCLS_OP_CONV || node->op == DCLS_OP_DCLS || node->op == DCLS_OP_LINEAR;
    switch (slot) {
    case DCLS_SLOT_P: return DCLS_ROLE_POSITION;
    case DCLS_SLOT_SIG: return DCLS_ROLE_SPREAD;
    case DCLS_SLOT_RUNNING_MEAN:
    case DCLS_SLOT_RUNNING_VAR: return DCLS_ROLE_BUFFER;
    case DCLS_SLOT_WEIGHT: return weighs ? DCLS_ROLE_WEIGHT : DCLS_ROLE_OTHER;
    default: return DCLS_ROLE_OTHER;
    }
}

static void describe_positions(const dcls_node *node, dcls_parameter *p)
{
    dcls_kernel k;
    dcls_node_kernel(node, &k);
    p->ndim = k.ndim;
    p->rows = k.position_rows;
    p->elements = k.count;
    p->stuck_when_whole = k.version == DCLS_V1;
    for (int j = 0; j < k.ndim; j++)
        p->limit[j] = (float)(k.size[j] / 2); /* whole cells */
}

static dcls_status add(dcls_context *ctx, const dcls_node *node, dcls_slot slot, const char *const *freeze,
                       size_t freeze_count, dcls_parameters *out)
{
    const dcls_tensor *tensor = dcls_node_tensor(node, slot);
    if (tensor == NULL) return DCLS_OK;
    bool found;
    DCLS_TRY(dcls_map_add(ctx, &out->index, tensor->name, (int64_t)out->count, &found, NULL));
    if (found) return DCLS_OK;
    DCLS_TRY(dcls_grow(ctx, &out->items, &out->capacity, out->count + 1, sizeof *out->items));
    dcls_parameter *p = &out->items[out->count++];
    *p = (dcls_parameter){.name = tensor->name,
                          .tensor = tensor,
                          .role = role_of(node, slot),
                          .frozen = dcls_any_matches(freeze, freeze_count, tensor->name),
                          .count = tensor->nbytes / sizeof(float)};
    memcpy(&p->value, &tensor->data, sizeof p->value); /* the caller made it writable */
    if (p->role == DCLS_ROLE_POSITION) describe_positions(node, p);
    if (p->role != DCLS_ROLE_BUFFER) out->floats += p->count;
    return DCLS_OK;
}

static dcls_status add_gradients(dcls_context *ctx, dcls_parameters *out)
{
    float *next = out->gradients = dcls_alloc_zero(ctx, out->floats, sizeof *next);
    if (next == NULL) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < out->count; i++) {
        if (out->items[i].role == DCLS_ROLE_BUFFER) continue;
        out->items[i].gradient = next;
        next += out->items[i].count;
    }
    return DCLS_OK;
}

dcls_status dcls_parameters_create(dcls_context *ctx, const dcls_model *model, const char *const *freeze,
                                   size_t freeze_count, dcls_parameters *out)
{
    *out = (dcls_parameters){0};
    for (size_t n = 0; n < model->node_count; n++)
        for (int slot = 0; slot < DCLS_SLOT_COUNT; slot++)
            DCLS_TRY(add(ctx, &model->nodes[n], (dcls_slot)slot, freeze, freeze_count, out));
    return add_gradients(ctx, out);
}

void dcls_parameters_free(dcls_parameters *parameters)
{
    free(parameters->items);
    free(parameters->gradients);
    dcls_map_free(&parameters->index);
    *parameters = (dcls_parameters){0};
}

dcls_parameter *dcls_parameters_find(const dcls_parameters *parameters, const dcls_tensor *tensor)
{
    if (tensor == NULL) return NULL;
    const int64_t at = dcls_map_find(&parameters->index, tensor->name);
    return at < 0 ? NULL : &parameters->items[at];
}

static dcls_status copy_as_floats(dcls_context *ctx, dcls_tensors *set, const dcls_tensor *tensor)
{
    if (!dcls_dtype_is_float(tensor->dtype)) return dcls_copy_tensor(ctx, set, tensor);
    void *data;
    DCLS_TRY(dcls_tensors_add_new(ctx, set, tensor->name, DCLS_F32, tensor->ndim, tensor->shape, &data));
    dcls_to_float(tensor->dtype, tensor->data, data, tensor->nbytes / dcls_dtype_size(tensor->dtype));
    return DCLS_OK;
}

/* What the network uses: anything else in the file, such as the state of an optimiser, is not the model's. */
static dcls_status copy_used(dcls_context *ctx, const dcls_model *model, dcls_tensors *set)
{
    for (size_t n = 0; n < model->node_count; n++)
        for (int slot = 0; slot < DCLS_SLOT_COUNT; slot++) {
            const dcls_tensor *tensor = dcls_node_tensor(&model->nodes[n], (dcls_slot)slot);
            if (tensor != NULL && dcls_tensors_find(set, tensor->name) == NULL)
                DCLS_TRY(copy_as_floats(ctx, set, tensor));
        }
    return DCLS_OK;
}

dcls_status dcls_model_writable_copy(dcls_context *ctx, const dcls_model *model, dcls_model **out)
{
    *out = NULL;
    dcls_tensors *set;
    DCLS_TRY(dcls_tensors_create(ctx, "", &set));
    const dcls_status status = copy_used(ctx, model, set);
    if (status == DCLS_OK) return dcls_rebuild_model(ctx, model, model->nodes, set, out);
    dcls_tensors_destroy(set);
    return status;
}
