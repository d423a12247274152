/* Animated PNG (version 1.0 of its specification, part of PNG's third edition): frames of one size, of which
 * the file holds what changed. Readers that know only still pictures show the first. */
#ifndef DCLS_IMAGE_APNG_H
#define DCLS_IMAGE_APNG_H

#include "base/file.h"

typedef struct dcls_apng dcls_apng;

typedef struct dcls_apng_options {
    int64_t width, height, frames;
    int64_t plays; /* 0: for ever */
} dcls_apng_options;

dcls_status dcls_apng_open(dcls_context *ctx, const char *path, const dcls_apng_options *options,
                           dcls_apng **out);
/* The next frame, [height, width, 3] bytes, shown for so many milliseconds, at most 65535. */
dcls_status dcls_apng_add(dcls_context *ctx, dcls_apng *apng, const uint8_t *rgb, int milliseconds);
/* Makes the file visible after the last frame; frees apng, as abort does, in failure too. */
dcls_status dcls_apng_commit(dcls_context *ctx, dcls_apng *apng);
void dcls_apng_abort(dcls_apng *apng);

#endif
