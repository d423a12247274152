/* Animated PNG: every frame is encoded as a PNG of its own, whose compressed data go into the chunks of an
 * animation. */
#include "image/apng.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/image.h"

struct dcls_apng {
    dcls_apng_options options;
    dcls_output *output;
    uint8_t *shown; /* the frame before, [height, width, 3] */
    int64_t frames;
    uint32_t sequence; /* of fcTL and fdAT chunks */
    uint32_t crc[256];
};

/* ---- chunks ----------------------------------------------------------------------------------------- */

static void make_crc_table(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = (c & 1) != 0 ? 0xedb88320u ^ (c >> 1) : c >> 1;
        table[i] = c;
    }
}

static void put_u32(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 24);
    to[1] = (uint8_t)(value >> 16);
    to[2] = (uint8_t)(value >> 8);
    to[3] = (uint8_t)value;
}

static uint32_t get_u32(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

/* Writes and takes into the checksum. */
static void write_part(dcls_apng *apng, uint32_t *crc, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        *crc = apng->crc[(*crc ^ bytes[i]) & 0xff] ^ (*crc >> 8);
    dcls_output_write(apng->output, data, size);
}

/* A chunk whose data are `head` followed by `data`. */
static void write_chunk(dcls_apng *apng, const char type[4], const uint8_t *head, size_t head_size,
                        const uint8_t *data, size_t size)
{
    uint8_t word[4];
    uint32_t crc = 0xffffffffu;
    put_u32(word, (uint32_t)(head_size + size));
    dcls_output_write(apng->output, word, sizeof word);
    write_part(apng, &crc, type, 4);
    if (head_size > 0) write_part(apng, &crc, head, head_size);
    if (size > 0) write_part(apng, &crc, data, size);
    put_u32(word, ~crc);
    dcls_output_write(apng->output, word, sizeof word);
}

static void write_begin(dcls_apng *apng)
{
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    uint8_t header[13] = {0}, control[8];
    put_u32(header, (uint32_t)apng->options.width);
    put_u32(header + 4, (uint32_t)apng->options.height);
    header[8] = 8; /* bits */
    header[9] = 2; /* RGB */
    put_u32(control, (uint32_t)apng->options.frames);
    put_u32(control + 4, (uint32_t)apng->options.plays);
    dcls_output_write(apng->output, signature, sizeof signature);
    write_chunk(apng, "IHDR", header, sizeof header, NULL, 0);
    write_chunk(apng, "acTL", control, sizeof control, NULL, 0);
}

/* ---- frames ----------------------------------------------------------------------------------------- */

/* The part of a frame that differs from the one before. */
typedef struct region {
    int64_t left, top, right, bottom; /* the last two behind it */
} region;

static bool row_differs(const uint8_t *a, const uint8_t *b, int64_t width, region *r)
{
    int64_t first = 0, last = width;
    if (memcmp(a, b, (size_t)width * 3) == 0) return false;
    while (memcmp(a + 3 * first, b + 3 * first, 3) == 0)
        first++;
    while (memcmp(a + 3 * (last - 1), b + 3 * (last - 1), 3) == 0)
        last--;
    if (first < r->left) r->left = first;
    if (last > r->right) r->right = last;
    return true;
}

static region find_changes(const dcls_apng *apng, const uint8_t *rgb)
{
    const int64_t width = apng->options.width, height = apng->options.height;
    region r = {width, height, 0, 0};
    if (apng->frames == 0) return (region){0, 0, width, height};
    for (int64_t y = 0; y < height; y++) {
        const int64_t at = 3 * width * y;
        if (!row_differs(rgb + at, apng->shown + at, width, &r)) continue;
        if (y < r.top) r.top = y;
        r.bottom = y + 1;
    }
    return r.bottom > 0 ? r : (region){0, 0, 1, 1}; /* a frame has at least one pixel */
}

typedef struct frame_rows {
    const uint8_t *first;
    int64_t stride;
} frame_rows;

static const uint8_t *frame_row(void *arg, int64_t y)
{
    const frame_rows *rows = arg;
    return rows->first + y * rows->stride;
}

static void write_control(dcls_apng *apng, const region *r, int milliseconds)
{
    uint8_t control[26] = {0}; /* the last two bytes: keep the frame, replace what is below */
    put_u32(control, apng->sequence++);
    put_u32(control + 4, (uint32_t)(r->right - r->left));
    put_u32(control + 8, (uint32_t)(r->bottom - r->top));
    put_u32(control + 12, (uint32_t)r->left);
    put_u32(control + 16, (uint32_t)r->top);
    control[20] = (uint8_t)(milliseconds >> 8);
    control[21] = (uint8_t)milliseconds;
    control[22] = 1000 >> 8;
    control[23] = 1000 & 0xff;
    write_chunk(apng, "fcTL", control, sizeof control, NULL, 0);
}

/* The IDAT chunks of a PNG, under their own name in the first frame. */
static void write_data(dcls_apng *apng, const uint8_t *png, size_t size)
{
    for (size_t at = 8; at + 12 <= size;) {
        const size_t length = get_u32(png + at);
        if (length > size - at - 12) break;
        if (memcmp(png + at + 4, "IDAT", 4) == 0 && apng->frames == 0) {
            write_chunk(apng, "IDAT", NULL, 0, png + at + 8, length);
        } else if (memcmp(png + at + 4, "IDAT", 4) == 0) {
            uint8_t sequence[4];
            put_u32(sequence, apng->sequence++);
            write_chunk(apng, "fdAT", sequence, sizeof sequence, png + at + 8, length);
        }
        at += length + 12;
    }
}

dcls_status dcls_apng_add(dcls_context *ctx, dcls_apng *apng, const uint8_t *rgb, int milliseconds)
{
    const region r = find_changes(apng, rgb);
    frame_rows rows = {rgb + 3 * (r.top * apng->options.width + r.left), 3 * apng->options.width};
    const dcls_png_source source = {
        .width = r.right - r.left, .height = r.bottom - r.top, .row = frame_row, .arg = &rows};
    dcls_string png;
    const dcls_status status = dcls_png_encode(ctx, &source, &png);
    if (status == DCLS_OK) {
        write_control(apng, &r, milliseconds);
        write_data(apng, (const uint8_t *)png.data, png.length);
        memcpy(apng->shown, rgb, (size_t)(apng->options.width * apng->options.height) * 3);
        apng->frames++;
    }
    dcls_string_free(&png);
    return status;
}

/* ---- the file --------------------------------------------------------------------------------------- */

dcls_status dcls_apng_open(dcls_context *ctx, const char *path, const dcls_apng_options *options,
                           dcls_apng **out)
{
    *out = NULL;
    size_t pixels = 0;
    if (options->width < 1 || options->height < 1 || options->width > INT32_MAX ||
        options->height > INT32_MAX ||
        !dcls_mul_size((size_t)options->width, (size_t)options->height, &pixels))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a picture of %lld x %lld pixels", (long long)options->width,
                         (long long)options->height);
    dcls_apng *apng = dcls_alloc_zero(ctx, 1, sizeof *apng);
    if (apng == NULL) return DCLS_ERR_MEMORY;
    apng->options = *options;
    make_crc_table(apng->crc);
    apng->shown = dcls_alloc(ctx, pixels, 3);
    dcls_status status = apng->shown != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) status = dcls_output_open(ctx, path, &apng->output);
    if (status != DCLS_OK) {
        dcls_apng_abort(apng);
        return status;
    }
    write_begin(apng);
    *out = apng;
    return DCLS_OK;
}

void dcls_apng_abort(dcls_apng *apng)
{
    if (apng == NULL) return;
    dcls_output_abort(apng->output);
    free(apng->shown);
    free(apng);
}

/* cppcheck-suppress ctunullpointer */
dcls_status dcls_apng_commit(dcls_context *ctx, dcls_apng *apng)
{
    dcls_status status = DCLS_OK;
    if (apng->frames == apng->options.frames) {
        write_chunk(apng, "IEND", NULL, 0, NULL, 0);
        status = dcls_output_commit(ctx, apng->output);
        apng->output = NULL;
    } else {
        status = dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%lld frames instead of %lld", (long long)apng->frames,
                           (long long)apng->options.frames);
    }
    dcls_apng_abort(apng);
    return status;
}
