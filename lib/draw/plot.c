/* Pictures of DCLS layers: from layers to a page to a file. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "draw/plot.h"
#include "image/image.h"

static const dcls_plot_kind_functions *kind_functions(dcls_plot_kind kind)
{
    switch (kind) {
    case DCLS_PLOT_DENSITY: return &dcls_plot_density;
    case DCLS_PLOT_KERNELS: return &dcls_plot_kernels;
    case DCLS_PLOT_HISTOGRAM: return &dcls_plot_histogram;
    case DCLS_PLOT_FIELD: return &dcls_plot_field;
    default: return &dcls_plot_positions;
    }
}

void *dcls_plot_alloc(dcls_plot *plot, size_t count, size_t size)
{
    return dcls_arena_alloc(plot->ctx, &plot->arena, count, size);
}

dcls_plot_options dcls_plot_options_default(void)
{
    return (dcls_plot_options){.kind = DCLS_PLOT_POSITIONS, .width = 960, .scale = 1};
}

dcls_status dcls_plot_format_for_path(dcls_context *ctx, const char *path, dcls_plot_format *out)
{
    static const char *const suffixes[] = {".png", ".svg", ".pdf", ".html"};
    const char *name = strrchr(path, '/'), *dot = strrchr(name ? name : path, '.');
    for (int i = 0; dot && i < 4; i++) {
        if (strcasecmp(dot, suffixes[i]) != 0) continue;
        *out = (dcls_plot_format)i;
        return DCLS_OK;
    }
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a picture's name must end in .png, .svg, .pdf or .html");
}

static dcls_status check_options(dcls_context *ctx, const dcls_plot_options *o)
{
    if (!(o->width >= 320 && o->width <= 4000))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the width of a plot must be from 320 to 4000");
    if (!(o->scale >= 0.25 && o->scale <= 16))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the scale of a plot must be from 0.25 to 16");
    return DCLS_OK;
}

/* ---- files ---- */

struct rows {
    const dcls_canvas *canvas;
    uint8_t *row;
};

static const uint8_t *canvas_row(void *arg, int64_t y)
{
    struct rows *rows = arg;
    dcls_canvas_read_row(rows->canvas, y, rows->row);
    return rows->row;
}

static dcls_status write_png(dcls_plot *plot, const char *path)
{
    struct rows rows = {.canvas = plot->canvas};
    const dcls_png_source source = {.width = dcls_canvas_pixel_width(plot->canvas),
                                    .height = dcls_canvas_pixel_height(plot->canvas),
                                    .row = canvas_row,
                                    .arg = &rows};
    rows.row = dcls_alloc(plot->ctx, (size_t)source.width, 3);
    if (!rows.row) return DCLS_ERR_MEMORY;
    dcls_status status = dcls_png_write(plot->ctx, path, &source);
    free(rows.row);
    return status;
}

dcls_status dcls_plot_draw_page(dcls_plot *plot, const dcls_plot_kind_functions *kind)
{
    dcls_plot_draw_head(plot);
    kind->draw(plot);
    return dcls_canvas_finish(plot->ctx, plot->canvas);
}

static dcls_status save_raster(dcls_plot *plot, const dcls_plot_kind_functions *kind, const char *path)
{
    DCLS_TRY(dcls_canvas_create_scaled(plot->ctx, plot->width, plot->height, plot->options->scale,
                                       dcls_plot_paper, &plot->canvas));
    DCLS_TRY(dcls_plot_draw_page(plot, kind));
    return write_png(plot, path);
}

/* The canvas writes into output until it is gone, in failure too. */
static dcls_status save_vector(dcls_plot *plot, const dcls_plot_kind_functions *kind, const char *path)
{
    dcls_vector format = plot->options->format == DCLS_PLOT_SVG ? DCLS_VECTOR_SVG : DCLS_VECTOR_PDF;
    dcls_output *output;
    DCLS_TRY(dcls_output_open(plot->ctx, path, &output));
    dcls_status status = dcls_canvas_create_vector(plot->ctx, format, plot->width, plot->height,
                                                   dcls_plot_paper, output, &plot->canvas);
    if (status == DCLS_OK) status = dcls_plot_draw_page(plot, kind);
    dcls_canvas_destroy(plot->canvas);
    plot->canvas = NULL;
    if (status == DCLS_OK) return dcls_output_commit(plot->ctx, output);
    dcls_output_abort(output);
    return status;
}

/* ---- the plot ---- */

dcls_status dcls_plot_prepare(dcls_plot *plot, const dcls_plot_kind_functions *kind)
{
    DCLS_TRY(check_options(plot->ctx, plot->options));
    plot->width = plot->options->width;
    dcls_colormap_sequential(&plot->sequential);
    dcls_colormap_diverging(&plot->diverging);
    DCLS_TRY(dcls_canvas_create(plot->ctx, 1, 1, dcls_plot_paper, &plot->canvas));
    dcls_status status = kind->prepare(plot);
    if (status == DCLS_OK) status = dcls_canvas_finish(plot->ctx, plot->canvas);
    dcls_canvas_destroy(plot->canvas);
    plot->canvas = NULL;
    return status;
}

dcls_status dcls_plot_render(dcls_plot *plot, const dcls_plot_kind_functions *kind, const char *path)
{
    dcls_status status = dcls_plot_prepare(plot, kind);
    if (status == DCLS_OK)
        status = plot->options->format == DCLS_PLOT_PNG ? save_raster(plot, kind, path)
                                                        : save_vector(plot, kind, path);
    dcls_canvas_destroy(plot->canvas);
    plot->canvas = NULL;
    return status;
}

dcls_status dcls_plot_save(dcls_context *ctx, const dcls_layer_source *source,
                           const dcls_plot_options *options, const char *path)
{
    dcls_plot plot = {.ctx = ctx, .source = source, .options = options};
    DCLS_TRY(check_options(ctx, options));
    dcls_status status = DCLS_OK;
    if (options->format == DCLS_PLOT_HTML) {
        status = dcls_html_save(&plot, path);
    } else {
        if (options->kind != DCLS_PLOT_FIELD) status = dcls_plot_find_layers(&plot);
        if (status == DCLS_OK) status = dcls_plot_render(&plot, kind_functions(options->kind), path);
    }
    dcls_arena_free(&plot.arena);
    return status;
}
