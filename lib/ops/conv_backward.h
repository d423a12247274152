/*
 * Convolution, backward, for one image at a time on the calling thread: the trainer spreads images over
 * threads itself. g->batch is ignored where it says so.
 *
 * The gradient of the input is a convolution of the output's gradient with the kernel turned round, inputs
 * and outputs exchanged; where the forward convolution had a stride, the gradient is first spread out by it.
 * Gradients of weights are sums of products, dense or of taps.
 */
#ifndef DCLS_OPS_CONV_BACKWARD_H
#define DCLS_OPS_CONV_BACKWARD_H

#include "ops/conv.h"

/* ---- the input's gradient ---- */

/* The geometry of the turned convolution; its input is the spread gradient, of in[d] = (out[d] - 1) *
 * stride[d] + 1 cells. */
dcls_geometry dcls_conv_turned_geometry(const dcls_geometry *g);
/* weight [out, in/groups, kernel..] as in the forward convolution. A residual of the epilogue is what the
 * gradient is added to. */
dcls_status dcls_conv_create_turned_dense(dcls_context *ctx, const dcls_geometry *g, const float *weight,
                                          const dcls_epilogue *epilogue, dcls_conv_how how, dcls_conv **out);
dcls_status dcls_conv_create_turned_sparse(dcls_context *ctx, const dcls_geometry *g, const dcls_taps *taps,
                                           const dcls_epilogue *epilogue, dcls_conv **out);
/* Whether there is anything to spread. */
bool dcls_conv_is_strided(const dcls_geometry *g);
/* spread [planes, spread cells] of dy [planes, out..]. */
void dcls_conv_spread(const dcls_geometry *g, int64_t planes, const float *dy, float *spread);

/* ---- the weights' gradient, dense ---- */

/* Floats of scratch it needs. */
size_t dcls_conv_dense_backward_scratch(const dcls_geometry *g);
/* sums [out, in/groups, kernel..] += the products of one image: x [in, ..], dy [out, ..]. */
void dcls_conv_dense_backward(const dcls_geometry *g, const dcls_simd *simd, const float *x, const float *dy,
                              float *sums, float *scratch);

/* ---- the same by Winograd's method, for several images at once, x [images, in, ..], dy [images, out, ..]
 * ----
 */

typedef struct dcls_winograd_backward dcls_winograd_backward;

/* Whether it is likely to be faster, for so many images. */
bool dcls_winograd_backward_suits(const dcls_geometry *g, int64_t images);
dcls_status dcls_winograd_backward_create(dcls_context *ctx, const dcls_geometry *g, int64_t images,
                                          dcls_winograd_backward **out);
void dcls_winograd_backward_destroy(dcls_winograd_backward *backward);
size_t dcls_winograd_backward_sums(const dcls_winograd_backward *backward);    /* floats */
size_t dcls_winograd_backward_scratch(const dcls_winograd_backward *backward); /* floats */
/* sums [points, out, in] += the products of all images. */
void dcls_winograd_backward_run(const dcls_winograd_backward *backward, const dcls_simd *simd, int64_t images,
                                const float *x, const float *dy, float *sums, float *scratch);
/* gradient [out, in, 3, 3] = the sums. */
void dcls_winograd_backward_collect(const dcls_winograd_backward *backward, const float *sums,
                                    float *gradient);

/* ---- the same on AMX, for several images at once, x [images, in, ..] and dy [images, out, ..] ---- */

bool dcls_conv_amx_backward_suits(const dcls_geometry *g);
size_t dcls_conv_amx_backward_sums(const dcls_geometry *g); /* floats */
size_t dcls_conv_amx_backward_scratch(const dcls_geometry *g, dcls_conv_how how, int64_t images);
/* sums [kernel.., in, out], channels filled up to whole tiles, += the products of all images. */
void dcls_conv_amx_backward(const dcls_geometry *g, dcls_conv_how how, int64_t images, const float *x,
                            const float *dy, float *sums, float *scratch);
/* gradient [out, in, kernel..] = the sums. */
void dcls_conv_amx_backward_collect(const dcls_geometry *g, const float *sums, float *gradient);

/* ---- the weights' gradient, taps ---- */

typedef struct dcls_taps_backward dcls_taps_backward;

/* taps as in the forward convolution; their values do not matter. */
dcls_status dcls_taps_backward_create(dcls_context *ctx, const dcls_geometry *g, const dcls_taps *taps,
                                      dcls_taps_backward **out);
void dcls_taps_backward_destroy(dcls_taps_backward *backward);
size_t dcls_taps_backward_scratch(const dcls_taps_backward *backward); /* floats */
/* Taps that reach the input: sums are vectors, [taps, simd->width]. */
int64_t dcls_taps_backward_count(const dcls_taps_backward *backward);
size_t dcls_taps_backward_bytes(const dcls_taps_backward *backward);
/* sums += the products of one image. */
void dcls_taps_backward_run(const dcls_taps_backward *backward, const dcls_simd *simd, const float *x,
                            const float *dy, float *sums, float *box);
/* gradient [rows, cells] = the sums over lanes, 0 for cells without a tap. */
void dcls_taps_backward_collect(const dcls_taps_backward *backward, const dcls_simd *simd, const float *sums,
                                float *gradient);

#endif
