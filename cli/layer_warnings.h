/* What is suspicious about DCLS layers, before they are used: a wrong version or window gives wrong results
 * without an error. */
#ifndef DCLS_CLI_LAYER_WARNINGS_H
#define DCLS_CLI_LAYER_WARNINGS_H

#include "options.h"

/* The warnings dcls inspect prints about the layers of a model, or of a state dict with its settings, on
 * stderr; the other is NULL. Layers that cannot be looked at are left to whoever uses them. */
void cli_warn_of_layers(const cli *run, const char *subject, const dcls_model *model,
                        const dcls_tensors *tensors, const cli_list *settings);

#endif
