/* The strip below an overlay that says which colour is what. */
#ifndef DCLS_DRAW_LEGEND_H
#define DCLS_DRAW_LEGEND_H

#include "draw/canvas.h"

typedef struct dcls_legend_entry {
    uint8_t rgb[3];
    const char *label;
    double share; /* 0..1 */
} dcls_legend_entry;

typedef struct dcls_legend {
    const dcls_legend_entry *entries; /* shown in this order, in columns read downwards */
    int count;
    int64_t width;    /* that the columns are to fill */
    double text_size; /* of the em square; all other lengths follow from it */
} dcls_legend;

/* The strip is as high as it needs to be, and wider than asked where one label would not fit (up to a point:
 * longer labels are cut). *width, *height get its size. */
dcls_status dcls_legend_draw(dcls_context *ctx, const dcls_legend *legend, dcls_canvas **out, int64_t *width,
                             int64_t *height);

#endif
