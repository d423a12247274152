/* Named tensors in memory: what every weights format is read into and written from. */
#ifndef DCLS_FORMATS_TENSORS_H
#define DCLS_FORMATS_TENSORS_H

#include "base/file.h"
#include "base/mem.h"

#define DCLS_TENSOR_ALIGNMENT 8 /* what dcls_tensor promises of its data */

struct dcls_tensors {
    const char *format; /* static string, see dcls_tensors_format */
    const char *choice; /* see dcls_tensors_choice */
    const char *module; /* the one that was taken, with a dot behind, or "" */
    dcls_tensor *items;
    size_t count, capacity;
    dcls_map index; /* tensor name -> position in items */
    char **meta;    /* key, value, key, value, .. */
    size_t meta_count, meta_capacity;
    dcls_map meta_index; /* metadata key -> number of its pair */
    dcls_arena strings;
    void **blocks; /* memory the set owns; tensors point into it */
    size_t block_count, block_capacity;
    dcls_bytes mapping; /* .. or into a file that is mapped */
};

dcls_status dcls_tensors_create(dcls_context *ctx, const char *format, dcls_tensors **out);

/* Gives memory from dcls_alloc() to the set, which frees it when destroyed; on failure it is freed at once.
 */
dcls_status dcls_tensors_own(dcls_context *ctx, dcls_tensors *set, void *block);
/* The same for a whole file, whose bytes are then the set's. */
dcls_status dcls_tensors_own_bytes(dcls_context *ctx, dcls_tensors *set, dcls_bytes *bytes);

/* Adds a tensor; its name is copied, its data is not: it must point into an owned block or outlive the set.
 * nbytes is computed here. A duplicate name is DCLS_ERR_FORMAT. */
dcls_status dcls_tensors_add(dcls_context *ctx, dcls_tensors *set, const dcls_tensor *tensor);
/* Adds a tensor with memory of its own, uninitialised; *data points to it. */
dcls_status dcls_tensors_add_new(dcls_context *ctx, dcls_tensors *set, const char *name, dcls_dtype dtype,
                                 int ndim, const int64_t *shape, void **data);
/* Sets or replaces a metadata string; both are copied. */
dcls_status dcls_tensors_set_meta(dcls_context *ctx, dcls_tensors *set, const char *key, const char *value);
/* NULL if absent. */
const char *dcls_tensors_meta(const dcls_tensors *set, const char *key);

/* Key of the metadata entry that holds the network as JSON. */
#define DCLS_META_MODEL "dcls.model"

#endif
