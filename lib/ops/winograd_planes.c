#include "ops/winograd_planes.h"

#include <string.h>

#include "ops/tiles.h"

#define POINTS DCLS_WINOGRAD_POINTS
#define COPY   DCLS_WINOGRAD_COPY

/* ---- tiles --------------------------------------------------------------------------------------------- */

dcls_status dcls_winograd_tiling_create(dcls_context *ctx, const dcls_geometry *g, int64_t images,
                                        dcls_winograd_tiling *out)
{
    *out = (dcls_winograd_tiling){.joined = dcls_winograd_joined(g, images)};
    DCLS_TRY(dcls_winograd_axis_create(ctx, g, 1, 1, &out->rows));
    DCLS_TRY(dcls_winograd_axis_create(ctx, g, 2, out->joined, &out->columns));
    out->points = out->rows.points * out->columns.points;
    return DCLS_OK;
}

void dcls_winograd_tiling_free(dcls_winograd_tiling *tiling)
{
    dcls_winograd_axis_free(&tiling->rows);
    dcls_winograd_axis_free(&tiling->columns);
}

dcls_winograd_band dcls_winograd_band_at(const dcls_winograd_tiling *t, int64_t i, int64_t bands,
                                         int64_t height)
{
    const dcls_winograd_axis *rows = &t->rows, *columns = &t->columns;
    dcls_winograd_band b = {
        .from = rows->tiles * i / bands, .to = rows->tiles * (i + 1) / bands, .lowest = height};
    for (int64_t tile = b.from; tile < b.to; tile++)
        for (int e = 0; e < dcls_winograd_kind_of(rows, tile)->inputs; e++) {
            int64_t row = rows->in[e * rows->tiles + tile];
            if (row > 0) b.lowest = dcls_min_i64(b.lowest, row);
            b.highest = dcls_max_i64(b.highest, row);
        }
    if (b.highest < b.lowest) b.lowest = b.highest + 1; /* nothing but padding */
    for (int64_t p = 0; p < rows->points; p++)
        for (int64_t q = 0; q < columns->points; q++) {
            int64_t used = dcls_min_i64(b.to, rows->uses[p]) - b.from, at = p * columns->points + q;
            b.tiles[at] = dcls_max_i64(used, 0) * columns->uses[q];
            b.place[at + 1] = b.place[at] + dcls_ceil_div(b.tiles[at] + COPY, COPY) * COPY;
        }
    return b;
}

/* ---- to the points ------------------------------------------------------------------------------------- */

/* What inputs and gradients of outputs differ in. Cells and rows are counted from 1, 0 is padding. */
typedef struct way {
    const dcls_simd *simd;
    const dcls_winograd_tiling *tiling;
    bool outputs;
} way;

static int cells_of(const way *w, const dcls_winograd_kind *kind)
{
    return w->outputs ? kind->outputs : kind->inputs;
}

/* Cell e of tile t along an axis. */
static int64_t cell_at(const way *w, const dcls_winograd_axis *axis, int e, int64_t t)
{
    return w->outputs ? axis->out[e * axis->tiles + t] + 1 : axis->in[e * axis->tiles + t];
}

static void transform(const way *w, const dcls_winograd_kind *kind, const float *const in[POINTS],
                      float *const out[POINTS], int64_t n)
{
    if (w->outputs)
        w->simd->winograd_gradient(kind->form, in, out, n);
    else
        w->simd->winograd_forward(kind->form, in, out, n);
}

/* One row of all images, those that lack as zeros. */
static void gather_row(const dcls_winograd_planes *x, int64_t joined, int64_t row, float *to)
{
    const float *from = x->first + row * x->width;
    for (int64_t i = 0; i < x->count; i++, from += x->apart, to += x->width)
        memcpy(to, from, (size_t)x->width * sizeof *to);
    memset(to, 0, (size_t)((joined - x->count) * x->width) * sizeof *to);
}

/* A row, which cells[1] begins, to the points of its tiles: line, point by point. read: [POINTS][tiles]. */
static void row_to_points(const way *w, const float *cells, float *line, float *read)
{
    const dcls_winograd_axis *c = &w->tiling->columns;
    for (const dcls_winograd_kind *kind = c->kind; kind < c->kind + c->kinds; kind++) {
        const int64_t first = kind->first;
        const float *in[POINTS];
        float *out[POINTS], *to = line + first;
        for (int e = 0; e < cells_of(w, kind); e++) {
            const int32_t *from = (w->outputs ? c->out : c->in) + e * c->tiles + first;
            const float *base = cells + w->outputs;
            float *gathered = read + e * c->tiles + first;
            in[e] = gathered;
            for (int64_t t = 0; t < kind->count; t++)
                gathered[t] = base[from[t]];
        }
        for (int p = 0; p < kind->points; p++) {
            out[p] = to;
            to += c->uses[p];
        }
        transform(w, kind, in, out, kind->count);
    }
}

/* A row of tiles whose rows are at their points along the columns, into all tiles at each point. lines: of
 * padding, then from row `lowest` on. */
static void tiles_to_points(const way *w, const dcls_winograd_band *b, int64_t lowest, int64_t t,
                            const float *lines, float *tiles, float *scratch)
{
    const dcls_winograd_axis *rows = &w->tiling->rows, *columns = &w->tiling->columns;
    const int64_t line = columns->line;
    const dcls_winograd_kind *kind = dcls_winograd_kind_of(rows, t);
    const float *in[POINTS];
    float *out[POINTS];
    for (int e = 0; e < cells_of(w, kind); e++) {
        int64_t row = cell_at(w, rows, e, t);
        in[e] = row > 0 ? lines + (row - lowest + 1) * line : lines;
    }
    for (int p = 0; p < kind->points; p++)
        out[p] = scratch + p * line;
    transform(w, kind, in, out, line);
    for (int64_t p = 0; p < kind->points; p++) {
        const float *from = scratch + p * line;
        for (int64_t q = 0; q < columns->points; q++) {
            int64_t at = p * columns->points + q, n = columns->uses[q];
            dcls_winograd_copy_beyond(from, n, tiles + b->place[at] + (t - b->from) * n);
            from += n;
        }
    }
}

/* Rows lowest to highest, counted from 1. */
static void to_points(const way *w, const dcls_winograd_band *b, const dcls_winograd_planes *x,
                      int64_t lowest, int64_t highest, float *tiles, float *scratch)
{
    const int64_t line = w->tiling->columns.line, joined = w->tiling->joined;
    float *lines = scratch, *rest = lines + (highest - lowest + 2) * line;
    memset(lines, 0, (size_t)line * sizeof *lines);
    for (int64_t row = lowest; row <= highest; row++) {
        rest[0] = 0;
        gather_row(x, joined, row - 1, rest + 1);
        row_to_points(w, rest, lines + (row - lowest + 1) * line, rest + joined * x->width + 1);
    }
    for (int64_t t = b->from; t < b->to; t++)
        tiles_to_points(w, b, lowest, t, lines, tiles, rest);
}

int64_t dcls_winograd_to_points_scratch(const dcls_winograd_tiling *t, int64_t rows, int64_t width)
{
    const int64_t read = t->joined * width + 1 + POINTS * t->columns.tiles;
    return (rows + 1) * t->columns.line + dcls_max_i64(POINTS * t->columns.line + COPY, read);
}

void dcls_winograd_inputs_to_points(const dcls_simd *simd, const dcls_winograd_tiling *tiling,
                                    const dcls_winograd_band *band, const dcls_winograd_planes *planes,
                                    float *tiles, float *scratch)
{
    const way w = {simd, tiling, false};
    to_points(&w, band, planes, band->lowest, band->highest, tiles, scratch);
}

void dcls_winograd_outputs_to_points(const dcls_simd *simd, const dcls_winograd_tiling *tiling,
                                     const dcls_winograd_band *band, const dcls_winograd_planes *planes,
                                     float *tiles, float *scratch)
{
    const way w = {simd, tiling, true};
    int64_t lowest = planes->height, highest = 1;
    for (int64_t t = band->from; t < band->to; t++)
        for (int e = 0; e < dcls_winograd_kind_of(&tiling->rows, t)->outputs; e++) {
            const int64_t row = cell_at(&w, &tiling->rows, e, t);
            lowest = dcls_min_i64(lowest, row);
            highest = dcls_max_i64(highest, row);
        }
    to_points(&w, band, planes, lowest, highest, tiles, scratch);
}
