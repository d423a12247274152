/* Which class is taken for which: a square of shares, one row a target. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "draw/plot.h"

#include "dcls_plot.h"

#define GAP        6.0
#define AXIS       18.0  /* for the word beside an axis */
#define MOST_LABEL 150.0 /* length of a class name */
#define COUNTS     64.0  /* width of the column of numbers */
#define BAR_HEIGHT 34.0  /* of the colour bar with its ticks */
#define LEAST_CELL 17.0  /* that holds a number */
#define LEAST_LINE 13.0  /* between two labels */

struct confusion {
    int64_t classes;
    const int64_t *counts;
    const char *const *labels;
    int64_t *targets; /* [classes] */
    uint8_t *rgb;
    double cell, label_width, x, y;
    int64_t step; /* every how many classes get a label */
};

static const char *label_of(const struct confusion *c, int64_t index, char buffer[DCLS_NUMBER_TEXT])
{
    if (c->labels != NULL && c->labels[index] != NULL) return c->labels[index];
    snprintf(buffer, DCLS_NUMBER_TEXT, "%lld", (long long)index);
    return buffer;
}

/* NaN where the class is no target. */
static double share_of(const struct confusion *c, int64_t row, int64_t column)
{
    const int64_t targets = c->targets[row];
    return targets > 0 ? (double)c->counts[row * c->classes + column] / (double)targets : (double)NAN;
}

/* Small shares are what one looks for: the scale is that of square roots. */
static double place_of(double share)
{
    return sqrt(share);
}

/* ---- layout ---- */

static double cell_of(int64_t classes)
{
    const double cell = floor(720 / (double)classes);
    return cell > 44 ? 44 : cell < 1 ? 1 : cell;
}

static double longest_label(dcls_plot *plot, const struct confusion *c)
{
    char buffer[DCLS_NUMBER_TEXT];
    double most = 0;
    for (int64_t i = 0; i < c->classes && most < MOST_LABEL; i += c->step)
        most = fmax(most, dcls_canvas_text_width(plot->canvas, label_of(c, i, buffer), DCLS_PLOT_TEXT));
    return fmin(most + 1, MOST_LABEL);
}

static dcls_status color_cells(dcls_plot *plot, struct confusion *c)
{
    c->rgb = dcls_plot_alloc(plot, (size_t)c->classes * (size_t)c->classes, 3);
    if (c->rgb == NULL) return DCLS_ERR_MEMORY;
    for (int64_t row = 0; row < c->classes; row++)
        for (int64_t column = 0; column < c->classes; column++) {
            static const uint8_t none[3] = {235, 235, 235};
            const double share = share_of(c, row, column);
            memcpy(c->rgb + 3 * (row * c->classes + column),
                   isnan(share) ? none : dcls_colormap_at(&plot->sequential, place_of(share)), 3);
        }
    return DCLS_OK;
}

static dcls_status prepare(dcls_plot *plot)
{
    struct confusion *c = plot->data;
    c->targets = dcls_plot_alloc(plot, (size_t)c->classes, sizeof *c->targets);
    if (c->targets == NULL) return DCLS_ERR_MEMORY;
    for (int64_t row = 0; row < c->classes; row++)
        for (int64_t column = 0; column < c->classes; column++)
            c->targets[row] += c->counts[row * c->classes + column];
    c->cell = cell_of(c->classes);
    c->step = (int64_t)ceil(LEAST_LINE / c->cell);
    c->label_width = longest_label(plot, c);
    const double side = c->cell * (double)c->classes;
    c->x = DCLS_PLOT_MARGIN + AXIS + c->label_width + GAP;
    plot->width = fmax(c->x + side + GAP + COUNTS + DCLS_PLOT_MARGIN, 420);
    plot->subtitle =
        c->cell >= LEAST_CELL
            ? "A row holds the targets of one class, a column the answers; numbers and colours are "
              "per cent of the row."
            : "A row holds the targets of one class, a column the answers; colours are shares of "
              "the row.";
    dcls_plot_head(plot);
    c->y = plot->top + BAR_HEIGHT + AXIS + c->label_width + GAP;
    plot->height = c->y + side + DCLS_PLOT_MARGIN;
    return color_cells(plot, c);
}

/* ---- drawing ---- */

static void draw_bar(dcls_plot *plot)
{
    static const char labels[][DCLS_NUMBER_TEXT] = {"0", "1", "5", "10", "25", "50", "100 %"};
    static const double shares[] = {0, 0.01, 0.05, 0.1, 0.25, 0.5, 1};
    double places[7];
    for (int i = 0; i < 7; i++)
        places[i] = place_of(shares[i]);
    dcls_plot_color_bar(plot, (dcls_box){DCLS_PLOT_MARGIN + 4, plot->top, 240, 10}, &plot->sequential, 7,
                        places, labels);
}

static void draw_labels(dcls_plot *plot, const struct confusion *c)
{
    char buffer[DCLS_NUMBER_TEXT];
    const double side = c->cell * (double)c->classes;
    for (int64_t i = 0; i < c->classes; i += c->step) {
        const double middle = ((double)i + 0.5) * c->cell + 0.36 * DCLS_PLOT_TEXT;
        const char *label = label_of(c, i, buffer);
        dcls_plot_text(plot, c->x - GAP, c->y + middle, c->label_width, label, DCLS_PLOT_TEXT, dcls_plot_ink,
                       DCLS_ALIGN_RIGHT);
        dcls_plot_text_upwards(plot, c->x + middle, c->y - GAP, c->label_width, label, DCLS_PLOT_TEXT,
                               dcls_plot_ink);
    }
    dcls_plot_text(plot, c->x + side / 2, c->y - GAP - c->label_width - 6, side, "answer", DCLS_PLOT_TEXT,
                   dcls_plot_faint, DCLS_ALIGN_CENTER);
    dcls_canvas_text_upwards(plot->canvas, DCLS_PLOT_MARGIN + DCLS_PLOT_TEXT, c->y + side / 2, "target",
                             &(dcls_text_style){DCLS_PLOT_TEXT, dcls_plot_faint, DCLS_ALIGN_CENTER});
}

/* 1234567 as "1,234,567". */
static void grouped(char *to, int64_t value)
{
    char digits[24];
    const int length = snprintf(digits, sizeof digits, "%lld", (long long)value);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) *to++ = ',';
        *to++ = digits[i];
    }
    *to = 0;
}

static void draw_counts(dcls_plot *plot, const struct confusion *c)
{
    const double x = c->x + c->cell * (double)c->classes + GAP;
    dcls_plot_text(plot, x, c->y - GAP, COUNTS, "targets", DCLS_PLOT_SMALL, dcls_plot_faint, DCLS_ALIGN_LEFT);
    for (int64_t i = 0; i < c->classes; i += c->step) {
        char text[DCLS_NUMBER_TEXT];
        grouped(text, c->targets[i]);
        dcls_plot_text(plot, x, c->y + ((double)i + 0.5) * c->cell + 0.36 * DCLS_PLOT_SMALL, COUNTS, text,
                       DCLS_PLOT_SMALL, dcls_plot_faint, DCLS_ALIGN_LEFT);
    }
}

/* Dark text where the ground is light. */
static dcls_color ink_on(const uint8_t *rgb)
{
    const double rest[3] = {rgb[0] / 255.0, rgb[1] / 255.0, rgb[2] / 255.0};
    return dcls_oklab_from_rgb(rest).L > 0.65 ? dcls_plot_ink : dcls_plot_paper;
}

static void draw_numbers(dcls_plot *plot, const struct confusion *c)
{
    for (int64_t row = 0; row < c->classes; row++)
        for (int64_t column = 0; column < c->classes; column++) {
            char text[DCLS_NUMBER_TEXT];
            const double share = share_of(c, row, column);
            if (isnan(share) || share == 0) continue;
            const bool some = share >= 0.005, all = share == 1, exact = c->cell >= 28;
            if (some || exact)
                snprintf(text, sizeof text, "%.*f", exact && !all ? 1 : 0, 100 * share);
            else
                continue;
            if (strcmp(text, "0.0") == 0) continue;
            dcls_plot_text(plot, c->x + ((double)column + 0.5) * c->cell,
                           c->y + ((double)row + 0.5) * c->cell + 0.36 * DCLS_PLOT_SMALL, c->cell, text,
                           DCLS_PLOT_SMALL, ink_on(c->rgb + 3 * (row * c->classes + column)),
                           DCLS_ALIGN_CENTER);
        }
}

static void draw(dcls_plot *plot)
{
    const struct confusion *c = plot->data;
    const double side = c->cell * (double)c->classes;
    const dcls_box box = {c->x, c->y, side, side};
    draw_bar(plot);
    dcls_canvas_cells(plot->canvas, box, c->classes, c->classes, c->rgb);
    if (c->cell >= 8)
        dcls_canvas_grid(plot->canvas, box, c->classes, c->classes, 0.5, (dcls_color){1, 1, 1, 0.8});
    dcls_canvas_frame_box(plot->canvas, box, 0.75, dcls_plot_rule);
    draw_labels(plot, c);
    draw_counts(plot, c);
    if (c->cell >= LEAST_CELL) draw_numbers(plot, c);
}

dcls_status dcls_confusion_save(dcls_context *ctx, int64_t classes, const int64_t *confusion,
                                const char *const *labels, const dcls_plot_options *options, const char *path)
{
    static const dcls_plot_kind_functions kind = {"confusion", prepare, draw};
    struct confusion c = {.classes = classes, .counts = confusion, .labels = labels};
    dcls_plot plot = {.ctx = ctx, .options = options, .data = &c};
    if (classes < 1) return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "there are no classes to confuse");
    if (options->format == DCLS_PLOT_HTML)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a confusion matrix is drawn as .png, .svg or .pdf");
    const dcls_status status = dcls_plot_render(&plot, &kind, path);
    dcls_arena_free(&plot.arena);
    return status;
}
