/* Positions per axis, spreads, weights and distances from the centre as histograms, a line of them per layer.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "draw/plot.h"

#define HEADING 22.0
#define BARS    66.0
#define TITLE   14.0
#define TICKS   20.0
#define GUTTER  28.0
#define BETWEEN 12.0
#define DASH    4.0
#define GAP     3.0

enum { MOST_BINS = 64, MOST_PANELS = 6 };

struct histogram {
    const char *title;
    double low, high;
    int bins;
    double mark; /* a limit of the values, and its opposite; 0: there is none */
    double top;  /* share that is as high as the chart */
    int64_t count[MOST_BINS], at_limit[MOST_BINS], total, outside;
};

struct layer_histograms {
    struct histogram panels[MOST_PANELS];
    int count;
    bool has_spread;
    double y;
    int64_t elements, clamped, not_finite;
};

struct histograms {
    struct layer_histograms *layers;
    int columns;
    double panel_width, line_height;
};

/* ---- counting ---- */

static void add(struct histogram *h, double value, bool at_limit)
{
    h->total++;
    if (!(value >= h->low && value <= h->high)) {
        h->outside++;
        return;
    }
    int bin = (int)((value - h->low) / (h->high - h->low) * h->bins);
    if (bin >= h->bins) bin = h->bins - 1;
    h->count[bin]++;
    h->at_limit[bin] += at_limit;
}

static const char *axis_title(int ndim, int axis)
{
    static const char *const titles[3][3] = {{"delay (cells)", "", ""},
                                             {"row (cells)", "column (cells)", ""},
                                             {"axis 0 (cells)", "row (cells)", "column (cells)"}};
    return titles[ndim - 1][axis];
}

/* The clamp limit of what stands along a kernel axis: floor(D_j / 2) of the index j that addresses it. */
static double limit_of(const dcls_kernel *k, int axis)
{
    for (int j = 0; j < k->ndim; j++)
        if (dcls_kernel_axis(k->version, k->ndim, j) == axis) return (double)(k->size[j] / 2);
    return 0;
}

/* Bins are cells or halves and quarters of them, whole cells together where there are many, the limits in the
 * middle of the outermost ones. */
static struct histogram position_histogram(const dcls_kernel *k, int axis)
{
    double limit = limit_of(k, axis), width = limit >= 8 ? 1 : limit >= 3 ? 0.5 : 0.25;
    while (2 * limit / width + 1 > MOST_BINS)
        width *= 2;
    int half = (int)ceil(limit / width);
    return (struct histogram){.title = axis_title(k->ndim, axis),
                              .low = -(half + 0.5) * width,
                              .high = (half + 0.5) * width,
                              .bins = 2 * half + 1,
                              .mark = limit};
}

struct range {
    double weight, spread_low, spread_high, distance;
};

static struct range ranges_of(const dcls_plot_layer *layer)
{
    const dcls_kernel *k = &layer->k;
    struct range r = {.spread_low = INFINITY};
    for (int64_t i = 0; i < dcls_plot_row_count(layer); i++)
        for (int64_t n = 0; n < k->count; n++) {
            double w = fabs((double)k->weight[dcls_plot_row(layer, i) * k->count + n]);
            if (isfinite(w)) r.weight = fmax(r.weight, w);
        }
    for (int64_t i = 0; i < dcls_plot_position_row_count(layer); i++)
        for (int64_t n = 0; n < k->count; n++) {
            dcls_plot_element e = dcls_plot_element_at(k, dcls_plot_position_row(layer, i), n);
            for (int a = 0; a < k->ndim && e.finite; a++) {
                r.spread_low = fmin(r.spread_low, e.spread[a]);
                r.spread_high = fmax(r.spread_high, e.spread[a]);
            }
        }
    for (int a = 0; a < k->ndim; a++)
        r.distance = hypot(r.distance, limit_of(k, a));
    return r;
}

/* A range that is not empty. */
static struct histogram value_histogram(const char *title, double low, double high, int bins)
{
    double least = fmax(1e-6, 1e-3 * fmax(fabs(low), fabs(high)));
    if (high - low < least) {
        low -= least / 2;
        high += least / 2;
    }
    return (struct histogram){.title = title, .low = low, .high = high, .bins = bins};
}

static void count_positions(const dcls_plot_layer *layer, struct layer_histograms *out, int spread,
                            int distance)
{
    const dcls_kernel *k = &layer->k;
    for (int64_t i = 0; i < dcls_plot_position_row_count(layer); i++) {
        for (int64_t n = 0; n < k->count; n++) {
            dcls_plot_element e = dcls_plot_element_at(k, dcls_plot_position_row(layer, i), n);
            double square = 0;
            out->elements++;
            out->not_finite += !e.finite;
            if (!e.finite) continue;
            out->clamped += e.clamped;
            for (int a = 0; a < k->ndim; a++) {
                double limit = limit_of(k, a);
                add(&out->panels[a], e.offset[a], limit > 0 && fabs(e.offset[a]) >= limit);
                if (spread >= 0) add(&out->panels[spread], e.spread[a], false);
                square += e.offset[a] * e.offset[a];
            }
            add(&out->panels[distance], sqrt(square), false);
        }
    }
}

/* Ranges of all that is counted: positions per axis, distance, spread, weight. */
static void choose_panels(const dcls_plot_layer *layer, struct layer_histograms *out)
{
    const dcls_kernel *k = &layer->k;
    struct range r = ranges_of(layer);
    for (int a = 0; a < k->ndim; a++)
        out->panels[out->count++] = position_histogram(k, a);
    out->panels[out->count++] = value_histogram("distance (cells)", 0, r.distance, 30);
    out->has_spread = k->SIG && isfinite(r.spread_low);
    if (out->has_spread) {
        out->panels[out->count] = value_histogram(
            "spread S (cells)", fmin(r.spread_low, (double)k->spread_offset), r.spread_high, 30);
        out->panels[out->count++].mark = (double)k->spread_offset;
    }
    out->panels[out->count++] = value_histogram("weight", -r.weight, r.weight, 41);
}

static void count_layer(const dcls_plot_layer *layer, struct layer_histograms *out)
{
    const dcls_kernel *k = &layer->k;
    count_positions(layer, out, out->has_spread ? k->ndim + 1 : -1, k->ndim);
    struct histogram *weights = &out->panels[out->count - 1];
    for (int64_t i = 0; i < dcls_plot_row_count(layer); i++)
        for (int64_t n = 0; n < k->count; n++)
            add(weights, (double)k->weight[dcls_plot_row(layer, i) * k->count + n], false);
}

/* ---- one scale for what is to be compared ---- */

/* A range this much smaller than another one would be lost in its scale. */
#define MOST_UNLIKE 8.0

struct scale {
    double low, high, least, top;
    int bins;
};

static double width_of(const struct histogram *h)
{
    return h->high - h->low;
}

static struct histogram *same_panel(struct layer_histograms *layer, const char *title)
{
    for (int p = 0; p < layer->count; p++)
        if (strcmp(layer->panels[p].title, title) == 0) return &layer->panels[p];
    return NULL;
}

static struct scale scale_of(const struct histograms *all, size_t count, const char *title)
{
    struct scale s = {.low = INFINITY, .high = -INFINITY, .least = INFINITY};
    for (size_t i = 0; i < count; i++) {
        const struct histogram *h = same_panel(&all->layers[i], title);
        if (!h) continue;
        if (width_of(h) > s.high - s.low || !isfinite(s.low)) s.bins = h->bins;
        s.low = fmin(s.low, h->low);
        s.high = fmax(s.high, h->high);
        s.least = fmin(s.least, width_of(h));
    }
    return s;
}

/* Before anything is counted. The widest layer's bins suit all. */
static void share_ranges(struct histograms *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int p = 0; p < all->layers[i].count; p++) {
            const char *title = all->layers[i].panels[p].title;
            const struct scale s = scale_of(all, count, title);
            if (s.high - s.low > MOST_UNLIKE * s.least) continue;
            for (size_t n = 0; n < count; n++) {
                struct histogram *h = same_panel(&all->layers[n], title);
                if (!h) continue;
                h->low = s.low;
                h->high = s.high;
                h->bins = s.bins;
            }
        }
}

static double highest_share(const struct histogram *h)
{
    int64_t most = 1;
    for (int b = 0; b < h->bins; b++)
        if (h->count[b] > most) most = h->count[b];
    return (double)most / (double)(h->total ? h->total : 1);
}

/* Charts that have one scale across have one upwards. */
static void share_heights(struct histograms *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int p = 0; p < all->layers[i].count; p++) {
            struct histogram *h = &all->layers[i].panels[p];
            for (size_t n = 0; n < count; n++) {
                const struct histogram *other = same_panel(&all->layers[n], h->title);
                if (other && other->low == h->low && other->high == h->high)
                    h->top = fmax(h->top, highest_share(other));
            }
        }
}

/* ---- layout ---- */

static dcls_status prepare(dcls_plot *plot)
{
    struct histograms *all = dcls_plot_alloc(plot, 1, sizeof *all);
    double room = plot->width - 2 * DCLS_PLOT_MARGIN;
    if (!all) return DCLS_ERR_MEMORY;
    all->layers = dcls_plot_alloc(plot, plot->layer_count, sizeof *all->layers);
    if (!all->layers) return DCLS_ERR_MEMORY;
    plot->data = all;
    plot->subtitle =
        "Shares of elements per bin, all channels together; charts below each other have one "
        "scale. Orange and "
        "dashed: the clamp limit floor(D/2), where training stops elements; of spreads, dashed is "
        "the least S. Positions are cells from the window's centre.";
    dcls_plot_head(plot);
    int most = 1;
    for (size_t i = 0; i < plot->layer_count; i++) {
        choose_panels(&plot->layers[i], &all->layers[i]);
        most = all->layers[i].count > most ? all->layers[i].count : most;
    }
    share_ranges(all, plot->layer_count);
    for (size_t i = 0; i < plot->layer_count; i++)
        count_layer(&plot->layers[i], &all->layers[i]);
    share_heights(all, plot->layer_count);
    int fit = (int)fmax(1, floor(room / 150));
    all->columns = fit < most ? fit : most;
    if (fit < most && most - fit < fit) all->columns = (most + 1) / 2;
    all->panel_width = room / all->columns;
    all->line_height = TITLE + BARS + TICKS;
    double y = plot->top;
    for (size_t i = 0; i < plot->layer_count; i++) {
        all->layers[i].y = y;
        y +=
            HEADING + all->line_height * ((all->layers[i].count + all->columns - 1) / all->columns) + BETWEEN;
    }
    plot->height = y - BETWEEN + DCLS_PLOT_MARGIN;
    return DCLS_OK;
}

/* ---- drawing ---- */

static const char *percent(char buffer[DCLS_NUMBER_TEXT + 2], double share)
{
    double points = 100 * share, unit = points >= 10 || points == 0 ? 1 : points >= 0.1 ? 10 : 100;
    char number[DCLS_NUMBER_TEXT];
    if (points > 0 && points < 0.01) return strcpy(buffer, "<0.01%");
    snprintf(buffer, DCLS_NUMBER_TEXT + 2, "%s%%", dcls_plot_number(number, round(points * unit) / unit));
    return buffer;
}

static void draw_ticks(dcls_plot *plot, const struct histogram *h, dcls_box box)
{
    double ticks[DCLS_MAX_TICKS];
    int count = dcls_ticks(h->low, h->high, 5, ticks);
    for (int i = 0; i < count; i++) {
        char number[DCLS_NUMBER_TEXT], text[DCLS_NUMBER_TEXT + 4];
        double x = box.x + (ticks[i] - h->low) / (h->high - h->low) * box.width, y = box.y + box.height;
        const double tick[2][2] = {{x, y}, {x, y + 3}};
        snprintf(text, sizeof text, "%s%s", ticks[i] < 0 ? "\xe2\x88\x92" : "",
                 dcls_plot_tick(number, fabs(ticks[i])));
        dcls_canvas_line(plot->canvas, tick, 2, 0.75, dcls_plot_rule);
        dcls_canvas_text(plot->canvas, x, y + 3 + DCLS_PLOT_SMALL, text,
                         &(dcls_text_style){DCLS_PLOT_SMALL, dcls_plot_faint, DCLS_ALIGN_CENTER});
    }
}

static void draw_mark(dcls_plot *plot, const struct histogram *h, dcls_box box, double value)
{
    if (value < h->low || value > h->high) return;
    const double x = box.x + (value - h->low) / (h->high - h->low) * box.width;
    const int dashes = (int)ceil(box.height / (DASH + GAP));
    for (int i = 0; i < dashes; i++) {
        const double y = box.y + i * (DASH + GAP);
        const double dash[2][2] = {{x, y}, {x, fmin(y + DASH, box.y + box.height)}};
        dcls_canvas_line(plot->canvas, dash, 2, 0.9, dcls_color_positive(1));
    }
}

static void draw_panel(dcls_plot *plot, const struct histogram *h, double x, double y, double width)
{
    const dcls_color color = {0.16, 0.45, 0.60, 1}, orange = dcls_color_positive(1);
    dcls_box box = {x + GUTTER, y + TITLE, width - GUTTER - 14, BARS};
    char text[DCLS_NUMBER_TEXT + 2];
    double step = box.width / h->bins, gap = step >= 4 ? 1 : 0;
    double unit = (box.height - 4) / (h->top * (double)(h->total ? h->total : 1));
    for (int b = 0; b < h->bins; b++) {
        double height = (double)h->count[b] * unit, limit = (double)h->at_limit[b] * unit;
        double left = box.x + b * step, bottom = box.y + box.height;
        dcls_canvas_fill_box(plot->canvas, (dcls_box){left, bottom - height, step - gap, height - limit},
                             color);
        dcls_canvas_fill_box(plot->canvas, (dcls_box){left, bottom - limit, step - gap, limit}, orange);
    }
    if (h->mark > 0) draw_mark(plot, h, box, h->mark);
    if (h->mark > 0 && h->low < 0) draw_mark(plot, h, box, -h->mark);
    const double floor_line[2][2] = {{box.x, box.y + box.height}, {box.x + box.width, box.y + box.height}};
    dcls_canvas_line(plot->canvas, floor_line, 2, 0.75, dcls_plot_rule);
    dcls_plot_text(plot, box.x, y + 9, box.width, h->title, DCLS_PLOT_SMALL + 0.5, dcls_plot_ink,
                   DCLS_ALIGN_LEFT);
    dcls_plot_text(plot, box.x - 4, box.y + 8, GUTTER, percent(text, h->top), DCLS_PLOT_SMALL,
                   dcls_plot_faint, DCLS_ALIGN_RIGHT);
    draw_ticks(plot, h, box);
}

static void draw_heading(dcls_plot *plot, const dcls_plot_layer *layer, const struct layer_histograms *h)
{
    char window[DCLS_WINDOW_TEXT], share[DCLS_NUMBER_TEXT + 2], bad[64] = "", facts[320];
    double left = DCLS_PLOT_MARGIN, room = plot->width - 2 * DCLS_PLOT_MARGIN, y = h->y + DCLS_PLOT_TEXT;
    if (h->not_finite > 0) snprintf(bad, sizeof bad, "  %lld not finite", (long long)h->not_finite);
    snprintf(facts, sizeof facts, "%s%s%s %s  K=%lld  %lld elements, %s at the limit%s", layer->form,
             *layer->form ? " " : "", dcls_kernel_version_name(layer->k.version),
             dcls_plot_window_text(window, &layer->k), (long long)layer->k.count, (long long)h->elements,
             percent(share, (double)h->clamped / (double)(h->elements ? h->elements : 1)), bad);
    double facts_width = dcls_canvas_text_width(plot->canvas, facts, DCLS_PLOT_SMALL + 1);
    double name_width = fmin(dcls_canvas_text_width(plot->canvas, layer->name, DCLS_PLOT_TEXT + 1),
                             fmax(0.6 * room, room - facts_width - 10));
    dcls_plot_text(plot, left, y, name_width + 0.5, layer->name, DCLS_PLOT_TEXT + 1, dcls_plot_ink,
                   DCLS_ALIGN_LEFT);
    dcls_plot_text(plot, left + name_width + 10, y, room - name_width - 10, facts, DCLS_PLOT_SMALL + 1,
                   dcls_plot_faint, DCLS_ALIGN_LEFT);
}

static void draw(dcls_plot *plot)
{
    const struct histograms *all = plot->data;
    for (size_t i = 0; i < plot->layer_count; i++) {
        const struct layer_histograms *h = &all->layers[i];
        draw_heading(plot, &plot->layers[i], h);
        for (int p = 0; p < h->count; p++)
            draw_panel(plot, &h->panels[p], DCLS_PLOT_MARGIN + all->panel_width * (p % all->columns),
                       h->y + HEADING + all->line_height * (p / all->columns), all->panel_width);
    }
}

const dcls_plot_kind_functions dcls_plot_histogram = {"histogram", prepare, draw};
