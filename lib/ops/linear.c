#include "ops/gemm.h"
#include "ops/ops.h"
#include "ops/tiles.h"

#define OUTPUTS_PER_TILE ((int64_t)128)

typedef struct linear_job {
    const dcls_simd *simd;
    int64_t batch, in, out;
    const float *x, *weight, *bias;
    float *y;
} linear_job;

static void linear_tile(void *arg, int64_t item, int worker)
{
    (void)worker;
    const linear_job *job = arg;
    int64_t first = item * OUTPUTS_PER_TILE;
    dcls_gemm gemm = {.m = job->batch,
                      .n = dcls_min_i64(OUTPUTS_PER_TILE, job->out - first),
                      .k = job->in,
                      .a = job->x,
                      .b = job->weight + first * job->in,
                      .c = job->y + first,
                      .lda = job->in,
                      .ldb = job->in,
                      .ldc = job->out,
                      .transposed = true};
    dcls_gemm_run(job->simd, &gemm);
    if (!job->bias) return;
    for (int64_t row = 0; row < job->batch; row++) {
        float *y = gemm.c + row * job->out;
        job->simd->add(y, job->bias + first, y, gemm.n);
    }
}

void dcls_linear_forward(const dcls_simd *simd, int64_t batch, int64_t in, int64_t out, const float *x,
                         const float *weight, const float *bias, float *y, int threads)
{
    linear_job job = {simd, batch, in, out, x, weight, bias, y};
    dcls_parallel_for(dcls_threads_for(threads, dcls_max_i64(batch, 1) * in / 4 * out),
                      dcls_ceil_div(out, OUTPUTS_PER_TILE), linear_tile, &job);
}
