/* Operations other than convolution, forward. Activations are [batch, channels, pixels] where only the number
 * of pixels matters. Out-parameters last but for workspace and threads; x == y is allowed unless said
 * otherwise. Results are the same bits for any number of threads. */
#ifndef DCLS_OPS_OPS_H
#define DCLS_OPS_OPS_H

#include "ops/geometry.h"
#include "simd/simd.h"

/* Shape of an activation for per-pixel operations. */
typedef struct dcls_extent {
    int64_t batch, channels, pixels;
} dcls_extent;

void dcls_activation_forward(const dcls_simd *simd, dcls_activation activation, const float *x, float *y,
                             int64_t n, int threads);
/* y = x * scale[c] + shift[c]: batch norm once its statistics are folded, layer scale (shift NULL). */
void dcls_scale_shift_forward(const dcls_simd *simd, dcls_extent e, const float *x, const float *scale,
                              const float *shift, float *y, int threads);
/* Batch norm as scale and shift: scale = weight / sqrt(var + eps), shift = bias - mean * scale; weight, bias
 * may be NULL. */
void dcls_batch_norm_fold(int64_t channels, const float *weight, const float *bias, const float *mean,
                          const float *var, float eps, float *scale, float *shift);
/* Over channels at every pixel; weight, bias may be NULL. */
void dcls_layer_norm_forward(const dcls_simd *simd, dcls_extent e, const float *x, const float *weight,
                             const float *bias, float eps, float *y, int threads);
/* Over channels at every pixel. */
void dcls_softmax_forward(const dcls_simd *simd, dcls_extent e, const float *x, float *y, int threads);

void dcls_add_forward(const dcls_simd *simd, const float *a, const float *b, float *y, int64_t n,
                      int threads);
void dcls_mul_forward(const dcls_simd *simd, const float *a, const float *b, float *y, int64_t n,
                      int threads);
/* b is [batch, channels, 1] and repeats over pixels. */
void dcls_add_broadcast_forward(const dcls_simd *simd, dcls_extent e, const float *a, const float *b,
                                float *y, int threads);
void dcls_mul_broadcast_forward(const dcls_simd *simd, dcls_extent e, const float *a, const float *b,
                                float *y, int threads);

/* Windows of 2x2 cells that lie side by side and have no padding. */
bool dcls_pool_is_halving(const dcls_geometry *g);
/* Pools: g->groups and g->out_channels are not used; channels are in_channels. x != y. Padding never wins a
 * maximum. Averages divide by the window's cells that lie inside the padded input (count_include_pad) or
 * inside the input. pad_after gives the zero padding behind, needed by count_include_pad at the far edge. NaN
 * propagates through max as in PyTorch. */
void dcls_max_pool_forward(const dcls_simd *simd, const dcls_geometry *g, const float *x, float *y,
                           int threads);
void dcls_avg_pool_forward(const dcls_simd *simd, const dcls_geometry *g, const int64_t pad_after[3],
                           bool count_include_pad, const float *x, float *y, int threads);
/* [batch, channels, pixels] -> [batch, channels]. x != y. */
void dcls_global_avg_pool_forward(const dcls_simd *simd, dcls_extent e, const float *x, float *y,
                                  int threads);
void dcls_global_max_pool_forward(const dcls_simd *simd, dcls_extent e, const float *x, float *y,
                                  int threads);

/* Spatial resize of `planes` = batch * channels planes as torch.nn.functional.interpolate does; scale > 0 is
 * the factor the caller gave (used for coordinates, as PyTorch does without recompute_scale_factor), 0: from
 * the sizes. x != y. */
typedef struct dcls_resize_shape {
    int64_t planes, in[3], out[3];
    double scale[3];
    bool linear, align_corners; /* else nearest */
} dcls_resize_shape;
void dcls_resize_forward(const dcls_resize_shape *s, const float *x, float *y, int threads);
/* Rows first .. first + rows - 1 alone of every plane's result, where out[0] is 1: y [planes, rows, out[2]].
 */
void dcls_resize_rows(const dcls_resize_shape *s, const float *x, int64_t first, int64_t rows, float *y);

/* Copies planes into larger ones, filling the border: zeros, or as PyTorch's padding modes. x != y. */
typedef enum dcls_border {
    DCLS_BORDER_ZEROS,
    DCLS_BORDER_REFLECT,
    DCLS_BORDER_REPLICATE,
    DCLS_BORDER_CIRCULAR
} dcls_border;
void dcls_pad_forward(dcls_border border, int64_t planes, const int64_t in[3], const int64_t before[3],
                      const int64_t after[3], const float *x, float *y, int threads);

/* y = x W^T + bias: x [batch, in], weight [out, in], bias [out] or NULL, y [batch, out]. x != y. */
void dcls_linear_forward(const dcls_simd *simd, int64_t batch, int64_t in, int64_t out, const float *x,
                         const float *weight, const float *bias, float *y, int threads);

/* Joins inputs along channels: part i is [batch, channels[i], pixels]. */
void dcls_concat_forward(int count, const float *const *parts, const int64_t *channels, int64_t batch,
                         int64_t pixels, float *y, int threads);

#endif
