#include <string.h>

#include "ops/ops.h"
#include "ops/tiles.h"

typedef struct pad_job {
    dcls_border border;
    int64_t in[3], out[3], before[3], rows;
    const float *x;
    float *y;
} pad_job;

static int64_t wrap(int64_t i, int64_t period)
{
    int64_t rest = i % period;
    return rest < 0 ? rest + period : rest;
}

/* The cell of 0..size-1 that position i of the endless line shows, or -1 for a zero. */
static int64_t border_source(dcls_border border, int64_t i, int64_t size)
{
    if (i >= 0 && i < size) return i;
    switch (border) {
    case DCLS_BORDER_REPLICATE: return i < 0 ? 0 : size - 1;
    case DCLS_BORDER_CIRCULAR: return wrap(i, size);
    case DCLS_BORDER_REFLECT: {
        if (size == 1) return 0;
        int64_t at = wrap(i, 2 * (size - 1));
        return at < size ? at : 2 * (size - 1) - at;
    }
    default: return -1;
    }
}

static void pad_line(const pad_job *job, const float *x, float *y, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) {
        int64_t source = border_source(job->border, i - job->before[2], job->in[2]);
        y[i] = source < 0 ? 0.0f : x[source];
    }
}

/* Output row (plane * out[0] + z) * out[1] + row. */
static void pad_row(const pad_job *job, int64_t at)
{
    const int64_t *in = job->in, *out = job->out, *before = job->before;
    int64_t plane = at / (out[0] * out[1]);
    int64_t z = border_source(job->border, at / out[1] % out[0] - before[0], in[0]);
    int64_t row = border_source(job->border, at % out[1] - before[1], in[1]);
    float *y = job->y + at * out[2];
    if (z < 0 || row < 0) {
        memset(y, 0, (size_t)out[2] * sizeof *y);
        return;
    }
    const float *x = job->x + ((plane * in[0] + z) * in[1] + row) * in[2];
    pad_line(job, x, y, 0, before[2]);
    memcpy(y + before[2], x, (size_t)in[2] * sizeof *y);
    pad_line(job, x, y, before[2] + in[2], out[2]);
}

static void pad_block(void *arg, int64_t item, int worker)
{
    (void)worker;
    const pad_job *job = arg;
    int64_t size = dcls_rows_per_block(job->out[2]);
    int64_t end = dcls_min_i64((item + 1) * size, job->rows);
    for (int64_t at = item * size; at < end; at++)
        pad_row(job, at);
}

void dcls_pad_forward(dcls_border border, int64_t planes, const int64_t in[3], const int64_t before[3],
                      const int64_t after[3], const float *x, float *y, int threads)
{
    pad_job job = {.border = border, .x = x, .y = y};
    for (int axis = 0; axis < 3; axis++) {
        job.in[axis] = in[axis];
        job.before[axis] = before[axis];
        job.out[axis] = before[axis] + in[axis] + after[axis];
    }
    if (dcls_volume(in) <= 0) return;
    job.rows = planes * job.out[0] * job.out[1];
    dcls_parallel_for(dcls_threads_for(threads, job.rows * job.out[2]),
                      dcls_ceil_div(job.rows, dcls_rows_per_block(job.out[2])), pad_block, &job);
}
