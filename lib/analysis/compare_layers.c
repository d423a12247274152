/* DCLS layers: the elements of a kernel are a set, and a kernel is the same in whatever form it is kept. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/compare.h"
#include "analysis/match.h"
#include "base/tensor.h"
#include "base/threads.h"

#define MAX_COORDINATES (2 * DCLS_MAX_SPATIAL) /* of an element: positions and spreads */

static int64_t values_of(const dcls_tensor *tensor)
{
    return (int64_t)(tensor->nbytes / dcls_dtype_size(tensor->dtype));
}

static bool same_shape(const dcls_tensor *a, const dcls_tensor *b)
{
    return dcls_shape_equal(a->ndim, a->shape, b->ndim, b->shape);
}

/* ---- elements ---- */

/* A layer's learned numbers as rows of elements. Group g, of `groups` that have positions of their own, has
 * the kernels g, g + groups, g + 2 groups, .. */
typedef struct element_set {
    const dcls_compare_layer *layer;
    float *weight, *P, *SIG;
} element_set;

typedef struct matching {
    dcls_context *ctx;
    element_set a, b;
    int ndim;
    int64_t groups, members, count; /* members: kernels of a group */
    dcls_match_options options;
    int64_t *match; /* [groups, count] */
    bool failed;    /* some thread ran out of memory */
} matching;

static bool same_form(const dcls_node *a, const dcls_node *b)
{
    if (a == NULL || b == NULL) return true;
    return a->version == b->version && a->layer == b->layer && a->flat_dim == b->flat_dim &&
           memcmp(a->window.kernel, b->window.kernel, sizeof a->window.kernel) == 0;
}

static bool measure(const dcls_compare_layer *layer, matching *m)
{
    const dcls_tensor *weight = layer->weight, *P = layer->P;
    if (weight->ndim < 1 || P->ndim < 2 || values_of(weight) == 0 || values_of(P) == 0) return false;
    m->count = weight->shape[weight->ndim - 1];
    m->ndim = (int)P->shape[0];
    if (P->shape[0] > DCLS_MAX_SPATIAL || P->shape[P->ndim - 1] != m->count) return false;
    m->groups = values_of(P) / (P->shape[0] * m->count);
    const int64_t rows = values_of(weight) / m->count;
    m->members = rows / m->groups;
    return rows % m->groups == 0 && (layer->SIG == NULL || same_shape(P, layer->SIG));
}

/* Both have elements in the same arrangement and with the same meaning. */
static bool are_alike(const dcls_compare_layer *a, const dcls_compare_layer *b, matching *m)
{
    if (a->P == NULL || b->P == NULL || (a->SIG == NULL) != (b->SIG == NULL)) return false;
    if (!same_shape(a->weight, b->weight) || !same_shape(a->P, b->P) || !same_form(a->node, b->node))
        return false;
    return measure(a, m) && measure(b, m);
}

static dcls_status load(dcls_context *ctx, const dcls_tensor *tensor, float **out)
{
    *out = NULL;
    if (tensor == NULL) return DCLS_OK;
    *out = dcls_alloc(ctx, (size_t)values_of(tensor), sizeof **out);
    if (*out == NULL) return DCLS_ERR_MEMORY;
    dcls_to_float(tensor->dtype, tensor->data, *out, (size_t)values_of(tensor));
    return DCLS_OK;
}

static dcls_status load_elements(dcls_context *ctx, const dcls_compare_layer *layer, element_set *out)
{
    out->layer = layer;
    DCLS_TRY(load(ctx, layer->weight, &out->weight));
    DCLS_TRY(load(ctx, layer->P, &out->P));
    return load(ctx, layer->SIG, &out->SIG);
}

static void free_elements(element_set *set)
{
    free(set->weight);
    free(set->P);
    free(set->SIG);
}

static dcls_match_set group_of(const matching *m, const element_set *set, int64_t group,
                               const float **coordinates /* [MAX_COORDINATES] */)
{
    for (int d = 0; d < m->options.at_count; d++) {
        const float *from = d < m->ndim ? set->P : set->SIG;
        coordinates[d] = from + (d % m->ndim * m->groups + group) * m->count;
    }
    return (dcls_match_set){.count = m->count,
                            .at = coordinates,
                            .weight = set->weight + group * m->count,
                            .weight_count = m->members,
                            .weight_stride = m->groups * m->count};
}

/* Every element is what it was, index included: the usual case. */
static bool is_unchanged(const matching *m, const dcls_match_set *a, const dcls_match_set *b)
{
    for (int d = 0; d < m->options.at_count; d++)
        for (int64_t i = 0; i < m->count; i++)
            if (!(a->at[d][i] == b->at[d][i])) return false;
    for (int64_t k = 0; k < m->members; k++)
        for (int64_t i = 0; i < m->count; i++)
            if (!(a->weight[k * a->weight_stride + i] == b->weight[k * b->weight_stride + i])) return false;
    return true;
}

static void match_group(void *arg, int64_t group, int worker)
{
    matching *m = arg;
    const float *at_a[MAX_COORDINATES] = {NULL}, *at_b[MAX_COORDINATES] = {NULL};
    const dcls_match_set a = group_of(m, &m->a, group, at_a), b = group_of(m, &m->b, group, at_b);
    int64_t *match = m->match + group * m->count;
    (void)worker;
    if (is_unchanged(m, &a, &b)) {
        for (int64_t i = 0; i < m->count; i++)
            match[i] = i;
        return;
    }
    dcls_context own = *m->ctx; /* a context serves one thread */
    if (dcls_match_elements(&own, &a, &b, &m->options, match) != DCLS_OK)
        __atomic_store_n(&m->failed, true, __ATOMIC_RELAXED);
}

/* A change of weight by the root mean square of all of them counts like a move by one cell. */
static double weight_scale(const matching *m)
{
    double squares = 0;
    int64_t finite = 0, count = m->groups * m->members * m->count;
    for (int64_t i = 0; i < count; i++) {
        const double w = (double)m->a.weight[i];
        if (!isfinite(w)) continue;
        squares += w * w;
        finite++;
    }
    return squares > 0 ? sqrt(squares / (double)finite) : 1;
}

static dcls_status match_layers(dcls_comparer *c, matching *m)
{
    const dcls_compare_layer *a = m->a.layer, *b = m->b.layer;
    m->options.at_count = a->SIG != NULL ? 2 * m->ndim : m->ndim;
    m->options.equal_nan = c->options->equal_nan;
    m->options.weight_scale = weight_scale(m);
    dcls_compare_tolerance(c->options, a->weight->dtype, b->weight->dtype, &m->options.atol,
                           &m->options.rtol);
    m->match = dcls_alloc(c->ctx, (size_t)(m->groups * m->count), sizeof *m->match);
    if (m->match == NULL) return DCLS_ERR_MEMORY;
    dcls_parallel_for(dcls_context_threads(c->ctx), m->groups, match_group, m);
    return m->failed ? dcls_fail(c->ctx, DCLS_ERR_MEMORY, "out of memory") : DCLS_OK;
}

/* b with its elements in the order of a's. */
static dcls_status reorder(const matching *m, const dcls_tensor *b, unsigned char **out)
{
    const size_t size = dcls_dtype_size(b->dtype);
    const unsigned char *from = b->data;
    *out = dcls_alloc(m->ctx, b->nbytes, 1);
    if (*out == NULL) return DCLS_ERR_MEMORY;
    for (int64_t row = 0; row < values_of(b) / m->count; row++) {
        const int64_t *match = m->match + row % m->groups * m->count, first = row * m->count;
        for (int64_t i = 0; i < m->count; i++)
            memcpy(*out + (size_t)(first + i) * size, from + (size_t)(first + match[i]) * size, size);
    }
    return DCLS_OK;
}

/* Of a tensor that layers share, each of which may match its elements differently, the worst row stays. */
static void keep_worse(dcls_comparison *out)
{
    const dcls_compare_row *last = &out->rows[out->row_count - 1];
    for (size_t i = 0; i + 1 < out->row_count; i++) {
        dcls_compare_row *row = &out->rows[i];
        if (row->kind != DCLS_COMPARE_ELEMENTS || strcmp(row->name, last->name) != 0) continue;
        if (last->result > row->result || (last->result == row->result && last->relative > row->relative))
            *row = *last;
        out->row_count--;
        return;
    }
}

/* The row of a weight, P or SIG. */
static dcls_status add_elements(dcls_comparer *c, const matching *m, const dcls_tensor *a,
                                const dcls_tensor *b, int64_t moved, bool *same)
{
    unsigned char *data = NULL;
    if (a == NULL) return DCLS_OK;
    dcls_compare_row *row = dcls_compare_add_row(c, a->name, a, b);
    if (row == NULL) return DCLS_ERR_MEMORY;
    row->kind = DCLS_COMPARE_ELEMENTS;
    if (a == m->a.layer->weight) row->moved = moved;
    dcls_status status = moved > 0 ? reorder(m, b, &data) : DCLS_OK;
    dcls_tensor ordered = *b;
    if (data != NULL) ordered.data = data;
    if (status == DCLS_OK) status = dcls_compare_values(c->ctx, c->options, a, &ordered, row);
    free(data);
    if (status != DCLS_OK) return status;
    bool *shown = &c->a.shown[a - c->a.tensors->items];
    *same &= row->result == DCLS_COMPARE_IDENTICAL;
    if (*shown) keep_worse(c->out);
    *shown = true;
    return DCLS_OK;
}

static dcls_status add_element_rows(dcls_comparer *c, const matching *m, bool *same)
{
    const dcls_compare_layer *a = m->a.layer, *b = m->b.layer;
    int64_t moved = 0;
    for (int64_t g = 0; g < m->groups; g++)
        for (int64_t i = 0; i < m->count; i++)
            moved += m->match[g * m->count + i] != i;
    DCLS_TRY(add_elements(c, m, a->weight, b->weight, moved, same));
    DCLS_TRY(add_elements(c, m, a->P, b->P, moved, same));
    return add_elements(c, m, a->SIG, b->SIG, moved, same);
}

static dcls_status compare_elements(dcls_comparer *c, matching *m, const dcls_compare_layer *a,
                                    const dcls_compare_layer *b, bool *same)
{
    m->ctx = c->ctx;
    dcls_status status = load_elements(c->ctx, a, &m->a);
    if (status == DCLS_OK) status = load_elements(c->ctx, b, &m->b);
    if (status == DCLS_OK) status = match_layers(c, m);
    if (status == DCLS_OK) status = add_element_rows(c, m, same);
    free_elements(&m->a);
    free_elements(&m->b);
    free(m->match);
    return status;
}

/* ---- kernels ---- */

/* The dense kernel of a layer, or the weight of a plain convolution as it is. */
typedef struct dense_kernel {
    dcls_tensor tensor;
    int64_t elements; /* of each window; 0: it is no DCLS layer's */
    float *made;      /* NULL: the tensor's own data */
} dense_kernel;

static dcls_status make_kernel(dcls_context *ctx, const dcls_compare_layer *layer, dense_kernel *out)
{
    const dcls_tensor *weight = layer->weight;
    out->tensor = *weight;
    out->made = NULL;
    if (layer->P == NULL) return DCLS_OK;
    dcls_node node = *layer->node;
    node.weight = weight;
    node.P = layer->P;
    node.SIG = layer->SIG;
    out->elements = weight->ndim > 0 ? weight->shape[weight->ndim - 1] : 0;
    dcls_tensor *t = &out->tensor;
    t->dtype = DCLS_F32;
    t->ndim = node.window.ndim + 2;
    memcpy(t->shape + 2, node.window.kernel, (size_t)node.window.ndim * sizeof *t->shape);
    if (!dcls_shape_bytes(DCLS_F32, t->ndim, t->shape, &t->nbytes) ||
        t->nbytes > dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "layer '%s': its dense kernel is too large", node.name);
    out->made = dcls_alloc(ctx, t->nbytes, 1);
    if (out->made == NULL) return DCLS_ERR_MEMORY;
    t->data = out->made;
    return dcls_node_construct(ctx, &node, out->made);
}

static dcls_status add_kernel(dcls_comparer *c, const dense_kernel *a, const dense_kernel *b, bool decides)
{
    dcls_compare_row *row = dcls_compare_add_row(c, a->tensor.name, &a->tensor, &b->tensor);
    if (row == NULL) return DCLS_ERR_MEMORY;
    row->kind = DCLS_COMPARE_KERNEL;
    row->decides = decides;
    row->elements_a = a->elements;
    row->elements_b = b->elements;
    if (row->result == DCLS_COMPARE_SHAPE) return DCLS_OK;
    return dcls_compare_values(c->ctx, c->options, &a->tensor, &b->tensor, row);
}

static dcls_status compare_kernels(dcls_comparer *c, const dcls_compare_layer *a, const dcls_compare_layer *b,
                                   bool decides)
{
    dense_kernel kernel_a = {0}, kernel_b = {0};
    dcls_status status = make_kernel(c->ctx, a, &kernel_a);
    if (status == DCLS_OK) status = make_kernel(c->ctx, b, &kernel_b);
    if (status == DCLS_OK) status = add_kernel(c, &kernel_a, &kernel_b, decides);
    free(kernel_a.made);
    free(kernel_b.made);
    return status;
}

/* ---- layers ---- */

static dcls_compare_layer layer_of(const dcls_compare_side *side, const dcls_tensor *weight)
{
    dcls_compare_layer layer = side->layers[weight - side->tensors->items];
    layer.weight = weight;
    return layer;
}

static bool has_kernel(const dcls_compare_layer *layer)
{
    return layer->P == NULL || layer->node != NULL;
}

dcls_status dcls_compare_pair(dcls_comparer *c, const dcls_tensor *weight_a, const dcls_tensor *weight_b,
                              bool *done)
{
    dcls_compare_layer a = layer_of(&c->a, weight_a), b = layer_of(&c->b, weight_b);
    matching m = {0};
    bool same = true;
    const bool alike = are_alike(&a, &b, &m);
    *done = false;
    if (a.P == NULL && b.P == NULL) return DCLS_OK;
    if (alike) { /* what one side knows about the window holds for both */
        if (a.node == NULL) a.node = b.node;
        if (b.node == NULL) b.node = a.node;
    }
    const bool constructible = has_kernel(&a) && has_kernel(&b);
    if (c->options->strict && !c->options->kernels) return DCLS_OK;
    if (c->options->kernels || !alike) {
        *done = constructible;
        return constructible ? compare_kernels(c, &a, &b, true) : DCLS_OK;
    }
    *done = true;
    DCLS_TRY(compare_elements(c, &m, &a, &b, &same));
    if (same || !constructible) return DCLS_OK;
    const dcls_status status = compare_kernels(c, &a, &b, false);
    return status == DCLS_ERR_LIMIT ? DCLS_OK : status; /* told by the elements already */
}
