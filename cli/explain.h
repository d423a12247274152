/*
 * dcls explain, in parts:
 *
 *   cmd_explain.c    options; the layer they describe
 *   explain_text.c   what it is and costs, on one screen
 *   explain_json.c   the same for programs
 */
#ifndef DCLS_CLI_EXPLAIN_H
#define DCLS_CLI_EXPLAIN_H

#include "cli.h"
#include "dcls_analysis.h"

typedef struct explained {
    const cli *run;
    const char *model; /* NULL: made of options */
    const char *layer;
    dcls_layer_spec spec;
    bool has_learned; /* of a model or state dict */
    dcls_layer_report learned;
    const dcls_explanation *result;
} explained;

void explain_print_text(const explained *it);
/* All learned numbers. */
int64_t explain_parameters(const dcls_layer_facts *f);
/* Returns an exit status; a failure is reported. */
int explain_print_json(const explained *it);

#endif
