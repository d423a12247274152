/* Weights of classes that even out how often they occur. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/dataset.h"

typedef struct tally {
    int64_t classes;
    double *of;     /* targets of each class */
    double *within; /* targets, of any class, of the items a class occurs in */
} tally;

static void count_mask(const tally *t, const dcls_sample *sample, int64_t *item)
{
    const int64_t pixels = dcls_image_width(sample->image) * dcls_image_height(sample->image);
    int64_t all = 0;
    memset(item, 0, (size_t)t->classes * sizeof *item);
    for (int64_t i = 0; i < pixels; i++)
        if (sample->mask[i] < t->classes) item[sample->mask[i]]++;
    for (int64_t c = 0; c < t->classes; c++)
        all += item[c];
    for (int64_t c = 0; c < t->classes; c++) {
        t->of[c] += (double)item[c];
        if (item[c] > 0) t->within[c] += (double)all;
    }
}

static dcls_status count_masks(dcls_context *ctx, const dcls_dataset *set, const tally *t)
{
    int64_t *item = dcls_alloc(ctx, (size_t)t->classes, sizeof *item);
    dcls_status status = item != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
    for (int64_t i = 0; i < dcls_dataset_count(set) && status == DCLS_OK; i++) {
        dcls_sample sample;
        status = dcls_dataset_load(ctx, set, i, &sample);
        if (status != DCLS_OK) break;
        count_mask(t, &sample, item);
        dcls_sample_free(&sample);
    }
    free(item);
    return status;
}

static void count_labels(const dcls_dataset *set, const tally *t)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].label >= 0 && set->items[i].label < t->classes) t->of[set->items[i].label]++;
    for (int64_t c = 0; c < t->classes; c++)
        t->within[c] = (double)set->count;
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

static void weigh(const tally *t, double *sorted, float *weights)
{
    for (int64_t c = 0; c < t->classes; c++)
        sorted[c] = t->of[c] > 0 ? t->of[c] / t->within[c] : 0;
    for (int64_t c = 0; c < t->classes; c++)
        t->of[c] = sorted[c];
    const double middle = median(sorted, t->classes);
    for (int64_t c = 0; c < t->classes; c++)
        weights[c] = t->of[c] > 0 ? (float)(middle / t->of[c]) : 1;
}

dcls_status dcls_dataset_balance(dcls_context *ctx, const dcls_dataset *set, int64_t classes, float *weights)
{
    if (classes < 1 || classes > 65536)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%lld classes", (long long)classes);
    double *room = dcls_alloc_zero(ctx, 3 * (size_t)classes, sizeof *room);
    if (room == NULL) return DCLS_ERR_MEMORY;
    const tally t = {classes, room, room + classes};
    dcls_status status = DCLS_OK;
    if (dcls_dataset_task(set) == DCLS_TASK_SEGMENTATION)
        status = count_masks(ctx, set, &t);
    else
        count_labels(set, &t);
    if (status == DCLS_OK) weigh(&t, room + 2 * classes, weights);
    free(room);
    return status;
}
