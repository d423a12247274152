/* Kernels as lists of their non-zero cells: coordinates and values, for runtimes that know sparse tensors. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/kernel_layers.h"

typedef struct taps_job {
    const dcls_taps_options *options;
} taps_job;

static double largest_of(const float *values, int64_t count)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)values[i]));
    return largest;
}

/* Sets what is left out to 0 and counts the rest. */
static int64_t cut(float *dense, int64_t count, double threshold)
{
    int64_t kept = 0;
    const double limit = threshold * largest_of(dense, count);
    for (int64_t i = 0; i < count; i++) {
        if (!(fabs((double)dense[i]) > limit)) dense[i] = 0;
        kept += dense[i] != 0;
    }
    return kept;
}

static void fill_taps(const float *dense, int64_t count, int ndim, const int64_t *shape, int32_t *index,
                      float *value)
{
    for (int64_t i = 0; i < count; i++) {
        if (dense[i] == 0) continue;
        int64_t rest = i;
        for (int d = ndim - 1; d >= 0; d--) {
            index[d] = (int32_t)(rest % shape[d]);
            rest /= shape[d];
        }
        index += ndim;
        *value++ = dense[i];
    }
}

static dcls_status put_cut(dcls_context *ctx, dcls_kernel_layers *layers, const dcls_kernel_layer *layer,
                           const float *dense, int64_t kept, dcls_tensors *set)
{
    const dcls_node *from = layer->from;
    const int ndim = from->window.ndim + 2;
    int64_t shape[5] = {from->weight->shape[0], from->weight->shape[1]};
    memcpy(shape + 2, from->window.kernel, (size_t)from->window.ndim * sizeof *shape);
    const char *index_name = dcls_kernel_layer_name(ctx, layers, layer, ".taps.index");
    const char *value_name = dcls_kernel_layer_name(ctx, layers, layer, ".taps.value");
    const char *shape_name = dcls_kernel_layer_name(ctx, layers, layer, ".taps.shape");
    if (index_name == NULL || value_name == NULL || shape_name == NULL) return DCLS_ERR_MEMORY;
    void *index, *value, *sizes;
    const int64_t index_shape[2] = {kept, ndim}, dimensions = ndim;
    DCLS_TRY(dcls_tensors_add_new(ctx, set, index_name, DCLS_I32, 2, index_shape, &index));
    DCLS_TRY(dcls_tensors_add_new(ctx, set, value_name, DCLS_F32, 1, &kept, &value));
    DCLS_TRY(dcls_tensors_add_new(ctx, set, shape_name, DCLS_I64, 1, &dimensions, &sizes));
    fill_taps(dense, dcls_dense_parameters(from), ndim, shape, index, value);
    memcpy(sizes, shape, (size_t)ndim * sizeof *shape);
    return DCLS_OK;
}

static dcls_status put_taps(dcls_context *ctx, void *arg, dcls_kernel_layers *layers,
                            const dcls_kernel_layer *layer, dcls_tensors *set)
{
    const taps_job *job = arg;
    const int64_t count = dcls_dense_parameters(layer->from);
    float *before = NULL;
    DCLS_TRY(dcls_kernel_layer_dense(ctx, layer, &before));
    float *dense = dcls_alloc(ctx, (size_t)count, sizeof *dense);
    dcls_status status = dense != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) {
        memcpy(dense, before, (size_t)count * sizeof *dense);
        const int64_t kept = cut(dense, count, job->options->threshold);
        dcls_layer_change *change = &layers->items[layer - layers->items].change;
        change->parameters_after = kept;
        change->error = dcls_relative_error(dense, before, count);
        status = put_cut(ctx, layers, layer, dense, kept, set);
    }
    free(dense);
    free(before);
    return status;
}

dcls_status dcls_to_taps(dcls_context *ctx, const dcls_model *model, const dcls_tensors *tensors,
                         const dcls_taps_options *options, dcls_tensors **out, dcls_changes **changes)
{
    dcls_kernel_layers layers;
    taps_job job = {.options = options};
    *out = NULL;
    *changes = NULL;
    DCLS_TRY(dcls_kernel_layers_choose(ctx, model, tensors, options->layers, true, options->settings,
                                       options->setting_count, &layers));
    dcls_status status = dcls_kernel_layers_rewrite(ctx, &layers, put_taps, &job, out);
    if (status == DCLS_OK) status = dcls_changes_create(ctx, &layers, changes);
    if (status != DCLS_OK) {
        dcls_tensors_destroy(*out);
        *out = NULL;
    }
    dcls_kernel_layers_free(&layers);
    return status;
}
