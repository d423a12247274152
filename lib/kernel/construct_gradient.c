/* The gradient of the construction: from the loss by each cell to the loss by weights, positions and spreads.
 *
 * With X the product of an element's profiles and N = sum X + 1e-7, the kernel is w X / N, so that for a
 * parameter u of X: d/du = w / N * (<G, dX/du> - <G, X> / N * sum dX/du). All sums factor over dimensions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "kernel/kernel.h"
#include "kernel/profile.h"

/* One dimension of one element: its profile and the derivatives of that. */
typedef struct axis_slopes {
    dcls_profile profile;
    double *by_centre, *by_spread;
    double centre_sum, spread_sum;
} axis_slopes;

/* <G, X> and <G, dX/du> for centres and spreads, u along each axis. */
typedef struct products {
    double value, centre[3], spread[3];
} products;

#define ARRAYS 3 /* per axis: profile and two derivatives */

static double sum_of(const double *x, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += x[i];
    return sum;
}

static void fill_missing(axis_slopes *axis)
{
    axis->profile.lo = 0;
    axis->profile.hi = 1;
    axis->profile.sum = axis->profile.x[0] = 1;
    axis->by_centre[0] = axis->by_spread[0] = 0;
    axis->centre_sum = axis->spread_sum = 0;
}

static void fill_axis(const dcls_kernel *k, int64_t at, int j, axis_slopes *axis)
{
    const int64_t size = k->size[dcls_kernel_axis(k->version, k->ndim, j)];
    const float centre = dcls_profile_centre(k->P[at], k->size[j]);
    const float spread = k->SIG ? fabsf(k->SIG[at]) + k->spread_offset : 0;
    dcls_profile_fill(k->version, size, centre, spread, &axis->profile);
    dcls_profile_slopes(k->version, &axis->profile, centre, spread, axis->by_centre, axis->by_spread);
    axis->centre_sum = sum_of(axis->by_centre, axis->profile.hi - axis->profile.lo);
    axis->spread_sum = sum_of(axis->by_spread, axis->profile.hi - axis->profile.lo);
}

/* Sums over the last dimension of one line of cells. */
typedef struct line {
    double value, centre, spread;
} line;

static line sum_line(const axis_slopes *axis, const float *gradient)
{
    line sum = {0};
    const dcls_profile *p = &axis->profile;
    for (int64_t t = p->lo; t < p->hi; t++) {
        const double g = (double)gradient[t];
        sum.value += g * p->x[t - p->lo];
        sum.centre += g * axis->by_centre[t - p->lo];
        sum.spread += g * axis->by_spread[t - p->lo];
    }
    return sum;
}

static products sum_products(const dcls_kernel *k, const axis_slopes axes[3], const float *gradient)
{
    products sum = {0};
    const int64_t size1 = k->ndim > 1 ? k->size[1] : 1, size2 = k->ndim > 2 ? k->size[2] : 1;
    const dcls_profile *p0 = &axes[0].profile, *p1 = &axes[1].profile;
    for (int64_t i0 = 0; i0 < p0->hi - p0->lo; i0++) {
        for (int64_t i1 = 0; i1 < p1->hi - p1->lo; i1++) {
            const double x0 = p0->x[i0], x1 = p1->x[i1];
            const line last = sum_line(&axes[2], gradient + ((p0->lo + i0) * size1 + p1->lo + i1) * size2);
            sum.value += x0 * x1 * last.value;
            sum.centre[0] += axes[0].by_centre[i0] * x1 * last.value;
            sum.centre[1] += x0 * axes[1].by_centre[i1] * last.value;
            sum.centre[2] += x0 * x1 * last.centre;
            sum.spread[0] += axes[0].by_spread[i0] * x1 * last.value;
            sum.spread[1] += x0 * axes[1].by_spread[i1] * last.value;
            sum.spread[2] += x0 * x1 * last.spread;
        }
    }
    return sum;
}

#define POSITION_ROWS_PER_TASK 8

typedef struct gradient_job {
    const dcls_kernel *k;
    const float *gradient;
    const dcls_kernel_gradients *out;
    int64_t cells;
    double *scratch; /* per worker */
    int64_t scratch_stride;
} gradient_job;

/* Adds what one row says of its element e to the sums of its position. */
static void add_row(const gradient_job *job, int64_t row, int64_t e, const axis_slopes axes[3], double P[3],
                    double SIG[3])
{
    const dcls_kernel *k = job->k;
    const products g = sum_products(k, axes, job->gradient + row * job->cells);
    const bool normalised = k->version != DCLS_V0;
    const double s0 = axes[0].profile.sum, s1 = axes[1].profile.sum, s2 = axes[2].profile.sum;
    const double N = normalised ? s0 * s1 * s2 + 1e-7 : 1, w = (double)k->weight[row * k->count + e];
    const double others[3] = {s1 * s2, s0 * s2, s0 * s1};
    const double mean = normalised ? g.value / N : 0;
    if (job->out->weight) job->out->weight[row * k->count + e] = (float)(g.value / N);
    for (int d = 0; d < k->ndim; d++) {
        P[d] += w / N * (g.centre[d] - mean * axes[d].centre_sum * others[d]);
        SIG[d] += w / N * (g.spread[d] - mean * axes[d].spread_sum * others[d]);
    }
}

static void element_slopes(const gradient_job *job, int64_t position_row, int64_t e, axis_slopes axes[3])
{
    const dcls_kernel *k = job->k;
    double P[3] = {0}, SIG[3] = {0};
    for (int d = k->ndim; d < 3; d++)
        fill_missing(&axes[d]);
    for (int j = 0; j < k->ndim; j++) {
        const int64_t at = (j * k->position_rows + position_row) * k->count + e;
        fill_axis(k, at, j, &axes[dcls_kernel_axis(k->version, k->ndim, j)]);
    }
    for (int64_t row = position_row; row < k->rows; row += k->position_rows)
        add_row(job, row, e, axes, P, SIG);
    for (int j = 0; j < k->ndim; j++) {
        const int64_t at = (j * k->position_rows + position_row) * k->count + e;
        const int d = dcls_kernel_axis(k->version, k->ndim, j);
        if (job->out->P) job->out->P[at] = (float)P[d];
        if (k->SIG && job->out->SIG) {
            const float s = k->SIG[at];
            job->out->SIG[at] = (float)(SIG[d] * (isnan(s) ? NAN : (double)((s > 0) - (s < 0))));
        }
    }
}

static void gradient_task(void *arg, int64_t item, int worker)
{
    const gradient_job *job = arg;
    const dcls_kernel *k = job->k;
    axis_slopes axes[3];
    double *scratch = job->scratch + worker * job->scratch_stride;
    for (int d = 0; d < 3; d++) {
        const int64_t size = d < k->ndim ? k->size[d] : 1;
        axes[d].profile.x = scratch;
        axes[d].by_centre = scratch + size;
        axes[d].by_spread = scratch + 2 * size;
        scratch += ARRAYS * size;
    }
    const int64_t begin = item * POSITION_ROWS_PER_TASK, wanted = begin + POSITION_ROWS_PER_TASK;
    const int64_t end = wanted < k->position_rows ? wanted : k->position_rows;
    for (int64_t row = begin; row < end; row++)
        for (int64_t e = 0; e < k->count; e++)
            element_slopes(job, row, e, axes);
}

dcls_status dcls_kernel_backward(dcls_context *ctx, const dcls_kernel *k, const float *gradient, int threads,
                                 const dcls_kernel_gradients *out)
{
    gradient_job job = {.k = k, .gradient = gradient, .out = out, .cells = dcls_kernel_cells(k)};
    for (int d = 0; d < 3; d++)
        job.scratch_stride += ARRAYS * (d < k->ndim ? k->size[d] : 1);
    job.scratch_stride = (job.scratch_stride + 7) / 8 * 8; /* workers share no cache line */
    job.scratch = dcls_alloc(ctx, (size_t)threads * (size_t)job.scratch_stride, sizeof *job.scratch);
    if (!job.scratch) return DCLS_ERR_MEMORY;
    const int64_t tasks = (k->position_rows + POSITION_ROWS_PER_TASK - 1) / POSITION_ROWS_PER_TASK;
    dcls_parallel_for(threads, tasks, gradient_task, &job);
    free(job.scratch);
    return DCLS_OK;
}
