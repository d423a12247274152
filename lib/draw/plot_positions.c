/* Elements at their positions: one disc each, area by |weight|, colour by sign, a ring for the spread. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "draw/plot.h"
#include "kernel/profile.h"

struct positions {
    dcls_mosaic *mosaic;
    double *largest; /* per layer: largest |weight| of the kernels shown */
    double *share;   /* scratch: one value per cell of the longest first axis */
};

/* Below this share of an element a slice of a 3-D window does not show it. */
#define LEAST_SHARE 0.02

static double weight_of(const dcls_kernel *k, int64_t row, int64_t element)
{
    double w = (double)k->weight[row * k->count + element];
    return isfinite(w) ? w : 0;
}

static dcls_status choose(dcls_plot *plot, size_t layer, const int64_t *rows, int64_t count)
{
    const dcls_kernel *k = &plot->layers[layer].k;
    struct positions *positions = plot->data;
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        for (int64_t e = 0; e < k->count; e++)
            largest = fmax(largest, fabs(weight_of(k, rows[i], e)));
    positions->largest[layer] = largest;
    return DCLS_OK;
}

/* ---- a window ---- */

static void draw_paper(dcls_plot *plot, const dcls_mosaic_window *w)
{
    const dcls_kernel *k = &w->layer->k;
    const dcls_color line = {0, 0, 0, 0.10}, middle = {0, 0, 0, 0.07};
    int64_t columns = k->size[k->ndim - 1], rows = k->ndim == 1 ? 1 : k->size[k->ndim - 2];
    double height = k->ndim == 1 ? w->box.height : w->cell;
    dcls_canvas_fill_box(plot->canvas, w->box, dcls_plot_paper);
    if (k->ndim < 3 || w->slice == k->size[0] / 2)
        dcls_canvas_fill_box(plot->canvas,
                             (dcls_box){w->box.x + (double)(columns / 2) * w->cell,
                                        w->box.y + (double)(rows / 2) * height, w->cell, height},
                             middle);
    if (w->cell >= 3) dcls_canvas_grid(plot->canvas, w->box, columns, rows, 0.5, line);
    dcls_canvas_frame_box(plot->canvas, w->box, 0.75, dcls_plot_rule);
}

/* Share of the element that lies in this slice of a 3-D window: 1 in other windows. */
static double share_in_slice(const struct positions *positions, const dcls_mosaic_window *w, double centre,
                             double spread)
{
    const dcls_kernel *k = &w->layer->k;
    if (k->ndim < 3) return 1;
    dcls_profile p = {.x = positions->share};
    dcls_profile_fill(k->version, k->size[0], (float)centre, (float)spread, &p);
    if (w->slice < p.lo || w->slice >= p.hi) return 0;
    double sum = k->version == DCLS_V0 ? 1 : p.sum + 1e-7;
    return p.x[w->slice - p.lo] / sum;
}

#define LEAST_FULL   4.4 /* radius of the largest weight: windows of many cells are small */
#define LEAST_RADIUS 1.1 /* of the smallest, which would be a speck */

/* What is drawn of an element in a window. */
struct mark {
    double x, y, radius, spread_x, spread_y;
    bool negative, inside;
};

/* Longer than any page, and no more than what a drawing program takes in its stride: an ellipse of millions
 * of points takes cairo for ever. */
#define LONGEST_SPREAD 2e4

static bool make_mark(dcls_plot *plot, const dcls_mosaic_window *w, int64_t element, struct mark *out)
{
    const struct positions *positions = plot->data;
    const dcls_kernel *k = &w->layer->k;
    double weight = weight_of(k, w->row, element), largest = positions->largest[w->layer_index];
    dcls_plot_element e = dcls_plot_element_at(k, w->row % k->position_rows, element);
    if (!e.finite || largest == 0) return false;
    int across = k->ndim - 1, down = k->ndim - 2;
    double share = share_in_slice(positions, w, e.centre[0], e.spread[0]);
    if (share < LEAST_SHARE) return false;
    double full = k->ndim == 1 ? 5.5 : fmin(fmax(0.8 * w->cell, LEAST_FULL), 8);
    out->radius = fmax(full * sqrt(fabs(weight) / largest * share), LEAST_RADIUS);
    out->x = w->box.x + (e.centre[across] + 0.5) * w->cell;
    out->y = k->ndim == 1 ? w->box.y + w->box.height / 2 : w->box.y + (e.centre[down] + 0.5) * w->cell;
    out->spread_x = fmin(e.spread[across] * w->cell, LONGEST_SPREAD);
    out->spread_y = k->ndim == 1 ? 0 : fmin(e.spread[down] * w->cell, LONGEST_SPREAD);
    out->negative = weight < 0;
    out->inside = e.inside;
    return true;
}

static dcls_color sign_color(const struct mark *mark, double alpha)
{
    return mark->negative ? dcls_color_negative(alpha) : dcls_color_positive(alpha);
}

/* One dimension has no room for a ring: a bar from -S to S. */
static void draw_spread(dcls_plot *plot, const struct mark *mark)
{
    const dcls_color color = sign_color(mark, 0.6);
    if (mark->spread_y > 0) {
        dcls_canvas_ring(plot->canvas, mark->x, mark->y, mark->spread_x, mark->spread_y, 0.7, color);
        return;
    }
    const double bar[2][2] = {{mark->x - mark->spread_x, mark->y}, {mark->x + mark->spread_x, mark->y}};
    if (mark->spread_x > 0) dcls_canvas_line(plot->canvas, bar, 2, 1, color);
}

/* An element whose centre left the window is a cross at the border it left by. */
static void draw_cross(dcls_plot *plot, const dcls_box *box, const struct mark *mark)
{
    const double reach = 2.5, x = fmin(fmax(mark->x, box->x), box->x + box->width),
                 y = fmin(fmax(mark->y, box->y), box->y + box->height);
    const double strokes[2][2][2] = {{{x - reach, y - reach}, {x + reach, y + reach}},
                                     {{x - reach, y + reach}, {x + reach, y - reach}}};
    dcls_canvas_line(plot->canvas, strokes[0], 2, 1.2, sign_color(mark, 1));
    dcls_canvas_line(plot->canvas, strokes[1], 2, 1.2, sign_color(mark, 1));
}

enum { MOST_MOMENTS = 256 };

/* The way of an element to where it is now. */
static void draw_trail(dcls_plot *plot, const dcls_mosaic_window *w, int64_t element, dcls_color color)
{
    const dcls_plot_past *past = plot->past;
    const int64_t count = past->count < MOST_MOMENTS ? past->count : MOST_MOMENTS;
    double points[MOST_MOMENTS][2];
    dcls_kernel k = w->layer->k;
    for (int64_t i = 0; i < count; i++) {
        k.P = past->rows + (past->count - count + i) * past->columns + past->offsets[w->layer_index];
        const dcls_plot_element e = dcls_plot_element_at(&k, w->row % k.position_rows, element);
        if (!e.finite) return;
        points[i][0] = w->box.x + (e.centre[1] + 0.5) * w->cell;
        points[i][1] = w->box.y + (e.centre[0] + 0.5) * w->cell;
    }
    if (count > 1) dcls_canvas_line(plot->canvas, (const double(*)[2])points, (size_t)count, 0.9, color);
}

static void draw_trails(dcls_plot *plot, const dcls_mosaic_window *w)
{
    struct mark mark;
    if (plot->past == NULL || w->layer->k.ndim != 2) return;
    dcls_canvas_clip(plot->canvas, w->box);
    for (int64_t e = 0; e < w->layer->k.count; e++)
        if (make_mark(plot, w, e, &mark)) draw_trail(plot, w, e, sign_color(&mark, 0.45));
    dcls_canvas_unclip(plot->canvas);
}

static void draw_window(dcls_plot *plot, const dcls_mosaic_window *w)
{
    struct mark mark;
    draw_paper(plot, w);
    draw_trails(plot, w);
    if (w->layer->k.SIG) {
        dcls_canvas_clip(plot->canvas, w->box);
        for (int64_t e = 0; e < w->layer->k.count; e++)
            if (make_mark(plot, w, e, &mark)) draw_spread(plot, &mark);
        dcls_canvas_unclip(plot->canvas);
    }
    for (int64_t e = 0; e < w->layer->k.count; e++) {
        if (!make_mark(plot, w, e, &mark)) continue;
        if (mark.inside)
            dcls_canvas_disc(plot->canvas, mark.x, mark.y, mark.radius, sign_color(&mark, 0.85));
        else
            draw_cross(plot, &w->box, &mark);
    }
}

/* ---- the page ---- */

/* Discs of the largest weight, half and a tenth of it. */
static double draw_scale(dcls_plot *plot, size_t layer, double right, double baseline)
{
    const struct positions *positions = plot->data;
    char number[DCLS_NUMBER_TEXT], text[64];
    snprintf(text, sizeof text, "largest |w| %s", dcls_plot_number(number, positions->largest[layer]));
    dcls_plot_text(plot, right, baseline, 200, text, DCLS_PLOT_SMALL + 1, dcls_plot_faint, DCLS_ALIGN_RIGHT);
    return dcls_canvas_text_width(plot->canvas, text, DCLS_PLOT_SMALL + 1);
}

static const dcls_mosaic_style style = {choose, draw_window, draw_scale};

static const char *subtitle_of(const dcls_plot *plot)
{
    static const char *const texts[2][2] = {
        {"Each disc is an element: area |weight|, blue negative, orange positive. A cross marks an element "
         "outside its "
         "window. Ticks: cells from the window's centre, which is shaded.",
         "Each disc is an element: area |weight|, blue negative, orange positive; its ring is the spread S. "
         "A cross marks "
         "an element outside its window. Ticks: cells from the window's centre, which is shaded."},
        {"Each disc is an element: area |weight| times its share in this slice along the first axis (z), "
         "blue "
         "negative, orange "
         "positive. A cross marks an element outside its window. Ticks: cells from the window's centre, "
         "which is shaded.",
         "Each disc is an element: area |weight| times its share in this slice along the first axis (z), "
         "blue "
         "negative, orange "
         "positive; its ring is the spread S. A cross marks an element outside its window. Ticks: cells from "
         "the window's "
         "centre, which is shaded."}};
    bool spread = false, slices = false;
    for (size_t i = 0; i < plot->layer_count; i++) {
        spread |= plot->layers[i].k.SIG != NULL;
        slices |= plot->layers[i].k.ndim == 3;
    }
    return texts[slices][spread];
}

#define MOVING                                                                                               \
    "Each disc is an element where it was at this step, the line how it came there: area "                   \
    "|weight| after training, blue negative, orange positive. Ticks: cells from the window's centre."

static dcls_status prepare(dcls_plot *plot)
{
    struct positions *positions = dcls_plot_alloc(plot, 1, sizeof *positions);
    int64_t longest = 1;
    if (!positions) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < plot->layer_count; i++)
        if (plot->layers[i].k.size[0] > longest) longest = plot->layers[i].k.size[0];
    positions->largest = dcls_plot_alloc(plot, plot->layer_count, sizeof *positions->largest);
    positions->share = dcls_plot_alloc(plot, (size_t)longest, sizeof *positions->share);
    if (!positions->largest || !positions->share) return DCLS_ERR_MEMORY;
    plot->data = positions;
    plot->subtitle = plot->past != NULL ? MOVING : subtitle_of(plot);
    dcls_plot_head(plot);
    return dcls_mosaic_prepare(plot, &style, &positions->mosaic);
}

static void draw(dcls_plot *plot)
{
    const struct positions *positions = plot->data;
    dcls_mosaic_draw(plot, positions->mosaic, &style);
}

const dcls_plot_kind_functions dcls_plot_positions = {"positions", prepare, draw};
