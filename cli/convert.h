/*
 * dcls convert, in parts:
 *
 *   cmd_convert.c      options, what fits together, reading and writing
 *   convert_arch.c     labels and architecture files
 *   convert_save.c     files written
 *   convert_kernels.c  kernels made dense, fitted, pruned ..; progress
 *   convert_print.c    what became of each layer, as a table and as JSON
 *   convert_verify.c   both networks over pictures
 */
#ifndef DCLS_CLI_CONVERT_H
#define DCLS_CLI_CONVERT_H

#include "options.h"

enum { PREPROCESS_NOT_SAID = -1 };
enum { TO_SAME = -1, TO_DENSE, TO_SPARSE, TO_TAPS };

typedef struct convert_options {
    const char *key, *module, *arch, *labels, *layers, *verify;
    cli_list settings, drop;
    int preprocess; /* index of its word, or PREPROCESS_NOT_SAID */
    int to;         /* kernels as they are, or TO_DENSE .. */
    int64_t kernel_count, seed;
    double error, effort, merge, prune, threshold;
    bool round_positions, fix_unequal, onnx_preprocess, json;
} convert_options;

struct convert {
    const cli *run;
    const convert_options *options;
    const char *in, *out;
    char *arch_json, **labels;
    size_t label_count;
    bool settings_used;            /* by the reader: they describe layers of the file */
    dcls_changes *elements, *taps; /* NULL: no such change */
};

/* ---- convert_arch.c: exit statuses; what they load is freed by convert_arch_free ---- */
int convert_load_labels(struct convert *convert);
int convert_load_arch(struct convert *convert);
void convert_arch_free(struct convert *convert);

/* ---- convert_save.c ---- */

bool convert_to_onnx(const struct convert *convert);
int convert_save_model(const struct convert *convert, const dcls_model *model);
int convert_save_tensors(const struct convert *convert, const dcls_tensors *tensors, const char *what);

/* ---- convert_kernels.c ---- */

/* Whether elements are to be changed or fitted. */
bool convert_changes_elements(const convert_options *o);
/* *out is the network with its kernels changed: a new one, or NULL where nothing changes. */
dcls_status convert_model_kernels(struct convert *convert, const dcls_model *model, dcls_model **out);
/* The same for tensors without a network. */
dcls_status convert_tensor_kernels(struct convert *convert, const dcls_tensors *tensors, dcls_tensors **out);
/* The taps of a network. */
dcls_status convert_to_taps(struct convert *convert, const dcls_model *model, const dcls_tensors *tensors,
                            dcls_tensors **out);

/* ---- convert_verify.c ---- */

typedef struct convert_comparison {
    int64_t pictures, failed;
    double error;     /* |b - a| / |a| over all outputs */
    double largest;   /* |b - a| of one number */
    double agreement; /* share of pictures (classification) or pixels (segmentation) of the same class */
    int64_t agreeing, judged;
    dcls_task task;
} convert_comparison;

/* Looks whether --verify names pictures, before long work begins. */
int convert_verify_check(const struct convert *convert);
/* Runs both networks over the pictures. Returns an exit status. */
int convert_verify(const struct convert *convert, const dcls_model *before, const dcls_model *after,
                   convert_comparison *out);

/* ---- convert_print.c ---- */

/* What was done, on stdout; comparison may be NULL. An exit status. */
int convert_print(const struct convert *convert, const convert_comparison *comparison);

#endif
