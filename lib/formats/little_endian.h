/* Unsigned little-endian numbers of 1 to 8 bytes out of files, wherever they stand. */
#ifndef DCLS_FORMATS_LITTLE_ENDIAN_H
#define DCLS_FORMATS_LITTLE_ENDIAN_H

#include <stdint.h>

static inline uint64_t dcls_little_endian(const unsigned char *from, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes; i-- > 0;)
        value = value << 8 | from[i];
    return value;
}

#endif
