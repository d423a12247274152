/* Weights of classes that even out how often they occur. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "train/dataset.h"

#define WINDOW 256 /* masks read before what could not be is reported */

typedef struct tally {
    int64_t classes;
    int64_t *of;     /* targets of each class */
    int64_t *within; /* targets, of any class, of the items a class occurs in */
    int64_t *item;   /* room for one item */
} tally;

/* Masks on their way through: every thread counts for itself. */
typedef struct counting {
    const dcls_dataset *set;
    dcls_context **contexts; /* [threads] */
    tally *tallies;          /* [threads] */
    int64_t first;           /* of the window */
    bool missed[WINDOW];     /* could not be read */
} counting;

static void count_mask(const tally *t, const dcls_sample *sample)
{
    const int64_t pixels = dcls_image_width(sample->image) * dcls_image_height(sample->image);
    int64_t all = 0;
    memset(t->item, 0, (size_t)t->classes * sizeof *t->item);
    for (int64_t i = 0; i < pixels; i++)
        if (sample->mask[i] < t->classes) t->item[sample->mask[i]]++;
    for (int64_t c = 0; c < t->classes; c++)
        all += t->item[c];
    for (int64_t c = 0; c < t->classes; c++) {
        t->of[c] += t->item[c];
        if (t->item[c] > 0) t->within[c] += all;
    }
}

static dcls_status count_item(dcls_context *ctx, const dcls_dataset *set, int64_t index, const tally *t)
{
    dcls_sample sample;
    DCLS_TRY(dcls_dataset_load(ctx, set, index, &sample));
    count_mask(t, &sample);
    dcls_sample_free(&sample);
    return DCLS_OK;
}

static void count_task(void *arg, int64_t i, int worker)
{
    counting *c = arg;
    c->missed[i] = count_item(c->contexts[worker], c->set, c->first + i, &c->tallies[worker]) != DCLS_OK;
}

/* What could not be read is read once more, for the message. */
static dcls_status count_windows(dcls_context *ctx, counting *c, int threads)
{
    const int64_t total = dcls_dataset_count(c->set);
    for (c->first = 0; c->first < total; c->first += WINDOW) {
        const int64_t n = total - c->first < WINDOW ? total - c->first : WINDOW;
        dcls_parallel_for(threads, n, count_task, c);
        for (int64_t i = 0; i < n; i++)
            if (c->missed[i]) DCLS_TRY(count_item(ctx, c->set, c->first + i, &c->tallies[0]));
    }
    return DCLS_OK;
}

/* Sums of whole numbers, so that who counted what makes no difference. */
static dcls_status count_masks(dcls_context *ctx, const dcls_dataset *set, const tally *sum)
{
    const int threads = dcls_context_threads(ctx);
    const size_t classes = sum->classes < DCLS_IGNORED_PIXEL ? (size_t)sum->classes : DCLS_IGNORED_PIXEL;
    counting c = {.set = set};
    int64_t *room = dcls_alloc_zero(ctx, 3 * classes * (size_t)threads, sizeof *room), *next = room;
    c.tallies = dcls_alloc(ctx, (size_t)threads, sizeof *c.tallies);
    dcls_status status = room != NULL && c.tallies != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
    for (int t = 0; status == DCLS_OK && t < threads; t++, next += 3 * classes)
        c.tallies[t] = (tally){(int64_t)classes, next, next + classes, next + 2 * classes};
    if (status == DCLS_OK) status = dcls_contexts_create(ctx, threads, &c.contexts);
    if (status == DCLS_OK) status = count_windows(ctx, &c, threads);
    for (int t = 0; status == DCLS_OK && t < threads; t++)
        for (size_t i = 0; i < classes; i++) {
            sum->of[i] += c.tallies[t].of[i];
            sum->within[i] += c.tallies[t].within[i];
        }
    dcls_contexts_destroy(c.contexts, threads);
    free(c.tallies);
    free(room);
    return status;
}

static void count_labels(const dcls_dataset *set, const tally *t)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].label >= 0 && set->items[i].label < t->classes) t->of[set->items[i].label]++;
    for (int64_t c = 0; c < t->classes; c++)
        t->within[c] = (int64_t)set->count;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of classes that occur; sorts what it is given. */
static double median(double *values, int64_t count)
{
    int64_t none = 0;
    qsort(values, (size_t)count, sizeof *values, by_size);
    while (none < count && values[none] == 0)
        none++;
    const int64_t n = count - none;
    if (n == 0) return 0;
    return (values[none + (n - 1) / 2] + values[none + n / 2]) / 2;
}

/* shares, sorted [classes]: room. */
static void weigh(const tally *t, double *shares, double *sorted, float *weights)
{
    for (int64_t c = 0; c < t->classes; c++)
        shares[c] = sorted[c] = t->of[c] > 0 ? (double)t->of[c] / (double)t->within[c] : 0;
    const double middle = median(sorted, t->classes);
    for (int64_t c = 0; c < t->classes; c++)
        weights[c] = shares[c] > 0 ? (float)(middle / shares[c]) : 1;
}

dcls_status dcls_dataset_balance(dcls_context *ctx, const dcls_dataset *set, int64_t classes, float *weights)
{
    if (classes < 1 || classes > 65536)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%lld classes", (long long)classes);
    int64_t *counts = dcls_alloc_zero(ctx, 2 * (size_t)classes, sizeof *counts);
    double *shares = dcls_alloc(ctx, 2 * (size_t)classes, sizeof *shares);
    const tally t = {.classes = classes, .of = counts, .within = counts != NULL ? counts + classes : NULL};
    dcls_status status = counts != NULL && shares != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
    if (status == DCLS_OK && dcls_dataset_task(set) == DCLS_TASK_SEGMENTATION)
        status = count_masks(ctx, set, &t);
    else if (status == DCLS_OK)
        count_labels(set, &t);
    if (status == DCLS_OK) weigh(&t, shares, shares + classes, weights);
    free(shares);
    free(counts);
    return status;
}
