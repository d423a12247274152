/* PyTorch checkpoints. The zip and the legacy form differ in where pickle and storages stand; what is done
 * with them is shared: find the state dict in what was pickled, and make tensors of the storages it refers
 * to. */
#ifndef DCLS_FORMATS_PYTORCH_H
#define DCLS_FORMATS_PYTORCH_H

#include "formats/formats.h"
#include "formats/pickle.h"

/* Reads a checkpoint of either form, recognised by its first bytes, as dcls_pytorch_zip_read() and
 * dcls_pytorch_legacy_read() do. A checkpoint of several state dicts is asked for `key`, an entry of its
 * outermost dict such as "model_ema"; NULL takes the default: the first of a list of usual names that holds
 * tensors, "model" before "state_dict" and averaged weights last. Takes ownership of *bytes. */
dcls_status dcls_pytorch_read_key(dcls_context *ctx, dcls_bytes *bytes, const char *key, dcls_tensors **out);

/* ---- shared by the two forms ------------------------------------------------------------------------- */

typedef struct dcls_torch_storage {
    const char *key, *class_name;
    int dtype;       /* dcls_dtype, or -1: a class whose size is known, but nothing else */
    size_t itemsize; /* bytes */
    uint64_t numel;
    const unsigned char
        *content;              /* in the file, of numel * itemsize bytes: legacy form only, NULL if missing */
    const unsigned char *data; /* the same in memory of the set; NULL until it was wanted */
} dcls_torch_storage;

typedef struct dcls_torch_reader dcls_torch_reader;
struct dcls_torch_reader {
    dcls_context *ctx;
    dcls_tensors *set; /* tensors go here */
    /* Brings a storage into memory from dcls_alloc() that becomes the set's, or fails if it is not there in
     * its full and exact size. `size` is numel * itemsize. */
    dcls_status (*load)(dcls_torch_reader *r, const dcls_torch_storage *storage, size_t size,
                        unsigned char **data);
    void *source;         /* for load */
    uint64_t copy_budget; /* bytes that views may still be copied to */
    uint64_t steps;       /* values visited so far */
    uint32_t walk;        /* number of the last walk */
    dcls_torch_storage *storages;
    size_t storage_count, storage_capacity;
    dcls_map by_key; /* key -> position in storages */
    dcls_arena names;
};

/* A reader for a file of file_size bytes that fills a new set. */
dcls_status dcls_torch_reader_init(dcls_context *ctx, const char *format, size_t file_size,
                                   dcls_torch_reader *out);
/* Frees a reader, also one that is all zero. The set is *out if status is DCLS_OK, else it is freed too.
 * Returns status. */
dcls_status dcls_torch_reader_finish(dcls_torch_reader *r, dcls_status status, dcls_tensors **out);

/* Finds the state dict in the unpickled value and puts its tensors into the set. */
dcls_status dcls_torch_collect(dcls_torch_reader *r, dcls_pickle_value *root, const char *key);

/* Registers the storage a persistent id refers to, once per key; *index is its place in r->storages. */
dcls_status dcls_torch_storage_of(dcls_torch_reader *r, const dcls_pickle_value *persistent, size_t *index);

/* Whether value is a call that makes a tensor, supported or not. */
bool dcls_torch_is_tensor(const dcls_pickle_value *value);
/* Makes that tensor and adds it under a name. */
dcls_status dcls_torch_add_tensor(dcls_torch_reader *r, const char *name, const dcls_pickle_value *value);

dcls_status dcls_torch_read_zip(dcls_context *ctx, const dcls_bytes *bytes, const char *key,
                                dcls_tensors **out);
dcls_status dcls_torch_read_legacy(dcls_context *ctx, const dcls_bytes *bytes, const char *key,
                                   dcls_tensors **out);

#endif
