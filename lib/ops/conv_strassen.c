/*
 * Pairs of pointwise convolutions with an activation between, as in conv_pixels.c, by seven products of
 * quarters in place of eight (DCLS_STRASSEN in simd/simd.h). Output channels, input channels and pixels are
 * cut in half: pixel p goes together with p + n / 2, channel c with c + channels / 2, whatever the tile, so
 * that results depend on the geometry alone.
 *
 * Sums of weights are made once. A tile of pixels takes its sums of inputs along; those of the
 * intermediate are made while its activation is applied, some channels at a time, which the second
 * convolution adds to its products before the next ones come: all of it stays in the second-level cache.
 *
 * Errors are some times those of plain sums for the larger of two pixels that go together, and as large for
 * the other one: this is for pixels of one size, as a layer norm leaves them. Weights are brought to one size
 * here. What is not finite reaches the pixel and the channel that it goes together with.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/threads.h"
#include "ops/conv_panels.h"

#define PANEL DCLS_GEMM_PANEL
#define STRIP DCLS_GEMM_STRIP

/* Share of the second-level cache for a tile. */
#define TILE_SHARE 0.9
/* Most pairs of pixels of a tile, most panels of inputs (of each half) at a time, and the gap between a pixel
 * and the next in the intermediate: see conv_pixels.c. */
#define TILE_MOST   ((int64_t)64)
#define PANELS_MOST ((int64_t)6)
#define PIXEL_GAP   ((int64_t)16)
/* It pays for so many terms of a half and pixels, as weights that pass but once or twice come too slowly, and
 * while a usual second-level cache holds a tile: that of the processor may not decide what sums are made. */
#define TERMS_LEAST  ((int64_t)96)
#define PIXELS_LEAST ((int64_t)192)
#define CACHE_USUAL  ((int64_t)1 << 20)

/* Weights [chunk of terms][panel of outputs][DCLS_STRASSEN][PANEL / STRIP, terms of the chunk, STRIP]. */
typedef struct product {
    int64_t outputs, terms;         /* of a half */
    int64_t panels, chunks, chunk;  /* of outputs; of terms, and terms of one */
    float *weight, *scale, *factor; /* scale, factor: of outputs and of terms of both halves, see pack */
} product;

typedef struct conv_strassen {
    dcls_conv base;
    int threads;
    product first, second;
    float *bias; /* [panels of both halves, PANEL], between */
    dcls_activation activation;
    dcls_conv_tiles tiles; /* of pairs of pixels */
} conv_strassen;

/* The seven right operands of one tile: [words, pixels] or [pixels, words]. */
typedef struct operands {
    const float *at;
    int64_t apart, step, stride;
} operands;

/* ---- run ----------------------------------------------------------------------------------------------- */

/* Pairs of pixels [from, from + pixels) of one image. */
typedef struct tile {
    int64_t image, from, pixels;
} tile;

/* Sums of the input, [DCLS_STRASSEN][terms, pixels]. */
static operands split_input(const dcls_conv_pass *pass, const tile *t, float *to)
{
    const dcls_conv *conv = pass->conv;
    const int64_t n = conv->in_volume, terms = conv->g.in_channels / 2;
    const float *in = pass->in + t->image * conv->g.in_channels * n + t->from,
                *factor = ((const conv_strassen *)conv)->first.factor;
    for (int64_t k = 0; k < terms; k++, in += n)
        pass->simd->strassen_split((const float *[]){in, in + n / 2, in + terms * n, in + terms * n + n / 2},
                                   (const float[]){factor[k], factor[k + terms]}, to + k * t->pixels,
                                   terms * t->pixels, t->pixels);
    return (operands){to, terms * t->pixels, t->pixels, 1};
}

/* The seven products of a panel and a chunk of terms, [DCLS_STRASSEN][pixels, PANEL]. */
static void multiply(const dcls_conv_pass *pass, const tile *t, const product *p, int64_t chunk,
                     int64_t panel, const operands *x, float *products)
{
    const int64_t floats = p->chunk * PANEL;
    const float *weight = p->weight + (chunk * p->panels + panel) * DCLS_STRASSEN * floats;
    for (int64_t q = 0; q < DCLS_STRASSEN; q++)
        pass->simd->gemm_pixels(&(dcls_gemm_pixels){.pixels = t->pixels,
                                                    .k = p->chunk,
                                                    .in = x->at + q * x->apart,
                                                    .in_step = x->step,
                                                    .in_stride = x->stride,
                                                    .weight = weight + q * floats,
                                                    .out = products + q * t->pixels * PANEL,
                                                    .out_stride = PANEL,
                                                    .add = chunk > 0});
}

static dcls_strassen_products products_of(const product *p, const tile *t, int64_t panel, const float *at)
{
    const float *upper = p->scale + panel * PANEL;
    return (dcls_strassen_products){t->pixels, at, t->pixels * PANEL, {upper, upper + p->outputs}};
}

static int64_t hidden_stride(const conv_strassen *c)
{
    return c->second.chunk + PIXEL_GAP;
}

/* A chunk of the intermediate. x: sums of inputs; products: of one panel. */
static operands expand(const dcls_conv_pass *pass, const tile *t, int64_t chunk, const operands *x, float *to,
                       float *products)
{
    const conv_strassen *c = (const conv_strassen *)pass->conv;
    const int64_t panels = c->second.chunk / PANEL;
    dcls_strassen_between s = {
        .activation = c->activation, .to_step = t->pixels * hidden_stride(c), .to_stride = hidden_stride(c)};
    for (int64_t i = 0; i < panels; i++) {
        const int64_t panel = chunk * panels + i;
        multiply(pass, t, &c->first, 0, panel, x, products);
        s.products = products_of(&c->first, t, panel, products);
        s.bias[0] = c->bias + panel * PANEL;
        s.bias[1] = s.bias[0] + c->second.terms;
        s.factor[0] = c->second.factor + panel * PANEL;
        s.factor[1] = s.factor[0] + c->second.terms;
        s.to = to + i * PANEL;
        pass->simd->strassen_between(&s);
    }
    return (operands){to, s.to_step, 1, s.to_stride};
}

/* The four quarters that a panel's products make, the last one first: what writes them needs room behind. */
static void write_quarters(const dcls_conv_pass *pass, const tile *t, int64_t panel, const float *products,
                           float *scratch)
{
    const conv_strassen *c = (const conv_strassen *)pass->conv;
    const int64_t floats = t->pixels * PANEL;
    const dcls_strassen_products p = products_of(&c->second, t, panel, products);
    pass->simd->strassen_join(&p, scratch);
    for (int j = 3; j >= 0; j--)
        dcls_conv_write_panel(pass, t->image, j / 2 * c->second.panels + panel,
                              j % 2 * (c->base.out_volume / 2) + t->from, t->pixels, scratch + j * floats);
}

/* Floats of scratch for each pair of pixels, but for the writing of results. */
static int64_t pixel_floats(const conv_strassen *c)
{
    return DCLS_STRASSEN * (c->first.terms + hidden_stride(c) + PANEL + c->second.outputs);
}

static void run_unit(const dcls_conv_pass *pass, int64_t unit, float *scratch)
{
    const conv_strassen *c = (const conv_strassen *)pass->conv;
    const int64_t n = c->base.out_volume / 2, index = unit % c->tiles.count;
    tile t = {.image = unit / c->tiles.count, .from = n * index / c->tiles.count};
    t.pixels = n * (index + 1) / c->tiles.count - t.from;

    const int64_t floats = DCLS_STRASSEN * t.pixels;
    float *hidden = scratch + c->first.terms * floats, *products = hidden + hidden_stride(c) * floats,
          *sums = products + PANEL * floats, *rest = sums + c->second.outputs * floats;
    const operands input = split_input(pass, &t, scratch);
    for (int64_t chunk = 0; chunk < c->second.chunks; chunk++) {
        const operands x = expand(pass, &t, chunk, &input, hidden, products);
        for (int64_t panel = 0; panel < c->second.panels; panel++)
            multiply(pass, &t, &c->second, chunk, panel, &x, sums + panel * PANEL * floats);
    }
    for (int64_t panel = 0; panel < c->second.panels; panel++)
        write_quarters(pass, &t, panel, sums + panel * PANEL * floats, rest);
}

/* ---- weights ------------------------------------------------------------------------------------------- */

/* The left operands A11, A12, S4, A22, S1, S2, S3 of one element of each quarter. */
static inline void left_operands(float a11, float a12, float a21, float a22, float to[DCLS_STRASSEN])
{
    const float s1 = a21 + a22, s2 = s1 - a11;
    to[0] = a11;
    to[1] = a12;
    to[2] = a12 - s2;
    to[3] = a22;
    to[4] = s1;
    to[5] = s2;
    to[6] = a11 - a21;
}

typedef struct packing {
    const product *p;
    const dcls_simd *simd;
    const float *weight; /* [2 outputs, 2 terms] */
} packing;

/* Terms of a strip that are summed at a time, before they are turned. */
#define TERMS ((int64_t)64)

/* 0 where it is 0. */
static float inverse(float power)
{
    return power > 0 ? 1 / power : 0;
}

/* The sums for n <= TERMS terms from `from` on of a strip's outputs. apart: floats from one operand to the
 * next at `to`, [n, STRIP]. */
static void pack_terms(const packing *w, int64_t output, int64_t from, int64_t n, float *to, int64_t apart)
{
    const product *p = w->p;
    float sums[DCLS_STRASSEN][STRIP * TERMS], factor[2][TERMS];
    for (int64_t k = 0; k < n; k++) {
        factor[0][k] = inverse(p->factor[from + k]);
        factor[1][k] = inverse(p->factor[from + k + p->terms]);
    }
    for (int64_t o = 0; o < STRIP; o++) {
        const float *a = w->weight + (output + o) * 2 * p->terms + from, *b = a + p->outputs * 2 * p->terms;
        const float up = inverse(p->scale[output + o]), low = inverse(p->scale[output + o + p->outputs]);
        for (int64_t k = 0; k < n; k++) {
            float operand[DCLS_STRASSEN];
            left_operands(up * (factor[0][k] * a[k]), up * (factor[1][k] * a[k + p->terms]),
                          low * (factor[0][k] * b[k]), low * (factor[1][k] * b[k + p->terms]), operand);
            for (int q = 0; q < DCLS_STRASSEN; q++)
                sums[q][o * TERMS + k] = operand[q];
        }
    }
    for (int q = 0; q < DCLS_STRASSEN; q++)
        w->simd->transpose(sums[q], TERMS, STRIP, n, to + q * apart, STRIP);
}

static void pack_panel(void *arg, int64_t item, int worker)
{
    const packing *w = arg;
    const product *p = w->p;
    const int64_t chunk = item / p->panels, panel = item % p->panels, strip = p->chunk * STRIP;
    (void)worker;
    for (int64_t i = 0; i < PANEL / STRIP; i++) {
        float *to = p->weight + item * DCLS_STRASSEN * p->chunk * PANEL + i * strip;
        for (int64_t k = 0; k < p->chunk; k += TERMS)
            pack_terms(w, panel * PANEL + i * STRIP, chunk * p->chunk + k, dcls_min_i64(TERMS, p->chunk - k),
                       to + k * STRIP, p->chunk * PANEL);
    }
}

/* A power of two about as large as the largest weight, 2^-100 to 2^100, such that its inverse is one too; 0
 * where all are 0. */
static float power_of(float largest)
{
    int exponent;
    if (largest == 0) return 0;
    if (isinf(largest)) return 1;
    frexpf(largest, &exponent);
    return ldexpf(1, exponent < -100 ? -100 : exponent > 100 ? 100 : exponent);
}

/* x[k] becomes the larger of itself and |a[k]| f[k]; NaN is passed over. */
static void raise_to(float *x, const float *a, const float *f, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        const float size = fabsf(a[k]) * f[k];
        x[k] = size > x[k] ? size : x[k];
    }
}

/* The largest of |a[k]| f[k], in lanes that the compiler can make a vector of. */
static float largest_of(const float *a, const float *f, int64_t n)
{
    float most[STRIP] = {0}, largest = 0;
    int64_t k = 0;
    for (; k + STRIP <= n; k += STRIP)
        raise_to(most, a + k, f + k, STRIP);
    raise_to(most, a + k, f + k, n - k);
    for (int lane = 0; lane < STRIP; lane++)
        largest = most[lane] > largest ? most[lane] : largest;
    return largest;
}

/* Outputs meet in sums, and so do terms, where large ones would lose the small ones of others. Weights are
 * brought to one size by powers of two, first those of a term, whose inputs make up for it, then those of an
 * output (Ballard, Benson, Druinsky, Lipshitz and Schwartz, "Improving the numerical stability of fast matrix
 * multiplication", 2016, section 5). */
static dcls_status choose_scales(dcls_context *ctx, product *p, const float *weight)
{
    const int64_t terms = 2 * p->terms;
    float *f = dcls_alloc(ctx, (size_t)terms, sizeof *f);
    if (f == NULL) return DCLS_ERR_MEMORY;
    for (int64_t k = 0; k < terms; k++) {
        p->factor[k] = 0;
        f[k] = 1;
    }
    for (int64_t o = 0; o < 2 * p->outputs; o++)
        raise_to(p->factor, weight + o * terms, f, terms);
    for (int64_t k = 0; k < terms; k++) {
        p->factor[k] = power_of(p->factor[k]);
        f[k] = inverse(p->factor[k]);
    }
    for (int64_t o = 0; o < 2 * p->outputs; o++)
        p->scale[o] = power_of(largest_of(weight + o * terms, f, terms));
    free(f);
    return DCLS_OK;
}

static dcls_status pack(dcls_context *ctx, conv_strassen *c, product *p, const float *weight)
{
    const int64_t items = p->chunks * p->panels, floats = items * DCLS_STRASSEN * p->chunk * PANEL;
    p->weight = dcls_conv_pack(ctx, &c->base, floats, sizeof(float));
    p->scale = dcls_conv_pack(ctx, &c->base, 2 * p->outputs, sizeof(float));
    p->factor = dcls_conv_pack(ctx, &c->base, 2 * p->terms, sizeof(float));
    if (p->weight == NULL || p->scale == NULL || p->factor == NULL) return DCLS_ERR_MEMORY;
    DCLS_TRY(choose_scales(ctx, p, weight));
    packing work = {p, dcls_simd_get(dcls_cpu_detect()), weight};
    dcls_parallel_for(dcls_threads_for(dcls_context_threads(ctx), floats), items, pack_panel, &work);
    return DCLS_OK;
}

/* ---- create -------------------------------------------------------------------------------------------- */

static void free_product(const product *p)
{
    free(p->weight);
    free(p->scale);
    free(p->factor);
}

static void release(dcls_conv *conv)
{
    conv_strassen *c = (conv_strassen *)conv;
    free_product(&c->first);
    free_product(&c->second);
    free(c->bias);
}

/* Terms in `chunks` of whole panels, or a few more where they do not divide; in one as they are. */
static product product_of(int64_t outputs, int64_t terms, int64_t chunks)
{
    product p = {.outputs = outputs / 2, .terms = terms / 2, .panels = outputs / 2 / PANEL};
    while (chunks > 1 && p.terms / PANEL % chunks != 0)
        chunks++;
    p.chunks = chunks;
    p.chunk = p.terms / chunks;
    return p;
}

static void cut(conv_strassen *c, const dcls_geometry *g, int64_t between)
{
    c->first = product_of(between, g->in_channels, 1);
    c->second = product_of(g->out_channels, between, dcls_ceil_div(between / 2 / PANEL, PANELS_MOST));
}

/* Pairs of pixels that a tile has room for. */
static int64_t most_pixels(const conv_strassen *c, int64_t cache_bytes)
{
    const int64_t floats = (int64_t)(TILE_SHARE * (double)cache_bytes / sizeof(float));
    return dcls_min_i64(TILE_MOST, (floats - PANEL * PANEL) / (pixel_floats(c) + 5 * PANEL));
}

static dcls_status set_work(dcls_context *ctx, conv_strassen *c)
{
    const dcls_geometry *g = &c->base.g;
    const int64_t most = dcls_max_i64(DCLS_CONV_TILE_LEAST, most_pixels(c, (int64_t)dcls_cpu_cache_bytes()));
    c->tiles = dcls_conv_cut(c->base.out_volume / 2, most, dcls_conv_tiles_wanted(g, c->threads));
    const double macs = (double)c->second.outputs * (double)c->second.terms +
                        (double)c->first.outputs * (double)c->first.terms;
    dcls_conv_work work = {.units = g->batch * c->tiles.count};
    work.total_macs = DCLS_STRASSEN / 2.0 * macs * (double)(g->batch * c->base.out_volume);
    work.macs = work.total_macs / (double)work.units;
    work.scratch_floats = (size_t)((pixel_floats(c) + 5 * PANEL) * c->tiles.most + PANEL * PANEL);
    return dcls_conv_set_work(ctx, &c->base, work);
}

static dcls_status fill(dcls_context *ctx, conv_strassen *c, const dcls_conv_expansion *e,
                        const float *weight)
{
    cut(c, &c->base.g, e->channels);
    c->activation = e->activation;
    DCLS_TRY(pack(ctx, c, &c->first, e->weight));
    c->bias = dcls_conv_pack_bias(ctx, &c->base, e->channels, e->bias);
    if (c->bias == NULL) return DCLS_ERR_MEMORY;
    DCLS_TRY(pack(ctx, c, &c->second, weight));
    return set_work(ctx, c);
}

bool dcls_conv_strassen_suits(const dcls_geometry *g, const dcls_conv_expansion *e)
{
    const int64_t n = dcls_volume(g->out), between = e->channels;
    if (!e->even || n % 2 != 0 || n < PIXELS_LEAST || g->in_channels % 2 != 0 ||
        g->in_channels < 2 * TERMS_LEAST || between % (2 * PANEL) != 0 || g->out_channels % (2 * PANEL) != 0)
        return false;
    conv_strassen c = {0};
    cut(&c, g, between);
    return most_pixels(&c, CACHE_USUAL) >= DCLS_CONV_TILE_LEAST;
}

dcls_status dcls_conv_create_strassen(dcls_context *ctx, int threads, const dcls_geometry *g,
                                      const dcls_conv_expansion *e, const float *weight,
                                      const dcls_epilogue *epilogue, dcls_conv **out)
{
    const dcls_conv_method method = {.name = "strassen", .run_unit = run_unit, .release = release};
    conv_strassen *c = dcls_conv_allocate(ctx, sizeof *c, &method, g, epilogue);
    if (c == NULL) return DCLS_ERR_MEMORY;
    c->threads = threads > 0 ? threads : 1;
    return dcls_conv_finish(&c->base, fill(ctx, c, e, weight), out);
}
