/* Windows one by one, spread over threads. */
#include "kernel/fit.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "kernel/fit_state.h"

/* Work of one window at effort 1, in multiplications or so: twenty milliseconds at most where K random
 * elements are to be found, as tests/bench/bench_fit.c measures. */
#define GAUSS_BUDGET 8e7
#define TENT_BUDGET  1.6e8

typedef struct fit_job {
    const dcls_kernel *shape;
    const float *dense;
    const dcls_fit_options *options;
    const dcls_fit_result *out;
    fit_state **states; /* one per worker */
    dcls_fit_progress *progress;
    void *arg;
    pthread_mutex_t lock;
    int64_t done;
} fit_job;

/* In falling order of |weight|; the missing ones have weight 0 at the centre. */
static void sort_params(const fit_state *f, fit_params *sorted)
{
    for (int i = 0; i < f->wanted; i++) {
        fit_params p = {.s = {f->least_s, f->least_s, f->least_s}};
        for (int d = 0; d < 3; d++)
            p.c[d] = floor((f->low[d] + f->high[d]) / 2);
        if (i < f->count) p = f->elements[i].at;
        int at = i;
        for (; at > 0 && fabs(sorted[at - 1].w) < fabs(p.w); at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = p;
    }
}

static void put_row(const fit_job *job, const fit_state *f, int64_t row, double norm)
{
    const dcls_kernel *shape = job->shape;
    sort_params(f, f->best);
    for (int64_t e = 0; e < shape->count; e++) {
        const fit_params *p = &f->best[e];
        job->out->weight[row * shape->count + e] = (float)(p->w * norm);
        for (int j = 0; j < shape->ndim; j++) {
            const int d = dcls_kernel_axis(shape->version, shape->ndim, j);
            const int64_t at = (j * shape->rows + row) * shape->count + e;
            job->out->P[at] = (float)(p->c[d] - (double)(shape->size[j] / 2));
            if (f->terms > 1 + f->ndim) job->out->SIG[at] = (float)(p->s[d] - f->least_s);
        }
    }
}

static double norm_of(const float *window, int64_t cells)
{
    double sum = 0;
    for (int64_t i = 0; i < cells; i++)
        sum += (double)window[i] * (double)window[i];
    return sqrt(sum);
}

static void report(fit_job *job)
{
    if (job->progress == NULL) return;
    pthread_mutex_lock(&job->lock);
    job->progress(job->arg, ++job->done, job->shape->rows);
    pthread_mutex_unlock(&job->lock);
}

static void fit_row(void *arg, int64_t row, int worker)
{
    fit_job *job = arg;
    fit_state *f = job->states[worker];
    const float *window = job->dense + row * f->cells;
    const double norm = norm_of(window, f->cells);
    dcls_fit_begin(f, window, norm > 0 ? 1 / norm : 0);
    f->enough = job->options->tolerance * job->options->tolerance;
    f->budget = job->options->effort * (f->version == DCLS_GAUSS ? GAUSS_BUDGET : TENT_BUDGET);
    f->rng = dcls_rng_stream(job->options->seed, (uint64_t)row);
    if (norm > 0) dcls_fit_search(f);
    put_row(job, f, row, norm);
    job->out->error[row] = sqrt(f->error);
    report(job);
}

static dcls_status run_job(dcls_context *ctx, fit_job *job, int threads)
{
    job->states = dcls_alloc_zero(ctx, (size_t)threads, sizeof *job->states);
    if (job->states == NULL) return DCLS_ERR_MEMORY;
    dcls_status status = DCLS_OK;
    for (int i = 0; i < threads && status == DCLS_OK; i++)
        status = dcls_fit_state_create(ctx, job->shape, &job->states[i]);
    if (status == DCLS_OK) dcls_parallel_for(threads, job->shape->rows, fit_row, job);
    for (int i = 0; i < threads; i++)
        dcls_fit_state_destroy(job->states[i]);
    free(job->states);
    return status;
}

/* Products of places stay within int. */
#define MOST_CELLS ((int64_t)1 << 26)

dcls_status dcls_kernel_fit(dcls_context *ctx, const dcls_kernel *shape, const float *dense,
                            const dcls_fit_options *options, int threads, dcls_fit_progress *progress,
                            void *arg, const dcls_fit_result *out)
{
    fit_job job = {
        .shape = shape, .dense = dense, .options = options, .out = out, .progress = progress, .arg = arg};
    if (dcls_kernel_cells(shape) > MOST_CELLS)
        return dcls_fail(ctx, DCLS_ERR_LIMIT,
                         "a window of %lld cells is too large to be fitted, %lld are the most",
                         (long long)dcls_kernel_cells(shape), (long long)MOST_CELLS);
    if (threads > shape->rows) threads = shape->rows > 0 ? (int)shape->rows : 1;
    if (pthread_mutex_init(&job.lock, NULL) != 0)
        return dcls_fail(ctx, DCLS_ERR_MEMORY, "cannot make a lock");
    const dcls_status status = run_job(ctx, &job, threads);
    pthread_mutex_destroy(&job.lock);
    return status;
}
