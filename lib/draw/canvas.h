/*
 * A drawing in user units (pixels of a raster picture), origin at the top left, y downwards. Nothing above
 * this header knows what draws. The library behind it is opened when the first canvas is made, so whoever
 * draws nothing does not pay for it.
 *
 * Drawing calls do not fail one by one: the first failure sticks and dcls_canvas_finish reports it.
 */
#ifndef DCLS_DRAW_CANVAS_H
#define DCLS_DRAW_CANVAS_H

#include "base/context.h"

typedef struct dcls_canvas dcls_canvas;

typedef struct dcls_color {
    double r, g, b, a; /* 0..1, not premultiplied */
} dcls_color;

typedef struct dcls_box {
    double x, y, width, height;
} dcls_box;

typedef enum dcls_align { DCLS_ALIGN_LEFT, DCLS_ALIGN_RIGHT } dcls_align;

/* Text in the system's sans-serif face. */
typedef struct dcls_text_style {
    double size; /* of the em square */
    dcls_color color;
    dcls_align align; /* which end of the text is at x */
} dcls_text_style;

/* Largest side of a canvas. */
#define DCLS_CANVAS_MAX_SIDE 32767

/* A canvas filled with one opaque colour. DCLS_ERR_UNSUPPORTED where the drawing library is not installed. */
dcls_status dcls_canvas_create(dcls_context *ctx, int64_t width, int64_t height, dcls_color background,
                               dcls_canvas **out);
void dcls_canvas_destroy(dcls_canvas *canvas);

void dcls_canvas_fill_box(dcls_canvas *canvas, dcls_box box, dcls_color color);
/* Outlines the box with a line of that width, inside it. */
void dcls_canvas_frame_box(dcls_canvas *canvas, dcls_box box, double line_width, dcls_color color);

/* Draws one line of text whose baseline is at y. Control characters and invalid UTF-8 are shown as \xNN. */
void dcls_canvas_text(dcls_canvas *canvas, double x, double y, const char *text,
                      const dcls_text_style *style);
/* The width dcls_canvas_text takes. */
double dcls_canvas_text_width(dcls_canvas *canvas, const char *text, double size);

/* The first failure of any call above. After success rows can be read. */
dcls_status dcls_canvas_finish(dcls_context *ctx, dcls_canvas *canvas);
/* Row y of a finished canvas, [width, 3] bytes of RGB. */
void dcls_canvas_read_row(const dcls_canvas *canvas, int64_t y, uint8_t *rgb);

#endif
