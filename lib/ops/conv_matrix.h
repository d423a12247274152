/* Convolution as matrix products: per image and group, weight [m, k] times columns [k, n] for m output
 * channels and n output pixels, cut into tiles of outputs. The columns of a tile are made in blocks that stay
 * in cache, so that their whole matrix never exists. */
#ifndef DCLS_OPS_CONV_MATRIX_H
#define DCLS_OPS_CONV_MATRIX_H

#include "ops/conv_internal.h"

/* The columns [column, column + columns) at the pixels [pixel, pixel + pixels) of one image and group. */
typedef struct dcls_conv_slice {
    int64_t group;
    int64_t plane; /* image * in_channels + first input channel of the group */
    int64_t column, columns;
    int64_t pixel, pixels;
} dcls_conv_slice;

typedef struct dcls_conv_matrix {
    dcls_conv base;
    float *weight; /* [groups, m, k] */
    int64_t m, n, k;
    int64_t tile_m, tile_n, tiles_m, tiles_n;
    int64_t block_k;
    /* Writes the slice as rows of slice->pixels floats. NULL: the input is the matrix of columns. */
    void (*fill)(const dcls_conv_pass *pass, const dcls_conv_slice *slice, float *columns);
} dcls_conv_matrix;

/* Chooses tiles for m, n, k, base and fill, which are set. fill_cost: the cost of making one element of a
 * column, in units of what it costs BLAS to pack it. shared_floats: see dcls_conv_work. */
dcls_status dcls_conv_matrix_plan(dcls_context *ctx, dcls_conv_matrix *matrix, int64_t fill_cost,
                                  size_t shared_floats);

void dcls_conv_matrix_run_unit(const dcls_conv_pass *pass, int64_t unit, float *scratch);

/* The next rectangle of a run of output pixels: whole rows of one z, or a piece of one row. */
typedef struct dcls_conv_block {
    int64_t z, y, x, rows, width;
} dcls_conv_block;

dcls_conv_block dcls_conv_next_block(const dcls_geometry *g, int64_t pixel, int64_t pixels);

#endif
