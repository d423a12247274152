/* The data sets and batches of a recipe, and whether the network fits them. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "class_names.h"
#include "mask_values.h"
#include "numbers.h"
#include "output.h"
#include "train.h"

/* ---- data sets -------------------------------------------------------------------------------------- */

static int open_set(const train_run *t, const char *path, const dcls_dataset_options *options,
                    dcls_dataset **out)
{
    dcls_dataset_destroy(*out);
    const dcls_status status = dcls_dataset_open(t->run->ctx, path, options, out);
    return status == DCLS_OK ? CLI_OK : cli_fail(path, status, t->run->ctx);
}

/* Folders of the validation data are classes of the training data, and some may be absent. */
static int name_validation(train_run *t, dcls_dataset_options *options)
{
    const cli_names train = cli_data_names(t->train), val = cli_data_names(t->val);
    const cli_names_match match = cli_names_compare(val, train);
    int status = CLI_OK;
    if (train.count > 0 && match.known < val.count) {
        status = cli_refuse_strangers(t->recipe->val, match, val.count, "the training data");
    } else if (train.count > 0 && val.count > 0) {
        options->classes = train.items;
        options->class_count = train.count;
        status = open_set(t, t->recipe->val, options, &t->val);
    }
    free(train.items);
    free(val.items);
    return status;
}

static int open_validation(train_run *t)
{
    dcls_dataset_options options = t->recipe->data;
    options.limit = t->recipe->val_limit;
    if (t->task == DCLS_TASK_CLASSIFICATION) {
        options.classes = NULL;
        options.class_count = 0;
        options.one_class = true;
    }
    int status = open_set(t, t->recipe->val, &options, &t->val);
    if (status == CLI_OK && dcls_dataset_task(t->val) != t->task) {
        cli_error(t->recipe->val, "holds data for %s, '%s' for %s", dcls_task_name(dcls_dataset_task(t->val)),
                  t->recipe->train, dcls_task_name(t->task));
        return CLI_USAGE;
    }
    if (status == CLI_OK && t->task == DCLS_TASK_CLASSIFICATION) status = name_validation(t, &options);
    return status;
}

/* What only masks have, and only teachers. */
static void warn_unused(const train_run *t)
{
    if (t->task == DCLS_TASK_CLASSIFICATION && t->recipe->ignore >= 0)
        cli_warn(t->run, "train", "--ignore is for masks: it has no effect here");
    if (t->recipe->teacher_count == 0 &&
        (t->recipe->distill_share != 0.5 || t->recipe->trainer.temperature != 1))
        cli_warn(t->run, "train", "--teacher-share and --temperature have no effect without --teacher");
    if (t->recipe->teacher_count > 0 && t->recipe->distill_share == 0)
        cli_warn(t->run, "train", "teachers have no effect: their share of the loss (--teacher-share) is 0");
}

int train_open_data(train_run *t)
{
    dcls_dataset_options *options = &t->recipe->data;
    int status = open_set(t, t->recipe->train, options, &t->train);
    if (status != CLI_OK) return status;
    t->task = dcls_dataset_task(t->train);
    warn_unused(t);
    const int64_t classes = t->recipe->create.classes;
    /* Masks do not say how many classes there are; what is none of them is ignored. */
    if (t->task == DCLS_TASK_SEGMENTATION && options->class_count == 0 && classes > 0 && classes < 256) {
        options->class_count = (size_t)classes;
        status = open_set(t, t->recipe->train, options, &t->train);
    }
    if (status == CLI_OK && t->recipe->val != NULL) status = open_validation(t);
    return status;
}

/* ---- whether they fit ------------------------------------------------------------------------------- */

/* A model that knows the folders under their names counts them in its own order. */
static int adopt_labels(train_run *t, const dcls_model *model)
{
    const cli_names data = cli_data_names(t->train), labels = cli_model_names(model);
    const cli_names_match match = cli_names_compare(data, labels);
    int status = CLI_OK;
    if (data.count > 0 && match.known == data.count && !match.same) {
        dcls_dataset_options options = t->recipe->data;
        options.classes = labels.items;
        options.class_count = labels.count;
        status = open_set(t, t->recipe->train, &options, &t->train);
        if (status == CLI_OK && t->val != NULL) status = open_validation(t);
    }
    free(data.items);
    free(labels.items);
    return status;
}

static int check_classes(train_run *t, const dcls_model *model)
{
    const dcls_status status = dcls_model_classes(t->run->ctx, model, &t->classes);
    if (status != DCLS_OK) return cli_fail("the network", status, t->run->ctx);
    const int64_t said = t->recipe->create.classes;
    const size_t count = dcls_dataset_class_count(t->train);
    if (dcls_model_task(model) != t->task) {
        cli_error(t->recipe->train, "is data for %s, the network's task is %s", dcls_task_name(t->task),
                  dcls_task_name(dcls_model_task(model)));
        return CLI_USAGE;
    }
    if (said > 0 && said != t->classes) {
        cli_error("train", "the network has %" PRId64 " classes, not %" PRId64, t->classes, said);
        return CLI_USAGE;
    }
    if (count > (size_t)t->classes) {
        cli_error(t->recipe->train, "has %zu classes, the network %" PRId64, count, t->classes);
        return CLI_USAGE;
    }
    if (t->task == DCLS_TASK_CLASSIFICATION && count < (size_t)t->classes)
        cli_warn(t->run, t->recipe->train, "has %zu classes, the network %" PRId64, count, t->classes);
    return CLI_OK;
}

/* Masks of a network that is gone on with: its classes are those that count. */
static int fit_masks(train_run *t)
{
    dcls_dataset_options *options = &t->recipe->data;
    if (t->task != DCLS_TASK_SEGMENTATION || options->class_count > 0 || t->classes > 255) return CLI_OK;
    options->class_count = (size_t)t->classes;
    const int status = open_set(t, t->recipe->train, options, &t->train);
    return status == CLI_OK && t->val != NULL ? open_validation(t) : status;
}

/* A glob that freezes nothing is a mistake nobody would notice. */
static int check_frozen(const train_run *t, const dcls_model *model)
{
    const dcls_tensors *tensors = dcls_model_tensors(model);
    for (size_t i = 0; i < t->recipe->trainer.freeze_count; i++) {
        const char *glob = t->recipe->trainer.freeze[i];
        bool found = false;
        for (size_t k = 0; k < dcls_tensors_count(tensors) && !found; k++)
            found = fnmatch(glob, dcls_tensors_at(tensors, k)->name, 0) == 0;
        if (found) continue;
        cli_error("train", "--freeze: no tensor's name matches '%s'; the first one is '%s'", glob,
                  dcls_tensors_count(tensors) > 0 ? dcls_tensors_at(tensors, 0)->name : "");
        return CLI_USAGE;
    }
    return CLI_OK;
}

/* ---- class weights ---------------------------------------------------------------------------------- */

static int weigh_classes(train_run *t)
{
    dcls_trainer_options *options = &t->recipe->trainer;
    const size_t given = t->recipe->class_weight_count;
    if (given > 0 && given != (size_t)t->classes) {
        cli_error("train", "loss.class_weights has %zu numbers for %" PRId64 " classes", given, t->classes);
        return CLI_USAGE;
    }
    if (!t->recipe->balanced) return CLI_OK;
    t->class_weights = cli_alloc((size_t)t->classes, sizeof *t->class_weights);
    options->class_weights = t->class_weights;
    const dcls_status status = dcls_dataset_balance(t->run->ctx, t->train, t->classes, t->class_weights);
    return status == DCLS_OK ? CLI_OK : cli_fail(t->recipe->train, status, t->run->ctx);
}

/* ---- batches ---------------------------------------------------------------------------------------- */

static int make_loader(train_run *t, const dcls_model *model)
{
    dcls_loader_options options = t->recipe->loader;
    options.preprocess = *dcls_model_preprocess(model);
    options.shuffle = options.drop_last = true;
    options.ahead = dcls_loader_options_default().ahead;
    if (dcls_dataset_count(t->train) < options.batch) {
        cli_error(t->recipe->train, "%s %s, less than a batch of %" PRId64 " (--batch)",
                  dcls_dataset_count(t->train) == t->recipe->data.limit ? "--limit leaves" : "holds",
                  cli_counted(dcls_dataset_count(t->train), "picture").text, options.batch);
        return CLI_USAGE;
    }
    dcls_status status = dcls_loader_create(t->run->ctx, t->train, &options, &t->loader);
    if (status == DCLS_OK) {
        t->batches = dcls_loader_batches(t->loader);
        status = dcls_recipe_plan(t->run->ctx, t->recipe, t->batches);
    }
    return status == DCLS_OK ? CLI_OK : cli_fail("train", status, t->run->ctx);
}

/* Length of what all names begin with, folders as a whole. */
static size_t common_folder(const dcls_dataset *set)
{
    const char *first = dcls_dataset_item_name(set, 0);
    size_t length = strlen(first);
    for (int64_t i = 0; i < dcls_dataset_count(set); i++) {
        const char *name = dcls_dataset_item_name(set, i);
        size_t same = 0;
        while (same < length && name[same] == first[same])
            same++;
        length = same;
    }
    while (length > 0 && first[length - 1] != '/')
        length--;
    return length;
}

/* Tells lists of pictures apart, wherever their folder lies: FNV-1a, as many bits as a double holds, and
 * never 0. */
static int64_t names_of(const dcls_dataset *set)
{
    const size_t skip = common_folder(set);
    uint64_t hash = UINT64_C(14695981039346656037);
    for (int64_t i = 0; i < dcls_dataset_count(set); i++) {
        const char *c = dcls_dataset_item_name(set, i) + skip;
        do
            hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
        while (*c++ != '\0');
    }
    return (int64_t)(hash >> 12 | 1);
}

/* Where the recipe says how many classes masks have, larger values are left out on purpose. */
static int check_masks(const train_run *t)
{
    const dcls_recipe *recipe = t->recipe;
    const bool meant = recipe->mask_classes > 0 && recipe->mask_classes < t->classes;
    const cli_mask_check check = {.classes = meant ? recipe->mask_classes : t->classes,
                                  .ignore = recipe->ignore,
                                  .silent = recipe->mask_classes > 0};
    int status = cli_check_masks(t->run, recipe->train, t->train, &check);
    if (status == CLI_OK && t->val != NULL) status = cli_check_masks(t->run, recipe->val, t->val, &check);
    return status;
}

int train_open_loader(train_run *t, const dcls_model *model)
{
    int status = adopt_labels(t, model);
    if (status == CLI_OK) status = check_classes(t, model);
    if (status == CLI_OK) status = fit_masks(t);
    if (status == CLI_OK) status = check_masks(t);
    if (status == CLI_OK) status = check_frozen(t, model);
    if (status == CLI_OK) status = weigh_classes(t);
    if (status == CLI_OK) t->names = names_of(t->train);
    return status == CLI_OK ? make_loader(t, model) : status;
}
