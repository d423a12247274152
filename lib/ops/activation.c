#include "ops/ops.h"
#include "ops/tiles.h"

typedef struct activation_job {
    const dcls_simd *simd;
    dcls_activation activation;
    const float *x;
    float *y;
    int64_t n;
} activation_job;

static void activate_block(void *arg, int64_t item, int worker)
{
    (void)worker;
    const activation_job *job = arg;
    dcls_block block = dcls_block_at(1, job->n, item);
    job->simd->activate(job->activation, job->x + block.first, job->y + block.first, block.pixels);
}

void dcls_activation_forward(const dcls_simd *simd, dcls_activation activation, const float *x, float *y,
                             int64_t n, int threads)
{
    activation_job job = {simd, activation, x, y, n};
    dcls_parallel_for(dcls_threads_for(threads, n), dcls_block_count(1, n), activate_block, &job);
}
