/*
 * The report of dcls plot -o X.html: one file, without a word from the network. Its parts are written as what
 * they are, page.html, page.css and page.js beside this file, and put into the program when it is built; here
 * the data are added. Names from the model reach the page as JSON alone, with '<' escaped, and page.js makes
 * text of them.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "draw/plot.h"

/* Elements in a page: so many that one of any model opens at once. */
#define PAGE_ELEMENTS ((int64_t)60000)

/* name and name_end bound the content of a file. */
#define EMBED(name, path)                                                                                    \
    __asm__(".section .rodata\n"                                                                             \
            "    .hidden " #name "\n    .globl " #name "\n" #name ":\n"                                      \
            "    .incbin \"" path "\"\n    .byte 0\n    .text\n");                                           \
    extern const char name[] __attribute__((visibility("hidden")))

EMBED(dcls_page_html, "lib/draw/page.html");
EMBED(dcls_page_css, "lib/draw/page.css");
EMBED(dcls_page_js, "lib/draw/page.js");

typedef struct html {
    dcls_plot *plot;
    const dcls_report *report; /* NULL for a state dict */
    dcls_json_out json;
} html;

/* ---- numbers as short as a picture needs them */

static void put_rounded(html *h, double value, double steps)
{
    dcls_json_double(&h->json, isfinite(value) ? round(value * steps) / steps : value);
}

static void put_significant(html *h, double value)
{
    double steps = value != 0 && isfinite(value) ? pow(10, 3 - floor(log10(fabs(value)))) : 1;
    put_rounded(h, value, steps);
}

static void put_key_int(html *h, const char *key, int64_t value)
{
    dcls_json_key(&h->json, key);
    dcls_json_int(&h->json, value);
}

static void put_key_string(html *h, const char *key, const char *value)
{
    dcls_json_key(&h->json, key);
    dcls_json_string(&h->json, value);
}

static void put_key_rounded(html *h, const char *key, double value, double steps)
{
    dcls_json_key(&h->json, key);
    put_rounded(h, value, steps);
}

/* ---- facts and warnings */

static void put_fact(html *h, const char *name, const char *fmt, ...) DCLS_PRINTF(3, 4);
static void put_fact(html *h, const char *name, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    dcls_json_begin(&h->json, '[');
    dcls_json_string(&h->json, name);
    dcls_json_string(&h->json, text);
    dcls_json_end(&h->json, ']');
}

/* 1234567 as "1,234,567". */
static const char *grouped(char buffer[32], int64_t value)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)value), at = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) buffer[at++] = ',';
        buffer[at++] = digits[i];
    }
    buffer[at] = '\0';
    return buffer;
}

static const char *task_name(dcls_task task)
{
    return task == DCLS_TASK_SEGMENTATION ? "segmentation"
           : task == DCLS_TASK_FEATURES   ? "features"
                                          : "classification";
}

static void put_totals(html *h)
{
    int64_t weights = 0, positions = 0, spreads = 0, dense = 0, sparse = 0;
    char text[32];
    for (size_t i = 0; i < dcls_report_count(h->report); i++) {
        const dcls_node_report *node = dcls_report_node(h->report, i);
        weights += node->weights;
        positions += node->positions;
        spreads += node->spreads;
        dense += node->macs_dense;
        sparse += node->macs_sparse;
    }
    put_fact(h, "weights", "%s", grouped(text, weights));
    put_fact(h, "positions P", "%s", grouped(text, positions));
    if (spreads > 0) put_fact(h, "spreads SIG", "%s", grouped(text, spreads));
    if (dense == 0) return;
    put_fact(h, "MACs, dense kernels", "%s", grouped(text, dense));
    put_fact(h, "MACs, sparse taps", "%s", grouped(text, sparse));
    put_fact(h, "activations at the peak", "%.1f MiB", (double)dcls_report_peak_live(h->report) / 1048576);
}

static void put_facts(html *h)
{
    const dcls_plot_options *o = h->plot->options;
    dcls_json_key(&h->json, "facts");
    dcls_json_begin(&h->json, '[');
    if (h->report) {
        char shape[128] = "";
        for (int d = 1; d < o->ndim; d++)
            snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%lld", d > 1 ? "×" : "",
                     (long long)o->shape[d]);
        put_fact(h, "task", "%s", task_name(dcls_model_task(h->plot->source->model)));
        put_fact(h, "input", "%s", shape);
        put_totals(h);
    }
    put_fact(h, "DCLS layers", "%zu", h->plot->layer_count);
    dcls_json_end(&h->json, ']');
    dcls_json_key(&h->json, "warnings");
    dcls_json_begin(&h->json, '[');
    const char *line;
    for (size_t i = 0; h->report && (line = dcls_report_warning(h->report, i)) != NULL; i++)
        dcls_json_string(&h->json, line);
    dcls_json_end(&h->json, ']');
}

/* ---- layers */

static dcls_status put_statistics(html *h, const dcls_plot_layer *layer)
{
    const dcls_kernel *k = &layer->k;
    int64_t longest = 1;
    for (int d = 0; d < k->ndim; d++)
        if (k->size[d] > longest) longest = k->size[d];
    double *scratch = dcls_alloc(h->plot->ctx, (size_t)longest, sizeof *scratch), variance = 0;
    if (!scratch) return DCLS_ERR_MEMORY;
    const dcls_kernel_stats stats = dcls_kernel_statistics(k, scratch);
    free(scratch);
    for (int j = 0; j < k->ndim; j++)
        variance += stats.position_std[j] * stats.position_std[j] / k->ndim;
    double elements = (double)k->position_rows * (double)k->count;
    put_key_rounded(h, "std", sqrt(variance), 1e3);
    put_key_rounded(h, "spread", k->SIG ? stats.spread_mean : 0, 1e3);
    put_key_rounded(h, "clamped", elements > 0 ? (double)stats.clamped / elements : 0, 1e5);
    put_key_rounded(h, "lost", stats.mass_lost, 1e5);
    return DCLS_OK;
}

static const dcls_node_report *report_of(const html *h, const char *name)
{
    for (size_t i = 0; h->report && i < dcls_report_count(h->report); i++)
        if (strcmp(dcls_report_node(h->report, i)->name, name) == 0) return dcls_report_node(h->report, i);
    return NULL;
}

/* [place per kernel axis, cells from its middle.., weight, S per axis..] */
static void put_element(html *h, const dcls_plot_layer *layer, int64_t row, int64_t element)
{
    const dcls_kernel *k = &layer->k;
    const dcls_plot_element e = dcls_plot_element_at(k, row % k->position_rows, element);
    dcls_json_begin(&h->json, '[');
    for (int d = 0; d < k->ndim; d++)
        put_rounded(h, e.finite ? e.centre[d] - (double)(k->size[d] / 2) : 0, 1e3);
    put_significant(h, (double)k->weight[row * k->count + element]);
    for (int d = 0; k->SIG && d < k->ndim; d++)
        put_rounded(h, e.finite ? e.spread[d] : 0, 1e3);
    dcls_json_end(&h->json, ']');
}

static void put_kernel(html *h, const dcls_plot_layer *layer, int64_t row)
{
    char name[64];
    long long output = (long long)(row / layer->per_output), within = (long long)(row % layer->per_output);
    if (layer->per_output > 1)
        snprintf(name, sizeof name, "%lld, input %lld", output, within);
    else
        snprintf(name, sizeof name, "%lld", output);
    dcls_json_begin(&h->json, '{');
    put_key_string(h, "name", name);
    dcls_json_key(&h->json, "elements");
    dcls_json_begin(&h->json, '[');
    for (int64_t e = 0; e < layer->k.count; e++)
        put_element(h, layer, row, e);
    dcls_json_end(&h->json, ']');
    dcls_json_end(&h->json, '}');
}

/* As many kernels as are every layer's share, spread evenly. */
static void put_kernels(html *h, const dcls_plot_layer *layer)
{
    int64_t rows = dcls_plot_row_count(layer);
    int64_t most = PAGE_ELEMENTS / (int64_t)h->plot->layer_count / layer->k.count;
    int64_t shown = most < 1 ? 1 : most < rows ? most : rows;
    float largest = 0;
    dcls_json_key(&h->json, "kernels");
    dcls_json_begin(&h->json, '[');
    for (int64_t i = 0; i < shown; i++) {
        int64_t row = dcls_plot_row(layer, rows * i / shown);
        for (int64_t e = 0; e < layer->k.count; e++)
            largest = fmaxf(largest, fabsf(layer->k.weight[row * layer->k.count + e]));
        put_kernel(h, layer, row);
    }
    dcls_json_end(&h->json, ']');
    dcls_json_key(&h->json, "largest");
    put_significant(h, isfinite(largest) ? (double)largest : 0);
}

static dcls_status put_density(html *h, const dcls_plot_layer *layer)
{
    int64_t elements, cells = dcls_kernel_cells(&layer->k);
    double *density = dcls_alloc(h->plot->ctx, (size_t)cells, sizeof *density);
    if (!density) return DCLS_ERR_MEMORY;
    dcls_plot_density_of(layer, density, &elements);
    dcls_json_key(&h->json, "density");
    dcls_json_begin(&h->json, '[');
    for (int64_t i = 0; i < cells; i++)
        put_rounded(h, density[i], 10);
    dcls_json_end(&h->json, ']');
    free(density);
    return DCLS_OK;
}

static dcls_status put_layer(html *h, const dcls_plot_layer *layer)
{
    const dcls_node_report *costs = report_of(h, layer->name);
    dcls_json_begin(&h->json, '{');
    put_key_string(h, "name", layer->name);
    put_key_string(h, "version", dcls_version_name(layer->k.version));
    put_key_string(h, "form", layer->form);
    dcls_json_key(&h->json, "window");
    dcls_json_begin(&h->json, '[');
    for (int d = 0; d < layer->k.ndim; d++)
        dcls_json_int(&h->json, layer->k.size[d]);
    dcls_json_end(&h->json, ']');
    put_key_int(h, "cells", dcls_kernel_cells(&layer->k));
    put_key_int(h, "K", layer->k.count);
    put_key_int(h, "total", dcls_plot_row_count(layer));
    put_key_int(h, "elements", dcls_plot_row_count(layer) * layer->k.count);
    put_key_int(h, "dense", costs ? costs->macs_dense : 0);
    put_key_int(h, "sparse", costs ? costs->macs_sparse : 0);
    DCLS_TRY(put_statistics(h, layer));
    put_kernels(h, layer);
    DCLS_TRY(put_density(h, layer));
    dcls_json_end(&h->json, '}');
    return DCLS_OK;
}

/* ---- operations */

static void crossed(char text[128], int count, const int64_t *sizes)
{
    text[0] = '\0';
    for (int i = 0; i < count; i++)
        snprintf(text + strlen(text), 128 - strlen(text), "%s%lld", i > 0 ? "×" : "", (long long)sizes[i]);
}

static void put_node(html *h, const dcls_node_report *node)
{
    char text[128];
    int spatial = h->plot->options->ndim - 2;
    dcls_json_begin(&h->json, '{');
    put_key_string(h, "name", node->name);
    put_key_string(h, "op", node->op);
    crossed(text, node->ndim > 0 ? node->ndim - 1 : 0, node->shape + 1);
    put_key_string(h, "output", text);
    put_key_int(h, "weights", node->weights);
    put_key_int(h, "positions", node->positions);
    put_key_int(h, "spreads", node->spreads);
    put_key_int(h, "dense", node->macs_dense);
    put_key_int(h, "sparse", node->macs_sparse);
    crossed(text, spatial > 0 && node->receptive_field[0] > 0 ? spatial : 0, node->receptive_field);
    put_key_string(h, "field", text[0] ? text : "all");
    dcls_json_end(&h->json, '}');
}

static dcls_status put_data(html *h)
{
    dcls_json_begin(&h->json, '{');
    put_facts(h);
    dcls_json_key(&h->json, "layers");
    dcls_json_begin(&h->json, '[');
    for (size_t i = 0; i < h->plot->layer_count; i++)
        DCLS_TRY(put_layer(h, &h->plot->layers[i]));
    dcls_json_end(&h->json, ']');
    dcls_json_key(&h->json, "nodes");
    dcls_json_begin(&h->json, '[');
    for (size_t i = 0; h->report && i < dcls_report_count(h->report); i++)
        put_node(h, dcls_report_node(h->report, i));
    dcls_json_end(&h->json, ']');
    dcls_json_end(&h->json, '}');
    return DCLS_OK;
}

/* ---- the file */

/* Text as HTML or, with `<` as \u003c, as JSON in a script element: either cannot end what it stands in. */
static void write_escaped(dcls_output *out, const char *text, bool json)
{
    for (size_t plain; *text; text += plain) {
        plain = strcspn(text, json ? "<" : "<>&\"");
        dcls_output_write(out, text, plain);
        if (!text[plain]) return;
        if (json)
            dcls_output_printf(out, "\\u%04x", (unsigned)text[plain]);
        else
            dcls_output_printf(out, "&#%u;", (unsigned)text[plain]);
        plain++;
    }
}

static void write_page(dcls_output *out, const char *title, const char *json)
{
    static const char head[] =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data:\">\n<link rel=\"icon\" href=\"data:,\">\n<title>";
    dcls_output_write(out, head, sizeof head - 1);
    write_escaped(out, title, false);
    dcls_output_printf(out, "</title>\n<style>\n");
    dcls_output_write(out, dcls_page_css, strlen(dcls_page_css));
    dcls_output_printf(out, "</style>\n</head>\n<body>\n");
    dcls_output_write(out, dcls_page_html, strlen(dcls_page_html));
    dcls_output_printf(out, "<script type=\"application/json\" id=\"data\">");
    write_escaped(out, json, true);
    dcls_output_printf(out, "</script>\n<script>\n");
    dcls_output_write(out, dcls_page_js, strlen(dcls_page_js));
    dcls_output_printf(out, "</script>\n</body>\n</html>\n");
}

static dcls_status save(html *h, const char *path)
{
    dcls_output *out;
    if (!h->json.to->data) return dcls_fail(h->plot->ctx, DCLS_ERR_MEMORY, "out of memory");
    DCLS_TRY(dcls_output_open(h->plot->ctx, path, &out));
    write_page(out, h->plot->options->title ? h->plot->options->title : "DCLS layers", h->json.to->data);
    return dcls_output_commit(h->plot->ctx, out);
}

dcls_status dcls_html_save(dcls_plot *plot, const char *path)
{
    const dcls_plot_options *o = plot->options;
    dcls_report *report = NULL;
    dcls_string text = {0};
    DCLS_TRY(dcls_plot_find_layers(plot));
    if (plot->source->model)
        DCLS_TRY(dcls_report_create(plot->ctx, plot->source->model, o->ndim, o->shape, &report));
    html h = {.plot = plot, .report = report, .json = {.to = &text, .compact = true}};
    dcls_status status = put_data(&h);
    if (status == DCLS_OK) status = save(&h, path);
    dcls_string_free(&text);
    dcls_report_destroy(report);
    return status;
}
