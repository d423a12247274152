/* The netpbm formats: P1 to P3 in plain text, P4 to P6 in binary; bitmaps, gray and colour. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/image.h"

struct pnm {
    dcls_context *ctx;
    const uint8_t *data;
    size_t size, at;
    int kind; /* the digit after P */
    int64_t width, height;
    unsigned maxval; /* 1 for bitmaps, whose 1 is black */
    uint8_t *level;  /* [maxval + 1] 0..255 */
};

static bool is_plain(const struct pnm *p)
{
    return p->kind <= 3;
}

static bool is_bitmap(const struct pnm *p)
{
    return p->kind == 1 || p->kind == 4;
}

static int samples_per_pixel(const struct pnm *p)
{
    return p->kind == 3 || p->kind == 6 ? 3 : 1;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static dcls_status truncated(const struct pnm *p)
{
    return dcls_fail(p->ctx, DCLS_ERR_FORMAT, "truncated PNM: the file ends after %zu bytes", p->size);
}

/* Comments run from # to the end of the line and may stand wherever white space may. */
static void skip_space(struct pnm *p)
{
    while (p->at < p->size && (is_space(p->data[p->at]) || p->data[p->at] == '#')) {
        if (p->data[p->at] == '#') {
            while (p->at < p->size && p->data[p->at] != '\n' && p->data[p->at] != '\r')
                p->at++;
        } else {
            p->at++;
        }
    }
}

/* A decimal number of at most max; what names it in messages. */
static dcls_status read_number(struct pnm *p, const char *what, int64_t max, int64_t *out)
{
    skip_space(p);
    if (p->at == p->size) return truncated(p);
    int64_t value = 0;
    size_t start = p->at;
    for (; p->at < p->size && p->data[p->at] >= '0' && p->data[p->at] <= '9'; p->at++) {
        value = value * 10 + (p->data[p->at] - '0');
        if (value > max) {
            return dcls_fail(p->ctx, DCLS_ERR_FORMAT, "damaged PNM: its %s is over %lld", what,
                             (long long)max);
        }
    }
    if (p->at == start)
        return dcls_fail(p->ctx, DCLS_ERR_FORMAT, "damaged PNM: its %s is not a number", what);
    *out = value;
    return DCLS_OK;
}

/* After the magic: width, height, maxval except for bitmaps. One white space ends a binary header. */
static dcls_status read_header(struct pnm *p)
{
    int64_t maxval = 1;
    p->at = 2;
    DCLS_TRY(read_number(p, "width", INT32_MAX, &p->width));
    DCLS_TRY(read_number(p, "height", INT32_MAX, &p->height));
    if (!is_bitmap(p)) DCLS_TRY(read_number(p, "largest value", 65535, &maxval));
    if (maxval == 0) return dcls_fail(p->ctx, DCLS_ERR_FORMAT, "damaged PNM: its largest value is 0");
    p->maxval = (unsigned)maxval;
    if (is_plain(p)) return DCLS_OK;
    if (p->at == p->size) return truncated(p);
    if (!is_space(p->data[p->at])) {
        return dcls_fail(p->ctx, DCLS_ERR_FORMAT, "damaged PNM: no white space after its header");
    }
    p->at++;
    return DCLS_OK;
}

/* Bytes of a row of a binary kind. */
static size_t row_bytes(const struct pnm *p)
{
    size_t samples = (size_t)p->width * (size_t)samples_per_pixel(p);
    return is_bitmap(p) ? (samples + 7) / 8 : p->maxval < 256 ? samples : samples * 2;
}

/* Refuses a file that is too short for its size before memory is taken for the picture. A plain bitmap needs
 * a digit per pixel, other plain kinds a digit per sample and white space between. */
static dcls_status check_length(const struct pnm *p)
{
    DCLS_TRY(dcls_image_check_size(p->ctx, p->width, p->height, 0));
    size_t rows = (size_t)p->height, needed = row_bytes(p) * rows;
    if (is_plain(p)) {
        size_t samples = (size_t)p->width * rows * (size_t)samples_per_pixel(p);
        needed = is_bitmap(p) ? samples : samples * 2 - 1;
    }
    return needed > p->size - p->at ? truncated(p) : DCLS_OK;
}

/* Values are spread over 0..255 and rounded to the nearest, halves to even, as Pillow does. */
static dcls_status make_levels(struct pnm *p)
{
    p->level = dcls_alloc(p->ctx, (size_t)p->maxval + 1, 1);
    if (!p->level) return DCLS_ERR_MEMORY;
    for (unsigned v = 0; v <= p->maxval; v++)
        p->level[v] = (uint8_t)lrint((double)v / p->maxval * 255);
    if (is_bitmap(p)) {
        p->level[0] = 255;
        p->level[1] = 0;
    }
    return DCLS_OK;
}

/* One row's samples out of a binary file; those over maxval count as maxval. */
static void read_binary_row(struct pnm *p, uint8_t *samples, int64_t count)
{
    const uint8_t *from = p->data + p->at;
    for (int64_t i = 0; i < count; i++) {
        unsigned value = is_bitmap(p)      ? from[i / 8] >> (7 - i % 8) & 1u
                         : p->maxval < 256 ? from[i]
                                           : (unsigned)from[2 * i] << 8 | from[2 * i + 1];
        samples[i] = p->level[value < p->maxval ? value : p->maxval];
    }
    p->at += row_bytes(p);
}

/* Plain bitmaps need no white space between their digits. */
static dcls_status read_plain_row(struct pnm *p, uint8_t *samples, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t value;
        if (is_bitmap(p)) {
            skip_space(p);
            if (p->at == p->size) return truncated(p);
            value = p->data[p->at++] - '0';
            if (value != 0 && value != 1) {
                return dcls_fail(p->ctx, DCLS_ERR_FORMAT, "damaged PNM: a pixel is neither 0 nor 1");
            }
        } else {
            DCLS_TRY(read_number(p, "pixel value", p->maxval, &value));
        }
        samples[i] = p->level[value];
    }
    return DCLS_OK;
}

static dcls_status read_rows(struct pnm *p, dcls_image *image)
{
    int64_t count = p->width * samples_per_pixel(p);
    for (int64_t y = 0; y < p->height; y++) {
        uint8_t *row = image->pixels + y * p->width * 3;
        if (is_plain(p)) {
            DCLS_TRY(read_plain_row(p, row, count));
        } else {
            read_binary_row(p, row, count);
        }
        if (samples_per_pixel(p) == 3) continue;
        for (int64_t x = p->width - 1; x >= 0; x--)
            row[x * 3] = row[x * 3 + 1] = row[x * 3 + 2] = row[x];
    }
    return DCLS_OK;
}

size_t dcls_pnm_extent(const uint8_t *data, size_t size)
{
    struct pnm p = {.data = data, .size = size, .kind = data[1] - '0'};
    if (is_plain(&p) || dcls_context_create(&p.ctx) != DCLS_OK)
        return size; /* messages have to go somewhere */
    if (read_header(&p) == DCLS_OK && check_length(&p) == DCLS_OK)
        size = p.at + row_bytes(&p) * (size_t)p.height;
    dcls_context_destroy(p.ctx);
    return size;
}

dcls_status dcls_pnm_decode(dcls_context *ctx, const uint8_t *data, size_t size, dcls_image **out)
{
    struct pnm p = {.ctx = ctx, .data = data, .size = size, .kind = data[1] - '0'};
    *out = NULL;
    DCLS_TRY(read_header(&p));
    DCLS_TRY(check_length(&p));
    DCLS_TRY(make_levels(&p));
    dcls_image *image = NULL;
    dcls_status status = dcls_image_new(ctx, p.width, p.height, &image);
    if (status == DCLS_OK) status = read_rows(&p, image);
    free(p.level);
    if (status != DCLS_OK) {
        dcls_image_destroy(image);
        return status;
    }
    *out = image;
    return DCLS_OK;
}
