/* A picture's format is told by its first bytes, never by its name. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/magic.h"
#include "base/text.h"
#include "image/image.h"

/* Kinds besides those base/magic.h knows. */
static const dcls_magic others[] = {
    DCLS_MAGIC(0, "PK\3\4", "a ZIP archive (or a PyTorch checkpoint)", false),
    DCLS_MAGIC(0, "\x93NUMPY", "a NumPy array", false),
    DCLS_MAGIC(0, "\x80\2", "a Python pickle", false),
    DCLS_MAGIC(8, "{\"", "a safetensors file", false),
    DCLS_MAGIC(0, "<svg", "an SVG drawing", false),
    DCLS_MAGIC(0, "<!DOCTYPE", "an HTML page", false),
    DCLS_MAGIC(0, "<!doctype", "an HTML page", false),
    DCLS_MAGIC(0, "<html", "an HTML page", false),
    DCLS_MAGIC(0, "<?xml", "an XML document", false),
    /* The shortest marks come last: they may begin text as well. */
    DCLS_MAGIC(0, "BM", "a BMP picture", true),
    DCLS_MAGIC(0, "\xff\x0a", "a JPEG XL picture", true),
    DCLS_MAGIC(0, "\0\0\1\0", "an icon file", true),
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
    const dcls_magic *magic = dcls_magic_find(data, size);
    if (!magic) magic = dcls_magic_find_in(others, sizeof others / sizeof *others, data, size);
    if (magic && magic->picture) {
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "this is %s; only PNG, JPEG and PNM pictures are read",
                         magic->phrase);
    }
    if (magic) return dcls_fail(ctx, DCLS_ERR_FORMAT, "this is %s, not a %s picture", magic->phrase, known);
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

dcls_image_kind dcls_image_kind_of(const uint8_t *data, size_t size)
{
    if (starts_with(data, size, "\x89PNG\r\n\x1a\n", 8)) return DCLS_IMAGE_KIND_PNG;
    if (starts_with(data, size, "\xff\xd8\xff", 3)) return DCLS_IMAGE_KIND_JPEG;
    return looks_like_pnm(data, size) ? DCLS_IMAGE_KIND_PNM : DCLS_IMAGE_KIND_NONE;
}

dcls_status dcls_image_load_memory(dcls_context *ctx, const void *data, size_t size, unsigned flags,
                                   dcls_image **out)
{
    const uint8_t *bytes = data;
    *out = NULL;
    switch (dcls_image_kind_of(bytes, size)) {
    case DCLS_IMAGE_KIND_NONE: return reject(ctx, bytes, size);
    case DCLS_IMAGE_KIND_PNG: return dcls_png_decode(ctx, bytes, size, out);
    case DCLS_IMAGE_KIND_PNM: return dcls_pnm_decode(ctx, bytes, size, out);
    case DCLS_IMAGE_KIND_JPEG: break;
    }
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
    DCLS_TRY(dcls_file_read(ctx, path, dcls_picture_limit(ctx), &bytes));
    dcls_status status = dcls_image_load_memory(ctx, bytes.data, bytes.size, flags, out);
    free(bytes.data);
    return status;
}
