/* Loading models, asking about them, saving them. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/palette.h"
#include "dcls_tools.h"
#include "formats/formats.h"
#include "model/draft.h"

/* ---- making and freeing --------------------------------------------------------------------------- */

dcls_status dcls_model_from_json(dcls_context *ctx, dcls_tensors *tensors, const char *json, dcls_model **out)
{
    *out = NULL;
    const char *text = json != NULL ? json : dcls_tensors_meta(tensors, DCLS_META_MODEL);
    if (text == NULL) {
        dcls_tensors_destroy(tensors);
        return dcls_fail(ctx, DCLS_ERR_FORMAT,
                         "tensors without a network: 'dcls convert IN OUT --arch NAME|FILE' makes a model of "
                         "a state dict");
    }
    dcls_draft *draft;
    DCLS_TRY(dcls_draft_create(ctx, tensors, &draft));
    dcls_status status = dcls_draft_read(ctx, draft, text);
    if (status != DCLS_OK) {
        dcls_draft_destroy(draft);
        return status;
    }
    dcls_model *model;
    DCLS_TRY(dcls_draft_finish(ctx, draft, &model));
    if (json != NULL) status = dcls_model_describe(ctx, model);
    if (status == DCLS_OK)
        *out = model;
    else
        dcls_model_destroy(model);
    return status;
}

dcls_status dcls_model_load_file(dcls_context *ctx, const char *path, dcls_model **out)
{
    *out = NULL;
    dcls_tensors *tensors;
    DCLS_TRY(dcls_tensors_load_file(ctx, path, &tensors));
    return dcls_model_from_json(ctx, tensors, NULL, out);
}

dcls_status dcls_model_map_file(dcls_context *ctx, const char *path, dcls_model **out)
{
    *out = NULL;
    dcls_tensors *tensors;
    DCLS_TRY(dcls_tensors_map_file(ctx, path, &tensors));
    return dcls_model_from_json(ctx, tensors, NULL, out);
}

dcls_status dcls_model_load_memory(dcls_context *ctx, const void *data, size_t size, dcls_model **out)
{
    *out = NULL;
    dcls_tensors *tensors;
    DCLS_TRY(dcls_tensors_load_memory(ctx, data, size, &tensors));
    return dcls_model_from_json(ctx, tensors, NULL, out);
}

void dcls_model_destroy(dcls_model *model)
{
    if (model == NULL) return;
    dcls_tensors_destroy(model->tensors);
    dcls_arena_free(&model->arena);
    free(model);
}

bool dcls_tensors_hold_model(const dcls_tensors *tensors)
{
    return dcls_tensors_meta(tensors, DCLS_META_MODEL) != NULL;
}

/* ---- questions ------------------------------------------------------------------------------------ */

dcls_task dcls_model_task(const dcls_model *model)
{
    return model->task;
}

const char *dcls_task_name(dcls_task task)
{
    switch (task) {
    case DCLS_TASK_CLASSIFICATION: return "classification";
    case DCLS_TASK_SEGMENTATION: return "segmentation";
    case DCLS_TASK_FEATURES: return "features";
    }
    return "unknown";
}

int dcls_model_input_shape(const dcls_model *model, int64_t shape[DCLS_MAX_DIMS])
{
    memcpy(shape, model->input_shape, sizeof model->input_shape);
    return model->input_ndim;
}

size_t dcls_model_label_count(const dcls_model *model)
{
    return model->label_count;
}

const char *dcls_model_label(const dcls_model *model, size_t index)
{
    return index < model->label_count ? model->labels[index] : NULL;
}

const dcls_tensors *dcls_model_tensors(const dcls_model *model)
{
    return model->tensors;
}

const dcls_preprocess *dcls_model_preprocess(const dcls_model *model)
{
    return &model->preprocess;
}

void dcls_model_color(const dcls_model *model, size_t index, uint8_t rgb[3])
{
    if (index < model->palette_count)
        memcpy(rgb, model->palette[index], 3);
    else
        dcls_voc_color(index, rgb);
}

void dcls_node_kernel(const dcls_node *node, dcls_kernel *out)
{
    *out = (dcls_kernel){.version = node->version, .ndim = node->window.ndim, .count = node->kernel_count};
    memcpy(out->size, node->window.kernel, sizeof out->size);
    if (node->layer != DCLS_LAYER_FULL) {
        out->ndim = 1;
        out->size[0] =
            node->window.kernel[node->layer == DCLS_LAYER_2DK1D ? node->flat_dim : node->window.ndim - 1];
        out->size[1] = out->size[2] = 1;
    }
    out->rows = 1;
    for (int i = 0; i < node->weight->ndim - 1; i++)
        out->rows *= node->weight->shape[i];
    out->position_rows = node->shared_positions ? out->rows / node->weight->shape[0] : out->rows;
    out->spread_offset = dcls_spread_offset(node->version, node->layer == DCLS_LAYER_2_1D);
}

/* ---- saving --------------------------------------------------------------------------------------- */

dcls_status dcls_model_save(dcls_context *ctx, const dcls_model *model, const char *path)
{
    DCLS_TRY(dcls_output_path_check(ctx, path, true));
    return dcls_tensors_write(ctx, model->tensors, path);
}

dcls_status dcls_tensors_save(dcls_context *ctx, const dcls_tensors *tensors, const char *path)
{
    return dcls_tensors_write(ctx, tensors, path);
}

dcls_status dcls_output_path_check(dcls_context *ctx, const char *path, bool model)
{
    dcls_format format;
    DCLS_TRY(dcls_format_for_path(ctx, path, &format));
    if (!model && format == DCLS_FORMAT_ONNX)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "an ONNX file holds a network: tensors without one need an architecture");
    if (model && format == DCLS_FORMAT_NPY)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "a .npy file holds one tensor, not a model: use .bin or .json");
    return DCLS_OK;
}

dcls_status dcls_npy_save(dcls_context *ctx, const char *path, int ndim, const int64_t *shape,
                          const float *data)
{
    if (ndim < 0 || ndim > DCLS_MAX_DIMS)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "an array of %d dimensions", ndim);
    size_t bytes;
    if (!dcls_shape_bytes(DCLS_F32, ndim, shape, &bytes))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "an array with a negative size, or too large");
    dcls_tensor tensor = {.name = "array", .dtype = DCLS_F32, .ndim = ndim, .data = data};
    memcpy(tensor.shape, shape, (size_t)ndim * sizeof *shape);
    dcls_tensors *set;
    DCLS_TRY(dcls_tensors_create(ctx, "", &set));
    dcls_status status = dcls_tensors_add(ctx, set, &tensor);
    if (status == DCLS_OK) status = dcls_npy_write(ctx, set, path);
    dcls_tensors_destroy(set);
    return status;
}
