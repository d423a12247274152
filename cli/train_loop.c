/* Epochs and steps, validation, signals. */
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "output.h"
#include "train.h"

/* Set by a signal: the step in hand is finished, then the run saves and ends. A second one ends it at once.
 */
static volatile sig_atomic_t stopped;

static void stop(int number)
{
    stopped = number;
}

static void catch_signals(void)
{
    const int signals[] = {SIGINT, SIGTERM};
    const struct sigaction action = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction before;
        const bool ignored = sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN;
        if (!ignored) sigaction(signals[i], &action, NULL);
    }
}

static void blend(double *mean, double value)
{
    *mean = *mean > 0 ? 0.9 * *mean + 0.1 * value : value;
}

/* ---- steps ------------------------------------------------------------------------------------------ */

static void add_result(train_sums *sums, const dcls_step_result *result)
{
    sums->loss += result->loss;
    sums->added += result->added;
    sums->correct += result->correct;
    sums->targets += result->targets;
    sums->batches++;
}

/* A checkpoint from before is a place to go on from, more slowly. */
static int fail_step(const train_run *t, dcls_status status, double rate)
{
    const dcls_context *ctx = t->run->ctx;
    const char *folder = t->folder != NULL ? t->folder : "train";
    if (status != DCLS_ERR_FORMAT) return cli_fail("train", status, ctx);
    char *advice = t->folder != NULL && train_has(t, "checkpoint.bin")
                       ? cli_format("the last checkpoint stays: '--resume %s' with a lower --rate", t->folder)
                       : cli_copy("try a lower --rate");
    cli_error(folder, "step %" PRId64 ", epoch %" PRId64 ", rate %.3g: %s; %s or --clip-norm 1",
              dcls_trainer_steps(t->trainer) + 1, t->at.epoch + 1, rate, dcls_context_message(ctx), advice);
    free(advice);
    return cli_exit_of(status);
}

static int record_positions(train_run *t)
{
    const int64_t every = t->recipe->record_positions, steps = dcls_trainer_steps(t->trainer);
    if (t->recording == NULL || (steps % every != 0 && steps != t->recipe->schedule.steps)) return CLI_OK;
    const dcls_status status =
        dcls_recording_add(t->run->ctx, t->recording, dcls_trainer_model(t->trainer, false), steps);
    return status == DCLS_OK ? CLI_OK : cli_fail(t->folder, status, t->run->ctx);
}

static int make_step(train_run *t, const dcls_batch *batch)
{
    dcls_step_result result;
    const double rate = dcls_schedule_rate(&t->recipe->schedule, dcls_trainer_steps(t->trainer));
    dcls_batch taught = *batch;
    const int asked = train_ask_teachers(t, &taught);
    if (asked != CLI_OK) return asked;
    const dcls_status status = dcls_trainer_step(t->run->ctx, t->trainer, &taught, rate, &result);
    if (status != DCLS_OK) return fail_step(t, status, rate);
    t->at.batch++;
    add_result(&t->at.window, &result);
    add_result(&t->at.epoch_sums, &result);
    train_show_step(t, rate);
    const int logged = train_log_step(t, &result, rate);
    return logged == CLI_OK ? record_positions(t) : logged;
}

static int run_batches(train_run *t)
{
    dcls_context *ctx = t->run->ctx;
    const dcls_batch *batch = NULL;
    double saved = cli_now(), begun = saved;
    dcls_status status = dcls_loader_seek(ctx, t->loader, t->at.epoch, t->at.batch);
    while (status == DCLS_OK && (status = dcls_loader_next(ctx, t->loader, &batch)) == DCLS_OK &&
           batch != NULL) {
        int result = make_step(t, batch);
        if (result != CLI_OK) return result;
        const double now = cli_now();
        blend(&t->step_seconds, now - begun);
        if (stopped || now - saved >= t->options->save_every) {
            result = train_save(t);
            if (result != CLI_OK || stopped) return result;
            saved = cli_now();
        }
        begun = cli_now();
    }
    if (status != DCLS_OK) return cli_fail(t->recipe->train, status, ctx);
    return stopped ? train_save(t) : CLI_OK;
}

/* ---- validation ------------------------------------------------------------------------------------- */

typedef struct validation {
    train_run *run;
    int64_t done;
} validation;

static bool visit(void *arg, const dcls_evaluated *item)
{
    validation *v = arg;
    (void)item;
    train_show_validating(v->run, ++v->done, dcls_dataset_count(v->run->val));
    return !stopped;
}

/* Of the averaged weights, if there are any: what is saved is what is measured. */
static int validate(train_run *t, dcls_scores *out)
{
    dcls_context *ctx = t->run->ctx;
    dcls_metrics *metrics;
    validation v = {.run = t};
    dcls_evaluate_options options = dcls_evaluate_options_default();
    options.algo = t->recipe->trainer.algo;
    options.visit = visit;
    options.arg = &v;
    dcls_status status = dcls_metrics_create(ctx, t->classes, &metrics);
    if (status == DCLS_OK)
        status = dcls_evaluate(ctx, dcls_trainer_model(t->trainer, true), t->val, &options, metrics);
    if (status == DCLS_OK) *out = dcls_metrics_scores(metrics);
    dcls_metrics_destroy(metrics);
    return status == DCLS_OK ? CLI_OK : cli_fail(t->recipe->val, status, ctx);
}

static double score_of(const train_run *t, const dcls_scores *scores)
{
    return t->task == DCLS_TASK_SEGMENTATION ? scores->mean_iou : scores->top1;
}

/* What a model to go on with can do already: whether training it helps is seen from there. Where a run begins
 * is part of its log. */
static int tell_start(train_run *t)
{
    dcls_scores scores = {0};
    if (t->recipe->model_file == NULL || t->val == NULL || t->recipe->validate_every == 0) return CLI_OK;
    const double start = cli_now();
    const int status = validate(t, &scores);
    if (status != CLI_OK || stopped) return status;
    const double score = score_of(t, &scores);
    if (!t->begins_anew) t->start_score = score;
    cli_note(t->run, "before training: %s %.2f%%", train_score_name(t), 100 * score);
    return train_log_validation(t, &scores, cli_now() - start, false);
}

/* The start is known to a run that was not resumed. */
static void tell_loss(const train_run *t)
{
    if (t->at.best >= 0 && t->at.best < t->start_score)
        cli_note(t->run,
                 "the best is %s %.2f%%, below the model it began with; see --freeze in dcls-train(1)",
                 train_score_name(t), 100 * t->at.best);
}

static bool is_due(const train_run *t)
{
    const int64_t every = t->recipe->validate_every, done = t->at.epoch + 1;
    return t->val != NULL && every > 0 && (done % every == 0 || done == t->recipe->epochs);
}

static void next_epoch(train_run *t)
{
    t->at.epoch++;
    t->at.batch = 0;
}

/* Of the epochs that are done. */
static int keep_score(train_run *t, const dcls_scores *scores, bool *best)
{
    const double score = score_of(t, scores);
    *best = score > t->at.best && isfinite(scores->loss);
    if (!isfinite(scores->loss))
        cli_warn(t->run, t->recipe->val,
                 "the network's answers are no numbers: a loss of %g, which is never the best", scores->loss);
    if (*best) {
        t->at.best = score;
        t->at.best_epoch = t->at.epoch;
    }
    t->at.validated = t->at.epoch;
    const int status = train_log_validation(t, scores, t->validation_seconds, *best);
    return status == CLI_OK && *best ? train_save_model(t, "best.bin") : status;
}

/* A run that ends here ends before the validation: that is done when it goes on. */
static int end_epoch(train_run *t)
{
    dcls_scores scores = {0};
    int status = CLI_OK;
    bool best = false;
    if (t->at.epoch_sums.batches > 0 && t->at.epoch_sums.targets == 0) {
        cli_error(t->recipe->train, "no %s of a whole epoch counts",
                  t->task == DCLS_TASK_SEGMENTATION ? "pixel" : "picture");
        return CLI_BAD_INPUT;
    }
    const bool due = is_due(t);
    if (due) {
        const double begun = cli_now();
        status = validate(t, &scores);
        if (status != CLI_OK) return status;
        if (stopped) return train_save(t);
        t->validation_seconds = cli_now() - begun;
        next_epoch(t);
        status = keep_score(t, &scores, &best);
    } else {
        next_epoch(t);
    }
    train_show_epoch(t, due ? &scores : NULL, best);
    t->at.epoch_sums = (train_sums){0};
    return status == CLI_OK ? train_save(t) : status;
}

/* ---- the run ---------------------------------------------------------------------------------------- */

/* Where fewer epochs are wanted now than at first, the last one may have passed without. */
static int validate_late(train_run *t)
{
    dcls_scores scores = {0};
    bool best;
    const int64_t every = t->recipe->validate_every;
    if (t->at.epoch < t->recipe->epochs || t->val == NULL || every == 0 || t->at.validated == t->at.epoch)
        return CLI_OK;
    const double begun = cli_now();
    int status = validate(t, &scores);
    if (status != CLI_OK || stopped) return status;
    t->validation_seconds = cli_now() - begun;
    status = keep_score(t, &scores, &best);
    if (status != CLI_OK) return status;
    train_show_epoch(t, &scores, best);
    return train_save(t);
}

static int run_epochs(train_run *t)
{
    const int late = validate_late(t);
    if (late != CLI_OK || stopped) return late;
    while (t->at.epoch < t->recipe->epochs) {
        int status = t->at.batch < t->batches ? run_batches(t) : CLI_OK;
        if (status != CLI_OK || stopped) return status;
        status = end_epoch(t);
        if (status != CLI_OK || stopped) return status;
    }
    return train_save_model(t, "model.bin");
}

int train_loop(train_run *t)
{
    catch_signals();
    t->begun = t->told = cli_now();
    t->before = t->at.seconds;
    cli_progress_begin(&t->progress, t->run);
    const bool fresh = t->at.epoch == 0 && t->at.batch == 0;
    int status = fresh && t->at.frames == 0 ? record_positions(t) : CLI_OK;
    if (status == CLI_OK && fresh) status = tell_start(t);
    if (status == CLI_OK) status = run_epochs(t);
    cli_progress_end(&t->progress);
    if (status == CLI_OK && !stopped) tell_loss(t);
    if (status != CLI_OK || !stopped) return status;
    if (t->at.epoch == t->recipe->epochs) return train_save_model(t, "model.bin");
    cli_note(t->run, "stopped after step %" PRId64 " of %" PRId64 "; 'dcls train --resume %s' goes on",
             dcls_trainer_steps(t->trainer), t->recipe->schedule.steps, t->folder);
    return 128 + (int)stopped;
}

#define TRIED_PICTURES 16

/* ---- a trial ---------------------------------------------------------------------------------------- */

/* The second step: the first one also waits for memory and pictures. */
static int time_steps(train_run *t)
{
    dcls_context *ctx = t->run->ctx;
    dcls_status status = DCLS_OK;
    for (int i = 0; i < 2 && status == DCLS_OK; i++) {
        const dcls_batch *batch;
        dcls_step_result result;
        const double rate = dcls_schedule_rate(&t->recipe->schedule, i);
        status = dcls_loader_next(ctx, t->loader, &batch);
        if (status != DCLS_OK) return cli_fail(t->recipe->train, status, ctx);
        if (batch == NULL) break; /* there is one batch alone */
        const double begun = cli_now();
        dcls_batch taught = *batch;
        const int asked = train_ask_teachers(t, &taught);
        if (asked != CLI_OK) return asked;
        status = dcls_trainer_step(ctx, t->trainer, &taught, rate, &result);
        if (status != DCLS_OK) return fail_step(t, status, rate);
        t->step_seconds = cli_now() - begun;
    }
    return CLI_OK;
}

/* A few pictures stand for all. */
static int time_validation(train_run *t)
{
    dcls_context *ctx = t->run->ctx;
    dcls_metrics *metrics;
    int64_t items[TRIED_PICTURES];
    const int64_t all = dcls_dataset_count(t->val), count = all < TRIED_PICTURES ? all : TRIED_PICTURES;
    for (int64_t i = 0; i < count; i++)
        items[i] = i * all / count;
    dcls_evaluate_options options = dcls_evaluate_options_default();
    options.algo = t->recipe->trainer.algo;
    options.items = items;
    options.item_count = (size_t)count;
    const double begun = cli_now();
    dcls_status status = dcls_metrics_create(ctx, t->classes, &metrics);
    if (status == DCLS_OK)
        status = dcls_evaluate(ctx, dcls_trainer_model(t->trainer, true), t->val, &options, metrics);
    dcls_metrics_destroy(metrics);
    t->validation_seconds = (cli_now() - begun) * (double)all / (double)count;
    return status == DCLS_OK ? CLI_OK : cli_fail(t->recipe->val, status, ctx);
}

int train_try(train_run *t)
{
    t->resumed_steps = dcls_trainer_steps(t->trainer);
    int status = time_steps(t);
    if (status == CLI_OK && t->val != NULL && t->recipe->validate_every > 0) status = time_validation(t);
    if (status == CLI_OK) train_show_trial(t);
    return status;
}
