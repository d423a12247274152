/*
 * dcls diff, in parts:
 *
 *   cmd_diff.c    options, loading, totals
 *   diff_text.c   the differences for people
 *   diff_json.c   the same for programs, with everything
 */
#ifndef DCLS_CLI_DIFF_H
#define DCLS_CLI_DIFF_H

#include "dcls_analysis.h"
#include "options.h"

typedef struct diff_options {
    double atol, rtol;
    bool equal_nan, strict, kernels, all, json;
    int order;
    const char *key_a, *key_b, *module_a, *module_b;
    cli_list settings;
} diff_options;

enum { DIFF_BY_DIFFERENCE, DIFF_BY_MODEL };

/* One of the two that are compared. */
typedef struct diff_side {
    const char *name;     /* as given */
    const char *key;      /* NULL: not one of several state dicts */
    const char *module;   /* NULL: all of it */
    dcls_model *model;    /* NULL: tensors */
    dcls_tensors *loaded; /* NULL: the model's */
} diff_side;

typedef struct diff {
    const cli *run;
    const diff_options *options;
    diff_side a, b;
    const dcls_comparison *result;
} diff;

/* Numbers of rows by result, kernels that do not count left out; and of changes that count. */
typedef struct diff_totals {
    int64_t tensors, identical, close, different, shape, only_a, only_b, types, changes, moved;
    const dcls_compare_row *worst;        /* of largest relative difference, NULL: there is none */
    const dcls_compare_row *worst_kernel; /* the same of kernels that do not count */
} diff_totals;

diff_totals diff_sum(const dcls_comparison *result);
const dcls_tensors *diff_tensors(const diff_side *side);

void diff_print_text(const diff *it);
/* Returns an exit status; a failure is reported. */
int diff_print_json(const diff *it);

#endif
