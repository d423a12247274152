/* The data set as the network's classes want it. */
#include <inttypes.h>
#include <stdlib.h>

#include "alloc.h"
#include "class_names.h"
#include "eval.h"
#include "mask_values.h"
#include "models.h"
#include "output.h"

const char *eval_label(const eval *e, int64_t index, char buffer[EVAL_LABEL_TEXT])
{
    if (e->labels[index] != NULL) return e->labels[index];
    snprintf(buffer, EVAL_LABEL_TEXT, "%" PRId64, index);
    return buffer;
}

static int open_set(eval *e, const char *const *classes, size_t class_count)
{
    dcls_dataset_options options = dcls_dataset_options_default();
    options.kind = (dcls_dataset_kind)e->options->kind;
    options.classes = classes;
    options.class_count = class_count;
    options.one_class = dcls_model_label_count(e->model) > 0;
    options.ignore_index = (int)e->options->ignore;
    options.limit = e->options->limit;
    dcls_dataset_destroy(e->set);
    const dcls_status status = dcls_dataset_open(e->run->ctx, e->options->data, &options, &e->set);
    return status == DCLS_OK ? CLI_OK : cli_fail(e->options->data, status, e->run->ctx);
}

/* ---- which name is which class ---- */

/* Folders are sorted by name, the network's classes as it was trained: names decide where they agree. */
static int match_names(eval *e, cli_names names, cli_names labels)
{
    const cli_names_match match = cli_names_compare(names, labels);
    if (names.count == 0 || labels.count == 0) return CLI_OK;
    if (match.known == names.count) return match.same ? CLI_OK : open_set(e, labels.items, labels.count);
    if (match.known > 0 || names.count == 1)
        return cli_refuse_strangers(e->options->data, match, names.count, "the network");
    if ((int64_t)names.count != e->classes) {
        cli_error(e->options->data,
                  "the network knows none of the %zu classes ('%s' ..), and has %lld: --classes says which "
                  "is which",
                  names.count, match.stranger, (long long)e->classes);
        return CLI_USAGE;
    }
    cli_warn(e->run, e->options->data,
             "the network knows none of the classes ('%s' ..): they are taken in the data's order",
             match.stranger);
    return CLI_OK;
}

static int open_named(eval *e)
{
    const cli_names names = cli_data_names(e->set), labels = cli_model_names(e->model);
    const int status = match_names(e, names, labels);
    free(names.items);
    free(labels.items);
    return status;
}

/* Masks say their classes by numbers: those the network does not have are ignored. */
static int open_masks(eval *e)
{
    const int64_t classes = e->classes < 255 ? e->classes : 255;
    const int status = open_set(e, NULL, (size_t)classes);
    if (status != CLI_OK || e->task != DCLS_TASK_SEGMENTATION) return status; /* dcls_evaluate says so */
    const cli_mask_check check = {.classes = classes, .ignore = e->options->ignore};
    return cli_check_masks(e->run, e->options->data, e->set, &check);
}

static int open_fitting(eval *e)
{
    const cli_labels *given = &e->given;
    if (given->count > 0) return open_set(e, (const char *const *)given->items, given->count);
    const int status = open_set(e, NULL, 0);
    if (status != CLI_OK) return status;
    if (dcls_dataset_task(e->set) == DCLS_TASK_SEGMENTATION) return open_masks(e);
    return e->task == DCLS_TASK_CLASSIFICATION ? open_named(e) : CLI_OK;
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
    char *name = cli_model_spec(e->options->model);
    const int failed = cli_fail(name, status, e->run->ctx);
    free(name);
    return failed;
}

int eval_open_data(eval *e)
{
    const char *classes = e->options->classes;
    const int read = classes != NULL ? cli_labels_read(e->run, classes, &e->given) : CLI_OK;
    if (read != CLI_OK) return read;
    const dcls_status known = dcls_model_classes(e->run->ctx, e->model, &e->classes);
    if (known != DCLS_OK) return fail_model(e, known);
    const int status = open_fitting(e);
    if (status == CLI_OK) find_labels(e);
    return status;
}
