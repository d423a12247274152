/* What convolutions by panels of output channels share: conv_pixels.c and conv_strassen.c, whose vectors run
 * over them, and conv_amx*.c. */
#ifndef DCLS_OPS_CONV_PANELS_H
#define DCLS_OPS_CONV_PANELS_H

#include "ops/conv_internal.h"

/* The pixels of a plane, cut into tiles. */
typedef struct dcls_conv_tiles {
    int64_t count, most; /* of a plane, and most pixels of one */
} dcls_conv_tiles;

/* Tiles of n pixels of even size, `most` pixels at most. Few of them are a multiple of `wanted`, as far as
 * that leaves each DCLS_CONV_TILE_LEAST pixels or so. */
#define DCLS_CONV_TILE_LEAST ((int64_t)24)
dcls_conv_tiles dcls_conv_cut(int64_t n, int64_t most, int64_t wanted);
/* Of an image, for all threads to have as many. */
int64_t dcls_conv_tiles_wanted(const dcls_geometry *g, int64_t threads);

/* Writes a panel's results for `count` pixels from `pixel` on, channel by channel. scratch begins with the
 * results [count, DCLS_GEMM_PANEL] and has room for DCLS_CONV_PANEL_SCRATCH(count) floats. */
#define DCLS_CONV_PANEL_SCRATCH(count) ((2 * (count) + DCLS_GEMM_PANEL) * DCLS_GEMM_PANEL)
void dcls_conv_write_panel(const dcls_conv_pass *pass, int64_t image, int64_t panel, int64_t pixel,
                           int64_t count, float *scratch);

/* A bias [channels] (NULL: zeros) as panels, the last filled up with zeros; owned by conv. NULL when memory
 * is short. */
float *dcls_conv_pack_bias(dcls_context *ctx, dcls_conv *conv, int64_t channels, const float *bias);

/* DCLS_ERR_ARGUMENT unless these two convolutions can run as a pair; the first step of its create. */
dcls_status dcls_conv_check_pair(dcls_context *ctx, const dcls_geometry *g, const dcls_conv_expansion *e);

/* Pairs of sizes for which seven products of quarters are faster than
 * the eight of conv_pixels.c, and the way to make one; it was checked. threads: see dcls_conv_how. */
bool dcls_conv_strassen_suits(const dcls_geometry *g, const dcls_conv_expansion *expansion);
dcls_status dcls_conv_create_strassen(dcls_context *ctx, int threads, const dcls_geometry *g,
                                      const dcls_conv_expansion *expansion, const float *weight,
                                      const dcls_epilogue *epilogue, dcls_conv **out);

/* One column of im2col (channels by cells of the window) at pixels [pixel, pixel + n): in the input, or made
 * at `to`; zeros behind the last one. One group. */
const float *dcls_conv_column(const dcls_conv_pass *pass, int64_t image, int64_t column, int64_t pixel,
                              int64_t n, float *to);

#endif
