/* DCLS layers as the plain convolutions they are equal to: the kernel is constructed, positions and spreads
 * leave. */
#include <stdlib.h>
#include <string.h>

#include "dcls_tools.h"
#include "model/layers.h"
#include "model/rewrite.h"

dcls_status dcls_node_construct(dcls_context *ctx, const dcls_node *node, float *dense)
{
    float *weight = NULL, *P = NULL, *SIG = NULL;
    dcls_kernel k;
    dcls_node_kernel(node, &k);
    dcls_status status = dcls_load_floats(ctx, node->weight, &weight);
    if (status == DCLS_OK) status = dcls_load_floats(ctx, node->P, &P);
    if (status == DCLS_OK) status = dcls_load_floats(ctx, node->SIG, &SIG);
    if (status == DCLS_OK) {
        k.weight = weight;
        k.P = P;
        k.SIG = SIG;
        status = dcls_kernel_construct(ctx, &k, dcls_context_threads(ctx), dense);
    }
    free(weight);
    free(P);
    free(SIG);
    return status;
}

/* Adds the dense kernel of a layer: [out, in/groups, D..]. */
static dcls_status add_dense(dcls_context *ctx, dcls_tensors *set, const dcls_node *node, const char *name)
{
    const int ndim = node->window.ndim;
    int64_t shape[DCLS_MAX_DIMS] = {node->weight->shape[0], node->weight->shape[1]};
    memcpy(shape + 2, node->window.kernel, (size_t)ndim * sizeof shape[0]);
    void *data;
    DCLS_TRY(dcls_tensors_add_new(ctx, set, name, DCLS_F32, ndim + 2, shape, &data));
    return dcls_node_construct(ctx, node, data);
}

/* What becomes of each tensor of a set: copied, left out, or the weight of a layer that becomes dense. */
typedef struct fate {
    const dcls_node *layer;
    bool leaves;
} fate;

/* Layers' weights become kernels, their P and SIG leave; all else is copied in order. */
static dcls_status copy_dense(dcls_context *ctx, const dcls_tensors *from, const fate *fates,
                              dcls_tensors **out)
{
    dcls_tensors *set;
    DCLS_TRY(dcls_tensors_create(ctx, "", &set));
    dcls_status status = dcls_copy_meta(ctx, from, NULL, set);
    for (size_t i = 0; i < from->count && status == DCLS_OK; i++) {
        const dcls_tensor *tensor = &from->items[i];
        if (fates[i].layer != NULL) {
            status = add_dense(ctx, set, fates[i].layer, tensor->name);
            if (status != DCLS_OK) dcls_fail_within(ctx, status, "layer '%s': ", fates[i].layer->name);
        } else if (!fates[i].leaves) {
            status = dcls_copy_tensor(ctx, set, tensor);
        }
    }
    if (status == DCLS_OK)
        *out = set;
    else
        dcls_tensors_destroy(set);
    return status;
}

/* ---- models --------------------------------------------------------------------------------------- */

/* Two layers may share a weight only when they share everything else that makes the kernel. */
static bool same_kernel(const dcls_node *a, const dcls_node *b)
{
    return a->P == b->P && a->SIG == b->SIG && a->version == b->version && a->layer == b->layer &&
           memcmp(a->window.kernel, b->window.kernel, sizeof a->window.kernel) == 0;
}

static dcls_status decide_fates(dcls_context *ctx, const dcls_model *model, fate *fates)
{
    const dcls_tensor *items = model->tensors->items;
    for (size_t i = 0; i < model->node_count; i++) {
        const dcls_node *node = &model->nodes[i];
        if (node->op != DCLS_OP_DCLS) continue;
        fate *weight = &fates[node->weight - items];
        if (weight->layer != NULL && !same_kernel(weight->layer, node))
            return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED,
                             "layers '%s' and '%s' make different kernels of one weight '%s'",
                             weight->layer->name, node->name, node->weight->name);
        weight->layer = node;
        fates[node->P - items].leaves = true;
        if (node->SIG != NULL) fates[node->SIG - items].leaves = true;
    }
    /* What another layer uses as it is must stay as it is. */
    for (size_t i = 0; i < model->node_count; i++)
        for (int slot = 0; slot < DCLS_SLOT_COUNT; slot++) {
            const dcls_node *node = &model->nodes[i];
            const dcls_tensor *tensor = dcls_node_tensor(node, (dcls_slot)slot);
            if (tensor == NULL || (node->op == DCLS_OP_DCLS && slot != DCLS_SLOT_BIAS)) continue;
            if (fates[tensor - items].layer != NULL)
                return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "node '%s' uses the weight '%s' of a DCLS layer",
                                 node->name, tensor->name);
            fates[tensor - items].leaves = false;
        }
    return DCLS_OK;
}

/* The network with its DCLS nodes turned into convolutions; takes the set. */
static dcls_status rebuild_dense(dcls_context *ctx, const dcls_model *model, dcls_tensors *set,
                                 dcls_model **out)
{
    dcls_node *nodes = dcls_alloc(ctx, model->node_count, sizeof *nodes);
    if (nodes == NULL) {
        dcls_tensors_destroy(set);
        return DCLS_ERR_MEMORY;
    }
    memcpy(nodes, model->nodes, model->node_count * sizeof *nodes);
    for (size_t i = 0; i < model->node_count; i++) {
        if (nodes[i].op != DCLS_OP_DCLS) continue;
        nodes[i].op = DCLS_OP_CONV;
        nodes[i].P = nodes[i].SIG = NULL;
    }
    const dcls_status status = dcls_rebuild_model(ctx, model, nodes, set, out);
    free(nodes);
    return status;
}

dcls_status dcls_model_to_dense(dcls_context *ctx, const dcls_model *model, dcls_model **out)
{
    *out = NULL;
    dcls_tensors *set = NULL;
    fate *fates = dcls_alloc_zero(ctx, model->tensors->count, sizeof *fates);
    dcls_status status = fates != NULL ? decide_fates(ctx, model, fates) : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) status = copy_dense(ctx, model->tensors, fates, &set);
    if (status == DCLS_OK) status = rebuild_dense(ctx, model, set, out);
    free(fates);
    return status;
}

/* ---- state dicts ---------------------------------------------------------------------------------- */

dcls_status dcls_tensors_to_dense(dcls_context *ctx, const dcls_tensors *tensors, const char *const *texts,
                                  size_t text_count, dcls_tensors **out)
{
    *out = NULL;
    dcls_layers found;
    DCLS_TRY(dcls_layers_find(ctx, tensors, texts, text_count, &found));
    fate *fates = dcls_alloc_zero(ctx, tensors->count, sizeof *fates);
    for (size_t i = 0; fates != NULL && i < found.count; i++) {
        const dcls_node *node = &found.items[i].node;
        fates[node->weight - tensors->items].layer = node;
        fates[node->P - tensors->items].leaves = true;
        if (node->SIG != NULL) fates[node->SIG - tensors->items].leaves = true;
    }
    dcls_status status = fates != NULL ? copy_dense(ctx, tensors, fates, out) : DCLS_ERR_MEMORY;
    dcls_layers_free(&found);
    free(fates);
    return status;
}
