/* Constructed dense kernels as heat maps of signed values. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "draw/plot.h"

struct kernels {
    dcls_mosaic *mosaic;
    struct shown {
        const int64_t *rows; /* [count], rising */
        int64_t count;
        float *dense;   /* [count, cells] */
        double largest; /* |value| among them */
    } * layers;
    uint8_t *rgb; /* scratch: a slice of the largest window */
};

/* Neighbouring rows are constructed in one go. */
static dcls_status construct(dcls_plot *plot, const dcls_kernel *k, const struct shown *shown)
{
    int64_t cells = dcls_kernel_cells(k), threads = dcls_context_threads(plot->ctx);
    for (int64_t from = 0, to; from < shown->count; from = to) {
        for (to = from + 1; to < shown->count && shown->rows[to] == shown->rows[to - 1] + 1;)
            to++;
        DCLS_TRY(dcls_kernel_construct_rows(plot->ctx, k, shown->rows[from], to - from, (int)threads,
                                            shown->dense + from * cells));
    }
    return DCLS_OK;
}

static dcls_status choose(dcls_plot *plot, size_t layer, const int64_t *rows, int64_t count)
{
    const struct kernels *kernels = plot->data;
    const dcls_kernel *k = &plot->layers[layer].k;
    struct shown *shown = &kernels->layers[layer];
    size_t cells = (size_t)dcls_kernel_cells(k), total;
    if (!dcls_mul_size(cells, (size_t)count, &total))
        return dcls_fail(plot->ctx, DCLS_ERR_LIMIT, "layer '%s': the dense kernels are too large",
                         plot->layers[layer].name);
    *shown = (struct shown){.rows = rows, .count = count};
    shown->dense = dcls_plot_alloc(plot, total, sizeof *shown->dense);
    if (!shown->dense) return DCLS_ERR_MEMORY;
    DCLS_TRY(construct(plot, k, shown));
    for (size_t i = 0; i < total; i++)
        if (isfinite(shown->dense[i])) shown->largest = fmax(shown->largest, fabs((double)shown->dense[i]));
    return DCLS_OK;
}

static const float *slice_of(const struct shown *shown, const dcls_mosaic_window *w, int64_t slice_cells)
{
    int64_t low = 0, high = shown->count - 1, cells = dcls_kernel_cells(&w->layer->k);
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (shown->rows[middle] < w->row)
            low = middle + 1;
        else
            high = middle;
    }
    return shown->dense + low * cells + w->slice * slice_cells;
}

static void draw_window(dcls_plot *plot, const dcls_mosaic_window *w)
{
    const struct kernels *kernels = plot->data;
    const struct shown *shown = &kernels->layers[w->layer_index];
    const dcls_kernel *k = &w->layer->k;
    int64_t columns = k->size[k->ndim - 1], rows = k->ndim == 1 ? 1 : k->size[k->ndim - 2];
    const float *values = slice_of(shown, w, columns * rows);
    uint8_t *rgb = kernels->rgb;
    for (int64_t i = 0; i < columns * rows; i++) {
        double relative = shown->largest > 0 ? (double)values[i] / shown->largest
                          : isnan(values[i]) ? NAN
                                             : 0;
        memcpy(rgb + 3 * i, dcls_colormap_at(&plot->diverging, 0.5 + relative / 2), 3);
    }
    dcls_canvas_cells(plot->canvas, w->box, columns, rows, rgb);
    dcls_canvas_frame_box(plot->canvas, w->box, 0.75, dcls_plot_rule);
}

static double draw_scale(dcls_plot *plot, size_t layer, double right, double baseline)
{
    const struct kernels *kernels = plot->data;
    const double width = 90, label = 42;
    double largest = kernels->layers[layer].largest;
    char number[DCLS_NUMBER_TEXT], text[DCLS_NUMBER_TEXT + 4];
    dcls_plot_number(number, largest);
    snprintf(text, sizeof text, "\xe2\x88\x92%s", number);
    dcls_plot_color_bar(plot, (dcls_box){right - label - width, baseline - 9, width, 10}, &plot->diverging, 0,
                        NULL, NULL);
    dcls_plot_text(plot, right - label - width - 5, baseline, label, text, DCLS_PLOT_SMALL + 1,
                   dcls_plot_faint, DCLS_ALIGN_RIGHT);
    dcls_plot_text(plot, right - label + 5, baseline, label, number, DCLS_PLOT_SMALL + 1, dcls_plot_faint,
                   DCLS_ALIGN_LEFT);
    return width + 2 * label;
}

static const dcls_mosaic_style style = {choose, draw_window, draw_scale};

static int64_t largest_slice(const dcls_plot *plot)
{
    int64_t largest = 1;
    for (size_t i = 0; i < plot->layer_count; i++) {
        const dcls_kernel *k = &plot->layers[i].k;
        int64_t cells = dcls_kernel_cells(k) / (k->ndim == 3 ? k->size[0] : 1);
        if (cells > largest) largest = cells;
    }
    return largest;
}

static dcls_status prepare(dcls_plot *plot)
{
    struct kernels *kernels = dcls_plot_alloc(plot, 1, sizeof *kernels);
    if (!kernels) return DCLS_ERR_MEMORY;
    kernels->layers = dcls_plot_alloc(plot, plot->layer_count, sizeof *kernels->layers);
    kernels->rgb = dcls_plot_alloc(plot, (size_t)largest_slice(plot), 3);
    if (!kernels->layers || !kernels->rgb) return DCLS_ERR_MEMORY;
    plot->data = kernels;
    plot->subtitle =
        "Dense kernels as constructed for the convolution: blue negative, white zero, orange positive; one "
        "colour scale per layer. Ticks: cells from the window's centre.";
    dcls_plot_head(plot);
    return dcls_mosaic_prepare(plot, &style, &kernels->mosaic);
}

static void draw(dcls_plot *plot)
{
    const struct kernels *kernels = plot->data;
    dcls_mosaic_draw(plot, kernels->mosaic, &style);
}

const dcls_plot_kind_functions dcls_plot_kernels = {"kernels", prepare, draw};
