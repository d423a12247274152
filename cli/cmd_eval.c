/* dcls eval: how well a network answers. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "alloc.h"
#include "dcls_plot.h"
#include "eval.h"
#include "models.h"
#include "numbers.h"
#include "options.h"
#include "output.h"
#include "shapes.h"

#define AT(field) offsetof(eval_options, field)

static const cli_option options[] = {
    {"model", 'm', CLI_TEXT, "MODEL", AT(model),
     "the same as MODEL: a file or builtin:NAME (default: the built-in classifier)", 0, 0},
    {"data", 'd', CLI_TEXT, "DIR", AT(data),
     "the data set: a folder for each class, images/ beside masks/, or CIFAR-10's binary files", 0, 0},
    {"kind", 0, CLI_CHOICE, "auto|folders|pairs|cifar10", AT(kind),
     "what the data set is (default: auto, told from what DIR holds)", 0, 0},
    {"classes", 0, CLI_TEXT, "A,B,..|FILE", AT(classes),
     "the data's folders in the order of the network's classes, or FOLDER=CLASS,.. for those named otherwise "
     "there, or a file with one a line (default: folders go by the network's labels; if it knows none of "
     "them, "
     "sorted by name)",
     0, 0},
    {"ignore", 0, CLI_INT, "N", AT(ignore),
     "pixels of this value in masks do not count; nor do 255 and values the network has no class for", 0,
     255},
    {"limit", 'n', CLI_INT, "N", AT(limit), "only N pictures, spread evenly over the set", 1, 1e15},
    {"batch", 'b', CLI_INT, "N", AT(batch), "pictures of one size run together, at most (default: 64)", 1,
     4096},
    {"resize", 0, CLI_TEXT, "HxW", AT(resize),
     "resize every picture to exactly this before the network, instead of what the model says", 0, 0},
    {"algo", 0, CLI_CHOICE, "auto|construct|im2col|sparse", AT(algo),
     "how DCLS layers are run (default: auto, the fastest for each)", 0, 0},
    {"flip", 0, CLI_FLAG, NULL, AT(flip), "average the probabilities for each picture and its mirror image",
     0, 0},
    {"scales", 0, CLI_TEXT, "S,S,..", AT(scales),
     "average the probabilities for each picture at these sizes, such as 0.75,1,1.25", 0, 0},
    {"json", 0, CLI_FLAG, NULL, AT(json), "everything, as one JSON object", 0, 0},
    {"confusion", 0, CLI_TEXT, "OUT", AT(confusion), "draw the confusion matrix into OUT.png, .svg or .pdf",
     0, 0},
    {"worst", 0, CLI_TEXT, "DIR", AT(worst),
     "write pictures of the items answered worst into DIR: the largest loss, for masks the most wrong pixels",
     0, 0},
    {"worst-count", 0, CLI_INT, "N", AT(worst_count), "how many of them (default: 20)", 1, 999},
    {0}};

static const eval_options defaults = {.ignore = -1, .batch = 64};

/* ---- options ---- */

static int read_scales(eval *e)
{
    const char *text = e->options->scales;
    if (text == NULL) return CLI_OK;
    char *copy = cli_copy(text), *rest = copy;
    int status = CLI_OK;
    while (rest != NULL && status == CLI_OK) {
        const char *word = strsep(&rest, ",");
        double *scale = &e->scales[e->evaluate.scale_count];
        if (e->evaluate.scale_count < EVAL_MAX_SCALES && cli_parse_real(word, scale) && *scale >= 0.01 &&
            *scale <= 100) {
            e->evaluate.scale_count++;
            continue;
        }
        cli_error("eval", "--scales: '%s' is not a list of 1 to %d numbers from 0.01 to 100", text,
                  EVAL_MAX_SCALES);
        status = CLI_USAGE;
    }
    free(copy);
    e->evaluate.scales = e->scales;
    return status;
}

static int read_resize(eval *e)
{
    const char *text = e->options->resize;
    int64_t size[2];
    if (text == NULL) return CLI_OK;
    if (!shape_parse(text, size, 2)) {
        cli_error("eval", "--resize: '%s' is not a size such as 180x240, rows first", text);
        return CLI_USAGE;
    }
    e->preprocess = *dcls_model_preprocess(e->model);
    if (e->preprocess.resize == DCLS_RESIZE_NONE) e->preprocess.filter = DCLS_FILTER_BILINEAR;
    e->preprocess.resize = DCLS_RESIZE_EXACT;
    e->preprocess.resize_height = size[0];
    e->preprocess.resize_width = size[1];
    e->preprocess.crop_height = e->preprocess.crop_width = 0;
    e->evaluate.preprocess = &e->preprocess;
    return CLI_OK;
}

static int check_plot(const eval *e)
{
    dcls_plot_format format;
    const char *path = e->options->confusion;
    if (path == NULL) return CLI_OK;
    dcls_status status = dcls_plot_format_for_path(e->run->ctx, path, &format);
    if (status == DCLS_OK && format != DCLS_PLOT_HTML) return cli_can_write(path) ? CLI_OK : CLI_IO;
    cli_error("eval", "--confusion: '%s' does not end in .png, .svg or .pdf", path);
    return CLI_USAGE;
}

/* Pictures of an earlier run, whose ranks mean something else, are not ours to remove. */
static void warn_of_files(const cli *run, const char *path)
{
    DIR *directory = opendir(path);
    bool found = false;
    for (const struct dirent *entry; directory != NULL && !found && (entry = readdir(directory)) != NULL;)
        found = entry->d_name[0] != '.';
    if (directory != NULL) closedir(directory);
    if (found)
        cli_warn(run, path,
                 "the folder is not empty: pictures of an earlier run may stay among the new ones");
}

static int make_directory(const cli *run, const char *path)
{
    if (path == NULL) return CLI_OK;
    const int status = cli_make_directory(path);
    if (status == CLI_OK) warn_of_files(run, path);
    return status;
}

/* What can be wrong is told before the work begins. */
static int check_options(eval *e)
{
    if (e->options->data == NULL) {
        const char *model = e->options->model;
        struct stat st;
        if (model != NULL && stat(model, &st) == 0 && S_ISDIR(st.st_mode))
            cli_error("eval", "'%s' is a directory: if it is the data set, write -d %s", model, model);
        else
            cli_error("eval", "--data is missing: the data set to evaluate on; see 'dcls eval --help'");
        return CLI_USAGE;
    }
    if (e->options->worst_count > 0 && e->options->worst == NULL) {
        cli_error("eval", "--worst-count is for --worst, which writes the pictures");
        return CLI_USAGE;
    }
    e->evaluate = dcls_evaluate_options_default();
    e->evaluate.algo = (dcls_algo)e->options->algo;
    e->evaluate.batch = e->options->batch;
    e->evaluate.flip = e->options->flip;
    int status = read_scales(e);
    if (status == CLI_OK) status = check_plot(e);
    return status;
}

/* ---- the run ---- */

static cli_number speed_text(double speed)
{
    return speed < 100 ? cli_real(speed) : cli_grouped((int64_t)speed);
}

static void show_progress(eval *e)
{
    if (!cli_progress_due(&e->progress)) return;
    const double seconds = cli_progress_seconds(&e->progress), speed = (double)e->done / seconds;
    const double right = e->targets > 0 ? (double)e->correct / (double)e->targets : 0;
    char *line =
        cli_format("%s of %s, %s right, %s a second, %s left", cli_grouped(e->done).text,
                   cli_counted(e->total, "picture").text, cli_percent(right).text, speed_text(speed).text,
                   cli_duration_of((double)(e->total - e->done) / speed).text);
    cli_progress_show(&e->progress, line);
    free(line);
}

static bool visit(void *arg, const dcls_evaluated *item)
{
    eval *e = arg;
    e->done++;
    e->correct += item->score.correct;
    e->targets += item->score.targets;
    eval_rank_item(e, item);
    show_progress(e);
    return true;
}

static int evaluate(eval *e)
{
    dcls_status status = dcls_metrics_create(e->run->ctx, e->classes, &e->metrics);
    if (status != DCLS_OK) return cli_fail("eval", status, e->run->ctx);
    e->total = dcls_dataset_count(e->set);
    e->evaluate.visit = visit;
    e->evaluate.arg = e;
    cli_progress_begin(&e->progress, e->run);
    status = dcls_evaluate(e->run->ctx, e->model, e->set, &e->evaluate, e->metrics);
    e->seconds = cli_progress_seconds(&e->progress);
    cli_progress_end(&e->progress);
    if (status != DCLS_OK) return cli_fail(e->options->data, status, e->run->ctx);
    if (e->targets == 0) {
        cli_error(e->options->data, "nothing counts: no pixel of the masks is of a class");
        return CLI_BAD_INPUT;
    }
    cli_verbose(e->run, "%s in %.2f s, %s a second", cli_counted(e->done, "picture").text, e->seconds,
                speed_text((double)e->done / e->seconds).text);
    return CLI_OK;
}

static int save_confusion(const eval *e)
{
    const char *path = e->options->confusion;
    dcls_plot_options plot = dcls_plot_options_default();
    if (path == NULL) return CLI_OK;
    char *model = cli_model_spec(e->options->model), *title = cli_format("%s on %s", model, e->options->data);
    free(model);
    plot.title = title;
    dcls_status status = dcls_plot_format_for_path(e->run->ctx, path, &plot.format);
    if (status == DCLS_OK)
        status = dcls_confusion_save(e->run->ctx, e->classes, dcls_metrics_confusion(e->metrics), e->labels,
                                     &plot, path);
    free(title);
    return status == DCLS_OK ? CLI_OK : cli_fail(path, status, e->run->ctx);
}

static int report(eval *e)
{
    int status = CLI_OK;
    if (e->options->json)
        status = eval_print_json(e);
    else
        eval_print_text(e);
    cli_flush();
    if (status == CLI_OK) status = save_confusion(e);
    if (status == CLI_OK) status = eval_save_worst(e);
    return status;
}

static int run_model(eval *e)
{
    e->task = dcls_model_task(e->model);
    if (e->task == DCLS_TASK_FEATURES) {
        cli_error(e->options->model,
                  "gives features: only networks that classify or segment can be evaluated");
        return CLI_USAGE;
    }
    int status = read_resize(e);
    if (status == CLI_OK) status = make_directory(e->run, e->options->worst);
    if (status == CLI_OK) status = eval_open_data(e);
    if (status == CLI_OK && e->task == DCLS_TASK_CLASSIFICATION && e->options->ignore >= 0)
        cli_warn(e->run, "eval", "--ignore is for masks: it has no effect here");
    if (status == CLI_OK) status = evaluate(e);
    if (status == CLI_OK) status = report(e);
    dcls_metrics_destroy(e->metrics);
    dcls_dataset_destroy(e->set);
    cli_labels_free(&e->given);
    free(e->labels);
    free(e->worst);
    return status;
}

static int run_eval(cli *run, const void *values, cli_operands operands)
{
    eval_options o = *(const eval_options *)values;
    eval e = {.run = run, .options = &o};
    dcls_model *model;
    if (operands.count > 0 && o.model != NULL) {
        cli_error("eval", "'%s' and -m %s: give one model", operands.items[0], o.model);
        return CLI_USAGE;
    }
    if (operands.count > 0) o.model = operands.items[0];
    int status = check_options(&e);
    if (status == CLI_OK) status = cli_model_load(run, e.options->model, &model);
    if (status != CLI_OK) return status;
    e.model = model;
    if (e.options->model == NULL)
        cli_note(run, "builtin:%s is evaluated, as no model was named", dcls_builtin_name(0));
    status = run_model(&e);
    dcls_model_destroy(model);
    return status;
}

const cli_command cli_cmd_eval = {
    .name = "eval",
    .summary = "measure how well a network answers on a data set",
    .operands = "--data DIR [MODEL]",
    .about = "Runs a network on every picture of a data set and compares its answers with what the set says: "
             "accuracy, cross entropy, calibration, which class is taken for which, and for segmentation "
             "intersection over union (IoU) per class and on average.\n\n"
             "Masks are palette or gray PNG files whose value is the class. They are compared at their own "
             "size: the "
             "network's maps are resized to it. A picture that cannot be read ends the run.",
    .examples = "  dcls eval --data cifar10/test                      the built-in classifier\n"
                "  dcls eval -m model.bin -d camvid/test --flip --scales 0.75,1,1.25\n"
                "  dcls eval -m model.bin -d val --confusion matrix.png --worst worst\n"
                "  dcls eval -m model.bin -d val --json | jq .mean_iou\n",
    .options = options,
    .values_size = sizeof(eval_options),
    .defaults = &defaults,
    .max_operands = 1,
    .run = run_eval,
};
