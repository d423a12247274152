/* Where a picture's pixels go in its tensor, for those who must follow it there: masks, training. */
#ifndef DCLS_IMAGE_PREPROCESS_H
#define DCLS_IMAGE_PREPROCESS_H

#include "base/context.h"

/* Along one axis: the resized length, the window of it that is kept and where that lies in the result. */
typedef struct dcls_span {
    int64_t resized, start, kept, before, length;
} dcls_span;

typedef struct dcls_geometry {
    dcls_span x, y;
} dcls_geometry;

/* The settings are checked, and the result's size against DCLS_LIMIT_PIXELS. */
dcls_status dcls_preprocess_geometry(dcls_context *ctx, const dcls_preprocess *preprocess, int64_t width,
                                     int64_t height, dcls_geometry *geometry);

/* What each byte of a channel becomes: (byte / 255 - mean) / std. */
void dcls_preprocess_values(const dcls_preprocess *preprocess, int channel, float value[256]);

/* ITU-R 601 luma in 16-bit fixed point, as Pillow's convert("L") computes it. */
void dcls_rgb_to_gray(const uint8_t *rgb, uint8_t *gray, size_t pixels);

#endif
