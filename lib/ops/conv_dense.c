/* Dense convolution: one column per cell of the window (im2col). */
#include <stdlib.h>
#include <string.h>

#include "ops/conv_matrix.h"
#include "ops/winograd.h"

/* One tap of coefficient 1 for each cell that can touch the input, a column each. */
static dcls_status list_cells(dcls_context *ctx, const dcls_geometry *g, dcls_taps *out)
{
    size_t cells = (size_t)dcls_volume(g->kernel);
    *out = (dcls_taps){.start = dcls_alloc(ctx, cells + 1, sizeof *out->start),
                       .cell = dcls_alloc(ctx, cells, sizeof *out->cell),
                       .value = dcls_alloc(ctx, cells, sizeof *out->value)};
    if (!out->start || !out->cell || !out->value) return DCLS_ERR_MEMORY;
    int64_t shift[3];
    for (size_t cell = 0; cell < cells; cell++) {
        if (!dcls_conv_shift(g, (int64_t)cell, shift)) continue;
        out->start[out->rows] = out->rows;
        out->cell[out->rows] = (int32_t)cell;
        out->value[out->rows++] = 1.0f;
    }
    out->start[out->rows] = out->rows;
    return DCLS_OK;
}

/* The weights of the listed cells, in an array of their own. weight: [windows, cells]. */
static float *select_weight(dcls_context *ctx, const dcls_geometry *g, const dcls_taps *cells,
                            const float *weight)
{
    int64_t windows = g->out_channels * (g->in_channels / g->groups), volume = dcls_volume(g->kernel);
    float *selected = dcls_alloc(ctx, (size_t)(windows * cells->rows), sizeof *selected), *to = selected;
    for (int64_t w = 0; w < windows && selected != NULL; w++, weight += volume)
        for (int64_t i = 0; i < cells->rows; i++)
            *to++ = weight[cells->cell[i]];
    return selected;
}

/* Plans with the weights of the listed cells; they are all of them in most cases. */
static dcls_status plan(dcls_context *ctx, dcls_conv_matrix *x, const dcls_taps *cells, const float *weight)
{
    if (cells->rows == dcls_volume(x->base.g.kernel)) return dcls_conv_matrix_plan(ctx, x, weight);
    float *selected = select_weight(ctx, &x->base.g, cells, weight);
    dcls_status status = selected != NULL ? dcls_conv_matrix_plan(ctx, x, selected) : DCLS_ERR_MEMORY;
    free(selected);
    return status;
}

static dcls_status pack(dcls_context *ctx, dcls_conv_matrix *x, const float *weight)
{
    dcls_taps cells;
    dcls_status status = list_cells(ctx, &x->base.g, &cells);
    x->k = x->base.g.in_channels / x->base.g.groups * cells.rows;
    if (!status) status = dcls_conv_matrix_set_columns(ctx, x, &cells, cells.rows);
    if (!status) status = plan(ctx, x, &cells, weight);
    dcls_taps_free(&cells);
    return status;
}

/* So few outputs per group leave a product too little to do with a column; a list of taps for each of them is
 * faster. */
#define FEW_OUTPUTS 4

static bool is_better_sparse(const dcls_geometry *g)
{
    bool depthwise = g->in_channels == g->groups;
    return g->out_channels / g->groups <= FEW_OUTPUTS && (depthwise || !dcls_conv_is_pointwise(g));
}

static dcls_status create_as_sparse(dcls_context *ctx, const dcls_geometry *g, const float *weight,
                                    const dcls_epilogue *epilogue, dcls_conv **out)
{
    int64_t windows = g->out_channels * (g->in_channels / g->groups);
    dcls_taps taps;
    DCLS_TRY(dcls_taps_from_dense(ctx, weight, windows, dcls_volume(g->kernel), 0, &taps));
    dcls_status status = dcls_conv_create_sparse(ctx, g, &taps, epilogue, out);
    dcls_taps_free(&taps);
    return status;
}

/* Rows far apart leave shifted planes too large for a cache, where Winograd's method does not mind. */
static bool reaches_far(const dcls_geometry *g)
{
    return g->dilation[1] > 4 && dcls_winograd_pays(g, g->batch);
}

#define IMAGES_MOST ((int64_t)64)

int64_t dcls_conv_images_wanted(const dcls_geometry *g)
{
    return dcls_winograd_pays(g, IMAGES_MOST) ? dcls_winograd_joined(g, IMAGES_MOST) : 1;
}

dcls_status dcls_conv_create_dense(dcls_context *ctx, const dcls_geometry *g, const float *weight,
                                   const dcls_epilogue *epilogue, dcls_conv_how how, dcls_conv **out)
{
    DCLS_TRY(dcls_conv_check(ctx, g));
    if (is_better_sparse(g)) return create_as_sparse(ctx, g, weight, epilogue, out);
    if (how.amx != NULL && dcls_conv_amx_suits(g) && !(how.parts > 1 && reaches_far(g)))
        return dcls_conv_create_amx(ctx, how, g, weight, epilogue, out);
    const int64_t images = dcls_max_i64(g->batch, how.images);
    if (dcls_winograd_pays(g, images))
        return dcls_conv_create_winograd(ctx, g, images, weight, epilogue, out);
    if (dcls_conv_prefers_pixels(g))
        return dcls_conv_create_pixels(ctx, NULL, how.threads, g, weight, epilogue, out);
    if (dcls_conv_is_pointwise(g)) return dcls_conv_create_pointwise(ctx, g, weight, epilogue, out);
    dcls_conv_matrix *x = dcls_conv_matrix_allocate(ctx, "dense", g, epilogue);
    if (x == NULL) return DCLS_ERR_MEMORY;
    return dcls_conv_finish(&x->base, pack(ctx, x, weight), out);
}
