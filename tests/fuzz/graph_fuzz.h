/* What the fuzz targets of networks share. */
#ifndef TESTS_GRAPH_FUZZ_H
#define TESTS_GRAPH_FUZZ_H

#include "format_fuzz.h"

#include "base/tensor.h"
#include "dcls_tools.h"
#include "model/model.h"

#define FUZZ_MEMORY       (4 << 20)
#define FUZZ_MOST_TENSORS 200

static inline dcls_context *fuzz_graph_context(void)
{
    dcls_context *ctx = fuzz_context();
    dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, FUZZ_MEMORY);
    if (dcls_context_set_threads(ctx, 1) != DCLS_OK) abort();
    return ctx;
}

/* The bytes as text, to be freed; NULL: too long to try. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    if (size > 1 << 16) return NULL;
    char *text = malloc(size + 1);
    if (text == NULL) abort();
    if (size > 0) memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* The model's input with something small where it is open. */
static inline int fuzz_input_shape(const dcls_model *model, int64_t shape[DCLS_MAX_DIMS])
{
    const int ndim = dcls_model_input_shape(model, shape);
    for (int i = 0; i < ndim; i++)
        if (shape[i] == DCLS_ANY) shape[i] = i == 0 ? 2 : 13;
    return ndim;
}

/* Numbers between -1 and 1 that look random. */
static inline void fuzz_fill(float *values, size_t count)
{
    uint32_t state = 12345;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(int32_t)state / 2147483648.0f;
    }
}

static inline void fuzz_add_tensor(dcls_context *ctx, dcls_tensors *set, const char *name, int ndim,
                                   const int64_t *shape)
{
    size_t bytes = 0;
    void *data;
    if (!dcls_shape_bytes(DCLS_F32, ndim, shape, &bytes) || bytes > 1 << 20) return;
    if (dcls_tensors_add_new(ctx, set, name, DCLS_F32, ndim, shape, &data) == DCLS_OK)
        fuzz_fill(data, bytes / sizeof(float));
}

/* The tensors a bare model object can name. */
static inline dcls_tensors *fuzz_fixed_tensors(dcls_context *ctx)
{
    static const struct {
        const char *name;
        int ndim;
        int64_t shape[5];
    } LIST[] = {{"w", 4, {4, 3, 3, 3}}, {"w1", 4, {4, 4, 1, 1}}, {"b", 1, {4}},
                {"b3", 1, {3}},         {"k", 3, {4, 1, 5}},     {"P", 4, {2, 4, 1, 5}},
                {"S", 4, {2, 4, 1, 5}}, {"P1", 4, {1, 4, 1, 5}}, {"Ps", 3, {2, 1, 5}},
                {"l", 2, {2, 4}},       {"w3", 3, {4, 3, 3}},    {"w5", 5, {4, 3, 1, 3, 2}}};
    dcls_tensors *set;
    if (dcls_tensors_create(ctx, "", &set) != DCLS_OK) abort();
    for (size_t i = 0; i < sizeof LIST / sizeof LIST[0]; i++)
        fuzz_add_tensor(ctx, set, LIST[i].name, LIST[i].ndim, LIST[i].shape);
    return set;
}

/* A JSON model file, or a bare model object over the fixed tensors. */
static inline dcls_status fuzz_read_model(dcls_context *ctx, const char *text, dcls_model **model)
{
    dcls_bytes bytes = fuzz_bytes(ctx, (const uint8_t *)text, strlen(text));
    dcls_tensors *set = NULL;
    if (dcls_json_read(ctx, &bytes, &set) != DCLS_OK)
        return dcls_model_from_json(ctx, fuzz_fixed_tensors(ctx), text, model);
    if (set->count <= FUZZ_MOST_TENSORS) return dcls_model_from_json(ctx, set, NULL, model);
    dcls_tensors_destroy(set);
    return dcls_fail(ctx, DCLS_ERR_LIMIT, "too many tensors to try");
}

#endif
