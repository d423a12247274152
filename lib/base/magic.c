#include "base/magic.h"

#include <string.h>

#define PICTURE(offset, bytes, phrase) DCLS_MAGIC(offset, bytes, phrase, true)
#define OTHER(offset, bytes, phrase)   DCLS_MAGIC(offset, bytes, phrase, false)

static const dcls_magic known[] = {
    OTHER(0, "version https://git-lfs", "a Git LFS pointer (the file itself was not downloaded)"),
    PICTURE(0, "\x89PNG\r\n\x1a\n", "a PNG picture"),
    PICTURE(0, "\xff\xd8\xff", "a JPEG picture"),
    PICTURE(0, "GIF87a", "a GIF picture"),
    PICTURE(0, "GIF89a", "a GIF picture"),
    PICTURE(8, "WEBP", "a WebP picture"),
    PICTURE(0, "II*\0", "a TIFF picture"),
    PICTURE(0, "MM\0*", "a TIFF picture"),
    PICTURE(0, "P5\n", "a PGM picture"),
    PICTURE(0, "P6\n", "a PPM picture"),
    PICTURE(0, "P7\n", "a PAM picture"),
    PICTURE(0, "Pf\n", "a PFM picture"),
    PICTURE(0, "PF\n", "a PFM picture"),
    PICTURE(4, "ftypavif", "an AVIF picture"),
    PICTURE(4, "ftyphei", "a HEIC picture"),
    PICTURE(4, "ftypmif1", "a HEIC picture"),
    PICTURE(0, "\0\0\0\14jP  ", "a JPEG 2000 picture"),
    PICTURE(0, "\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    PICTURE(0, "\0\0\0\14JXL ", "a JPEG XL picture"),
    PICTURE(0, "8BPS", "a Photoshop picture"),
    PICTURE(0, "qoif", "a QOI picture"),
    OTHER(4, "ftyp", "an MP4 or QuickTime film"),
    OTHER(0, "\x1f\x8b", "a gzip archive"),
    OTHER(0, "BZh", "a bzip2 archive"),
    OTHER(0, "\xfd\x37zXZ", "an xz archive"),
    OTHER(0, "\x28\xb5\x2f\xfd", "a Zstandard archive"),
    OTHER(0, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    OTHER(257, "ustar", "a tar archive"),
    OTHER(0, "PK\x05\x06", "an empty ZIP archive"),
    OTHER(0, "\x89HDF\r\n\x1a\n", "an HDF5 file (Keras?)"),
    OTHER(0, "GGUF", "a GGUF model"),
    OTHER(4, "TFL3", "a TensorFlow Lite model"),
    OTHER(0, "\177ELF", "an ELF program or library"),
    OTHER(0, "%PDF", "a PDF document"),
    OTHER(0, "%!PS", "a PostScript document"),
};

const dcls_magic *dcls_magic_find_in(const dcls_magic *table, size_t count, const void *data, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        const dcls_magic *m = &table[i];
        if (size < m->offset || size - m->offset < m->length) continue;
        if (memcmp((const char *)data + m->offset, m->bytes, m->length) == 0) return m;
    }
    return NULL;
}

const dcls_magic *dcls_magic_find(const void *data, size_t size)
{
    return dcls_magic_find_in(known, sizeof known / sizeof *known, data, size);
}
