/* What bench measured, as a table and as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "bench.h"
#include "json_lists.h"
#include "numbers.h"
#include "output.h"
#include "shapes.h"
#include "table.h"

static double ms(double seconds)
{
    return 1e3 * seconds;
}

/* Two operations per multiply-accumulate. */
static double gflops(double macs, double seconds)
{
    return seconds > 0 ? 2e-9 * macs / seconds : 0;
}

/* Seconds a step would take at the peak of what it multiplies. */
static double at_peak(const bench_result *result, const dcls_step_facts *step)
{
    const bool bf16 = result->peak_bf16 > 0 && strstr(step->algorithm, "bf16") != NULL;
    const double peak = bf16 ? result->peak_bf16 : result->peak_macs;
    return peak > 0 ? step->macs / peak : 0;
}

static double share_of_peak(double at_peak, double seconds)
{
    return seconds > 0 ? at_peak / seconds : 0;
}

static double run_at_peak(const bench_result *result, const bench_run *run)
{
    double seconds = 0;
    for (size_t i = 0; i < dcls_plan_step_count(run->plan); i++) {
        const dcls_step_facts step = dcls_plan_step(run->plan, i);
        seconds += at_peak(result, &step);
    }
    return seconds;
}

static double items_per_second(const bench_result *result, const bench_run *run)
{
    return run->whole.median > 0 ? (double)result->shape[0] / run->whole.median : 0;
}

/* ---- text ---- */

static void add_made(columns *table, char *text)
{
    columns_add(table, text);
    free(text);
}

static void add_name(columns *table, const dcls_step_facts *step)
{
    if (strcmp(step->name, step->last) == 0)
        columns_add(table, step->name);
    else
        add_made(table, cli_format("%s..%s", step->name, step->last));
}

static void add_speed(columns *table, const bench_result *result, const dcls_step_facts *step, double seconds)
{
    if (step->macs > 0) {
        add_made(table, cli_format("%.1f", gflops(step->macs, seconds)));
        columns_add(table, cli_percent(share_of_peak(at_peak(result, step), seconds)).text);
    } else {
        columns_add(table, "");
        columns_add(table, "");
    }
}

static void print_steps(const bench_result *result, const bench_run *run)
{
    static const char *const titles[] = {"step",   "op",       "output",   "algorithm", ">ms",
                                         ">share", ">GFLOP/s", ">of peak", NULL};
    columns *table = columns_create(titles);
    for (size_t i = 0; i < dcls_plan_step_count(run->plan); i++) {
        const dcls_step_facts step = dcls_plan_step(run->plan, i);
        const double seconds = run->steps[i].median;
        char shape[SHAPE_TEXT];
        shape_crossed(shape, step.ndim - 1, step.shape + 1);
        add_name(table, &step);
        columns_add(table, step.op);
        columns_add(table, shape);
        columns_add(table, step.algorithm);
        add_made(table, cli_format("%.3f", ms(seconds)));
        columns_add(table, cli_percent(run->whole.median > 0 ? seconds / run->whole.median : 0).text);
        add_speed(table, result, &step, seconds);
    }
    columns_print(table, stdout, 2, cli_width());
    columns_destroy(table);
}

double bench_time_of(const bench_run *run, const char *name, const char **algorithm)
{
    for (size_t i = 0; i < dcls_plan_step_count(run->plan); i++) {
        const dcls_step_facts step = dcls_plan_step(run->plan, i);
        if (strcmp(step.name, name) != 0) continue;
        *algorithm = step.algorithm;
        return run->steps[i].median;
    }
    *algorithm = "";
    return 0;
}

/* DCLS layers, a column for each way to run them. */
static void print_algorithms(const bench_result *result)
{
    if (result->count == 1) {
        bench_print_no_choice();
        return;
    }
    static const char *const titles[] = {"layer",      "output",  ">auto",   "chosen",
                                         ">construct", ">im2col", ">sparse", NULL};
    columns *table = columns_create(titles);
    const bench_run *first = &result->runs[0];
    bool same = false; /* constructing ends in taps */
    for (size_t i = 0; i < dcls_plan_step_count(first->plan); i++) {
        const dcls_step_facts step = dcls_plan_step(first->plan, i);
        if (strcmp(step.op, "dcls") != 0) continue;
        char shape[SHAPE_TEXT];
        shape_crossed(shape, step.ndim - 1, step.shape + 1);
        columns_add(table, step.name);
        columns_add(table, shape);
        for (size_t r = 0; r < result->count; r++) {
            const char *algorithm;
            double seconds = bench_time_of(&result->runs[r], step.name, &algorithm);
            bool falls_back =
                strcmp(result->runs[r].algo, "im2col") == 0 && strcmp(algorithm, "interpolated") != 0;
            same =
                same || (strcmp(result->runs[r].algo, "construct") == 0 && strcmp(algorithm, "sparse") == 0);
            add_made(table, falls_back ? cli_copy("-") : cli_format("%.3f", ms(seconds)));
            if (r == 0) columns_add(table, algorithm);
        }
    }
    printf("\n%sDCLS layers, ms by algorithm%s\n", cli_bold(stdout), cli_plain(stdout));
    columns_print(table, stdout, 2, cli_width());
    columns_destroy(table);
    if (same) printf("  depthwise layers run as the same list of taps by construct and by sparse\n");
}

static void print_whole(const bench_result *result, const bench_run *run)
{
    const double macs = bench_macs(run), seconds = run->whole.median;
    printf("  %-9s %.3f ms (%.3f to %.3f, %s), %.1f items/s, %s multiply-accumulates, %.1f GFLOP/s, %s "
           "of peak; planned in %.1f ms\n",
           run->algo, ms(seconds), ms(run->whole.least), ms(run->whole.most),
           cli_counted((int64_t)run->repeats, "run").text, items_per_second(result, run),
           cli_count((int64_t)macs).text, gflops(macs, seconds),
           cli_percent(share_of_peak(run_at_peak(result, run), seconds)).text, ms(run->plan_seconds));
}

void bench_print_text(const bench_result *result)
{
    char shape[SHAPE_TEXT], *name = cli_printable(result->model);
    shape_text(shape, result->ndim, result->shape);
    printf("%s%s: input %s, %d thread%s, peak %.0f GFLOP/s", cli_bold(stdout), name, shape, result->threads,
           result->threads == 1 ? "" : "s", 2e-9 * result->peak_macs);
    if (result->peak_bf16 > 0) printf(", %.0f in bfloat16", 2e-9 * result->peak_bf16);
    printf("%s\n", cli_plain(stdout));
    free(name);
    print_steps(result, &result->runs[0]);
    if (result->tune)
        bench_print_tune(result);
    else if (result->compared)
        print_algorithms(result);
    printf("\n%swhole run%s\n", cli_bold(stdout), cli_plain(stdout));
    for (size_t i = 0; i < result->count; i++)
        print_whole(result, &result->runs[i]);
}

/* ---- JSON ---- */

static void write_time(dcls_json_writer *json, const bench_time *time)
{
    dcls_json_write_double(json, "median_ms", ms(time->median));
    dcls_json_write_double(json, "min_ms", ms(time->least));
    dcls_json_write_double(json, "max_ms", ms(time->most));
}

/* Of what multiplies nothing there is no speed. */
static void write_speed(dcls_json_writer *json, double macs, double peak_seconds, double seconds)
{
    dcls_json_write_int(json, "macs_done", (int64_t)macs);
    cli_json_double_if(json, macs > 0, "gflops", gflops(macs, seconds));
    cli_json_double_if(json, macs > 0, "share_of_peak", share_of_peak(peak_seconds, seconds));
}

static void write_step(dcls_json_writer *json, const bench_result *result, const bench_run *run, size_t index)
{
    const dcls_step_facts step = dcls_plan_step(run->plan, index);
    const bench_time *time = &run->steps[index];
    dcls_json_write_open(json, NULL, '{');
    dcls_json_write_string(json, "name", step.name);
    dcls_json_write_string(json, "last", step.last);
    dcls_json_write_string(json, "op", step.op);
    dcls_json_write_string(json, "algorithm", step.algorithm[0] != '\0' ? step.algorithm : NULL);
    cli_json_sizes(json, "output_shape", step.ndim, step.shape);
    write_time(json, time);
    write_speed(json, step.macs, at_peak(result, &step), time->median);
    dcls_json_write_close(json, '}');
}

static void write_run(dcls_json_writer *json, const bench_result *result, const bench_run *run)
{
    dcls_json_write_open(json, NULL, '{');
    dcls_json_write_string(json, "algo", run->algo);
    dcls_json_write_int(json, "repeats", (int64_t)run->repeats);
    write_time(json, &run->whole);
    dcls_json_write_double(json, "plan_ms", ms(run->plan_seconds));
    dcls_json_write_int(json, "plan_bytes", (int64_t)dcls_plan_memory(run->plan));
    dcls_json_write_double(json, "items_per_second", items_per_second(result, run));
    write_speed(json, bench_macs(run), run_at_peak(result, run), run->whole.median);
    dcls_json_write_open(json, "steps", '[');
    for (size_t i = 0; i < dcls_plan_step_count(run->plan); i++)
        write_step(json, result, run, i);
    dcls_json_write_close(json, ']');
    dcls_json_write_close(json, '}');
}

int bench_print_json(const cli *run, const bench_result *result)
{
    dcls_json_writer *json;
    dcls_status status = dcls_json_writer_create(run->ctx, 2, &json);
    if (status != DCLS_OK) return cli_fail(NULL, status, run->ctx);
    dcls_json_write_open(json, NULL, '{');
    dcls_json_write_string(json, "model", result->model);
    cli_json_sizes(json, "input_shape", result->ndim, result->shape);
    dcls_json_write_int(json, "threads", result->threads);
    dcls_json_write_string(json, "precision", result->peak_bf16 > 0 ? "bf16" : "fp32");
    dcls_json_write_double(json, "peak_gflops", 2e-9 * result->peak_macs);
    if (result->peak_bf16 > 0) dcls_json_write_double(json, "peak_bf16_gflops", 2e-9 * result->peak_bf16);
    dcls_json_write_open(json, "runs", '[');
    for (size_t i = 0; i < result->count; i++)
        write_run(json, result, &result->runs[i]);
    dcls_json_write_close(json, ']');
    if (result->tune) bench_write_tune(json, result);
    dcls_json_write_close(json, '}');
    int result_status = cli_print_json(json);
    dcls_json_writer_destroy(json);
    return result_status;
}
