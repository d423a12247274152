/* Checkpoints of PyTorch 1.6 and later: a zip archive with the pickle in NAME/data.pkl and each storage in
 * NAME/data/KEY. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/pytorch.h"
#include "formats/zip.h"

typedef struct archive {
    dcls_zip *zip;
    const dcls_zip_directory *directory;
    size_t pickle;        /* entry of data.pkl */
    size_t prefix_length; /* of "NAME/" */
} archive;

/* "NAME/data.pkl" or "data.pkl". */
static bool is_pickle_name(const char *name)
{
    const char *slash = strchr(name, '/');
    return strcmp(slash ? slash + 1 : name, "data.pkl") == 0;
}

static dcls_status fail_no_pickle(dcls_context *ctx, const archive *a)
{
    const dcls_zip_directory *d = a->directory;
    if (d->count == 0) return dcls_fail(ctx, DCLS_ERR_FORMAT, "a zip archive without entries");
    return dcls_fail(ctx, DCLS_ERR_FORMAT,
                     "a zip archive, not a PyTorch checkpoint: it has no data.pkl, but '%.64s' and %zu more",
                     d->entries[0].name, d->count - 1);
}

static dcls_status find_pickle(dcls_context *ctx, archive *a)
{
    const dcls_zip_directory *d = a->directory;
    size_t count = 0;
    for (size_t i = 0; i < d->count; i++) {
        if (!is_pickle_name(d->entries[i].name)) continue;
        a->pickle = i;
        count++;
    }
    if (count == 0) return fail_no_pickle(ctx, a);
    if (count > 1) return dcls_fail(ctx, DCLS_ERR_FORMAT, "%zu entries are named data.pkl", count);
    a->prefix_length = strlen(d->entries[a->pickle].name) - strlen("data.pkl");
    return DCLS_OK;
}

/* The entry "NAME/" + folder + key, or -1. Names are looked up, never used as paths. */
static dcls_status find_entry(dcls_context *ctx, const archive *a, const char *folder, const char *key,
                              int64_t *out)
{
    size_t length = a->prefix_length + strlen(folder) + strlen(key);
    char *name = dcls_alloc(ctx, length + 1, 1);
    if (!name) return DCLS_ERR_MEMORY;
    snprintf(name, length + 1, "%.*s%s%s", (int)a->prefix_length, a->directory->entries[a->pickle].name,
             folder, key);
    *out = dcls_map_find(&a->directory->index, name);
    free(name);
    return DCLS_OK;
}

/* An archive of torch.jit.save has a data.pkl too, but what it means is in code that would have to be run. */
static dcls_status refuse_torchscript(dcls_context *ctx, const archive *a)
{
    int64_t constants = -1;
    DCLS_TRY(find_entry(ctx, a, "", "constants.pkl", &constants));
    if (constants < 0) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED,
                     "a TorchScript archive (torch.jit.save); save the state dict with torch.save instead");
}

static dcls_status check_byte_order(dcls_context *ctx, const archive *a)
{
    int64_t index = -1;
    unsigned char *text = NULL;
    DCLS_TRY(find_entry(ctx, a, "", "byteorder", &index));
    if (index < 0) return DCLS_OK;
    DCLS_TRY(dcls_zip_read(ctx, a->zip, (size_t)index, &text));
    uint64_t size = a->directory->entries[index].size;
    bool little = size == 6 && memcmp(text, "little", 6) == 0, big = size == 3 && memcmp(text, "big", 3) == 0;
    free(text);
    if (big)
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "saved on a big-endian machine, which is not supported");
    return little ? DCLS_OK : dcls_fail(ctx, DCLS_ERR_FORMAT, "its byteorder is neither 'little' nor 'big'");
}

static dcls_status load(dcls_torch_reader *r, const dcls_torch_storage *storage, size_t size,
                        unsigned char **data)
{
    const archive *a = r->source;
    int64_t index = -1;
    DCLS_TRY(find_entry(r->ctx, a, "data/", storage->key, &index));
    if (index < 0)
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "storage '%s' is missing from the archive", storage->key);
    const dcls_zip_entry *entry = &a->directory->entries[index];
    if (entry->size != size)
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "storage '%s' has %llu bytes where %zu are needed",
                         storage->key, (unsigned long long)entry->size, size);
    return dcls_zip_read(r->ctx, a->zip, (size_t)index, data);
}

static dcls_status unpickle(dcls_context *ctx, const archive *a, const unsigned char *data, dcls_pickle *out)
{
    uint64_t size = a->directory->entries[a->pickle].size;
    DCLS_TRY(dcls_pickle_read(ctx, data, (size_t)size, out));
    if (out->consumed != size)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "%llu bytes follow the pickle in data.pkl",
                         (unsigned long long)(size - out->consumed));
    return DCLS_OK;
}

static dcls_status read_checkpoint(dcls_context *ctx, archive *a, size_t file_size, const char *key,
                                   dcls_tensors **out)
{
    unsigned char *data = NULL;
    dcls_pickle pickle = {0};
    dcls_torch_reader reader = {.ctx = ctx};
    dcls_status status = dcls_zip_read(ctx, a->zip, a->pickle, &data);
    if (status == DCLS_OK) status = unpickle(ctx, a, data, &pickle);
    if (status == DCLS_OK) status = dcls_torch_reader_init(ctx, "pytorch zip", file_size, &reader);
    if (status == DCLS_OK) {
        reader.load = load;
        reader.source = a;
        status = dcls_torch_collect(&reader, pickle.root, key);
    }
    status = dcls_torch_reader_finish(&reader, status, out);
    dcls_pickle_free(&pickle);
    free(data);
    return status;
}

dcls_status dcls_torch_read_zip(dcls_context *ctx, const dcls_bytes *bytes, const char *key,
                                dcls_tensors **out)
{
    archive a = {0};
    *out = NULL;
    DCLS_TRY(dcls_zip_open(ctx, bytes->data, bytes->size, &a.zip));
    a.directory = dcls_zip_contents(a.zip);
    dcls_status status = find_pickle(ctx, &a);
    if (status == DCLS_OK) status = refuse_torchscript(ctx, &a);
    if (status == DCLS_OK) status = check_byte_order(ctx, &a);
    if (status == DCLS_OK) status = read_checkpoint(ctx, &a, bytes->size, key, out);
    dcls_zip_close(a.zip);
    return status;
}
