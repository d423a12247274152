/*
 * Convolution, forward. The algorithms share one life: create packs what it needs from the weights (copied;
 * the epilogue's arrays are referenced and must outlive it), run computes
 *
 *     out[n, o, y] = epilogue(sum over c, k of weight[o, c, k] * in[n, c, y * stride - pad + k * dilation])
 *
 * without allocating. in and out must not overlap; residual may be out. workspace: dcls_conv_workspace(conv,
 * threads) bytes, 64-byte aligned. Results are the same bits for any number of threads and any size of tiles:
 * every sum is made in an order that depends on the geometry alone.
 *
 * - dense: any convolution. Tiles of an im2col matrix (or the input itself, for 1x1) and one GEMM each.
 * - winograd: dense with 3x3 taps and no stride where that takes fewer products. Rounding errors are up to
 * ten times those of dense, about 2e-6 of the largest output; a NaN or an infinity reaches its whole tile.
 * - sparse: a list of taps for every output channel, applied directly. Cost follows the number of taps.
 * - amx: dense or fused by the tiles of AMX (conv_amx.c), floats in three parts: a NaN, an infinity or a
 * number of 3.39e38 and more makes every sum that it is in NaN; numbers below 2^-110 lose bits.
 * - fused: a pair of pointwise convolutions, whose intermediate never reaches memory.
 * - strassen: fused with seven products of quarters in place of eight (Strassen, 1969), where the input is
 * even and there are channels and pixels enough. Rounding errors are some times those of fused, relative to
 * the larger of the two pixels and of the two outputs that meet in sums; a NaN or an infinity reaches both.
 * - interpolated: DCLS with output-shared positions or one output per group, by im2col (arXiv 2112.03740).
 *
 * Interpolated columns, one per (input channel, element), are made by tiles and multiplied by the weights;
 * neither time nor memory grows with the window.
 *
 * create fails with DCLS_ERR_ARGUMENT when sizes are not positive or do not fit each other, and with
 * DCLS_ERR_LIMIT when they are too large: 2^29 for each size, stride, dilation and reach of a window, and no
 * product may overflow.
 */
#ifndef DCLS_OPS_CONV_H
#define DCLS_OPS_CONV_H

#include "kernel/kernel.h"
#include "ops/epilogue.h"
#include "ops/geometry.h"
#include "simd/amx.h"
#include "simd/bf16.h"

typedef struct dcls_conv dcls_conv;

/* What a dense convolution may make use of: AMX, in float with parts = DCLS_AMX_PARTS or in bfloat16 with 1,
 * or what dcls_amx_get_bf16 has in its place; and several images at once. threads: how many are likely to run
 * it; results do not depend on it. */
typedef struct dcls_conv_how {
    const dcls_amx *amx; /* NULL: none */
    int parts, threads;
    int64_t images; /* that dcls_conv_run_images may get at once, where that is more than the batch */
} dcls_conv_how;

/* Images that such a convolution would best get at once; 1 where it does not matter. */
int64_t dcls_conv_images_wanted(const dcls_geometry *g);

/* weight [out_channels, in_channels / groups, kernel..]. With few outputs per group, as in depthwise
 * convolution, the result is a sparse one of all non-zero cells, which is faster. how: what may be used where
 * it is likely to be the fastest. */
dcls_status dcls_conv_create_dense(dcls_context *ctx, const dcls_geometry *g, const float *weight,
                                   const dcls_epilogue *epilogue, dcls_conv_how how, dcls_conv **out);

/* taps: rows = out_channels * in_channels / groups windows of kernel[0] * kernel[1] * kernel[2] cells. */
dcls_status dcls_conv_create_sparse(dcls_context *ctx, const dcls_geometry *g, const dcls_taps *taps,
                                    const dcls_epilogue *epilogue, dcls_conv **out);

/* elements: one row per (input channel of a group, element), rows = in_channels / groups * count for
 * output-shared positions, in_channels * count (group-major) otherwise: the cells and coefficients an element
 * of weight 1 spreads over. weight [out_channels, in_channels / groups, count]. */
dcls_status dcls_conv_create_interpolated(dcls_context *ctx, const dcls_geometry *g,
                                          const dcls_taps *elements, int64_t count, const float *weight,
                                          const dcls_epilogue *epilogue, dcls_conv **out);

/* Whether g is a 1x1 convolution without stride or padding. */
bool dcls_conv_is_pointwise(const dcls_geometry *g);

/* What a pair computes first: `channels` outputs of a pointwise convolution, weight [channels, in_channels],
 * bias [channels] or NULL, and an activation. */
typedef struct dcls_conv_expansion {
    int64_t channels;
    const float *weight, *bias;
    dcls_activation activation;
    bool even; /* pixels of the input are of about one size, as behind a layer norm: allows strassen */
} dcls_conv_expansion;
#define DCLS_PAIR_MOST ((int64_t)1 << 14) /* channels between */

/* Two pointwise convolutions, g->in_channels to expansion->channels to g->out_channels; weight [out_channels,
 * expansion->channels] belongs to the second. groups must be 1. bf16: NULL, or what multiplies numbers
 * rounded to bfloat16 and sums in float: weights, inputs, and what lies between. */
dcls_status dcls_conv_create_pair(dcls_context *ctx, const dcls_bf16 *bf16, int threads,
                                  const dcls_geometry *g, const dcls_conv_expansion *expansion,
                                  const float *weight, const dcls_epilogue *epilogue, dcls_conv **out);

/* One convolution by vectors over output channels, weight [out_channels, in_channels, kernel..]: the way in
 * bfloat16, and in float where planes are small. suits: else create fails. */
bool dcls_conv_pixels_suits(const dcls_geometry *g);
dcls_status dcls_conv_create_pixels(dcls_context *ctx, const dcls_bf16 *bf16, int threads,
                                    const dcls_geometry *g, const float *weight,
                                    const dcls_epilogue *epilogue, dcls_conv **out);

/* The same on AMX. suits: whether it is likely to be the fastest. */
bool dcls_conv_amx_fits(const dcls_geometry *g); /* else create fails: sizes of 2^30 and more */
bool dcls_conv_amx_suits(const dcls_geometry *g);
dcls_status dcls_conv_create_amx(dcls_context *ctx, dcls_conv_how how, const dcls_geometry *g,
                                 const float *weight, const dcls_epilogue *epilogue, dcls_conv **out);
dcls_status dcls_conv_create_amx_pair(dcls_context *ctx, dcls_conv_how how, const dcls_geometry *g,
                                      const dcls_conv_expansion *expansion, const float *weight,
                                      const dcls_epilogue *epilogue, dcls_conv **out);

size_t dcls_conv_workspace(const dcls_conv *conv, int threads);
/* Bytes of packed weights and tables. */
size_t dcls_conv_packed_bytes(const dcls_conv *conv);
/* Multiply-accumulates of one run: those of the algorithm that runs, padding included. */
double dcls_conv_macs(const dcls_conv *conv);
/* The one that runs: "dense", "winograd", "sparse", "interpolated", "fused", "strassen"; "dense" or "fused"
 * with "amx" or "bf16" behind. */
const char *dcls_conv_algorithm(const dcls_conv *conv);
void dcls_conv_run(const dcls_conv *conv, const dcls_simd *simd, const float *in, const float *residual,
                   float *out, void *workspace, int threads);
/* A convolution with a batch of 1, of several images that follow each other, on this thread. */
void dcls_conv_run_images(const dcls_conv *conv, const dcls_simd *simd, int64_t images, const float *in,
                          const float *residual, float *out, void *workspace);
void dcls_conv_destroy(dcls_conv *conv);

#endif
