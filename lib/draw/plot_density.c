/* Where a layer's elements lie, all its kernels together: one panel a layer, one colour scale for all. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw/plot.h"

#define GUTTER        28.0
#define GAP           18.0
#define CAPTION       28.0 /* two lines above a panel */
#define TICKS         18.0
#define MARGINAL      26.0 /* height of the histograms beside a panel */
#define BAR_HEIGHT    40.0 /* of the colour bar with its ticks and words */
#define SLICE_GAP     4.0
#define SLICE_CAPTION 11.0
#define BARS          64.0 /* height of a one-dimensional density */

struct panel {
    double *density; /* [cells], multiples of an even spread */
    double spread[3];
    int64_t elements;
    double x, y, width, height; /* of the whole, captions and ticks included */
    double cell, map_width, map_height, step;
    int64_t slices, slice_columns;
    double lost; /* share of the elements that fall outside */
};

struct density {
    struct panel *panels;
    double largest; /* of all panels with two dimensions or more */
    bool maps;
    double *marginal; /* scratch */
    uint8_t *rgb;     /* scratch */
};

/* ---- numbers ---- */

static dcls_status measure(dcls_plot *plot, const dcls_plot_layer *layer, struct panel *panel)
{
    int64_t cells = dcls_kernel_cells(&layer->k);
    double sum = 0;
    panel->density = dcls_plot_alloc(plot, (size_t)cells, sizeof *panel->density);
    if (!panel->density) return DCLS_ERR_MEMORY;
    dcls_plot_density_of(layer, panel->density, &panel->elements);
    for (int64_t i = 0; i < cells; i++)
        sum += panel->density[i];
    panel->lost = panel->elements > 0 ? 1 - sum / (double)panel->elements : 0;
    for (int64_t i = 0; i < cells; i++)
        panel->density[i] *= (double)cells / (double)(panel->elements > 0 ? panel->elements : 1);
    return DCLS_OK;
}

/* ---- layout ---- */

/* Side of a two-dimensional panel: as many lines of panels as small ones would take, and these filled. */
static double panel_side(double room, size_t layers)
{
    double beside = GUTTER + MARGINAL + GAP, fit = fmax(1, floor((room + GAP) / (130 + beside)));
    double lines = ceil((double)layers / fit), columns = ceil((double)layers / lines);
    return fmin((room + GAP) / columns - beside, layers == 1 ? 380 : 250);
}

static void size_panel(struct panel *panel, const dcls_kernel *k, double room, size_t layers)
{
    double wanted = panel_side(room, layers);
    panel->slices = k->ndim == 3 ? k->size[0] : 1;
    panel->slice_columns = 1;
    if (k->ndim == 1) {
        panel->map_width = fmin(wanted * 1.6, room - GUTTER);
        panel->map_height = BARS;
        panel->cell = panel->map_width / (double)k->size[0];
        panel->width = GUTTER + panel->map_width;
        panel->height = CAPTION + BARS + TICKS;
        return;
    }
    int64_t height = k->size[k->ndim - 2], width = k->size[k->ndim - 1],
            most = height > width ? height : width;
    if (k->ndim == 3) wanted = 100;
    panel->cell = fmax(floor(wanted / (double)most), 1);
    if (panel->cell * (double)width > room - GUTTER - MARGINAL)
        panel->cell = (room - GUTTER - MARGINAL) / (double)width;
    panel->map_width = panel->cell * (double)width;
    panel->map_height = panel->cell * (double)height;
    double fit = floor((room - GUTTER + SLICE_GAP) / (panel->map_width + SLICE_GAP));
    if (k->ndim == 3) panel->slice_columns = (int64_t)fmin(fmax(fit, 1), (double)panel->slices);
    int64_t lines = (panel->slices + panel->slice_columns - 1) / panel->slice_columns;
    panel->slice_columns = (panel->slices + lines - 1) / lines;
    double marginals = k->ndim == 2 ? MARGINAL : 0, above = k->ndim == 2 ? MARGINAL : SLICE_CAPTION;
    panel->step = panel->map_height + SLICE_CAPTION + 2;
    panel->width =
        GUTTER + (double)panel->slice_columns * (panel->map_width + SLICE_GAP) - SLICE_GAP + marginals;
    panel->height = CAPTION + above + (double)(lines - 1) * panel->step + panel->map_height + TICKS;
}

/* Panels side by side while they fit. */
static void place_panels(dcls_plot *plot, struct density *d)
{
    double left = DCLS_PLOT_MARGIN, right = plot->width - DCLS_PLOT_MARGIN, x = left, line = 0;
    double y = plot->top + (d->maps ? BAR_HEIGHT : 0);
    for (size_t i = 0; i < plot->layer_count; i++) {
        struct panel *panel = &d->panels[i];
        if (x > left && x + panel->width > right) {
            x = left;
            y += line + GAP;
            line = 0;
        }
        panel->x = x;
        panel->y = y;
        x += panel->width + GAP;
        line = fmax(line, panel->height);
    }
    plot->height = y + line + DCLS_PLOT_MARGIN;
}

static const char *subtitle_of(const dcls_plot *plot)
{
    int most = 0;
    for (size_t i = 0; i < plot->layer_count; i++)
        if (plot->layers[i].k.ndim > most) most = plot->layers[i].k.ndim;
    if (most == 1)
        return "Where elements lie along the window, all channels together, in multiples of an even spread "
               "(the line). "
               "Ticks: cells from the window's centre.";
    if (most == 3)
        return "Where elements lie in the window, all channels together, in slices along its first axis (z); "
               "1 is an even "
               "spread. Ticks: cells from the window's centre.";
    return "Where elements lie in the window, all channels together; 1 is an even spread, colours show the "
           "square root. Beside each panel "
           "the sums of its "
           "columns and rows, the line an even spread. Ticks: cells from the window's centre.";
}

static dcls_status prepare(dcls_plot *plot)
{
    struct density *d = dcls_plot_alloc(plot, 1, sizeof *d);
    int64_t longest = 1, most = 1;
    if (!d) return DCLS_ERR_MEMORY;
    d->panels = dcls_plot_alloc(plot, plot->layer_count, sizeof *d->panels);
    if (!d->panels) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < plot->layer_count; i++) {
        const dcls_kernel *k = &plot->layers[i].k;
        DCLS_TRY(measure(plot, &plot->layers[i], &d->panels[i]));
        size_panel(&d->panels[i], k, plot->width - 2 * DCLS_PLOT_MARGIN, plot->layer_count);
        int64_t cells = dcls_kernel_cells(k);
        for (int64_t c = 0; k->ndim > 1 && c < cells; c++)
            d->largest = fmax(d->largest, d->panels[i].density[c]);
        d->maps |= k->ndim > 1;
        most = cells > most ? cells : most;
        for (int a = 0; a < k->ndim; a++)
            longest = k->size[a] > longest ? k->size[a] : longest;
    }
    d->marginal = dcls_plot_alloc(plot, (size_t)longest, sizeof *d->marginal);
    d->rgb = dcls_plot_alloc(plot, (size_t)most, 3);
    if (!d->marginal || !d->rgb) return DCLS_ERR_MEMORY;
    plot->data = d;
    plot->subtitle = subtitle_of(plot);
    dcls_plot_head(plot);
    place_panels(plot, d);
    return DCLS_OK;
}

/* ---- drawing ---- */

/* Densities fall off steeply from the centre: the scale shows their square root. */
static double place_on_scale(const struct density *d, double density)
{
    return d->largest > 0 ? sqrt(density / d->largest) : 0;
}

static void draw_bar(dcls_plot *plot, const struct density *d)
{
    double ticks[DCLS_MAX_TICKS], places[DCLS_MAX_TICKS];
    char labels[DCLS_MAX_TICKS][DCLS_NUMBER_TEXT];
    int count = 0, round_numbers = dcls_ticks(0, d->largest, 6, ticks);
    for (int i = 0; i < round_numbers; i++) {
        places[count] = place_on_scale(d, ticks[i]);
        dcls_plot_tick(labels[count++], ticks[i]);
        if (i > 0 || round_numbers < 2 || ticks[1] <= 1.5) continue;
        places[count] = place_on_scale(d, 1);
        dcls_plot_number(labels[count++], 1);
    }
    const dcls_box box = {DCLS_PLOT_MARGIN + GUTTER, plot->top, 260, 10};
    dcls_plot_color_bar(plot, box, &plot->sequential, count, places, (const char(*)[DCLS_NUMBER_TEXT])labels);
    dcls_plot_text(plot, box.x + box.width + 16, box.y + 9, plot->width - box.x - box.width - 40,
                   "multiples of an even spread", DCLS_PLOT_SMALL + 1, dcls_plot_faint, DCLS_ALIGN_LEFT);
}

static void draw_caption(dcls_plot *plot, const dcls_plot_layer *layer, const struct panel *panel)
{
    char window[DCLS_WINDOW_TEXT], number[DCLS_NUMBER_TEXT], facts[256], lost[96] = "";
    double x = panel->x + GUTTER, width = panel->width - GUTTER;
    if (layer->shared_with)
        snprintf(lost, sizeof lost, ", P of %.50s", layer->shared_with);
    else if (panel->lost > 5e-4)
        snprintf(lost, sizeof lost, ", %s%% outside", dcls_plot_number(number, 100 * panel->lost));
    snprintf(facts, sizeof facts, "%s  %lld elements%s", dcls_plot_window_text(window, &layer->k),
             (long long)panel->elements, lost);
    dcls_plot_text(plot, x, panel->y + 10, width, layer->name, DCLS_PLOT_TEXT, dcls_plot_ink,
                   DCLS_ALIGN_LEFT);
    dcls_plot_text(plot, x, panel->y + 21, width, facts, DCLS_PLOT_SMALL, dcls_plot_faint, DCLS_ALIGN_LEFT);
}

static void draw_map(dcls_plot *plot, struct density *d, const double *density, dcls_box box, int64_t columns,
                     int64_t rows)
{
    for (int64_t i = 0; i < columns * rows; i++)
        memcpy(d->rgb + 3 * i, dcls_colormap_at(&plot->sequential, place_on_scale(d, density[i])), 3);
    dcls_canvas_cells(plot->canvas, box, columns, rows, d->rgb);
    dcls_canvas_frame_box(plot->canvas, box, 0.75, dcls_plot_rule);
}

/* Bars of `count` values along the upper edge of box (or its right edge), the largest filling it. */
static void draw_bars(dcls_plot *plot, const double *values, int64_t count, dcls_box box, bool upright)
{
    const dcls_color color = {0.16, 0.45, 0.60, 1};
    double largest = 1e-12, even = 0;
    for (int64_t i = 0; i < count; i++) {
        largest = fmax(largest, values[i]);
        even += values[i] / (double)count;
    }
    for (int64_t i = 0; i < count; i++) {
        double share = values[i] / largest, step = (upright ? box.width : box.height) / (double)count;
        double at = (double)i * step, gap = step >= 4 ? 1 : 0;
        dcls_box bar =
            upright ? (dcls_box){box.x + at, box.y + box.height * (1 - share), step - gap, box.height * share}
                    : (dcls_box){box.x, box.y + at, box.width * share, step - gap};
        dcls_canvas_fill_box(plot->canvas, bar, color);
    }
    even /= largest;
    double x = box.x + box.width * even, y = box.y + box.height * (1 - even);
    dcls_canvas_dash_box(plot->canvas,
                         upright ? (dcls_box){box.x, y, box.width, 0} : (dcls_box){x, box.y, 0, box.height},
                         0.75, dcls_plot_faint);
}

static void draw_marginals(dcls_plot *plot, const struct density *d, const struct panel *panel, dcls_box map,
                           int64_t columns, int64_t rows)
{
    memset(d->marginal, 0, (size_t)columns * sizeof *d->marginal);
    for (int64_t i = 0; i < columns * rows; i++)
        d->marginal[i % columns] += panel->density[i];
    draw_bars(plot, d->marginal, columns, (dcls_box){map.x, map.y - MARGINAL, map.width, MARGINAL - 3}, true);
    memset(d->marginal, 0, (size_t)rows * sizeof *d->marginal);
    for (int64_t i = 0; i < columns * rows; i++)
        d->marginal[i / columns] += panel->density[i];
    draw_bars(plot, d->marginal, rows, (dcls_box){map.x + map.width + 3, map.y, MARGINAL - 3, map.height},
              false);
}

static void draw_line_panel(dcls_plot *plot, const dcls_kernel *k, const struct panel *panel)
{
    dcls_box box = {panel->x + GUTTER, panel->y + CAPTION, panel->map_width, panel->map_height};
    char number[DCLS_NUMBER_TEXT];
    double largest = 0;
    for (int64_t i = 0; i < k->size[0]; i++)
        largest = fmax(largest, panel->density[i]);
    draw_bars(plot, panel->density, k->size[0], box, true);
    dcls_canvas_frame_box(plot->canvas, box, 0.75, dcls_plot_rule);
    dcls_plot_text(plot, box.x - 5, box.y + 7, GUTTER, dcls_plot_number(number, largest), DCLS_PLOT_SMALL,
                   dcls_plot_faint, DCLS_ALIGN_RIGHT);
    dcls_plot_text(plot, box.x - 5, box.y + box.height, GUTTER, "0", DCLS_PLOT_SMALL, dcls_plot_faint,
                   DCLS_ALIGN_RIGHT);
    dcls_plot_cell_ticks_below(plot, box.x, box.y + box.height, panel->cell, k->size[0]);
}

static void draw_slice_caption(dcls_plot *plot, const dcls_kernel *k, int64_t slice, dcls_box box)
{
    char text[DCLS_NUMBER_TEXT];
    int64_t offset = slice - k->size[0] / 2;
    snprintf(text, sizeof text, "z=%s%lld", offset < 0 ? "\xe2\x88\x92" : "", llabs((long long)offset));
    dcls_plot_text(plot, box.x + box.width, box.y - 3, box.width, text, DCLS_PLOT_SMALL, dcls_plot_faint,
                   DCLS_ALIGN_RIGHT);
}

static void draw_panel(dcls_plot *plot, struct density *d, size_t index)
{
    const dcls_kernel *k = &plot->layers[index].k;
    const struct panel *panel = &d->panels[index];
    draw_caption(plot, &plot->layers[index], panel);
    if (k->ndim == 1) {
        draw_line_panel(plot, k, panel);
        return;
    }
    int64_t rows = k->size[k->ndim - 2], columns = k->size[k->ndim - 1];
    double top = panel->y + CAPTION + (k->ndim == 2 ? MARGINAL : SLICE_CAPTION);
    for (int64_t s = 0; s < panel->slices; s++) {
        int64_t column = s % panel->slice_columns, line = s / panel->slice_columns;
        dcls_box box = {panel->x + GUTTER + (double)column * (panel->map_width + SLICE_GAP),
                        top + (double)line * panel->step, panel->map_width, panel->map_height};
        if (k->ndim == 3) draw_slice_caption(plot, k, s, box);
        draw_map(plot, d, panel->density + s * rows * columns, box, columns, rows);
        if (k->ndim == 2) draw_marginals(plot, d, panel, box, columns, rows);
        if (column == 0) dcls_plot_cell_ticks_left(plot, box.x, box.y, panel->cell, rows);
        bool roomy = k->ndim == 2 || panel->map_width >= 70 || column == 0;
        if (roomy && s / panel->slice_columns == (panel->slices - 1) / panel->slice_columns)
            dcls_plot_cell_ticks_below(plot, box.x, box.y + box.height, panel->cell, columns);
    }
}

static void draw(dcls_plot *plot)
{
    struct density *d = plot->data;
    if (d->maps) draw_bar(plot, d);
    for (size_t i = 0; i < plot->layer_count; i++)
        draw_panel(plot, d, i);
}

const dcls_plot_kind_functions dcls_plot_density = {"density", prepare, draw};
