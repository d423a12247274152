/*
 * A drawing in user units (pixels of a raster picture at scale 1, points of a page), origin at the top left,
 * y downwards. Nothing above this header knows what draws. The library behind it is opened when the first
 * canvas is made, so whoever draws nothing does not pay for it.
 *
 * Drawing calls do not fail one by one: the first failure sticks and dcls_canvas_finish reports it.
 */
#ifndef DCLS_DRAW_CANVAS_H
#define DCLS_DRAW_CANVAS_H

#include "base/file.h"

typedef struct dcls_canvas dcls_canvas;

typedef struct dcls_color {
    double r, g, b, a; /* 0..1, not premultiplied */
} dcls_color;

typedef struct dcls_box {
    double x, y, width, height;
} dcls_box;

typedef enum dcls_align { DCLS_ALIGN_LEFT, DCLS_ALIGN_RIGHT, DCLS_ALIGN_CENTER } dcls_align;

/* Text in the system's sans-serif face. */
typedef struct dcls_text_style {
    double size; /* of the em square */
    dcls_color color;
    dcls_align align; /* which part of the text is at x */
} dcls_text_style;

/* Largest side of a canvas. */
#define DCLS_CANVAS_MAX_SIDE 32767

/* A canvas filled with one opaque colour. DCLS_ERR_UNSUPPORTED where the drawing library is not installed. */
dcls_status dcls_canvas_create(dcls_context *ctx, int64_t width, int64_t height, dcls_color background,
                               dcls_canvas **out);
void dcls_canvas_destroy(dcls_canvas *canvas);

/* A page that is written as a drawing and not as pixels. */
typedef enum dcls_vector { DCLS_VECTOR_SVG, DCLS_VECTOR_PDF } dcls_vector;

/* A picture of width x height units; a raster one has `scale` pixels to the unit. */
dcls_status dcls_canvas_create_scaled(dcls_context *ctx, double width, double height, double scale,
                                      dcls_color background, dcls_canvas **out);
/* The same as a document, whose bytes go to `to`, the last of them in dcls_canvas_finish. Equal drawings give
 * equal bytes. */
dcls_status dcls_canvas_create_vector(dcls_context *ctx, dcls_vector format, double width, double height,
                                      dcls_color background, dcls_output *to, dcls_canvas **out);
/* Pixels of a raster canvas. */
int64_t dcls_canvas_pixel_width(const dcls_canvas *canvas);
int64_t dcls_canvas_pixel_height(const dcls_canvas *canvas);

void dcls_canvas_fill_box(dcls_canvas *canvas, dcls_box box, dcls_color color);
/* Outlines the box with a line of that width, inside it. */
void dcls_canvas_frame_box(dcls_canvas *canvas, dcls_box box, double line_width, dcls_color color);
/* The same with dashes, the line on the border. */
void dcls_canvas_dash_box(dcls_canvas *canvas, dcls_box box, double line_width, dcls_color color);
/* The lines between columns x rows cells of the box. */
void dcls_canvas_grid(dcls_canvas *canvas, dcls_box box, int64_t columns, int64_t rows, double line_width,
                      dcls_color color);
/* Columns x rows cells of one colour each, rgb [rows, columns, 3], filling the box without seams. */
void dcls_canvas_cells(dcls_canvas *canvas, dcls_box box, int64_t columns, int64_t rows, const uint8_t *rgb);

/* A line through `count` points x, y. */
void dcls_canvas_line(dcls_canvas *canvas, const double (*points)[2], size_t count, double line_width,
                      dcls_color color);
void dcls_canvas_disc(dcls_canvas *canvas, double x, double y, double radius, dcls_color color);
/* An ellipse's outline. */
void dcls_canvas_ring(dcls_canvas *canvas, double x, double y, double radius_x, double radius_y,
                      double line_width, dcls_color color);

/* Drawing is confined to the box until dcls_canvas_unclip; clips do not nest. */
void dcls_canvas_clip(dcls_canvas *canvas, dcls_box box);
void dcls_canvas_unclip(dcls_canvas *canvas);

/* Draws one line of text whose baseline is at y. Control characters and invalid UTF-8 are shown as \xNN. */
void dcls_canvas_text(dcls_canvas *canvas, double x, double y, const char *text,
                      const dcls_text_style *style);
/* The same running upwards from y, the baseline at x. */
void dcls_canvas_text_upwards(dcls_canvas *canvas, double x, double y, const char *text,
                              const dcls_text_style *style);
/* The width dcls_canvas_text takes. */
double dcls_canvas_text_width(dcls_canvas *canvas, const char *text, double size);

/* The first failure of any call above. After success rows of a raster canvas can be read, and a document is
 * whole. */
dcls_status dcls_canvas_finish(dcls_context *ctx, dcls_canvas *canvas);
/* Row y of a finished raster canvas, [pixel width, 3] bytes of RGB. */
void dcls_canvas_read_row(const dcls_canvas *canvas, int64_t y, uint8_t *rgb);

#endif
