/* What building the dense kernels of a layer costs: 768 kernels of 34 bilinear elements in a 17x17 window, as
 * in the last stage of ConvNeXt-T-dcls. Prints the median time in ms, first for dense kernels, then for the
 * lists of taps that plans use.
 *
 *     bench_construct [THREADS [SECONDS of each]] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/rng.h"
#include "kernel/kernel.h"

#define ROWS  768
#define COUNT 34
#define SIDE  17
#define MOST  100000

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void check(dcls_context *ctx, dcls_status status)
{
    if (status == DCLS_OK) return;
    fprintf(stderr, "bench_construct: %s\n", dcls_context_message(ctx));
    exit(1);
}

static void construct(dcls_context *ctx, const dcls_kernel *k, int threads, float *dense)
{
    check(ctx, dcls_kernel_construct(ctx, k, threads, dense));
}

static void list_taps(dcls_context *ctx, const dcls_kernel *k, int threads, float *dense)
{
    dcls_taps taps;
    (void)dense;
    check(ctx, dcls_taps_from_kernel(ctx, k, 0, threads, &taps));
    dcls_taps_free(&taps);
}

static double measure(dcls_context *ctx, const dcls_kernel *k, int threads, double seconds, float *dense,
                      void (*run)(dcls_context *, const dcls_kernel *, int, float *))
{
    static double times[MOST];
    int n = 0;
    run(ctx, k, threads, dense);
    for (double start = now(), before = start; n < MOST && before - start < seconds; n++) {
        run(ctx, k, threads, dense);
        const double after = now();
        times[n] = after - before;
        before = after;
    }
    qsort(times, (size_t)n, sizeof *times, by_value);
    return 1e3 * times[n / 2];
}

int main(int argc, char **argv)
{
    static float weight[ROWS * COUNT], P[2 * ROWS * COUNT], dense[ROWS * SIDE * SIDE];
    const int threads = argc > 1 ? atoi(argv[1]) : 1;
    const double seconds = argc > 2 ? atof(argv[2]) : 1, limit = (double)(SIDE / 2);
    dcls_rng rng = {34};
    for (int i = 0; i < ROWS * COUNT; i++)
        weight[i] = (float)dcls_rng_normal(&rng);
    for (int i = 0; i < 2 * ROWS * COUNT; i++) {
        double p = 3 * dcls_rng_normal(&rng);
        P[i] = (float)(p < -limit ? -limit : p > limit ? limit : p);
    }
    const dcls_kernel k = {.version = DCLS_V1,
                           .ndim = 2,
                           .size = {SIDE, SIDE},
                           .rows = ROWS,
                           .count = COUNT,
                           .position_rows = ROWS,
                           .weight = weight,
                           .P = P};
    dcls_context *ctx;
    if (dcls_context_create(&ctx) != DCLS_OK) return 1;
    double whole = measure(ctx, &k, threads, seconds, dense, construct);
    printf("%.4f %.4f\n", whole, measure(ctx, &k, threads, seconds, dense, list_taps));
    dcls_context_destroy(ctx);
    return 0;
}
