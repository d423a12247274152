/*
 * Convolutions of one group as products whose vectors run over output channels, so that any number of pixels
 * fills them: one of any window, or a pair of pointwise ones with an activation between, as expansion and
 * projection of an inverted bottleneck are. A tile of pixels goes through both while its wide intermediate
 * stays in cache and never reaches memory.
 *
 * In float (simd->gemm_pixels), or in bfloat16 with sums in float (simd/bf16.h): inputs are rounded then
 * while the columns of a tile are packed, the intermediate while it is in registers. A word is a float, or a
 * pair of bfloat16 numbers.
 *
 * Weights are read once for every tile. Where the whole plane is hardly more than one tile the work is cut by
 * channels instead, so that they are read once in all and threads share them: columns are packed, and for a
 * pair the first product done, ahead of the units.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/threads.h"
#include "ops/conv_panels.h"
#include "simd/bf16.h"

#define PANEL DCLS_GEMM_PANEL
#define STRIP DCLS_GEMM_STRIP
#define HALF  (PANEL / 2)

/* Share of the second-level cache for what a tile holds besides weights. */
#define TILE_SHARE 0.75
/* Pixels of a tile: the more, the less often weights come from farther caches. Planes of up to TILE_WHOLE are
 * not cut, nor are those of a float convolution that is no pair, which is run here because its plane is
 * small. */
#define TILE_MOST  ((int64_t)98)
#define TILE_WHOLE ((int64_t)64)
/* Pixels of the intermediate lie this many words further apart than they are long: powers of two would make
 * them share the sets of the first-level cache. */
#define PIXEL_GAP ((int64_t)16)
/* Floats of columns at most, of one plane (a second-level cache) and of a batch, where floats of a window
 * wider than a pixel are to run here. */
#define COLUMNS_PLANE ((int64_t)256 << 10)
#define COLUMNS_BATCH ((int64_t)4 << 20)
/* Columns of a task that packs them. */
#define COLUMNS ((int64_t)64)
/* Columns that are called for ahead: they lie planes apart. */
#define COLUMNS_AHEAD ((int64_t)8)
#define LINE_FLOATS   ((int64_t)16)

typedef struct product {
    int64_t outputs, words, panels; /* words of one output's weights */
    void *weight; /* panels of [PANEL / STRIP, words, STRIP] floats or [words, PANEL] pairs */
    float *bias;  /* [panels, PANEL] or NULL */
} product;

typedef struct conv_pixels {
    dcls_conv base;
    const dcls_bf16 *bf16; /* NULL: in float */
    int threads;           /* that are likely to run it */
    product first, second; /* second alone when there is no pair */
    dcls_activation activation;
    bool pair, whole; /* whole: planes are not cut */
    bool reads_input; /* columns are rows of the input, and are read where they are */
    int64_t columns;  /* of the first product: input channels times cells */
    dcls_conv_tiles tiles;
    int64_t panel_words, hidden_stride; /* of a panel and of a pixel in the intermediate */
} conv_pixels;

/* Pixels of an operand: [words, pixels] with stride 1, or [pixels, words] with step 1. */
typedef struct operand {
    const void *in;
    int64_t step, stride, count;
} operand;

/* Floats and pairs are four bytes alike. */
static void *words_at(void *words, int64_t n)
{
    return (uint32_t *)words + n;
}

/* ---- columns ------------------------------------------------------------------------------------------- */

/* Floats of column k of n pixels: where they are, or made at `to`. */
static const float *column_of(const dcls_conv_pass *pass, int64_t image, int64_t k, int64_t pixel, int64_t n,
                              float *to)
{
    const dcls_conv *conv = pass->conv;
    const float *row = dcls_conv_column(pass, image, k, pixel, n, to);
    if (row == to || k + COLUMNS_AHEAD >= conv->g.in_channels) return row;
    for (int64_t i = 0; i < n; i += LINE_FLOATS)
        __builtin_prefetch(row + COLUMNS_AHEAD * conv->in_volume + i);
    return row;
}

/* Words [from, end) of the columns of n pixels, at `to` [words, n]. rows: 2 n floats of scratch. */
static void pack_columns(const dcls_conv_pass *pass, int64_t image, int64_t pixel, int64_t n, int64_t from,
                         int64_t end, void *to, float *rows)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    for (int64_t w = from; w < end; w++) {
        if (c->bf16 != NULL) {
            const float *even = column_of(pass, image, 2 * w, pixel, n, rows);
            c->bf16->pack(even, column_of(pass, image, 2 * w + 1, pixel, n, rows + n), words_at(to, w * n),
                          n);
            continue;
        }
        float *made = words_at(to, w * n);
        const float *row = column_of(pass, image, w, pixel, n, made);
        if (row != made) memcpy(made, row, (size_t)n * sizeof *made);
    }
}

/* ---- run ----------------------------------------------------------------------------------------------- */

/* One panel: floats at `out` [count, PANEL], or with `hidden` words of the intermediate there, and `out` is
 * scratch. */
static void multiply(const dcls_conv_pass *pass, const product *p, int64_t panel, const operand *x,
                     dcls_activation activation, float *out, void *hidden)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    const float *bias = p->bias != NULL ? p->bias + panel * PANEL : NULL;
    const void *weight = words_at(p->weight, panel * p->words * PANEL);
    if (c->bf16 != NULL)
        c->bf16->multiply(&(dcls_bf16_product){.pixels = x->count,
                                               .pairs = p->words,
                                               .in = x->in,
                                               .in_step = x->step,
                                               .in_stride = x->stride,
                                               .weight = weight,
                                               .bias = bias,
                                               .activation = activation,
                                               .out = out,
                                               .out_stride = PANEL,
                                               .packed = hidden,
                                               .packed_stride = c->hidden_stride});
    else
        pass->simd->gemm_pixels(&(dcls_gemm_pixels){.pixels = x->count,
                                                    .k = p->words,
                                                    .in = x->in,
                                                    .in_step = x->step,
                                                    .in_stride = x->stride,
                                                    .weight = weight,
                                                    .bias = bias,
                                                    .activation = activation,
                                                    .out = hidden != NULL ? hidden : out,
                                                    .out_stride = hidden != NULL ? c->hidden_stride : PANEL});
}

/* One panel of the intermediate. */
static void expand(const dcls_conv_pass *pass, int64_t panel, const operand *x, void *hidden, float *scratch)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    multiply(pass, &c->first, panel, x, c->activation, scratch, words_at(hidden, panel * c->panel_words));
}

/* One panel of output channels, written channel by channel. scratch: DCLS_CONV_PANEL_SCRATCH floats. */
static void write_panel(const dcls_conv_pass *pass, int64_t image, int64_t panel, const operand *x,
                        int64_t pixel, float *scratch)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    multiply(pass, &c->second, panel, x, DCLS_ACT_NONE, scratch, NULL);
    dcls_conv_write_panel(pass, image, panel, pixel, x->count, scratch);
}

/* Of one pixel's packed columns. */
static int64_t input_words(const conv_pixels *c)
{
    return c->reads_input ? 0 : c->pair ? c->first.words : c->second.words;
}

/* Scratch: the tile's columns, its intermediate, and floats: a panel of results, or two columns. */
static void run_tile(const dcls_conv_pass *pass, int64_t unit, float *scratch)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    const int64_t image = unit / c->tiles.count, index = unit % c->tiles.count, n = c->base.out_volume;
    const int64_t from = n * index / c->tiles.count, count = n * (index + 1) / c->tiles.count - from;
    void *hidden = words_at(scratch, input_words(c) * c->tiles.most);
    float *rest = words_at(hidden, c->hidden_stride * c->tiles.most);
    pack_columns(pass, image, from, count, 0, input_words(c), scratch, rest);
    operand x = {scratch, count, 1, count};
    for (int64_t panel = 0; c->pair && panel < c->first.panels; panel++)
        expand(pass, panel, &x, hidden, rest);
    if (c->pair) x = (operand){hidden, 1, c->hidden_stride, count};
    for (int64_t panel = 0; panel < c->second.panels; panel++)
        write_panel(pass, image, panel, &x, from, rest);
}

/* ---- planes in one piece: units are panels of output channels. Shared: for every image its columns and its
 * intermediate; then a panel's results or two columns for each worker. ---- */

static void *columns_of(const dcls_conv_pass *pass, int64_t image)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    return words_at(pass->shared, image * c->base.out_volume * (input_words(c) + c->hidden_stride));
}

static void *hidden_of(const dcls_conv_pass *pass, int64_t image)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    return words_at(columns_of(pass, image), c->base.out_volume * input_words(c));
}

static operand input_of(const dcls_conv_pass *pass, int64_t image)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    const int64_t n = c->base.out_volume;
    const void *in =
        c->reads_input ? pass->in + image * c->columns * c->base.in_volume : (float *)columns_of(pass, image);
    return (operand){in, n, 1, n};
}

/* Floats need none before units run. */
static float *scratch_of(const dcls_conv_pass *pass, int worker)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    return c->bf16 != NULL ? dcls_conv_scratch(pass, worker) : NULL;
}

static int64_t column_tasks(const conv_pixels *c)
{
    return dcls_max_i64(1, dcls_ceil_div(input_words(c), COLUMNS));
}

static void pack_some_columns(void *arg, int64_t item, int worker)
{
    const dcls_conv_pass *pass = arg;
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    const int64_t image = item / column_tasks(c), from = item % column_tasks(c) * COLUMNS;
    pack_columns(pass, image, 0, c->base.out_volume, from, dcls_min_i64(from + COLUMNS, input_words(c)),
                 columns_of(pass, image), scratch_of(pass, worker));
}

static void expand_panel(void *arg, int64_t item, int worker)
{
    const dcls_conv_pass *pass = arg;
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    const int64_t image = item / c->first.panels, panel = item % c->first.panels;
    const operand x = input_of(pass, image);
    expand(pass, panel, &x, hidden_of(pass, image), scratch_of(pass, worker));
}

static void prepare(const dcls_conv_pass *pass, int threads)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    if (!c->whole) return;
    dcls_conv_pass copy = *pass;
    const int64_t tasks = dcls_ceil_div(c->base.units, c->base.bundle);
    if (c->bf16 != NULL) threads = (int)dcls_min_i64(threads, tasks); /* there is scratch for no more */
    if (!c->reads_input)
        dcls_parallel_for(threads, c->base.g.batch * column_tasks(c), pack_some_columns, &copy);
    if (c->pair) dcls_parallel_for(threads, c->base.g.batch * c->first.panels, expand_panel, &copy);
}

static void run_panel(const dcls_conv_pass *pass, int64_t unit, float *scratch)
{
    const conv_pixels *c = (const conv_pixels *)pass->conv;
    const int64_t image = unit / c->second.panels, panel = unit % c->second.panels, n = c->base.out_volume;
    operand x = input_of(pass, image);
    if (c->pair) x = (operand){hidden_of(pass, image), 1, c->hidden_stride, n};
    write_panel(pass, image, panel, &x, 0, scratch);
}

/* ---- weights ------------------------------------------------------------------------------------------- */

typedef struct packing {
    const conv_pixels *c;
    const dcls_simd *simd;
    const product *p;
    const float *weight; /* [outputs, k] */
    int64_t k;
    bool expanded; /* terms come as the first product gives them */
} packing;

static float weight_at(const packing *w, int64_t output, int64_t term)
{
    return output < w->p->outputs && term < w->k ? w->weight[output * w->k + term] : 0.0f;
}

/* Line by line of the weights, which come from memory: the rows of a strip share few sets of a cache. */
static void pack_floats(const packing *w, int64_t panel)
{
    float *to = words_at(w->p->weight, panel * PANEL * w->k);
    for (int64_t o = panel * PANEL; o < (panel + 1) * PANEL; o += STRIP, to += STRIP * w->k) {
        const int64_t rows = dcls_max_i64(0, dcls_min_i64(STRIP, w->p->outputs - o));
        if (rows < STRIP) memset(to, 0, (size_t)(STRIP * w->k) * sizeof *to);
        if (rows > 0) w->simd->transpose(w->weight + o * w->k, w->k, rows, w->k, to, STRIP);
    }
}

/* Terms of pair j are columns 2 j and 2 j + 1, or as the first product gives them. */
static void pack_pairs(const packing *w, int64_t panel)
{
    uint32_t *to = words_at(w->p->weight, panel * PANEL * w->p->words);
    float term[2][PANEL];
    for (int64_t j = 0; j < w->p->words; j++, to += PANEL) {
        for (int t = 0; t < 2; t++) {
            const int64_t column = w->expanded ? j / HALF * PANEL + j % HALF + t * HALF : 2 * j + t;
            for (int64_t o = 0; o < PANEL; o++)
                term[t][o] = weight_at(w, panel * PANEL + o, column);
        }
        w->c->bf16->pack(term[0], term[1], to, PANEL);
    }
}

static void pack_panel(void *arg, int64_t panel, int worker)
{
    const packing *w = arg;
    (void)worker;
    if (w->c->bf16 != NULL)
        pack_pairs(w, panel);
    else
        pack_floats(w, panel);
}

static dcls_status pack(dcls_context *ctx, conv_pixels *c, product *p, const float *weight, int64_t k,
                        bool expanded)
{
    int64_t words;
    p->panels = dcls_ceil_div(p->outputs, PANEL);
    if (!dcls_mul_i64(p->panels * PANEL, p->words, &words))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the sizes of this convolution are too large");
    p->weight = dcls_conv_pack(ctx, &c->base, words, sizeof(float));
    if (p->weight == NULL) return DCLS_ERR_MEMORY;
    packing work = {c, dcls_simd_get(dcls_cpu_detect()), p, weight, k, expanded};
    dcls_parallel_for(dcls_threads_for(dcls_context_threads(ctx), words), p->panels, pack_panel, &work);
    return DCLS_OK;
}

/* ---- create -------------------------------------------------------------------------------------------- */

static void release(dcls_conv *conv)
{
    conv_pixels *c = (conv_pixels *)conv;
    free(c->first.weight);
    free(c->first.bias);
    free(c->second.weight);
}

static int64_t most_pixels(const conv_pixels *c)
{
    const double words = TILE_SHARE * (double)dcls_cpu_cache_bytes() / sizeof(float);
    const int64_t most = (int64_t)words / (input_words(c) + c->hidden_stride);
    return dcls_max_i64(DCLS_CONV_TILE_LEAST, dcls_min_i64(TILE_MOST, most));
}

static dcls_status set_work(dcls_context *ctx, conv_pixels *c)
{
    const dcls_geometry *g = &c->base.g;
    int64_t n = c->base.out_volume, inner = c->pair ? c->first.outputs : c->columns, shared = 0, scratch;
    double macs = (double)inner * (double)c->second.outputs;
    if (c->pair) macs += (double)c->columns * (double)c->first.outputs;
    dcls_conv_work work = {.total_macs = macs * (double)g->batch * (double)n};
    c->tiles = c->whole ? (dcls_conv_tiles){1, n}
                        : dcls_conv_cut(n, most_pixels(c), dcls_conv_tiles_wanted(g, c->threads));
    work.units = g->batch * (c->whole ? c->second.panels : c->tiles.count);
    work.macs = work.total_macs / (double)work.units;
    const int64_t row = input_words(c) + c->hidden_stride;
    bool fits = dcls_mul_i64(c->whole ? 0 : row, c->tiles.most, &scratch);
    if (c->whole) fits = fits && dcls_mul_i64(g->batch * n, row, &shared);
    if (!fits) return dcls_fail(ctx, DCLS_ERR_LIMIT, "the sizes of this convolution are too large");
    work.scratch_floats = (size_t)scratch + (size_t)DCLS_CONV_PANEL_SCRATCH(c->tiles.most);
    work.shared_floats = (size_t)shared;
    return dcls_conv_set_work(ctx, &c->base, work);
}

static dcls_status fill(dcls_context *ctx, conv_pixels *c, const dcls_conv_expansion *e, const float *weight)
{
    const int64_t words = c->bf16 != NULL ? dcls_ceil_div(c->columns, 2) : c->columns;
    c->second = (product){.outputs = c->base.g.out_channels, .words = words};
    c->panel_words = c->bf16 != NULL ? HALF : PANEL;
    if (c->pair) {
        c->first = (product){.outputs = e->channels, .words = words};
        DCLS_TRY(pack(ctx, c, &c->first, e->weight, c->columns, false));
        c->first.bias = dcls_conv_pack_bias(ctx, &c->base, e->channels, e->bias);
        if (c->first.bias == NULL) return DCLS_ERR_MEMORY;
        c->second.words = c->bf16 != NULL ? c->first.panels * HALF : e->channels;
        c->hidden_stride = c->first.panels * c->panel_words + PIXEL_GAP;
    }
    DCLS_TRY(pack(ctx, c, &c->second, weight, c->pair ? e->channels : c->columns, c->pair));
    return set_work(ctx, c);
}

static dcls_status create(dcls_context *ctx, const dcls_bf16 *bf16, int threads, const dcls_geometry *g,
                          const dcls_conv_expansion *e, const float *weight, const dcls_epilogue *epilogue,
                          dcls_conv **out)
{
    static const char *const names[2][2] = {{"dense", "dense bf16"}, {"fused", "fused bf16"}};
    const bool pair = e != NULL, whole = dcls_volume(g->out) <= TILE_WHOLE || (bf16 == NULL && !pair);
    const dcls_conv_method method = {.name = names[pair][bf16 != NULL],
                                     .prepare = prepare,
                                     .run_unit = whole ? run_panel : run_tile,
                                     .release = release};
    conv_pixels *c = dcls_conv_allocate(ctx, sizeof *c, &method, g, epilogue);
    if (c == NULL) return DCLS_ERR_MEMORY;
    c->bf16 = bf16;
    c->threads = threads > 0 ? threads : 1;
    c->pair = pair;
    c->whole = whole;
    c->reads_input = whole && bf16 == NULL && dcls_conv_is_pointwise(g);
    c->columns = g->in_channels * dcls_volume(g->kernel);
    if (pair) c->activation = e->activation;
    return dcls_conv_finish(&c->base, fill(ctx, c, e, weight), out);
}

bool dcls_conv_is_pointwise(const dcls_geometry *g)
{
    bool yes = true;
    for (int d = 0; d < 3; d++)
        yes = yes && g->kernel[d] == 1 && g->stride[d] == 1 && g->pad[d] == 0 && g->in[d] == g->out[d];
    return yes;
}

/* The columns of a plane are all made at once, those that only see padding among them. */
static bool has_handy_columns(const dcls_geometry *g)
{
    int64_t shift[3];
    const int64_t n = dcls_volume(g->out), columns = g->in_channels * dcls_volume(g->kernel);
    if (dcls_conv_is_pointwise(g)) return true;
    if (n * columns > COLUMNS_PLANE || g->batch * n * columns > COLUMNS_BATCH) return false;
    for (int64_t cell = 0; cell < dcls_volume(g->kernel); cell++)
        if (!dcls_conv_shift(g, cell, shift)) return false;
    return true;
}

/* Shares of the vectors' lanes that do something. */
bool dcls_conv_prefers_pixels(const dcls_geometry *g)
{
    const int64_t n = dcls_volume(g->out), m = g->out_channels;
    if (!dcls_conv_pixels_suits(g) || n > 4 * TILE_WHOLE || !has_handy_columns(g)) return false;
    const double by_pixels = (double)m / (double)(dcls_ceil_div(m, PANEL) * PANEL);
    const double by_channels = (double)n / (double)(dcls_ceil_div(n, PANEL / 2) * (PANEL / 2));
    return by_pixels > 1.03 * by_channels;
}

bool dcls_conv_pixels_suits(const dcls_geometry *g)
{
    return g->groups == 1;
}

dcls_status dcls_conv_create_pixels(dcls_context *ctx, const dcls_bf16 *bf16, int threads,
                                    const dcls_geometry *g, const float *weight,
                                    const dcls_epilogue *epilogue, dcls_conv **out)
{
    DCLS_TRY(dcls_conv_check(ctx, g));
    if (!dcls_conv_pixels_suits(g))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a convolution in %lld groups cannot run pixel by pixel",
                         (long long)g->groups);
    return create(ctx, bf16, threads, g, NULL, weight, epilogue, out);
}

dcls_status dcls_conv_create_pair(dcls_context *ctx, const dcls_bf16 *bf16, int threads,
                                  const dcls_geometry *g, const dcls_conv_expansion *e, const float *weight,
                                  const dcls_epilogue *epilogue, dcls_conv **out)
{
    DCLS_TRY(dcls_conv_check_pair(ctx, g, e));
    if (bf16 == NULL && dcls_conv_strassen_suits(g, e))
        return dcls_conv_create_strassen(ctx, threads, g, e, weight, epilogue, out);
    return create(ctx, bf16, threads, g, e, weight, epilogue, out);
}
