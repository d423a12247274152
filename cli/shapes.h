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
/* "224x224", "224,224", or "224" for all sides: ndim positive sizes, rows before columns. */
bool shape_parse(const char *text, int64_t *shape, int ndim);

#endif
