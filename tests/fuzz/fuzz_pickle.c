/* The pickle machine, and the state dict and tensors found in what it built; storages are there in any size
 * up to 64 KiB. */
#include "format_fuzz.h"

#include "formats/pytorch.h"

static dcls_status load(dcls_torch_reader *r, const dcls_torch_storage *storage, size_t size,
                        unsigned char **data)
{
    if (size > 1 << 16) return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "storage '%s' is missing", storage->key);
    *data = dcls_alloc_zero(r->ctx, size, 1);
    return *data != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
}

static void collect(dcls_context *ctx, const dcls_pickle *pickle, const char *key)
{
    dcls_torch_reader reader;
    dcls_tensors *set = NULL;
    if (dcls_torch_reader_init(ctx, "", 0, &reader) != DCLS_OK) abort();
    reader.load = load;
    dcls_status status = dcls_torch_collect(&reader, pickle->root, key);
    status = dcls_torch_reader_finish(&reader, status, &set);
    fuzz_outcome(ctx, status, set, dcls_safetensors_write);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dcls_context *ctx = fuzz_context();
    dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, 1 << 20);
    dcls_pickle pickle;
    if (dcls_pickle_read(ctx, data, size, &pickle) == DCLS_OK) {
        if (pickle.consumed > size) abort();
        collect(ctx, &pickle, NULL);
        collect(ctx, &pickle, "model_ema");
    } else if (dcls_context_message(ctx)[0] == '\0') {
        abort();
    }
    dcls_pickle_free(&pickle);
    dcls_context_destroy(ctx);
    return 0;
}
