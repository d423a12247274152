/* dcls bench --tune: what the plan's cost model predicted, beside what was measured. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "bench.h"
#include "output.h"
#include "shapes.h"
#include "table.h"

/* Another algorithm must be this much faster for the choice to count as wrong: closer than that, runs decide.
 */
#define WRONG 1.1

static double ms(double seconds)
{
    return 1e3 * seconds;
}

/* Seconds, 0 where the algorithm cannot run. */
static double predicted(const bench_result *result, const dcls_step_facts *step, int algo)
{
    return isfinite(step->predicted[algo]) && result->peak_macs > 0
               ? step->predicted[algo] / result->peak_macs
               : 0;
}

/* The cells of a constructed depthwise kernel are a list of taps, as they are for DCLS_ALGO_SPARSE. */
static bool runs_as_taps(const char *algorithm)
{
    return strcmp(algorithm, "sparse") == 0;
}

bool bench_tune_layer(const bench_result *result, size_t step, bench_tuned *out)
{
    const dcls_step_facts facts = dcls_plan_step(result->runs[0].plan, step);
    if (strcmp(facts.op, "dcls") != 0) return false;
    *out = (bench_tuned){.name = facts.name};
    for (int algo = 1; algo < BENCH_ALGOS; algo++) {
        const bench_run *run = &result->runs[algo];
        const double guess = predicted(result, &facts, algo);
        const char *algorithm;
        const double measured = bench_time_of(run, facts.name, &algorithm);
        if (guess <= 0 || (algo == DCLS_ALGO_CONSTRUCT && runs_as_taps(algorithm))) continue;
        out->predicted[algo] = guess;
        out->measured[algo] = measured;
        if (out->fastest == 0 || measured < out->measured[out->fastest]) out->fastest = algo;
    }
    out->chosen = out->measured[facts.algo] > 0 ? (int)facts.algo : DCLS_ALGO_SPARSE;
    out->wrong = out->measured[out->chosen] > WRONG * out->measured[out->fastest];
    return true;
}

static void add_pair(columns *table, double measured, double guess)
{
    const double values[] = {measured, guess};
    for (int i = 0; i < 2; i++) {
        char *text = guess > 0 ? cli_format("%.3f", ms(values[i])) : cli_copy("-");
        columns_add(table, text);
        free(text);
    }
}

static void add_layer(columns *table, const bench_tuned *layer, const dcls_step_facts *step)
{
    char shape[SHAPE_TEXT];
    shape_crossed(shape, step->ndim - 1, step->shape + 1);
    columns_add(table, layer->name);
    columns_add(table, shape);
    for (int algo = 1; algo < BENCH_ALGOS; algo++)
        add_pair(table, layer->measured[algo], layer->predicted[algo]);
    columns_add(table, bench_algo_names[layer->chosen]);
    char *verdict = layer->wrong
                        ? cli_format("%s is %.2f times as fast", bench_algo_names[layer->fastest],
                                     layer->measured[layer->chosen] / layer->measured[layer->fastest])
                        : cli_copy("");
    columns_add(table, verdict);
    free(verdict);
}

void bench_print_no_choice(void)
{
    printf("\nno DCLS layers: there is nothing to choose\n");
}

void bench_print_tune(const bench_result *result)
{
    static const char *const titles[] = {"layer",   "output",     ">construct", ">predicted",
                                         ">im2col", ">predicted", ">sparse",    ">predicted",
                                         "chosen",  "wrong if",   NULL};
    columns *table = columns_create(titles);
    const dcls_plan *plan = result->runs[0].plan;
    size_t layers = 0, wrong = 0;
    double spent = 0, least = 0;
    for (size_t i = 0; i < dcls_plan_step_count(plan); i++) {
        bench_tuned layer;
        const dcls_step_facts step = dcls_plan_step(plan, i);
        if (!bench_tune_layer(result, i, &layer)) continue;
        add_layer(table, &layer, &step);
        layers++;
        wrong += layer.wrong;
        spent += layer.measured[layer.chosen];
        least += layer.measured[layer.fastest];
    }
    if (layers == 0) {
        columns_destroy(table);
        bench_print_no_choice();
        return;
    }
    printf("\n%schoice of algorithms, ms measured and predicted%s\n", cli_bold(stdout), cli_plain(stdout));
    columns_print(table, stdout, 2, cli_width());
    columns_destroy(table);
    printf(
        "  %zu of %zu layers would run more than 10%% faster otherwise; chosen algorithms take %.3f ms, the "
        "fastest %.3f ms\n",
        wrong, layers, ms(spent), ms(least));
}

/* ---- JSON ---- */

static void write_layer(dcls_json_writer *json, const bench_tuned *layer)
{
    dcls_json_write_open(json, NULL, '{');
    dcls_json_write_string(json, "name", layer->name);
    dcls_json_write_string(json, "chosen", bench_algo_names[layer->chosen]);
    dcls_json_write_string(json, "fastest", bench_algo_names[layer->fastest]);
    dcls_json_write_bool(json, "wrong", layer->wrong);
    dcls_json_write_open(json, "algos", '{');
    for (int algo = 1; algo < BENCH_ALGOS; algo++) {
        if (layer->predicted[algo] <= 0) continue;
        dcls_json_write_open(json, bench_algo_names[algo], '{');
        dcls_json_write_double(json, "predicted_ms", ms(layer->predicted[algo]));
        dcls_json_write_double(json, "measured_ms", ms(layer->measured[algo]));
        dcls_json_write_close(json, '}');
    }
    dcls_json_write_close(json, '}');
    dcls_json_write_close(json, '}');
}

void bench_write_tune(dcls_json_writer *json, const bench_result *result)
{
    bench_tuned layer;
    dcls_json_write_open(json, "tune", '[');
    for (size_t i = 0; i < dcls_plan_step_count(result->runs[0].plan); i++)
        if (bench_tune_layer(result, i, &layer)) write_layer(json, &layer);
    dcls_json_write_close(json, ']');
}
