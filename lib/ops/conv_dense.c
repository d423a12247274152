/* Dense convolution: columns are copies of the input under each cell of the window (im2col). */
#include <stdlib.h>
#include <string.h>

#include "ops/conv_matrix.h"

/* See dcls_conv_matrix_plan. */
#define FILL_COST 1

typedef struct conv_dense {
    dcls_conv_matrix matrix;
    dcls_conv_reach *cells; /* of the window, those that can touch the input */
    int64_t cell_count;
} conv_dense;

/* n results from x on of one row of a column: in[at + x * stride] where lo <= x < hi, padding elsewhere. */
static void fill_line(const float *in, int64_t at, int64_t stride, const int64_t range[2], int64_t x,
                      int64_t n, float *to)
{
    int64_t first = dcls_min_i64(dcls_max_i64(range[0] - x, 0), n);
    int64_t last = dcls_max_i64(dcls_min_i64(range[1] - x, n), first);
    const float *from = in + (at + (x + first) * stride);
    memset(to, 0, (size_t)first * sizeof *to);
    if (stride == 1) {
        memcpy(to + first, from, (size_t)(last - first) * sizeof *to);
    } else {
        for (int64_t i = first; i < last; i++)
            to[i] = from[(i - first) * stride];
    }
    memset(to + last, 0, (size_t)(n - last) * sizeof *to);
}

/* One column at one rectangle of pixels. in: the input channel. */
static void fill_block(const dcls_geometry *g, const dcls_conv_reach *cell, const dcls_conv_block *b,
                       const float *in, float *to)
{
    bool inside = b->z >= cell->lo[0] && b->z < cell->hi[0];
    for (int64_t y = b->y; y < b->y + b->rows; y++, to += b->width) {
        if (!inside || y < cell->lo[1] || y >= cell->hi[1]) {
            memset(to, 0, (size_t)b->width * sizeof *to);
            continue;
        }
        int64_t at = (b->z * g->stride[0] * g->in[1] + y * g->stride[1]) * g->in[2] + cell->offset;
        fill_line(in, at, g->stride[2], (const int64_t[]){cell->lo[2], cell->hi[2]}, b->x, b->width, to);
    }
}

static void fill(const dcls_conv_pass *pass, const dcls_conv_slice *slice, float *columns)
{
    const conv_dense *dense = (const conv_dense *)pass->conv;
    const dcls_geometry *g = &pass->conv->g;
    int64_t done = 0;
    while (done < slice->pixels) {
        dcls_conv_block block = dcls_conv_next_block(g, slice->pixel + done, slice->pixels - done);
        for (int64_t i = 0; i < slice->columns; i++) {
            int64_t channel = (slice->column + i) / dense->cell_count,
                    cell = (slice->column + i) % dense->cell_count;
            const float *in = pass->in + (slice->plane + channel) * pass->conv->in_volume;
            fill_block(g, &dense->cells[cell], &block, in, columns + i * slice->pixels + done);
        }
        done += block.rows * block.width;
    }
}

static void release(dcls_conv *conv)
{
    conv_dense *dense = (conv_dense *)conv;
    free(dense->matrix.weight);
    free(dense->cells);
}

static const dcls_conv_method method = {
    .name = "dense", .run_unit = dcls_conv_matrix_run_unit, .release = release};

static dcls_status pack_cells(dcls_context *ctx, conv_dense *dense)
{
    const dcls_geometry *g = &dense->matrix.base.g;
    int64_t volume = dcls_volume(g->kernel), count = 0;
    dense->cells = dcls_conv_pack(ctx, &dense->matrix.base, volume, sizeof *dense->cells);
    if (dense->cells == NULL) return DCLS_ERR_MEMORY;
    for (int64_t cell = 0; cell < volume; cell++) {
        count += dcls_conv_reach_of(g, cell, &dense->cells[count]);
    }
    dense->cell_count = count;
    return DCLS_OK;
}

static dcls_status pack_weight(dcls_context *ctx, conv_dense *dense, const float *weight)
{
    dcls_conv_matrix *x = &dense->matrix;
    int64_t windows = x->base.g.out_channels * (x->base.g.in_channels / x->base.g.groups);
    int64_t volume = dcls_volume(x->base.g.kernel);
    x->weight = dcls_conv_pack(ctx, &x->base, windows * dense->cell_count, sizeof *x->weight);
    if (x->weight == NULL) return DCLS_ERR_MEMORY;
    float *to = x->weight;
    for (int64_t w = 0; w < windows; w++, weight += volume)
        for (int64_t i = 0; i < dense->cell_count; i++)
            *to++ = weight[dense->cells[i].cell];
    return DCLS_OK;
}

/* True if the input itself is the matrix of columns. */
static bool is_pointwise(const dcls_geometry *g)
{
    bool yes = true;
    for (int d = 0; d < 3; d++)
        yes = yes && g->kernel[d] == 1 && g->stride[d] == 1 && g->pad[d] == 0 && g->in[d] == g->out[d];
    return yes;
}

static dcls_status pack(dcls_context *ctx, conv_dense *dense, const float *weight)
{
    dcls_conv_matrix *x = &dense->matrix;
    const dcls_geometry *g = &x->base.g;
    DCLS_TRY(pack_cells(ctx, dense));
    DCLS_TRY(pack_weight(ctx, dense, weight));
    x->m = g->out_channels / g->groups;
    x->n = x->base.out_volume;
    x->k = g->in_channels / g->groups * dense->cell_count;
    x->fill = is_pointwise(g) ? NULL : fill;
    return dcls_conv_matrix_plan(ctx, x, FILL_COST, 0);
}

/* One input channel per group leaves BLAS too little to do: each window is a list of taps then. */
static dcls_status create_as_sparse(dcls_context *ctx, const dcls_geometry *g, const float *weight,
                                    const dcls_epilogue *epilogue, dcls_conv **out)
{
    dcls_taps taps;
    DCLS_TRY(dcls_taps_from_dense(ctx, weight, g->out_channels, dcls_volume(g->kernel), 0, &taps));
    dcls_status status = dcls_conv_create_sparse(ctx, g, &taps, epilogue, out);
    dcls_taps_free(&taps);
    return status;
}

dcls_status dcls_conv_create_dense(dcls_context *ctx, const dcls_geometry *g, const float *weight,
                                   const dcls_epilogue *epilogue, dcls_conv **out)
{
    DCLS_TRY(dcls_conv_check(ctx, g));
    if (g->in_channels == g->groups) return create_as_sparse(ctx, g, weight, epilogue, out);
    conv_dense *dense = dcls_conv_allocate(ctx, sizeof *dense, &method, g, epilogue);
    if (dense == NULL) return DCLS_ERR_MEMORY;
    return dcls_conv_finish(&dense->matrix.base, pack(ctx, dense, weight), out);
}
