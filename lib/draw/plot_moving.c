/* Positions of a training run moving: the picture of positions, drawn for one row of a recording after the
 * other. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "draw/plot.h"
#include "image/apng.h"
#include "train/recording.h"

#define LAST_MILLISECONDS 1500 /* the end is what is looked at longest */
#define BAR_WIDTH         160.0

struct moving {
    dcls_plot plot;
    const dcls_model *model;
    float *rows; /* [count, columns] */
    int64_t count, columns;
    uint8_t *pixels;  /* of a frame */
    int64_t *offsets; /* per layer */
    dcls_plot_past past;
};

/* Where the layers' positions begin in a row. */
static void find_offsets(const struct moving *m)
{
    const dcls_tensor *P;
    int64_t offset = 1;
    size_t node = 0;
    while ((P = dcls_recording_next(m->model, &node)) != NULL) {
        for (size_t i = 0; i < m->plot.layer_count; i++)
            if (m->plot.layers[i].P == P) m->offsets[i] = offset;
        offset += dcls_recording_positions(P);
    }
}

static void take_row(struct moving *m, int64_t index)
{
    for (size_t i = 0; i < m->plot.layer_count; i++) {
        dcls_plot_layer *layer = &m->plot.layers[i];
        layer->k.P = m->rows + index * m->columns + m->offsets[i];
    }
    m->past = (dcls_plot_past){m->rows, index + 1, m->columns, m->offsets};
}

static dcls_status find_layers(struct moving *m)
{
    dcls_plot *plot = &m->plot;
    DCLS_TRY(dcls_plot_find_layers(plot));
    m->offsets = dcls_plot_alloc(plot, plot->layer_count, sizeof *m->offsets);
    if (m->offsets == NULL) return DCLS_ERR_MEMORY;
    find_offsets(m);
    plot->past = &m->past;
    return DCLS_OK;
}

/* The step in words, and as a bar that fills. */
static void draw_time(struct moving *m, int64_t index)
{
    const double first = (double)m->rows[0], last = (double)m->rows[(m->count - 1) * m->columns],
                 step = (double)m->rows[index * m->columns],
                 share = last > first ? (step - first) / (last - first) : 1,
                 right = m->plot.width - DCLS_PLOT_MARGIN, y = DCLS_PLOT_MARGIN + 4;
    char text[64];
    snprintf(text, sizeof text, "step %.0f of %.0f", step, last);
    const dcls_box bar = {right - BAR_WIDTH, y, BAR_WIDTH, 5};
    dcls_canvas_fill_box(m->plot.canvas, bar, (dcls_color){0, 0, 0, 0.10});
    dcls_canvas_fill_box(m->plot.canvas, (dcls_box){bar.x, bar.y, BAR_WIDTH * share, bar.height},
                         dcls_color_negative(1));
    dcls_plot_text(&m->plot, bar.x - 9, y + 6, 200, text, DCLS_PLOT_TEXT, dcls_plot_ink, DCLS_ALIGN_RIGHT);
}

static dcls_status draw_frame(struct moving *m, int64_t index)
{
    dcls_plot *plot = &m->plot;
    take_row(m, index);
    DCLS_TRY(dcls_canvas_create_scaled(plot->ctx, plot->width, plot->height, plot->options->scale,
                                       dcls_plot_paper, &plot->canvas));
    draw_time(m, index);
    DCLS_TRY(dcls_plot_draw_page(plot, &dcls_plot_positions));
    const int64_t width = dcls_canvas_pixel_width(plot->canvas),
                  height = dcls_canvas_pixel_height(plot->canvas);
    if (m->pixels == NULL) m->pixels = dcls_alloc(plot->ctx, (size_t)(width * height), 3);
    if (m->pixels == NULL) return DCLS_ERR_MEMORY;
    for (int64_t y = 0; y < height; y++)
        dcls_canvas_read_row(plot->canvas, y, m->pixels + 3 * width * y);
    return DCLS_OK;
}

static dcls_status write_frames(struct moving *m, const dcls_moving_options *moving, const char *path)
{
    dcls_plot *plot = &m->plot;
    dcls_apng *apng = NULL;
    const double each = 1000 * moving->seconds / (double)m->count;
    dcls_status status = DCLS_OK;
    for (int64_t i = 0; i < m->count && status == DCLS_OK; i++) {
        status = draw_frame(m, i);
        if (status == DCLS_OK && apng == NULL)
            status = dcls_apng_open(plot->ctx, path,
                                    &(dcls_apng_options){dcls_canvas_pixel_width(plot->canvas),
                                                         dcls_canvas_pixel_height(plot->canvas), m->count,
                                                         moving->plays},
                                    &apng);
        if (status == DCLS_OK)
            status = dcls_apng_add(plot->ctx, apng, m->pixels,
                                   i + 1 == m->count ? LAST_MILLISECONDS : (int)fmin(fmax(each, 10), 60000));
        dcls_canvas_destroy(plot->canvas);
        plot->canvas = NULL;
    }
    if (status == DCLS_OK && apng != NULL) return dcls_apng_commit(plot->ctx, apng);
    dcls_apng_abort(apng);
    return status;
}

/* The layout is that of the last row: of the network as it became. */
static dcls_status draw_all(struct moving *m, const dcls_moving_options *moving, const char *path)
{
    DCLS_TRY(find_layers(m));
    take_row(m, m->count - 1);
    DCLS_TRY(dcls_plot_prepare(&m->plot, &dcls_plot_positions));
    return write_frames(m, moving, path);
}

dcls_status dcls_moving_save(dcls_context *ctx, const char *recording, const dcls_model *model,
                             const dcls_plot_options *options, const dcls_moving_options *moving,
                             const char *path)
{
    const dcls_layer_source source = {.model = model};
    struct moving m = {.plot = {.ctx = ctx, .source = &source, .options = options},
                       .model = model,
                       .columns = dcls_recording_columns(model)};
    if (options->format != DCLS_PLOT_PNG)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "positions moving are drawn as .png");
    if (moving->frames < 1 || !(moving->seconds > 0))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "an animation needs frames and time");
    dcls_status status = dcls_recording_read(ctx, recording, model, moving->frames, &m.rows, &m.count);
    if (status == DCLS_OK) status = draw_all(&m, moving, path);
    dcls_canvas_destroy(m.plot.canvas);
    dcls_arena_free(&m.plot.arena);
    free(m.rows);
    free(m.pixels);
    return status;
}
