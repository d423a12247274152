/* Gradients of taps: for each, the sum over the plane of dy times the input it reads. The input is copied
 * into a box with zeros for padding, as in conv_sparse.c, so that no tap needs care at borders. */
#include <stdlib.h>
#include <string.h>

#include "ops/conv_backward.h"
#include "ops/conv_internal.h"

/* Where a tap's sum goes. */
typedef struct place {
    int64_t row;
    int32_t cell;
} place;

struct dcls_taps_backward {
    dcls_geometry g;
    int64_t rows, cells;
    int64_t lo[3], size[3]; /* box of one channel: position of its first cell in the input, and cells */
    int64_t *start;         /* [rows + 1]: taps of a row */
    int64_t *offset;        /* in the box */
    place *places;
    int64_t count;
};

static void measure(dcls_taps_backward *b, const dcls_taps *taps)
{
    int64_t shift[3], hi[3] = {0};
    for (int64_t t = 0; t < taps->start[taps->rows]; t++) {
        if (!dcls_conv_shift(&b->g, taps->cell[t], shift)) continue;
        for (int d = 0; d < 3; d++) {
            b->lo[d] = b->count > 0 ? dcls_min_i64(b->lo[d], shift[d]) : shift[d];
            hi[d] = b->count > 0 ? dcls_max_i64(hi[d], shift[d]) : shift[d];
        }
        b->count++;
    }
    for (int d = 0; d < 3; d++)
        b->size[d] = (b->g.out[d] - 1) * b->g.stride[d] + hi[d] - b->lo[d] + 1;
}

static void place_row(dcls_taps_backward *b, const dcls_taps *taps, int64_t row, dcls_conv_tap *taps_of_row)
{
    int64_t shift[3], n = 0, at = b->start[row];
    for (int64_t t = taps->start[row]; t < taps->start[row + 1]; t++) {
        if (!dcls_conv_shift(&b->g, taps->cell[t], shift)) continue;
        const int64_t z = shift[0] - b->lo[0], y = shift[1] - b->lo[1], x = shift[2] - b->lo[2];
        taps_of_row[n++] = (dcls_conv_tap){.column = z * b->size[2] + x,
                                           .row = y,
                                           .offset = (z * b->size[1] + y) * b->size[2] + x,
                                           .cell = taps->cell[t]};
    }
    const dcls_conv_tap *ordered = dcls_conv_order_taps(taps_of_row, n);
    for (int64_t i = 0; i < n; i++, at++) {
        b->offset[at] = ordered[i].offset;
        b->places[at] = (place){row, ordered[i].cell};
    }
    b->start[row + 1] = at;
}

static dcls_status fill(dcls_context *ctx, dcls_taps_backward *b, const dcls_taps *taps)
{
    measure(b, taps);
    int64_t box = b->size[0];
    if (!dcls_mul_i64(box, b->size[1], &box) || !dcls_mul_i64(box, b->size[2], &box) || box > INT64_MAX / 64)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the window of this convolution reaches too far");
    b->start = dcls_alloc(ctx, (size_t)taps->rows + 1, sizeof *b->start);
    b->offset = dcls_alloc(ctx, (size_t)b->count, sizeof *b->offset);
    b->places = dcls_alloc(ctx, (size_t)b->count, sizeof *b->places);
    dcls_conv_tap *taps_of_row = dcls_conv_tap_room(ctx, taps, 1);
    const bool ready = b->start && b->offset && b->places && taps_of_row;
    if (ready) {
        b->start[0] = 0;
        for (int64_t row = 0; row < taps->rows; row++)
            place_row(b, taps, row, taps_of_row);
    }
    free(taps_of_row);
    return ready ? DCLS_OK : DCLS_ERR_MEMORY;
}

dcls_status dcls_taps_backward_create(dcls_context *ctx, const dcls_geometry *g, const dcls_taps *taps,
                                      dcls_taps_backward **out)
{
    *out = NULL;
    DCLS_TRY(dcls_conv_check(ctx, g));
    dcls_taps_backward *b = dcls_alloc_zero(ctx, 1, sizeof *b);
    if (b == NULL) return DCLS_ERR_MEMORY;
    b->g = *g;
    b->rows = taps->rows;
    b->cells = dcls_volume(g->kernel);
    const dcls_status status = fill(ctx, b, taps);
    if (status == DCLS_OK)
        *out = b;
    else
        dcls_taps_backward_destroy(b);
    return status;
}

void dcls_taps_backward_destroy(dcls_taps_backward *backward)
{
    if (backward == NULL) return;
    free(backward->start);
    free(backward->offset);
    free(backward->places);
    free(backward);
}

size_t dcls_taps_backward_scratch(const dcls_taps_backward *backward)
{
    return (size_t)dcls_volume(backward->size);
}

size_t dcls_taps_backward_bytes(const dcls_taps_backward *b)
{
    return (size_t)b->count * (sizeof *b->offset + sizeof *b->places) +
           ((size_t)b->rows + 1) * sizeof *b->start;
}

int64_t dcls_taps_backward_count(const dcls_taps_backward *backward)
{
    return backward->count;
}

/* The rows of the input that lie in the box; what lies around them is zero already. Copied as a convolution
 * with the one tap 1. */
static void fill_box(const dcls_taps_backward *b, const dcls_simd *simd, const float *x, float *box)
{
    static const int64_t offset[] = {0};
    static const float value[] = {1.0f};
    int64_t from[3], to[3];
    for (int d = 0; d < 3; d++) {
        from[d] = dcls_max_i64(0, b->lo[d]);
        to[d] = dcls_min_i64(b->g.in[d], b->lo[d] + b->size[d]);
    }
    if (from[1] >= to[1] || from[2] >= to[2]) return;
    for (int64_t z = from[0]; z < to[0]; z++) {
        const int64_t line = (z - b->lo[0]) * b->size[1] + from[1] - b->lo[1];
        simd->taps_rows(x + (z * b->g.in[1] + from[1]) * b->g.in[2] + from[2], b->g.in[2], 1, offset, value,
                        1, box + line * b->size[2] + from[2] - b->lo[2], b->size[2], to[1] - from[1],
                        to[2] - from[2]);
    }
}

void dcls_taps_backward_run(const dcls_taps_backward *backward, const dcls_simd *simd, const float *x,
                            const float *dy, float *sums, float *box)
{
    const dcls_taps_backward *b = backward;
    const dcls_geometry *g = &b->g;
    const int64_t in = g->in_channels / g->groups, outs = g->out_channels / g->groups,
                  in_volume = dcls_volume(g->in), plane = g->out[1] * g->out[2];
    memset(box, 0, dcls_taps_backward_scratch(b) * sizeof *box);
    for (int64_t c = 0; c < g->in_channels; c++) {
        fill_box(b, simd, x + c * in_volume, box);
        for (int64_t o = c / in * outs; o < (c / in + 1) * outs; o++) {
            const int64_t row = o * in + c % in, first = b->start[row], taps = b->start[row + 1] - first;
            for (int64_t z = 0; z < g->out[0]; z++)
                simd->taps_dots(box + z * g->stride[0] * b->size[1] * b->size[2], g->stride[1] * b->size[2],
                                g->stride[2], b->offset + first, taps, dy + (o * g->out[0] + z) * plane,
                                g->out[2], g->out[1], g->out[2], sums + first * simd->width);
        }
    }
}

void dcls_taps_backward_collect(const dcls_taps_backward *backward, const dcls_simd *simd, const float *sums,
                                float *gradient)
{
    memset(gradient, 0, (size_t)(backward->rows * backward->cells) * sizeof *gradient);
    for (int64_t t = 0; t < backward->count; t++)
        gradient[backward->places[t].row * backward->cells + backward->places[t].cell] =
            simd->sum(sums + t * simd->width, simd->width);
}
