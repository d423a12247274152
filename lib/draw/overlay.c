/* A segmentation over its picture: colours blended in, borders drawn, a legend below. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "draw/legend.h"
#include "image/image.h"

#include "dcls_tools.h"

enum { CLASSES = 256, LABEL_BYTES = 12 };

/* The picture's rows are blended one at a time as the encoder asks for them; only the legend is ever held
 * whole. */
struct overlay {
    const dcls_image *image;
    const uint8_t *mask;
    const dcls_overlay_options *options;
    unsigned fill, border; /* opacity, 0..255, of the class colours and of the light lines between them */
    int64_t border_width;
    dcls_canvas *legend;
    int64_t legend_width;
    int64_t width; /* of the whole */
    uint8_t *row;  /* [width, 3] */
};

/* ---- legend ---- */

struct present {
    int64_t pixels;
    int index;
};

static int by_share(const void *a, const void *b)
{
    const struct present *p = a, *q = b;
    if (p->pixels != q->pixels) return p->pixels < q->pixels ? 1 : -1;
    return p->index - q->index;
}

/* Classes in the mask, largest first; returns their number. */
static int count_classes(const uint8_t *mask, int64_t pixels, struct present present[CLASSES])
{
    int64_t count[CLASSES] = {0};
    int found = 0;
    for (int64_t i = 0; i < pixels; i++)
        count[mask[i]]++;
    for (int c = 0; c < CLASSES; c++) {
        if (count[c]) present[found++] = (struct present){count[c], c};
    }
    qsort(present, (size_t)found, sizeof *present, by_share);
    return found;
}

/* Text grows with the picture, so that it can still be read when a large one is shown small. */
static double text_size(const dcls_image *image)
{
    double width = (double)image->width, side = fmin(width, sqrt(width * (double)image->height));
    return fmin(fmax(11, round(side / 60)), 64);
}

static dcls_status make_legend(dcls_context *ctx, struct overlay *o, int64_t *height)
{
    const dcls_overlay_options *options = o->options;
    int64_t pixels = o->image->width * o->image->height;
    struct present present[CLASSES];
    dcls_legend_entry entries[CLASSES];
    char numbers[CLASSES][LABEL_BYTES];
    int count = count_classes(o->mask, pixels, present);
    for (int i = 0; i < count; i++) {
        int index = present[i].index;
        if (index >= options->colors) {
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "class %d has no colour in a palette of %d", index,
                             options->colors);
        }
        snprintf(numbers[i], LABEL_BYTES, "%d", index);
        entries[i].label = options->labels ? options->labels[index] : numbers[i];
        entries[i].share = (double)present[i].pixels / (double)pixels;
        memcpy(entries[i].rgb, options->palette + (size_t)index * 3, 3);
    }
    const dcls_legend legend = {entries, count, o->image->width, text_size(o->image)};
    return dcls_legend_draw(ctx, &legend, &o->legend, &o->legend_width, height);
}

/* ---- picture ---- */

/* True if a pixel of another class lies up to border_width to the right or below: borders are drawn on one
 * side only. */
static bool on_border(const struct overlay *o, int64_t x, int64_t y)
{
    int64_t width = o->image->width, height = o->image->height;
    const uint8_t *at = o->mask + y * width + x;
    for (int64_t d = 1; d <= o->border_width; d++) {
        if (x + d < width && at[d] != at[0]) return true;
        if (y + d < height && at[d * width] != at[0]) return true;
    }
    return false;
}

static uint8_t mix(unsigned below, unsigned above, unsigned opacity)
{
    return (uint8_t)((above * opacity + below * (255 - opacity) + 127) / 255);
}

static void blend_row(struct overlay *o, int64_t y)
{
    const uint8_t *from = o->image->pixels + y * o->image->width * 3, *mask = o->mask + y * o->image->width;
    uint8_t *to = o->row;
    for (int64_t x = 0; x < o->image->width; x++, from += 3, to += 3) {
        const uint8_t *color = o->options->palette + (size_t)mask[x] * 3;
        bool border = on_border(o, x, y);
        for (int c = 0; c < 3; c++) {
            uint8_t shown = mix(from[c], color[c], o->fill);
            to[c] = border ? mix(shown, 255, o->border) : shown;
        }
    }
}

static const uint8_t *overlay_row(void *arg, int64_t y)
{
    struct overlay *o = arg;
    memset(o->row, 255, (size_t)o->width * 3);
    if (y < o->image->height) {
        blend_row(o, y);
    } else {
        dcls_canvas_read_row(o->legend, y - o->image->height, o->row);
    }
    return o->row;
}

dcls_status dcls_overlay_save(dcls_context *ctx, const char *path, const dcls_image *image,
                              const uint8_t *mask, const dcls_overlay_options *options)
{
    if (!(options->alpha >= 0 && options->alpha <= 1)) {
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the opacity of an overlay must be from 0 to 1");
    }
    struct overlay o = {.image = image, .mask = mask, .options = options};
    o.fill = (unsigned)lround(options->alpha * 255);
    o.border = (unsigned)lround(options->alpha * 0.7 * 255);
    o.border_width = 1 + (image->width < image->height ? image->width : image->height) / 1200;
    int64_t legend_height;
    DCLS_TRY(make_legend(ctx, &o, &legend_height));
    o.width = image->width > o.legend_width ? image->width : o.legend_width;
    o.row = dcls_alloc(ctx, (size_t)o.width, 3);
    dcls_status status = DCLS_ERR_MEMORY;
    if (o.row) {
        const dcls_png_source source = {
            .width = o.width, .height = image->height + legend_height, .row = overlay_row, .arg = &o};
        status = dcls_png_write(ctx, path, &source);
    }
    dcls_canvas_destroy(o.legend);
    free(o.row);
    return status;
}
