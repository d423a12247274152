#include "model/rewrite.h"

#include <string.h>

#include "base/tensor.h"

dcls_status dcls_load_floats(dcls_context *ctx, const dcls_tensor *tensor, float **out)
{
    *out = NULL;
    if (tensor == NULL) return DCLS_OK;
    const size_t count = tensor->nbytes / dcls_dtype_size(tensor->dtype);
    *out = dcls_alloc(ctx, count, sizeof **out);
    if (*out == NULL) return DCLS_ERR_MEMORY;
    dcls_to_float(tensor->dtype, tensor->data, *out, count);
    return DCLS_OK;
}

dcls_status dcls_copy_tensor(dcls_context *ctx, dcls_tensors *set, const dcls_tensor *tensor)
{
    void *data;
    DCLS_TRY(dcls_tensors_add_new(ctx, set, tensor->name, tensor->dtype, tensor->ndim, tensor->shape, &data));
    if (tensor->nbytes > 0) memcpy(data, tensor->data, tensor->nbytes);
    return DCLS_OK;
}

dcls_status dcls_copy_meta(dcls_context *ctx, const dcls_tensors *from, const char *except, dcls_tensors *to)
{
    const char *key;
    for (size_t i = 0; (key = dcls_tensors_meta_key(from, i)) != NULL; i++)
        if (except == NULL || strcmp(key, except) != 0)
            DCLS_TRY(dcls_tensors_set_meta(ctx, to, key, dcls_tensors_meta_value(from, i)));
    return DCLS_OK;
}

dcls_status dcls_rebuild_model(dcls_context *ctx, const dcls_model *model, dcls_node *nodes,
                               dcls_tensors *set, dcls_model **out)
{
    dcls_model described = *model;
    dcls_string json = {0};
    described.nodes = nodes;
    *out = NULL;
    dcls_status status = dcls_model_to_json(ctx, &described, 0, &json);
    if (status == DCLS_OK)
        status = dcls_model_from_json(ctx, set, json.data, out);
    else
        dcls_tensors_destroy(set);
    dcls_string_free(&json);
    return status;
}
