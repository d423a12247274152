/* Whole checkpoints of either form: as they are, and for archives again with all CRCs put right, which chance
 * would not do. */
#include "format_fuzz.h"

#include <dlfcn.h>

#include "formats/pytorch.h"
#include "formats/zip.h"

static uint32_t crc_of(const uint8_t *bytes, size_t size)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void store(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

/* Puts the CRCs of entries right in all places they stand in; true if the archive is sound enough to find
 * them. */
static bool repair(dcls_context *ctx, uint8_t *data, size_t size)
{
    dcls_zip_directory directory;
    bool sound = dcls_zip_directory_read(ctx, data, size, &directory) == DCLS_OK;
    size_t end_of_entries = 0;
    for (size_t i = 0; sound && i < directory.count; i++) {
        const dcls_zip_entry *entry = &directory.entries[i];
        size_t end = (size_t)(entry->data + entry->packed_size);
        if (end > end_of_entries) end_of_entries = end;
    }
    uint8_t *central = sound ? memmem(data + end_of_entries, size - end_of_entries, "PK\1\2", 4) : NULL;
    for (size_t i = 0; central != NULL && i < directory.count; i++) {
        const dcls_zip_entry *entry = &directory.entries[i];
        uint32_t crc = crc_of(data + entry->data, (size_t)entry->packed_size);
        store(central + 16, crc);
        if (entry->flags & 8) store(data + entry->data + entry->packed_size + 4, crc);
        store(data + entry->begin + 14, crc);
        central += 46 + central[28] + (central[29] << 8) + central[30] + (central[31] << 8) + central[32] +
                   (central[33] << 8);
    }
    dcls_zip_directory_free(&directory);
    return central != NULL;
}

static void read_once(dcls_context *ctx, const uint8_t *data, size_t size, const char *key)
{
    dcls_bytes bytes = fuzz_bytes(ctx, data, size);
    dcls_tensors *set = NULL;
    dcls_status status = dcls_pytorch_read_key(ctx, &bytes, key, &set);
    fuzz_outcome(ctx, status, set, dcls_safetensors_write);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void *libzip; /* kept open, or else each archive would load it anew */
    if (libzip == NULL) libzip = dlopen("libzip.so.4", RTLD_NOW);
    dcls_context *ctx = fuzz_context();
    dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, 1 << 20);
    read_once(ctx, data, size, NULL);
    uint8_t *repaired = malloc(size > 0 ? size : 1);
    if (repaired == NULL) abort();
    if (size > 0) memcpy(repaired, data, size);
    if (repair(ctx, repaired, size)) {
        read_once(ctx, repaired, size, NULL);
        read_once(ctx, repaired, size, "model_ema");
    }
    free(repaired);
    dcls_context_destroy(ctx);
    return 0;
}
