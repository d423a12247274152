#include "model/kernel_layers.h"

#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "model/rewrite.h"

/* ---- choosing ------------------------------------------------------------------------------------- */

static int64_t longest_side(const dcls_node *node)
{
    int64_t longest = 1;
    for (int d = 0; d < node->window.ndim; d++)
        if (node->window.kernel[d] > longest) longest = node->window.kernel[d];
    return longest;
}

static bool is_chosen(const dcls_node *node, const char *glob, bool plain)
{
    if (node->op != DCLS_OP_DCLS && (node->op != DCLS_OP_CONV || !plain)) return false;
    if (glob != NULL) return fnmatch(glob, node->name, 0) == 0 && longest_side(node) > 1;
    return node->op == DCLS_OP_DCLS || (node->weight->shape[1] == 1 && longest_side(node) > 3);
}

static dcls_status add_layer(dcls_context *ctx, const dcls_node *node, dcls_kernel_layers *out)
{
    dcls_kernel_layer *layer = &out->items[out->count++];
    *layer = (dcls_kernel_layer){.from = node, .node = *node};
    dcls_layer_change *change = &layer->change;
    change->ndim = node->window.ndim;
    memcpy(change->window, node->window.kernel, sizeof change->window);
    change->kernels = node->weight->shape[0] * node->weight->shape[1];
    change->fix_error = change->fit_error = change->merge_error = change->prune_error = change->round_error =
        -1;
    change->layer = node->name;
    change->version = "";
    change->parameters_before = change->parameters_after = dcls_dense_parameters(node);
    if (node->op != DCLS_OP_DCLS) return DCLS_OK;
    DCLS_TRY(dcls_elements_load(ctx, node, &layer->elements));
    change->version = dcls_kernel_version_name(node->version);
    change->count_before = change->count_after = node->kernel_count;
    change->parameters_before = change->parameters_after = dcls_element_parameters(&layer->elements.k);
    return DCLS_OK;
}

static dcls_status choose(dcls_context *ctx, const dcls_node *node, const char *glob, bool plain,
                          dcls_kernel_layers *out)
{
    return is_chosen(node, glob, plain) ? add_layer(ctx, node, out) : DCLS_OK;
}

/* ---- sets of tensors without a network ------------------------------------------------------------ */

static bool ends_with(const char *text, const char *suffix)
{
    const size_t length = strlen(text), tail = strlen(suffix);
    return length > tail && strcmp(text + length - tail, suffix) == 0;
}

static bool has_positions(const dcls_tensors *tensors)
{
    for (size_t i = 0; i < tensors->count; i++)
        if (ends_with(tensors->items[i].name, ".P")) return true;
    return false;
}

/* "X.weight" [out, in/groups, D..], unless it belongs to a DCLS layer. */
static dcls_status add_plain(dcls_context *ctx, const dcls_tensor *tensor, dcls_kernel_layers *out)
{
    if (!ends_with(tensor->name, ".weight") || !dcls_dtype_is_float(tensor->dtype)) return DCLS_OK;
    if (tensor->ndim < 3 || tensor->ndim > 2 + DCLS_MAX_SPATIAL || tensor->nbytes == 0) return DCLS_OK;
    for (size_t i = 0; i < out->found.count; i++)
        if (out->found.items[i].node.weight == tensor) return DCLS_OK;
    dcls_node *node = &out->plain[out->plain_count];
    *node = (dcls_node){.op = DCLS_OP_CONV, .weight = tensor};
    node->name = dcls_arena_strndup(ctx, &out->names, tensor->name, strlen(tensor->name) - strlen(".weight"));
    if (node->name == NULL) return DCLS_ERR_MEMORY;
    node->window.ndim = tensor->ndim - 2;
    for (int d = 0; d < DCLS_MAX_SPATIAL; d++)
        node->window.kernel[d] = d < node->window.ndim ? tensor->shape[2 + d] : 1;
    out->plain_count++;
    return DCLS_OK;
}

static dcls_status find_in_tensors(dcls_context *ctx, const char *const *settings, size_t setting_count,
                                   dcls_kernel_layers *out)
{
    out->plain = dcls_alloc(ctx, out->tensors->count, sizeof *out->plain);
    if (out->plain == NULL) return DCLS_ERR_MEMORY;
    if (has_positions(out->tensors))
        DCLS_TRY(dcls_layers_find(ctx, out->tensors, settings, setting_count, &out->found));
    for (size_t i = 0; i < out->tensors->count; i++)
        DCLS_TRY(add_plain(ctx, &out->tensors->items[i], out));
    return DCLS_OK;
}

static dcls_status choose_in_tensors(dcls_context *ctx, const char *glob, bool plain, dcls_kernel_layers *out)
{
    for (size_t i = 0; i < out->found.count; i++)
        DCLS_TRY(choose(ctx, &out->found.items[i].node, glob, plain, out));
    for (size_t i = 0; i < out->plain_count; i++)
        DCLS_TRY(choose(ctx, &out->plain[i], glob, plain, out));
    return DCLS_OK;
}

/* ---- what layers share ---------------------------------------------------------------------------- */

static size_t node_count(const dcls_kernel_layers *layers)
{
    return layers->model != NULL ? layers->model->node_count : layers->found.count + layers->plain_count;
}

static const dcls_node *node_at(const dcls_kernel_layers *layers, size_t i)
{
    if (layers->model != NULL) return &layers->model->nodes[i];
    return i < layers->found.count ? &layers->found.items[i].node : &layers->plain[i - layers->found.count];
}

static dcls_status check_sharing(dcls_context *ctx, dcls_kernel_layers *layers)
{
    for (size_t i = 0; i < layers->count; i++) {
        dcls_kernel_layer *layer = &layers->items[i];
        for (size_t n = 0; n < node_count(layers); n++) {
            const dcls_node *other = node_at(layers, n);
            if (other == layer->from) continue;
            if (other->weight == layer->from->weight)
                return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "nodes '%s' and '%s' share the weight '%s'",
                                 layer->from->name, other->name, other->weight->name);
            if (other->P != NULL && other->P == layer->from->P) layer->shares_positions = true;
        }
    }
    return DCLS_OK;
}

static dcls_status choose_all(dcls_context *ctx, const char *glob, bool plain, const char *const *settings,
                              size_t setting_count, dcls_kernel_layers *out)
{
    if (out->model == NULL) DCLS_TRY(find_in_tensors(ctx, settings, setting_count, out));
    out->items = dcls_alloc_zero(ctx, node_count(out), sizeof *out->items);
    if (out->items == NULL) return DCLS_ERR_MEMORY;
    if (out->model == NULL) DCLS_TRY(choose_in_tensors(ctx, glob, plain, out));
    for (size_t i = 0; out->model != NULL && i < out->model->node_count; i++)
        DCLS_TRY(choose(ctx, &out->model->nodes[i], glob, plain, out));
    if (out->count > 0) return check_sharing(ctx, out);
    if (glob != NULL)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "no %s with more than one cell has a name that matches '%s'",
                         plain ? "convolution" : "DCLS layer", glob);
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "there is no DCLS layer%s",
                     plain ? " and no depthwise convolution larger than 3: name layers with --layers" : "");
}

dcls_status dcls_kernel_layers_choose(dcls_context *ctx, const dcls_model *model, const dcls_tensors *tensors,
                                      const char *glob, bool plain, const char *const *settings,
                                      size_t setting_count, dcls_kernel_layers *out)
{
    *out = (dcls_kernel_layers){.model = model, .tensors = model != NULL ? model->tensors : tensors};
    const dcls_status status = choose_all(ctx, glob, plain, settings, setting_count, out);
    if (status != DCLS_OK) dcls_kernel_layers_free(out);
    return status;
}

void dcls_kernel_layers_free(dcls_kernel_layers *layers)
{
    for (size_t i = 0; i < layers->count; i++)
        dcls_elements_free(&layers->items[i].elements);
    free(layers->items);
    free(layers->plain);
    dcls_layers_free(&layers->found);
    dcls_arena_free(&layers->names);
    *layers = (dcls_kernel_layers){0};
}

/* ---- kernels -------------------------------------------------------------------------------------- */

int64_t dcls_dense_parameters(const dcls_node *node)
{
    int64_t count = node->weight->shape[0] * node->weight->shape[1];
    for (int d = 0; d < node->window.ndim; d++)
        count *= node->window.kernel[d];
    return count;
}

int64_t dcls_element_parameters(const dcls_kernel *k)
{
    const int64_t per_position = k->ndim * (dcls_kernel_version_has_spread(k->version) ? 2 : 1);
    return k->count * (k->rows + k->position_rows * per_position);
}

dcls_status dcls_kernel_layer_dense(dcls_context *ctx, const dcls_kernel_layer *layer, float **out)
{
    const int64_t count = dcls_dense_parameters(layer->from);
    dcls_status status = DCLS_OK;
    if (layer->from->op == DCLS_OP_DCLS) {
        *out = dcls_alloc(ctx, (size_t)count, sizeof **out);
        status = *out != NULL ? dcls_node_construct(ctx, layer->from, *out) : DCLS_ERR_MEMORY;
    } else {
        status = dcls_load_floats(ctx, layer->from->weight, out);
    }
    for (int64_t i = 0; i < count && status == DCLS_OK; i++)
        if (!isfinite((*out)[i]))
            status = dcls_fail(ctx, DCLS_ERR_FORMAT, "layer '%s': its kernel has values that are not finite",
                               layer->from->name);
    if (status == DCLS_OK) return DCLS_OK;
    free(*out);
    *out = NULL;
    return status;
}

double dcls_relative_error(const float *a, const float *b, int64_t count)
{
    double lost = 0, all = 0;
    for (int64_t i = 0; i < count; i++) {
        const double d = (double)a[i] - (double)b[i];
        lost += d * d;
        all += (double)b[i] * (double)b[i];
    }
    return lost > 0 ? sqrt(lost / all) : 0;
}

/* ---- putting back --------------------------------------------------------------------------------- */

const char *dcls_kernel_layer_name(dcls_context *ctx, dcls_kernel_layers *layers,
                                   const dcls_kernel_layer *layer, const char *suffix)
{
    const char *weight = layer->from->weight->name;
    const size_t length = strlen(weight) - (ends_with(weight, ".weight") ? strlen(".weight") : 0);
    char *name = dcls_arena_alloc(ctx, &layers->names, length + strlen(suffix) + 1, 1);
    if (name == NULL) return NULL;
    memcpy(name, weight, length);
    strcpy(name + length, suffix);
    return name;
}

/* Tensors of chosen layers leave unless some other node needs them. */
static void mark_leaving(const dcls_kernel_layers *layers, bool *leaves)
{
    const dcls_tensor *first = layers->tensors->items;
    for (size_t i = 0; i < layers->count; i++) {
        const dcls_node *from = layers->items[i].from;
        leaves[from->weight - first] = true;
        if (from->P != NULL) leaves[from->P - first] = true;
        if (from->SIG != NULL) leaves[from->SIG - first] = true;
    }
    for (size_t n = 0; n < node_count(layers); n++) {
        const dcls_node *node = node_at(layers, n);
        bool chosen = false;
        for (size_t i = 0; i < layers->count; i++)
            chosen = chosen || layers->items[i].from == node;
        for (int slot = 0; slot < DCLS_SLOT_COUNT && !chosen; slot++) {
            const dcls_tensor *tensor = dcls_node_tensor(node, (dcls_slot)slot);
            if (tensor != NULL) leaves[tensor - first] = false;
        }
    }
}

static const dcls_kernel_layer *layer_of(const dcls_kernel_layers *layers, const dcls_tensor *weight)
{
    for (size_t i = 0; i < layers->count; i++)
        if (layers->items[i].from->weight == weight) return &layers->items[i];
    return NULL;
}

static dcls_status rewrite(dcls_context *ctx, dcls_kernel_layers *layers, const bool *leaves,
                           dcls_put_layer *put, void *arg, dcls_tensors *set)
{
    /* the network's description would be wrong */
    DCLS_TRY(dcls_copy_meta(ctx, layers->tensors, DCLS_META_MODEL, set));
    for (size_t i = 0; i < layers->tensors->count; i++) {
        const dcls_tensor *tensor = &layers->tensors->items[i];
        const dcls_kernel_layer *layer = layer_of(layers, tensor);
        if (layer != NULL)
            DCLS_TRY(put(ctx, arg, layers, layer, set));
        else if (!leaves[i])
            DCLS_TRY(dcls_copy_tensor(ctx, set, tensor));
    }
    return DCLS_OK;
}

dcls_status dcls_kernel_layers_rewrite(dcls_context *ctx, dcls_kernel_layers *layers, dcls_put_layer *put,
                                       void *arg, dcls_tensors **out)
{
    bool *leaves = dcls_alloc_zero(ctx, layers->tensors->count, sizeof *leaves);
    dcls_tensors *set = NULL;
    dcls_status status = leaves != NULL ? dcls_tensors_create(ctx, "", &set) : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) {
        mark_leaving(layers, leaves);
        status = rewrite(ctx, layers, leaves, put, arg, set);
    }
    free(leaves);
    if (status == DCLS_OK)
        *out = set;
    else
        dcls_tensors_destroy(set);
    return status;
}

/* ---- changes -------------------------------------------------------------------------------------- */

struct dcls_changes {
    dcls_layer_change *items;
    size_t count;
    dcls_arena names;
};

dcls_status dcls_changes_create(dcls_context *ctx, const dcls_kernel_layers *layers, dcls_changes **out)
{
    dcls_changes *changes = dcls_alloc_zero(ctx, 1, sizeof *changes);
    if (changes == NULL) return DCLS_ERR_MEMORY;
    changes->items = dcls_alloc(ctx, layers->count, sizeof *changes->items);
    bool all = changes->items != NULL;
    for (size_t i = 0; i < layers->count && all; i++) {
        dcls_layer_change *change = &changes->items[changes->count++];
        *change = layers->items[i].change;
        change->layer = dcls_arena_strdup(ctx, &changes->names, change->layer);
        all = change->layer != NULL;
    }
    if (all)
        *out = changes;
    else
        dcls_changes_destroy(changes);
    return all ? DCLS_OK : DCLS_ERR_MEMORY;
}

size_t dcls_changes_count(const dcls_changes *changes)
{
    return changes->count;
}

const dcls_layer_change *dcls_changes_at(const dcls_changes *changes, size_t index)
{
    return &changes->items[index];
}

void dcls_changes_destroy(dcls_changes *changes)
{
    if (changes == NULL) return;
    dcls_arena_free(&changes->names);
    free(changes->items);
    free(changes);
}
