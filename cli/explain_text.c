/* A layer explained on one screen: 24 lines of 80 columns. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "explain.h"
#include "numbers.h"
#include "options.h"
#include "output.h"
#include "shapes.h"
#include "table.h"

#define FACT_COLUMN   10
#define SHOWN_REACHES 4
#define SHOWN_NOTES   3 /* the first are the most surprising; JSON has all */

static bool all_equal(int ndim, const int64_t *values)
{
    for (int d = 1; d < ndim; d++)
        if (values[d] != values[0]) return false;
    return true;
}

/* "17", or "(5, 9)" as Python writes it. */
static char *tuple_text(int ndim, const int64_t *values)
{
    char text[SHAPE_TEXT];
    if (all_equal(ndim, values)) return cli_format("%" PRId64, values[0]);
    shape_text(text, ndim, values);
    text[0] = '(';
    text[strlen(text) - 1] = ')';
    return cli_copy(text);
}

static void print_fact(const char *name, char *value)
{
    printf("%-*s", FACT_COLUMN, name);
    cli_print_wrapped(stdout, value, FACT_COLUMN, FACT_COLUMN);
    free(value);
}

/* Sums of counts end at the largest number. */
int64_t explain_parameters(const dcls_layer_facts *f)
{
    const int64_t parts[] = {f->weights, f->biases, f->positions, f->spreads};
    int64_t sum = 0;
    for (int i = 0; i < 4; i++)
        sum = parts[i] > INT64_MAX - sum ? INT64_MAX : sum + parts[i];
    return sum;
}

/* ---- what it is ---- */

static void print_title(const explained *it)
{
    const dcls_layer_spec *s = &it->spec;
    char *D = tuple_text(s->ndim, s->dilated_kernel_size);
    char *groups = s->groups != 1 ? cli_format(", groups=%" PRId64, s->groups) : cli_copy("");
    char *layer = it->layer != NULL ? cli_printable(it->layer) : cli_copy("");
    const bool full = s->layer == NULL || strcmp(s->layer, "dcls") == 0;
    char *kind = full ? cli_format("%dd", s->ndim) : cli_copy(s->layer);
    char *title = cli_format("%s%sDcls%s(%" PRId64 ", %" PRId64 ", kernel_count=%" PRId64
                             ", dilated_kernel_size=%s%s, version='%s')",
                             layer, it->layer != NULL ? ": " : "", kind, s->in_channels, s->out_channels,
                             s->kernel_count, D, groups, s->version);
    fputs(cli_bold(stdout), stdout);
    cli_print_wrapped(stdout, title, 0, 4);
    printf("%s\n", cli_plain(stdout));
    free(kind);
    free(D);
    free(groups);
    free(layer);
    free(title);
}

/* K and D are what people mix up: K counts elements, D is a side. */
static void print_kernel(const explained *it)
{
    const dcls_layer_spec *s = &it->spec;
    const dcls_layer_facts *f = dcls_explanation_facts(it->result);
    char window[SHAPE_TEXT];
    if (f->position_axis >= 0)
        snprintf(window, sizeof window, "%" PRId64, s->dilated_kernel_size[f->position_axis]);
    else
        shape_crossed(window, s->ndim, s->dilated_kernel_size);
    print_fact("kernel", cli_format("K = %s anywhere in a %s of D = %s cells",
                                    cli_counted(s->kernel_count, "element").text,
                                    f->position_axis >= 0 || s->ndim == 1 ? "line" : "window", window));
}

static char *reach_text(const dcls_layer_spec *s, const dcls_reach *reach, const char *between)
{
    char side[SHAPE_TEXT];
    shape_crossed(side, s->ndim, reach->side);
    char *dilation = tuple_text(s->ndim, reach->dilation);
    char *text = cli_format("%s%s%s", side, between, dilation);
    free(dilation);
    return text;
}

/* Kernels of side 2 interest nobody where there are others. */
static void print_reach(const explained *it)
{
    const dcls_layer_facts *f = dcls_explanation_facts(it->result);
    char window[SHAPE_TEXT];
    const int first = f->reach_count > 1;
    shape_crossed(window, it->spec.ndim, it->spec.dilated_kernel_size);
    char *text = cli_format("%s%s", window,
                            f->reach_count > 0 ? " cells, as a classic"
                                               : " cells, as no classic kernel but the dense");
    for (int i = first; i < f->reach_count && i < first + SHOWN_REACHES; i++) {
        char *reach = reach_text(&it->spec, &f->reach[i], i == first ? " at dilation " : " at ");
        char *longer = cli_format("%s%s %s", text, i > first ? "," : "", reach);
        free(reach);
        free(text);
        text = longer;
    }
    print_fact("reach", text);
}

static void print_padding(const explained *it)
{
    const dcls_layer_spec *s = &it->spec;
    const dcls_layer_facts *f = dcls_explanation_facts(it->result);
    char *used = tuple_text(s->ndim, f->padding), *keeps = NULL;
    bool none = false;
    for (int d = 0; d < s->ndim; d++)
        none = none || f->same_padding[d] == DCLS_ANY;
    if (!none) keeps = tuple_text(s->ndim, f->same_padding);
    const char *when = all_equal(s->ndim, s->stride) && s->stride[0] == 1 ? "" : " at stride 1";
    if (none)
        print_fact("padding", cli_format("%s; none keeps the size, since D is even", used));
    else if (strcmp(used, keeps) == 0)
        print_fact("padding", cli_format("%s = D // 2, which keeps the size%s", used, when));
    else
        print_fact("padding", cli_format("%s; %s = D // 2 would keep the size%s", used, keeps, when));
    free(used);
    free(keeps);
}

static void print_output(const explained *it)
{
    const dcls_layer_spec *s = &it->spec;
    const dcls_layer_facts *f = dcls_explanation_facts(it->result);
    char in[SHAPE_TEXT], out[SHAPE_TEXT];
    shape_crossed(in, s->ndim, s->input);
    shape_crossed(out, s->ndim, f->output);
    char *stride = tuple_text(s->ndim, s->stride);
    print_fact("output", cli_format("%" PRId64 " channels of %s, from %s at stride %s; %s", s->out_channels,
                                    out, in, stride, cli_bytes((uint64_t)f->output_bytes).text));
    free(stride);
}

/* "3,264 weights + 96 biases + 6,528 positions = 9,888 numbers" */
static char *sum_text(const dcls_layer_facts *f)
{
    char *biases = f->biases > 0
                       ? cli_format(" + %s bias%s", cli_grouped(f->biases).text, f->biases == 1 ? "" : "es")
                       : cli_copy("");
    char *spreads =
        f->spreads > 0 ? cli_format(" + %s", cli_counted(f->spreads, "spread").text) : cli_copy("");
    char *text = cli_format("%s%s + %s%s = %s", cli_counted(f->weights, "weight").text, biases,
                            cli_counted(f->positions, "position").text, spreads,
                            cli_grouped(explain_parameters(f)).text);
    free(biases);
    free(spreads);
    return text;
}

/* What positions became, as dcls inspect has it. */
static char *learned_text(const dcls_layer_report *learned, const char *limit)
{
    char deviations[96] = "";
    for (int d = 0; d < learned->ndim; d++) {
        const size_t used = strlen(deviations);
        snprintf(deviations + used, sizeof deviations - used, " %.2f", learned->position_std[d]);
    }
    const double clamped = learned->elements > 0 ? (double)learned->clamped / (double)learned->elements : 0;
    return cli_format("std%s cells; %s at the limit +-%s; %s of the mass lost", deviations,
                      cli_percent(clamped).text, limit, cli_percent(learned->mass_lost).text);
}

static void print_tensors(const explained *it)
{
    const dcls_layer_spec *s = &it->spec;
    const dcls_layer_facts *f = dcls_explanation_facts(it->result);
    char weight[SHAPE_TEXT], P[SHAPE_TEXT];
    int64_t limits[3] = {0};
    const int sides = f->position_axis < 0 ? s->ndim : 1;
    for (int d = 0; d < sides; d++)
        limits[d] = s->dilated_kernel_size[f->position_axis < 0 ? d : f->position_axis] / 2;
    shape_text(weight, f->weight_ndim, f->weight_shape);
    shape_text(P, f->position_ndim, f->position_shape);
    char *limit = tuple_text(sides, limits);
    print_fact("tensors", cli_format("weight %s, P%s %s%s", weight, f->has_spread ? " and SIG" : "", P,
                                     s->bias ? ", bias" : ""));
    if (it->has_learned)
        print_fact("P", learned_text(&it->learned, limit));
    else
        print_fact("P", cli_format("starts normal, sigma 0.5 cells; clamped to +-%s", limit));
    free(limit);
    print_fact("learns", sum_text(f));
}

/* ---- what it costs ---- */

static void add_made(columns *table, char *text)
{
    columns_add(table, text);
    free(text);
}

static void add_cost(columns *table, char *name, const char *parameters, int64_t macs, int64_t bytes,
                     const char *remark)
{
    add_made(table, name);
    columns_add(table, parameters);
    columns_add(table, macs < 0 ? "" : cli_count(macs).text);
    columns_add(table, bytes < 0 ? "" : cli_bytes((uint64_t)bytes).text);
    columns_add(table, remark);
}

static char *algorithm_text(const dcls_layer_facts *f, const char *algorithm)
{
    return cli_format("  %s%s", algorithm, strcmp(f->algorithm, algorithm) == 0 ? " (auto)" : "");
}

static void print_costs(const explained *it)
{
    static const char *const titles[] = {"", ">parameters", ">MACs", ">memory", "of", NULL};
    const dcls_layer_spec *s = &it->spec;
    const dcls_layer_facts *f = dcls_explanation_facts(it->result);
    columns *table = columns_create(titles);
    char window[SHAPE_TEXT];
    shape_crossed(window, s->ndim, s->dilated_kernel_size);
    add_cost(table, cli_copy("this layer"), cli_grouped(explain_parameters(f)).text, -1, f->learned_bytes,
             "tensors");
    add_cost(table, algorithm_text(f, "construct"), "", f->macs_dense, f->dense_bytes, "dense kernel");
    if (f->macs_im2col >= 0)
        add_cost(table, algorithm_text(f, "im2col"), "", f->macs_im2col, f->columns_bytes, "columns, tiled");
    else
        add_cost(table, cli_copy("  im2col"), "", -1, -1,
                 f->weight_ndim > 3 ? "not for this layer" : "needs shared P");
    add_cost(table, algorithm_text(f, "sparse"), "", f->macs_sparse, f->taps_bytes, "taps");
    add_cost(table, cli_format("dense %s", window), cli_grouped(f->dense_weights + f->biases).text,
             f->macs_dense, f->dense_bytes, "weights");
    if (f->classic >= 0)
        add_cost(table, reach_text(s, &f->reach[f->classic], " at dilation "),
                 cli_grouped(f->classic_weights + f->biases).text, f->classic_macs, f->classic_bytes,
                 "weights");
    putchar('\n');
    columns_print(table, stdout, 0, cli_width());
    columns_destroy(table);
}

void explain_print_text(const explained *it)
{
    print_title(it);
    print_kernel(it);
    print_tensors(it);
    print_reach(it);
    print_padding(it);
    print_output(it);
    print_costs(it);
    putchar('\n');
    for (size_t i = 0; i < SHOWN_NOTES && dcls_explanation_note(it->result, i) != NULL; i++) {
        fputs("* ", stdout);
        cli_print_wrapped(stdout, dcls_explanation_note(it->result, i), 2, 2);
    }
}
