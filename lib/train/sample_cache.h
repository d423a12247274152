/* Decoded pictures of a data set, kept while there is room. */
#ifndef DCLS_TRAIN_SAMPLE_CACHE_H
#define DCLS_TRAIN_SAMPLE_CACHE_H

#include "train/augment.h"

typedef struct dcls_sample_cache dcls_sample_cache;

/* Up to `bytes` of pixels. The set must outlive the cache. */
dcls_status dcls_sample_cache_create(dcls_context *ctx, const dcls_dataset *set, int64_t bytes,
                                     dcls_sample_cache **out);
void dcls_sample_cache_destroy(dcls_sample_cache *cache);

/* An item's pixels. Where they are neither in the set's memory nor find room they are *own, to be freed when
 * done with; *own is empty otherwise. Any number of threads. */
dcls_status dcls_sample_cache_get(dcls_context *ctx, dcls_sample_cache *cache, int64_t index, dcls_view *view,
                                  dcls_sample *own);

#endif
