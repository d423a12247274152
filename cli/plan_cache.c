#include "plan_cache.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

/* Older plans are kept only while all together stay small: pictures that each have a size of their own would
 * otherwise hold several large plans for nothing. */
#define KEPT_BYTES ((size_t)256 << 20)

static void drop(cached_plan *cached)
{
    dcls_plan_destroy(cached->plan);
    free(cached->output);
    memset(cached, 0, sizeof *cached);
}

void plan_cache_clear(plan_cache *cache)
{
    for (int i = 0; i < PLAN_CACHE_SIZE; i++)
        drop(&cache->plans[i]);
}

static bool fits(const cached_plan *cached, int ndim, const int64_t *shape)
{
    return cached->plan != NULL && cached->ndim == ndim &&
           memcmp(cached->shape, shape, (size_t)ndim * sizeof *shape) == 0;
}

static void move_to_front(plan_cache *cache, int index)
{
    cached_plan used = cache->plans[index];
    memmove(cache->plans + 1, cache->plans, (size_t)index * sizeof *cache->plans);
    cache->plans[0] = used;
}

/* Frees the last place, and those of plans beyond KEPT_BYTES. */
static void make_room(plan_cache *cache)
{
    size_t kept = 0;
    for (int i = 0; i < PLAN_CACHE_SIZE; i++) {
        cached_plan *cached = &cache->plans[i];
        if (cached->plan == NULL) continue;
        kept += dcls_plan_memory(cached->plan) + cached->output_size * sizeof(float);
        if (i == PLAN_CACHE_SIZE - 1 || kept > KEPT_BYTES) drop(cached);
    }
}

static dcls_status prepare(dcls_context *ctx, const dcls_model *model, const dcls_plan_options *options,
                           cached_plan *cached)
{
    dcls_status status = dcls_plan_create(ctx, model, options, cached->ndim, cached->shape, &cached->plan);
    if (status != DCLS_OK) return status;
    cached->output_ndim = dcls_plan_output_shape(cached->plan, cached->output_shape);
    cached->output_size = 1; /* the plan has checked that the product fits */
    for (int i = 0; i < cached->output_ndim; i++)
        cached->output_size *= (size_t)cached->output_shape[i];
    cached->output = cli_alloc(cached->output_size, sizeof(float));
    return DCLS_OK;
}

dcls_status plan_cache_get(dcls_context *ctx, plan_cache *cache, const dcls_model *model,
                           const dcls_plan_options *options, int ndim, const int64_t *shape,
                           const cached_plan **out, bool *created)
{
    int index = 0;
    while (index < PLAN_CACHE_SIZE && !fits(&cache->plans[index], ndim, shape))
        index++;
    *created = index == PLAN_CACHE_SIZE;
    if (*created) {
        make_room(cache);
        index = PLAN_CACHE_SIZE - 1;
        for (int i = 0; i < PLAN_CACHE_SIZE; i++)
            if (cache->plans[i].plan == NULL) index = i;
        cached_plan *cached = &cache->plans[index];
        *cached = (cached_plan){.ndim = ndim};
        memcpy(cached->shape, shape, (size_t)ndim * sizeof *shape);
        dcls_status status = prepare(ctx, model, options, cached);
        if (status != DCLS_OK) {
            drop(cached);
            return status;
        }
    }
    move_to_front(cache, index);
    *out = &cache->plans[0];
    return DCLS_OK;
}
