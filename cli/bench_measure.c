/* Times of plans and of their steps. What else the machine does comes and goes, so plans that are to be
 * compared are measured in turns, some runs of each at a time. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "bench.h"
#include "stopwatch.h"

#define LEAST_REPEATS 3
#define MOST_REPEATS  100000
#define TURNS         10

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts values. */
static bench_time summarize(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_size);
    return (bench_time){.median = (values[(count - 1) / 2] + values[count / 2]) / 2,
                        .least = values[0],
                        .most = values[count - 1]};
}

/* One plan on its way. */
typedef struct course {
    bench_run *run;
    float *input, *output;
    size_t steps, done;
    double *samples; /* [repeats, steps] */
    double *whole;   /* [repeats] */
} course;

static size_t count_of(int ndim, const int64_t *shape)
{
    size_t count = 1;
    for (int i = 0; i < ndim; i++)
        count *= (size_t)shape[i]; /* the plan has checked that it fits */
    return count;
}

/* Neither zeros nor denormal numbers, which some processors take longer for. */
static void fill_input(float *input, size_t count)
{
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        input[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
}

/* Warm runs tell how many fit into the time. */
static dcls_status warm_up(dcls_context *ctx, const bench_wanted *wanted, course *c)
{
    const double start = cli_now();
    const size_t enough = wanted->repeats > 0 ? ((size_t)wanted->repeats + 9) / 10 : SIZE_MAX;
    size_t runs = 0;
    double least = INFINITY, before = start;
    do {
        const dcls_status status = dcls_plan_run(ctx, c->run->plan, c->input, c->output);
        if (status != DCLS_OK) return status;
        const double after = cli_now();
        least = fmin(least, after - before);
        before = after;
        runs++;
    } while (runs < enough && (wanted->repeats > 0 || before - start < wanted->seconds / 5));
    const double fit = wanted->seconds / fmax(least, 1e-9);
    c->run->repeats = wanted->repeats > 0   ? (size_t)wanted->repeats
                      : fit < LEAST_REPEATS ? LEAST_REPEATS
                      : fit > MOST_REPEATS  ? MOST_REPEATS
                                            : (size_t)fit;
    return DCLS_OK;
}

static dcls_status prepare(dcls_context *ctx, const dcls_model *model, const bench_wanted *wanted,
                           const bench_result *result, dcls_algo algo, course *c)
{
    dcls_plan_options options = dcls_plan_options_default();
    options.algo = algo;
    options.precision = wanted->precision;
    c->run->algo = bench_algo_names[algo];
    const double before = cli_now();
    dcls_status status = dcls_plan_create(ctx, model, &options, result->ndim, result->shape, &c->run->plan);
    if (status != DCLS_OK) return status;
    c->run->plan_seconds = cli_now() - before;
    const size_t count = count_of(result->ndim, result->shape);
    c->input = cli_alloc(count, sizeof *c->input);
    c->output = cli_alloc(dcls_plan_output_count(c->run->plan), sizeof *c->output);
    fill_input(c->input, count);
    status = warm_up(ctx, wanted, c);
    if (status != DCLS_OK) return status;
    c->steps = dcls_plan_step_count(c->run->plan);
    c->samples = cli_alloc(c->run->repeats * c->steps + c->run->repeats, sizeof *c->samples);
    c->whole = c->samples + c->run->repeats * c->steps;
    return DCLS_OK;
}

/* The first run of a turn finds the caches as the other plans left them, and does not count. */
static dcls_status run_until(dcls_context *ctx, course *c, size_t end, bool alone)
{
    if (!alone && c->done < end) {
        const dcls_status status = dcls_plan_run(ctx, c->run->plan, c->input, c->output);
        if (status != DCLS_OK) return status;
    }
    for (; c->done < end; c->done++) {
        const double before = cli_now();
        const dcls_status status =
            dcls_plan_run_timed(ctx, c->run->plan, c->input, c->output, c->samples + c->done * c->steps);
        if (status != DCLS_OK) return status;
        c->whole[c->done] = cli_now() - before;
    }
    return DCLS_OK;
}

static void conclude(const course *c)
{
    bench_run *run = c->run;
    double *sorted = cli_alloc(run->repeats, sizeof *sorted);
    run->steps = cli_alloc(c->steps + 1, sizeof *run->steps);
    for (size_t s = 0; s < c->steps; s++) {
        for (size_t r = 0; r < run->repeats; r++)
            sorted[r] = c->samples[r * c->steps + s];
        run->steps[s] = summarize(sorted, run->repeats);
    }
    run->whole = summarize(c->whole, run->repeats);
    free(sorted);
}

static bool has_dcls_layers(const dcls_plan *plan)
{
    bool any = false;
    for (size_t i = 0; i < dcls_plan_step_count(plan); i++)
        any = any || strcmp(dcls_plan_step(plan, i).op, "dcls") == 0;
    return any;
}

static dcls_status measure(dcls_context *ctx, const dcls_model *model, const bench_wanted *wanted,
                           bench_result *result, course *courses)
{
    size_t count = 0;
    for (int algo = (int)wanted->first; algo <= (int)wanted->last; algo++) {
        course *c = &courses[count];
        c->run = &result->runs[count++];
        result->count = count;
        const dcls_status status = prepare(ctx, model, wanted, result, (dcls_algo)algo, c);
        if (status != DCLS_OK) return status;
        if (!has_dcls_layers(c->run->plan)) break; /* all plans would be this one */
    }
    for (size_t turn = 1; turn <= TURNS; turn++)
        for (size_t i = 0; i < count; i++) {
            const dcls_status status =
                run_until(ctx, &courses[i], courses[i].run->repeats * turn / TURNS, count == 1);
            if (status != DCLS_OK) return status;
        }
    for (size_t i = 0; i < count; i++)
        conclude(&courses[i]);
    return DCLS_OK;
}

/* The most that was seen. */
static void measure_peaks(dcls_context *ctx, const bench_wanted *wanted, bench_result *result)
{
    result->peak_macs = fmax(result->peak_macs, dcls_peak_macs(ctx));
    if (wanted->precision == DCLS_PRECISION_BF16)
        result->peak_bf16 = fmax(result->peak_bf16, dcls_peak_bf16_macs(ctx));
}

dcls_status bench_measure(dcls_context *ctx, const dcls_model *model, const bench_wanted *wanted,
                          bench_result *result)
{
    course courses[BENCH_ALGOS] = {{0}};
    measure_peaks(ctx, wanted, result);
    const dcls_status status = measure(ctx, model, wanted, result, courses);
    if (status == DCLS_OK) measure_peaks(ctx, wanted, result);
    for (int i = 0; i < BENCH_ALGOS; i++) {
        free(courses[i].input);
        free(courses[i].output);
        free(courses[i].samples);
    }
    return status;
}

void bench_release(bench_result *result)
{
    for (size_t i = 0; i < result->count; i++) {
        dcls_plan_destroy(result->runs[i].plan);
        free(result->runs[i].steps);
    }
}
