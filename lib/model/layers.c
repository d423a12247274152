/* The DCLS layers of a set of tensors that holds no network. */
#include "model/layers.h"

#include <stdlib.h>
#include <string.h>

#include "model/check.h"
#include "model/settings.h"

/* The name of another tensor beside X.P: X.last. NULL when memory is short. */
static char *beside(dcls_context *ctx, const dcls_tensor *P, const char *last, dcls_layers *out)
{
    const size_t length = strlen(P->name) - 1;
    char *name = dcls_arena_alloc(ctx, &out->names, length + strlen(last) + 1, 1);
    if (name == NULL) return NULL;
    memcpy(name, P->name, length);
    strcpy(name + length, last);
    return name;
}

/* Adds X if the tensor is X.P and there is an X.weight. */
static dcls_status add_layer(dcls_context *ctx, const dcls_tensors *tensors, const dcls_tensor *P,
                             dcls_layers *out)
{
    static const struct {
        const char *last;
        dcls_slot slot;
    } others[] = {{"weight", DCLS_SLOT_WEIGHT}, {"bias", DCLS_SLOT_BIAS}, {"SIG", DCLS_SLOT_SIG}};
    const size_t length = strlen(P->name);
    if (length < 3 || strcmp(P->name + length - 2, ".P") != 0) return DCLS_OK;
    dcls_draft_node layer = {.node.op = DCLS_OP_DCLS};
    dcls_attr_defaults(&layer.node);
    layer.node.name = dcls_arena_strndup(ctx, &out->names, P->name, length - 2);
    if (layer.node.name == NULL) return DCLS_ERR_MEMORY;
    layer.tensor[DCLS_SLOT_P] = P->name;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const char *name = beside(ctx, P, others[i].last, out);
        if (name == NULL) return DCLS_ERR_MEMORY;
        if (dcls_tensors_find(tensors, name) != NULL) layer.tensor[others[i].slot] = name;
    }
    if (layer.tensor[DCLS_SLOT_WEIGHT] == NULL) return DCLS_OK;
    DCLS_TRY(dcls_grow(ctx, &out->items, &out->capacity, out->count + 1, sizeof *out->items));
    out->items[out->count++] = layer;
    return DCLS_OK;
}

dcls_status dcls_layers_list(dcls_context *ctx, const dcls_tensors *tensors, dcls_layers *out)
{
    *out = (dcls_layers){0};
    for (size_t i = 0; i < tensors->count; i++) {
        const dcls_status status = add_layer(ctx, tensors, &tensors->items[i], out);
        if (status == DCLS_OK) continue;
        dcls_layers_free(out);
        return status;
    }
    return DCLS_OK;
}

static dcls_status find_layers(dcls_context *ctx, const dcls_tensors *tensors, dcls_layers *out)
{
    DCLS_TRY(dcls_layers_list(ctx, tensors, out));
    if (out->count == 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "there is no DCLS layer: no X.weight with an X.P beside it");
    return DCLS_OK;
}

/* Without a network only the tensors tell how many dimensions a layer has. */
static int layer_ndim(const dcls_node *node)
{
    switch (node->layer) {
    case DCLS_LAYER_FULL: break;
    case DCLS_LAYER_3_1D: return 3;
    case DCLS_LAYER_2_1D:
    case DCLS_LAYER_2DK1D: return 2;
    }
    const int64_t positions = node->P->ndim > 0 ? node->P->shape[0] : 0;
    return positions >= 1 && positions <= DCLS_MAX_SPATIAL ? (int)positions : 0;
}

static dcls_status check_layer(dcls_context *ctx, const dcls_tensors *tensors, dcls_draft_node *layer)
{
    DCLS_TRY(dcls_check_attributes(ctx, tensors, layer));
    const int ndim = layer_ndim(&layer->node);
    if (ndim == 0)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "the first size of P, tensor '%s', must be 1 to 3",
                         layer->node.P->name);
    layer->node.window.ndim = ndim;
    return dcls_check_layer(ctx, layer, ndim);
}

static dcls_status check_layers(dcls_context *ctx, const dcls_tensors *tensors, dcls_layers *found)
{
    for (size_t i = 0; i < found->count; i++) {
        const dcls_status status = check_layer(ctx, tensors, &found->items[i]);
        if (status != DCLS_OK)
            return dcls_fail_within(ctx, status, "layer '%s': ", found->items[i].node.name);
    }
    return DCLS_OK;
}

dcls_status dcls_layers_find(dcls_context *ctx, const dcls_tensors *tensors, const char *const *texts,
                             size_t text_count, dcls_layers *out)
{
    *out = (dcls_layers){0};
    dcls_settings settings;
    DCLS_TRY(dcls_settings_parse(ctx, texts, text_count, &settings));
    dcls_status status = find_layers(ctx, tensors, out);
    if (status == DCLS_OK) status = dcls_settings_apply(ctx, &settings, out->items, out->count);
    if (status == DCLS_OK) status = check_layers(ctx, tensors, out);
    dcls_settings_free(&settings);
    if (status != DCLS_OK) dcls_layers_free(out);
    return status;
}

void dcls_layers_free(dcls_layers *layers)
{
    dcls_arena_free(&layers->names);
    free(layers->items);
    *layers = (dcls_layers){0};
}
