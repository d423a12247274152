/* All that eval knows, as one JSON object. */
#include <math.h>
#include <stdlib.h>

#include "eval.h"
#include "json_lists.h"
#include "models.h"
#include "output.h"

typedef dcls_json_writer writer;

static void write_share(writer *json, const char *key, double value)
{
    cli_json_double_if(json, !isnan(value), key, value); /* null: there is nothing to divide by */
}

static void write_classes(writer *json, const eval *e)
{
    const int64_t *confusion = dcls_metrics_confusion(e->metrics);
    dcls_json_write_open(json, "classes", '[');
    for (int64_t i = 0; i < e->classes; i++) {
        int64_t targets = 0, answers = 0;
        for (int64_t k = 0; k < e->classes; k++) {
            targets += confusion[i * e->classes + k];
            answers += confusion[k * e->classes + i];
        }
        dcls_json_write_open(json, NULL, '{');
        dcls_json_write_int(json, "index", i);
        dcls_json_write_string(json, "label", e->labels[i]);
        dcls_json_write_int(json, "targets", targets);
        dcls_json_write_int(json, "answers", answers);
        write_share(json, "recall", dcls_metrics_recall(e->metrics, i));
        write_share(json, "precision", dcls_metrics_precision(e->metrics, i));
        write_share(json, "iou", dcls_metrics_iou(e->metrics, i));
        dcls_json_write_close(json, '}');
    }
    dcls_json_write_close(json, ']');
}

static void write_confusion(writer *json, const eval *e)
{
    const int64_t *confusion = dcls_metrics_confusion(e->metrics);
    dcls_json_write_open(json, "confusion", '[');
    for (int64_t row = 0; row < e->classes; row++)
        cli_json_sizes(json, NULL, e->classes, confusion + row * e->classes);
    dcls_json_write_close(json, ']');
}

static void write_worst(writer *json, const eval *e)
{
    dcls_json_write_open(json, "worst", '[');
    for (size_t i = 0; i < e->worst_count; i++) {
        const dcls_item_score *score = &e->worst[i].score;
        dcls_json_write_open(json, NULL, '{');
        dcls_json_write_string(json, "input", dcls_dataset_item_name(e->set, e->worst[i].index));
        dcls_json_write_double(json, "loss", score->loss);
        dcls_json_write_double(json, "top1", (double)score->correct / (double)score->targets);
        dcls_json_write_close(json, '}');
    }
    dcls_json_write_close(json, ']');
}

/* Accuracy is the share of targets (pictures, or pixels) whose class got the largest probability. */
static void write_figures(writer *json, const eval *e)
{
    const dcls_scores scores = dcls_metrics_scores(e->metrics);
    dcls_json_write_int(json, "pictures", e->done);
    dcls_json_write_int(json, "targets", scores.count);
    dcls_json_write_double(json, "loss", scores.loss);
    dcls_json_write_double(json, "top1", scores.top1);
    dcls_json_write_double(json, "top5", scores.top5);
    dcls_json_write_double(json, "mean_class_accuracy", scores.mean_class_accuracy);
    dcls_json_write_double(json, "mean_iou", scores.mean_iou);
    dcls_json_write_double(json, "calibration_error", scores.calibration_error);
    dcls_json_write_double(json, "seconds", e->seconds);
}

static void write_ways(writer *json, const eval *e)
{
    dcls_json_write_bool(json, "flip", e->options->flip);
    static const double once = 1;
    const size_t count = e->evaluate.scale_count;
    cli_json_doubles(json, "scales", count > 0 ? (int64_t)count : 1, count > 0 ? e->scales : &once);
}

int eval_print_json(const eval *e)
{
    writer *json;
    dcls_status status = dcls_json_writer_create(e->run->ctx, 0, &json);
    if (status != DCLS_OK) return cli_fail(NULL, status, e->run->ctx);
    dcls_json_write_open(json, NULL, '{');
    char *model = cli_model_spec(e->options->model);
    dcls_json_write_string(json, "model", model);
    free(model);
    dcls_json_write_string(json, "data", e->options->data);
    dcls_json_write_string(json, "task", dcls_task_name(e->task));
    write_ways(json, e);
    write_figures(json, e);
    write_classes(json, e);
    write_confusion(json, e);
    if (e->options->worst != NULL) write_worst(json, e);
    dcls_json_write_close(json, '}');
    const int printed = cli_print_json(json);
    dcls_json_writer_destroy(json);
    return printed;
}
