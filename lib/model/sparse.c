/* Kernels as elements: fitted to dense ones, merged, pruned, rounded. */
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "kernel/fit.h"
#include "model/kernel_layers.h"
#include "model/rewrite.h"
#include "model/settings.h"

typedef struct sparse_job {
    const dcls_sparse_options *options;
    dcls_kernel_layers layers;
    dcls_settings settings;
    double all_work, done_work; /* kernels times cells */
    double layer_work;
    double try_start, try_share; /* of the layer's work, by the fit that runs */
    const char *layer_name;
} sparse_job;

dcls_sparse_options dcls_sparse_options_default(void)
{
    return (dcls_sparse_options){.effort = 1, .merge = -1, .prune = -1};
}

/* ---- fitting -------------------------------------------------------------------------------------- */

/* What the settings say of a layer's version, those with a glob after those without. */
static dcls_status wanted_version(dcls_context *ctx, sparse_job *job, const dcls_node *from,
                                  dcls_kernel_version *version)
{
    *version = from->op == DCLS_OP_DCLS ? from->version : DCLS_V1;
    for (int with_glob = 0; with_glob < 2; with_glob++)
        for (size_t i = 0; i < job->settings.count; i++) {
            dcls_setting *setting = &job->settings.items[i];
            if (strcmp(setting->key, "version") != 0 || (setting->glob != NULL) != (with_glob == 1)) continue;
            if (setting->glob != NULL && fnmatch(setting->glob, from->name, 0) != 0) continue;
            const int named = dcls_kernel_version_from_name(setting->value);
            if (named < 0)
                return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                                 "setting '%s': must be one of 'v0', 'v1', 'max', 'gauss'", setting->text);
            setting->used = true;
            *version = (dcls_kernel_version)named;
        }
    return DCLS_OK;
}

/* The rest of the settings describes layers that are read; a network has said all of that itself. */
static dcls_status check_settings(dcls_context *ctx, sparse_job *job)
{
    dcls_kernel_version version_of_layer;
    for (size_t i = 0; job->options->fit && i < job->layers.count; i++)
        DCLS_TRY(wanted_version(ctx, job, job->layers.items[i].from, &version_of_layer));
    for (size_t i = 0; i < job->settings.count; i++) {
        const dcls_setting *setting = &job->settings.items[i];
        const bool version = strcmp(setting->key, "version") == 0;
        if (version && job->options->fit && !setting->used)
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "setting '%s': no layer's name matches '%s'",
                             setting->text, setting->glob != NULL ? setting->glob : "*");
        if (job->layers.found.count == 0 && !(version && job->options->fit))
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                             "setting '%s': only the version of fitted layers can be set here",
                             setting->text);
    }
    return DCLS_OK;
}

static void report_rows(void *arg, int64_t done, int64_t rows)
{
    const sparse_job *job = arg;
    const double work =
        job->done_work + job->layer_work * (job->try_start + job->try_share * (double)done / (double)rows);
    job->options->progress(job->options->progress_arg, job->layer_name, work / job->all_work);
}

typedef struct fit_try {
    dcls_elements elements;
    double error;
} fit_try;

/* Fits count elements to each window. */
static dcls_status fit_count(dcls_context *ctx, sparse_job *job, const dcls_kernel *shape, const float *dense,
                             int64_t count, double effort, fit_try *out)
{
    dcls_kernel k = *shape;
    const dcls_sparse_options *o = job->options;
    const int64_t cells = dcls_kernel_cells(&k);
    const dcls_fit_options fit = {
        .seed = o->seed, .effort = effort, .tolerance = fmax(DCLS_FIT_TOLERANCE, o->error / 4)};
    k.count = count;
    job->try_share =
        o->kernel_count > 0 ? 1 : (1 - job->try_start) / 2; /* how many tries there will be is open */
    float *again = dcls_alloc(ctx, (size_t)k.rows, (size_t)cells * sizeof *again);
    double *errors = dcls_alloc(ctx, (size_t)k.rows, sizeof *errors);
    dcls_status status = again != NULL && errors != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) status = dcls_elements_create(ctx, &k, &out->elements);
    if (status == DCLS_OK) {
        const dcls_fit_result result = {out->elements.weight, out->elements.P, out->elements.SIG, errors};
        status = dcls_kernel_fit(ctx, &k, dense, &fit, dcls_context_threads(ctx),
                                 o->progress != NULL ? report_rows : NULL, job, &result);
        if (status == DCLS_OK)
            status = dcls_kernel_construct(ctx, &out->elements.k, dcls_context_threads(ctx), again);
        if (status != DCLS_OK) dcls_elements_free(&out->elements);
    }
    if (status == DCLS_OK) out->error = dcls_relative_error(again, dense, k.rows * cells);
    job->try_start += job->try_share;
    free(again);
    free(errors);
    return status;
}

#define MOST_ELEMENTS ((int64_t)65536) /* of --kernel-count as well */

#define QUICK 0.5 /* effort while the number of elements is still open */

/* As few elements as reach the error: doubled until they do, then halved in between. */
static dcls_status fit_error(dcls_context *ctx, sparse_job *job, const dcls_kernel *shape, const float *dense,
                             fit_try *best)
{
    const int64_t cells = dcls_kernel_cells(shape), most = cells < MOST_ELEMENTS ? cells : MOST_ELEMENTS;
    const double effort = QUICK * job->options->effort;
    int64_t below = 0, count = 1;
    for (;; count = 2 * count < most ? 2 * count : most) {
        DCLS_TRY(fit_count(ctx, job, shape, dense, count, effort, best));
        if (best->error <= job->options->error) break;
        below = count;
        dcls_elements_free(&best->elements);
        if (count == most)
            return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED,
                             "layer '%s': %lld elements leave a relative error of %.3g", job->layer_name,
                             (long long)most, best->error);
    }
    while (count - below > 1) {
        const int64_t middle = below + (count - below) / 2;
        fit_try next;
        const dcls_status status = fit_count(ctx, job, shape, dense, middle, effort, &next);
        if (status != DCLS_OK) {
            dcls_elements_free(&best->elements);
            return status;
        }
        if (next.error > job->options->error) {
            below = middle;
            dcls_elements_free(&next.elements);
        } else {
            count = middle;
            dcls_elements_free(&best->elements);
            *best = next;
        }
    }
    return DCLS_OK;
}

/* The whole window becomes learnable, whatever kind of layer it was. */
static dcls_kernel shape_of(const dcls_node *from, dcls_kernel_version version)
{
    dcls_kernel k = {.version = version,
                     .ndim = from->window.ndim,
                     .rows = from->weight->shape[0] * from->weight->shape[1],
                     .spread_offset = dcls_spread_offset(version, false)};
    memcpy(k.size, from->window.kernel, sizeof k.size);
    k.position_rows = k.rows;
    return k;
}

static dcls_status fit_layer(dcls_context *ctx, sparse_job *job, dcls_kernel_layer *layer, const float *dense)
{
    dcls_kernel_version version;
    fit_try best;
    DCLS_TRY(wanted_version(ctx, job, layer->from, &version));
    const dcls_kernel shape = shape_of(layer->from, version);
    const int64_t count = job->options->kernel_count;
    if (count > dcls_kernel_cells(&shape))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "layer '%s': %lld elements are more than the %lld cells of its window",
                         layer->from->name, (long long)count, (long long)dcls_kernel_cells(&shape));
    DCLS_TRY(count > 0 ? fit_count(ctx, job, &shape, dense, count, job->options->effort, &best)
                       : fit_error(ctx, job, &shape, dense, &best));
    dcls_elements_free(&layer->elements);
    layer->elements = best.elements;
    layer->own_positions = true;
    layer->node.op = DCLS_OP_DCLS;
    layer->node.layer = DCLS_LAYER_FULL;
    layer->node.flat_dim = 0;
    layer->node.version = version;
    layer->change.version = dcls_kernel_version_name(version);
    return DCLS_OK;
}

/* ---- steps ---------------------------------------------------------------------------------------- */

/* Constructs the elements as they are now into dense, whose content was their kernel before; the error is
 * what the step between caused. */
static dcls_status measure(dcls_context *ctx, const dcls_kernel_layer *layer, float *dense, double *error)
{
    const int64_t count = dcls_dense_parameters(layer->from);
    float *now = dcls_alloc(ctx, (size_t)count, sizeof *now);
    if (now == NULL) return DCLS_ERR_MEMORY;
    const dcls_status status = dcls_kernel_construct(ctx, &layer->elements.k, dcls_context_threads(ctx), now);
    if (status == DCLS_OK) {
        *error = dcls_relative_error(now, dense, count);
        memcpy(dense, now, (size_t)count * sizeof *now);
    }
    free(now);
    return status;
}

static dcls_status merge_layer(dcls_context *ctx, dcls_kernel_layer *layer, double distance)
{
    if (layer->shares_positions && !layer->own_positions)
        return dcls_fail(
            ctx, DCLS_ERR_UNSUPPORTED,
            "layer '%s' shares the positions '%s' with others: elements of one alone cannot be merged",
            layer->from->name, layer->from->P->name);
    dcls_elements_merge(&layer->elements, distance);
    return dcls_elements_pack(ctx, &layer->elements);
}

static dcls_status prune_layer(dcls_context *ctx, dcls_kernel_layer *layer, double share)
{
    dcls_elements_prune(&layer->elements, share);
    if (layer->shares_positions && !layer->own_positions) return DCLS_OK;
    return dcls_elements_pack(ctx, &layer->elements);
}

static dcls_status change_elements(dcls_context *ctx, sparse_job *job, dcls_kernel_layer *layer, float *dense)
{
    const dcls_sparse_options *o = job->options;
    dcls_layer_change *change = &layer->change;
    if (o->fix_unequal && layer->from->op == DCLS_OP_DCLS) {
        dcls_elements_recentre(&layer->elements);
        DCLS_TRY(measure(ctx, layer, dense, &change->fix_error));
    }
    if (o->fit) {
        DCLS_TRY(fit_layer(ctx, job, layer, dense));
        DCLS_TRY(measure(ctx, layer, dense, &change->fit_error));
    }
    int64_t used = change->elements =
        layer->from->op == DCLS_OP_DCLS || o->fit ? dcls_elements_used(&layer->elements) : 0;
    change->shares_positions = layer->shares_positions && !layer->own_positions;
    if (o->merge >= 0) {
        DCLS_TRY(merge_layer(ctx, layer, o->merge));
        DCLS_TRY(measure(ctx, layer, dense, &change->merge_error));
        change->merged = used - dcls_elements_used(&layer->elements);
        used -= change->merged;
    }
    if (o->prune >= 0) {
        DCLS_TRY(prune_layer(ctx, layer, o->prune));
        DCLS_TRY(measure(ctx, layer, dense, &change->prune_error));
        change->pruned = used - dcls_elements_used(&layer->elements);
    }
    if (o->round_positions) {
        dcls_elements_round(&layer->elements);
        DCLS_TRY(measure(ctx, layer, dense, &change->round_error));
    }
    return DCLS_OK;
}

static dcls_status change_layer(dcls_context *ctx, sparse_job *job, dcls_kernel_layer *layer)
{
    float *before = NULL, *dense = NULL;
    const int64_t count = dcls_dense_parameters(layer->from);
    job->layer_name = layer->from->name;
    job->layer_work = (double)count;
    job->try_start = 0;
    dcls_status status = dcls_kernel_layer_dense(ctx, layer, &before);
    if (status == DCLS_OK) {
        dense = dcls_alloc(ctx, (size_t)count, sizeof *dense);
        if (dense == NULL) status = DCLS_ERR_MEMORY;
    }
    if (status == DCLS_OK) {
        memcpy(dense, before, (size_t)count * sizeof *dense);
        status = change_elements(ctx, job, layer, dense);
    }
    if (status == DCLS_OK) {
        layer->change.error = dcls_relative_error(dense, before, count);
        layer->node.kernel_count = layer->change.count_after = layer->elements.k.count;
        layer->change.parameters_after = dcls_element_parameters(&layer->elements.k);
        job->done_work += job->layer_work;
    }
    free(before);
    free(dense);
    return status;
}

static dcls_status change_all(dcls_context *ctx, sparse_job *job)
{
    DCLS_TRY(check_settings(ctx, job)); /* before what takes long */
    for (size_t i = 0; i < job->layers.count; i++)
        job->all_work += (double)dcls_dense_parameters(job->layers.items[i].from);
    for (size_t i = 0; i < job->layers.count; i++)
        DCLS_TRY(change_layer(ctx, job, &job->layers.items[i]));
    return DCLS_OK;
}

/* ---- results -------------------------------------------------------------------------------------- */

static dcls_status put_floats(dcls_context *ctx, dcls_tensors *set, const char *name, int ndim,
                              const int64_t *shape, const float *from)
{
    void *data;
    if (name == NULL) return DCLS_ERR_MEMORY;
    DCLS_TRY(dcls_tensors_add_new(ctx, set, name, DCLS_F32, ndim, shape, &data));
    size_t bytes = 0;
    if (dcls_shape_bytes(DCLS_F32, ndim, shape, &bytes)) memcpy(data, from, bytes);
    return DCLS_OK;
}

/* Layers that keep sharing positions bring the same ones. */
static dcls_status put_once(dcls_context *ctx, dcls_tensors *set, const char *name, int ndim,
                            const int64_t *shape, const float *from)
{
    if (name != NULL && dcls_tensors_find(set, name) != NULL) return DCLS_OK;
    return put_floats(ctx, set, name, ndim, shape, from);
}

static const char *position_name(dcls_context *ctx, dcls_kernel_layers *layers,
                                 const dcls_kernel_layer *layer, const dcls_tensor *old, const char *suffix)
{
    return layer->own_positions || old == NULL ? dcls_kernel_layer_name(ctx, layers, layer, suffix)
                                               : old->name;
}

static dcls_status put_elements(dcls_context *ctx, void *arg, dcls_kernel_layers *layers,
                                const dcls_kernel_layer *layer, dcls_tensors *set)
{
    (void)arg;
    const dcls_node *from = layer->from;
    const dcls_elements *e = &layer->elements;
    int64_t shape[DCLS_MAX_DIMS];
    int ndim = layer->own_positions ? 3 : from->weight->ndim;
    memcpy(shape, from->weight->shape, sizeof shape);
    shape[ndim - 1] = e->k.count;
    DCLS_TRY(put_floats(ctx, set, from->weight->name, ndim, shape, e->weight));
    if (layer->own_positions) {
        memmove(shape + 1, shape, (size_t)ndim * sizeof *shape);
        shape[0] = e->k.ndim;
        ndim++;
    } else {
        ndim = from->P->ndim;
        memcpy(shape, from->P->shape, sizeof shape);
        shape[ndim - 1] = e->k.count;
    }
    const bool once = layer->shares_positions && !layer->own_positions;
    DCLS_TRY((once ? put_once : put_floats)(ctx, set, position_name(ctx, layers, layer, from->P, ".P"), ndim,
                                            shape, e->P));
    if (e->SIG == NULL) return DCLS_OK;
    return (once ? put_once : put_floats)(ctx, set, position_name(ctx, layers, layer, from->SIG, ".SIG"),
                                          ndim, shape, e->SIG);
}

/* A node of the new network: its tensors matter by name alone. */
static dcls_status describe_node(dcls_context *ctx, dcls_kernel_layers *layers,
                                 const dcls_kernel_layer *layer, dcls_tensor names[2], dcls_node *node)
{
    *node = layer->node;
    names[0].name = position_name(ctx, layers, layer, layer->from->P, ".P");
    names[1].name = position_name(ctx, layers, layer, layer->from->SIG, ".SIG");
    if (names[0].name == NULL || names[1].name == NULL) return DCLS_ERR_MEMORY;
    node->P = &names[0];
    node->SIG = layer->elements.SIG != NULL ? &names[1] : NULL;
    return DCLS_OK;
}

static dcls_status describe(dcls_context *ctx, dcls_kernel_layers *layers, dcls_node *nodes,
                            dcls_tensor *names)
{
    const dcls_model *model = layers->model;
    memcpy(nodes, model->nodes, model->node_count * sizeof *nodes);
    for (size_t i = 0; i < layers->count; i++) {
        const dcls_kernel_layer *layer = &layers->items[i];
        DCLS_TRY(describe_node(ctx, layers, layer, names + 2 * i, &nodes[layer->from - model->nodes]));
    }
    return DCLS_OK;
}

static dcls_status make_model(dcls_context *ctx, dcls_kernel_layers *layers, dcls_model **out)
{
    dcls_tensors *set = NULL;
    dcls_node *nodes = dcls_alloc(ctx, layers->model->node_count, sizeof *nodes);
    dcls_tensor *names = dcls_alloc_zero(ctx, 2 * layers->count, sizeof *names);
    dcls_status status = nodes != NULL && names != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) status = describe(ctx, layers, nodes, names);
    if (status == DCLS_OK) status = dcls_kernel_layers_rewrite(ctx, layers, put_elements, NULL, &set);
    if (status == DCLS_OK) status = dcls_rebuild_model(ctx, layers->model, nodes, set, out);
    free(nodes);
    free(names);
    return status;
}

static dcls_status check_options(dcls_context *ctx, const dcls_sparse_options *o)
{
    if (o->fit && (o->kernel_count > 0) == (o->error > 0))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "fitting needs a number of elements or an error to reach, one of them");
    if (o->kernel_count > 65536)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "more than 65536 elements in a kernel");
    return DCLS_OK;
}

static dcls_status run(dcls_context *ctx, sparse_job *job, const dcls_model *model,
                       const dcls_tensors *tensors)
{
    const dcls_sparse_options *o = job->options;
    DCLS_TRY(check_options(ctx, o));
    DCLS_TRY(dcls_settings_parse(ctx, o->settings, o->setting_count, &job->settings));
    DCLS_TRY(dcls_kernel_layers_choose(ctx, model, tensors, o->layers, o->fit, o->settings, o->setting_count,
                                       &job->layers));
    return change_all(ctx, job);
}

dcls_status dcls_model_to_sparse(dcls_context *ctx, const dcls_model *model,
                                 const dcls_sparse_options *options, dcls_model **out, dcls_changes **changes)
{
    sparse_job job = {.options = options};
    *out = NULL;
    *changes = NULL;
    dcls_status status = run(ctx, &job, model, NULL);
    if (status == DCLS_OK) status = make_model(ctx, &job.layers, out);
    if (status == DCLS_OK) status = dcls_changes_create(ctx, &job.layers, changes);
    if (status != DCLS_OK) {
        dcls_model_destroy(*out);
        *out = NULL;
    }
    dcls_kernel_layers_free(&job.layers);
    dcls_settings_free(&job.settings);
    return status;
}

dcls_status dcls_tensors_to_sparse(dcls_context *ctx, const dcls_tensors *tensors,
                                   const dcls_sparse_options *options, dcls_tensors **out,
                                   dcls_changes **changes)
{
    sparse_job job = {.options = options};
    *out = NULL;
    *changes = NULL;
    dcls_status status = run(ctx, &job, NULL, tensors);
    if (status == DCLS_OK) status = dcls_kernel_layers_rewrite(ctx, &job.layers, put_elements, NULL, out);
    if (status == DCLS_OK) status = dcls_changes_create(ctx, &job.layers, changes);
    if (status != DCLS_OK) {
        dcls_tensors_destroy(*out);
        *out = NULL;
    }
    dcls_kernel_layers_free(&job.layers);
    dcls_settings_free(&job.settings);
    return status;
}
