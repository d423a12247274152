/* One item of a data set beside its answer: a picture, or picture, targets, answers and where they differ. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw/plot.h"

#include "dcls_plot.h"

#define GAP         10.0
#define CAPTION     14.0 /* above a panel */
#define LARGEST     480  /* side of a panel: larger pictures are shown smaller */
#define SMALL       240  /* smaller ones larger */
#define ENTRY       230.0
#define ENTRY_LINE  16.0
#define IGNORED     255
#define MOST_VALUES 256

enum panel { PICTURE, TARGETS, ANSWERS, WRONG, PANELS };

struct case_page {
    const dcls_case *item;
    int64_t classes;
    const uint8_t *palette;
    const char *const *labels;
    int panels;
    int64_t width, height; /* of a panel, pixels */
    uint8_t *rgb[PANELS];
    int64_t targets[MOST_VALUES], answers[MOST_VALUES]; /* pixels of each class that count */
    int64_t shown;                                      /* classes in the legend */
    double legend_y;
    char text[512];
};

static const char *label_of(const struct case_page *c, int64_t index, char buffer[DCLS_NUMBER_TEXT])
{
    if (c->labels != NULL && index >= 0 && index < c->classes && c->labels[index] != NULL)
        return c->labels[index];
    snprintf(buffer, DCLS_NUMBER_TEXT, "%lld", (long long)index);
    return buffer;
}

/* A target that counts nowhere. */
static bool ignored(const struct case_page *c, uint8_t target)
{
    return target == IGNORED || target >= c->classes;
}

/* ---- panels ---- */

static void size_panels(struct case_page *c)
{
    const int64_t width = dcls_image_width(c->item->image), height = dcls_image_height(c->item->image);
    const int64_t longer = width > height ? width : height;
    double factor = longer > LARGEST ? (double)LARGEST / (double)longer : 1;
    if (longer <= SMALL) factor = (double)(SMALL / longer);
    c->width = (int64_t)fmax(1, round((double)width * factor));
    c->height = (int64_t)fmax(1, round((double)height * factor));
}

static void mix(uint8_t to[3], const uint8_t from[3], double opacity)
{
    for (int k = 0; k < 3; k++)
        to[k] = (uint8_t)lround((double)from[k] * opacity + (double)to[k] * (1 - opacity));
}

/* What a panel shows of one pixel of the picture. */
static void color_pixel(const struct case_page *c, int panel, int64_t at, uint8_t rgb[3])
{
    static const uint8_t wrong[3] = {215, 25, 28}, paper[3] = {255, 255, 255};
    memcpy(rgb, dcls_image_pixels(c->item->image) + 3 * at, 3);
    if (panel == PICTURE) return;
    const uint8_t target = c->item->mask[at], answer = c->item->answers[at];
    if (panel == WRONG) {
        const uint8_t gray = (uint8_t)((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2]) / 1000);
        memset(rgb, gray, 3);
        mix(rgb, !ignored(c, target) && target != answer ? wrong : paper, 0.6);
    } else if (panel == TARGETS && ignored(c, target)) {
        mix(rgb, paper, 0.7);
    } else {
        mix(rgb, c->palette + 3 * (panel == TARGETS ? target : answer), 0.65);
    }
}

static dcls_status fill_panels(dcls_plot *plot, struct case_page *c)
{
    const int64_t width = dcls_image_width(c->item->image), height = dcls_image_height(c->item->image);
    for (int p = 0; p < c->panels; p++) {
        c->rgb[p] = dcls_plot_alloc(plot, (size_t)(c->width * c->height), 3);
        if (c->rgb[p] == NULL) return DCLS_ERR_MEMORY;
        for (int64_t y = 0; y < c->height; y++)
            for (int64_t x = 0; x < c->width; x++)
                color_pixel(c, p,
                            (2 * y + 1) * height / (2 * c->height) * width +
                                (2 * x + 1) * width / (2 * c->width),
                            c->rgb[p] + 3 * (y * c->width + x));
    }
    return DCLS_OK;
}

static void count_classes(struct case_page *c)
{
    const int64_t pixels = dcls_image_width(c->item->image) * dcls_image_height(c->item->image);
    for (int64_t i = 0; i < pixels; i++) {
        if (ignored(c, c->item->mask[i])) continue;
        c->targets[c->item->mask[i]]++;
        c->answers[c->item->answers[i]]++;
    }
    for (int64_t k = 0; k < MOST_VALUES; k++)
        c->shown += c->targets[k] > 0 || c->answers[k] > 0;
}

/* ---- the page ---- */

static double share(int64_t part, int64_t whole)
{
    return whole > 0 ? 100 * (double)part / (double)whole : 0;
}

static void describe(struct case_page *c)
{
    char target[DCLS_NUMBER_TEXT], answer[DCLS_NUMBER_TEXT];
    const dcls_case *item = c->item;
    if (item->mask != NULL)
        snprintf(c->text, sizeof c->text, "%.1f %% of the pixels right, loss %.3f",
                 share(item->score.correct, item->score.targets), item->score.loss);
    else
        snprintf(c->text, sizeof c->text, "target: %.150s; answer: %.150s (%.1f %%); loss %.3f",
                 label_of(c, item->target, target), label_of(c, item->answer, answer), 100 * item->confidence,
                 item->score.loss);
}

static int legend_columns(const dcls_plot *plot)
{
    return (int)fmax(1, floor((plot->width - 2 * DCLS_PLOT_MARGIN) / ENTRY));
}

static dcls_status prepare(dcls_plot *plot)
{
    struct case_page *c = plot->data;
    c->panels = c->item->mask != NULL ? PANELS : 1;
    size_panels(c);
    describe(c);
    if (c->item->mask != NULL) count_classes(c);
    const int columns = c->panels > 1 ? 2 : 1, rows = c->panels > 1 ? 2 : 1;
    plot->width = fmax(2 * DCLS_PLOT_MARGIN + columns * (double)c->width + (columns - 1) * GAP, 420);
    plot->subtitle = c->text;
    dcls_plot_head(plot);
    const double caption = c->panels > 1 ? CAPTION : 0;
    c->legend_y = plot->top + rows * (caption + (double)c->height) + (rows - 1) * GAP + 20;
    const int lines = (int)((c->shown + legend_columns(plot) - 1) / legend_columns(plot));
    plot->height = c->legend_y + (c->shown > 0 ? (lines + 1) * ENTRY_LINE : 0);
    return fill_panels(plot, c);
}

static void draw_legend(dcls_plot *plot, const struct case_page *c)
{
    const int columns = legend_columns(plot);
    const int64_t lines = (c->shown + columns - 1) / columns;
    int64_t place = 0;
    dcls_plot_text(plot, DCLS_PLOT_MARGIN, c->legend_y, plot->width,
                   "Share of the targets, of the answers:", DCLS_PLOT_TEXT, dcls_plot_faint, DCLS_ALIGN_LEFT);
    for (int64_t k = 0; k < MOST_VALUES; k++) {
        char buffer[DCLS_NUMBER_TEXT], shares[64];
        if (c->targets[k] == 0 && c->answers[k] == 0) continue;
        const double x = DCLS_PLOT_MARGIN + (double)(place / lines) * ENTRY,
                     y = c->legend_y + (double)(place % lines + 1) * ENTRY_LINE;
        const uint8_t *rgb = c->palette + 3 * k;
        const dcls_box box = {x, y - 9, 11, 11};
        snprintf(shares, sizeof shares, "%.1f, %.1f %%", share(c->targets[k], c->item->score.targets),
                 share(c->answers[k], c->item->score.targets));
        dcls_canvas_fill_box(plot->canvas, box,
                             (dcls_color){rgb[0] / 255.0, rgb[1] / 255.0, rgb[2] / 255.0, 1});
        dcls_canvas_frame_box(plot->canvas, box, 0.75, dcls_plot_rule);
        dcls_plot_text(plot, x + 17, y, ENTRY - 110, label_of(c, k, buffer), DCLS_PLOT_TEXT, dcls_plot_ink,
                       DCLS_ALIGN_LEFT);
        dcls_plot_text(plot, x + ENTRY - 24, y, 90, shares, DCLS_PLOT_TEXT, dcls_plot_faint,
                       DCLS_ALIGN_RIGHT);
        place++;
    }
}

static void draw(dcls_plot *plot)
{
    static const char *const captions[PANELS] = {"picture", "targets", "answers", "wrong pixels"};
    const struct case_page *c = plot->data;
    const double caption = c->panels > 1 ? CAPTION : 0;
    for (int p = 0; p < c->panels; p++) {
        const double x = DCLS_PLOT_MARGIN + (p % 2) * ((double)c->width + GAP),
                     y = plot->top + (p / 2) * (caption + (double)c->height + GAP);
        if (c->panels > 1)
            dcls_plot_text(plot, x, y + CAPTION - 4, (double)c->width, captions[p], DCLS_PLOT_TEXT,
                           dcls_plot_faint, DCLS_ALIGN_LEFT);
        dcls_canvas_cells(plot->canvas, (dcls_box){x, y + caption, (double)c->width, (double)c->height},
                          c->width, c->height, c->rgb[p]);
    }
    if (c->shown > 0) draw_legend(plot, c);
}

dcls_status dcls_case_save(dcls_context *ctx, const dcls_case *item, int64_t classes, const uint8_t *palette,
                           const char *const *labels, const char *path)
{
    static const dcls_plot_kind_functions kind = {"case", prepare, draw};
    struct case_page c = {.item = item, .classes = classes, .palette = palette, .labels = labels};
    dcls_plot_options options = dcls_plot_options_default();
    dcls_plot plot = {.ctx = ctx, .options = &options, .data = &c};
    if (item->mask != NULL && classes > MOST_VALUES)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%lld classes: a mask holds %d", (long long)classes,
                         MOST_VALUES);
    options.title = item->name;
    const dcls_status status = dcls_plot_render(&plot, &kind, path);
    dcls_arena_free(&plot.arena);
    return status;
}
