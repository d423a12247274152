/* Pictures of every format from memory, then the way to a tensor for those that decode. */
#include <stdlib.h>

#include "dcls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    dcls_context_destroy(ctx);
    return 0;
}
