/* Where a network's logits are. */
#ifndef DCLS_TRAIN_LOGITS_H
#define DCLS_TRAIN_LOGITS_H

#include "model/model.h"

/* Whether what the network answers are probabilities: it ends in a softmax, behind which values are at most
 * renamed or resized. */
bool dcls_ends_in_softmax(const dcls_model *model);

/* The value a loss is of: what that softmax is made of, else the output. DCLS_ERR_UNSUPPORTED where a resize
 * follows the softmax. */
dcls_status dcls_find_logits(dcls_context *ctx, const dcls_model *model, int *value);

#endif
