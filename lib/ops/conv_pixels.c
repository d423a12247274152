/*
 * Pointwise convolutions as products whose vectors run over channels (simd->gemm_pixels), in two forms:
 *
 * - one convolution on a plane so small that its pixels would leave vectors partly empty;
 * - a pair, activation between: expansion and projection of an inverted bottleneck. A tile of pixels goes
 *   through both while its wide intermediate stays in cache and never reaches memory.
 *
 * Weights are read once for every tile. Where the whole plane is hardly more than one tile the work is cut by
 * channels instead, so that they are read once in all and threads share them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "ops/conv_panels.h"

#define PANEL DCLS_GEMM_PANEL
#define STRIP DCLS_GEMM_STRIP

/* Floats of the intermediate of a tile: with what passes beside it, half of a second-level cache of 1 MiB. */
#define HIDDEN_FLOATS ((int64_t)80 << 10)
/* Pixels of a tile; planes of up to TILE_WHOLE are not cut. */
#define TILE_MOST  ((int64_t)52)
#define TILE_WHOLE ((int64_t)64)
/* Pixels lie this much further apart than they are long: powers of two would make them share the sets of the
 * first-level cache. */
#define PIXEL_GAP ((int64_t)16)

typedef struct product {
    int64_t outputs, k, panels;
    float *weight; /* [panels, PANEL / STRIP, k, STRIP] */
    float *bias;   /* [panels, PANEL] or NULL */
} product;

typedef struct conv_pixels {
    dcls_conv base;
    product first, second; /* second alone when there is no pair */
    dcls_activation activation;
    bool pair, whole; /* whole: planes are not cut */
    dcls_conv_tiles tiles;
    int64_t in_stride, hidden_stride; /* of pixels as they are read, and in the intermediate */
} conv_pixels;

/* ---- run ---------------------------------------------------------------------------------------------- */

/* Pixels of an operand [count, stride]. */
typedef struct pixels {
    const float *in;
    int64_t stride, count;
} pixels;

static void multiply(const dcls_conv_pass *pass, const product *p, int64_t panel, const pixels *x,
                     dcls_activation activation, float *out, int64_t out_stride)
{
    dcls_gemm_pixels g = {.pixels = x->count,
                          .k = p->k,
                          .in = x->in,
                          .in_stride = x->stride,
                          .weight = p->weight + panel * p->k * PANEL,
                          .bias = p->bias != NULL ? p->bias + panel * PANEL : NULL,
                          .activation = activation,
                          .out = out,
                          .out_stride = out_stride};
    pass->simd->gemm_pixels(&g);
}

/* One panel of output channels, written channel by channel. scratch: DCLS_CONV_PANEL_SCRATCH floats. */
static void write_panel(const dcls_conv_pass *pass, int64_t image, int64_t panel, const pixels *x,
                        int64_t pixel, float *scratch)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    multiply(pass, &c->second, panel, x, DCLS_ACT_NONE, scratch, PANEL);
    dcls_conv_write_panel(pass, image, panel, pixel, x->count, scratch);
}

/* Turns `count` pixels from `from` on: channels of one behind each other. */
static void turn(const dcls_conv_pass *pass, int64_t image, int64_t from, int64_t count, float *to)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    const int64_t channels = c->base.g.in_channels, n = c->base.in_volume;
    pass->simd->transpose(pass->in + image * channels * n + from, n, channels, count, to, c->in_stride);
}

/* A tile of pixels through both products. Scratch: the tile's input, its intermediate, a panel of results. */
static void run_tile(const dcls_conv_pass *pass, int64_t unit, float *scratch)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    int64_t image = unit / c->tiles.count, index = unit % c->tiles.count, n = c->base.in_volume;
    int64_t from = n * index / c->tiles.count, count = n * (index + 1) / c->tiles.count - from;
    float *input = scratch, *hidden = input + c->in_stride * c->tiles.most,
          *rest = hidden + c->hidden_stride * c->tiles.most;
    turn(pass, image, from, count, input);
    const pixels x = {input, c->in_stride, count}, h = {hidden, c->hidden_stride, count};
    for (int64_t panel = 0; panel < c->first.panels; panel++)
        multiply(pass, &c->first, panel, &x, c->activation, hidden + panel * PANEL, c->hidden_stride);
    for (int64_t panel = 0; panel < c->second.panels; panel++)
        write_panel(pass, image, panel, &h, from, rest);
}

/* ---- planes in one piece: units are panels of output channels. Shared: the pixels of every image, and their
 * intermediate. ---- */

static float *shared_of(const dcls_conv_pass *pass, int64_t image)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    return pass->shared + image * c->base.in_volume * (c->in_stride + c->hidden_stride);
}

static void turn_image(void *arg, int64_t image, int worker)
{
    const dcls_conv_pass *pass = arg;
    (void)worker;
    turn(pass, image, 0, pass->conv->in_volume, shared_of(pass, image));
}

static void expand_panel(void *arg, int64_t item, int worker)
{
    const dcls_conv_pass *pass = arg;
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    (void)worker;
    int64_t image = item / c->first.panels, panel = item % c->first.panels, n = c->base.in_volume;
    float *input = shared_of(pass, image);
    const pixels x = {input, c->in_stride, n};
    multiply(pass, &c->first, panel, &x, c->activation, input + n * c->in_stride + panel * PANEL,
             c->hidden_stride);
}

static void prepare(const dcls_conv_pass *pass, int threads)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    if (!c->whole) return;
    dcls_conv_pass copy = *pass;
    dcls_parallel_for(threads, c->base.g.batch, turn_image, &copy);
    if (c->pair) dcls_parallel_for(threads, c->base.g.batch * c->first.panels, expand_panel, &copy);
}

static void run_panel(const dcls_conv_pass *pass, int64_t unit, float *scratch)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    int64_t image = unit / c->second.panels, panel = unit % c->second.panels, n = c->base.in_volume;
    const float *input = shared_of(pass, image);
    const pixels x = {input, c->in_stride, n}, h = {input + n * c->in_stride, c->hidden_stride, n};
    write_panel(pass, image, panel, c->pair ? &h : &x, 0, scratch);
}

/* ---- create -------------------------------------------------------------------------------------------- */

static void release(dcls_conv *conv)
{
    conv_pixels *c = (conv_pixels *)conv;
    free(c->first.weight);
    free(c->first.bias);
    free(c->second.weight);
}

typedef struct packing {
    const product *p;
    const float *weight;
} packing;

static void pack_panel(void *arg, int64_t panel, int worker)
{
    const product *p = ((const packing *)arg)->p;
    const float *weight = ((const packing *)arg)->weight;
    (void)worker;
    float *to = p->weight + panel * PANEL * p->k;
    for (int64_t strip = panel * PANEL; strip < (panel + 1) * PANEL; strip += STRIP)
        for (int64_t k = 0; k < p->k; k++)
            for (int64_t o = strip; o < strip + STRIP; o++)
                *to++ = o < p->outputs ? weight[o * p->k + k] : 0.0f;
}

/* weight [outputs, k]; channels missing in the last panel are zeros. */
static dcls_status pack(dcls_context *ctx, conv_pixels *c, product *p, const float *weight)
{
    p->panels = dcls_ceil_div(p->outputs, PANEL);
    int64_t floats;
    if (!dcls_mul_i64(p->panels * PANEL, p->k, &floats))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the sizes of this convolution are too large");
    p->weight = dcls_conv_pack(ctx, &c->base, floats, sizeof *p->weight);
    if (p->weight == NULL) return DCLS_ERR_MEMORY;
    packing work = {p, weight};
    dcls_parallel_for(dcls_threads_for(dcls_context_threads(ctx), floats), p->panels, pack_panel, &work);
    return DCLS_OK;
}

static int64_t most_pixels(const conv_pixels *c)
{
    return dcls_max_i64(1, dcls_min_i64(TILE_MOST, HIDDEN_FLOATS / c->hidden_stride));
}

static dcls_status set_work(dcls_context *ctx, conv_pixels *c)
{
    const dcls_geometry *g = &c->base.g;
    int64_t n = c->base.in_volume;
    double macs =
        (double)c->first.outputs * (double)c->first.k + (double)c->second.outputs * (double)c->second.k;
    dcls_conv_work work = {.total_macs = macs * (double)g->batch * (double)n};
    c->tiles = c->whole ? (dcls_conv_tiles){1, n} : dcls_conv_cut(n, most_pixels(c));
    work.units = g->batch * (c->whole ? c->second.panels : c->tiles.count);
    work.macs = work.total_macs / (double)work.units;
    int64_t row = c->in_stride + c->hidden_stride, shared = 0; /* floats for a pixel */
    if (c->whole && !dcls_mul_i64(g->batch * n, row, &shared))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the sizes of this convolution are too large");
    work.scratch_floats =
        (size_t)(DCLS_CONV_PANEL_SCRATCH(c->tiles.most) + (c->whole ? 0 : row * c->tiles.most));
    work.shared_floats = (size_t)shared;
    return dcls_conv_set_work(ctx, &c->base, work);
}

static dcls_status fill(dcls_context *ctx, conv_pixels *c, const dcls_conv_expansion *e, const float *weight)
{
    if (c->pair) {
        DCLS_TRY(pack(ctx, c, &c->first, e->weight));
        c->first.bias = dcls_conv_pack_bias(ctx, &c->base, e->channels, e->bias);
        if (c->first.bias == NULL) return DCLS_ERR_MEMORY;
        c->hidden_stride = c->first.panels * PANEL + PIXEL_GAP;
    }
    c->in_stride = c->base.g.in_channels + PIXEL_GAP;
    DCLS_TRY(pack(ctx, c, &c->second, weight));
    return set_work(ctx, c);
}

static dcls_status create(dcls_context *ctx, const dcls_geometry *g, const dcls_conv_expansion *e,
                          const float *weight, const dcls_epilogue *epilogue, dcls_conv **out)
{
    bool pair = e != NULL, whole = !pair || dcls_volume(g->in) <= TILE_WHOLE;
    const dcls_conv_method method = {.name = pair ? "fused" : "dense",
                                     .prepare = prepare,
                                     .run_unit = whole ? run_panel : run_tile,
                                     .release = release};
    conv_pixels *c = dcls_conv_allocate(ctx, sizeof *c, &method, g, epilogue);
    if (c == NULL) return DCLS_ERR_MEMORY;
    c->pair = pair;
    c->whole = whole;
    c->second = (product){.outputs = g->out_channels, .k = pair ? e->channels : g->in_channels};
    if (pair) {
        c->first = (product){.outputs = e->channels, .k = g->in_channels};
        c->activation = e->activation;
    }
    return dcls_conv_finish(&c->base, fill(ctx, c, e, weight), out);
}

bool dcls_conv_is_pointwise(const dcls_geometry *g)
{
    bool yes = true;
    for (int d = 0; d < 3; d++)
        yes = yes && g->kernel[d] == 1 && g->stride[d] == 1 && g->pad[d] == 0 && g->in[d] == g->out[d];
    return yes;
}

/* Shares of the vectors' lanes that do something. */
bool dcls_conv_prefers_pixels(const dcls_geometry *g)
{
    int64_t n = dcls_volume(g->out), m = g->out_channels;
    if (!dcls_conv_is_pointwise(g) || g->groups != 1 || n > 4 * TILE_WHOLE) return false;
    double by_pixels = (double)m / (double)(dcls_ceil_div(m, PANEL) * PANEL);
    double by_channels = (double)n / (double)(dcls_ceil_div(n, PANEL / 2) * (PANEL / 2));
    return by_pixels > 1.03 * by_channels;
}

dcls_status dcls_conv_create_pixels(dcls_context *ctx, const dcls_geometry *g, const float *weight,
                                    const dcls_epilogue *epilogue, dcls_conv **out)
{
    return create(ctx, g, NULL, weight, epilogue, out);
}

dcls_status dcls_conv_create_pair(dcls_context *ctx, const dcls_geometry *g, const dcls_conv_expansion *e,
                                  const float *weight, const dcls_epilogue *epilogue, dcls_conv **out)
{
    DCLS_TRY(dcls_conv_check_pair(ctx, g, e));
    return create(ctx, g, e, weight, epilogue, out);
}
