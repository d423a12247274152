/*
 * Sparse convolution: each output channel is a list of taps (an input cell and a coefficient), and a whole
 * tile of outputs is computed per tap list by simd->taps_rows. The part of the input a tile sees is first
 * copied into a box of scratch memory with zeros for padding, so that no tap needs care at borders; it is
 * small enough for the cache and costs little against the many taps of a large window. With a stride the box
 * keeps one plane per phase (input coordinate modulo stride), which makes every tap read contiguous pixels.
 */
#include <stdlib.h>
#include <string.h>

#include "ops/conv_internal.h"

/* Floats of a box: half of a usual second-level cache. */
#define BOX_FLOATS ((int64_t)128 << 10)

/* Tiles are not cut below this: the window's reach around them would be copied too often. */
#define TILE_MIN_ROWS  8
#define TILE_MIN_WIDTH 128

/* Units of work wanted where few planes or tiles give few of them. */
#define UNITS_WANTED 16

/* Cells of one phase of a tile's box that lie inside the input, and the input position of the first of them.
 */
typedef struct run {
    int64_t lo, hi, from;
} run;

/* A tile: its number along each dimension, its first output and its size. */
typedef struct tile {
    int64_t index[3], at[3], n[3];
} tile;

typedef struct conv_sparse {
    dcls_conv base;
    int64_t in_channels, out_channels; /* of one group */
    int64_t lo[3], hi[3];              /* outputs y read the input from y * stride + lo to y * stride + hi */
    int64_t tile[3], tiles[3];         /* outputs of a tile, and number of tiles */
    struct tile first;                 /* the first tile, often the only one */
    int64_t phases[3], size[3];        /* box of one input channel: phases, and cells of one phase */
    int64_t chunk, chunks;             /* outputs computed from one filling of a box */
    run *inside[3];                    /* [tiles * phases] */
    int64_t *start;                    /* [all output channels + 1] */
    int64_t *offset;                   /* of taps, in a box of all input channels of the group */
    float *value;
} conv_sparse;

/* ---- run ---------------------------------------------------------------------------------------------- */

static tile tile_along(const conv_sparse *x, const int64_t index[3])
{
    tile t;
    for (int d = 0; d < 3; d++) {
        t.index[d] = index[d];
        t.at[d] = index[d] * x->tile[d];
        t.n[d] = dcls_min_i64(x->tile[d], x->base.g.out[d] - t.at[d]);
    }
    return t;
}

static tile tile_at(const conv_sparse *x, int64_t number)
{
    int64_t slice = number / x->tiles[2];
    return tile_along(x, (int64_t[]){slice / x->tiles[1], slice % x->tiles[1], number % x->tiles[2]});
}

/* One phase of one input channel: a copy, which is a convolution with the one tap 1. */
static void fill_phase(const dcls_conv_pass *pass, const run runs[3], const float *in, float *to)
{
    static const int64_t offset[] = {0};
    static const float value[] = {1.0f};
    const conv_sparse *x = (const conv_sparse *)pass->conv;
    const int64_t *in_size = pass->conv->g.in, *size = x->size;
    int64_t rows = runs[1].hi - runs[1].lo, width = runs[2].hi - runs[2].lo;
    if (rows <= 0 || width <= 0) return;
    to += runs[1].lo * size[2] + runs[2].lo;
    for (int64_t z = runs[0].lo; z < runs[0].hi; z++) {
        int64_t plane = runs[0].from + (z - runs[0].lo) * x->phases[0];
        const float *from = in + (plane * in_size[1] + runs[1].from) * in_size[2] + runs[2].from;
        pass->simd->taps_rows(from, x->phases[1] * in_size[2], x->phases[2], offset, value, 1,
                              to + z * size[1] * size[2], size[2], rows, width);
    }
}

/* What a tile sees of one input channel. */
static void fill_channel(const dcls_conv_pass *pass, const tile *t, const float *in, float *box)
{
    const conv_sparse *x = (const conv_sparse *)pass->conv;
    const run *inside[3];
    for (int d = 0; d < 3; d++)
        inside[d] = x->inside[d] + t->index[d] * x->phases[d];
    for (int64_t i = 0; i < x->phases[0]; i++)
        for (int64_t j = 0; j < x->phases[1]; j++)
            for (int64_t k = 0; k < x->phases[2]; k++, box += dcls_volume(x->size))
                fill_phase(pass, (const run[]){inside[0][i], inside[1][j], inside[2][k]}, in, box);
}

/* One output channel of a tile. plane: image * out_channels + channel. */
static void compute_channel(const dcls_conv_pass *pass, const tile *t, int64_t plane, const float *box,
                            float *scratch)
{
    const conv_sparse *x = (const conv_sparse *)pass->conv;
    const int64_t *out = pass->conv->g.out;
    int64_t channel = plane % pass->conv->g.out_channels, from = x->start[channel];
    int64_t stride = pass->in_place ? t->n[2] : out[2];
    bool whole_rows = t->n[2] == out[2];
    for (int64_t z = 0; z < t->n[0]; z++) {
        int64_t pixel = ((t->at[0] + z) * out[1] + t->at[1]) * out[2] + t->at[2];
        float *y = dcls_conv_target(pass, plane, pixel, scratch);
        pass->simd->taps_rows(box + z * x->size[1] * x->size[2], x->size[2], 1, x->offset + from,
                              x->value + from, x->start[channel + 1] - from, y, stride, t->n[1], t->n[2]);
        if (whole_rows) {
            dcls_conv_complete(pass, plane, pixel, y, t->n[1] * t->n[2]);
            continue;
        }
        for (int64_t r = 0; r < t->n[1]; r++)
            dcls_conv_complete(pass, plane, pixel + r * out[2], y + r * stride, t->n[2]);
    }
}

static int64_t box_channel(const conv_sparse *x)
{
    return dcls_volume(x->phases) * dcls_volume(x->size);
}

/* Scratch memory begins with the number of the tile that the zeros in the box are for: they stay as long as
 * the tile does, for it is the same cells that every plane fills. */
#define SCRATCH_HEAD 16
#define NO_TILE      (-1)

static void prepare(const dcls_conv_pass *pass, int threads)
{
    const int64_t none = NO_TILE;
    (void)threads;
    for (int64_t w = 0; w < pass->workers; w++)
        memcpy(dcls_conv_scratch(pass, w), &none, sizeof none);
}

static float *box_for(const conv_sparse *x, int64_t tile_number, float *scratch)
{
    int64_t before;
    float *box = scratch + SCRATCH_HEAD;
    memcpy(&before, scratch, sizeof before);
    if (before == tile_number) return box;
    memset(box, 0, (size_t)(x->in_channels * box_channel(x)) * sizeof *box);
    memcpy(scratch, &tile_number, sizeof tile_number);
    return box;
}

/* Units count chunks of outputs fastest, then tiles, then groups and images. */
static void run_unit(const dcls_conv_pass *pass, int64_t unit, float *scratch)
{
    const conv_sparse *x = (const conv_sparse *)pass->conv;
    int64_t chunk = 0, tile_number = 0, tile_count = dcls_volume(x->tiles);
    int64_t part = unit;              /* image * groups + group */
    if (x->chunks * tile_count > 1) { /* divisions would weigh as much as the taps of a small plane */
        chunk = unit % x->chunks;
        tile_number = unit / x->chunks % tile_count;
        part = unit / (x->chunks * tile_count);
    }

    const tile t = tile_number == 0 ? x->first : tile_at(x, tile_number);
    const float *in = pass->in + part * x->in_channels * pass->conv->in_volume;
    float *box = box_for(x, tile_number, scratch), *results = box + x->in_channels * box_channel(x);
    for (int64_t c = 0; c < x->in_channels; c++)
        fill_channel(pass, &t, in + c * pass->conv->in_volume, box + c * box_channel(x));
    int64_t end = dcls_min_i64((chunk + 1) * x->chunk, x->out_channels);
    for (int64_t o = chunk * x->chunk; o < end; o++)
        compute_channel(pass, &t, part * x->out_channels + o, box, results);
}

static void release(dcls_conv *conv)
{
    conv_sparse *x = (conv_sparse *)conv;
    for (int d = 0; d < 3; d++)
        free(x->inside[d]);
    free(x->start);
    free(x->offset);
    free(x->value);
}

static const dcls_conv_method method = {
    .name = "sparse", .prepare = prepare, .run_unit = run_unit, .release = release};

/* ---- create -------------------------------------------------------------------------------------------- */

/* What the taps together reach; returns how many of them can touch the input. */
static int64_t measure_taps(conv_sparse *x, const dcls_taps *taps)
{
    int64_t n = 0;
    int64_t shift[3];
    for (int64_t t = 0; t < taps->start[taps->rows]; t++) {
        if (!dcls_conv_shift(&x->base.g, taps->cell[t], shift)) continue;
        for (int d = 0; d < 3; d++) {
            x->lo[d] = n > 0 ? dcls_min_i64(x->lo[d], shift[d]) : shift[d];
            x->hi[d] = n > 0 ? dcls_max_i64(x->hi[d], shift[d]) : shift[d];
        }
        n++;
    }
    return n;
}

/* Sizes the box for the present tile; false when its floats cannot be counted. */
static bool size_box(conv_sparse *x, int64_t *floats)
{
    *floats = x->in_channels;
    for (int d = 0; d < 3; d++) {
        x->phases[d] = x->tile[d] > 1 ? x->base.g.stride[d] : 1;
        int64_t seen = (x->tile[d] - 1) * x->base.g.stride[d] + x->hi[d] - x->lo[d] + 1;
        x->size[d] = dcls_ceil_div(seen, x->phases[d]);
        if (!dcls_mul_i64(*floats, x->size[d] * x->phases[d], floats)) return false;
    }
    return true;
}

/* Halves the tile along the first dimension worth it; false if it should not become smaller. */
static bool shrink_tile(conv_sparse *x)
{
    const int64_t least[3] = {1, TILE_MIN_ROWS, TILE_MIN_WIDTH};
    for (int d = 0; d < 3; d++) {
        if (x->tile[d] <= least[d]) continue;
        x->tile[d] = dcls_max_i64(dcls_ceil_div(x->tile[d], 2), least[d]);
        return true;
    }
    return false;
}

static dcls_status choose_tile(dcls_context *ctx, conv_sparse *x, int64_t *floats)
{
    memcpy(x->tile, x->base.g.out, sizeof x->tile);
    bool counted = size_box(x, floats);
    while ((!counted || *floats > BOX_FLOATS) && shrink_tile(x))
        counted = size_box(x, floats);
    if (!counted) return dcls_fail(ctx, DCLS_ERR_LIMIT, "the window of this convolution reaches too far");
    for (int d = 0; d < 3; d++)
        x->tiles[d] = dcls_ceil_div(x->base.g.out[d], x->tile[d]);
    return DCLS_OK;
}

static run run_inside(const conv_sparse *x, const tile *t, int d, int64_t phase)
{
    int64_t stride = x->base.g.stride[d], step = x->phases[d];
    int64_t first = t->at[d] * stride + x->lo[d] + phase;                    /* input position of cell 0 */
    int64_t seen = (t->n[d] - 1) * stride + x->hi[d] - x->lo[d] + 1 - phase; /* positions from there on */
    int64_t end = dcls_min_i64(first + seen, x->base.g.in[d]);
    run r = {.lo = first < 0 ? dcls_ceil_div(-first, step) : 0};
    r.from = first + r.lo * step;
    r.hi = r.from < end ? r.lo + dcls_ceil_div(end - r.from, step) : r.lo;
    return r;
}

static dcls_status pack_runs(dcls_context *ctx, conv_sparse *x)
{
    for (int d = 0; d < 3; d++) {
        x->inside[d] = dcls_conv_pack(ctx, &x->base, x->tiles[d] * x->phases[d], sizeof *x->inside[d]);
        if (x->inside[d] == NULL) return DCLS_ERR_MEMORY;
        for (int64_t i = 0; i < x->tiles[d]; i++) {
            const tile t = tile_along(x, (int64_t[]){i, i, i});
            for (int64_t phase = 0; phase < x->phases[d]; phase++)
                x->inside[d][i * x->phases[d] + phase] = run_inside(x, &t, d, phase);
        }
    }
    return DCLS_OK;
}

/* A tap in the box. */
static dcls_conv_tap place_tap(const conv_sparse *x, int64_t channel, const int64_t shift[3], float value)
{
    int64_t phase[3], at[3];
    for (int d = 0; d < 3; d++) {
        phase[d] = (shift[d] - x->lo[d]) % x->phases[d];
        at[d] = (shift[d] - x->lo[d]) / x->phases[d];
    }
    int64_t plane = ((channel * x->phases[0] + phase[0]) * x->phases[1] + phase[1]) * x->phases[2] + phase[2];
    int64_t slice = plane * x->size[0] + at[0];
    return (dcls_conv_tap){.column = slice * x->size[2] + at[2],
                           .row = at[1],
                           .offset = (slice * x->size[1] + at[1]) * x->size[2] + at[2],
                           .value = value};
}

/* Writes the taps of all output channels. taps_of_one: room for those of the longest list. */
static void place_taps(conv_sparse *x, const dcls_taps *taps, dcls_conv_tap *taps_of_one)
{
    int64_t shift[3], n = 0;
    for (int64_t o = 0; o < x->base.g.out_channels; o++) {
        int64_t found = 0;
        for (int64_t c = 0; c < x->in_channels; c++) {
            int64_t row = o * x->in_channels + c;
            for (int64_t t = taps->start[row]; t < taps->start[row + 1]; t++)
                if (dcls_conv_shift(&x->base.g, taps->cell[t], shift))
                    taps_of_one[found++] = place_tap(x, c, shift, taps->value[t]);
        }
        dcls_conv_write_taps(taps_of_one, found, x->offset + n, x->value + n);
        x->start[o] = n;
        n += found;
    }
    x->start[x->base.g.out_channels] = n;
}

static dcls_status pack_taps(dcls_context *ctx, conv_sparse *x, const dcls_taps *taps, int64_t count)
{
    x->start = dcls_conv_pack(ctx, &x->base, x->base.g.out_channels + 1, sizeof *x->start);
    x->offset = dcls_conv_pack(ctx, &x->base, count, sizeof *x->offset);
    x->value = dcls_conv_pack(ctx, &x->base, count, sizeof *x->value);
    dcls_conv_tap *taps_of_one = dcls_conv_tap_room(ctx, taps, x->in_channels);
    bool ready = x->start && x->offset && x->value && taps_of_one;
    if (ready) place_taps(x, taps, taps_of_one);
    free(taps_of_one);
    return ready ? DCLS_OK : DCLS_ERR_MEMORY;
}

static dcls_status set_work(dcls_context *ctx, conv_sparse *x, int64_t taps, int64_t box)
{
    const dcls_geometry *g = &x->base.g;
    int64_t units = g->batch * g->groups * dcls_volume(x->tiles);
    x->chunks = dcls_min_i64(x->out_channels, dcls_ceil_div(UNITS_WANTED, units));
    x->chunk = dcls_ceil_div(x->out_channels, x->chunks);
    x->first = tile_at(x, 0);
    x->chunks = dcls_ceil_div(x->out_channels, x->chunk);

    double pixels = (double)dcls_volume(x->tile), taps_of_one = (double)taps / (double)g->out_channels;
    size_t results = x->base.epilogue.residual ? (size_t)(x->tile[1] * x->tile[2]) : 0;
    dcls_conv_work work = {.units = units * x->chunks,
                           .total_macs = (double)taps * (double)(g->batch * x->base.out_volume),
                           .macs = (double)box + taps_of_one * (double)x->chunk * pixels,
                           .scratch_floats = SCRATCH_HEAD + (size_t)box + results};
    return dcls_conv_set_work(ctx, &x->base, work);
}

static dcls_status pack(dcls_context *ctx, conv_sparse *x, const dcls_taps *taps)
{
    int64_t box, count = measure_taps(x, taps);
    DCLS_TRY(choose_tile(ctx, x, &box));
    DCLS_TRY(pack_runs(ctx, x));
    DCLS_TRY(pack_taps(ctx, x, taps, count));
    return set_work(ctx, x, count, box);
}

dcls_status dcls_conv_create_sparse(dcls_context *ctx, const dcls_geometry *g, const dcls_taps *taps,
                                    const dcls_epilogue *epilogue, dcls_conv **out)
{
    DCLS_TRY(dcls_conv_check(ctx, g));
    if (taps->rows != g->out_channels * (g->in_channels / g->groups))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the windows do not fit the convolution's channels");
    if (dcls_conv_prefers_plane(g, taps)) return dcls_conv_create_plane(ctx, g, taps, epilogue, out);
    conv_sparse *x = dcls_conv_allocate(ctx, sizeof *x, &method, g, epilogue);
    if (x == NULL) return DCLS_ERR_MEMORY;
    x->in_channels = g->in_channels / g->groups;
    x->out_channels = g->out_channels / g->groups;
    return dcls_conv_finish(&x->base, pack(ctx, x, taps), out);
}
