/* What a run says on stderr: one line that is written over on a terminal, one line an epoch, and elsewhere
 * one a minute besides. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "alloc.h"
#include "numbers.h"
#include "output.h"
#include "train.h"

#define PLAIN_SECONDS   60 /* between lines where there is no terminal */
#define VERBOSE_SECONDS 5

const char *train_score_name(const train_run *t)
{
    return t->task == DCLS_TASK_SEGMENTATION ? "mIoU" : "top-1";
}

/* What is right in training: of pictures or of pixels. */
static const char *right_name(const train_run *t)
{
    return t->task == DCLS_TASK_SEGMENTATION ? "pixels" : "accuracy";
}

static double share_right(const train_sums *sums)
{
    return sums->targets > 0 ? 100 * (double)sums->correct / (double)sums->targets : 0;
}

static double mean_loss(const train_sums *sums)
{
    return sums->batches > 0 ? sums->loss / (double)sums->batches : 0;
}

/* ---- the network and the data ----------------------------------------------------------------------- */

static const char *network_name(const train_run *t)
{
    const dcls_recipe *recipe = t->recipe;
    const char *name = recipe->create.arch;
    if (name == NULL) name = recipe->graph != NULL ? recipe->graph : recipe->model_file;
    const char *slash = strrchr(name, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : name;
}

static char *describe_network(const train_run *t)
{
    char *positions =
        t->positions > 0 ? cli_format(" (%s)", cli_counted(t->positions, "position").text) : cli_copy("");
    char *text = cli_format("%s, %s%s, %s", network_name(t), cli_counted(t->parameters, "parameter").text,
                            positions, cli_counted(t->classes, "class").text);
    free(positions);
    return text;
}

/* What is learned by heart would count as right. */
static bool validates_on_training(const train_run *t)
{
    struct stat a, b;
    return stat(t->recipe->train, &a) == 0 && stat(t->recipe->val, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static char *describe_data(const train_run *t)
{
    char *val = t->val != NULL
                    ? cli_format(", %s for validation%s", cli_grouped(dcls_dataset_count(t->val)).text,
                                 validates_on_training(t) ? " out of the same" : "")
                    : cli_copy("");
    char *text = cli_format("%s%s", cli_counted(dcls_dataset_count(t->train), "picture").text, val);
    free(val);
    return text;
}

void train_show_start(train_run *t)
{
    char *network = describe_network(t), *data = describe_data(t);
    const int64_t done = dcls_trainer_steps(t->trainer);
    const int64_t teachers = t->teacher != NULL ? (int64_t)t->recipe->teacher_count : 0;
    char *taught = teachers > 0 ? cli_format("; %s", cli_counted(teachers, "teacher").text) : cli_copy("");
    char *place = t->options->resume != NULL ? cli_format("; goes on after step %s", cli_grouped(done).text)
                                             : cli_copy("");
    cli_note(t->run, "%s; %s%s; %s of %s%s", network, data, taught,
             cli_counted(t->recipe->epochs, "epoch").text, cli_counted(t->batches, "step").text, place);
    free(place);
    free(taught);
    free(network);
    free(data);
}

/* Pictures come to the network in another size than in training; or as they are, which few networks learn
 * best from. */
void train_show_pictures(const train_run *t)
{
    const dcls_model *model = dcls_trainer_model(t->trainer, false);
    const dcls_preprocess *p = dcls_model_preprocess(model);
    const int64_t height = p->crop_height > 0               ? p->crop_height
                           : p->resize == DCLS_RESIZE_EXACT ? p->resize_height
                                                            : 0;
    const int64_t width = p->crop_height > 0 ? p->crop_width : p->resize_width;
    const dcls_loader_options *loader = &t->recipe->loader;
    if (height > 0 && (height != loader->height || width != loader->width))
        cli_note(t->run,
                 "trains at %" PRId64 "x%" PRId64 "; validation and the saved model take pictures at %" PRId64
                 "x%" PRId64 ", as their preprocessing says",
                 loader->height, loader->width, height, width);
    if (t->recipe->create.arch != NULL && t->recipe->create.preprocess == NULL)
        cli_note(t->run, "pixels are not normalised (0 to 1): --preprocess imagenet or cifar10 does it");
}

/* A loss may have any size. */
typedef struct loss_text {
    char text[32];
} loss_text;

static loss_text show_loss(double loss)
{
    loss_text shown;
    snprintf(shown.text, sizeof shown.text, fabs(loss) < 1000 ? "%.4f" : "%.3g", loss);
    return shown;
}

static void print_fact(const char *name, char *value)
{
    char *shown = cli_printable(value);
    printf("%-11s %s\n", name, shown);
    free(shown);
    free(value);
}

/* Those still to come. */
static int64_t validations(const train_run *t)
{
    const int64_t every = t->recipe->validate_every;
    if (t->val == NULL || every == 0) return 0;
    const int64_t before = t->at.epoch == 0 && t->recipe->model_file != NULL;
    const int64_t last = t->at.epoch < t->recipe->epochs && t->recipe->epochs % every != 0;
    return before + t->recipe->epochs / every - t->at.epoch / every + last;
}

/* For the user to decide by: on standard output, since it is what was asked for. */
void train_show_trial(const train_run *t)
{
    struct rusage usage;
    const int64_t steps = t->recipe->schedule.steps - t->resumed_steps;
    const double epoch = t->step_seconds * (double)t->batches, all = t->step_seconds * (double)steps;
    print_fact("network", describe_network(t));
    print_fact("data", describe_data(t));
    if (t->teacher != NULL) print_fact("teachers", train_teacher_names(t));
    print_fact("input", cli_format("%" PRId64 " pictures of %" PRId64 "x%" PRId64, t->recipe->loader.batch,
                                   t->recipe->loader.height, t->recipe->loader.width));
    print_fact("steps", cli_format("%s, %s an epoch", cli_grouped(steps).text, cli_grouped(t->batches).text));
    print_fact("a step", cli_format("%.3g s, %.4g pictures a second", t->step_seconds,
                                    (double)t->recipe->loader.batch / t->step_seconds));
    const double validation = t->validation_seconds * (double)validations(t);
    char *with = t->validation_seconds > 0
                     ? cli_format(", %s of it for validation", cli_duration_of(validation).text)
                     : cli_copy(t->val != NULL ? ", without validation" : "");
    print_fact("time", cli_format("%s an epoch, %s in all%s", cli_duration_of(epoch).text,
                                  cli_duration_of(all + validation).text, with));
    free(with);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        print_fact("memory", cli_copy(cli_bytes((uint64_t)usage.ru_maxrss * 1024).text));
}

/* ---- the line --------------------------------------------------------------------------------------- */

/* Seconds to the end, by the latest steps and the latest validation. */
static double remaining(const train_run *t)
{
    const int64_t steps = t->recipe->schedule.steps - dcls_trainer_steps(t->trainer);
    return t->step_seconds * (double)steps + t->validation_seconds * (double)validations(t);
}

/* What matters most stands first: a narrow terminal cuts the rest. */
static char *step_line(const train_run *t, double rate)
{
    const train_sums *recent = t->at.window.batches >= 5 ? &t->at.window : &t->at.epoch_sums;
    const double speed = t->step_seconds > 0 ? (double)t->recipe->loader.batch / t->step_seconds : 0;
    return cli_format("epoch %" PRId64 "/%" PRId64 " %3.0f%%  loss %s  %s %.2f%%  %s left  %.0f/s  rate %.2e",
                      t->at.epoch + 1, t->recipe->epochs, 100 * (double)t->at.batch / (double)t->batches,
                      show_loss(mean_loss(recent)).text, right_name(t), share_right(recent),
                      cli_duration_of(remaining(t)).text, speed, rate);
}

void train_show_step(train_run *t, double rate)
{
    if (t->run->common.quiet) return;
    if (t->progress.shown) {
        if (!cli_progress_due(&t->progress)) return;
        char *line = step_line(t, rate);
        cli_progress_show(&t->progress, line);
        free(line);
        return;
    }
    const double now = cli_now();
    const double wait = t->run->common.verbose ? VERBOSE_SECONDS : PLAIN_SECONDS;
    if (now - t->told < wait || t->at.batch == t->batches) return;
    char *line = step_line(t, rate);
    fprintf(stderr, "%s\n", line);
    free(line);
    t->told = now;
}

void train_show_validating(train_run *t, int64_t done, int64_t all)
{
    if (!cli_progress_due(&t->progress)) return;
    char *line = cli_format("epoch %" PRId64 "/%" PRId64 "  validation: %s of %s pictures", t->at.epoch + 1,
                            t->recipe->epochs, cli_grouped(done).text, cli_grouped(all).text);
    cli_progress_show(&t->progress, line);
    free(line);
}

/* ---- an epoch --------------------------------------------------------------------------------------- */

static void print_heading(train_run *t)
{
    if (t->headed) return;
    t->headed = true;
    fprintf(stderr, "%s%9s %9s %9s", cli_bold(stderr), "epoch", "loss", right_name(t));
    if (t->val != NULL) fprintf(stderr, " %10s %9s", "val. loss", train_score_name(t));
    fprintf(stderr, " %9s%s\n", "time", cli_plain(stderr));
}

/* What later processes of the run print, an earlier one may have printed as well: it is on stderr alone. */
void train_show_epoch(train_run *t, const dcls_scores *scores, bool best)
{
    char number[48];
    t->told = cli_now();
    if (t->run->common.quiet) return;
    cli_progress_end(&t->progress);
    print_heading(t);
    snprintf(number, sizeof number, "%" PRId64 "/%" PRId64, t->at.epoch, t->recipe->epochs);
    fprintf(stderr, "%9s %9s %8.2f%%", number, show_loss(mean_loss(&t->at.epoch_sums)).text,
            share_right(&t->at.epoch_sums));
    if (scores != NULL)
        fprintf(stderr, " %10s %8.2f%%", show_loss(scores->loss).text,
                100 * (t->task == DCLS_TASK_SEGMENTATION ? scores->mean_iou : scores->top1));
    else if (t->val != NULL)
        fprintf(stderr, " %10s %9s", "", "");
    fprintf(stderr, " %9s%s\n", cli_duration_of(t->before + cli_now() - t->begun).text, best ? "  best" : "");
}
