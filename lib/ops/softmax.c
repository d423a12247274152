#include "ops/columns.h"
#include "ops/ops.h"

/* One value per channel side by side, as a classifier's logits. */
static void softmax_row(const dcls_simd *simd, const float *x, float *y, int64_t n)
{
    float sum = simd->exp_sum(x, y, n, simd->max(x, n));
    simd->scale_shift(y, y, n, 1.0f / sum, 0.0f);
}

static void softmax_columns(const void *arg, const float *x, float *y, dcls_extent e, int64_t pixels)
{
    const dcls_simd *simd = arg;
    if (e.pixels == 1)
        softmax_row(simd, x, y, e.channels);
    else
        simd->softmax(x, y, e.channels, e.pixels, pixels);
}

void dcls_softmax_forward(const dcls_simd *simd, dcls_extent e, const float *x, float *y, int threads)
{
    if (e.channels > 0) dcls_columns_forward(&(dcls_columns){softmax_columns, simd, e, x, y}, threads);
}
