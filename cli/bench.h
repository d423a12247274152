/* dcls bench in parts: bench_measure.c measures, bench_print.c and bench_tune.c show. */
#ifndef DCLS_CLI_BENCH_H
#define DCLS_CLI_BENCH_H

#include "cli.h"
#include "dcls_analysis.h"

/* Seconds of one thing measured several times. */
typedef struct bench_time {
    double median, least, most;
} bench_time;

/* One plan, measured. */
typedef struct bench_run {
    dcls_plan *plan;
    const char *algo; /* as it was asked for */
    double plan_seconds;
    size_t repeats;
    bench_time whole;
    bench_time *steps; /* [dcls_plan_step_count(plan)] */
} bench_run;

/* dcls_algo by number. */
#define BENCH_ALGOS 4
extern const char *const bench_algo_names[BENCH_ALGOS];

typedef struct bench_result {
    const char *model;
    int ndim;
    int64_t shape[DCLS_MAX_DIMS];
    int threads;
    double peak_macs; /* per second */
    double peak_bf16; /* the same in bfloat16; 0: everything is in float */
    bench_run runs[BENCH_ALGOS];
    size_t count;  /* of runs; the first is auto or the one asked for */
    bool compared; /* algorithms side by side: runs are those of every dcls_algo, or of one, where there are
                      no DCLS layers */
    bool tune;     /* as predicted, too */
} bench_result;

typedef struct bench_wanted {
    dcls_algo first, last; /* a run of each */
    dcls_precision precision;
    int64_t repeats; /* 0: as many as fit into .. */
    double seconds;  /* .. of each run */
} bench_wanted;

/* Fills in what is measured: runs, which bench_release frees after a failure too, and peaks. */
dcls_status bench_measure(dcls_context *ctx, const dcls_model *model, const bench_wanted *wanted,
                          bench_result *result);
void bench_release(bench_result *result);

/* Multiply-accumulates of all steps. */
double bench_macs(const bench_run *run);

void bench_print_text(const bench_result *result);
/* An exit status; failures are reported. */
int bench_print_json(const cli *run, const bench_result *result);

/* Seconds of a step in a plan whose steps may be cut otherwise: found by its first node. */
double bench_time_of(const bench_run *run, const char *name, const char **algorithm);

/* One DCLS layer; arrays are by dcls_algo, from 1, and 0 where it cannot run so. Seconds. */
typedef struct bench_tuned {
    const char *name;
    double predicted[BENCH_ALGOS], measured[BENCH_ALGOS];
    int chosen, fastest;
    bool wrong; /* another one is clearly faster */
} bench_tuned;

/* False if that step of the first run is no DCLS layer. */
bool bench_tune_layer(const bench_result *result, size_t step, bench_tuned *out);
void bench_print_tune(const bench_result *result);
void bench_print_no_choice(void);
void bench_write_tune(dcls_json_writer *json, const bench_result *result);

#endif
