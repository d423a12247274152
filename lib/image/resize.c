/*
 * Resampling as Pillow does it, to the bit.
 *
 * Along one axis, output cell i is centred at c = (i + 1/2) * scale in the input, scale = from / to. It is
 * the mean of the input cells around c under a filter that is stretched by s = max(1, scale), so that
 * shrinking averages over all cells that fall into one and nothing aliases:
 *
 *     w(j) = f((j + 1/2 - c) / s) / sum over j of the same,   |j + 1/2 - c| < support * s, cut to the picture
 *
 * The weights are rounded to multiples of 2^-22, samples are bytes, sums are exact 32-bit integers and each
 * pass rounds its result to bytes again: first along rows, then along columns.
 */
#include "image/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { WEIGHT_BITS = 22, HALF = 1 << (WEIGHT_BITS - 1) };

/* For output cells first .. first + count - 1: the input cells each is made of, and their weights. */
struct axis {
    int64_t count;
    int64_t stride;  /* weights reserved for a cell */
    int64_t *start;  /* [count] first input cell */
    int64_t *length; /* [count] input cells */
    int32_t *weight; /* [count, stride] */
};

static double triangle(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

/* Keys' cubic with a = -1/2. */
static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static void axis_free(struct axis *axis)
{
    free(axis->start);
    free(axis->length);
    free(axis->weight);
    *axis = (struct axis){0};
}

struct axis_request {
    int64_t from, to;     /* cells of the whole axis before and after */
    int64_t first, count; /* wanted cells of the result */
    dcls_filter filter;
};

static double scale_of(const struct axis_request *r)
{
    return (double)r->from / (double)r->to;
}

/* Reach of the filter in input cells. */
static double support_of(const struct axis_request *r)
{
    return (r->filter == DCLS_FILTER_BICUBIC ? 2.0 : 1.0) * fmax(scale_of(r), 1);
}

static dcls_status too_large(dcls_context *ctx)
{
    dcls_fail(ctx, DCLS_ERR_LIMIT, "resizing the picture would take more memory than the limit allows");
    return DCLS_ERR_LIMIT;
}

/* The weights of one output cell: doubles in `exact`, then rounded to fixed point, halves away from zero. */
static void cell_weights(const struct axis_request *r, struct axis *axis, int64_t cell, double *exact)
{
    double (*filter)(double) = r->filter == DCLS_FILTER_BICUBIC ? cubic : triangle;
    double scale = scale_of(r), stretch = fmax(scale, 1), support = support_of(r);
    double centre = ((double)(r->first + cell) + 0.5) * scale;
    double low = centre - support + 0.5, high = centre + support + 0.5;
    int64_t start = low < 0 ? 0 : (int64_t)low;
    int64_t end = high > (double)r->from ? r->from : (int64_t)high;
    double sum = 0;
    for (int64_t j = start; j < end; j++) {
        exact[j - start] = filter(((double)j - centre + 0.5) * (1 / stretch));
        sum += exact[j - start];
    }
    for (int64_t j = 0; j < end - start; j++) {
        double w = sum != 0 ? exact[j] / sum : exact[j];
        axis->weight[cell * axis->stride + j] = (int32_t)(w * (1 << WEIGHT_BITS) + (w < 0 ? -0.5 : 0.5));
    }
    axis->start[cell] = start;
    axis->length[cell] = end - start;
}

static dcls_status axis_create(dcls_context *ctx, const struct axis_request *r, struct axis *axis)
{
    int64_t width = (int64_t)ceil(support_of(r)) * 2 + 1;
    size_t weights, bytes;
    *axis = (struct axis){.count = r->count, .stride = width};
    if (!dcls_mul_size((size_t)r->count, (size_t)width, &weights) ||
        !dcls_mul_size(weights, sizeof *axis->weight, &bytes) ||
        bytes > dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES)) {
        return too_large(ctx);
    }
    axis->start = dcls_alloc(ctx, (size_t)r->count, sizeof *axis->start);
    axis->length = dcls_alloc(ctx, (size_t)r->count, sizeof *axis->length);
    axis->weight = dcls_alloc(ctx, weights, sizeof *axis->weight);
    double *exact = dcls_alloc(ctx, (size_t)width, sizeof *exact);
    bool ok = axis->start && axis->length && axis->weight && exact;
    for (int64_t i = 0; ok && i < r->count; i++)
        cell_weights(r, axis, i, exact);
    free(exact);
    if (ok) return DCLS_OK;
    axis_free(axis);
    return DCLS_ERR_MEMORY;
}

/* Sums are kept unsigned, where they may wrap: over millions of cells the rounding of the weights adds up. */
static uint8_t to_byte(uint32_t sum)
{
    int32_t value = (int32_t)sum >> WEIGHT_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* One row of 3-channel pixels along x. */
static void resize_row_rgb(const struct axis *axis, const uint8_t *restrict from, uint8_t *restrict to)
{
    for (int64_t x = 0; x < axis->count; x++, to += 3) {
        const int32_t *w = axis->weight + x * axis->stride;
        const uint8_t *in = from + axis->start[x] * 3;
        uint32_t r = HALF, g = HALF, b = HALF;
        for (int64_t j = 0; j < axis->length[x]; j++) {
            r += (uint32_t)(in[3 * j] * w[j]);
            g += (uint32_t)(in[3 * j + 1] * w[j]);
            b += (uint32_t)(in[3 * j + 2] * w[j]);
        }
        to[0] = to_byte(r);
        to[1] = to_byte(g);
        to[2] = to_byte(b);
    }
}

static void resize_row_gray(const struct axis *axis, const uint8_t *restrict from, uint8_t *restrict to)
{
    for (int64_t x = 0; x < axis->count; x++) {
        const int32_t *w = axis->weight + x * axis->stride;
        const uint8_t *in = from + axis->start[x];
        uint32_t sum = HALF;
        for (int64_t j = 0; j < axis->length[x]; j++)
            sum += (uint32_t)(in[j] * w[j]);
        to[x] = to_byte(sum);
    }
}

/* Output row y out of whole input rows of `bytes` bytes; first_row is the row `from` starts with. */
static void resize_column_row(const struct axis *axis, int64_t y, const uint8_t *from, int64_t first_row,
                              int64_t bytes, uint32_t *restrict sum, uint8_t *restrict to)
{
    for (int64_t i = 0; i < bytes; i++)
        sum[i] = HALF;
    for (int64_t j = 0; j < axis->length[y]; j++) {
        int32_t w = axis->weight[y * axis->stride + j];
        const uint8_t *restrict in = from + (axis->start[y] + j - first_row) * bytes;
        for (int64_t i = 0; i < bytes; i++)
            sum[i] += (uint32_t)(in[i] * w);
    }
    for (int64_t i = 0; i < bytes; i++)
        to[i] = to_byte(sum[i]);
}

/* Buffers between the passes. */
struct passes {
    struct axis x, y;
    int64_t first_row, rows; /* input rows the result depends on */
    uint8_t *narrow;         /* [rows, window_width, channels] */
    uint32_t *sum;           /* [window_width, channels] */
};

static void run_passes(const dcls_resize *r, struct passes *p, uint8_t *out)
{
    int64_t bytes = r->window_width * r->channels, from_bytes = r->from_width * r->channels;
    for (int64_t y = 0; y < p->rows; y++) {
        const uint8_t *from = r->pixels + (p->first_row + y) * from_bytes;
        uint8_t *to = p->narrow + y * bytes;
        if (r->channels == 3) {
            resize_row_rgb(&p->x, from, to);
        } else {
            resize_row_gray(&p->x, from, to);
        }
    }
    for (int64_t y = 0; y < r->window_height; y++) {
        resize_column_row(&p->y, y, p->narrow, p->first_row, bytes, p->sum, out + y * bytes);
    }
}

static dcls_status create_passes(dcls_context *ctx, const dcls_resize *r, struct passes *p)
{
    const struct axis_request x = {r->from_width, r->width, r->left, r->window_width, r->filter};
    const struct axis_request y = {r->from_height, r->height, r->top, r->window_height, r->filter};
    DCLS_TRY(axis_create(ctx, &x, &p->x));
    DCLS_TRY(axis_create(ctx, &y, &p->y));
    int64_t last = r->window_height - 1;
    p->first_row = p->y.start[0];
    p->rows = p->y.start[last] + p->y.length[last] - p->first_row;
    size_t bytes = (size_t)r->window_width * (size_t)r->channels, narrow;
    if (!dcls_mul_size(bytes, (size_t)p->rows, &narrow) ||
        narrow > dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES)) {
        return too_large(ctx);
    }
    p->narrow = dcls_alloc(ctx, narrow, 1);
    p->sum = dcls_alloc(ctx, bytes, sizeof *p->sum);
    return p->narrow && p->sum ? DCLS_OK : DCLS_ERR_MEMORY;
}

/* At its own size a picture is only cropped. */
static void copy_window(const dcls_resize *r, uint8_t *out)
{
    size_t bytes = (size_t)(r->window_width * r->channels);
    for (int64_t y = 0; y < r->window_height; y++) {
        const uint8_t *from = r->pixels + ((r->top + y) * r->from_width + r->left) * r->channels;
        memcpy(out + (size_t)y * bytes, from, bytes);
    }
}

/* Nearest: the input cell under each output cell's centre. Pillow steps from centre to centre by adding, so
 * its rounding errors are part of the answer. */
static void nearest_cells(int64_t from, int64_t to, int64_t first, int64_t count, int64_t *cells)
{
    double scale = (double)from / (double)to, at = scale * 0.5;
    for (int64_t i = 0; i < first; i++)
        at += scale;
    for (int64_t i = 0; i < count; i++) {
        cells[i] = (int64_t)at < from ? (int64_t)at : from - 1;
        at += scale;
    }
}

static dcls_status run_nearest(dcls_context *ctx, const dcls_resize *r, uint8_t *out)
{
    int64_t *cells = dcls_alloc(ctx, (size_t)r->window_width + (size_t)r->window_height, sizeof *cells);
    if (!cells) return DCLS_ERR_MEMORY;
    int64_t *columns = cells, *rows = cells + r->window_width;
    nearest_cells(r->from_width, r->width, r->left, r->window_width, columns);
    nearest_cells(r->from_height, r->height, r->top, r->window_height, rows);
    for (int64_t y = 0; y < r->window_height; y++) {
        const uint8_t *from = r->pixels + rows[y] * r->from_width * r->channels;
        for (int64_t x = 0; x < r->window_width; x++, out += r->channels) {
            for (int c = 0; c < r->channels; c++)
                out[c] = from[columns[x] * r->channels + c];
        }
    }
    free(cells);
    return DCLS_OK;
}

dcls_status dcls_resize_run(dcls_context *ctx, const dcls_resize *resize, uint8_t *out)
{
    if (resize->width == resize->from_width && resize->height == resize->from_height) {
        copy_window(resize, out);
        return DCLS_OK;
    }
    if (resize->filter == DCLS_FILTER_NEAREST) return run_nearest(ctx, resize, out);
    struct passes passes = {0};
    dcls_status status = create_passes(ctx, resize, &passes);
    if (status == DCLS_OK) run_passes(resize, &passes, out);
    axis_free(&passes.x);
    axis_free(&passes.y);
    free(passes.narrow);
    free(passes.sum);
    return status;
}
