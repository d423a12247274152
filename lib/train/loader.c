/*
 * Batches made ahead of their use.
 *
 * Batches have sequence numbers 0, 1, ..; batch s stands in slot s % slots. One slot belongs to the caller,
 * the others are filled: workers take runs of items of the earliest batch that has any left. When a batch is
 * taken back its slot is given the next batch of the sequence, which goes on through the epochs, so that an
 * epoch's first batches are made while its predecessor's last ones are used.
 *
 * What an item becomes depends on seed, epoch and item alone, mixing on the batch's order besides; who makes
 * it does not matter. The caller's thread helps while it waits, so a loader works without any thread as well.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "train/loader.h"

enum { MAX_AHEAD = 64, MAX_BATCH = 1 << 20 };

dcls_loader_options dcls_loader_options_default(void)
{
    return (dcls_loader_options){
        .batch = 64,
        .preprocess = {.filter = DCLS_FILTER_BILINEAR, .channels = 3, .std = {1, 1, 1}},
        .cache_bytes = (int64_t)1 << 30,
        .ahead = 2};
}

/* ---- workers ---- */

static void note_failure(dcls_slot *s, int64_t place, dcls_status status, const dcls_context *ctx)
{
    if (s->status != DCLS_OK && s->failed <= place) return;
    s->status = status;
    s->failed = place;
    memcpy(s->message, ctx->message, sizeof s->message);
}

/* The earliest batch that has items to be made. */
static dcls_slot *find_work(dcls_loader *loader)
{
    for (int64_t s = loader->taken; s < loader->planned; s++) {
        dcls_slot *one = &loader->slots[s % loader->slot_count];
        if (one->next < one->count) return one;
    }
    return NULL;
}

/* Makes items first .. last - 1; of a batch of open size, up to the first failure. */
static void make_run(dcls_worker *w, dcls_slot *s, int64_t first, int64_t last)
{
    for (int64_t place = first; place < last && !atomic_load(&w->loader->stopping); place++) {
        dcls_status status = dcls_slot_make(w, s, place);
        if (status == DCLS_OK) continue;
        pthread_mutex_lock(&w->loader->lock);
        note_failure(s, place, status, w->ctx);
        pthread_mutex_unlock(&w->loader->lock);
        if (w->loader->pipeline.height == 0) return;
    }
}

/* The last item of a batch is there; the lock is held before and after. */
static void finish(dcls_worker *w, dcls_slot *s)
{
    dcls_loader *loader = w->loader;
    if (loader->mixes && s->status == DCLS_OK && !atomic_load(&loader->stopping)) {
        pthread_mutex_unlock(&loader->lock);
        dcls_status status = dcls_slot_mix(w, s);
        pthread_mutex_lock(&loader->lock);
        if (status != DCLS_OK) note_failure(s, 0, status, w->ctx);
    }
    s->ready = true;
}

/* Makes some items, the lock being held before and after; false when none are left. */
static bool work_on(dcls_worker *w, dcls_slot *s)
{
    dcls_loader *loader = w->loader;
    if (!s || s->next == s->count) return false;
    int64_t first = s->next, last = first + loader->run < s->count ? first + loader->run : s->count;
    s->next = last;
    loader->active++;
    pthread_mutex_unlock(&loader->lock);
    make_run(w, s, first, last);
    pthread_mutex_lock(&loader->lock);
    s->done += last - first;
    if (s->done == s->count) finish(w, s);
    loader->active--;
    if (s->ready || loader->active == 0) pthread_cond_broadcast(&loader->progress);
    return true;
}

static void *work(void *arg)
{
    dcls_worker *w = arg;
    dcls_loader *loader = w->loader;
    pthread_mutex_lock(&loader->lock);
    while (!loader->quit) {
        if (!work_on(w, find_work(loader))) pthread_cond_wait(&loader->work, &loader->lock);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

/* ---- the sequence of batches ---- */

/* The order of an epoch's items (Fisher and Yates). */
static void make_order(dcls_loader *loader, int64_t epoch)
{
    if (loader->order_epoch == epoch) return;
    loader->order_epoch = epoch;
    int64_t count = dcls_dataset_count(loader->set), *order = loader->order;
    for (int64_t i = 0; i < count; i++)
        order[i] = i;
    if (!loader->options.shuffle) return;
    dcls_rng rng = dcls_loader_rng(loader, epoch, 0);
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t k = (int64_t)(dcls_rng_uniform(&rng) * (double)(i + 1)), moved = order[i];
        order[i] = order[k];
        order[k] = moved;
    }
}

/* Gives every free slot its next batch. */
static void plan_batches(dcls_loader *loader)
{
    int64_t batch = loader->options.batch, count = dcls_dataset_count(loader->set);
    int64_t first_used = loader->taken - (loader->holding ? 1 : 0);
    for (; loader->planned - first_used < loader->slot_count; loader->planned++) {
        dcls_slot *s = &loader->slots[loader->planned % loader->slot_count];
        int64_t start = loader->planned_at * batch;
        make_order(loader, loader->planned_epoch);
        s->epoch = loader->planned_epoch;
        s->count = count - start < batch ? count - start : batch;
        s->next = s->done = 0;
        s->ready = false;
        s->status = DCLS_OK;
        memcpy(s->index, loader->order + start, (size_t)s->count * sizeof *s->index);
        if (++loader->planned_at == loader->batches) {
            loader->planned_at = 0;
            if (loader->random) loader->planned_epoch++;
        }
    }
    pthread_cond_broadcast(&loader->work);
}

int64_t dcls_loader_batches(const dcls_loader *loader)
{
    return loader->batches;
}

/* Whether the sequence goes on with that batch anyway. */
static bool is_next(const dcls_loader *loader, int64_t epoch, int64_t first)
{
    int64_t at = loader->batch, now = loader->epoch;
    if (at == loader->batches) at = 0, now++;
    if (first == loader->batches) first = 0, epoch++;
    return at == first && (now == epoch || !loader->random);
}

/* Drops what has been made and planned. */
static void clear_plan(dcls_loader *loader)
{
    atomic_store(&loader->stopping, true);
    for (int64_t s = loader->taken; s < loader->planned; s++) {
        dcls_slot *one = &loader->slots[s % loader->slot_count];
        one->next = one->count;
    }
    while (loader->active > 0)
        pthread_cond_wait(&loader->progress, &loader->lock);
    atomic_store(&loader->stopping, false);
    loader->taken = loader->planned;
}

dcls_status dcls_loader_seek(dcls_context *ctx, dcls_loader *loader, int64_t epoch, int64_t first)
{
    if (epoch < 0 || first < 0 || first > loader->batches) {
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "there is no batch %" PRId64 " of epoch %" PRId64 ": epochs have %" PRId64, first,
                         epoch, loader->batches);
    }
    pthread_mutex_lock(&loader->lock);
    loader->holding = false;
    if (!is_next(loader, epoch, first)) {
        clear_plan(loader);
        bool over = first == loader->batches;
        loader->planned_at = over ? 0 : first;
        loader->planned_epoch = loader->random ? epoch + over : 0;
    }
    loader->epoch = epoch;
    loader->batch = first;
    plan_batches(loader);
    pthread_mutex_unlock(&loader->lock);
    return DCLS_OK;
}

static dcls_batch view_of(const dcls_loader *loader, const dcls_slot *s)
{
    return (dcls_batch){.count = s->count,
                        .channels = loader->pipeline.preprocess.channels,
                        .height = s->height,
                        .width = s->width,
                        .target_pixels = dcls_loader_targets(loader, s->height, s->width),
                        .input = s->input,
                        .target = s->target,
                        .mixed = loader->mixes ? s->mixed : NULL,
                        .share = loader->mixes ? s->share : NULL,
                        .index = s->index};
}

/* Waits for the batch of a slot, helping. */
static void await(dcls_loader *loader, dcls_slot *s)
{
    while (!s->ready) {
        if (!work_on(&loader->workers[loader->worker_count - 1], s))
            pthread_cond_wait(&loader->progress, &loader->lock);
    }
}

dcls_status dcls_loader_next(dcls_context *ctx, dcls_loader *loader, const dcls_batch **out)
{
    *out = NULL;
    dcls_status status = DCLS_OK;
    pthread_mutex_lock(&loader->lock);
    loader->holding = false;
    plan_batches(loader);
    if (loader->batch == loader->batches) {
        loader->batch = 0;
        loader->epoch++;
        goto done;
    }
    dcls_slot *s = &loader->slots[loader->taken % loader->slot_count];
    await(loader, s);
    loader->taken++;
    loader->batch++;
    loader->holding = true;
    if (s->status == DCLS_OK) {
        loader->view = view_of(loader, s);
        *out = &loader->view;
    } else {
        status = dcls_fail(ctx, s->status, "%s: %s", dcls_dataset_item_name(loader->set, s->index[s->failed]),
                           s->message);
    }
done:
    pthread_mutex_unlock(&loader->lock);
    return status;
}

/* ---- life ---- */

static dcls_status check_options(dcls_context *ctx, const dcls_dataset *set, const dcls_loader_options *o)
{
    if (o->batch < 1 || o->batch > MAX_BATCH) {
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "a batch cannot have %" PRId64 " pictures, 1 to %d are possible", o->batch,
                         MAX_BATCH);
    }
    if (o->ahead < 0 || o->ahead > MAX_AHEAD)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%d batches cannot be made ahead, at most %d", o->ahead,
                         MAX_AHEAD);
    if (o->cache_bytes < 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the cache cannot be smaller than 0 bytes");
    if (o->drop_last && dcls_dataset_count(set) < o->batch) {
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%" PRId64 " pictures do not fill a batch of %" PRId64,
                         dcls_dataset_count(set), o->batch);
    }
    return DCLS_OK;
}

static dcls_status create_slots(dcls_context *ctx, dcls_loader *loader)
{
    const dcls_loader_options *o = &loader->options;
    loader->slot_count = o->ahead + 1;
    loader->slots = dcls_alloc_zero(ctx, (size_t)loader->slot_count, sizeof *loader->slots);
    if (!loader->slots) return DCLS_ERR_MEMORY;
    for (int i = 0; i < loader->slot_count; i++) {
        dcls_slot *s = &loader->slots[i];
        s->index = dcls_alloc(ctx, (size_t)o->batch, sizeof *s->index);
        s->share = dcls_alloc(ctx, (size_t)o->batch, sizeof *s->share);
        s->mix = dcls_alloc(ctx, (size_t)o->batch, sizeof *s->mix);
        if (!s->index || !s->share || !s->mix) return DCLS_ERR_MEMORY;
        if (o->height > 0) DCLS_TRY(dcls_slot_reserve(ctx, loader, s, o->height, o->width));
    }
    return DCLS_OK;
}

static dcls_status create_workers(dcls_context *ctx, dcls_loader *loader)
{
    int wanted = dcls_context_threads(ctx);
    loader->workers = dcls_alloc_zero(ctx, (size_t)wanted + 1, sizeof *loader->workers);
    if (!loader->workers) return DCLS_ERR_MEMORY;
    loader->worker_count = wanted + 1;
    for (int i = 0; i < loader->worker_count; i++) {
        dcls_worker *w = &loader->workers[i];
        w->loader = loader;
        if (dcls_context_create(&w->ctx) != DCLS_OK) return dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory");
        memcpy(w->ctx->limit, ctx->limit, sizeof ctx->limit);
        w->ctx->threads = 1;
    }
    return DCLS_OK;
}

/* Signals are for the program's own threads. Fewer threads than wanted, or none, only take longer. */
static void start_threads(dcls_loader *loader)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (; loader->threads < loader->worker_count - 1; loader->threads++) {
        dcls_worker *w = &loader->workers[loader->threads];
        if (pthread_create(&w->thread, NULL, work, w) != 0) break;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static dcls_status build(dcls_context *ctx, dcls_loader *loader)
{
    const dcls_loader_options *o = &loader->options;
    int64_t count = dcls_dataset_count(loader->set);
    DCLS_TRY(dcls_pipeline_init(ctx, &o->augment, &o->preprocess, o->height, o->width, &loader->pipeline));
    loader->mixes = o->augment.mixup > 0 || o->augment.cutmix > 0;
    loader->random = o->shuffle || dcls_pipeline_is_random(&loader->pipeline);
    loader->batches = o->drop_last ? count / o->batch : (count + o->batch - 1) / o->batch;
    /* Small pictures are taken several at a time, so that workers seldom meet at the lock. */
    int64_t pixels = o->height * o->width, most = pixels > 1024 ? 16384 / pixels : 16;
    loader->run = o->height == 0 ? o->batch : most < 1 ? 1 : most;
    loader->order_epoch = -1;
    loader->order = dcls_alloc(ctx, (size_t)count, sizeof *loader->order);
    if (!loader->order) return DCLS_ERR_MEMORY;
    DCLS_TRY(dcls_sample_cache_create(ctx, loader->set, o->cache_bytes, &loader->cache));
    DCLS_TRY(create_slots(ctx, loader));
    return create_workers(ctx, loader);
}

dcls_status dcls_loader_create(dcls_context *ctx, const dcls_dataset *set, const dcls_loader_options *options,
                               dcls_loader **out)
{
    *out = NULL;
    DCLS_TRY(check_options(ctx, set, options));
    dcls_loader *loader = dcls_alloc_zero(ctx, 1, sizeof *loader);
    if (!loader) return DCLS_ERR_MEMORY;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->work, NULL);
    pthread_cond_init(&loader->progress, NULL);
    atomic_init(&loader->stopping, false);
    loader->set = set;
    loader->options = *options;
    dcls_status status = build(ctx, loader);
    if (status != DCLS_OK) {
        dcls_loader_destroy(loader);
        return status;
    }
    plan_batches(loader);
    start_threads(loader);
    *out = loader;
    return DCLS_OK;
}

static void stop_threads(dcls_loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    loader->quit = true;
    atomic_store(&loader->stopping, true);
    pthread_cond_broadcast(&loader->work);
    pthread_mutex_unlock(&loader->lock);
    for (int i = 0; i < loader->threads; i++)
        pthread_join(loader->workers[i].thread, NULL);
}

void dcls_loader_destroy(dcls_loader *loader)
{
    if (!loader) return;
    stop_threads(loader);
    for (int i = 0; loader->slots && i < loader->slot_count; i++)
        dcls_slot_free(&loader->slots[i]);
    for (int i = 0; i < loader->worker_count; i++) {
        dcls_context_destroy(loader->workers[i].ctx);
        dcls_scratch_free(&loader->workers[i].scratch);
    }
    free(loader->slots);
    free(loader->workers);
    free(loader->order);
    dcls_sample_cache_destroy(loader->cache);
    pthread_cond_destroy(&loader->progress);
    pthread_cond_destroy(&loader->work);
    pthread_mutex_destroy(&loader->lock);
    free(loader);
}
