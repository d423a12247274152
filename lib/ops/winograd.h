/* How the outputs of a 3x3 convolution without stride are cut into Winograd's tiles, and its weights taken to
 * the points. A dilated convolution is cut phase by phase: outputs `dilation` apart read inputs as far apart,
 * and each phase is a convolution of its own without dilation. */
#ifndef DCLS_OPS_WINOGRAD_H
#define DCLS_OPS_WINOGRAD_H

#include "ops/geometry.h"
#include "simd/simd.h"

/* Tiles along one axis, those with the most outputs first: what uses point p is the first uses[p] of them. */
typedef struct dcls_winograd_axis {
    int64_t tiles, points; /* points: those of the largest tile */
    int64_t uses[DCLS_WINOGRAD_POINTS], first[DCLS_WINOGRAD_OUTPUTS + 2];
    /* tiles of m outputs: first[m] <= t < first[m - 1]; first[0] is unused and first[of the largest] is 0 */
    int64_t line;      /* sum of uses: tiles at all their points */
    int32_t *in, *out; /* [POINTS][tiles] inputs, counted from 1, 0: padding; [OUTPUTS][tiles] outputs */
} dcls_winograd_axis;

/* axis 1 or 2 of g. */
dcls_status dcls_winograd_axis_create(dcls_context *ctx, const dcls_geometry *g, int axis,
                                      dcls_winograd_axis *out);
void dcls_winograd_axis_free(dcls_winograd_axis *axis);

/* Outputs of tile t. */
int dcls_winograd_outputs(const dcls_winograd_axis *axis, int64_t t);

/* Whether g is a convolution that can be done so and is faster for it. */
bool dcls_winograd_pays(const dcls_geometry *g);

/* u[(p * columns + q) * stride + i] for i < n windows of 3x3 taps: point p along the rows, q along the
 * columns. */
void dcls_winograd_weights(const float *taps, int64_t n, int64_t rows, int64_t columns, float *u,
                           int64_t stride);

#endif
