/*
 * The DCLS kernel: elements with a weight, a real-valued position and (max, gauss) a spread, interpolated
 * onto the cells of a dense window. Source: Khalfaoui-Hassani, Pellegrini, Masquelier, "Dilated convolution
 * with learnable spacings", arXiv 2112.03740 (v0, v1), and "Learnable spacings beyond bilinear
 * interpolation", arXiv 2306.00817 (max, gauss), in the exact form of the published package, its axis order
 * and off-centre unequal windows included.
 *
 * A layer's kernels are seen as `rows` independent windows: weight [out, in/groups, K] has out * in/groups
 * rows. Layers that learn positions along one dimension only (2_1d, 3_1d) have one row per cell of their
 * dense dimensions.
 */
#ifndef DCLS_KERNEL_KERNEL_H
#define DCLS_KERNEL_KERNEL_H

#include "base/mem.h"

typedef enum dcls_kernel_version {
    DCLS_V0,
    DCLS_V1,
    DCLS_MAX,
    DCLS_GAUSS,
    DCLS_KERNEL_VERSION_COUNT
} dcls_kernel_version;

const char *dcls_kernel_version_name(dcls_kernel_version version);
/* -1 if name is none of "v0", "v1", "max", "gauss". */
int dcls_kernel_version_from_name(const char *name);
/* True for max and gauss, which have SIG. */
bool dcls_kernel_version_has_spread(dcls_kernel_version version);

typedef struct dcls_kernel {
    dcls_kernel_version version;
    int ndim;        /* dimensions with positions, 1 to 3 */
    int64_t size[3]; /* dilated_kernel_size D in kernel-axis order, each >= 1 */
    int64_t rows;    /* windows */
    int64_t count;   /* K, elements per window */
    int64_t
        position_rows;   /* == rows, or a divisor of it: row r takes the positions of row r % position_rows */
    float spread_offset; /* S = |SIG| + this: see dcls_spread_offset */
    const float *weight; /* [rows, count] */
    const float *P;      /* [ndim, position_rows, count] */
    const float *SIG;    /* the same shape, NULL for v0 and v1 */
} dcls_kernel;

/* 1.0 for max, 0.27 for gauss, but 1.0 for gauss in a 2_1d layer; 0 without spreads. */
float dcls_spread_offset(dcls_kernel_version version, bool is_2_1d);

/* Product of size[0..ndim). */
int64_t dcls_kernel_cells(const dcls_kernel *k);

/* The kernel dimension a(j) that index j of P addresses: v0 1-D (0), 2-D (0,1), 3-D (0,2,1); the others
 * reversed. */
int dcls_kernel_axis(dcls_kernel_version version, int ndim, int j);

/* out [rows, cells]: every window's dense kernel. Rows are independent; the result does not depend on
 * threads. A NaN position or spread makes its window NaN. Fails only when memory is short. */
dcls_status dcls_kernel_construct(dcls_context *ctx, const dcls_kernel *k, int threads, float *out);
/* The same for the rows first .. first + rows - 1 alone: out [rows, cells]. */
dcls_status dcls_kernel_construct_rows(dcls_context *ctx, const dcls_kernel *k, int64_t first, int64_t rows,
                                       int threads, float *out);

/* Derivatives of a loss by what a kernel is made of; any may be NULL. The published package's own, through
 * its normalisation and with its conventions at kinks: relu'(0) = 0, sign(0) = 0, floor a constant. */
typedef struct dcls_kernel_gradients {
    float *weight; /* [rows, count] */
    float *P;      /* [ndim, position_rows, count]: summed over the rows that share a position */
    float *SIG;    /* the same shape; not touched for v0 and v1 */
} dcls_kernel_gradients;

/* gradient [rows, cells]: the loss by each cell of the dense kernels. Overwrites what *out points to. The
 * result does not depend on threads. A NaN position or spread makes NaN. Fails only when memory is short. */
dcls_status dcls_kernel_backward(dcls_context *ctx, const dcls_kernel *k, const float *gradient, int threads,
                                 const dcls_kernel_gradients *out);

/* What a layer learned, for reports. Arrays are per index j of P. */
typedef struct dcls_kernel_stats {
    double position_mean[3], position_std[3], position_min[3], position_max[3];
    double position_extent[3];      /* largest |P_j| .. */
    int64_t at_extent[3], whole[3]; /* .. how many have exactly it, and how many are whole numbers */
    double spread_mean, spread_min, spread_max;
    int64_t clamped;    /* elements with a coordinate at or beyond the clamp limit floor(D_j / 2) */
    int64_t not_finite; /* elements with a NaN or infinite coordinate or spread; the other figures leave them
                           out */
    double mass_lost;   /* sum |w| (1 - (sum of X in the window) / (sum of X over all integers)) / sum |w| */
} dcls_kernel_stats;

/* scratch: room for the largest size[d] doubles. */
dcls_kernel_stats dcls_kernel_statistics(const dcls_kernel *k, double *scratch);

/* Non-zero cells of windows: row r has the cells cell[start[r]..start[r+1]) in rising order. */
typedef struct dcls_taps {
    int64_t rows;
    int64_t *start; /* [rows + 1] */
    int32_t *cell;
    float *value;
    size_t cell_capacity, value_capacity;
} dcls_taps;

/* Default cut-off for gauss, whose cells fall off but never reach zero. */
#define DCLS_TAP_CUTOFF 1e-6

/* cutoff is the share of a window's sum of |value| that may be lost: cells no larger than cutoff * sum /
 * cells are dropped. 0 keeps every non-zero cell. NaN is kept. */

/* Taps of dense windows [rows, cells]. */
dcls_status dcls_taps_from_dense(dcls_context *ctx, const float *dense, int64_t rows, int64_t cells,
                                 double cutoff, dcls_taps *out);
/* Taps of a DCLS kernel's windows, without holding all of them dense at once. */
dcls_status dcls_taps_from_kernel(dcls_context *ctx, const dcls_kernel *k, double cutoff, int threads,
                                  dcls_taps *out);
void dcls_taps_free(dcls_taps *taps);

#endif
