/* What dcls_explain is told about a layer, read off layers of models and state dicts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/report.h"
#include "dcls_analysis.h"
#include "model/attributes.h"
#include "model/layers.h"
#include "plan/plan_internal.h"

static dcls_status no_such_layer(dcls_context *ctx, const char *name, const char *first)
{
    if (first == NULL) return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "there is no DCLS layer");
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                     "there is no DCLS layer '%s'; the first one is '%s', dcls inspect shows all", name,
                     first);
}

static const char *layer_name_at(const void *of, size_t index)
{
    const dcls_node *node = &((const dcls_model *)of)->nodes[index];
    return node->op == DCLS_OP_DCLS ? node->name : NULL;
}

/* What may have been meant, where another node has the name or a layer one like it. */
static dcls_status not_in_model(dcls_context *ctx, const dcls_model *model, const char *name,
                                const char *first)
{
    for (size_t i = 0; first != NULL && i < model->node_count; i++)
        if (strcmp(model->nodes[i].name, name) == 0)
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "'%s' is no DCLS layer but '%s'; the first one is '%s'",
                             name, dcls_op_name(model->nodes[i].op), first);
    const char *nearest = first != NULL ? dcls_nearest(name, model->node_count, layer_name_at, model) : NULL;
    if (nearest == NULL) return no_such_layer(ctx, name, first);
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "there is no DCLS layer '%s'; did you mean '%s'?", name,
                     nearest);
}

static dcls_status find_layer(dcls_context *ctx, const dcls_model *model, const char *name, size_t *out)
{
    const char *first = NULL;
    for (size_t i = 0; i < model->node_count; i++) {
        if (model->nodes[i].op != DCLS_OP_DCLS) continue;
        if (first == NULL) first = model->nodes[i].name;
        if (name != NULL && strcmp(model->nodes[i].name, name) != 0) continue;
        *out = i;
        return DCLS_OK;
    }
    return not_in_model(ctx, model, name, first);
}

static dcls_status measure_spread(dcls_context *ctx, const dcls_node *node, double *out)
{
    *out = -1;
    if (node->SIG == NULL) return DCLS_OK;
    dcls_tensor_stats stats;
    double sum = 0;
    DCLS_TRY(dcls_tensor_statistics(ctx, node->SIG, &stats));
    const int64_t finite = stats.count - stats.nan - stats.inf;
    for (int64_t i = 0; i < stats.count; i++) {
        const double s = dcls_tensor_value(node->SIG, i);
        if (isfinite(s)) sum += fabs(s);
    }
    if (finite > 0) *out = sum / (double)finite;
    return DCLS_OK;
}

/* All but channels, stride, padding and input. */
static dcls_status describe_layer(dcls_context *ctx, const dcls_node *node, dcls_layer_spec *out,
                                  dcls_layer_report *learned)
{
    dcls_layer_report report;
    DCLS_TRY(dcls_report_layer(ctx, node, true, &report));
    *out = (dcls_layer_spec){.layer = report.layer,
                             .version = report.version,
                             .ndim = node->window.ndim,
                             .kernel_count = node->kernel_count,
                             .bias = node->bias != NULL,
                             .shared_positions = node->shared_positions,
                             .taps = report.taps};
    memcpy(out->dilated_kernel_size, node->window.kernel, sizeof out->dilated_kernel_size);
    if (learned != NULL) *learned = report;
    return measure_spread(ctx, node, &out->spread);
}

dcls_status dcls_layer_spec_of(dcls_context *ctx, const dcls_model *model, const char *name, int ndim,
                               const int64_t *shape, dcls_layer_spec *out, const char **found,
                               dcls_layer_report *learned)
{
    size_t index = 0;
    DCLS_TRY(find_layer(ctx, model, name, &index));
    const dcls_node *node = &model->nodes[index];
    if (found != NULL) *found = node->name;
    dcls_shape *shapes = dcls_alloc(ctx, model->node_count + 1, sizeof *shapes);
    if (shapes == NULL) return DCLS_ERR_MEMORY;
    dcls_status status = dcls_model_infer(ctx, model, ndim, shape, shapes);
    if (status == DCLS_OK) status = describe_layer(ctx, node, out, learned);
    for (int d = 0; status == DCLS_OK && d < node->window.ndim; d++) {
        out->stride[d] = node->window.stride[d];
        out->padding[d] = node->window.pad_before[d];
        out->input[d] = shapes[node->inputs[0]].size[2 + d];
    }
    out->in_channels = node->in_channels;
    out->out_channels = node->out_channels;
    out->groups = node->groups;
    free(shapes);
    return status;
}

static dcls_status describe_found(dcls_context *ctx, const dcls_node *node, dcls_layer_spec *out,
                                  dcls_layer_report *learned)
{
    static const int64_t sizes[] = {0, 1000, 56, 28};
    DCLS_TRY(describe_layer(ctx, node, out, learned));
    const int64_t outputs = node->weight->shape[0], inputs = node->weight->shape[1];
    out->out_channels = outputs;
    out->groups = inputs == 1 ? outputs : 1;
    out->in_channels = inputs * out->groups;
    for (int d = 0; d < out->ndim; d++) {
        out->stride[d] = 1;
        out->padding[d] = DCLS_ANY;
        out->input[d] = sizes[out->ndim];
    }
    return DCLS_OK;
}

dcls_status dcls_layer_spec_of_tensors(dcls_context *ctx, const dcls_tensors *tensors,
                                       const char *const *settings, size_t setting_count, const char *name,
                                       dcls_layer_spec *out, const char **found, size_t *length,
                                       dcls_layer_report *learned)
{
    dcls_layers layers;
    DCLS_TRY(dcls_layers_find(ctx, tensors, settings, setting_count, &layers));
    const dcls_node *node = NULL;
    for (size_t i = 0; i < layers.count && node == NULL; i++)
        if (name == NULL || strcmp(layers.items[i].node.name, name) == 0) node = &layers.items[i].node;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): found layers are at least one */
    const char *first = layers.items[0].node.name;
    dcls_status status = node != NULL ? describe_found(ctx, node, out, learned)
                                      : no_such_layer(ctx, name != NULL ? name : "", first);
    if (status == DCLS_OK) {
        *found = node->weight->name;
        *length = strlen(node->name);
    }
    dcls_layers_free(&layers);
    return status;
}
