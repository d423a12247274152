/* dcls bench: where the time of a network goes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "bench.h"
#include "input_shape.h"
#include "models.h"
#include "options.h"
#include "output.h"

typedef struct bench_options {
    const char *model, *input;
    int64_t batch, repeats;
    double seconds;
    int algo, precision;
    bool tune, json;
} bench_options;

#define AT(field) offsetof(bench_options, field)

static const cli_option options[] = {
    {"model", 'm', CLI_TEXT, "MODEL", AT(model),
     "the same as MODEL: a file or builtin:NAME (default: the built-in classifier)", 0, 0},
    {"input", 0, CLI_TEXT, "HxW", AT(input),
     "input size, for models that leave it open (default: what preprocessing makes of pictures, else "
     "224x224)",
     0, 0},
    {"batch", 'b', CLI_INT, "N", AT(batch), "items in one run (default: 1)", 1, 65536},
    {"algo", 0, CLI_CHOICE, "auto|construct|im2col|sparse|all", AT(algo),
     "how DCLS layers run; all compares them side by side (default: auto)", 0, 0},
    {"precision", 0, CLI_CHOICE, "fp32|bf16", AT(precision),
     "what pointwise and full convolutions multiply: float, or bfloat16 with float sums (default: fp32)", 0,
     0},
    {"tune", 0, CLI_FLAG, NULL, AT(tune),
     "time of every algorithm that each DCLS layer could run with, as predicted and as measured, and where "
     "the choice was wrong",
     0, 0},
    {"repeat", 'r', CLI_INT, "N", AT(repeats),
     "runs that are measured, after one tenth as many to warm up (default: as many as fit into --seconds)", 1,
     1000000},
    {"seconds", 's', CLI_REAL, "S", AT(seconds), "how long to measure each plan (default: 2)", 0.001, 86400},
    {"json", 0, CLI_FLAG, NULL, AT(json), "everything, as one JSON object", 0, 0},
    {0}};

static const bench_options defaults = {.batch = 1, .seconds = 2};

const char *const bench_algo_names[BENCH_ALGOS] = {"auto", "construct", "im2col", "sparse"};
#define ALL_ALGOS BENCH_ALGOS

#define LEAST_REPEATS 3
#define MOST_REPEATS  100000

double bench_macs(const bench_run *run)
{
    double macs = 0;
    for (size_t i = 0; i < dcls_plan_step_count(run->plan); i++)
        macs += dcls_plan_step(run->plan, i).macs;
    return macs;
}

/* ---- measuring ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

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

struct buffers {
    float *input, *output;
    double *samples; /* [repeats, steps], then [repeats] for whole runs, then [repeats] to sort */
};

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
static dcls_status warm_up(dcls_context *ctx, const bench_options *o, bench_run *run, struct buffers *b)
{
    const double start = now();
    size_t runs = 0, wanted = o->repeats > 0 ? ((size_t)o->repeats + 9) / 10 : SIZE_MAX;
    double least = INFINITY, before = start;
    do {
        dcls_status status = dcls_plan_run(ctx, run->plan, b->input, b->output);
        if (status != DCLS_OK) return status;
        const double after = now();
        least = fmin(least, after - before);
        before = after;
        runs++;
    } while (runs < wanted && (o->repeats > 0 || before - start < o->seconds / 5));
    double fit = o->seconds / fmax(least, 1e-9);
    run->repeats = o->repeats > 0        ? (size_t)o->repeats
                   : fit < LEAST_REPEATS ? LEAST_REPEATS
                   : fit > MOST_REPEATS  ? MOST_REPEATS
                                         : (size_t)fit;
    return DCLS_OK;
}

static dcls_status measure_steps(dcls_context *ctx, bench_run *run, struct buffers *b)
{
    size_t steps = dcls_plan_step_count(run->plan), repeats = run->repeats;
    b->samples = cli_alloc(repeats * steps + 2 * repeats, sizeof *b->samples);
    double *whole = b->samples + repeats * steps, *sorted = whole + repeats;
    for (size_t r = 0; r < repeats; r++) {
        double *seconds = b->samples + r * steps;
        const double before = now();
        dcls_status status = dcls_plan_run_timed(ctx, run->plan, b->input, b->output, seconds);
        if (status != DCLS_OK) return status;
        whole[r] = now() - before;
    }
    run->whole = summarize(whole, repeats);
    run->steps = cli_alloc(steps + 1, sizeof *run->steps);
    for (size_t s = 0; s < steps; s++) {
        for (size_t r = 0; r < repeats; r++)
            sorted[r] = b->samples[r * steps + s];
        run->steps[s] = summarize(sorted, repeats);
    }
    return DCLS_OK;
}

static dcls_status measure(dcls_context *ctx, const dcls_model *model, const bench_options *o,
                           const bench_result *result, dcls_algo algo, bench_run *run)
{
    dcls_plan_options plan_options = dcls_plan_options_default();
    plan_options.algo = algo;
    plan_options.precision = (dcls_precision)o->precision;
    run->algo = bench_algo_names[algo];
    const double before = now();
    dcls_status status = dcls_plan_create(ctx, model, &plan_options, result->ndim, result->shape, &run->plan);
    if (status != DCLS_OK) return status;
    run->plan_seconds = now() - before;

    size_t count = count_of(result->ndim, result->shape);
    struct buffers b = {.input = cli_alloc(count, sizeof *b.input),
                        .output = cli_alloc(dcls_plan_output_count(run->plan), sizeof *b.output)};
    fill_input(b.input, count);
    status = warm_up(ctx, o, run, &b);
    if (status == DCLS_OK) status = measure_steps(ctx, run, &b);
    free(b.input);
    free(b.output);
    free(b.samples);
    return status;
}

/* ---- the command ---- */

static int measure_all(cli *run, const dcls_model *model, const bench_options *o, bench_result *result)
{
    bool all = o->algo == ALL_ALGOS || o->tune;
    for (int i = all ? 0 : o->algo; i <= (all ? ALL_ALGOS - 1 : o->algo); i++) {
        bench_run *next = &result->runs[result->count++];
        dcls_status status = measure(run->ctx, model, o, result, (dcls_algo)i, next);
        if (status != DCLS_OK) return cli_fail(result->model, status, run->ctx);
    }
    return CLI_OK;
}

static int bench_model(cli *run, const dcls_model *model, const char *name, const bench_options *o)
{
    cli_input input;
    int status = cli_input_choose(run, model, o->input, &input);
    if (status != CLI_OK) return status;
    cli_note_precision(run, o->precision);
    bench_result result = {.model = name,
                           .ndim = input.ndim,
                           .threads = dcls_context_threads(run->ctx),
                           .peak_macs = dcls_peak_macs(run->ctx),
                           .peak_bf16 =
                               o->precision == DCLS_PRECISION_BF16 ? dcls_peak_bf16_macs(run->ctx) : 0,
                           .tune = o->tune};
    memcpy(result.shape, input.shape, sizeof result.shape);
    result.shape[0] = o->batch;
    status = measure_all(run, model, o, &result);
    if (status == CLI_OK && o->json)
        status = bench_print_json(run, &result);
    else if (status == CLI_OK)
        bench_print_text(&result);
    for (size_t i = 0; i < result.count; i++) {
        dcls_plan_destroy(result.runs[i].plan);
        free(result.runs[i].steps);
    }
    return status;
}

static int run_bench(cli *run, const void *values, cli_operands operands)
{
    const bench_options *o = values;
    const char *name = operands.count > 0 ? operands.items[0] : o->model;
    if (operands.count > 0 && o->model != NULL) {
        cli_error("bench", "'%s' and -m %s: give one model", name, o->model);
        return CLI_USAGE;
    }
    if (o->tune && o->algo != DCLS_ALGO_AUTO && o->algo != ALL_ALGOS) {
        cli_error("bench", "--tune compares all algorithms: leave --algo %s out", bench_algo_names[o->algo]);
        return CLI_USAGE;
    }
    dcls_model *model;
    int status = cli_model_load(run, name, &model);
    if (status != CLI_OK) return status;
    char *called = cli_model_spec(name);
    status = bench_model(run, model, called, o);
    free(called);
    dcls_model_destroy(model);
    return status;
}

const cli_command cli_cmd_bench = {
    .name = "bench",
    .summary = "where the time goes; algorithms side by side",
    .operands = "[MODEL]",
    .about =
        "Runs a network on made-up input and shows, for every step of its plan, the algorithm, the time, "
        "the speed in "
        "GFLOP/s (two per multiply-accumulate that the algorithm really does), the share of the whole and "
        "the share of what this processor's vector unit can do at most, measured at the start.\n\n"
        "Times are medians over all runs; the last lines give the whole run with its spread. Loading and "
        "planning are not part of them.",
    .examples = "  dcls bench\n"
                "  dcls bench model.bin --threads 1\n"
                "  dcls bench builtin:dclsseg-camvid --input 360x480 --algo all\n"
                "  dcls bench model.bin --tune\n"
                "  dcls bench --json | jq '.runs[0].median_ms'\n",
    .options = options,
    .values_size = sizeof(bench_options),
    .defaults = &defaults,
    .min_operands = 0,
    .max_operands = 1,
    .run = run_bench,
};
