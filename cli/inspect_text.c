/* Models and state dicts as tables for people. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "inspect.h"
#include "numbers.h"
#include "options.h"
#include "output.h"
#include "shapes.h"
#include "table.h"

#define FACT_COLUMN   14
#define LISTED_LABELS 24
#define METADATA_TEXT 300

/* "  name        value", the value wrapped below itself. */
static void print_fact(const char *name, const char *value)
{
    char *shown = cli_printable(value);
    printf("  %-*s", FACT_COLUMN - 2, name);
    cli_print_wrapped(stdout, shown, FACT_COLUMN, FACT_COLUMN);
    free(shown);
}

/* As print_fact; frees value. */
static void print_made_fact(const char *name, char *value)
{
    print_fact(name, value);
    free(value);
}

static void print_heading(const char *text)
{
    printf("\n%s%s%s\n", cli_bold(stdout), text, cli_plain(stdout));
}

static void print_title(const inspection *it, const char *kind)
{
    char *name = cli_printable(it->name);
    const char *format = dcls_tensors_format(it->tensors);
    printf("%s%s: %s%s\n", cli_bold(stdout), name, kind, cli_plain(stdout));
    free(name);
    char *size =
        it->file_bytes >= 0 ? cli_format(", %s", cli_bytes((uint64_t)it->file_bytes).text) : cli_copy("");
    print_made_fact("file",
                    cli_format("%s%s%s%s", format, format[0] != '\0' ? ", " : "",
                               cli_counted((int64_t)dcls_tensors_count(it->tensors), "tensor").text, size));
    free(size);
}

/* ---- state dicts ---- */

static void print_metadata(const dcls_tensors *tensors)
{
    for (size_t i = 0; dcls_tensors_meta_key(tensors, i) != NULL; i++) {
        const char *key = dcls_tensors_meta_key(tensors, i), *value = dcls_tensors_meta_value(tensors, i);
        const bool whole = strlen(value) <= METADATA_TEXT;
        if (strcmp(key, "dcls.model") == 0) continue;
        print_made_fact("metadata", cli_format("%s: %.*s%s", key, METADATA_TEXT, value,
                                               whole ? "" : ".. (--json shows all)"));
    }
}

static void print_tensor_table(const dcls_tensors *tensors)
{
    static const char *const titles[] = {"tensor", "type", "shape", ">values", NULL};
    columns *table = columns_create(titles);
    for (size_t i = 0; i < dcls_tensors_count(tensors); i++) {
        const dcls_tensor *tensor = dcls_tensors_at(tensors, i);
        char shape[SHAPE_TEXT];
        shape_text(shape, tensor->ndim, tensor->shape);
        columns_add(table, tensor->name);
        columns_add(table, dcls_dtype_name(tensor->dtype));
        columns_add(table, shape);
        columns_add(table, cli_grouped(inspect_elements(tensor)).text);
    }
    putchar('\n');
    columns_print(table, stdout, 2, cli_width());
    columns_destroy(table);
}

/* ---- what a model is ---- */

static char *join_labels(const dcls_model *model)
{
    size_t count = dcls_model_label_count(model), listed = count > LISTED_LABELS + 2 ? LISTED_LABELS : count;
    char *text = cli_format("%zu:", count);
    for (size_t i = 0; i < listed; i++) {
        char *longer = cli_format("%s %s%s", text, dcls_model_label(model, i), i + 1 < count ? "," : "");
        free(text);
        text = longer;
    }
    if (listed == count) return text;
    char *longer = cli_format("%s .. (%zu more; --json lists them)", text, count - listed);
    free(text);
    return longer;
}

static void print_preprocess(const dcls_preprocess *p)
{
    static const char *const filters[] = {"nearest", "bilinear", "bicubic"};
    char *resize;
    if (p->resize == DCLS_RESIZE_SHORTER)
        resize = cli_format("shorter side to %lld (%s), ", (long long)p->resize_height, filters[p->filter]);
    else if (p->resize == DCLS_RESIZE_EXACT)
        resize = cli_format("to %lldx%lld (%s), ", (long long)p->resize_height, (long long)p->resize_width,
                            filters[p->filter]);
    else
        resize = cli_copy("");
    char *crop = p->crop_height > 0 ? cli_format("centre crop %lldx%lld, ", (long long)p->crop_height,
                                                 (long long)p->crop_width)
                                    : cli_copy("");
    char *numbers = p->channels == 1
                        ? cli_format("mean %s, std %s", cli_real((double)p->mean[0]).text,
                                     cli_real((double)p->std[0]).text)
                        : cli_format("mean %s %s %s, std %s %s %s", cli_real((double)p->mean[0]).text,
                                     cli_real((double)p->mean[1]).text, cli_real((double)p->mean[2]).text,
                                     cli_real((double)p->std[0]).text, cli_real((double)p->std[1]).text,
                                     cli_real((double)p->std[2]).text);
    print_made_fact("preprocess", cli_format("%s%s%s", resize, crop, numbers));
    free(resize);
    free(crop);
    free(numbers);
}

static void print_model_facts(const inspection *it)
{
    int64_t shape[DCLS_MAX_DIMS];
    char text[SHAPE_TEXT];
    char *kind = cli_format("%s model", dcls_task_name(dcls_model_task(it->model)));
    print_title(it, kind);
    free(kind);
    shape_text(text, dcls_model_input_shape(it->model, shape), shape);
    print_fact("input", text);
    if (dcls_model_input_shape(it->model, shape) == 4) print_preprocess(dcls_model_preprocess(it->model));
    if (dcls_model_label_count(it->model) > 0) print_made_fact("classes", join_labels(it->model));
    print_metadata(it->tensors);
}

/* ---- the network ---- */

static void add_count(columns *table, int64_t count)
{
    columns_add(table, count > 0 ? cli_count(count).text : "");
}

/* One number where all sides are equal. */
static void add_sides(columns *table, int ndim, const int64_t *sides, const char *whole)
{
    char text[SHAPE_TEXT];
    bool equal = true;
    for (int i = 1; i < ndim; i++)
        equal = equal && sides[i] == sides[0];
    if (ndim < 1)
        columns_add(table, "");
    else if (sides[0] < 0)
        columns_add(table, "-");
    else if (sides[0] == 0)
        columns_add(table, whole);
    else {
        shape_crossed(text, equal ? 1 : ndim, sides);
        columns_add(table, text);
    }
}

static void print_nodes(const inspection *it)
{
    static const char *const titles[] = {"node", "op",    "output",  ">weights", ">P",
                                         ">SIG", ">MACs", ">sparse", ">field",   NULL};
    columns *table = columns_create(titles);
    for (size_t i = 0; i < dcls_report_count(it->report); i++) {
        const dcls_node_report *node = dcls_report_node(it->report, i);
        char shape[SHAPE_TEXT];
        shape_crossed(shape, node->ndim - 1, node->shape + 1);
        columns_add(table, node->name);
        columns_add(table, node->op);
        columns_add(table, shape);
        add_count(table, node->weights);
        add_count(table, node->positions);
        add_count(table, node->spreads);
        add_count(table, node->macs_dense);
        add_count(table, node->macs_sparse != node->macs_dense ? node->macs_sparse : 0);
        add_sides(table, it->input.ndim - 2, node->receptive_field, "all");
    }
    columns_print(table, stdout, 2, cli_width());
    columns_destroy(table);
}

/* ---- its DCLS layers ---- */

static void add_position_std(columns *table, const dcls_layer_report *layer)
{
    char text[64];
    size_t used = 0;
    for (int i = 0; i < layer->ndim && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.2f", i > 0 ? " " : "",
                                 layer->position_std[i]);
    columns_add(table, text);
}

static void add_spread(columns *table, const dcls_layer_report *layer)
{
    char text[64] = "";
    if (layer->spread_max > 0) snprintf(text, sizeof text, "%.2f", layer->spread_mean);
    columns_add(table, text);
}

static void add_layer(columns *table, const dcls_node_report *node)
{
    const dcls_layer_report *layer = &node->layer;
    char text[SHAPE_TEXT];
    columns_add(table, node->name);
    snprintf(text, sizeof text, "%s%s%s", layer->version, strcmp(layer->layer, "dcls") != 0 ? " " : "",
             strcmp(layer->layer, "dcls") != 0 ? layer->layer : "");
    columns_add(table, text);
    shape_crossed(text, layer->window_ndim, layer->window);
    columns_add(table, text);
    columns_add(table, cli_grouped(layer->kernel_count).text);
    columns_add(table, cli_count(layer->elements).text);
    add_position_std(table, layer);
    add_spread(table, layer);
    double share = layer->elements > 0 ? (double)layer->clamped / (double)layer->elements : 0;
    columns_add(table, cli_percent(share).text);
    columns_add(table, cli_percent(layer->mass_lost).text);
    add_count(table, layer->taps);
    columns_add(table, node->algorithm);
}

static void print_layers(const inspection *it)
{
    static const char *const titles[] = {"layer",   "version",  ">D",    ">K",    ">elements", ">std of P",
                                         ">spread", ">clamped", ">lost", ">taps", "runs as",   NULL};
    columns *table = columns_create(titles);
    bool any = false;
    for (size_t i = 0; i < dcls_report_count(it->report); i++) {
        const dcls_node_report *node = dcls_report_node(it->report, i);
        if (node->has_layer) add_layer(table, node);
        any = any || node->has_layer;
    }
    if (any) {
        print_heading("DCLS layers");
        columns_print(table, stdout, 2, cli_width());
    }
    columns_destroy(table);
}

/* ---- totals ---- */

static void print_totals(const inspection *it)
{
    inspect_totals sum = inspect_sum(it->report);
    print_heading("Totals");
    print_made_fact("parameters", cli_format("%s: %s weights, %s positions, %s spreads",
                                             cli_grouped(sum.weights + sum.positions + sum.spreads).text,
                                             cli_grouped(sum.weights).text, cli_grouped(sum.positions).text,
                                             cli_grouped(sum.spreads).text));
    if (!inspect_knows_costs(it)) return; /* a warning tells why */
    print_made_fact("MACs",
                    sum.macs_sparse == sum.macs_dense
                        ? cli_copy(cli_count(sum.macs_dense).text)
                        : cli_format("%s dense, %s with DCLS layers sparse", cli_count(sum.macs_dense).text,
                                     cli_count(sum.macs_sparse).text));
    print_made_fact("memory", cli_format("%s of activations at the peak; the plan takes %s",
                                         cli_bytes(dcls_report_peak_live(it->report)).text,
                                         cli_bytes(dcls_report_plan_memory(it->report)).text));
}

static void print_warnings(const inspection *it)
{
    if (dcls_report_warning(it->report, 0) != NULL) putchar('\n');
    for (size_t i = 0; dcls_report_warning(it->report, i) != NULL; i++) {
        char *shown = cli_printable(dcls_report_warning(it->report, i));
        printf("warning: %s\n", shown);
        free(shown);
    }
}

static void print_state_dict(const inspection *it)
{
    int64_t values = 0;
    print_title(it, "tensors without a network");
    for (size_t i = 0; i < dcls_tensors_count(it->tensors); i++)
        values += inspect_elements(dcls_tensors_at(it->tensors, i));
    print_made_fact("values", cli_copy(cli_grouped(values).text));
    print_metadata(it->tensors);
    print_tensor_table(it->tensors);
    if (it->report == NULL) return;
    print_layers(it);
    print_warnings(it);
}

void inspect_print_text(const inspection *it)
{
    char shape[SHAPE_TEXT];
    if (it->model == NULL) {
        print_state_dict(it);
        return;
    }
    print_model_facts(it);
    shape_text(shape, it->input.ndim, it->input.shape);
    char *heading = cli_format("Network for an input of %s%s", shape,
                               it->input.assumed ? " (--input sets another size)" : "");
    print_heading(heading);
    free(heading);
    print_nodes(it);
    print_layers(it);
    print_totals(it);
    print_warnings(it);
}
