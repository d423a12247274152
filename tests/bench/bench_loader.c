/* How many pictures a loader makes: bench_loader KIND DIRECTORY, KIND cifar (padded crop, flip, cutout) or
 * camvid (scale, crop, flip, jitter). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "dcls_train.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static dcls_loader_options options_for(const char *kind)
{
    dcls_loader_options o = dcls_loader_options_default();
    o.shuffle = o.drop_last = true;
    o.seed = 1;
    if (strcmp(kind, "cifar") == 0) {
        o.batch = 256;
        o.height = o.width = 32;
        o.augment = (dcls_augment){.crop_padding = 4, .flip = true, .cutout = 8};
    } else {
        o.batch = 8;
        o.height = 352;
        o.width = 480;
        o.augment = (dcls_augment){.scale_min = 0.5,
                                   .scale_max = 2,
                                   .flip = true,
                                   .brightness = 0.2,
                                   .contrast = 0.2,
                                   .saturation = 0.2,
                                   .hue = 0.05};
    }
    return o;
}

static dcls_status run(dcls_context *ctx, const char *kind, const char *path, int threads)
{
    dcls_dataset *set = NULL;
    dcls_loader *loader = NULL;
    const dcls_loader_options options = options_for(kind);
    double start = now();
    dcls_status status = dcls_context_set_threads(ctx, threads);
    if (status == DCLS_OK) status = dcls_dataset_open(ctx, path, NULL, &set);
    if (status == DCLS_OK) status = dcls_loader_create(ctx, set, &options, &loader);
    printf("%d threads: opened in %.2f s;", threads, now() - start);
    for (int epoch = 0; status == DCLS_OK && epoch < 3; epoch++) {
        int64_t items = 0;
        const dcls_batch *batch = NULL;
        start = now();
        while ((status = dcls_loader_next(ctx, loader, &batch)) == DCLS_OK && batch)
            items += batch->count;
        printf(" epoch %d: %.0f/s", epoch, (double)items / (now() - start));
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("; %.0f MB\n", (double)usage.ru_maxrss / 1024);
    dcls_loader_destroy(loader);
    dcls_dataset_destroy(set);
    return status;
}

int main(int argc, char **argv)
{
    dcls_context *ctx;
    if (argc != 3 || dcls_context_create(&ctx) != DCLS_OK) return 2;
    dcls_status status = DCLS_OK;
    for (int threads = 1; status == DCLS_OK && threads <= 2; threads++)
        status = run(ctx, argv[1], argv[2], threads);
    if (status != DCLS_OK) fprintf(stderr, "bench_loader: %s\n", dcls_context_message(ctx));
    dcls_context_destroy(ctx);
    return status != DCLS_OK;
}
