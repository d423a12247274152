/* log.ndjson of dcls train: lines of steps and of validations. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "draw/curves.h"
#include "formats/json.h"

static dcls_status add_point(dcls_context *ctx, dcls_curve *curve, double step, double value)
{
    DCLS_TRY(dcls_grow(ctx, &curve->points, &curve->capacity, curve->count + 1, sizeof *curve->points));
    curve->points[curve->count][0] = step;
    curve->points[curve->count++][1] = value;
    return DCLS_OK;
}

/* Names of before 0.1.0: runs of that time go on. */
static const char *former_name(const char *key)
{
    static const char *const names[][2] = {{"steps_per_epoch", "batches"},
                                           {"top1", "accuracy"},
                                           {"elapsed_seconds", "elapsed"},
                                           {"val_mean_iou", "val_miou"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], key) == 0) return names[i][1];
    return key;
}

static double number(const dcls_json *line, const char *key)
{
    double value = NAN;
    if (!dcls_json_as_double(dcls_json_find(line, key), &value))
        dcls_json_as_double(dcls_json_find(line, former_name(key)), &value);
    return value;
}

/* What comes before the first step: older logs begin without it. */
static void read_start(const dcls_json *line, dcls_run_log *log)
{
    const char *task = dcls_json_as_string(dcls_json_find(line, "task"));
    const double batches = number(line, "steps_per_epoch");
    log->segmentation = task != NULL && strcmp(task, "segmentation") == 0;
    if (batches >= 1) log->batches = batches;
}

/* Names of values a line may have. The score of a run is what its best validation was chosen by. Of a loss
 * that something was added to, the part is shown that the validation's compares with. */
static dcls_status read_values(dcls_context *ctx, const dcls_json *line, double step, dcls_run_log *log)
{
    const char *loss = dcls_json_find(line, "cross_entropy") != NULL ? "cross_entropy" : "loss";
    const char *const keys[DCLS_CURVE_KINDS] = {loss, "top1", "rate", "val_loss",
                                                log->segmentation ? "val_mean_iou" : "val_top1"};
    for (int k = 0; k < DCLS_CURVE_KINDS; k++) {
        const double value = number(line, keys[k]);
        if (isfinite(value)) DCLS_TRY(add_point(ctx, &log->curves[k], step, value));
    }
    return DCLS_OK;
}

static dcls_status read_line(dcls_context *ctx, const dcls_json *line, dcls_run_log *log)
{
    const double step = number(line, "step"), epoch = number(line, "epoch"), score = number(line, "val_top1"),
                 elapsed = number(line, "elapsed_seconds");
    if (!(step >= 0)) {
        read_start(line, log);
        return DCLS_OK;
    }
    if (log->batches == 0 && isfinite(score) && epoch >= 1) log->batches = step / epoch;
    if (elapsed > log->seconds) log->seconds = elapsed;
    return read_values(ctx, line, step, log);
}

/* Of what was trained: the model a run began with is none of it. */
static void find_best(dcls_run_log *log)
{
    const dcls_curve *scores = &log->curves[DCLS_CURVE_VAL_SCORE];
    log->best = -1;
    for (size_t i = 0; i < scores->count; i++) {
        if (scores->points[i][1] <= log->best || scores->points[i][0] == 0) continue;
        log->best = scores->points[i][1];
        log->best_epoch = log->batches > 0 ? scores->points[i][0] / log->batches : 0;
    }
}

dcls_status dcls_run_log_read(dcls_context *ctx, const dcls_curves_source *source, dcls_run_log *out)
{
    *out = (dcls_run_log){.name = source->name};
    const char *at = source->text, *end = at + source->size;
    for (int64_t number_of_line = 1; at < end; number_of_line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) break; /* being written */
        dcls_json *line;
        dcls_status status = dcls_json_parse(ctx, at, (size_t)(stop - at), &line);
        if (status == DCLS_OK && dcls_json_kind_of(line) != DCLS_JSON_OBJECT)
            status = dcls_fail(ctx, DCLS_ERR_FORMAT, "%s, not an object", dcls_json_kind_text(line));
        if (status == DCLS_OK) status = read_line(ctx, line, out);
        dcls_json_free(line);
        if (status != DCLS_OK) return dcls_fail_within(ctx, status, "line %lld: ", (long long)number_of_line);
        at = stop + 1;
    }
    find_best(out);
    return DCLS_OK;
}

void dcls_run_log_free(dcls_run_log *log)
{
    for (int k = 0; k < DCLS_CURVE_KINDS; k++)
        free(log->curves[k].points);
    *log = (dcls_run_log){0};
}
