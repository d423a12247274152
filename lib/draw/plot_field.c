/* Receptive fields: a map of the gradient over the input, its profiles, and how much of it lies how near. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/field.h"
#include "base/text.h"
#include "draw/plot.h"

#define GUTTER    34.0
#define GAP       26.0
#define CHART     150.0 /* height */
#define HEADING   18.0
#define TICKS     20.0
#define AXIS_NAME 13.0
#define BAR       46.0 /* height of the colour bar with its ticks */

enum { MOST_CELLS = 480, DECADES = 3 };

struct view {
    dcls_field field;
    double *share;
    int64_t share_count;
    int64_t side50, side95, side_theory;
    int64_t first[2], count[2]; /* rows and columns of the input that are shown */
    double
        *plane; /* [rows, columns] relative to the largest; neighbouring cells joined where there are many */
    int64_t rows, columns, joined;
    double *profile[2];               /* per axis of the plane: largest over the other */
    uint8_t *rgb;                     /* scratch, [rows, columns, 3] */
    double (*points)[2];              /* scratch: of a line */
    dcls_box map, nearness, profiles; /* map.width 0: there is none */
    char subtitle[768];
};

/* ---- numbers ---- */

static dcls_status choose_value(dcls_plot *plot, int *value)
{
    const dcls_plot_options *o = plot->options;
    const dcls_model *model = plot->source->model;
    if (o->layer_count == 0) return dcls_field_default_value(plot->ctx, model, o->ndim, o->shape, value);
    for (size_t i = model->node_count; i-- > 0;) {
        if (!dcls_any_matches(o->layers, o->layer_count, model->nodes[i].name)) continue;
        *value = (int)i + 1;
        return DCLS_OK;
    }
    return dcls_fail(plot->ctx, DCLS_ERR_ARGUMENT, "no operation is named '%s'", o->layers[0]);
}

/* The side of the smallest centred square that holds this share. */
static int64_t side_holding(const struct view *v, double share)
{
    int64_t r = 0;
    while (r + 1 < v->share_count && v->share[r] < share)
        r++;
    return 2 * r + 1;
}

/* Rows and columns of what is shown: the last two axes; one axis is a single row. */
static int64_t rows_of(const dcls_field *f)
{
    return f->ndim == 1 ? 1 : f->size[f->ndim - 2];
}

static int64_t columns_of(const dcls_field *f)
{
    return f->size[f->ndim - 1];
}

/* The theoretical field and a margin, as far as the input goes. */
static void choose_view(struct view *v)
{
    const dcls_field *f = &v->field;
    for (int a = 0; a < 2; a++) {
        int d = f->ndim - 2 + a;
        int64_t size = a == 0 ? rows_of(f) : columns_of(f);
        int64_t low = d >= 0 ? f->low[d] : 0, high = d >= 0 ? f->high[d] : 0, margin = 2 + (high - low) / 6;
        low = low - margin < 0 ? 0 : low - margin;
        high = high + margin >= size ? size - 1 : high + margin;
        v->first[a] = low;
        v->count[a] = high - low + 1;
    }
}

/* Root mean squares over the first axis of three, and over joined cells. */
static double plane_at(const dcls_field *f, int64_t row, int64_t column)
{
    int64_t rows = rows_of(f), columns = columns_of(f);
    int64_t depth = f->size[0] * f->size[1] * f->size[2] / (rows * columns);
    double square = 0;
    for (int64_t z = 0; z < depth; z++) {
        double rms = f->rms[(z * rows + row) * columns + column];
        square += rms * rms / (double)depth;
    }
    return sqrt(square);
}

static bool make_room(dcls_plot *plot, struct view *v)
{
    int64_t rows = rows_of(&v->field), columns = columns_of(&v->field);
    int64_t most = v->count[0] > v->count[1] ? v->count[0] : v->count[1];
    v->joined = (most + MOST_CELLS - 1) / MOST_CELLS;
    v->rows = (v->count[0] + v->joined - 1) / v->joined;
    v->columns = (v->count[1] + v->joined - 1) / v->joined;
    v->plane = dcls_plot_alloc(plot, (size_t)(v->rows * v->columns), sizeof *v->plane);
    v->rgb = dcls_plot_alloc(plot, (size_t)(v->rows * v->columns), 3);
    v->profile[0] = dcls_plot_alloc(plot, (size_t)rows, sizeof(double));
    v->profile[1] = dcls_plot_alloc(plot, (size_t)columns, sizeof(double));
    v->points = dcls_plot_alloc(plot, (size_t)(rows + columns + v->share_count), sizeof *v->points);
    return v->plane && v->rgb && v->profile[0] && v->profile[1] && v->points;
}

static dcls_status make_plane(dcls_plot *plot, struct view *v)
{
    const dcls_field *f = &v->field;
    int64_t rows = rows_of(f), columns = columns_of(f);
    double largest = 0;
    choose_view(v);
    if (!make_room(plot, v)) return DCLS_ERR_MEMORY;
    double joined = (double)(v->joined * v->joined);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column++) {
            double rms = plane_at(f, row, column);
            int64_t y = row - v->first[0], x = column - v->first[1];
            largest = fmax(largest, rms);
            v->profile[0][row] = fmax(v->profile[0][row], rms);
            v->profile[1][column] = fmax(v->profile[1][column], rms);
            if (y >= 0 && y < v->count[0] && x >= 0 && x < v->count[1])
                v->plane[y / v->joined * v->columns + x / v->joined] += rms * rms / joined;
        }
    if (largest == 0) largest = 1;
    for (int64_t i = 0; i < v->rows * v->columns; i++)
        v->plane[i] = sqrt(v->plane[i]) / largest;
    for (int64_t i = 0; i < rows; i++)
        v->profile[0][i] /= largest;
    for (int64_t i = 0; i < columns; i++)
        v->profile[1][i] /= largest;
    return DCLS_OK;
}

static const char *sides_text(char buffer[DCLS_WINDOW_TEXT], int ndim, const int64_t *low,
                              const int64_t *size)
{
    size_t used = 0;
    for (int d = 0; d < ndim && used < DCLS_WINDOW_TEXT; d++)
        used += (size_t)snprintf(buffer + used, DCLS_WINDOW_TEXT - used, "%s%lld", d ? "\xc3\x97" : "",
                                 (long long)(low ? size[d] - low[d] + 1 : size[d]));
    return buffer;
}

static void write_subtitle(struct view *v)
{
    const dcls_field *f = &v->field;
    char map[DCLS_WINDOW_TEXT], input[DCLS_WINDOW_TEXT], theory[DCLS_WINDOW_TEXT];
    const char *square = f->ndim == 1 ? "span" : f->ndim == 2 ? "square" : "cube";
    snprintf(
        v->subtitle, sizeof v->subtitle,
        "How much the middle cell of '%.200s' (%s) depends on every cell of the input (%s): root mean square "
        "gradient over %d inputs of white noise. Theoretical field %s; the smallest centred %s with 50%% of "
        "the "
        "gradient is %lld wide, with 95%% %lld.",
        f->node, sides_text(map, f->ndim, NULL, f->map), sides_text(input, f->ndim, NULL, f->size),
        f->samples, sides_text(theory, f->ndim, f->low, f->high), square, (long long)v->side50,
        (long long)v->side95);
}

/* ---- layout ---- */

/* Side by side where there is room. */
static void place(dcls_plot *plot, struct view *v)
{
    double room = plot->width - 2 * DCLS_PLOT_MARGIN, x = DCLS_PLOT_MARGIN + GUTTER, y = plot->top + HEADING;
    bool flat = v->field.ndim == 1, beside = room >= 620 && !flat;
    double chart = (beside ? room * 0.46 : room) - GUTTER, bottom = y;
    if (!flat) {
        double width = (beside ? room - chart - GUTTER - GAP : room) - GUTTER,
               most = 2 * (CHART + HEADING) + TICKS + 40;
        double cell = fmin(width / (double)v->columns, most / (double)v->rows);
        if (cell >= 2) cell = floor(cell);
        v->map = (dcls_box){x, y, cell * (double)v->columns, cell * (double)v->rows};
        bottom = y + v->map.height + TICKS + BAR;
        if (beside)
            x += width + GAP + GUTTER;
        else
            y = bottom + HEADING;
    }
    v->profiles = (dcls_box){x, y, chart, CHART};
    y += CHART + TICKS + AXIS_NAME + HEADING + 8;
    v->nearness = (dcls_box){x, y, chart, CHART};
    bottom = fmax(bottom, y + CHART + TICKS + AXIS_NAME);
    plot->height = bottom + DCLS_PLOT_MARGIN;
}

static dcls_status keep_shares(dcls_plot *plot, struct view *v)
{
    double *share;
    DCLS_TRY(dcls_field_shares(plot->ctx, &v->field, &share, &v->share_count));
    v->share = dcls_plot_alloc(plot, (size_t)v->share_count, sizeof *v->share);
    if (v->share) memcpy(v->share, share, (size_t)v->share_count * sizeof *share);
    free(share);
    return v->share ? DCLS_OK : DCLS_ERR_MEMORY;
}

static dcls_status fill_view(dcls_plot *plot, struct view *v)
{
    DCLS_TRY(keep_shares(plot, v));
    v->side50 = side_holding(v, 0.5);
    v->side95 = side_holding(v, 0.95);
    for (int d = 0; d < v->field.ndim; d++) {
        int64_t side = v->field.high[d] - v->field.low[d] + 1;
        if (side > v->side_theory) v->side_theory = side;
    }
    return make_plane(plot, v);
}

static dcls_status prepare(dcls_plot *plot)
{
    const dcls_plot_options *o = plot->options;
    if (!plot->source->model || o->ndim < 3 || o->ndim > 5)
        return dcls_fail(plot->ctx, DCLS_ERR_ARGUMENT,
                         "a receptive field needs a model and the size of its input");
    struct view *v = dcls_plot_alloc(plot, 1, sizeof *v);
    int value = 0;
    if (!v) return DCLS_ERR_MEMORY;
    DCLS_TRY(choose_value(plot, &value));
    DCLS_TRY(
        dcls_field_measure(plot->ctx, plot->source->model, value, o->ndim, o->shape, 0, o->seed, &v->field));
    dcls_status status = fill_view(plot, v);
    dcls_field_free(&v->field);
    if (status != DCLS_OK) return status;
    plot->data = v;
    write_subtitle(v);
    plot->subtitle = v->subtitle;
    dcls_plot_head(plot);
    place(plot, v);
    return DCLS_OK;
}

/* ---- drawing ---- */

/* Three decades; less is white. */
static double place_on_scale(double relative)
{
    return relative > 0 ? 1 + log10(relative) / DECADES : 0;
}

static const dcls_color frame = {0.75, 0.30, 0.02, 1};

/* Units of the page per input cell. */
static double unit_of(const struct view *v)
{
    return v->map.width / (double)(v->columns * v->joined);
}

/* The box of input cells from low up to high, as far as the map shows it. */
static dcls_box on_map(const struct view *v, const double low[2], const double high[2])
{
    double unit = unit_of(v), from[2], to[2];
    for (int a = 0; a < 2; a++) {
        from[a] = fmin(fmax(low[a] - (double)v->first[a], 0), (double)v->count[a]) * unit;
        to[a] = fmin(fmax(high[a] - (double)v->first[a], 0), (double)v->count[a]) * unit;
    }
    return (dcls_box){v->map.x + from[1], v->map.y + from[0], to[1] - from[1], to[0] - from[0]};
}

static void draw_square(dcls_plot *plot, const struct view *v, int64_t side, double width)
{
    const dcls_field *f = &v->field;
    double low[2], high[2];
    for (int a = 0; a < 2; a++) {
        int d = f->ndim - 2 + a;
        double middle = floor((double)(f->low[d] + f->high[d] + 1) / 2), reach = (double)(side / 2);
        low[a] = middle - reach;
        high[a] = middle + reach + 1;
    }
    dcls_canvas_frame_box(plot->canvas, on_map(v, low, high), width, frame);
}

static void draw_map_ticks(dcls_plot *plot, const struct view *v)
{
    double unit = unit_of(v), ticks[DCLS_MAX_TICKS];
    char text[DCLS_NUMBER_TEXT];
    for (int a = 0; a < 2; a++) {
        double first = (double)v->first[a];
        int count = dcls_ticks(first, first + (double)v->count[a] - 1, 6, ticks);
        for (int i = 0; i < count; i++) {
            double at = (ticks[i] - first + 0.5) * unit;
            double x = a == 1 ? v->map.x + at : v->map.x - 5;
            double y = a == 1 ? v->map.y + v->map.height + 3 + DCLS_PLOT_SMALL
                              : v->map.y + at + 0.36 * DCLS_PLOT_SMALL;
            const dcls_text_style style = {DCLS_PLOT_SMALL, dcls_plot_faint,
                                           a == 1 ? DCLS_ALIGN_CENTER : DCLS_ALIGN_RIGHT};
            dcls_canvas_text(plot->canvas, x, y, dcls_plot_tick(text, ticks[i]), &style);
        }
    }
}

enum { INSIDE, ACROSS, AROUND };

/* Where the theoretical field lies: inside the input, across some of its borders, or around all of it. */
static int extent_of(const dcls_field *f)
{
    bool beyond = false, covers = true;
    for (int d = f->ndim >= 2 ? f->ndim - 2 : 0; d < f->ndim; d++) {
        beyond = beyond || f->low[d] < 0 || f->high[d] >= f->size[d];
        covers = covers && f->low[d] <= 0 && f->high[d] >= f->size[d] - 1;
    }
    return !beyond ? INSIDE : covers ? AROUND : ACROSS;
}

static void draw_map(dcls_plot *plot, const struct view *v)
{
    static const char labels[DECADES + 1][DCLS_NUMBER_TEXT] = {"0.001", "0.01", "0.1", "1"};
    static const double places[DECADES + 1] = {0, 1.0 / 3, 2.0 / 3, 1};
    const dcls_field *f = &v->field;
    int rows = f->ndim - 2, columns = f->ndim - 1;
    const double low[2] = {(double)f->low[rows], (double)f->low[columns]},
                 high[2] = {(double)f->high[rows] + 1, (double)f->high[columns] + 1};
    for (int64_t i = 0; i < v->rows * v->columns; i++)
        memcpy(v->rgb + 3 * i, dcls_colormap_at(&plot->sequential, place_on_scale(v->plane[i])), 3);
    static const char *const titles[] = {
        [INSIDE] = "gradient over the input; boxes: 50%, 95%; dashed: theoretical",
        [ACROSS] = "gradient over the input; boxes: 50%, 95%; dashed: field, which exceeds the input",
        [AROUND] = "gradient over the input; boxes: 50%, 95%; the field exceeds the input"};
    dcls_plot_text(plot, v->map.x, v->map.y - 6, fmax(v->map.width, 340), titles[extent_of(f)],
                   DCLS_PLOT_SMALL + 0.5, dcls_plot_ink, DCLS_ALIGN_LEFT);
    dcls_canvas_cells(plot->canvas, v->map, v->columns, v->rows, v->rgb);
    dcls_canvas_frame_box(plot->canvas, v->map, 0.75, dcls_plot_rule);
    if (extent_of(f) != AROUND) dcls_canvas_dash_box(plot->canvas, on_map(v, low, high), 1.2, dcls_plot_ink);
    draw_square(plot, v, v->side95, 1.6);
    draw_square(plot, v, v->side50, 1);
    draw_map_ticks(plot, v);
    dcls_box bar = {v->map.x, v->map.y + v->map.height + TICKS + 8, fmin(v->map.width, 200), 10};
    dcls_plot_color_bar(plot, bar, &plot->sequential, DECADES + 1, places, labels);
    dcls_plot_text(plot, bar.x + bar.width + 14, bar.y + 9, v->map.width - bar.width, "of the largest",
                   DCLS_PLOT_SMALL, dcls_plot_faint, DCLS_ALIGN_LEFT);
}

struct chart {
    dcls_box box;
    double low, high; /* of x */
    const char *title, *x_name;
    int y_count;
    const double *y_places; /* 0 below, 1 above */
    const char *const *y_labels;
};

static double chart_x(const struct chart *c, double x)
{
    return c->box.x + (x - c->low) / (c->high - c->low) * c->box.width;
}

static void draw_frame(dcls_plot *plot, const struct chart *c)
{
    const dcls_text_style right = {DCLS_PLOT_SMALL, dcls_plot_faint, DCLS_ALIGN_RIGHT},
                          middle = {DCLS_PLOT_SMALL, dcls_plot_faint, DCLS_ALIGN_CENTER};
    const dcls_color line = {0, 0, 0, 0.12};
    double ticks[DCLS_MAX_TICKS], bottom = c->box.y + c->box.height;
    int count = dcls_ticks(c->low, c->high, 7, ticks);
    for (int i = 0; i < c->y_count; i++) {
        double y = bottom - c->y_places[i] * c->box.height;
        const double across[2][2] = {{c->box.x, y}, {c->box.x + c->box.width, y}};
        dcls_canvas_line(plot->canvas, across, 2, 0.75, line);
        dcls_canvas_text(plot->canvas, c->box.x - 5, y + 0.36 * DCLS_PLOT_SMALL, c->y_labels[i], &right);
    }
    for (int i = 0; i < count; i++) {
        char number[DCLS_NUMBER_TEXT], text[DCLS_NUMBER_TEXT + 4];
        double x = chart_x(c, ticks[i]);
        const double up[2][2] = {{x, c->box.y}, {x, bottom + 3}};
        snprintf(text, sizeof text, "%s%s", ticks[i] < 0 ? "\xe2\x88\x92" : "",
                 dcls_plot_tick(number, fabs(ticks[i])));
        dcls_canvas_line(plot->canvas, up, 2, 0.75, line);
        dcls_canvas_text(plot->canvas, x, bottom + 3 + DCLS_PLOT_SMALL, text, &middle);
    }
    dcls_canvas_frame_box(plot->canvas, c->box, 0.75, dcls_plot_rule);
    dcls_canvas_text(plot->canvas, c->box.x + c->box.width / 2, bottom + 3 + DCLS_PLOT_SMALL + AXIS_NAME,
                     c->x_name, &middle);
    dcls_plot_text(plot, c->box.x, c->box.y - 6, c->box.width, c->title, DCLS_PLOT_SMALL + 0.5, dcls_plot_ink,
                   DCLS_ALIGN_LEFT);
}

static void draw_theory(dcls_plot *plot, const struct chart *c, double x)
{
    if (x >= c->low && x <= c->high)
        dcls_canvas_dash_box(plot->canvas, (dcls_box){chart_x(c, x), c->box.y, 0, c->box.height}, 1,
                             dcls_plot_ink);
}

static void draw_profile(dcls_plot *plot, const struct view *v, const struct chart *c, int axis,
                         dcls_color color)
{
    const dcls_field *f = &v->field;
    int d = f->ndim - 2 + axis;
    int64_t count = axis == 0 ? rows_of(f) : columns_of(f);
    double middle = floor((double)(f->low[d] + f->high[d] + 1) / 2);
    for (int64_t i = 0; i < count; i++) {
        double y = fmax(place_on_scale(v->profile[axis][i]), 0);
        v->points[i][0] = chart_x(c, (double)i - middle);
        v->points[i][1] = c->box.y + c->box.height * (1 - y);
    }
    dcls_canvas_clip(plot->canvas, c->box);
    dcls_canvas_line(plot->canvas, (const double(*)[2])v->points, (size_t)count, 1.5, color);
    dcls_canvas_unclip(plot->canvas);
}

static void draw_profiles(dcls_plot *plot, const struct view *v)
{
    static const double places[] = {0, 1.0 / 3, 2.0 / 3, 1};
    static const char *const labels[] = {"0.001", "0.01", "0.1", "1"};
    const dcls_field *f = &v->field;
    double reach = 1;
    for (int d = f->ndim > 1 ? f->ndim - 2 : 0; d < f->ndim; d++) {
        double middle = floor((double)(f->low[d] + f->high[d] + 1) / 2);
        double side = (double)(f->high[d] - f->low[d] + 1),
               most = fmax(middle, (double)(f->size[d] - 1) - middle);
        reach = fmax(reach, fmin(most, 0.65 * side + 2));
    }
    const struct chart c = {.box = v->profiles,
                            .low = -reach,
                            .high = reach,
                            .title = f->ndim == 1
                                         ? "gradient over the input"
                                         : "largest gradient of every row (blue) and column (orange)",
                            .x_name = "cells from the middle",
                            .y_count = DECADES + 1,
                            .y_places = places,
                            .y_labels = labels};
    draw_frame(plot, &c);
    draw_theory(plot, &c, (double)v->side_theory / 2);
    draw_theory(plot, &c, -(double)v->side_theory / 2);
    draw_profile(plot, v, &c, 1, f->ndim == 1 ? dcls_color_negative(1) : dcls_color_positive(1));
    if (f->ndim > 1) draw_profile(plot, v, &c, 0, dcls_color_negative(1));
}

static void draw_nearness(dcls_plot *plot, const struct view *v)
{
    static const double places[] = {0, 0.5, 0.95};
    static const char *const labels[] = {"0%", "50%", "95%"};
    const char *const titles[] = {"", "gradient within a centred span", "gradient within a centred square",
                                  "gradient within a centred cube"};
    const double high = fmin((double)(2 * v->share_count), 1.2 * (double)v->side_theory + 2);
    const bool reached = (double)v->side_theory <= high;
    const struct chart c = {.box = v->nearness,
                            .low = 0,
                            .high = high,
                            .title = titles[v->field.ndim],
                            .x_name = reached ? "its side in cells (dashed: theoretical field)"
                                              : "its side in cells",
                            .y_count = 3,
                            .y_places = places,
                            .y_labels = labels};
    const double sides[2] = {(double)v->side50, (double)v->side95};
    draw_frame(plot, &c);
    draw_theory(plot, &c, (double)v->side_theory);
    for (int64_t r = 0; r < v->share_count; r++) {
        v->points[r][0] = chart_x(&c, (double)(2 * r + 1));
        v->points[r][1] = c.box.y + c.box.height * (1 - v->share[r]);
    }
    dcls_canvas_clip(plot->canvas, c.box);
    dcls_canvas_line(plot->canvas, (const double(*)[2])v->points, (size_t)v->share_count, 1.5,
                     dcls_color_negative(1));
    dcls_canvas_unclip(plot->canvas);
    for (int i = 0; i < 2; i++)
        dcls_canvas_disc(plot->canvas, chart_x(&c, sides[i]),
                         c.box.y + c.box.height * (1 - v->share[(int64_t)sides[i] / 2]), 2.5, frame);
}

static void draw(dcls_plot *plot)
{
    const struct view *v = plot->data;
    if (v->map.width > 0) draw_map(plot, v);
    draw_profiles(plot, v);
    draw_nearness(plot, v);
}

const dcls_plot_kind_functions dcls_plot_field = {"field", prepare, draw};
