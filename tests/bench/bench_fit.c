/* How well kernels are taken apart again: kernels of K random elements, fitted with the same K. Prints the
 * share found to a relative error below 1e-3 and the time a kernel takes on one thread.
 *
 * Elements: positions normal around the centre, standard deviation 3 cells where the window is 17 or more,
 * else D / 5, clamped to the window; weights normal; SIG |0.23 + 0.1 n|, n normal (gauss starts at 0.23), for
 * max |0.5 + 0.3 n|.
 *
 * bench_fit [KERNELS [VERSION [D [K]]]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "kernel/fit.h"

#define RECOVERED 1e-3

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float clamped(double x, double limit)
{
    return (float)(x < -limit ? -limit : x > limit ? limit : x);
}

static void fill(dcls_kernel *k, float *weight, float *P, float *SIG, uint64_t seed)
{
    dcls_rng rng = {seed};
    const double D = (double)k->size[0], sigma = D >= 17 ? 3 : D / 5;
    for (int64_t i = 0; i < k->rows * k->count; i++)
        weight[i] = (float)dcls_rng_normal(&rng);
    for (int64_t i = 0; i < k->ndim * k->rows * k->count; i++) {
        P[i] = clamped(sigma * dcls_rng_normal(&rng), (double)(k->size[0] / 2));
        const double n = dcls_rng_normal(&rng);
        SIG[i] = (float)(k->version == DCLS_MAX ? 0.5 + 0.3 * n : 0.23 + 0.1 * n);
    }
    k->weight = weight;
    k->P = P;
    k->SIG = dcls_kernel_version_has_spread(k->version) ? SIG : NULL;
}

static void measure(dcls_context *ctx, dcls_kernel_version version, int64_t D, int64_t count, int64_t rows)
{
    dcls_kernel k = {.version = version,
                     .ndim = 2,
                     .size = {D, D},
                     .rows = rows,
                     .count = count,
                     .position_rows = rows,
                     .spread_offset = dcls_spread_offset(version, false)};
    const size_t n = (size_t)(rows * count), cells = (size_t)(rows * D * D);
    float *weight = malloc(n * 4), *P = malloc(2 * n * 4), *SIG = malloc(2 * n * 4),
          *dense = malloc(cells * 4);
    float *fitted[3] = {malloc(n * 4), malloc(2 * n * 4), malloc(2 * n * 4)}, *again = malloc(cells * 4);
    double *error = malloc((size_t)rows * sizeof *error);
    fill(&k, weight, P, SIG, 1000 * (uint64_t)D + (uint64_t)count);
    dcls_kernel_construct(ctx, &k, 1, dense);
    const dcls_fit_options options = {.seed = 1, .tolerance = DCLS_FIT_TOLERANCE, .effort = 1};
    const dcls_fit_result out = {fitted[0], fitted[1], fitted[2], error};
    const double start = now();
    if (dcls_kernel_fit(ctx, &k, dense, &options, 1, NULL, NULL, &out)) exit(1);
    const double seconds = now() - start;
    k.weight = fitted[0];
    k.P = fitted[1];
    if (k.SIG) k.SIG = fitted[2];
    dcls_kernel_construct(ctx, &k, 1, again);
    int64_t found = 0, half = 0;
    for (int64_t r = 0; r < rows; r++) { /* by the constructed kernel, not by what the fit says of itself */
        double lost = 0, all = 0;
        for (int64_t i = r * D * D; i < (r + 1) * D * D; i++) {
            lost += ((double)again[i] - (double)dense[i]) * ((double)again[i] - (double)dense[i]);
            all += (double)dense[i] * (double)dense[i];
        }
        found += lost < RECOVERED * RECOVERED * all;
        half += lost < 1e-4 * all;
    }
    printf("%-6s %3d %3d %8.1f%% %9.1f%% %9.2f\n", dcls_kernel_version_name(version), (int)D, (int)count,
           100.0 * (double)found / (double)rows, 100.0 * (double)half / (double)rows,
           1e3 * seconds / (double)rows);
    fflush(stdout);
    free(weight), free(P), free(SIG), free(dense), free(again), free(error);
    for (int i = 0; i < 3; i++)
        free(fitted[i]);
}

int main(int argc, char **argv)
{
    static const int64_t SIZES[] = {7, 11, 17, 23}, COUNTS[] = {3, 5, 9, 16, 25, 34};
    const int64_t rows = argc > 1 ? atoll(argv[1]) : 1000;
    dcls_context *ctx;
    if (dcls_context_create(&ctx)) return 1;
    printf("version  D   K  found<1e-3  <1e-2  ms/kernel (%d kernels a line, one thread)\n", (int)rows);
    for (int v = DCLS_V1; v <= DCLS_GAUSS; v++)
        for (size_t d = 0; d < sizeof SIZES / sizeof *SIZES; d++)
            for (size_t c = 0; c < sizeof COUNTS / sizeof *COUNTS; c++) {
                if (argc > 2 ? strcmp(argv[2], dcls_kernel_version_name((dcls_kernel_version)v)) != 0
                             : v == DCLS_MAX)
                    continue;
                if (argc > 3 && atoll(argv[3]) != SIZES[d]) continue;
                if (argc > 4 && atoll(argv[4]) != COUNTS[c]) continue;
                measure(ctx, (dcls_kernel_version)v, SIZES[d], COUNTS[c], rows);
            }
    dcls_context_destroy(ctx);
    return 0;
}
