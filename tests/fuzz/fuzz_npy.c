/* The .npy reader: bytes as they are, and again with the header's length put right. */
#include "format_fuzz.h"

static void read_once(dcls_context *ctx, const uint8_t *data, size_t size)
{
    dcls_bytes bytes = fuzz_bytes(ctx, data, size);
    dcls_tensors *set = NULL;
    dcls_status status = dcls_npy_read(ctx, &bytes, &set);
    fuzz_outcome(ctx, status, set, dcls_npy_write);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dcls_context *ctx = fuzz_context();
    read_once(ctx, data, size);
    const uint8_t *brace = size > 10 && data[6] == 1 ? memrchr(data + 10, '}', size - 10) : NULL;
    if (brace != NULL && brace - data - 9 <= UINT16_MAX) {
        uint16_t length = (uint16_t)(brace - data - 9);
        uint8_t *fixed = malloc(size);
        if (fixed == NULL) abort();
        memcpy(fixed, data, size);
        memcpy(fixed + 8, &length, 2);
        read_once(ctx, fixed, size);
        free(fixed);
    }
    dcls_context_destroy(ctx);
    return 0;
}
