/* The canvas on cairo, the one user of it. cairo and the dozen libraries it pulls in cost milliseconds to
 * load, so it is opened with the first canvas and not linked. */
#include <cairo.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "draw/canvas.h"

/* Every cairo function used here. */
#define CAIRO_FUNCTIONS(X)                                                                                   \
    X(image_surface_create)                                                                                  \
    X(image_surface_get_data)                                                                                \
    X(image_surface_get_stride)                                                                              \
    X(surface_flush)                                                                                         \
    X(surface_destroy)                                                                                       \
    X(create)                                                                                                \
    X(destroy)                                                                                               \
    X(status)                                                                                                \
    X(status_to_string)                                                                                      \
    X(set_source_rgba)                                                                                       \
    X(paint)                                                                                                 \
    X(rectangle)                                                                                             \
    X(fill)                                                                                                  \
    X(stroke)                                                                                                \
    X(set_line_width)                                                                                        \
    X(move_to)                                                                                               \
    X(show_text)                                                                                             \
    X(text_extents)                                                                                          \
    X(select_font_face)                                                                                      \
    X(set_font_size)                                                                                         \
    X(font_options_create)                                                                                   \
    X(font_options_destroy)                                                                                  \
    X(font_options_set_hint_style)                                                                           \
    X(font_options_set_hint_metrics)                                                                         \
    X(set_font_options)

struct cairo_api {
    void *library;
#define MEMBER(name) __typeof__(&cairo_##name) name;
    CAIRO_FUNCTIONS(MEMBER)
#undef MEMBER
};

struct dcls_canvas {
    struct cairo_api api;
    int width, height;
    cairo_surface_t *surface;
    cairo_t *cr;
    bool short_of_memory; /* in what is done here before cairo is called */
};

/* RTLD_NODELETE: fontconfig keeps caches for the life of the process and cannot be loaded twice without
 * losing them. */
static dcls_status open_library(dcls_context *ctx, struct cairo_api *api)
{
    static const struct {
        const char *name;
        size_t offset;
    } functions[] = {
#define ENTRY(name) {"cairo_" #name, offsetof(struct cairo_api, name)},
        CAIRO_FUNCTIONS(ENTRY)
#undef ENTRY
    };
    api->library = dlopen("libcairo.so.2", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!api->library)
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "drawing needs libcairo.so.2, which cannot be opened");
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *symbol = dlsym(api->library, functions[i].name);
        if (!symbol)
            return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "libcairo.so.2 has no %s", functions[i].name);
        memcpy((char *)api + functions[i].offset, &symbol, sizeof symbol);
    }
    return DCLS_OK;
}

static void set_color(dcls_canvas *c, dcls_color color)
{
    c->api.set_source_rgba(c->cr, color.r, color.g, color.b, color.a);
}

/* Outlines are fitted to pixels, advances are not: text keeps its proportions at every size. */
static void set_font(dcls_canvas *c)
{
    cairo_font_options_t *options = c->api.font_options_create();
    c->api.font_options_set_hint_style(options, CAIRO_HINT_STYLE_SLIGHT);
    c->api.font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
    c->api.set_font_options(c->cr, options);
    c->api.font_options_destroy(options);
    c->api.select_font_face(c->cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
}

dcls_status dcls_canvas_create(dcls_context *ctx, int64_t width, int64_t height, dcls_color background,
                               dcls_canvas **out)
{
    *out = NULL;
    if (width < 1 || height < 1 || width > DCLS_CANVAS_MAX_SIDE || height > DCLS_CANVAS_MAX_SIDE) {
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "a drawing cannot be %lld x %lld pixels", (long long)width,
                         (long long)height);
    }
    dcls_canvas *c = dcls_alloc_zero(ctx, 1, sizeof *c);
    if (!c) return DCLS_ERR_MEMORY;
    dcls_status status = open_library(ctx, &c->api);
    if (status == DCLS_OK) {
        c->width = (int)width;
        c->height = (int)height;
        c->surface = c->api.image_surface_create(CAIRO_FORMAT_RGB24, c->width, c->height);
        c->cr = c->api.create(c->surface);
        set_color(c, background);
        c->api.paint(c->cr);
        set_font(c);
        status = dcls_canvas_finish(ctx, c);
    }
    if (status == DCLS_OK) {
        *out = c;
    } else {
        dcls_canvas_destroy(c);
    }
    return status;
}

void dcls_canvas_destroy(dcls_canvas *canvas)
{
    if (!canvas) return;
    if (canvas->cr) canvas->api.destroy(canvas->cr);
    if (canvas->surface) canvas->api.surface_destroy(canvas->surface);
    if (canvas->api.library) dlclose(canvas->api.library);
    free(canvas);
}

void dcls_canvas_fill_box(dcls_canvas *canvas, dcls_box box, dcls_color color)
{
    set_color(canvas, color);
    canvas->api.rectangle(canvas->cr, box.x, box.y, box.width, box.height);
    canvas->api.fill(canvas->cr);
}

void dcls_canvas_frame_box(dcls_canvas *canvas, dcls_box box, double line_width, dcls_color color)
{
    double half = line_width / 2;
    set_color(canvas, color);
    canvas->api.set_line_width(canvas->cr, line_width);
    canvas->api.rectangle(canvas->cr, box.x + half, box.y + half, box.width - line_width,
                          box.height - line_width);
    canvas->api.stroke(canvas->cr);
}

/* The text as it can be shown, to be freed; NULL when memory is short. */
static char *showable(dcls_canvas *c, const char *text)
{
    size_t size = strlen(text) * 4 + 1; /* each byte may become \xNN */
    char *copy = malloc(size);
    if (copy) {
        dcls_escape_text(copy, size, text);
    } else {
        c->short_of_memory = true;
    }
    return copy;
}

double dcls_canvas_text_width(dcls_canvas *canvas, const char *text, double size)
{
    cairo_text_extents_t extents = {0};
    char *shown = showable(canvas, text);
    if (!shown) return 0;
    canvas->api.set_font_size(canvas->cr, size);
    canvas->api.text_extents(canvas->cr, shown, &extents);
    free(shown);
    return extents.x_advance;
}

void dcls_canvas_text(dcls_canvas *canvas, double x, double y, const char *text, const dcls_text_style *style)
{
    if (style->align == DCLS_ALIGN_RIGHT) x -= dcls_canvas_text_width(canvas, text, style->size);
    char *shown = showable(canvas, text);
    if (!shown) return;
    set_color(canvas, style->color);
    canvas->api.set_font_size(canvas->cr, style->size);
    canvas->api.move_to(canvas->cr, x, y);
    canvas->api.show_text(canvas->cr, shown);
    free(shown);
}

dcls_status dcls_canvas_finish(dcls_context *ctx, dcls_canvas *canvas)
{
    cairo_status_t status = canvas->api.status(canvas->cr);
    if (status == CAIRO_STATUS_NO_MEMORY || canvas->short_of_memory) {
        return dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory");
    }
    if (status != CAIRO_STATUS_SUCCESS) {
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "cannot draw: %s", canvas->api.status_to_string(status));
    }
    canvas->api.surface_flush(canvas->surface);
    return DCLS_OK;
}

/* cairo keeps a pixel as the bits 00RRGGBB of a 32-bit word in the machine's own byte order. */
void dcls_canvas_read_row(const dcls_canvas *canvas, int64_t y, uint8_t *rgb)
{
    const unsigned char *row = canvas->api.image_surface_get_data(canvas->surface);
    row += y * canvas->api.image_surface_get_stride(canvas->surface);
    for (int x = 0; x < canvas->width; x++) {
        uint32_t pixel;
        memcpy(&pixel, row + (size_t)x * 4, sizeof pixel);
        rgb[3 * x + 0] = (uint8_t)(pixel >> 16);
        rgb[3 * x + 1] = (uint8_t)(pixel >> 8);
        rgb[3 * x + 2] = (uint8_t)pixel;
    }
}
