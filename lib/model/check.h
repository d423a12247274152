/* Checks of single nodes, shared between whole networks and state dicts whose layers are made dense. */
#ifndef DCLS_MODEL_CHECK_H
#define DCLS_MODEL_CHECK_H

#include "model/draft.h"

#define DCLS_WINDOW_MAX 1048576 /* longest side of a kernel */

/* Finds a node's tensors and checks that no required attribute is missing. */
dcls_status dcls_check_attributes(dcls_context *ctx, const dcls_tensors *tensors, dcls_draft_node *draft);
/* A dcls node's kernel: tensors against version, layer kind and dilated_kernel_size in a network of ndim
 * spatial dimensions. Sets kernel_count, shared_positions and window.kernel. */
dcls_status dcls_check_layer(dcls_context *ctx, dcls_draft_node *draft, int ndim);

#endif
