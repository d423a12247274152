/*
 * Gradients of a network with respect to its input: where a value comes from. Running the network forward
 * keeps every value; going back, each node hands the gradient of its output on to its inputs. Weights are
 * constants here.
 */
#ifndef DCLS_ANALYSIS_GRADIENT_H
#define DCLS_ANALYSIS_GRADIENT_H

#include "model/model.h"

typedef struct dcls_gradient dcls_gradient;

/* For one item of the input shape [1, C, spatial..] and the value `value` (> 0) of the model, which must
 * outlive the gradient. Threads are taken from ctx now. */
dcls_status dcls_gradient_create(dcls_context *ctx, const dcls_model *model, int value, int ndim,
                                 const int64_t *shape, dcls_gradient **out);
void dcls_gradient_destroy(dcls_gradient *gradient);
/* Shape of any value up to the one asked for. */
const dcls_shape *dcls_gradient_shape(const dcls_gradient *gradient, int value);
/* Multiply-accumulates of a forward run. */
double dcls_gradient_macs(const dcls_gradient *gradient);

/* dx = transpose(J(x)) dy, J the value's derivative at the input x; dy has the value's shape, dx the input's.
 * At a kink relu has derivative 0 and a maximum belongs to its first cell. */
dcls_status dcls_gradient_run(dcls_context *ctx, dcls_gradient *gradient, const float *x, const float *dy,
                              float *dx);

#endif
