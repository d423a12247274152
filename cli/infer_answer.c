/* The network's output becomes an answer: probabilities, or a mask, its overlay and class fractions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "infer.h"

#define DEFAULT_TOP 5

/* NaN counts as lowest; equal values keep the order of their indices. */
static int by_share(const void *a, const void *b)
{
    const infer_class *left = a, *right = b;
    bool left_nan = isnan(left->share), right_nan = isnan(right->share);
    if (left_nan != right_nan) return left_nan ? 1 : -1;
    if (left->share != right->share && !left_nan) return left->share > right->share ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
}

static void keep_largest(infer_answer *answer, size_t limit)
{
    qsort(answer->classes, answer->count, sizeof *answer->classes, by_share);
    if (answer->count > limit) answer->count = limit;
}

/* ---- classification ---- */

/* Networks that end in a softmax give probabilities already. */
static bool is_distribution(const float *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        if (!(values[i] >= 0)) return false;
        sum += (double)values[i];
    }
    return fabs(sum - 1) <= 1e-4;
}

static void softmax(const float *logits, size_t count, infer_class *classes)
{
    double largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++)
        if ((double)logits[i] > largest) largest = (double)logits[i];
    for (size_t i = 0; i < count; i++) {
        classes[i].share = exp((double)logits[i] - largest);
        sum += classes[i].share;
    }
    for (size_t i = 0; i < count; i++)
        classes[i].share /= sum;
}

static dcls_status classify(const infer_worker *worker, const infer_item *item, infer_answer *answer)
{
    int64_t top = worker->infer->options->top;
    answer->classes = cli_alloc(item->size, sizeof *answer->classes);
    answer->count = item->size;
    for (size_t i = 0; i < item->size; i++)
        answer->classes[i] = (infer_class){(int64_t)i, (double)item->output[i]};
    if (!is_distribution(item->output, item->size)) softmax(item->output, item->size, answer->classes);
    keep_largest(answer, top > 0 ? (size_t)top : DEFAULT_TOP);
    return DCLS_OK;
}

/* ---- segmentation ---- */

static char *answer_path(const infer_worker *worker, const infer_item *item, const char *kind)
{
    return cli_format("%s/%s.%s.png", worker->infer->options->output_dir, item->stem, kind);
}

static dcls_status save_mask(const infer_worker *worker, const infer_item *item, const uint8_t *mask,
                             const char *path)
{
    return dcls_mask_save(worker->ctx, path, mask, item->width, item->height, worker->infer->palette,
                          (int)item->shape[0]);
}

static dcls_status save_overlay(const infer_worker *worker, const infer_item *item, const uint8_t *mask,
                                const char *path)
{
    const infer_shared *infer = worker->infer;
    const double alpha = infer->options->alpha;
    bool labelled = dcls_model_label_count(infer->model) >= (size_t)item->shape[0];
    dcls_overlay_options options = {.alpha = alpha >= 0 ? alpha : 0.5,
                                    .palette = infer->palette,
                                    .colors = (int)item->shape[0],
                                    .labels = labelled ? infer->labels : NULL};
    return dcls_overlay_save(worker->ctx, path, item->image, mask, &options);
}

static dcls_status save_pictures(const infer_worker *worker, const infer_item *item, const uint8_t *mask,
                                 infer_answer *answer)
{
    if (item->stem == NULL) return DCLS_OK;
    answer->mask = answer_path(worker, item, "mask");
    const bool there = access(answer->mask, F_OK) == 0;
    dcls_status status = save_mask(worker, item, mask, answer->mask);
    if (status != DCLS_OK) answer->unwritten = answer->mask;
    if (status != DCLS_OK || item->image == NULL) return status;
    answer->overlay = answer_path(worker, item, "overlay");
    status = save_overlay(worker, item, mask, answer->overlay);
    if (status == DCLS_OK) return DCLS_OK;
    answer->unwritten = answer->overlay;
    if (!there) unlink(answer->mask); /* a picture that failed leaves no part of its answer */
    return status;
}

static void count_classes(const infer_shared *infer, const uint8_t *mask, size_t pixels, infer_answer *answer)
{
    size_t counts[INFER_MAX_COLORS] = {0};
    for (size_t i = 0; i < pixels; i++)
        counts[mask[i]]++;
    answer->classes = cli_alloc(INFER_MAX_COLORS, sizeof *answer->classes);
    for (int i = 0; i < INFER_MAX_COLORS; i++)
        if (counts[i] > 0)
            answer->classes[answer->count++] = (infer_class){i, (double)counts[i] / (double)pixels};
    keep_largest(answer, infer->options->top > 0 ? (size_t)infer->options->top : INFER_MAX_COLORS);
}

static dcls_status segment(const infer_worker *worker, const infer_item *item, infer_answer *answer)
{
    size_t pixels = (size_t)item->width * (size_t)item->height; /* bounded: the picture was in memory */
    uint8_t *mask = cli_alloc(pixels, 1);
    dcls_status status = dcls_mask_from_logits(worker->ctx, item->output, item->shape[0], item->shape[1],
                                               item->shape[2], item->height, item->width, mask);
    if (status == DCLS_OK) status = save_pictures(worker, item, mask, answer);
    if (status == DCLS_OK) count_classes(worker->infer, mask, pixels, answer);
    free(mask);
    return status;
}

dcls_status infer_answer_make(infer_worker *worker, const infer_item *item, infer_answer *answer)
{
    *answer = (infer_answer){0};
    switch (worker->infer->task) {
    case DCLS_TASK_CLASSIFICATION: return classify(worker, item, answer);
    case DCLS_TASK_SEGMENTATION: return segment(worker, item, answer);
    case DCLS_TASK_FEATURES: break;
    }
    return DCLS_OK;
}

void infer_answer_free(infer_answer *answer)
{
    free(answer->classes);
    free(answer->mask);
    free(answer->overlay);
}
