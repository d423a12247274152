/* How the outputs of a 3x3 convolution without stride are cut into Winograd's tiles, and its weights taken to
 * the points. A dilated convolution is cut phase by phase: outputs `dilation` apart read inputs as far apart,
 * and each phase is a convolution of its own without dilation. */
#ifndef DCLS_OPS_WINOGRAD_H
#define DCLS_OPS_WINOGRAD_H

#include "ops/geometry.h"
#include "simd/simd.h"

/* Tiles of one form, first <= t < first + count. */
typedef struct dcls_winograd_kind {
    int form, inputs, points, outputs;
    int64_t first, count;
} dcls_winograd_kind;

/* Tiles along one axis, those with the most outputs first: what uses point p is the first uses[p] of them. */
typedef struct dcls_winograd_axis {
    int64_t tiles, points; /* points: those of the largest tile */
    bool alone;            /* two outputs at most, in want of nothing but their inputs */
    int kinds;
    dcls_winograd_kind kind[DCLS_WINOGRAD_OUTPUTS];
    int64_t uses[DCLS_WINOGRAD_POINTS];
    int64_t line;      /* sum of uses: tiles at all their points */
    int32_t *in, *out; /* [POINTS][tiles] inputs, counted from 1, 0: padding; [OUTPUTS][tiles] outputs */
} dcls_winograd_axis;

/* Tiles, kinds and points of an axis, without its tables. */
void dcls_winograd_count_tiles(const dcls_geometry *g, int axis, int64_t copies, dcls_winograd_axis *x);
/* axis 1 or 2 of g, of `copies` planes side by side. */
dcls_status dcls_winograd_axis_create(dcls_context *ctx, const dcls_geometry *g, int axis, int64_t copies,
                                      dcls_winograd_axis *out);
void dcls_winograd_axis_free(dcls_winograd_axis *axis);

/* What tile t is. */
const dcls_winograd_kind *dcls_winograd_kind_of(const dcls_winograd_axis *axis, int64_t t);

/* Of so many images those that are best taken side by side. */
int64_t dcls_winograd_joined(const dcls_geometry *g, int64_t images);
/* Whether g is a convolution that can be done so and is faster for it, with so many images at once. */
bool dcls_winograd_pays(const dcls_geometry *g, int64_t images);

/* u[(p * columns->points + q) * stride + i] for i < n windows of 3x3 taps: point p along the rows, q along
 * the columns. */
void dcls_winograd_weights(const float *taps, int64_t n, const dcls_winograd_axis *rows,
                           const dcls_winograd_axis *columns, float *u, int64_t stride);
/* taps of n windows: their gradients, of those at the points, laid out as above. Neither axis is alone. */
void dcls_winograd_weights_gradient(const float *u, int64_t stride, int64_t n, const dcls_winograd_axis *rows,
                                    const dcls_winograd_axis *columns, float *taps);

#endif
