/* Pictures in memory, the decoders behind dcls_image_load_* and the PNG encoder. */
#ifndef DCLS_IMAGE_IMAGE_H
#define DCLS_IMAGE_IMAGE_H

#include "base/context.h"
#include "base/text.h"

struct dcls_image {
    int64_t width, height;
    uint8_t *pixels; /* [height, width, 3] */
};

/* Checks a picture's size as a file states it: both sides positive, width * height within DCLS_LIMIT_PIXELS,
 * and its pixels plus decoder_bytes of the decoder's own within DCLS_LIMIT_MEMORY_BYTES. */
dcls_status dcls_image_check_size(dcls_context *ctx, int64_t width, int64_t height, uint64_t decoder_bytes);

/* A picture of uninitialised pixels; the size is checked first. */
dcls_status dcls_image_new(dcls_context *ctx, int64_t width, int64_t height, dcls_image **out);

typedef enum dcls_image_kind {
    DCLS_IMAGE_KIND_NONE,
    DCLS_IMAGE_KIND_PNG,
    DCLS_IMAGE_KIND_JPEG,
    DCLS_IMAGE_KIND_PNM
} dcls_image_kind;

/* What the first bytes announce. */
dcls_image_kind dcls_image_kind_of(const uint8_t *data, size_t size);

/* Where a binary PNM ends; size for a plain one, in which anything may follow, and for a damaged one. */
size_t dcls_pnm_extent(const uint8_t *data, size_t size);

/* Decoders of untrusted bytes, each for the format its first bytes have announced. */
dcls_status dcls_png_decode(dcls_context *ctx, const uint8_t *data, size_t size, dcls_image **out);
dcls_status dcls_jpeg_decode(dcls_context *ctx, const uint8_t *data, size_t size, dcls_image **out);
dcls_status dcls_pnm_decode(dcls_context *ctx, const uint8_t *data, size_t size, dcls_image **out);

/* The samples of a PNG of palette or gray pixels of up to 8 bits as they are stored: *out is
 * [*height, *width], free(). Other colour types are refused. */
dcls_status dcls_png_decode_indices(dcls_context *ctx, const uint8_t *data, size_t size, uint8_t **out,
                                    int64_t *width, int64_t *height);

/* The EXIF orientation of a JPEG, 1 to 8; 1 (upright) where it has none or one that makes no sense. */
int dcls_exif_orientation(const uint8_t *jpeg, size_t size);

/* Turns *image upright from an EXIF orientation. *image may be replaced; on failure it is left as it was. */
dcls_status dcls_image_orient(dcls_context *ctx, dcls_image **image, int orientation);

/* A PNG to be written, 8 bits a sample. */
typedef struct dcls_png_source {
    int64_t width, height;
    const uint8_t *palette; /* [colors, 3]: rows hold one index a pixel; NULL: rows hold RGB */
    int colors;             /* 1 to 256 with a palette */
    const uint8_t *(*row)(void *arg, int64_t y); /* called for y = 0, 1, .. height - 1 */
    void *arg;
} dcls_png_source;

/* Written whole or not at all. */
dcls_status dcls_png_write(dcls_context *ctx, const char *path, const dcls_png_source *source);

/* The file's bytes; out is the caller's to free, in failure too. */
dcls_status dcls_png_encode(dcls_context *ctx, const dcls_png_source *source, dcls_string *out);

#endif
