/* What the fuzz targets of the weights formats share. */
#ifndef TESTS_FORMAT_FUZZ_H
#define TESTS_FORMAT_FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formats/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A context whose limits keep one input from taking long. */
static inline dcls_context *fuzz_context(void)
{
    dcls_context *ctx = NULL;
    if (dcls_context_create(&ctx) != DCLS_OK) abort();
    dcls_context_set_limit(ctx, DCLS_LIMIT_JSON_BYTES, 1 << 20);
    dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, 64 << 20);
    return ctx;
}

static inline dcls_bytes fuzz_bytes(dcls_context *ctx, const uint8_t *data, size_t size)
{
    dcls_bytes bytes = {.data = dcls_alloc(ctx, size, 1), .size = size};
    if (bytes.data == NULL) abort();
    if (size > 0) memcpy(bytes.data, data, size);
    return bytes;
}

/* Reads all that the set says is there. */
static inline unsigned fuzz_touch(const dcls_tensors *set)
{
    unsigned sum = 0;
    for (size_t i = 0; i < dcls_tensors_count(set); i++) {
        const dcls_tensor *t = dcls_tensors_at(set, i);
        if (dcls_tensors_find(set, t->name) != t || (uintptr_t)t->data % 8 != 0) abort();
        for (size_t k = 0; k < t->nbytes; k++)
            sum = sum * 31 + ((const unsigned char *)t->data)[k];
    }
    for (size_t i = 0; dcls_tensors_meta_key(set, i) != NULL; i++)
        if (dcls_tensors_meta(set, dcls_tensors_meta_key(set, i)) != dcls_tensors_meta_value(set, i)) abort();
    return sum;
}

/* What was read must have a message if it failed and be whole if it did not; writers must cope with it. */
static inline void fuzz_outcome(dcls_context *ctx, dcls_status status, dcls_tensors *set,
                                dcls_status (*write)(dcls_context *, const dcls_tensors *, const char *))
{
    if (status == DCLS_OK) {
        fuzz_touch(set);
        if (write(ctx, set, "/dev/null") != DCLS_OK && dcls_context_message(ctx)[0] == '\0') abort();
    } else if (set != NULL || dcls_context_message(ctx)[0] == '\0') {
        abort();
    }
    dcls_tensors_destroy(set);
}

#endif
