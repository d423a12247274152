/* One step along the gradients: SGD and AdamW as PyTorch computes them, positions clamped, weights averaged.
 */
#ifndef DCLS_TRAIN_OPTIMIZER_H
#define DCLS_TRAIN_OPTIMIZER_H

#include "train/parameters.h"

/* Moments, averages and number of steps of one set of parameters. */
typedef struct dcls_optimizer_state dcls_optimizer_state;

/* Takes what it needs out of options; parameters must outlive it. The averaged weights start as the present
 * ones. DCLS_ERR_ARGUMENT for options out of range. */
dcls_status dcls_optimizer_create(dcls_context *ctx, const dcls_trainer_options *options,
                                  const dcls_parameters *parameters, dcls_optimizer_state **out);
void dcls_optimizer_destroy(dcls_optimizer_state *state);
/* Bytes of moments and averages that such a state has. */
uint64_t dcls_optimizer_bytes(const dcls_trainer_options *options, const dcls_parameters *parameters);

/* Changes all parameters that are not frozen, and nothing else:
 *
 * - gradients are scaled by min(1, clip_norm / (norm + 1e-6)), norm being the Euclidean norm over all that
 * are not frozen (torch.nn.utils.clip_grad_norm_), which *norm (may be NULL) gets;
 * - SGD (torch.optim.SGD, dampening 0): g += decay w; m = momentum m + g; w -= rate m, with nesterov
 *   w -= rate (g + momentum m);
 * - AdamW (torch.optim.AdamW; Loshchilov, Hutter, arXiv 1711.05101): w -= rate decay w, then the
 * bias-corrected step;
 * - the decay is 0 but for weights; the rate of positions and spreads is multiplied by its factor, and
 *   positions are clamped;
 * - averages, those of buffers included, move by a = d a + (1 - d) w, d = min(average, (1 + t) / (10 + t))
 *   after t earlier steps.
 *
 * A gradient that is not finite is DCLS_ERR_FORMAT, the first such parameter named, and nothing is changed.
 * The same bits for any number of threads. */
dcls_status dcls_optimizer_step(dcls_context *ctx, dcls_optimizer_state *state, double rate, int threads,
                                double *norm);
/* The two halves of a step, for what must happen between them: whether there can be one, with the norm; and
 * the step itself, which does not fail. */
dcls_status dcls_optimizer_check(dcls_context *ctx, dcls_optimizer_state *state, double rate, int threads,
                                 double *norm);
void dcls_optimizer_apply(dcls_optimizer_state *state, double rate, double norm, int threads);
int64_t dcls_optimizer_steps(const dcls_optimizer_state *state);

/* The averaged values of a parameter of the set: [count]; the present ones where no average is kept. */
const float *dcls_optimizer_average(const dcls_optimizer_state *state, const dcls_parameter *parameter);

/* Adds to set what the next step depends on besides the parameters: "optimizer.steps" (I64) and per parameter
 * NAME, F32 in its shape, "optimizer.momentum.NAME" (SGD), "optimizer.first.NAME" and "optimizer.second.NAME"
 * (AdamW), "average.NAME". */
dcls_status dcls_optimizer_store(dcls_context *ctx, const dcls_optimizer_state *state, dcls_tensors *set);
/* The reverse. A tensor that is missing, of another type or shape is DCLS_ERR_FORMAT, and nothing is changed.
 */
dcls_status dcls_optimizer_restore(dcls_context *ctx, dcls_optimizer_state *state, const dcls_tensors *set);

#endif
