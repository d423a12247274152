/* The data set as the network's classes want it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* A network without names has an order all the same. */
static int match_unnamed(eval *e, cli_names names)
{
    if ((int64_t)names.count != e->classes) {
        cli_error(e->options->data,
                  "the network has %lld classes without names, not %zu: --classes names all of them in order",
                  (long long)e->classes, names.count);
        return CLI_USAGE;
    }
    cli_warn(e->run, e->options->data,
             "the network has no names for its classes: folders are taken in the order of theirs, '%s' first",
             names.items[0]);
    return CLI_OK;
}

/* Folders are sorted by name, the network's classes as it was trained: names decide where they agree. */
static int match_names(eval *e, cli_names names, cli_names labels)
{
    const cli_names_match match = cli_names_compare(names, labels);
    if (names.count == 0) return CLI_OK;
    if (labels.count == 0) return match_unnamed(e, names);
    if (match.known == names.count) return match.same ? CLI_OK : open_set(e, labels.items, labels.count);
    if (match.known > 0 || names.count == 1)
        return cli_refuse_strangers(e->options->data, match, names.count, "the network");
    if ((int64_t)names.count != e->classes) {
        cli_error(e->options->data,
                  "the network knows none of the %zu classes ('%s' ..), and has %lld: --classes "
                  "FOLDER=CLASS,.. says which is which",
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

/* ---- names that are given ---- */

static int refuse_names(char *why)
{
    cli_error("eval", "--classes: %s", why);
    free(why);
    return CLI_USAGE;
}

/* The place of FOLDER=CLASS, or of a name that is a label itself; -1: neither. Cuts FOLDER off where it is
 * said. */
static int64_t place_of(cli_names labels, char *given)
{
    const int64_t whole = cli_names_place(labels, given);
    char *sign = strrchr(given, '=');
    if (whole >= 0 || sign == NULL) return whole;
    const int64_t place = cli_names_place(labels, sign + 1);
    if (place >= 0) *sign = '\0';
    return place;
}

/* Some of the network's classes: the others keep their labels for names. */
static int place_names(eval *e, cli_names labels)
{
    cli_labels *given = &e->given;
    char **all = cli_alloc(labels.count, sizeof *all);
    int status = CLI_OK;
    for (size_t i = 0; i < given->count && status == CLI_OK; i++) {
        const int64_t place = place_of(labels, given->items[i]);
        if (place < 0)
            status = refuse_names(
                cli_format("'%s' says no class of the network, such as '%s': all %zu in order, or "
                           "FOLDER=CLASS,..",
                           given->items[i], labels.items[0], labels.count));
        else if (all[place] != NULL)
            status = refuse_names(cli_format("class '%s' is given two folders, '%s' and '%s'",
                                             labels.items[place], all[place], given->items[i]));
        else
            all[place] = cli_copy(given->items[i]);
    }
    for (size_t i = 0; i < labels.count; i++)
        if (all[i] == NULL) all[i] = cli_copy(labels.items[i]);
    cli_labels_free(given);
    *given = (cli_labels){all, labels.count};
    return status;
}

static bool says_class(cli_names labels, const char *given)
{
    const char *sign = strrchr(given, '=');
    return sign != NULL && cli_names_place(labels, given) < 0 && cli_names_place(labels, sign + 1) >= 0;
}

/* As many names as the network has classes stand in its order, unless they say otherwise. */
static int order_names(eval *e)
{
    const cli_labels *given = &e->given;
    const cli_names labels = cli_model_names(e->model);
    bool said = false;
    int status = CLI_OK;
    for (size_t i = 0; i < given->count; i++)
        said = said || says_class(labels, given->items[i]);
    if (given->count > 0 && ((int64_t)given->count < e->classes || said)) {
        status = labels.count == (size_t)e->classes
                     ? place_names(e, labels)
                     : refuse_names(
                           cli_format("the network has %lld classes without names, not %zu: name all of them",
                                      (long long)e->classes, given->count));
    }
    free(labels.items);
    return status;
}

static int read_names(eval *e, const char *classes)
{
    const bool file =
        strchr(classes, '=') == NULL || strchr(classes, ',') != NULL || access(classes, F_OK) == 0;
    if (file) return cli_labels_read(e->run, classes, &e->given); /* or a list */
    e->given.items = cli_alloc(1, sizeof *e->given.items);
    e->given.items[0] = cli_copy(classes);
    e->given.count = 1;
    return CLI_OK;
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
    if (classes != NULL && e->task == DCLS_TASK_SEGMENTATION)
        return refuse_names(cli_copy("is for folders of classes: masks say their classes by numbers"));
    const int read = classes != NULL ? read_names(e, classes) : CLI_OK;
    if (read != CLI_OK) return read;
    const dcls_status known = dcls_model_classes(e->run->ctx, e->model, &e->classes);
    if (known != DCLS_OK) return fail_model(e, known);
    int status = order_names(e);
    if (status == CLI_OK) status = open_fitting(e);
    if (status == CLI_OK) find_labels(e);
    return status;
}
