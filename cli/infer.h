/*
 * dcls infer, in parts:
 *
 *   cmd_infer.c      options, model, outputs: what happens once
 *   infer_jobs.c     inputs in flight, results in input order
 *   infer_input.c    one input: file -> tensors -> network output
 *   infer_answer.c   network output -> probabilities, masks, fractions
 *   infer_print.c    answers as text, JSON and CSV
 *   infer_logits.c   raw outputs collected for --logits
 *   plan_cache.c, stems.c
 */
#ifndef DCLS_CLI_INFER_H
#define DCLS_CLI_INFER_H

#include <stdatomic.h>
#include <stdio.h>

#include "cli.h"
#include "inputs.h"
#include "plan_cache.h"
#include "stems.h"

typedef enum infer_format { INFER_TEXT, INFER_JSON, INFER_CSV } infer_format;

#define ALPHA_NOT_SAID (-1)

typedef struct infer_options {
    const char *model;
    int64_t top;   /* 0: what suits the task */
    int format;    /* infer_format */
    int algo;      /* dcls_algo */
    int precision; /* dcls_precision */
    const char *logits, *output_dir, *files0_from;
    int64_t jobs, max_pixels;
    uint64_t max_memory; /* 0: the library's default */
    double alpha;
    bool no_exif, fail_fast, mmap, json;
} infer_options;

#define INFER_MAX_COLORS 256

/* What all inputs have in common; nothing here changes once inputs are worked on, but stems has a lock of its
 * own. */
typedef struct infer_shared {
    const cli *run;
    const infer_options *options;
    const dcls_model *model;
    dcls_task task;
    int input_ndim;
    int64_t input_shape[DCLS_MAX_DIMS];
    stems *stems;
    uint8_t palette[3 * INFER_MAX_COLORS];
    const char *labels[INFER_MAX_COLORS];
} infer_shared;

/* Raw outputs of one or several inputs: [count, shape..]. */
typedef struct infer_logits {
    int ndim; /* of one item */
    int64_t shape[DCLS_MAX_DIMS];
    size_t item_size; /* floats */
    float *data;
    size_t count, capacity; /* items */
} infer_logits;

/* What became of one input. */
typedef struct infer_result {
    char *text; /* lines for stdout */
    size_t text_size;
    int status;      /* exit status if it failed */
    char *error;     /* reason, NULL if it worked */
    bool not_finite; /* a number of the network's output is not */
    infer_logits logits;
} infer_result;

/* One thread's own things. */
typedef struct infer_worker {
    const infer_shared *infer;
    const atomic_int *in_flight; /* inputs being worked on by all workers, which share the threads */
    dcls_context *ctx;
    plan_cache plans;
    dcls_json_writer *json;
} infer_worker;

/* ---- infer_input.c ---- */

/* One item of an input on its way: a picture, or one tensor of a batch. */
typedef struct infer_item {
    const char *input;
    const char *stem;        /* of output files, NULL without -o */
    int64_t index;           /* in a batch */
    bool batched;            /* the input holds more than one item */
    const dcls_image *image; /* NULL for tensors */
    int64_t width, height;   /* of what was given */
    int ndim;
    const int64_t *shape; /* of the network's output without the batch axis */
    const float *output;
    size_t size; /* floats in output */
    double milliseconds;
} infer_item;

/* Works on one input and fills *result. stem NULL: no files are written. */
void infer_input(infer_worker *worker, const char *name, const char *stem, infer_result *result);
void infer_result_free(infer_result *result);

/* ---- infer_answer.c ---- */

typedef struct infer_class {
    int64_t index;
    double share; /* probability, or fraction of pixels */
} infer_class;

typedef struct infer_answer {
    infer_class *classes; /* the largest first */
    size_t count;
    char *mask, *overlay;  /* files written, or NULL */
    const char *unwritten; /* the one of them that could not be written */
} infer_answer;

/* On failure the context has the message. The answer is to be freed either way. */
dcls_status infer_answer_make(infer_worker *worker, const infer_item *item, infer_answer *answer);
void infer_answer_free(infer_answer *answer);

/* ---- infer_print.c ---- */

/* What comes before the first result: the header of a CSV. */
void infer_print_header(const infer_shared *infer, FILE *to);
void infer_print_item(infer_worker *worker, const infer_item *item, const infer_answer *answer, FILE *to);

/* ---- infer_logits.c ---- */

/* Appends count items of one shape. DCLS_ERR_ARGUMENT if it differs from that of those before, DCLS_ERR_LIMIT
 * if all together would take more than limit bytes, or DCLS_ERR_MEMORY; no message is left in any context. */
dcls_status infer_logits_add(infer_logits *logits, int ndim, const int64_t *shape, const float *data,
                             size_t count, uint64_t limit);
dcls_status infer_logits_save(dcls_context *ctx, const infer_logits *logits, const char *path);

/* ---- infer_jobs.c ---- */

typedef struct infer_counts {
    uint64_t inputs, failed, not_finite;
    int first_status;       /* of the first failure */
    char *first_not_finite; /* name of the first such input, or NULL; to be freed */
} infer_counts;

/* Works through all inputs, with options->jobs of them in flight (0: as many as is fastest), and prints
 * results in input order. False if it had to stop: *status then is the exit status. */
bool infer_run_jobs(const infer_shared *infer, cli_inputs *inputs, infer_logits *logits, infer_counts *counts,
                    int *status);

#endif
