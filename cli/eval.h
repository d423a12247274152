/*
 * dcls eval, in parts:
 *
 *   cmd_eval.c     options, model, data set, the run
 *   eval_data.c    the data set as the network's classes want it
 *   eval_print.c   figures and classes as text
 *   eval_json.c    the same as one JSON object
 *   eval_worst.c   pictures of the worst items
 */
#ifndef DCLS_CLI_EVAL_H
#define DCLS_CLI_EVAL_H

#include "cli.h"
#include "dcls_train.h"
#include "labels.h"
#include "progress.h"

typedef struct eval_options {
    const char *model, *data, *classes, *scales, *resize, *confusion, *worst;
    int kind; /* dcls_dataset_kind */
    int algo; /* dcls_algo */
    int64_t ignore, limit, batch, worst_count;
    bool flip, json;
} eval_options;

/* An item and how badly it was answered. */
typedef struct eval_rank {
    int64_t index;
    dcls_item_score score;
} eval_rank;

#define EVAL_MAX_SCALES 16

typedef struct eval {
    const cli *run;
    const eval_options *options;
    const dcls_model *model;
    dcls_task task;
    dcls_dataset *set;
    int64_t classes;
    cli_labels given;    /* --classes */
    const char **labels; /* [classes]: the network's, else the data's, else NULL */
    dcls_metrics *metrics;
    dcls_evaluate_options evaluate;
    dcls_preprocess preprocess;
    double scales[EVAL_MAX_SCALES];
    double seconds;
    cli_progress progress;
    int64_t done, total, correct, targets;
    eval_rank *worst; /* the worst first, at most options->worst_count */
    size_t worst_count;
} eval;

/* ---- eval_data.c ---- */

/* Opens the data set and finds names for the classes. A failure is reported; returns the exit status. */
int eval_open_data(eval *e);

/* ---- eval_print.c ---- */

void eval_print_text(const eval *e);

/* ---- eval_json.c ---- */

int eval_print_json(const eval *e);

/* ---- eval_worst.c ---- */

/* Keeps the item if it is one of the worst so far. */
void eval_rank_item(eval *e, const dcls_evaluated *item);
/* Pictures of them; returns the exit status. */
int eval_save_worst(eval *e);

/* "name" of a class, never NULL; buffer is used where it has none. */
#define EVAL_LABEL_TEXT 24
const char *eval_label(const eval *e, int64_t index, char buffer[EVAL_LABEL_TEXT]);

#endif
