/* The canvas on cairo, the one user of it. cairo and the dozen libraries it pulls in cost milliseconds to
 * load, so it is opened with the first canvas and not linked. */
#include <cairo-pdf.h>
#include <cairo-svg.h>
#include <cairo.h>

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "draw/canvas.h"

/* Every cairo function used here. */
#define CAIRO_FUNCTIONS(X)                                                                                   \
    X(image_surface_create)                                                                                  \
    X(image_surface_create_for_data)                                                                         \
    X(svg_surface_create_for_stream)                                                                         \
    X(svg_surface_set_document_unit)                                                                         \
    X(pdf_surface_create_for_stream)                                                                         \
    X(pdf_surface_set_metadata)                                                                              \
    X(surface_set_fallback_resolution)                                                                       \
    X(surface_finish)                                                                                        \
    X(surface_status)                                                                                        \
    X(scale)                                                                                                 \
    X(translate)                                                                                             \
    X(rotate)                                                                                                \
    X(save)                                                                                                  \
    X(restore)                                                                                               \
    X(clip)                                                                                                  \
    X(line_to)                                                                                               \
    X(arc)                                                                                                   \
    X(new_path)                                                                                              \
    X(set_dash)                                                                                              \
    X(set_line_join)                                                                                         \
    X(set_source_surface)                                                                                    \
    X(get_source)                                                                                            \
    X(pattern_set_filter)                                                                                    \
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
    int width, height; /* pixels; 0 for a document */
    double scale;      /* pixels to the unit */
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

/* A canvas without a surface. */
static dcls_status open_canvas(dcls_context *ctx, dcls_canvas **out)
{
    *out = NULL;
    dcls_canvas *c = dcls_alloc_zero(ctx, 1, sizeof *c);
    if (!c) return DCLS_ERR_MEMORY;
    c->scale = 1;
    dcls_status status = open_library(ctx, &c->api);
    if (status == DCLS_OK)
        *out = c;
    else
        dcls_canvas_destroy(c);
    return status;
}

static dcls_status check(dcls_context *ctx, const dcls_canvas *c, cairo_status_t status)
{
    if (status == CAIRO_STATUS_NO_MEMORY || c->short_of_memory)
        return dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory");
    if (status != CAIRO_STATUS_SUCCESS)
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "cannot draw: %s", c->api.status_to_string(status));
    return DCLS_OK;
}

/* Takes c, whose surface is new. */
static dcls_status start_drawing(dcls_context *ctx, dcls_canvas *c, dcls_color background, dcls_canvas **out)
{
    c->cr = c->api.create(c->surface);
    c->api.scale(c->cr, c->scale, c->scale);
    set_color(c, background);
    c->api.paint(c->cr);
    set_font(c);
    c->api.set_line_join(c->cr, CAIRO_LINE_JOIN_ROUND);
    dcls_status status = check(ctx, c, c->api.status(c->cr));
    if (status == DCLS_OK)
        *out = c;
    else
        dcls_canvas_destroy(c);
    return status;
}

dcls_status dcls_canvas_create(dcls_context *ctx, int64_t width, int64_t height, dcls_color background,
                               dcls_canvas **out)
{
    return dcls_canvas_create_scaled(ctx, (double)width, (double)height, 1, background, out);
}

dcls_status dcls_canvas_create_scaled(dcls_context *ctx, double width, double height, double scale,
                                      dcls_color background, dcls_canvas **out)
{
    *out = NULL;
    double w = ceil(width * scale), h = ceil(height * scale);
    if (!(w >= 1 && h >= 1 && w <= DCLS_CANVAS_MAX_SIDE && h <= DCLS_CANVAS_MAX_SIDE))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "a drawing cannot be %.0f x %.0f pixels", w, h);
    dcls_canvas *c;
    DCLS_TRY(open_canvas(ctx, &c));
    c->width = (int)w;
    c->height = (int)h;
    c->scale = scale;
    c->surface = c->api.image_surface_create(CAIRO_FORMAT_RGB24, c->width, c->height);
    return start_drawing(ctx, c, background, out);
}

/* Failures to write are remembered by the output. */
static cairo_status_t write_bytes(void *closure, const unsigned char *data, unsigned length)
{
    dcls_output_write(closure, data, length);
    return CAIRO_STATUS_SUCCESS;
}

dcls_status dcls_canvas_create_vector(dcls_context *ctx, dcls_vector format, double width, double height,
                                      dcls_color background, dcls_output *to, dcls_canvas **out)
{
    *out = NULL;
    dcls_canvas *c;
    DCLS_TRY(open_canvas(ctx, &c));
    if (format == DCLS_VECTOR_SVG) {
        c->surface = c->api.svg_surface_create_for_stream(write_bytes, to, width, height);
        c->api.svg_surface_set_document_unit(c->surface, CAIRO_SVG_UNIT_PX); /* as large as the PNG */
    } else {
        c->surface = c->api.pdf_surface_create_for_stream(write_bytes, to, width, height);
        /* A time of day would make every file another one. */
        c->api.pdf_surface_set_metadata(c->surface, CAIRO_PDF_METADATA_CREATE_DATE, "1970-01-01T00:00:00Z");
    }
    c->api.surface_set_fallback_resolution(c->surface, 300, 300);
    return start_drawing(ctx, c, background, out);
}

int64_t dcls_canvas_pixel_width(const dcls_canvas *canvas)
{
    return canvas->width;
}

int64_t dcls_canvas_pixel_height(const dcls_canvas *canvas)
{
    return canvas->height;
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

void dcls_canvas_dash_box(dcls_canvas *canvas, dcls_box box, double line_width, dcls_color color)
{
    const double dashes[] = {4 * line_width, 3 * line_width};
    set_color(canvas, color);
    canvas->api.set_line_width(canvas->cr, line_width);
    canvas->api.set_dash(canvas->cr, dashes, 2, 0);
    canvas->api.rectangle(canvas->cr, box.x, box.y, box.width, box.height);
    canvas->api.stroke(canvas->cr);
    canvas->api.set_dash(canvas->cr, NULL, 0, 0);
}

void dcls_canvas_grid(dcls_canvas *canvas, dcls_box box, int64_t columns, int64_t rows, double line_width,
                      dcls_color color)
{
    set_color(canvas, color);
    canvas->api.set_line_width(canvas->cr, line_width);
    for (int64_t i = 1; i < columns; i++) {
        double x = box.x + box.width * (double)i / (double)columns;
        canvas->api.move_to(canvas->cr, x, box.y);
        canvas->api.line_to(canvas->cr, x, box.y + box.height);
    }
    for (int64_t i = 1; i < rows; i++) {
        double y = box.y + box.height * (double)i / (double)rows;
        canvas->api.move_to(canvas->cr, box.x, y);
        canvas->api.line_to(canvas->cr, box.x + box.width, y);
    }
    canvas->api.stroke(canvas->cr);
}

/* Viewers smooth an image that is drawn larger than it is, whatever the document asks for: cells of a
 * document are images of many pixels, so that the smoothing stays at their edges. Among pixels, cells of
 * broken size are drawn larger first and scaled down: cut to whole pixels they would differ in size. */
static int64_t pixels_per_cell(const dcls_canvas *c, double cell)
{
    if (c->width == 0) return cell <= 2 ? 2 : cell >= 16 ? 16 : (int64_t)ceil(cell);
    double pixels = cell * c->scale;
    return pixels >= 8 || fabs(pixels - round(pixels)) < 1e-6 ? 1 : 4 * (int64_t)ceil(pixels);
}

static uint32_t *cell_image(dcls_canvas *c, int64_t columns, int64_t rows, int64_t repeat, const uint8_t *rgb)
{
    size_t width = (size_t)(columns * repeat), height = (size_t)(rows * repeat);
    uint32_t *image = malloc(width * height * sizeof *image);
    if (!image) {
        c->short_of_memory = true;
        return NULL;
    }
    for (size_t y = 0; y < height; y++) {
        const uint8_t *row = rgb + y / (size_t)repeat * (size_t)columns * 3;
        for (size_t x = 0; x < width; x++) {
            const uint8_t *cell = row + x / (size_t)repeat * 3;
            image[y * width + x] = 0xff000000u | (uint32_t)cell[0] << 16 | (uint32_t)cell[1] << 8 | cell[2];
        }
    }
    return image;
}

/* The image is copied (documents) or drawn (pixels) before it is freed: finish detaches it. */
void dcls_canvas_cells(dcls_canvas *canvas, dcls_box box, int64_t columns, int64_t rows, const uint8_t *rgb)
{
    const struct cairo_api *api = &canvas->api;
    int64_t repeat = pixels_per_cell(canvas, box.width / (double)columns);
    if (columns * repeat > DCLS_CANVAS_MAX_SIDE || rows * repeat > DCLS_CANVAS_MAX_SIDE) repeat = 1;
    uint32_t *image = cell_image(canvas, columns, rows, repeat, rgb);
    if (!image) return;
    int width = (int)(columns * repeat), height = (int)(rows * repeat);
    cairo_surface_t *cells = api->image_surface_create_for_data((unsigned char *)image, CAIRO_FORMAT_RGB24,
                                                                width, height, width * 4);
    api->save(canvas->cr);
    api->rectangle(canvas->cr, box.x, box.y, box.width, box.height);
    api->clip(canvas->cr);
    api->translate(canvas->cr, box.x, box.y);
    api->scale(canvas->cr, box.width / width, box.height / height);
    api->set_source_surface(canvas->cr, cells, 0, 0);
    api->pattern_set_filter(api->get_source(canvas->cr),
                            canvas->width > 0 && repeat > 1 ? CAIRO_FILTER_GOOD : CAIRO_FILTER_NEAREST);
    api->paint(canvas->cr);
    api->restore(canvas->cr);
    api->surface_finish(cells);
    api->surface_destroy(cells);
    free(image);
}

void dcls_canvas_line(dcls_canvas *canvas, const double (*points)[2], size_t count, double line_width,
                      dcls_color color)
{
    if (count == 0) return;
    set_color(canvas, color);
    canvas->api.set_line_width(canvas->cr, line_width);
    canvas->api.move_to(canvas->cr, points[0][0], points[0][1]);
    for (size_t i = 1; i < count; i++)
        canvas->api.line_to(canvas->cr, points[i][0], points[i][1]);
    canvas->api.stroke(canvas->cr);
}

static const double full_turn = 6.283185307179586;

void dcls_canvas_disc(dcls_canvas *canvas, double x, double y, double radius, dcls_color color)
{
    set_color(canvas, color);
    canvas->api.new_path(canvas->cr);
    canvas->api.arc(canvas->cr, x, y, radius, 0, full_turn);
    canvas->api.fill(canvas->cr);
}

/* The pen is not squeezed with the circle. */
void dcls_canvas_ring(dcls_canvas *canvas, double x, double y, double radius_x, double radius_y,
                      double line_width, dcls_color color)
{
    set_color(canvas, color);
    canvas->api.set_line_width(canvas->cr, line_width);
    canvas->api.new_path(canvas->cr);
    canvas->api.save(canvas->cr);
    canvas->api.translate(canvas->cr, x, y);
    canvas->api.scale(canvas->cr, fmax(radius_x, 1e-3), fmax(radius_y, 1e-3));
    canvas->api.arc(canvas->cr, 0, 0, 1, 0, full_turn);
    canvas->api.restore(canvas->cr);
    canvas->api.stroke(canvas->cr);
}

void dcls_canvas_clip(dcls_canvas *canvas, dcls_box box)
{
    canvas->api.save(canvas->cr);
    canvas->api.rectangle(canvas->cr, box.x, box.y, box.width, box.height);
    canvas->api.clip(canvas->cr);
}

void dcls_canvas_unclip(dcls_canvas *canvas)
{
    canvas->api.restore(canvas->cr);
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

/* How far left of the point the text starts. */
static double indent_of(dcls_canvas *canvas, const char *text, const dcls_text_style *style)
{
    if (style->align == DCLS_ALIGN_LEFT) return 0;
    double width = dcls_canvas_text_width(canvas, text, style->size);
    return style->align == DCLS_ALIGN_RIGHT ? width : width / 2;
}

void dcls_canvas_text(dcls_canvas *canvas, double x, double y, const char *text, const dcls_text_style *style)
{
    x -= indent_of(canvas, text, style);
    char *shown = showable(canvas, text);
    if (!shown) return;
    set_color(canvas, style->color);
    canvas->api.set_font_size(canvas->cr, style->size);
    canvas->api.move_to(canvas->cr, x, y);
    canvas->api.show_text(canvas->cr, shown);
    free(shown);
}

void dcls_canvas_text_upwards(dcls_canvas *canvas, double x, double y, const char *text,
                              const dcls_text_style *style)
{
    canvas->api.save(canvas->cr);
    canvas->api.translate(canvas->cr, x, y);
    canvas->api.rotate(canvas->cr, -full_turn / 4);
    dcls_canvas_text(canvas, 0, 0, text, style);
    canvas->api.restore(canvas->cr);
}

dcls_status dcls_canvas_finish(dcls_context *ctx, dcls_canvas *canvas)
{
    DCLS_TRY(check(ctx, canvas, canvas->api.status(canvas->cr)));
    if (canvas->width > 0)
        canvas->api.surface_flush(canvas->surface);
    else
        canvas->api.surface_finish(canvas->surface);
    return check(ctx, canvas, canvas->api.surface_status(canvas->surface));
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
