/* Operands of products of AMX tiles: weights once, inputs as they come. */
#include <string.h>

#include "base/threads.h"
#include "ops/conv_amx.h"
#include "ops/conv_panels.h"

int64_t dcls_amx_lines(const conv_amx *c, int64_t images, int64_t rows)
{
    const dcls_geometry *g = &c->base.g;
    return (images - 1) * c->height + rows + (g->kernel[1] - 1) * g->dilation[1];
}

/* ---- inputs -------------------------------------------------------------------------------------------- */

static void pack_columns(const dcls_conv_pass *pass, const amx_piece *piece, int64_t row, uint32_t *to,
                         float *line)
{
    const conv_amx *c = (const conv_amx *)pass->conv;
    const int64_t n = piece->pixels;
    for (int64_t i = 0; i < piece->images; i++, to += piece->apart) {
        const float *even = dcls_conv_column(pass, piece->image + i, 2 * row, piece->pixel, n, line);
        const float *odd = dcls_conv_column(pass, piece->image + i, 2 * row + 1, piece->pixel, n, line + n);
        c->amx->pack(c->parts, even, odd, to, c->input.rows * c->input.stride, n);
    }
}

static void clear(const conv_amx *c, uint32_t *to, int64_t n)
{
    for (int p = 0; p < c->parts; p++)
        memset(to + p * c->input.rows * c->input.stride, 0, (size_t)n * sizeof *to);
}

/* The row of which image a padded line is; NULL: zeros. */
static const float *line_of(const dcls_conv_pass *pass, const amx_piece *piece, int64_t channel, int64_t line)
{
    const conv_amx *c = (const conv_amx *)pass->conv;
    const dcls_geometry *g = &c->base.g;
    const int64_t image = piece->images > 1 ? line / c->height : 0;
    const int64_t y = piece->row + line - image * c->height - g->pad[1];
    if (y < 0 || y >= g->in[1] || image >= piece->images) return NULL;
    return pass->in + ((piece->image + image) * g->in_channels + channel) * c->base.in_volume + y * g->in[2];
}

/* Two channels of padded rows: what the piece's rows of outputs reach. */
static void pack_shifted(const dcls_conv_pass *pass, const amx_piece *piece, int64_t row, uint32_t *to,
                         float *zeros)
{
    const conv_amx *c = (const conv_amx *)pass->conv;
    const dcls_geometry *g = &c->base.g;
    const int64_t lines = dcls_amx_lines(c, piece->images, piece->rows), left = g->pad[2];
    if (2 * row >= g->in_channels) {
        clear(c, to, c->input.stride);
        return;
    }
    const bool odd = 2 * row + 1 < g->in_channels;
    if (!odd) memset(zeros, 0, (size_t)g->in[2] * sizeof *zeros);
    for (int64_t i = 0; i < lines; i++, to += c->width) {
        const float *even = line_of(pass, piece, 2 * row, i);
        clear(c, to, even != NULL ? left : c->width);
        if (even != NULL)
            c->amx->pack(c->parts, even, odd ? even + c->base.in_volume : zeros, to + left,
                         c->input.rows * c->input.stride, g->in[2]);
    }
    clear(c, to, left); /* beyond the last row */
}

void dcls_amx_pack_rows(const dcls_conv_pass *pass, const amx_piece *piece, int64_t from, int64_t to,
                        uint32_t *packed, float *line)
{
    const conv_amx *c = (const conv_amx *)pass->conv;
    for (int64_t row = from; row < to; row++, packed += c->input.stride)
        if (c->shifted)
            pack_shifted(pass, piece, row, packed, line);
        else
            pack_columns(pass, piece, row, packed, line);
}

int64_t dcls_amx_line_floats(const conv_amx *c)
{
    return c->shifted ? c->base.g.in[2] : 2 * c->most * AMX_SIDE;
}

/* ---- weights ------------------------------------------------------------------------------------------- */

typedef struct packing {
    const conv_amx *c;
    const amx_matrix *m;
    const float *weight;
} packing;

/* Where a step is: which block and cell. Cells of a block follow each other, for they read the same lines. */
static int64_t block_of(const amx_matrix *m, int64_t step, int64_t *cell)
{
    *cell = step % m->cells;
    return step / m->cells;
}

/* Terms of one output in one block, even and odd ones apart. */
static void gather(const packing *p, int64_t output, int64_t block, int64_t cell, float *even, float *odd)
{
    const amx_matrix *m = p->m;
    const float *w = p->weight + output * m->terms * m->cells + cell;
    for (int64_t j = 0; j < AMX_SIDE; j++) {
        const int64_t k = block * AMX_TERMS + 2 * j;
        const bool real = output < m->outputs;
        even[j] = real && k < m->terms ? w[k * m->cells] : 0.0f;
        odd[j] = real && k + 1 < m->terms ? w[(k + 1) * m->cells] : 0.0f;
    }
}

/* One chunk of a panel. */
static void pack_panel(void *arg, int64_t item, int worker)
{
    const packing *p = arg;
    const amx_matrix *m = p->m;
    (void)worker;
    const int64_t panel = item % m->panels, from = item / m->panels * m->chunk * m->cells;
    const int64_t rows = dcls_min_i64(AMX_PANEL, m->outputs - panel * AMX_PANEL);
    const int64_t tiles = dcls_ceil_div(rows, AMX_SIDE), part = tiles * DCLS_AMX_TILE;
    int64_t steps;
    uint32_t *to = m->a + dcls_amx_place(p->c, m, panel, from, &steps);
    if (m->cells == 1) {
        const int64_t k = from * AMX_TERMS;
        p->c->amx->pack_tiles(p->c->parts, p->weight + panel * AMX_PANEL * m->terms + k, m->terms, rows,
                              dcls_min_i64(m->terms - k, steps * AMX_TERMS), tiles, to);
        return;
    }
    float even[DCLS_AMX_SIDE], odd[DCLS_AMX_SIDE];
    for (int64_t step = from; step < from + steps; step++, to += p->c->parts * part) {
        int64_t cell, block = block_of(m, step, &cell);
        for (int64_t r = 0; r < tiles * AMX_SIDE; r++) {
            gather(p, panel * AMX_PANEL + r, block, cell, even, odd);
            p->c->amx->pack(p->c->parts, even, odd, to + r * AMX_SIDE, part, AMX_SIDE);
        }
    }
}

dcls_status dcls_amx_pack_weights(dcls_context *ctx, conv_amx *c, amx_matrix *m, const float *weight,
                                  const amx_layout *with)
{
    const dcls_geometry *g = &c->base.g;
    packing p = {c, m, weight};
    int64_t count;
    if (!dcls_mul_i64(m->panels * m->steps, c->parts * DCLS_AMX_ROWS * DCLS_AMX_TILE, &count))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the sizes of this convolution are too large");
    m->start = dcls_conv_pack(ctx, &c->base, m->steps, sizeof *m->start);
    if (m->start == NULL) return DCLS_ERR_MEMORY;
    for (int64_t s = 0; s < m->steps; s++) {
        int64_t cell, block = block_of(m, s, &cell);
        m->start[s] = block % m->chunk * AMX_SIDE * with->stride;
        if (m->cells > 1)
            m->start[s] +=
                cell / g->kernel[2] * g->dilation[1] * c->width + cell % g->kernel[2] * g->dilation[2];
    }
    m->a = dcls_conv_pack(ctx, &c->base, count, sizeof *m->a);
    if (m->a == NULL) return DCLS_ERR_MEMORY;
    dcls_parallel_for(dcls_context_threads(ctx), m->panels * dcls_ceil_div(m->blocks, m->chunk), pack_panel,
                      &p);
    return DCLS_OK;
}
