/*
 * Decoded pictures, first come, first kept. Every item is used once an epoch in an order that knows no
 * favourites, so that putting one picture out for another would gain nothing.
 */
#include "train/sample_cache.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"
#include "train/dataset.h"

struct dcls_sample_cache {
    const dcls_dataset *set;
    atomic_llong room;            /* bytes left */
    _Atomic(dcls_sample *) *kept; /* [count]; an entry once set stays */
};

dcls_status dcls_sample_cache_create(dcls_context *ctx, const dcls_dataset *set, int64_t bytes,
                                     dcls_sample_cache **out)
{
    *out = NULL;
    dcls_sample_cache *cache = dcls_alloc_zero(ctx, 1, sizeof *cache);
    if (!cache) return DCLS_ERR_MEMORY;
    cache->set = set;
    atomic_init(&cache->room, bytes);
    cache->kept = dcls_alloc(ctx, set->count, sizeof *cache->kept);
    if (!cache->kept) {
        free(cache);
        return DCLS_ERR_MEMORY;
    }
    for (size_t i = 0; i < set->count; i++)
        atomic_init(&cache->kept[i], NULL);
    *out = cache;
    return DCLS_OK;
}

static void sample_destroy(dcls_sample *sample)
{
    if (!sample) return;
    dcls_sample_free(sample);
    free(sample);
}

void dcls_sample_cache_destroy(dcls_sample_cache *cache)
{
    if (!cache) return;
    for (size_t i = 0; i < cache->set->count; i++)
        sample_destroy(atomic_load(&cache->kept[i]));
    free(cache->kept);
    free(cache);
}

static dcls_view view_of(const dcls_sample *sample)
{
    return (dcls_view){dcls_image_width(sample->image), dcls_image_height(sample->image),
                       dcls_image_pixels(sample->image), sample->mask};
}

/* What allocators and structures add to small pictures. */
#define OVERHEAD 256

static bool take_room(dcls_sample_cache *cache, int64_t bytes)
{
    if (atomic_fetch_sub(&cache->room, bytes) >= bytes) return true;
    atomic_fetch_add(&cache->room, bytes);
    return false;
}

/* Moves *own into the cache if it fits. Memory that is short now is no reason to fail: the picture is there.
 */
static void keep(dcls_context *ctx, dcls_sample_cache *cache, int64_t index, dcls_sample *own)
{
    int64_t pixels = dcls_image_width(own->image) * dcls_image_height(own->image);
    int64_t bytes = pixels * (own->mask ? 4 : 3) + OVERHEAD;
    if (!take_room(cache, bytes)) return;
    dcls_sample *entry = dcls_alloc(ctx, 1, sizeof *entry), *none = NULL;
    if (entry) {
        *entry = *own;
        if (atomic_compare_exchange_strong(&cache->kept[index], &none, entry)) {
            *own = (dcls_sample){0};
            return;
        }
        free(entry); /* another thread was faster */
    }
    atomic_fetch_add(&cache->room, bytes);
}

dcls_status dcls_sample_cache_get(dcls_context *ctx, dcls_sample_cache *cache, int64_t index, dcls_view *view,
                                  dcls_sample *own)
{
    const dcls_dataset *set = cache->set;
    *own = (dcls_sample){0};
    if (set->items[index].pixels) {
        *view = (dcls_view){set->pixels_width, set->pixels_height, set->items[index].pixels, NULL};
        return DCLS_OK;
    }
    const dcls_sample *kept = atomic_load(&cache->kept[index]);
    if (!kept) {
        DCLS_TRY(dcls_dataset_load(ctx, set, index, own));
        *view = view_of(own); /* pixels stay where they are when the sample moves */
        keep(ctx, cache, index, own);
        return DCLS_OK;
    }
    *view = view_of(kept);
    return DCLS_OK;
}
