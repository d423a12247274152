#include <math.h>

#include "ops/ops.h"
#include "ops/tiles.h"

/* ---- sliding windows ---- */

typedef struct pool_job {
    const dcls_simd *simd;
    const dcls_geometry *g;
    bool average, count_include_pad;
    int64_t pad_after[3];
    const float *x;
    float *y;
    int64_t rows;    /* batch * channels * out[0] * out[1] */
    bool max_halves; /* a max pool of 2x2 windows 2 apart */
} pool_job;

typedef struct range {
    int64_t from, to;
} range;

/* Cells k of the window of output o whose position lies in [low, high). */
static range window_range(const dcls_geometry *g, int axis, int64_t o, int64_t low, int64_t high)
{
    int64_t start = o * g->stride[axis] - g->pad[axis], step = g->dilation[axis];
    range r = {start < low ? dcls_ceil_div(low - start, step) : 0,
               start < high ? dcls_ceil_div(high - start, step) : 0};
    r.to = dcls_min_i64(r.to, g->kernel[axis]);
    r.from = dcls_min_i64(r.from, r.to);
    return r;
}

/* Outputs of a row whose window cell k lies in the input. */
static range output_range(const dcls_geometry *g, int64_t k)
{
    int64_t shift = g->pad[2] - k * g->dilation[2], step = g->stride[2], last = g->in[2] + shift;
    range r = {shift > 0 ? dcls_ceil_div(shift, step) : 0, last > 0 ? dcls_ceil_div(last, step) : 0};
    r.to = dcls_min_i64(r.to, g->out[2]);
    r.from = dcls_min_i64(r.from, r.to);
    return r;
}

/* One row of the input under every window of the output row y. */
static void pool_line(const pool_job *job, const float *x, float *y)
{
    const dcls_geometry *g = job->g;
    for (int64_t k = 0; k < g->kernel[2]; k++) {
        range r = output_range(g, k);
        if (r.from == r.to) continue;
        const float *first = x + r.from * g->stride[2] - g->pad[2] + k * g->dilation[2];
        if (job->average)
            job->simd->axpy(1.0f, first, g->stride[2], y + r.from, r.to - r.from);
        else
            job->simd->larger(first, g->stride[2], y + r.from, r.to - r.from);
    }
}

/* Cells of a window along one axis that an average divides by. */
static int64_t divisor(const pool_job *job, int axis, int64_t o)
{
    const dcls_geometry *g = job->g;
    range r = job->count_include_pad
                  ? window_range(g, axis, o, -g->pad[axis], g->in[axis] + job->pad_after[axis])
                  : window_range(g, axis, o, 0, g->in[axis]);
    return r.to - r.from;
}

static void divide_line(const pool_job *job, int64_t cells, float *y)
{
    for (int64_t i = 0; i < job->g->out[2]; i++) {
        int64_t count = cells * divisor(job, 2, i);
        y[i] = count > 0 ? y[i] / (float)count : 0.0f;
    }
}

/* Output row `at` = (plane * out[0] + z) * out[1] + row. */
static void pool_row(const pool_job *job, int64_t at)
{
    const dcls_geometry *g = job->g;
    int64_t plane = at / (g->out[0] * g->out[1]), z = at / g->out[1] % g->out[0], row = at % g->out[1];
    range depth = window_range(g, 0, z, 0, g->in[0]), height = window_range(g, 1, row, 0, g->in[1]);
    float *y = job->y + at * g->out[2];
    for (int64_t i = 0; i < g->out[2]; i++)
        y[i] = job->average ? 0.0f : -INFINITY;
    for (int64_t k0 = depth.from; k0 < depth.to; k0++)
        for (int64_t k1 = height.from; k1 < height.to; k1++) {
            int64_t in0 = z * g->stride[0] - g->pad[0] + k0 * g->dilation[0];
            int64_t in1 = row * g->stride[1] - g->pad[1] + k1 * g->dilation[1];
            pool_line(job, job->x + ((plane * g->in[0] + in0) * g->in[1] + in1) * g->in[2], y);
        }
    if (job->average) divide_line(job, divisor(job, 0, z) * divisor(job, 1, row), y);
}

bool dcls_pool_is_halving(const dcls_geometry *g)
{
    bool halving = g->in[0] == 1 && g->kernel[0] == 1;
    for (int d = 0; d < 3; d++)
        halving = halving && g->pad[d] == 0 && g->dilation[d] == 1 &&
                  (d == 0 || (g->kernel[d] == 2 && g->stride[d] == 2 && 2 * g->out[d] <= g->in[d]));
    return halving;
}

/* Cells of a window, for shares of work alone: most of a huge one lie in the padding. */
static int64_t pool_cells(const dcls_geometry *g)
{
    return dcls_min_i64(dcls_volume(g->kernel), 1 << 16);
}

static int64_t pool_rows_per_block(const dcls_geometry *g)
{
    return dcls_rows_per_block(g->out[2] * pool_cells(g));
}

static void halve_row(const pool_job *job, int64_t at)
{
    const dcls_geometry *g = job->g;
    const int64_t plane = at / g->out[1], row = at % g->out[1];
    job->simd->max_halving(job->x + (plane * g->in[1] + 2 * row) * g->in[2], g->in[2],
                           job->y + at * g->out[2], g->out[2]);
}

static void pool_block(void *arg, int64_t item, int worker)
{
    (void)worker;
    const pool_job *job = arg;
    int64_t size = pool_rows_per_block(job->g);
    int64_t end = dcls_min_i64((item + 1) * size, job->rows);
    for (int64_t at = item * size; at < end; at++) {
        if (job->max_halves)
            halve_row(job, at);
        else
            pool_row(job, at);
    }
}

static void pool_forward(pool_job *job, int threads)
{
    const dcls_geometry *g = job->g;
    job->rows = g->batch * g->in_channels * g->out[0] * g->out[1];
    dcls_parallel_for(dcls_threads_for(threads, job->rows * g->out[2] * pool_cells(g)),
                      dcls_ceil_div(job->rows, pool_rows_per_block(g)), pool_block, job);
}

void dcls_max_pool_forward(const dcls_simd *simd, const dcls_geometry *g, const float *x, float *y,
                           int threads)
{
    pool_job job = {.simd = simd, .g = g, .max_halves = dcls_pool_is_halving(g), .x = x, .y = y};
    pool_forward(&job, threads);
}

void dcls_avg_pool_forward(const dcls_simd *simd, const dcls_geometry *g, const int64_t pad_after[3],
                           bool count_include_pad, const float *x, float *y, int threads)
{
    pool_job job = {.simd = simd,
                    .g = g,
                    .average = true,
                    .count_include_pad = count_include_pad,
                    .pad_after = {pad_after[0], pad_after[1], pad_after[2]},
                    .x = x,
                    .y = y};
    pool_forward(&job, threads);
}

/* ---- whole planes ---- */

typedef struct global_job {
    float (*reduce)(const float *x, int64_t n);
    float factor;
    int64_t planes, pixels;
    const float *x;
    float *y;
} global_job;

static void global_block(void *arg, int64_t item, int worker)
{
    (void)worker;
    const global_job *job = arg;
    int64_t size = dcls_rows_per_block(job->pixels);
    int64_t end = dcls_min_i64((item + 1) * size, job->planes);
    for (int64_t plane = item * size; plane < end; plane++)
        job->y[plane] = job->reduce(job->x + plane * job->pixels, job->pixels) * job->factor;
}

static void global_forward(const global_job *job, int threads)
{
    global_job copy = *job;
    dcls_parallel_for(dcls_threads_for(threads, job->planes * job->pixels),
                      dcls_ceil_div(job->planes, dcls_rows_per_block(job->pixels)), global_block, &copy);
}

void dcls_global_avg_pool_forward(const dcls_simd *simd, dcls_extent e, const float *x, float *y, int threads)
{
    float factor = 1.0f / (float)e.pixels;
    global_forward(&(global_job){simd->sum, factor, e.batch * e.channels, e.pixels, x, y}, threads);
}

void dcls_global_max_pool_forward(const dcls_simd *simd, dcls_extent e, const float *x, float *y, int threads)
{
    global_forward(&(global_job){simd->max, 1.0f, e.batch * e.channels, e.pixels, x, y}, threads);
}
