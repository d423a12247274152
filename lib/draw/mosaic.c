/* Windows of a layer's kernels beside each other, layer below layer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw/plot.h"

#define GUTTER        28.0 /* left of windows: ticks, numbers of one-dimensional kernels */
#define GAP           16.0 /* between windows */
#define SLICE_GAP     4.0
#define SLICE_CAPTION 11.0
#define HEADING       22.0
#define CAPTION       12.0
#define TICKS         18.0
#define LINE          13.0 /* height of a one-dimensional kernel */
#define BETWEEN       14.0 /* blocks */

enum { MOST_WINDOWS = 4096 };

typedef struct block {
    int64_t *rows, count; /* kernels shown */
    int64_t columns, lines;
    double cell, slice_width, slice_height, slice_step;
    int64_t slice_columns, slices;
    double width, height;   /* of a window */
    double step_x, step_y;  /* from window to window */
    double y, total_height; /* of the block */
} block;

struct dcls_mosaic {
    block *blocks;
};

/* Whole units wherever there is room for them, so that cells of pictures at scale 1 are all of one size. */
static double cell_side(double wanted, int64_t cells, double least, double most)
{
    double side = floor(wanted / (double)cells);
    if (side < least) side = fmin(least, 2 * wanted / (double)cells);
    return fmin(side, most);
}

static void size_windows(block *b, const dcls_kernel *k, double room)
{
    b->slices = k->ndim == 3 ? k->size[0] : 1;
    b->slice_columns = 1;
    if (k->ndim == 1) {
        b->cell = fmin(cell_side(fmin(420, room - GUTTER), k->size[0], 3, 16),
                       (room - GUTTER) / (double)k->size[0]);
        b->slice_width = b->cell * (double)k->size[0];
        b->slice_height = LINE - 1;
    } else {
        int64_t height = k->size[k->ndim - 2], width = k->size[k->ndim - 1];
        double wanted =
            k->ndim == 2 ? 96 : fmin(84, fmax(68, (room - GUTTER) / (double)b->slices - SLICE_GAP));
        b->cell = cell_side(wanted, height > width ? height : width, 3, 26);
        b->cell = fmin(b->cell, (room - GUTTER) / (double)width);
        b->slice_width = b->cell * (double)width;
        b->slice_height = b->cell * (double)height;
    }
    double fit = floor((room - GUTTER + SLICE_GAP) / (b->slice_width + SLICE_GAP));
    if (k->ndim == 3) b->slice_columns = (int64_t)fmin(fmax(fit, 1), (double)b->slices);
    int64_t slice_lines = (b->slices + b->slice_columns - 1) / b->slice_columns;
    b->slice_columns = (b->slices + slice_lines - 1) / slice_lines;
    b->width = (double)b->slice_columns * (b->slice_width + SLICE_GAP) - SLICE_GAP;
    double between = k->ndim == 3 ? SLICE_CAPTION + 2 : SLICE_GAP;
    b->slice_step = b->slice_height + between;
    b->height = (double)slice_lines * b->slice_step - between;
    b->step_x = b->width + (k->ndim == 1 ? GAP + GUTTER : GAP);
    b->step_y = k->ndim == 1 ? LINE : b->height + CAPTION + 6;
}

/* Kernels shown when nobody chose: lines of windows that keep a page of many layers readable. */
static int64_t default_lines(const dcls_plot *plot, int ndim)
{
    size_t layers = plot->layer_count;
    if (ndim == 1) return layers == 1 ? 32 : layers <= 3 ? 16 : 8;
    if (ndim == 3) return layers == 1 ? 6 : layers <= 3 ? 3 : 1;
    return layers == 1 ? 5 : layers <= 4 ? 2 : 1;
}

static bool choose_kernels(dcls_plot *plot, const dcls_plot_layer *layer, block *b, double room)
{
    int64_t available = dcls_plot_row_count(layer), most = MOST_WINDOWS;
    b->columns = (int64_t)fmax(1, floor((room - GUTTER + GAP) / b->step_x));
    if (available >= b->columns && b->columns > 1 && layer->k.ndim > 1)
        b->step_x = fmin((room - GUTTER - b->width) / (double)(b->columns - 1), b->width + 3 * GAP);
    if (plot->options->channel_count == 0) most = b->columns * default_lines(plot, layer->k.ndim);
    b->count = available < most ? available : most;
    b->lines = (b->count + b->columns - 1) / b->columns;
    b->rows = dcls_plot_alloc(plot, (size_t)b->count + 1, sizeof *b->rows);
    if (!b->rows) return false;
    for (int64_t i = 0; i < b->count; i++)
        b->rows[i] = dcls_plot_row(layer, i);
    return true;
}

dcls_status dcls_mosaic_prepare(dcls_plot *plot, const dcls_mosaic_style *style, dcls_mosaic **out)
{
    double room = plot->width - 2 * DCLS_PLOT_MARGIN, y = plot->top;
    dcls_mosaic *mosaic = dcls_plot_alloc(plot, 1, sizeof *mosaic);
    if (!mosaic) return DCLS_ERR_MEMORY;
    mosaic->blocks = dcls_plot_alloc(plot, plot->layer_count, sizeof *mosaic->blocks);
    if (!mosaic->blocks) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < plot->layer_count; i++) {
        const dcls_plot_layer *layer = &plot->layers[i];
        block *b = &mosaic->blocks[i];
        size_windows(b, &layer->k, room);
        if (!choose_kernels(plot, layer, b, room)) return DCLS_ERR_MEMORY;
        DCLS_TRY(style->choose(plot, i, b->rows, b->count));
        b->y = y;
        b->total_height = HEADING + (double)b->lines * b->step_y + TICKS;
        y += b->total_height + BETWEEN;
    }
    plot->height = y - BETWEEN + DCLS_PLOT_MARGIN;
    *out = mosaic;
    return DCLS_OK;
}

/* ---- drawing ---- */

static void draw_heading(dcls_plot *plot, size_t index, const block *b, const dcls_mosaic_style *style)
{
    const dcls_plot_layer *layer = &plot->layers[index];
    double left = DCLS_PLOT_MARGIN, right = plot->width - DCLS_PLOT_MARGIN, baseline = b->y + DCLS_PLOT_TEXT;
    char window[DCLS_WINDOW_TEXT], facts[256];
    snprintf(facts, sizeof facts, "%s%s%s %s  K=%lld  %lld of %lld kernels", layer->form,
             *layer->form ? " " : "", dcls_kernel_version_name(layer->k.version),
             dcls_plot_window_text(window, &layer->k), (long long)layer->k.count, (long long)b->count,
             (long long)layer->k.rows);
    right -= style->draw_scale(plot, index, right, baseline) + 12;
    double facts_width = dcls_canvas_text_width(plot->canvas, facts, DCLS_PLOT_SMALL + 1);
    double name_width = fmin(dcls_canvas_text_width(plot->canvas, layer->name, DCLS_PLOT_TEXT + 1),
                             fmax(0.6 * (right - left), right - left - facts_width - 10));
    dcls_plot_text(plot, left, baseline, name_width + 0.5, layer->name, DCLS_PLOT_TEXT + 1, dcls_plot_ink,
                   DCLS_ALIGN_LEFT);
    dcls_plot_text(plot, left + name_width + 10, baseline, right - left - name_width - 10, facts,
                   DCLS_PLOT_SMALL + 1, dcls_plot_faint, DCLS_ALIGN_LEFT);
}

/* "z=-2" above the right end of a slice. */
static void draw_slice_caption(dcls_plot *plot, const dcls_mosaic_window *w)
{
    char text[DCLS_NUMBER_TEXT];
    int64_t offset = w->slice - w->layer->k.size[0] / 2;
    snprintf(text, sizeof text, "z=%s%lld", offset < 0 ? "\xe2\x88\x92" : "", llabs((long long)offset));
    dcls_plot_text(plot, w->box.x + w->box.width, w->box.y - 3, w->box.width, text, DCLS_PLOT_SMALL,
                   dcls_plot_faint, DCLS_ALIGN_RIGHT);
}

/* "12", or "12,3" for output 12 and input 3 of its group. */
static void draw_caption(dcls_plot *plot, const dcls_plot_layer *layer, const block *b, int64_t row, double x,
                         double y)
{
    char text[64];
    if (layer->per_output == 1)
        snprintf(text, sizeof text, "%lld", (long long)row);
    else
        snprintf(text, sizeof text, "%lld,%lld", (long long)(row / layer->per_output),
                 (long long)(row % layer->per_output));
    if (layer->k.ndim == 1)
        dcls_plot_text(plot, x - 5, y + b->height / 2 + 0.36 * DCLS_PLOT_SMALL, GUTTER, text, DCLS_PLOT_SMALL,
                       dcls_plot_faint, DCLS_ALIGN_RIGHT);
    else
        dcls_plot_text(plot, x, y - 3, b->width, text, DCLS_PLOT_SMALL, dcls_plot_faint, DCLS_ALIGN_LEFT);
}

static void draw_window(dcls_plot *plot, size_t index, const block *b, int64_t row, double x, double y,
                        const dcls_mosaic_style *style)
{
    for (int64_t s = 0; s < b->slices; s++) {
        const dcls_mosaic_window window = {
            .layer = &plot->layers[index],
            .layer_index = index,
            .row = row,
            .slice = s,
            .cell = b->cell,
            .box = {x + (double)(s % b->slice_columns) * (b->slice_width + SLICE_GAP),
                    y + (double)(s / b->slice_columns) * b->slice_step, b->slice_width, b->slice_height},
        };
        style->draw_window(plot, &window);
        if (b->slices > 1) draw_slice_caption(plot, &window);
    }
}

static void draw_ticks(dcls_plot *plot, const dcls_kernel *k, const block *b, double x, double y, bool left,
                       bool below)
{
    int64_t width = k->size[k->ndim - 1];
    if (left && k->ndim > 1) dcls_plot_cell_ticks_left(plot, x, y, b->cell, k->size[k->ndim - 2]);
    if (below) dcls_plot_cell_ticks_below(plot, x, y + b->height, b->cell, width);
}

static void draw_block(dcls_plot *plot, size_t index, const block *b, const dcls_mosaic_style *style)
{
    const dcls_plot_layer *layer = &plot->layers[index];
    bool delays = layer->k.ndim == 1;
    draw_heading(plot, index, b, style);
    for (int64_t i = 0; i < b->count; i++) {
        int64_t column = delays ? i / b->lines : i % b->columns,
                line = delays ? i % b->lines : i / b->columns;
        double x = DCLS_PLOT_MARGIN + GUTTER + (double)column * b->step_x;
        double y = b->y + HEADING + (double)line * b->step_y + (delays ? 0 : CAPTION);
        bool lowest = delays ? line == b->lines - 1 || i == b->count - 1 : i + b->columns >= b->count;
        draw_window(plot, index, b, b->rows[i], x, y, style);
        draw_caption(plot, layer, b, b->rows[i], x, y);
        draw_ticks(plot, &layer->k, b, x, y, column == 0, lowest);
    }
}

void dcls_mosaic_draw(dcls_plot *plot, const dcls_mosaic *mosaic, const dcls_mosaic_style *style)
{
    for (size_t i = 0; i < plot->layer_count; i++)
        draw_block(plot, i, &mosaic->blocks[i], style);
}
