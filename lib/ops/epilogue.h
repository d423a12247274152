/* What follows a convolution and can be done while its result is in cache:
 *     y = activation2(scale[c] * activation(y + bias[c]) + shift[c] + residual)
 * It covers a bias, an activation, a batch norm behind it, a layer scale, a residual and an activation behind
 * that. */
#ifndef DCLS_OPS_EPILOGUE_H
#define DCLS_OPS_EPILOGUE_H

#include "base/mem.h"
#include "simd/simd.h"

typedef struct dcls_epilogue {
    const float *bias; /* [out_channels] or NULL; like scale and shift owned by the plan */
    dcls_activation activation;
    const float *scale, *shift; /* [out_channels], both or neither */
    bool residual; /* adds a tensor of the output's shape, passed at run time; it may be the output itself */
    dcls_activation activation2;
} dcls_epilogue;

/* In place on n contiguous pixels of one channel. residual: the same pixels, or NULL when e has none. */
void dcls_epilogue_apply(const dcls_simd *simd, const dcls_epilogue *e, int64_t channel, float *y,
                         const float *residual, int64_t n);

#endif
