/* DIR/log.ndjson, for scripts and plots: its form is described in dcls-train(1). */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "output.h"
#include "train.h"

#define LINE_BATCHES 20 /* steps that share a line, about */

/* ---- lines ------------------------------------------------------------------------------------------ */

static dcls_json_writer *begin_line(train_run *t)
{
    dcls_json_writer *json;
    dcls_json_writer_create(t->run->ctx, 0, &json);
    dcls_json_write_open(cli_checked(json), NULL, '{');
    return json;
}

static int end_line(train_run *t, dcls_json_writer *json)
{
    dcls_json_write_close(json, '}');
    fputs(cli_checked_text(dcls_json_writer_text(json)), t->log);
    dcls_json_writer_destroy(json);
    if (fflush(t->log) == 0) return CLI_OK;
    cli_error(t->folder, "cannot write log.ndjson: %s", strerror(errno));
    return CLI_IO;
}

static void put_place(train_run *t, dcls_json_writer *json)
{
    dcls_json_write_int(json, "step", dcls_trainer_steps(t->trainer));
    dcls_json_write_int(json, "epoch", t->at.epoch + (t->at.batch == t->batches ? 1 : 0));
}

/* In tenths. */
static void put_seconds(dcls_json_writer *json, const char *key, double seconds)
{
    dcls_json_write_double(json, key, (double)(int64_t)(10 * seconds) / 10);
}

int train_log_start(train_run *t)
{
    dcls_json_writer *json = begin_line(t);
    dcls_json_write_string(json, "dcls_version", dcls_version());
    dcls_json_write_string(json, "task", dcls_task_name(t->task));
    dcls_json_write_int(json, "class_count", t->classes);
    dcls_json_write_int(json, "parameters", t->parameters);
    dcls_json_write_int(json, "pictures", dcls_dataset_count(t->train));
    dcls_json_write_int(json, "val_pictures", t->val != NULL ? dcls_dataset_count(t->val) : 0);
    dcls_json_write_int(json, "batch", t->recipe->loader.batch);
    dcls_json_write_int(json, "steps_per_epoch", t->batches);
    dcls_json_write_int(json, "epochs", t->recipe->epochs);
    if (t->teacher != NULL) dcls_json_write_int(json, "teachers", (int64_t)t->recipe->teacher_count);
    return end_line(t, json);
}

/* Lines cut an epoch into equal parts: the means of some few steps at its end would stand out in curves. */
static bool ends_line(const train_run *t)
{
    const int64_t lines = t->batches > LINE_BATCHES ? (t->batches + LINE_BATCHES / 2) / LINE_BATCHES : 1;
    return t->at.batch * lines / t->batches > (t->at.batch - 1) * lines / t->batches;
}

int train_log_step(train_run *t, const dcls_step_result *result, double rate)
{
    train_sums *sums = &t->at.window;
    if (!ends_line(t)) return CLI_OK;
    dcls_json_writer *json = begin_line(t);
    put_place(t, json);
    dcls_json_write_float(json, "loss", (float)(sums->loss / (double)sums->batches));
    if (t->recipe->trainer.lovasz > 0 || t->recipe->trainer.repulsion > 0 || t->teacher != NULL)
        dcls_json_write_float(json, "cross_entropy",
                              (float)((sums->loss - sums->added) / (double)sums->batches));
    dcls_json_write_float(json, "top1", sums->targets > 0 ? (float)sums->correct / (float)sums->targets : 0);
    dcls_json_write_float(json, "rate", (float)rate);
    dcls_json_write_float(json, "gradient_norm", (float)result->gradient_norm);
    if (t->step_seconds > 0)
        dcls_json_write_int(json, "pictures_per_second",
                            (int64_t)((double)t->recipe->loader.batch / t->step_seconds + 0.5));
    put_seconds(json, "elapsed_seconds", t->before + cli_now() - t->begun);
    *sums = (train_sums){0};
    return end_line(t, json);
}

int train_log_validation(train_run *t, const dcls_scores *scores, double seconds, bool best)
{
    dcls_json_writer *json = begin_line(t);
    put_place(t, json);
    dcls_json_write_float(json, "val_loss", (float)scores->loss);
    dcls_json_write_float(json, "val_top1", (float)scores->top1);
    dcls_json_write_float(json, "val_top5", (float)scores->top5);
    if (t->task == DCLS_TASK_SEGMENTATION)
        dcls_json_write_float(json, "val_mean_iou", (float)scores->mean_iou);
    put_seconds(json, "val_seconds", seconds);
    dcls_json_write_bool(json, "best", best);
    return end_line(t, json);
}

/* ---- going on --------------------------------------------------------------------------------------- */

/* Bytes of the lines of steps up to `step`: for checkpoints that do not count them. */
static int64_t lines_until(const char *text, size_t size, int64_t step)
{
    const char *line = text, *end;
    while ((end = memchr(line, '\n', size - (size_t)(line - text))) != NULL) {
        const char *mark = memmem(line, (size_t)(end - line), "\"step\":", 7);
        if (mark != NULL && strtoll(mark + 7, NULL, 10) > step) break;
        line = end + 1;
    }
    return line - text;
}

int train_log_cut(train_run *t)
{
    char *path = train_path(t, "log.ndjson");
    void *text;
    size_t size;
    int result = CLI_OK;
    const dcls_status status = dcls_file_load(t->run->ctx, path, &text, &size);
    if (status != DCLS_OK) {
        result = cli_fail(path, status, t->run->ctx);
    } else {
        int64_t keep = t->at.log_bytes;
        if (keep < 0) keep = lines_until(text, size, dcls_trainer_steps(t->trainer));
        if (keep < (int64_t)size && ftruncate(fileno(t->log), keep) != 0) {
            cli_error(path, "cannot be cut: %s", strerror(errno));
            result = CLI_IO;
        }
        free(text);
    }
    free(path);
    return result;
}

bool train_log_is_empty(const train_run *t)
{
    struct stat st;
    return fstat(fileno(t->log), &st) == 0 && st.st_size == 0;
}
