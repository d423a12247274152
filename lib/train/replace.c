/* Convolutions of a network become DCLS layers, to be trained on. */
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/elements.h"
#include "model/rewrite.h"
#include "train/create.h"

#define LEAST_SIDE 3 /* depthwise kernels up to this stay, unless they are named */

/* Spreads that leave the kernel as it is to six digits (max) or as good as it goes (gauss), and still have a
 * slope, which |SIG| has not at 0. */
#define SMALLEST_SPREAD 1e-6f

typedef struct swap {
    const dcls_node *from;
    dcls_node node; /* as it will be */
    bool same;      /* elements stand for the kernel's cells */
    dcls_elements elements;
    dcls_tensor P, SIG; /* their names alone */
} swap;

typedef struct replacement {
    const dcls_model *model;
    const dcls_replace_options *options;
    dcls_kernel_version version;
    swap *items;
    size_t count;
    dcls_arena names;
} replacement;

/* ---- choosing -------------------------------------------------------------------------------------- */

static bool is_dilated(const dcls_node *node)
{
    for (int i = 0; i < node->window.ndim; i++)
        if (node->window.dilation[i] > 1 && node->window.kernel[i] > 1) return true;
    return false;
}

static bool is_large_depthwise(const dcls_node *node)
{
    if (node->weight->shape[1] != 1 || node->groups == 1) return false;
    for (int i = 0; i < node->window.ndim; i++)
        if (node->window.kernel[i] > LEAST_SIDE) return true;
    return false;
}

static bool is_wanted(const replacement *r, const dcls_node *node, bool *same)
{
    const dcls_replace_options *o = r->options;
    if (node->op != DCLS_OP_CONV) return false;
    if (o->layers != NULL && fnmatch(o->layers, node->name, 0) != 0) return false;
    *same = o->dilated && is_dilated(node);
    return *same || (o->depthwise > 0 && is_large_depthwise(node));
}

static dcls_status check_alone(dcls_context *ctx, const replacement *r, const dcls_node *node)
{
    for (size_t i = 0; i < r->model->node_count; i++) {
        const dcls_node *other = &r->model->nodes[i];
        if (other != node && other->weight == node->weight)
            return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "it shares tensor '%s' with '%s'", node->weight->name,
                             other->name);
    }
    return DCLS_OK;
}

static dcls_status choose(dcls_context *ctx, replacement *r)
{
    const dcls_replace_options *o = r->options;
    bool same = false;
    for (size_t i = 0; i < r->model->node_count; i++) {
        const dcls_node *node = &r->model->nodes[i];
        if (!is_wanted(r, node, &same)) continue;
        const dcls_status status = check_alone(ctx, r, node);
        if (status != DCLS_OK) return dcls_fail_within(ctx, status, "layer '%s': ", node->name);
        r->items[r->count++] = (swap){.from = node, .node = *node, .same = same};
    }
    if (r->count > 0) return DCLS_OK;
    char what[120];
    snprintf(what, sizeof what, "%s%s%s", o->dilated ? "convolution with dilation" : "",
             o->dilated && o->depthwise > 0 ? " and no " : "",
             o->depthwise > 0 ? "depthwise convolution with a side of more than 3" : "");
    if (o->layers == NULL) return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "there is no %s to replace", what);
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "there is no %s whose name matches '%s'", what, o->layers);
}

/* ---- windows ---------------------------------------------------------------------------------------- */

static int64_t reach_of(const dcls_node *node, int i)
{
    return node->window.dilation[i] * (node->window.kernel[i] - 1) + 1;
}

/* Index j of P is measured from the middle of side number j, whichever side it addresses: where that is not
 * its own, only a window of equal sides lets positions reach every cell. */
static bool needs_equal_sides(dcls_kernel_version version, int ndim)
{
    for (int j = 0; j < ndim; j++)
        if (dcls_kernel_axis(version, ndim, j) != j) return true;
    return false;
}

/* A window may be larger than the reach by as much on either side; padding makes up for it. */
static dcls_status set_window(dcls_context *ctx, const replacement *r, swap *s)
{
    dcls_window *w = &s->node.window;
    const int64_t said = r->options->dilated_kernel_size;
    int64_t longest = said;
    for (int i = 0; i < w->ndim && said == 0; i++)
        longest = reach_of(s->from, i) > longest ? reach_of(s->from, i) : longest;
    const bool equal = said > 0 || needs_equal_sides(r->version, w->ndim);
    for (int i = 0; i < w->ndim; i++) {
        const int64_t reach = reach_of(s->from, i), side = equal ? longest : reach;
        if (side < reach)
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                             "a window of %lld is smaller than the layer's reach of %lld", (long long)side,
                             (long long)reach);
        if ((side - reach) % 2 != 0)
            return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED,
                             "a reach of %lld does not stand in the middle of a window of %lld",
                             (long long)reach, (long long)side);
        w->kernel[i] = side;
        w->dilation[i] = 1;
        w->pad_before[i] += (side - reach) / 2;
        w->pad_after[i] += (side - reach) / 2;
    }
    return DCLS_OK;
}

/* ---- elements --------------------------------------------------------------------------------------- */

static dcls_kernel kernel_of(const replacement *r, const swap *s, int64_t count)
{
    dcls_kernel k = {.version = r->version,
                     .ndim = s->node.window.ndim,
                     .rows = s->from->weight->shape[0] * s->from->weight->shape[1],
                     .count = count,
                     .spread_offset = dcls_spread_offset(r->version, false)};
    memcpy(k.size, s->node.window.kernel, sizeof k.size);
    k.position_rows = k.rows;
    return k;
}

/* One element for each cell of the old kernel, with its weight. */
static void place_cells(const swap *s, const float *dense, dcls_elements *e)
{
    const dcls_kernel *k = &e->k;
    const dcls_window *old = &s->from->window;
    memcpy(e->weight, dense, (size_t)(k->rows * k->count) * sizeof *dense);
    for (int j = 0; j < k->ndim; j++) {
        const int axis = dcls_kernel_axis(k->version, k->ndim, j);
        const int64_t margin = (k->size[axis] - reach_of(s->from, axis)) / 2;
        int64_t inner = 1;
        for (int i = axis + 1; i < k->ndim; i++)
            inner *= old->kernel[i];
        for (int64_t i = 0; i < k->rows * k->count; i++) {
            const int64_t cell = i % k->count / inner % old->kernel[axis];
            const int64_t at = margin + cell * old->dilation[axis];
            e->P[j * k->rows * k->count + i] = (float)(at - k->size[j] / 2);
        }
    }
}

static double energy(const float *values, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)values[i] * (double)values[i];
    return sum;
}

/* Random elements whose kernels have the sum of squares of the old ones: what white noise comes out as stays.
 */
static dcls_status draw_elements(dcls_context *ctx, const replacement *r, const swap *s, const float *dense,
                                 dcls_elements *e)
{
    const dcls_kernel *k = &e->k;
    const int64_t cells = dcls_kernel_cells(k),
                  old = (int64_t)(s->from->weight->nbytes / dcls_dtype_size(s->from->weight->dtype) /
                                  (size_t)k->rows);
    dcls_rng rng = dcls_tensor_rng(r->options->seed, s->from->weight->name);
    for (int64_t i = 0; i < k->rows * k->count; i++)
        e->weight[i] = (float)(2 * dcls_rng_uniform(&rng) - 1);
    dcls_rng places = dcls_tensor_rng(r->options->seed, s->P.name);
    dcls_draw_positions(&places, k, (dcls_position_sigma){.cells = r->options->sigma}, e->P);
    float *made = dcls_alloc(ctx, (size_t)k->rows, (size_t)cells * sizeof *made);
    if (made == NULL) return DCLS_ERR_MEMORY;
    const dcls_status status = dcls_kernel_construct(ctx, k, dcls_context_threads(ctx), made);
    for (int64_t row = 0; row < k->rows && status == DCLS_OK; row++) {
        const double now = energy(made + row * cells, cells), want = energy(dense + row * old, old);
        for (int64_t i = 0; i < k->count; i++)
            e->weight[row * k->count + i] *= now > 0 ? (float)sqrt(want / now) : 0;
    }
    free(made);
    return status;
}

static void fill_spreads(dcls_elements *e, const swap *s)
{
    const int64_t count = e->k.ndim * e->k.rows * e->k.count;
    for (int64_t i = 0; i < count && e->SIG != NULL; i++)
        e->SIG[i] = s->same ? SMALLEST_SPREAD : e->k.version == DCLS_GAUSS ? 0.23f : 0.1f;
}

/* "X.P" for "X.weight". */
static const char *name_beside(dcls_context *ctx, replacement *r, const char *weight, const char *suffix)
{
    static const char WEIGHT[] = ".weight";
    size_t length = strlen(weight);
    const size_t tail = sizeof WEIGHT - 1;
    if (length > tail && strcmp(weight + length - tail, WEIGHT) == 0) length -= tail;
    char *name = dcls_arena_alloc(ctx, &r->names, length + strlen(suffix) + 1, 1);
    if (name == NULL) return NULL;
    memcpy(name, weight, length);
    strcpy(name + length, suffix);
    return name;
}

static dcls_status make_elements(dcls_context *ctx, replacement *r, swap *s)
{
    DCLS_TRY(set_window(ctx, r, s));
    s->P.name = name_beside(ctx, r, s->from->weight->name, ".P");
    s->SIG.name = name_beside(ctx, r, s->from->weight->name, ".SIG");
    if (s->P.name == NULL || s->SIG.name == NULL) return DCLS_ERR_MEMORY;
    int64_t count = s->same ? 1 : r->options->depthwise;
    for (int i = 0; i < s->from->window.ndim && s->same; i++)
        count *= s->from->window.kernel[i];
    const dcls_kernel k = kernel_of(r, s, count);
    DCLS_TRY(dcls_elements_create(ctx, &k, &s->elements));
    fill_spreads(&s->elements, s);
    float *dense;
    DCLS_TRY(dcls_load_floats(ctx, s->from->weight, &dense));
    dcls_status status = DCLS_OK;
    if (s->same)
        place_cells(s, dense, &s->elements);
    else
        status = draw_elements(ctx, r, s, dense, &s->elements);
    free(dense);
    s->node.op = DCLS_OP_DCLS;
    s->node.layer = DCLS_LAYER_FULL;
    s->node.version = r->version;
    s->node.kernel_count = count;
    s->node.P = &s->P;
    s->node.SIG = s->elements.SIG != NULL ? &s->SIG : NULL;
    return status;
}

/* ---- the new network --------------------------------------------------------------------------------- */

static dcls_status put(dcls_context *ctx, dcls_tensors *set, const char *name, int ndim, const int64_t *shape,
                       const float *from)
{
    void *data;
    DCLS_TRY(dcls_tensors_add_new(ctx, set, name, DCLS_F32, ndim, shape, &data));
    int64_t count = 1;
    for (int i = 0; i < ndim; i++)
        count *= shape[i];
    memcpy(data, from, (size_t)count * sizeof *from);
    return DCLS_OK;
}

static dcls_status put_layer(dcls_context *ctx, dcls_tensors *set, const swap *s)
{
    const dcls_kernel *k = &s->elements.k;
    const int64_t *old = s->from->weight->shape, shape[] = {k->ndim, old[0], old[1], k->count};
    DCLS_TRY(put(ctx, set, s->from->weight->name, 3, shape + 1, s->elements.weight));
    DCLS_TRY(put(ctx, set, s->P.name, 4, shape, s->elements.P));
    return s->node.SIG != NULL ? put(ctx, set, s->SIG.name, 4, shape, s->elements.SIG) : DCLS_OK;
}

static dcls_status copy_tensors(dcls_context *ctx, const replacement *r, dcls_tensors *set)
{
    const dcls_tensors *from = r->model->tensors;
    DCLS_TRY(dcls_copy_meta(ctx, from, NULL, set));
    for (size_t i = 0; i < from->count; i++) {
        const swap *found = NULL;
        for (size_t k = 0; k < r->count; k++)
            if (r->items[k].from->weight == &from->items[i]) found = &r->items[k];
        DCLS_TRY(found != NULL ? put_layer(ctx, set, found) : dcls_copy_tensor(ctx, set, &from->items[i]));
    }
    return DCLS_OK;
}

static dcls_status make_model(dcls_context *ctx, const replacement *r, dcls_model **out)
{
    dcls_tensors *set = NULL;
    dcls_node *nodes = dcls_alloc(ctx, r->model->node_count, sizeof *nodes);
    if (nodes == NULL) return DCLS_ERR_MEMORY;
    memcpy(nodes, r->model->nodes, r->model->node_count * sizeof *nodes);
    for (size_t i = 0; i < r->count; i++)
        nodes[r->items[i].from - r->model->nodes] = r->items[i].node;
    dcls_status status = dcls_tensors_create(ctx, "", &set);
    if (status == DCLS_OK) status = copy_tensors(ctx, r, set);
    if (status == DCLS_OK) {
        status = dcls_rebuild_model(ctx, r->model, nodes, set, out);
        set = NULL;
    }
    dcls_tensors_destroy(set);
    free(nodes);
    return status;
}

static dcls_status check_options(dcls_context *ctx, replacement *r)
{
    const dcls_replace_options *o = r->options;
    const int version = o->version != NULL ? dcls_kernel_version_from_name(o->version) : DCLS_V1;
    if (version < 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "version '%s' must be one of v0, v1, max, gauss",
                         o->version);
    r->version = (dcls_kernel_version)version;
    if (!o->dilated && o->depthwise == 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "neither dilated nor depthwise convolutions are to be replaced");
    if (o->depthwise < 0 || o->depthwise > 65536)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%lld elements must be 1 to 65536", (long long)o->depthwise);
    if (o->dilated_kernel_size < 0 || o->dilated_kernel_size > 65536)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a window of %lld must be 1 to 65536",
                         (long long)o->dilated_kernel_size);
    if (!(o->sigma >= 0 && o->sigma <= 65536))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "sigma %g must be 0 to 65536", o->sigma);
    return DCLS_OK;
}

static dcls_status run(dcls_context *ctx, replacement *r, dcls_model **out)
{
    DCLS_TRY(check_options(ctx, r));
    r->items = dcls_alloc_zero(ctx, r->model->node_count, sizeof *r->items);
    if (r->items == NULL) return DCLS_ERR_MEMORY;
    DCLS_TRY(choose(ctx, r));
    for (size_t i = 0; i < r->count; i++) {
        const dcls_status status = make_elements(ctx, r, &r->items[i]);
        if (status != DCLS_OK) return dcls_fail_within(ctx, status, "layer '%s': ", r->items[i].from->name);
    }
    return make_model(ctx, r, out);
}

dcls_status dcls_model_replace(dcls_context *ctx, const dcls_model *model,
                               const dcls_replace_options *options, dcls_model **out, int64_t *layers)
{
    replacement r = {.model = model, .options = options};
    *out = NULL;
    const dcls_status status = run(ctx, &r, out);
    if (layers != NULL) *layers = (int64_t)r.count;
    for (size_t i = 0; i < r.count; i++)
        dcls_elements_free(&r.items[i].elements);
    free(r.items);
    dcls_arena_free(&r.names);
    return status;
}
