/* The data set as the network's classes want it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "eval.h"
#include "output.h"

const char *eval_label(const eval *e, int64_t index, char buffer[EVAL_LABEL_TEXT])
{
    if (e->labels[index] != NULL) return e->labels[index];
    snprintf(buffer, EVAL_LABEL_TEXT, "%" PRId64, index);
    return buffer;
}

static dcls_status open_set(eval *e, const char *const *classes, size_t class_count)
{
    dcls_dataset_options options = dcls_dataset_options_default();
    options.kind = (dcls_dataset_kind)e->options->kind;
    options.classes = classes;
    options.class_count = class_count;
    options.ignore_index = (int)e->options->ignore;
    options.limit = e->options->limit;
    dcls_dataset_destroy(e->set);
    return dcls_dataset_open(e->run->ctx, e->options->data, &options, &e->set);
}

/* ---- which name is which class ---- */

static int64_t label_index(const eval *e, const char *name)
{
    for (size_t i = 0; i < dcls_model_label_count(e->model); i++)
        if (strcmp(dcls_model_label(e->model, i), name) == 0) return (int64_t)i;
    return -1;
}

typedef struct name_match {
    size_t known; /* of the data's class names are labels of the network */
    bool same;    /* and have the same index */
    const char *stranger;
} name_match;

static name_match compare_names(const eval *e)
{
    name_match match = {.same = true};
    for (size_t i = 0; i < dcls_dataset_class_count(e->set); i++) {
        const char *name = dcls_dataset_class_name(e->set, i);
        const int64_t index = label_index(e, name);
        match.known += index >= 0;
        match.same = match.same && index == (int64_t)i;
        if (index < 0 && match.stranger == NULL) match.stranger = name;
    }
    return match;
}

static dcls_status open_by_labels(eval *e)
{
    const size_t count = dcls_model_label_count(e->model);
    const char **names = cli_alloc(count, sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = dcls_model_label(e->model, i);
    const dcls_status status = open_set(e, names, count);
    free(names);
    return status;
}

/* Folders are sorted by name, the network's classes as it was trained: names decide where they agree. */
static dcls_status match_names(eval *e)
{
    const size_t count = dcls_dataset_class_count(e->set);
    if (count == 0 || dcls_model_label_count(e->model) == 0 || dcls_dataset_class_name(e->set, 0) == NULL)
        return DCLS_OK;
    const name_match match = compare_names(e);
    if (match.known == count) return match.same ? DCLS_OK : open_by_labels(e);
    cli_warn(e->run, e->options->data,
             "the network does not know the class '%s' (%zu of %zu): classes are taken in the data's order",
             match.stranger, count - match.known, count);
    return DCLS_OK;
}

/* Masks say their classes by numbers: those the network does not have are ignored. */
static dcls_status open_fitting(eval *e)
{
    const cli_labels *given = &e->given;
    if (given->count > 0) return open_set(e, (const char *const *)given->items, given->count);
    const dcls_status status = open_set(e, NULL, 0);
    if (status != DCLS_OK) return status;
    if (dcls_dataset_task(e->set) == DCLS_TASK_SEGMENTATION)
        return open_set(e, NULL, e->classes < 255 ? (size_t)e->classes : 255);
    return e->task == DCLS_TASK_CLASSIFICATION ? match_names(e) : DCLS_OK;
}

static void find_labels(eval *e)
{
    const bool named = dcls_model_label_count(e->model) >= (size_t)e->classes;
    e->labels = cli_alloc((size_t)e->classes, sizeof *e->labels);
    for (int64_t i = 0; i < e->classes; i++)
        e->labels[i] =
            named ? dcls_model_label(e->model, (size_t)i) : dcls_dataset_class_name(e->set, (size_t)i);
}

static int fail_model(const eval *e, dcls_status status)
{
    char *name = eval_model_name(e);
    const int failed = cli_fail(name, status, e->run->ctx);
    free(name);
    return failed;
}

int eval_open_data(eval *e)
{
    const char *classes = e->options->classes;
    const int read = classes != NULL ? cli_labels_read(e->run, classes, &e->given) : CLI_OK;
    if (read != CLI_OK) return read;
    dcls_status status = dcls_model_classes(e->run->ctx, e->model, &e->classes);
    if (status != DCLS_OK) return fail_model(e, status);
    status = open_fitting(e);
    if (status != DCLS_OK) return cli_fail(e->options->data, status, e->run->ctx);
    find_labels(e);
    return CLI_OK;
}
