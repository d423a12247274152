/* Comparing two models or sets of tensors: which tensors belong together, and the rows that come of it. */
#include "analysis/compare.h"

#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"

dcls_compare_options dcls_compare_options_default(void)
{
    return (dcls_compare_options){.atol = -1, .rtol = -1};
}

/* ---- sides ---- */

static void note_layer(dcls_compare_side *side, const dcls_compare_layer *layer)
{
    const dcls_tensor *items = side->tensors->items;
    dcls_compare_layer *known = &side->layers[layer->weight - items];
    if (known->weight != NULL) return; /* of nodes that share a weight the first one stands for all */
    *known = *layer;
    if (side->owner[layer->P - items] == NULL) side->owner[layer->P - items] = layer->weight;
    if (layer->SIG != NULL && side->owner[layer->SIG - items] == NULL)
        side->owner[layer->SIG - items] = layer->weight;
}

static void note_node(dcls_compare_side *side, const dcls_node *node)
{
    const dcls_compare_layer layer = {node->weight, node->P, node->SIG, node};
    if (node->op == DCLS_OP_DCLS) note_layer(side, &layer);
}

static const dcls_tensor *named(const dcls_compare_side *side, const char *name)
{
    return name != NULL ? dcls_tensors_find(side->tensors, name) : NULL;
}

/* Layers of a state dict. Settings make nodes of them, without which only their elements can be compared. */
static dcls_status note_found(dcls_comparer *c, dcls_compare_side *side)
{
    const bool described = c->options->setting_count > 0;
    DCLS_TRY(dcls_layers_list(c->ctx, side->tensors, &side->found));
    if (described && side->found.count > 0) {
        dcls_layers_free(&side->found);
        DCLS_TRY(dcls_layers_find(c->ctx, side->tensors, c->options->settings, c->options->setting_count,
                                  &side->found));
    }
    for (size_t i = 0; i < side->found.count; i++) {
        const dcls_draft_node *draft = &side->found.items[i];
        const dcls_compare_layer layer = {.weight = named(side, draft->tensor[DCLS_SLOT_WEIGHT]),
                                          .P = named(side, draft->tensor[DCLS_SLOT_P]),
                                          .SIG = named(side, draft->tensor[DCLS_SLOT_SIG]),
                                          .node = described ? &draft->node : NULL};
        note_layer(side, &layer);
    }
    return DCLS_OK;
}

static dcls_status open_side(dcls_comparer *c, const dcls_compare_source *source, dcls_compare_side *side)
{
    side->model = source->model;
    side->tensors = source->model != NULL ? source->model->tensors : source->tensors;
    const size_t count = side->tensors->count;
    side->layers = dcls_alloc_zero(c->ctx, count, sizeof *side->layers);
    side->owner = dcls_alloc_zero(c->ctx, count, sizeof *side->owner);
    side->shown = dcls_alloc_zero(c->ctx, count, sizeof *side->shown);
    if (side->layers == NULL || side->owner == NULL || side->shown == NULL) return DCLS_ERR_MEMORY;
    if (side->model == NULL) return note_found(c, side);
    for (size_t i = 0; i < side->model->node_count; i++)
        note_node(side, &side->model->nodes[i]);
    return DCLS_OK;
}

static void close_side(dcls_compare_side *side)
{
    dcls_layers_free(&side->found);
    free(side->layers);
    free(side->owner);
    free(side->shown);
}

/* Settings that reach no layer are a mistake. */
static dcls_status check_settings(const dcls_comparer *c)
{
    if (c->options->setting_count == 0 || c->a.found.count > 0 || c->b.found.count > 0) return DCLS_OK;
    return dcls_fail(c->ctx, DCLS_ERR_ARGUMENT,
                     "settings are for DCLS layers of a file without a network; there are none");
}

/* ---- rows ---- */

dcls_compare_row *dcls_compare_add_row(dcls_comparer *c, const char *name, const dcls_tensor *a,
                                       const dcls_tensor *b)
{
    dcls_comparison *out = c->out;
    const char *copy = dcls_arena_strdup(c->ctx, &out->arena, name);
    if (copy == NULL ||
        dcls_grow(c->ctx, &out->rows, &out->row_capacity, out->row_count + 1, sizeof *out->rows) != DCLS_OK)
        return NULL;
    dcls_compare_row *row = &out->rows[out->row_count++];
    *row = (dcls_compare_row){.name = copy, .decides = true};
    if (a != NULL) {
        row->dtype_a = a->dtype;
        row->ndim_a = a->ndim;
        memcpy(row->shape_a, a->shape, sizeof row->shape_a);
    }
    if (b != NULL) {
        row->dtype_b = b->dtype;
        row->ndim_b = b->ndim;
        memcpy(row->shape_b, b->shape, sizeof row->shape_b);
    }
    if (a == NULL)
        row->result = DCLS_COMPARE_ONLY_B;
    else if (b == NULL)
        row->result = DCLS_COMPARE_ONLY_A;
    else if (!dcls_shape_equal(a->ndim, a->shape, b->ndim, b->shape))
        row->result = DCLS_COMPARE_SHAPE;
    return row;
}

static void mark_shown(dcls_compare_side *side, const dcls_tensor *tensor)
{
    if (tensor != NULL) side->shown[tensor - side->tensors->items] = true;
}

static void mark_layer_shown(dcls_compare_side *side, const dcls_tensor *weight)
{
    const dcls_compare_layer *layer = &side->layers[weight - side->tensors->items];
    mark_shown(side, weight);
    mark_shown(side, layer->P);
    mark_shown(side, layer->SIG);
}

static dcls_status compare_plainly(dcls_comparer *c, const char *name, const dcls_tensor *a,
                                   const dcls_tensor *b)
{
    dcls_compare_row *row = dcls_compare_add_row(c, name, a, b);
    if (row == NULL) return DCLS_ERR_MEMORY;
    if (a != NULL) mark_shown(&c->a, a);
    if (b != NULL) mark_shown(&c->b, b);
    if (a == NULL || b == NULL) row->decides = c->options->strict || !dcls_is_byproduct(row->name);
    if (a == NULL || b == NULL || row->result == DCLS_COMPARE_SHAPE) return DCLS_OK;
    return dcls_compare_values(c->ctx, c->options, a, b, row);
}

/* The layer that a weight, P or SIG belongs to, if it can be compared as one. */
static dcls_status compare_layer(dcls_comparer *c, const dcls_tensor *weight_a, const dcls_tensor *weight_b,
                                 bool *done)
{
    *done = false;
    if (weight_a == NULL || weight_b == NULL) return DCLS_OK;
    if (c->a.shown[weight_a - c->a.tensors->items] || c->b.shown[weight_b - c->b.tensors->items])
        return DCLS_OK;
    DCLS_TRY(dcls_compare_pair(c, weight_a, weight_b, done));
    if (!*done) return DCLS_OK;
    mark_layer_shown(&c->a, weight_a);
    mark_layer_shown(&c->b, weight_b);
    return DCLS_OK;
}

/* Arrays of one tensor each are compared whatever they are called. */
static bool are_single(const dcls_comparer *c)
{
    return c->a.tensors->count == 1 && c->b.tensors->count == 1 &&
           (strcmp(c->a.tensors->format, "npy") == 0 || strcmp(c->b.tensors->format, "npy") == 0);
}

static const dcls_tensor *partner(const dcls_comparer *c, const dcls_compare_side *other,
                                  const dcls_tensor *tensor)
{
    return are_single(c) ? other->tensors->items : dcls_tensors_find(other->tensors, tensor->name);
}

static dcls_status compare_of_a(dcls_comparer *c, const dcls_tensor *a)
{
    const size_t i = (size_t)(a - c->a.tensors->items);
    const dcls_tensor *weight = c->a.owner[i] != NULL ? c->a.owner[i] : a;
    bool done = false;
    if (c->a.shown[i]) return DCLS_OK;
    DCLS_TRY(compare_layer(c, weight, partner(c, &c->b, weight), &done));
    return done ? DCLS_OK : compare_plainly(c, a->name, a, partner(c, &c->b, a));
}

static dcls_status compare_tensors(dcls_comparer *c)
{
    for (size_t i = 0; i < c->a.tensors->count; i++)
        DCLS_TRY(compare_of_a(c, &c->a.tensors->items[i]));
    for (size_t i = 0; i < c->b.tensors->count; i++)
        if (!c->b.shown[i])
            DCLS_TRY(compare_plainly(c, c->b.tensors->items[i].name, NULL, &c->b.tensors->items[i]));
    return DCLS_OK;
}

static dcls_status compare_sides(dcls_comparer *c, const dcls_compare_source *a, const dcls_compare_source *b)
{
    dcls_status status = open_side(c, a, &c->a);
    if (status != DCLS_OK) return dcls_fail_within(c->ctx, status, "A: ");
    status = open_side(c, b, &c->b);
    if (status != DCLS_OK) return dcls_fail_within(c->ctx, status, "B: ");
    DCLS_TRY(check_settings(c));
    if (c->a.model != NULL && c->b.model != NULL) DCLS_TRY(dcls_compare_structure(c));
    return compare_tensors(c);
}

dcls_status dcls_compare(dcls_context *ctx, const dcls_compare_source *a, const dcls_compare_source *b,
                         const dcls_compare_options *options, dcls_comparison **out)
{
    dcls_comparer c = {.ctx = ctx, .options = options};
    *out = NULL;
    c.out = dcls_alloc_zero(ctx, 1, sizeof *c.out);
    if (c.out == NULL) return DCLS_ERR_MEMORY;
    const dcls_status status = compare_sides(&c, a, b);
    close_side(&c.a);
    close_side(&c.b);
    c.out->strict = options->strict;
    if (status == DCLS_OK)
        *out = c.out;
    else
        dcls_comparison_destroy(c.out);
    return status;
}

/* ---- the result ---- */

void dcls_comparison_destroy(dcls_comparison *comparison)
{
    if (comparison == NULL) return;
    free(comparison->rows);
    free(comparison->changes);
    dcls_arena_free(&comparison->arena);
    free(comparison);
}

static bool row_differs(const dcls_comparison *comparison, const dcls_compare_row *row)
{
    if (!row->decides) return false;
    return row->result >= DCLS_COMPARE_DIFFERENT || (comparison->strict && row->dtype_a != row->dtype_b);
}

bool dcls_comparison_differs(const dcls_comparison *comparison)
{
    for (size_t i = 0; i < comparison->change_count; i++)
        if (comparison->changes[i].decides) return true;
    for (size_t i = 0; i < comparison->row_count; i++)
        if (row_differs(comparison, &comparison->rows[i])) return true;
    return false;
}

size_t dcls_comparison_row_count(const dcls_comparison *comparison)
{
    return comparison->row_count;
}

const dcls_compare_row *dcls_comparison_row(const dcls_comparison *comparison, size_t index)
{
    return &comparison->rows[index];
}

size_t dcls_comparison_change_count(const dcls_comparison *comparison)
{
    return comparison->change_count;
}

const dcls_compare_change *dcls_comparison_change(const dcls_comparison *comparison, size_t index)
{
    return &comparison->changes[index];
}
