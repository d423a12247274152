/* Columns: sums of shifted inputs. */
#include <stdlib.h>
#include <string.h>

#include "ops/conv_matrix.h"
#include "ops/ops.h"

/* ---- run ---------------------------------------------------------------------------------------------- */

void dcls_conv_columns_prepare(const dcls_conv_pass *pass, int threads)
{
    const dcls_conv_columns *x = &((const dcls_conv_matrix *)pass->conv)->columns;
    const dcls_geometry *g = &pass->conv->g;
    if (x->apron)
        dcls_pad_forward(DCLS_BORDER_ZEROS, g->batch * g->in_channels, g->in, x->before, x->after, pass->in,
                         pass->shared, threads);
}

/* A rectangle of output pixels: whole rows of one z, or a piece of one row. */
typedef struct block {
    int64_t z, y, x, rows, width;
} block;

/* The first rectangle of a run of pixels. */
static block next_block(const dcls_geometry *g, int64_t pixel, int64_t pixels)
{
    int64_t row = pixel / g->out[2];
    block b = {.z = row / g->out[1], .y = row % g->out[1], .x = pixel % g->out[2], .rows = 1};
    b.width = dcls_min_i64(g->out[2] - b.x, pixels);
    if (b.width == g->out[2]) b.rows = dcls_min_i64(g->out[1] - b.y, pixels / g->out[2]);
    return b;
}

/* One column at one rectangle. in: the (padded) input channel. */
static void fill_block(const dcls_conv_pass *pass, const dcls_conv_column *c, const block *b, const float *in,
                       float *to)
{
    const dcls_conv_columns *x = &((const dcls_conv_matrix *)pass->conv)->columns;
    const int64_t *stride = pass->conv->g.stride, *size = x->size;
    int64_t y0 = dcls_max_i64(c->lo[1], b->y), y1 = dcls_min_i64(c->hi[1], b->y + b->rows);
    int64_t x0 = dcls_max_i64(c->lo[2], b->x), x1 = dcls_min_i64(c->hi[2], b->x + b->width);
    bool empty = b->z < c->lo[0] || b->z >= c->hi[0] || y0 >= y1 || x0 >= x1;
    if (empty || y1 - y0 < b->rows || x1 - x0 < b->width)
        memset(to, 0, (size_t)(b->rows * b->width) * sizeof *to);
    if (empty) return;
    in += (b->z * stride[0] * size[1] + y0 * stride[1]) * size[2] + x0 * stride[2];
    pass->simd->taps_rows(in, stride[1] * size[2], stride[2], x->offset + c->start, x->value + c->start,
                          c->taps, to + (y0 - b->y) * b->width + (x0 - b->x), b->width, y1 - y0, x1 - x0);
}

void dcls_conv_columns_fill(const dcls_conv_pass *pass, const dcls_conv_slice *slice, float *to)
{
    const dcls_conv_matrix *matrix = (const dcls_conv_matrix *)pass->conv;
    const dcls_conv_columns *x = &matrix->columns;
    const float *planes = x->apron ? pass->shared : pass->in;
    int64_t volume = dcls_volume(x->size), done = 0;
    while (done < slice->pixels) {
        block b = next_block(&pass->conv->g, slice->pixel + done, slice->pixels - done);
        for (int64_t i = 0; i < slice->columns; i++) {
            int64_t column = slice->column + i;
            const float *in = planes + (slice->plane + column / x->channel_columns) * volume;
            fill_block(pass, &x->column[(slice->group * matrix->k + column) % x->count], &b, in,
                       to + i * slice->pixels + done);
        }
        done += b.rows * b.width;
    }
}

/* ---- create -------------------------------------------------------------------------------------------- */

/* Input positions the taps of one column reach from output 0. */
typedef struct span {
    int64_t lo[3], hi[3];
} span;

/* False if no tap of row r can touch the input. */
static bool span_of(const dcls_geometry *g, const dcls_taps *taps, int64_t r, span *out)
{
    bool any = false;
    int64_t shift[3];
    for (int64_t t = taps->start[r]; t < taps->start[r + 1]; t++) {
        if (!dcls_conv_shift(g, taps->cell[t], shift)) continue;
        for (int d = 0; d < 3; d++) {
            out->lo[d] = any ? dcls_min_i64(out->lo[d], shift[d]) : shift[d];
            out->hi[d] = any ? dcls_max_i64(out->hi[d], shift[d]) : shift[d];
        }
        any = true;
    }
    return any;
}

/* The outputs a column matters for, and the apron its taps need there. */
static void place_column(const dcls_geometry *g, const span *s, dcls_conv_columns *x, dcls_conv_column *c)
{
    for (int d = 0; d < 3; d++) {
        int64_t stride = g->stride[d];
        c->lo[d] = s->hi[d] < 0 ? dcls_ceil_div(-s->hi[d], stride) : 0;
        c->hi[d] = dcls_min_i64(g->out[d], dcls_ceil_div(g->in[d] - s->lo[d], stride));
        x->before[d] = dcls_max_i64(x->before[d], -(c->lo[d] * stride + s->lo[d]));
        x->after[d] = dcls_max_i64(x->after[d], (c->hi[d] - 1) * stride + s->hi[d] - (g->in[d] - 1));
    }
}

static void place_columns(const dcls_geometry *g, const dcls_taps *taps, dcls_conv_columns *x)
{
    span s;
    for (int64_t r = 0; r < taps->rows; r++) {
        x->column[r] = (dcls_conv_column){0};
        if (span_of(g, taps, r, &s)) place_column(g, &s, x, &x->column[r]);
    }
    for (int d = 0; d < 3; d++) {
        x->size[d] = g->in[d] + x->before[d] + x->after[d];
        x->apron = x->apron || x->size[d] > g->in[d];
    }
}

/* A tap in the padded input, whose neighbouring output rows read rows one stride apart. */
static dcls_conv_tap place_tap(const dcls_geometry *g, const dcls_conv_columns *x, const int64_t shift[3],
                               float value)
{
    int64_t z = shift[0] + x->before[0], y = shift[1] + x->before[1], column = shift[2] + x->before[2];
    int64_t stride = dcls_min_i64(g->stride[1], x->size[1]);
    return (dcls_conv_tap){.column = (z * stride + y % stride) * x->size[2] + column,
                           .row = y / stride,
                           .offset = (z * x->size[1] + y) * x->size[2] + column,
                           .value = value};
}

/* taps_of_one: room for the taps of the longest row. */
static void place_taps(const dcls_geometry *g, const dcls_taps *taps, dcls_conv_columns *x,
                       dcls_conv_tap *taps_of_one)
{
    int64_t shift[3], n = 0;
    for (int64_t r = 0; r < taps->rows; r++) {
        int64_t found = 0;
        for (int64_t t = taps->start[r]; t < taps->start[r + 1]; t++)
            if (dcls_conv_shift(g, taps->cell[t], shift))
                taps_of_one[found++] = place_tap(g, x, shift, taps->value[t]);
        dcls_conv_write_taps(taps_of_one, found, x->offset + n, x->value + n);
        x->column[r].start = n;
        x->column[r].taps = found;
        n += found;
    }
    x->taps = n;
}

dcls_status dcls_conv_matrix_set_columns(dcls_context *ctx, dcls_conv_matrix *matrix, const dcls_taps *taps,
                                         int64_t channel_columns)
{
    dcls_conv_columns *x = &matrix->columns;
    int64_t tap_count = taps->start[taps->rows];
    x->count = taps->rows;
    x->channel_columns = channel_columns;
    x->column = dcls_conv_pack(ctx, &matrix->base, taps->rows, sizeof *x->column);
    x->offset = dcls_conv_pack(ctx, &matrix->base, tap_count, sizeof *x->offset);
    x->value = dcls_conv_pack(ctx, &matrix->base, tap_count, sizeof *x->value);
    dcls_conv_tap *taps_of_one = dcls_conv_tap_room(ctx, taps, 1);
    bool ready = x->column && x->offset && x->value && taps_of_one;
    if (ready) {
        place_columns(&matrix->base.g, taps, x);
        place_taps(&matrix->base.g, taps, x, taps_of_one);
    }
    free(taps_of_one);
    return ready ? DCLS_OK : DCLS_ERR_MEMORY;
}

void dcls_conv_columns_free(dcls_conv_columns *columns)
{
    free(columns->column);
    free(columns->offset);
    free(columns->value);
}
