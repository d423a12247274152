/* Raw network outputs, collected for --logits. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "infer.h"

static bool same_shape(const infer_logits *logits, int ndim, const int64_t *shape)
{
    return logits->ndim == ndim && memcmp(logits->shape, shape, (size_t)ndim * sizeof *shape) == 0;
}

static dcls_status reserve(infer_logits *logits, size_t count, uint64_t limit)
{
    size_t item_bytes = logits->item_size * sizeof(float);
    size_t wanted = logits->count + count;
    if (item_bytes > 0 && wanted > limit / item_bytes) return DCLS_ERR_LIMIT;
    if (wanted <= logits->capacity) return DCLS_OK;
    size_t capacity = logits->capacity * 2 > wanted ? logits->capacity * 2 : wanted;
    float *data = realloc(logits->data, capacity * item_bytes + 1);
    if (data == NULL) return DCLS_ERR_MEMORY;
    logits->data = data;
    logits->capacity = capacity;
    return DCLS_OK;
}

dcls_status infer_logits_add(infer_logits *logits, int ndim, const int64_t *shape, const float *data,
                             size_t count, uint64_t limit)
{
    if (logits->count == 0) {
        logits->ndim = ndim;
        logits->item_size = 1;
        memcpy(logits->shape, shape, (size_t)ndim * sizeof *shape);
        for (int i = 0; i < ndim; i++)
            logits->item_size *= (size_t)shape[i];
    }
    if (!same_shape(logits, ndim, shape)) return DCLS_ERR_ARGUMENT;
    dcls_status status = reserve(logits, count, limit);
    if (status != DCLS_OK) return status;
    memcpy(logits->data + logits->count * logits->item_size, data, count * logits->item_size * sizeof(float));
    logits->count += count;
    return DCLS_OK;
}

dcls_status infer_logits_save(dcls_context *ctx, const infer_logits *logits, const char *path)
{
    int64_t shape[DCLS_MAX_DIMS] = {(int64_t)logits->count};
    memcpy(shape + 1, logits->shape, (size_t)logits->ndim * sizeof *shape);
    return dcls_npy_save(ctx, path, 1 + logits->ndim, shape, logits->data);
}
