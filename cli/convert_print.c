#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "convert.h"
#include "json_lists.h"
#include "numbers.h"
#include "output.h"
#include "shapes.h"
#include "table.h"

static void add_made(columns *table, char *text)
{
    columns_add(table, text);
    free(text);
}

static void add_error(columns *table, double error)
{
    columns_add(table, error >= 0 ? cli_real(error).text : "");
}

static double ratio_of(const dcls_layer_change *change)
{
    return change->parameters_after > 0 ? (double)change->parameters_before / (double)change->parameters_after
                                        : 0;
}

/* ---- text ---- */

static char *count_text(const dcls_layer_change *change)
{
    if (change->count_before == change->count_after || change->count_before == 0)
        return change->count_after > 0 ? cli_format("%lld", (long long)change->count_after) : cli_copy("");
    return cli_format("%lld to %lld", (long long)change->count_before, (long long)change->count_after);
}

static bool drops_elements(const dcls_layer_change *change)
{
    return change->merge_error >= 0 || change->prune_error >= 0;
}

static char *dropped_text(const dcls_layer_change *change)
{
    if (!drops_elements(change)) return cli_copy("");
    return cli_format("%s of %s", cli_grouped(change->merged + change->pruned).text,
                      cli_grouped(change->elements).text);
}

#define STEPS 5

static void add_row(columns *table, const dcls_layer_change *change)
{
    char window[SHAPE_TEXT];
    shape_crossed(window, change->ndim, change->window);
    columns_add(table, change->layer);
    columns_add(table, change->version);
    columns_add(table, window);
    add_made(table, count_text(change));
    add_made(table, dropped_text(change));
    const double steps[] = {change->fix_error, change->fit_error, change->merge_error, change->prune_error,
                            change->round_error};
    int taken = 0;
    for (int i = 0; i < STEPS; i++)
        taken += steps[i] >= 0;
    for (int i = 0; i < STEPS; i++) /* a single step is all there is to the error */
        add_error(table, taken > 1 ? steps[i] : -1);
    add_error(table, change->error);
    columns_add(table, cli_grouped(change->parameters_before).text);
    columns_add(table, cli_grouped(change->parameters_after).text);
    add_made(table, cli_format("%.2f", ratio_of(change)));
}

static void print_total(const dcls_changes *changes)
{
    int64_t before = 0, after = 0;
    double worst = 0;
    for (size_t i = 0; i < dcls_changes_count(changes); i++) {
        const dcls_layer_change *change = dcls_changes_at(changes, i);
        before += change->parameters_before;
        after += change->parameters_after;
        worst = change->error > worst ? change->error : worst;
    }
    printf("%s: %s parameters before, %s after (%.2f to 1), largest relative error %s\n",
           cli_counted((int64_t)dcls_changes_count(changes), "layer").text, cli_grouped(before).text,
           cli_grouped(after).text, after > 0 ? (double)before / (double)after : 0, cli_real(worst).text);
}

/* K is one number for all kernels of a layer: why elements that are gone are not seen in it. */
static void print_kept_counts(const dcls_changes *changes)
{
    bool full = false, shared = false;
    for (size_t i = 0; i < dcls_changes_count(changes); i++) {
        const dcls_layer_change *change = dcls_changes_at(changes, i);
        if (change->merged + change->pruned == 0) continue;
        shared = shared || change->shares_positions;
        full = full || !change->shares_positions;
    }
    if (full) puts("K is what the fullest kernel of a layer keeps; elements of weight 0 fill up the others");
    if (shared) puts("K stays where layers share positions: dropped elements only have weight 0");
}

static void print_table(const dcls_changes *changes)
{
    static const char *const titles[] = {"layer",      "version", "D",       ">K",      ">dropped",
                                         ">recentred", ">fitted", ">merged", ">pruned", ">rounded",
                                         ">error",     ">before", ">after",  ">ratio",  NULL};
    columns *table = columns_create(titles);
    for (size_t i = 0; i < dcls_changes_count(changes); i++)
        add_row(table, dcls_changes_at(changes, i));
    columns_print(table, stdout, 0, cli_width());
    columns_destroy(table);
    print_kept_counts(changes);
    print_total(changes);
}

static void print_comparison(const convert_comparison *c)
{
    printf("%s: outputs differ by %s relative, one of them by %s", cli_counted(c->pictures, "picture").text,
           cli_real(c->error).text, cli_real(c->largest).text);
    if (c->judged > 0)
        printf(", %s agrees for %s of %s (%s)",
               c->task == DCLS_TASK_SEGMENTATION ? "the class of pixels" : "top-1",
               cli_grouped(c->agreeing).text, cli_grouped(c->judged).text,
               cli_percent((double)c->agreeing / (double)c->judged).text);
    putchar('\n');
}

/* ---- JSON ---- */

static void write_error(dcls_json_writer *json, const char *key, double error)
{
    if (error >= 0) dcls_json_write_double(json, key, error);
}

static void write_change(dcls_json_writer *json, const dcls_layer_change *change)
{
    dcls_json_write_open(json, NULL, '{');
    dcls_json_write_string(json, "name", change->layer);
    dcls_json_write_string(json, "version", change->version[0] != '\0' ? change->version : NULL);
    cli_json_sizes(json, "window", change->ndim, change->window);
    dcls_json_write_int(json, "kernels", change->kernels);
    cli_json_int_if(json, change->count_before > 0, "kernel_count_before", change->count_before);
    cli_json_int_if(json, change->count_after > 0, "kernel_count", change->count_after);
    write_error(json, "recentre_error", change->fix_error);
    write_error(json, "fit_error", change->fit_error);
    write_error(json, "merge_error", change->merge_error);
    write_error(json, "prune_error", change->prune_error);
    write_error(json, "round_error", change->round_error);
    dcls_json_write_double(json, "error", change->error);
    if (drops_elements(change)) {
        dcls_json_write_int(json, "elements_before", change->elements);
        dcls_json_write_int(json, "merged", change->merged);
        dcls_json_write_int(json, "pruned", change->pruned);
        dcls_json_write_bool(json, "stage_shared", change->shares_positions);
    }
    dcls_json_write_int(json, "parameters_before", change->parameters_before);
    dcls_json_write_int(json, "parameters", change->parameters_after);
    dcls_json_write_close(json, '}');
}

static void write_changes(dcls_json_writer *json, const char *key, const dcls_changes *changes)
{
    if (changes == NULL) return;
    dcls_json_write_open(json, key, '[');
    for (size_t i = 0; i < dcls_changes_count(changes); i++)
        write_change(json, dcls_changes_at(changes, i));
    dcls_json_write_close(json, ']');
}

static void write_comparison(dcls_json_writer *json, const convert_comparison *c)
{
    dcls_json_write_open(json, "verify", '{');
    dcls_json_write_int(json, "pictures", c->pictures);
    dcls_json_write_int(json, "failed", c->failed);
    dcls_json_write_double(json, "relative", c->error);
    dcls_json_write_double(json, "max_abs", c->largest);
    if (c->judged > 0) {
        dcls_json_write_int(json, "judged", c->judged);
        dcls_json_write_int(json, "agreeing", c->agreeing);
    }
    dcls_json_write_close(json, '}');
}

static int print_json(const struct convert *convert, const convert_comparison *comparison)
{
    dcls_json_writer *json;
    dcls_status status = dcls_json_writer_create(convert->run->ctx, 2, &json);
    if (status != DCLS_OK) return cli_fail(NULL, status, convert->run->ctx);
    dcls_json_write_open(json, NULL, '{');
    dcls_json_write_string(json, "input", convert->in);
    dcls_json_write_string(json, "output", convert->out);
    write_changes(json, "layers", convert->elements);
    write_changes(json, "tap_layers", convert->taps);
    if (comparison != NULL) write_comparison(json, comparison);
    dcls_json_write_close(json, '}');
    const int result = cli_print_json(json);
    dcls_json_writer_destroy(json);
    return result;
}

int convert_print(const struct convert *convert, const convert_comparison *comparison)
{
    if (strcmp(convert->out, "-") == 0) return CLI_OK; /* standard output is the file */
    if (convert->options->json) return print_json(convert, comparison);
    if (convert->elements != NULL) print_table(convert->elements);
    if (convert->elements != NULL && convert->taps != NULL) putchar('\n');
    if (convert->taps != NULL) print_table(convert->taps);
    if (comparison != NULL) print_comparison(comparison);
    return CLI_OK;
}
