#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/threads.h"
#include "ops/ops.h"
#include "train/dataset.h"
#include "train/evaluate.h"
#include "train/metrics.h"

/* Items counted side by side, each by metrics of its own that are then joined in order: the number is fixed,
 * for sums depend on how they are cut. */
#define SLOTS 8

/* Rows of a map are worked on while they lie in the second-level cache. */
#define STRIP_FLOATS 32768

/* ---- one answer out of several views -------------------------------------------------------------- */

static void logarithms(float *x, int64_t n, float factor)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = logf(x[i] * factor < FLT_MIN ? FLT_MIN : x[i] * factor); /* NaN stays */
}

static void mirror_rows(float *x, int64_t rows, int64_t width)
{
    for (int64_t r = 0; r < rows; r++, x += width)
        for (int64_t i = 0; i < width / 2; i++) {
            const float kept = x[i];
            x[i] = x[width - 1 - i];
            x[width - 1 - i] = kept;
        }
}

static int64_t largest_of(const float *x, int64_t classes, int64_t stride)
{
    int64_t best = 0;
    for (int64_t c = 1; c < classes; c++)
        if (x[c * stride] > x[best * stride] || (isnan(x[best * stride]) && !isnan(x[c * stride]))) best = c;
    return best;
}

/* The same cells of every view, resized to the picture's rows first .. first + rows - 1: logits whose softmax
 * is the mean of the views'. sum and one have room for [classes, rows, width]. */
static void join_views(const dcls_evaluation *e, const dcls_eval_item *item, int64_t first, int64_t rows,
                       float *sum, float *one)
{
    const bool map = item->mask != NULL;
    const int64_t width = map ? item->width : 1, pixels = rows * width, floats = e->classes * pixels;
    for (int v = 0; v < e->views; v++) {
        float *to = v == 0 ? sum : one;
        const struct dcls_eval_view *view = &item->views[v];
        const dcls_resize_shape shape = {.planes = e->classes,
                                         .in = {1, view->out_height, view->out_width},
                                         .out = {1, map ? item->height : 1, width},
                                         .linear = true};
        dcls_resize_rows(&shape, view->output, first, rows, to);
        if (view->mirrored) mirror_rows(to, e->classes * rows, width);
        if (e->views > 1 && !e->probabilities)
            dcls_softmax_forward(e->simd, (dcls_extent){1, e->classes, pixels}, to, to, 1);
        if (v > 0) e->simd->add(sum, one, sum, floats);
    }
    if (e->views > 1 || e->probabilities) logarithms(sum, floats, 1 / (float)e->views);
}

/* ---- classification ------------------------------------------------------------------------------- */

static dcls_status count_labels(dcls_context *ctx, const dcls_evaluation *e, dcls_eval_item *items,
                                int64_t count, dcls_metrics *metrics)
{
    float *sum = dcls_alloc(ctx, (size_t)e->classes, 2 * sizeof *sum);
    if (sum == NULL) return DCLS_ERR_MEMORY;
    float *one = sum + e->classes;
    for (int64_t i = 0; i < count; i++) {
        dcls_eval_item *item = &items[i];
        const int32_t target = (int32_t)item->label;
        join_views(e, item, 0, 1, sum, one);
        dcls_metrics_add(metrics, 1, 1, sum, &target, &item->score);
        item->answer = largest_of(sum, e->classes, 1);
        const double all = (double)e->simd->exp_sum(sum, one, e->classes, sum[item->answer]);
        item->confidence = 1 / all;
    }
    free(sum);
    return DCLS_OK;
}

/* ---- segmentation --------------------------------------------------------------------------------- */

typedef struct map_slot {
    dcls_metrics *metrics;
    float *sum, *one;
    int32_t *target;
    size_t capacity; /* pixels of a strip */
} map_slot;

typedef struct map_job {
    const dcls_evaluation *e;
    dcls_eval_item *items;
    map_slot *slots;
} map_job;

static int64_t strip_rows(const dcls_evaluation *e, const dcls_eval_item *item)
{
    const int64_t rows = STRIP_FLOATS / (e->classes * item->width);
    return rows < 1 ? 1 : rows < item->height ? rows : item->height;
}

static dcls_status make_room(dcls_context *ctx, const dcls_evaluation *e, const dcls_eval_item *item,
                             map_slot *slot)
{
    const size_t pixels = (size_t)(strip_rows(e, item) * item->width);
    if (pixels <= slot->capacity) return DCLS_OK;
    free(slot->sum);
    free(slot->one);
    free(slot->target);
    slot->capacity = 0;
    slot->sum = dcls_alloc(ctx, pixels * (size_t)e->classes, sizeof(float));
    slot->one = dcls_alloc(ctx, pixels * (size_t)e->classes, sizeof(float));
    slot->target = dcls_alloc(ctx, pixels, sizeof *slot->target);
    if (slot->sum == NULL || slot->one == NULL || slot->target == NULL) return DCLS_ERR_MEMORY;
    slot->capacity = pixels;
    return DCLS_OK;
}

static void add_score(dcls_item_score *to, const dcls_item_score *strip)
{
    const double loss = to->loss * (double)to->targets + strip->loss * (double)strip->targets;
    to->targets += strip->targets;
    to->correct += strip->correct;
    to->loss = to->targets > 0 ? loss / (double)to->targets : 0;
}

static void count_strip(const dcls_evaluation *e, dcls_eval_item *item, map_slot *slot, int64_t first,
                        int64_t rows)
{
    const int64_t pixels = rows * item->width;
    const uint8_t *mask = item->mask + first * item->width;
    dcls_item_score score;
    join_views(e, item, first, rows, slot->sum, slot->one);
    for (int64_t i = 0; i < pixels; i++)
        slot->target[i] = mask[i] == DCLS_IGNORED_PIXEL ? DCLS_IGNORE : mask[i];
    dcls_metrics_add(slot->metrics, 1, pixels, slot->sum, slot->target, &score);
    add_score(&item->score, &score);
    for (int64_t i = 0; i < pixels && item->answers != NULL; i++)
        item->answers[first * item->width + i] = (uint8_t)largest_of(slot->sum + i, e->classes, pixels);
}

static void count_map(void *arg, int64_t index, int worker)
{
    const map_job *job = arg;
    dcls_eval_item *item = &job->items[index];
    const int64_t rows = strip_rows(job->e, item);
    (void)worker;
    for (int64_t first = 0; first < item->height; first += rows)
        count_strip(job->e, item, &job->slots[index], first,
                    item->height - first < rows ? item->height - first : rows);
}

static dcls_status prepare_slot(dcls_context *ctx, const dcls_evaluation *e, dcls_eval_item *item,
                                map_slot *slot)
{
    if (slot->metrics == NULL) DCLS_TRY(dcls_metrics_create(ctx, e->classes, &slot->metrics));
    if (e->options->answers) {
        item->answers = dcls_alloc(ctx, (size_t)item->height, (size_t)item->width);
        if (item->answers == NULL) return DCLS_ERR_MEMORY;
    }
    return make_room(ctx, e, item, slot);
}

static dcls_status count_maps(dcls_context *ctx, const dcls_evaluation *e, dcls_eval_item *items,
                              int64_t count, dcls_metrics *metrics)
{
    map_slot slots[SLOTS] = {{0}};
    dcls_status status = DCLS_OK;
    for (int64_t first = 0; first < count && status == DCLS_OK; first += SLOTS) {
        const int64_t n = count - first < SLOTS ? count - first : SLOTS;
        for (int64_t i = 0; i < n && status == DCLS_OK; i++)
            status = prepare_slot(ctx, e, &items[first + i], &slots[i]);
        if (status != DCLS_OK) break;
        dcls_parallel_for(e->threads, n, count_map, &(map_job){e, items + first, slots});
        for (int64_t i = 0; i < n; i++)
            dcls_metrics_take(metrics, slots[i].metrics);
    }
    for (int i = 0; i < SLOTS; i++) {
        dcls_metrics_destroy(slots[i].metrics);
        free(slots[i].sum);
        free(slots[i].one);
        free(slots[i].target);
    }
    return status;
}

dcls_status dcls_eval_count(dcls_context *ctx, const dcls_evaluation *e, dcls_eval_item *items, int64_t count,
                            dcls_metrics *metrics)
{
    return e->model->task == DCLS_TASK_SEGMENTATION ? count_maps(ctx, e, items, count, metrics)
                                                    : count_labels(ctx, e, items, count, metrics);
}
