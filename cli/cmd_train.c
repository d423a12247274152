/* dcls train: learns weights and positions by a recipe. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "options.h"
#include "output.h"
#include "train.h"

typedef struct train_options {
    const char *out, *resume;
    cli_list set;
    double save_every;
} train_options;

#define AT(field) offsetof(train_options, field)

static const cli_option options[] = {
    {"output", 'o', CLI_TEXT, "DIR", AT(out),
     "folder for checkpoint.bin, best.bin, model.bin, recipe.json and log.ndjson; made if missing", 0, 0},
    {"recipe-set", 's', CLI_LIST, "KEY=VALUE", AT(set),
     "a key of the recipe, such as schedule.epochs=30; may be given several times", 0, 0},
    {"resume", 0, CLI_TEXT, "DIR", AT(resume), "go on with the run in DIR, from its last checkpoint", 0, 0},
    {"save-every", 0, CLI_REAL, "S", AT(save_every), "seconds between checkpoints (default: 60)", 0, 1e9},
    {0}};

static const train_options defaults = {.save_every = 60};

/* Set by a signal: the step in hand is finished, then the run saves and ends. */
static volatile sig_atomic_t stopped;

static void stop(int number)
{
    stopped = number;
}

/* ---- the recipe
 * --------------------------------------------------------------------------------------------- */

static int set_key(const cli *run, dcls_recipe *recipe, const char *text)
{
    const char *sign = strchr(text, '=');
    if (sign == NULL) {
        cli_error(NULL, "'%s': must be KEY=VALUE", text);
        return CLI_USAGE;
    }
    char *key = cli_alloc((size_t)(sign - text) + 1, 1);
    memcpy(key, text, (size_t)(sign - text));
    key[sign - text] = '\0';
    const dcls_status status = dcls_recipe_set(run->ctx, recipe, key, sign + 1);
    free(key);
    return status == DCLS_OK ? CLI_OK : cli_fail(NULL, status, run->ctx);
}

static int read_recipe(const cli *run, const train_options *o, const char *path, dcls_recipe *recipe)
{
    dcls_status status = path != NULL ? dcls_recipe_load(run->ctx, recipe, path) : DCLS_OK;
    if (status != DCLS_OK) return cli_fail(path, status, run->ctx);
    for (size_t i = 0; i < o->set.count; i++) {
        const int result = set_key(run, recipe, o->set.items[i]);
        if (result != CLI_OK) return result;
    }
    status = dcls_recipe_check(run->ctx, recipe);
    return status == DCLS_OK ? CLI_OK : cli_fail(path, status, run->ctx);
}

/* Kept beside the results, complete: --resume reads it. */
static int write_recipe(const train_run *t)
{
    const char *text;
    dcls_status status = dcls_recipe_text(t->run->ctx, t->recipe, &text);
    if (status != DCLS_OK) return cli_fail(NULL, status, t->run->ctx);
    const size_t size = strlen(t->folder) + 16;
    char *path = cli_alloc(size, 1);
    snprintf(path, size, "%s/recipe.json", t->folder);
    FILE *file = fopen(path, "w");
    const bool written = file != NULL && fprintf(file, "%s\n", text) > 0;
    const bool closed = file != NULL && fclose(file) == 0;
    if (!written || !closed) cli_error(path, "cannot be written: %s", strerror(errno));
    free(path);
    return written && closed ? CLI_OK : CLI_IO;
}

/* ---- the loop
 * ----------------------------------------------------------------------------------------------- */

static int end_epoch(train_run *t)
{
    t->epoch++;
    t->batch = 0;
    const bool last = t->epoch == t->recipe->epochs;
    if (t->val == NULL || t->recipe->validate_every == 0 ||
        (t->epoch % t->recipe->validate_every != 0 && !last))
        return CLI_OK;
    dcls_scores scores;
    const double start = train_now();
    int status = train_validate(t, &scores);
    if (status != CLI_OK) return status;
    const double score =
        dcls_dataset_task(t->train) == DCLS_TASK_SEGMENTATION ? scores.mean_iou : scores.top1;
    const bool best = score > t->best;
    train_log_validation(t, &scores, train_now() - start, best);
    if (!best) return CLI_OK;
    t->best = score;
    return train_save_model(t, "best.bin");
}

static int run_epoch(train_run *t, double save_every)
{
    dcls_context *ctx = t->run->ctx;
    const dcls_batch *batch;
    double saved = train_now();
    dcls_status status = dcls_loader_seek(ctx, t->loader, t->epoch, t->batch);
    while (status == DCLS_OK && (status = dcls_loader_next(ctx, t->loader, &batch)) == DCLS_OK &&
           batch != NULL) {
        dcls_step_result result;
        const double rate = dcls_schedule_rate(&t->recipe->schedule, dcls_trainer_steps(t->trainer));
        status = dcls_trainer_step(ctx, t->trainer, batch, rate, &result);
        if (status != DCLS_OK) break;
        t->batch++;
        train_log_step(t, &result, rate);
        if (stopped || train_now() - saved > save_every) {
            const int kept = train_save(t);
            if (kept != CLI_OK || stopped) return kept;
            saved = train_now();
        }
    }
    return status == DCLS_OK ? CLI_OK : cli_fail(NULL, status, ctx);
}

static int run_epochs(train_run *t, double save_every)
{
    t->started = train_now();
    t->first_step = dcls_trainer_steps(t->trainer);
    while (t->epoch < t->recipe->epochs) {
        int status = t->batch < t->batches ? run_epoch(t, save_every) : CLI_OK;
        if (status != CLI_OK || stopped) return status;
        status = end_epoch(t);
        if (status == CLI_OK) status = train_save(t);
        if (status != CLI_OK || stopped) return status;
    }
    return train_save_model(t, "model.bin");
}

/* ---- the run
 * ------------------------------------------------------------------------------------------------ */

static int make_trainer(train_run *t, bool resumed)
{
    dcls_context *ctx = t->run->ctx;
    const dcls_model *model = NULL;
    dcls_model *owned = NULL;
    dcls_tensors *state = NULL;
    int result = resumed ? train_load(t, &state, &owned) : train_open_network(t, &model, &owned);
    if (resumed) model = owned;
    if (result == CLI_OK) result = train_open_loaders(t, model);
    if (result == CLI_OK) result = train_weigh_classes(t, model);
    if (result == CLI_OK) {
        t->batches = dcls_loader_batches(t->loader);
        dcls_status status = dcls_recipe_plan(ctx, t->recipe, t->batches);
        if (status == DCLS_OK) status = dcls_trainer_create(ctx, model, &t->recipe->trainer, &t->trainer);
        if (status == DCLS_OK && resumed) status = dcls_trainer_restore(ctx, t->trainer, state);
        if (status != DCLS_OK) result = cli_fail(NULL, status, ctx);
    }
    dcls_tensors_destroy(state);
    dcls_model_destroy(owned);
    return result;
}

static int train(train_run *t, const train_options *o)
{
    int status = train_open_data(t);
    if (status == CLI_OK) status = make_trainer(t, o->resume != NULL);
    if (status == CLI_OK) status = write_recipe(t);
    if (status == CLI_OK) status = train_log_open(t);
    if (status != CLI_OK) return status;
    struct sigaction action = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    status = run_epochs(t, o->save_every);
    if (isatty(2) && !t->run->common.quiet) fputc('\n', stderr);
    if (status == CLI_OK && stopped) {
        cli_note(t->run, "stopped at epoch %lld, batch %lld; go on with: dcls train --resume %s",
                 (long long)t->epoch + 1, (long long)t->batch, t->folder);
        return 128 + (int)stopped;
    }
    return status;
}

static int run_train(cli *run, const void *values, cli_operands operands)
{
    const train_options *o = values;
    train_run t = {.run = run, .best = -1, .folder = o->resume != NULL ? o->resume : o->out};
    char *recipe_path = NULL;
    if (t.folder == NULL) {
        cli_error(NULL, "where to? give a folder with -o DIR");
        return CLI_USAGE;
    }
    if (o->resume != NULL) {
        const size_t size = strlen(t.folder) + 16;
        recipe_path = cli_alloc(size, 1);
        snprintf(recipe_path, size, "%s/recipe.json", t.folder);
    } else if (mkdir(t.folder, 0777) != 0 && errno != EEXIST) {
        cli_error(t.folder, "cannot be made: %s", strerror(errno));
        return CLI_IO;
    }
    int status = CLI_OK;
    if (dcls_recipe_create(run->ctx, &t.recipe) != DCLS_OK)
        status = cli_fail(NULL, DCLS_ERR_MEMORY, run->ctx);
    if (status == CLI_OK)
        status = read_recipe(run, o,
                             recipe_path != NULL  ? recipe_path
                             : operands.count > 0 ? operands.items[0]
                                                  : NULL,
                             t.recipe);
    if (status == CLI_OK) status = train(&t, o);
    if (t.log != NULL) fclose(t.log);
    dcls_loader_destroy(t.loader);
    dcls_loader_destroy(t.val_loader);
    dcls_dataset_destroy(t.train);
    dcls_dataset_destroy(t.val);
    dcls_trainer_destroy(t.trainer);
    dcls_recipe_destroy(t.recipe);
    free(t.class_weights);
    free(recipe_path);
    return status;
}

const cli_command cli_cmd_train = {
    .name = "train",
    .summary = "learn weights and positions",
    .operands = "[RECIPE.json]",
    .about = "Trains a network by a recipe: a new one by architecture, or a model to go on with.",
    .options = options,
    .values_size = sizeof(train_options),
    .defaults = &defaults,
    .min_operands = 0,
    .max_operands = 1,
    .run = run_train};
