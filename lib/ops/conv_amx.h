/* Convolutions as products of AMX tiles; conv_amx.c says how. Nobody but conv_amx*.c includes this. */
#ifndef DCLS_OPS_CONV_AMX_H
#define DCLS_OPS_CONV_AMX_H

#include "ops/conv_internal.h"
#include "simd/amx.h"

#define AMX_SIDE  DCLS_AMX_SIDE
#define AMX_TERMS (2 * DCLS_AMX_SIDE)             /* of a step */
#define AMX_PANEL (DCLS_AMX_ROWS * DCLS_AMX_SIDE) /* outputs of one product */

/* The weights of one product, packed: for every chunk of blocks, panels of [steps, parts, row tiles, 16, 16]
 * pairs, as they are used. Steps go block by block of AMX_TERMS channels, and within it cell by cell of the
 * window. */
typedef struct amx_matrix {
    int64_t outputs, panels;
    int64_t terms, cells; /* of one output: channels (or columns) and cells of the window */
    int64_t blocks, chunk, steps;
    uint32_t *a;
    int64_t *start; /* [steps] in the chunk of the operand that it is multiplied with */
} amx_matrix;

/* An operand, [parts, rows of pairs, stride]. */
typedef struct amx_layout {
    int64_t rows, stride;
} amx_layout;

typedef struct conv_amx {
    dcls_conv base;
    const dcls_amx *amx;
    int parts, threads;
    bool pair, shifted;
    bool whole;               /* planes are not cut: units are panels of outputs */
    bool grows;               /* sums of all outputs are kept while chunks of the operand pass */
    amx_matrix first, second; /* second alone when there is no pair */
    float *bias;              /* of the first, [panels, AMX_PANEL] */
    dcls_activation activation;
    int64_t columns; /* of an unshifted operand */
    /* Of padded planes of a shifted one: what lies beyond a row, or below an image, is what lies before the
     * next. */
    int64_t width, height;
    int64_t pieces, most; /* of a plane; tiles of pixels, or rows of outputs (shifted), in one at most */
    amx_layout input, hidden;
    int64_t c_stride;
} conv_amx;

/* Part of the plane of one image, or whole planes of several: results of one begin at every `apart` columns,
 * of which `pixels` in a row count (unshifted), or g.out[2] from the beginning of each of `rows` padded rows
 * (shifted). */
typedef struct amx_piece {
    int64_t image, images, apart;
    int64_t pixel, pixels;
    int64_t row, rows;
    int64_t column_tiles;
} amx_piece;

amx_piece dcls_amx_piece_at(const conv_amx *c, int64_t image, int64_t images, int64_t index);
static inline int64_t amx_pairs(const conv_amx *c, const amx_layout *layout)
{
    return c->parts * layout->rows * layout->stride;
}

/* A panel of sums, and those of all outputs where they grow. */
static inline int64_t dcls_amx_panel_floats(const conv_amx *c)
{
    return AMX_PANEL * c->c_stride;
}

static inline int64_t dcls_amx_sums_floats(const conv_amx *c)
{
    return (c->grows ? c->second.panels + 1 : 1) * dcls_amx_panel_floats(c);
}

/* conv_amx_cut.c: whether reading shifted planes is faster than making columns; pieces that fit the cache and
 * give `threads` threads something to do, or else whole planes; images: of a run. */
bool dcls_amx_prefers_shifted(const dcls_geometry *g);
void dcls_amx_cut(conv_amx *c, int threads, int64_t images);

/* Rows of pairs [from, to) of the input of a piece. line: amx_line_floats floats of scratch. */
void dcls_amx_pack_rows(const dcls_conv_pass *pass, const amx_piece *piece, int64_t from, int64_t to,
                        uint32_t *packed, float *line);
/* Padded rows that so many rows of outputs of the last of some images reach. */
int64_t dcls_amx_lines(const conv_amx *c, int64_t images, int64_t rows);
int64_t dcls_amx_line_floats(const conv_amx *c);

/* Pairs before steps from `from` on of a panel; in_chunk: steps of its chunk. */
static inline int64_t dcls_amx_place(const conv_amx *c, const amx_matrix *m, int64_t panel, int64_t from,
                                     int64_t *in_chunk)
{
    const int64_t size = m->chunk * m->cells, first = from / size * size, step = c->parts * DCLS_AMX_TILE;
    const int64_t tiles =
        dcls_min_i64(DCLS_AMX_ROWS, dcls_ceil_div(m->outputs - panel * AMX_PANEL, AMX_SIDE));
    *in_chunk = dcls_min_i64(size, m->steps - first);
    return ((first * m->panels + panel * *in_chunk) * DCLS_AMX_ROWS + (from - first) * tiles) * step;
}

/* Packs weight [outputs, terms, cells], to be multiplied with an operand of that layout. */
dcls_status dcls_amx_pack_weights(dcls_context *ctx, conv_amx *c, amx_matrix *m, const float *weight,
                                  const amx_layout *with);

#endif
