/* Shapes as text. */
#ifndef DCLS_CLI_SHAPES_H
#define DCLS_CLI_SHAPES_H

#include <stdbool.h>
#include <stdint.h>

#include "dcls.h"

#define SHAPE_TEXT 192 /* bytes that hold any shape as text */

/* "[1, 3, 32, 32]", open sizes as "any". */
void shape_text(char buffer[SHAPE_TEXT], int ndim, const int64_t *shape);
/* "64x16x16"; empty for a scalar. */
void shape_crossed(char buffer[SHAPE_TEXT], int ndim, const int64_t *shape);
/* Reads "180x240": up to max_ndim sizes of at least 1. The number of them, or 0 if text is nothing of the
 * kind. */
int shape_parse(const char *text, int64_t *shape, int max_ndim);

#endif
