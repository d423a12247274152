/* The order in which taps are handed to simd->taps_rows. */
#include <stdlib.h>

#include "ops/conv_internal.h"

/* Vertical neighbours that taps_rows takes together. */
#define LONGEST_RUN DCLS_TAPS_RUN

dcls_conv_tap *dcls_conv_tap_room(dcls_context *ctx, const dcls_taps *taps, int64_t rows)
{
    int64_t most = 0;
    for (int64_t r = 0; r < taps->rows; r += rows)
        most = dcls_max_i64(most, taps->start[r + rows] - taps->start[r]);
    return dcls_alloc(ctx, 2 * (size_t)most, sizeof(dcls_conv_tap));
}

static int compare_taps(const void *a, const void *b)
{
    const dcls_conv_tap *s = a, *t = b;
    if (s->column != t->column) return s->column < t->column ? -1 : 1;
    return (s->row > t->row) - (s->row < t->row);
}

/* Number of sorted taps that make the run beginning with the first. */
static int64_t run_length(const dcls_conv_tap *taps, int64_t n)
{
    int64_t length = 1, most = dcls_min_i64(n, LONGEST_RUN);
    while (length < most && taps[length].column == taps->column && taps[length].row == taps->row + length)
        length++;
    return length;
}

const dcls_conv_tap *dcls_conv_order_taps(dcls_conv_tap *taps, int64_t n)
{
    dcls_conv_tap *ordered = taps + n;
    qsort(taps, (size_t)n, sizeof *taps, compare_taps);
    for (int64_t wanted = LONGEST_RUN; wanted > 0; wanted--)
        for (int64_t t = 0, length; t < n; t += length) {
            length = run_length(taps + t, n - t);
            for (int64_t i = t; i < t + length && length == wanted; i++)
                *ordered++ = taps[i];
        }
    return taps + n;
}

void dcls_conv_write_taps(dcls_conv_tap *taps, int64_t n, int64_t *offset, float *value)
{
    const dcls_conv_tap *ordered = dcls_conv_order_taps(taps, n);
    for (int64_t i = 0; i < n; i++) {
        offset[i] = ordered[i].offset;
        value[i] = ordered[i].value;
    }
}
