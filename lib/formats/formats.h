/* Readers and writers of weights files. Each reader takes untrusted bytes and gives a set of tensors or a
 * failure that says what is wrong; each writer goes through dcls_output, so files appear whole. Nothing here
 * knows about networks: a network travels as the metadata string DCLS_META_MODEL. */
#ifndef DCLS_FORMATS_FORMATS_H
#define DCLS_FORMATS_FORMATS_H

#include "formats/tensors.h"

typedef enum dcls_format {
    DCLS_FORMAT_SAFETENSORS,
    DCLS_FORMAT_JSON,
    DCLS_FORMAT_NPY,
    DCLS_FORMAT_ONNX, /* written alone, by lib/export */
    DCLS_FORMAT_PYTORCH_ZIP,
    DCLS_FORMAT_PYTORCH_LEGACY,
    DCLS_FORMAT_UNKNOWN
} dcls_format;

/* By content. For DCLS_FORMAT_UNKNOWN, *looks_like gets a phrase such as "a Git LFS pointer", "a PNG
 * picture", "an empty file", or NULL when nothing is recognised. */
dcls_format dcls_format_sniff(const unsigned char *data, size_t size, const char **looks_like);

/* Readers take ownership of *bytes (data is moved into the set, or freed) in success and failure alike, so
 * that tensors can point into the file's own memory; bytes->data is NULL afterwards. */
dcls_status dcls_safetensors_read(dcls_context *ctx, dcls_bytes *bytes, dcls_tensors **out);
dcls_status dcls_json_read(dcls_context *ctx, dcls_bytes *bytes, dcls_tensors **out);
dcls_status dcls_npy_read(dcls_context *ctx, dcls_bytes *bytes, dcls_tensors **out);
dcls_status dcls_pytorch_zip_read(dcls_context *ctx, dcls_bytes *bytes, dcls_tensors **out);
dcls_status dcls_pytorch_legacy_read(dcls_context *ctx, dcls_bytes *bytes, dcls_tensors **out);
/* Sniffs, then calls the right one of the above. */
dcls_status dcls_tensors_read(dcls_context *ctx, dcls_bytes *bytes, dcls_tensors **out);
/* dcls_tensors_load_file, but that a safetensors file is mapped: see dcls_model_map_file. */
dcls_status dcls_tensors_map_file(dcls_context *ctx, const char *path, dcls_tensors **out);

dcls_status dcls_safetensors_write(dcls_context *ctx, const dcls_tensors *set, const char *path);
dcls_status dcls_json_write(dcls_context *ctx, const dcls_tensors *set, const char *path);
/* DCLS_ERR_ARGUMENT unless the set holds exactly one tensor. */
dcls_status dcls_npy_write(dcls_context *ctx, const dcls_tensors *set, const char *path);

/* The format a file is written in, from its suffix (.bin .safetensors .json .npy .onnx); DCLS_ERR_ARGUMENT
 * for any other, with a message that lists them. */
dcls_status dcls_format_for_path(dcls_context *ctx, const char *path, dcls_format *out);
/* DCLS_ERR_ARGUMENT for .onnx: it needs a network. */
dcls_status dcls_tensors_write(dcls_context *ctx, const dcls_tensors *set, const char *path);

#endif
