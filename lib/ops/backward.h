/* How operations without learned kernels hand gradients back. dx is added to, so that a value several nodes
 * read collects all of them. */
#ifndef DCLS_OPS_BACKWARD_H
#define DCLS_OPS_BACKWARD_H

#include "ops/ops.h"

/* relu, gelu, sigmoid: n numbers. */
void dcls_activation_backward(dcls_activation activation, int64_t n, const float *x, const float *y,
                              const float *dy, float *dx);
/* dx += scale[c] * dy */
void dcls_scale_backward(dcls_extent e, const float *scale, const float *dy, float *dx);
/* weight may be NULL. */
void dcls_layer_norm_backward(dcls_extent e, float eps, const float *weight, const float *x, const float *dy,
                              float *dx);
void dcls_softmax_backward(dcls_extent e, const float *y, const float *dy, float *dx);
void dcls_max_pool_backward(const dcls_simd *simd, const dcls_geometry *g, const float *x, const float *dy,
                            float *dx);
void dcls_avg_pool_backward(const dcls_geometry *g, const int64_t pad_after[3], bool count_include_pad,
                            const float *dy, float *dx);
void dcls_global_pool_backward(bool average, dcls_extent e, const float *x, const float *dy, float *dx);
/* One operand of a product or sum: e is the result's extent, pixels how many the operand has (1: it repeats);
 * other is the other operand of a product with its number of pixels, NULL for a sum. */
void dcls_elementwise_backward(dcls_extent e, int64_t pixels, const float *other, int64_t other_pixels,
                               const float *dy, float *dx);
dcls_status dcls_resize_backward(dcls_context *ctx, const dcls_resize_shape *s, const float *dy, float *dx);

/* The same made ready, for many runs of any number of planes that do not allocate. */
typedef struct dcls_resize_back dcls_resize_back;
dcls_status dcls_resize_back_create(dcls_context *ctx, const dcls_resize_shape *s, dcls_resize_back **out);
void dcls_resize_back_destroy(dcls_resize_back *back);
size_t dcls_resize_back_scratch(const dcls_resize_back *back); /* floats */
void dcls_resize_back_run(const dcls_resize_back *back, const dcls_simd *simd, int64_t planes,
                          const float *dy, float *dx, float *scratch);

#endif
