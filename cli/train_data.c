/* What a recipe names: data sets, the network, loaders. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "models.h"
#include "output.h"
#include "train.h"

static int open_set(const train_run *t, const char *path, bool training, dcls_dataset **out)
{
    dcls_dataset_options options = t->recipe->data;
    if (!training) options.limit = 0;
    const dcls_status status = dcls_dataset_open(t->run->ctx, path, &options, out);
    return status == DCLS_OK ? CLI_OK : cli_fail(path, status, t->run->ctx);
}

/* Folders of the validation data stand for the classes of the training data. */
static int same_classes(const train_run *t)
{
    const size_t count = dcls_dataset_class_count(t->train);
    if (dcls_dataset_task(t->train) != dcls_dataset_task(t->val)) {
        cli_error(t->recipe->val, "holds data of another task than '%s'", t->recipe->train);
        return CLI_BAD_INPUT;
    }
    if (count != dcls_dataset_class_count(t->val)) {
        cli_error(t->recipe->val, "has %zu classes, '%s' has %zu", dcls_dataset_class_count(t->val),
                  t->recipe->train, count);
        return CLI_BAD_INPUT;
    }
    for (size_t i = 0; i < count; i++) {
        const char *a = dcls_dataset_class_name(t->train, i), *b = dcls_dataset_class_name(t->val, i);
        if (a == NULL || b == NULL || strcmp(a, b) == 0) continue;
        cli_error(t->recipe->val, "class %zu is '%s', in '%s' it is '%s'", i, b, t->recipe->train, a);
        return CLI_BAD_INPUT;
    }
    return CLI_OK;
}

int train_open_data(train_run *t)
{
    int status = open_set(t, t->recipe->train, true, &t->train);
    if (status != CLI_OK || t->recipe->val == NULL) return status;
    status = open_set(t, t->recipe->val, false, &t->val);
    return status == CLI_OK ? same_classes(t) : status;
}

/* ---- network
 * ------------------------------------------------------------------------------------------------ */

/* A new network has the classes of the data unless the recipe says otherwise. */
static int create_network(train_run *t, dcls_model **out)
{
    dcls_create_options options = t->recipe->create;
    const size_t count = dcls_dataset_class_count(t->train);
    const char **labels = NULL;
    if (options.classes == 0) options.classes = (int64_t)count;
    if (options.labels == NULL && count > 0 && options.classes == (int64_t)count) {
        labels = cli_alloc(count, sizeof *labels);
        bool all = true;
        for (size_t i = 0; i < count; i++) {
            labels[i] = dcls_dataset_class_name(t->train, i);
            all = all && labels[i] != NULL;
        }
        if (all) options.labels = labels;
    }
    const dcls_status status = dcls_model_create(t->run->ctx, &options, out);
    free(labels);
    return status == DCLS_OK ? CLI_OK : cli_fail(NULL, status, t->run->ctx);
}

/* Convolutions become DCLS layers where the recipe says so. */
static int replace_layers(train_run *t, dcls_model **model)
{
    const dcls_replace_options *options = &t->recipe->replace;
    if (!options->dilated && options->depthwise == 0) return CLI_OK;
    dcls_model *replaced;
    int64_t layers = 0;
    const dcls_status status = dcls_model_replace(t->run->ctx, *model, options, &replaced, &layers);
    if (status != DCLS_OK) return cli_fail(NULL, status, t->run->ctx);
    cli_note(t->run, "%lld layers became DCLS layers", (long long)layers);
    dcls_model_destroy(*model);
    *model = replaced;
    return CLI_OK;
}

int train_open_network(train_run *t, const dcls_model **model, dcls_model **owned)
{
    *owned = NULL;
    int status = t->recipe->model_file != NULL ? cli_model_load(t->run, t->recipe->model_file, owned)
                                               : create_network(t, owned);
    if (status == CLI_OK) status = replace_layers(t, owned);
    *model = *owned;
    return status;
}

int train_weigh_classes(train_run *t, const dcls_model *model)
{
    dcls_recipe *recipe = t->recipe;
    int64_t classes = 0;
    if (!recipe->balanced && recipe->class_weight_count == 0) return CLI_OK;
    dcls_status status = dcls_model_classes(t->run->ctx, model, &classes);
    if (status == DCLS_OK && !recipe->balanced && (int64_t)recipe->class_weight_count != classes) {
        cli_error(NULL, "loss.class_weights has %zu numbers, the network has %lld classes",
                  recipe->class_weight_count, (long long)classes);
        return CLI_USAGE;
    }
    if (status == DCLS_OK && recipe->balanced) {
        t->class_weights = cli_alloc((size_t)classes, sizeof *t->class_weights);
        recipe->trainer.class_weights = t->class_weights;
        status = dcls_dataset_balance(t->run->ctx, t->train, classes, t->class_weights);
    }
    return status == DCLS_OK ? CLI_OK : cli_fail(NULL, status, t->run->ctx);
}

/* ---- loaders
 * ------------------------------------------------------------------------------------------------ */

static int open_loader(const train_run *t, const dcls_dataset *set, const dcls_loader_options *options,
                       dcls_loader **out)
{
    const dcls_status status = dcls_loader_create(t->run->ctx, set, options, out);
    return status == DCLS_OK ? CLI_OK : cli_fail(NULL, status, t->run->ctx);
}

int train_open_loaders(train_run *t, const dcls_model *model)
{
    dcls_loader_options options = t->recipe->loader;
    options.preprocess = *dcls_model_preprocess(model);
    options.shuffle = options.drop_last = true;
    options.ahead = dcls_loader_options_default().ahead;
    int status = open_loader(t, t->train, &options, &t->loader);
    if (status != CLI_OK || t->val == NULL) return status;
    dcls_loader_options plain = dcls_loader_options_default();
    plain.preprocess = options.preprocess;
    /* Pictures of scenes are validated as large as they are, which may differ from one to the next. */
    plain.batch = dcls_dataset_task(t->val) == DCLS_TASK_SEGMENTATION ? 1 : options.batch;
    plain.cache_bytes = options.cache_bytes;
    return open_loader(t, t->val, &plain, &t->val_loader);
}
