#include "ops/columns.h"

#include "ops/tiles.h"

/* Pixels per block: a multiple of the widest vector, few enough that a block of all channels stays in cache.
 */
static int64_t block_pixels(int64_t channels)
{
    const int64_t unit = 64;
    return dcls_max_i64(DCLS_BLOCK_FLOATS / dcls_max_i64(channels, 1) / unit, 1) * unit;
}

static void columns_block(void *arg, int64_t item, int worker)
{
    (void)worker;
    const dcls_columns *job = arg;
    int64_t size = block_pixels(job->e.channels), per_image = dcls_ceil_div(job->e.pixels, size);
    int64_t first = item % per_image * size;
    int64_t start = item / per_image * job->e.channels * job->e.pixels + first;
    job->body(job->terms, job->x + start, job->y + start, job->e, dcls_min_i64(size, job->e.pixels - first));
}

void dcls_columns_forward(const dcls_columns *columns, int threads)
{
    dcls_extent e = columns->e;
    dcls_columns job = *columns;
    int64_t blocks = e.batch * dcls_ceil_div(e.pixels, block_pixels(e.channels));
    dcls_parallel_for(dcls_threads_for(threads, e.batch * e.channels * e.pixels), blocks, columns_block,
                      &job);
}
