/* Convolutions made ready for a step: from the weights as they are to what runs forward and back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/layer_conv.h"

static bool has_taps(const dcls_conv_layer *c)
{
    return c->way != DCLS_WAY_DENSE;
}

/* ---- what the weights say ---- */

/* Taps for every cell, zeros too: their gradients count. */
static dcls_status all_taps(dcls_context *ctx, const float *dense, int64_t rows, int64_t cells,
                            dcls_taps *out)
{
    const int64_t count = rows * cells;
    *out = (dcls_taps){.rows = rows};
    out->start = dcls_alloc(ctx, (size_t)rows + 1, sizeof *out->start);
    out->cell = dcls_alloc(ctx, (size_t)count, sizeof *out->cell);
    out->value = dcls_alloc(ctx, (size_t)count, sizeof *out->value);
    if (!out->start || !out->cell || !out->value) {
        dcls_taps_free(out);
        return DCLS_ERR_MEMORY;
    }
    for (int64_t r = 0; r <= rows; r++)
        out->start[r] = r * cells;
    for (int64_t i = 0; i < count; i++)
        out->cell[i] = (int32_t)(i % cells);
    memcpy(out->value, dense, (size_t)count * sizeof *dense);
    return DCLS_OK;
}

/* A v0 element at a whole position has a slope towards the next cell, which has a coefficient of 0: the
 * smallest number that is not zero keeps that cell. */
static void keep_v0_neighbours(const dcls_kernel *k, float *dense)
{
    const int64_t cells = dcls_kernel_cells(k);
    for (int64_t row = 0; row < k->rows; row++)
        for (int64_t e = 0; e < k->count; e++)
            for (int corner = 0; corner < 1 << k->ndim; corner++) {
                int64_t at[3] = {0}, cell = 0;
                bool inside = true;
                for (int j = 0; j < k->ndim; j++) {
                    const float p = k->P[(j * k->position_rows + row % k->position_rows) * k->count + e];
                    const float centre = p + (float)(k->size[j] / 2);
                    const int d = dcls_kernel_axis(k->version, k->ndim, j);
                    inside = inside && isfinite(centre) && fabsf(centre) < 1e6f;
                    at[d] = inside ? (int64_t)floorf(centre) + (corner >> j & 1) : -1;
                }
                for (int d = 0; d < k->ndim; d++) {
                    inside = inside && at[d] >= 0 && at[d] < k->size[d];
                    cell = cell * k->size[d] + at[d];
                }
                if (inside && dense[row * cells + cell] == 0) dense[row * cells + cell] = 0x1p-126f;
            }
}

static dcls_status construct(dcls_context *ctx, dcls_conv_layer *c, const dcls_kernel *k, float *dense)
{
    DCLS_TRY(dcls_kernel_construct(ctx, k, dcls_context_threads(ctx), dense));
    if (k->version == DCLS_V0 && has_taps(c)) keep_v0_neighbours(k, dense);
    return DCLS_OK;
}

dcls_kernel dcls_conv_single_elements(const dcls_conv_layer *c)
{
    dcls_kernel k = c->k;
    k.rows = k.position_rows = c->k.position_rows * c->k.count;
    k.count = 1;
    k.weight = c->ones;
    return k;
}

/* ---- prepare ---- */

void dcls_conv_layer_forget(dcls_conv_layer *c)
{
    dcls_conv_destroy(c->forward);
    dcls_conv_destroy(c->turned);
    dcls_conv_destroy(c->make_planes);
    dcls_conv_destroy(c->turned_mixing);
    c->forward = c->turned = c->make_planes = c->turned_mixing = NULL;
}

static dcls_status prepare_dense(dcls_context *ctx, const dcls_layer *layer, dcls_conv_layer *c,
                                 const float *weight, const dcls_epilogue *bias, const dcls_epilogue *sum)
{
    dcls_conv_how how = c->how;
    if (c->shown != NULL) how.images = 1; /* what is padded or spread first goes image by image */
    DCLS_TRY(dcls_conv_create_dense(ctx, &c->g, weight, bias, how, &c->forward));
    if (!layer->wanted[0]) return DCLS_OK;
    if (dcls_conv_is_strided(&c->g)) how.images = 1;
    return dcls_conv_create_turned_dense(ctx, &c->g, weight, sum, how, &c->turned);
}

#define WEAK 1e-6f /* share of its window's largest weight */

/* The weights as they would be if none were weak: [rows, count]. Returns whether any is. */
static bool strengthen(const dcls_kernel *k, float *strong)
{
    bool any = false;
    for (int64_t row = 0; row < k->rows; row++) {
        const float *weight = k->weight + row * k->count;
        float largest = 0;
        for (int64_t e = 0; e < k->count; e++)
            largest = fmaxf(largest, fabsf(weight[e]));
        for (int64_t e = 0; e < k->count; e++, strong++) {
            const bool weak = fabsf(weight[e]) <= WEAK * largest;
            *strong = !weak ? fabsf(weight[e]) : largest > 0 ? largest : 1;
            any = any || weak;
        }
    }
    return any;
}

/* Weights of elements that put nothing into their cells, or too little to be a tap, have a slope there: which
 * cells are taps is then found with stronger ones. */
static dcls_status taps_of_kernel(dcls_context *ctx, const dcls_kernel *k, double cutoff, const float *dense,
                                  dcls_taps *taps)
{
    const int64_t cells = dcls_kernel_cells(k);
    dcls_kernel strong = *k;
    float *weights = dcls_alloc(ctx, (size_t)(k->rows * k->count), sizeof *weights), *pattern = NULL;
    if (weights == NULL) return DCLS_ERR_MEMORY;
    const bool weak = strengthen(k, weights);
    strong.weight = weights;
    dcls_status status = DCLS_OK;
    if (weak && (pattern = dcls_alloc(ctx, (size_t)(k->rows * cells), sizeof *pattern)) == NULL)
        status = DCLS_ERR_MEMORY;
    if (weak && status == DCLS_OK)
        status = dcls_kernel_construct(ctx, &strong, dcls_context_threads(ctx), pattern);
    if (status == DCLS_OK)
        status = dcls_taps_from_dense(ctx, weak ? pattern : dense, k->rows, cells, cutoff, taps);
    for (int64_t row = 0; row < k->rows && weak && status == DCLS_OK; row++)
        for (int64_t t = taps->start[row]; t < taps->start[row + 1]; t++)
            taps->value[t] = dense[row * cells + taps->cell[t]];
    free(pattern);
    free(weights);
    return status;
}

static dcls_status make_taps(dcls_context *ctx, const dcls_layer *layer, const dcls_conv_layer *c,
                             const float *weight, dcls_taps *taps)
{
    const int64_t cells = dcls_volume(c->g.kernel), rows = c->weights / cells;
    if (layer->node->op == DCLS_OP_CONV) return all_taps(ctx, weight, rows, cells, taps);
    if (c->k.version != DCLS_V0) return taps_of_kernel(ctx, &c->k, (double)c->cutoff, weight, taps);
    return dcls_taps_from_dense(ctx, weight, rows, cells, 0, taps); /* see keep_v0_neighbours */
}

static dcls_status renew_taps_backward(dcls_context *ctx, dcls_conv_layer *c, const dcls_geometry *g,
                                       const dcls_taps *taps)
{
    dcls_taps_backward_destroy(c->taps);
    c->taps = NULL;
    return dcls_taps_backward_create(ctx, g, taps, &c->taps);
}

static dcls_status prepare_sparse(dcls_context *ctx, const dcls_layer *layer, dcls_conv_layer *c,
                                  const float *weight, const dcls_epilogue *bias, const dcls_epilogue *sum)
{
    dcls_taps taps;
    DCLS_TRY(make_taps(ctx, layer, c, weight, &taps));
    dcls_status status = dcls_conv_create_sparse(ctx, &c->g, &taps, bias, &c->forward);
    if (status == DCLS_OK && layer->wanted[0])
        status = dcls_conv_create_turned_sparse(ctx, &c->g, &taps, sum, &c->turned);
    if (status == DCLS_OK && layer->trains && (c->taps == NULL || layer->node->op == DCLS_OP_DCLS))
        status = renew_taps_backward(ctx, c, &c->g, &taps);
    dcls_taps_free(&taps);
    return status;
}

static dcls_status prepare_interpolated(dcls_context *ctx, const dcls_program *p, const dcls_layer *layer,
                                        dcls_conv_layer *c, const dcls_epilogue *bias,
                                        const dcls_epilogue *sum)
{
    const dcls_kernel single = dcls_conv_single_elements(c);
    dcls_taps taps;
    DCLS_TRY(construct(ctx, c, &single, c->dense));
    DCLS_TRY(dcls_taps_from_dense(ctx, c->dense, single.rows, dcls_kernel_cells(&single), (double)c->cutoff,
                                  &taps));
    dcls_status status =
        dcls_conv_create_interpolated(ctx, &c->g, &taps, c->k.count, c->k.weight, bias, &c->forward);
    if (status == DCLS_OK && layer->trains)
        status = dcls_conv_create_sparse(ctx, &c->elements, &taps, NULL, &c->make_planes);
    if (status == DCLS_OK)
        status = dcls_conv_create_turned_dense(ctx, &c->mixing, c->k.weight, NULL, p->amx, &c->turned_mixing);
    if (status == DCLS_OK && layer->wanted[0])
        status = dcls_conv_create_turned_sparse(ctx, &c->elements, &taps, sum, &c->turned);
    if (status == DCLS_OK && layer->trains) status = renew_taps_backward(ctx, c, &c->elements, &taps);
    dcls_taps_free(&taps);
    return status;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t floats_of(const dcls_conv *conv)
{
    return conv == NULL ? 0 : (dcls_conv_workspace(conv, 1) / sizeof(float) + 15) / 16 * 16;
}

static size_t packed_by(const dcls_conv *conv)
{
    return conv == NULL ? 0 : dcls_conv_packed_bytes(conv);
}

static float *take(dcls_conv_scratch *s, float *base, int64_t floats)
{
    float *at = base == NULL ? NULL : base + s->floats;
    s->floats += (size_t)(floats + 15) / 16 * 16;
    return at;
}

/* Floats that the gradients of dense weights take: for a while, and as sums of a lane. */
typedef struct weight_needs {
    size_t scratch, sums;
} weight_needs;

static weight_needs needs_of_weights(const dcls_conv_layer *c)
{
    const dcls_geometry *m = &c->mixing;
    if (c->by_amx)
        return (weight_needs){dcls_conv_amx_backward_scratch(&c->g, c->how, c->how.images),
                              dcls_conv_amx_backward_sums(&c->g)};
    if (c->winograd != NULL)
        return (weight_needs){dcls_winograd_backward_scratch(c->winograd),
                              dcls_winograd_backward_sums(c->winograd)};
    if (c->way == DCLS_WAY_DENSE)
        return (weight_needs){dcls_conv_dense_backward_scratch(&c->g), (size_t)c->weights};
    if (c->way == DCLS_WAY_INTERPOLATED)
        return (weight_needs){
            dcls_conv_dense_backward_scratch(m),
            (size_t)(m->out_channels * (m->in_channels / m->groups) * dcls_volume(m->kernel))};
    return (weight_needs){0};
}

dcls_conv_scratch dcls_conv_layer_scratch(const dcls_conv_layer *c, float *base)
{
    dcls_conv_scratch s = {0};
    const dcls_geometry turned =
        dcls_conv_turned_geometry(c->way == DCLS_WAY_INTERPOLATED ? &c->elements : &c->g);
    const int64_t planes = c->elements.out_channels * dcls_volume(c->elements.out);
    s.input = take(&s, base, c->shown != NULL ? c->g.in_channels * c->padded : 0);
    s.gradient = take(&s, base, c->shown != NULL ? c->g.in_channels * c->padded : 0);
    s.spread = take(&s, base, dcls_conv_is_strided(&c->g) ? turned.in_channels * dcls_volume(turned.in) : 0);
    s.planes = take(&s, base, planes);
    s.plane_gradients = take(&s, base, planes);
    s.work = base == NULL ? NULL : base + s.floats;
    size_t work = larger(floats_of(c->forward), floats_of(c->turned));
    work = larger(work, larger(floats_of(c->make_planes), floats_of(c->turned_mixing)));
    if (c->taps != NULL) work = larger(work, dcls_taps_backward_scratch(c->taps));
    s.floats += larger(work, needs_of_weights(c).scratch);
    return s;
}

dcls_status dcls_conv_layer_prepare(dcls_context *ctx, const dcls_program *p, dcls_layer *layer)
{
    dcls_conv_layer *c = layer->state;
    const dcls_epilogue bias = {.bias = layer->bias ? layer->bias->value : NULL},
                        sum = {.residual = layer->adds[0] && c->shown == NULL};
    const float *weight = layer->weight->value;
    dcls_conv_layer_forget(c);
    if (layer->node->op == DCLS_OP_DCLS && c->way != DCLS_WAY_INTERPOLATED) {
        DCLS_TRY(construct(ctx, c, &c->k, c->dense));
        weight = c->dense;
    }
    if (c->way == DCLS_WAY_DENSE)
        DCLS_TRY(prepare_dense(ctx, layer, c, weight, &bias, &sum));
    else if (c->way == DCLS_WAY_SPARSE)
        DCLS_TRY(prepare_sparse(ctx, layer, c, weight, &bias, &sum));
    else
        DCLS_TRY(prepare_interpolated(ctx, p, layer, c, &bias, &sum));
    layer->scratch_floats = dcls_conv_layer_scratch(c, NULL).floats;
    layer->packed_bytes = packed_by(c->forward) + packed_by(c->turned) + packed_by(c->make_planes) +
                          packed_by(c->turned_mixing) +
                          (c->taps != NULL ? dcls_taps_backward_bytes(c->taps) : 0);
    c->dense_sums = (needs_of_weights(c).sums + 15) / 16 * 16;
    layer->lane_floats = 0;
    if (!layer->trains) return DCLS_OK;
    layer->lane_floats = c->dense_sums +
                         (size_t)(c->taps ? dcls_taps_backward_count(c->taps) * p->simd->width : 0) +
                         (size_t)c->g.out_channels;
    return DCLS_OK;
}
