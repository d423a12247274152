/* Speed of matrix products: every instruction set's kernels and OpenBLAS, on one thread, in GFLOP/s. Each
 * figure is the best of many short runs, which take turns, so that a busy machine disturbs all alike.
 *
 *     bench_gemm [SECONDS per shape, default 0.5] [MxKxN[T]..]
 */
#include <cblas.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ops/gemm.h"

#define LEVELS ((int)DCLS_CPU_AVX512 + 1)

typedef struct shape {
    int64_t m, k, n;
    bool transposed;
} shape;

static const shape usual[] = {
    {96, 384, 3136, false}, {384, 96, 3136, false}, {768, 3072, 49, false}, {3072, 768, 49, false},
    {64, 576, 3136, false}, {64, 576, 224, false},  {256, 256, 256, false}, {1024, 1024, 1024, false},
    {64, 64, 256, false},   {256, 512, 256, false}, {10, 64, 1, false},     {1, 34, 3136, false},
    {2, 64, 784, false},    {256, 2048, 1, false},  {10, 768, 1, true},     {1, 768, 1000, true},
    {1, 2048, 128, true},   {4, 768, 1000, true},   {16, 768, 1000, true},  {256, 256, 256, true},
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *make(int64_t n)
{
    float *x = aligned_alloc(64, ((size_t)n * sizeof *x + 63) / 64 * 64);
    if (!x) exit(1);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(i * 7919 % 1000) / 500.0f - 1.0f;
    return x;
}

static void run_openblas(const dcls_gemm *g)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, g->transposed ? CblasTrans : CblasNoTrans, (int)g->m, (int)g->n,
                (int)g->k, 1.0f, g->a, (int)g->lda, g->b, (int)g->ldb, 0.0f, g->c, (int)g->ldc);
}

/* Seconds of one product, averaged over enough of them to see the clock move. */
static double measure(int contender, const dcls_gemm *own, const dcls_gemm *blas, int repeats)
{
    const dcls_simd *simd = dcls_simd_get((dcls_cpu_level)contender);
    double start = now();
    for (int i = 0; i < repeats; i++) {
        if (contender == LEVELS)
            run_openblas(blas);
        else
            dcls_gemm_run(simd, own);
    }
    return (now() - start) / repeats;
}

static void compare(shape s, double seconds)
{
    float *a = make(s.m * s.k), *packed = make(s.m * s.k), *b = make(s.k * s.n), *c = make(s.m * s.n);
    dcls_gemm blas = {s.m, s.n, s.k, a, b, c, s.k, s.transposed ? s.k : s.n, s.n, s.transposed, false};
    dcls_gemm own = blas;
    double flops = 2.0 * (double)(s.m * s.n * s.k), best[LEVELS + 1] = {0};
    int repeats = flops < 2e6 ? (int)(2e6 / flops) + 1 : 1, highest = (int)dcls_cpu_detect();
    if (!s.transposed) {
        dcls_gemm_pack(s.m, s.k, a, s.k, packed);
        own.a = packed;
    }
    double end = now() + seconds;
    do {
        for (int i = 0; i <= LEVELS; i++) {
            if (i > highest && i < LEVELS) continue;
            double speed = flops / measure(i, &own, &blas, repeats) * 1e-9;
            if (speed > best[i]) best[i] = speed;
        }
    } while (now() < end);
    printf("%5lldx%-5lldx%-5lld%-2s", (long long)s.m, (long long)s.k, (long long)s.n,
           s.transposed ? "T" : "");
    for (int i = 0; i <= LEVELS; i++)
        printf(" %9.1f", best[i]);
    printf(" %6.0f%%\n", 100 * best[highest] / best[LEVELS]);
    fflush(stdout);
    free(c);
    free(b);
    free(packed);
    free(a);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 0.5;
    printf("%-19s %9s %9s %9s %9s\n", "M x K x N", "scalar", "avx2", "avx512", "OpenBLAS");
    for (int i = 2; i < argc; i++) {
        long long m, k, n;
        char kind = ' ';
        if (sscanf(argv[i], "%lldx%lldx%lld%c", &m, &k, &n, &kind) >= 3)
            compare((shape){m, k, n, kind == 'T'}, seconds);
    }
    for (size_t i = 0; argc < 3 && i < sizeof usual / sizeof *usual; i++)
        compare(usual[i], seconds);
    return 0;
}
