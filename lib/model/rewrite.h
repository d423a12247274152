/* A set of tensors again, with some of them replaced or left out, in order. */
#ifndef DCLS_MODEL_REWRITE_H
#define DCLS_MODEL_REWRITE_H

#include "model/model.h"

/* count floats of any dtype, in memory of their own to be freed; NULL stays NULL. */
dcls_status dcls_load_floats(dcls_context *ctx, const dcls_tensor *tensor, float **out);

dcls_status dcls_copy_tensor(dcls_context *ctx, dcls_tensors *set, const dcls_tensor *tensor);
dcls_status dcls_copy_meta(dcls_context *ctx, const dcls_tensors *from, dcls_tensors *to);

#endif
