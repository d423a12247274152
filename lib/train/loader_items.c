/* The items of a batch: decoded or taken from the cache, changed, mixed. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "train/loader.h"

#define GIB 1073741824.0

dcls_rng dcls_loader_rng(const dcls_loader *loader, int64_t epoch, int64_t number)
{
    dcls_rng epochs = dcls_rng_stream(loader->options.seed, (uint64_t)epoch);
    return dcls_rng_stream(dcls_rng_next(&epochs), (uint64_t)number);
}

int64_t dcls_loader_targets(const dcls_loader *loader, int64_t height, int64_t width)
{
    return loader->set->task == DCLS_TASK_SEGMENTATION ? height * width : 1;
}

/* Room for that many floats or targets, which are not copied. NULL with the failure recorded. */
static void *enlarge(dcls_context *ctx, void *old, size_t *capacity, size_t needed)
{
    if (needed <= *capacity) return old;
    free(old);
    void *larger = dcls_alloc(ctx, needed, sizeof(float));
    *capacity = larger ? needed : 0;
    return larger;
}

dcls_status dcls_slot_reserve(dcls_context *ctx, const dcls_loader *loader, dcls_slot *s, int64_t height,
                              int64_t width)
{
    size_t items = (size_t)loader->options.batch, input, bytes;
    size_t targets = (size_t)dcls_loader_targets(loader, height, width);
    if (!dcls_mul_size((size_t)height * (size_t)width, (size_t)loader->pipeline.preprocess.channels * items,
                       &input) ||
        !dcls_mul_size(input, sizeof *s->input, &bytes) ||
        bytes > dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES)) {
        const double limit = (double)dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES);
        const double takes = 4.0 * (double)height * (double)width * (double)items *
                             (double)loader->pipeline.preprocess.channels;
        return dcls_fail(
            ctx, DCLS_ERR_LIMIT,
            "a batch of %zu pictures of %" PRId64 " x %" PRId64
            " takes %.3g GiB, more than the limit of %.3g GiB: make it smaller (--batch, --size), or raise "
            "the limit (--max-memory)",
            items, width, height, takes / GIB, limit / GIB);
    }
    s->input = enlarge(ctx, s->input, &s->input_size, input);
    s->target = enlarge(ctx, s->target, &s->target_size, items * targets);
    if (loader->mixes) s->mixed = enlarge(ctx, s->mixed, &s->mixed_size, items * targets);
    if (!s->input || !s->target || (loader->mixes && !s->mixed)) return DCLS_ERR_MEMORY;
    s->height = height;
    s->width = width;
    return DCLS_OK;
}

/* A batch whose size is open is as large as its first picture; one worker makes all of it, in order. */
static dcls_status settle_size(dcls_worker *w, dcls_slot *s, int64_t place, const dcls_view *view)
{
    const dcls_loader *loader = w->loader;
    if (loader->pipeline.height > 0) return DCLS_OK;
    int64_t height, width;
    DCLS_TRY(dcls_pipeline_size(w->ctx, &loader->pipeline, view, &height, &width));
    if (place == 0) return dcls_slot_reserve(w->ctx, loader, s, height, width);
    if (height == s->height && width == s->width) return DCLS_OK;
    return dcls_fail(w->ctx, DCLS_ERR_ARGUMENT,
                     "%" PRId64 " x %" PRId64 " pixels, but the batch's first picture has %" PRId64
                     " x %" PRId64 "; resize them, or take batches of 1",
                     width, height, s->width, s->height);
}

static dcls_status make_from(dcls_worker *w, dcls_slot *s, int64_t place, const dcls_view *view)
{
    const dcls_loader *loader = w->loader;
    DCLS_TRY(settle_size(w, s, place, view));
    int64_t item = s->index[place], targets = dcls_loader_targets(loader, s->height, s->width);
    float *input = s->input + place * loader->pipeline.preprocess.channels * s->height * s->width;
    int32_t *target = s->target + place * targets;
    dcls_rng rng = dcls_loader_rng(loader, s->epoch, item + 1);
    if (!view->mask) target[0] = (int32_t)loader->set->items[item].label;
    DCLS_TRY(dcls_pipeline_run(w->ctx, &loader->pipeline, view, &rng, &w->scratch, input, target));
    if (loader->mixes) s->mix[place] = dcls_mix_draw(&loader->pipeline.augment, &rng, s->height, s->width);
    return DCLS_OK;
}

dcls_status dcls_slot_make(dcls_worker *w, dcls_slot *s, int64_t place)
{
    dcls_view view;
    dcls_sample own;
    DCLS_TRY(dcls_sample_cache_get(w->ctx, w->loader->cache, s->index[place], &view, &own));
    dcls_status status = make_from(w, s, place, &view);
    dcls_sample_free(&own);
    return status;
}

/* A box of a mask takes its targets along; of a class it is a share. */
static void mix_item(const dcls_loader *loader, dcls_slot *s, int64_t i, const float *other,
                     const int32_t *theirs)
{
    const dcls_mix *mix = &s->mix[i];
    const int channels = loader->pipeline.preprocess.channels;
    const int64_t targets = dcls_loader_targets(loader, s->height, s->width);
    int32_t *target = s->target + i * targets;
    dcls_mix_run(mix, channels, s->height, s->width, other, s->input + i * channels * s->height * s->width);
    memcpy(s->mixed + i * targets, theirs, (size_t)targets * sizeof *theirs);
    s->share[i] = mix->share;
    if (loader->set->task != DCLS_TASK_SEGMENTATION || !mix->cuts) return;
    dcls_mix_mask(mix, s->width, theirs, target);
    s->share[i] = 1;
}

dcls_status dcls_slot_mix(dcls_worker *w, dcls_slot *s)
{
    const dcls_loader *loader = w->loader;
    const int64_t floats = loader->pipeline.preprocess.channels * s->height * s->width;
    const int64_t targets = dcls_loader_targets(loader, s->height, s->width), last = s->count - 1;
    float *saved = dcls_alloc(w->ctx, (size_t)floats, sizeof *saved);
    int32_t *saved_target = dcls_alloc(w->ctx, (size_t)targets, sizeof *saved_target);
    const bool ready = saved != NULL && saved_target != NULL;
    if (ready) {
        memcpy(saved, s->input + last * floats, (size_t)floats * sizeof *saved);
        memcpy(saved_target, s->target + last * targets, (size_t)targets * sizeof *saved_target);
        for (int64_t i = last; i > 0; i--)
            mix_item(loader, s, i, s->input + (i - 1) * floats, s->target + (i - 1) * targets);
        mix_item(loader, s, 0, saved, saved_target);
    }
    free(saved);
    free(saved_target);
    return ready ? DCLS_OK : DCLS_ERR_MEMORY;
}

void dcls_slot_free(dcls_slot *s)
{
    free(s->input);
    free(s->share);
    free(s->mix);
    free(s->target);
    free(s->mixed);
    free(s->index);
}
