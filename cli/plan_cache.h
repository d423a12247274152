/* Plans for the last few input shapes, the most recently used first. */
#ifndef DCLS_CLI_PLAN_CACHE_H
#define DCLS_CLI_PLAN_CACHE_H

#include "dcls.h"

#define PLAN_CACHE_SIZE 4

typedef struct cached_plan {
    dcls_plan *plan; /* NULL: empty */
    int ndim;
    int64_t shape[DCLS_MAX_DIMS]; /* of the input */
    int output_ndim;
    int64_t output_shape[DCLS_MAX_DIMS];
    float *output;
    size_t output_size; /* floats */
} cached_plan;

typedef struct plan_cache {
    cached_plan plans[PLAN_CACHE_SIZE];
} plan_cache;

/* A plan for this shape out of the cache, which always gets the same options (NULL: the defaults), or a new
 * one. *out belongs to the cache and lives until the next call; *created tells whether it is new. */
dcls_status plan_cache_get(dcls_context *ctx, plan_cache *cache, const dcls_model *model,
                           const dcls_plan_options *options, int ndim, const int64_t *shape,
                           const cached_plan **out, bool *created);
void plan_cache_clear(plan_cache *cache);

#endif
