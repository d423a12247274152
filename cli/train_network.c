/* The network of a recipe: a new one, or a model made to fit the data's classes, with layers replaced. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "class_names.h"
#include "models.h"
#include "numbers.h"
#include "output.h"
#include "train.h"

/* A new network has the classes of the data unless the recipe says otherwise. */
static int create_network(train_run *t, dcls_model **out)
{
    dcls_create_options options = t->recipe->create;
    const size_t count = dcls_dataset_class_count(t->train);
    const cli_names names = cli_data_names(t->train);
    if (options.classes == 0) options.classes = (int64_t)count;
    if (options.labels == NULL && options.classes == (int64_t)count) options.labels = names.items;
    int status = CLI_OK;
    if (options.classes == 0 && options.arch_json == NULL) {
        const bool segments = options.arch != NULL && strcmp(options.arch, "deeplabv3") == 0;
        if (segments)
            cli_error("train", "masks do not say how many classes there are: --classes N");
        else
            cli_error(t->recipe->train, "is data for segmentation, %s is for classification", options.arch);
        status = CLI_USAGE;
    } else {
        const dcls_status made = dcls_model_create(t->run->ctx, &options, out);
        const char *subject = t->recipe->graph != NULL ? t->recipe->graph : "train";
        if (made != DCLS_OK) status = cli_fail(subject, made, t->run->ctx);
    }
    free(names.items);
    return status;
}

/* A checkpoint is a model with the state of an optimiser, which is not gone on with here. */
static int strip_checkpoint(train_run *t, dcls_model **model)
{
    const dcls_tensors *tensors = dcls_model_tensors(*model);
    dcls_model *alone;
    if (dcls_trainer_note(tensors) == NULL) return CLI_OK;
    const dcls_status status = dcls_trainer_stored_model(t->run->ctx, tensors, &alone);
    if (status != DCLS_OK) return cli_fail(t->recipe->model_file, status, t->run->ctx);
    dcls_model_destroy(*model);
    *model = alone;
    return CLI_OK;
}

static int load_network(train_run *t, dcls_model **out)
{
    const char *path = t->recipe->model_file;
    if (t->recipe->create.preprocess != NULL) {
        cli_error("train", "--preprocess is for new networks, '%s' has its own", path);
        return CLI_USAGE;
    }
    const int status = cli_model_load(t->run, path, out);
    return status == CLI_OK ? strip_checkpoint(t, out) : status;
}

/* What the network should answer with; count 0: with what it does. */
typedef struct wanted {
    int64_t count;
    const char *const *labels;
    const char *why; /* NULL: the user said so */
} wanted;

static bool knows_all(cli_names labels, const char *const *names, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (cli_names_place(labels, names[i]) < 0) return false;
    return true;
}

static wanted wanted_classes(const train_run *t, const dcls_model *model, int64_t classes, cli_names data)
{
    const dcls_create_options *said = &t->recipe->create;
    const cli_names labels = cli_model_names(model);
    const cli_names_match match = cli_names_compare(data, labels);
    wanted want = {.count = said->classes, .labels = said->labels};
    const bool named = data.count > 0, unknown = labels.count > 0 && match.known < data.count;
    const int64_t count = (int64_t)data.count;
    if (want.count == 0 && named && (unknown || (labels.count == 0 && count != classes))) {
        want.count = count;
        want.why = unknown ? match.stranger : "";
    }
    if (want.labels == NULL && want.count == count) want.labels = data.items;
    bool same = want.count == 0 || want.count == classes;
    if (same && want.count > 0 && want.labels != NULL && labels.count > 0)
        same = knows_all(labels, want.labels, want.count);
    free(labels.items);
    if (same) want = (wanted){0};
    return want;
}

static int make_head(train_run *t, const wanted *want, dcls_model **model)
{
    const char *layer;
    dcls_model *made;
    const dcls_status status = dcls_model_new_head(t->run->ctx, *model, want->count, want->labels,
                                                   (uint64_t)t->recipe->seed, &made, &layer);
    if (status != DCLS_OK) return cli_fail(t->recipe->model_file, status, t->run->ctx);
    char *why = want->why == NULL || want->why[0] == '\0'
                    ? cli_copy("")
                    : cli_format(", as it does not know the class '%s'", want->why);
    cli_note(t->run, "%s: its last layer '%s' is made anew for %" PRId64 " classes%s", t->recipe->model_file,
             layer, want->count, why);
    free(why);
    dcls_model_destroy(*model);
    *model = made;
    return CLI_OK;
}

/* Other classes than the network's want a last layer of their own: that of the old ones would be trained
 * under wrong names. */
static int fit_head(train_run *t, dcls_model **model)
{
    int64_t classes;
    if (dcls_model_task(*model) != t->task) return CLI_OK; /* check_classes says so */
    const dcls_status status = dcls_model_classes(t->run->ctx, *model, &classes);
    if (status != DCLS_OK) return cli_fail(t->recipe->model_file, status, t->run->ctx);
    const cli_names data = t->task == DCLS_TASK_CLASSIFICATION ? cli_data_names(t->train) : (cli_names){0};
    const wanted want = wanted_classes(t, *model, classes, data);
    const int result = want.count > 0 ? make_head(t, &want, model) : CLI_OK;
    free(data.items);
    return result;
}

static int replace_layers(train_run *t, dcls_model **model)
{
    const dcls_replace_options *options = &t->recipe->replace;
    int64_t layers = 0;
    dcls_model *replaced;
    if (!options->dilated && options->depthwise == 0) return CLI_OK;
    const dcls_status status = dcls_model_replace(t->run->ctx, *model, options, &replaced, &layers);
    if (status != DCLS_OK) return cli_fail("train", status, t->run->ctx);
    dcls_model_destroy(*model);
    *model = replaced;
    if (options->depthwise > 0 && layers > 0) {
        t->begins_anew = true;
        cli_note(t->run,
                 "%s replaced, with random elements: 'dcls convert --to sparse --kernel-count %" PRId64
                 "' fits them to the kernels instead",
                 cli_counted(layers, "layer").text, options->depthwise);
    } else
        cli_verbose(t->run, "%s replaced", cli_counted(layers, "layer").text);
    return CLI_OK;
}

int train_open_network(train_run *t, dcls_model **out)
{
    *out = NULL;
    int status = t->recipe->model_file != NULL ? load_network(t, out) : create_network(t, out);
    if (status == CLI_OK && t->recipe->model_file != NULL) status = fit_head(t, out);
    return status == CLI_OK ? replace_layers(t, out) : status;
}

int train_whiten(train_run *t, dcls_model **model)
{
    const dcls_recipe *recipe = t->recipe;
    dcls_model *made;
    if (recipe->whiten == NULL) return CLI_OK;
    const dcls_status status =
        dcls_model_whiten(t->run->ctx, *model, recipe->whiten, t->train, &recipe->loader, &made);
    if (status != DCLS_OK) return cli_fail("train", status, t->run->ctx);
    dcls_model_destroy(*model);
    *model = made;
    cli_verbose(t->run, "'%s' whitened", recipe->whiten);
    return CLI_OK;
}
