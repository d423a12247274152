#include <math.h>

#include "ops/columns.h"
#include "ops/ops.h"

void dcls_batch_norm_fold(int64_t channels, const float *weight, const float *bias, const float *mean,
                          const float *var, float eps, float *scale, float *shift)
{
    for (int64_t c = 0; c < channels; c++) {
        double factor = (weight ? (double)weight[c] : 1.0) / sqrt((double)var[c] + (double)eps);
        scale[c] = (float)factor;
        shift[c] = (float)((bias ? (double)bias[c] : 0.0) - (double)mean[c] * factor);
    }
}

typedef struct layer_norm_terms {
    const dcls_simd *simd;
    const float *weight, *bias;
    float eps;
} layer_norm_terms;

static void layer_norm_columns(const void *arg, const float *x, float *y, dcls_extent e, int64_t pixels)
{
    const layer_norm_terms *terms = arg;
    terms->simd->layer_norm(x, y, e.channels, e.pixels, pixels, terms->weight, terms->bias, terms->eps);
}

void dcls_layer_norm_forward(const dcls_simd *simd, dcls_extent e, const float *x, const float *weight,
                             const float *bias, float eps, float *y, int threads)
{
    layer_norm_terms terms = {simd, weight, bias, eps};
    dcls_columns_forward(&(dcls_columns){layer_norm_columns, &terms, e, x, y}, threads);
}
