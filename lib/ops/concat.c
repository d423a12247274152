#include <string.h>

#include "ops/ops.h"
#include "ops/tiles.h"

typedef struct concat_job {
    int count;
    const float *const *parts;
    const int64_t *channels;
    int64_t total, pixels; /* channels of y, pixels of a channel */
    float *y;
} concat_job;

/* Channels of all parts are numbered through; a block of them may span several parts. */
static void concat_channels(const concat_job *job, int64_t image, int64_t from, int64_t to)
{
    int64_t before = 0;
    for (int part = 0; part < job->count; part++) {
        int64_t channels = job->channels[part];
        int64_t first = dcls_max_i64(from - before, 0), last = dcls_min_i64(to - before, channels);
        if (first < last)
            memcpy(job->y + (image * job->total + before + first) * job->pixels,
                   job->parts[part] + (image * channels + first) * job->pixels,
                   (size_t)((last - first) * job->pixels) * sizeof(float));
        before += channels;
    }
}

static void concat_block(void *arg, int64_t item, int worker)
{
    (void)worker;
    const concat_job *job = arg;
    int64_t size = dcls_rows_per_block(job->pixels), per_image = dcls_ceil_div(job->total, size);
    int64_t from = item % per_image * size;
    concat_channels(job, item / per_image, from, dcls_min_i64(from + size, job->total));
}

void dcls_concat_forward(int count, const float *const *parts, const int64_t *channels, int64_t batch,
                         int64_t pixels, float *y, int threads)
{
    concat_job job = {count, parts, channels, 0, pixels, y};
    for (int part = 0; part < count; part++)
        job.total += channels[part];
    if (pixels <= 0) return;
    dcls_parallel_for(dcls_threads_for(threads, batch * job.total * pixels),
                      batch * dcls_ceil_div(job.total, dcls_rows_per_block(pixels)), concat_block, &job);
}
