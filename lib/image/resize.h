/* Pillow's antialiased resize. */
#ifndef DCLS_IMAGE_RESIZE_H
#define DCLS_IMAGE_RESIZE_H

#include "base/context.h"

/* A picture of `channels` interleaved bytes a pixel is resized to width x height; of the result only the
 * window that starts at (left, top) is computed. */
typedef struct dcls_resize {
    const uint8_t *pixels; /* [from_height, from_width, channels] */
    int64_t from_width, from_height;
    int channels; /* 1 or 3 */
    int64_t width, height;
    int64_t left, top, window_width, window_height; /* inside width x height, not empty */
    dcls_filter filter;
} dcls_resize;

/* out: [window_height, window_width, channels]. Equals Image.resize of Pillow, cropped to the window. */
dcls_status dcls_resize_run(dcls_context *ctx, const dcls_resize *resize, uint8_t *out);

#endif
