/*
 * Convolutions as products in bfloat16 with sums in float (simd/bf16.h): one of any window and one group, or
 * a pair of pointwise ones with an activation between, as in conv_pixels.c. Inputs are rounded while the
 * columns of a tile of pixels are packed, results of the first product of a pair while they are in registers.
 *
 * Weights are read once for every tile. Where the whole plane is hardly more than one tile the work is cut by
 * channels instead: the input is packed, and for a pair the first product done, ahead of the units.
 */
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "ops/conv_panels.h"
#include "simd/bf16.h"

#define PANEL DCLS_GEMM_PANEL
#define HALF  (PANEL / 2)

/* Pairs of what a tile holds besides weights: half of a second-level cache of 1 MiB. */
#define TILE_PAIRS ((int64_t)128 << 10)
/* Pixels of a tile; planes of up to TILE_WHOLE are not cut. */
#define TILE_LEAST ((int64_t)24)
#define TILE_MOST  ((int64_t)96)
#define TILE_WHOLE ((int64_t)64)
/* Rows lie this many pairs further apart than they are long: powers of two would make them share the sets of
 * the first-level cache. */
#define ROW_GAP ((int64_t)16)

typedef struct product {
    int64_t outputs, pairs, panels;
    uint32_t *weight; /* [panels, pairs, PANEL] */
    float *bias;      /* [panels, PANEL] or NULL */
} product;

typedef struct conv_bf16 {
    dcls_conv base;
    const dcls_bf16 *bf16;
    product first, second; /* second alone when there is no pair */
    dcls_activation activation;
    bool pair, whole; /* whole: planes are not cut */
    int64_t columns;  /* of the first product: input channels times cells */
    dcls_conv_tiles tiles;
    int64_t hidden_stride; /* pairs of a pixel in the intermediate */
} conv_bf16;

/* Pixels of an operand: [pairs, pixels] with in_stride 1, or [pixels, pairs] with in_step 1. */
typedef struct operand {
    const uint32_t *in;
    int64_t in_step, in_stride, count;
} operand;

/* ---- columns ------------------------------------------------------------------------------------------- */

/* The columns of n pixels as pairs, [pairs, n]. rows: 2 n floats of scratch. */
static void pack_columns(const dcls_conv_pass *pass, int64_t image, int64_t pixel, int64_t n, uint32_t *to,
                         float *rows)
{
    const conv_bf16 *c = (const conv_bf16 *)pass->conv;
    for (int64_t k = 0; k < c->columns; k += 2, to += n) {
        const float *even = dcls_conv_column(pass, image, k, pixel, n, rows);
        c->bf16->pack(even, dcls_conv_column(pass, image, k + 1, pixel, n, rows + n), to, n);
    }
}

/* ---- run ----------------------------------------------------------------------------------------------- */

static void multiply(const conv_bf16 *c, const product *p, int64_t panel, const operand *x,
                     dcls_activation activation, float *out, uint32_t *packed)
{
    const dcls_bf16_product g = {.pixels = x->count,
                                 .pairs = p->pairs,
                                 .in = x->in,
                                 .in_step = x->in_step,
                                 .in_stride = x->in_stride,
                                 .weight = p->weight + panel * p->pairs * PANEL,
                                 .bias = p->bias != NULL ? p->bias + panel * PANEL : NULL,
                                 .activation = activation,
                                 .out = out,
                                 .out_stride = PANEL,
                                 .packed = packed,
                                 .packed_stride = c->hidden_stride};
    c->bf16->multiply(&g);
}

/* One panel of output channels, written channel by channel. scratch: DCLS_CONV_PANEL_SCRATCH floats. */
static void write_panel(const dcls_conv_pass *pass, int64_t image, int64_t panel, const operand *x,
                        int64_t pixel, float *scratch)
{
    const conv_bf16 *c = (const conv_bf16 *)pass->conv;
    multiply(c, &c->second, panel, x, DCLS_ACT_NONE, scratch, NULL);
    dcls_conv_write_panel(pass, image, panel, pixel, x->count, scratch);
}

static int64_t input_pairs(const conv_bf16 *c)
{
    return c->pair ? c->first.pairs : c->second.pairs;
}

/* Scratch: the tile's columns, its intermediate, and floats: a panel of results, or two columns. */
static void run_tile(const dcls_conv_pass *pass, int64_t unit, float *scratch)
{
    const conv_bf16 *c = (const conv_bf16 *)pass->conv;
    int64_t image = unit / c->tiles.count, index = unit % c->tiles.count, n = c->base.out_volume;
    int64_t from = n * index / c->tiles.count, count = n * (index + 1) / c->tiles.count - from;
    uint32_t *input = (uint32_t *)(void *)scratch, *hidden = input + input_pairs(c) * c->tiles.most;
    float *rest = scratch + (input_pairs(c) + c->hidden_stride) * c->tiles.most;
    pack_columns(pass, image, from, count, input, rest);
    operand x = {input, count, 1, count};
    for (int64_t panel = 0; c->pair && panel < c->first.panels; panel++)
        multiply(c, &c->first, panel, &x, c->activation, rest, hidden + panel * HALF);
    if (c->pair) x = (operand){hidden, 1, c->hidden_stride, count};
    for (int64_t panel = 0; panel < c->second.panels; panel++)
        write_panel(pass, image, panel, &x, from, rest);
}

/* ---- planes in one piece: units are panels of output channels. Shared: for every image its columns and its
 * intermediate; then a panel's results or two columns for each worker. */

static uint32_t *shared_of(const dcls_conv_pass *pass, int64_t image)
{
    const conv_bf16 *c = (const conv_bf16 *)pass->conv;
    uint32_t *shared = (uint32_t *)(void *)pass->shared;
    return shared + image * c->base.out_volume * (input_pairs(c) + c->hidden_stride);
}

static void pack_image(void *arg, int64_t image, int worker)
{
    const dcls_conv_pass *pass = arg;
    (void)worker;
    const conv_bf16 *c = (const conv_bf16 *)pass->conv;
    int64_t n = c->base.out_volume;
    float *rows = pass->scratch + worker * (int64_t)c->base.scratch_floats;
    pack_columns(pass, image, 0, n, shared_of(pass, image), rows);
}

static void expand_panel(void *arg, int64_t item, int worker)
{
    const dcls_conv_pass *pass = arg;
    const conv_bf16 *c = (const conv_bf16 *)pass->conv;
    int64_t image = item / c->first.panels, panel = item % c->first.panels, n = c->base.out_volume;
    uint32_t *input = shared_of(pass, image);
    const operand x = {input, n, 1, n};
    multiply(c, &c->first, panel, &x, c->activation, pass->scratch + worker * (int64_t)c->base.scratch_floats,
             input + n * c->first.pairs + panel * HALF);
}

static void prepare(const dcls_conv_pass *pass, int threads)
{
    const conv_bf16 *c = (const conv_bf16 *)pass->conv;
    if (!c->whole) return;
    dcls_conv_pass copy = *pass;
    const int64_t tasks = dcls_ceil_div(c->base.units, c->base.bundle); /* there is scratch for no more */
    threads = (int)dcls_min_i64(threads, tasks);
    dcls_parallel_for(threads, c->base.g.batch, pack_image, &copy);
    if (c->pair) dcls_parallel_for(threads, c->base.g.batch * c->first.panels, expand_panel, &copy);
}

static void run_panel(const dcls_conv_pass *pass, int64_t unit, float *scratch)
{
    const conv_bf16 *c = (const conv_bf16 *)pass->conv;
    int64_t image = unit / c->second.panels, panel = unit % c->second.panels, n = c->base.out_volume;
    uint32_t *input = shared_of(pass, image);
    const operand x = {input, n, 1, n}, h = {input + n * c->first.pairs, 1, c->hidden_stride, n};
    write_panel(pass, image, panel, c->pair ? &h : &x, 0, scratch);
}

/* ---- create -------------------------------------------------------------------------------------------- */

static void release(dcls_conv *conv)
{
    conv_bf16 *c = (conv_bf16 *)conv;
    free(c->first.weight);
    free(c->first.bias);
    free(c->second.weight);
}

/* weight [outputs, k]. Terms of pair j are columns 2 j and 2 j + 1, or as the first product gives them; what
 * is missing are zeros. */
static dcls_status pack(dcls_context *ctx, conv_bf16 *c, product *p, const float *weight, int64_t k,
                        bool given)
{
    int64_t count;
    p->panels = dcls_ceil_div(p->outputs, PANEL);
    if (!dcls_mul_i64(p->panels * PANEL, p->pairs, &count))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the sizes of this convolution are too large");
    uint32_t *to = p->weight = dcls_conv_pack(ctx, &c->base, count, sizeof *to);
    if (to == NULL) return DCLS_ERR_MEMORY;
    float term[2][PANEL];
    for (int64_t first = 0; first < p->outputs; first += PANEL)
        for (int64_t j = 0; j < p->pairs; j++, to += PANEL) {
            for (int t = 0; t < 2; t++) {
                int64_t column = given ? j / HALF * PANEL + j % HALF + t * HALF : 2 * j + t;
                for (int64_t o = 0; o < PANEL; o++)
                    term[t][o] =
                        column < k && first + o < p->outputs ? weight[(first + o) * k + column] : 0.0f;
            }
            c->bf16->pack(term[0], term[1], to, PANEL);
        }
    return DCLS_OK;
}

static int64_t most_pixels(const conv_bf16 *c)
{
    int64_t most = TILE_PAIRS / (input_pairs(c) + c->hidden_stride);
    return dcls_max_i64(TILE_LEAST, dcls_min_i64(TILE_MOST, most));
}

static dcls_status set_work(dcls_context *ctx, conv_bf16 *c)
{
    const dcls_geometry *g = &c->base.g;
    int64_t n = c->base.out_volume, inner = c->pair ? c->first.outputs : c->columns, shared = 0, scratch;
    double macs = (double)inner * (double)c->second.outputs;
    if (c->pair) macs += (double)c->columns * (double)c->first.outputs;
    dcls_conv_work work = {.total_macs = macs * (double)g->batch * (double)n};
    c->tiles = c->whole ? (dcls_conv_tiles){1, n} : dcls_conv_cut(n, most_pixels(c));
    work.units = g->batch * (c->whole ? c->second.panels : c->tiles.count);
    work.macs = work.total_macs / (double)work.units;
    int64_t row = input_pairs(c) + c->hidden_stride;
    bool fits = dcls_mul_i64(c->whole ? 0 : row, c->tiles.most, &scratch);
    if (c->whole) fits = fits && dcls_mul_i64(g->batch * n, row, &shared);
    if (!fits) return dcls_fail(ctx, DCLS_ERR_LIMIT, "the sizes of this convolution are too large");
    work.scratch_floats = (size_t)scratch + (size_t)DCLS_CONV_PANEL_SCRATCH(c->tiles.most);
    work.shared_floats = (size_t)shared;
    return dcls_conv_set_work(ctx, &c->base, work);
}

static dcls_status fill(dcls_context *ctx, conv_bf16 *c, const dcls_conv_expansion *e, const float *weight)
{
    int64_t k = c->columns;
    if (c->pair) {
        DCLS_TRY(pack(ctx, c, &c->first, e->weight, k, false));
        c->first.bias = dcls_conv_pack_bias(ctx, &c->base, e->channels, e->bias);
        if (c->first.bias == NULL) return DCLS_ERR_MEMORY;
        k = e->channels;
        c->second.pairs = c->first.panels * HALF;
        c->hidden_stride = c->second.pairs + ROW_GAP;
    }
    DCLS_TRY(pack(ctx, c, &c->second, weight, k, c->pair));
    return set_work(ctx, c);
}

static dcls_status create(dcls_context *ctx, const dcls_bf16 *bf16, const dcls_geometry *g,
                          const dcls_conv_expansion *e, const float *weight, const dcls_epilogue *epilogue,
                          dcls_conv **out)
{
    bool pair = e != NULL, whole = dcls_volume(g->out) <= TILE_WHOLE;
    const dcls_conv_method method = {.name = pair ? "fused bf16" : "dense bf16",
                                     .prepare = prepare,
                                     .run_unit = whole ? run_panel : run_tile,
                                     .release = release};
    conv_bf16 *c = dcls_conv_allocate(ctx, sizeof *c, &method, g, epilogue);
    if (c == NULL) return DCLS_ERR_MEMORY;
    c->bf16 = bf16;
    c->pair = pair;
    c->whole = whole;
    c->columns = g->in_channels * dcls_volume(g->kernel);
    c->second = (product){.outputs = g->out_channels, .pairs = dcls_ceil_div(c->columns, 2)};
    if (pair) {
        c->first = (product){.outputs = e->channels, .pairs = dcls_ceil_div(c->columns, 2)};
        c->activation = e->activation;
    }
    return dcls_conv_finish(&c->base, fill(ctx, c, e, weight), out);
}

bool dcls_conv_bf16_suits(const dcls_geometry *g)
{
    return g->groups == 1;
}

dcls_status dcls_conv_create_bf16(dcls_context *ctx, const dcls_bf16 *bf16, const dcls_geometry *g,
                                  const float *weight, const dcls_epilogue *epilogue, dcls_conv **out)
{
    DCLS_TRY(dcls_conv_check(ctx, g));
    if (!dcls_conv_bf16_suits(g))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a convolution in %lld groups cannot run in bfloat16",
                         (long long)g->groups);
    return create(ctx, bf16, g, NULL, weight, epilogue, out);
}

dcls_status dcls_conv_create_bf16_pair(dcls_context *ctx, const dcls_bf16 *bf16, const dcls_geometry *g,
                                       const dcls_conv_expansion *e, const float *weight,
                                       const dcls_epilogue *epilogue, dcls_conv **out)
{
    DCLS_TRY(dcls_conv_check_pair(ctx, g, e));
    return create(ctx, bf16, g, e, weight, epilogue, out);
}
