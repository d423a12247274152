/* What is suspicious about DCLS layers, before they are used: a wrong version or window gives wrong results
 * without an error. */
#ifndef DCLS_CLI_LAYER_WARNINGS_H
#define DCLS_CLI_LAYER_WARNINGS_H

#include "dcls_analysis.h"
#include "options.h"

/* The warnings dcls inspect prints about layers, on stderr; layers: globs of their names, none: all. Layers
 * that cannot be looked at are left to whoever uses them. */
void cli_warn_of_layers(const cli *run, const char *subject, const dcls_layer_source *source,
                        const cli_list *layers);

#endif
