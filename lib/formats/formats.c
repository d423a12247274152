/* Choosing the reader by content and the writer by suffix. */
#include "formats/formats.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "formats/pytorch.h"

#define READABLE "safetensors, JSON models, PyTorch checkpoints and .npy can be read"

dcls_status dcls_tensors_read(dcls_context *ctx, dcls_bytes *bytes, dcls_tensors **out)
{
    const char *looks_like = NULL;
    *out = NULL;
    switch (dcls_format_sniff(bytes->data, bytes->size, &looks_like)) {
    case DCLS_FORMAT_SAFETENSORS: return dcls_safetensors_read(ctx, bytes, out);
    case DCLS_FORMAT_JSON: return dcls_json_read(ctx, bytes, out);
    case DCLS_FORMAT_NPY: return dcls_npy_read(ctx, bytes, out);
    case DCLS_FORMAT_PYTORCH_ZIP: return dcls_pytorch_zip_read(ctx, bytes, out);
    case DCLS_FORMAT_PYTORCH_LEGACY: return dcls_pytorch_legacy_read(ctx, bytes, out);
    case DCLS_FORMAT_ONNX:
    case DCLS_FORMAT_UNKNOWN: break;
    }
    free(bytes->data);
    *bytes = (dcls_bytes){0};
    if (looks_like == NULL)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "not a weights file of a known kind: " READABLE);
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "this is %s, not a weights file: " READABLE, looks_like);
}

dcls_status dcls_tensors_load_file(dcls_context *ctx, const char *path, dcls_tensors **out)
{
    dcls_bytes bytes;
    *out = NULL;
    DCLS_TRY(dcls_file_read(ctx, path, dcls_context_limit(ctx, DCLS_LIMIT_FILE_BYTES), &bytes));
    return dcls_tensors_read(ctx, &bytes, out);
}

/* Weights in the binary format stand in the file as they are used. */
dcls_status dcls_tensors_map_file(dcls_context *ctx, const char *path, dcls_tensors **out)
{
    const char *looks_like;
    dcls_bytes bytes;
    *out = NULL;
    DCLS_TRY(dcls_file_map(ctx, path, dcls_context_limit(ctx, DCLS_LIMIT_FILE_BYTES), &bytes));
    if (!bytes.mapped || dcls_format_sniff(bytes.data, bytes.size, &looks_like) == DCLS_FORMAT_SAFETENSORS)
        return dcls_tensors_read(ctx, &bytes, out);
    dcls_bytes_free(&bytes);
    return dcls_tensors_load_file(ctx, path, out);
}

dcls_status dcls_tensors_load_key(dcls_context *ctx, const char *path, const char *key, dcls_tensors **out)
{
    const char *looks_like;
    dcls_bytes bytes;
    *out = NULL;
    DCLS_TRY(dcls_file_read(ctx, path, dcls_context_limit(ctx, DCLS_LIMIT_FILE_BYTES), &bytes));
    dcls_format format = dcls_format_sniff(bytes.data, bytes.size, &looks_like);
    if (format == DCLS_FORMAT_PYTORCH_ZIP || format == DCLS_FORMAT_PYTORCH_LEGACY)
        return dcls_pytorch_read_key(ctx, &bytes, key, out);
    free(bytes.data);
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "only PyTorch checkpoints hold state dicts under keys");
}

dcls_status dcls_tensors_load_memory(dcls_context *ctx, const void *data, size_t size, dcls_tensors **out)
{
    dcls_bytes bytes = {.data = dcls_alloc_file(ctx, size), .size = size};
    *out = NULL;
    if (bytes.data == NULL) return DCLS_ERR_MEMORY;
    if (size > 0) memcpy(bytes.data, data, size);
    return dcls_tensors_read(ctx, &bytes, out);
}

dcls_status dcls_format_for_path(dcls_context *ctx, const char *path, dcls_format *out)
{
    static const struct {
        const char *suffix;
        dcls_format format;
    } suffixes[] = {{".bin", DCLS_FORMAT_SAFETENSORS},
                    {".safetensors", DCLS_FORMAT_SAFETENSORS},
                    {".json", DCLS_FORMAT_JSON},
                    {".npy", DCLS_FORMAT_NPY},
                    {".onnx", DCLS_FORMAT_ONNX}};
    size_t length = strlen(path);
    if (strcmp(path, "-") == 0) { /* standard output */
        *out = DCLS_FORMAT_SAFETENSORS;
        return DCLS_OK;
    }
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t tail = strlen(suffixes[i].suffix);
        if (length < tail || strcasecmp(path + length - tail, suffixes[i].suffix) != 0) continue;
        *out = suffixes[i].format;
        return DCLS_OK;
    }
    return dcls_fail(
        ctx, DCLS_ERR_ARGUMENT,
        "no weights format has this suffix; .bin, .safetensors, .json, .npy and .onnx can be written");
}

dcls_status dcls_tensors_write(dcls_context *ctx, const dcls_tensors *set, const char *path)
{
    dcls_format format;
    DCLS_TRY(dcls_format_for_path(ctx, path, &format));
    if (format == DCLS_FORMAT_ONNX)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "ONNX is written by dcls_onnx_save");
    if (format == DCLS_FORMAT_JSON) return dcls_json_write(ctx, set, path);
    if (format == DCLS_FORMAT_NPY) return dcls_npy_write(ctx, set, path);
    return dcls_safetensors_write(ctx, set, path);
}
