/* dcls bench in parts: cmd_bench.c measures, bench_print.c shows. */
#ifndef DCLS_CLI_BENCH_H
#define DCLS_CLI_BENCH_H

#include "cli.h"

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

typedef struct bench_result {
    const char *model;
    int ndim;
    int64_t shape[DCLS_MAX_DIMS];
    int threads;
    double peak_macs; /* per second */
    bench_run runs[4];
    size_t count; /* of runs; the first is auto or the one asked for */
} bench_result;

/* Multiply-accumulates of all steps. */
double bench_macs(const bench_run *run);

void bench_print_text(const bench_result *result);
/* An exit status; failures are reported. */
int bench_print_json(const cli *run, const bench_result *result);

#endif
