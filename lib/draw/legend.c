#include "draw/legend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const dcls_color paper = {1, 1, 1, 1}, ink = {0.13, 0.13, 0.13, 1}, frame = {0, 0, 0, 0.45};

enum { LABEL_BYTES = 256, SHARE_BYTES = 16 };

/* What is written beside one swatch. */
struct line {
    char label[LABEL_BYTES], share[SHARE_BYTES];
    double label_width;
};

/* All lengths follow from the size of the text. */
struct layout {
    double em, margin, swatch, swatch_gap, share_gap, column_gap, row;
    double label_width, share_width; /* the widest of all entries */
    int columns, rows;
    int64_t width, height;
};

/* One decimal, whatever the locale; a class that is there never reads 0.0%. */
static void write_share(char *text, double share)
{
    int tenths = (int)lround(fmin(fmax(share, 0), 1) * 1000);
    if (tenths == 0) {
        memcpy(text, "<0.1%", 6);
    } else {
        snprintf(text, SHARE_BYTES, "%d.%d%%", tenths / 10, tenths % 10);
    }
}

/* Cuts off the label's last characters and puts dots in their place until it is at most `width` wide. */
static void shorten(dcls_canvas *ruler, struct line *line, double em, double width)
{
    static const char dots[] = "\xe2\x80\xa6";
    size_t length = strlen(line->label);
    while (length > 0 && (line->label_width = dcls_canvas_text_width(ruler, line->label, em)) > width) {
        do
            length--;
        while (length > 0 && ((unsigned char)line->label[length] & 0xc0) == 0x80);
        memcpy(line->label + length, dots, sizeof dots);
    }
}

static void write_lines(dcls_canvas *ruler, const dcls_legend *legend, struct layout *l, struct line *lines)
{
    for (int i = 0; i < legend->count; i++) {
        const dcls_legend_entry *entry = &legend->entries[i];
        struct line *line = &lines[i];
        size_t length = strnlen(entry->label, LABEL_BYTES - 4);
        memcpy(line->label, entry->label, length);
        line->label[length] = 0;
        shorten(ruler, line, l->em, 20 * l->em);
        write_share(line->share, entry->share);
        l->label_width = fmax(l->label_width, line->label_width);
        l->share_width = fmax(l->share_width, dcls_canvas_text_width(ruler, line->share, l->em));
    }
}

static struct layout start_layout(double em)
{
    return (struct layout){.em = em,
                           .margin = round(0.9 * em),
                           .swatch = round(0.95 * em),
                           .swatch_gap = round(0.5 * em),
                           .share_gap = round(0.7 * em),
                           .column_gap = round(1.6 * em),
                           .row = round(1.55 * em)};
}

static double column_width(const struct layout *l)
{
    return l->swatch + l->swatch_gap + l->label_width + l->share_gap + l->share_width;
}

static void finish_layout(struct layout *l, const dcls_legend *legend)
{
    int count = legend->count;
    double column = column_width(l);
    l->width = (int64_t)fmin(fmax((double)legend->width, ceil(column + 2 * l->margin)), DCLS_CANVAS_MAX_SIDE);
    int fit = (int)(((double)l->width - 2 * l->margin + l->column_gap) / (column + l->column_gap));
    l->columns = fit < 1 ? 1 : fit > count ? count : fit;
    l->rows = (count + l->columns - 1) / l->columns;
    l->height = (int64_t)(2 * l->margin + l->rows * l->row);
}

static void draw_entry(dcls_canvas *canvas, const struct layout *l, const dcls_legend_entry *entry,
                       const struct line *line, double x, double y)
{
    const dcls_color color = {entry->rgb[0] / 255.0, entry->rgb[1] / 255.0, entry->rgb[2] / 255.0, 1};
    const dcls_box box = {x, y + round((l->row - l->swatch) / 2), l->swatch, l->swatch};
    dcls_text_style style = {l->em, ink, DCLS_ALIGN_LEFT};
    double baseline = y + round(l->row / 2 + 0.36 * l->em); /* capitals are about 0.72 em high */
    dcls_canvas_fill_box(canvas, box, color);
    dcls_canvas_frame_box(canvas, box, fmax(1, round(l->em / 16)), frame);
    x += l->swatch + l->swatch_gap;
    dcls_canvas_text(canvas, x, baseline, line->label, &style);
    style.align = DCLS_ALIGN_RIGHT;
    dcls_canvas_text(canvas, x + l->label_width + l->share_gap + l->share_width, baseline, line->share,
                     &style);
}

static dcls_status draw_strip(dcls_context *ctx, const struct layout *l, const dcls_legend *legend,
                              const struct line *lines, dcls_canvas **out)
{
    DCLS_TRY(dcls_canvas_create(ctx, l->width, l->height, paper, out));
    double step = column_width(l) + l->column_gap;
    for (int i = 0; i < legend->count; i++) {
        int column = i / l->rows, row = i % l->rows;
        double x = l->margin + column * step, y = l->margin + row * l->row;
        draw_entry(*out, l, &legend->entries[i], &lines[i], x, y);
    }
    dcls_status status = dcls_canvas_finish(ctx, *out);
    if (status != DCLS_OK) {
        dcls_canvas_destroy(*out);
        *out = NULL;
    }
    return status;
}

dcls_status dcls_legend_draw(dcls_context *ctx, const dcls_legend *legend, dcls_canvas **out, int64_t *width,
                             int64_t *height)
{
    dcls_canvas *ruler = NULL;
    struct layout layout = start_layout(legend->text_size);
    *out = NULL;
    struct line *lines = dcls_alloc(ctx, (size_t)legend->count, sizeof *lines);
    if (!lines) return DCLS_ERR_MEMORY;
    dcls_status status = dcls_canvas_create(ctx, 1, 1, paper, &ruler);
    if (status == DCLS_OK) {
        write_lines(ruler, legend, &layout, lines);
        status = dcls_canvas_finish(ctx, ruler);
    }
    if (status == DCLS_OK) {
        finish_layout(&layout, legend);
        status = draw_strip(ctx, &layout, legend, lines, out);
    }
    *width = layout.width;
    *height = layout.height;
    dcls_canvas_destroy(ruler);
    free(lines);
    return status;
}
