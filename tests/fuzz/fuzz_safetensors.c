/* The safetensors reader: bytes as they are, and again with the header's length put right so that mutations
 * of the header get past the first check. */
#include "format_fuzz.h"

static void read_once(dcls_context *ctx, const uint8_t *data, size_t size)
{
    dcls_bytes bytes = fuzz_bytes(ctx, data, size);
    dcls_tensors *set = NULL;
    dcls_status status = dcls_safetensors_read(ctx, &bytes, &set);
    fuzz_outcome(ctx, status, set, dcls_safetensors_write);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dcls_context *ctx = fuzz_context();
    read_once(ctx, data, size);
    const uint8_t *brace = size > 8 ? memrchr(data + 8, '}', size - 8) : NULL;
    if (brace != NULL) {
        uint64_t length = (uint64_t)(brace - data) - 7;
        uint8_t *fixed = malloc(size);
        if (fixed == NULL) abort();
        memcpy(fixed, data, size);
        memcpy(fixed, &length, 8);
        read_once(ctx, fixed, size);
        free(fixed);
    }
    dcls_context_destroy(ctx);
    return 0;
}
