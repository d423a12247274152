/*
 * The im2col method for DCLS (arXiv 2112.03740): one column per (input channel, element), the input
 * interpolated at the element's position, multiplied by the weights. An element of weight 1 is a few taps, so
 * a column is a sum of shifted inputs. The input is copied once with an apron of zeros as wide as one element
 * (one pixel for bilinear elements), so that an element needs no care at the borders, and neither time nor
 * memory depends on how far elements lie apart.
 */
#include <stdlib.h>
#include <string.h>

#include "ops/conv_matrix.h"
#include "ops/ops.h"

/* See dcls_conv_matrix_plan. */
#define FILL_COST 4

/* One row of the element table. */
typedef struct element {
    int64_t start, taps;
    int64_t lo[3], hi[3]; /* outputs lo <= y < hi have a tap inside the input; the others are 0 */
} element;

typedef struct conv_interpolated {
    dcls_conv_matrix matrix;
    int64_t count;      /* elements per input channel */
    int64_t group_rows; /* from the elements of one group to the next; 0 for shared positions */
    int64_t before[3], after[3], size[3]; /* the apron, and the input with it */
    element *elements;
    int64_t *offset; /* of taps, in a channel of the padded input */
    float *value;
} conv_interpolated;

static bool has_apron(const conv_interpolated *x)
{
    bool any = false;
    for (int d = 0; d < 3; d++)
        any = any || x->before[d] > 0 || x->after[d] > 0;
    return any;
}

/* ---- run ---------------------------------------------------------------------------------------------- */

static void prepare(const dcls_conv_pass *pass, int threads)
{
    const conv_interpolated *x = (const conv_interpolated *)pass->conv;
    const dcls_geometry *g = &pass->conv->g;
    if (!has_apron(x)) return;
    dcls_pad_forward(DCLS_BORDER_ZEROS, g->batch * g->in_channels, g->in, x->before, x->after, pass->in,
                     pass->shared, threads);
}

static void clear(float *y, int64_t n)
{
    memset(y, 0, (size_t)n * sizeof *y);
}

/* One column at one rectangle of pixels. in: the padded input channel. */
static void fill_block(const dcls_conv_pass *pass, const element *e, const dcls_conv_block *b,
                       const float *in, float *to)
{
    const conv_interpolated *x = (const conv_interpolated *)pass->conv;
    const int64_t *stride = pass->conv->g.stride, *size = x->size;
    int64_t y0 = dcls_max_i64(e->lo[1], b->y), y1 = dcls_min_i64(e->hi[1], b->y + b->rows);
    int64_t x0 = dcls_max_i64(e->lo[2], b->x), x1 = dcls_min_i64(e->hi[2], b->x + b->width);
    if (b->z < e->lo[0] || b->z >= e->hi[0] || y0 >= y1 || x0 >= x1) {
        clear(to, b->rows * b->width);
        return;
    }
    int64_t left = x0 - b->x, right = b->x + b->width - x1, above = y0 - b->y, rows = y1 - y0;
    clear(to, above * b->width);
    to += above * b->width;
    clear(to + rows * b->width, (b->rows - above - rows) * b->width);
    for (int64_t r = 0; r < rows && left + right > 0; r++) {
        clear(to + r * b->width, left);
        clear(to + (r + 1) * b->width - right, right);
    }
    in += (b->z * stride[0] * size[1] + y0 * stride[1]) * size[2] + x0 * stride[2];
    pass->simd->taps_rows(in, stride[1] * size[2], stride[2], x->offset + e->start, x->value + e->start,
                          e->taps, to + left, b->width, rows, x1 - x0);
}

static void fill(const dcls_conv_pass *pass, const dcls_conv_slice *slice, float *columns)
{
    const conv_interpolated *x = (const conv_interpolated *)pass->conv;
    const float *planes = has_apron(x) ? pass->shared : pass->in;
    const element *elements = x->elements + slice->group * x->group_rows + slice->column;
    int64_t volume = dcls_volume(x->size), done = 0;
    while (done < slice->pixels) {
        dcls_conv_block block =
            dcls_conv_next_block(&pass->conv->g, slice->pixel + done, slice->pixels - done);
        for (int64_t i = 0; i < slice->columns; i++) {
            const float *in = planes + (slice->plane + (slice->column + i) / x->count) * volume;
            fill_block(pass, &elements[i], &block, in, columns + i * slice->pixels + done);
        }
        done += block.rows * block.width;
    }
}

static void release(dcls_conv *conv)
{
    conv_interpolated *x = (conv_interpolated *)conv;
    free(x->matrix.weight);
    free(x->elements);
    free(x->offset);
    free(x->value);
}

static const dcls_conv_method method = {
    .name = "interpolated", .prepare = prepare, .run_unit = dcls_conv_matrix_run_unit, .release = release};

/* ---- create -------------------------------------------------------------------------------------------- */

/* Range of input positions one element's taps reach from output 0. */
typedef struct span {
    int64_t lo[3], hi[3];
} span;

/* False if no tap of row r can touch the input. */
static bool span_of(const dcls_geometry *g, const dcls_taps *taps, int64_t r, span *out)
{
    bool any = false;
    dcls_conv_reach reach;
    for (int64_t t = taps->start[r]; t < taps->start[r + 1]; t++) {
        if (!dcls_conv_reach_of(g, taps->cell[t], &reach)) continue;
        for (int d = 0; d < 3; d++) {
            out->lo[d] = any ? dcls_min_i64(out->lo[d], reach.shift[d]) : reach.shift[d];
            out->hi[d] = any ? dcls_max_i64(out->hi[d], reach.shift[d]) : reach.shift[d];
        }
        any = true;
    }
    return any;
}

/* The outputs an element matters for, and the apron its taps need there. */
static void place_element(conv_interpolated *x, const span *s, element *e)
{
    const dcls_geometry *g = &x->matrix.base.g;
    for (int d = 0; d < 3; d++) {
        int64_t stride = g->stride[d];
        e->lo[d] = s->hi[d] < 0 ? dcls_ceil_div(-s->hi[d], stride) : 0;
        e->hi[d] = dcls_min_i64(g->out[d], dcls_ceil_div(g->in[d] - s->lo[d], stride));
        x->before[d] = dcls_max_i64(x->before[d], -(e->lo[d] * stride + s->lo[d]));
        x->after[d] = dcls_max_i64(x->after[d], (e->hi[d] - 1) * stride + s->hi[d] - (g->in[d] - 1));
    }
}

static void place_elements(conv_interpolated *x, const dcls_taps *taps)
{
    const dcls_geometry *g = &x->matrix.base.g;
    span s;
    for (int64_t r = 0; r < taps->rows; r++) {
        x->elements[r] = (element){0};
        if (span_of(g, taps, r, &s)) place_element(x, &s, &x->elements[r]);
    }
    for (int d = 0; d < 3; d++)
        x->size[d] = g->in[d] + x->before[d] + x->after[d];
}

/* Taps with their offsets in the padded input, in the order they come. */
static void pack_taps(conv_interpolated *x, const dcls_taps *taps)
{
    dcls_conv_reach reach;
    int64_t n = 0;
    for (int64_t r = 0; r < taps->rows; r++) {
        x->elements[r].start = n;
        for (int64_t t = taps->start[r]; t < taps->start[r + 1]; t++) {
            if (!dcls_conv_reach_of(&x->matrix.base.g, taps->cell[t], &reach)) continue;
            int64_t offset = 0;
            for (int d = 0; d < 3; d++)
                offset = offset * x->size[d] + reach.shift[d] + x->before[d];
            x->offset[n] = offset;
            x->value[n++] = taps->value[t];
        }
        x->elements[r].taps = n - x->elements[r].start;
    }
}

static dcls_status pack_arrays(dcls_context *ctx, conv_interpolated *x, const dcls_taps *taps,
                               const float *weight)
{
    dcls_conv *base = &x->matrix.base;
    int64_t tap_count = taps->start[taps->rows], weights = base->g.out_channels * x->matrix.k;
    x->elements = dcls_conv_pack(ctx, base, taps->rows, sizeof *x->elements);
    x->offset = dcls_conv_pack(ctx, base, tap_count, sizeof *x->offset);
    x->value = dcls_conv_pack(ctx, base, tap_count, sizeof *x->value);
    x->matrix.weight = dcls_conv_pack(ctx, base, weights, sizeof *weight);
    if (!x->elements || !x->offset || !x->value || !x->matrix.weight) return DCLS_ERR_MEMORY;
    place_elements(x, taps);
    pack_taps(x, taps);
    memcpy(x->matrix.weight, weight, (size_t)weights * sizeof *weight);
    return DCLS_OK;
}

static dcls_status pack(dcls_context *ctx, conv_interpolated *x, const dcls_taps *taps, const float *weight)
{
    dcls_conv_matrix *matrix = &x->matrix;
    const dcls_geometry *g = &matrix->base.g;
    matrix->m = g->out_channels / g->groups;
    matrix->n = matrix->base.out_volume;
    matrix->k = g->in_channels / g->groups * x->count;
    matrix->fill = fill;
    x->group_rows = taps->rows == matrix->k ? 0 : matrix->k;
    DCLS_TRY(pack_arrays(ctx, x, taps, weight));

    size_t padded = 0, channels = (size_t)(g->batch * g->in_channels);
    if (has_apron(x) && !dcls_mul_size(channels, (size_t)dcls_volume(x->size), &padded))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the padded input of this convolution is too large");
    return dcls_conv_matrix_plan(ctx, matrix, FILL_COST, padded);
}

dcls_status dcls_conv_create_interpolated(dcls_context *ctx, const dcls_geometry *g,
                                          const dcls_taps *elements, int64_t count, const float *weight,
                                          const dcls_epilogue *epilogue, dcls_conv **out)
{
    DCLS_TRY(dcls_conv_check(ctx, g));
    int64_t rows;
    if (count < 1 || !dcls_mul_i64(g->in_channels, count, &rows))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a kernel cannot have %lld elements", (long long)count);
    if (elements->rows != rows && elements->rows != rows / g->groups)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the elements do not fit the convolution's channels");
    conv_interpolated *x = dcls_conv_allocate(ctx, sizeof *x, &method, g, epilogue);
    if (x == NULL) return DCLS_ERR_MEMORY;
    x->count = count;
    return dcls_conv_finish(&x->matrix.base, pack(ctx, x, elements, weight), out);
}
