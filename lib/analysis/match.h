/* Which element of one DCLS kernel is which of another: a kernel is a set, the order of its elements means
 * nothing. */
#ifndef DCLS_ANALYSIS_MATCH_H
#define DCLS_ANALYSIS_MATCH_H

#include "base/mem.h"

/* Elements of one group of kernels that share positions. Element e has position and spread coordinates
 * at[d][e], d < at_count, and one weight per kernel, weight[m * weight_stride + e], m <
 * weight_count. */
typedef struct dcls_match_set {
    int64_t count;
    const float *const *at; /* [at_count] rows of coordinates */
    const float *weight;
    int64_t weight_count, weight_stride;
} dcls_match_set;

typedef struct dcls_match_options {
    int at_count;
    double weight_scale; /* a difference of weights this large counts as much as one cell */
    double atol, rtol;   /* |a - b| <= atol + rtol |b| */
    bool equal_nan;
} dcls_match_options;

/* Up to this many elements the assignment is optimal; beyond, greedy. */
#define DCLS_MATCH_OPTIMAL 256

/* match[i] = the element of b that element i of a is, -1 where b has fewer; every element is used once at
 * most. Of all assignments the one with the fewest pairs beyond tolerance is taken, of those the one with the
 * least sum of squared distances, and between equals elements keep their index. Sets larger than
 * DCLS_MATCH_OPTIMAL are matched greedily: first what stayed at its index, then every element, heaviest
 * first, to the nearest one that is free (of some thousand whose first coordinate is
 * nearest). Fails only when memory is short. */
dcls_status dcls_match_elements(dcls_context *ctx, const dcls_match_set *a, const dcls_match_set *b,
                                const dcls_match_options *options, int64_t *match);

#endif
