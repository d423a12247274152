/* What an entry of a safetensors header and a tensor of a JSON model have in common:
 * {"dtype": "F32", "shape": [2, 3], ..}, parsed with the arrays as raw text (json.h). */
#ifndef DCLS_FORMATS_ENTRY_H
#define DCLS_FORMATS_ENTRY_H

#include "formats/json.h"
#include "formats/tensors.h"

#define DCLS_ENTRY_DTYPE "dtype"
#define DCLS_ENTRY_SHAPE "shape"

typedef struct dcls_entry {
    const char *dtype_name;
    int dtype; /* -1: not one of dcls_dtype */
    int ndim;
    int64_t shape[DCLS_MAX_DIMS];
    int64_t count;         /* of elements */
    const dcls_json *data; /* the third member */
} dcls_entry;

/* Reads an object with exactly the members dtype, shape and the one called data_key. Messages do not name the
 * tensor. */
dcls_status dcls_entry_read(dcls_context *ctx, const dcls_json *value, const char *data_key, dcls_entry *out);

/* A flat array of at most max non-negative integers; what is its name in messages. */
dcls_status dcls_entry_sizes(dcls_context *ctx, const dcls_json *array, const char *what, int max,
                             int64_t *out, int *count);

dcls_status dcls_entry_fail_dtype(dcls_context *ctx, const dcls_entry *entry);

/* Puts the members of an object, which must be strings, into the metadata of set. */
dcls_status dcls_entry_read_metadata(dcls_context *ctx, const dcls_json *value, dcls_tensors *set);

/* Writes the tensor's name as a key and its entry up to where the third member belongs; the object stays
 * open. */
dcls_status dcls_entry_begin(dcls_context *ctx, const dcls_tensor *tensor, dcls_json_out *j);

/* Writes all metadata but the one with the key `except` (may be NULL) as a member called name; nothing if
 * there is none. */
dcls_status dcls_entry_put_metadata(dcls_context *ctx, const dcls_tensors *set, const char *name,
                                    const char *except, dcls_json_out *j);

#endif
