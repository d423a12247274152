/* A set of tensors again, with some of them replaced or left out, in order. */
#ifndef DCLS_MODEL_REWRITE_H
#define DCLS_MODEL_REWRITE_H

#include "model/model.h"

/* count floats of any dtype, in memory of their own to be freed; NULL stays NULL. */
dcls_status dcls_load_floats(dcls_context *ctx, const dcls_tensor *tensor, float **out);

dcls_status dcls_copy_tensor(dcls_context *ctx, dcls_tensors *set, const dcls_tensor *tensor);
/* All metadata but that of one key; NULL: all. */
dcls_status dcls_copy_meta(dcls_context *ctx, const dcls_tensors *from, const char *except, dcls_tensors *to);

/* The network over a set of tensors of its own, which has all that its nodes name; nodes [model->node_count]
 * in place of the model's. The set is taken, in failure too. */
dcls_status dcls_rebuild_model(dcls_context *ctx, const dcls_model *model, dcls_node *nodes,
                               dcls_tensors *set, dcls_model **out);

#endif
