/* Planes of one channel, of several images side by side, taken to Winograd's points: inputs, and gradients of
 * outputs, which meet at the points where weights' gradients are summed. */
#ifndef DCLS_OPS_WINOGRAD_PLANES_H
#define DCLS_OPS_WINOGRAD_PLANES_H

#include <string.h>

#include "ops/winograd.h"

/* Floats copied at a time, and so the room behind what is copied. */
#define DCLS_WINOGRAD_COPY 16

#define DCLS_WINOGRAD_ALL_POINTS (DCLS_WINOGRAD_POINTS * DCLS_WINOGRAD_POINTS)

typedef struct dcls_winograd_tiling {
    dcls_winograd_axis rows, columns;
    int64_t joined; /* images side by side, as one of so many columns */
    int64_t points; /* of rows times columns */
} dcls_winograd_tiling;

/* Some rows of tiles. */
typedef struct dcls_winograd_band {
    int64_t from, to;                        /* rows of tiles */
    int64_t lowest, highest;                 /* input rows that they read, counted from 1 */
    int64_t tiles[DCLS_WINOGRAD_ALL_POINTS]; /* at each point */
    int64_t
        place[DCLS_WINOGRAD_ALL_POINTS + 1]; /* where each point's tiles of one channel are, room behind */
} dcls_winograd_band;

/* One channel of `count` images, at most as many as stand side by side. */
typedef struct dcls_winograd_planes {
    const float *first;
    int64_t apart, count; /* floats from one image's plane to the next */
    int64_t height, width;
} dcls_winograd_planes;

dcls_status dcls_winograd_tiling_create(dcls_context *ctx, const dcls_geometry *g, int64_t images,
                                        dcls_winograd_tiling *out);
void dcls_winograd_tiling_free(dcls_winograd_tiling *tiling);

/* Band i of `bands` that are as equal as can be; height: of the input. */
dcls_winograd_band dcls_winograd_band_at(const dcls_winograd_tiling *tiling, int64_t i, int64_t bands,
                                         int64_t height);

/* Input rows `lowest` to `highest` to the band's tiles at every point: tiles[place[point] ..]. */
void dcls_winograd_inputs_to_points(const dcls_simd *simd, const dcls_winograd_tiling *tiling,
                                    const dcls_winograd_band *band, const dcls_winograd_planes *planes,
                                    float *tiles, float *scratch);
/* The same for gradients of outputs, of the rows that the band's tiles make. */
void dcls_winograd_outputs_to_points(const dcls_simd *simd, const dcls_winograd_tiling *tiling,
                                     const dcls_winograd_band *band, const dcls_winograd_planes *planes,
                                     float *tiles, float *scratch);
/* Floats of scratch for `rows` rows of planes of that width. */
int64_t dcls_winograd_to_points_scratch(const dcls_winograd_tiling *tiling, int64_t rows, int64_t width);

/* Copies n floats, and up to DCLS_WINOGRAD_COPY - 1 behind them that whoever comes next overwrites. */
static inline void dcls_winograd_copy_beyond(const float *x, int64_t n, float *y)
{
    for (int64_t i = 0; i < n; i += DCLS_WINOGRAD_COPY)
        memcpy(y + i, x + i, DCLS_WINOGRAD_COPY * sizeof *y);
}

#endif
