#include "base/palette.h"

/* The bits of the index are dealt out to red, green, blue in turn, lowest first, and fill each channel from
 * its highest bit down, so that neighbouring classes get colours far apart. */
void dcls_voc_color(size_t index, uint8_t rgb[3])
{
    rgb[0] = rgb[1] = rgb[2] = 0;
    for (unsigned bit = 0; bit < 8; bit++) {
        unsigned set = (unsigned)(index >> bit) & 1;
        rgb[bit % 3] |= (uint8_t)(set << (7 - bit / 3));
    }
}
