/* Inputs in flight: every worker takes the next input, works on it alone and waits for its turn to print. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "alloc.h"
#include "infer.h"
#include "output.h"
#include "progress.h"
#include "shapes.h"

struct pool {
    const infer_shared *infer;
    cli_inputs *inputs;
    atomic_int in_flight;
    pthread_mutex_t taking; /* inputs, taken */
    uint64_t taken;
    pthread_mutex_t printing; /* what follows */
    pthread_cond_t turn_changed;
    uint64_t turn; /* the input whose result is printed next */
    infer_logits *logits;
    infer_counts *counts;
    int status;
    cli_progress progress;
    atomic_bool stop;
};

struct job {
    cli_input input;
    char *stem;
    uint64_t number;
};

/* ---- taking ---- */

static bool take_job(struct pool *pool, struct job *job)
{
    *job = (struct job){0};
    pthread_mutex_lock(&pool->taking);
    bool taken = !atomic_load(&pool->stop) && cli_inputs_next(pool->inputs, &job->input);
    if (taken) {
        job->number = pool->taken++;
        atomic_fetch_add(&pool->in_flight, 1);
        if (pool->infer->stems != NULL) job->stem = stems_take(pool->infer->stems, job->input.name);
    }
    pthread_mutex_unlock(&pool->taking);
    return taken;
}

static void work_on(infer_worker *worker, struct job *job, infer_result *result)
{
    *result = (infer_result){0};
    if (job->input.error == NULL) {
        infer_input(worker, job->input.name, job->stem, result);
        return;
    }
    result->error = cli_copy(job->input.error);
    result->status = job->input.status;
}

/* ---- printing, in turn ---- */

static void stop(struct pool *pool, int status)
{
    pool->status = status;
    atomic_store(&pool->stop, true);
}

/* A count on the terminal while results go elsewhere. */
static void show_progress(struct pool *pool)
{
    if (!cli_progress_due(&pool->progress)) return;
    char *line =
        cli_format("%" PRIu64 " inputs, %" PRIu64 " failed", pool->counts->inputs, pool->counts->failed);
    cli_progress_show(&pool->progress, line);
    free(line);
}

static void add_logits(struct pool *pool, const struct job *job, const infer_logits *logits)
{
    if (logits->count == 0) return;
    char shape[SHAPE_TEXT], before[SHAPE_TEXT];
    uint64_t limit = dcls_context_limit(pool->infer->run->ctx, DCLS_LIMIT_MEMORY_BYTES);
    dcls_status status =
        infer_logits_add(pool->logits, logits->ndim, logits->shape, logits->data, logits->count, limit);
    if (status == DCLS_OK) return;
    cli_progress_end(&pool->progress);
    shape_text(shape, logits->ndim, logits->shape);
    shape_text(before, pool->logits->ndim, pool->logits->shape);
    if (status == DCLS_ERR_ARGUMENT)
        cli_error("--logits", "'%s' gives %s, the inputs before it %s: they cannot be one array",
                  job->input.name, shape, before);
    else
        cli_error("--logits", "outputs take more memory than the limit of %" PRIu64 " bytes", limit);
    stop(pool, cli_exit_of(status));
}

static void print_result(struct pool *pool, const struct job *job, const infer_result *result)
{
    infer_counts *counts = pool->counts;
    counts->inputs++;
    if (result->not_finite && counts->not_finite++ == 0) counts->first_not_finite = cli_copy(job->input.name);
    if (result->error != NULL) {
        cli_progress_end(&pool->progress);
        cli_error(job->input.name, "%s", result->error);
        if (counts->failed++ == 0) counts->first_status = result->status;
        if (pool->infer->options->fail_fast) atomic_store(&pool->stop, true);
    } else {
        if (result->text_size > 0) fwrite(result->text, 1, result->text_size, stdout);
        if (!cli_flush()) stop(pool, CLI_IO);
        add_logits(pool, job, &result->logits);
    }
    show_progress(pool);
}

static void deliver(struct pool *pool, const struct job *job, const infer_result *result)
{
    pthread_mutex_lock(&pool->printing);
    while (pool->turn != job->number)
        pthread_cond_wait(&pool->turn_changed, &pool->printing);
    if (!atomic_load(&pool->stop)) print_result(pool, job, result);
    pool->turn++;
    pthread_cond_broadcast(&pool->turn_changed);
    pthread_mutex_unlock(&pool->printing);
}

/* ---- workers ---- */

static void copy_settings(const struct pool *pool, dcls_context *ctx)
{
    for (int limit = 0; limit < DCLS_LIMIT_COUNT; limit++)
        dcls_context_set_limit(ctx, (dcls_limit)limit,
                               dcls_context_limit(pool->infer->run->ctx, (dcls_limit)limit));
    (void)dcls_context_set_threads(ctx, dcls_context_threads(pool->infer->run->ctx));
}

static void *work(void *argument)
{
    struct pool *pool = argument;
    infer_worker worker = {.infer = pool->infer, .in_flight = &pool->in_flight};
    struct job job;
    (void)dcls_context_create(&worker.ctx);
    cli_checked(worker.ctx);
    copy_settings(pool, worker.ctx);
    (void)dcls_json_writer_create(worker.ctx, 0, &worker.json);
    cli_checked(worker.json);
    while (take_job(pool, &job)) {
        infer_result result;
        work_on(&worker, &job, &result);
        atomic_fetch_sub(&pool->in_flight, 1);
        deliver(pool, &job, &result);
        infer_result_free(&result);
        cli_input_free(&job.input);
        free(job.stem);
    }
    plan_cache_clear(&worker.plans);
    dcls_json_writer_destroy(worker.json);
    dcls_context_destroy(worker.ctx);
    return NULL;
}

/* The calling thread is a worker too; where no further thread can be had, fewer inputs are in flight. */
static void run_workers(struct pool *pool, int jobs)
{
    pthread_t *threads = cli_alloc((size_t)jobs, sizeof *threads);
    int started = 0;
    while (started < jobs - 1 && pthread_create(&threads[started], NULL, work, pool) == 0)
        started++;
    work(pool);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(threads);
}

/* Every worker has weights of its own: this much for all of them together, and never more than so many. */
#define WEIGHTS_BYTES ((size_t)1 << 30)
#define MOST_JOBS     16

static size_t weights_bytes(const dcls_model *model)
{
    const dcls_tensors *tensors = dcls_model_tensors(model);
    size_t bytes = 1;
    for (size_t i = 0; i < dcls_tensors_count(tensors); i++)
        bytes += dcls_tensors_at(tensors, i)->nbytes;
    return bytes;
}

/* Several inputs at once, a thread each, overlap what only one thread can do: reading, decoding, resizing and
 * printing. Nothing behind a failure is to be begun with --fail-fast. */
static int choose_jobs(const infer_shared *infer, const cli_inputs *inputs)
{
    int jobs = dcls_context_threads(infer->run->ctx);
    if (infer->options->jobs > 0) return (int)infer->options->jobs;
    if (infer->options->fail_fast || !cli_inputs_several(inputs)) return 1;
    const size_t fitting = WEIGHTS_BYTES / weights_bytes(infer->model);
    if (jobs > MOST_JOBS) jobs = MOST_JOBS;
    if ((size_t)jobs > fitting) jobs = (int)fitting;
    return jobs > 0 ? jobs : 1;
}

bool infer_run_jobs(const infer_shared *infer, cli_inputs *inputs, infer_logits *logits, infer_counts *counts,
                    int *status)
{
    struct pool pool = {.infer = infer,
                        .inputs = inputs,
                        .taking = PTHREAD_MUTEX_INITIALIZER,
                        .printing = PTHREAD_MUTEX_INITIALIZER,
                        .turn_changed = PTHREAD_COND_INITIALIZER,
                        .logits = logits,
                        .counts = counts};
    cli_progress_begin(&pool.progress, infer->run);
    pool.progress.shown = pool.progress.shown && isatty(STDOUT_FILENO) != 1;
    run_workers(&pool, choose_jobs(infer, inputs));
    cli_progress_end(&pool.progress);
    *status = pool.status;
    return pool.status == CLI_OK;
}
