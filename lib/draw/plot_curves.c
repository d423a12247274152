/* How training went: loss, share of right answers, learning rate; several runs over each other. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw/curves.h"
#include "draw/plot.h"

#define LEFT      48.0 /* of a panel: ticks */
#define GAP       34.0
#define CAPTION   18.0
#define BELOW     34.0 /* ticks and the name of the axis */
#define RATE      70.0 /* height of the panel of the rate */
#define LINE      17.0
#define SWATCH    22.0
#define EDGE      4.0 /* that dots may reach over it */
#define MOST_RUNS 16

/* Told apart by people who see no red or green too (Okabe and Ito, "Color universal design", 2008). */
static const dcls_color colors[] = {{0, 0.447, 0.698, 1},   {0.835, 0.369, 0, 1}, {0, 0.62, 0.451, 1},
                                    {0.8, 0.475, 0.655, 1}, {0.902, 0.624, 0, 1}, {0.337, 0.706, 0.914, 1},
                                    {0.35, 0.35, 0.35, 1},  {0.55, 0.42, 0, 1}};

#define COLORS (sizeof colors / sizeof *colors)

enum { LOSS, SCORE, RATES, PANELS };

struct panel {
    dcls_box box;
    const char *title;
    double low, high, factor; /* of values: 100 for shares */
    bool cut;                 /* some values are above */
};

struct curves {
    dcls_run_log *runs;
    size_t count;
    bool epochs; /* along x: else steps */
    double last; /* x */
    struct panel panels[PANELS];
    double legend_y;
    char text[512];
};

/* It has only begun. */
static bool is_empty(const dcls_run_log *run)
{
    return run->curves[DCLS_CURVE_LOSS].count == 0 && run->curves[DCLS_CURVE_VAL_LOSS].count == 0;
}

static double x_of(const struct curves *c, const dcls_run_log *run, double step)
{
    return c->epochs ? step / run->batches : step;
}

static dcls_color color_of(size_t run, double alpha)
{
    dcls_color color = colors[run % COLORS];
    color.a = alpha;
    return color;
}

/* One run has room for two colours. */
static dcls_color training_color(const struct curves *c, size_t run, double alpha)
{
    return color_of(run, c->count > 1 ? 0.5 * alpha : alpha);
}

static dcls_color validation_color(const struct curves *c, size_t run)
{
    return color_of(c->count > 1 ? run : 1, 1);
}

/* ---- ranges ----------------------------------------------------------------------------------------- */

#define MANY_POINTS 100 /* a hundredth of fewer would be a point that counts */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The first steps' loss may be far above all others: a hundredth of many values may then lie outside. */
static double high_value(dcls_plot *plot, const dcls_curve *curve, bool *cut)
{
    double *values = dcls_plot_alloc(plot, curve->count + 1, sizeof *values);
    if (values == NULL || curve->count == 0) return -INFINITY;
    for (size_t i = 0; i < curve->count; i++)
        values[i] = curve->points[i][1];
    qsort(values, curve->count, sizeof *values, by_size);
    const double most = values[curve->count - 1], usual = values[(size_t)(0.99 * (double)(curve->count - 1))];
    if (curve->count < MANY_POINTS || most <= 2 * usual) return most;
    *cut = true;
    return usual;
}

static double low_value(const dcls_curve *curve)
{
    double low = INFINITY;
    for (size_t i = 0; i < curve->count; i++)
        low = fmin(low, curve->points[i][1]);
    return low;
}

static void widen(struct panel *panel)
{
    if (!(panel->high > panel->low)) {
        const double room = panel->low != 0 && isfinite(panel->low) ? 0.1 * fabs(panel->low) : 1;
        if (!isfinite(panel->low)) panel->low = 0;
        panel->low -= room / 2;
        panel->high = panel->low + room;
    }
    const double room = 0.04 * (panel->high - panel->low);
    panel->low -= room;
    panel->high += room;
}

static void find_range(dcls_plot *plot, struct panel *panel, dcls_curve_kind first, dcls_curve_kind second)
{
    const struct curves *c = plot->data;
    panel->low = INFINITY;
    panel->high = -INFINITY;
    for (size_t r = 0; r < c->count; r++)
        for (int k = 0; k < 2; k++) {
            const dcls_curve *curve = &c->runs[r].curves[k == 0 ? first : second];
            panel->low = fmin(panel->low, panel->factor * low_value(curve));
            panel->high = fmax(panel->high, panel->factor * high_value(plot, curve, &panel->cut));
        }
}

static void find_ranges(dcls_plot *plot)
{
    struct curves *c = plot->data;
    find_range(plot, &c->panels[LOSS], DCLS_CURVE_LOSS, DCLS_CURVE_VAL_LOSS);
    find_range(plot, &c->panels[SCORE], DCLS_CURVE_RIGHT, DCLS_CURVE_VAL_SCORE);
    find_range(plot, &c->panels[RATES], DCLS_CURVE_RATE, DCLS_CURVE_RATE);
    c->panels[RATES].low = 0;
    if (c->panels[LOSS].cut) c->panels[LOSS].title = "loss; some values are above";
    for (int p = 0; p < PANELS; p++)
        widen(&c->panels[p]);
    if (c->panels[SCORE].high > 100) c->panels[SCORE].high = 100;
    if (c->panels[SCORE].low < 0) c->panels[SCORE].low = 0;
    c->panels[RATES].low = 0;
    for (size_t r = 0; r < c->count; r++)
        for (int k = 0; k < DCLS_CURVE_KINDS; k++) {
            const dcls_curve *curve = &c->runs[r].curves[k];
            if (curve->count > 0)
                c->last = fmax(c->last, x_of(c, &c->runs[r], curve->points[curve->count - 1][0]));
        }
}

/* ---- the page --------------------------------------------------------------------------------------- */

static const char *score_title(const struct curves *c)
{
    bool scenes = false, pictures = false;
    for (size_t r = 0; r < c->count; r++) {
        if (is_empty(&c->runs[r])) continue;
        scenes = scenes || c->runs[r].segmentation;
        pictures = pictures || !c->runs[r].segmentation;
    }
    if (scenes && pictures) return "right answers in training; top-1 or mean IoU in validation, %";
    return scenes ? "right pixels in training; mean IoU in validation, %" : "right answers (top-1), %";
}

static void describe(struct curves *c)
{
    const dcls_run_log *run = &c->runs[0];
    if (c->count > 1) {
        snprintf(c->text, sizeof c->text,
                 "Thin: training, means of some steps each. Dots: validation; the ring is the best one.");
    } else if (run->best >= 0) {
        char epoch[DCLS_NUMBER_TEXT];
        snprintf(c->text, sizeof c->text, "Best %s %.2f %% after epoch %s.%s",
                 run->segmentation ? "mean IoU" : "top-1", 100 * run->best,
                 dcls_plot_number(epoch, run->best_epoch), c->epochs ? "" : " The log does not tell epochs.");
    } else {
        snprintf(c->text, sizeof c->text, "Means of some steps each. There was no validation.");
    }
}

static void place_panels(dcls_plot *plot, struct curves *c)
{
    const double lines = c->count > 1 ? ceil((double)c->count / 2) : 1,
                 right = plot->width - DCLS_PLOT_MARGIN, width = (right - DCLS_PLOT_MARGIN - GAP) / 2 - LEFT;
    c->legend_y = plot->top + 4;
    const double top = c->legend_y + lines * LINE + CAPTION,
                 bottom = plot->height - DCLS_PLOT_MARGIN - BELOW - RATE - CAPTION - BELOW;
    const double x = DCLS_PLOT_MARGIN + LEFT;
    c->panels[LOSS].box = (dcls_box){x, top, width, bottom - top};
    c->panels[SCORE].box = (dcls_box){right - width, top, width, bottom - top};
    c->panels[RATES].box = (dcls_box){x, bottom + BELOW + CAPTION, right - x, RATE};
}

static dcls_status prepare(dcls_plot *plot)
{
    struct curves *c = plot->data;
    c->epochs = true;
    for (size_t r = 0; r < c->count; r++)
        c->epochs = c->epochs && (c->runs[r].batches > 0 || is_empty(&c->runs[r]));
    c->panels[LOSS] = (struct panel){.title = "loss", .factor = 1};
    c->panels[SCORE] = (struct panel){.title = score_title(c), .factor = 100};
    c->panels[RATES] = (struct panel){.title = "learning rate", .factor = 1};
    describe(c);
    plot->subtitle = c->text;
    dcls_plot_head(plot);
    plot->height = plot->width * 2 / 3;
    if (c->count > 2) plot->height += LINE * (ceil((double)c->count / 2) - 1);
    place_panels(plot, c);
    find_ranges(plot);
    return DCLS_OK;
}

/* ---- drawing ---------------------------------------------------------------------------------------- */

static double across(const struct curves *c, const struct panel *p, double x)
{
    return p->box.x + (c->last > 0 ? x / c->last : 0) * p->box.width;
}

static double down(const struct panel *p, double value)
{
    return p->box.y + p->box.height * (1 - (value - p->low) / (p->high - p->low));
}

static void draw_axes(dcls_plot *plot, const struct curves *c, const struct panel *p, int most_y, int most_x)
{
    double ticks[DCLS_MAX_TICKS];
    char text[DCLS_NUMBER_TEXT];
    const double bottom = p->box.y + p->box.height;
    dcls_plot_text(plot, p->box.x, p->box.y - 7, p->box.width, p->title, DCLS_PLOT_TEXT, dcls_plot_ink,
                   DCLS_ALIGN_LEFT);
    for (int i = 0, count = dcls_ticks(p->low, p->high, most_y, ticks); i < count; i++) {
        const double y = down(p, ticks[i]), rule[2][2] = {{p->box.x, y}, {p->box.x + p->box.width, y}};
        dcls_canvas_line(plot->canvas, rule, 2, 0.5, (dcls_color){0, 0, 0, 0.13});
        dcls_plot_text(plot, p->box.x - 6, y + 0.36 * DCLS_PLOT_SMALL, LEFT, dcls_plot_tick(text, ticks[i]),
                       DCLS_PLOT_SMALL, dcls_plot_faint, DCLS_ALIGN_RIGHT);
    }
    for (int i = 0, count = dcls_ticks(0, c->last, most_x, ticks); i < count; i++) {
        const double x = across(c, p, ticks[i]), tick[2][2] = {{x, bottom}, {x, bottom + 3}};
        snprintf(text, sizeof text, "%.10g", ticks[i]);
        dcls_canvas_line(plot->canvas, tick, 2, 0.75, dcls_plot_rule);
        dcls_plot_text(plot, x, bottom + 5 + DCLS_PLOT_SMALL, 80, text, DCLS_PLOT_SMALL, dcls_plot_faint,
                       DCLS_ALIGN_CENTER);
    }
    dcls_plot_text(plot, p->box.x + p->box.width, bottom + 17 + DCLS_PLOT_SMALL, p->box.width,
                   c->epochs ? "epoch" : "step", DCLS_PLOT_SMALL, dcls_plot_faint, DCLS_ALIGN_RIGHT);
}

/* As many points as a panel shows apart, each the mean of its neighbours. */
enum { MOST_POINTS = 200, FEW_POINTS = 12 /* that a line alone would not show */ };

static void draw_curve(dcls_plot *plot, const dcls_run_log *run, const dcls_curve *curve,
                       const struct panel *p, double width, dcls_color color)
{
    const struct curves *c = plot->data;
    double points[MOST_POINTS][2];
    const size_t shown = curve->count < MOST_POINTS ? curve->count : MOST_POINTS;
    for (size_t i = 0; i < shown; i++) {
        const size_t first = i * curve->count / shown, end = (i + 1) * curve->count / shown;
        double x = 0, y = 0;
        for (size_t k = first; k < end; k++) {
            x += x_of(c, run, curve->points[k][0]);
            y += p->factor * curve->points[k][1];
        }
        points[i][0] = across(c, p, x / (double)(end - first));
        points[i][1] = down(p, y / (double)(end - first));
    }
    if (shown > 1) dcls_canvas_line(plot->canvas, (const double(*)[2])points, shown, width, color);
    for (size_t i = 0; i < shown && shown <= FEW_POINTS; i++)
        dcls_canvas_disc(plot->canvas, points[i][0], points[i][1], (shown == 1 ? 2.4 : 1) + width / 2, color);
}

static void draw_dots(dcls_plot *plot, const dcls_run_log *run, const dcls_curve *curve,
                      const struct panel *p, double wider, dcls_color color)
{
    const struct curves *c = plot->data;
    const double radius = (curve->count > 30 ? 1.6 : 2.4) + wider / 2;
    if (curve->count > 60) return;
    for (size_t i = 0; i < curve->count; i++)
        dcls_canvas_disc(plot->canvas, across(c, p, x_of(c, run, curve->points[i][0])),
                         down(p, p->factor * curve->points[i][1]), radius, color);
}

static void draw_best(dcls_plot *plot, size_t r)
{
    const struct curves *c = plot->data;
    const struct panel *p = &c->panels[SCORE];
    const dcls_run_log *run = &c->runs[r];
    if (run->best < 0) return;
    const double step = c->epochs ? run->best_epoch : -1;
    if (step < 0) return;
    dcls_canvas_ring(plot->canvas, across(c, p, step), down(p, 100 * run->best), 5, 5, 1.4,
                     validation_color(c, r));
}

/* As far as both go. */
static bool is_same(const dcls_curve *a, const dcls_curve *b)
{
    const size_t count = a->count < b->count ? a->count : b->count;
    return count > 0 && memcmp(a->points, b->points, count * sizeof *a->points) == 0;
}

/* A curve that later ones hide looks out from under them. */
static double hidden_width(const struct curves *c, size_t r, dcls_curve_kind kind)
{
    double wider = 0;
    for (size_t later = r + 1; later < c->count; later++)
        wider += is_same(&c->runs[r].curves[kind], &c->runs[later].curves[kind]) ? 2.5 : 0;
    return wider;
}

static void draw_panel(dcls_plot *plot, const struct panel *p, dcls_curve_kind training,
                       dcls_curve_kind validation)
{
    const struct curves *c = plot->data;
    const dcls_box room = {p->box.x - EDGE, p->box.y - EDGE, p->box.width + 2 * EDGE,
                           p->box.height + 2 * EDGE};
    dcls_canvas_clip(plot->canvas, room);
    for (size_t r = 0; r < c->count; r++)
        draw_curve(plot, &c->runs[r], &c->runs[r].curves[training], p,
                   (c->count > 1 ? 1 : 1.3) + hidden_width(c, r, training), training_color(c, r, 1));
    for (size_t r = 0; r < c->count && validation != training; r++) {
        const dcls_curve *curve = &c->runs[r].curves[validation];
        const double wider = hidden_width(c, r, validation);
        draw_curve(plot, &c->runs[r], curve, p, 1.9 + wider, validation_color(c, r));
        draw_dots(plot, &c->runs[r], curve, p, wider, validation_color(c, r));
    }
    dcls_canvas_unclip(plot->canvas);
    dcls_canvas_frame_box(plot->canvas, p->box, 0.75, dcls_plot_rule);
}

static void draw_entry(dcls_plot *plot, double x, double y, double width, const char *text, dcls_color color,
                       double line_width, bool dot)
{
    const double line[2][2] = {{x, y - 4}, {x + SWATCH, y - 4}};
    dcls_canvas_line(plot->canvas, line, 2, line_width, color);
    if (dot) dcls_canvas_disc(plot->canvas, x + SWATCH / 2, y - 4, 2.4, color);
    dcls_plot_text(plot, x + SWATCH + 7, y, width - SWATCH - 7, text, DCLS_PLOT_TEXT, dcls_plot_ink,
                   DCLS_ALIGN_LEFT);
}

static void draw_legend(dcls_plot *plot, const struct curves *c)
{
    const double x = DCLS_PLOT_MARGIN + LEFT, half = (plot->width - DCLS_PLOT_MARGIN - x + LEFT) / 2;
    char text[400];
    if (c->count == 1) {
        draw_entry(plot, x, c->legend_y + 8, 150, "training", training_color(c, 0, 1), 1.3, false);
        if (c->runs[0].curves[DCLS_CURVE_VAL_LOSS].count > 0)
            draw_entry(plot, x + 130, c->legend_y + 8, 150, "validation", validation_color(c, 0), 1.9, true);
        return;
    }
    for (size_t r = 0; r < c->count; r++) {
        const dcls_run_log *run = &c->runs[r];
        if (run->best >= 0)
            snprintf(text, sizeof text, "%.300s: best %.2f %%", run->name, 100 * run->best);
        else
            snprintf(text, sizeof text, "%.300s%s", run->name, is_empty(run) ? ": nothing yet" : "");
        draw_entry(plot, x + (double)(r % 2) * half, c->legend_y + 8 + (double)(r / 2) * LINE, half - 20,
                   text, validation_color(c, r), 1.9, run->best >= 0);
    }
}

static void draw(dcls_plot *plot)
{
    const struct curves *c = plot->data;
    draw_legend(plot, c);
    draw_axes(plot, c, &c->panels[LOSS], 8, 8);
    draw_axes(plot, c, &c->panels[SCORE], 8, 8);
    draw_axes(plot, c, &c->panels[RATES], 6, 8);
    draw_panel(plot, &c->panels[LOSS], DCLS_CURVE_LOSS, DCLS_CURVE_VAL_LOSS);
    draw_panel(plot, &c->panels[SCORE], DCLS_CURVE_RIGHT, DCLS_CURVE_VAL_SCORE);
    draw_panel(plot, &c->panels[RATES], DCLS_CURVE_RATE, DCLS_CURVE_RATE);
    for (size_t r = 0; r < c->count; r++)
        draw_best(plot, r);
}

/* ---- the public function ---------------------------------------------------------------------------- */

static dcls_status read_all(dcls_context *ctx, struct curves *c, const dcls_curves_source *logs)
{
    size_t drawn = 0;
    for (size_t r = 0; r < c->count; r++) {
        const dcls_status status = dcls_run_log_read(ctx, &logs[r], &c->runs[r]);
        if (status != DCLS_OK) return dcls_fail_within(ctx, status, "%s: ", logs[r].name);
        if (!is_empty(&c->runs[r])) drawn++;
    }
    if (drawn > 0) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "%s: there is nothing to draw in it yet", logs[0].name);
}

dcls_status dcls_curves_save(dcls_context *ctx, size_t count, const dcls_curves_source *logs,
                             const dcls_plot_options *options, const char *path)
{
    static const dcls_plot_kind_functions kind = {"curves", prepare, draw};
    struct curves c = {.count = count};
    dcls_plot plot = {.ctx = ctx, .options = options, .data = &c};
    if (count < 1 || count > MOST_RUNS)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a picture shows 1 to %d logs, not %zu", MOST_RUNS, count);
    if (options->format == DCLS_PLOT_HTML)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "curves are drawn as .png, .svg or .pdf");
    c.runs = dcls_alloc_zero(ctx, count, sizeof *c.runs);
    if (c.runs == NULL) return DCLS_ERR_MEMORY;
    dcls_status status = read_all(ctx, &c, logs);
    if (status == DCLS_OK) status = dcls_plot_render(&plot, &kind, path);
    for (size_t r = 0; r < count; r++)
        dcls_run_log_free(&c.runs[r]);
    free(c.runs);
    dcls_arena_free(&plot.arena);
    return status;
}
