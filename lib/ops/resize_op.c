#include <math.h>

#include "ops/ops.h"
#include "ops/tiles.h"

/* Where one output cell of an axis comes from: from * (1 - weight) + to * weight. */
typedef struct source {
    int64_t from, to;
    float weight;
} source;

/* Step between source positions in float, as PyTorch computes it. */
static float axis_step(const dcls_resize_shape *s, int axis)
{
    if (s->linear && s->align_corners)
        return s->out[axis] > 1 ? (float)(s->in[axis] - 1) / (float)(s->out[axis] - 1) : 0.0f;
    if (s->scale[axis] > 0) return (float)(1.0 / s->scale[axis]);
    return (float)s->in[axis] / (float)s->out[axis];
}

static int64_t cell_below(float position, int64_t size)
{
    return position < (float)size ? dcls_min_i64((int64_t)position, size - 1) : size - 1;
}

static source axis_source(const dcls_resize_shape *s, int axis, float step, int64_t o)
{
    int64_t size = s->in[axis];
    if (!s->linear) {
        int64_t cell = cell_below((float)o * step, size);
        return (source){cell, cell, 0.0f};
    }
    if (size == s->out[axis]) return (source){o, o, 0.0f};
    float position = s->align_corners ? step * (float)o : step * ((float)o + 0.5f) - 0.5f;
    position = position > 0 ? position : 0;
    int64_t from = cell_below(position, size);
    float weight = position - (float)from;
    return (source){from, from + 1 < size ? from + 1 : from, weight < 1 ? weight : 1.0f};
}

/* ---- blocks of an output plane ---- */

/* A block is BLOCK_ROWS rows by BLOCK_COLUMNS columns of one plane, so that the sources of its columns,
 * worked out once per block, fit on the stack. */
#define BLOCK_ROWS    ((int64_t)32)
#define BLOCK_COLUMNS ((int64_t)256)

typedef struct resize_job {
    const dcls_resize_shape *s;
    const float *x;
    float *y;
    float step[3];
    int64_t row_blocks, column_blocks; /* of a plane */
} resize_job;

/* A row of the input and its share in a row of the output. */
typedef struct share {
    const float *row;
    float weight;
} share;

/* At most four rows of the input make row `at` = z * out[1] + row of the output. Returns how many. */
static int row_shares(const resize_job *job, const float *plane, int64_t at, share shares[4])
{
    const dcls_resize_shape *s = job->s;
    source z = axis_source(s, 0, job->step[0], at / s->out[1]);
    source row = axis_source(s, 1, job->step[1], at % s->out[1]);
    int count = 0;
    for (int i = 0; i < (z.to > z.from ? 2 : 1); i++)
        for (int j = 0; j < (row.to > row.from ? 2 : 1); j++) {
            int64_t in0 = i ? z.to : z.from, in1 = j ? row.to : row.from;
            float weight0 = z.to == z.from ? 1.0f : i ? z.weight : 1.0f - z.weight;
            float weight1 = row.to == row.from ? 1.0f : j ? row.weight : 1.0f - row.weight;
            shares[count++] = (share){plane + (in0 * s->in[1] + in1) * s->in[2], weight0 * weight1};
        }
    return count;
}

static void nearest_line(const float *x, const source *columns, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[columns[i].from];
}

static void linear_line(const share *from, bool add, const source *columns, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float left = from->row[columns[i].from], right = from->row[columns[i].to], weight = columns[i].weight;
        float value = from->weight * ((1.0f - weight) * left + weight * right);
        y[i] = add ? y[i] + value : value;
    }
}

static void resize_row(const resize_job *job, const float *plane, int64_t at, const source *columns, float *y,
                       int64_t n)
{
    share shares[4];
    int count = row_shares(job, plane, at, shares);
    if (!job->s->linear) {
        nearest_line(shares[0].row, columns, y, n);
        return;
    }
    for (int i = 0; i < count; i++)
        linear_line(&shares[i], i > 0, columns, y, n);
}

static void resize_block(void *arg, int64_t item, int worker)
{
    (void)worker;
    const resize_job *job = arg;
    const dcls_resize_shape *s = job->s;
    int64_t first = item % job->column_blocks * BLOCK_COLUMNS,
            n = dcls_min_i64(BLOCK_COLUMNS, s->out[2] - first);
    int64_t row = item / job->column_blocks % job->row_blocks * BLOCK_ROWS;
    int64_t end = dcls_min_i64(row + BLOCK_ROWS, s->out[0] * s->out[1]);
    int64_t plane = item / (job->column_blocks * job->row_blocks);
    source columns[BLOCK_COLUMNS];
    for (int64_t i = 0; i < n; i++)
        columns[i] = axis_source(s, 2, job->step[2], first + i);
    for (; row < end; row++)
        resize_row(job, job->x + plane * dcls_volume(s->in), row, columns,
                   job->y + (plane * s->out[0] * s->out[1] + row) * s->out[2] + first, n);
}

void dcls_resize_forward(const dcls_resize_shape *s, const float *x, float *y, int threads)
{
    resize_job job = {.s = s, .x = x, .y = y};
    for (int axis = 0; axis < 3; axis++)
        job.step[axis] = axis_step(s, axis);
    job.row_blocks = dcls_ceil_div(s->out[0] * s->out[1], BLOCK_ROWS);
    job.column_blocks = dcls_ceil_div(s->out[2], BLOCK_COLUMNS);
    dcls_parallel_for(dcls_threads_for(threads, s->planes * dcls_volume(s->out)),
                      s->planes * job.row_blocks * job.column_blocks, resize_block, &job);
}

void dcls_resize_rows(const dcls_resize_shape *s, const float *x, int64_t first, int64_t rows, float *y)
{
    resize_job job = {.s = s};
    source columns[BLOCK_COLUMNS];
    for (int axis = 0; axis < 3; axis++)
        job.step[axis] = axis_step(s, axis);
    for (int64_t column = 0; column < s->out[2]; column += BLOCK_COLUMNS) {
        const int64_t n = dcls_min_i64(BLOCK_COLUMNS, s->out[2] - column);
        for (int64_t i = 0; i < n; i++)
            columns[i] = axis_source(s, 2, job.step[2], column + i);
        for (int64_t plane = 0; plane < s->planes; plane++)
            for (int64_t row = 0; row < rows; row++)
                resize_row(&job, x + plane * dcls_volume(s->in), first + row, columns,
                           y + (plane * rows + row) * s->out[2] + column, n);
    }
}
