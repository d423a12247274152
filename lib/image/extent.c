/* Where a picture ends that another one follows, as frames in a pipe do. Nothing is decoded or trusted: what
 * cannot be told apart goes to the end, and the decoder then says what is wrong with it. */
#include <string.h>

#include "image/image.h"

static uint64_t big_endian(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

/* Chunks of length, type, data and checksum, the last of type IEND. */
static size_t png_extent(const uint8_t *data, size_t size)
{
    size_t at = 8;
    while (size - at >= 12) {
        const uint64_t chunk = 12 + big_endian(data + at, 4);
        const bool last = memcmp(data + at + 4, "IEND", 4) == 0;
        if (chunk > size - at) return size;
        at += (size_t)chunk;
        if (last) return at;
    }
    return size;
}

/* Behind SOS: up to a marker that is no restart, FF 00 being a byte FF of the picture. */
static size_t skip_scan(const uint8_t *data, size_t size, size_t at)
{
    for (; size - at >= 2; at++)
        if (data[at] == 0xff && data[at + 1] != 0 && data[at + 1] != 0xff && (data[at + 1] & 0xf8) != 0xd0)
            return at;
    return size;
}

/* Segments of marker, length and data, up to EOI. */
static size_t jpeg_extent(const uint8_t *data, size_t size)
{
    size_t at = 2;
    while (size - at >= 4 && data[at] == 0xff) {
        const uint8_t marker = data[at + 1];
        if (marker == 0xff) { /* fills */
            at++;
            continue;
        }
        const uint64_t length = 2 + big_endian(data + at + 2, 2);
        if (marker == 0xd9) return at + 2;
        if (length > size - at) return size;
        at += (size_t)length;
        if (marker == 0xda) at = skip_scan(data, size, at);
    }
    return size - at >= 2 && data[at] == 0xff && data[at + 1] == 0xd9 ? at + 2 : size;
}

size_t dcls_image_extent(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    switch (dcls_image_kind_of(bytes, size)) {
    case DCLS_IMAGE_KIND_PNG: return png_extent(bytes, size);
    case DCLS_IMAGE_KIND_JPEG: return jpeg_extent(bytes, size);
    case DCLS_IMAGE_KIND_PNM: return dcls_pnm_extent(bytes, size);
    default: return size;
    }
}

bool dcls_image_is_picture(const void *data, size_t size)
{
    return dcls_image_kind_of(data, size) != DCLS_IMAGE_KIND_NONE;
}
