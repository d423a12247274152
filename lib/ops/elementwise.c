#include "ops/ops.h"
#include "ops/tiles.h"

/* ---- two arrays of one shape ---- */

typedef struct binary_job {
    void (*operation)(const float *a, const float *b, float *y, int64_t n);
    const float *a, *b;
    float *y;
    int64_t n;
} binary_job;

static void binary_block(void *arg, int64_t item, int worker)
{
    (void)worker;
    const binary_job *job = arg;
    dcls_block block = dcls_block_at(1, job->n, item);
    job->operation(job->a + block.first, job->b + block.first, job->y + block.first, block.pixels);
}

static void binary_forward(const binary_job *job, int threads)
{
    binary_job copy = *job;
    dcls_parallel_for(dcls_threads_for(threads, job->n), dcls_block_count(1, job->n), binary_block, &copy);
}

void dcls_add_forward(const dcls_simd *simd, const float *a, const float *b, float *y, int64_t n, int threads)
{
    binary_forward(&(binary_job){simd->add, a, b, y, n}, threads);
}

void dcls_mul_forward(const dcls_simd *simd, const float *a, const float *b, float *y, int64_t n, int threads)
{
    binary_forward(&(binary_job){simd->mul, a, b, y, n}, threads);
}

/* ---- one scale and shift per plane ---- */

typedef struct affine_job {
    const dcls_simd *simd;
    int64_t planes, pixels, period; /* plane p takes the factors of p % period */
    const float *x, *scale, *shift; /* scale NULL: 1; shift NULL: 0 */
    float *y;
} affine_job;

static void affine_block(void *arg, int64_t item, int worker)
{
    (void)worker;
    const affine_job *job = arg;
    dcls_block block = dcls_block_at(job->planes, job->pixels, item);
    for (int64_t plane = block.plane; plane < block.plane + block.planes; plane++) {
        int64_t start = plane * job->pixels + block.first, at = plane % job->period;
        job->simd->scale_shift(job->x + start, job->y + start, block.pixels,
                               job->scale ? job->scale[at] : 1.0f, job->shift ? job->shift[at] : 0.0f);
    }
}

static void affine_forward(const affine_job *job, int threads)
{
    affine_job copy = *job;
    dcls_parallel_for(dcls_threads_for(threads, job->planes * job->pixels),
                      dcls_block_count(job->planes, job->pixels), affine_block, &copy);
}

void dcls_scale_shift_forward(const dcls_simd *simd, dcls_extent e, const float *x, const float *scale,
                              const float *shift, float *y, int threads)
{
    affine_forward(&(affine_job){simd, e.batch * e.channels, e.pixels, e.channels, x, scale, shift, y},
                   threads);
}

void dcls_add_broadcast_forward(const dcls_simd *simd, dcls_extent e, const float *a, const float *b,
                                float *y, int threads)
{
    int64_t planes = e.batch * e.channels;
    affine_forward(&(affine_job){simd, planes, e.pixels, planes, a, NULL, b, y}, threads);
}

void dcls_mul_broadcast_forward(const dcls_simd *simd, dcls_extent e, const float *a, const float *b,
                                float *y, int threads)
{
    int64_t planes = e.batch * e.channels;
    affine_forward(&(affine_job){simd, planes, e.pixels, planes, a, b, NULL, y}, threads);
}
