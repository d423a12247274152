/* Pictures of every format from memory, then the way to a tensor for those that decode; PNGs as masks too. */
#include <stdlib.h>
#include <string.h>

#include "dcls.h"
#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size,
                                              size_t max_size); /* libFuzzer's own */

static uint32_t crc32_of(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

/* A changed PNG would end at the first checksum: most get right ones again. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    enum { SIGNATURE = 8, FRAME = 12 };
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size < SIGNATURE || memcmp(data, "\x89PNG\r\n\x1a\n", SIGNATURE) != 0 || seed % 8 == 0) return size;
    for (size_t at = SIGNATURE; size - at >= FRAME;) {
        const uint8_t *p = data + at;
        size_t length = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (length > size - at - FRAME) break;
        uint32_t crc = crc32_of(data + at + 4, length + 4);
        for (int i = 0; i < 4; i++)
            data[at + 8 + length + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        at += FRAME + length;
    }
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const dcls_preprocess preprocess = {.resize = DCLS_RESIZE_SHORTER,
                                               .resize_height = 7,
                                               .filter = DCLS_FILTER_BICUBIC,
                                               .crop_height = 5,
                                               .crop_width = 9,
                                               .channels = 3,
                                               .std = {1, 1, 1}};
    dcls_context *ctx;
    dcls_image *image;
    if (dcls_context_create(&ctx) != DCLS_OK) return 0;
    dcls_context_set_limit(ctx, DCLS_LIMIT_PIXELS, 1 << 16);
    dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, 1 << 24);
    if (dcls_image_load_memory(ctx, data, size, 0, &image) == DCLS_OK) {
        float tensor[3 * 5 * 9];
        uint64_t pixels = (uint64_t)dcls_image_width(image) * (uint64_t)dcls_image_height(image);
        if (pixels > 1 << 16) abort();
        if (dcls_preprocess_run(ctx, &preprocess, image, tensor) == DCLS_OK) {
            for (int i = 0; i < 3 * 5 * 9; i++) {
                if (!(tensor[i] >= 0 && tensor[i] <= 1)) abort();
            }
        }
        dcls_image_destroy(image);
    }
    if (dcls_image_extent(data, size) > size) abort();
    uint8_t *mask;
    int64_t width, height;
    if (dcls_png_decode_indices(ctx, data, size, &mask, &width, &height) == DCLS_OK) {
        if (width * height > 1 << 16) abort();
        free(mask);
    }
    dcls_context_destroy(ctx);
    return 0;
}
