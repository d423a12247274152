/* A picture's format is told by its first bytes, never by its name. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "image/image.h"

/* Things people hand in by mistake, by the bytes at an offset; `phrase` completes "this is ..". */
struct mark {
    size_t offset, length;
    const char *bytes, *phrase;
    bool picture; /* a picture all the same, of a kind not read here */
};

#define MARK(offset, bytes, phrase, picture)                                                                 \
    {                                                                                                        \
        offset, sizeof(bytes) - 1, bytes, phrase, picture                                                    \
    }

static const struct mark marks[] = {
    MARK(0, "GIF8", "a GIF picture", true),
    MARK(8, "WEBP", "a WebP picture", true),
    MARK(0, "II*\0", "a TIFF picture", true),
    MARK(0, "MM\0*", "a TIFF picture", true),
    MARK(0, "BM", "a BMP picture", true),
    MARK(4, "ftypavif", "an AVIF picture", true),
    MARK(4, "ftyphei", "a HEIC picture", true),
    MARK(4, "ftypmif1", "a HEIC picture", true),
    MARK(4, "ftyp", "an MP4 or QuickTime film", false),
    MARK(0, "\0\0\0\14jP  ", "a JPEG 2000 picture", true),
    MARK(0, "\xff\x4f\xff\x51", "a JPEG 2000 picture", true),
    MARK(0, "\xff\x0a", "a JPEG XL picture", true),
    MARK(0, "\0\0\0\14JXL ", "a JPEG XL picture", true),
    MARK(0, "8BPS", "a Photoshop picture", true),
    MARK(0, "P7\n", "a PAM picture", true),
    MARK(0, "Pf\n", "a PFM picture", true),
    MARK(0, "PF\n", "a PFM picture", true),
    MARK(0, "qoif", "a QOI picture", true),
    MARK(0, "\0\0\1\0", "an icon file", true),
    MARK(0, "<svg", "an SVG drawing", true),
    MARK(0, "%PDF", "a PDF", false),
    MARK(0, "%!PS", "a PostScript file", false),
    MARK(0, "PK\3\4", "a zip archive (or a PyTorch checkpoint)", false),
    MARK(0, "\x1f\x8b", "gzip-compressed data", false),
    MARK(0, "\x28\xb5\x2f\xfd", "zstd-compressed data", false),
    MARK(0, "\x93NUMPY", "a NumPy array", false),
    MARK(0, "\x80\2", "a Python pickle", false),
    MARK(0,
         "\x7f"
         "ELF",
         "a program", false),
    MARK(0, "version https://git-lfs", "a Git LFS pointer (fetch the file with git lfs pull)", false),
    MARK(0, "<!DOCTYPE", "a web page", false),
    MARK(0, "<!doctype", "a web page", false),
    MARK(0, "<html", "a web page", false),
    MARK(0, "<?xml", "XML", false),
    MARK(8, "{\"", "a safetensors file", false),
};

/* Valid UTF-8 without NUL, judged by the start, which must not be cut within a character. */
static bool looks_like_text(const uint8_t *data, size_t size)
{
    size_t start = size < 512 ? size : 512;
    while (start > 0 && start < size && (data[start] & 0xc0) == 0x80)
        start--;
    return start > 0 && !memchr(data, 0, start) && dcls_utf8_valid((const char *)data, start);
}

/* Reports what the bytes are, since they are no picture this library reads. */
static dcls_status reject(dcls_context *ctx, const uint8_t *data, size_t size)
{
    static const char known[] = "PNG, JPEG or PNM";
    if (size == 0) return dcls_fail(ctx, DCLS_ERR_FORMAT, "this is an empty file, not a %s picture", known);
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const struct mark *mark = &marks[i];
        if (size < mark->offset + mark->length || memcmp(data + mark->offset, mark->bytes, mark->length) != 0)
            continue;
        if (!mark->picture) {
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "this is %s, not a %s picture", mark->phrase, known);
        }
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "this is %s; only %s pictures are read", mark->phrase,
                         known);
    }
    if (looks_like_text(data, size))
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "this is text, not a %s picture", known);
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "this is not a %s picture", known);
}

static bool starts_with(const uint8_t *data, size_t size, const char *magic, size_t length)
{
    return size >= length && memcmp(data, magic, length) == 0;
}

static bool looks_like_pnm(const uint8_t *data, size_t size)
{
    return size >= 3 && data[0] == 'P' && data[1] >= '1' && data[1] <= '6' &&
           memchr(" \t\n\v\f\r#", data[2], 7);
}

dcls_status dcls_image_load_memory(dcls_context *ctx, const void *data, size_t size, unsigned flags,
                                   dcls_image **out)
{
    const uint8_t *bytes = data;
    *out = NULL;
    if (starts_with(bytes, size, "\x89PNG\r\n\x1a\n", 8)) return dcls_png_decode(ctx, bytes, size, out);
    if (looks_like_pnm(bytes, size)) return dcls_pnm_decode(ctx, bytes, size, out);
    if (!starts_with(bytes, size, "\xff\xd8\xff", 3)) return reject(ctx, bytes, size);
    DCLS_TRY(dcls_jpeg_decode(ctx, bytes, size, out));
    if (flags & DCLS_IMAGE_IGNORE_ORIENTATION) return DCLS_OK;
    dcls_status status = dcls_image_orient(ctx, out, dcls_exif_orientation(bytes, size));
    if (status != DCLS_OK) {
        dcls_image_destroy(*out);
        *out = NULL;
    }
    return status;
}

dcls_status dcls_image_load_file(dcls_context *ctx, const char *path, unsigned flags, dcls_image **out)
{
    dcls_bytes bytes = {0};
    *out = NULL;
    DCLS_TRY(dcls_file_read(ctx, path, dcls_context_limit(ctx, DCLS_LIMIT_FILE_BYTES), &bytes));
    dcls_status status = dcls_image_load_memory(ctx, bytes.data, bytes.size, flags, out);
    free(bytes.data);
    return status;
}
