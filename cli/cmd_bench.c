/* dcls bench: where the time of a network goes. */
#include <stdlib.h>
#include <string.h>

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

double bench_macs(const bench_run *run)
{
    double macs = 0;
    for (size_t i = 0; i < dcls_plan_step_count(run->plan); i++)
        macs += dcls_plan_step(run->plan, i).macs;
    return macs;
}

static int bench_model(cli *run, const dcls_model *model, const char *name, const bench_options *o)
{
    cli_input_shape input;
    int status = cli_input_choose(run, model, o->input, &input);
    if (status != CLI_OK) return status;
    cli_note_precision(run, o->precision);
    bench_result result = {
        .model = name, .ndim = input.ndim, .threads = dcls_context_threads(run->ctx), .tune = o->tune};
    memcpy(result.shape, input.shape, sizeof result.shape);
    result.shape[0] = o->batch;
    const bool all = result.compared = o->algo == ALL_ALGOS || o->tune;
    const bench_wanted wanted = {.first = all ? DCLS_ALGO_AUTO : (dcls_algo)o->algo,
                                 .last = all ? (dcls_algo)(BENCH_ALGOS - 1) : (dcls_algo)o->algo,
                                 .precision = (dcls_precision)o->precision,
                                 .repeats = o->repeats,
                                 .seconds = o->seconds};
    const dcls_status measured = bench_measure(run->ctx, model, &wanted, &result);
    if (measured != DCLS_OK) status = cli_fail(name, measured, run->ctx);
    if (status == CLI_OK && o->json)
        status = bench_print_json(run, &result);
    else if (status == CLI_OK)
        bench_print_text(&result);
    bench_release(&result);
    return status;
}

static int run_bench(cli *run, const void *values, cli_operands operands)
{
    const bench_options *o = values;
    const char *name;
    if (!cli_model_named("bench", operands, o->model, &name)) return CLI_USAGE;
    if (o->tune && o->algo != DCLS_ALGO_AUTO && o->algo != ALL_ALGOS) {
        cli_error("bench", "--tune compares all algorithms: leave --algo %s out", bench_algo_names[o->algo]);
        return CLI_USAGE;
    }
    dcls_model *model;
    int status = cli_description_load(run, name, NULL, &model);
    if (status == CLI_OK && model == NULL) status = cli_model_load(run, name, &model);
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
        "the share of what this processor's vector unit can do at most, measured before and after.\n\n"
        "Times are medians over all runs; the last lines give the whole run with its spread. Loading and "
        "planning are not part of them. Several plans are measured in turns.",
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
