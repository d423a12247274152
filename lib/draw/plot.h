/*
 * Pictures of DCLS layers, in parts:
 *
 *   plot.c              the public functions: layers and channels chosen, a page of the right size, the file
 *   plot_layers.c       the DCLS layers of a model or state dict
 *   axes.c, colormap.c  ticks, numbers, colour bars, page headings; colours
 *   mosaic.c            windows of many kernels beside each other, for
 *   plot_positions.c    elements as discs, and
 *   plot_kernels.c      constructed kernels as heat maps
 *   plot_density.c      where a layer's elements lie
 *   plot_field.c        receptive fields
 *   plot_histogram.c    positions, spreads, weights and distances in figures
 *   plot_confusion.c    which class is taken for which
 *   plot_moving.c       positions of a training run, one after the other, as an animated PNG
 *   plot_curves.c       how training went; curves_read.c reads its log
 *   plot_case.c         one item of a data set beside its answer
 *   plot_sheet.c        many of them on a page
 *   plot_terminal.c     densities as text
 *   html.c              the report, a page for a browser: page.html, page.css and page_*.js with data, of
 * which html_layers.c       writes what is known about layers
 *
 * A kind of picture has two functions. prepare computes what is shown and how high the page is; draw draws it
 * from plot->top downwards.
 */
#ifndef DCLS_DRAW_PLOT_H
#define DCLS_DRAW_PLOT_H

#include "base/mem.h"
#include "draw/colormap.h"
#include "kernel/kernel.h"
#include "model/model.h"

#include "dcls_plot.h"

typedef struct dcls_plot_layer {
    const char *name;
    const char *form;        /* "", or the kind of layer that has positions along some dimensions only */
    dcls_kernel k;           /* rows: [outputs, per_output] */
    const dcls_tensor *P;    /* what k.P was made of */
    const char *shared_with; /* an earlier layer of the plot with the same P, or NULL */
    int64_t outputs, per_output;
    const int64_t *channels; /* chosen outputs, rising; NULL: all */
    int64_t channel_count;
} dcls_plot_layer;

/* Where the elements of 2-D windows have been. */
typedef struct dcls_plot_past {
    const float *rows; /* [count, columns], the oldest first */
    int64_t count, columns;
    const int64_t *offsets; /* per layer of the plot: where its positions begin in a row */
} dcls_plot_past;

typedef struct dcls_plot {
    dcls_context *ctx;
    const dcls_layer_source *source;
    const dcls_plot_options *options;
    dcls_arena arena; /* all that lives as long as the plot; large arrays too */
    dcls_plot_layer *layers;
    size_t layer_count;
    const char *first_layer,
        *first_like; /* not chosen: the first one, and that which begins as chosen ones */
    dcls_colormap sequential, diverging;

    dcls_canvas *canvas; /* while preparing: a small one to measure text with */
    double width, height;
    double top;                 /* where the picture begins, below title and note */
    const char *subtitle;       /* what is shown and how to read it, set by prepare before dcls_plot_head */
    void *data;                 /* the kind's own */
    const dcls_plot_past *past; /* of positions; NULL: none */
} dcls_plot;

typedef struct dcls_plot_kind_functions {
    const char *name; /* in titles */
    dcls_status (*prepare)(dcls_plot *plot);
    void (*draw)(dcls_plot *plot);
} dcls_plot_kind_functions;

extern const dcls_plot_kind_functions dcls_plot_positions, dcls_plot_density, dcls_plot_kernels,
    dcls_plot_histogram, dcls_plot_field;

/* ---- html.c ---- */

/* Writes the report. The options' shape is the analysed input of a model. */
dcls_status dcls_html_save(dcls_plot *plot, const char *path);

/* ---- plot_layers.c ---- */

/* Fills plot->layers with the chosen layers, their numbers as floats. */
dcls_status dcls_plot_find_layers(dcls_plot *plot);

/* Row of the layer's kernel number i < dcls_plot_row_count among those of the chosen channels. */
int64_t dcls_plot_row(const dcls_plot_layer *layer, int64_t i);
int64_t dcls_plot_row_count(const dcls_plot_layer *layer);
/* The same for positions, which outputs may share: every distinct row of P once. */
int64_t dcls_plot_position_row(const dcls_plot_layer *layer, int64_t i);
int64_t dcls_plot_position_row_count(const dcls_plot_layer *layer);

/* An element as the window sees it: arrays are per kernel axis, a(j) of the version applied. */
typedef struct dcls_plot_element {
    double centre[3]; /* in cells: t is the middle of cell t */
    double offset[3]; /* the position itself: cells from the centre */
    double spread[3]; /* S; 0 without spreads */
    bool finite;
    bool inside;  /* the centre lies in the window */
    bool clamped; /* a coordinate is at the clamp limit */
} dcls_plot_element;
dcls_plot_element dcls_plot_element_at(const dcls_kernel *k, int64_t position_row, int64_t element);

/* Elements per cell, [cells] of the layer's window: each element counts 1, split linearly between the cells
 * around it, what falls outside dropped. *elements gets how many there are. */
void dcls_plot_density_of(const dcls_plot_layer *layer, double *density, int64_t *elements);

/* ---- plot.c ---- */

void *dcls_plot_alloc(dcls_plot *plot, size_t count, size_t size);
/* Prepares and draws a page of any kind into path. plot has its context and options; what it holds in its
 * arena stays the caller's to free. */
dcls_status dcls_plot_render(dcls_plot *plot, const dcls_plot_kind_functions *kind, const char *path);

/* The parts of it: prepares, and draws a page on plot->canvas. */
dcls_status dcls_plot_prepare(dcls_plot *plot, const dcls_plot_kind_functions *kind);
dcls_status dcls_plot_draw_page(dcls_plot *plot, const dcls_plot_kind_functions *kind);

/* ---- axes.c: all lengths in units of the page ---- */

#define DCLS_PLOT_MARGIN 20.0
#define DCLS_PLOT_TEXT   11.0 /* size of text */
#define DCLS_PLOT_SMALL  9.0  /* of ticks and captions */

extern const dcls_color dcls_plot_ink, dcls_plot_faint, dcls_plot_paper, dcls_plot_rule;

/* Where the picture begins below title and subtitle; sets plot->top. */
void dcls_plot_head(dcls_plot *plot);
/* Draws them. */
void dcls_plot_draw_head(dcls_plot *plot);

/* One line of text, with dots in place of what does not fit into `width`. */
void dcls_plot_text(dcls_plot *plot, double x, double y, double width, const char *text, double size,
                    dcls_color color, dcls_align align);

/* The same running upwards, in at most `width` units of height. */
void dcls_plot_text_upwards(dcls_plot *plot, double x, double y, double width, const char *text, double size,
                            dcls_color color);

#define DCLS_NUMBER_TEXT 32
/* Three significant digits. */
const char *dcls_plot_number(char buffer[DCLS_NUMBER_TEXT], double value);

/* Round numbers (1, 2 or 5 times a power of ten apart) in [low, high], at most max_count; the number of them.
 */
#define DCLS_MAX_TICKS 16
int dcls_ticks(double low, double high, int max_count, double ticks[DCLS_MAX_TICKS]);
/* A tick with as many digits as tell it from its neighbours. */
const char *dcls_plot_tick(char buffer[DCLS_NUMBER_TEXT], double tick);

/* A horizontal bar of the map's colours with ticks below: `count` values at places 0..1. */
void dcls_plot_color_bar(dcls_plot *plot, dcls_box box, const dcls_colormap *map, int count,
                         const double *places, const char (*labels)[DCLS_NUMBER_TEXT]);

/* Ticks of a window of `size` cells along an edge: offsets from the centre -h, 0, h. */
void dcls_plot_cell_ticks_below(dcls_plot *plot, double x, double y, double cell, int64_t size);
void dcls_plot_cell_ticks_left(dcls_plot *plot, double x, double y, double cell, int64_t size);

/* "17 x 17" with a times sign. */
#define DCLS_WINDOW_TEXT 96
const char *dcls_plot_window_text(char buffer[DCLS_WINDOW_TEXT], const dcls_kernel *k);

/* ---- mosaic.c ---- */

typedef struct dcls_mosaic dcls_mosaic;

typedef struct dcls_mosaic_window {
    const dcls_plot_layer *layer;
    size_t layer_index;
    int64_t row;   /* of the layer's kernels */
    int64_t slice; /* of a 3-D window along its first axis; 0 */
    dcls_box box;
    double cell; /* side of a cell; of one-dimensional windows the width */
} dcls_mosaic_window;

typedef struct dcls_mosaic_style {
    /* The kernels of a layer that are shown are now known: [count] rows. */
    dcls_status (*choose)(dcls_plot *plot, size_t layer, const int64_t *rows, int64_t count);
    void (*draw_window)(dcls_plot *plot, const dcls_mosaic_window *window);
    /* At the right end of the layer's heading; returns the width it took. */
    double (*draw_scale)(dcls_plot *plot, size_t layer, double right, double baseline);
} dcls_mosaic_style;

/* Lays out all layers from plot->top and sets plot->height. */
dcls_status dcls_mosaic_prepare(dcls_plot *plot, const dcls_mosaic_style *style, dcls_mosaic **out);
void dcls_mosaic_draw(dcls_plot *plot, const dcls_mosaic *mosaic, const dcls_mosaic_style *style);

#endif
