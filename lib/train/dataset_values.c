/* Which values the masks of a data set have. */
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "train/dataset.h"

typedef struct census {
    const dcls_dataset *set;
    int64_t *items, count; /* whose masks are read */
    dcls_context **contexts;
    int64_t (*counts)[DCLS_MASK_VALUES]; /* [threads]: each counts for itself */
    bool *missed;                        /* [count]: could not be read */
} census;

static dcls_status count_values(dcls_context *ctx, const dcls_item *item, int64_t *counts)
{
    uint8_t *mask = NULL;
    int64_t width = 0, height = 0;
    const dcls_status status = dcls_mask_load(ctx, item->mask, &mask, &width, &height);
    if (status != DCLS_OK) return dcls_fail_within(ctx, status, "mask %s: ", item->mask);
    for (int64_t i = 0; i < width * height; i++)
        counts[mask[i]]++;
    free(mask);
    return DCLS_OK;
}

static void count_task(void *arg, int64_t i, int worker)
{
    census *c = arg;
    const dcls_item *item = &c->set->items[c->items[i]];
    c->missed[i] = count_values(c->contexts[worker], item, c->counts[worker]) != DCLS_OK;
}

/* What could not be read is read once more, for the message. */
static dcls_status run(dcls_context *ctx, census *c, int threads, int64_t *counts)
{
    dcls_parallel_for(threads, c->count, count_task, c);
    for (int64_t i = 0; i < c->count; i++)
        if (c->missed[i]) DCLS_TRY(count_values(ctx, &c->set->items[c->items[i]], counts));
    for (int t = 0; t < threads; t++)
        for (int v = 0; v < DCLS_MASK_VALUES; v++)
            counts[v] += c->counts[t][v];
    return DCLS_OK;
}

dcls_status dcls_dataset_values(dcls_context *ctx, const dcls_dataset *set, int64_t most, int64_t *counts)
{
    memset(counts, 0, DCLS_MASK_VALUES * sizeof *counts);
    if (set->task != DCLS_TASK_SEGMENTATION) return DCLS_OK;
    if (most < 0) return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%lld masks at most", (long long)most);
    const int threads = dcls_context_threads(ctx);
    const int64_t all = (int64_t)set->count;
    census c = {.set = set, .count = most < all ? most : all};
    c.items = dcls_alloc(ctx, (size_t)c.count, sizeof *c.items);
    c.missed = dcls_alloc_zero(ctx, (size_t)c.count, sizeof *c.missed);
    c.counts = dcls_alloc_zero(ctx, (size_t)threads, sizeof *c.counts);
    dcls_status status = c.items != NULL && c.missed != NULL && c.counts != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
    for (int64_t i = 0; i < c.count && status == DCLS_OK; i++)
        c.items[i] = (int64_t)((double)i * (double)all / (double)c.count);
    if (status == DCLS_OK) status = dcls_contexts_create(ctx, threads, &c.contexts);
    if (status == DCLS_OK) status = run(ctx, &c, threads, counts);
    dcls_contexts_destroy(c.contexts, threads);
    free(c.counts);
    free(c.missed);
    free(c.items);
    return status;
}
