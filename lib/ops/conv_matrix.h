/* Convolution as matrix products: per image and group, weight [m, k] times columns [k, n] for m output
 * channels and n output pixels, cut into tiles of outputs. A column is the input under a cell of the window,
 * or interpolated at an element's position: for every output pixel the sum of a few taps of one input
 * channel. The columns of a tile are made in blocks that stay in cache, so that their whole matrix never
 * exists. */
#ifndef DCLS_OPS_CONV_MATRIX_H
#define DCLS_OPS_CONV_MATRIX_H

#include "ops/conv_internal.h"

typedef struct dcls_conv_column {
    int64_t start, taps;
    int64_t lo[3], hi[3]; /* outputs lo <= y < hi have a tap inside the input; the others are 0 */
} dcls_conv_column;

/* The columns of all groups and input channels, [groups, in_channels / groups, channel_columns], repeat after
 * `count`. The input is read with an apron of zeros as wide as the taps of one column lie apart: taps of a
 * column that matters for an output need no care at borders then. */
typedef struct dcls_conv_columns {
    int64_t count, taps, channel_columns;
    dcls_conv_column *column;
    int64_t *offset; /* of taps, in a channel of the padded input */
    float *value;
    bool apron;                           /* false: there is none and the input is read itself */
    int64_t before[3], after[3], size[3]; /* the apron, and the input with it */
} dcls_conv_columns;

typedef struct dcls_conv_matrix {
    dcls_conv base;
    int64_t m, n, k;
    float *weight; /* [groups, m, k] in packed blocks; owned */
    dcls_conv_columns columns;
    int64_t tiles_m, tiles_n, unit_n; /* tiles begin at multiples of unit_n pixels */
    int64_t columns_floats;           /* of a block of columns */
    int64_t block_k;                  /* columns of one product */
    bool apart;                       /* results are summed in scratch and copied when they are complete */
} dcls_conv_matrix;

/* A conv_matrix with m and n set; name is what dcls_conv_algorithm says. NULL when memory is short. */
dcls_conv_matrix *dcls_conv_matrix_allocate(dcls_context *ctx, const char *name, const dcls_geometry *g,
                                            const dcls_epilogue *epilogue);

/* Makes the columns: row r of taps is column r, channel_columns rows belong to one input channel. */
dcls_status dcls_conv_matrix_set_columns(dcls_context *ctx, dcls_conv_matrix *matrix, const dcls_taps *taps,
                                         int64_t channel_columns);

/* The last step of create, once everything else is set: chooses tiles and packs weight [groups, m, k]. */
dcls_status dcls_conv_matrix_plan(dcls_context *ctx, dcls_conv_matrix *matrix, const float *weight);

/* The columns [column, column + columns) at the pixels [pixel, pixel + pixels) of one image and group. */
typedef struct dcls_conv_slice {
    int64_t group;
    int64_t plane; /* image * in_channels + first input channel of the group */
    int64_t column, columns;
    int64_t pixel, pixels;
} dcls_conv_slice;

/* Writes a slice, [columns, pixels]. */
void dcls_conv_columns_fill(const dcls_conv_pass *pass, const dcls_conv_slice *slice, float *to);
/* Copies the input into the shared workspace, with its apron, if it has one. */
void dcls_conv_columns_prepare(const dcls_conv_pass *pass, int threads);
void dcls_conv_columns_free(dcls_conv_columns *columns);

#endif
