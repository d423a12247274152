/* Operations over channels at every pixel, run on blocks of neighbouring pixels. */
#ifndef DCLS_OPS_COLUMNS_H
#define DCLS_OPS_COLUMNS_H

#include "ops/ops.h"

typedef struct dcls_columns {
    /* x and y point at the first of `pixels` pixels in channel 0; channels are e.pixels floats apart. */
    void (*body)(const void *terms, const float *x, float *y, dcls_extent e, int64_t pixels);
    const void *terms;
    dcls_extent e;
    const float *x;
    float *y;
} dcls_columns;

void dcls_columns_forward(const dcls_columns *columns, int threads);

#endif
