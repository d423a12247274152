/*
 * The receptive field of one output cell, the one in the middle of a map: the input cells it can depend on
 * (theoretical), and how much it does depend on each (effective).
 *
 * Effective: with J(x) the derivative of the cell's channels at an input x, the field at an input cell is the
 * root mean square of s' J(x) over inputs x of white noise (mean 0, variance 1, as normalised pictures have
 * it), random signs s of the output channels and the cell's input channels. Over the signs that is the root
 * of the sum of the squares of J's entries, so that channels do not cancel. After Luo, Li, Urtasun, Zemel,
 * "Understanding the effective receptive field in deep convolutional neural networks", arXiv 1701.04128, who
 * differentiate one channel.
 */
#ifndef DCLS_ANALYSIS_FIELD_H
#define DCLS_ANALYSIS_FIELD_H

#include "model/model.h"

typedef struct dcls_field {
    const char *node;        /* of the map */
    int ndim;                /* spatial */
    int64_t size[3];         /* of the input; 1 beyond ndim */
    int64_t map[3], cell[3]; /* size of the map, and the cell that is looked at: floor(size / 2) */
    int64_t low[3],
        high[3]; /* first and last input cell of the theoretical field, which may lie outside the input */
    int samples;
    double *rms; /* [size..]; owned */
} dcls_field;

/* The last value that is a map of more than one cell along the way to the output. 0 if there is none. */
dcls_status dcls_field_default_value(dcls_context *ctx, const dcls_model *model, int ndim,
                                     const int64_t *shape, int *value);
/* value: any map of cells. samples: pairs of input and signs, 0 for a number that suits the network's cost.
 * The same seed gives the same field. */
dcls_status dcls_field_measure(dcls_context *ctx, const dcls_model *model, int value, int ndim,
                               const int64_t *shape, int samples, uint64_t seed, dcls_field *out);
void dcls_field_free(dcls_field *field);

/* share[r], r = 0.. *count - 1: the part of the sum of rms that lies at most r cells from the middle of the
 * theoretical field along every axis. To be freed. */
dcls_status dcls_field_shares(dcls_context *ctx, const dcls_field *field, double **share, int64_t *count);

#endif
