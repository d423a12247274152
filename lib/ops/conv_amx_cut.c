/* How products of AMX tiles cut planes: what a piece holds, and how many pieces there are. */
#include "ops/conv_amx.h"

/* Pairs of all that a piece holds besides weights: three quarters of a second-level cache of 2 MiB. */
#define PIECE_PAIRS ((int64_t)400 << 10)
/* Column tiles of a piece, at least, where there is a choice: it reads all weights. */
#define PIECE_LEAST ((int64_t)6)
/* Columns of several images together, at least. */
#define GROUP_COLUMNS ((int64_t)160)
/* Pairs of weights that every thread may as well read all of. */
#define FEW_WEIGHTS ((int64_t)256 << 10)
/* Parts of blocks of a chunk. */
#define CHUNK_PARTS ((int64_t)24)
/* Rows lie this much further apart than they are long: powers of two would make them share the sets of the
 * first-level cache. */
#define ROW_GAP ((int64_t)16)

/* ---- pieces -------------------------------------------------------------------------------------------- */

amx_piece dcls_amx_piece_at(const conv_amx *c, int64_t image, int64_t images, int64_t index)
{
    const dcls_geometry *g = &c->base.g;
    amx_piece p = {.image = image, .images = images};
    if (c->shifted) {
        p.apart = c->height * c->width;
        p.row = g->out[1] * index / c->pieces;
        p.rows = g->out[1] * (index + 1) / c->pieces - p.row;
        p.column_tiles =
            dcls_ceil_div((images - 1) * p.apart + (p.rows - 1) * c->width + g->out[2], AMX_SIDE);
        return p;
    }
    const int64_t tiles = dcls_ceil_div(c->base.out_volume, AMX_SIDE), first = tiles * index / c->pieces;
    p.apart = c->base.out_volume;
    p.pixel = first * AMX_SIDE;
    p.pixels = dcls_min_i64(c->base.out_volume, tiles * (index + 1) / c->pieces * AMX_SIDE) - p.pixel;
    p.column_tiles = dcls_ceil_div((images - 1) * p.apart + p.pixels, AMX_SIDE);
    return p;
}

/* ---- cutting ------------------------------------------------------------------------------------------- */

/* Nanoseconds, about, that a column costs: sums, and one more line of the operand. */
#define SUM_COST  0.005
#define PACK_COST 0.15
#define COPY_COST 0.4 /* of a number in a column that is made */

/* Whether reading shifted planes is faster than making columns. */
bool dcls_amx_prefers_shifted(const dcls_geometry *g)
{
    if (dcls_conv_is_pointwise(g) || g->kernel[0] != 1 || g->in[0] != 1 || g->out[0] != 1 || g->pad[0] != 0)
        return false;
    for (int d = 1; d < 3; d++)
        if (g->stride[d] != 1 || g->pad[d] < 0 || g->out[d] > g->in[d] + g->pad[d] ||
            g->out[d] + (g->kernel[d] - 1) * g->dilation[d] > g->in[d] + 2 * g->pad[d])
            return false;
    const double outputs = (double)(dcls_ceil_div(g->out_channels, AMX_SIDE) * AMX_SIDE) * SUM_COST;
    const double cells = (double)dcls_volume(g->kernel), channels = (double)g->in_channels;
    const double width = (double)(g->in[2] + g->pad[2]) / (double)g->out[2];
    const double channels_made = (double)dcls_ceil_div(g->in_channels, AMX_TERMS) * (double)AMX_TERMS;
    return cells * channels_made * width * outputs + channels * width * PACK_COST <
           cells * channels * (outputs + PACK_COST + COPY_COST);
}

/* Columns that a piece takes at most. */
static int64_t columns_of(const conv_amx *c)
{
    const dcls_geometry *g = &c->base.g;
    int64_t columns = c->most * AMX_SIDE;
    if (c->shifted) columns = (c->most - 1) * c->width + g->out[2];
    columns += (c->base.group - 1) * (c->shifted ? c->height * c->width : c->base.out_volume);
    return dcls_ceil_div(columns, AMX_SIDE) * AMX_SIDE;
}

/* Pairs in a row of the input: what columns reach, and all that is packed. */
static int64_t stride_of(const conv_amx *c, int64_t columns)
{
    const dcls_geometry *g = &c->base.g;
    if (!c->shifted) return columns;
    const int64_t reach =
        (g->kernel[1] - 1) * g->dilation[1] * c->width + (g->kernel[2] - 1) * g->dilation[2];
    return dcls_max_i64(columns + reach, dcls_amx_lines(c, c->base.group, c->most) * c->width + g->pad[2]);
}

static void set_layout(conv_amx *c)
{
    const int64_t columns = columns_of(c);
    amx_matrix *m = &c->second;
    m->chunk = dcls_max_i64(1, dcls_min_i64(CHUNK_PARTS / c->parts, m->blocks));
    if (!c->pair && 2 * m->blocks <= 3 * m->chunk) m->chunk = m->blocks;
    c->grows = m->chunk < m->blocks || (c->pair && !c->whole);
    c->c_stride = columns + ROW_GAP;
    c->input.stride = dcls_ceil_div(stride_of(c, columns), AMX_SIDE) * AMX_SIDE;
    if (c->input.stride % (4 * AMX_SIDE) == 0) c->input.stride += ROW_GAP;
    c->input.rows = (c->pair ? c->first.blocks : m->chunk) * AMX_SIDE;
    if (c->pair) c->hidden = (amx_layout){m->chunk * AMX_SIDE, columns + ROW_GAP};
}

/* Pairs, or sums, that a piece keeps in the second-level cache. */
static double piece_pairs(const conv_amx *c)
{
    return (double)amx_pairs(c, &c->input) + (double)amx_pairs(c, &c->hidden) +
           (double)dcls_amx_sums_floats(c);
}

static int64_t weight_pairs(const conv_amx *c)
{
    const int64_t steps = c->first.panels * c->first.steps + c->second.panels * c->second.steps;
    return steps * c->parts * DCLS_AMX_ROWS * DCLS_AMX_TILE;
}

/* Small planes go several at once. */
static void join_images(conv_amx *c, int64_t images)
{
    if (c->pieces > 1) return;
    while (c->base.group < images && columns_of(c) < GROUP_COLUMNS) {
        c->base.group++;
        set_layout(c);
        if (piece_pairs(c) <= (double)PIECE_PAIRS) continue;
        c->base.group--;
        set_layout(c);
        return;
    }
}

/* Pieces that fit the cache and give every thread something to do, or else whole planes. */
void dcls_amx_cut(conv_amx *c, int threads, int64_t images)
{
    const dcls_geometry *g = &c->base.g;
    const int64_t total = c->shifted ? g->out[1] : dcls_ceil_div(c->base.out_volume, AMX_SIDE);
    const int64_t least = c->shifted ? dcls_ceil_div(PIECE_LEAST * AMX_SIDE, c->width) : PIECE_LEAST;
    /* Every piece packs what it reaches beyond its rows. */
    const int64_t few = c->shifted ? dcls_min_i64(total, (g->kernel[1] - 1) * g->dilation[1] + 1) : 1;
    threads = threads > 1 ? threads : 1;
    c->base.group = c->pieces = 1;
    c->most = total;
    set_layout(c);
    c->whole = images < threads && total < threads * (weight_pairs(c) < FEW_WEIGHTS ? 1 : 2) * least &&
               c->second.panels >= threads && piece_pairs(c) <= (double)PIECE_PAIRS;
    set_layout(c);
    if (c->whole) return;
    while (c->most > few && piece_pairs(c) > (double)PIECE_PAIRS) {
        c->pieces++;
        c->most = dcls_ceil_div(total, c->pieces);
        set_layout(c);
    }
    const int64_t shares = dcls_ceil_div(threads, images); /* of an image */
    if (c->pieces % shares != 0) {
        const int64_t even = dcls_ceil_div(c->pieces, shares) * shares;
        if (total >= even * dcls_max_i64(1, least / 2)) c->pieces = even;
    }
    c->most = dcls_ceil_div(total, c->pieces);
    set_layout(c);
    join_images(c, images / threads);
}
