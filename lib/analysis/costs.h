/* What operations cost: one set of formulas for reports and explanations. */
#ifndef DCLS_ANALYSIS_COSTS_H
#define DCLS_ANALYSIS_COSTS_H

#include "model/model.h"

/* Multiply-accumulates of a linear operation or a convolution with dense kernels, DCLS or not, for an output
 * of that shape; 0 for other operations. INT64_MAX where it is more. */
int64_t dcls_cost_dense(const dcls_node *node, const dcls_shape *output);
/* Those of a convolution by non-zero cells, `taps` in all kernels together. */
int64_t dcls_cost_taps(const dcls_shape *output, int64_t taps);
/* a * b for numbers that are not negative; INT64_MAX where it is more. */
int64_t dcls_cost_times(int64_t a, int64_t b);

#endif
