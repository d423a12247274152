/* The DCLS layers of a state dict: every X.weight with an X.P (and X.SIG) beside it. */
#ifndef DCLS_MODEL_LAYERS_H
#define DCLS_MODEL_LAYERS_H

#include "model/attributes.h"

typedef struct dcls_layers {
    dcls_draft_node *items; /* their nodes are checked: dcls_node_kernel and the tensors can be used */
    size_t count, capacity;
    dcls_arena names;
} dcls_layers;

/* Finds them by name alone: of the nodes only `name` and of the drafts only `tensor` are set. None is no
 * failure. */
dcls_status dcls_layers_list(dcls_context *ctx, const dcls_tensors *tensors, dcls_layers *out);

/* Finds and checks them. texts are settings ("KEY=VALUE", "GLOB:KEY=VALUE") that give `version` and
 * `dilated_kernel_size`. No layer at all is DCLS_ERR_ARGUMENT. The layers point into tensors; free them with
 * dcls_layers_free. */
dcls_status dcls_layers_find(dcls_context *ctx, const dcls_tensors *tensors, const char *const *texts,
                             size_t text_count, dcls_layers *out);
void dcls_layers_free(dcls_layers *layers);

#endif
