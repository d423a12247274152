/* Many pictures and their answers on one page. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "draw/plot.h"

#include "dcls_plot.h"

#define SIDE    128.0 /* of a picture's place */
#define GAP     14.0
#define CAPTION 34.0 /* two lines below a picture */
#define MOST    256  /* pixels of a picture along a side that are kept */

struct sheet {
    const dcls_case *items;
    size_t count, columns;
    int64_t classes;
    const char *const *labels;
    struct tile {
        uint8_t *rgb;
        int64_t width, height;
    } * tiles;
};

static const char *label_of(const struct sheet *s, int64_t index, char buffer[DCLS_NUMBER_TEXT])
{
    if (s->labels != NULL && index >= 0 && index < s->classes && s->labels[index] != NULL)
        return s->labels[index];
    snprintf(buffer, DCLS_NUMBER_TEXT, "%lld", (long long)index);
    return buffer;
}

/* Every pixel of a small picture, some of a large one. */
static dcls_status fill_tile(dcls_plot *plot, const dcls_image *image, struct tile *tile)
{
    const int64_t width = dcls_image_width(image), height = dcls_image_height(image);
    const int64_t longer = width > height ? width : height;
    const double factor = longer > MOST ? (double)MOST / (double)longer : 1;
    tile->width = (int64_t)fmax(1, round((double)width * factor));
    tile->height = (int64_t)fmax(1, round((double)height * factor));
    tile->rgb = dcls_plot_alloc(plot, (size_t)(tile->width * tile->height), 3);
    if (tile->rgb == NULL) return DCLS_ERR_MEMORY;
    for (int64_t y = 0; y < tile->height; y++)
        for (int64_t x = 0; x < tile->width; x++) {
            const int64_t row = (2 * y + 1) * height / (2 * tile->height),
                          column = (2 * x + 1) * width / (2 * tile->width);
            memcpy(tile->rgb + 3 * (y * tile->width + x),
                   dcls_image_pixels(image) + 3 * (row * width + column), 3);
        }
    return DCLS_OK;
}

static dcls_status prepare(dcls_plot *plot)
{
    struct sheet *s = plot->data;
    s->columns = (size_t)((plot->width - 2 * DCLS_PLOT_MARGIN + GAP) / (SIDE + GAP));
    if (s->columns > s->count) s->columns = s->count;
    plot->width = fmax(2 * DCLS_PLOT_MARGIN + (double)s->columns * (SIDE + GAP) - GAP, 420);
    plot->subtitle = "Below each picture its target, then the answer with its probability.";
    dcls_plot_head(plot);
    const size_t rows = (s->count + s->columns - 1) / s->columns;
    plot->height = plot->top + (double)rows * (SIDE + CAPTION + GAP) + DCLS_PLOT_MARGIN - GAP;
    s->tiles = dcls_plot_alloc(plot, s->count, sizeof *s->tiles);
    if (s->tiles == NULL) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < s->count; i++)
        DCLS_TRY(fill_tile(plot, s->items[i].image, &s->tiles[i]));
    return DCLS_OK;
}

static void draw_item(dcls_plot *plot, const struct sheet *s, size_t i, double x, double y)
{
    const dcls_case *item = &s->items[i];
    const struct tile *tile = &s->tiles[i];
    const double longer = (double)(tile->width > tile->height ? tile->width : tile->height);
    const double factor = SIDE / longer;
    const double width = (double)tile->width * factor, height = (double)tile->height * factor;
    char target[DCLS_NUMBER_TEXT], answer[DCLS_NUMBER_TEXT], text[256];
    dcls_canvas_cells(plot->canvas, (dcls_box){x, y + SIDE - height, width, height}, tile->width,
                      tile->height, tile->rgb);
    dcls_plot_text(plot, x, y + SIDE + 14, SIDE, label_of(s, item->target, target), DCLS_PLOT_TEXT,
                   dcls_plot_ink, DCLS_ALIGN_LEFT);
    snprintf(text, sizeof text, "%.0f %% %.200s", 100 * item->confidence, label_of(s, item->answer, answer));
    dcls_plot_text(plot, x, y + SIDE + 28, SIDE, text, DCLS_PLOT_TEXT, dcls_plot_faint, DCLS_ALIGN_LEFT);
}

static void draw(dcls_plot *plot)
{
    const struct sheet *s = plot->data;
    for (size_t i = 0; i < s->count; i++)
        draw_item(plot, s, i, DCLS_PLOT_MARGIN + (double)(i % s->columns) * (SIDE + GAP),
                  plot->top + (double)(i / s->columns) * (SIDE + CAPTION + GAP));
}

dcls_status dcls_cases_save(dcls_context *ctx, const dcls_case *items, size_t count, int64_t classes,
                            const char *const *labels, const dcls_plot_options *options, const char *path)
{
    static const dcls_plot_kind_functions kind = {"cases", prepare, draw};
    struct sheet s = {.items = items, .count = count, .classes = classes, .labels = labels};
    dcls_plot plot = {.ctx = ctx, .options = options, .data = &s};
    if (count == 0 || options->format == DCLS_PLOT_HTML)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a sheet of pictures has some, and is a .png, .svg or .pdf");
    const dcls_status status = dcls_plot_render(&plot, &kind, path);
    dcls_arena_free(&plot.arena);
    return status;
}
