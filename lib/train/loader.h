/* Inside of loaders: batches in the making, and who makes them. */
#ifndef DCLS_TRAIN_LOADER_H
#define DCLS_TRAIN_LOADER_H

#include <pthread.h>
#include <stdatomic.h>

#include "train/dataset.h"
#include "train/sample_cache.h"

/* A batch in the making, or the caller's. */
typedef struct dcls_slot {
    int64_t epoch, count;
    int64_t next, done; /* items given to workers, items finished; mixing follows the last */
    bool ready;
    int64_t height, width;
    size_t input_size, target_size, mixed_size; /* elements there is room for */
    float *input, *share;
    dcls_mix *mix;
    int32_t *target, *mixed;
    int64_t *index;
    dcls_status status; /* of the first item that failed */
    int64_t failed;     /* its place in the batch */
    char message[sizeof((dcls_context *)NULL)->message];
} dcls_slot;

/* A thread, or the caller's. */
typedef struct dcls_worker {
    dcls_loader *loader;
    dcls_context *ctx;
    dcls_scratch scratch;
    pthread_t thread;
} dcls_worker;

struct dcls_loader {
    const dcls_dataset *set;
    dcls_loader_options options;
    dcls_pipeline pipeline;
    dcls_sample_cache *cache;
    bool mixes, random;
    int64_t batches, run; /* of an epoch; items a worker takes at once */
    int64_t order_epoch, *order;

    pthread_mutex_t lock; /* of everything below and of the slots' counters */
    pthread_cond_t work, progress;
    bool quit;
    atomic_bool stopping;                  /* what is being made will not be used */
    int active;                            /* workers that are making something */
    int slot_count, worker_count, threads; /* the last worker is the caller */
    dcls_slot *slots;
    dcls_worker *workers;
    int64_t taken, planned;            /* sequence numbers: of the caller's next batch, of the next to plan */
    bool holding;                      /* the caller has batch taken - 1 */
    int64_t epoch, batch;              /* of batch `taken` */
    int64_t planned_epoch, planned_at; /* of batch `planned` */
    dcls_batch view;
};

/* A stream of random numbers: number 0 is for the order of an epoch, item + 1 for an item in it. */
dcls_rng dcls_loader_rng(const dcls_loader *loader, int64_t epoch, int64_t number);
/* 1, or the pixels of a mask. */
int64_t dcls_loader_targets(const dcls_loader *loader, int64_t height, int64_t width);
/* Room for a batch of pictures of one size. */
dcls_status dcls_slot_reserve(dcls_context *ctx, const dcls_loader *loader, dcls_slot *slot, int64_t height,
                              int64_t width);
void dcls_slot_free(dcls_slot *slot);
/* One item of a batch. Where sizes are open, items must be made in order by one worker: the first settles the
 * size. */
dcls_status dcls_slot_make(dcls_worker *worker, dcls_slot *slot, int64_t place);
/* Each picture with the one before it in the batch, the first with the last. */
dcls_status dcls_slot_mix(dcls_worker *worker, dcls_slot *slot);

#endif
