/* The report's layers: what is known about them, elements of some of their kernels, densities of all. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "draw/html.h"

/* Elements in a page: so many that one of any model opens at once. */
#define PAGE_ELEMENTS ((int64_t)60000)
/* Cells of all densities, and of one along one axis; those of longer windows are added up in groups. */
#define PAGE_CELLS   250000.0
#define LONGEST_SIDE 128.0
#define LEAST_SIDE   8.0

/* Four digits, enough for a table. */
static void put_significant(dcls_html *h, double value)
{
    double steps = value != 0 && isfinite(value) ? pow(10, 3 - floor(log10(fabs(value)))) : 1;
    dcls_html_rounded(h, value, isfinite(steps) ? steps : 1);
}

/* ---- figures ---- */

static int index_of_axis(const dcls_kernel *k, int axis)
{
    int j = 0;
    while (dcls_kernel_axis(k->version, k->ndim, j) != axis)
        j++;
    return j;
}

/* per_index [ndim] in the order of P's first axis, written in kernel-axis order. */
static void put_per_axis(dcls_html *h, const char *key, const dcls_kernel *k, const double *per_index)
{
    dcls_html_key_begin(h, key, '[');
    for (int axis = 0; axis < k->ndim; axis++)
        dcls_html_rounded(h, per_index[index_of_axis(k, axis)], 1e3);
    dcls_json_end(&h->json, ']');
}

/* Where training clamps to, in cells from the middle cell: [lowest, highest] per kernel axis. In windows
 * whose sides differ, the limit of an index may come from another axis than the one it addresses. */
static void put_limits(dcls_html *h, const dcls_kernel *k)
{
    dcls_html_key_begin(h, "limits", '[');
    for (int axis = 0; axis < k->ndim; axis++) {
        int64_t half = k->size[index_of_axis(k, axis)] / 2, middle = k->size[axis] / 2;
        dcls_json_begin(&h->json, '[');
        dcls_json_int(&h->json, -middle);
        dcls_json_int(&h->json, 2 * half - middle);
        dcls_json_end(&h->json, ']');
    }
    dcls_json_end(&h->json, ']');
}

static dcls_status put_statistics(dcls_html *h, const dcls_kernel *k)
{
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
    dcls_html_key_rounded(h, "std", sqrt(variance), 1e3);
    put_per_axis(h, "means", k, stats.position_mean);
    put_per_axis(h, "stds", k, stats.position_std);
    dcls_html_key_rounded(h, "spread", k->SIG ? stats.spread_mean : 0, 1e3);
    dcls_html_key_rounded(h, "spread_min", k->SIG ? stats.spread_min : 0, 1e3);
    dcls_html_key_rounded(h, "spread_max", k->SIG ? stats.spread_max : 0, 1e3);
    dcls_html_key_rounded(h, "clamped", elements > 0 ? (double)stats.clamped / elements : 0, 1e5);
    dcls_html_key_rounded(h, "lost", stats.mass_lost, 1e7);
    return DCLS_OK;
}

/* ---- elements ---- */

/* [place per kernel axis in cells from its middle.., weight, S per axis..]; null is a number that is none. */
static void put_element(dcls_html *h, const dcls_plot_layer *layer, int64_t row, int64_t element)
{
    const dcls_kernel *k = &layer->k;
    const dcls_plot_element e = dcls_plot_element_at(k, row % k->position_rows, element);
    float weight = k->weight[row * k->count + element];
    dcls_json_begin(&h->json, '[');
    for (int d = 0; d < k->ndim; d++)
        dcls_html_rounded(h, e.centre[d] - (double)(k->size[d] / 2), 1e3);
    put_significant(h, (double)weight);
    for (int d = 0; k->SIG && d < k->ndim; d++)
        dcls_html_rounded(h, e.spread[d], 1e3);
    dcls_json_end(&h->json, ']');
}

static void put_kernel(dcls_html *h, const dcls_plot_layer *layer, int64_t row)
{
    dcls_json_begin(&h->json, '{');
    dcls_html_key_int(h, "output", row / layer->per_output);
    dcls_html_key_int(h, "input", row % layer->per_output);
    dcls_html_key_begin(h, "elements", '[');
    for (int64_t e = 0; e < layer->k.count; e++)
        put_element(h, layer, row, e);
    dcls_json_end(&h->json, ']');
    dcls_json_end(&h->json, '}');
}

static int64_t at_most(int64_t value, int64_t most)
{
    return most < 1 ? 1 : value < most ? value : most;
}

/* Elements that a layer may have in the page: as many as fit when layers that need fewer leave theirs to the
 * others. */
static int64_t share_of_layers(const dcls_plot *plot)
{
    int64_t low = 1, high = PAGE_ELEMENTS;
    while (low < high) {
        int64_t share = low + (high - low + 1) / 2, total = 0;
        for (size_t i = 0; i < plot->layer_count && total <= PAGE_ELEMENTS; i++) {
            int64_t all = dcls_plot_row_count(&plot->layers[i]) * plot->layers[i].k.count;
            total += all < share ? all : share;
        }
        if (total <= PAGE_ELEMENTS)
            low = share;
        else
            high = share - 1;
    }
    return low;
}

/* As many kernels as make up the share: some outputs with some inputs each, spread evenly. */
static void put_kernels(dcls_html *h, const dcls_plot_layer *layer, int64_t share)
{
    int64_t most = share / layer->k.count;
    int64_t inputs = at_most(layer->per_output, (int64_t)sqrt((double)(most < 1 ? 1 : most)));
    int64_t outputs = at_most(layer->channel_count, most / inputs);
    inputs = at_most(layer->per_output, most / outputs);
    double largest = 0;
    dcls_html_key_begin(h, "kernels", '[');
    for (int64_t i = 0; i < outputs * inputs; i++) {
        int64_t output = layer->channel_count * (i / inputs) / outputs;
        int64_t input = layer->per_output * (i % inputs) / inputs;
        int64_t row = dcls_plot_row(layer, output * layer->per_output + input);
        for (int64_t e = 0; e < layer->k.count; e++) {
            double weight = fabs((double)layer->k.weight[row * layer->k.count + e]);
            if (isfinite(weight)) largest = fmax(largest, weight);
        }
        put_kernel(h, layer, row);
    }
    dcls_json_end(&h->json, ']');
    dcls_json_key(&h->json, "largest");
    put_significant(h, largest);
}

/* ---- densities ---- */

/* What is seen of a window: rows along axis `down` (-1: a single row) and columns along `across`, in groups
 * of `bin` cells; `side` groups each. */
typedef struct view {
    int down, across;
    int64_t bin[2], side[2];
} view;

static view view_without(const dcls_html *h, const dcls_kernel *k, int hidden)
{
    const double room = sqrt(PAGE_CELLS / (double)h->plot->layer_count);
    const int64_t longest = (int64_t)fmax(fmin(room, LONGEST_SIDE), LEAST_SIDE);
    view v = {.down = -1, .across = -1, .bin = {1, 1}, .side = {1, 1}};
    for (int d = 0; d < k->ndim && d < 3; d++) {
        if (d == hidden) continue;
        v.down = v.across;
        v.across = d;
    }
    for (int i = 0; i < 2; i++) {
        int axis = i == 0 ? v.down : v.across;
        if (axis < 0) continue;
        v.bin[i] = (k->size[axis] + longest - 1) / longest;
        v.side[i] = (k->size[axis] + v.bin[i] - 1) / v.bin[i];
    }
    return v;
}

/* Adds up what lies behind each other. sums [side, side] */
static void look(const view *v, const dcls_kernel *k, const double *density, double *sums)
{
    int64_t cells = dcls_kernel_cells(k);
    memset(sums, 0, (size_t)(v->side[0] * v->side[1]) * sizeof *sums);
    for (int64_t i = 0; i < cells; i++) {
        int64_t rest = i, row = 0, column = 0;
        for (int d = k->ndim - 1; d >= 0; d--) {
            if (d == v->down) row = rest % k->size[d] / v->bin[0];
            if (d == v->across) column = rest % k->size[d] / v->bin[1];
            rest /= k->size[d];
        }
        sums[row * v->side[1] + column] += density[i];
    }
}

static void put_view(dcls_html *h, const view *v, const double *sums)
{
    dcls_json_begin(&h->json, '{');
    dcls_html_key_int(h, "rows", v->side[0]);
    dcls_html_key_int(h, "columns", v->side[1]);
    dcls_html_key_int(h, "row_bin", v->bin[0]);
    dcls_html_key_int(h, "column_bin", v->bin[1]);
    dcls_html_key_begin(h, "cells", '[');
    for (int64_t i = 0; i < v->side[0] * v->side[1]; i++)
        dcls_html_rounded(h, sums[i], 10);
    dcls_json_end(&h->json, ']');
    dcls_json_end(&h->json, '}');
}

/* One map; of a window with three dimensions, three: each summed along one of them. */
static dcls_status put_densities(dcls_html *h, const dcls_plot_layer *layer)
{
    const dcls_kernel *k = &layer->k;
    int64_t elements = 0;
    size_t cells = (size_t)dcls_kernel_cells(k);
    double *density = dcls_alloc(h->plot->ctx, cells, sizeof *density);
    double *sums = dcls_alloc(h->plot->ctx, cells, sizeof *sums);
    if (density && sums) {
        dcls_plot_density_of(layer, density, &elements);
        dcls_html_key_begin(h, "density", '[');
        for (int hidden = k->ndim == 3 ? 0 : -1; hidden < (k->ndim == 3 ? 3 : 0); hidden++) {
            const view v = view_without(h, k, hidden);
            look(&v, k, density, sums);
            put_view(h, &v, sums);
        }
        dcls_json_end(&h->json, ']');
        dcls_html_key_int(h, "placed", elements);
    }
    dcls_status status = density && sums ? DCLS_OK : DCLS_ERR_MEMORY;
    free(density);
    free(sums);
    return status;
}

/* ---- layers ---- */

static const dcls_node_report *report_of(const dcls_html *h, const char *name)
{
    for (size_t i = 0; h->report && i < dcls_report_count(h->report); i++)
        if (strcmp(dcls_report_node(h->report, i)->name, name) == 0) return dcls_report_node(h->report, i);
    return NULL;
}

static dcls_status put_layer(dcls_html *h, const dcls_plot_layer *layer, int64_t share)
{
    const dcls_kernel *k = &layer->k;
    const dcls_node_report *costs = report_of(h, layer->name);
    dcls_json_begin(&h->json, '{');
    dcls_html_key_string(h, "name", layer->name);
    dcls_html_key_string(h, "version", dcls_kernel_version_name(k->version));
    dcls_html_key_string(h, "form", layer->form);
    dcls_html_key_string(h, "shared_with", layer->shared_with);
    dcls_html_key_begin(h, "window", '[');
    for (int d = 0; d < k->ndim; d++)
        dcls_json_int(&h->json, k->size[d]);
    dcls_json_end(&h->json, ']');
    put_limits(h, k);
    dcls_html_key_int(h, "cells", dcls_kernel_cells(k));
    dcls_html_key_int(h, "K", k->count);
    dcls_html_key_int(h, "outputs", layer->channel_count);
    dcls_html_key_int(h, "inputs", layer->per_output);
    dcls_html_key_int(h, "total", dcls_plot_row_count(layer));
    dcls_html_key_int(h, "elements", dcls_plot_row_count(layer) * k->count);
    dcls_html_key_int(h, "dense", costs ? costs->macs_dense : 0);
    dcls_html_key_int(h, "sparse", costs ? costs->macs_sparse : 0);
    DCLS_TRY(put_statistics(h, k));
    put_kernels(h, layer, share);
    DCLS_TRY(put_densities(h, layer));
    dcls_json_end(&h->json, '}');
    return DCLS_OK;
}

dcls_status dcls_html_put_layers(dcls_html *h)
{
    int64_t share = share_of_layers(h->plot);
    dcls_html_key_begin(h, "layers", '[');
    for (size_t i = 0; i < h->plot->layer_count; i++)
        DCLS_TRY(put_layer(h, &h->plot->layers[i], share));
    dcls_json_end(&h->json, ']');
    return DCLS_OK;
}
