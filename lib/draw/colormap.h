/*
 * Colour scales that are even to the eye: neighbouring colours of a map are equally far apart in Oklab
 * (B. Ottosson, "A perceptual color space for image processing", 2020), and lightness changes one way, so
 * that order survives grey printing and every kind of colour blindness.
 */
#ifndef DCLS_DRAW_COLORMAP_H
#define DCLS_DRAW_COLORMAP_H

#include "draw/canvas.h"

#define DCLS_COLORMAP_COLORS 255 /* odd: a diverging map has a colour for zero */

typedef struct dcls_colormap {
    uint8_t rgb[DCLS_COLORMAP_COLORS][3];
} dcls_colormap;

/* From almost white over green and blue to a dark violet: densities, gradients. */
void dcls_colormap_sequential(dcls_colormap *map);
/* From blue over white to orange, both arms of one lightness: signed values, zero white. */
void dcls_colormap_diverging(dcls_colormap *map);

/* The colour of a value from 0 to 1; what lies beyond takes the end's colour, NaN grey. */
const uint8_t *dcls_colormap_at(const dcls_colormap *map, double value);

/* Signs of weights, wherever they are drawn as shapes. */
dcls_color dcls_color_negative(double alpha);
dcls_color dcls_color_positive(double alpha);

typedef struct dcls_oklab {
    double L, a, b;
} dcls_oklab;

dcls_oklab dcls_oklab_from_rgb(const double rgb[3]);
/* sRGB, 0..1; false where the colour lies outside and was cut. */
bool dcls_oklab_to_rgb(dcls_oklab color, double rgb[3]);

#endif
