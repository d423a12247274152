/* Pictures in memory: sizes, life and turning upright. */
#include "image/image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

dcls_status dcls_image_check_size(dcls_context *ctx, int64_t width, int64_t height, uint64_t decoder_bytes)
{
    if (width <= 0 || height <= 0) {
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "a picture of %" PRId64 " x %" PRId64 " pixels has no content",
                         width, height);
    }
    uint64_t pixels, bytes;
    uint64_t pixel_limit = dcls_context_limit(ctx, DCLS_LIMIT_PIXELS);
    if (__builtin_mul_overflow((uint64_t)width, (uint64_t)height, &pixels) || pixels > pixel_limit) {
        return dcls_fail(ctx, DCLS_ERR_LIMIT,
                         "a picture of %" PRId64 " x %" PRId64 " pixels is over the limit of %" PRIu64
                         " pixels",
                         width, height, pixel_limit);
    }
    uint64_t memory_limit = dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES);
    if (__builtin_mul_overflow(pixels, (uint64_t)3, &bytes) ||
        __builtin_add_overflow(bytes, decoder_bytes, &bytes) || bytes > memory_limit) {
        return dcls_fail(ctx, DCLS_ERR_LIMIT,
                         "a picture of %" PRId64 " x %" PRId64 " pixels needs more than the limit of %" PRIu64
                         " bytes of memory",
                         width, height, memory_limit);
    }
    return DCLS_OK;
}

dcls_status dcls_image_new(dcls_context *ctx, int64_t width, int64_t height, dcls_image **out)
{
    *out = NULL;
    DCLS_TRY(dcls_image_check_size(ctx, width, height, 0));
    dcls_image *image = dcls_alloc_zero(ctx, 1, sizeof *image);
    if (!image) return DCLS_ERR_MEMORY;
    image->width = width;
    image->height = height;
    image->pixels = dcls_alloc(ctx, (size_t)width * (size_t)height, 3);
    if (!image->pixels) {
        dcls_image_destroy(image);
        return DCLS_ERR_MEMORY;
    }
    *out = image;
    return DCLS_OK;
}

dcls_status dcls_image_create(dcls_context *ctx, int64_t width, int64_t height, const uint8_t *rgb,
                              dcls_image **out)
{
    *out = NULL;
    if (width <= 0 || height <= 0) {
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a picture cannot be %" PRId64 " x %" PRId64 " pixels",
                         width, height);
    }
    DCLS_TRY(dcls_image_new(ctx, width, height, out));
    memcpy((*out)->pixels, rgb, (size_t)width * (size_t)height * 3);
    return DCLS_OK;
}

void dcls_image_destroy(dcls_image *image)
{
    if (!image) return;
    free(image->pixels);
    free(image);
}

int64_t dcls_image_width(const dcls_image *image)
{
    return image->width;
}

int64_t dcls_image_height(const dcls_image *image)
{
    return image->height;
}

const uint8_t *dcls_image_pixels(const dcls_image *image)
{
    return image->pixels;
}

/* ---- orientation ---- */

/* Where pixel (x, y) of the upright picture comes from: first + x * step_x + y * step_y, in pixels. */
struct walk {
    int64_t first, step_x, step_y;
};

/* Orientation says where the stored picture's first row and column belong:
 *   1 top left   2 top right   3 bottom right   4 bottom left: rows stay rows
 *   5 left top   6 right top   7 right bottom   8 left bottom: stored rows are upright columns */
static struct walk walk_for(int orientation, int64_t width, int64_t height)
{
    int64_t right = width - 1, bottom = (height - 1) * width;
    switch (orientation) {
    case 2: return (struct walk){right, -1, width};
    case 3: return (struct walk){bottom + right, -1, -width};
    case 4: return (struct walk){bottom, 1, -width};
    case 5: return (struct walk){0, width, 1};
    case 6: return (struct walk){bottom, -width, 1};
    case 7: return (struct walk){bottom + right, -width, -1};
    case 8: return (struct walk){right, width, -1};
    default: return (struct walk){0, 1, width};
    }
}

/* One tile of the upright picture. */
static void turn_tile(const struct walk *walk, const uint8_t *from, dcls_image *to, int64_t x0, int64_t y0,
                      int64_t side)
{
    int64_t x1 = x0 + side < to->width ? x0 + side : to->width;
    int64_t y1 = y0 + side < to->height ? y0 + side : to->height;
    for (int64_t y = y0; y < y1; y++) {
        uint8_t *out = to->pixels + (y * to->width + x0) * 3;
        const uint8_t *in = from + (walk->first + x0 * walk->step_x + y * walk->step_y) * 3;
        for (int64_t x = x0; x < x1; x++, out += 3, in += walk->step_x * 3) {
            out[0] = in[0];
            out[1] = in[1];
            out[2] = in[2];
        }
    }
}

dcls_status dcls_image_orient(dcls_context *ctx, dcls_image **image, int orientation)
{
    if (orientation < 2 || orientation > 8) return DCLS_OK;
    const dcls_image *from = *image;
    bool swapped = orientation >= 5;
    int64_t width = swapped ? from->height : from->width, height = swapped ? from->width : from->height;
    DCLS_TRY(dcls_image_check_size(ctx, width, height, (uint64_t)width * (uint64_t)height * 3));
    dcls_image *to;
    DCLS_TRY(dcls_image_new(ctx, width, height, &to));
    struct walk walk = walk_for(orientation, from->width, from->height);
    const int64_t side = 32; /* both pictures' rows of a tile fit the first-level cache */
    for (int64_t y = 0; y < height; y += side) {
        for (int64_t x = 0; x < width; x += side)
            turn_tile(&walk, from->pixels, to, x, y, side);
    }
    dcls_image_destroy(*image);
    *image = to;
    return DCLS_OK;
}
