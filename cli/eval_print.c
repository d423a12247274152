/* Figures and classes, for people. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "alloc.h"
#include "eval.h"
#include "numbers.h"
#include "output.h"
#include "table.h"

#define MOST_CLASSES 100 /* of a table; of more the worst are shown */
#define WORST        20
#define MOST_SQUARE  12 /* classes of a confusion matrix in text */

static bool segments(const eval *e)
{
    return e->task == DCLS_TASK_SEGMENTATION;
}

static void add_made(columns *table, char *text)
{
    columns_add(table, text);
    free(text);
}

static void add_percent(columns *table, double share)
{
    if (isnan(share))
        columns_add(table, "-");
    else
        add_made(table, cli_format("%.2f%%", 100 * share));
}

/* ---- the whole ---- */

static void print_figure(const char *name, double share, const char *more)
{
    printf("%-21s%7.2f%%%s\n", name, 100 * share, more);
}

static void print_figures(const eval *e)
{
    const dcls_scores scores = dcls_metrics_scores(e->metrics);
    printf("%s: %s", e->options->data, cli_counted(e->done, "picture").text);
    if (segments(e)) printf(", %s", cli_counted(scores.count, "pixel").text);
    printf(", %s\n\n", cli_counted(e->classes, "class").text);
    if (segments(e)) {
        print_figure("mean IoU", scores.mean_iou, "");
        print_figure("pixel accuracy", scores.top1, "");
        print_figure("mean class accuracy", scores.mean_class_accuracy, "");
    } else {
        print_figure("top-1 accuracy", scores.top1, "");
        if (e->classes > 5) print_figure("top-5 accuracy", scores.top5, "");
        print_figure("mean class accuracy", scores.mean_class_accuracy, "");
    }
    printf("%-21s%8.4f\n", "cross entropy", scores.loss);
    print_figure("calibration error", scores.calibration_error, "");
}

/* ---- classes ---- */

typedef struct class_row {
    int64_t index, targets, answers;
    double value; /* what rows are sorted by where only the worst are shown */
} class_row;

static int by_value(const void *a, const void *b)
{
    const class_row *p = a, *q = b;
    if (isnan(p->value) || isnan(q->value)) return isnan(p->value) - isnan(q->value);
    if (p->value != q->value) return p->value < q->value ? -1 : 1;
    return p->index < q->index ? -1 : p->index > q->index;
}

static class_row *list_classes(const eval *e)
{
    const int64_t *confusion = dcls_metrics_confusion(e->metrics);
    class_row *rows = cli_alloc((size_t)e->classes, sizeof *rows);
    for (int64_t i = 0; i < e->classes; i++) {
        rows[i].index = i;
        rows[i].value = segments(e) ? dcls_metrics_iou(e->metrics, i) : dcls_metrics_recall(e->metrics, i);
        for (int64_t k = 0; k < e->classes; k++) {
            rows[i].targets += confusion[i * e->classes + k];
            rows[i].answers += confusion[k * e->classes + i];
        }
    }
    return rows;
}

/* The class most targets of this one are taken for, apart from itself. */
static void add_mistake(columns *table, const eval *e, const class_row *row)
{
    const int64_t *counts = dcls_metrics_confusion(e->metrics) + row->index * e->classes;
    char buffer[EVAL_LABEL_TEXT];
    int64_t most = -1;
    for (int64_t k = 0; k < e->classes; k++)
        if (k != row->index && counts[k] > 0 && (most < 0 || counts[k] > counts[most])) most = k;
    if (most < 0)
        columns_add(table, "");
    else
        add_made(table, cli_format("%s %.1f%%", eval_label(e, most, buffer),
                                   100 * (double)counts[most] / (double)row->targets));
}

static void print_classes(const eval *e)
{
    static const char *const maps[] = {"class",      ">of pixels",     ">IoU", ">recall",
                                       ">precision", "most taken for", NULL};
    static const char *const labels[] = {"class",      ">pictures",      ">recall",
                                         ">precision", "most taken for", NULL};
    const dcls_scores scores = dcls_metrics_scores(e->metrics);
    columns *table = columns_create(segments(e) ? maps : labels);
    class_row *rows = list_classes(e);
    const bool all = e->classes <= MOST_CLASSES;
    if (!all) qsort(rows, (size_t)e->classes, sizeof *rows, by_value);
    for (int64_t i = 0; i < (all ? e->classes : WORST); i++) {
        const class_row *row = &rows[i];
        char buffer[EVAL_LABEL_TEXT];
        columns_add(table, eval_label(e, row->index, buffer));
        if (segments(e)) {
            add_percent(table, scores.count > 0 ? (double)row->targets / (double)scores.count : 0);
            add_percent(table, dcls_metrics_iou(e->metrics, row->index));
        } else {
            columns_add(table, cli_grouped(row->targets).text);
        }
        add_percent(table, dcls_metrics_recall(e->metrics, row->index));
        add_percent(table, dcls_metrics_precision(e->metrics, row->index));
        add_mistake(table, e, row);
    }
    putchar('\n');
    columns_print(table, stdout, 0, cli_width());
    if (!all) printf("(the %d worst of %s; --json has all)\n", WORST, cli_counted(e->classes, "class").text);
    columns_destroy(table);
    free(rows);
}

/* ---- confusion ---- */

static void print_confusion(const eval *e)
{
    const int64_t *confusion = dcls_metrics_confusion(e->metrics);
    const char *titles[MOST_SQUARE + 3] = {"target \\ answer, in %"};
    char numbers[MOST_SQUARE][EVAL_LABEL_TEXT], buffer[EVAL_LABEL_TEXT];
    if (e->classes > MOST_SQUARE) return;
    for (int64_t i = 0; i < e->classes; i++) {
        snprintf(numbers[i], sizeof numbers[i], ">%" PRId64, i);
        titles[1 + i] = numbers[i];
    }
    columns *table = columns_create(titles);
    for (int64_t row = 0; row < e->classes; row++) {
        int64_t targets = 0;
        for (int64_t k = 0; k < e->classes; k++)
            targets += confusion[row * e->classes + k];
        add_made(table, cli_format("%2" PRId64 " %s", row, eval_label(e, row, buffer)));
        for (int64_t k = 0; k < e->classes; k++) {
            const int64_t count = confusion[row * e->classes + k];
            add_made(table, targets == 0 || count == 0
                                ? cli_copy(".")
                                : cli_format("%.1f", 100 * (double)count / (double)targets));
        }
    }
    putchar('\n');
    columns_print(table, stdout, 0, cli_width());
    columns_destroy(table);
}

void eval_print_text(const eval *e)
{
    print_figures(e);
    print_classes(e);
    print_confusion(e);
}
