/* The one fact of a JPEG's EXIF data that changes its pixels: which way is up. */
#include "image/image.h"

#include <string.h>

/* A TIFF structure: numbers in the byte order its header states, offsets from its own start. */
struct tiff {
    const uint8_t *data;
    size_t size;
    bool big_endian;
};

static unsigned read16(const struct tiff *t, size_t at)
{
    const uint8_t *p = t->data + at;
    return t->big_endian ? (unsigned)p[0] << 8 | p[1] : (unsigned)p[1] << 8 | p[0];
}

static uint32_t read32(const struct tiff *t, size_t at)
{
    uint32_t first = read16(t, at), second = read16(t, at + 2);
    return t->big_endian ? first << 16 | second : second << 16 | first;
}

/* Orientation is entry 0x0112, a 16-bit number (some writers use 32 bits), of the first directory. */
static int tiff_orientation(const uint8_t *data, size_t size)
{
    enum { TAG = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4, HEADER = 8, ENTRY = 12 };
    struct tiff t = {data, size, false};
    if (size < HEADER) return 1;
    t.big_endian = data[0] == 'M';
    if (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0) return 1;
    size_t directory = read32(&t, 4);
    if (directory > size - 2) return 1;
    size_t entries = read16(&t, directory), at = directory + 2;
    for (size_t i = 0; i < entries && size - at >= ENTRY; i++, at += ENTRY) {
        if (read16(&t, at) != TAG) continue;
        unsigned type = read16(&t, at + 2);
        uint32_t value = type == TYPE_SHORT ? read16(&t, at + 8) : type == TYPE_LONG ? read32(&t, at + 8) : 1;
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

/* Segments are FF, marker, 16-bit length that counts itself, data. Those before the first scan (SOS) are
 * looked through. */
int dcls_exif_orientation(const uint8_t *jpeg, size_t size)
{
    enum { APP1 = 0xe1, SOS = 0xda, EOI = 0xd9, FILL = 0xff };
    static const char name[6] = "Exif\0";
    size_t at = 2;
    while (size >= 4 && at <= size - 4 && jpeg[at] == 0xff) {
        uint8_t marker = jpeg[at + 1];
        if (marker == FILL) {
            at++;
            continue;
        }
        if (marker == SOS || marker == EOI) return 1;
        size_t length = (size_t)jpeg[at + 2] << 8 | jpeg[at + 3];
        if (length < 2 || length > size - at - 2) return 1;
        const uint8_t *body = jpeg + at + 4;
        if (marker == APP1 && length - 2 >= sizeof name && memcmp(body, name, sizeof name) == 0) {
            return tiff_orientation(body + sizeof name, length - 2 - sizeof name);
        }
        at += 2 + length;
    }
    return 1;
}
