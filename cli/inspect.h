/*
 * dcls inspect, in parts:
 *
 *   cmd_inspect.c      options; what kind of thing the file is
 *   inspect_text.c     models and state dicts for people
 *   inspect_json.c     the same for programs, with everything
 *   inspect_tensor.c   one tensor: statistics and first values
 */
#ifndef DCLS_CLI_INSPECT_H
#define DCLS_CLI_INSPECT_H

#include "cli.h"
#include "dcls_analysis.h"
#include "input_shape.h"
#include "options.h"

/* First values of a tensor that are shown. */
enum { VALUES_NOT_SAID = -1, VALUES_SHOWN = 8 };

typedef struct inspect_options {
    const char *model, *key, *module, *tensor, *input, *arch;
    cli_list settings;
    int64_t values;
    bool json;
} inspect_options;

/* What is known about a file. */
typedef struct inspection {
    const cli *run;
    const char *name;   /* as given */
    int64_t file_bytes; /* -1: not a file */
    const dcls_tensors *tensors;
    const dcls_model *model;   /* NULL: a state dict or single tensor */
    const dcls_report *report; /* NULL: nothing is known about layers */
    cli_input_shape input;
} inspection;

typedef struct inspect_totals {
    int64_t weights, positions, spreads, macs_dense, macs_sparse;
} inspect_totals;

/* Whether shapes and costs are known: not of a state dict, nor for an input the network cannot take. */
bool inspect_knows_costs(const inspection *it);
/* Sums over all nodes. */
inspect_totals inspect_sum(const dcls_report *report);
/* Elements of a tensor. */
int64_t inspect_elements(const dcls_tensor *tensor);

void inspect_print_text(const inspection *it);
/* Each returns an exit status; failures are reported. */
int inspect_print_json(const inspection *it);
int inspect_print_tensor(const inspection *it, const dcls_tensor *tensor, const inspect_options *options);

#endif
