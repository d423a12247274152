/* Colours for classes that have none of their own. */
#ifndef DCLS_BASE_PALETTE_H
#define DCLS_BASE_PALETTE_H

#include <stddef.h>
#include <stdint.h>

/* The Pascal VOC colour of a class: 256 distinct colours, repeated beyond; class 0 is black. */
void dcls_voc_color(size_t index, uint8_t rgb[3]);

#endif
