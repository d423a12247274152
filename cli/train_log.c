/* What a run tells: one line a second on a terminal, and DIR/log.ndjson for scripts and plots. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "output.h"
#include "train.h"

double train_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int train_log_open(train_run *t)
{
    const size_t size = strlen(t->folder) + 16;
    char *path = cli_alloc(size, 1);
    snprintf(path, size, "%s/log.ndjson", t->folder);
    t->log = fopen(path, "a");
    if (t->log == NULL) cli_error(path, "cannot be written");
    free(path);
    return t->log != NULL ? CLI_OK : CLI_IO;
}

/* "1 h 05 min", "12 min", "40 s" */
static void remaining(const train_run *t, char *text, size_t size)
{
    const int64_t done = dcls_trainer_steps(t->trainer), all = t->recipe->schedule.steps;
    const double each =
        (train_now() - t->started) / (double)(done - t->first_step > 0 ? done - t->first_step : 1);
    const int64_t left = (int64_t)(each * (double)(all - done));
    if (left >= 3600)
        snprintf(text, size, "%" PRId64 " h %02" PRId64 " min", left / 3600, left / 60 % 60);
    else if (left >= 60)
        snprintf(text, size, "%" PRId64 " min", left / 60);
    else
        snprintf(text, size, "%" PRId64 " s", left);
}

#define LOG_BATCHES 20

void train_log_step(train_run *t, const dcls_step_result *result, double rate)
{
    t->loss_sum += result->loss;
    t->correct += result->correct;
    t->targets += result->targets;
    t->logged_batches++;
    if (t->logged_batches < LOG_BATCHES && t->batch < t->batches) return;
    const double loss = t->loss_sum / (double)t->logged_batches,
                 accuracy = t->targets > 0 ? (double)t->correct / (double)t->targets : 0;
    const double seconds = train_now() - t->started;
    const int64_t steps = dcls_trainer_steps(t->trainer);
    fprintf(
        t->log,
        "{\"step\":%" PRId64 ",\"epoch\":%" PRId64
        ",\"loss\":%.6g,\"accuracy\":%.5f,\"rate\":%.6g,\"gradient_norm\":%.5g,\"items_per_second\":%.1f}\n",
        steps, t->epoch, loss, accuracy, rate, result->gradient_norm,
        (double)((steps - t->first_step) * t->recipe->loader.batch) / seconds);
    fflush(t->log);
    if (!t->run->common.quiet) {
        char left[48];
        remaining(t, left, sizeof left);
        fprintf(stderr,
                "%sepoch %" PRId64 "/%" PRId64 "  batch %" PRId64 "/%" PRId64
                "  loss %.4f  accuracy %.2f%%  rate %.2e  %.0f items/s  %s left%s",
                isatty(2) ? "\r\033[K" : "", t->epoch + 1, t->recipe->epochs, t->batch, t->batches, loss,
                100 * accuracy, rate, (double)((steps - t->first_step) * t->recipe->loader.batch) / seconds,
                left, isatty(2) ? "" : "\n");
    }
    t->loss_sum = 0;
    t->correct = t->targets = t->logged_batches = 0;
}

void train_log_validation(train_run *t, const dcls_scores *scores, double seconds, bool best)
{
    fprintf(t->log,
            "{\"step\":%" PRId64 ",\"epoch\":%" PRId64 ",\"val_loss\":%.6g,\"val_top1\":%.5f,\"val_top5\":%."
                                                       "5f,\"val_miou\":%.5f,\"seconds\":%.1f,\"best\":%s}\n",
            dcls_trainer_steps(t->trainer), t->epoch, scores->loss, scores->top1, scores->top5,
            scores->mean_iou, seconds, best ? "true" : "false");
    fflush(t->log);
    if (t->run->common.quiet) return;
    fprintf(stderr, "%sepoch %" PRId64 ": validation loss %.4f, %s %.2f%%%s\n", isatty(2) ? "\r\033[K" : "",
            t->epoch, scores->loss, dcls_dataset_task(t->train) == DCLS_TASK_SEGMENTATION ? "mIoU" : "top-1",
            100 * (dcls_dataset_task(t->train) == DCLS_TASK_SEGMENTATION ? scores->mean_iou : scores->top1),
            best ? " (best so far)" : "");
}
