/*
 * From dense kernels to elements: K weights with real positions (and spreads) whose kernel is nearest to a
 * given one in the least-squares sense.
 *
 * Method: elements are added one by one where the residual calls loudest (matching pursuit over half cells),
 * each time refining the newcomer and its neighbours by Levenberg-Marquardt; then all are refined together.
 * What is left over are wrong turns of the greedy start, and they are searched away: the element that is
 * missed least moves to where it is needed most, and the move stays if it helps. Source: Boyd, Schiebinger,
 * Recht, "The alternating descent conditional gradient method for sparse inverse problems" (arXiv
 * 1507.01562); the moves are ours.
 */
#ifndef DCLS_KERNEL_FIT_H
#define DCLS_KERNEL_FIT_H

#include "kernel/kernel.h"

typedef struct dcls_fit_options {
    uint64_t seed;
    double tolerance; /* a window whose relative error is below this is done */
    double effort;    /* how long the search for better places may go on: 1 is the usual, 0 leaves it out */
} dcls_fit_options;

#define DCLS_FIT_TOLERANCE 1e-5

/* Where fitted elements go. */
typedef struct dcls_fit_result {
    float *weight;  /* [rows, count] */
    float *P, *SIG; /* [ndim, rows, count]; SIG is not touched for v0 and v1 */
    double *error;  /* [rows]: |fit - dense| / |dense| in the Frobenius norm, 0 for a window of zeros */
} dcls_fit_result;

/* Called now and then with the rows that are done, from any thread but one at a time. */
typedef void dcls_fit_progress(void *arg, int64_t done, int64_t rows);

/* Fits shape->count elements to each window of dense [rows, cells], whose values must be finite. shape says
 * version, ndim, size, rows, count and spread_offset; its position_rows and pointers are not looked at.
 * Positions stay within the clamp limit, spreads are not negative, elements come in falling order of
 * |weight|. The result depends on the seed and the row, not on threads. progress may be NULL. Fails only when
 * memory is short. */
dcls_status dcls_kernel_fit(dcls_context *ctx, const dcls_kernel *shape, const float *dense,
                            const dcls_fit_options *options, int threads, dcls_fit_progress *progress,
                            void *arg, const dcls_fit_result *out);

#endif
