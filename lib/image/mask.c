/* Logits become a class per pixel, classes a palette PNG, and PNGs classes again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"
#include "image/image.h"

#include "dcls_tools.h"

/* Where an output cell lies between two input cells: (1 - t) * low + t * high. */
struct blend {
    int64_t low, high;
    float t;
};

/* Half-pixel centres (align_corners false), in single precision as PyTorch computes them. */
static struct blend blend_at(int64_t i, int64_t from, int64_t to)
{
    float scale = (float)from / (float)to, at = ((float)i + 0.5f) * scale - 0.5f;
    if (at < 0) at = 0;
    int64_t low = (int64_t)at;
    if (low > from - 1) low = from - 1;
    int64_t high = low < from - 1 ? low + 1 : low;
    return (struct blend){low, high, at - (float)low};
}

struct argmax_job {
    const float *logits; /* [classes, height, width] */
    int64_t classes, height, width, out_height, out_width;
    uint8_t *mask;
    struct blend *columns; /* [out_width]; NULL where sizes are equal */
    float *best;           /* [workers, out_width] */
};

/* The first class starts as the best, whatever it is; a later one must be larger, or a number where the best
 * is NaN. */
static bool beats(float value, float best)
{
    return value > best || (best != best && value == value);
}

static void argmax_row(const struct argmax_job *job, int64_t y, float *best, uint8_t *mask)
{
    for (int64_t c = 0; c < job->classes; c++) {
        const float *row = job->logits + (c * job->height + y) * job->width;
        for (int64_t x = 0; x < job->width; x++) {
            bool take = c == 0 || beats(row[x], best[x]);
            best[x] = take ? row[x] : best[x];
            mask[x] = take ? (uint8_t)c : mask[x];
        }
    }
}

static void argmax_row_resized(const struct argmax_job *job, int64_t y, float *best, uint8_t *mask)
{
    struct blend v = blend_at(y, job->height, job->out_height);
    float v0 = 1 - v.t;
    for (int64_t c = 0; c < job->classes; c++) {
        const float *low = job->logits + (c * job->height + v.low) * job->width;
        const float *high = job->logits + (c * job->height + v.high) * job->width;
        for (int64_t x = 0; x < job->out_width; x++) {
            struct blend h = job->columns[x];
            float h0 = 1 - h.t;
            float value =
                v0 * (h0 * low[h.low] + h.t * low[h.high]) + v.t * (h0 * high[h.low] + h.t * high[h.high]);
            if (c == 0 || beats(value, best[x])) {
                best[x] = value;
                mask[x] = (uint8_t)c;
            }
        }
    }
}

static void argmax_task(void *arg, int64_t y, int worker)
{
    const struct argmax_job *job = arg;
    float *best = job->best + worker * job->out_width;
    uint8_t *mask = job->mask + y * job->out_width;
    if (job->columns) {
        argmax_row_resized(job, y, best, mask);
    } else {
        argmax_row(job, y, best, mask);
    }
}

dcls_status dcls_mask_from_logits(dcls_context *ctx, const float *logits, int64_t classes, int64_t height,
                                  int64_t width, int64_t out_height, int64_t out_width, uint8_t *mask)
{
    if (classes < 1 || classes > 256)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a mask holds 1 to 256 classes");
    if (height < 1 || width < 1 || out_height < 1 || out_width < 1) {
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a mask needs at least one pixel");
    }
    int threads = dcls_context_threads(ctx);
    struct argmax_job job = {logits, classes, height, width, out_height, out_width, NULL, NULL, NULL};
    job.mask = mask;
    dcls_status status = DCLS_ERR_MEMORY;
    job.best = dcls_alloc(ctx, (size_t)threads * sizeof *job.best, (size_t)out_width);
    if (!job.best) goto done;
    if (height != out_height || width != out_width) {
        job.columns = dcls_alloc(ctx, (size_t)out_width, sizeof *job.columns);
        if (!job.columns) goto done;
        for (int64_t x = 0; x < out_width; x++)
            job.columns[x] = blend_at(x, width, out_width);
    }
    dcls_parallel_for(threads, out_height, argmax_task, &job);
    status = DCLS_OK;
done:
    free(job.best);
    free(job.columns);
    return status;
}

struct mask_rows {
    const uint8_t *mask;
    int64_t width;
};

static const uint8_t *mask_row(void *arg, int64_t y)
{
    const struct mask_rows *rows = arg;
    return rows->mask + y * rows->width;
}

dcls_status dcls_mask_save(dcls_context *ctx, const char *path, const uint8_t *mask, int64_t width,
                           int64_t height, const uint8_t *palette, int colors)
{
    size_t pixels;
    if (width < 1 || height < 1 || !dcls_mul_size((size_t)width, (size_t)height, &pixels)) {
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a mask needs at least one pixel");
    }
    if (colors < 1 || colors > 256)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a palette holds 1 to 256 colours");
    for (size_t i = 0; i < pixels; i++) {
        if (mask[i] >= colors) {
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "class %d has no colour in a palette of %d", mask[i],
                             colors);
        }
    }
    struct mask_rows rows = {mask, width};
    const dcls_png_source source = {width, height, palette, colors, mask_row, &rows};
    return dcls_png_write(ctx, path, &source);
}

dcls_status dcls_mask_load(dcls_context *ctx, const char *path, uint8_t **mask, int64_t *width,
                           int64_t *height)
{
    dcls_bytes bytes = {0};
    *mask = NULL;
    DCLS_TRY(dcls_file_read(ctx, path, dcls_picture_limit(ctx), &bytes));
    dcls_status status;
    if (bytes.size < 8 || memcmp(bytes.data, "\x89PNG\r\n\x1a\n", 8) != 0) {
        status = dcls_fail(ctx, DCLS_ERR_FORMAT, "a mask must be a PNG, this is another kind of file");
    } else {
        status = dcls_png_decode_indices(ctx, bytes.data, bytes.size, mask, width, height);
    }
    free(bytes.data);
    return status;
}
