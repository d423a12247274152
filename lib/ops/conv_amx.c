/*
 * Convolutions of one group as products of AMX tiles (simd/amx.h), of floats in three parts or of bfloat16
 * numbers: one of any window, or a pair of pointwise ones with an activation between.
 *
 * The input is packed first, in one of two ways. Unshifted, its rows are columns of im2col (channels, where
 * the window is one cell). Shifted, its rows are channels of the padded plane, and each cell of the window
 * reads them from another place on: nothing is copied for a cell, but sums are made at padded pixels too.
 *
 * Many channels are taken chunk by chunk, as are those between a pair, while sums of all outputs grow. Planes
 * are cut into pieces of pixels; where there are fewer of these than threads, the input is packed once for
 * all, and panels of outputs are shared out instead. How a plane is cut does not show in results.
 */
#include "ops/conv_amx.h"

#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "ops/conv_panels.h"

/* ---- products ------------------------------------------------------------------------------------------ */

static int64_t rows_of(const amx_matrix *m, int64_t panel)
{
    return dcls_min_i64(AMX_PANEL, m->outputs - panel * AMX_PANEL);
}

/* An operand of so many columns. */
typedef struct operand {
    const uint32_t *at;
    const amx_layout *layout;
    int64_t column_tiles;
} operand;

/* Steps [from, to) of one panel, added to those before, which lie in sums already. */
static void multiply(const conv_amx *c, const amx_matrix *m, int64_t panel, int64_t from, int64_t to,
                     const operand *x, float *sums)
{
    int64_t in_chunk;
    const uint32_t *a = m->a + dcls_amx_place(c, m, panel, from, &in_chunk);
    const dcls_amx_product g = {.parts = c->parts,
                                .row_tiles = dcls_ceil_div(rows_of(m, panel), AMX_SIDE),
                                .column_tiles = x->column_tiles,
                                .steps = to - from,
                                .start = m->start + from,
                                .a = a,
                                .b = x->at,
                                .b_stride = x->layout->stride,
                                .b_part = x->layout->rows * x->layout->stride,
                                .c = sums,
                                .c_stride = c->c_stride,
                                .add = from > 0,
                                .next = a + in_chunk * c->parts * DCLS_AMX_ROWS * DCLS_AMX_TILE};
    c->amx->multiply(&g);
}

/* One panel of the intermediate, packed. at: where the first of its rows of pairs goes. */
static void expand(const dcls_conv_pass *pass, int64_t panel, const operand *input, uint32_t *at, float *sums)
{
    const conv_amx *c = (const conv_amx *)pass->conv;
    const int64_t n = input->column_tiles * AMX_SIDE, rows = rows_of(&c->first, panel);
    multiply(c, &c->first, panel, 0, c->first.steps, input, sums);
    for (int64_t r = 0; r < AMX_PANEL; r++) {
        float *row = sums + r * c->c_stride;
        if (r < rows)
            pass->simd->epilogue(row, NULL, n, c->bias[panel * AMX_PANEL + r], c->activation, 1, 0,
                                 DCLS_ACT_NONE);
        else
            memset(row, 0, (size_t)n * sizeof *row);
    }
    for (int64_t r = 0; r < AMX_PANEL; r += 2)
        c->amx->pack(c->parts, sums + r * c->c_stride, sums + (r + 1) * c->c_stride,
                     at + r / 2 * c->hidden.stride, c->hidden.rows * c->hidden.stride, n);
}

/* ---- results ------------------------------------------------------------------------------------------- */

/* n results of one plane, finished on their way into it: panels of one row lie side by side. */
static void write_run(const dcls_conv_pass *pass, int64_t plane, int64_t pixel, const float *sums, int64_t n)
{
    dcls_conv_finish_rows(pass, plane, 1, pixel, n, sums, DCLS_GEMM_PANEL);
}

/* Rows of a padded plane without a residual are finished whole, for runs may be short. */
static void write_shifted(const dcls_conv_pass *pass, int64_t plane, const amx_piece *piece, float *sums)
{
    const conv_amx *c = (const conv_amx *)pass->conv;
    const int64_t width = c->base.g.out[2], pixel = piece->row * width;
    if (pass->residual == NULL)
        dcls_epilogue_apply(pass->simd, &c->base.epilogue, plane % c->base.g.out_channels, sums, NULL,
                            (piece->rows - 1) * c->width + width);
    for (int64_t y = 0; y < piece->rows; y++) {
        float *from = sums + y * c->width;
        if (pass->residual != NULL)
            write_run(pass, plane, pixel + y * width, from, width);
        else
            memcpy(pass->out + plane * c->base.out_volume + pixel + y * width, from,
                   (size_t)width * sizeof *from);
    }
}

static void write_panel(const dcls_conv_pass *pass, const amx_piece *piece, int64_t panel, float *sums)
{
    const conv_amx *c = (const conv_amx *)pass->conv;
    for (int64_t i = 0; i < piece->images; i++)
        for (int64_t r = 0; r < rows_of(&c->second, panel); r++) {
            const int64_t plane = (piece->image + i) * c->base.g.out_channels + panel * AMX_PANEL + r;
            float *from = sums + r * c->c_stride + i * piece->apart;
            if (c->shifted)
                write_shifted(pass, plane, piece, from);
            else
                write_run(pass, plane, piece->pixel, from, piece->pixels);
        }
}

/* ---- pieces -------------------------------------------------------------------------------------------- */

/* The chunk of blocks that begins with `first`, of one panel of outputs. */
static void multiply_chunk(const conv_amx *c, int64_t first, int64_t panel, const operand *x, float *sums)
{
    const amx_matrix *m = &c->second;
    const int64_t end = dcls_min_i64(m->blocks, first + m->chunk);
    multiply(c, m, panel, first * m->cells, end * m->cells, x, sums);
}

/* Where a worker keeps what: sums, the packed input, a chunk of the intermediate, a line. */
typedef struct memory {
    float *sums;
    uint32_t *input, *hidden;
    float *line;
} memory;

static memory memory_of(const conv_amx *c, float *scratch)
{
    memory at = {.sums = scratch, .input = (uint32_t *)(void *)(scratch + dcls_amx_sums_floats(c))};
    at.hidden = at.input + amx_pairs(c, &c->input);
    at.line = (float *)(void *)(at.hidden + amx_pairs(c, &c->hidden));
    return at;
}

/* Chunk by chunk of the operand of the second product: of the intermediate, or of the input. */
static void run_chunks(const dcls_conv_pass *pass, const amx_piece *piece, const memory *at)
{
    const conv_amx *c = (const conv_amx *)pass->conv;
    const amx_matrix *m = &c->second;
    const operand input = {at->input, &c->input, piece->column_tiles},
                  hidden = {at->hidden, &c->hidden, piece->column_tiles};
    float *outputs = at->sums + dcls_amx_panel_floats(c);
    for (int64_t first = 0; first < m->blocks; first += m->chunk) {
        const int64_t end = dcls_min_i64(m->blocks, first + m->chunk);
        if (!c->pair) dcls_amx_pack_rows(pass, piece, first * AMX_SIDE, end * AMX_SIDE, at->input, at->line);
        for (int64_t panel = first; c->pair && panel < end; panel++)
            expand(pass, panel, &input, at->hidden + (panel - first) * AMX_SIDE * c->hidden.stride, at->sums);
        for (int64_t panel = 0; panel < m->panels; panel++)
            multiply_chunk(c, first, panel, c->pair ? &hidden : &input,
                           outputs + panel * dcls_amx_panel_floats(c));
    }
    for (int64_t panel = 0; panel < m->panels; panel++)
        write_panel(pass, piece, panel, outputs + panel * dcls_amx_panel_floats(c));
}

static void run_piece(const dcls_conv_pass *pass, int64_t unit, float *scratch)
{
    const conv_amx *c = (const conv_amx *)pass->conv;
    const int64_t image = unit / c->pieces * c->base.group;
    const amx_piece piece =
        dcls_amx_piece_at(c, image, dcls_min_i64(c->base.group, pass->images - image), unit % c->pieces);
    const memory at = memory_of(c, scratch);
    const operand input = {at.input, &c->input, piece.column_tiles};
    c->amx->begin();
    if (c->pair || !c->grows) dcls_amx_pack_rows(pass, &piece, 0, c->input.rows, at.input, at.line);
    if (c->grows)
        run_chunks(pass, &piece, &at);
    else
        for (int64_t panel = 0; panel < c->second.panels; panel++) {
            multiply_chunk(c, 0, panel, &input, at.sums);
            write_panel(pass, &piece, panel, at.sums);
        }
    c->amx->end();
}

/* ---- whole planes, one image after the other: panels are shared out, chunk by chunk. Shared: sums of all
 * outputs where they grow, the input, a chunk of the intermediate. ---- */

typedef struct whole_plane {
    const dcls_conv_pass *pass;
    amx_piece piece;
    int64_t first; /* block of the chunk */
    float *outputs;
    uint32_t *input, *hidden;
} whole_plane;

/* A worker's: a panel of sums, a line. */
static memory own_memory(const whole_plane *w, int worker)
{
    const conv_amx *c = (const conv_amx *)w->pass->conv;
    memory at = {.sums = dcls_conv_scratch(w->pass, worker)};
    at.line = at.sums + dcls_amx_panel_floats(c);
    return at;
}

/* AMX_SIDE rows of pairs. */
static void pack_block(void *arg, int64_t block, int worker)
{
    const whole_plane *w = arg;
    const conv_amx *c = (const conv_amx *)w->pass->conv;
    const int64_t from = (w->first + block) * AMX_SIDE;
    dcls_amx_pack_rows(w->pass, &w->piece, from, from + AMX_SIDE,
                       w->input + block * AMX_SIDE * c->input.stride, own_memory(w, worker).line);
}

static void expand_panel(void *arg, int64_t item, int worker)
{
    const whole_plane *w = arg;
    const conv_amx *c = (const conv_amx *)w->pass->conv;
    const memory at = own_memory(w, worker);
    const operand input = {w->input, &c->input, w->piece.column_tiles};
    c->amx->begin();
    expand(w->pass, w->first + item, &input, w->hidden + item * AMX_SIDE * c->hidden.stride, at.sums);
    c->amx->end();
}

static void add_panel(void *arg, int64_t panel, int worker)
{
    const whole_plane *w = arg;
    const conv_amx *c = (const conv_amx *)w->pass->conv;
    const memory at = own_memory(w, worker);
    const operand x = {c->pair ? w->hidden : w->input, c->pair ? &c->hidden : &c->input,
                       w->piece.column_tiles};
    float *sums = c->grows ? w->outputs + panel * dcls_amx_panel_floats(c) : at.sums;
    c->amx->begin();
    multiply_chunk(c, w->first, panel, &x, sums);
    c->amx->end();
    if (w->first + c->second.chunk >= c->second.blocks) write_panel(w->pass, &w->piece, panel, sums);
}

static void run_whole(const dcls_conv_pass *pass, int threads)
{
    const conv_amx *c = (const conv_amx *)pass->conv;
    const amx_matrix *m = &c->second;
    whole_plane w = {.pass = pass, .outputs = pass->shared};
    w.input = (uint32_t *)(void *)(pass->shared + dcls_amx_sums_floats(c));
    w.hidden = w.input + amx_pairs(c, &c->input);
    for (int64_t image = 0; image < pass->images; image++) {
        w.piece = dcls_amx_piece_at(c, image, 1, 0);
        w.first = 0;
        if (c->pair) dcls_parallel_for(threads, c->first.blocks, pack_block, &w);
        for (; w.first < m->blocks; w.first += m->chunk) {
            const int64_t blocks = dcls_min_i64(m->chunk, m->blocks - w.first);
            dcls_parallel_for(threads, blocks, c->pair ? expand_panel : pack_block, &w);
            dcls_parallel_for(threads, m->panels, add_panel, &w);
        }
    }
}

/* ---- create -------------------------------------------------------------------------------------------- */

static void release(dcls_conv *conv)
{
    conv_amx *c = (conv_amx *)conv;
    free(c->first.a);
    free(c->first.start);
    free(c->second.a);
    free(c->second.start);
    free(c->bias);
}

static dcls_status set_work(dcls_context *ctx, conv_amx *c)
{
    const dcls_geometry *g = &c->base.g;
    double macs = (double)c->second.terms * (double)c->second.cells * (double)c->second.outputs;
    if (c->pair) macs += (double)c->first.terms * (double)c->first.outputs;
    const int64_t panels = dcls_max_i64(c->first.panels, c->second.panels);
    dcls_conv_work work = {.units = c->whole ? panels : dcls_ceil_div(g->batch, c->base.group) * c->pieces,
                           .total_macs = macs * (double)g->batch * (double)c->base.out_volume};
    work.macs = work.total_macs / (double)work.units;
    int64_t pairs;
    if (!dcls_mul_i64(c->input.rows * c->parts, c->input.stride, &pairs) || pairs > INT64_MAX / 4)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the sizes of this convolution are too large");
    pairs += amx_pairs(c, &c->hidden);
    work.shared_floats = (size_t)(c->whole ? pairs + dcls_amx_sums_floats(c) : 0);
    work.scratch_floats = (size_t)(c->whole ? dcls_amx_panel_floats(c) : pairs + dcls_amx_sums_floats(c)) +
                          (size_t)dcls_amx_line_floats(c);
    return dcls_conv_set_work(ctx, &c->base, work);
}

static amx_matrix matrix(int64_t outputs, int64_t terms, int64_t cells)
{
    const int64_t blocks = dcls_ceil_div(terms, AMX_TERMS);
    return (amx_matrix){.outputs = outputs,
                        .panels = dcls_ceil_div(outputs, AMX_PANEL),
                        .terms = terms,
                        .cells = cells,
                        .blocks = blocks,
                        .chunk = blocks,
                        .steps = blocks * cells};
}

static dcls_status fill(dcls_context *ctx, conv_amx *c, int64_t images, const dcls_conv_expansion *e,
                        const float *weight)
{
    const dcls_geometry *g = &c->base.g;
    const int64_t cells = dcls_volume(g->kernel);
    if (!dcls_conv_amx_fits(g))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the sizes of this convolution are too large");
    c->columns = g->in_channels * cells;
    c->width = g->in[2] + g->pad[2];
    c->height = g->in[1] + g->pad[1];
    if (e != NULL) {
        c->first = matrix(e->channels, g->in_channels, 1);
        c->second = matrix(g->out_channels, e->channels, 1);
        c->activation = e->activation;
        c->bias = dcls_conv_pack_bias(ctx, &c->base, e->channels, e->bias);
        if (c->bias == NULL) return DCLS_ERR_MEMORY;
    } else {
        c->second = c->shifted ? matrix(g->out_channels, g->in_channels, cells)
                               : matrix(g->out_channels, c->columns, 1);
    }
    dcls_amx_cut(c, c->threads, dcls_max_i64(g->batch, images));
    if (e != NULL) DCLS_TRY(dcls_amx_pack_weights(ctx, c, &c->first, e->weight, &c->input));
    DCLS_TRY(dcls_amx_pack_weights(ctx, c, &c->second, weight, c->pair ? &c->hidden : &c->input));
    return set_work(ctx, c);
}

static dcls_status create(dcls_context *ctx, dcls_conv_how how, const dcls_geometry *g,
                          const dcls_conv_expansion *e, const float *weight, const dcls_epilogue *epilogue,
                          dcls_conv **out)
{
    static const char *const names[2][2] = {{"dense amx", "dense bf16"}, {"fused amx", "fused bf16"}};
    const dcls_conv_method method = {
        .name = names[e != NULL][how.parts == 1], .run_unit = run_piece, .release = release};
    conv_amx *c = dcls_conv_allocate(ctx, sizeof *c, &method, g, epilogue);
    if (c == NULL) return DCLS_ERR_MEMORY;
    c->amx = how.amx;
    c->parts = how.parts;
    c->threads = how.threads;
    c->pair = e != NULL;
    c->shifted = !c->pair && dcls_amx_prefers_shifted(g);
    const dcls_status status = fill(ctx, c, how.images, e, weight);
    if (c->whole) c->base.method.run = run_whole;
    return dcls_conv_finish(&c->base, status, out);
}

/* No product of two sizes, padded, overflows then, where dcls_conv_check has passed. */
#define LARGE ((int64_t)1 << 30)

bool dcls_conv_amx_fits(const dcls_geometry *g)
{
    int64_t plane, terms;
    return dcls_mul_i64(g->in[1] + 2 * llabs(g->pad[1]), g->in[2] + 2 * llabs(g->pad[2]), &plane) &&
           plane < LARGE && dcls_volume(g->out) < LARGE && g->out_channels < LARGE &&
           dcls_mul_i64(g->in_channels, dcls_volume(g->kernel), &terms) && terms < LARGE;
}

/* Tiles that stay half empty lose to vectors. */
bool dcls_conv_amx_suits(const dcls_geometry *g)
{
    return dcls_conv_amx_fits(g) && g->groups == 1 && g->out_channels > AMX_SIDE / 2 &&
           g->in_channels * dcls_volume(g->kernel) >= AMX_SIDE && dcls_volume(g->out) >= AMX_SIDE / 2;
}

dcls_status dcls_conv_create_amx(dcls_context *ctx, dcls_conv_how how, const dcls_geometry *g,
                                 const float *weight, const dcls_epilogue *epilogue, dcls_conv **out)
{
    DCLS_TRY(dcls_conv_check(ctx, g));
    if (g->groups != 1)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a convolution in %lld groups cannot run on AMX",
                         (long long)g->groups);
    return create(ctx, how, g, NULL, weight, epilogue, out);
}

dcls_status dcls_conv_create_amx_pair(dcls_context *ctx, dcls_conv_how how, const dcls_geometry *g,
                                      const dcls_conv_expansion *e, const float *weight,
                                      const dcls_epilogue *epilogue, dcls_conv **out)
{
    DCLS_TRY(dcls_conv_check_pair(ctx, g, e));
    return create(ctx, how, g, e, weight, epilogue, out);
}
