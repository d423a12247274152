/* dcls train: learns weights and positions by a recipe. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "dcls_analysis.h"
#include "numbers.h"
#include "output.h"
#include "train.h"

#define AT(field) offsetof(train_options, field)

static const cli_option options[] = {
    {"output", 'o', CLI_TEXT, "DIR", AT(out),
     "folder of the run: model.bin, best.bin, checkpoint.bin, recipe.json, log.ndjson; made if missing", 0,
     0},
    {"resume", 0, CLI_TEXT, "DIR", AT(resume),
     "go on with the run in DIR: its weights become the same bits as if it had never stopped, on the same "
     "type of processor",
     0, 0},
    {"force", 0, CLI_FLAG, NULL, AT(force), "train anew where DIR holds a run already", 0, 0},
    {"dry-run", 0, CLI_FLAG, NULL, AT(dry_run),
     "say what network, data, time and memory there would be, after two steps; nothing is written", 0, 0},
    {"print-recipe", 0, CLI_FLAG, NULL, AT(print_recipe),
     "the whole recipe as JSON on standard output, and no training", 0, 0},
    {"save-every", 0, CLI_REAL, "S", AT(save_every), "seconds between checkpoints (default: 60)", 0, 1e9},
    {"max-memory", 0, CLI_SIZE, "SIZE", AT(max_memory),
     "refuse batches that take more memory, such as 4G (default: 8G)", 0, 0},
    {"recipe-set", 's', CLI_LIST, "KEY=VALUE", AT(set),
     "any key of a recipe, such as optimizer.beta2=0.99; may be repeated", 0, 0},
    {0}};

static const train_options defaults = {.save_every = 60};

/* ---- what is needed --------------------------------------------------------------------------------- */

static void count_parameters(train_run *t, const dcls_model *model)
{
    dcls_report *report;
    const int64_t shape[4] = {1, dcls_model_preprocess(model)->channels, t->recipe->loader.height,
                              t->recipe->loader.width};
    if (dcls_report_create(t->run->ctx, model, 4, shape, &report) != DCLS_OK) return;
    for (size_t i = 0; i < dcls_report_count(report); i++) {
        const dcls_node_report *node = dcls_report_node(report, i);
        t->parameters += node->weights + node->positions + node->spreads;
        t->positions += node->positions;
    }
    dcls_report_destroy(report);
}

static bool is_finished(const train_run *t)
{
    return t->at.epoch >= t->recipe->epochs && train_has_model_of(t, t->recipe->epochs);
}

static int make_trainer(train_run *t, dcls_model **network, const dcls_tensors *state)
{
    dcls_context *ctx = t->run->ctx;
    int result = train_open_loader(t, *network);
    if (result == CLI_OK && state == NULL) result = train_whiten(t, network);
    if (result != CLI_OK) return result;
    const dcls_model *model = *network;
    dcls_status status = dcls_trainer_create(ctx, model, &t->recipe->trainer, &t->trainer);
    if (status != DCLS_OK) return cli_fail("train", status, ctx);
    if (state != NULL) status = dcls_trainer_restore(ctx, t->trainer, state);
    if (status != DCLS_OK) {
        char *path = train_path(t, "checkpoint.bin");
        result = cli_fail(path, status, ctx);
        free(path);
        return result;
    }
    if (state == NULL || !is_finished(t))
        result = train_open_teachers(t, dcls_trainer_model(t->trainer, false));
    if (result != CLI_OK) return result;
    count_parameters(t, dcls_trainer_model(t->trainer, false));
    if (t->recipe->record_positions == 0 || t->positions > 0 || t->parameters == 0) return CLI_OK;
    cli_error("train", "--record-positions: the network has no positions to record");
    return CLI_USAGE;
}

static int prepare(train_run *t)
{
    dcls_model *model = NULL;
    dcls_tensors *state = NULL;
    const bool stored = t->options->resume != NULL && train_has(t, "checkpoint.bin");
    int status = train_open_data(t);
    if (status == CLI_OK) status = stored ? train_load(t, &state, &model) : train_open_network(t, &model);
    if (status == CLI_OK) status = make_trainer(t, &model, state);
    dcls_tensors_destroy(state);
    dcls_model_destroy(model);
    return status;
}

static int open_recording(train_run *t)
{
    if (t->recipe->record_positions == 0) return CLI_OK;
    char *path = train_path(t, "positions.npy");
    if (t->at.frames == 0) unlink(path); /* a crash may have left part of one */
    const dcls_status status = dcls_recording_open(t->run->ctx, path, dcls_trainer_model(t->trainer, false),
                                                   t->at.frames, &t->recording);
    const int result = status == DCLS_OK ? CLI_OK : cli_fail(path, status, t->run->ctx);
    free(path);
    return result;
}

/* ---- the run ---------------------------------------------------------------------------------------- */

/* Pictures that do not fit are told of before there is a folder. */
static int make_batch(train_run *t)
{
    const dcls_batch *batch;
    const dcls_status status = dcls_loader_next(t->run->ctx, t->loader, &batch);
    return status == DCLS_OK ? CLI_OK : cli_fail(t->recipe->train, status, t->run->ctx);
}

static int begin(train_run *t)
{
    int status = prepare(t);
    if (status == CLI_OK) status = make_batch(t);
    if (status == CLI_OK) status = train_folder_open(t, false);
    if (status == CLI_OK) status = train_folder_write_recipe(t);
    if (status == CLI_OK) status = train_log_start(t);
    return status;
}

/* Other pictures would lead elsewhere. */
static int check_place(const train_run *t)
{
    const int64_t now = dcls_dataset_count(t->train), then = t->at.pictures;
    const int64_t whole = dcls_trainer_steps(t->trainer) - t->at.batch; /* steps of epochs that are done */
    const bool placed = t->at.batch <= t->batches && whole >= 0 && whole % t->batches == 0 &&
                        whole / t->batches == t->at.epoch;
    if (placed && (then == 0 || then == now) && (t->at.names == 0 || t->at.names == t->names)) return CLI_OK;
    if (placed && then == now)
        cli_error(t->recipe->train, "is not the data the run began with: pictures have other names now");
    else
        cli_error(t->recipe->train, "is not the data the run began with: it has %lld pictures now",
                  (long long)now);
    return CLI_BAD_INPUT;
}

/* The log begins anew with a run that was interrupted before its first checkpoint. */
static int go_on(train_run *t)
{
    int status = prepare(t);
    if (status == CLI_OK) status = check_place(t);
    const bool begun = t->at.batch > 0; /* the next epoch */
    if (status == CLI_OK && t->at.epoch + begun > t->recipe->epochs) {
        cli_error("train", "--epochs %" PRId64 ": %s has %s%s already", t->recipe->epochs, t->folder,
                  cli_counted(t->at.epoch, "epoch").text, begun ? " and a part" : "");
        return CLI_USAGE;
    }
    if (status == CLI_OK) status = train_folder_write_recipe(t);
    if (status == CLI_OK) status = train_log_cut(t);
    if (status == CLI_OK && train_log_is_empty(t)) status = train_log_start(t);
    return status;
}

static int train(train_run *t)
{
    const bool resumed = t->options->resume != NULL;
    int status = resumed ? go_on(t) : begin(t);
    if (status == CLI_OK && resumed && is_finished(t)) {
        cli_note(t->run, "%s: finished after %s; --epochs N goes on to more", t->folder,
                 cli_counted(t->at.epoch, "epoch").text);
        return CLI_OK;
    }
    if (status == CLI_OK) status = open_recording(t);
    if (status != CLI_OK) return status;
    train_show_start(t);
    train_show_pictures(t);
    return train_loop(t);
}

static int usage(const char *text)
{
    cli_error("train", "%s; see 'dcls train --help'", text);
    return CLI_USAGE;
}

static bool is_run(const char *path)
{
    struct stat st;
    char *recipe = cli_format("%s/recipe.json", path);
    const bool found = stat(recipe, &st) == 0;
    free(recipe);
    return found;
}

static int check_options(train_run *t, cli_operands operands)
{
    const train_options *o = t->options;
    const bool writes = !o->dry_run && !o->print_recipe;
    if (o->resume != NULL && (o->out != NULL || o->force || operands.count > 0))
        return usage("--resume DIR stands for recipe and output folder: leave out -o, --force and RECIPE");
    if (operands.count > 0 && is_run(operands.items[0])) {
        cli_error("train", "'%s' is the folder of a run, which 'dcls train --resume %s' goes on with",
                  operands.items[0], operands.items[0]);
        return CLI_USAGE;
    }
    if (writes && o->out == NULL && o->resume == NULL)
        return usage("where to? -o DIR names the folder of the run");
    t->folder = o->resume != NULL ? o->resume : o->out;
    if (t->folder != NULL && t->folder[0] == '\0') return usage("the name of the folder is empty");
    return CLI_OK;
}

static int read_recipe(train_run *t, cli_operands operands)
{
    char *own = t->options->resume != NULL ? train_path(t, "recipe.json") : NULL;
    const char *path = operands.count > 0 ? operands.items[0] : own;
    const dcls_status status = dcls_recipe_create(t->run->ctx, &t->recipe);
    const int result =
        status == DCLS_OK ? train_read_recipe(t, path, own != NULL) : cli_fail("train", status, t->run->ctx);
    free(own);
    return result;
}

static int print_recipe(const train_run *t)
{
    char *text;
    const int status = train_recipe_text(t, &text);
    if (status != CLI_OK) return status;
    fputs(text, stdout);
    free(text);
    return CLI_OK;
}

static int run_checked(train_run *t, cli_operands operands)
{
    const train_options *o = t->options;
    const bool writes = !o->dry_run && !o->print_recipe;
    int status = CLI_OK;
    if (o->resume != NULL && writes)
        status = train_folder_open(t, true);
    else if (writes)
        status = train_folder_check(t);
    if (status == CLI_OK) status = read_recipe(t, operands);
    if (status != CLI_OK) return status;
    if (o->print_recipe) return print_recipe(t);
    if (!o->dry_run) return train(t);
    status = prepare(t);
    if (status == CLI_OK && o->resume != NULL) status = check_place(t);
    if (status == CLI_OK) train_show_pictures(t);
    return status == CLI_OK ? train_try(t) : status;
}

static int run_train(cli *run, const void *values, cli_operands operands)
{
    train_run t = {.run = run, .options = values, .at = {.best = -1}};
    if (t.options->max_memory > 0)
        dcls_context_set_limit(run->ctx, DCLS_LIMIT_MEMORY_BYTES, t.options->max_memory);
    int status = check_options(&t, operands);
    if (status == CLI_OK) status = run_checked(&t, operands);
    if (t.log != NULL) fclose(t.log);
    dcls_recording_close(t.recording);
    dcls_loader_destroy(t.loader);
    dcls_dataset_destroy(t.train);
    dcls_dataset_destroy(t.val);
    train_close_teachers(&t);
    dcls_trainer_destroy(t.trainer);
    dcls_recipe_destroy(t.recipe);
    free(t.class_weights);
    free(t.recipe_text);
    return status;
}

const cli_command cli_cmd_train = {
    .name = "train",
    .summary = "learn weights and positions",
    .operands = "[RECIPE.json]",
    .about =
        "Trains a network on pictures: a new one by architecture or description, or a model to go on with. "
        "Everything it is told is a key of a recipe: from RECIPE.json, from the flags below, or by -s. "
        "Flags win over the file.\n\n"
        "Data are folders of classes, images/ beside masks/, or the files of CIFAR-10. model.bin is the "
        "trained network, best.bin the one of the best validation. An interrupt (Ctrl-C) ends the step in "
        "hand, saves and exits; a second one ends at once. dcls-train(1) describes recipes, the log and "
        "everything else.",
    .examples = "  dcls train -o run --arch convmixer --set dim=64 --set depth=5 \\\n"
                "       --train cifar10/train --val cifar10/test --preprocess cifar10\n"
                "  dcls train recipe.json -o run --epochs 10 --rate 0.01\n"
                "  dcls train recipe.json --dry-run\n"
                "  dcls train --resume run\n"
                "  dcls plot run/log.ndjson -o curves.png\n",
    .options = options,
    .add_options = train_add_options,
    .meant = dcls_recipe_flag_meant,
    .values_size = sizeof(train_options),
    .defaults = &defaults,
    .min_operands = 0,
    .max_operands = 1,
    .run = run_train};
